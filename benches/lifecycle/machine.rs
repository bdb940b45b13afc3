//! What the operating system knows: where files go, and what was used.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Fault;
use crate::options::{Options, StoreKind};

/// The directory of one run, removed at its end.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    file_system: Option<String>,
}

impl Place {
    pub(crate) fn make(options: &Options) -> Result<Self, Fault> {
        let within = match &options.dir {
            Some(dir) => dir.clone(),
            None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        };
        let failed = |cause| format!("make a directory in {}: {cause}", within.display());
        fs::create_dir_all(&within).map_err(failed)?;
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("lifecycle-").tempdir_in(&within);
        let folder = folder.map_err(failed)?;
        let on_disk = options.store != StoreKind::Memory;
        let file_system = on_disk.then(|| file_system(folder.path())).flatten();
        Ok(Self {
            folder,
            file_system,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Of the store; `None` where it has none, or nobody says.
    pub(crate) fn file_system(&self) -> Option<&str> {
        self.file_system.as_deref()
    }
}

/// The type of the file system that was mounted nearest above `path`, and last.
fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            // Of what the kernel writes in octal only the space is likely.
            let above = PathBuf::from(fields.next()?.replace("\\040", " "));
            let kind = fields.next()?;
            let depth = above.components().count();
            path.starts_with(above).then(|| (depth, kind.to_owned()))
        })
        .max_by_key(|&(depth, _)| depth)
        .map(|(_, kind)| kind)
}

/// The most memory that this process had so far.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// The lengths of all files below a directory.
pub(crate) fn bytes_under(directory: &Path) -> Result<u64, Fault> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_under(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
