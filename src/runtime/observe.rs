//! The observer's thread, and the events that wait for it.

use std::fmt;
use std::thread::{Builder, JoinHandle};

use jobkeep_store::OpeningTag;

use super::panics;
use super::shared::Shared;
use super::signal::{Signal, Woken};
use crate::Observer;
use crate::clock::{Clock, Steady, Wake};
use crate::event::Event;
use crate::sync::{Arc, Mutex};

/// So many events wait at most.
const BOUND: usize = 4_096;

/// Events on their way to the observer.
///
/// 1. Whoever has events adds them where there is room, counts them as lost where there is none, and
///    goes on.
/// 2. The observer's thread takes all that wait with the count of those lost behind them, and tells
///    them without the lock.
/// 3. After the committer's last events nothing is added any more; the thread tells what is left, lets
///    go of the observer, and ends.
#[derive(Default)]
pub(crate) struct Observing {
    state: Mutex<State>,
    arrived: Signal,
    ended: Signal,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    lost: u64,
    over: bool,
    ended: bool,
    thread: Option<JoinHandle<()>>,
}

impl Observing {
    /// Starts the observer's thread.
    pub(super) fn start(
        self: &Arc<Self>,
        observer: Box<dyn Observer>,
        clock: &Clock,
        manager: OpeningTag,
    ) -> std::io::Result<()> {
        clock.tell(self);
        let (observing, clock) = (Arc::clone(self), clock.clone());
        let thread = Builder::new()
            .name("jobkeep-observer".into())
            .spawn(move || {
                panics::own_this_thread(manager);
                observing.serve(observer, &clock);
            })?;
        self.state.lock().thread = Some(thread);
        Ok(())
    }

    /// Has the observer told, as far as there is room. Never waits for it.
    pub(crate) fn tell(&self, events: impl IntoIterator<Item = Event>) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        for event in events {
            if state.events.len() < BOUND {
                state.events.push(event);
            } else {
                state.lost += 1;
            }
        }
        drop(state);
        self.arrived.wake_one();
    }

    /// The observer's thread.
    pub(super) fn serve(&self, observer: Box<dyn Observer>, clock: &Clock) {
        self.run(&*observer, clock);
        // It may hold the last handle of the manager, and may panic once more.
        drop(panics::catch(|| drop(observer)));
        self.state.lock().ended = true;
        self.ended.wake_all();
    }

    fn run(&self, observer: &dyn Observer, clock: &Clock) {
        let mut events = Vec::new();
        loop {
            let mut state = self.state.lock();
            while state.events.is_empty() && !state.over {
                self.arrived.wait(&mut state, clock, None);
            }
            std::mem::swap(&mut state.events, &mut events);
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            if events.is_empty() {
                return;
            }
            // The panic hook has reported what is caught here.
            for event in events.drain(..) {
                drop(panics::catch(|| event.tell(observer)));
            }
            if lost > 0 {
                drop(panics::catch(|| observer.lost(lost)));
            }
        }
    }

    /// Nothing is told any more but what waits now.
    pub(super) fn end(&self) {
        self.state.lock().over = true;
        self.arrived.wake_one();
    }

    /// Waits until that moment for the end of the thread. An observer that takes longer is left to
    /// itself.
    pub(crate) fn join(&self, clock: &Clock, until: Steady) {
        let mut state = self.state.lock();
        while !state.ended {
            if self.ended.wait(&mut state, clock, Some(until)) == Woken::Due && !state.ended {
                return;
            }
        }
        let thread = state.thread.take();
        drop(state);
        // It catches what the observer throws.
        drop(thread.map(JoinHandle::join));
    }
}

impl Wake for Observing {
    fn wake(&self) {
        self.ended.wake_from(&self.state);
    }
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing").finish_non_exhaustive()
    }
}

impl Shared {
    /// Tells the observer, where there is one; the event is made only then. Call it after the commit
    /// that makes the event true.
    pub(crate) fn observe(&self, event: impl FnOnce() -> Event) {
        if let Some(observing) = &self.observing {
            observing.tell([event()]);
        }
    }
}
