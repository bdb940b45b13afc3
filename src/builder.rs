use std::any::{Any, type_name};
use std::fmt;
use std::time::Duration;

use jobkeep_store::{Durability, QueueStore};

use crate::clock::Clock;
use crate::config::Config;
use crate::context::{Context, Resources};
use crate::registry::{Registration, Registry};
use crate::runtime::{self, Parts};
use crate::sync::Arc;
use crate::{Error, Job, JobError, Manager, Observer, Queue, Retention, Run};

/// Says what a [`Manager`] is to be: which jobs it runs, in which queues, and within which limits.
///
/// | setting | default |
/// |---|---|
/// | [`queue`](Self::queue) | one, `default` |
/// | [`Queue::workers`] | the number of cores |
/// | [`Queue::hand_over`] | 1,024 jobs |
/// | [`retention`](Self::retention) | successes 7 days, failures 30 days, 100,000 finished jobs |
/// | [`key_retention`](Self::key_retention) | 24 hours after the job's end |
/// | [`payload_limit`](Self::payload_limit) | 1 MiB |
/// | [`output_limit`](Self::output_limit) | 1 MiB |
/// | [`inbox`](Self::inbox) | 16,384 jobs |
/// | [`executors`](Self::executors) | none |
/// | [`drop_grace`](Self::drop_grace) | 5 seconds |
/// | [`probation`](Self::probation) of a job | 30 seconds |
/// | [`durability`](Self::durability) | synced |
/// | [`server`](Self::server) | `local` |
/// | [`Policy`](crate::Policy), of a job type | 25 attempts, backoff from 1 second to 24 hours, queue `default`, normal priority |
/// | batch of [`enqueue_all`](Manager::enqueue_all) | at most 10,000 jobs and 16 MiB, fixed |
/// | events waiting for an [`observer`](Self::observer) | 4,096 and those of one commit, fixed |
/// | history of a job | its last [`HISTORY`](crate::HISTORY) attempts, fixed |
pub struct Builder {
    store: Arc<dyn QueueStore>,
    config: Config,
    clock: Clock,
    registrations: Vec<Registration>,
    resources: Resources,
    observers: Vec<Box<dyn Observer>>,
    pub(crate) faults: Vec<String>,
}

impl Builder {
    pub(crate) fn new(store: Arc<dyn QueueStore>) -> Self {
        Self {
            store,
            config: Config::default(),
            clock: Clock::system(),
            registrations: Vec::new(),
            resources: Resources::default(),
            observers: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Runs jobs of a type that runs itself.
    pub fn register<J: Run>(self) -> Self {
        self.handle::<J>(J::run)
    }

    /// Runs jobs of type `J` with `handler`, which may hold state of its own. State that several
    /// job types share is a [`resource`](Self::resource).
    ///
    /// ```
    /// # use jobkeep::{Job, Manager, MemoryStore};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
    /// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = usize; }
    /// let sender = String::from("noreply@example.org");
    /// let manager = Manager::builder(MemoryStore::new())
    ///     .handle::<Mail>(move |mail, _ctx| Ok(sender.len() + mail.to.len()))
    ///     .start()?;
    /// # Ok::<(), jobkeep::Error>(())
    /// ```
    pub fn handle<J: Job>(
        mut self,
        handler: impl Fn(&mut J, &Context) -> Result<J::Output, JobError> + Send + Sync + 'static,
    ) -> Self {
        self.registrations.push(Registration::new(handler));
        self
    }

    /// Gives every job the application's shared state of type `T`: see [`Context::resource`]. One
    /// value a type; give it in an `Arc` where others hold it too.
    #[doc(alias("data", "state"))]
    pub fn resource<T: Any + Send + Sync>(mut self, value: T) -> Self {
        if !self.resources.add(value) {
            self.faults.push(format!(
                "resource `{}`: it is given twice",
                type_name::<T>()
            ));
        }
        self
    }

    /// Tells `observer` what happens to jobs, on a thread of its own: an [`Observer`], or a closure that
    /// takes an [`Event`](crate::event::Event). Several may be given, and each is told everything. None is
    /// told by default, and then nothing is spent on it. [`shutdown`](Manager::shutdown) waits within its
    /// grace until all of them have heard the last event.
    #[doc(alias("subscribe", "telemetry"))]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Declares a queue. Without any, there is one named `default`; with one, only those declared
    /// exist. Stored jobs of a queue that is not declared any more are parked until it is.
    pub fn queue(mut self, queue: Queue) -> Self {
        self.config.queues.push(queue);
        self
    }

    /// How long finished jobs are kept, and how many.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.config.retention = retention;
        self
    }

    /// How long an idempotency key is held after its job's end, 24 hours by default. With zero
    /// it is released as soon as the job ends.
    pub fn key_retention(mut self, span: Duration) -> Self {
        self.config.key_retention = span;
        self
    }

    /// How many bytes an encoded payload may have, 1 MiB by default. A larger one is refused, or
    /// fails its job for good where the run left it so large.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.config.payload_limit = bytes;
        self
    }

    /// How many bytes an encoded output may have, 1 MiB by default. A larger one fails its job for
    /// good.
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.config.output_limit = bytes;
        self
    }

    /// How many jobs may wait to be written, 16,384 by default. Beyond that `enqueue` waits, and
    /// [`try_enqueue`](Manager::try_enqueue) says so.
    pub fn inbox(mut self, jobs: usize) -> Self {
        self.config.inbox = jobs;
        self
    }

    /// How long the drop of the last handle waits for running jobs, 5 seconds by default.
    pub fn drop_grace(mut self, grace: Duration) -> Self {
        self.config.drop_grace = grace;
        self
    }

    /// Ends the manager in order when the process is told to end, by SIGTERM or by SIGINT, which is Ctrl-C:
    /// it [shuts down](Manager::shutdown) with this grace, and then the process ends as the signal would have
    /// ended it. Choose a grace shorter than that of whoever kills the process afterwards. A second signal
    /// ends it at once; what still runs then is found interrupted, and suspected of nothing.
    ///
    /// Where `main` returns meanwhile, because what it waited for has ended or was refused, its exit code
    /// counts. A program that has more to do at its end listens for signals itself, and calls
    /// [`shutdown`](Manager::shutdown). From the first such manager on, these signals are caught for the rest of
    /// the process; all managers that ask for it end together. As the first process of a container, which
    /// no signal ends, the process exits with 128 and the number of the signal. A process that is forked from
    /// it, and neither starts such a manager of its own nor another program, ends at the second signal.
    ///
    /// ```no_run
    /// # use jobkeep::{Job, Manager, MemoryStore};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
    /// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
    /// use std::time::Duration;
    ///
    /// let manager = Manager::builder(MemoryStore::new())
    ///     .handle::<Mail>(|_, _| Ok(()))
    ///     .end_on_signals(Duration::from_secs(10))
    ///     .start()?;
    /// loop {
    ///     std::thread::park();                         // the jobs run until somebody ends the process
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), jobkeep::Error>(())
    /// ```
    #[cfg(all(unix, feature = "signals"))]
    pub fn end_on_signals(mut self, grace: Duration) -> Self {
        self.config.signal_grace = Some(grace);
        self
    }

    /// How long a job may be to blame for the death of its process, from its beginning: 30 seconds by
    /// default. Zero suspects nobody.
    ///
    /// A job that had begun within so long before each of the last two unclean ends, such as aborts or
    /// kills, is a suspect. The next start [tells](Observer::suspected) it, and holds the job back until the
    /// process has lived for so long; suspects then begin one at a time, beside all others, which do not
    /// wait. A suspect that ends, or runs for longer than this, is free again, as is one before whose turn the
    /// process dies. If the process dies within so long after it has begun, it is held back
    /// twice as long by the next start; and if it dies once more, the job is parked as
    /// [`Crashing`](crate::ParkReason::Crashing), and runs again when somebody
    /// [retries](Manager::retry) it.
    ///
    /// An end in order suspects nobody, from its beginning: see [`shutdown`](Manager::shutdown).
    pub fn probation(mut self, span: Duration) -> Self {
        self.config.probation = span;
        self
    }

    /// What jobs wait for before they count as accepted, where they do not
    /// [say so themselves](crate::NewJob::durability): [`Durability::Synced`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.config.durability = durability;
        self
    }

    /// How many jobs of other hosts run here at once, on threads of their own that no job of this store
    /// takes: those that hosts with a [queue in push mode](crate::Queue) send to `POST /v1/execute`. None by
    /// default: then every such job is refused (`no_executors`).
    pub fn executors(mut self, threads: usize) -> Self {
        self.config.executors = threads;
        self
    }

    /// The name of this server in the receipts that it gives, `local` by default. Where several hosts
    /// accept jobs, each needs its own. Where it changes, receipts that bear the old one hold here all the
    /// same, for a store knows its own: it is those who ask that must find the host under either.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.config.server = name.into();
        self
    }

    /// Runs by this clock instead of the system's.
    #[cfg(feature = "testing")]
    pub fn clock(mut self, clock: crate::testing::ManualClock) -> Self {
        self.clock = Clock::manual(clock);
        self
    }

    /// Takes the store over, settles what an earlier owner left in flight as interrupted, and starts
    /// the threads.
    ///
    /// It also puts a hook of its own around the panic hook of the process, which notes where a job panics
    /// and then calls the one that was there. An application that sets a hook later loses nothing but that
    /// place, and only of the first panic after it: then, and at each start, that hook is wrapped in turn. To
    /// lose none, set yours before the first manager starts.
    ///
    /// # Durability
    /// The opening is written, to the store's own degree, when this returns.
    ///
    /// # Errors
    /// Where the configuration does not hold together: the message names all its faults. Where the
    /// store cannot be read or written, or a thread not be started; what was started is stopped
    /// again.
    pub fn start(self) -> Result<Manager, Error> {
        let (shared, recovery) = runtime::start(self.parts()?)?;
        Ok(Manager::new(shared, recovery))
    }

    /// Starts a manager without workers, whose jobs a test runs one by one on its own thread. The
    /// configuration counts, except for [`Queue::workers`] and [`Queue::hand_over`]. See
    /// [`testing`](crate::testing) for an example.
    ///
    /// # Durability
    /// As [`start`](Self::start).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    #[cfg(feature = "testing")]
    pub fn start_for_tests(self) -> Result<crate::testing::Kit, Error> {
        let mut parts = self.parts()?;
        for queue in &mut parts.config.queues {
            queue.workers = Some(0);
            queue.hand_over = 0;
        }
        let (shared, recovery) = runtime::start(parts)?;
        Ok(crate::testing::Kit::new(Manager::new(shared, recovery)))
    }

    /// Starts a manager without threads, for this project's own simulation.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn start_simulated(
        self,
    ) -> Result<(crate::testing::simulation::Process, crate::Recovery), Error> {
        runtime::simulation::Process::new(self.parts()?)
    }

    /// The configuration, checked.
    pub(crate) fn parts(self) -> Result<Parts, Error> {
        let Self {
            store,
            config,
            clock,
            registrations,
            resources,
            observers,
            mut faults,
        } = self;
        let queues: Vec<_> = registrations
            .iter()
            .map(|known| (known.name, known.queue))
            .collect();
        let registry = Registry::new(registrations, &mut faults);
        check_policies(&config, &queues, &mut faults);
        let config = config.checked(faults)?;
        Ok(Parts {
            store,
            config,
            clock,
            registry,
            resources,
            observers,
        })
    }
}

/// A job type whose policy names a queue that is not there could never be queued as it says.
fn check_policies(config: &Config, queues: &[(&str, &str)], faults: &mut Vec<String>) {
    let implied = config.queues.is_empty().then_some("default");
    for (name, queue) in queues {
        let declared = config
            .queues
            .iter()
            .map(|queue| queue.name.as_str())
            .chain(implied);
        if !declared.into_iter().any(|declared| declared == *queue) {
            faults.push(format!(
                "job `{name}`: the queue `{queue}` of its policy is not declared"
            ));
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("store", &self.store)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
