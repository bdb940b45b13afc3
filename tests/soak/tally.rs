//! What is known of every job, apart from the store: a byte each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jobkeep::JobNumber;

/// A receipt was given for it.
pub(crate) const ACCEPTED: u8 = 1;
/// A run of it has come to an end after which it must not run again.
pub(crate) const ENDED: u8 = 2;
/// A cancellation of it was acknowledged.
pub(crate) const CANCELLED: u8 = 4;
/// Its removal was acknowledged.
pub(crate) const REMOVED: u8 = 8;
/// Accepted as buffered.
pub(crate) const BUFFERED: u8 = 16;
/// With a payload near the limit.
pub(crate) const HUGE: u8 = 32;

const OVER: u8 = ENDED | CANCELLED | REMOVED;

/// Address space and no memory, so that noting a job costs its byte and no copy of all the others.
const ROOM: usize = 1 << 28;

#[derive(Debug)]
pub(crate) struct Tally(Mutex<Noted>);

#[derive(Debug)]
struct Noted {
    jobs: Vec<u8>,
    waiting: usize,
    huge: usize,
    accepted: usize,
}

/// What became of all the jobs that were accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) accepted: usize,
    pub(crate) buffered: usize,
    pub(crate) huge: usize,
    pub(crate) finished: usize,
    pub(crate) cancelled: usize,
    pub(crate) removed: usize,
    pub(crate) waiting: usize,
    /// Ran, and nobody had a receipt.
    pub(crate) unasked: usize,
}

fn waits(flags: u8) -> bool {
    flags & ACCEPTED != 0 && flags & OVER == 0
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Noted {
            jobs: Vec::with_capacity(ROOM),
            waiting: 0,
            huge: 0,
            accepted: 0,
        }))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, number: JobNumber, flags: u8) {
        self.noted().change(number, |noted| noted | flags);
    }

    /// Takes flags back, and says which there were.
    pub(crate) fn take(&self, number: JobNumber, flags: u8) -> u8 {
        self.noted().change(number, |noted| noted & !flags) & flags
    }

    pub(crate) fn has(&self, number: JobNumber, flags: u8) -> bool {
        let noted = self.noted();
        let place = usize::try_from(number.0).unwrap();
        noted.jobs.get(place).is_some_and(|job| job & flags != 0)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.noted().accepted
    }

    /// How many wait, and how many of them are huge.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let noted = self.noted();
        (noted.waiting, noted.huge)
    }

    /// The first few that wait.
    pub(crate) fn first_waiting(&self) -> Vec<usize> {
        let noted = self.noted();
        let all = noted.jobs.iter().enumerate();
        all.filter_map(|(place, &flags)| waits(flags).then_some(place))
            .take(10)
            .collect()
    }

    pub(crate) fn account(&self) -> Account {
        let mut account = Account::default();
        for &flags in &self.noted().jobs {
            let has = |flag| usize::from(flags & flag != 0);
            if flags & ACCEPTED == 0 {
                account.unasked += has(ENDED);
                continue;
            }
            account.accepted += 1;
            account.buffered += has(BUFFERED);
            account.huge += has(HUGE);
            match flags {
                _ if flags & REMOVED != 0 => account.removed += 1,
                _ if flags & CANCELLED != 0 => account.cancelled += 1,
                _ if flags & ENDED != 0 => account.finished += 1,
                _ => account.waiting += 1,
            }
        }
        account
    }
}

impl Noted {
    /// Returns what was there before.
    fn change(&mut self, number: JobNumber, change: impl Fn(u8) -> u8) -> u8 {
        let place = usize::try_from(number.0).unwrap();
        if self.jobs.len() <= place {
            self.jobs.resize(place + 1, 0);
        }
        let before = self.jobs[place];
        let after = change(before);
        self.jobs[place] = after;
        let given = |flags| usize::from(flags & ACCEPTED != 0);
        self.accepted = self.accepted + given(after) - given(before);
        let huge = |flags| usize::from(waits(flags) && flags & HUGE != 0);
        self.waiting = self.waiting + usize::from(waits(after)) - usize::from(waits(before));
        self.huge = self.huge + huge(after) - huge(before);
        before
    }
}
