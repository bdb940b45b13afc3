//! What is known to have been asked, done and acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jobkeep_store::{JobNumber, JobRecord, Priority, Space, State, Timestamp, Token, open_row};

use crate::disk::Disk;
use crate::steps::End;
use crate::world::is_shared;

pub(crate) type Verdict<T = ()> = Result<T, String>;

/// A job that somebody wanted accepted.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) key: Option<u64>,
    pub(crate) attempts: u32,
    /// Where it stands at first, if that is known.
    pub(crate) state: Option<State>,
    pub(crate) number: Option<JobNumber>,
    /// Its caller was told that it is not accepted.
    pub(crate) refused: bool,
    /// It is accepted with the success of this job only.
    pub(crate) follows: Option<JobNumber>,
}

/// An attempt, from its beginning until its end is known to be written.
#[derive(Debug)]
pub(crate) struct Current {
    /// How it ended, as its worker said.
    pub(crate) ended: Option<End>,
    /// Nothing that it says counts any more.
    pub(crate) over: bool,
    pub(crate) checkpoints: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Cancel,
    Retry,
    Amend,
    Remove,
}

/// A job as the store has it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) record: JobRecord,
    pub(crate) done: bool,
    /// The steady clock at the commit that ended it.
    pub(crate) ended: Timestamp,
    /// The id in its payload.
    pub(crate) id: u64,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) rows: BTreeMap<JobNumber, Row>,
    /// Payloads that stand apart.
    pub(crate) bodies: HashMap<JobNumber, Vec<u8>>,
    pub(crate) offers: HashMap<u64, Offer>,
    pub(crate) current: BTreeMap<JobNumber, Current>,
    pub(crate) ops: Vec<(JobNumber, Op)>,
    pub(crate) in_flight: BTreeMap<JobNumber, Token>,
    /// Jobs whose rows were written in this turn.
    pub(crate) written: BTreeSet<JobNumber>,
    /// Jobs that an operator removed, and their keys with them.
    pub(crate) removed: BTreeSet<JobNumber>,
    /// Jobs that succeed in the commit that is judged.
    pub(crate) succeeding: BTreeSet<JobNumber>,
    /// Jobs whose keys have gone to jobs that follow them.
    pub(crate) passed_on: BTreeSet<JobNumber>,
    /// The latest that the steady clock ever showed: a key that was let go of stays so.
    pub(crate) latest: Timestamp,
    /// Jobs that were acknowledged.
    pub(crate) acknowledged: BTreeSet<JobNumber>,
    /// Jobs that were accepted as buffered, and are still to be written.
    pub(crate) buffered: BTreeSet<JobNumber>,
    /// The store refuses in this turn: what is buffered may be lost without one that comes before.
    pub(crate) refuses: bool,
    /// Finished jobs before retention had its turn.
    pub(crate) done: usize,
    /// Acknowledged commits may have vanished: little is left to be held.
    pub(crate) lied: bool,
}

/// The place of a job in the order of starts.
pub(crate) type Place = (std::cmp::Reverse<Priority>, Timestamp, JobNumber);

pub(crate) fn place(number: JobNumber, record: &JobRecord) -> Place {
    (std::cmp::Reverse(record.priority), record.order, number)
}

impl Model {
    pub(crate) fn new(lied: bool) -> Self {
        Self {
            lied,
            ..Self::default()
        }
    }

    /// Somebody was told that these were accepted.
    pub(crate) fn acknowledge(&mut self, numbers: &[JobNumber], ids: &[u64]) -> Verdict {
        for (number, id) in numbers.iter().zip(ids) {
            let offer = self.offers.get(id).ok_or("an offer got lost")?;
            let Some(row) = self.rows.get(number) else {
                let removed = self.removed.contains(number) && !self.written.contains(number);
                if offer.key.is_some() && !removed {
                    // The key outlived the job that it found.
                    continue;
                }
                return Err(format!("job {number} was acknowledged and is not there"));
            };
            let key = offer.key.map(|key| key.to_string());
            if row.record.key != key || (key.is_none() && offer.number != Some(*number)) {
                return Err(format!("{number} is not the number of offer {offer:?}"));
            }
            self.acknowledged.insert(*number);
        }
        Ok(())
    }

    /// A worker begins.
    pub(crate) fn begin(&mut self, number: JobNumber, token: Token) -> Verdict {
        if self.lied {
            return Ok(());
        }
        if let Some(current) = self.current.get(&number) {
            return Err(format!("job {number} runs twice: {current:?}"));
        }
        if self.in_flight.get(&number) != Some(&token) {
            return Err(format!("job {number} begins, and no commit says so"));
        }
        match self.rows.get(&number) {
            Some(row) if row.done => return Err(format!("job {number} runs after its end")),
            Some(_) => {}
            None => return Err(format!("job {number} runs and is not there")),
        }
        let current = Current {
            ended: None,
            over: false,
            checkpoints: 0,
        };
        self.current.insert(number, current);
        Ok(())
    }

    /// What is written of the order of acceptance is a prefix: a buffered job is never skipped.
    pub(crate) fn written_in_order(&mut self, new: &BTreeSet<JobNumber>) -> Verdict {
        for number in new {
            if self.buffered.remove(number) {
                self.acknowledged.insert(*number);
            }
        }
        let skipped = self.buffered.first().zip(new.last());
        match skipped.filter(|(first, last)| first < last) {
            Some((first, last)) if !self.refuses => Err(format!(
                "buffered job {first} is skipped, and {last} is written"
            )),
            _ => Ok(()),
        }
    }

    /// After a commit, or an end in order, nothing is left that was buffered before it.
    pub(crate) fn nothing_is_buffered(&self) -> Verdict {
        match self.buffered.first() {
            Some(number) if !self.lied => Err(format!("buffered job {number} is not written")),
            _ => Ok(()),
        }
    }

    /// Everything that is acknowledged is there: cheap, because each disappearance was judged.
    pub(crate) fn nothing_is_lost(&self) -> Verdict {
        let lost = self
            .acknowledged
            .iter()
            .find(|number| !self.rows.contains_key(number));
        match lost {
            Some(number) => Err(format!("job {number} is lost")),
            None => Ok(()),
        }
    }

    /// These are not accepted, and never will be.
    pub(crate) fn refuse(&mut self, ids: &[u64]) -> Verdict {
        for id in ids.iter().filter(|id| !is_shared(**id)) {
            if let Some(offer) = self.offers.get_mut(id) {
                offer.refused = true;
                let number = offer.number.filter(|number| self.rows.contains_key(number));
                if let Some(number) = number.filter(|_| !self.lied) {
                    return Err(format!("job {number} was refused, and is there"));
                }
            }
        }
        Ok(())
    }

    /// What the store has, where little is known of how it came about.
    pub(crate) fn load(&mut self, disk: &Disk) -> Verdict {
        self.rows.clear();
        self.in_flight.clear();
        let rows = disk.rows();
        let bodies = rows.iter().filter(|(key, _)| key.space == Space::Bodies);
        self.bodies = bodies
            .map(|(key, row)| (JobNumber(key.number), row.clone()))
            .collect();
        for (key, row) in rows {
            if matches!(key.space, Space::Live | Space::Done) {
                let number = JobNumber(key.number);
                let record: JobRecord =
                    open_row(key, &row).map_err(|cause| format!("{key}: {cause}"))?;
                let id = self.own(number, &record)?;
                let (done, ended) = (key.space == Space::Done, Timestamp::default());
                let row = Row {
                    record,
                    done,
                    ended,
                    id,
                };
                if self.rows.insert(number, row).is_some() {
                    return Err(format!("job {number} is live and done"));
                }
            }
        }
        Ok(())
    }

    /// What had ended and was not written is lost; what runs still, runs for nobody.
    pub(crate) fn manager_ended(&mut self) {
        self.buffered.clear();
        self.current.retain(|_, current| current.ended.is_none());
        for current in self.current.values_mut() {
            current.over = true;
        }
    }

    /// The thread of an attempt is done with it.
    pub(crate) fn thread_returns(&mut self, number: JobNumber, end: End) {
        if let Some(current) = self.current.get_mut(&number) {
            if current.over {
                self.current.remove(&number);
            } else {
                current.ended = Some(end);
            }
        }
    }
}
