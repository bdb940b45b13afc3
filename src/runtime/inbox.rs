//! Where everybody leaves commands for the committer: bounded, taken whole.

use std::fmt;

use jobkeep_store::{JobNumber, StoreError};

use super::asked::Asked;
use super::bell::Bell;
use super::command::{Command, Reply};
use super::count::one_less;
use super::process::OwnProcess;
use super::signal::{Signal, Woken};
use crate::Error;
use crate::clock::{Clock, Steady, Wake};
use crate::core::{EncodedJob, KeyClaim};
use crate::sync::{Arc, Mutex};

/// How far the inbox is open.
#[derive(Clone, Debug)]
pub(crate) enum Intake {
    /// To everybody.
    Open,
    /// The manager shuts down: to workers only.
    Draining,
    /// The committer is to end now, or has ended.
    Closed,
    /// The store failed: to nobody.
    Poisoned(Arc<StoreError>),
}

#[derive(Debug)]
struct State {
    commands: Vec<Command>,
    weight: usize,
    /// The number of the next job. Given here, under the lock that makes the order, so that a caller
    /// knows it without the committer; never given again, whatever becomes of the job.
    next: JobNumber,
    /// Rings when what is in `commands` now has been dealt with.
    bell: Arc<Bell>,
    intake: Intake,
    /// Why the store takes no new jobs at the moment.
    refuses: Option<Arc<StoreError>>,
    /// Something wants the committer to look at once.
    hurry: bool,
    asleep: bool,
    /// The committer is to look at this moment, if it sleeps longer.
    wake_by: Option<Steady>,
    /// The committer sleeps on though there are commands, unless something has haste.
    naps: bool,
    blocked: usize,
}

/// The committer's inbox.
///
/// 1. Who has a command looks, under the lock, whether it is let in. Where there is no room it counts
///    itself as blocked, waits for `room`, and looks again.
/// 2. It leaves the command, takes the bell that rings for what is there, and says whether there is
///    haste.
/// 3. Where the committer sleeps and may not sleep on, it takes the mark `asleep` away and, without
///    the lock, wakes it: one wake-up a sleep, however many come.
/// 4. The committer looks under the lock too, and sets the mark before each sleep. It sleeps as long
///    as nothing has haste and there is nothing, or it naps.
/// 5. It takes commands, room and bell together, and wakes all who are blocked: back to 1.
/// 6. The bell of what was taken rings when that is dropped, whatever became of it.
///
/// A nudge is haste without a command. To narrow the intake is haste as well, and wakes all who are
/// blocked, since for them there will be no room.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Signal,
    room: Signal,
    bound: usize,
    clock: Clock,
    pub(super) process: OwnProcess,
}

/// Commands taken together. Their callers' bell rings when this is dropped, whatever became of them.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) commands: Vec<Command>,
    pub(crate) intake: Intake,
    bell: Arc<Bell>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

/// When the committer must look at what a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// At once: somebody waits for it, or workers will be out of jobs.
    Now,
    /// Before its nap is over.
    Soon,
}

/// What to do where the inbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Wait,
    Refuse,
}

impl Inbox {
    /// `first` is the number of the first job that comes in.
    pub(crate) fn new(bound: usize, first: JobNumber, clock: &Clock) -> Arc<Self> {
        let state = State {
            commands: Vec::new(),
            weight: 0,
            next: first,
            bell: Arc::default(),
            intake: Intake::Open,
            refuses: None,
            hurry: false,
            asleep: false,
            wake_by: None,
            naps: false,
            blocked: 0,
        };
        let inbox = Arc::new(Self {
            state: Mutex::new(state),
            arrived: Signal::default(),
            room: Signal::default(),
            bound,
            clock: clock.clone(),
            process: OwnProcess::new(),
        });
        clock.tell(&inbox);
        inbox
    }

    /// Asks the committer and waits for its answer, which speaks of what is durable. `act` names the
    /// call in errors.
    pub(crate) fn ask<T>(
        &self,
        act: &str,
        when_full: WhenFull,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        self.leave(&act, when_full, command)?.wait(&act, self)
    }

    /// Asks the committer, whose answer is waited for later or never.
    pub(crate) fn leave<T>(
        &self,
        act: &dyn fmt::Display,
        when_full: WhenFull,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<Asked<T>, Error> {
        let reply = Reply::new();
        let (bell, first) = self.push(act, command(reply.clone()), when_full, Haste::Now)?;
        Ok(Asked::new(reply, bell, first))
    }

    /// Leaves jobs whose acceptance nobody waits for, and returns the number of the first.
    pub(crate) fn leave_jobs(
        &self,
        act: &dyn fmt::Display,
        when_full: WhenFull,
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
    ) -> Result<JobNumber, Error> {
        let command = Command::accept_buffered(jobs);
        let (_, first) = self.push(act, command, when_full, Haste::Now)?;
        Ok(first)
    }

    /// The number was given to a job of this opening, or of an earlier one.
    pub(super) fn has_given(&self, number: JobNumber) -> bool {
        number < self.state.lock().next
    }

    /// Leaves what a worker has to say. Waits for room, which is the pools' back-pressure; an error
    /// says that nobody will read it.
    pub(crate) fn report(&self, command: Command, haste: Haste) -> Result<(), Error> {
        self.push(&"record the end of a job", command, WhenFull::Wait, haste)
            .map(|_| ())
    }

    /// Refuses what is asked in a process without the committer.
    pub(super) fn check_process(&self, act: &dyn fmt::Display) -> Result<(), Error> {
        if self.process.is_forked() {
            return Err(Error::forked(act));
        }
        Ok(())
    }

    fn push(
        &self,
        act: &dyn fmt::Display,
        mut command: Command,
        when_full: WhenFull,
        haste: Haste,
    ) -> Result<(Arc<Bell>, JobNumber), Error> {
        self.check_process(act)?;
        let from_worker =
            command.is_said_by_workers() || matches!(command, Command::Checkpoint { .. });
        let weight = command.weight();
        let mut state = self.state.lock();
        loop {
            let open = match state.intake {
                Intake::Open => true,
                Intake::Draining => from_worker,
                Intake::Closed | Intake::Poisoned(_) => false,
            };
            if !open {
                return Err(refusal(&state.intake, act));
            }
            if let Some(cause) = &state.refuses
                && matches!(command, Command::Accept { .. })
            {
                return Err(Error::store(act, Arc::clone(cause)));
            }
            // One command always fits, whatever its weight.
            if state.weight == 0 || state.weight.saturating_add(weight) <= self.bound {
                break;
            }
            if when_full == WhenFull::Refuse {
                return Err(Error::full(state.weight));
            }
            state.blocked += 1;
            self.room.wait(&mut state, &self.clock, None);
            one_less(&mut state.blocked);
        }
        state.weight += weight;
        let first = state.next;
        command.number(&mut state.next);
        state.commands.push(command);
        let bell = Arc::clone(&state.bell);
        state.hurry |= haste == Haste::Now;
        let wake = (state.hurry || !state.naps) && std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.arrived.wake_one();
        }
        Ok((bell, first))
    }

    /// Takes all commands, waiting for the first until that moment. Empty where the moment came, or
    /// something else wants looking at.
    ///
    /// Until the nap is over it waits for one that has [haste](Haste) and leaves the others where they
    /// are, so that they share a commit.
    pub(crate) fn take(&self, nap: Option<Steady>, until: Option<Steady>) -> Taken {
        let mut state = self.state.lock();
        state.naps = nap.is_some();
        while !state.hurry && (state.naps || state.commands.is_empty()) {
            state.asleep = true;
            let moment = if state.naps {
                nap
            } else {
                until.into_iter().chain(state.wake_by).min()
            };
            if self.arrived.wait(&mut state, &self.clock, moment) == Woken::Due
                && !std::mem::take(&mut state.naps)
            {
                break;
            }
        }
        state.asleep = false;
        state.hurry = false;
        // What it was to look at is there to be seen.
        state.wake_by = None;
        state.weight = 0;
        let taken = Taken {
            commands: std::mem::take(&mut state.commands),
            intake: state.intake.clone(),
            bell: std::mem::take(&mut state.bell),
        };
        let blocked = state.blocked > 0;
        drop(state);
        if blocked {
            self.room.wake_all();
        }
        taken
    }

    /// Refuses new jobs for this cause, or takes them again.
    pub(super) fn refuse_jobs(&self, cause: Option<Arc<StoreError>>) {
        self.state.lock().refuses = cause;
        self.room.wake_all();
    }

    /// Says why, where the store takes no new jobs at the moment. `act` names the call.
    #[cfg(feature = "testing")]
    pub(super) fn check_takes_jobs(&self, act: &str) -> Result<(), Error> {
        match &self.state.lock().refuses {
            Some(cause) => Err(Error::store(act, Arc::clone(cause))),
            None => Ok(()),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The jobs whose ends wait here.
    pub(super) fn settled(&self) -> Vec<JobNumber> {
        let state = self.state.lock();
        state.commands.iter().filter_map(Command::settles).collect()
    }

    /// Nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().commands.is_empty()
    }

    /// Has the committer look no later than at this moment, without a turn before.
    pub(crate) fn wake_by(&self, moment: Steady) {
        let mut state = self.state.lock();
        if state.wake_by.is_none_or(|earlier| moment < earlier) {
            state.wake_by = Some(moment);
            if state.asleep {
                self.arrived.wake_one();
            }
        }
    }

    /// Makes the committer look again.
    pub(crate) fn nudge(&self) {
        self.state.lock().hurry = true;
        self.arrived.wake_one();
    }

    /// Something wants the committer to look at once.
    #[cfg(feature = "testing")]
    pub(super) fn is_nudged(&self) -> bool {
        self.state.lock().hurry
    }

    /// The store failed, and the committer has ended or is about to.
    pub(crate) fn is_poisoned(&self) -> bool {
        matches!(self.state.lock().intake, Intake::Poisoned(_))
    }

    /// Everybody is let in.
    #[cfg(feature = "http-server")]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state.lock().intake, Intake::Open)
    }

    /// Lets in workers only, from now on.
    pub(crate) fn drain(&self) {
        self.narrow(Intake::Draining);
    }

    /// Lets in nobody, from now on; the committer ends with what is here.
    pub(crate) fn close(&self) {
        self.narrow(Intake::Closed);
    }

    /// Lets in nobody, from now on, because of a failure.
    pub(crate) fn poison(&self, cause: Arc<StoreError>) {
        self.narrow(Intake::Poisoned(cause));
    }

    /// Intake only ever narrows.
    fn narrow(&self, to: Intake) {
        let mut state = self.state.lock();
        let rank = |intake: &Intake| match intake {
            Intake::Open => 0,
            Intake::Draining => 1,
            Intake::Closed => 2,
            Intake::Poisoned(_) => 3,
        };
        if rank(&to) > rank(&state.intake) {
            state.intake = to;
        }
        state.hurry = true;
        drop(state);
        self.arrived.wake_one();
        self.room.wake_all();
    }

    pub(crate) fn refusal(&self, act: &dyn fmt::Display) -> Error {
        let state = self.state.lock();
        match (&state.intake, &state.refuses) {
            (Intake::Open | Intake::Draining, Some(cause)) => Error::store(act, Arc::clone(cause)),
            (intake, _) => refusal(intake, act),
        }
    }
}

fn refusal(intake: &Intake, act: &dyn fmt::Display) -> Error {
    match intake {
        Intake::Poisoned(cause) => Error::store(act, Arc::clone(cause)),
        Intake::Open | Intake::Draining | Intake::Closed => Error::shut_down(act),
    }
}

impl Wake for Inbox {
    fn wake(&self) {
        self.arrived.wake_from(&self.state);
    }
}

#[cfg(test)]
mod tests {
    use jobkeep_store::{OpeningTag, Token};

    use super::*;

    fn inbox() -> (Arc<Inbox>, Steady) {
        let clock = Clock::system();
        let later = clock
            .now()
            .steady
            .after(std::time::Duration::from_secs(3_600));
        (Inbox::new(8, JobNumber(1), &clock), later)
    }

    fn report(inbox: &Inbox, haste: Haste) {
        let command = Command::Unreadable {
            number: JobNumber(1),
            token: Token {
                opening: OpeningTag(1),
                sequence: 1,
            },
            reason: String::new(),
        };
        inbox.report(command, haste).unwrap();
    }

    /// Takes on another thread, and goes on with `act` once that one sleeps.
    fn taken_while(
        inbox: &Inbox,
        nap: Option<Steady>,
        until: Option<Steady>,
        act: impl FnOnce(),
    ) -> usize {
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| inbox.take(nap, until).commands.len());
            while !inbox.state.lock().asleep {
                std::thread::yield_now();
            }
            act();
            taker.join().unwrap()
        })
    }

    #[test]
    fn a_nap_ends_for_what_has_haste_and_brings_what_has_not() {
        let (inbox, later) = inbox();
        let taken = taken_while(&inbox, Some(later), None, || {
            report(&inbox, Haste::Soon);
            report(&inbox, Haste::Soon);
            assert!(inbox.state.lock().asleep);
            report(&inbox, Haste::Now);
        });
        assert_eq!(taken, 3);
    }

    #[test]
    fn there_is_no_nap_where_something_has_haste_already() {
        let (inbox, later) = inbox();
        report(&inbox, Haste::Now);
        assert_eq!(inbox.take(Some(later), None).commands.len(), 1);
    }

    #[test]
    fn a_nap_that_is_over_brings_what_there_is() {
        let (inbox, _) = inbox();
        report(&inbox, Haste::Soon);
        let over = Steady::default();
        assert_eq!(inbox.take(Some(over), None).commands.len(), 1);
    }

    #[test]
    fn after_a_nap_everything_wakes() {
        let (inbox, _) = inbox();
        let over = Steady::default();
        let taken = taken_while(&inbox, Some(over), None, || report(&inbox, Haste::Soon));
        assert_eq!(taken, 1);
    }
}
