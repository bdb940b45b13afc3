//! What an observer hears.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::event::Event;
use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Context, Health, JobError, Manager, NewJob, Observer, Queue, StateKind, Timestamp,
    event,
};
use jobkeep_store::Key;
use jobkeep_store::conformance::{Fault, Faults, Lasting, Operation};

use crate::damage::damage;
use crate::parking::Reshaped;
use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::retrying::until;
use crate::suspecting::park_as_crashing;

/// Writes down what it hears.
struct Recorder(Mutex<Sender<String>>);

impl Recorder {
    fn new() -> (Self, Heard) {
        let (sender, heard) = channel();
        (Self(Mutex::new(sender)), Heard(heard))
    }

    fn say(&self, line: String) {
        // The test may have ended before.
        let _ = self.0.lock().unwrap().send(line);
    }
}

fn due(due: Option<Timestamp>) -> String {
    due.map_or("at once".into(), |due| format!("due {due}"))
}

impl Observer for Recorder {
    fn accepted(&self, event: &event::Accepted) {
        let (job, name, queue) = (event.job(), event.name(), event.queue());
        let (at, due) = (event.at(), due(event.due()));
        self.say(format!("{at}: accepted {job} {name} {queue}, {due}"));
    }

    fn started(&self, event: &event::Started) {
        let (job, attempt, thread) = (event.job(), event.attempt(), event.thread());
        self.say(format!(
            "{}: started {job}, {attempt} on {thread}",
            event.at()
        ));
    }

    fn finished(&self, event: &event::Finished) {
        let (job, state, attempts) = (event.job(), event.state(), event.attempts());
        let failure = event.failure().map(|failure| format!(": {failure}"));
        let failure = failure.unwrap_or_default();
        self.say(format!(
            "{}: {state} {job} after {attempts}{failure}",
            event.at()
        ));
    }

    fn retried(&self, event: &event::Retried) {
        let (job, attempts, error) = (event.job(), event.attempts(), event.error());
        let (at, due) = (event.at(), due(event.due()));
        self.say(format!(
            "{at}: retried {job} after {attempts}, {error:?}, {due}"
        ));
    }

    fn parked(&self, event: &event::Parked) {
        let (job, name, queue) = (event.job(), event.name(), event.queue());
        self.say(format!(
            "parked {job} `{name}` {queue}, {:?}",
            event.reason()
        ));
    }

    fn paused(&self, event: &event::Paused) {
        self.say(format!("{}: paused {}", event.at(), event.queue()));
    }

    fn resumed(&self, event: &event::Resumed) {
        self.say(format!("{}: resumed {}", event.at(), event.queue()));
    }

    fn snoozed(&self, event: &event::Snoozed) {
        let (at, job, due) = (event.at(), event.job(), event.due());
        self.say(format!("{at}: snoozed {job}, due {due}"));
    }

    fn lost(&self, event: &event::Lost) {
        let (total, accepted) = (event.total(), event.accepted());
        self.say(format!("lost {total}, {accepted} of them accepted"));
    }
}

/// What the observer heard.
struct Heard(Receiver<String>);

impl Heard {
    fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).unwrap()
    }

    fn expect(&self, lines: &[String]) {
        for line in lines {
            assert_eq!(self.next(), *line);
        }
    }

    /// All that was heard until the observer was let go of.
    fn rest(self) -> Vec<String> {
        let rest = std::iter::from_fn(|| self.0.recv_timeout(PATIENCE).ok());
        rest.collect()
    }
}

/// A manager with one worker, its clock, and what its observer hears.
fn observed(
    place: &dyn Place,
    run: impl Fn(&mut Work, &Context) -> Result<String, JobError> + Send + Sync + 'static,
) -> (Manager, ManualClock, Heard) {
    let (recorder, heard) = Recorder::new();
    let clock = ManualClock::new();
    let manager = one_worker(place)
        .handle::<Work>(run)
        .clock(clock.clone())
        .observer(recorder)
        .start()
        .unwrap();
    (manager, clock, heard)
}

pub(crate) fn an_observer_hears_the_life_of_a_job(place: &dyn Place) {
    let (manager, clock, heard) = observed(place, |_, ctx| match ctx.attempt() {
        1 => Err(JobError::retry_after(SECOND, "first")),
        2 => Err(JobError::permanent("second")),
        _ => Ok(String::new()),
    });
    let t0 = clock.wall();
    let (t1, t2) = (t0.after(HOUR), t0.after(HOUR + SECOND));
    manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    heard.expect(&[format!("{t0}: accepted 1 work default, due {t1}")]);
    clock.advance(HOUR);
    heard.expect(&[
        format!("{t1}: started 1, 1 on default-worker-1"),
        format!("{t1}: retried 1 after 1, Some(\"first\"), due {t2}"),
    ]);
    clock.advance(SECOND);
    heard.expect(&[
        format!("{t2}: started 1, 2 on default-worker-1"),
        format!("{t2}: failed 1 after 2: the job failed at attempt 2: second"),
    ]);
    drop(manager);
    assert!(heard.rest().is_empty());
}

pub(crate) fn a_snooze_and_a_retry_by_an_operator_are_told(place: &dyn Place) {
    let (manager, clock, heard) = observed(place, |work, _| {
        work.runs += 1;
        match work.runs {
            1 => Err(JobError::snooze(SECOND)),
            _ => Ok(String::new()),
        }
    });
    let t0 = clock.wall();
    let t1 = t0.after(SECOND);
    let receipt = manager.enqueue(work("a")).unwrap();
    heard.expect(&[
        format!("{t0}: accepted 1 work default, at once"),
        format!("{t0}: started 1, 1 on default-worker-1"),
        format!("{t0}: snoozed 1, due {t1}"),
    ]);
    clock.advance(SECOND);
    heard.expect(&[
        format!("{t1}: started 1, 1 on default-worker-1"),
        format!("{t1}: succeeded 1 after 1"),
    ]);
    manager.retry(&receipt).unwrap();
    heard.expect(&[
        format!("{t1}: retried 1 after 0, None, at once"),
        format!("{t1}: started 1, 1 on default-worker-1"),
        format!("{t1}: succeeded 1 after 1"),
    ]);
}

pub(crate) fn a_cancellation_is_told(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let (manager, clock, heard) = observed(place, move |work, _| {
        inside.enter(&work.label);
        Err(JobError::new("stopped"))
    });
    let at = clock.wall();
    let running = manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.cancel(&running).unwrap();
    let waiting = manager.enqueue(NewJob::new(work("b")).delay(HOUR)).unwrap();
    manager.cancel(&waiting).unwrap();
    door.open(1);
    heard.expect(&[
        format!("{at}: accepted 1 work default, at once"),
        format!("{at}: started 1, 1 on default-worker-1"),
        format!("{at}: accepted 2 work default, due {}", at.after(HOUR)),
        format!("{at}: cancelled 2 after 0: the job was cancelled: before it ran"),
        format!("{at}: cancelled 1 after 1: the job was cancelled: stopped"),
    ]);
}

pub(crate) fn a_parked_job_is_told_with_the_reason(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let unreadable = manager.enqueue(work("x".repeat(2_000))).unwrap();
    manager.enqueue(work("a")).unwrap();
    drop(manager);
    damage(place, Key::body(unreadable.number()));
    let (recorder, heard) = Recorder::new();
    let manager = one_worker(place)
        .handle::<Reshaped>(|_, _| Ok(0))
        .observer(recorder)
        .start()
        .unwrap();
    assert_eq!(
        heard.next(),
        "parked 1 `` default, Unreadable(\"the bytes do not decode: InvalidIntegerType { \
         expected: U64, found: Reserved }\")"
    );
    assert!(heard.next().ends_with("started 2, 1 on default-worker-1"));
    assert_eq!(
        heard.next(),
        "parked 2 `work` default, Undecodable(\"missing field `lines` at line 1 column 22\")"
    );
    drop(manager);
    assert!(heard.rest().is_empty());
}

pub(crate) fn what_a_start_cannot_run_is_told(place: &dyn Place) {
    let waits = NewJob::new(work("waits")).delay(HOUR);
    let waits = one_worker(place).start().unwrap().enqueue(waits).unwrap();
    let receipts = park_as_crashing(place, &ManualClock::new());
    // Neither its queue nor its name is known to the next start.
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(0))
        .queue(Queue::new("mail"));
    let (recorder, heard) = Recorder::new();
    let manager = builder.observer(recorder).start().unwrap();
    let other = manager.enqueue(Other { amount: 7 }).unwrap().number();
    let mail = NewJob::new(work("mail")).queue("mail");
    let mail = manager.enqueue(mail).unwrap().number();
    drop(manager);
    let (a, waits) = (receipts[0].number(), waits.number());
    let unknown = |number, name| format!("parked {number} `{name}` default, UnknownName");
    let crashing = format!("parked {a} `work` default, Crashing(4)");
    let heard: Vec<_> = heard
        .rest()
        .into_iter()
        .filter(|line| line.starts_with("parked"))
        .collect();
    // What was in flight comes last. A job just accepted is told by the next start.
    let expected = [unknown(waits, "work"), unknown(a, "work")];
    assert_eq!(heard, expected);

    let (recorder, heard) = Recorder::new();
    let manager = succeeding(one_worker(place))
        .observer(recorder)
        .start()
        .unwrap();
    drop(manager);
    let heard: Vec<_> = heard
        .rest()
        .into_iter()
        .filter(|line| line.starts_with("parked"))
        .collect();
    let expected = [
        crashing,
        unknown(other, "other"),
        format!("parked {mail} `work` mail, UnknownQueue"),
    ];
    assert_eq!(heard, expected);
}

pub(crate) fn a_start_tells_the_first_of_very_many_jobs_that_it_cannot_run(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    manager.enqueue_all((0..1_100).map(|_| work("a"))).unwrap();
    drop(manager);
    let (recorder, heard) = Recorder::new();
    let manager = one_worker(place).observer(recorder).start().unwrap();
    let line = "1100 jobs cannot run here: 1100 `work` (no handler)";
    assert_eq!(manager.recovery().parked.to_string(), line);
    drop(manager);
    let heard = heard.rest();
    assert_eq!(heard.len(), 1_000);
    assert_eq!(heard[999], "parked 1000 `work` default, UnknownName");
}

pub(crate) fn every_job_of_a_large_batch_is_told(place: &dyn Place) {
    let (recorder, heard) = Recorder::new();
    let manager = Manager::builder(place.open())
        .queue(Queue::new("default").workers(0))
        .observer(recorder)
        .start()
        .unwrap();
    manager.enqueue_all((0..10_000).map(|_| work("a"))).unwrap();
    for number in 1..=10_000 {
        let line = heard.next();
        assert!(
            line.ends_with(&format!("accepted {number} work default, at once")),
            "{line}"
        );
    }
    drop(manager);
    assert!(heard.rest().is_empty());
}

pub(crate) fn a_job_that_was_there_already_is_not_told_again(place: &dyn Place) {
    let (manager, clock, heard) = observed(place, |_, _| Ok(String::new()));
    let at = clock.wall();
    let keyed = || NewJob::new(work("a")).delay(HOUR).key("k");
    manager.enqueue_all([keyed(), keyed()]).unwrap();
    manager.enqueue(keyed()).unwrap();
    drop(manager);
    let due = at.after(HOUR);
    assert_eq!(
        heard.rest(),
        [format!("{at}: accepted 1 work default, due {due}")]
    );
}

pub(crate) fn pauses_are_told_where_they_change_something(place: &dyn Place) {
    let (manager, clock, heard) = observed(place, |_, _| Ok(String::new()));
    let at = clock.wall();
    manager.resume("default").unwrap();
    for _ in 0..2 {
        manager.pause("default").unwrap();
    }
    for _ in 0..2 {
        manager.resume("default").unwrap();
    }
    drop(manager);
    let lines = ["paused", "resumed"].map(|act| format!("{at}: {act} default"));
    assert_eq!(heard.rest(), lines);
}

pub(crate) fn what_was_not_committed_is_not_told(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let (recorder, heard) = Recorder::new();
    let manager = succeeding(Manager::builder(store))
        .observer(recorder)
        .start()
        .unwrap();
    faults.arm(Fault::next(Operation::Commit));
    assert!(manager.enqueue(work("a")).is_err());
    drop(manager);
    assert!(heard.rest().is_empty());
}

/// Hears of the first job at the door, and of the others as they come.
struct AtTheDoor(Door, Recorder);

impl Observer for AtTheDoor {
    fn accepted(&self, event: &event::Accepted) {
        if event.job().0 == 1 {
            self.0.enter("observer");
        }
        self.1.say(event.job().to_string());
    }

    fn lost(&self, event: &event::Lost) {
        self.1.lost(event);
    }
}

fn at_the_door(builder: Builder) -> (Manager, Door, Heard) {
    let (recorder, heard) = Recorder::new();
    let door = Door::new();
    let manager = builder
        .queue(Queue::new("default").workers(0))
        .observer(AtTheDoor(door.clone(), recorder))
        .start()
        .unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    (manager, door, heard)
}

pub(crate) fn a_slow_observer_holds_nobody_up_and_learns_what_it_lost(place: &dyn Place) {
    let (manager, door, heard) = at_the_door(Manager::builder(place.open()));
    manager.enqueue_all((0..5_000).map(|_| work("a"))).unwrap();
    manager.enqueue_all((0..900).map(|_| work("a"))).unwrap();
    manager.pause("default").unwrap();
    door.open(1);
    for number in 1..=5_001 {
        assert_eq!(heard.next(), number.to_string());
    }
    assert_eq!(heard.next(), "lost 901, 900 of them accepted");
    manager.enqueue(work("a")).unwrap();
    assert_eq!(heard.next(), "5902");
}

/// Counts what it hears and what it lost, by kind: accepted, succeeded, failed, snoozed.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<[u64; 4]>>);

impl Counts {
    fn add(&self, place: usize, count: u64) {
        self.0.lock().unwrap()[place] += count;
    }
}

impl Observer for Counts {
    fn accepted(&self, _: &event::Accepted) {
        self.add(0, 1);
    }

    fn finished(&self, event: &event::Finished) {
        self.add(
            if event.state() == StateKind::Failed {
                2
            } else {
                1
            },
            1,
        );
    }

    fn snoozed(&self, _: &event::Snoozed) {
        self.add(3, 1);
    }

    fn lost(&self, event: &event::Lost) {
        self.add(0, event.accepted());
        self.add(1, event.finished(StateKind::Succeeded));
        self.add(2, event.finished(StateKind::Failed));
        self.add(3, event.snoozed());
        assert_eq!(event.finished(StateKind::Cancelled) + event.others(), 0);
    }
}

pub(crate) fn what_is_heard_and_what_is_lost_make_up_what_happened(place: &dyn Place) {
    let (counts, door) = (Counts::default(), Door::new());
    let (inside, waits) = (door.clone(), Mutex::new(true));
    let manager = Manager::builder(place.open())
        .queue(Queue::new("default").workers(2))
        .handle::<Work>(|work, _| {
            work.runs += 1;
            match (work.label.as_str(), work.runs) {
                ("snoozes", 1) => Err(JobError::snooze(Duration::ZERO)),
                ("fails", _) => Err(JobError::permanent("no")),
                _ => Ok(String::new()),
            }
        })
        .observer(counts.clone())
        // One that holds up nobody, the other one neither.
        .observer(move |_: &Event| {
            if std::mem::take(&mut *waits.lock().unwrap()) {
                inside.enter("waits");
            }
        })
        .start()
        .unwrap();
    for _ in 0..3 {
        let labels = ["succeeds", "fails", "snoozes"]
            .into_iter()
            .cycle()
            .take(3_000);
        manager.enqueue_all(labels.map(work)).unwrap();
    }
    while manager.counts().unwrap().ready + manager.counts().unwrap().running > 0 {
        std::thread::yield_now();
    }
    door.open(1);
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(*counts.0.lock().unwrap(), [9_000, 6_000, 3_000, 3_000]);
}

pub(crate) fn every_job_that_follows_is_told(place: &dyn Place) {
    let counts = Counts::default();
    let manager = one_worker(place)
        .handle::<Work>(|_, ctx| {
            let next = (0..10_000).map(|amount| NewJob::new(Other { amount }).delay(HOUR));
            ctx.enqueue_all(next)?;
            Ok(String::new())
        })
        .observer(counts.clone())
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(*counts.0.lock().unwrap(), [10_001, 1, 0, 0]);
}

pub(crate) fn an_event_tells_how_long_a_job_waited_and_ran(place: &dyn Place) {
    let clock = ManualClock::new();
    let (said, heard) = channel();
    let (said, run) = (Mutex::new(said), clock.clone());
    let tell = move |event: &Event| {
        let line = match event {
            Event::Started(event) => format!("started after {:?}", event.waited()),
            Event::Retried(event) => format!("retried {:?} {:?}", event.duration(), event.waited()),
            Event::Snoozed(event) => format!("snoozed {:?} {:?}", event.duration(), event.waited()),
            Event::Finished(event) => {
                let (state, began) = (event.state(), event.started());
                format!(
                    "{state} {began:?} {:?} {:?}",
                    event.duration(),
                    event.waited()
                )
            }
            _ => return,
        };
        let _ = said.lock().unwrap().send(line);
    };
    let manager = one_worker(place)
        .clock(clock.clone())
        .handle::<Work>(move |work, _| {
            run.advance(2 * SECOND);
            work.runs += 1;
            match work.runs {
                1 => Err(JobError::retry_after(SECOND, "no")),
                2 => Err(JobError::snooze(SECOND)),
                _ => Ok(String::new()),
            }
        })
        .observer(tell)
        .start()
        .unwrap();
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    manager.pause("default").unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    clock.advance(SECOND);
    manager.resume("default").unwrap();
    assert_eq!(next(), "started after 1s");
    assert_eq!(next(), "retried Some(2s) Some(1s)");
    clock.advance(HOUR);
    let late = HOUR - SECOND;
    assert_eq!(next(), format!("started after {late:?}"));
    assert_eq!(next(), format!("snoozed Some(2s) Some({late:?})"));
    clock.advance(SECOND);
    assert_eq!(next(), "started after 0ns");
    manager.wait(&receipt, PATIENCE).unwrap();
    let began = Timestamp(clock.wall().0 - 2_000);
    assert_eq!(
        next(),
        format!("succeeded {:?} Some(2s) Some(0ns)", Some(began))
    );
    manager.retry(&receipt).unwrap();
    // Somebody's call, and no attempt.
    assert_eq!(next(), "retried None None");
}

/// Panics at every event, having heard it.
struct Panicking(Recorder);

impl Observer for Panicking {
    fn accepted(&self, event: &event::Accepted) {
        self.0.say(event.job().to_string());
        panic!("an observer's bug");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        panic!("another bug of the observer");
    }
}

pub(crate) fn an_observer_that_panics_harms_nothing(place: &dyn Place) {
    let (recorder, heard) = Recorder::new();
    let manager = succeeding(one_worker(place))
        .observer(Panicking(recorder))
        .start()
        .unwrap();
    for number in 1..=2 {
        let receipt = manager.enqueue(work("a")).unwrap();
        manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(heard.next(), number.to_string());
    }
    let report = manager.shutdown(PATIENCE).unwrap();
    assert!(report.unrecorded.is_empty());
    assert!(heard.rest().is_empty());
}

pub(crate) fn a_shutdown_waits_for_the_last_event(place: &dyn Place) {
    let (manager, door, heard) = at_the_door(Manager::builder(place.open()));
    manager.enqueue(work("b")).unwrap();
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        while manager.counts().is_ok() {
            std::thread::yield_now();
        }
        assert!(!shutdown.is_finished());
        door.open(1);
        shutdown.join().unwrap();
    });
    let told: Vec<_> = heard.0.try_iter().collect();
    assert_eq!(told, ["1", "2"]);
}

pub(crate) fn a_shutdown_leaves_an_observer_behind_that_does_not_return(place: &dyn Place) {
    let (manager, door, heard) = at_the_door(Manager::builder(place.open()));
    manager.shutdown(Duration::ZERO).unwrap();
    drop(one_worker(place).start().unwrap());
    assert!(heard.0.try_recv().is_err());
    door.open(1);
    assert_eq!(heard.rest(), ["1"]);
}

/// Shuts down the manager that it holds when a job has finished.
struct Ending(Arc<Mutex<Option<Manager>>>, Recorder);

impl Observer for Ending {
    fn finished(&self, event: &event::Finished) {
        let manager = self.0.lock().unwrap().take().unwrap();
        assert_eq!(manager.counts().unwrap().succeeded, 1);
        manager.shutdown(PATIENCE).unwrap();
        self.1.say(event.job().to_string());
    }
}

pub(crate) fn an_observer_may_hold_the_manager_and_end_it(place: &dyn Place) {
    let (recorder, heard) = Recorder::new();
    let held = Arc::new(Mutex::new(None));
    let manager = succeeding(one_worker(place))
        .observer(Ending(Arc::clone(&held), recorder))
        .start()
        .unwrap();
    *held.lock().unwrap() = Some(manager.clone());
    manager.enqueue(work("a")).unwrap();
    drop(manager);
    assert_eq!(heard.rest(), ["1"]);
    drop(one_worker(place).start().unwrap());
}

pub(crate) fn several_observers_hear_the_same(place: &dyn Place) {
    let (one, two) = (Recorder::new(), Recorder::new());
    let manager = succeeding(one_worker(place))
        .observer(one.0)
        .observer(two.0)
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    let heard = one.1.rest();
    assert_eq!((heard.len(), &heard), (3, &two.1.rest()));
}

struct Degradation(Mutex<Sender<String>>);

impl Observer for Degradation {
    fn degraded(&self, event: &event::Degraded) {
        assert!(!event.is_poisoned());
        let text = format!("{}: {}", event.at(), event.cause());
        self.0.lock().unwrap().send(text).unwrap();
    }

    fn recovered(&self, event: &event::Recovered) {
        let text = format!("{}: recovered", event.at());
        self.0.lock().unwrap().send(text).unwrap();
    }
}

/// A manager whose store can be made to refuse, and what its observer hears of that.
fn degrading(place: &dyn Place) -> (Manager, Faults, ManualClock, Receiver<String>) {
    let store = place.open();
    let faults = store.faults();
    let (said, heard) = channel();
    let clock = ManualClock::new();
    let manager = Manager::builder(store)
        .clock(clock.clone())
        .observer(Degradation(Mutex::new(said)))
        .start()
        .unwrap();
    (manager, faults, clock, heard)
}

pub(crate) fn an_observer_hears_that_the_store_refuses(place: &dyn Place) {
    let (manager, faults, clock, heard) = degrading(place);
    let full = Fault::next(Operation::Commit).full();
    faults.arm(full.lasting(Lasting::UntilDisarmed));
    let error = manager.enqueue(work("a")).unwrap_err();
    let cause = error.as_store().unwrap();
    let text = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(text, format!("{}: {cause}", clock.wall()));
}

/// The attempt succeeded, and its job did not.
pub(crate) fn a_success_that_ends_otherwise_for_a_key_is_told_as_it_ended(place: &dyn Place) {
    let (manager, clock, heard) = observed(place, |_, ctx| {
        ctx.enqueue(NewJob::new(Other { amount: 1 }).key("k"))?;
        Ok(String::new())
    });
    let at = clock.wall();
    let key_held = NewJob::new(Other { amount: 2 }).key("k");
    manager.enqueue(key_held).unwrap();
    let job = NewJob::new(work("a"))
        .attempts(2)
        .backoff(Duration::ZERO, Duration::ZERO);
    manager.enqueue(job).unwrap();
    let error = "enqueue job `other` with key `k`: job 1 holds this key with another payload: use \
                 another key, or the same payload";
    heard.expect(&[
        format!("{at}: accepted 1 other default, at once"),
        format!("{at}: accepted 2 work default, at once"),
        format!("{at}: started 2, 1 on default-worker-1"),
        format!("{at}: retried 2 after 1, Some(\"{error}\"), due {at}"),
        format!("{at}: started 2, 2 on default-worker-1"),
        format!("{at}: failed 2 after 2: the job failed at attempt 2: {error}"),
    ]);
    drop(manager);
    assert!(heard.rest().is_empty());
}

pub(crate) fn what_is_written_at_the_second_try_is_told_once(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let (recorder, heard) = Recorder::new();
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(Manager::builder(store), &door)
        .queue(Queue::new("default").workers(1))
        .clock(clock.clone())
        .observer(recorder)
        .start()
        .unwrap();
    let at = clock.wall();
    let refused_once = || faults.arm(Fault::next(Operation::Commit).full());
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    refused_once();
    manager.pause("default").unwrap();
    refused_once();
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    refused_once();
    manager.retry(&receipt).unwrap();
    refused_once();
    manager.cancel(&receipt).unwrap();
    drop(manager);
    let expected = [
        "accepted 1 work default, at once",
        "started 1, 1 on default-worker-1",
        "paused default",
        "succeeded 1 after 1",
        "retried 1 after 0, None, at once",
        "cancelled 1 after 0: the job was cancelled: before it ran",
    ];
    assert_eq!(heard.rest(), expected.map(|line| format!("{at}: {line}")));
}

pub(crate) fn that_the_store_refuses_is_told_once_until_it_works_again(place: &dyn Place) {
    let (manager, faults, clock, heard) = degrading(place);
    let mut expected = Vec::new();
    for _ in 0..2 {
        let full = Fault::next(Operation::Commit).full();
        faults.arm(full.lasting(Lasting::UntilDisarmed));
        let error = manager.enqueue(work("a")).unwrap_err();
        let cause = error.as_store().unwrap();
        expected.push(format!("{}: {cause}", clock.wall()));
        let tried = faults.count(Operation::Commit);
        clock.advance(SECOND);
        while faults.count(Operation::Commit) == tried {
            std::thread::yield_now();
        }
        // The turn that tried has ended with the next answer.
        manager.counts().unwrap();
        faults.disarm();
        clock.advance(2 * SECOND);
        while manager.health() != Health::Working {
            std::thread::yield_now();
        }
        expected.push(format!("{}: recovered", clock.wall()));
    }
    drop(manager);
    let told: Vec<_> = heard.iter().collect();
    assert_eq!(told, expected);
}
