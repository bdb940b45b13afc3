//! The suite that every store must pass, and a store that fails on purpose.
//!
//! A [`Harness`] stands for one place where a store can be opened; the macro expands to one test a
//! case, each with a place of its own:
//!
//! ```text
//! jobkeep_store::conformance_suite!({
//!     let folder = tempfile::tempdir().unwrap();
//!     move || MyStore::open(folder.path().join("jobs")).unwrap()
//! });
//! ```
//!
//! A store that wraps another one passes the suite as well: [`FaultyStore`] with no fault armed does.
//!
//! The history of the random case is chosen anew at each run. A failure prints its seed, and the
//! environment variable `JOBKEEP_SEED` runs it again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests, in the form of a library"
)]

mod atomic;
mod basic;
mod durable;
mod failure;
mod fault;
mod faulty;
mod fence;
mod limits;
mod model;
mod order;
mod owner;
mod random;

use std::sync::Arc;

pub use fault::{Fault, Faults, Lasting, Operation};
pub use faulty::FaultyStore;

use crate::QueueStore;

/// A place of its own where a store can be opened, and opened again.
///
/// A closure that returns a store is a harness.
pub trait Harness {
    /// Opens the store of this place, which is empty the first time. Called again only when every
    /// store opened before was closed or dropped; it then has the rows that they left.
    fn open(&self) -> Arc<dyn QueueStore>;
}

impl<F, S> Harness for F
where
    F: Fn() -> S,
    S: QueueStore,
{
    fn open(&self) -> Arc<dyn QueueStore> {
        Arc::new(self())
    }
}

/// Expands to one test for every case of the suite.
///
/// The argument is an expression of a type that implements
/// [`Harness`](crate::conformance::Harness), evaluated once a case. The tests stand in one module a
/// topic, so that two suites in one file need a module each.
#[macro_export]
macro_rules! conformance_suite {
    ($harness:expr) => {
        $crate::conformance_suite! { @cases tests ($harness) }
    };

    // The one list. A case that is not in it is dead code to the compiler.
    (@cases $use:ident $arguments:tt) => {
        $crate::conformance_suite! { @$use $arguments
            basic {
                a_key_never_written_has_no_row,
                a_row_is_read_as_it_was_put,
                a_later_put_replaces_the_row,
                a_deleted_row_is_gone,
                deleting_a_missing_row_is_fine,
                the_last_write_of_a_key_wins,
                deletes_reach_no_other_space,
                a_batch_of_nothing_is_a_commit,
                the_fence_is_a_row,
            }
            order {
                a_scan_is_in_the_order_of_keys,
                both_bounds_belong_to_the_range,
                bounds_need_no_row,
                an_empty_range_has_no_rows,
                a_range_that_ends_before_it_begins_is_empty,
                a_scan_stops_at_a_break,
                a_scan_crosses_spaces,
                extreme_numbers_keep_their_order,
            }
            atomic {
                a_refused_batch_changes_nothing,
                a_scan_sees_one_moment,
                readers_see_whole_commits,
                a_commit_is_seen_by_other_threads,
                of_two_racing_commits_one_wins,
                of_two_racing_takeovers_one_wins,
            }
            fence {
                a_new_store_has_no_fence,
                founding_sets_the_fence,
                a_founded_store_is_not_founded_again,
                a_takeover_moves_the_fence,
                a_replaced_owner_is_refused,
                a_takeover_that_lost_the_race_is_refused,
                a_batch_of_another_store_is_refused,
                a_store_without_opening_takes_no_commit,
                a_replayed_commit_is_out_of_turn,
                a_commit_ahead_of_its_turn_is_refused,
                commits_count_on_over_a_takeover,
                an_owner_closes_what_is_its_own_and_leaves_the_rest_to_its_successor,
                a_store_without_opening_is_closed_by_any_owner,
            }
            durable {
                rows_survive_close_and_open,
                rows_survive_a_drop_without_close,
                the_identity_survives_close_and_open,
                the_fence_holds_after_an_open,
                closing_twice_is_fine,
                a_closed_store_refuses_every_call,
                a_closed_store_lets_go_of_its_place,
                reopen_brings_a_closed_store_back,
                reopen_of_an_open_store_keeps_the_rows,
                close_beside_readers_ends_them_in_order,
            }
            limits {
                large_rows_are_kept,
                many_rows_fit_in_a_batch,
                many_deletes_fit_in_a_batch,
                a_row_may_have_an_empty_body,
                every_space_keeps_rows,
            }
            failure {
                verify_finds_nothing_in_a_sound_store,
                verify_finds_nothing_in_a_new_store,
                verify_names_every_damaged_row,
                a_damaged_row_is_handed_out_as_it_is,
                a_panic_while_scanning_harms_nothing,
            }
            model {
                random_histories_match_the_model,
            }
        }
    };

    (@tests ($harness:expr) $($topic:ident { $($case:ident,)* })*) => {
        $(
            mod $topic {
                #[allow(unused_imports, reason = "an expression may name nothing outside itself")]
                use super::*;

                $(
                    #[test]
                    fn $case() {
                        $crate::conformance::cases::$topic::$case(&$harness);
                    }
                )*
            }
        )*
    };

    (@functions () $($topic:ident { $($case:ident,)* })*) => {
        $(
            pub mod $topic {
                $(
                    pub fn $case(place: &dyn super::super::Harness) {
                        super::super::$topic::$case(place);
                    }
                )*
            }
        )*
    };
}

/// What the tests of [`conformance_suite!`](crate::conformance_suite) call.
#[doc(hidden)]
pub mod cases {
    conformance_suite! { @cases functions () }
}
