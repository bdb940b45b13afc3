//! What is accepted can run, and what succeeded can be read.

use std::fmt::Debug;
use std::time::Duration;

use jobkeep::testing::{Kit, assert_output_travels, assert_travels};
use jobkeep::{
    AttemptEnd, Codec, Context, Enqueue, Job, JobError, Manager, NewJob, ParkReason, Reason,
    Receipt, StateKind,
};
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// JSON writes a NaN as `null`, which is no `f64`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rate {
    rate: f64,
}

impl Job for Rate {
    const NAME: &'static str = "rate";
    type Output = f64;
}

const NAN: Rate = Rate { rate: f64::NAN };
const FINE: Rate = Rate { rate: 0.5 };
const WHY: &str = "the value cannot be read back from its JSON: invalid type: null, expected f64 at \
                   line 1 column";

fn kit(
    place: &dyn Place,
    run: impl Fn(&mut Rate, &Context) -> Result<f64, JobError> + Send + Sync + 'static,
) -> Kit {
    let builder = Manager::builder(place.open()).handle::<Rate>(run);
    builder.start_for_tests().unwrap()
}

/// The job after its only or last attempt.
fn ran<J: Job>(kit: &Kit, job: impl Into<NewJob<J>>) -> jobkeep::Completed<J> {
    let job: NewJob<J> = job.into();
    let receipt = kit.enqueue(job).unwrap();
    kit.drain("default").unwrap();
    kit.completed(&receipt).unwrap().unwrap()
}

fn refused(accepted: Result<impl Debug, jobkeep::Error>) {
    let error = accepted.unwrap_err();
    assert!(error.is_codec(), "{error}");
    let expected = format!("encode job `rate` (it::travelling::Rate): {WHY} 12");
    // Of a batch it also says which of its jobs.
    assert!(error.to_string().ends_with(&expected), "{error}");
}

pub(crate) fn a_job_that_could_never_run_is_refused_whoever_enqueues_it(place: &dyn Place) {
    let kit = kit(place, |job, _| Ok(job.rate));
    let keyed = |job| NewJob::new(job).key("invoice/7");
    refused(kit.enqueue(keyed(NAN)));
    refused(kit.enqueue_all([FINE, NAN]));
    refused(kit.try_enqueue(NAN));
    refused(kit.submit(NAN).wait());
    refused(NAN.execute(&kit));
    let queue: &dyn Enqueue = &kit;
    refused(queue.enqueue_all([keyed(NAN)]));
    // Nothing of them is there.
    let receipt = kit.enqueue(keyed(FINE)).unwrap();
    assert_eq!(receipt.number().0, 1);
    assert_eq!(kit.counts().unwrap().ready, 1);
}

pub(crate) fn what_an_attempt_leaves_is_kept_only_if_it_can_be_read(place: &dyn Place) {
    let kit = kit(place, |job, ctx| {
        job.rate = f64::INFINITY;
        match ctx.id().0 {
            1 => Ok(1.0),
            2 => Err(JobError::new("as usual")),
            3 => Err(JobError::snooze(Duration::ZERO)),
            _ => Err(JobError::cancel("not needed")),
        }
    });
    let why = format!("encode the job as the run left it: {WHY} 12");
    for (reason, told) in [
        (Reason::Permanent, why.clone()),
        (Reason::Permanent, format!("as usual: {why}")),
        (Reason::Permanent, why.clone()),
        (Reason::Cancelled, format!("not needed: {why}")),
    ] {
        let done = ran(&kit, FINE);
        let failure = done.output().unwrap_err();
        assert_eq!((failure.reason(), failure.message()), (reason, &*told));
        assert_eq!((done.history().len(), done.job().unwrap()), (1, &FINE));
    }
}

pub(crate) fn no_job_succeeds_with_an_output_that_cannot_be_read(place: &dyn Place) {
    let kit = kit(place, |job, _| {
        job.rate += 1.0;
        Ok(f64::NAN)
    });
    let done = ran(&kit, FINE);
    let failure = done.output().unwrap_err();
    let why = format!("encode the output as the run left it: {WHY} 4");
    assert_eq!(
        (failure.reason(), failure.message()),
        (Reason::Permanent, &*why)
    );
    assert_eq!(done.job().unwrap(), &Rate { rate: 1.5 });
}

pub(crate) fn a_checkpoint_that_cannot_be_read_is_refused(place: &dyn Place) {
    let kit = kit(place, |job, ctx| {
        if ctx.attempt() == 1 {
            ctx.checkpoint(&Rate { rate: 2.0 })?;
            let error = ctx.checkpoint(&NAN).unwrap_err();
            assert!(error.is_codec());
            assert_eq!(error.to_string(), format!("checkpoint job 1: {WHY} 12"));
            panic!("before it leaves anything");
        }
        Ok(job.rate)
    });
    let twice = NewJob::new(FINE).backoff(Duration::ZERO, Duration::ZERO);
    let output = ran(&kit, twice).into_output().unwrap();
    assert_eq!(output.to_bits(), 2.0_f64.to_bits());
}

pub(crate) fn a_job_that_could_never_run_does_not_follow(place: &dyn Place) {
    let kit = kit(place, |job, ctx| {
        refused(ctx.enqueue(NAN));
        refused(ctx.enqueue_all([FINE, NAN]));
        Ok(job.rate)
    });
    ran(&kit, FINE).output().unwrap();
    let counts = kit.counts().unwrap();
    assert_eq!((counts.succeeded, counts.ready, counts.parked), (1, 0, 0));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Doubles(Vec<f64>);

impl Job for Doubles {
    const NAME: &'static str = "doubles";
    type Output = (Vec<u64>, Vec<f64>);
}

pub(crate) fn doubles_come_back_bit_for_bit(place: &dyn Place) {
    let builder = Manager::builder(place.open()).handle::<Doubles>(|job, ctx| {
        ctx.checkpoint(job)?;
        let bits = job.0.iter().map(|double| double.to_bits());
        Ok((bits.collect(), job.0.clone()))
    });
    let kit = builder.start_for_tests().unwrap();
    // Steps of Weyl's sequence, mixed: all exponents, the subnormal ones too.
    let mut state = 0_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        f64::from_bits((state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    });
    let known = [
        0.922_985_673_580_006_9,
        109.361_231_779_783_85,
        f64::MIN_POSITIVE,
        -0.0,
    ];
    let finite = random.filter(|double| double.is_finite()).take(20_000);
    let doubles: Vec<_> = known.into_iter().chain(finite).collect();
    let bits = |doubles: &[f64]| {
        doubles
            .iter()
            .map(|double| double.to_bits())
            .collect::<Vec<_>>()
    };
    let before = bits(&doubles);
    let done = ran(&kit, Doubles(doubles));
    assert!(bits(&done.job().unwrap().0) == before);
    let (seen, left) = done.into_output().unwrap();
    assert!(seen == before && bits(&left) == before);
}

/// Types of one name, in bincode.
macro_rules! shapes {
    ($($name:ident -> $output:ty { $($type:item)+ })+) => {
        $($(#[derive(Debug, PartialEq, Serialize, Deserialize)] $type)+
        impl Job for $name {
            const NAME: &'static str = "shape";
            const CODEC: Codec = Codec::Bincode;
            type Output = $output;
        })+
    };
}

shapes! {
    Three -> u32 { struct Three { a: u32, b: u32, s: String } }
    One -> u32 { struct One { b: u32 } }
    Swapped -> u32 { struct Swapped { b: u32, a: u32, s: String } }
    Longer -> u32 { struct Longer { a: u32, b: u32, s: String, t: Option<u8> } }
    Wrapped -> u32 { struct Wrapped { a: u32, b: Amount, s: String } struct Amount(u32); }
    Signed -> i32 { struct Signed(i32); }
    Unsigned -> u32 { struct Unsigned(u32); }
    Wide -> u64 { struct Wide(u64); }
    Either -> () { enum Either { A, B(u8) } }
    Before -> () { enum Before { New, A, B(u8) } }
    After -> () { enum After { A, B(u8), New } }
    Texts -> () { struct Texts(Vec<String>); }
    Bytes -> () { struct Bytes(Vec<u8>); }
}

/// What becomes of a job that was queued as `before` and is run as an `A`: why it is parked, or what it
/// runs as.
fn reshaped<B: Job + PartialEq + Debug, A: Job<Output: Default> + Debug>(
    place: &dyn Place,
    before: B,
) -> Result<String, String> {
    let empty = Manager::builder(place.open()).start_for_tests().unwrap();
    assert_travels(&before);
    let receipt = empty.enqueue(before).unwrap();
    drop(empty);
    let builder = Manager::builder(place.open()).handle::<A>(|_, _| Ok(A::Output::default()));
    let kit = builder.start_for_tests().unwrap();
    kit.drain("default").unwrap();
    let receipt: Receipt<A> = receipt.typed();
    let status = kit.status(&receipt).unwrap();
    if status.state() == StateKind::Succeeded {
        let done = kit.completed(&receipt).unwrap().unwrap();
        return Ok(format!("{:?}", done.job().unwrap()));
    }
    let Some(ParkReason::Undecodable(why)) = status.parked() else {
        panic!("{status:?}");
    };
    assert_eq!(
        status.history()[0].end,
        AttemptEnd::Undecodable(why.clone())
    );
    Err(why.clone())
}

pub(crate) fn a_bincode_type_that_changed_is_not_run_with_other_values(place: &dyn Place) {
    let three = || Three {
        a: 111,
        b: 222,
        s: "s".into(),
    };
    let changed = "the bytes were written by a type of another shape: of a type in bincode, nothing may \
                   be added, removed, renamed or moved while its jobs are kept";
    let refused = |ran: Result<String, String>| assert_eq!(ran.unwrap_err(), changed);
    refused(reshaped::<_, One>(place, three()));
    refused(reshaped::<_, Swapped>(place, three()));
    refused(reshaped::<_, Unsigned>(place, Signed(5)));
    refused(reshaped::<_, Unsigned>(place, Signed(-3)));
    refused(reshaped::<_, Wide>(place, Unsigned(5)));
    refused(reshaped::<_, Before>(place, Either::A));
    refused(reshaped::<_, Bytes>(place, Texts(vec!["ab".into()])));
    assert_eq!(
        reshaped::<_, Longer>(place, three()).unwrap_err(),
        "the bytes do not decode: UnexpectedEnd { additional: 1 }"
    );
}

pub(crate) fn a_bincode_type_may_be_renamed_wrapped_and_given_variants_at_its_end(
    place: &dyn Place,
) {
    let three = Three {
        a: 1,
        b: 2,
        s: "s".into(),
    };
    assert_eq!(
        reshaped::<_, Wrapped>(place, three).unwrap(),
        "Wrapped { a: 1, b: Amount(2), s: \"s\" }"
    );
    assert_eq!(reshaped::<_, After>(place, Either::A).unwrap(), "A");
    assert_eq!(reshaped::<_, After>(place, Either::B(7)).unwrap(), "B(7)");
}

/// What [`Rate`] became.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rates {
    rates: Vec<f64>,
}

impl Job for Rates {
    const NAME: &'static str = "rate";
    type Output = f64;
}

/// What it might have become.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rated {
    rate: f64,
}

impl Job for Rated {
    const NAME: &'static str = "rate";
    type Output = String;
}

pub(crate) fn a_type_that_changed_hides_nothing_but_itself(place: &dyn Place) {
    let kit = kit(place, |job, ctx| {
        ctx.log("looked it up");
        Ok(job.rate * 2.0)
    });
    let receipt = kit.enqueue(FINE).unwrap();
    kit.drain("default").unwrap();

    let done = kit
        .completed(&receipt.clone().typed::<Rates>())
        .unwrap()
        .unwrap();
    let error = done.job().unwrap_err();
    assert!(error.is_codec());
    assert_eq!(
        error.to_string(),
        "decode the payload of job 1: missing field `rates` at line 1 column 12"
    );
    assert_eq!(done.history()[0].log, ["looked it up"]);
    assert_eq!((done.output().unwrap(), done.attempts()), (&1.0, 1));
    assert!(done.into_output().is_ok());

    let done = kit.completed(&receipt.typed::<Rated>()).unwrap().unwrap();
    assert_eq!(done.job().unwrap(), &Rated { rate: 0.5 });
    let failure = done.output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Unreadable);
    assert_eq!(
        failure.to_string(),
        "the job succeeded, and its output does not decode: invalid type: floating point `1.0`, \
         expected a string at line 1 column 3"
    );
    assert_eq!(done.into_output().unwrap_err(), failure);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::option_option,
    reason = "what JSON does not tell from an option"
)]
struct Maybe(Option<Option<u8>>);

impl Job for Maybe {
    const NAME: &'static str = "maybe";
    type Output = Option<f64>;
}

/// What an assertion says.
fn says(act: impl FnOnce()) -> String {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).unwrap_err();
    *caught.downcast::<String>().unwrap()
}

#[test]
fn a_value_that_comes_back_as_another_one_does_not_travel() {
    assert_travels(&Maybe(None));
    assert_travels(&Maybe(Some(Some(1))));
    assert_output_travels::<Maybe>(&Some(0.1));
    assert_eq!(
        says(|| assert_travels(&Maybe(Some(None)))),
        "job `maybe` comes back from Json as another value\n  before: Maybe(Some(None))\n   after: \
         Maybe(None)"
    );
    assert_eq!(
        says(|| assert_output_travels::<Maybe>(&Some(f64::NAN))),
        "the output of job `maybe` comes back from Json as another value\n  before: Some(NaN)\n   \
         after: None"
    );
    assert_eq!(
        says(|| assert_travels(&NAN)),
        format!("job `rate` does not come back from Json: {WHY} 12: Rate {{ rate: NaN }}")
    );
}
