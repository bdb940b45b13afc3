//! Jobs that cannot run here, counted by why.

use std::collections::BTreeMap;
use std::fmt;

use jobkeep_store::ParkReason;

/// How many jobs of a store cannot run here, by why. Shown, it is a line for the log of a start:
///
/// ```text
/// 9 jobs cannot run here: 4 `old-name` (no handler), 3 in queue `mail` (not declared), 1 undecodable, 1 crashing
/// ```
///
/// At most 64 names and queues are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedJobs {
    total: u64,
    kinds: BTreeMap<ParkedKind, u64>,
    others: u64,
}

/// Why some jobs cannot run here: their [`ParkReason`], and what they have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ParkedKind {
    /// No handler is registered for this name.
    UnknownName(String),
    /// This queue is not declared.
    UnknownQueue(String),
    /// Their payloads did not decode when they were last tried.
    Undecodable,
    /// The process died beside them, again and again.
    Crashing,
    /// The store cannot read them.
    Unreadable,
}

/// So many names and queues are told apart.
const KINDS: usize = 64;

impl ParkedJobs {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many of each kind, sorted by kind and name.
    pub fn kinds(&self) -> impl Iterator<Item = (&ParkedKind, u64)> {
        self.kinds.iter().map(|(kind, &count)| (kind, count))
    }

    /// How many more, of names and queues that are not told apart.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// Counts a job of this name and queue.
    pub(crate) fn count(&mut self, reason: &ParkReason, name: &str, queue: &str) {
        let kind = match reason {
            ParkReason::UnknownName => ParkedKind::UnknownName(name.into()),
            ParkReason::UnknownQueue => ParkedKind::UnknownQueue(queue.into()),
            ParkReason::Undecodable(_) => ParkedKind::Undecodable,
            ParkReason::Crashing(_) => ParkedKind::Crashing,
            _ => ParkedKind::Unreadable,
        };
        self.total += 1;
        let named = matches!(
            kind,
            ParkedKind::UnknownName(_) | ParkedKind::UnknownQueue(_)
        );
        if named && self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            self.others += 1;
        } else {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

impl fmt::Display for ParkedJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = if self.total == 1 { "job" } else { "jobs" };
        write!(f, "{} {jobs} cannot run here", self.total)?;
        let mut separator = ": ";
        for (kind, count) in self.kinds() {
            write!(f, "{separator}{count} {kind}")?;
            separator = ", ";
        }
        if self.others > 0 {
            write!(f, "{separator}{} of other names and queues", self.others)?;
        }
        Ok(())
    }
}

impl fmt::Display for ParkedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName(name) => write!(f, "`{name}` (no handler)"),
            Self::UnknownQueue(queue) => write!(f, "in queue `{queue}` (not declared)"),
            Self::Undecodable => f.write_str("undecodable"),
            Self::Crashing => f.write_str("crashing"),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_jobs_are_told_in_one_line_of_bounded_length() {
        let mut parked = ParkedJobs::default();
        assert_eq!(parked.to_string(), "0 jobs cannot run here");
        parked.count(&ParkReason::Crashing(3), "a", "q");
        assert_eq!(parked.to_string(), "1 job cannot run here: 1 crashing");
        parked.count(&ParkReason::UnknownQueue, "a", "mail");
        parked.count(&ParkReason::UnknownName, "old-name", "mail");
        parked.count(&ParkReason::UnknownName, "old-name", "images");
        parked.count(&ParkReason::Undecodable("x".into()), "a", "q");
        let line = "5 jobs cannot run here: 2 `old-name` (no handler), 1 in queue `mail` (not \
                    declared), 1 undecodable, 1 crashing";
        assert_eq!(parked.to_string(), line);
        for n in 0..1_000 {
            parked.count(&ParkReason::UnknownName, &format!("name-{n}"), "q");
        }
        let told: u64 = parked.kinds().map(|(_, count)| count).sum();
        assert_eq!((parked.total(), told + parked.others()), (1_005, 1_005));
        assert_eq!(parked.kinds().count(), KINDS);
        assert!(parked.to_string().ends_with(" of other names and queues"));
    }
}
