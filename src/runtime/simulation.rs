//! A manager without threads, for the simulation: each turn of the committer, and each step of a
//! worker, is a call. What it calls is what the threads call.

use std::fmt;

use jobkeep_store::{JobNumber, OpeningTag, StoreError, StoreId, Timestamp, Token};

use super::asked::Asked;
use super::command::{Command, Reply};
use super::committer::Committer;
use super::execute::{Begun, NotBegun};
use super::inbox::WhenFull;
use super::pool::Pool;
use super::shared::{Shared, Shutdown};
use super::start::{Findings, Opener, Parts, Recovery, rules, take_over};
use super::{execute, living, panics, threads};
use crate::clock::Steady;
use crate::context::Running;
use crate::core::{Counts, Drawn, Engine};
use crate::observer::Interest;
use crate::sync::Arc;
use crate::{Codec, Draft, Error, Job, payload};

/// The act of every call, as errors name it.
const ACT: &str = "simulate";

/// A process that has a store, or had it.
pub struct Process {
    shared: Arc<Shared>,
    /// `None` once the manager has ended.
    committer: Option<Committer>,
}

/// What the committer was asked, and whether it has answered.
pub struct Answer<T> {
    asked: Asked<T>,
    shared: Arc<Shared>,
}

/// An attempt on a simulated worker.
pub struct Attempt {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    running: Arc<Running>,
    /// Or why the job could not be loaded.
    begun: Result<Begun, NotBegun>,
    token: Token,
    checkpoint: Option<Checkpoint>,
}

/// A checkpoint whose answer is to come.
struct Checkpoint {
    asked: Asked<()>,
    kept: jobkeep_store::Kept,
    payload: Vec<u8>,
}

impl Process {
    /// Takes the store over.
    ///
    /// # Errors
    /// As [`Builder::start`](crate::Builder::start).
    pub(crate) fn new(parts: Parts) -> Result<(Self, Recovery), Error> {
        panics::watch();
        let (shared, engine, recovery) = take_over(parts, 0)?;
        let committer = Committer::new(engine, Arc::clone(&shared));
        let process = Self {
            shared,
            committer: Some(committer),
        };
        Ok((process, recovery))
    }

    /// Leaves jobs that are to be accepted together.
    ///
    /// # Errors
    /// Where they are refused at once.
    pub fn enqueue(&self, drafts: Vec<Draft>) -> Result<Answer<Vec<JobNumber>>, Error> {
        let jobs = self.shared.encode(drafts)?;
        self.ask(|reply| Command::accept(jobs, reply))
    }

    /// Leaves jobs whose acceptance nobody waits for, and gives the number of the first.
    ///
    /// # Errors
    /// Where they are refused at once.
    pub fn buffer(&self, drafts: Vec<Draft>) -> Result<JobNumber, Error> {
        let jobs = self.shared.encode(drafts)?;
        self.shared.inbox.leave_jobs(&ACT, WhenFull::Refuse, jobs)
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn cancel(&self, number: JobNumber) -> Result<Answer<()>, Error> {
        self.ask(|reply| Command::Cancel { number, reply })
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn retry(&self, number: JobNumber) -> Result<Answer<()>, Error> {
        self.ask(|reply| Command::Retry { number, reply })
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn amend<J: Job>(&self, number: JobNumber, job: &J) -> Result<Answer<()>, Error> {
        let payload = payload::to_json(job).map_err(|cause| Error::codec(ACT, cause))?;
        let names = vec![J::NAME.into()];
        let amendment = self.shared.amendment(number, names, Codec::Json, payload)?;
        self.ask(|reply| Command::Amend {
            number,
            amendment,
            reply,
        })
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn remove(&self, number: JobNumber) -> Result<Answer<()>, Error> {
        self.ask(|reply| Command::Remove { number, reply })
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn pause(&self, queue: &str) -> Result<Answer<()>, Error> {
        let (queue, rest) = (queue.into(), None);
        self.ask(|reply| Command::Pause { queue, rest, reply })
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn resume(&self, queue: &str) -> Result<Answer<()>, Error> {
        let queue = queue.into();
        self.ask(|reply| Command::Resume { queue, reply })
    }

    /// # Errors
    /// Where nobody is there to be asked.
    pub fn count(&self) -> Result<Answer<Counts>, Error> {
        self.ask(|reply| Command::Count { reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<Answer<T>, Error> {
        let asked = self.shared.inbox.leave(&ACT, WhenFull::Refuse, command)?;
        let shared = Arc::clone(&self.shared);
        Ok(Answer { asked, shared })
    }

    /// One turn of the committer. Where that is its last, the manager ends as it does after a failure,
    /// and the failure comes back.
    ///
    /// # Errors
    /// Where nothing may be written any more.
    pub fn turn(&mut self) -> Result<(), StoreError> {
        let Some(committer) = &mut self.committer else {
            return Ok(());
        };
        let mut taken = self.shared.inbox.take(None, Some(Steady::default()));
        let turned = panics::catch(|| committer.turn(&mut taken)).unwrap_or_else(|caught| {
            let text = format!("panicked at {}: {}", caught.location, caught.message);
            Err(StoreError::failed("take a turn", "the committer", text))
        });
        if let Err(cause) = turned {
            let text = cause.to_string();
            if let Some(committer) = self.committer.take() {
                committer.finish(Some(cause), Some(taken));
            }
            return Err(StoreError::failed("take a turn", "the store", text));
        }
        Ok(())
    }

    /// A turn, at whose failure the process dies: nobody learns of it. `false` where it went well, and
    /// the process lives on.
    pub fn turn_or_die(&mut self) -> bool {
        let Some(committer) = &mut self.committer else {
            return false;
        };
        let mut taken = self.shared.inbox.take(None, Some(Steady::default()));
        // What the callers could be told dies with them.
        panics::catch(|| committer.turn(&mut taken)).map_or(true, |ended| ended.is_err())
    }

    /// The manager has not ended.
    pub fn lives(&self) -> bool {
        self.committer.is_some()
    }

    /// It takes everything: the store does not refuse.
    pub fn works(&self) -> bool {
        self.lives() && self.shared.health.show(self.shared.clock.now()) == super::Health::Working
    }

    /// In how many milliseconds the committer wakes by itself.
    pub fn sleeps(&self) -> Option<u64> {
        let now = self.shared.clock.now().steady;
        let wake = self.committer.as_ref()?.next_wake()?;
        Some(u64::try_from(wake.since(now).as_millis()).unwrap_or(u64::MAX))
    }

    /// The steady clock of its store.
    pub fn steady(&self) -> Timestamp {
        self.shared.clock.now().steady.kept()
    }

    /// Nothing is left for the committer to take.
    pub fn is_idle(&self) -> bool {
        self.shared.inbox.is_empty()
    }

    /// The committer has told itself to look again.
    pub fn looks_again(&self) -> bool {
        self.shared.inbox.is_nudged()
    }

    /// The first step of a shutdown: no job is accepted or started any more.
    pub fn drain(&self) {
        for pool in &self.shared.pools {
            pool.halt();
        }
        self.shared.inbox.drain();
    }

    /// The last step of a shutdown: what still runs is left to its threads. Gives the report.
    ///
    /// # Errors
    /// Where the last turn failed.
    pub fn end(&mut self) -> Result<Shutdown, StoreError> {
        self.shared.inbox.close();
        self.turn()?;
        if let Some(committer) = self.committer.take() {
            committer.finish(None, None);
        }
        let report = self.shared.ending.wait(&self.shared.clock, None);
        Ok(report.unwrap_or_default())
    }

    /// The process is dead: nothing in it is asked or told any more.
    pub fn forget_threads(&self) {
        living::forget(self.shared.origin.store);
    }

    /// A worker of this queue takes the next job off the shelf and begins.
    pub fn take(&self, queue: usize) -> Option<Attempt> {
        let pool = self.shared.pools.get(queue)?;
        let (handed, running) = pool.try_next(&"simulated".into(), &self.shared.clock)?;
        let token = handed.token;
        let begun = execute::begin(&self.shared, handed, &running);
        Some(Attempt {
            shared: Arc::clone(&self.shared),
            pool: Arc::clone(pool),
            running,
            begun,
            token,
            checkpoint: None,
        })
    }

    /// Jobs may be handed to this queue's workers: one of them is free.
    pub fn has_room(&self, queue: usize) -> bool {
        let pool = self.shared.pools.get(queue);
        pool.is_some_and(|pool| pool.has_free_worker())
    }

    fn engine(&self) -> Option<&Engine> {
        self.committer.as_ref().map(|committer| &committer.engine)
    }

    /// Compares the schedule with one that is built from the store.
    ///
    /// # Errors
    /// How they differ, or why that cannot be told.
    pub fn check_schedule(&self) -> Result<(), String> {
        let Some(engine) = self.engine() else {
            return Ok(());
        };
        let text = |cause: StoreError| cause.to_string();
        let shared = &self.shared;
        let opener = Opener {
            store: &*shared.store,
            now: shared.clock.now(),
            origins: &|queue, name| shared.origins(queue, name),
        };
        let stored = opener.stored(Some(engine.fence())).map_err(text)?;
        let rules = rules(&shared.config, Interest::Nothing, Vec::new());
        let drawn = Drawn {
            tag: OpeningTag(0),
            store: engine.store(),
            secret: shared.secret.clone(),
        };
        let built = Engine::open(&rules, stored, &drawn, opener.now);
        let mut built = built.map_err(|cause| cause.to_string())?;
        let restored = opener.restore(&mut built, &mut Findings::default());
        restored.map_err(text)?;
        let mut expected = built.places();
        expected.retain(|&number, _| !engine.is_apart(number));
        let found = engine.places();
        if found != expected {
            return Err(format!(
                "the schedule is {found:?}, and the store says {expected:?}"
            ));
        }
        let (counted, stored) = (engine.counts(), built.counts());
        let all =
            |counts: &Counts| counts.scheduled + counts.ready + counts.running + counts.parked;
        if all(&counted) != all(&stored) {
            return Err(format!(
                "the counts are {counted:?}, and the store says {stored:?}"
            ));
        }
        Ok(())
    }
}

/// No thread of this process is left at a job of this store.
pub fn forget_threads(store: StoreId) {
    living::forget(store);
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(&self.shared).finish()
    }
}

impl<T> Answer<T> {
    /// The answer, if it is here.
    pub fn take(&mut self) -> Option<Result<T, Error>> {
        let waker = std::task::Waker::noop();
        match self.asked.poll(&ACT, &self.shared.inbox, waker) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        }
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Attempt {
    /// The job.
    pub fn number(&self) -> JobNumber {
        self.running.number
    }

    /// The claim that it belongs to.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The store could not be opened anew yet: the job goes back at the attempt's [end](Self::end).
    pub fn goes_back(&self) -> bool {
        matches!(self.begun, Err(NotBegun::StoreClosed))
    }

    /// Why the job could not be loaded, where it could not.
    pub fn failure(&self) -> Option<&str> {
        match &self.begun {
            Err(NotBegun::Unreadable(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Its time-out is over, somebody cancelled it, or its manager has ended.
    pub fn is_cancelled(&self) -> bool {
        self.running.cancelled.is_asked()
    }

    /// Leaves a checkpoint of this value. A job's thread waits for its answer: so it has to be
    /// [`settled`](Self::settle_checkpoint) before anything else is done with the attempt.
    /// `false` where nobody takes it.
    pub fn checkpoint(&mut self, job: &impl serde::Serialize) -> bool {
        if let Ok(begun) = &self.begun
            && let Ok(payload) = payload::to_json(job)
            && let hand = &begun.loaded.hand
            && let Ok((asked, kept)) =
                self.shared
                    .leave_checkpoint(ACT, self.running.number, hand, payload.clone())
        {
            self.checkpoint = Some(Checkpoint {
                asked,
                kept,
                payload,
            });
        }
        self.checkpoint.is_some()
    }

    /// Takes the answer to a checkpoint: `false` where it is still to come.
    pub fn settle_checkpoint(&mut self) -> bool {
        let Some(mut checkpoint) = self.checkpoint.take() else {
            return true;
        };
        let waker = std::task::Waker::noop();
        match checkpoint.asked.poll(&ACT, &self.shared.inbox, waker) {
            std::task::Poll::Pending => {
                self.checkpoint = Some(checkpoint);
                false
            }
            std::task::Poll::Ready(answer) => {
                if answer.is_ok()
                    && let Ok(begun) = &mut self.begun
                {
                    let Checkpoint { kept, payload, .. } = checkpoint;
                    begun.loaded.hand.keep(kept, payload);
                }
                true
            }
        }
    }

    /// Runs the handler and says how the attempt ended.
    pub fn end(self) {
        let Self {
            shared,
            pool,
            running,
            begun,
            token,
            ..
        } = self;
        let number = running.number;
        let owner = panics::lend_this_thread(Some(shared.origin.opening));
        let ended = begun.and_then(|begun| execute::end(&shared, begun, &running));
        panics::lend_this_thread(owner);
        let command = ended.unwrap_or_else(|why| why.command(number, token));
        threads::report(&shared, &pool, command, number);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attempt").field(&self.number()).finish()
    }
}
