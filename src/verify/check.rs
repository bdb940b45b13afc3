//! What the rows of a store must have in common.

use std::collections::{BTreeSet, HashSet};

use jobkeep_store::{JobNumber, Key, Space, StateKind, Totals};

use super::finding::{Finding, Part};
use super::seen::{Head, Seen, Wrong};

pub(super) fn check(seen: &Seen) -> Vec<Finding> {
    let mut found: Vec<_> = seen
        .complaints
        .iter()
        .cloned()
        .map(Finding::Engine)
        .collect();
    found.extend(seen.damaged.iter().map(|(key, wrong)| match wrong {
        Wrong::Damaged(reason) => Finding::row(*key, reason),
        Wrong::Unknown => Finding::Unknown {
            space: key.space.name(),
            number: key.number,
        },
    }));
    if seen.fence.is_none() {
        // Nothing was ever committed.
        return found;
    }
    totals(seen, &mut found);
    openings(seen, &mut found);
    manager(seen, &mut found);
    jobs(seen, &mut found);
    parts(seen, &mut found);
    keys(seen, &mut found);
    for (job, class, state) in unlisted(seen) {
        found.push(match state {
            Listing::Missing => Finding::NeverPruned(job),
            Listing::Idle => Finding::PrunedUnfinished(job),
            Listing::Short => Finding::Skipped {
                job,
                success: class == Class::Success,
            },
        });
    }
    found
}

fn totals(seen: &Seen, found: &mut Vec<Finding>) {
    let Some(stored) = seen.totals else {
        if !seen.damaged.contains_key(&Key::TOTALS) {
            found.push(Finding::CountsMissing);
        }
        return;
    };
    let there = counted(seen, &stored);
    let counts = [
        ("successes", stored.succeeded, there.succeeded),
        ("failures", stored.failed, there.failed),
        ("cancellations", stored.cancelled, there.cancelled),
        ("rows set aside", stored.damaged, there.damaged),
        ("ends of jobs", stored.ended, there.ended),
    ];
    for (what, stored, there) in counts {
        if stored != there {
            found.push(Finding::Count {
                what,
                stored,
                there,
            });
        }
    }
    if let Some(job) = seen.highest()
        && job.0 >= stored.next_number
    {
        found.push(Finding::NumberNotGiven {
            job,
            next: stored.next_number,
        });
    }
}

/// The counts as the rows tell them; as stored, where rows that cannot be read leave it open.
pub(super) fn counted(seen: &Seen, stored: &Totals) -> Totals {
    let open = seen.damaged.keys().any(|key| key.space == Space::Done);
    let finished = seen.finished();
    let of = |state, stored| {
        if open {
            stored
        } else {
            finished.get(&state).copied().unwrap_or_default()
        }
    };
    Totals {
        next_number: stored.next_number,
        succeeded: of(StateKind::Succeeded, stored.succeeded),
        failed: of(StateKind::Failed, stored.failed),
        cancelled: of(StateKind::Cancelled, stored.cancelled),
        damaged: seen.aside.len() as u64,
        // A sequence that has been used up leaves no trace.
        ended: stored.ended.max(seen.ended),
    }
}

fn openings(seen: &Seen, found: &mut Vec<Finding>) {
    let damaged = seen.damaged.keys().any(|key| key.space == Space::Openings);
    let mut tags = HashSet::new();
    for (&first, opening) in &seen.openings {
        let reason = if seen.totals.is_some_and(|totals| first > totals.next_number) {
            "begins behind every number that was given"
        } else if !tags.insert(opening.tag) {
            "has the tag of an older one"
        } else {
            continue;
        };
        found.push(Finding::Opening { first, reason });
    }
    if damaged {
        return;
    }
    match seen.openings.values().next_back() {
        None => found.push(Finding::Opening {
            first: 1,
            reason: "is missing",
        }),
        Some(last) => {
            let in_flight = seen.in_flight.as_ref();
            if in_flight.is_some_and(|in_flight| in_flight.opening != last.tag) {
                found.push(Finding::InFlightStale);
            }
        }
    }
}

fn manager(seen: &Seen, found: &mut Vec<Finding>) {
    if !seen.has_secret && !seen.damaged.contains_key(&Key::SECRET) {
        found.push(Finding::SecretMissing);
    }
    let listed = seen.in_flight.iter().flat_map(|in_flight| &in_flight.jobs);
    for listed in listed {
        if !is_in_flight(seen, listed.number) {
            found.push(Finding::InFlightMissing(listed.number));
        }
    }
    if !seen.paused.queues.is_sorted_by(|one, other| one < other) {
        found.push(Finding::PausedOrder);
    }
}

/// What is listed as running is among the jobs that have not finished, readable or not.
pub(super) fn is_in_flight(seen: &Seen, job: JobNumber) -> bool {
    seen.live.contains_key(&job) || seen.is_damaged(Space::Live, job)
}

fn jobs(seen: &Seen, found: &mut Vec<Finding>) {
    for (&job, head) in &seen.live {
        if seen.done.contains_key(&job) {
            found.push(Finding::Twice(job));
        }
        if head.state.is_final() || head.state == StateKind::Running {
            found.push(misplaced(job, head, false));
        }
    }
    for (&job, head) in &seen.done {
        if !head.state.is_final() {
            found.push(misplaced(job, head, true));
        }
    }
    for (&job, head) in seen.live.iter().chain(&seen.done) {
        let parts = [
            (Part::Payload, head.payload, &seen.payloads, Space::Bodies),
            (Part::Output, head.output, &seen.outputs, Space::Outputs),
        ];
        for (part, said, there, space) in parts {
            let Some(said) = said else { continue };
            match there.get(&job) {
                // Told as a row.
                None if seen.is_damaged(space, job) => {}
                None => found.push(Finding::PartMissing { job, part }),
                Some(&bytes) if bytes != u64::from(said) => found.push(Finding::PartLength {
                    job,
                    part,
                    bytes,
                    said,
                }),
                Some(_) => {}
            }
        }
    }
}

fn misplaced(job: JobNumber, head: &Head, among_finished: bool) -> Finding {
    Finding::Misplaced {
        job,
        state: head.state,
        among_finished,
    }
}

fn parts(seen: &Seen, found: &mut Vec<Finding>) {
    for (part, rows) in [
        (Part::Payload, &seen.payloads),
        (Part::Output, &seen.outputs),
    ] {
        let orphans = rows.keys().filter(|job| is_orphan(seen, part, **job));
        found.extend(orphans.map(|&job| Finding::PartOrphaned { job, part }));
    }
}

/// No job has the part. Those of a job that was set aside belong to it still.
pub(super) fn is_orphan(seen: &Seen, part: Part, job: JobNumber) -> bool {
    let has = |head: Option<&Head>| {
        head.is_some_and(|head| match part {
            Part::Payload => head.payload.is_some(),
            Part::Output => head.output.is_some(),
        })
    };
    !has(seen.live.get(&job)) && !has(seen.done.get(&job)) && !seen.remembers(job)
}

fn keys(seen: &Seen, found: &mut Vec<Finding>) {
    for (&hash, row) in &seen.uniques {
        for entry in &row.entries {
            let (job, key) = (entry.job, entry.key.clone());
            match hold(seen, hash, entry) {
                Hold::Sound => {}
                Hold::Orphaned => found.push(Finding::KeyOrphaned {
                    name: entry.name.clone(),
                    key,
                    job,
                }),
                Hold::ForEver => found.push(Finding::KeyForEver { job, key }),
            }
        }
    }
    for (&job, head) in &seen.live {
        let Some(held) = &head.key else { continue };
        let row = Key::new(Space::Unique, held.hash);
        let entries = seen.uniques.get(&held.hash).map(|row| &row.entries);
        let mut entries = entries.into_iter().flatten();
        if !seen.damaged.contains_key(&row) && !entries.any(|entry| entry.job == job) {
            let key = held.key.clone();
            found.push(Finding::KeyMissing { job, key });
        }
    }
}

/// How a job holds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Sound,
    Orphaned,
    ForEver,
}

pub(super) fn hold(seen: &Seen, hash: u64, entry: &jobkeep_store::UniqueEntry) -> Hold {
    let job = entry.job;
    let lets_go = entry.ended.is_some() && seen.expiring_keys.contains(&(hash, job));
    let unreadable = seen.is_damaged(Space::Live, job) || seen.is_damaged(Space::Done, job);
    if seen.live.contains_key(&job) || lets_go || unreadable {
        Hold::Sound
    } else if seen.done.contains_key(&job) {
        Hold::ForEver
    } else {
        Hold::Orphaned
    }
}

/// Which expiring space lists a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Success,
    Failure,
}

impl Class {
    pub(super) fn listed(self, seen: &Seen, job: JobNumber) -> u32 {
        let listed = match self {
            Self::Success => &seen.successes,
            Self::Failure => &seen.failures,
        };
        listed.get(&job).copied().unwrap_or_default()
    }

    pub(super) fn withdrawn(self, seen: &Seen, job: JobNumber) -> u32 {
        let withdrawn = seen.withdrawn.get(&job).copied().unwrap_or_default();
        match self {
            Self::Success => withdrawn.successes,
            Self::Failure => withdrawn.failures,
        }
    }

    /// The job is in *done* as one of this class.
    pub(super) fn has(self, head: &Head) -> bool {
        head.state.is_final() && (head.state == StateKind::Succeeded) == (self == Self::Success)
    }
}

/// How what retention knows of a job differs from what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// It has finished and is not listed.
    Missing,
    /// It is listed and has not finished.
    Idle,
    /// It was withdrawn more often than it is listed.
    Short,
}

/// The jobs of which retention knows something wrong.
pub(super) fn unlisted(seen: &Seen) -> Vec<(JobNumber, Class, Listing)> {
    let mut jobs: BTreeSet<JobNumber> = seen.done.keys().copied().collect();
    jobs.extend(seen.withdrawn.keys());
    jobs.extend(seen.successes.keys());
    jobs.extend(seen.failures.keys());
    let mut found = Vec::new();
    for job in jobs {
        // Until such a row is set aside, nobody can tell.
        if seen.is_damaged(Space::Done, job) || seen.is_damaged(Space::Withdrawn, job) {
            continue;
        }
        for class in [Class::Success, Class::Failure] {
            let head = seen.done.get(&job);
            let wanted = i64::from(head.is_some_and(|head| class.has(head)));
            let listed = i64::from(class.listed(seen, job)) - i64::from(class.withdrawn(seen, job));
            if listed == wanted {
                continue;
            }
            found.push((
                job,
                class,
                match (listed < wanted, wanted) {
                    (true, 1) => Listing::Missing,
                    (true, _) => Listing::Short,
                    (false, _) => Listing::Idle,
                },
            ));
        }
    }
    found
}
