//! What is in a store after a cut.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jobkeep::{JobNumber, QueueStore};
use jobkeep_store::{InFlight, JobRecord, Kept, Key, Paused, Space, State, get_typed, open_row};

use crate::work::Work;

/// A job as its rows have it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) number: JobNumber,
    pub(crate) state: State,
    pub(crate) cancel_requested: bool,
    /// An attempt is on the record, however it ended.
    pub(crate) has_run: bool,
    /// It is in the record of what is in flight.
    pub(crate) is_listed: bool,
    pub(crate) output: Option<String>,
    pub(crate) runs: u32,
}

impl Found {
    pub(crate) fn is_done(&self) -> bool {
        self.state.kind().is_final()
    }
}

type Rows = BTreeMap<u64, Vec<u8>>;

fn rows(store: &dyn QueueStore, space: Space) -> Result<Rows, String> {
    let mut rows = Rows::new();
    let (from, to) = (Key::new(space, 0), Key::new(space, u64::MAX));
    let scanned = store.scan(&from, &to, &mut |key, row| {
        rows.insert(key.number, row.to_vec());
        ControlFlow::Continue(())
    });
    scanned.map_err(|cause| cause.to_string())?;
    Ok(rows)
}

/// The bytes of a payload or an output, whose own row is taken.
fn kept(kept: &Kept, key: Key, apart: &mut Rows) -> Result<Vec<u8>, String> {
    match kept {
        Kept::Inline(bytes) => Ok(bytes.clone()),
        Kept::Apart(_) => {
            let row = apart.remove(&key.number);
            let row = row.ok_or_else(|| format!("row {key} is missing"))?;
            let bytes: serde_bytes::ByteBuf =
                open_row(key, &row).map_err(|reason| format!("row {key}: {reason}"))?;
            Ok(bytes.into_vec())
        }
    }
}

/// The queue is paused.
pub(crate) fn is_paused(store: &dyn QueueStore) -> Result<bool, String> {
    let paused: Option<Paused> =
        get_typed(store, Key::PAUSED).map_err(|cause| cause.to_string())?;
    Ok(paused.is_some_and(|paused| !paused.queues.is_empty()))
}

/// All jobs of a store by their labels; an error where two rows do not fit together.
pub(crate) fn jobs(store: &dyn QueueStore) -> Result<BTreeMap<String, Found>, String> {
    let mut bodies = rows(store, Space::Bodies)?;
    let mut outputs = rows(store, Space::Outputs)?;
    let in_flight: Option<InFlight> =
        get_typed(store, Key::IN_FLIGHT).map_err(|cause| cause.to_string())?;
    let listed: Vec<_> = in_flight.into_iter().flat_map(|list| list.jobs).collect();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for space in [Space::Live, Space::Done] {
        for (number, row) in rows(store, space)? {
            let key = Key::new(space, number);
            let record: JobRecord =
                open_row(key, &row).map_err(|reason| format!("row {key}: {reason}"))?;
            let is_done = space == Space::Done;
            let number = JobNumber(number);
            if record.state.kind().is_final() != is_done {
                return Err(format!("row {key} is {:?}", record.state));
            }
            let payload = kept(&record.payload, Key::body(number), &mut bodies)?;
            let work: Work = serde_json::from_slice(&payload)
                .map_err(|cause| format!("the payload of row {key}: {cause}"))?;
            if !work.is_whole() {
                return Err(format!("the payload of row {key} is another one: {work:?}"));
            }
            let output = record.output.as_ref();
            let output = output
                .map(|output| kept(output, Key::output(number), &mut outputs))
                .transpose()?
                .map(|bytes| serde_json::from_slice(&bytes))
                .transpose()
                .map_err(|cause| format!("the output of row {key}: {cause}"))?;
            if output.is_some() != (record.state == State::Succeeded)
                || output.as_ref().is_some_and(|text| *text != work.output())
            {
                return Err(format!("row {key} has output {output:?}"));
            }
            let job = Found {
                number,
                cancel_requested: record.cancel_requested,
                has_run: !record.history.is_empty() || is_done,
                is_listed: listed.iter().any(|listed| listed.number == number),
                output,
                runs: work.runs,
                state: record.state,
            };
            if let Some(twin) = found.insert(work.label.clone(), job) {
                return Err(format!("row {key} and job {} are one job", twin.number));
            }
        }
    }
    if let Some(number) = bodies.keys().chain(outputs.keys()).next() {
        return Err(format!("a payload or output of job {number} is nobody's"));
    }
    Ok(found)
}
