//! The protocols of this folder under a model checker, on the source that ships.
//!
//! `scripts/models` builds with `--cfg jobkeep_model`: `sync.rs` then gives the checker's mutex and
//! condition. A model starts the threads of one protocol; the checker runs it under many schedules,
//! and fails it where all its threads sleep or an assertion does not hold. Time passes by a manual
//! clock, so that a moment comes between any two steps, or never.
//!
//! A model is one function; the list below is the only one. A protocol's steps stand beside its
//! code.
//!
//! Who opens a `thread::scope` of the checker's only starts threads in it: it is woken when the last
//! of them ends, whatever it waits for, and so would be woken from a wait that nobody else ends.
//!
//! A model that fails prints a seed. `SHUTTLE_RANDOM_SEED=<seed> scripts/models <model>` begins with
//! that schedule; `JOBKEEP_SCHEDULES` is how many are tried.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a model fails by panicking"
)]

mod driving;
mod executors;
mod futures;
mod inbox;
mod lent;
mod observe;
mod pause;
mod pool;
mod recover;
mod replies;
mod rest;
mod stop;
mod substitute;
mod waiters;
mod wake_ups;
mod whole;

use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, Runner};

use crate::clock::{Clock, Steady};
use crate::testing::ManualClock;

macro_rules! models {
    ($($module:ident: $($model:ident)+;)+) => {
        const MODELS: &[(&str, fn())] = &[
            $($((concat!(stringify!($module), "::", stringify!($model)), $module::$model),)+)+
        ];

        mod holds {
            $(mod $module {
                $(#[test]
                fn $model() {
                    crate::runtime::models::check_all(crate::runtime::models::$module::$model);
                })+
            })+
        }
    };
}

models! {
    inbox:
        each_command_is_taken_once_and_each_caller_answered
        who_waits_for_room_gets_in
        who_waits_for_room_is_sent_away_when_the_inbox_narrows
        a_closed_inbox_leaves_nobody_without_an_answer
        a_worker_gets_in_while_the_inbox_drains
        a_nap_ends_with_its_moment
        a_moment_that_comes_is_looked_at
        a_nudge_is_looked_at
        a_deadline_is_looked_at
        who_waits_with_jobs_is_sent_away_when_the_store_refuses
        a_store_that_refuses_at_times_leaves_nobody_without_an_answer;
    pool:
        two_jobs_run_at_once_on_two_workers
        each_job_is_taken_withdrawn_or_left
        all_workers_end;
    rest:
        an_answer_ends_it
        its_moment_ends_it;
    executors:
        a_job_is_answered_and_all_end
        a_job_that_runs_is_waited_for
        a_job_is_answered_at_its_deadline_or_its_end_and_once;
    substitute:
        a_stuck_worker_is_stood_in_for_and_leaves;
    replies:
        callers_of_a_group_find_their_answers_at_the_ring
        an_answer_is_shown_only_if_its_commit_succeeded
        a_wait_ends_with_its_moment;
    waiters:
        who_registers_sees_the_end
        nobody_looks_once_the_store_is_closed
        who_waits_for_what_does_not_run_is_sent_away
        patience_runs_out_beside_a_ring;
    stop:
        two_shutdowns_get_one_report
        who_waits_for_a_job_is_told
        jobs_follow_each_other_on_one_worker
        the_grace_ends
        a_job_that_outlasts_the_grace_is_reported
        after_a_commit_of_unknown_outcome_everybody_is_told;
    observe:
        all_is_told_in_each_ones_order_before_the_end
        what_happens_is_told_at_once
        an_observer_that_takes_long_is_left_to_itself
        an_observer_that_asks_the_manager_hears_all_and_ends;
    futures:
        a_task_finds_its_answers_beside_a_thread
        the_last_waker_of_a_future_is_called
        a_task_is_called_though_nobody_answers
        a_task_sees_the_end_at_the_ring
        a_task_is_sent_away_whose_job_does_not_run
        a_task_finds_the_last_answer
        each_task_is_told_of_its_job
        a_task_is_told_at_the_end_of_all;
    driving:
        a_future_that_is_woken_comes_to_its_end
        a_future_of_a_job_that_is_to_stop_is_given_up
        tasks_hear_that_a_job_is_to_stop;
    lent:
        jobs_run_on_a_thread_that_is_lent
        a_lent_thread_outlives_the_manager
        who_waits_for_rest_hears_of_a_lent_thread;
    recover:
        a_store_that_refuses_once_keeps_nobody_waiting
        a_store_that_refuses_for_a_while_keeps_nobody_waiting
        a_shutdown_names_what_the_store_refused;
    pause:
        who_waits_for_rest_is_told_and_all_goes_on
        who_waits_for_rest_is_sent_away_at_the_end
        who_waits_for_rest_loses_patience
        a_commit_that_fails_keeps_nobody_waiting_for_rest;
}

/// The same for everybody, so that a schedule which fails here fails everywhere.
const SEED: u64 = 1;

fn check_all(model: fn()) {
    let schedules = std::env::var("JOBKEEP_SCHEDULES").map_or(2_000, |text| text.parse().unwrap());
    check(model, schedules);
}

fn check(model: fn(), schedules: usize) {
    let mut config = Config::new();
    // A commit of the engine takes more than a thread of the checker has.
    config.stack_size = 1 << 18;
    // The scheduler prints the seed, which is shorter.
    config.failure_persistence = FailurePersistence::None;
    // The one flag that is no mutex asks a job to stop, and orders nothing.
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new_from_seed(SEED, schedules), config).run(model);
}

/// Either of two ways, as the schedule has it.
fn flip() -> bool {
    thread_rng().gen_bool(0.5)
}

/// Lets others come first, more or fewer.
fn linger() {
    for _ in 0..thread_rng().gen_range(0..32) {
        shuttle::thread::yield_now();
    }
}

/// A clock, and the same as a caller's.
fn clock() -> (ManualClock, Clock) {
    let manual = ManualClock::new();
    (manual.clone(), Clock::manual(manual))
}

const SECOND: Duration = Duration::from_secs(1);

fn in_a_second(clock: &Clock) -> Steady {
    clock.now().steady.after(SECOND)
}
