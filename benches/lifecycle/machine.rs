//! What the operating system knows: where files go, and what was used.

use std::fs::{self, File};
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
    bytes_of("VmHWM:")
}

/// The memory that this process has now.
pub(crate) fn rss_bytes() -> Option<u64> {
    bytes_of("VmRSS:")
}

fn bytes_of(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// The length of a file, or of all files below a directory.
pub(crate) fn bytes_under(path: &Path) -> Result<u64, Fault> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += bytes_under(&entry?.path())?;
    }
    Ok(bytes)
}

/// Copies a file, or a directory with all that is below it, and has the disk take it: what is then
/// measured on the copy does not wait for these bytes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(File::open(to)?.sync_all()?);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Removes a file, or a directory with all that is below it.
pub(crate) fn remove(path: &Path) -> Result<(), Fault> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else {
        fs::remove_file(path)?;
    }
    Ok(())
}
