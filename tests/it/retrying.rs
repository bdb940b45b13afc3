use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{AttemptEnd, Context, HISTORY, JobError, Manager, NewJob, Reason, StateKind};

use crate::place::{HOUR, PATIENCE, Place, SECOND, Work, one_worker, work};

/// A manager whose jobs do this, and are retried without a wait.
fn start(
    place: &dyn Place,
    run: impl Fn(&mut Work, &Context) -> Result<String, JobError> + Send + Sync + 'static,
) -> Manager {
    one_worker(place).handle::<Work>(run).start().unwrap()
}

fn at_once(job: Work) -> NewJob<Work> {
    NewJob::new(job).backoff(Duration::ZERO, Duration::ZERO)
}

pub(crate) fn an_error_is_retried_from_the_value_that_run_left(place: &dyn Place) {
    let manager = start(place, |work, ctx| {
        work.runs += 1;
        assert_eq!(work.runs, ctx.attempt());
        if work.runs < 3 {
            Err("not yet".parse::<u32>().unwrap_err().into())
        } else {
            Ok(String::new())
        }
    });
    let receipt = manager.enqueue(at_once(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (3, 3));
    let ends: Vec<_> = done
        .history()
        .iter()
        .map(|attempt| attempt.end.clone())
        .collect();
    let error = AttemptEnd::Error(vec!["invalid digit found in string".into()]);
    assert_eq!(ends, [AttemptEnd::Succeeded, error.clone(), error]);
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("read the width")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

pub(crate) fn the_last_attempts_error_is_final_with_its_chain(place: &dyn Place) {
    let manager = start(place, |_, _| {
        Err(Outer("x".parse::<u32>().unwrap_err()).into())
    });
    let receipt = manager.enqueue(at_once(work("a")).attempts(2)).unwrap();
    let failure = manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(failure.reason(), Reason::Error);
    assert_eq!(
        failure.message(),
        "read the width: invalid digit found in string"
    );
    assert_eq!(
        failure.to_string(),
        "the job failed at attempt 2: read the width: invalid digit found in string"
    );
}

pub(crate) fn a_permanent_error_is_final_at_once(place: &dyn Place) {
    let manager = start(place, |_, _| Err(JobError::permanent("no such address")));
    let receipt = manager.enqueue(work("a")).unwrap();
    let failure = manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(
        (failure.reason(), failure.attempts()),
        (Reason::Permanent, 1)
    );
}

pub(crate) fn retry_after_overrides_the_backoff(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place)
        .handle::<Work>(|work, ctx| match ctx.attempt() {
            1 => Err(JobError::retry_after(HOUR, "busy")),
            _ => Ok(work.label.clone()),
        })
        .clock(clock.clone())
        .start()
        .unwrap();
    let receipt = manager.enqueue(at_once(work("a"))).unwrap();
    let status = until(&manager, &receipt, StateKind::Scheduled);
    assert_eq!(status.due(), Some(clock.wall().after(HOUR)));
    clock.advance(HOUR);
    assert_eq!(manager.wait(&receipt, PATIENCE).unwrap().attempts(), 2);
}

/// Asks until the job stands there. Each question waits for a turn of the committer.
pub(crate) fn until(
    manager: &Manager,
    receipt: &jobkeep::Receipt<Work>,
    state: StateKind,
) -> jobkeep::Status {
    loop {
        let status = manager.status(receipt).unwrap();
        if status.state() == state {
            return status;
        }
        std::thread::yield_now();
    }
}

pub(crate) fn a_snooze_spends_no_attempt(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place)
        .handle::<Work>(|work, ctx| {
            assert_eq!(ctx.attempt(), 1);
            work.runs += 1;
            if work.runs < 3 {
                Err(JobError::snooze(HOUR))
            } else {
                Ok(String::new())
            }
        })
        .clock(clock.clone())
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(1)).unwrap();
    for _ in 0..2 {
        until(&manager, &receipt, StateKind::Scheduled);
        clock.advance(HOUR);
    }
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        (
            done.job().unwrap().runs,
            done.attempts(),
            done.history().len()
        ),
        (3, 1, 3)
    );
}

pub(crate) fn a_panic_is_kept_with_its_text_and_place(place: &dyn Place) {
    let manager = start(place, |work, _| panic!("cannot do {}", work.label));
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(1)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let AttemptEnd::Panicked { message, location } = &done.history()[0].end else {
        panic!("{:?}", done.history());
    };
    assert_eq!(message, "cannot do a");
    assert!(location.contains("retrying.rs:"), "{location}");
    assert_eq!(done.into_output().unwrap_err().reason(), Reason::Panicked);
}

pub(crate) fn a_panic_starts_the_next_attempt_from_the_durable_value(place: &dyn Place) {
    let manager = start(place, |work, ctx| {
        work.runs += 1;
        assert!(ctx.attempt() > 1, "first attempt");
        Ok(String::new())
    });
    let receipt = manager.enqueue(at_once(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 2));
}

pub(crate) fn the_history_holds_the_newest_attempts(place: &dyn Place) {
    let manager = start(place, |_, ctx| {
        Err(JobError::new(format!("attempt {}", ctx.attempt())))
    });
    let receipt = manager.enqueue(at_once(work("a")).attempts(30)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.history().len()), (30, HISTORY));
    let numbers: Vec<_> = done
        .history()
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, (11..=30).rev().collect::<Vec<_>>());
    assert_eq!(
        done.history()[0].end,
        AttemptEnd::Error(vec!["attempt 30".into()])
    );
}

pub(crate) fn snoozes_do_not_push_errors_out_of_the_history(place: &dyn Place) {
    let manager = start(place, |work, _| {
        work.runs += 1;
        match work.runs {
            1..=3 => Err(JobError::retry_after(
                Duration::ZERO,
                format!("error {}", work.runs),
            )),
            4..=43 => Err(JobError::snooze(Duration::ZERO)),
            _ => Ok(String::new()),
        }
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let history = done.history();
    let errors = |attempt: &jobkeep::Attempt| matches!(attempt.end, AttemptEnd::Error(_));
    let snoozes = |attempt: &jobkeep::Attempt| matches!(attempt.end, AttemptEnd::Snoozed(_));
    // The success, the newest snoozes, and behind them how it failed before.
    assert_eq!(history[0].end, AttemptEnd::Succeeded);
    assert_eq!(
        history.iter().filter(|attempt| snoozes(attempt)).count(),
        16
    );
    let first: Vec<_> = history[17..].iter().map(|attempt| &attempt.end).collect();
    let error = |n| AttemptEnd::Error(vec![format!("error {n}")]);
    assert_eq!(first, [&error(3), &error(2), &error(1)]);

    drop(manager);
    // Errors leave the snoozes half of the places, and no more.
    let manager = start(place, |work, _| {
        work.runs += 1;
        match work.runs {
            60 => Ok(String::new()),
            odd if odd % 2 == 1 => Err(JobError::retry_after(Duration::ZERO, "again")),
            _ => Err(JobError::snooze(Duration::ZERO)),
        }
    });
    let receipt = manager
        .enqueue(NewJob::new(work("a")).attempts(100))
        .unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.history().len(), HISTORY);
    assert_eq!(
        done.history()
            .iter()
            .filter(|attempt| errors(attempt))
            .count(),
        10
    );
}

pub(crate) fn a_job_cancelled_after_it_put_itself_off_says_so(place: &dyn Place) {
    let manager = start(place, |_, _| {
        Err(JobError::snooze(Duration::from_secs(3_600)))
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    until(&manager, &receipt, StateKind::Scheduled);
    manager.cancel(&receipt).unwrap();
    let failure = manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the job was cancelled: while it had put itself off"
    );
}

pub(crate) fn log_lines_stay_with_their_attempt(place: &dyn Place) {
    let manager = start(place, |_, ctx| {
        ctx.log(format_args!("line of attempt {}", ctx.attempt()));
        if ctx.attempt() == 1 {
            return Err(JobError::new("again"));
        }
        for _ in 0..200 {
            ctx.log("é".repeat(400));
        }
        Ok(String::new())
    });
    let receipt = manager.enqueue(at_once(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.history()[1].log, ["line of attempt 1"]);
    let log = &done.history()[0].log;
    assert_eq!(
        (log.len(), log[0].as_str()),
        (jobkeep::LOG_LINES, "line of attempt 2")
    );
    assert_eq!(log[1], "é".repeat(jobkeep::LOG_LINE_BYTES / 2));
}

pub(crate) fn attempts_may_be_set_for_a_job(place: &dyn Place) {
    let manager = start(place, |_, _| {
        Err(JobError::retry_after(Duration::ZERO, "again"))
    });
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(4)).unwrap();
    let failure = manager
        .wait(&receipt, PATIENCE + SECOND)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(failure.attempts(), 4);
}
