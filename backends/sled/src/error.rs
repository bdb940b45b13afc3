use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use jobkeep_store::StoreError;

use crate::claim::Displaced;

/// What was tried, and where: the front of every message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) verb: &'a str,
    pub(crate) location: &'a str,
}

impl Act<'_> {
    /// An error of sled before anything was written.
    pub(crate) fn engine(self, cause: sled::Error) -> StoreError {
        match cause {
            // sled says it in words only, and 0.34 will not find others.
            sled::Error::Io(cause) if cause.to_string().starts_with("could not acquire lock") => {
                StoreError::in_use(self.verb, self.location)
            }
            sled::Error::Io(cause) => self.io(cause),
            sled::Error::Corruption { .. } => self.damaged("sled cannot read what it wrote"),
            cause => StoreError::failed(self.verb, self.location, cause),
        }
    }

    /// An error of the operating system before anything was written.
    pub(crate) fn io(self, cause: io::Error) -> StoreError {
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                StoreError::full(self.verb, self.location, cause)
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => self.damaged(cause.to_string()),
            _ => StoreError::failed(self.verb, self.location, Advised(cause)),
        }
    }

    /// An error after which the batch may be on disk or not.
    pub(crate) fn unknown(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::unknown(self.verb, self.location, cause)
    }

    pub(crate) fn foreign(self, cause: impl Into<String>) -> StoreError {
        StoreError::foreign(self.verb, self.location, cause)
    }

    pub(crate) fn damaged(self, cause: impl Into<String>) -> StoreError {
        StoreError::damaged(self.verb, self.location, cause)
    }

    pub(crate) fn displaced(self, why: Displaced) -> StoreError {
        StoreError::displaced(self.verb, self.location, why.to_string())
    }

    pub(crate) fn closed(self) -> StoreError {
        StoreError::closed(self.verb, self.location)
    }

    /// Runs what may panic inside sled, which meets damage by panicking.
    pub(crate) fn caught<T>(
        self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(self.damaged(said(&*panic))))
    }
}

/// What a panic of sled said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled panicked: {}", message.unwrap_or("without a message"))
}

/// What the operating system said, with what can be done about it.
#[derive(Debug)]
struct Advised(io::Error);

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        f.write_str(match self.0.kind() {
            ErrorKind::NotFound => ": create the directory that the store is to be in first",
            ErrorKind::NotADirectory => ": a part of the path is no directory; choose another path",
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                ": the process must be allowed to write the directory and its files"
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
