use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::Waker;
use std::time::Duration;

use jobkeep_store::{JobNumber, JobRecord, Kept, QueueName, State, Timestamp, Token};

use crate::batch::unfold;
#[cfg(any(feature = "http-call", all(feature = "command", unix)))]
use crate::cancellation::Watch;
use crate::cancellation::{Cancellation, Cancelled};
#[cfg(any(feature = "http-call", all(feature = "command", unix)))]
use crate::clock::Wake;
use crate::clock::{Clock, Now, Steady};
use crate::config::check_batch;
use crate::enqueue::drafts;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use crate::{Batch, Draft, Error, Failure, IntoNewJob, Job, Receipt, payload};

/// What a running job may ask and say. It shows nothing of the store.
pub struct Context {
    running: Arc<Running>,
    attempt: u32,
    queue: QueueName,
    key: Option<String>,
    runtime: Arc<dyn Runtime>,
    hand: Mutex<Hand>,
}

impl Context {
    pub(crate) fn new(running: Arc<Running>, runtime: Arc<dyn Runtime>, hand: Hand) -> Self {
        Self {
            running,
            attempt: hand.record.attempts.saturating_add(1),
            queue: hand.record.queue.clone(),
            key: hand.record.key.clone(),
            runtime,
            hand: Mutex::new(hand),
        }
    }

    /// What the attempt leaves.
    pub(crate) fn into_hand(self) -> Hand {
        self.hand.into_inner()
    }

    /// The job's number in its store: the same for all its attempts.
    pub fn id(&self) -> JobNumber {
        self.running.number
    }

    /// Which attempt this is, from 1. One that was interrupted or snoozed is repeated under its
    /// number.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How many attempts the job may have, the first included. Not known of a
    /// [pushed](crate::Queue) job, whose store is elsewhere.
    pub fn max_attempts(&self) -> Option<u32> {
        let here = self.runtime.has_the_job();
        here.then(|| self.hand.lock().record.max_attempts)
    }

    /// An error of this attempt is final, as far as is [known](Self::max_attempts).
    pub fn is_last_attempt(&self) -> bool {
        self.max_attempts().is_some_and(|most| self.attempt >= most)
    }

    /// The queue that the job was taken from; `executors`, where it was pushed here.
    pub fn queue(&self) -> &str {
        self.queue.as_str()
    }

    /// The job's [idempotency key](crate::NewJob::key), if it has one. Not known of a pushed job.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// When the job was accepted. Not known of a pushed job.
    pub fn enqueued_at(&self) -> Option<Timestamp> {
        let here = self.runtime.has_the_job();
        here.then(|| self.hand.lock().record.created)
    }

    /// How its last attempt failed, if one has: the same text that its history shows. Not known of a
    /// pushed job.
    pub fn last_error(&self) -> Option<String> {
        Failure::last(&self.hand.lock().record)
    }

    /// The job's receipt, as good as the one that its acceptance gave: for a link, or to tell another
    /// job whom to ask.
    ///
    /// # Errors
    /// In a pushed job, whose receipt the host that accepted it has.
    pub fn receipt(&self) -> Result<Receipt, Error> {
        self.runtime.receipt(self.running.number)
    }

    /// The time by the manager's clock: the wall's, or what a test's `ManualClock` shows. A job that
    /// reckons with the time asks this one, so that a test can move it.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use jobkeep::{Context, Job, JobError, NewJob};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Remind { id: u64 }
    /// # impl Job for Remind { const NAME: &'static str = "remind"; type Output = (); }
    /// fn remind_tomorrow(ctx: &Context, id: u64) -> Result<(), JobError> {
    ///     let tomorrow = ctx.now().after(Duration::from_secs(86_400));
    ///     ctx.enqueue(NewJob::new(Remind { id }).run_at(tomorrow))?;
    ///     Ok(())
    /// }
    /// ```
    pub fn now(&self) -> Timestamp {
        self.runtime.clock().now().wall
    }

    /// Drives a future on this thread, to its output; or to the moment at which the job is to stop, as
    /// [`is_cancelled`](Self::is_cancelled) says: then the future is dropped, at the place where it
    /// waits, and this returns an error. So an async job ends with its time-out, with its cancellation
    /// and with the grace of a shutdown, and gives its thread back.
    ///
    /// ```
    /// # use jobkeep::{Context, Job, JobError, Run};
    /// # use serde::{Deserialize, Serialize};
    /// # async fn fetch(_address: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
    /// #[derive(Serialize, Deserialize)]
    /// struct Fetch { address: String }
    /// # impl Job for Fetch { const NAME: &'static str = "fetch"; type Output = String; }
    ///
    /// impl Run for Fetch {
    ///     fn run(&mut self, ctx: &Context) -> Result<String, JobError> {
    ///         Ok(ctx.block_on(fetch(&self.address))??)       // told to stop, or failed
    ///     }
    /// }
    /// ```
    ///
    /// It needs no runtime. A future that does, because it waits for a socket or a timer of Tokio's, is
    /// driven inside of one: see [`async_programs`](crate::async_programs).
    ///
    /// # Errors
    /// Where the job is to stop and the future is not ready at its first poll:
    /// [`Error::is_cancelled`]. Return it. What becomes of the job is decided already: after a time-out
    /// it is tried again by its policy, and after a cancellation it is not.
    ///
    /// # Panics
    /// Where the future does, as the job.
    #[doc(alias("await", "async"))]
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let mut output = None;
        {
            let told = pin!(async { output = Some(future.await) });
            self.runtime.drive(&self.running.cancelled, told);
        }
        output.ok_or_else(|| Error::told_to_stop(self.running.number))
    }

    /// A future that resolves when the job is to stop, as [`is_cancelled`](Self::is_cancelled) says: for
    /// tasks that the job has started elsewhere, and for futures that have something to put in order
    /// first.
    ///
    /// ```
    /// # use jobkeep::{Context, JobError};
    /// # fn spawn(_task: impl Future<Output = ()> + Send + 'static) {}
    /// fn run(ctx: &Context) -> Result<(), JobError> {
    ///     let told = ctx.cancelled();
    ///     spawn(async move {
    ///         told.await;                             // beside the work of the task
    ///     });
    ///     Ok(())
    /// }
    /// ```
    pub fn cancelled(&self) -> Cancelled {
        Cancelled::new(Arc::clone(&self.running))
    }

    /// Somebody asked to cancel the job, its time-out is over, or the manager shuts down and its grace
    /// has ended. A job that takes long should look now and then, and return; a thread cannot be
    /// stopped from outside. One that awaits futures is woken: see [`block_on`](Self::block_on).
    pub fn is_cancelled(&self) -> bool {
        self.running.cancelled.is_asked()
    }

    /// How long the attempt may still take, where it has a [time-out](crate::Policy::timeout); zero
    /// when that is over.
    pub fn time_left(&self) -> Option<Duration> {
        let limit = *self.running.limit.lock();
        let left = limit?.deadline.since(self.runtime.clock().now().steady);
        Some(left)
    }

    /// Says how far the job is, for [`Status::progress`](crate::Status::progress). Kept in RAM only.
    pub fn progress(&self, done: u64, total: u64) {
        *self.running.progress.lock() = Some((done, total));
    }

    /// Keeps a line with this attempt, and shows it in [`Status::log`](crate::Status::log) while the
    /// attempt runs. At most [`LOG_LINES`](crate::LOG_LINES) lines of
    /// [`LOG_LINE_BYTES`](crate::LOG_LINE_BYTES) bytes are kept: the first ones, cut.
    ///
    /// # Durability
    /// Written with the attempt's end.
    pub fn log(&self, line: impl fmt::Display) {
        let mut log = self.running.log.lock();
        if log.len() < LOG_LINES {
            log.push(cut(line.to_string(), LOG_LINE_BYTES));
        }
    }

    /// The application's shared state of type `T`, as given to
    /// [`Builder::resource`](crate::Builder::resource).
    ///
    /// # Errors
    /// Where none was given; the message names the type.
    #[doc(alias("data", "extension", "state"))]
    pub fn resource<T: Any + Send + Sync>(&self) -> Result<&T, Error> {
        self.runtime.resources().get()
    }

    /// Keeps the job's value as it is now, so that work done so far need not be done again: from
    /// [`run`](crate::Run::run), `ctx.checkpoint(self)?`.
    ///
    /// The next attempt starts from the value of the last checkpoint where this one leaves none of
    /// its own: after a panic, an interruption or a crash. After an error it starts from the value as
    /// `run` left it, and a success keeps that too.
    ///
    /// ```
    /// # use jobkeep::{Context, Job, JobError, Run};
    /// # use serde::{Deserialize, Serialize};
    /// # fn fetch(_page: u32) -> Result<(), std::io::Error> { Ok(()) }
    /// # #[derive(Serialize, Deserialize)] struct Index { pages: u32 }
    /// # impl Job for Index { const NAME: &'static str = "index"; type Output = (); }
    /// #[derive(Serialize, Deserialize)]
    /// struct Crawl { next: u32, pages: u32 }
    /// # impl Job for Crawl { const NAME: &'static str = "crawl"; type Output = (); }
    ///
    /// impl Run for Crawl {
    ///     fn run(&mut self, ctx: &Context) -> Result<(), JobError> {
    ///         while self.next < self.pages {
    ///             fetch(self.next)?;
    ///             self.next += 1;
    ///             ctx.checkpoint(self)?;
    ///         }
    ///         ctx.enqueue(Index { pages: self.pages })?; // if this attempt succeeds
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Durability
    /// The value is in the store when this returns. That costs a commit, shared with whoever else
    /// waits for one.
    ///
    /// # Errors
    /// Where the job is stored as another type than `J`, or the value does not come back from its
    /// encoding, or is too large; where this attempt no longer has the job, which [`Error::is_attempt_over`] tells; where
    /// the manager has been shut down or its store fails. The value of before counts on, unless
    /// [`Error::is_unknown`] says otherwise.
    #[doc(alias("save"))]
    pub fn checkpoint<J: Job>(&self, job: &J) -> Result<(), Error> {
        let number = self.running.number;
        // Held until the answer is here, so that of several threads' checkpoints the hand has the one
        // that is stored.
        let mut hand = self.hand.lock();
        let stored = hand.record.name.as_str();
        if stored != J::NAME && !J::ALIASES.contains(&stored) {
            return Err(Error::checkpoint_of_other_type(number, J::NAME, stored));
        }
        let payload = payload::encode(hand.record.codec, job, &[])
            .map_err(|cause| Error::checkpoint_codec(number, cause))?;
        self.runtime.checkpoint(number, &mut hand, payload)
    }

    /// Queues a job, or a [`NewJob`](crate::NewJob) with its options, that follows this one: it is accepted in the
    /// commit that records this attempt's success, and a delay counts from there. An attempt that
    /// ends in any other way queues nothing.
    ///
    /// At most 10,000 jobs with 16 MiB of payloads may follow an attempt. One whose idempotency key is
    /// held with the same payload is there already, and is not written. Where a key is held with
    /// another payload, this attempt fails instead, with an error that names the key and its holder,
    /// and is tried again by the policy. A key that this job holds itself goes to the one that follows
    /// it, with whatever payload: so a job can queue its next run, and there is never more than one.
    ///
    /// # Durability
    /// Nothing is written before the attempt's end. Then the success and all jobs that follow it are
    /// in the store, or none of them.
    ///
    /// # Errors
    /// Where the job's queue is not declared, its payload too large, its key too large, or the job does
    /// not come back from its encoding; where they are too many; and where this attempt no longer has its
    /// job, because its time-out is over: [`Error::is_attempt_over`]. Those queued before stand.
    #[doc(alias("after", "chain", "then"))]
    pub fn enqueue<N: IntoNewJob>(&self, job: N) -> Result<(), Error> {
        self.follow_up(vec![job.into_new_job().draft()?])
    }

    /// Queues several jobs that follow this one, in their order: see [`enqueue`](Self::enqueue).
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them: then none of them is queued.
    pub fn enqueue_all<N: IntoNewJob>(
        &self,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<(), Error> {
        let drafts = drafts(jobs)?;
        self.follow_up(drafts)
    }

    /// Queues jobs of several types that follow this one, in their order: see [`enqueue`](Self::enqueue) and
    /// [`Batch`].
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them: then none of them is queued.
    pub fn enqueue_batch<B: Batch>(&self, batch: B) -> Result<(), Error> {
        let (drafts, _) = unfold(batch)?;
        self.follow_up(drafts)
    }

    /// The clock of the manager.
    #[cfg(any(feature = "http-call", all(feature = "command", unix)))]
    pub(crate) fn clock(&self) -> &Clock {
        self.runtime.clock()
    }

    /// Wakes `waiter` when [`is_cancelled`](Self::is_cancelled) becomes true, as long as the watch lives.
    #[cfg(any(feature = "http-call", all(feature = "command", unix)))]
    pub(crate) fn watch(&self, waiter: Arc<dyn Wake>) -> Watch<'_> {
        self.running.cancelled.watch(waiter)
    }

    fn follow_up(&self, drafts: Vec<Draft>) -> Result<(), Error> {
        if self.running.given_up.load(Ordering::Relaxed) {
            let act = format_args!("queue what follows job {}", self.running.number);
            return Err(Error::attempt_over(act));
        }
        for (index, draft) in drafts.iter().enumerate() {
            let checked = self.runtime.check(draft);
            checked.map_err(|error| match drafts.len() {
                1 => error,
                _ => error.of_batch(index),
            })?;
        }
        self.hand.lock().follow_ups.add(drafts)
    }
}

/// The runtime, as a running job asks it.
pub(crate) trait Runtime: Send + Sync {
    fn resources(&self) -> &Resources;

    fn clock(&self) -> &Clock;

    /// The job stands in the store of this manager.
    fn has_the_job(&self) -> bool;

    fn receipt(&self, number: JobNumber) -> Result<Receipt, Error>;

    /// Polls the future until it is ready, or the job is to stop.
    fn drive(&self, cancelled: &Cancellation, future: Pin<&mut dyn Future<Output = ()>>);

    /// Writes the job with this payload, and has the hand follow.
    fn checkpoint(&self, number: JobNumber, hand: &mut Hand, payload: Vec<u8>)
    -> Result<(), Error>;

    /// Checks what needs no committer of a new job.
    fn check(&self, draft: &Draft) -> Result<(), Error>;
}

/// The job that an attempt has in hand.
#[derive(Debug)]
pub(crate) struct Hand {
    pub(crate) token: Token,
    /// Without its payload, where that stands in it.
    pub(crate) record: Box<JobRecord>,
    /// The state that its row has meanwhile.
    pub(crate) stored: State,
    /// The payload of the last checkpoint, which is the stored one.
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) follow_ups: Drafts,
}

impl Hand {
    /// The payload is stored, and the record keeps it like this.
    pub(crate) fn keep(&mut self, kept: Kept, payload: Vec<u8>) {
        self.record.payload = kept;
        self.checkpoint = Some(payload);
    }
}

/// The jobs that are to follow an attempt: as many as a batch may have.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) drafts: Vec<Draft>,
    bytes: usize,
}

impl Drafts {
    fn add(&mut self, drafts: Vec<Draft>) -> Result<(), Error> {
        let added: usize = drafts.iter().map(|draft| draft.payload.len()).sum();
        let bytes = self.bytes.saturating_add(added);
        check_batch(self.drafts.len() + drafts.len(), bytes)?;
        self.bytes = bytes;
        self.drafts.extend(drafts);
        Ok(())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.running.number)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// How many lines of an attempt's log are kept.
pub const LOG_LINES: usize = 100;

/// How many bytes of a line are kept.
pub const LOG_LINE_BYTES: usize = 512;

/// The text, cut before the character that passes `bytes`.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// A job on a worker, as both its [`Context`] and the manager see it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) number: JobNumber,
    pub(crate) cancelled: Cancellation,
    /// Its attempt has been ended without it.
    pub(crate) given_up: AtomicBool,
    /// Where the attempt has a time-out.
    pub(crate) limit: Mutex<Option<Limit>>,
    pub(crate) progress: Mutex<Option<(u64, u64)>>,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Running {
    pub(crate) fn new(number: JobNumber) -> Self {
        Self {
            number,
            cancelled: Cancellation::default(),
            given_up: AtomicBool::new(false),
            limit: Mutex::new(None),
            progress: Mutex::new(None),
            log: Mutex::new(Vec::new()),
        }
    }

    /// The attempt ends without the job: nothing that it says from now on counts. The tasks are to be
    /// woken, as [`Cancellation::ask`] says.
    #[must_use = "the tasks are to be woken"]
    pub(crate) fn give_up(&self) -> Vec<Waker> {
        self.given_up.store(true, Ordering::Relaxed);
        self.cancelled.ask()
    }

    /// What the job said so far in this attempt: its progress and its log.
    pub(crate) fn said(&self) -> (Option<(u64, u64)>, Vec<String>) {
        (*self.progress.lock(), self.log.lock().clone())
    }
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) began: Now,
    pub(crate) deadline: Steady,
    pub(crate) timeout_ms: u64,
}

/// Shared application state, one value a type.
#[derive(Default)]
pub(crate) struct Resources(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Resources {
    /// Adds a value; `false` where its type has one already.
    pub(crate) fn add<T: Any + Send + Sync>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Box::new(value)).is_none()
    }

    fn get<T: Any + Send + Sync>(&self) -> Result<&T, Error> {
        self.0
            .get(&TypeId::of::<T>())
            .and_then(|value| value.downcast_ref())
            .ok_or_else(|| Error::no_resource(type_name::<T>()))
    }
}
