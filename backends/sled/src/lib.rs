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
//! on. Without it a directory is somebody else's, and sled is never let near it. With it, a store
//! whose rows are gone is told from a new one, for sled opens what it cannot read as empty.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine;
mod error;
mod folder;
mod options;
mod store;

pub use options::SledOptions;
pub use store::SledStore;
