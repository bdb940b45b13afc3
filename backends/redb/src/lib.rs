//! The store of jobkeep in a [redb](https://docs.rs/redb) file: the supported engine.
//!
//! ```
//! use jobkeep_redb::RedbStore;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("jobs.redb");
//! let store = RedbStore::open(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Durability
//!
//! [`Synced`](jobkeep_store::Durability::Synced): a commit is on disk when it returns, one sync each,
//! and survives the end of the process and a power cut. On a file system in memory (tmpfs, ramfs) it is
//! [`Flushed`](jobkeep_store::Durability::Flushed), because a power cut takes everything.
//!
//! # On disk
//!
//! One file. Each key space is a table of its own under its name, from numbers to sealed rows. The
//! file has one owner at a time, in this process and in all others: a lock on the file sees to it, and where
//! no lock reaches, as between a FUSE mount and the folder behind it, a look at the file before each commit
//! and after it. It also finds a file that was moved away, replaced or overwritten.
//!
//! Opening an existing file first reads it with every write held back in memory, the engine's repair
//! after a crash included. Only when the file proves to be a store of jobkeep do the writes reach it,
//! so that anything else is left byte for byte as it was. A new store is made beside its path and
//! linked there when it is whole: whoever dies in between leaves nothing in the way, and of two that
//! create at once neither replaces the other's.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod around;
mod check;
mod commit;
mod create;
mod engine;
mod error;
mod held;
mod mount;
mod options;
mod overlay;
mod owned;
mod store;

pub use options::RedbOptions;
pub use store::RedbStore;
