//! Every behaviour of a manager that a user sees, on every store.
//!
//! A behaviour is one function that takes a [`Place`](place::Place); the list below is the only one,
//! and expands to one test a store.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    clippy::needless_pass_by_value,
    missing_docs,
    reason = "a test fails by panicking, and explains itself by its name"
)]

mod buffering;
mod cancelling;
#[cfg(all(feature = "command", unix))]
mod commands;
mod crashing;
mod damage;
mod disk;
mod driving;
mod ends;
mod enqueueing;
mod errors;
mod executing;
mod executor;
mod famous;
mod famous_threads;
mod finishing;
mod following;
mod forking;
mod fsck;
mod full_disk;
mod fuzz_corpus;
mod gate;
mod grounds;
mod handles;
mod histories;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http-call")]
mod http_calls;
#[cfg(feature = "http-call")]
mod http_calls_stopped;
#[cfg(feature = "http-call")]
mod http_calls_tls;
#[cfg(feature = "http-call")]
mod http_server;
mod kit;
mod listing;
#[cfg(feature = "log")]
mod logging;
mod lost_calls;
mod mending;
mod mounts;
mod observing;
mod operating;
mod ordering;
mod overrunning;
mod panicking;
mod parking;
mod place;
mod pushing;
mod reading;
mod receipts;
mod refusing;
mod restarting;
mod resting;
mod retention;
mod retrying;
mod showing;
mod shutdown;
#[cfg(all(feature = "signals", feature = "redb", unix))]
mod signals;
mod spans;
mod starting;
mod submitting;
mod suspecting;
mod threads;
mod thumbnails;
mod tidy;
mod timing;
#[cfg(any(feature = "http", feature = "http-call"))]
mod tls;
mod travelling;
mod uniqueness;
mod verifying;
mod within;

macro_rules! behaviours {
    ($($module:ident: $($behaviour:ident)+;)+) => {
        on_store!(memory, crate::place::Memory::new(), $($module: $($behaviour)+;)+);
        #[cfg(feature = "redb")]
        on_store!(redb, crate::place::Redb::new(), $($module: $($behaviour)+;)+);
        #[cfg(feature = "sled")]
        on_store!(sled, crate::place::Sled::new(), $($module: $($behaviour)+;)+);
    };
}

macro_rules! on_store {
    ($store:ident, $place:expr, $($module:ident: $($behaviour:ident)+;)+) => {
        mod $store {
            $(mod $module {
                $(#[test]
                fn $behaviour() {
                    crate::$module::$behaviour(&$place);
                })+
            })+
        }
    };
}

behaviours! {
    enqueueing:
        a_job_runs_and_comes_back_as_run_left_it
        a_handler_may_hold_state_of_its_own
        a_job_reads_the_applications_resources
        jobs_of_one_batch_are_numbered_in_order
        an_empty_batch_is_accepted_and_writes_nothing
        a_batch_is_accepted_whole_or_not_at_all
        a_large_payload_and_a_large_output_come_back_whole
        a_payload_may_grow_and_shrink_across_the_inline_bound
        a_bincode_job_goes_round
        a_job_is_queued_through_the_trait
        a_thousand_jobs_of_many_threads_all_run_once
        a_job_is_not_read_back_because_many_wait_in_another_queue
        a_job_whose_name_no_start_could_register_is_refused
        counts_follow_the_jobs;
    ordering:
        urgent_runs_before_high_before_normal_before_low
        jobs_of_one_priority_run_in_the_order_of_acceptance
        an_urgent_job_overtakes_those_handed_over
        a_future_job_of_high_priority_does_not_stand_before_a_ready_one
        each_queue_has_its_own_workers;
    timing:
        a_delayed_job_runs_when_its_delay_has_passed
        a_job_with_a_moment_runs_at_that_moment
        a_moment_that_has_passed_means_now
        a_delay_does_not_follow_the_wall_clock
        a_delay_waits_as_long_as_asked_wherever_the_clock_was_set_before
        a_clock_set_back_between_two_processes_makes_nobody_wait_longer
        a_moment_follows_the_wall_clock
        a_wall_clock_set_back_keeps_the_order_of_acceptance;
    retrying:
        an_error_is_retried_from_the_value_that_run_left
        the_last_attempts_error_is_final_with_its_chain
        a_permanent_error_is_final_at_once
        retry_after_overrides_the_backoff
        a_snooze_spends_no_attempt
        a_panic_is_kept_with_its_text_and_place
        a_panic_starts_the_next_attempt_from_the_durable_value
        the_history_holds_the_newest_attempts
        snoozes_do_not_push_errors_out_of_the_history
        a_job_cancelled_after_it_put_itself_off_says_so
        log_lines_stay_with_their_attempt
        attempts_may_be_set_for_a_job;
    cancelling:
        a_waiting_job_is_cancelled_at_once
        a_delayed_job_is_cancelled_at_once
        a_running_job_is_told_and_not_tried_again
        a_running_job_that_succeeds_all_the_same_has_succeeded
        a_job_cancels_itself
        a_finished_job_is_not_cancelled
        a_handed_over_job_is_cancelled_before_it_starts;
    shutdown:
        a_running_job_may_end_within_the_grace
        an_attempt_that_fails_within_the_grace_is_not_repeated
        what_ends_during_the_last_commits_is_recorded
        what_no_worker_took_is_handed_back_untouched
        a_job_that_does_not_end_is_named_with_its_thread
        an_end_after_the_grace_is_not_recorded
        a_job_sees_that_the_grace_has_ended
        a_second_call_gets_the_same_report
        two_threads_shut_down_at_once
        the_shorter_of_two_graces_counts
        nothing_is_accepted_afterwards
        what_waits_for_room_is_refused
        a_job_may_shut_its_own_manager_down
        a_job_that_shuts_another_manager_down_waits_for_it
        a_waiter_learns_of_the_end
        a_waiter_gets_what_ends_within_the_grace
        who_waits_for_what_does_not_run_is_sent_away_at_once
        a_wait_within_a_job_ends_with_the_shutdown
        a_store_that_does_not_answer_holds_up_no_shutdown
        a_store_that_does_not_answer_holds_up_no_drop
        threads_that_have_returned_are_in_no_report;
    forking:
        a_forked_process_is_refused_everything;
    errors:
        a_failed_sync_reaches_its_caller_and_stops_the_manager
        a_full_store_says_so
        a_commit_of_unknown_outcome_says_so
        all_callers_of_a_failed_commit_learn_of_it
        an_end_that_cannot_be_written_is_reported
        every_end_that_was_not_written_is_reported
        a_job_that_runs_when_the_store_fails_is_told
        a_failed_read_reaches_its_caller_and_nobody_else
        a_job_that_cannot_be_read_is_parked_until_the_next_opening
        a_start_that_fails_leaves_the_store_free
        an_owner_that_was_replaced_stops
        an_owner_that_was_replaced_leaves_the_store_to_its_successor
        a_start_takes_over_from_an_owner_that_never_rests;
    refusing:
        a_refused_write_reaches_its_caller_and_the_manager_goes_on
        a_store_that_is_of_no_use_after_a_refused_write_is_opened_again
        a_group_that_took_effect_all_the_same_is_accepted
        the_end_of_a_job_survives_a_refused_write
        an_operator_survives_a_refused_write
        nothing_new_is_taken_until_a_commit_succeeds
        what_runs_goes_on_and_its_end_is_written_later
        a_job_claimed_by_a_refused_group_is_claimed_again
        the_schedule_is_the_same_after_a_refused_write
        a_shutdown_writes_what_was_kept_as_soon_as_it_can
        a_shutdown_stops_trying_at_the_end_of_its_grace
        a_store_that_is_damaged_when_it_is_opened_again_stops_the_manager
        a_store_that_cannot_be_opened_again_is_tried_until_it_can
        an_end_in_a_group_that_cannot_be_looked_at_is_written_later
        a_key_that_cannot_be_read_once_is_read_again
        a_job_that_cannot_be_read_once_is_read_again
        a_retry_whose_write_was_refused_comes_once
        a_cancellation_that_was_refused_cancels_nothing
        what_needs_no_write_is_answered_while_the_store_refuses;
    overrunning:
        a_job_that_outlasts_its_time_out_fails_and_its_late_end_counts_for_nothing
        a_job_is_told_that_its_time_is_over
        what_follows_an_attempt_that_is_over_is_refused
        a_job_does_not_overrun_while_its_process_is_stopped
        the_next_attempt_waits_for_the_old_thread
        the_next_attempt_of_another_manager_waits_for_the_old_thread_too
        substitutes_stand_in_for_stuck_threads_up_to_a_cap
        a_time_out_follows_the_job_then_its_type_then_its_queue
        an_observer_hears_of_a_stuck_thread
        a_job_that_ends_in_time_is_never_stuck
        a_shutdown_names_a_stuck_thread_and_does_not_wait_beyond_its_grace
        a_time_out_whose_write_was_refused_is_recorded_once
        a_large_job_that_times_out_keeps_its_payload
        a_cancelled_job_that_times_out_is_cancelled
        a_job_that_waits_for_its_old_thread_is_cancelled_or_removed_like_any_other;
    suspecting:
        a_single_unclean_end_makes_nobody_a_suspect
        suspects_begin_one_at_a_time_and_nothing_waits_for_them
        a_suspect_that_lasts_is_free_and_the_next_one_begins
        a_job_beside_which_processes_go_on_to_die_is_parked
        processes_that_die_before_a_suspect_begins_park_nobody
        a_job_that_has_run_for_long_is_never_suspected
        restarts_in_quick_succession_hold_up_no_other_queue
        any_other_end_frees_a_suspect
        a_job_that_outlasts_an_orderly_shutdown_is_no_suspect
        an_end_in_order_counts_from_its_beginning
        without_a_probation_nobody_is_suspected
        a_suspect_is_cancelled_or_removed_like_any_other
        a_suspect_whose_claim_is_not_written_is_still_one
        a_suspect_whose_cancellation_is_refused_is_still_one
        a_suspect_of_a_paused_queue_begins_when_that_is_resumed
        a_kit_runs_suspects_when_its_clock_has_moved
        an_observer_hears_of_suspects
        the_retry_of_a_job_parked_as_crashing_is_told;
    travelling:
        a_job_that_could_never_run_is_refused_whoever_enqueues_it
        what_an_attempt_leaves_is_kept_only_if_it_can_be_read
        no_job_succeeds_with_an_output_that_cannot_be_read
        a_checkpoint_that_cannot_be_read_is_refused
        a_job_that_could_never_run_does_not_follow
        doubles_come_back_bit_for_bit
        a_bincode_type_that_changed_is_not_run_with_other_values
        a_bincode_type_may_be_renamed_wrapped_and_given_variants_at_its_end
        a_type_that_changed_hides_nothing_but_itself;
    receipts:
        a_receipt_survives_its_text
        a_receipt_is_a_string_to_serde
        a_receipt_says_what_its_acceptance_survives
        a_receipt_of_which_one_character_changed_is_refused
        a_text_that_is_no_receipt_is_refused_with_the_reason
        a_receipt_of_another_server_is_refused
        a_server_of_another_name_answers_for_its_own_store
        nobody_can_make_up_the_receipt_of_another_job
        a_store_draws_its_secret_once
        a_receipt_of_another_store_is_refused
        a_receipt_of_an_older_opening_still_holds
        a_number_never_given_is_told_from_one_removed
        a_wrong_claim_about_the_type_names_both;
    ends:
        who_waits_in_vain_is_told_how_the_last_attempt_failed
        wait_runs_out_of_patience
        patience_does_not_run_out_before_its_time
        everybody_who_waits_gets_the_end
        a_job_waits_for_another
        a_job_waits_for_one_that_runs_beside_it
        a_job_that_waits_for_itself_is_refused
        a_job_that_waits_where_no_worker_is_left_is_refused
        jobs_of_two_queues_that_wait_for_each_other_are_refused
        a_finished_job_runs_again
        a_failed_job_gets_all_its_attempts_again
        a_cancelled_job_runs_again_as_if_nobody_had_cancelled_it
        only_a_finished_job_is_retried
        a_running_job_is_not_removed
        a_removed_job_does_not_run
        who_waits_for_a_removed_job_learns_of_it
        who_waits_for_a_cancelled_job_learns_of_it
        progress_shows_while_the_job_runs
        a_status_tells_where_a_job_stands;
    uniqueness:
        the_same_key_gives_the_same_receipt_and_writes_nothing
        who_queues_learns_whether_the_job_was_there
        a_key_with_another_payload_is_refused_and_names_the_job
        keys_are_exact_within_one_batch
        a_conflict_within_a_batch_refuses_all_of_it
        a_batch_that_is_refused_says_for_which_of_its_jobs
        a_key_belongs_to_its_job_type
        a_key_outlives_a_new_name_of_its_type
        keys_are_exact_within_one_batch_of_old_and_new_names
        the_order_of_maps_and_sets_makes_no_other_payload
        a_key_is_held_after_the_end_and_then_let_go
        a_key_survives_a_restart
        many_threads_with_one_key_get_one_job
        a_key_is_let_go_after_a_restart
        a_job_that_does_not_end_holds_its_key_for_ever
        a_cancelled_job_holds_its_key_as_others_do
        a_removed_job_lets_its_key_go_at_once
        a_pruned_job_still_holds_its_key
        a_retried_job_holds_its_key_until_its_last_end_is_old
        a_job_whose_key_has_run_out_is_not_retried
        a_job_may_let_its_key_go_with_its_end
        an_expired_key_is_deleted;
    reading:
        a_job_that_goes_while_it_is_read_is_gone_and_not_damaged
        a_job_that_runs_again_while_it_is_read_is_of_one_moment;
    retention:
        the_oldest_of_too_many_finished_jobs_go_first
        successes_and_failures_go_at_their_own_age
        a_wall_clock_set_forward_lets_nothing_go
        keep_all_keeps_all
        a_retried_job_is_not_pruned_for_its_first_end
        a_removed_job_is_gone_and_counted_once
        pruning_goes_on_after_a_restart
        no_row_of_a_pruned_job_is_left;
    histories:
        counts_and_retention_are_right_after_any_history
        counts_and_retention_are_right_though_writes_are_refused;
    handles:
        a_job_may_hold_the_last_handle
        dropping_the_last_handle_ends_the_manager
        dropping_the_last_handle_waits_its_grace
        a_weak_handle_does_not_keep_the_manager;
    parking:
        a_job_of_an_unknown_name_waits_for_its_type
        an_undecodable_payload_is_parked_with_its_bytes
        a_job_parked_at_every_start_remembers_that_once
        a_parked_job_is_cancelled_or_removed_like_any_other
        a_delayed_job_of_an_unknown_name_still_waits_for_its_time
        a_job_of_an_undeclared_queue_waits_for_its_queue
        a_start_says_how_many_jobs_cannot_run_here_and_why
        an_alias_runs_jobs_of_the_old_name;
    mending:
        who_waits_for_a_parked_job_is_told_why
        who_waits_for_a_job_that_becomes_parked_is_told
        who_waits_for_a_job_parked_as_crashing_is_told
        an_undecodable_job_is_tried_once_more_where_an_operator_says_so
        an_undecodable_job_is_not_tried_again_because_a_write_was_refused
        what_is_not_known_here_is_not_retried
        a_job_that_could_not_be_read_is_read_again_by_a_retry
        an_undecodable_job_gets_another_payload_and_runs
        an_operator_amends_a_listed_job_by_json
        a_job_that_waits_gets_another_payload_and_keeps_its_place
        only_a_payload_of_the_jobs_own_type_is_taken
        an_amended_job_is_encoded_as_its_type_is_today
        a_key_stays_with_the_job_that_is_amended
        an_amendment_survives_a_refused_write
        an_amended_suspect_is_held_back_like_before;
    restarting:
        what_waited_runs_after_a_restart
        what_was_in_flight_is_interrupted_and_runs_again
        the_late_end_of_an_older_opening_changes_nothing
        interruptions_add_up_and_spend_no_attempt
        a_cancel_request_survives_the_process
        what_was_finished_stays_finished
        numbers_are_never_used_twice
        jobs_of_every_past_run_in_one_order
        the_order_is_the_same_after_a_restart
        a_clock_set_back_between_two_processes_keeps_the_order
        jobs_that_are_not_ready_keep_their_state;
    crashing:
        jobs_handed_over_and_not_begun_are_interrupted_too
        an_end_that_was_not_written_is_an_interruption
        what_was_refused_is_not_there_afterwards;
    damage:
        a_damaged_row_is_set_aside_and_the_rest_runs
        a_job_whose_payload_is_damaged_is_parked_with_the_reason
        a_finished_job_that_is_damaged_says_so_and_is_pruned_in_its_time
        a_damaged_key_is_refused_and_stops_nothing
        a_job_in_flight_whose_key_is_damaged_is_interrupted_like_others
        a_damaged_row_of_retention_keeps_its_jobs_and_stops_nothing;
    submitting:
        a_submission_is_awaited_until_its_job_is_durable
        a_batch_of_several_types_is_accepted_whole_or_not_at_all
        what_blocks_has_a_future_beside_it
        a_submission_is_waited_for_until_its_job_is_durable
        a_dropped_submission_does_not_take_its_job_back
        a_full_inbox_refuses_a_submission_and_blocks_nobody
        what_cannot_be_encoded_or_queued_is_refused_at_once
        submissions_of_one_thread_share_commits
        a_task_is_woken_once_for_all_its_submissions
        a_failed_commit_reaches_its_submissions
        a_shutdown_resolves_what_is_outstanding
        an_executor_that_panics_stops_nobody_else;
    finishing:
        a_future_resolves_at_the_end_of_its_job
        a_future_of_a_finished_job_resolves_at_once
        everybody_who_awaits_a_job_gets_its_end_and_each_task_one_call
        a_dropped_future_is_not_called
        ten_thousand_futures_of_one_thread_resolve
        a_future_learns_of_a_removal_and_of_a_cancellation
        a_future_of_a_job_run_again_waits_for_its_next_end
        a_future_that_cannot_come_true_says_why
        a_future_learns_of_the_shutdown
        a_future_learns_what_stopped_the_store
        a_future_that_nobody_polls_holds_up_no_shutdown_and_keeps_no_store
        a_future_gets_what_ended_before_the_manager_though_polled_after
        futures_polled_while_the_manager_ends_all_resolve;
    buffering:
        a_buffered_job_is_accepted_before_its_commit
        a_buffered_batch_is_accepted_before_its_commit
        a_manager_may_buffer_and_a_job_not
        a_buffered_receipt_survives_its_text
        a_buffered_job_is_waited_for_cancelled_and_removed_at_once
        a_full_inbox_holds_up_buffered_jobs_as_others
        a_shutdown_writes_what_is_buffered
        what_survives_of_buffered_jobs_is_a_prefix
        a_job_lost_with_all_of_its_opening_says_so
        a_buffered_job_whose_commit_is_refused_once_is_written_all_the_same
        a_buffered_job_whose_commit_is_refused_is_lost_and_says_so
        who_asks_for_a_buffered_job_while_its_commit_is_refused_learns_that_it_is_lost
        a_buffered_job_with_a_key_waits_for_its_commit;
    operating:
        a_paused_queue_accepts_jobs_and_starts_none
        a_pause_withdraws_what_was_handed_over_and_not_begun
        a_delayed_job_of_a_paused_queue_becomes_ready_and_does_not_start
        a_pause_holds_over_a_restart_until_it_is_lifted
        a_queue_that_is_not_declared_any_more_keeps_its_pause
        only_a_declared_queue_is_paused_or_resumed
        what_changes_nothing_writes_nothing
        a_pause_that_cannot_be_written_reaches_its_caller
        pause_and_wait_returns_at_once_where_nothing_runs
        pause_and_wait_returns_with_the_last_end
        pause_and_wait_looks_at_its_own_queue_only
        pause_and_wait_runs_out_of_patience_and_the_queue_stays_paused
        who_waits_for_a_queue_to_rest_learns_of_the_end
        log_lines_show_while_the_job_runs;
    listing:
        finished_jobs_are_listed_page_by_page_in_the_order_of_numbers
        waiting_jobs_are_listed_page_by_page_in_the_order_of_numbers
        running_jobs_are_listed_page_by_page_in_the_order_of_numbers
        a_listed_job_tells_what_its_status_tells
        a_job_is_listed_where_it_stands_and_not_where_its_row_says
        a_job_that_cannot_run_here_is_listed_with_the_reason
        a_listed_receipt_of_an_older_opening_holds
        one_page_looks_at_ten_thousand_rows
        a_listing_reads_no_payloads
        a_listing_of_finished_jobs_does_not_wait_for_the_committer
        a_damaged_row_is_named_and_stops_no_listing
        a_listing_that_fails_says_why;
    observing:
        an_observer_hears_the_life_of_a_job
        a_snooze_and_a_retry_by_an_operator_are_told
        a_cancellation_is_told
        a_parked_job_is_told_with_the_reason
        what_a_start_cannot_run_is_told
        a_start_tells_the_first_of_very_many_jobs_that_it_cannot_run
        every_job_of_a_large_batch_is_told
        a_job_that_was_there_already_is_not_told_again
        pauses_are_told_where_they_change_something
        what_was_not_committed_is_not_told
        a_slow_observer_holds_nobody_up_and_learns_what_it_lost
        what_is_heard_and_what_is_lost_make_up_what_happened
        every_job_that_follows_is_told
        an_event_tells_how_long_a_job_waited_and_ran
        an_observer_that_panics_harms_nothing
        a_shutdown_waits_for_the_last_event
        a_shutdown_leaves_an_observer_behind_that_does_not_return
        an_observer_may_hold_the_manager_and_end_it
        several_observers_hear_the_same
        an_observer_hears_that_the_store_refuses
        a_success_that_ends_otherwise_for_a_key_is_told_as_it_ended
        what_is_written_at_the_second_try_is_told_once
        that_the_store_refuses_is_told_once_until_it_works_again;
    within:
        a_panic_goes_on_from_the_checkpoint
        an_error_goes_on_from_the_value_that_run_left
        a_checkpoint_is_in_the_store_when_it_returns
        a_checkpoint_that_is_not_written_says_so
        a_checkpoint_whose_write_is_refused_once_is_written
        a_checkpoint_of_an_older_opening_changes_nothing
        a_checkpoint_of_an_owner_that_was_replaced_changes_nothing
        a_checkpoint_and_a_cancel_request_both_survive_the_process
        a_checkpoint_is_written_within_the_grace
        the_row_of_a_job_that_runs_keeps_its_state
        a_checkpoint_may_grow_and_shrink_across_the_inline_bound
        a_checkpoint_of_another_type_is_refused
        a_job_of_an_older_name_makes_checkpoints
        a_checkpoint_over_the_limit_is_refused;
    driving:
        a_future_comes_to_its_output_whoever_wakes_it
        a_future_ends_with_its_jobs_time_out_and_gives_the_thread_back
        a_future_ends_when_its_job_is_cancelled
        a_future_ends_with_the_grace_of_a_shutdown
        a_task_elsewhere_hears_that_its_job_is_to_stop
        a_future_that_is_ready_is_heard_in_a_job_that_is_to_stop
        a_panic_in_a_future_is_its_jobs
        a_future_of_tokios_is_driven_inside_of_its_runtime;
    showing:
        a_job_knows_its_attempt_its_queue_and_its_key
        a_job_reckons_with_the_managers_clock
        a_job_fails_by_whatever_its_program_calls_an_error
        a_number_gives_its_jobs_receipt
        nothing_that_is_printed_shows_what_a_job_carries
        what_is_shown_of_jobs_serializes;
    following:
        jobs_that_follow_come_with_the_success
        jobs_that_follow_run
        nothing_follows_an_attempt_without_success
        a_success_that_cannot_be_kept_has_no_jobs_that_follow
        each_attempt_begins_without_jobs_that_follow
        a_commit_that_fails_writes_neither_the_end_nor_what_follows
        what_follows_is_written_once_though_its_commit_was_refused
        a_key_that_is_held_for_the_same_is_not_written_again
        a_key_that_is_held_for_something_else_fails_the_attempt
        an_attempt_that_fails_for_a_key_is_tried_again
        two_jobs_that_follow_may_not_want_one_key_for_different_things
        a_cancelled_job_whose_jobs_are_refused_is_cancelled
        a_damaged_key_fails_the_attempt
        a_job_that_cannot_follow_is_refused_at_once
        a_large_job_that_follows_is_refused_at_once
        a_long_key_of_a_job_that_follows_is_refused_at_once
        as_many_jobs_follow_as_a_batch_has
        no_more_bytes_follow_than_a_batch_has
        an_end_that_the_fence_refuses_has_no_jobs_that_follow
        an_end_of_an_older_opening_has_no_jobs_that_follow
        jobs_that_follow_are_accepted_within_the_grace
        the_delay_of_a_job_that_follows_counts_from_the_end
        a_job_hands_its_key_to_the_one_that_follows_it
        a_key_is_handed_on_under_a_new_name;
    famous:
        r01_every_accepted_job_is_there_whichever_commit_was_the_last
        r02_a_long_job_is_not_started_again_because_of_its_age
        r05_a_killed_job_runs_again_though_it_had_one_attempt
        r06_suspects_hold_nobody_up_behind_a_job_without_end
        r06_a_suspect_beside_which_the_poisonous_one_ran_is_not_parked
        r10_a_time_out_does_not_follow_the_wall_clock
        r11_a_clock_that_was_ahead_keeps_nothing_for_ever
        r13_a_time_out_is_recorded_though_the_store_could_not_be_read_once
        r14_no_end_of_a_job_leaves_its_key_held
        r22_no_attempt_is_counted_twice_though_its_commit_was_refused
        r23_no_job_runs_twice_because_of_a_shutdown;
    famous_threads:
        r20_a_thread_that_returns_stands_in_for_one_that_hangs
        r21_an_error_that_panics_ends_its_job_and_no_thread
        r21_a_panic_that_panics_ends_its_job_and_no_thread
        r21_an_error_that_is_its_own_source_ends_its_job;
    verifying:
        a_store_that_was_never_written_has_no_findings
        a_sound_store_has_no_findings_and_a_repair_writes_nothing
        a_store_with_jobs_in_flight_is_sound
        jobs_removed_retried_and_pruned_leave_nothing_behind
        a_damaged_job_is_set_aside_by_the_repair_and_the_rest_runs
        damaged_rows_of_the_manager_are_refused_with_the_way_out_and_repaired
        a_secret_that_is_damaged_is_drawn_anew_and_older_receipts_are_refused
        damaged_rows_of_retention_are_made_anew
        a_damaged_payload_is_left_with_its_job
        what_is_missing_of_a_job_is_named_and_left
        what_belongs_to_no_job_is_deleted
        wrong_counts_are_corrected
        a_job_of_two_places_or_states_is_named_and_left
        what_is_in_flight_or_paused_and_cannot_be_is_corrected
        a_key_without_its_job_is_let_go_and_a_job_without_its_key_named
        retention_learns_what_it_does_not_know
        a_repair_replaces_the_manager_that_has_the_store
        a_store_that_cannot_be_read_is_an_error;
    kit:
        one_job_runs_on_the_callers_thread_and_its_end_is_in_the_store
        code_under_test_queues_through_the_kit
        a_drain_runs_the_most_urgent_first_and_what_is_queued_meanwhile
        a_retry_runs_when_the_clock_says_so
        a_panic_of_a_job_is_recorded_and_the_thread_is_the_tests_again
        a_job_on_the_callers_thread_may_shut_its_manager_down
        a_job_that_outlives_its_manager_is_an_error
        a_queue_that_is_not_declared_is_not_run
        what_is_enqueued_is_what_has_not_finished
        a_failed_assertion_lists_what_is_enqueued
        a_fault_strikes_when_it_is_armed
        a_claim_that_is_not_written_runs_nothing
        a_store_that_refuses_shows_at_the_kit
        the_grace_of_a_shutdown_passes_by_a_manual_clock
        who_waits_for_rest_hears_of_the_end_of_a_job;
    pushing:
        a_pushed_job_runs_elsewhere_and_comes_back_as_it_was_left
        an_answer_ends_the_attempt_as_it_ended_there
        an_answer_may_cancel_its_job
        what_one_executor_cannot_decode_the_next_one_may
        an_answer_beyond_the_limits_fails_its_job
        a_call_ends_by_the_time_out_of_its_job_or_queue_or_in_a_minute
        a_pushing_host_need_not_know_the_name
        a_refused_call_spends_no_attempt_and_is_kept_once
        a_pushed_job_that_is_cancelled_meanwhile_is_not_sent_again
        a_call_in_flight_when_its_process_dies_is_sent_again_after_its_time_out
        a_pushed_attempt_takes_a_day_at_most_whatever_is_asked_for
        pushed_jobs_are_no_suspects
        an_observer_hears_why_a_call_comes_again
        a_kit_carries_jobs_on_the_callers_thread;
    lost_calls:
        a_lost_call_is_an_attempt_and_comes_again_after_its_deadline
        a_lost_call_waits_for_the_longer_of_backoff_and_deadline
        a_queue_may_have_lost_calls_fail
        an_operators_retry_waits_for_the_end_of_a_lost_call_too
        an_operators_retry_waits_for_the_call_of_a_process_that_died
        a_carrier_that_panics_has_lost_its_call
        a_carrier_that_does_not_return_has_lost_its_call;
    resting:
        the_rests_of_a_queue_double_up_to_a_minute
        a_lost_call_counts_as_a_refused_one_for_the_rest_of_its_queue
        a_queue_whose_calls_are_lost_at_once_does_not_spend_its_backlog
        a_refusal_puts_its_job_off_by_a_day_at_most
        a_refusal_that_says_when_is_heeded
        a_refusal_of_one_job_holds_up_no_other
        a_job_refused_alone_waits_as_long_as_it_has_been_refused
        an_answer_ends_the_rest_of_its_queue
        a_queue_rests_only_where_few_calls_are_answered
        an_executor_that_is_dead_slows_no_other_queue
        a_queue_that_rests_shuts_down;
    executing:
        a_foreign_job_is_answered_as_it_was_left_and_nothing_is_written
        a_foreign_job_that_fails_is_an_answer
        a_payload_that_does_not_decode_is_an_answer
        what_a_foreign_job_leaves_beyond_the_limits_fails_it
        a_foreign_job_has_no_checkpoints_and_nothing_follows_it
        a_host_refuses_before_it_begins_anything
        a_host_without_executors_runs_no_foreign_job
        foreign_jobs_take_no_worker_and_own_jobs_no_executor
        a_foreign_job_is_answered_at_its_deadline_and_refused_until_its_thread_returns
        substitutes_stand_in_for_stuck_executors_up_to_as_many
        a_foreign_job_may_end_within_the_grace
        a_foreign_job_that_outlasts_the_grace_is_not_answered
        a_foreign_job_may_shut_its_host_down
        who_hears_an_answer_and_panics_harms_nobody
        a_queue_is_pushed_to_another_manager;
}
