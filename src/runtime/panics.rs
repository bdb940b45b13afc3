//! Where a panic was: known to the panic hook only.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jobkeep_store::{JobNumber, OpeningTag};

use crate::sync;

sync::thread_local! {
    /// The manager that this thread belongs to.
    static OWNER: Cell<Option<OpeningTag>> = const { Cell::new(None) };

    /// The job of that manager's store that it runs.
    static JOB: Cell<Option<JobNumber>> = const { Cell::new(None) };
}

thread_local! {
    static LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Marks the present thread as one of a manager's.
pub(super) fn own_this_thread(manager: OpeningTag) {
    OWNER.with(|owner| owner.set(Some(manager)));
}

/// Marks the present thread as this manager's, or as nobody's, for a while: says whose it was.
#[cfg(feature = "testing")]
pub(super) fn lend_this_thread(owner: Option<OpeningTag>) -> Option<OpeningTag> {
    OWNER.with(|present| present.replace(owner))
}

/// The present thread is one of this manager's: it must never wait for that manager's end.
pub(crate) fn is_own_thread(manager: OpeningTag) -> bool {
    owner() == Some(manager)
}

/// Runs a job of this thread's manager, whose panics are caught.
pub(super) fn run_job<T>(job: JobNumber, run: impl FnOnce() -> T) -> Result<T, Caught> {
    let before = JOB.with(|present| present.replace(Some(job)));
    let ran = catch(run);
    JOB.with(|present| present.set(before));
    ran
}

/// The job of this manager's store that the present thread runs.
pub(super) fn job_here(manager: OpeningTag) -> Option<JobNumber> {
    JOB.with(Cell::get).filter(|_| is_own_thread(manager))
}

fn owner() -> Option<OpeningTag> {
    OWNER.with(Cell::get)
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// Makes the panic hook note where a panic of one of our threads was. The hook that was there runs
/// as before.
///
/// An application may set a hook of its own afterwards: called again, this wraps that one too, and where
/// ours is still the outermost it changes nothing.
pub(super) fn watch() {
    /// Where our hook is, as long as it lives.
    static OURS: Mutex<Option<(usize, Weak<()>)>> = Mutex::new(None);
    // A thread that panics may not touch the hook.
    if std::thread::panicking() {
        return;
    }
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    let before = take_hook();
    let is_ours = ours
        .as_ref()
        .is_some_and(|(place, lives)| lives.strong_count() > 0 && *place == address(&before));
    if is_ours {
        set_hook(before);
        return;
    }
    let lives = Arc::new(());
    let alive = Arc::downgrade(&lives);
    let hook: Hook = Box::new(move |panic| {
        let _ = &lives;
        if owner().is_some() {
            let location = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            LOCATION.with_borrow_mut(|noted| *noted = location);
        }
        before(panic);
    });
    *ours = Some((address(&hook), alive));
    set_hook(hook);
}

fn address(hook: &Hook) -> usize {
    std::ptr::from_ref(&**hook).cast::<()>().addr()
}

/// A panic that was caught.
#[derive(Debug)]
pub(crate) struct Caught {
    pub(crate) message: String,
    /// File, line and column; empty where they are not known.
    pub(crate) location: String,
}

/// Runs `act` and catches its panic.
pub(crate) fn catch<T>(act: impl FnOnce() -> T) -> Result<T, Caught> {
    LOCATION.with_borrow_mut(String::clear);
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let caught = Caught {
            message: message(payload.as_ref()),
            location: LOCATION.with_borrow_mut(std::mem::take),
        };
        if caught.location.is_empty() {
            // The hook was exchanged. The next panic has its place.
            watch();
        }
        // Its drop is somebody else's code too.
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(thrown);
        }
        caught
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the panic carries no text".into()
    }
}
