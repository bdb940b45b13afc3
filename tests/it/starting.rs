use std::thread::scope;

use jobkeep::{
    Builder, Error, Job, Manager, MemoryStore, NewJob, Policy, Queue, QueueStore, Reason, StateKind,
};
use serde::{Deserialize, Serialize};

use crate::gate::GatedStore;
use crate::place::{Other, PATIENCE, Work, succeeding, work};

/// A job type with nothing but its name, its aliases and its queue.
macro_rules! job {
    ($job:ident, $name:expr, $aliases:expr, $queue:expr) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $job;

        impl Job for $job {
            const NAME: &'static str = $name;
            const ALIASES: &'static [&'static str] = &$aliases;
            const POLICY: Policy = Policy::new().queue($queue);
            type Output = ();
        }
    };
}

job!(Mail, "mail", [], "mail");
job!(Letter, "letter", ["mail", "post"], "default");
job!(Parcel, "parcel", ["post"], "default");
job!(Nameless, "", [], "default");

const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123";
job!(
    Long,
    "0123456789012345678901234567890123456789012345678901234567890123",
    [],
    "default"
);
job!(
    Longer,
    "01234567890123456789012345678901234567890123456789012345678901230123456789012345678901234567890123456789012345678901234567890123x",
    [],
    "default"
);

fn builder() -> Builder {
    Manager::builder(MemoryStore::new())
}

fn one_worker() -> Builder {
    builder().queue(Queue::new("default").workers(1))
}

fn handle<J: Job<Output = ()>>(builder: Builder) -> Builder {
    builder.handle::<J>(|_, _| Ok(()))
}

fn refused(builder: Builder) -> Error {
    let error = builder.start().unwrap_err();
    assert!(error.is_config());
    error
}

#[test]
fn all_faults_of_a_configuration_are_named_at_once() {
    let mut builder = builder()
        .server("Berlin 2")
        .inbox(0)
        .payload_limit(1 << 26)
        .output_limit((1 << 25) + 1)
        .resource(1_u8)
        .resource(2_u8)
        .queue(Queue::new("images"))
        .queue(Queue::new(""))
        .queue(Queue::new("images").workers(5_000));
    builder = handle::<Mail>(handle::<Letter>(handle::<Parcel>(builder)));
    builder = handle::<Nameless>(handle::<Longer>(builder));
    let error = refused(builder);
    assert_eq!(
        error.to_string(),
        format!(
            "start the manager: 17 faults in its configuration\n\
             - resource `u8`: it is given twice\n\
             - job `post`: two registered types have this name\n\
             - job `mail`: two registered types have this name\n\
             - job `{}`: a job's name must be 1 to 128 bytes long\n\
             - job ``: a job's name must be 1 to 128 bytes long\n\
             - job `parcel`: the queue `default` of its policy is not declared\n\
             - job `letter`: the queue `default` of its policy is not declared\n\
             - job `mail`: the queue `mail` of its policy is not declared\n\
             - job `{}`: the queue `default` of its policy is not declared\n\
             - job ``: the queue `default` of its policy is not declared\n\
             - queue ``: a name must be 1 to 64 characters: ASCII letters, digits, `-`, `_` or `.`\n\
             - queue `images`: it is declared twice\n\
             - queue `images`: it must have at most 4096 workers, not 5000\n\
             - server `Berlin 2`: a name must be 1 to 64 characters: ASCII letters, digits, `-`, `_` or `.`\n\
             - inbox: it must hold at least one job\n\
             - payload_limit: it must be at most 33554432 bytes, which is what fits a row, not 67108864\n\
             - output_limit: it must be at most 33554432 bytes, which is what fits a row, not 33554433",
            Longer::NAME,
            Longer::NAME
        )
    );
}

#[test]
fn a_single_fault_stands_on_the_first_line() {
    assert_eq!(
        refused(builder().inbox(0)).to_string(),
        "start the manager: inbox: it must hold at least one job"
    );
    let twice = handle::<Letter>(handle::<Letter>(builder()));
    assert_eq!(
        refused(twice).to_string(),
        "start the manager: 3 faults in its configuration\n\
         - job `mail`: two registered types have this name\n\
         - job `post`: two registered types have this name\n\
         - job `letter`: two registered types have this name"
    );
}

#[test]
fn names_and_limits_may_go_to_their_bounds() {
    assert_eq!(LONG.len(), 64);
    let queues = [LONG, "a", "A-z_0.9"];
    let builder = queues
        .into_iter()
        .fold(builder(), |builder, name| {
            builder.queue(Queue::new(name).workers(1))
        })
        .queue(Queue::new("default").workers(0))
        .server(LONG)
        .inbox(1)
        .payload_limit(1 << 25)
        .output_limit(1 << 25);
    let manager = handle::<Long>(builder).start().unwrap();
    for queue in queues {
        let receipt = manager.enqueue(NewJob::new(Long).queue(queue)).unwrap();
        let again = receipt.to_string().parse().unwrap();
        assert_eq!(receipt, again);
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    for name in [format!("{LONG}x"), "a b".into(), "ä".into(), "a/b".into()] {
        assert_eq!(
            refused(self::builder().queue(Queue::new(&name))).to_string(),
            format!(
                "start the manager: queue `{name}`: a name must be 1 to 64 characters: ASCII letters, digits, `-`, `_` or `.`"
            )
        );
    }
}

#[test]
fn a_store_that_is_closed_is_named() {
    let store = MemoryStore::new();
    store.close().unwrap();
    let error = Manager::builder(store).start().unwrap_err();
    assert_eq!(
        error.to_string(),
        "start the manager: read the identity of memory: the store is closed"
    );
    assert!(error.as_store().unwrap().is_closed() && !error.is_config());
}

#[test]
fn an_undeclared_queue_is_answered_with_those_that_are() {
    let manager = builder()
        .queue(Queue::new("mail").workers(0))
        .queue(Queue::new("images").workers(0))
        .start()
        .unwrap();
    let named = manager.enqueue(NewJob::new(Mail).queue("mails"));
    let by_policy = manager.enqueue(work("a"));
    for (error, job) in [
        (named.unwrap_err(), "`mail` in queue `mails`"),
        (by_policy.unwrap_err(), "`work` in queue `default`"),
    ] {
        assert_eq!(
            error.to_string(),
            format!(
                "enqueue job {job}: no such queue is declared, only `mail`, `images`: name one of \
                 these, or declare it with `Builder::queue`"
            )
        );
        assert!(error.is_undeclared_queue());
    }
    manager.enqueue(Mail).unwrap();
}

#[test]
fn without_any_declared_there_is_a_queue_named_default() {
    let manager = succeeding(builder()).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(manager.status(&receipt).unwrap().queue(), "default");
    manager.wait(&receipt, PATIENCE).unwrap();
    assert!(
        manager
            .enqueue(Mail)
            .unwrap_err()
            .to_string()
            .contains(", only `default`: ")
    );
}

#[test]
fn a_queue_without_workers_accepts_and_runs_nothing() {
    let manager = succeeding(builder().queue(Queue::new("default").workers(0)))
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(manager.status(&receipt).unwrap().state(), StateKind::Ready);
    let shutdown = manager.shutdown(PATIENCE).unwrap();
    assert_eq!(shutdown, jobkeep::Shutdown::default());
}

#[test]
fn a_payload_beyond_its_limit_is_refused() {
    let size = serde_json::to_vec(&work("a")).unwrap().len();
    let manager = builder().payload_limit(size).start().unwrap();
    manager.enqueue(work("a")).unwrap();
    let error = manager.enqueue(work("ab")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "enqueue job `work`: its payload has 23 bytes and the limit is 22: queue a reference to the \
         data instead, or raise `Builder::payload_limit`"
    );
    assert!(error.is_too_large());
}

#[test]
fn a_key_beyond_its_limit_is_refused() {
    let manager = builder().start().unwrap();
    let keyed = |bytes: usize| NewJob::new(work("a")).key("k".repeat(bytes));
    manager.enqueue(keyed(256)).unwrap();
    let error = manager.enqueue(keyed(257)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "enqueue job `work`: its key has 257 bytes and the limit is 256"
    );
    assert!(error.is_too_large());
}

#[test]
fn a_batch_beyond_its_bytes_is_refused() {
    let manager = builder().start().unwrap();
    let error = manager
        .enqueue_all((0..20).map(|_| work("x".repeat(900_000))))
        .unwrap_err();
    let text = error.to_string();
    let bytes: usize = text.split(' ').nth(4).unwrap().parse().unwrap();
    assert!((18_000_000..18_100_000).contains(&bytes), "{text}");
    assert_eq!(
        text,
        format!(
            "enqueue 20 jobs of {bytes} bytes at once: one batch takes at most 10000 jobs and \
             16777216 bytes: split it"
        )
    );
    assert!(error.is_too_large());
}

fn failure(builder: Builder) -> jobkeep::Failure {
    let manager = builder.start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 1);
    // The value as it last fitted.
    assert_eq!(*done.job().unwrap(), work("a"));
    done.into_output().unwrap_err()
}

#[test]
fn an_output_beyond_its_limit_fails_its_job_for_good() {
    let failure = failure(
        one_worker()
            .output_limit(10)
            .handle::<Work>(|_, _| Ok("x".repeat(9))),
    );
    assert_eq!(failure.reason(), Reason::Permanent);
    assert_eq!(
        failure.to_string(),
        "the job failed at attempt 1: the output as the run left it has 11 bytes and the limit is \
         10: keep a reference to the data instead, or raise `Builder::output_limit`"
    );
}

#[test]
fn a_job_that_grows_beyond_its_limit_fails_for_good() {
    let failure = failure(one_worker().payload_limit(30).handle::<Work>(|work, _| {
        work.label = "x".repeat(20);
        Ok(String::new())
    }));
    assert_eq!(failure.reason(), Reason::Permanent);
    assert_eq!(
        failure.to_string(),
        "the job failed at attempt 1: the job as the run left it has 41 bytes and the limit is 30: \
         keep a reference to the data instead, or raise `Builder::payload_limit`"
    );
}

#[derive(Debug, Deserialize)]
struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no words for it"))
    }
}

impl Job for Unspeakable {
    const NAME: &'static str = "unspeakable";
    type Output = ();
}

#[test]
fn a_job_that_does_not_encode_is_refused() {
    let manager = builder().start().unwrap();
    let error = manager.enqueue(Unspeakable).unwrap_err();
    assert_eq!(
        error.to_string(),
        "encode job `unspeakable` (it::starting::Unspeakable): no words for it"
    );
    assert!(error.is_codec());
}

#[test]
fn an_inbox_that_is_full_says_so_or_waits() {
    let store = GatedStore::new(MemoryStore::new());
    let gate = store.gate();
    let manager = Manager::builder(store).inbox(1).start().unwrap();
    gate.shut();
    scope(|scope| {
        let written = scope.spawn(|| manager.enqueue(Other { amount: 1 }));
        gate.reached();
        // There is room for one of these, which then waits for its commit like anybody.
        let tried = [2, 3].map(|amount| {
            let manager = &manager;
            scope.spawn(move || manager.try_enqueue(Other { amount }))
        });
        while !tried.iter().any(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::yield_now();
        }
        let waiting = scope.spawn(|| manager.enqueue(Other { amount: 4 }));
        gate.open();
        written.join().unwrap().unwrap();
        waiting.join().unwrap().unwrap();
        let [one, other] = tried.map(|tried| tried.join().unwrap());
        let error = match (one, other) {
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
            neither => panic!("{neither:?}"),
        };
        assert_eq!(
            error.to_string(),
            "enqueue without waiting: 1 jobs are already waiting to be written: try again later, or \
             let `enqueue` wait for room"
        );
        assert!(error.is_full());
    });
    assert_eq!(manager.counts().unwrap().parked, 3);
    manager.try_enqueue(Other { amount: 5 }).unwrap();
}

/// More jobs than the inbox has room for, at once: a batch is never too large for it.
#[test]
fn a_batch_larger_than_the_inbox_goes_through() {
    let manager = builder().inbox(1).start().unwrap();
    let receipts = manager.enqueue_all((0..50).map(|amount| Other { amount }));
    assert_eq!(receipts.unwrap().len(), 50);
}
