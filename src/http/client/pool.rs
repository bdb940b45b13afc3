//! Whom new jobs are sent to.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::address::Address;
use crate::error::Kind;
use crate::{Draft, Error};

/// Servers that take the same jobs: one URL, and whatever stands behind it.
///
/// The pool that a [client](super::Client) is built with takes what no other does. Each other one
/// says for which [jobs](Self::job) or [queues](Self::queue) it is; the name of a job counts before its
/// queue.
///
/// ```
/// use jobkeep::http::{Client, Pool};
///
/// let client = Client::builder("https://jobs.example.org")
///     .pool(Pool::new("https://images.example.org").job("thumbnail"))
///     .pool(Pool::host("https://mail-1.example.org").queue("mail"))
///     .build()?;
/// # Ok::<(), jobkeep::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a pool takes jobs when it is given to a client"]
pub struct Pool {
    urls: Vec<String>,
    is_hosts: bool,
    jobs: Vec<String>,
    queues: Vec<String>,
}

impl Pool {
    /// A balancer: which host gets a job, nobody knows before its receipt. So a request whose answer was
    /// lost is not repeated, unless the client is told to:
    /// [`repeat_unanswered`](super::ClientBuilder::repeat_unanswered).
    pub fn new(url: impl Into<String>) -> Self {
        Self::of(vec![url.into()], false)
    }

    /// One host. A request whose answer was lost is sent to it again, and makes one job.
    pub fn host(url: impl Into<String>) -> Self {
        Self::of(vec![url.into()], true)
    }

    /// Hosts that the client goes to in turn, without a balancer. What certainly did not arrive at one
    /// goes to the next; a request whose answer was lost is sent to the same one again, and makes one
    /// job.
    pub fn hosts(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(urls.into_iter().map(Into::into).collect(), true)
    }

    fn of(urls: Vec<String>, is_hosts: bool) -> Self {
        Self {
            urls,
            is_hosts,
            jobs: Vec::new(),
            queues: Vec::new(),
        }
    }

    /// Takes the jobs of this [name](crate::Job::NAME), whatever their queue is: those of a type that has
    /// it among its [aliases](crate::Job::ALIASES) too.
    pub fn job(mut self, name: impl Into<String>) -> Self {
        self.jobs.push(name.into());
        self
    }

    /// Takes the jobs of this queue, unless their name belongs to another pool.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queues.push(name.into());
        self
    }
}

/// Without its URLs: they are not checked yet, and may hold a password.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("jobs", &self.jobs)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

impl From<&str> for Pool {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for Pool {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

/// A pool whose URLs are checked.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) addresses: Vec<Address>,
    /// Each address is one host.
    pub(super) is_hosts: bool,
    jobs: Vec<String>,
    queues: Vec<String>,
    turn: AtomicUsize,
}

impl Line {
    /// The pool, with what is wrong with it.
    pub(super) fn read(pool: Pool, faults: &mut Vec<String>) -> Self {
        if pool.urls.is_empty() {
            faults.push("pool: it must have at least one host".into());
        }
        let mut addresses = Vec::new();
        for (position, url) in (1..).zip(&pool.urls) {
            match Address::read(url) {
                Ok(address) => addresses.push(address),
                // A URL that does not check out may hold anything.
                Err(fault) => faults.push(format!("URL {position} of a pool: {fault}")),
            }
        }
        Self {
            addresses,
            is_hosts: pool.is_hosts,
            jobs: pool.jobs,
            queues: pool.queues,
            turn: AtomicUsize::new(0),
        }
    }

    /// The address whose turn it is.
    pub(super) fn next(&self) -> Option<&Address> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let position = turn.checked_rem(self.addresses.len())?;
        self.addresses.get(position)
    }

    fn name(&self) -> String {
        self.addresses
            .first()
            .map_or_else(String::new, Address::to_string)
    }
}

/// Pools, the first of which takes what no other does.
#[derive(Debug)]
pub(super) struct Pools(Vec<Line>);

impl Pools {
    pub(super) fn read(first: Pool, others: Vec<Pool>, faults: &mut Vec<String>) -> Self {
        let mut lines = vec![Line::read(first, faults)];
        for pool in others {
            let line = Line::read(pool, faults);
            if line.jobs.is_empty() && line.queues.is_empty() {
                faults.push(format!(
                    "pool {}: no job goes there: name jobs or queues",
                    line.name()
                ));
            }
            lines.push(line);
        }
        let jobs = lines.iter().flat_map(|line| &line.jobs);
        twice("job", jobs, faults);
        let queues = lines.iter().flat_map(|line| &line.queues);
        twice("queue", queues, faults);
        Self(lines)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().flat_map(|line| &line.addresses)
    }

    pub(super) fn first(&self) -> &[Address] {
        self.0.first().map_or(&[], |line| &line.addresses)
    }

    fn of(&self, draft: &Draft) -> Option<usize> {
        let is_one = |name: &String| name == draft.name() || draft.aliases.contains(&name.as_str());
        let by_job = |line: &Line| line.jobs.iter().any(is_one);
        let by_queue = |line: &Line| line.queues.iter().any(|name| name == draft.queue());
        let mut lines = self.0.iter();
        let found = lines.position(by_job);
        found.or_else(|| self.0.iter().position(by_queue))
    }

    /// The pool that takes all of these jobs.
    pub(super) fn route(&self, act: &str, drafts: &[Draft]) -> Result<&Line, Error> {
        let mut places = drafts
            .iter()
            .map(|draft| self.of(draft).unwrap_or_default());
        let first = places.next().unwrap_or_default();
        let other = places.find(|place| *place != first);
        match (self.0.get(first), other.and_then(|other| self.0.get(other))) {
            (Some(line), None) => Ok(line),
            (Some(line), Some(other)) => Err(Error::new(
                Kind::Host,
                format!(
                    "{act}: some of them go to pool {} and some to pool {}, which cannot accept all \
                     or none: enqueue them apart",
                    line.name(),
                    other.name()
                ),
            )),
            (None, _) => Err(Error::new(Kind::Host, format!("{act}: there is no pool"))),
        }
    }
}

fn twice<'a>(what: &str, names: impl Iterator<Item = &'a String>, faults: &mut Vec<String>) {
    let mut names = names.collect::<Vec<_>>();
    names.sort_unstable();
    let mut told = None;
    for (name, next) in names.iter().zip(names.iter().skip(1)) {
        if name == next && told != Some(*name) {
            faults.push(format!("{what} `{name}`: two pools take it"));
            told = Some(*name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::{Pool, Pools};
    use crate::{Job, NewJob};

    #[derive(Serialize, Deserialize)]
    struct Purchase;

    impl Job for Purchase {
        const NAME: &'static str = "purchase";
        const ALIASES: &'static [&'static str] = &["order"];
        type Output = ();
    }

    #[test]
    fn a_pool_of_an_old_name_takes_the_jobs_of_the_new_one() {
        for (name, position) in [("purchase", 1), ("order", 1), ("other", 0)] {
            let mut faults = Vec::new();
            let pool = Pool::new("http://127.0.0.1:2").job(name);
            let pools = Pools::read(Pool::new("http://127.0.0.1:1"), vec![pool], &mut faults);
            assert!(faults.is_empty());
            let draft = NewJob::new(Purchase).draft().unwrap();
            let taken = pools.of(&draft).unwrap_or_default();
            assert_eq!(taken, position, "{name}");
        }
    }
}
