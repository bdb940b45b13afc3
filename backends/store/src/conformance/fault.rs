use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StoreError;

/// A method of [`QueueStore`](crate::QueueStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Any of them.
    Any,
    /// [`identity`](crate::QueueStore::identity).
    Identity,
    /// [`commit`](crate::QueueStore::commit).
    Commit,
    /// [`get`](crate::QueueStore::get).
    Get,
    /// [`scan`](crate::QueueStore::scan).
    Scan,
    /// [`verify`](crate::QueueStore::verify).
    Verify,
    /// [`reopen`](crate::QueueStore::reopen).
    Reopen,
    /// [`close`](crate::QueueStore::close).
    Close,
}

impl Operation {
    /// An operation of this kind is one of that kind.
    fn is_within(self, kind: Self) -> bool {
        kind == Self::Any || kind == self
    }
}

/// One failure to come. It refuses before taking effect, once, as an engine's plain error, unless told
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    on: Operation,
    nth: u64,
    after: bool,
    kind: Kind,
    lasting: Lasting,
}

/// How long a fault fails operations once it has struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lasting {
    /// The one operation.
    Once,
    /// That one and every other one of any kind, until the store was reopened: what redb does after a
    /// failed write. Closing still works.
    UntilReopened,
    /// That one and all that it was armed for, until [`Faults::disarm`]: a disk that is full.
    UntilDisarmed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Full,
    Unknown,
    Damaged,
}

impl Fault {
    /// Strikes the next operation of this kind.
    pub fn next(on: Operation) -> Self {
        Self::nth(on, 1)
    }

    /// Strikes the `nth` operation of this kind after it is armed, counted from 1.
    pub fn nth(on: Operation, nth: u64) -> Self {
        Self {
            on,
            nth,
            after: false,
            kind: Kind::Failed,
            lasting: Lasting::Once,
        }
    }

    /// Fails with [`is_full`](StoreError::is_full): nothing took effect.
    pub fn full(self) -> Self {
        Self {
            kind: Kind::Full,
            ..self
        }
    }

    /// Fails with [`is_damaged`](StoreError::is_damaged).
    pub fn damaged(self) -> Self {
        Self {
            kind: Kind::Damaged,
            ..self
        }
    }

    /// Fails with [`is_unknown`](StoreError::is_unknown), and nothing took effect.
    pub fn unknown(self) -> Self {
        Self {
            kind: Kind::Unknown,
            ..self
        }
    }

    /// Fails with [`is_unknown`](StoreError::is_unknown) after the operation took effect. A close or a
    /// reopen that fails leaves the store closed either way.
    pub fn unknown_but_done(self) -> Self {
        self.unknown().but_done()
    }

    /// Takes effect before it fails, whatever it says: no store may lie like this, and an owner that
    /// reads the commit number finds out.
    pub fn but_done(self) -> Self {
        Self {
            after: true,
            ..self
        }
    }

    /// Goes on failing.
    pub fn lasting(self, lasting: Lasting) -> Self {
        Self { lasting, ..self }
    }

    /// The operation takes effect before it fails.
    pub(super) fn is_after(self) -> bool {
        self.after
    }

    /// An operation that comes after the fault struck fails likewise.
    fn covers(&self, operation: Operation) -> bool {
        match self.lasting {
            Lasting::Once => false,
            Lasting::UntilReopened => !matches!(operation, Operation::Reopen | Operation::Close),
            Lasting::UntilDisarmed => operation.is_within(self.on),
        }
    }

    pub(super) fn error(self, act: String, location: &str) -> StoreError {
        match self.kind {
            Kind::Failed => StoreError::failed(act, location, "a fault was armed"),
            Kind::Full => StoreError::full(act, location, "no space left, as a fault was armed"),
            Kind::Damaged => StoreError::damaged(act, location, "damaged, as a fault was armed"),
            Kind::Unknown => {
                StoreError::unknown(act, location, "a sync failed, as a fault was armed")
            }
        }
    }
}

/// Arms the faults of a [`FaultyStore`](super::FaultyStore) and counts its operations, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    armed: Vec<Fault>,
    /// Those that struck and last.
    standing: Vec<Fault>,
    counts: BTreeMap<Operation, u64>,
}

impl Faults {
    /// Arms a fault, beside those that are armed already.
    pub fn arm(&self, fault: Fault) {
        self.lock().armed.push(fault);
    }

    /// Takes back every fault, armed or standing.
    pub fn disarm(&self) {
        let mut plan = self.lock();
        plan.armed.clear();
        plan.standing.clear();
    }

    /// No fault is armed any more: all of them struck, or were taken back.
    pub fn is_spent(&self) -> bool {
        self.lock().armed.is_empty()
    }

    /// How many operations of this kind were asked for since the store was wrapped, failed ones among
    /// them.
    pub fn count(&self, kind: Operation) -> u64 {
        let plan = self.lock();
        let within = plan
            .counts
            .iter()
            .filter(|(asked, _)| asked.is_within(kind));
        within.map(|(_, count)| count).sum()
    }

    /// Counts an operation and returns the fault that it meets.
    pub(super) fn strike(&self, operation: Operation) -> Option<Fault> {
        let mut plan = self.lock();
        *plan.counts.entry(operation).or_default() += 1;
        let standing = plan.standing.iter().find(|fault| fault.covers(operation));
        let mut met = standing.copied();
        for fault in &mut plan.armed {
            if operation.is_within(fault.on) {
                fault.nth = fault.nth.saturating_sub(1);
            }
        }
        let (struck, armed) = plan.armed.iter().partition(|fault| fault.nth == 0);
        plan.armed = armed;
        for fault in Vec::<Fault>::into_iter(struck) {
            met = met.or(Some(fault));
            if fault.lasting != Lasting::Once {
                plan.standing.push(fault);
            }
        }
        met
    }

    pub(super) fn reopened(&self) {
        let until_disarmed = |fault: &Fault| fault.lasting == Lasting::UntilDisarmed;
        self.lock().standing.retain(until_disarmed);
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
