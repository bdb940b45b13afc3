//! Whether values come back as they were.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Codec, Job, payload};

/// Asserts that a job comes back from its encoding equal to itself. A job that does not come back at all
/// is refused when it is enqueued; one that comes back as another value is not, because only its type can
/// tell: `Some(None)` and an `Option<f64>` of NaN are `None` in JSON, a skipped field is its default, and
/// of two untagged variants the first one that fits is taken.
///
/// ```
/// # use jobkeep::Job;
/// use jobkeep::testing::assert_travels;
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Mail { to: String, copies: Option<u32> }
/// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
///
/// assert_travels(&Mail { to: "ada@example.org".into(), copies: None });
/// ```
///
/// # Panics
/// Where it does not come back, or is not equal. What holds a NaN is equal to nothing, itself included.
#[track_caller]
pub fn assert_travels<J: Job + PartialEq + Debug>(job: &J) {
    assert_comes_back(J::CODEC, job, format_args!("job `{}`", J::NAME));
}

/// Asserts that what a job returns comes back equal to itself: see [`assert_travels`].
///
/// # Panics
/// As [`assert_travels`].
#[track_caller]
pub fn assert_output_travels<J: Job<Output: PartialEq + Debug>>(output: &J::Output) {
    let what = format_args!("the output of job `{}`", J::NAME);
    assert_comes_back(J::CODEC, output, what);
}

#[track_caller]
#[expect(clippy::panic, reason = "an assertion fails by panicking")]
fn assert_comes_back<T>(codec: Codec, value: &T, what: std::fmt::Arguments<'_>)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = payload::encode(codec, value, &[]);
    match bytes.and_then(|bytes| payload::decode::<T>(codec, &bytes)) {
        Ok(back) => assert!(
            back == *value,
            "{what} comes back from {codec:?} as another value\n  before: {value:?}\n   after: {back:?}"
        ),
        Err(cause) => panic!("{what} does not come back from {codec:?}: {cause}: {value:?}"),
    }
}
