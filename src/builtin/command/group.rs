//! A program and its process group.
//!
//! 1. A thread waits for the end of the program and leaves it unburied: so its number, which is also that of
//!    its group, is nobody else's.
//! 2. The worker waits in the signal, for that end, for the time-out, or to be cancelled.
//! 3. It sends its signals, at the last `SIGKILL`, and only then buries the program.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpgid,
};

use super::GRACE;
use crate::Context;
use crate::clock::{Steady, Wake};
use crate::runtime;
use crate::sync::Mutex;

/// A program that runs. Dropped, it and its group are killed.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
}

/// Why a program was ended that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    TimedOut,
    Cancelled,
}

impl Group {
    pub(super) fn new(child: Child) -> Self {
        let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Self { child, leader }
    }

    pub(super) fn leader(&self) -> Option<Pid> {
        self.leader
    }

    /// Sends the signal to all that are left. That there may be none is no error.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Kills what is left, and buries the program.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.child.wait();
        // The number is free from here on, unless others of the group are still to be buried.
        if let Some(leader) = self.leader.take() {
            bury_the_others(leader);
        }
        status
    }
}

/// Buries what the program left, where those became children of this process: it is process 1 of a container,
/// or was told to take in orphans. Elsewhere there are none.
fn bury_the_others(leader: Pid) {
    let bury = move |options| {
        loop {
            match waitpgid(leader, options) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break true,
                Err(_) => break false,
            }
        }
    };
    if bury(WaitOptions::NOHANG) {
        // They were killed, and take a moment to die; one that stands in the kernel may take longer than a
        // worker should wait.
        let wait = move || {
            bury(WaitOptions::empty());
        };
        // Without a thread they stay until this process ends.
        let _ = thread::Builder::new()
            .name(format!("command-{leader}-burial"))
            .spawn(wait);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            self.signal(Signal::KILL);
            // Nobody is left to be told.
            let _ = self.child.wait();
            bury_the_others(leader);
        }
    }
}

/// Waits for the end of a program without burying it. One that cannot be waited for counts as ended: the
/// burial then says why.
pub(super) fn until_dead(leader: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(leader), options) {}
}

/// What a worker with a running program waits on.
#[derive(Debug, Default)]
pub(super) struct Bell {
    ended: Mutex<bool>,
    signal: runtime::Signal,
}

impl Wake for Bell {
    fn wake(&self) {
        self.signal.wake_from(&self.ended);
    }
}

impl Bell {
    pub(super) fn ended(&self) {
        *self.ended.lock() = true;
        self.signal.wake_all();
    }

    /// Waits until the program has ended, and has it ended where it must be.
    pub(super) fn attend(
        &self,
        group: &Group,
        deadline: Option<Steady>,
        ctx: &Context,
    ) -> Option<Cut> {
        let cut = self.wait(deadline, ctx, || ctx.is_cancelled());
        if cut.is_some() {
            // Before the signal: whoever sees it come knows that the grace has begun.
            let grace = ctx.clock().now().steady.after(GRACE);
            group.signal(Signal::TERM);
            self.wait(Some(grace), ctx, || false);
            group.signal(Signal::KILL);
            self.wait(None, ctx, || false);
        }
        cut
    }

    /// Waits for the end of the program: `None`, or what came before it.
    fn wait(
        &self,
        until: Option<Steady>,
        ctx: &Context,
        is_cancelled: impl Fn() -> bool,
    ) -> Option<Cut> {
        let mut ended = self.ended.lock();
        loop {
            if *ended {
                return None;
            }
            if is_cancelled() {
                return Some(Cut::Cancelled);
            }
            if self.signal.wait(&mut ended, ctx.clock(), until) == runtime::Woken::Due {
                return (!*ended).then_some(Cut::TimedOut);
            }
        }
    }
}
