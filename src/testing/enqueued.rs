//! What is enqueued, for a test to look at.

use std::fmt::Write;
use std::ops::ControlFlow;

use jobkeep_store::{JobNumber, JobRecord, Key, Space, open_row};

use super::Kit;
use crate::context::cut;
use crate::runtime::{self, Command, Shared, WhenFull};
use crate::{Codec, Error, Job, Receipt, payload};

impl Kit {
    /// All jobs of type `J` that have not finished, in the order of acceptance: those that wait, run or
    /// are parked, with their values as the last ended attempt left them.
    ///
    /// # Errors
    /// Where the manager is shut down, the store cannot be read, or a payload does not decode to a `J`.
    pub fn enqueued<J: Job>(&self) -> Result<Vec<J>, Error> {
        let jobs = Live::all(self.shared())?;
        let of_type = jobs.iter().filter(|job| job.is_a::<J>());
        of_type
            .map(|job| {
                let act = format_args!("decode the payload of job {}", job.number);
                job.decode().map_err(|cause| Error::codec(act, cause))
            })
            .collect()
    }

    /// Asserts that a job is enqueued and has not finished, of type `J` and as `wanted` has it. Returns
    /// the receipts of all that are, in the order of acceptance.
    ///
    /// # Panics
    /// Where there is none: the message lists what is enqueued. Where the store cannot be read.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion fails by panicking")]
    pub fn assert_enqueued<J: Job>(&self, wanted: impl Fn(&J) -> bool) -> Vec<Receipt<J>> {
        let shared = self.shared();
        let jobs = match Live::all(shared) {
            Ok(jobs) => jobs,
            Err(error) => panic!("{error}"),
        };
        let matching: Vec<_> = jobs
            .iter()
            .filter(|job| job.is_a::<J>() && job.decode().is_ok_and(|job| wanted(&job)))
            .map(|job| shared.receipt_of(job.number).typed())
            .collect();
        assert!(!matching.is_empty(), "{}", nothing_matches::<J>(&jobs));
        matching
    }
}

/// A job that has not finished.
struct Live {
    number: JobNumber,
    record: JobRecord,
    payload: Vec<u8>,
}

impl Live {
    fn all(shared: &Shared) -> Result<Vec<Self>, Error> {
        const ACT: &str = "read what is enqueued";
        // What was accepted before is in the store after a turn.
        let count = |reply| Command::Count { reply };
        shared.inbox.ask(ACT, WhenFull::Wait, count)?;
        let mut rows = Vec::new();
        Shared::each_row(&*shared.store, Space::Live, 0, &mut |key, row| {
            rows.push((JobNumber(key.number), open_row::<JobRecord>(key, row)));
            ControlFlow::Continue(())
        })
        .map_err(|cause| Error::store(ACT, cause))?;
        rows.into_iter()
            .map(|(number, record)| {
                let record = record.map_err(|cause| Error::damaged(number, cause))?;
                let payload = shared
                    .kept(&record.payload, Key::body(number))
                    .map_err(|cause| runtime::find_failed(number, cause))?;
                Ok(Self {
                    number,
                    record,
                    payload,
                })
            })
            .collect()
    }

    fn is_a<J: Job>(&self) -> bool {
        let name = self.record.name.as_str();
        name == J::NAME || J::ALIASES.contains(&name)
    }

    fn decode<J: Job>(&self) -> Result<J, String> {
        payload::decode(self.record.codec, &self.payload)
    }

    /// The payload for a reader.
    fn text(&self) -> String {
        const MOST_BYTES: usize = 256;
        match self.record.codec {
            Codec::Json => cut(
                String::from_utf8_lossy(&self.payload).into_owned(),
                MOST_BYTES,
            ),
            other => format!("{} bytes of {other:?}", self.payload.len()),
        }
    }
}

fn nothing_matches<J: Job>(jobs: &[Live]) -> String {
    const MOST_LINES: usize = 20;
    let mut text = format!("no job `{}` is enqueued as wanted", J::NAME);
    if jobs.is_empty() {
        text.push_str(": nothing is enqueued");
        return text;
    }
    text.push_str(", but these are:");
    for job in jobs.iter().take(MOST_LINES) {
        let JobRecord { name, queue, .. } = &job.record;
        let (number, payload) = (job.number, job.text());
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "\n- job {number} `{name}` in queue `{queue}`: {payload}"
        );
        if job.is_a::<J>()
            && let Err(cause) = job.decode::<J>()
        {
            let _ = write!(text, ", which does not decode: {cause}");
        }
    }
    if let Some(more @ 1..) = jobs.len().checked_sub(MOST_LINES) {
        let _ = write!(text, "\n- and {more} more");
    }
    text
}
