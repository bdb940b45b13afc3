//! The process is told to end by a signal: its managers end in order first.
//!
//! 1. The first manager that asks for it starts a thread that waits for a signal, for as long as the process
//!    lives: once a signal is caught, nobody gives its own meaning back to it but this thread.
//! 2. At the first signal, the pools of all managers that are left stop at once, and each has its grace.
//! 3. Then the process ends as the signal would have ended it. A second signal does so at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use super::shared::Shared;
use crate::sync::{Arc, Weak};

const SIGNALS: [i32; 2] = [SIGTERM, SIGINT];

/// The process that listens, with those to be ended and the graces that they give; `None` as long as nobody
/// listens. The mutex is std's, as that of all statics.
static MANAGERS: Mutex<Option<(u32, Ends)>> = Mutex::new(None);

type Ends = Vec<(Weak<Shared>, Duration)>;

/// Ends this manager in order when the process is told to end.
pub(super) fn end_on_signals(manager: &Arc<Shared>, grace: Duration) -> io::Result<()> {
    let mut managers = MANAGERS.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    // A forked process has what its parent caught, and not the thread that listens.
    if managers.as_ref().is_none_or(|(own, _)| *own != process) {
        *managers = None;
        listen()?;
    }
    let (_, all) = managers.get_or_insert_with(|| (process, Ends::new()));
    all.retain(|(manager, _)| manager.strong_count() > 0);
    all.push((Arc::downgrade(manager), grace));
    Ok(())
}

fn listen() -> io::Result<()> {
    let told = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        // In this order: the first signal finds that none was there.
        flag::register_conditional_default(signal, Arc::clone(&told))?;
        flag::register(signal, Arc::clone(&told))?;
    }
    let mut signals = Signals::new(SIGNALS)?;
    let thread = Builder::new().name("jobkeep-signals".into());
    let started = thread.spawn(move || {
        // The one wait that is none of `Signal`'s.
        if let Some(signal) = signals.forever().next() {
            end_all();
            end_process(signal);
        }
    });
    if started.is_err() {
        // Nobody would hear of a signal: each means again what it meant before.
        told.store(true, Ordering::Relaxed);
    }
    started.map(drop)
}

fn end_process(signal: i32) {
    if std::process::id() == 1 {
        // The first process of a container: the kernel lets no signal end it that it does not catch.
        std::process::exit(128 + signal);
    }
    drop(low_level::emulate_default_handler(signal));
}

fn end_all() {
    let managers = MANAGERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let managers = managers.map_or_else(Ends::new, |(_, managers)| managers);
    let managers = managers
        .into_iter()
        .filter_map(|(manager, grace)| Some((manager.upgrade()?, grace)));
    let managers: Vec<_> = managers.collect();
    for (manager, _) in &managers {
        manager.halt();
    }
    scope(|scope| {
        for (manager, grace) in &managers {
            let end = || drop(manager.shut_down(*grace));
            // Where there is no thread for it, one after the other.
            if Builder::new().spawn_scoped(scope, end).is_err() {
                end();
            }
        }
    });
}
