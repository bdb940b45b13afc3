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
    ///    then what it allows happens. Where the store cannot be opened or read for a cause that may
    ///    pass, callers get the error, and the store is looked at again after a pause, as in 5.
    /// 3. Else the engine begins anew from what the store has, and what runs goes on running.
    /// 4. Who waits for the acceptance of a job gets the error. What workers and operators said, and
    ///    what was accepted as buffered, is stepped again at once, in a commit of its own.
    /// 5. Where that fails too, operators get the error, and the store is tried again after a pause.
    ///    What workers said is kept until then; what was accepted as buffered is lost.
    ///
    /// # Errors
    /// Where nothing may be written any more, or the store cannot be opened anew or read, and that does
    /// not pass.
    pub(super) fn recover(&mut self, cause: StoreError) -> Result<Recovered, StoreError> {
        if cause.is_unknown() || cause.is_replaced() || cause.is_closed() {
            return Err(cause);
        }
        let cause = Arc::new(cause);
        match self.look_behind() {
            Ok(Became::Written) => return Ok(Recovered::Again),
            Ok(Became::Nothing) => {}
            Err(why) if may_pass(&why) => {
                self.refuse_unseen(&cause, &why);
                return self.look_later(cause, &why);
            }
            Err(why) => return Err(lost(&cause, &why)),
        }
        self.refuse(&cause, Command::accepts_for_a_caller);
        if !std::mem::replace(&mut self.again, true) {
            return Ok(Recovered::Again);
        }
        self.again = false;
        self.wait_out(cause);
        self.refuse_meanwhile()?;
        Ok(Recovered::Refused)
    }

    /// Opens the store anew, and learns from it what became of the group: what it allows has happened,
    /// or its commands are pending again.
    fn look_behind(&mut self) -> Result<Became, StoreError> {
        if self.has_taken_effect()? {
            if let Some(group) = self.failed.take() {
                self.engine.committed(group.batch.fence());
                self.happen(group);
            }
            return Ok(Became::Written);
        }
        self.roll_back()?;
        Ok(Became::Nothing)
    }

    fn has_taken_effect(&mut self) -> Result<bool, StoreError> {
        let opened = self.call_store(|store| store.reopen().and_then(|()| store.identity()));
        let fence = opened?.fence;
        if fence == Some(self.engine.fence()) {
            return Ok(false);
        }
        let group = self.failed.as_ref();
        if group.is_some_and(|group| fence == Some(group.batch.fence())) {
            return Ok(true);
        }
        let cause = "it is at a commit that this manager did not write";
        let location = &self.shared.location;
        Err(StoreError::displaced("reopen the store", location, cause))
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let opener = Opener {
            store: &*shared.store,
            now: shared.clock.now(),
            origins: &|queue, name| shared.origins(queue, name),
        };
        let stored = opener.stored(Some(self.engine.fence()))?;
        self.take_back();
        self.settled.clear();
        // It may have failed before it was complete.
        let group = self.failed.take();
        let group = group.unwrap_or_else(|| self.engine.abandon_group());
        self.refill(group);
        for command in self.stepped.drain(..).rev() {
            self.pending.push_front(command);
        }
        self.engine.roll_back(
            &rules(
                &shared.config,
                shared.observers.lasting_interest(),
                Vec::new(),
            ),
            stored,
        );
        opener
            .restore(&mut self.engine, &mut Findings::default())
            .map(drop)
    }

    /// The store could not be looked at: callers hear of it. What workers said, and what was accepted
    /// as buffered, stays with the group, of which nobody knows what became.
    fn refuse_unseen(&mut self, cause: &StoreError, why: &StoreError) {
        self.take_back();
        let told = Arc::new(followed(cause, why, cause.is_full()));
        self.stepped.retain(|command| {
            let kept = !command.is_refusable() || command.is_buffered();
            if !kept {
                command.refuse(&told);
            }
            kept
        });
    }

    /// The store is looked at again after a pause.
    fn look_later(
        &mut self,
        cause: Arc<StoreError>,
        why: &StoreError,
    ) -> Result<Recovered, StoreError> {
        let refusing = followed(&cause, why, true);
        self.again = false;
        self.unseen = Some(cause);
        self.wait_out(Arc::new(refusing));
        self.refuse_meanwhile()?;
        Ok(Recovered::Refused)
    }

    /// Looks again at a store that could not be looked at, before anything else is written to it.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub(super) fn look_again(&mut self) -> Result<Recovered, StoreError> {
        let Some(cause) = self.unseen.take() else {
            return Ok(Recovered::Again);
        };
        match self.look_behind() {
            Ok(_) => Ok(Recovered::Again),
            Err(why) if may_pass(&why) => self.look_later(cause, &why),
            Err(why) => Err(lost(&cause, &why)),
        }
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
        if self.unseen.is_some() {
            // Nothing of the group may be shown, and nothing can be read.
            self.refuse(&cause, Command::is_refusable);
            return Ok(());
        }
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
}

/// What became of a group that failed.
enum Became {
    Written,
    /// The engine stands where it stood before.
    Nothing,
}

/// What keeps a store from being opened or read may pass: no room, no descriptor, no permission for the
/// moment. What is damaged, or somebody else's, does not.
fn may_pass(why: &StoreError) -> bool {
    !(why.is_damaged()
        || why.is_foreign()
        || why.is_newer_format()
        || why.is_replaced()
        || why.is_unknown())
}

/// The store cannot be gone on with. Nothing is in it of a group that found no room.
fn lost(cause: &StoreError, why: &StoreError) -> StoreError {
    let told = tell(cause, why);
    if cause.is_full() {
        StoreError::failed(cause.act(), cause.location(), told)
    } else {
        StoreError::unknown(cause.act(), cause.location(), told)
    }
}

/// `cause`, and what came of it. Where the effect is not `known`, the error says so.
fn followed(cause: &StoreError, why: &StoreError, known: bool) -> StoreError {
    let told = tell(cause, why);
    if cause.is_full() {
        StoreError::full(cause.act(), cause.location(), told)
    } else if known {
        StoreError::failed(cause.act(), cause.location(), told)
    } else {
        StoreError::unknown(cause.act(), cause.location(), told)
    }
}

fn tell(cause: &StoreError, why: &StoreError) -> String {
    format!("{}; then {}: {}", cause.cause(), why.act(), why.cause())
}
