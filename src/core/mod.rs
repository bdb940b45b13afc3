//! The state machine, pure: (state, command, time) to (batch, effects).
//!
//! Nothing here reads a clock, a store or a random number, starts a thread or waits. What a step
//! needs of the store is handed to it; what it wants done it writes into the group's batch and
//! effects. So the same code runs under the committer's thread, on a test's own thread and in a
//! simulation.

mod accept;
mod checkpoint;
mod clocks;
mod encoded;
mod engine;
mod expiry;
mod flight;
mod follow;
mod fresh;
mod group;
mod linger;
mod list;
mod open;
mod operate;
mod parked;
mod pause;
#[cfg(feature = "testing")]
mod place;
mod probation;
mod schedule;
mod settle;
mod state;
mod unique;

pub(crate) use checkpoint::checkpoint;
pub(crate) use encoded::{EncodedJob, Origins, accept};
pub(crate) use engine::{Engine, Rules};
pub(crate) use expiry::Next;
pub(crate) use follow::FollowUps;
pub use group::Counts;
pub(crate) use group::{Group, Handed};
pub(crate) use list::{Seen, Stand};
pub(crate) use open::{Drawn, Stored, UncleanEnd};
pub(crate) use operate::{Found, Operated, Subject};
pub(crate) use parked::{Amendment, Unread, found_parked, lacking};
pub(crate) use schedule::Order;
pub(crate) use settle::{Outcome, Run, Settlement, settle};
pub use state::HISTORY;
pub(crate) use state::claim as begin_attempt;
pub(crate) use unique::{KeyClaim, Sameness, key_hash};
