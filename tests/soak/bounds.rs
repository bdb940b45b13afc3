//! How much memory and how large a file the load may leave, said before it begins.

use std::fmt;
use std::fs;
use std::path::Path;

/// So many jobs wait at most, and so many huge ones among them; then producers pause.
pub(crate) const WAITING: usize = 20_000;
pub(crate) const HUGE_WAITING: usize = 32;
/// What producers may be adding when they see that so many wait.
pub(crate) const ON_THE_WAY: usize = 4 * 200;
/// So many finished jobs are kept.
pub(crate) const KEPT: usize = 1_000;
/// The limit of payloads.
pub(crate) const LIMIT: usize = 128 << 10;
/// Of the jobs accepted, one in so many is huge at most.
pub(crate) const HUGE_ONE_IN: usize = 64;

/// What a small job takes in the store on average: record and payload. The mean payload is 0.9 KiB.
const ROW: usize = 1_600;
/// What a waiting job may leave in the process: its place in the schedule, and what the allocator does not
/// give back of the rows of its group.
const PLACE: usize = 512;
/// Whatever the load: caches, stacks, and what the allocator keeps for each of two dozen threads.
const SLACK: usize = 32 << 20;

/// So many times what is in it a file of redb may take: a page is written anew beside the old one, leaves
/// are half full at worst, and a file grows in large steps.
const FACTOR: usize = 3;

pub(crate) struct Bounds {
    /// In use when the machine was warm, where the system tells.
    warm: Option<usize>,
}

struct MiB(usize);

impl fmt::Display for MiB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{} MiB",
            self.0 >> 20,
            ((self.0 & 0xf_ffff) * 10) >> 20
        )
    }
}

/// What the process has in memory.
pub(crate) fn in_memory() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

pub(crate) fn on_disk(path: &Path) -> usize {
    usize::try_from(fs::metadata(path).unwrap().len()).unwrap()
}

impl Bounds {
    pub(crate) fn after_warming_up() -> Self {
        Self { warm: in_memory() }
    }

    fn file() -> usize {
        let huge = HUGE_WAITING + KEPT.div_ceil(HUGE_ONE_IN);
        FACTOR * ((WAITING + KEPT) * ROW + huge * LIMIT)
    }

    /// The soak itself notes a byte a job.
    fn memory(warm: usize, accepted: usize) -> usize {
        warm + WAITING * PLACE + SLACK + accepted
    }

    /// What breaks a bound, now that nothing waits.
    pub(crate) fn broken(&self, path: &Path, accepted: usize) -> Option<String> {
        let file = on_disk(path);
        if file > Self::file() {
            let (file, most) = (MiB(file), MiB(Self::file()));
            return Some(format!("the file has {file}, and may have {most}"));
        }
        let (now, warm) = (in_memory()?, self.warm?);
        let most = Self::memory(warm, accepted);
        (now > most).then(|| {
            let (now, most) = (MiB(now), MiB(most));
            format!("{now} are in memory, and {most} may be")
        })
    }

    pub(crate) fn shown(path: &Path) -> String {
        let memory = in_memory().map_or("not known".into(), |bytes| MiB(bytes).to_string());
        format!("{memory} in memory, file of {}", MiB(on_disk(path)))
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let huge = HUGE_WAITING + KEPT.div_ceil(HUGE_ONE_IN);
        writeln!(
            f,
            "bound of the file: {FACTOR} x ({} jobs waiting or kept x {ROW} B + {huge} huge ones x {}) = {}",
            WAITING + KEPT,
            MiB(LIMIT),
            MiB(Self::file()),
        )?;
        let Some(warm) = self.warm else {
            return write!(
                f,
                "bound of the memory: none, since the system does not tell its use"
            );
        };
        write!(
            f,
            "bound of the memory: {} when warm + {WAITING} jobs waiting x {PLACE} B + {} = {}, and a byte \
             for each accepted job, which the soak notes",
            MiB(warm),
            MiB(SLACK),
            MiB(Self::memory(warm, 0)),
        )
    }
}
