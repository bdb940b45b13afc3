//! The store of jobkeep in a [sled](https://docs.rs/sled/0.34) 0.34 directory.
//!
//! redb is the supported engine; this one is for programs that already run on sled. It is slower from
//! some ten jobs a commit on, uses more disk and memory, and its authors call it beta.
//!
//! ```
//! use jobkeep_sled::SledStore;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("jobs.sled");
//! let store = SledStore::open(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Durability
//!
//! [`Flushed`](jobkeep_store::Durability::Flushed): every commit ends with sled's `flush`, and survives
//! the end of the process, however it ends. It is not sure to survive a power cut: on Linux that flush
//! is `sync_file_range`, which empties neither the cache of the disk nor the metadata of the file.
//!
//! # On disk
//!
//! A directory. One tree holds the rows under the nine bytes of their keys. Beside sled's own files
//! stands a file of jobkeep: `jobkeep-founding` until the first commit, `jobkeep-founded` from then
//! on, and `jobkeep-owner`, by which an owner knows that nobody else has opened the store since. Without
//! the former a directory is somebody else's, and sled is never let near it. With it, a store
//! whose rows are gone is told from a new one, for sled opens what it cannot read as empty.
//!
//! # A full disk
//!
//! sled 0.34 does not survive a write that finds no room: it may wait for ever for its own end, and what is
//! opened on a full disk may be unreadable afterwards. So a commit is refused while there are less than 2 MiB
//! and twice its size free, and an opening while there are less than 1 MiB and a sixteenth of the log
//! ([`is_full`](jobkeep_store::StoreError::is_full)). Where the system does not tell how much room there is,
//! as on btrfs and beyond a quota, a commit fails with an unknown outcome, the store is of no use in this
//! process any more, and there must be room before it is opened in another one.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod claim;
mod engine;
mod error;
mod folder;
mod options;
mod room;
mod store;

pub use options::SledOptions;
pub use store::SledStore;
