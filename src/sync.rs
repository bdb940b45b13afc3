//! The primitives that threads share, in one place, so that a model checker can take it.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Arc, Weak};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
