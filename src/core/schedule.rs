//! What waits, in RAM: ready jobs by queue, and those due later.

use std::collections::{BTreeMap, BTreeSet};

use jobkeep_store::{Due, JobNumber, Priority, State, Timestamp};

use super::encoded::Origins;
use crate::clock::{Now, Steady};

/// A job's place in the order of starts: by priority, then by when it was accepted or became due,
/// then by number. What sorts first starts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    /// Urgent first.
    pub(crate) rank: u8,
    pub(crate) since: Timestamp,
    pub(crate) number: JobNumber,
}

impl Order {
    pub(crate) fn new(number: JobNumber, line: Line) -> Self {
        Self {
            rank: rank(line.priority),
            since: line.order,
            number,
        }
    }
}

/// Where a job waits, apart from its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The position of its queue among those declared.
    pub(crate) queue: u16,
    pub(crate) priority: Priority,
    /// Its place among jobs of the same priority.
    pub(crate) order: Timestamp,
    /// When it becomes ready, where it is not.
    pub(crate) due: Option<(Timestamp, Due)>,
    /// It has a handler here. One that has none is parked: it is not in the schedule.
    pub(crate) known: bool,
}

impl Line {
    pub(crate) fn origins(self) -> Origins {
        Origins {
            queue: self.queue,
            known: self.known,
        }
    }

    /// The line of a job that is stored like this.
    pub(crate) fn new(
        origins: Origins,
        state: &State,
        priority: Priority,
        order: Timestamp,
    ) -> Self {
        let due = match *state {
            State::Scheduled { due, by } => Some((due, by)),
            _ => None,
        };
        Self {
            queue: origins.queue,
            priority,
            order,
            due,
            known: origins.known,
        }
    }
}

const RANKS: usize = 4;

/// By rank.
const PRIORITIES: [Priority; RANKS] = [
    Priority::Urgent,
    Priority::High,
    Priority::Normal,
    Priority::Low,
];

fn rank(priority: Priority) -> u8 {
    match priority {
        Priority::Urgent => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}

type Waiting = BTreeSet<(Timestamp, JobNumber)>;
type Later<Moment, Place> = BTreeMap<(Moment, JobNumber), Place>;

/// The waiting jobs of all queues.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// One line a queue and priority. A job not yet due stands in `later`, so that one of high
    /// priority never stands before a ready one.
    ready: Vec<[Waiting; RANKS]>,
    ready_count: u64,
    /// With its place in line, which is by the steady clock.
    by_wall: Later<Timestamp, ((u16, Priority), Timestamp)>,
    by_delay: Later<Steady, (u16, Priority)>,
}

impl Schedule {
    pub(crate) fn new(queues: usize) -> Self {
        Self {
            ready: std::iter::repeat_with(Default::default)
                .take(queues)
                .collect(),
            ready_count: 0,
            by_wall: BTreeMap::new(),
            by_delay: BTreeMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, number: JobNumber, line: Line) {
        let place = (line.queue, line.priority);
        match line.due {
            None => self.insert_ready(place, line.order, number),
            Some((due, Due::Wall)) => {
                self.by_wall.insert((due, number), (place, line.order));
            }
            Some((due, Due::Delay)) => {
                self.by_delay.insert((Steady::of(due), number), place);
            }
        }
    }

    fn insert_ready(&mut self, place: (u16, Priority), order: Timestamp, number: JobNumber) {
        if let Some(line) = self.line_mut(place)
            && line.insert((order, number))
        {
            self.ready_count += 1;
        }
    }

    /// Takes a job out wherever it waits; `false` where it does not.
    pub(crate) fn remove(&mut self, number: JobNumber, line: Line) -> bool {
        let later = match line.due {
            None => false,
            Some((due, Due::Wall)) => self.by_wall.remove(&(due, number)).is_some(),
            Some((due, Due::Delay)) => self.by_delay.remove(&(Steady::of(due), number)).is_some(),
        };
        // It may have become due since its row was written.
        later || self.remove_ready((line.queue, line.priority), line.order, number)
    }

    fn remove_ready(
        &mut self,
        place: (u16, Priority),
        order: Timestamp,
        number: JobNumber,
    ) -> bool {
        let removed = self
            .line_mut(place)
            .is_some_and(|line| line.remove(&(order, number)));
        debug_assert!(!removed || self.ready_count > 0);
        self.ready_count = self.ready_count.saturating_sub(u64::from(removed));
        removed
    }

    pub(crate) fn is_ready(&self, number: JobNumber, line: Line) -> bool {
        self.line((line.queue, line.priority))
            .is_some_and(|waiting| waiting.contains(&(line.order, number)))
    }

    /// Makes ready what is due, at most `most` jobs, so that a million due at once do not hold up
    /// the committer.
    pub(crate) fn promote(&mut self, now: Now, most: usize) {
        for _ in 0..most {
            let Some(((_, number), (place, order))) = pop_due(&mut self.by_wall, now.wall) else {
                break;
            };
            self.insert_ready(place, order, number);
        }
        for _ in 0..most {
            let Some(((due, number), place)) = pop_due(&mut self.by_delay, now.steady) else {
                break;
            };
            self.insert_ready(place, due.kept(), number);
        }
    }

    /// The next job of a queue, without taking it.
    pub(crate) fn first(&self, queue: u16) -> Option<(Order, Priority)> {
        PRIORITIES.into_iter().find_map(|priority| {
            let &(since, number) = self.line((queue, priority))?.first()?;
            Some((
                Order {
                    rank: rank(priority),
                    since,
                    number,
                },
                priority,
            ))
        })
    }

    /// Takes the job that [`first`](Self::first) showed.
    pub(crate) fn take(&mut self, queue: u16, priority: Priority, order: Order) {
        self.remove_ready((queue, priority), order.since, order.number);
    }

    /// Puts a claimed job back where it was.
    pub(crate) fn put_back(&mut self, queue: u16, priority: Priority, order: Order) {
        self.insert_ready((queue, priority), order.since, order.number);
    }

    /// The next moments at which something becomes due, by each clock.
    pub(crate) fn next_due(&self) -> (Option<Timestamp>, Option<Steady>) {
        let wall = self.by_wall.first_key_value().map(|(&(due, _), _)| due);
        let steady = self.by_delay.first_key_value().map(|(&(due, _), _)| due);
        (wall, steady)
    }

    /// Where every job waits.
    #[cfg(feature = "testing")]
    pub(super) fn places(&self) -> BTreeMap<JobNumber, super::place::Place> {
        let mut places = BTreeMap::new();
        for (queue, lines) in (0..).zip(&self.ready) {
            for (line, priority) in lines.iter().zip(PRIORITIES) {
                let of_line = line.iter();
                places.extend(of_line.map(|&(since, number)| (number, (queue, priority, since))));
            }
        }
        for (&(_, number), &((queue, priority), order)) in &self.by_wall {
            places.insert(number, (queue, priority, order));
        }
        for (&(due, number), &(queue, priority)) in &self.by_delay {
            places.insert(number, (queue, priority, due.kept()));
        }
        places
    }

    pub(crate) fn ready_count(&self) -> u64 {
        self.ready_count
    }

    /// What is counted is what is there.
    pub(super) fn check(&self) {
        let ready = || {
            self.ready
                .iter()
                .flatten()
                .map(BTreeSet::len)
                .sum::<usize>()
        };
        debug_assert_eq!(self.ready_count, ready() as u64);
    }

    /// How many are ready in one queue.
    pub(crate) fn ready_in(&self, queue: u16) -> usize {
        let lines = self.ready.get(usize::from(queue));
        lines.map_or(0, |lines| lines.iter().map(BTreeSet::len).sum())
    }

    pub(crate) fn later_count(&self) -> u64 {
        (self.by_wall.len() + self.by_delay.len()) as u64
    }

    fn line(&self, (queue, priority): (u16, Priority)) -> Option<&Waiting> {
        self.ready
            .get(usize::from(queue))?
            .get(usize::from(rank(priority)))
    }

    fn line_mut(&mut self, (queue, priority): (u16, Priority)) -> Option<&mut Waiting> {
        self.ready
            .get_mut(usize::from(queue))?
            .get_mut(usize::from(rank(priority)))
    }
}

fn pop_due<Moment: Ord + Copy, Place>(
    later: &mut Later<Moment, Place>,
    now: Moment,
) -> Option<((Moment, JobNumber), Place)> {
    let entry = later.first_entry()?;
    (entry.key().0 <= now).then(|| entry.remove_entry())
}
