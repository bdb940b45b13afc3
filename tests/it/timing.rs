use std::time::{Duration, UNIX_EPOCH};

use jobkeep::testing::ManualClock;
use jobkeep::{Manager, NewJob, StateKind, Timestamp};

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};

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
