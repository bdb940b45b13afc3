//! A store is checked beyond its rows, and put in order again as far as that is safe.

use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Finding, JobNumber, NewJob, QueueStore, Repair, StateKind, repair, verify};
use jobkeep_store::{
    Batch, Encoded, Fence, InFlight, JobRecord, Key, Listed, OpeningTag, Paused, Space, Totals,
    UniqueRow, Withdrawn, get_typed,
};
use serde::de::DeserializeOwned;

use crate::damage::{change, damage, first_key};
use crate::place::{Door, HOUR, PATIENCE, Place, Work, one_worker, succeeding, through, work};

fn read<T: DeserializeOwned>(place: &dyn Place, key: Key) -> T {
    let store = place.open();
    let row = get_typed(&store, key).unwrap().unwrap();
    store.close().unwrap();
    row
}

fn findings(place: &dyn Place) -> Vec<String> {
    let store = place.open();
    let verification = verify(&store).unwrap();
    assert!(!verification.moved);
    store.close().unwrap();
    texts(&verification.findings)
}

fn mend(place: &dyn Place) -> Repair {
    let store = place.open();
    let repair = repair(&store).unwrap();
    store.close().unwrap();
    repair
}

fn texts(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// Nothing is wrong with a store that no manager has open.
pub(crate) fn is_sound(place: &dyn Place) {
    assert_eq!(findings(place), [""; 0]);
}

/// These are found, and gone after a repair.
fn are_repaired(place: &dyn Place, expected: &[&str]) {
    assert_eq!(findings(place), expected);
    let Repair { repaired, left, .. } = mend(place);
    assert_eq!(
        (texts(&repaired), texts(&left)),
        (texts_of(expected), vec![])
    );
    is_sound(place);
}

/// These are found, and a repair leaves them as they are.
fn are_left(place: &dyn Place, expected: &[&str]) {
    assert_eq!(findings(place), expected);
    let Repair { repaired, left, .. } = mend(place);
    assert_eq!(
        (texts(&repaired), texts(&left)),
        (vec![], texts_of(expected))
    );
}

fn texts_of(expected: &[&str]) -> Vec<String> {
    expected.iter().map(ToString::to_string).collect()
}

fn large(label: &str) -> Work {
    work(label.repeat(2_000))
}

/// Jobs of every kind: finished, waiting, delayed, cancelled, large and small, with keys and without.
fn fill(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    for job in [
        NewJob::new(work("a")).key("k"),
        large("b").into(),
        work("c").into(),
    ] {
        let receipt = manager.enqueue(job).unwrap();
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    let later = |job| NewJob::new(job).delay(HOUR);
    manager.enqueue(later(work("d")).key("waits")).unwrap();
    manager.enqueue(later(large("e"))).unwrap();
    let cancelled = manager.enqueue(later(large("f"))).unwrap();
    manager.cancel(&cancelled).unwrap();
    manager.shutdown(PATIENCE).unwrap();
}

pub(crate) fn a_store_that_was_never_written_has_no_findings(place: &dyn Place) {
    let store = place.open();
    assert_eq!(verify(&store).unwrap().findings, []);
    assert_eq!(repair(&store).unwrap().left, []);
    assert_eq!(store.identity().unwrap().fence, None);
}

pub(crate) fn a_sound_store_has_no_findings_and_a_repair_writes_nothing(place: &dyn Place) {
    fill(place);
    is_sound(place);
    let store = place.open();
    let verification = verify(&store).unwrap();
    let counts = (
        verification.unfinished,
        verification.finished,
        verification.set_aside,
    );
    assert_eq!(counts, (2, 4, 0));
    let before = store.identity().unwrap();
    let repair = repair(&store).unwrap();
    assert_eq!((repair.repaired, repair.left), (vec![], vec![]));
    assert_eq!(store.identity().unwrap(), before);
}

pub(crate) fn a_store_with_jobs_in_flight_is_sound(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.shutdown(Duration::ZERO).unwrap();
    is_sound(place);
    door.open(1);
}

pub(crate) fn jobs_removed_retried_and_pruned_leave_nothing_behind(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = succeeding(one_worker(place)).clock(clock.clone());
    let manager = builder.start().unwrap();
    let [removed, retried, old] = ["removed", "retried", "old"].map(|label| {
        let receipt = manager
            .enqueue(NewJob::new(large(label)).key(label))
            .unwrap();
        manager.wait(&receipt, PATIENCE).unwrap();
        receipt
    });
    manager.remove(&removed).unwrap();
    clock.advance(HOUR);
    manager.retry(&retried).unwrap();
    manager.wait(&retried, PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    is_sound(place);

    clock.advance(23 * HOUR);
    let builder = succeeding(one_worker(place)).clock(clock.clone());
    let manager = builder
        .retention(jobkeep::Retention::new().successes(Duration::ZERO))
        .start()
        .unwrap();
    crate::retention::settled(&manager);
    assert!(manager.completed(&old).unwrap_err().is_pruned());
    manager.shutdown(PATIENCE).unwrap();
    is_sound(place);
}

pub(crate) fn a_damaged_job_is_set_aside_by_the_repair_and_the_rest_runs(place: &dyn Place) {
    fill(place);
    damage(place, Key::live(JobNumber(4)));
    damage(place, Key::done(JobNumber(1)));
    let why = |expected| {
        format!(
            "the bytes do not decode: InvalidIntegerType {{ expected: {expected}, found: Reserved }}"
        )
    };
    let said = |space, job| {
        format!(
            "the record of job {job} (row {space} {job}) is damaged: {}: restore the store from a \
             copy, or `repair` sets it aside: enqueue it anew",
            why("U32")
        )
    };
    are_repaired(place, &[&said("live", 4), &said("done", 1)]);

    let manager = succeeding(one_worker(place)).start().unwrap();
    let counts = manager.counts().unwrap();
    assert_eq!(
        (counts.scheduled, counts.succeeded, counts.damaged),
        (1, 2, 2)
    );
    // The key of a job that never ran is free again.
    let again = manager
        .enqueue(NewJob::new(work("d")).key("waits"))
        .unwrap();
    manager.wait(&again, PATIENCE).unwrap();
}

pub(crate) fn damaged_rows_of_the_manager_are_refused_with_the_way_out_and_repaired(
    place: &dyn Place,
) {
    fill(place);
    let opening = first_key(place, Space::Openings);
    for key in [
        Key::TOTALS,
        Key::IN_FLIGHT,
        Key::PAUSED,
        Key::CLOSING,
        opening,
    ] {
        damage(place, key);
        let found = findings(place);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("row {key} is damaged: ")),
            "{found:?}"
        );
        if [Key::TOTALS, Key::PAUSED, opening].contains(&key) {
            let error = one_worker(place).start().unwrap_err();
            let said = error.to_string();
            let way_out = "put a copy of the store in its place, or set it in order with `repair`";
            assert!(
                said.starts_with(&format!("start the manager: read row {key}: ")),
                "{said}"
            );
            assert!(said.ends_with(way_out), "{said}");
        }
        let left = mend(place).left;
        if key == opening {
            assert_eq!(
                texts(&left),
                [
                    "the opening from number 1 on is missing: receipts of it may be refused as of a \
                  replaced store"
                ]
            );
        } else {
            assert_eq!(left, []);
        }
    }
    let totals: Totals = read(place, Key::TOTALS);
    assert_eq!(
        (totals.succeeded, totals.cancelled, totals.damaged),
        (3, 1, 5)
    );
    let manager = succeeding(one_worker(place)).start().unwrap();
    let next = manager.enqueue(work("g")).unwrap();
    assert!(next.number().0 > 6);
    manager.wait(&next, PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    is_sound(place);
}

pub(crate) fn a_secret_that_is_damaged_is_drawn_anew_and_older_receipts_are_refused(
    place: &dyn Place,
) {
    fill(place);
    let manager = one_worker(place).start().unwrap();
    let before = manager.enqueue(work("g")).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    damage(place, Key::SECRET);
    let said = one_worker(place).start().unwrap_err().to_string();
    assert!(said.contains("read row manager 5: "), "{said}");
    assert!(said.ends_with("or set it in order with `repair`"), "{said}");
    assert_eq!(
        texts(&mend(place).left),
        [
            "what receipts are signed with is missing: the next start draws another, and refuses the \
             receipts given before"
        ]
    );
    let manager = one_worker(place).start().unwrap();
    assert!(manager.status(&before).unwrap_err().is_bad_receipt());
    let after = manager.enqueue(work("h")).unwrap();
    manager.status(&after).unwrap();
    // The job is there, and is listed with a receipt that holds.
    let page = manager.jobs(StateKind::Parked, None, 10).unwrap();
    let listed = page.jobs().iter().map(jobkeep::ListedJob::receipt);
    let mut listed = listed.filter(|receipt| receipt.number() == before.number());
    manager.cancel(listed.next().unwrap()).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    is_sound(place);
}

pub(crate) fn damaged_rows_of_retention_are_made_anew(place: &dyn Place) {
    fill(place);
    damage(place, first_key(place, Space::ExpiringFailures));
    damage(place, Key::new(Space::Withdrawn, 3));
    let why = "the bytes do not decode: InvalidIntegerType { expected: U32, found: Reserved }";
    let found = findings(place);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("row expiring_failures 4 is damaged: "),
        "{found:?}"
    );
    assert_eq!(
        found[1],
        format!(
            "row withdrawn 3 is damaged: {why}: restore the store from a copy, or `repair` sets it \
             aside"
        )
    );
    assert_eq!(
        found[2],
        "job 6 has finished and is not listed to be pruned: `repair` puts it in order"
    );
    assert_eq!(mend(place).left, []);
    let builder = succeeding(one_worker(place));
    let manager = builder
        .retention(jobkeep::Retention::new().at_most(0))
        .start()
        .unwrap();
    assert_eq!(crate::retention::settled(&manager).cancelled, 0);
    manager.shutdown(PATIENCE).unwrap();
    is_sound(place);
}

pub(crate) fn a_damaged_payload_is_left_with_its_job(place: &dyn Place) {
    fill(place);
    damage(place, Key::body(JobNumber(5)));
    let why = "the bytes do not decode: InvalidIntegerType { expected: U64, found: Reserved }";
    are_left(
        place,
        &[&format!(
            "the payload of job 5 (row bodies 5) is damaged: {why}: restore the store from a copy, or \
             remove the job and enqueue it anew"
        )],
    );
}

pub(crate) fn what_is_missing_of_a_job_is_named_and_left(place: &dyn Place) {
    fill(place);
    change(&place.open(), |batch| {
        batch.delete(Key::body(JobNumber(5)));
        batch.put(
            Key::body(JobNumber(6)),
            Encoded::new(serde_bytes::Bytes::new(b"short")).unwrap(),
        );
    });
    let bytes = serde_json::to_vec(&large("f")).unwrap().len();
    are_left(
        place,
        &[
            "the payload of job 5 is missing: restore the store from a copy, or remove the job",
            &format!(
                "the payload of job 6 has 5 bytes, and {bytes} are expected: restore the store from a \
                 copy, or remove the job"
            ),
        ],
    );
}

pub(crate) fn what_belongs_to_no_job_is_deleted(place: &dyn Place) {
    fill(place);
    change(&place.open(), |batch| {
        for key in [Key::body(JobNumber(4)), Key::output(JobNumber(4))] {
            batch.put(
                key,
                Encoded::new(serde_bytes::Bytes::new(b"nobody's")).unwrap(),
            );
        }
    });
    are_repaired(
        place,
        &[
            "there is the payload of a job 4 that has none: `repair` puts it in order",
            "there is the output of a job 4 that has none: `repair` puts it in order",
        ],
    );
}

pub(crate) fn wrong_counts_are_corrected(place: &dyn Place) {
    fill(place);
    let totals: Totals = read(place, Key::TOTALS);
    change(&place.open(), |batch| {
        let wrong = Totals {
            next_number: 3,
            succeeded: 7,
            failed: 1,
            cancelled: 0,
            damaged: 2,
            ended: 1,
        };
        batch.put(Key::TOTALS, Encoded::new(&wrong).unwrap());
    });
    let order = ": `repair` puts it in order";
    are_repaired(
        place,
        &[
            &format!("7 successes are counted, and there are 3{order}"),
            &format!("1 failures are counted, and there are 0{order}"),
            &format!("0 cancellations are counted, and there are 1{order}"),
            &format!("2 rows set aside are counted, and there are 0{order}"),
            &format!("1 ends of jobs are counted, and there are 5{order}"),
            &format!("number 6 is in use, and number 3 would be given next{order}"),
        ],
    );
    assert_eq!(read::<Totals>(place, Key::TOTALS), totals);
    change(&place.open(), |batch| batch.delete(Key::TOTALS));
    are_repaired(
        place,
        &["the counts of finished jobs are missing: `repair` puts it in order"],
    );
    assert_eq!(read::<Totals>(place, Key::TOTALS), totals);
}

pub(crate) fn a_job_of_two_places_or_states_is_named_and_left(place: &dyn Place) {
    fill(place);
    let waiting: JobRecord = read(place, Key::live(JobNumber(4)));
    let finished: JobRecord = read(place, Key::done(JobNumber(3)));
    change(&place.open(), |batch| {
        batch.put(Key::live(JobNumber(3)), Encoded::new(&finished).unwrap());
        batch.put(Key::done(JobNumber(3)), Encoded::new(&waiting).unwrap());
    });
    let found = findings(place);
    let anew = "remove it, and enqueue it anew where it is still wanted";
    assert_eq!(
        found[1..4],
        [
            format!("job 3 is among the finished and among the others: {anew}"),
            format!("job 3 is succeeded and among those not finished: {anew}"),
            format!("job 3 is scheduled and among the finished: {anew}"),
        ]
    );
    let left = texts(&mend(place).left);
    assert_eq!(left, found[1..4]);
}

pub(crate) fn what_is_in_flight_or_paused_and_cannot_be_is_corrected(place: &dyn Place) {
    fill(place);
    let in_flight: InFlight = read(place, Key::IN_FLIGHT);
    change(&place.open(), |batch| {
        let listed = |number| Listed {
            number: JobNumber(number),
            sequence: 1,
            taken: true,
            lasting: false,
            suspect: false,
        };
        let in_flight = InFlight {
            jobs: vec![listed(3), listed(4)],
            ..in_flight.clone()
        };
        batch.put(Key::IN_FLIGHT, Encoded::new(&in_flight).unwrap());
        let queues = ["b", "a"].map(Into::into).to_vec();
        batch.put(Key::PAUSED, Encoded::new(&Paused { queues }).unwrap());
    });
    are_repaired(
        place,
        &[
            "job 3 is listed as running and is not there: `repair` puts it in order",
            "the paused queues are not in order: `repair` puts it in order",
        ],
    );
    // What can be run again still is.
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    manager.shutdown(PATIENCE).unwrap();
    change(&place.open(), |batch| {
        let stale = InFlight {
            opening: OpeningTag(9),
            ..in_flight
        };
        batch.put(Key::IN_FLIGHT, Encoded::new(&stale).unwrap());
    });
    are_left(
        place,
        &["what is listed as running is not of the last opening: the next start settles it"],
    );
}

pub(crate) fn a_key_without_its_job_is_let_go_and_a_job_without_its_key_named(place: &dyn Place) {
    fill(place);
    let mut waits = None;
    let mut ended = None;
    let store = place.open();
    for key in keys(&store) {
        let row: UniqueRow = get_typed(&store, key).unwrap().unwrap();
        match row.entries[0].key.as_str() {
            "waits" => waits = Some((key, row)),
            _ => ended = Some((key, row)),
        }
    }
    drop(store);
    let ((waits, mut row), (ended, mut held)) = (waits.unwrap(), ended.unwrap());
    row.entries[0].job = JobNumber(2_000);
    held.entries[0].ended = None;
    change(&place.open(), |batch| {
        batch.put(waits, Encoded::new(&row).unwrap());
        batch.put(ended, Encoded::new(&held).unwrap());
    });
    let found = findings(place);
    let missing = "job 4 does not hold its key `waits`: another job may be accepted with it until \
                   this one has ended";
    let order = ": `repair` puts it in order";
    let mut expected = vec![
        format!("number 2000 is in use, and number 7 would be given next{order}"),
        format!("key `waits` of job type `work` is held by job 2000, which is not there{order}"),
        format!("job 1 has ended and holds its key `k` for ever{order}"),
        missing.into(),
    ];
    let mut sorted = found;
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    assert_eq!(texts(&mend(place).left), [missing]);
}

fn keys(store: &dyn QueueStore) -> Vec<Key> {
    let mut keys = Vec::new();
    let (from, to) = (
        Key::new(Space::Unique, 0),
        Key::new(Space::Unique, u64::MAX),
    );
    let found = &mut |key, _: &[u8]| {
        keys.push(key);
        std::ops::ControlFlow::Continue(())
    };
    store.scan(&from, &to, found).unwrap();
    keys
}

pub(crate) fn retention_learns_what_it_does_not_know(place: &dyn Place) {
    fill(place);
    let first = first_key(place, Space::ExpiringSuccesses);
    change(&place.open(), |batch| {
        batch.delete(first);
        let withdrawn = |successes, failures| Withdrawn {
            successes,
            failures,
        };
        let rows = [(2, withdrawn(1, 0)), (4, withdrawn(0, 1))];
        for (job, row) in rows {
            batch.put(Key::new(Space::Withdrawn, job), Encoded::new(&row).unwrap());
        }
        batch.delete(Key::done(JobNumber(3)));
    });
    let order = ": `repair` puts it in order";
    are_repaired(
        place,
        &[
            &format!("3 successes are counted, and there are 2{order}"),
            &format!("job 1 has finished and is not listed to be pruned{order}"),
            &format!("job 2 has finished and is not listed to be pruned{order}"),
            &format!("job 3 is listed to be pruned and has not finished, or is not there{order}"),
            &format!("the next failure of job 4 would never be pruned{order}"),
        ],
    );
}

pub(crate) fn a_repair_replaces_the_manager_that_has_the_store(place: &dyn Place) {
    let store = std::sync::Arc::new(place.open());
    let builder = jobkeep::Manager::builder(std::sync::Arc::clone(&store));
    let manager = builder.start().unwrap();
    manager.enqueue(work("a")).unwrap();
    let fence = store.identity().unwrap().fence.unwrap();
    let mut batch = Batch::new(Fence {
        commit: fence.commit + 1,
        ..fence
    });
    batch.put(
        Key::body(JobNumber(9)),
        Encoded::new(serde_bytes::Bytes::new(b"nobody's")).unwrap(),
    );
    store.commit(&batch).unwrap();
    assert_eq!(repair(&*store).unwrap().left, []);
    assert!(manager.enqueue(work("b")).unwrap_err().is_replaced());
}

pub(crate) fn a_store_that_cannot_be_read_is_an_error(place: &dyn Place) {
    fill(place);
    let store = place.open();
    store.close().unwrap();
    let error = verify(&store).unwrap_err();
    assert!(error.as_store().unwrap().is_closed());
    assert!(
        error.to_string().starts_with("verify the store: "),
        "{error}"
    );
    let error = repair(&store).unwrap_err();
    assert!(
        error.to_string().starts_with("repair the store: "),
        "{error}"
    );
}
