//! The primitives that threads share, in one place, so that a model checker can take them: see
//! `runtime/models`.

pub(crate) use std::sync::{Arc, Weak};

#[cfg(not(jobkeep_model))]
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(not(jobkeep_model))]
pub(crate) use std::thread_local;

#[cfg(not(jobkeep_model))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(jobkeep_model)]
pub(crate) mod model;
#[cfg(jobkeep_model)]
pub(crate) use model::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

#[cfg(jobkeep_model)]
pub(crate) use shuttle::thread_local;
