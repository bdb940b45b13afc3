//! The observers' threads, and the events that wait for them.

use std::fmt;
use std::thread::{Builder, JoinHandle};

use jobkeep_store::OpeningTag;

use super::panics;
use super::shared::{Shared, Shutdown};
use super::signal::{Signal, Woken};
use crate::Observer;
use crate::clock::{Clock, Steady, Wake};
use crate::event::{Event, Lost};
use crate::logging;
use crate::observer::Interest;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// While so many events wait, no more are added.
const BOUND: usize = 4_096;

/// Events on their way to one observer.
///
/// 1. Whoever has events, mostly those of a commit, adds them as a whole; or counts them as lost where
///    too many wait; and goes on.
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
    events: Vec<Arc<[Event]>>,
    waiting: usize,
    lost: Lost,
    over: bool,
    ended: bool,
    thread: Option<JoinHandle<()>>,
}

impl Observing {
    /// Starts the observer's thread.
    fn start(
        self: &Arc<Self>,
        name: String,
        observer: Box<dyn Observer>,
        clock: &Clock,
        manager: OpeningTag,
    ) -> std::io::Result<()> {
        clock.tell(self);
        let (observing, clock) = (Arc::clone(self), clock.clone());
        let thread = Builder::new().name(name).spawn(move || {
            panics::own_this_thread(manager);
            observing.serve(observer, &clock);
        })?;
        self.state.lock().thread = Some(thread);
        Ok(())
    }

    /// Has the observer told of all of them, or of how many there were. Never waits for it.
    pub(super) fn tell(&self, events: Arc<[Event]>) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        if state.waiting < BOUND {
            state.waiting += events.len();
            state.events.push(events);
        } else {
            state.lost.count(&events);
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
        // The panic hook has reported what is caught here.
        let tell = |event: &Event| drop(panics::catch(|| observer.event(event)));
        loop {
            let mut state = self.state.lock();
            while state.events.is_empty() && !state.over {
                self.arrived.wait(&mut state, clock, None);
            }
            state.waiting = 0;
            let events = std::mem::take(&mut state.events);
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            if events.is_empty() {
                return;
            }
            events
                .iter()
                .flat_map(|events| events.iter())
                .for_each(tell);
            if lost.total() > 0 {
                tell(&Event::Lost(lost));
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

/// Everybody who is told: the application's observers, each with a thread of its own so that a slow one
/// costs the others nothing; and the log, whose thread is started when it first has something to say.
pub(crate) struct Observers {
    each: Vec<Arc<Observing>>,
    log: Arc<Observing>,
    has_log: AtomicBool,
    has_said_the_end: AtomicBool,
    manager: OpeningTag,
    clock: Clock,
}

impl Observers {
    /// So many observers of the application's.
    pub(super) fn new(count: usize, manager: OpeningTag, clock: &Clock) -> Self {
        Self {
            each: (0..count).map(|_| Arc::default()).collect(),
            log: Arc::default(),
            has_log: AtomicBool::new(false),
            has_said_the_end: AtomicBool::new(false),
            manager,
            clock: clock.clone(),
        }
    }

    /// Starts the threads of the application's observers.
    pub(super) fn start(&self, observers: Vec<Box<dyn Observer>>) -> std::io::Result<()> {
        for ((place, observer), observing) in (1..).zip(observers).zip(&self.each) {
            let name = match place {
                1 => "jobkeep-observer".into(),
                _ => format!("jobkeep-observer-{place}"),
            };
            observing.start(name, observer, &self.clock, self.manager)?;
        }
        Ok(())
    }

    /// The one of a model, whose threads are the checker's.
    #[cfg(all(test, jobkeep_model))]
    pub(super) fn first(&self) -> Option<&Arc<Observing>> {
        self.each.first()
    }

    /// What is worth the making of an event, with whatever logger there will be.
    pub(super) fn lasting_interest(&self) -> Interest {
        if self.each.is_empty() {
            Interest::Trouble
        } else {
            Interest::All
        }
    }

    /// What is worth the making of an event now.
    pub(super) fn interest(&self) -> Interest {
        if !self.each.is_empty() {
            Interest::All
        } else if logging::is_on() {
            Interest::Trouble
        } else {
            Interest::Nothing
        }
    }

    /// Tells everybody. Call it after the commit that makes the events true.
    pub(crate) fn tell(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        if logging::is_on() {
            self.log(events.iter().filter(|event| event.is_trouble()).cloned());
        }
        if !self.each.is_empty() {
            let events: Arc<[Event]> = events.into();
            for observing in &self.each {
                observing.tell(Arc::clone(&events));
            }
        }
    }

    /// Tells what a start has found. In the log its parked jobs have a line together.
    pub(super) fn tell_found(&self, events: Vec<Event>) {
        if logging::is_on() {
            let has_line = |event: &&Event| matches!(event, Event::Suspected(_));
            self.log(events.iter().filter(has_line).cloned());
        }
        let events: Arc<[Event]> = events.into();
        for observing in &self.each {
            observing.tell(Arc::clone(&events));
        }
    }

    fn log(&self, events: impl Iterator<Item = Event>) {
        let events: Arc<[Event]> = events.collect();
        if events.is_empty() {
            return;
        }
        self.log.tell(events);
        if !self.has_log.swap(true, Ordering::Relaxed) {
            let log = Box::new(logging::Log);
            let started = self
                .log
                .start("jobkeep-log".into(), log, &self.clock, self.manager);
            // It is tried again with the next event.
            self.has_log.store(started.is_ok(), Ordering::Relaxed);
        }
    }

    /// Nothing is told any more but what waits now.
    pub(super) fn end(&self) {
        for observing in self.each.iter().chain([&self.log]) {
            observing.end();
        }
    }

    /// Waits until that moment for the ends of the threads. An observer that takes longer is left to
    /// itself.
    pub(crate) fn join(&self, until: Steady) {
        for observing in &self.each {
            observing.join(&self.clock, until);
        }
        if self.has_log.load(Ordering::Relaxed) {
            self.log.join(&self.clock, until);
        }
    }
}

impl Shared {
    /// Says in the log how the manager has ended, once.
    pub(crate) fn say_the_end(&self, report: &Shutdown) {
        let said = &self.observers.has_said_the_end;
        if !said.swap(true, Ordering::Relaxed) {
            logging::shut_down(&self.location, report);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("each", &self.each.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Tells of an event that needs no commit; it is made only where somebody hears it.
    pub(crate) fn observe(&self, is_trouble: bool, event: impl FnOnce() -> Event) {
        if self.observers.interest().hears(is_trouble) {
            self.observers.tell(vec![event()]);
        }
    }
}
