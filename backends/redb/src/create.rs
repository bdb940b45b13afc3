use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use jobkeep_store::StoreError;
use redb::Builder;
use redb::backends::FileBackend;

use crate::error::Act;

/// Makes a new store at `path`, unless somebody else has put something there meanwhile.
pub(crate) fn create(path: &Path, act: Act<'_>) -> Result<(), StoreError> {
    let draft = Draft::new(path).map_err(|cause| act.io(cause))?;
    draft.fill(act)?;
    draft.publish(path).map_err(|cause| act.io(cause))
}

/// Makes the entry of `path` in its directory durable. The file's own syncs do not, and whoever made
/// the file may have been killed before this.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let synced = File::open(directory(path)).and_then(|directory| directory.sync_all());
    match synced {
        // Some network file systems cannot, and some directories may be entered but not read.
        Err(cause)
            if matches!(
                cause.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file beside the path, which becomes the store when it is whole. One that is left behind by a
/// crash is in nobody's way.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// Makes an empty file under a name that nobody has.
    fn new(path: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        loop {
            let mut draft = OsString::from(".");
            draft.push(name);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            draft.push(format!(".{}-{number}.new", process::id()));
            let path = path.with_file_name(draft);
            let mut options = OpenOptions::new();
            match options.read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                // A process of the same number, in another container or before this one.
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => (),
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Writes a redb file without a table into it, and syncs it.
    fn fill(&self, act: Act<'_>) -> Result<(), StoreError> {
        let file = self.file.try_clone().map_err(|cause| act.io(cause))?;
        let file = FileBackend::new(file).map_err(|cause| act.engine(cause))?;
        let database = act.caught(|| {
            let made = Builder::new().set_cache_size(0).create_with_backend(file);
            made.map_err(|cause| act.engine(cause))
        })?;
        database.close().map_err(|cause| act.engine(cause))?;
        self.file.sync_all().map_err(|cause| act.io(cause))
    }

    /// Gives the file its name, unless there is something of that name. A link never replaces
    /// anything, unlike a rename.
    fn publish(self, path: &Path) -> io::Result<()> {
        match fs::hard_link(&self.path, path) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(cause) if is_unlinkable(&cause) => self.rename(path),
            linked => linked,
        }
    }

    /// Where the file system knows no links: the name is taken first, with an empty file, which the
    /// rename then replaces.
    fn rename(&self, path: &Path) -> io::Result<()> {
        match File::create_new(path) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(cause) => Err(cause),
            Ok(_) => fs::rename(&self.path, path),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It may have been renamed; and a draft that stays is in nobody's way.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_unlinkable(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        ErrorKind::Unsupported | ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACT: Act<'_> = Act {
        verb: "open the store",
        location: "the test",
    };

    fn draft(path: &Path) -> Draft {
        let draft = Draft::new(path).unwrap();
        draft.fill(ACT).unwrap();
        draft
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_draft_that_comes_second_replaces_nothing_and_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.redb");
        fs::write(&path, "first").unwrap();
        draft(&path).publish(&path).unwrap();
        draft(&path).rename(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["jobs.redb"]);
    }

    #[test]
    fn a_draft_becomes_the_store_without_links_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.redb");
        draft(&path).rename(&path).unwrap();
        assert!(redb::Database::open(&path).is_ok());
        assert_eq!(names(folder.path()), ["jobs.redb"]);
    }
}
