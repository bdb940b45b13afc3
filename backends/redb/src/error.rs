use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use jobkeep_store::StoreError;
use redb::{CommitError, StorageError};

use crate::owned::Displaced;

/// The way out where redb cannot read its file.
const COPY: &str = ": put a copy of the store in its place";

/// What was tried, and where: the front of every message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) verb: &'a str,
    pub(crate) location: &'a str,
}

impl Act<'_> {
    /// An error of redb before any commit.
    pub(crate) fn engine(self, cause: impl Into<redb::Error>) -> StoreError {
        match cause.into() {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => self.in_use(),
            redb::Error::DatabaseClosed => StoreError::closed(self.verb, self.location),
            redb::Error::Corrupted(what) => self.damaged(what + COPY),
            redb::Error::Io(cause) => self.io(cause),
            cause @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }) => self.foreign(cause.to_string()),
            cause => StoreError::failed(self.verb, self.location, cause),
        }
    }

    /// An error of the operating system before any commit.
    pub(crate) fn io(self, cause: io::Error) -> StoreError {
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::full(self.verb, self.location, cause)
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => self.damaged(cause.to_string()),
            _ => StoreError::failed(self.verb, self.location, Advised(cause)),
        }
    }

    /// An error of the commit itself. A write that found no space left the new tree incomplete, and
    /// redb then keeps to the old one; after anything else, a failed sync above all, either may be on
    /// disk.
    pub(crate) fn commit(self, cause: CommitError, sync_failed: bool) -> StoreError {
        match cause {
            CommitError::TransactionPoisoned => {
                StoreError::failed(self.verb, self.location, redb::Error::TransactionPoisoned)
            }
            CommitError::Storage(StorageError::Io(cause))
                if !sync_failed
                    && matches!(
                        cause.kind(),
                        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
                    ) =>
            {
                StoreError::full(self.verb, self.location, cause)
            }
            cause => self.unknown(cause),
        }
    }

    pub(crate) fn foreign(self, cause: impl Into<String>) -> StoreError {
        StoreError::foreign(self.verb, self.location, cause)
    }

    pub(crate) fn damaged(self, cause: impl Into<String>) -> StoreError {
        StoreError::damaged(self.verb, self.location, cause)
    }

    pub(crate) fn in_use(self) -> StoreError {
        StoreError::in_use(self.verb, self.location)
    }

    /// The file is this owner's no longer, or that cannot be told.
    pub(crate) fn displaced(self, why: Displaced) -> StoreError {
        match why {
            Displaced::Unread(cause) => self.io(cause),
            why => StoreError::displaced(self.verb, self.location, why.to_string()),
        }
    }

    /// A commit was not begun. Where a sync failed before it, nobody knows what is on the disk.
    pub(crate) fn not_begun(self, why: Displaced, sync_failed: bool) -> StoreError {
        if sync_failed {
            self.unknown(why.to_string())
        } else {
            self.displaced(why)
        }
    }

    pub(crate) fn unknown(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::unknown(self.verb, self.location, cause)
    }

    pub(crate) fn closed(self) -> StoreError {
        StoreError::closed(self.verb, self.location)
    }

    /// Runs what may panic inside redb, which trusts a file that was closed in order and meets what
    /// else happened to it by panicking.
    pub(crate) fn caught<T>(
        self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(self.damaged(said(&*panic) + COPY)))
    }
}

/// What a panic of redb said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("redb panicked: {}", message.unwrap_or("without a message"))
}

/// What the operating system said, with what can be done about it.
#[derive(Debug)]
struct Advised(io::Error);

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        f.write_str(match self.0.kind() {
            ErrorKind::NotFound => ": create the directory of the store first",
            ErrorKind::NotADirectory => ": a part of the path is no directory; choose another path",
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                ": the process must be allowed to write the file and its directory"
            }
            _ => "",
        })
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
