//! Records with fixed values, every variant among them. What is here is on disk: a value may be added
//! and none changed.

use jobkeep_store::{
    Attempt, AttemptEnd, Backoff, Due, FailureKind, JobRecord, Kept, ParkReason, PayloadCodec,
    Priority, State, Timestamp,
};

const MORNING: Timestamp = Timestamp(1_767_225_600_000);

fn later(ms: u64) -> Timestamp {
    Timestamp(MORNING.0 + ms)
}

pub(crate) fn ready() -> JobRecord {
    JobRecord {
        state: State::Ready,
        queue: "default".into(),
        priority: Priority::Normal,
        order: MORNING,
        name: "thumbnail".into(),
        codec: PayloadCodec::Json,
        payload: Kept::Inline(br#"{"photo":"a.jpg","width":200}"#.to_vec()),
        output: None,
        created: MORNING,
        finished: None,
        max_attempts: 5,
        backoff: Backoff {
            base_ms: 1_000,
            cap_ms: 3_600_000,
        },
        timeout_ms: None,
        attempts: 0,
        interruptions: 0,
        unclean_ends: 0,
        snoozes: 0,
        cancel_requested: false,
        key: None,
        history: Vec::new(),
        lost_until: None,
    }
}

/// Between two attempts, with a payload apart and an idempotency key.
pub(crate) fn scheduled() -> JobRecord {
    JobRecord {
        state: State::Scheduled {
            due: later(4_000),
            by: Due::Delay,
        },
        queue: "images".into(),
        priority: Priority::High,
        payload: Kept::Apart(70_000),
        attempts: 1,
        interruptions: 2,
        unclean_ends: 1,
        snoozes: 3,
        cancel_requested: true,
        key: Some("photo-7".into()),
        history: vec![attempt(
            1,
            AttemptEnd::Error(vec!["no such file".into(), "a.jpg".into()]),
        )],
        ..ready()
    }
}

/// Waits for a wall time.
pub(crate) fn scheduled_by_the_wall() -> JobRecord {
    JobRecord {
        state: State::Scheduled {
            due: later(86_400_000),
            by: Due::Wall,
        },
        priority: Priority::Low,
        timeout_ms: Some(30_000),
        ..ready()
    }
}

pub(crate) fn parked() -> JobRecord {
    JobRecord {
        state: State::Parked(ParkReason::Undecodable("missing field `width`".into())),
        priority: Priority::Urgent,
        history: vec![attempt(
            1,
            AttemptEnd::Undecodable("missing field `width`".into()),
        )],
        ..ready()
    }
}

pub(crate) fn timed_out() -> JobRecord {
    JobRecord {
        history: vec![attempt(1, AttemptEnd::TimedOut(30_000))],
        timeout_ms: Some(30_000),
        ..failed_for(FailureKind::TimedOut)
    }
}

pub(crate) fn unknown() -> JobRecord {
    JobRecord {
        history: vec![attempt(1, AttemptEnd::Unknown("connection reset".into()))],
        lost_until: Some(later(90_000)),
        ..failed_for(FailureKind::Unknown)
    }
}

pub(crate) fn not_started() -> JobRecord {
    JobRecord {
        history: vec![attempt(1, AttemptEnd::NotStarted("refused".into()))],
        ..scheduled()
    }
}

pub(crate) fn crashing() -> JobRecord {
    JobRecord {
        state: State::Parked(ParkReason::Crashing(3)),
        unclean_ends: 3,
        ..ready()
    }
}

pub(crate) fn succeeded() -> JobRecord {
    JobRecord {
        state: State::Succeeded,
        codec: PayloadCodec::Bincode,
        payload: Kept::Inline(vec![5, 97, 46, 106, 112, 103, 200]),
        output: Some(Kept::Inline(vec![1, 2, 3])),
        finished: Some(later(900)),
        attempts: 1,
        history: vec![attempt(1, AttemptEnd::Succeeded)],
        ..ready()
    }
}

pub(crate) fn succeeded_with_output_apart() -> JobRecord {
    JobRecord {
        output: Some(Kept::Apart(u32::MAX)),
        ..succeeded()
    }
}

/// With an attempt of every other end behind it, the newest first.
pub(crate) fn failed() -> JobRecord {
    let panicked = AttemptEnd::Panicked {
        message: "index out of bounds".into(),
        location: "src/thumbnail.rs:12:9".into(),
    };
    JobRecord {
        state: State::Failed(FailureKind::Panicked),
        finished: Some(later(9_000)),
        attempts: 3,
        interruptions: 2,
        snoozes: 1,
        history: vec![
            attempt(3, panicked),
            attempt(3, AttemptEnd::Interrupted { begun: true }),
            attempt(3, AttemptEnd::Interrupted { begun: false }),
            attempt(3, AttemptEnd::Snoozed(later(5_000))),
            attempt(2, AttemptEnd::Permanent(vec!["gone".into()])),
            attempt(1, AttemptEnd::Error(Vec::new())),
        ],
        ..ready()
    }
}

pub(crate) fn failed_for(kind: FailureKind) -> JobRecord {
    JobRecord {
        state: State::Failed(kind),
        finished: Some(later(1_000)),
        ..ready()
    }
}

pub(crate) fn cancelled() -> JobRecord {
    JobRecord {
        state: State::Cancelled,
        finished: Some(later(2_000)),
        history: vec![attempt(1, AttemptEnd::Cancelled(vec!["not needed".into()]))],
        ..ready()
    }
}

pub(crate) fn attempt(number: u32, end: AttemptEnd) -> Attempt {
    Attempt {
        number,
        started: later(100),
        ended: later(350),
        thread: "default-3".into(),
        end,
        log: vec!["began".into(), "größer als 512 €".into()],
    }
}

pub(crate) fn all() -> Vec<JobRecord> {
    vec![
        ready(),
        scheduled(),
        scheduled_by_the_wall(),
        parked(),
        succeeded(),
        succeeded_with_output_apart(),
        failed(),
        failed_for(FailureKind::Error),
        failed_for(FailureKind::Permanent),
        cancelled(),
        unknown(),
        not_started(),
    ]
}
