use std::sync::Mutex;

use jobkeep_store::Timestamp;
use shuttle::thread;

use super::whole::{EVER, Errand, Whole, enqueue};
use super::{SECOND, clock, flip, in_a_second};
use crate::event::{self, Event};
use crate::runtime::bell::Bell;
use crate::runtime::observe::Observing;
use crate::runtime::shared::Shared;
use crate::sync::Arc;
use crate::{Context, MemoryStore, Observer};

fn event(text: &str) -> Event {
    Event::degraded(text.into(), false, Timestamp(0))
}

type Told = Arc<Mutex<Vec<String>>>;

struct Notes(Told);

impl Observer for Notes {
    fn degraded(&self, event: &event::Degraded) {
        self.0.lock().unwrap().push(event.cause().into());
    }
}

pub(super) fn all_is_told_in_each_ones_order_before_the_end() {
    let (_, clock) = clock();
    let (observing, told) = (Arc::<Observing>::default(), Told::default());
    let observer = Box::new(Notes(Arc::clone(&told)));
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        scope.spawn(|| observing.serve(observer, &clock));
        scope.spawn(|| {
            thread::scope(|scope| {
                for events in [["a1", "a2"], ["b1", "b2"]] {
                    let observing = &observing;
                    scope.spawn(move || {
                        if flip() {
                            observing.tell(events.map(event).into());
                        } else {
                            for text in events {
                                observing.tell([event(text)].into());
                            }
                        }
                    });
                }
            });
            observing.end();
            observing.tell([event("too late")].into());
            observing.join(&clock, until);
            let told = told.lock().unwrap();
            assert_eq!(told.len(), 4);
            for teller in ["a", "b"] {
                assert!(
                    told.iter()
                        .filter(|text| text.starts_with(teller))
                        .is_sorted()
                );
            }
        });
    });
}

/// Rings when it is told something.
struct Rings(Arc<Bell>);

impl Observer for Rings {
    fn degraded(&self, _: &event::Degraded) {
        self.0.ring();
    }
}

pub(super) fn what_happens_is_told_at_once() {
    let (_, clock) = clock();
    let (observing, bell) = (Arc::<Observing>::default(), Bell::new(&clock));
    let observer = Box::new(Rings(Arc::clone(&bell)));
    thread::scope(|scope| {
        scope.spawn(|| observing.serve(observer, &clock));
        scope.spawn(|| observing.tell([event("a")].into()));
        scope.spawn(|| {
            bell.wait(&clock, None);
            observing.end();
        });
    });
}

/// Waits when it is told something.
struct Waits(Arc<Bell>, crate::clock::Clock);

impl Observer for Waits {
    fn degraded(&self, _: &event::Degraded) {
        self.0.wait(&self.1, None);
    }
}

pub(super) fn an_observer_that_takes_long_is_left_to_itself() {
    let (manual, clock) = clock();
    let (observing, gate) = (Arc::<Observing>::default(), Bell::new(&clock));
    clock.tell(&observing);
    let observer = Box::new(Waits(Arc::clone(&gate), clock.clone()));
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        scope.spawn(|| observing.serve(observer, &clock));
        scope.spawn(|| {
            observing.tell([event("a")].into());
            observing.end();
            observing.join(&clock, until);
            gate.ring();
        });
        scope.spawn(|| manual.advance(SECOND));
    });
}

/// Asks the manager when it is told of an end.
struct Asks {
    shared: Arc<Mutex<Option<Arc<Shared>>>>,
    told: Told,
}

impl Observer for Asks {
    fn accepted(&self, event: &event::Accepted) {
        let told = format!("accepted {}", event.job());
        self.told.lock().unwrap().push(told);
    }

    fn finished(&self, event: &event::Finished) {
        let shared = self.shared.lock().unwrap().clone().unwrap();
        match shared.wait(event.job(), EVER) {
            Ok(finished) => assert!(finished.is_some()),
            Err(error) => assert!(error.is_shut_down()),
        }
        if let Err(error) = enqueue(&shared) {
            assert!(error.is_shut_down());
        }
        // Of which it must not wait for the end.
        drop(shared.shut_down(EVER));
        let told = format!("finished {}", event.job());
        self.told.lock().unwrap().push(told);
    }
}

pub(super) fn an_observer_that_asks_the_manager_hears_all_and_ends() {
    let (told, shared_there) = (Told::default(), Arc::default());
    let observer = Asks {
        shared: Arc::clone(&shared_there),
        told: Arc::clone(&told),
    };
    let run = |_: &mut Errand, _: &Context| Ok(());
    let whole = Whole::new(1, MemoryStore::new()).observer(observer);
    whole.beside(run, |shared, _| {
        *shared_there.lock().unwrap() = Some(Arc::clone(shared));
        let number = enqueue(shared).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| match shared.wait(number, EVER) {
                Ok(finished) => assert!(finished.is_some()),
                Err(error) => assert!(error.is_shut_down()),
            });
            scope.spawn(|| {
                let report = shared.shut_down(EVER);
                let told = told.lock().unwrap();
                let has = |text: &str| told.contains(&format!("{text} {number}"));
                assert!(has("accepted"));
                assert!(report.finished == 0 || has("finished"));
            });
        });
        *shared_there.lock().unwrap() = None;
    });
}
