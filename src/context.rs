use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;

use jobkeep_store::JobNumber;

use crate::Error;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// What a running job may ask and say. It shows nothing of the store.
pub struct Context {
    running: Arc<Running>,
    attempt: u32,
    resources: Arc<Resources>,
}

impl Context {
    pub(crate) fn new(running: Arc<Running>, attempt: u32, resources: Arc<Resources>) -> Self {
        Self {
            running,
            attempt,
            resources,
        }
    }

    /// The job's number in its store: the same for all its attempts.
    pub fn id(&self) -> JobNumber {
        self.running.number
    }

    /// Which attempt this is, from 1. One that was interrupted or snoozed is repeated under its
    /// number.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Somebody asked to cancel the job, or the manager shuts down and its grace has ended. A job that
    /// takes long should look now and then, and return; a thread cannot be stopped from outside.
    pub fn is_cancelled(&self) -> bool {
        self.running.cancelled.load(Ordering::Relaxed)
    }

    /// Says how far the job is, for [`Status::progress`](crate::Status::progress). Kept in RAM only.
    pub fn progress(&self, done: u64, total: u64) {
        *self.running.progress.lock() = Some((done, total));
    }

    /// Keeps a line with this attempt, and shows it in [`Status::log`](crate::Status::log) while the
    /// attempt runs. At most [`LOG_LINES`](crate::LOG_LINES) lines of
    /// [`LOG_LINE_BYTES`](crate::LOG_LINE_BYTES) bytes are kept: the first ones, cut.
    ///
    /// # Durability
    /// Written with the attempt's end.
    pub fn log(&self, line: impl fmt::Display) {
        let mut log = self.running.log.lock();
        if log.len() < LOG_LINES {
            log.push(cut(line.to_string(), LOG_LINE_BYTES));
        }
    }

    /// The application's shared state of type `T`, as given to
    /// [`Builder::resource`](crate::Builder::resource).
    ///
    /// # Errors
    /// Where none was given; the message names the type.
    pub fn resource<T: Any + Send + Sync>(&self) -> Result<&T, Error> {
        self.resources.get()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.running.number)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// How many lines of an attempt's log are kept.
pub const LOG_LINES: usize = 100;

/// How many bytes of a line are kept.
pub const LOG_LINE_BYTES: usize = 512;

/// The text, cut before the character that passes `bytes`.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// A job on a worker, as both its [`Context`] and the manager see it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) number: JobNumber,
    pub(crate) cancelled: AtomicBool,
    pub(crate) progress: Mutex<Option<(u64, u64)>>,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Running {
    pub(crate) fn new(number: JobNumber) -> Self {
        Self {
            number,
            cancelled: AtomicBool::new(false),
            progress: Mutex::new(None),
            log: Mutex::new(Vec::new()),
        }
    }

    /// What the job said so far in this attempt: its progress and its log.
    pub(crate) fn said(&self) -> (Option<(u64, u64)>, Vec<String>) {
        (*self.progress.lock(), self.log.lock().clone())
    }
}

/// Shared application state, one value a type.
#[derive(Default)]
pub(crate) struct Resources(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Resources {
    /// Adds a value; `false` where its type has one already.
    pub(crate) fn add<T: Any + Send + Sync>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Box::new(value)).is_none()
    }

    fn get<T: Any + Send + Sync>(&self) -> Result<&T, Error> {
        self.0
            .get(&TypeId::of::<T>())
            .and_then(|value| value.downcast_ref())
            .ok_or_else(|| Error::no_resource(type_name::<T>()))
    }
}
