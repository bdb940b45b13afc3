use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Codec, Enqueue, Job, Manager, NewJob, Policy, Queue, QueueStore, Receipt, Retention,
    StateKind, verify,
};
use jobkeep_store::conformance::Operation;
use jobkeep_store::{Key, Space};
use serde::{Deserialize, Serialize};

use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::retention::settled;

fn keyed(label: &str, key: &str) -> NewJob<Work> {
    NewJob::new(work(label)).key(key)
}

/// A manager that runs nothing, so that every job stays where it is.
fn idle(place: &dyn Place) -> Manager {
    one_worker(place).start().unwrap()
}

pub(crate) fn the_same_key_gives_the_same_receipt_and_writes_nothing(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = succeeding(builder).start().unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    // A turn that knows of the end, so that nothing is left to be written.
    assert_eq!(manager.counts().unwrap().succeeded, 1);
    let commits = faults.count(Operation::Commit);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    let again = [keyed("a", "k"), keyed("a", "k")];
    assert_eq!(
        manager.enqueue_all(again).unwrap(),
        [first.clone(), first.clone()]
    );
    assert_eq!(faults.count(Operation::Commit), commits);
    assert_eq!(manager.counts().unwrap().succeeded, 1);
    // The numbers that the three would have had belong to nobody.
    assert_eq!(manager.enqueue(work("next")).unwrap().number().0, 5);
}

pub(crate) fn a_key_with_another_payload_is_refused_and_names_the_job(place: &dyn Place) {
    let manager = idle(place);
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    let error = manager.enqueue(keyed("b", "k")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "enqueue job `work` with key `k`: job 1 holds this key with another payload: use another \
         key, or the same payload"
    );
    assert_eq!(error.key_conflict_with(), Some(first.number()));
}

pub(crate) fn keys_are_exact_within_one_batch(place: &dyn Place) {
    let manager = idle(place);
    let batch = [
        keyed("a", "k"),
        NewJob::new(work("b")),
        keyed("a", "k"),
        keyed("c", "l"),
    ];
    let receipts = manager.enqueue_all(batch).unwrap();
    let numbers: Vec<_> = receipts.iter().map(|receipt| receipt.number().0).collect();
    assert_eq!(numbers, [1, 2, 1, 4]);
    assert_eq!(manager.counts().unwrap().parked, 3);
}

pub(crate) fn a_conflict_within_a_batch_refuses_all_of_it(place: &dyn Place) {
    let manager = idle(place);
    let batch = [NewJob::new(work("x")), keyed("a", "k"), keyed("b", "k")];
    let error = manager.enqueue_all(batch).unwrap_err();
    assert_eq!(error.key_conflict_with().map(|job| job.0), Some(2));
    assert_eq!(manager.counts().unwrap().parked, 0);
    assert_eq!(manager.enqueue(keyed("b", "k")).unwrap().number().0, 4);
}

pub(crate) fn a_batch_that_is_refused_says_for_which_of_its_jobs(place: &dyn Place) {
    let manager = one_worker(place).payload_limit(1_000).start().unwrap();
    manager.enqueue(keyed("a", "k")).unwrap();
    let fine = || NewJob::new(work("x"));
    let too_large = NewJob::new(work("x".repeat(2_000)));
    for (batch, index, text) in [
        (
            vec![fine(), keyed("b", "k")],
            1,
            "job 1 holds this key with another payload",
        ),
        (
            vec![keyed("b", "l"), fine(), keyed("c", "l")],
            2,
            "a job before it, which is to be accepted with it, has this key with another payload",
        ),
        (
            vec![fine(), fine(), fine().queue("none")],
            2,
            "no such queue is declared",
        ),
        (vec![too_large, fine()], 0, "the limit is 1000"),
    ] {
        let error = manager.enqueue_all(batch).unwrap_err();
        assert_eq!(error.batch_index(), Some(index), "{error}");
        let beginning = format!("job {} of the batch: enqueue job `work`", index + 1);
        let text_of = error.to_string();
        assert!(
            text_of.starts_with(&beginning) && text_of.contains(text),
            "{error}"
        );
    }
    // Of a single one there is nothing to say.
    let error = manager.enqueue(keyed("b", "k")).unwrap_err();
    assert_eq!(error.batch_index(), None);
    assert_eq!(manager.counts().unwrap().parked, 1);
}

pub(crate) fn a_key_belongs_to_its_job_type(place: &dyn Place) {
    let manager = idle(place);
    let work = manager.enqueue(keyed("a", "k")).unwrap();
    let other = manager
        .enqueue(NewJob::new(Other { amount: 1 }).key("k"))
        .unwrap();
    assert_ne!(work.number(), other.number());
}

pub(crate) fn a_key_is_held_after_the_end_and_then_let_go(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    clock.advance(24 * HOUR - SECOND);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    clock.advance(SECOND);
    let second = manager.enqueue(keyed("b", "k")).unwrap();
    assert_ne!(second, first);
    // The first one's end no longer speaks of the key.
    clock.advance(SECOND);
    assert_eq!(manager.enqueue(keyed("b", "k")).unwrap(), second);
}

pub(crate) fn a_key_survives_a_restart(place: &dyn Place) {
    let manager = idle(place);
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    manager.wait(&first, PATIENCE).unwrap();
    drop(manager);
    let manager = idle(place);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    assert!(manager.enqueue(keyed("b", "k")).is_err());
}

pub(crate) fn many_threads_with_one_key_get_one_job(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let numbers = std::thread::scope(|scope| {
        let enqueue = || manager.enqueue(keyed("a", "k")).unwrap().number().0;
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(enqueue)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    assert_eq!(numbers, [1; 16]);
    assert_eq!(manager.enqueue(work("next")).unwrap().number().0, 17);
}

pub(crate) fn a_key_is_let_go_after_a_restart(place: &dyn Place) {
    let clock = ManualClock::new();
    let start = || succeeding(one_worker(place)).clock(clock.clone()).start();
    let manager = start().unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    drop(manager);
    clock.advance(24 * HOUR - SECOND);
    let manager = start().unwrap();
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    drop(manager);
    clock.advance(SECOND);
    let manager = start().unwrap();
    let second = manager.enqueue(keyed("b", "k")).unwrap();
    assert_eq!(second.number().0, 2);
}

pub(crate) fn a_job_that_does_not_end_holds_its_key_for_ever(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place).clock(clock.clone()).start().unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    clock.advance(10_000 * HOUR);
    settled(&manager);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
}

pub(crate) fn a_cancelled_job_holds_its_key_as_others_do(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place).clock(clock.clone()).start().unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.cancel(&first).unwrap();
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    clock.advance(24 * HOUR);
    assert_ne!(manager.enqueue(keyed("a", "k")).unwrap(), first);
}

pub(crate) fn a_removed_job_lets_its_key_go_at_once(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let finished = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&finished, PATIENCE).unwrap();
    manager.remove(&finished).unwrap();
    let waiting = keyed("b", "k").delay(HOUR);
    let waiting = manager.enqueue(waiting).unwrap();
    assert_ne!(waiting, finished);
    manager.remove(&waiting).unwrap();
    let last = manager.enqueue(keyed("c", "k")).unwrap();
    manager.wait(&last, PATIENCE).unwrap();
    manager.remove(&last).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(rows(place, Space::Unique), 0);
}

pub(crate) fn a_pruned_job_still_holds_its_key(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = succeeding(one_worker(place)).clock(clock.clone());
    let builder = builder.retention(Retention::new().successes(HOUR));
    let manager = builder.start().unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    clock.advance(2 * HOUR);
    settled(&manager);
    assert!(manager.completed(&first).unwrap_err().is_pruned());
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    clock.advance(22 * HOUR);
    assert_ne!(manager.enqueue(keyed("a", "k")).unwrap(), first);
}

pub(crate) fn a_retried_job_holds_its_key_until_its_last_end_is_old(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(one_worker(place), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    door.open(1);
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    clock.advance(23 * HOUR);
    manager.retry(&first).unwrap();
    // The first end is long past, and says nothing of a job that lives.
    clock.advance(23 * HOUR);
    settled(&manager);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    door.open(1);
    manager.wait(&first, PATIENCE).unwrap();
    clock.advance(24 * HOUR - SECOND);
    settled(&manager);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    clock.advance(SECOND);
    settled(&manager);
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(rows(place, Space::Unique), 0);
    assert_eq!(rows(place, Space::ExpiringKeys), 0);
}

pub(crate) fn a_job_whose_key_has_run_out_is_not_retried(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    clock.advance(24 * HOUR);
    let second = manager.enqueue(keyed("b", "k")).unwrap();
    manager.wait(&second, PATIENCE).unwrap();
    let error = manager.retry(&first).unwrap_err();
    assert_eq!(
        error.to_string(),
        "retry job 1: its key `k` has run out or gone to its successor, and a newer job `work` may \
         hold it: enqueue the job anew"
    );
    manager.retry(&second).unwrap();
}

pub(crate) fn an_expired_key_is_deleted(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = succeeding(one_worker(place))
        .clock(clock.clone())
        .key_retention(HOUR);
    let manager = builder.start().unwrap();
    let receipts = manager
        .enqueue_all((0..300).map(|n| keyed("a", &n.to_string())))
        .unwrap();
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
    clock.advance(HOUR);
    settled(&manager);
    manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(rows(place, Space::Unique), 0);
    assert_eq!(rows(place, Space::ExpiringKeys), 0);
}

/// A type, and the same one after it was renamed and got a field.
#[derive(Serialize, Deserialize)]
struct Order {
    id: u32,
}

impl Job for Order {
    const NAME: &'static str = "order";
    type Output = ();
}

#[derive(Serialize, Deserialize)]
struct Purchase {
    id: u32,
    #[serde(default = "one")]
    copies: u32,
}

fn one() -> u32 {
    1
}

impl Job for Purchase {
    const NAME: &'static str = "purchase";
    const ALIASES: &'static [&'static str] = &["sale", "order"];
    type Output = ();
}

fn order(id: u32, key: &str) -> NewJob<Order> {
    NewJob::new(Order { id }).key(key)
}

fn purchase(id: u32, key: &str) -> NewJob<Purchase> {
    NewJob::new(Purchase { id, copies: 1 }).key(key)
}

fn selling(builder: Builder) -> Builder {
    builder.handle::<Purchase>(|_, _| Ok(()))
}

pub(crate) fn a_key_outlives_a_new_name_of_its_type(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place).clock(clock.clone()).start().unwrap();
    let first = manager.enqueue(order(7, "k").delay(HOUR)).unwrap();
    // Also where nobody runs the type.
    let same = manager.enqueue(purchase(7, "k")).unwrap();
    assert_eq!(same.number(), first.number());
    drop(manager);
    let manager = selling(one_worker(place)).clock(clock.clone()).start();
    let manager = manager.unwrap();
    let second = manager.enqueue(purchase(7, "k")).unwrap();
    assert_eq!(second.number(), first.number());
    let error = manager.enqueue(purchase(8, "k")).unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(first.number()));
    clock.advance(HOUR);
    manager.wait(&second, PATIENCE).unwrap();
    drop(manager);
    // It has ended, and holds its key for a while.
    clock.advance(23 * HOUR);
    let manager = selling(one_worker(place)).clock(clock.clone()).start();
    let manager = manager.unwrap();
    for _ in 0..2 {
        assert_eq!(manager.enqueue(purchase(7, "k")).unwrap(), second);
        assert_eq!(manager.enqueue(order(7, "k")).unwrap(), first);
        manager.retry(&second).unwrap();
        manager.wait(&second, PATIENCE).unwrap();
    }
    clock.advance(24 * HOUR);
    let third = manager.enqueue(purchase(8, "k")).unwrap();
    assert_ne!(third, second);
    assert_eq!(
        manager.enqueue(order(8, "k")).unwrap().number(),
        third.number()
    );
    // It is another job's by now, though that has it under another name.
    let error = manager.retry(&second).unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(second.number()));
    manager.wait(&third, PATIENCE).unwrap();
    manager.remove(&third).unwrap();
    let last = manager.enqueue(order(9, "k")).unwrap();
    manager.wait(&last, PATIENCE).unwrap();
    manager.remove(&last).unwrap();
    settled(&manager);
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(verify(&place.open()).unwrap().findings, []);
    assert_eq!(rows(place, Space::Unique), 0);
}

pub(crate) fn keys_are_exact_within_one_batch_of_old_and_new_names(place: &dyn Place) {
    let manager = selling(one_worker(place)).start().unwrap();
    let batch = |jobs: [(bool, u32); 3]| {
        let drafts = jobs.map(|(is_old, id)| {
            let draft = if is_old {
                order(id, "k").delay(HOUR).draft()
            } else {
                purchase(id, "k").delay(HOUR).draft()
            };
            draft.unwrap()
        });
        let manager: &dyn Enqueue = &manager;
        manager.accept(drafts.into())
    };
    for conflict in [
        batch([(true, 1), (false, 1), (false, 2)]),
        batch([(false, 1), (false, 1), (true, 2)]),
    ] {
        conflict.unwrap_err().key_conflict_with().unwrap();
    }
    assert_eq!(manager.counts().unwrap().scheduled, 0);
    let receipts = batch([(false, 1), (true, 1), (false, 1)]).unwrap();
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]));
    assert_eq!(manager.counts().unwrap().scheduled, 1);
}

#[derive(Serialize, Deserialize)]
struct Mail {
    vars: HashMap<String, f64>,
    to: HashSet<String>,
}

impl Job for Mail {
    const NAME: &'static str = "mail";
    type Output = ();
}

#[derive(Serialize, Deserialize)]
struct Packed(Mail);

impl Job for Packed {
    const NAME: &'static str = "packed";
    const CODEC: Codec = Codec::Bincode;
    type Output = ();
}

pub(crate) fn the_order_of_maps_and_sets_makes_no_other_payload(place: &dyn Place) {
    let manager = idle(place);
    let mail = || {
        let names = || (0..6).map(|n| n.to_string());
        let vars = names().zip([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).collect();
        let to = names().collect();
        Mail { vars, to }
    };
    let first = manager.enqueue(NewJob::new(mail()).key("k")).unwrap();
    let packed = manager.enqueue(NewJob::new(Packed(mail())).key("k"));
    let packed = packed.unwrap();
    for _ in 0..20 {
        let again = NewJob::new(mail()).key("k");
        assert_eq!(manager.enqueue(again).unwrap(), first);
        let again = NewJob::new(Packed(mail())).key("k");
        assert_eq!(manager.enqueue(again).unwrap(), packed);
    }
    let mut other = mail();
    other.vars.insert("5".into(), 0.7);
    let error = manager.enqueue(NewJob::new(other).key("k")).unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(first.number()));
    let mut other = mail();
    other.to.remove("5");
    let error = manager.enqueue(NewJob::new(Packed(other)).key("k"));
    let error = error.unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(packed.number()));
}

#[derive(Serialize, Deserialize)]
struct Sync {
    customer: u32,
}

impl Job for Sync {
    const NAME: &'static str = "sync";
    const POLICY: Policy = Policy::new().key_retention(Duration::ZERO);
    type Output = ();
}

pub(crate) fn a_job_may_let_its_key_go_with_its_end(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let inside = door.clone();
    let builder = one_worker(place).handle::<Sync>(move |_, _| {
        inside.enter("sync");
        Ok(())
    });
    let manager = builder.clock(clock.clone()).start().unwrap();
    let sync = || NewJob::new(Sync { customer: 1 }).key("1");
    let first = manager.enqueue(sync()).unwrap();
    assert_eq!(manager.enqueue(sync()).unwrap(), first);
    door.arrived();
    assert_eq!(manager.enqueue(sync()).unwrap(), first);
    door.open(1);
    manager.wait(&first, PATIENCE).unwrap();
    // Nobody has taken its key, so that it can be run again itself.
    door.open(1);
    manager.retry(&first).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    let second = manager.enqueue(sync()).unwrap();
    assert_ne!(second, first);
    assert_eq!(manager.enqueue(sync()).unwrap(), second);
    assert!(
        manager
            .retry(&first)
            .unwrap_err()
            .key_conflict_with()
            .is_some()
    );
    door.open(1);
    manager.wait(&second, PATIENCE).unwrap();
    // The job itself says it before its type does, and the manager before both.
    let hour = sync().key_retention(HOUR);
    door.open(1);
    let third = manager.enqueue(hour).unwrap();
    manager.wait(&third, PATIENCE).unwrap();
    clock.advance(HOUR - SECOND);
    assert_eq!(manager.enqueue(sync()).unwrap(), third);
    clock.advance(SECOND);
    let fourth = manager.enqueue(sync().key_retention(48 * HOUR)).unwrap();
    assert_ne!(fourth, third);
    door.open(1);
    manager.wait(&fourth, PATIENCE).unwrap();
    clock.advance(24 * HOUR);
    settled(&manager);
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(rows(place, Space::Unique), 0);
}

pub(crate) fn who_queues_learns_whether_the_job_was_there(place: &dyn Place) {
    let manager = idle(place);
    let is_there = |key: &str| manager.enqueue(keyed("a", key)).unwrap().is_existing();
    assert!(!is_there("k"));
    assert!(is_there("k"));
    assert!(manager.try_enqueue(keyed("a", "k")).unwrap().is_existing());
    assert!(
        !manager
            .submit(keyed("a", "l"))
            .wait()
            .unwrap()
            .is_existing()
    );
    let submitted = manager.submit(keyed("a", "l")).wait().unwrap();
    assert!(submitted.is_existing() && submitted.untyped().is_existing());
    let text = submitted.to_string().parse::<Receipt<Work>>().unwrap();
    assert_eq!((&text, text.is_existing()), (&submitted, false));
    let batch = ["m", "k", "m"].map(|key| keyed("a", key));
    let batch = manager.enqueue_all(batch).unwrap();
    let batch: Vec<_> = batch.iter().map(Receipt::is_existing).collect();
    assert_eq!(batch, [false, true, true]);
    let queue: &dyn Enqueue = &manager;
    assert!(queue.enqueue(keyed("a", "m")).unwrap().is_existing());
    assert!(!queue.enqueue(work("without a key")).unwrap().is_existing());
    // What became of it, its status tells; and its key can be had again.
    let cancelled = manager.enqueue(keyed("a", "k")).unwrap();
    manager.cancel(&cancelled).unwrap();
    let again = manager.enqueue(keyed("a", "k")).unwrap();
    assert!(again.is_existing());
    let state = manager.status(&again).unwrap().state();
    assert_eq!(state, StateKind::Cancelled);
    manager.remove(&again).unwrap();
    assert!(!is_there("k"));
}

/// How many rows a space of the closed store has.
pub(crate) fn rows(place: &dyn Place, space: Space) -> usize {
    let mut rows = 0;
    let (from, to) = (Key::new(space, 0), Key::new(space, u64::MAX));
    let count = &mut |_, _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    place.open().scan(&from, &to, count).unwrap();
    rows
}
