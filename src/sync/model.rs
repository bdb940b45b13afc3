//! The checker's primitives, with the calls of those that are shipped.

#![allow(clippy::expect_used, reason = "a checker fails by panicking")]

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::PoisonError;
use std::time::Instant;

pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};

/// A mutex that does not poison.
#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// The lock, given back while its holder waits.
pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only a wait gives the lock back")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("only a wait gives the lock back")
    }
}

/// A condition without wake-ups that nobody made, like the shipped one.
#[derive(Debug, Default)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.0 = guard
            .0
            .take()
            .map(|held| self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// No time passes here by itself: models run by a manual clock, whose move is a wake-up.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) {
        self.wait(guard);
    }

    #[track_caller]
    pub(crate) fn notify_one(&self) {
        if !is_removed(Location::caller()) {
            self.0.notify_one();
        }
    }

    #[track_caller]
    pub(crate) fn notify_all(&self) {
        if !is_removed(Location::caller()) {
            self.0.notify_all();
        }
    }
}

thread_local! {
    /// The file and the line of a wake-up that does nothing. All threads of a model are one thread
    /// of the system.
    static REMOVED: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
}

/// Runs `act` as if the wake-up of this line were not in the source.
#[cfg(test)]
pub(crate) fn without<T>(file: &str, line: u32, act: impl FnOnce() -> T) -> T {
    REMOVED.set(Some((file.into(), line)));
    let done = act();
    REMOVED.set(None);
    done
}

pub(crate) fn is_removed(place: &Location<'_>) -> bool {
    REMOVED.with_borrow(|removed| {
        removed
            .as_ref()
            .is_some_and(|(file, line)| place.line() == *line && place.file() == file)
    })
}
