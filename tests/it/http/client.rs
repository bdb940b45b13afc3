//! A client and real hosts.

use std::time::{Duration, UNIX_EPOCH};

use jobkeep::http::{Client, ClientBuilder, Pool, Server, Serving};
use jobkeep::{
    Attempt, Builder, Codec, Completed, Durability, Enqueue, Error, Job, Manager, MemoryStore,
    NewJob, ParkReason, Priority, Queue, Reason, Receipt, StateKind, Status,
};
use serde::{Deserialize, Serialize};

use super::wire::{Echo, host};

const PATIENCE: Duration = Duration::from_secs(60);

fn url(serving: &Serving) -> String {
    format!("http://{}", serving.address())
}

fn builder(serving: &Serving) -> ClientBuilder {
    Client::builder(Pool::host(url(serving)))
}

fn client(serving: &Serving) -> Client {
    builder(serving).build().unwrap()
}

fn echo(text: &str) -> Echo {
    Echo { text: text.into() }
}

fn serve(builder: Builder) -> (Manager, Serving) {
    let manager = builder.start().unwrap();
    let serving = Server::new(&manager).serve("127.0.0.1:0").unwrap();
    (manager, serving)
}

fn named(server: &str) -> Builder {
    Manager::builder(MemoryStore::new()).server(server)
}

/// A host that accepts and does not run.
fn still(server: &str) -> (Manager, Serving) {
    let queue = Queue::new("default").workers(0);
    serve(named(server).queue(queue).register::<Echo>())
}

/// A job with a compact payload, which ends as it says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Compact {
    bytes: Vec<u8>,
}

impl Job for Compact {
    const NAME: &'static str = "compact";
    const CODEC: Codec = Codec::Bincode;
    type Output = (u64, String);
}

/// A job whose value and output are nothing: `null` on the wire.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tick;

impl Job for Tick {
    const NAME: &'static str = "tick";
    type Output = ();
}

/// A job that ends as it says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Ending {
    Error,
    Permanent,
    Panic,
    Cancel,
    Snooze,
}

impl Job for Ending {
    const NAME: &'static str = "ending";
    type Output = ();
}

fn end(ending: &mut Ending, context: &jobkeep::Context) -> Result<(), jobkeep::JobError> {
    use jobkeep::JobError;
    context.log("so it ends");
    match ending {
        Ending::Error => Err(JobError::new("an error")),
        Ending::Permanent => Err(JobError::permanent("for good")),
        Ending::Panic => panic!("oh no"),
        Ending::Cancel => Err(JobError::cancel("no more")),
        Ending::Snooze => {
            *ending = Ending::Error;
            Err(JobError::snooze(Duration::ZERO))
        }
    }
}

#[test]
fn a_job_sent_to_a_host_runs_there_and_comes_back() {
    let (_manager, serving) = host();
    let client = client(&serving);
    let receipt = client.enqueue(echo("hello")).unwrap();
    assert_eq!(receipt.server(), "web-1");
    let done = client.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "hello");
    assert_eq!(done.job().unwrap().text, "hello");
    assert_eq!(done.attempts(), 1);
    let again = client.completed(&receipt).unwrap().unwrap();
    assert_eq!(again.output().unwrap(), "hello");
}

/// What an application does, wherever its jobs go.
fn round(queue: &dyn Enqueue) -> Result<Vec<String>, Error> {
    let one: Receipt<Echo> = echo("one").execute(queue)?;
    let others = queue.enqueue_all(["two", "three"].map(echo))?;
    let all = [vec![one], others].concat();
    let ends = all.iter().map(|receipt| queue.wait(receipt, PATIENCE));
    ends.map(|end| Ok(end?.into_output().unwrap())).collect()
}

#[test]
fn one_function_serves_a_manager_and_a_client() {
    let (manager, serving) = host();
    let told = ["one", "two", "three"];
    assert_eq!(round(&manager).unwrap(), told);
    assert_eq!(round(&client(&serving)).unwrap(), told);
    assert_eq!(manager.counts().unwrap().succeeded, 6);
}

#[test]
fn a_compact_job_and_one_of_nothing_go_round() {
    let run = |compact: &mut Compact, _: &jobkeep::Context| {
        compact.bytes.push(255);
        Ok((7, "out".into()))
    };
    let builder = named("web-1").handle::<Compact>(run);
    let (_manager, serving) = serve(builder.handle::<Tick>(|_, _| Ok(())));
    let client = client(&serving);
    let bytes = vec![0, 128];
    let compact = client.enqueue(Compact { bytes }).unwrap();
    let tick = client.enqueue(Tick).unwrap();
    let done = client.wait(&compact, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), &(7, "out".into()));
    assert_eq!(done.job().unwrap().bytes, [0, 128, 255]);
    let done = client.wait(&tick, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap(), done.output().unwrap()), (&Tick, &()));
}

/// What travels of an attempt: the name of its thread stays at home.
fn travelled(history: &[Attempt]) -> Vec<Attempt> {
    let mut history = history.to_vec();
    for attempt in &mut history {
        attempt.thread.clear();
    }
    history
}

fn is_same_end(here: &Completed<Ending>, there: &Completed<Ending>) {
    assert_eq!(here.job().unwrap(), there.job().unwrap());
    assert_eq!(here.output(), there.output());
    assert_eq!(here.attempts(), there.attempts());
    assert_eq!(here.interruptions(), there.interruptions());
    assert_eq!(travelled(here.history()), there.history());
}

fn is_same_status(here: &Status, there: &Status) {
    let all = |status: &Status| {
        (
            (status.state(), status.parked().cloned()),
            (status.name().to_owned(), status.queue().to_owned()),
            (status.priority(), status.created(), status.due()),
            (status.finished(), status.attempts(), status.interruptions()),
            (status.is_cancel_requested(), status.progress()),
            (status.key().map(ToOwned::to_owned), status.max_attempts()),
            (status.timeout(), status.snoozes(), status.payload_bytes()),
            (status.log().to_vec(), travelled(status.history())),
        )
    };
    assert_eq!(all(here), all(there));
}

#[test]
fn every_way_to_fail_is_the_same_from_afar() {
    let (manager, serving) = serve(named("web-1").handle::<Ending>(end));
    let client = client(&serving);
    let cases = [
        (Ending::Error, Reason::Error),
        (Ending::Permanent, Reason::Permanent),
        (Ending::Panic, Reason::Panicked),
        (Ending::Cancel, Reason::Cancelled),
        (Ending::Snooze, Reason::Error),
    ];
    for (ending, reason) in cases {
        let job = NewJob::new(ending).attempts(2);
        let job = job.backoff(Duration::ZERO, Duration::ZERO);
        let receipt = client.enqueue(job).unwrap();
        let there = client.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(there.output().unwrap_err().reason(), reason);
        let here = manager.completed(&receipt).unwrap().unwrap();
        is_same_end(&here, &there);
        is_same_status(
            &manager.status(&receipt).unwrap(),
            &client.status(&receipt).unwrap(),
        );
    }
}

#[test]
fn a_job_that_has_not_finished_is_the_same_from_afar() {
    let (manager, serving) = still("web-1");
    let client = client(&serving);
    let moment = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let jobs = [
        NewJob::new(echo("ready")).priority(Priority::Urgent),
        NewJob::new(echo("delayed")).delay(Duration::from_secs(60)),
        NewJob::new(echo("at a moment")).run_at(moment),
    ];
    let states = [StateKind::Ready, StateKind::Scheduled, StateKind::Scheduled];
    for (job, state) in jobs.into_iter().zip(states) {
        let receipt = client.enqueue(job).unwrap();
        let there = client.status(&receipt).unwrap();
        assert_eq!(there.state(), state);
        is_same_status(&manager.status(&receipt).unwrap(), &there);
        assert!(client.completed(&receipt).unwrap().is_none());
    }
}

#[test]
fn a_parked_job_is_the_same_from_afar() {
    let (manager, serving) = still("web-1");
    let receipt = manager.enqueue(Tick).unwrap();
    let there = client(&serving).status(&receipt).unwrap();
    assert_eq!(there.parked(), Some(&ParkReason::UnknownName));
    is_same_status(&manager.status(&receipt).unwrap(), &there);
}

#[test]
fn options_travel_with_the_job() {
    let queue = |name: &str| Queue::new(name).workers(0);
    let builder = named("web-1")
        .queue(queue("default"))
        .queue(queue("images"));
    let (manager, serving) = serve(builder.register::<Echo>());
    let client = client(&serving);
    let job = || NewJob::new(echo("a")).queue("images").key("one");
    let first = client.enqueue(job().priority(Priority::High)).unwrap();
    assert!(!first.is_existing());
    let again = client.enqueue(job()).unwrap();
    assert_eq!((&again, again.is_existing()), (&first, true));
    let all = client.enqueue_all([job(), job().key("other")]).unwrap();
    assert_eq!([true, false], [0, 1].map(|n| all[n].is_existing()));
    let status = manager.status(&first).unwrap();
    assert_eq!(
        (status.queue(), status.priority()),
        ("images", Priority::High)
    );
    let other = NewJob::new(echo("b")).queue("images").key("one");
    let conflict = client.enqueue(other).unwrap_err();
    assert_eq!(conflict.key_conflict_with(), Some(first.number()));
    let nowhere = client.enqueue(NewJob::new(echo("b")).queue("nowhere"));
    assert!(nowhere.unwrap_err().is_undeclared_queue());
    let buffered = job().key("two").durability(Durability::Buffered);
    assert_eq!(
        client.enqueue(buffered).unwrap().durability(),
        Durability::Memory
    );
    let buffered = NewJob::new(echo("c")).queue("images");
    let buffered = buffered.durability(Durability::Buffered);
    assert_eq!(
        client.enqueue(buffered).unwrap().durability(),
        Durability::Buffered
    );
}

#[test]
fn a_large_job_goes_round() {
    let (_manager, serving) = host();
    let client = client(&serving);
    let text = "x".repeat(1_000_000);
    let receipt = client.enqueue(echo(&text)).unwrap();
    let done = client.wait(&receipt, PATIENCE).unwrap();
    assert!(*done.output().unwrap() == text);
}

#[test]
fn many_threads_share_a_client() {
    let (manager, serving) = host();
    let client = client(&serving);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = client.clone();
            scope.spawn(move || {
                for job in 0..20 {
                    let text = format!("{thread}/{job}");
                    let receipt = client.enqueue(echo(&text)).unwrap();
                    let done = client.wait(&receipt, PATIENCE).unwrap();
                    assert_eq!(*done.output().unwrap(), text);
                }
            });
        }
    });
    assert_eq!(manager.counts().unwrap().succeeded, 160);
}

#[test]
fn an_empty_batch_asks_nobody() {
    let client = Client::builder("http://127.0.0.1:1").build().unwrap();
    assert_eq!(client.enqueue_all::<Echo>([]).unwrap(), []);
}

#[test]
fn jobs_are_operated_and_listed_from_afar() {
    let (manager, serving) = still("web-1");
    let client = client(&serving);
    let receipts = client.enqueue_all(["a", "b", "c"].map(echo)).unwrap();
    let page = client.jobs("web-1", StateKind::Ready, None, 2).unwrap();
    let listed = page.jobs().iter().map(|job| job.receipt().clone().typed());
    assert_eq!(listed.collect::<Vec<_>>(), receipts[..2]);
    let page = client.jobs("web-1", StateKind::Ready, page.cursor(), 2);
    let page = page.unwrap();
    assert_eq!(page.jobs()[0].number(), receipts[2].number());
    assert_eq!(page.jobs()[0].name(), "echo");
    client.cancel(&receipts[0]).unwrap();
    let state = |receipt| manager.status(receipt).unwrap().state();
    assert_eq!(state(&receipts[0]), StateKind::Cancelled);
    let again = client.cancel(&receipts[0]).unwrap_err();
    assert_eq!(again.illegal_state(), Some(StateKind::Cancelled));
    client.retry(&receipts[0]).unwrap();
    assert_eq!(state(&receipts[0]), StateKind::Ready);
    client.remove(&receipts[1]).unwrap();
    assert!(manager.status(&receipts[1]).unwrap_err().is_pruned());
}

#[test]
fn patience_runs_out_where_the_job_has_not_finished() {
    let (_manager, serving) = still("web-1");
    let client = client(&serving);
    let receipt = client.enqueue(echo("a")).unwrap();
    let error = client.wait(&receipt, Duration::from_millis(50));
    let error = error.err().unwrap();
    assert!(error.is_timed_out());
    assert_eq!(
        error.to_string(),
        "wait for job 1: it has not finished within 50 ms"
    );
}

#[test]
fn what_is_not_there_is_told_apart() {
    let (manager, serving) = still("web-1");
    let client = client(&serving);
    let receipt = client.enqueue(echo("a")).unwrap();
    client.remove(&receipt).unwrap();
    assert!(client.status(&receipt).unwrap_err().is_pruned());
    let (_other, elsewhere) = still("web-1");
    let replaced = self::client(&elsewhere).enqueue(echo("a")).unwrap();
    assert!(client.status(&replaced).unwrap_err().is_replaced());
    let (_other, elsewhere) = still("web-2");
    let peers = self::client(&elsewhere).enqueue(echo("a")).unwrap();
    let error = client.status(&peers).unwrap_err();
    assert!(error.is_other_server());
    assert_eq!(
        error.to_string(),
        format!(
            "look up job 1 at {}: the host answered 421 (other_server): the receipt was given by another \
             server: ask that one (`web-2`)",
            url(&serving)
        )
    );
    let wrong = client.enqueue(echo("b")).unwrap().untyped();
    manager.cancel(&wrong).unwrap();
    let error = client.completed::<Tick>(&wrong.typed()).unwrap_err();
    assert!(error.is_other_type());
}

#[test]
fn a_receipt_leads_to_its_server_through_table_or_pattern() {
    let (_one, first) = still("web-1");
    let (_two, second) = still("web-2");
    let one = client(&first).enqueue(echo("a")).unwrap();
    let two = client(&second).enqueue(echo("a")).unwrap();
    let asks = |client: ClientBuilder| {
        let client = client.build().unwrap();
        assert_eq!(client.status(&one).unwrap().state(), StateKind::Ready);
        assert_eq!(client.status(&two).unwrap().state(), StateKind::Ready);
    };
    let nowhere = || Client::builder("http://127.0.0.1:1");
    let table = nowhere().server("web-1", url(&first));
    asks(table.server("web-2", url(&second)));
    // The table counts before the pattern, which here leads to one path of a host.
    let pattern = nowhere().servers("http://127.0.0.1:1/{server}");
    asks(
        pattern
            .server("web-1", url(&first))
            .server("web-2", url(&second)),
    );
    // Without either, each host of the pool may be the one.
    asks(Client::builder(Pool::hosts([url(&first), url(&second)])));
}

#[test]
fn a_server_that_nobody_knows_is_not_asked() {
    let (_manager, serving) = still("web-1");
    let receipt = client(&serving).enqueue(echo("a")).unwrap();
    let client = Client::builder("http://127.0.0.1:1");
    let client = client.server("web-2", url(&serving)).build().unwrap();
    let error = client.status(&receipt).unwrap_err();
    assert!(error.is_unknown_server());
    assert_eq!(
        error.to_string(),
        "look up job 1: nothing is known of server `web-1`: name it with `ClientBuilder::server`, or \
         give a pattern with `servers`"
    );
}

/// The receipt that somebody made up for a server of that name.
fn forged(server: &str) -> Result<Receipt<Echo>, Error> {
    let mut bytes = [vec![1, 0], vec![0; 32], server.into(), vec![0; 16]].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    let text = data_encoding::BASE64URL_NOPAD.encode(&bytes);
    text.parse()
}

#[test]
fn a_forged_name_of_a_server_leads_nowhere() {
    let client = Client::builder("http://127.0.0.1:1").servers("http://127.0.0.1:1/hosts/{server}");
    let client = client.build().unwrap();
    let long = "x".repeat(65);
    let names = [
        "", "a/b", "a@b", "a:1", "a b", "\u{e4}", "a?b", "a#b", "a\nb", &long,
    ];
    for name in names {
        let error = forged(name).unwrap_err();
        assert!(error.is_bad_receipt(), "{name}: {error}");
    }
    let status = |name| client.status(&forged(name).unwrap()).unwrap_err();
    for name in [".", ".."] {
        assert!(status(name).is_unknown_server(), "{name}");
    }
    assert!(status("web-1").is_unreachable());
}

#[test]
fn jobs_go_to_the_pool_of_their_name_then_of_their_queue_then_to_the_first() {
    let jobs = |builder: Builder| {
        let queue = |name: &str| Queue::new(name).workers(0);
        let builder = builder.queue(queue("default")).queue(queue("images"));
        serve(builder.register::<Echo>().handle::<Tick>(|_, _| Ok(())))
    };
    let (_first, first) = jobs(named("first"));
    let (_by_job, by_job) = jobs(named("by-job"));
    let (_by_queue, by_queue) = jobs(named("by-queue"));
    let client = builder(&first)
        .pool(Pool::host(url(&by_queue)).queue("images"))
        .pool(Pool::host(url(&by_job)).job("tick"))
        .build()
        .unwrap();
    let went = |receipt: Receipt| receipt.server().to_owned();
    assert_eq!(went(client.enqueue(echo("a")).unwrap().untyped()), "first");
    let image = || NewJob::new(echo("a")).queue("images");
    assert_eq!(went(client.enqueue(image()).unwrap().untyped()), "by-queue");
    let tick = NewJob::new(Tick).queue("images");
    assert_eq!(went(client.enqueue(tick).unwrap().untyped()), "by-job");
    let error = client.enqueue_all([NewJob::new(echo("a")), image()]);
    assert_eq!(
        error.unwrap_err().to_string(),
        format!(
            "enqueue 2 jobs: some of them go to pool {} and some to pool {}, which cannot accept all or \
             none: enqueue them apart",
            url(&first),
            url(&by_queue)
        )
    );
}
