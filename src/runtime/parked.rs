//! Which jobs are parked, for those who wait for their ends.

use std::collections::HashMap;

use jobkeep_store::{JobNumber, JobRecord, ParkReason, State};

use super::shared::Shared;
use crate::core::{Unread, lacking};
use crate::sync::Mutex;

/// The jobs that this opening has parked, as its last commit left them. Changed before those are rung
/// for who wait.
#[derive(Debug, Default)]
pub(crate) struct ParkedBoard(Mutex<HashMap<JobNumber, Unread>>);

impl ParkedBoard {
    pub(super) fn change(&self, parked: Vec<(JobNumber, Unread)>, released: &[JobNumber]) {
        if parked.is_empty() && released.is_empty() {
            return;
        }
        let mut jobs = self.0.lock();
        jobs.extend(parked);
        for number in released {
            jobs.remove(number);
        }
    }

    fn get(&self, number: JobNumber) -> Option<Unread> {
        self.0.lock().get(&number).cloned()
    }
}

impl Shared {
    /// Why a live job is parked whose row says this, where it is. One that an earlier opening has parked
    /// as undecodable, and this one has yet to try, is not.
    pub(super) fn parked(&self, number: JobNumber, record: &JobRecord) -> Option<ParkReason> {
        let here = self.parked.get(number);
        if let Some(Some(message)) = here {
            return Some(ParkReason::Unreadable(message.into()));
        }
        let origins = self.origins(record.queue.as_str(), &record.name);
        lacking(origins).or_else(|| match &record.state {
            State::Parked(reason) => {
                let for_good = matches!(reason, ParkReason::Crashing(_));
                (for_good || here.is_some()).then(|| reason.clone())
            }
            _ => None,
        })
    }
}
