//! One commit group, and what leaves it.

use jobkeep_store::{Batch, JobNumber, JobRecord, Token};

use super::engine::Engine;
use super::parked::Unread;
use super::schedule::Order;
use crate::event::Event;

/// What one commit group writes, and what it lets happen once that is durable.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) batch: Batch,
    /// Claimed jobs, by the position of their queue.
    pub(crate) handed: Vec<(u16, Handed)>,
    /// Jobs that reached a final state or were removed.
    pub(crate) ended: Vec<JobNumber>,
    /// Jobs that are parked from now on, and those that are no more.
    pub(crate) parked: Vec<(JobNumber, Unread)>,
    pub(crate) released: Vec<JobNumber>,
    /// Running jobs that somebody wants cancelled.
    pub(crate) unwanted: Vec<JobNumber>,
    /// For the observer, where there is one.
    pub(crate) events: Vec<Event>,
}

impl Group {
    pub(super) fn new(batch: Batch) -> Self {
        Self {
            batch,
            handed: Vec::new(),
            ended: Vec::new(),
            parked: Vec::new(),
            released: Vec::new(),
            unwanted: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Engine {
    /// Gives the group as far as it got. The engine is to be rolled back.
    pub(crate) fn abandon_group(&mut self) -> Group {
        std::mem::replace(&mut self.group, Group::new(Batch::new(self.fence)))
    }
}

/// A claimed job on its way to a worker.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) order: Order,
    pub(crate) token: Token,
    /// The record, where it has just been accepted; else the worker reads it.
    pub(crate) record: Option<Box<JobRecord>>,
}

/// How many jobs stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Not due yet: delayed, snoozed, or between two attempts.
    pub scheduled: u64,
    /// Waiting for a worker.
    pub ready: u64,
    /// On a worker.
    pub running: u64,
    /// Set aside because they cannot run here.
    pub parked: u64,
    /// Finished and kept: succeeded.
    pub succeeded: u64,
    /// Finished and kept: failed.
    pub failed: u64,
    /// Finished and kept: cancelled.
    pub cancelled: u64,
    /// Rows set aside as damaged.
    pub damaged: u64,
}
