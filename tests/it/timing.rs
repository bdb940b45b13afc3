use std::time::{Duration, UNIX_EPOCH};

use jobkeep::testing::ManualClock;
use jobkeep::{JobError, ListedJob, Manager, NewJob, Receipt, StateKind, Timestamp};

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::retrying::until;

fn start(place: &dyn Place, clock: &ManualClock) -> Manager {
    succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap()
}

fn at(moment: Timestamp) -> NewJob<Work> {
    NewJob::new(work("a")).run_at(UNIX_EPOCH + Duration::from_millis(moment.0))
}

pub(crate) fn a_delayed_job_runs_when_its_delay_has_passed(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = start(place, &clock);
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let status = manager.status(&receipt).unwrap();
    assert_eq!(status.state(), StateKind::Scheduled);
    assert_eq!(status.due(), Some(clock.wall().after(HOUR)));
    clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Scheduled
    );
    clock.advance(Duration::from_millis(1));
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

pub(crate) fn a_job_with_a_moment_runs_at_that_moment(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = start(place, &clock);
    let receipt = manager.enqueue(at(clock.wall().after(HOUR))).unwrap();
    clock.advance(HOUR - SECOND);
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Scheduled
    );
    clock.advance(SECOND);
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

pub(crate) fn a_moment_that_has_passed_means_now(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = start(place, &clock);
    let receipt = manager.enqueue(at(clock.wall().before(HOUR))).unwrap();
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

pub(crate) fn a_delay_does_not_follow_the_wall_clock(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = start(place, &clock);
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    clock.set_wall(clock.wall().after(24 * HOUR));
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Scheduled
    );
    clock.set_wall(clock.wall().before(48 * HOUR));
    clock.advance(HOUR);
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

/// The clock of a process that starts at this moment of the wall clock.
pub(crate) fn clock_at(wall: Timestamp) -> ManualClock {
    let clock = ManualClock::new();
    clock.set_wall(wall);
    clock
}

/// Jobs that wait for an hour from now: a new one, one whose attempt has failed, and one that put itself off.
fn waiting_an_hour(place: &dyn Place, clock: &ManualClock) -> (Manager, [Receipt<Work>; 3]) {
    let manager = one_worker(place).handle::<Work>(|work, _| {
        work.runs += 1;
        match (work.label.as_str(), work.runs) {
            ("retried", 1) => Err(JobError::retry_after(HOUR, "busy")),
            ("snoozed", 1) => Err(JobError::snooze(HOUR)),
            _ => Ok(String::new()),
        }
    });
    let manager = manager.clock(clock.clone()).start().unwrap();
    let receipts = ["retried", "snoozed"].map(|label| manager.enqueue(work(label)).unwrap());
    for receipt in &receipts {
        until(&manager, receipt, StateKind::Scheduled);
    }
    let [retried, snoozed] = receipts;
    let delayed = manager.enqueue(NewJob::new(work("delayed")).delay(HOUR));
    (manager, [delayed.unwrap(), retried, snoozed])
}

/// They wait for so long by this clock, and not longer.
fn wait_for(manager: &Manager, receipts: &[Receipt<Work>], clock: &ManualClock, left: Duration) {
    let due = Some(clock.wall().after(left));
    for receipt in receipts {
        let status = manager.status(receipt).unwrap();
        // A job is not due before it was there, whatever the clock says by now.
        let due = due.max(Some(status.created()));
        assert_eq!((status.state(), status.due()), (StateKind::Scheduled, due));
    }
    let listed = manager.jobs(StateKind::Scheduled, None, 10).unwrap();
    let due_of = |job: &ListedJob| due.max(Some(job.created()));
    let mut jobs = listed.jobs().iter();
    assert!(jobs.all(|job| job.due() == due_of(job)));
    assert_eq!(listed.jobs().len(), receipts.len());
}

pub(crate) fn a_delay_waits_as_long_as_asked_wherever_the_clock_was_set_before(place: &dyn Place) {
    let clock = ManualClock::new();
    drop(start(place, &clock));
    let mut wall = clock.wall();
    // The machine sleeps; its clock is set back; and all the same in the next process.
    for round in 0..4 {
        let clock = clock_at(wall);
        let first = start(place, &clock);
        let moved = if round % 2 == 0 {
            wall.after(8 * HOUR)
        } else {
            wall.before(8 * HOUR)
        };
        clock.set_wall(moved);
        drop(first);
        let clock = clock_at(moved);
        let manager = start(place, &clock);
        clock.set_wall(wall);
        drop(manager);
        let clock = clock_at(wall);
        clock.set_wall(moved);
        let (manager, receipts) = waiting_an_hour(place, &clock);
        wait_for(&manager, &receipts, &clock, HOUR);
        clock.advance(SECOND);
        drop(manager);
        let clock = clock_at(clock.wall().after(SECOND));
        let manager = start(place, &clock);
        wait_for(&manager, &receipts, &clock, HOUR - 2 * SECOND);
        clock.advance(HOUR - 2 * SECOND);
        for receipt in &receipts {
            manager.wait(receipt, PATIENCE).unwrap();
        }
        wall = clock.wall();
    }
}

pub(crate) fn a_clock_set_back_between_two_processes_makes_nobody_wait_longer(place: &dyn Place) {
    let clock = ManualClock::new();
    let (manager, receipts) = waiting_an_hour(place, &clock);
    drop(manager);
    let clock = clock_at(clock.wall().before(100 * HOUR));
    let manager = start(place, &clock);
    clock.advance(HOUR / 2);
    wait_for(&manager, &receipts, &clock, HOUR / 2);
    // Whoever waits idle for long has its clocks known at its end all the same.
    drop(manager);
    let clock = clock_at(clock.wall().before(100 * HOUR));
    let manager = start(place, &clock);
    wait_for(&manager, &receipts, &clock, HOUR / 2);
    clock.advance(HOUR / 2);
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

pub(crate) fn a_moment_follows_the_wall_clock(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = start(place, &clock);
    let due = clock.wall().after(HOUR);
    let receipt = manager.enqueue(at(due)).unwrap();
    clock.set_wall(clock.wall().before(HOUR));
    clock.advance(HOUR);
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Scheduled
    );
    clock.set_wall(due);
    // A sleep towards a wall time is cut into pieces: the next piece ends here.
    clock.advance(30 * SECOND);
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

pub(crate) fn a_wall_clock_set_back_keeps_the_order_of_acceptance(place: &dyn Place) {
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(one_worker(place), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    manager.enqueue(work("0")).unwrap();
    door.arrived();
    manager.enqueue(work("1")).unwrap();
    clock.set_wall(clock.wall().before(HOUR));
    manager.enqueue(work("2")).unwrap();
    clock.set_wall(clock.wall().after(2 * HOUR));
    manager.enqueue(work("3")).unwrap();
    door.open(4);
    assert_eq!(
        [door.arrived(), door.arrived(), door.arrived()],
        ["1", "2", "3"]
    );
}
