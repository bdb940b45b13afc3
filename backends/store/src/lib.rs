//! The contract between jobkeep and the engine that keeps its jobs.
//!
//! A [`QueueStore`] keeps *rows*: sealed byte strings under ordered [`Key`]s. It knows three verbs
//! ([`commit`](QueueStore::commit), [`get`](QueueStore::get), [`scan`](QueueStore::scan)), checks one
//! thing (that a [`Batch`] comes from the newest opening, see [`admit`]), and has no clock, no policy
//! and no state machine. What the rows mean is written in the typed records of this crate and
//! decided by jobkeep's core.
//!
//! To bring an engine of your own, implement [`QueueStore`] and run the suite of the feature
//! `conformance` on it: `jobkeep_store::conformance_suite!(Harness)` expands to one test a case.
//!
//! # On disk
//!
//! A row is `[format: u8][crc32: u32, little-endian][body]`. The checksum covers the body, then the
//! nine bytes of the key, then the format, so that a row that was moved, cut or flipped is found, and
//! so that a caller can checksum a body before the job has its number. Bodies are bincode 2 in its
//! standard configuration. Keys are a space and a sequential number, big-endian.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod borrowing;
mod byte_count;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod id;
mod key;
mod patience;
mod record;
mod shape;
mod store;
mod telling;
mod time;

pub use batch::{Batch, Columns, Write};
pub use byte_count::ByteCount;
pub use codec::{
    Encoded, FORMAT, HEADER_BYTES, MAX_ROW_BYTES, RowError, decode_payload, decode_value,
    encode_payload, encode_value, open_row,
};
pub use error::StoreError;
pub use id::{JobNumber, OpeningTag, QueueName, StoreId, Token};
pub use key::{Key, Space};
pub use patience::open_patiently;
pub use record::{
    Attempt, AttemptEnd, Backoff, Clocks, Closing, Damaged, Due, Ended, Expiring, ExpiringKeys,
    FailureKind, Fence, InFlight, JobRecord, Kept, Listed, Opening, ParkReason, Paused,
    PayloadCodec, Place, Priority, Secret, State, StateKind, Totals, UniqueEntry, UniqueRow,
    Withdrawn,
};
pub use store::{
    Durability, Finding, Identity, QueueStore, admit, get_typed, is_taken_over, verify_rows,
};
pub use time::Timestamp;
