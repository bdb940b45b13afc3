//! What takes longer the larger it is, on threads of its own: the store is read there, and JSON is read and
//! written. The threads that serve connections are free meanwhile, for the next balancer that asks for the
//! health.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, available_parallelism};

use tokio::sync::oneshot;

use super::super::problem::Code;
use super::answer::Refusal;
use crate::clock::Clock;
use crate::runtime::{self, Signal};
use crate::sync::Mutex;

/// Threads that do what they are given, one after the other. They end when nobody has them any more.
pub(super) struct Workers(Arc<Line>);

#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    signal: Signal,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    is_over: bool,
}

type Task = Box<dyn FnOnce() + Send>;

/// As many as compute at once: more of them would only hold more in memory.
pub(super) fn cores() -> usize {
    available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

impl Workers {
    /// # Errors
    /// Where one of the threads cannot be started.
    pub(super) fn start(name: &str, threads: usize) -> io::Result<Self> {
        let workers = Self(Arc::default());
        for number in 1..=threads {
            let line = Arc::clone(&workers.0);
            start(&format!("{name}-{number}"), move || line.work())?;
        }
        Ok(workers)
    }

    /// Has it done. Where the request is given up before it is begun, it is not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, result) = oneshot::channel();
        let task = move || {
            if !done.is_closed() {
                // Nobody may want it any more.
                let _ = done.send(runtime::catch(task));
            }
        };
        self.0.waiting.lock().tasks.push_back(Box::new(task));
        self.0.signal.wake_one();
        match result.await {
            Ok(Ok(result)) => result,
            _ => Err(Refusal::new(Code::Internal, "internal error")),
        }
    }
}

/// Starts a thread, or says which one could not be.
pub(super) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let started = Builder::new().name(name.into()).spawn(run);
    match started {
        Ok(_) => Ok(()),
        Err(cause) => Err(io::Error::new(
            cause.kind(),
            format!("start the thread `{name}`: {cause}"),
        )),
    }
}

impl Line {
    fn work(&self) {
        // Nothing here has a time.
        let clock = Clock::system();
        loop {
            let mut waiting = self.waiting.lock();
            let task = loop {
                if let Some(task) = waiting.tasks.pop_front() {
                    break task;
                }
                if waiting.is_over {
                    return;
                }
                self.signal.wait(&mut waiting, &clock, None);
            };
            drop(waiting);
            task();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.waiting.lock().is_over = true;
        self.0.signal.wake_all();
    }
}
