use std::io;
use std::path::Path;

use jobkeep_store::StoreError;

use crate::error::Act;

/// What sled writes on its own account: a few of its segments of half a mebibyte, and what it notes of its
/// pages. A write that finds no room leaves sled 0.34 unable to end, and an opening that finds none
/// leaves a store that cannot be read any more; so neither is begun.
const TO_OPEN: u64 = 1 << 20;
const TO_COMMIT: u64 = 2 << 20;

/// Refuses to open where sled might find no room.
pub(crate) fn require_to_open(path: &Path, act: Act<'_>) -> Result<(), StoreError> {
    // What is noted of the pages is a small part of them.
    require(path, TO_OPEN + log_bytes(path) / 16, act)
}

/// Refuses a commit of so many bytes where sled might find no room.
pub(crate) fn require_to_commit(path: &Path, bytes: u64, act: Act<'_>) -> Result<(), StoreError> {
    require(path, TO_COMMIT.saturating_add(bytes.saturating_mul(2)), act)
}

fn log_bytes(path: &Path) -> u64 {
    path.join(crate::folder::LOG)
        .metadata()
        .map_or(0, |log| log.len())
}

fn require(path: &Path, bytes: u64, act: Act<'_>) -> Result<(), StoreError> {
    let free = free(path).unwrap_or(u64::MAX);
    if free >= bytes {
        return Ok(());
    }
    let cause = format!(
        "sled needs {} KiB of free room for this, so as not to fail half-way, and there are {}",
        bytes.div_ceil(1024),
        free / 1024
    );
    Err(StoreError::full(
        act.verb,
        act.location,
        io::Error::new(io::ErrorKind::StorageFull, cause),
    ))
}

/// The room that this process may fill, of the file system and below its limit for files, as far as
/// that can be known: a quota is not seen.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path)
        .or_else(|_| rustix::fs::statvfs(path.parent().unwrap_or(path)))
        .ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    let below = limit.map_or(u64::MAX, |limit| limit.saturating_sub(log_bytes(path)));
    Some(free.min(below))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
