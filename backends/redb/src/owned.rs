use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use jobkeep_store::{Durability, StoreError};
use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::around::Around;
use crate::error::Act;
use crate::mount::Mount;

/// The bytes that every redb file begins with.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// How much of the file redb writes anew with each commit, and no two commits alike: its header.
const HEAD: usize = 320;

/// The open file of a store, from its opening to its close: engines on it come and go.
///
/// redb locks it, and a lock holds for one inode: it does not reach through a FUSE mount or from an
/// overlay to its upper folder, and nobody who copies or moves files asks for it. So this owner knows
/// what it wrote last at the head of the file, and where the file has to be, and looks before each
/// commit and after it, before anybody is told: another owner's commit is then found in the file itself,
/// and not in what redb remembers of it.
#[derive(Debug)]
pub(crate) struct OwnedFile {
    path: PathBuf,
    backend: Box<dyn StorageBackend>,
    /// The same open file.
    itself: File,
    mount: Mount,
    /// The file and the root of the file system, as they were at the opening.
    identity: Identity,
    root: Option<Identity>,
    known: Mutex<Known>,
    sync_failed: AtomicBool,
}

/// What this owner knows of the file.
#[derive(Debug, Default)]
struct Known {
    head: Option<[u8; HEAD]>,
    length: u64,
    looks: u64,
    /// Somebody else has written the file: nothing of ours may reach it any more.
    is_barred: bool,
}

/// Why the file is this owner's no longer, or why that cannot be told.
#[derive(Debug)]
pub(crate) enum Displaced {
    /// There is nothing at its path.
    Gone,
    /// There is another file at its path.
    Elsewhere,
    /// Somebody else has written it.
    Overwritten,
    Unread(io::Error),
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => {
                "the file is not at its path any more, deleted or moved away: put it or a copy back, \
                 and start again"
            }
            Self::Elsewhere => {
                "another file stands at its path: start again with the one that is to be used"
            }
            Self::Overwritten => {
                "somebody else has written the file, and a lock did not keep them from it: another \
                 owner by way of another mount, or a copy that was laid over it; this owner must stop"
            }
            Self::Unread(cause) => return cause.fmt(f),
        })
    }
}

impl OwnedFile {
    /// Opens a file that begins as a redb file does. Nothing is locked yet.
    pub(crate) fn open(path: &Path, around: &Around, act: Act<'_>) -> Result<Self, StoreError> {
        let itself = file(path, act)?;
        let held = itself.try_clone().map_err(|cause| act.io(cause))?;
        let held = FileBackend::new(held).map_err(|cause| act.engine(cause))?;
        let metadata = itself.metadata().map_err(|cause| act.io(cause))?;
        Ok(Self {
            path: path.to_owned(),
            backend: around.put(held),
            mount: Mount::of(&itself),
            itself,
            identity: identity(&metadata),
            root: root(),
            known: Mutex::default(),
            sync_failed: AtomicBool::new(false),
        })
    }

    /// What a commit survives here.
    pub(crate) fn durability(&self) -> Durability {
        if self.mount.is_memory() {
            Durability::Flushed
        } else {
            Durability::Synced
        }
    }

    /// The file is where it was, and nobody else has written it since this owner last did, or first
    /// read it. Nothing of ours reaches a file that somebody else has written, from here on.
    pub(crate) fn look(&self) -> Result<(), Displaced> {
        let length = self.length_at_path()?;
        let mut known = self.known.lock();
        known.is_barred |= length < known.length;
        self.admits(&mut known).map_err(Displaced::from)
    }

    /// Nobody else has written the file, wherever it is.
    pub(crate) fn look_inside(&self) -> Result<(), Displaced> {
        self.admits(&mut self.known.lock()).map_err(Displaced::from)
    }

    /// Looks whether the path leads to the file, and how long it is.
    fn length_at_path(&self) -> Result<u64, Displaced> {
        match fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => Ok(found.len()),
            Ok(_) => Err(Displaced::Elsewhere),
            // In another root, the path says nothing.
            Err(cause)
                if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                    && root() == self.root =>
            {
                Err(Displaced::Gone)
            }
            // A process that may not look there any more goes by what it has open.
            Err(_) if self.is_deleted() => Err(Displaced::Gone),
            Err(_) => self.backend.len().map_err(Displaced::Unread),
        }
    }

    /// The file has no name any more: what is written to it ends with the process.
    fn is_deleted(&self) -> bool {
        #[cfg(unix)]
        let names = self
            .itself
            .metadata()
            .map(|file| std::os::unix::fs::MetadataExt::nlink(&file));
        #[cfg(not(unix))]
        let names = self.itself.metadata().map(|_| 1);
        names.is_ok_and(|names| names == 0)
    }

    /// Remembers what the file begins with, unless that is known already. From then on, a change is
    /// somebody else's.
    pub(crate) fn learn(&self) {
        let mut known = self.known.lock();
        if known.head.is_none() {
            known.head = self.head().ok();
            known.length = self.backend.len().unwrap_or_default();
        }
    }

    /// A sync has failed: what it was to make durable may or may not be.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    /// Nobody else has written the file. Looks at each of many reads, or at some of them where to look
    /// costs much.
    pub(crate) fn is_unchanged(&self) -> io::Result<()> {
        const SOME: u64 = 16;
        let mut known = self.known.lock();
        known.looks += 1;
        if self.mount.shows_other_writers() || known.looks % SOME == 1 {
            return self.admits(&mut known);
        }
        known.admits()
    }

    fn admits(&self, known: &mut Known) -> io::Result<()> {
        if let Some(head) = known.head {
            known.is_barred |= match self.head() {
                Ok(found) => found != head,
                Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => true,
                Err(cause) => return Err(cause),
            };
        }
        known.admits()
    }

    /// What the file begins with: read by its path where only that shows what others have written.
    fn head(&self) -> io::Result<[u8; HEAD]> {
        let mut head = [0; HEAD];
        let there = if self.mount.shows_other_writers() {
            None
        } else {
            File::open(&self.path).ok()
        };
        match there {
            Some(mut there) => there.read_exact(&mut head)?,
            None => self.backend.read(0, &mut head)?,
        }
        Ok(head)
    }
}

impl StorageBackend for OwnedFile {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut known = self.known.lock();
        known.admits()?;
        self.backend.set_len(len)?;
        known.length = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data().inspect_err(|_| {
            self.sync_failed.store(true, Ordering::Release);
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut known = self.known.lock();
        known.admits()?;
        let Some(place) = usize::try_from(offset).ok().filter(|place| *place < HEAD) else {
            drop(known);
            return self.backend.write(offset, data);
        };
        // However it comes to be written, at the end of an engine too.
        self.admits(&mut known)?;
        let written = self.backend.write(offset, data);
        match (&written, &mut known.head) {
            (Ok(()), Some(head)) => {
                let under = head.iter_mut().skip(place);
                under.zip(data).for_each(|(to, byte)| *to = *byte);
            }
            // It may be there in part.
            _ => known.head = self.head().ok(),
        }
        written
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}

impl Known {
    fn admits(&self) -> io::Result<()> {
        if self.is_barred {
            return Err(io::Error::other(Barred));
        }
        Ok(())
    }
}

/// In the place of what the operating system says: somebody else has written the file.
#[derive(Debug)]
struct Barred;

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another owner has written the file")
    }
}

impl std::error::Error for Barred {}

impl From<io::Error> for Displaced {
    fn from(cause: io::Error) -> Self {
        match cause.downcast::<Barred>() {
            Ok(Barred) => Self::Overwritten,
            Err(cause) => Self::Unread(cause),
        }
    }
}

/// Device and number; elsewhere than on Unix any file is taken for any other.
type Identity = (u64, u64);

fn identity(found: &Metadata) -> Identity {
    #[cfg(unix)]
    return {
        use std::os::unix::fs::MetadataExt;
        (found.dev(), found.ino())
    };
    #[cfg(not(unix))]
    return {
        let _ = found;
        (0, 0)
    };
}

fn root() -> Option<Identity> {
    fs::metadata("/").ok().as_ref().map(identity)
}

/// The file, if it begins as a redb file does.
fn file(path: &Path, act: Act<'_>) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = opened.map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => act.damaged("the file is gone"),
        ErrorKind::IsADirectory => act.foreign("it is a directory"),
        _ => act.io(cause),
    })?;
    let kind = file.metadata().map_err(|cause| act.io(cause))?;
    if !kind.is_file() {
        return Err(act.foreign("it is no regular file"));
    }
    let mut head = Vec::new();
    (&file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(|cause| act.io(cause))?;
    if head == MAGIC {
        Ok(file)
    } else if head.is_empty() {
        Err(act.damaged(
            "the file is empty, which a store never is: put a copy of the store in its place, or \
             remove it if it never was one",
        ))
    } else if MAGIC.starts_with(&head) {
        let cause = format!("the file is cut off: it has {} bytes", head.len());
        Err(act.damaged(cause))
    } else {
        Err(act.foreign("it is no redb file"))
    }
}
