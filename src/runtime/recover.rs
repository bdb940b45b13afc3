//! Going on after the store refused a group.

use std::collections::HashMap;
use std::time::Duration;

use jobkeep_store::{JobNumber, Key, StoreError, Write};

use super::command::Command;
use super::committer::Committer;
use super::start::{Findings, Opener, rules};
use crate::clock::Steady;
use crate::core::Group;
use crate::event::Event;
use crate::sync::Arc;

/// How long the committer waits before it tries a store again that refuses: so long at first, then
/// twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The store refused a group twice: nothing new is taken until a commit succeeds.
#[derive(Debug)]
pub(super) struct Trouble {
    cause: Arc<StoreError>,
    pub(super) retry_at: Steady,
    pause: Duration,
}

/// What is left to do after a group that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recovered {
    /// To step what is pending.
    Again,
    /// Nothing, until the store is tried again.
    Refused,
}

impl Committer {
    /// A group failed.
    ///
    /// 1. After a commit whose outcome is not known, and where another owner has the store or somebody
    ///    closed it, nothing may be written any more: the error goes on, and is the end.
    /// 2. The store is opened anew. Its commit number tells whether the group took effect after all:
    ///    then what it allows happens.
    /// 3. Else the engine begins anew from what the store has, and what runs goes on running.
    /// 4. Who waits for the acceptance of a job gets the error. What workers and operators said, and
    ///    what was accepted as buffered, is stepped again at once, in a commit of its own.
    /// 5. Where that fails too, operators get the error, and the store is tried again after a pause.
    ///    What workers said is kept until then; what was accepted as buffered is lost.
    ///
    /// # Errors
    /// Where nothing may be written any more, or the store cannot be opened anew or read.
    pub(super) fn recover(&mut self, cause: StoreError) -> Result<Recovered, StoreError> {
        if cause.is_unknown() || cause.is_replaced() || cause.is_closed() {
            return Err(cause);
        }
        let failed = self.failed.take();
        if self.has_taken_effect(failed.as_ref(), &cause)? {
            if let Some(group) = failed {
                self.engine.committed(group.batch.fence());
                self.happen(group);
            }
            return Ok(Recovered::Again);
        }
        self.roll_back(failed, &cause)?;
        let cause = Arc::new(cause);
        self.refuse(&cause, Command::accepts_for_a_caller);
        if !std::mem::replace(&mut self.again, true) {
            return Ok(Recovered::Again);
        }
        self.again = false;
        self.wait_out(cause);
        self.refuse_meanwhile()?;
        Ok(Recovered::Refused)
    }

    /// Opens the store anew, and learns from it what became of the group.
    fn has_taken_effect(
        &mut self,
        failed: Option<&Group>,
        cause: &StoreError,
    ) -> Result<bool, StoreError> {
        let opened = self.call_store(|store| store.reopen().and_then(|()| store.identity()));
        let fence = opened.map_err(|why| self.lost(cause, why))?.fence;
        if fence == Some(self.engine.fence()) {
            return Ok(false);
        }
        if failed.is_some_and(|group| fence == Some(group.batch.fence())) {
            return Ok(true);
        }
        Err(self.lost(cause, "it is at a commit that this manager did not write"))
    }

    fn roll_back(&mut self, failed: Option<Group>, cause: &StoreError) -> Result<(), StoreError> {
        self.take_back();
        self.settled.clear();
        // It may have failed before it was complete.
        let group = failed.unwrap_or_else(|| self.engine.abandon_group());
        self.refill(group);
        for command in self.stepped.drain(..).rev() {
            self.pending.push_front(command);
        }
        let shared = Arc::clone(&self.shared);
        let opener = Opener {
            store: &*shared.store,
            now: shared.clock.now(),
            origins: &|queue, name| shared.origins(queue, name),
        };
        let stored = opener.stored(Some(self.engine.fence()));
        let stored = stored.map_err(|why| self.lost(cause, why))?;
        self.engine.roll_back(
            &rules(
                &shared.config,
                shared.observers.lasting_interest(),
                Vec::new(),
            ),
            stored,
        );
        let restored = opener.restore(&mut self.engine, &mut Findings::default());
        restored.map(drop).map_err(|why| self.lost(cause, why))
    }

    /// Gives settlements and buffered jobs back the rows that they moved into the group's batch.
    fn refill(&mut self, group: Group) {
        let mut rows: HashMap<Key, Vec<u8>> = group
            .batch
            .into_writes()
            .into_iter()
            .filter_map(|write| match write {
                Write::Put { key, row, .. } => Some((key, row)),
                Write::Delete { .. } => None,
            })
            .collect();
        for command in &mut self.stepped {
            match command {
                Command::Settle(settlement) => settlement.refill(&mut rows),
                Command::Accept {
                    jobs,
                    first,
                    buffered: true,
                    ..
                } => {
                    for (number, (job, _)) in (first.0..).map(JobNumber).zip(jobs) {
                        job.refill(number, &mut rows);
                    }
                }
                _ => {}
            }
        }
    }

    /// Tells the callers of these commands that the store does not take them.
    fn refuse(&mut self, cause: &Arc<StoreError>, which: impl Fn(&Command) -> bool) {
        let shared = &self.shared;
        self.pending.retain(|command| {
            let refused = which(command);
            if refused {
                command.refuse(cause);
                // Nobody was told the numbers of others.
                if let Command::Accept {
                    first,
                    count,
                    buffered: true,
                    ..
                } = *command
                {
                    shared.lost.add(first, count);
                    let numbers: Vec<_> = (first.0..first.0 + count).map(JobNumber).collect();
                    shared.waiters.ring(&numbers);
                }
            }
            !refused
        });
    }

    fn wait_out(&mut self, cause: Arc<StoreError>) {
        let now = self.shared.clock.now();
        self.shared.health.refuse(&cause, now.wall);
        if self.trouble.is_none() {
            let degraded = || Event::degraded(cause.to_string(), false, now.wall);
            self.shared.observe(true, degraded);
        }
        self.shared.inbox.refuse_jobs(Some(Arc::clone(&cause)));
        let pause = self
            .trouble
            .as_ref()
            .map_or(PAUSE, |trouble| LONGEST_PAUSE.min(2 * trouble.pause));
        self.trouble = Some(Trouble {
            cause,
            retry_at: now.steady.after(pause),
            pause,
        });
    }

    /// The store refuses, and it is not yet time to try it again.
    pub(super) fn is_refused_still(&self) -> bool {
        let now = self.shared.clock.now().steady;
        self.trouble
            .as_ref()
            .is_some_and(|trouble| now < trouble.retry_at)
    }

    /// Answers what needs no write, and refuses what does. What workers said is kept.
    pub(super) fn refuse_meanwhile(&mut self) -> Result<(), StoreError> {
        let Some(cause) = self
            .trouble
            .as_ref()
            .map(|trouble| Arc::clone(&trouble.cause))
        else {
            return Ok(());
        };
        self.engine.begin(self.shared.clock.now());
        self.refuse(&cause, |command| {
            command.is_refusable() && !command.only_looks()
        });
        for mut command in std::mem::take(&mut self.pending) {
            if command.only_looks() {
                self.step(&mut command)?;
            } else {
                self.pending.push_back(command);
            }
        }
        // Nothing is to be written: their answers stand.
        self.promised.clear();
        Ok(())
    }

    /// A group is written: the store takes everything again.
    pub(super) fn end_trouble(&mut self) {
        if self.trouble.take().is_some() {
            // Whoever sees the manager working may queue jobs.
            self.shared.inbox.refuse_jobs(None);
            self.shared.health.recover();
            let now = self.shared.clock.now().wall;
            self.shared.observe(true, || Event::recovered(now));
        }
    }

    /// The store cannot be gone on with.
    fn lost(
        &self,
        cause: &StoreError,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let act = format!("open the store again ({cause})");
        StoreError::failed(act, &self.shared.location, why)
    }
}
