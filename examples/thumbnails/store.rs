//! Where the jobs are kept. The constructor chooses; everything after it is the same.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jobkeep::{Builder, Manager, MemoryStore};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redb,
    Sled,
    Memory,
}

pub(crate) fn builder(kind: Kind, out: &Path) -> Result<Builder, Box<dyn Error>> {
    fs::create_dir_all(out).map_err(|cause| {
        let out = out.display();
        format!("create the folder {out}: {cause}: give another one with --out")
    })?;
    let builder = match kind {
        Kind::Redb => redb(out),
        Kind::Sled => sled(out),
        Kind::Memory => Ok(Manager::builder(MemoryStore::new())),
    }?;
    // Who kills this program does it by hand, and no picture is to be blamed.
    Ok(builder.probation(Duration::ZERO))
}

#[cfg(feature = "redb")]
fn redb(out: &Path) -> Result<Builder, Box<dyn Error>> {
    let store = jobkeep::RedbStore::open(out.join("jobs.redb"));
    Ok(Manager::builder(store.map_err(|error| explained(&error))?))
}

#[cfg(not(feature = "redb"))]
fn redb(_out: &Path) -> Result<Builder, Box<dyn Error>> {
    Err(not_built_in("redb"))
}

#[cfg(feature = "sled")]
fn sled(out: &Path) -> Result<Builder, Box<dyn Error>> {
    let store = jobkeep::SledStore::open(out.join("jobs.sled"));
    Ok(Manager::builder(store.map_err(|error| explained(&error))?))
}

#[cfg(not(feature = "sled"))]
fn sled(_out: &Path) -> Result<Builder, Box<dyn Error>> {
    Err(not_built_in("sled"))
}

#[cfg(not(all(feature = "redb", feature = "sled")))]
fn not_built_in(kind: &str) -> Box<dyn Error> {
    format!(
        "this build has no {kind} store. Build it with\n    cargo run --release --features {kind} \
         --example thumbnails -- --store {kind}"
    )
    .into()
}

/// Adds what the store cannot know: how this program gets out of it.
#[cfg(any(feature = "redb", feature = "sled"))]
fn explained(error: &jobkeep::StoreError) -> Box<dyn Error> {
    let way_out = if error.is_in_use() {
        "another start is at work there: wait for its end, or give another folder with --out"
    } else if error.is_foreign() || error.is_damaged() || error.is_newer_format() {
        "move it away, or give another folder with --out"
    } else {
        "give another folder with --out"
    };
    format!("{error}\n{way_out}").into()
}
