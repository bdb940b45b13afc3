use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use jobkeep_store::StoreError;

use crate::error::Act;

const FOUNDING: &str = "jobkeep-founding";
const FOUNDED: &str = "jobkeep-founded";

/// sled's log, which it also locks.
pub(crate) const LOG: &str = "db";

/// How far a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No commit has returned yet.
    Founding,
    /// At least this many commits have returned.
    Founded(u64),
}

/// Makes sure that the directory is ours, and makes it where there is nothing. sled, which writes
/// into any directory, comes after this.
pub(crate) fn claim(path: &Path, act: Act<'_>) -> Result<Standing, StoreError> {
    match fs::create_dir(path) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => return Err(act.io(cause)),
        _ => {}
    }
    if !path.is_dir() {
        return Err(act.foreign("it is a file, and a sled store is a directory"));
    }
    if let Some(standing) = standing(path, act)? {
        return Ok(standing);
    }
    let mut entries = fs::read_dir(path).map_err(|cause| act.io(cause))?;
    if let Some(entry) = entries.next() {
        let entry = entry.map_err(|cause| act.io(cause))?;
        let name = entry.file_name().display().to_string();
        let cause =
            format!("it has {name:?} in it and no file {FOUNDED:?}: it is no store of jobkeep");
        return Err(act.foreign(cause));
    }
    match File::create_new(path.join(FOUNDING)) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => Err(act.io(cause)),
        _ => Ok(Standing::Founding),
    }
}

/// How far the store has come, of which nothing may be made anew; `None` where there is none.
pub(crate) fn standing(path: &Path, act: Act<'_>) -> Result<Option<Standing>, StoreError> {
    match fs::read_to_string(path.join(FOUNDED)) {
        // Of a number that was cut off while it was written, what is left is smaller.
        Ok(commits) => {
            require_log(path, act)?;
            Ok(Some(Standing::Founded(commits.trim().parse().unwrap_or(0))))
        }
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let founding = path.join(FOUNDING).try_exists();
            let founding = founding.map_err(|cause| act.io(cause))?;
            Ok(founding.then_some(Standing::Founding))
        }
        Err(cause) => Err(act.io(cause)),
    }
}

/// sled makes a new log where it finds none.
fn require_log(path: &Path, act: Act<'_>) -> Result<(), StoreError> {
    match fs::metadata(path.join(LOG)) {
        Ok(log) if log.len() > 0 => Ok(()),
        Ok(_) => Err(act.damaged(format!("its file {LOG:?} is empty"))),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            Err(act.damaged(format!("its file {LOG:?} is gone")))
        }
        Err(cause) => Err(act.io(cause)),
    }
}

/// The first commit is in the log.
pub(crate) fn mark_founded(path: &Path) -> io::Result<()> {
    fs::rename(path.join(FOUNDING), path.join(FOUNDED))
}

/// Notes that the log has this many commits, after it was synced: a log that is found with fewer was
/// cut off.
pub(crate) fn mark_commits(path: &Path, commits: u64) -> io::Result<()> {
    File::open(path.join(LOG))?.sync_all()?;
    fs::write(path.join(FOUNDED), commits.to_string())
}
