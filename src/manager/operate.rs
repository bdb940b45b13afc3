//! What an operator does with whole queues.

use std::time::Duration;

use crate::runtime::{Command, Rest, Rested, WhenFull};
use crate::{Error, Manager};

impl Manager {
    /// Pauses a queue: its jobs are accepted as before, and none of them starts, whatever becomes due.
    /// Those that run go on; what was handed to the pool and not begun goes back to its place in line
    /// with nothing spent. A pause holds until [`resume`](Self::resume), over restarts too, and also
    /// while the queue is not declared.
    ///
    /// # Durability
    /// The pause is in the store when this returns.
    ///
    /// # Errors
    /// Where no such queue is declared: [`Error::is_undeclared_queue`]; the message names those that
    /// are. Where the manager is shut down, or the store fails.
    pub fn pause(&self, queue: &str) -> Result<(), Error> {
        self.ask_of_queue("pause", queue, |reply| Command::Pause {
            queue: queue.into(),
            rest: None,
            reply,
        })
    }

    /// Pauses a queue like [`pause`](Self::pause), and waits up to `patience` until none of its jobs
    /// runs any more and their ends are in the store. A job that pauses its own queue so waits for
    /// itself, in vain.
    ///
    /// # Durability
    /// As [`pause`](Self::pause).
    ///
    /// # Errors
    /// As [`pause`](Self::pause). Where patience ran out, [`Error::is_timed_out`]: the queue stays
    /// paused, unless somebody resumed it meanwhile. Where the manager ended before the jobs did.
    #[doc(alias("drain"))]
    pub fn pause_and_wait(&self, queue: &str, patience: Duration) -> Result<(), Error> {
        let clock = &self.shared().clock;
        let until = clock.now().steady.after(patience);
        let rest = Rest::new(clock);
        self.ask_of_queue("pause", queue, |reply| Command::Pause {
            queue: queue.into(),
            rest: Some(rest.clone()),
            reply,
        })?;
        match rest.wait(clock, until) {
            Rested::Yes => Ok(()),
            Rested::Late => {
                let mut pools = self.shared().pools.iter();
                let pool = pools.find(|pool| pool.queue.as_str() == queue);
                let running = pool.map_or(0, |pool| pool.all_running().len());
                Err(Error::restless(queue, running, patience.as_millis()))
            }
            Rested::Over => {
                let act = format!("wait for queue `{queue}` to rest");
                Err(self.shared().inbox.refusal(&act))
            }
        }
    }

    /// Lets jobs of a paused queue start again, at once. A queue that is not paused stays as it is.
    ///
    /// # Durability
    /// The pause is gone from the store when this returns.
    ///
    /// # Errors
    /// Where no such queue is declared, unless it is paused all the same:
    /// [`Error::is_undeclared_queue`]. Where the manager is shut down, or the store fails.
    pub fn resume(&self, queue: &str) -> Result<(), Error> {
        self.ask_of_queue("resume", queue, |reply| Command::Resume {
            queue: queue.into(),
            reply,
        })
    }

    /// The names of the paused queues, in order: also those that are not declared any more.
    ///
    /// # Errors
    /// Where the manager is shut down, or the store has failed.
    pub fn paused(&self) -> Result<Vec<String>, Error> {
        let paused = |reply| Command::Paused { reply };
        self.shared()
            .inbox
            .ask("list the paused queues", WhenFull::Wait, paused)
    }

    fn ask_of_queue(
        &self,
        act: &str,
        queue: &str,
        command: impl FnOnce(crate::runtime::Reply<()>) -> Command,
    ) -> Result<(), Error> {
        self.shared()
            .inbox
            .ask(&format!("{act} queue `{queue}`"), WhenFull::Wait, command)
    }
}
