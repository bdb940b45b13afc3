use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::folder::LOG;

/// Names the owner that opened the store last.
const OWNER: &str = "jobkeep-owner";

/// An owner's mark in the directory of its store.
///
/// sled locks its log, and a lock holds for one inode: it does not reach through a FUSE mount or from an
/// overlay to its upper folder, and nobody who copies or moves files asks for it. So each opening leaves
/// a name of its own, and looks before and after each commit whether that name and the log are still at
/// their places. It leaves the name before sled reads anything: what another owner commits after that is
/// not acknowledged, and what it acknowledged before is there to be read.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    name: String,
    log: Identity,
}

/// Why the store is this owner's no longer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Displaced {
    Gone,
    Elsewhere,
    Taken,
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => {
                "its files are not at their path any more, deleted or moved away: put them or a copy \
                 back, and start again"
            }
            Self::Elsewhere => {
                "another store stands at its path: start again with the one that is to be used"
            }
            Self::Taken => {
                "somebody else has opened it, and a lock did not keep them from it: another owner by \
                 way of another mount, or a copy that was laid over it; this owner must stop"
            }
        })
    }
}

/// The name of an opening that has begun.
pub(crate) struct Announced(String);

impl Announced {
    /// Leaves the name, unless somebody has the log locked: whose store it is then, sled finds out.
    pub(crate) fn leave(path: &Path) -> io::Result<Self> {
        let name = getrandom::u64().map_err(io::Error::other)?;
        let name = format!("{name:016x}");
        // A store that is made now has no log yet.
        if let Ok(log) = File::open(path.join(LOG))
            && log.try_lock().is_ok()
        {
            // Before the lock is let go of, for sled to take: an owner who comes between writes its own
            // name over this one.
            fs::write(path.join(OWNER), &name)?;
            look_anew(&log);
        }
        Ok(Self(name))
    }
}

/// Has the kernel ask a FUSE mount how long the log is. It was looked at just now, and for a second the
/// kernel takes what it was told then for true: sled would not see what was committed behind it meanwhile.
fn look_anew(log: &File) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, StatxFlags, statx};
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        // A kernel that has no such call remembers as before.
        let _ = statx(log, "", flags, StatxFlags::SIZE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = log;
}

impl Claim {
    /// Marks the store, which is open and locked, as this owner's.
    pub(crate) fn stake(path: &Path, announced: Announced) -> io::Result<Self> {
        let Announced(name) = announced;
        fs::write(path.join(OWNER), &name)?;
        Ok(Self {
            path: path.to_owned(),
            name,
            log: identity(&path.join(LOG))?,
        })
    }

    /// The store is where it was, and nobody has opened it since.
    pub(crate) fn look(&self) -> Result<(), Displaced> {
        match identity(&self.path.join(LOG)) {
            Ok(log) if log != self.log => return Err(Displaced::Elsewhere),
            Err(cause) if is_gone(&cause) => return Err(Displaced::Gone),
            // A process that may not look there any more goes by what it has open.
            _ => {}
        }
        match fs::read(self.path.join(OWNER)) {
            Ok(name) if name != self.name.as_bytes() => Err(Displaced::Taken),
            Err(cause) if is_gone(&cause) => Err(Displaced::Taken),
            _ => Ok(()),
        }
    }
}

fn is_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Device and number; elsewhere than on Unix any file is taken for any other.
type Identity = (u64, u64);

fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::metadata(path)?;
    #[cfg(unix)]
    return {
        use std::os::unix::fs::MetadataExt;
        Ok((found.dev(), found.ino()))
    };
    #[cfg(not(unix))]
    return {
        let _ = found;
        Ok((0, 0))
    };
}
