//! What the threads of this process have done so far, as Linux counts it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What Linux counts CPU time in: a hundredth of a second.
const TICK_MS: u64 = 10;

/// Every thread by its number, but the one that looks.
#[derive(Clone, Debug)]
pub(crate) struct Tasks(HashMap<String, Used>);

/// What one thread, or all of them, used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// How often it was taken off a core: each time but the first it had been woken before.
    pub(crate) switches: u64,
    pub(crate) cpu_ms: u64,
}

impl Tasks {
    /// Looks now; `None` where the system does not tell.
    pub(crate) fn look() -> Option<Self> {
        let mine = fs::read_link("/proc/thread-self").ok()?;
        let mut tasks = HashMap::new();
        for task in fs::read_dir("/proc/self/task").ok()? {
            let task = task.ok()?;
            if Some(task.file_name().as_os_str()) == mine.file_name() {
                continue;
            }
            let number = task.file_name().into_string().ok()?;
            // A thread that ended meanwhile has no files any more.
            if let Some(used) = used(&task.path()) {
                tasks.insert(number, used);
            }
        }
        Some(Self(tasks))
    }

    /// What was used since an earlier look by the threads that are there now.
    pub(crate) fn since(&self, earlier: &Self) -> Used {
        self.0.iter().fold(Used::default(), |sum, (number, used)| {
            let before = earlier.0.get(number).copied().unwrap_or_default();
            Used {
                switches: sum.switches + used.switches - before.switches,
                cpu_ms: sum.cpu_ms + used.cpu_ms - before.cpu_ms,
            }
        })
    }
}

fn used(task: &Path) -> Option<Used> {
    let status = fs::read_to_string(task.join("status")).ok()?;
    // Two lines: the switches that it asked for, and those that it did not.
    let switches = status
        .lines()
        .filter_map(|line| line.split_once("voluntary_ctxt_switches:"))
        .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum();
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    // The name of the thread may hold anything; it ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Used {
        switches,
        cpu_ms: (user + system) * TICK_MS,
    })
}
