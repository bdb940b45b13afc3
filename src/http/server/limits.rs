//! What requests may take.

use std::time::Duration;

use super::Server;

/// See the setters for what each is.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) body: usize,
    pub(super) memory: usize,
    pub(super) unwanted: usize,
    pub(super) header: usize,
    pub(super) depth: usize,
    pub(super) connections: usize,
    pub(super) header_time: Duration,
    pub(super) body_time: Duration,
    pub(super) idle_time: Duration,
    pub(super) long_poll: Duration,
    pub(super) long_polls: usize,
    /// Jobs a second, and how many at once.
    pub(super) rate: Option<(u32, u32)>,
    pub(super) notice: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 2 << 20,
            memory: 256 << 20,
            unwanted: 64 << 20,
            header: 16 << 10,
            depth: 64,
            connections: 4_096,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            long_poll: Duration::from_secs(25),
            long_polls: 1_024,
            rate: None,
            notice: Duration::ZERO,
        }
    }
}

impl Server {
    /// How many bytes the body of a request may have, 2 MiB by default. A larger one is refused with 413.
    /// [`Builder::payload_limit`](crate::Builder::payload_limit) counts for each job of it too.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = bytes;
        self
    }

    /// How much memory all requests may take together, about, 256 MiB by default. A quarter is for bodies, from
    /// their first byte until their jobs are accepted; half for bodies of more than 64 KiB that are being
    /// decoded, of which each counts 16 times and waits for its turn; and a quarter for answers of more than
    /// 64 KiB, until they are sent. Who would need more than is left is told 503 with `Retry-After`. What is
    /// larger than its part by itself has that alone.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.limits.memory = bytes;
        self
    }

    /// How much a client may go on sending of a body that was refused, 64 MiB by default. It has its answer
    /// then, with `connection: close`, and may not have looked for it: many look only when they have sent
    /// everything, and to them a connection that is closed before that is a broken pipe and no answer. What
    /// comes is thrown away, and the connection is closed when it is more than this, takes longer than
    /// [`body_timeout`](Self::body_timeout), or stops coming for 5 seconds. Of [`serve`](Self::serve) only.
    pub fn unwanted_limit(mut self, bytes: usize) -> Self {
        self.limits.unwanted = bytes;
        self
    }

    /// How many bytes the head of a request may have, 16 KiB by default and 8 KiB at least. A larger one is
    /// refused with 431, and the connection is closed. Of [`serve`](Self::serve) only.
    pub fn header_limit(mut self, bytes: usize) -> Self {
        self.limits.header = bytes;
        self
    }

    /// How deep the JSON of a body may be nested, 64 levels by default. A job to be executed may be nested
    /// as deep as one is decoded, 128 levels, because another host has accepted it.
    pub fn depth_limit(mut self, levels: usize) -> Self {
        self.limits.depth = levels;
        self
    }

    /// How many connections may be open at once: 4,096 by default, and never so many that fewer than 64 of
    /// the descriptors that the process may have would be left for its store and everything else. One more
    /// is answered with 503 and closed; and while more than three quarters of them are open, each is closed
    /// behind its answer, so that nobody keeps others out by asking again and again. Of
    /// [`serve`](Self::serve) only.
    pub fn connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections;
        self
    }

    /// How long the head of a request may take from its first byte, or from the opening of a new connection:
    /// 10 seconds by default. Then the connection is closed. Of [`serve`](Self::serve) only.
    pub fn header_timeout(mut self, time: Duration) -> Self {
        self.limits.header_time = time;
        self
    }

    /// How long the body of a request may take, 30 seconds by default: a slower one is refused with 408.
    /// So long a client may also leave its answer unread; and it may take as long over all of it, and a second
    /// more for each 64 KiB.
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.limits.body_time = time;
        self
    }

    /// How long a connection may stay open between two requests, 75 seconds by default. It must be longer
    /// than a balancer keeps its own (60 seconds is usual), or now and then one sends a request on a
    /// connection that is just being closed. Of [`serve`](Self::serve) only.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.limits.idle_time = time;
        self
    }

    /// How long a request may wait for the end of a job, whatever it asks for: 25 seconds by default, which
    /// is below the 60 after which most balancers give up.
    pub fn longest_wait(mut self, time: Duration) -> Self {
        self.limits.long_poll = time;
        self
    }

    /// How many requests may wait for the end of a job at once, 1,024 by default. One more is told at once
    /// how its job stands.
    pub fn long_polls(mut self, requests: usize) -> Self {
        self.limits.long_polls = requests;
        self
    }

    /// How many jobs each token may create: so many a second on average, and `burst` of them at once. More
    /// are refused with 429. Without limit by default. A batch counts its jobs; one of more than `burst`
    /// passes when that many could, and is paid off afterwards.
    pub fn create_rate(mut self, jobs_per_second: u32, burst: u32) -> Self {
        self.limits.rate = Some((jobs_per_second.max(1), burst.max(1)));
        self
    }

    /// How long a shutdown goes on serving after `/v1/health` has begun to answer 503, so that balancers
    /// which ask for it send nothing any more when it ends. Zero by default; give it two of their intervals.
    pub fn notice(mut self, time: Duration) -> Self {
        self.limits.notice = time;
        self
    }
}
