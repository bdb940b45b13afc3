use std::fmt;

use crate::JobNumber;

/// A key space: rows of one kind, contiguous in the order of keys.
///
/// The numbers are on disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Space {
    /// One row, number 0: [`Fence`](crate::Fence). Written by the store itself.
    Fence = 0,
    /// What the manager keeps about itself: see [`Key::IN_FLIGHT`], [`Key::TOTALS`],
    /// [`Key::PAUSED`] and [`Key::SECRET`].
    Manager = 1,
    /// [`Opening`](crate::Opening)s, by the first job number that each could give.
    Openings = 2,
    /// [`JobRecord`](crate::JobRecord)s that are not finished.
    Live = 3,
    /// Payloads too large to stand in their record.
    Bodies = 4,
    /// Outputs too large to stand in their record.
    Outputs = 5,
    /// [`JobRecord`](crate::JobRecord)s that are finished.
    Done = 6,
    /// [`UniqueRow`](crate::UniqueRow)s: idempotency keys, by their hash.
    Unique = 7,
    /// Successes in the order in which they ended: [`Expiring`](crate::Expiring).
    ExpiringSuccesses = 8,
    /// Failures and cancellations likewise.
    ExpiringFailures = 9,
    /// Idempotency keys whose jobs ended, likewise: [`ExpiringKeys`](crate::ExpiringKeys).
    ExpiringKeys = 10,
    /// Finished jobs that left *done* before their turn to expire: [`Withdrawn`](crate::Withdrawn).
    Withdrawn = 11,
    /// Rows that failed their checksum, with their bytes: [`Damaged`](crate::Damaged).
    Damaged = 12,
}

impl Space {
    /// Every key space, in the order of keys.
    pub const ALL: [Self; 13] = [
        Self::Fence,
        Self::Manager,
        Self::Openings,
        Self::Live,
        Self::Bodies,
        Self::Outputs,
        Self::Done,
        Self::Unique,
        Self::ExpiringSuccesses,
        Self::ExpiringFailures,
        Self::ExpiringKeys,
        Self::Withdrawn,
        Self::Damaged,
    ];

    /// The name of the space: stable, lower case, for tables, files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Manager => "manager",
            Self::Openings => "openings",
            Self::Live => "live",
            Self::Bodies => "bodies",
            Self::Outputs => "outputs",
            Self::Done => "done",
            Self::Unique => "unique",
            Self::ExpiringSuccesses => "expiring_successes",
            Self::ExpiringFailures => "expiring_failures",
            Self::ExpiringKeys => "expiring_keys",
            Self::Withdrawn => "withdrawn",
            Self::Damaged => "damaged",
        }
    }
}

/// The address of a row: its space, then a number. Ordered by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind of row.
    pub space: Space,
    /// A job number, a commit number or a hash, as the space says.
    pub number: u64,
}

impl Key {
    /// Which opening may write: [`Fence`](crate::Fence).
    pub const FENCE: Self = Self::new(Space::Fence, 0);
    /// What is in flight: [`InFlight`](crate::InFlight).
    pub const IN_FLIGHT: Self = Self::new(Space::Manager, 0);
    /// The counts of finished jobs and the next number: [`Totals`](crate::Totals).
    pub const TOTALS: Self = Self::new(Space::Manager, 1);
    /// An end in order that began while jobs ran: [`Closing`](crate::Closing).
    pub const CLOSING: Self = Self::new(Space::Manager, 4);
    /// Which queues are paused: [`Paused`](crate::Paused). Missing where none is.
    pub const PAUSED: Self = Self::new(Space::Manager, 2);
    /// What receipts are signed with: [`Secret`](crate::Secret). Written by the first opening that
    /// misses it.
    pub const SECRET: Self = Self::new(Space::Manager, 5);

    /// What the clocks showed: [`Clocks`](crate::Clocks).
    pub const CLOCKS: Self = Self::new(Space::Manager, 6);

    /// The length of the byte form.
    pub const BYTES: usize = 9;

    /// The key of `number` in `space`.
    pub const fn new(space: Space, number: u64) -> Self {
        Self { space, number }
    }

    /// The record of a job that is not finished.
    pub const fn live(job: JobNumber) -> Self {
        Self::new(Space::Live, job.0)
    }

    /// The record of a finished job.
    pub const fn done(job: JobNumber) -> Self {
        Self::new(Space::Done, job.0)
    }

    /// The payload of a job, where it stands apart from the record.
    pub const fn body(job: JobNumber) -> Self {
        Self::new(Space::Bodies, job.0)
    }

    /// The output of a job, where it stands apart from the record.
    pub const fn output(job: JobNumber) -> Self {
        Self::new(Space::Outputs, job.0)
    }

    /// The byte form: the space's number, then the number big-endian. Ordered as the keys are.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (space, number) = bytes.split_at_mut(1);
        space.copy_from_slice(&[self.space as u8]);
        number.copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// The key of a byte form, or `None` where it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&space, number) = bytes.split_first()?;
        let space = Space::ALL.into_iter().find(|known| *known as u8 == space)?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        Some(Self { space, number })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.space.name(), self.number)
    }
}
