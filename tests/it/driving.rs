//! Async code in a job.

use std::future::{pending, poll_fn};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Builder, Context, JobError, Manager, NewJob, Queue, Reason};

use crate::executor::{Task, block_on};
use crate::place::{Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, work};
use crate::restarting::until_nothing_is_stuck;

/// Says in its drop that it is gone.
struct Gone(Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A job `a` whose future never comes to an end, and others that succeed at once. The receiver hears
/// when the future was dropped, and then with which error the call came back.
fn never_ending(builder: Builder, door: &Door) -> (Builder, Receiver<()>, Receiver<String>) {
    let (gone, heard) = channel();
    let (came_back, error) = channel();
    let (gone, came_back) = (Mutex::new(gone), Mutex::new(came_back));
    let door = door.clone();
    let builder = builder.handle::<Work>(move |work, ctx| {
        if work.label != "a" {
            return Ok(String::new());
        }
        let gone = Gone(gone.lock().unwrap().clone());
        door.enter("a");
        let never = async move {
            let _gone = gone;
            pending::<()>().await;
        };
        let error = ctx.block_on(never).unwrap_err();
        assert!(error.is_cancelled() && ctx.is_cancelled());
        let _ = came_back.lock().unwrap().send(error.to_string());
        Err(error.into())
    });
    (builder, heard, error)
}

fn arrive(heard: &Receiver<()>, error: &Receiver<String>) {
    heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        error.recv_timeout(PATIENCE).unwrap(),
        "wait for a future of job 1: the job is to stop, because somebody cancelled it, its time-out is \
         over, or the grace of a shutdown has ended: return"
    );
}

pub(crate) fn a_future_comes_to_its_output_whoever_wakes_it(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|work, ctx| {
            let seen = Arc::new(Mutex::new((false, None::<Waker>)));
            let waked = Arc::clone(&seen);
            let waking = thread::Builder::new().name("waking".into());
            let waking = waking.spawn(move || {
                loop {
                    let mut seen = waked.lock().unwrap();
                    if let Some(waker) = seen.1.take() {
                        seen.0 = true;
                        drop(seen);
                        return waker.wake();
                    }
                    drop(seen);
                    thread::yield_now();
                }
            });
            let future = poll_fn(|context| {
                let mut seen = seen.lock().unwrap();
                if seen.0 {
                    return Poll::Ready(work.label.clone());
                }
                seen.1 = Some(context.waker().clone());
                Poll::Pending
            });
            let label = ctx.block_on(future)?;
            waking?.join().unwrap();
            Ok(label)
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "a");
}

pub(crate) fn a_future_ends_with_its_jobs_time_out_and_gives_the_thread_back(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let builder = one_worker(place).clock(clock.clone());
    let (builder, heard, error) = never_ending(builder, &door);
    let manager = builder.start().unwrap();
    let slow = NewJob::new(work("a")).attempts(1).timeout(SECOND);
    let slow = manager.enqueue(slow).unwrap();
    door.arrived();
    door.open(1);
    clock.advance(SECOND);
    let done = manager.wait(&slow, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::TimedOut);
    arrive(&heard, &error);
    until_nothing_is_stuck(&manager);
    let next = manager.enqueue(work("b")).unwrap();
    manager.wait(&next, PATIENCE).unwrap();
}

pub(crate) fn a_future_ends_when_its_job_is_cancelled(place: &dyn Place) {
    let door = Door::new();
    let (builder, heard, error) = never_ending(one_worker(place), &door);
    let manager = builder.start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    door.open(1);
    arrive(&heard, &error);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::Cancelled);
}

pub(crate) fn a_future_ends_with_the_grace_of_a_shutdown(place: &dyn Place) {
    let door = Door::new();
    let (builder, heard, error) = never_ending(one_worker(place), &door);
    let manager = builder.start().unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    door.open(1);
    let report = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(report.still_running.len(), 1);
    arrive(&heard, &error);
}

pub(crate) fn a_task_elsewhere_hears_that_its_job_is_to_stop(place: &dyn Place) {
    let (ours, theirs) = channel();
    let (ours, door) = (Mutex::new(ours), Door::new());
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |work, ctx| {
            let mut polled = ctx.cancelled();
            assert_eq!(Task::new().poll(&mut polled), Poll::Pending);
            // One that is dropped is not called.
            drop(polled);
            ours.lock().unwrap().send(ctx.cancelled()).unwrap();
            inside.enter(&work.label);
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let mut told = theirs.recv_timeout(PATIENCE).unwrap();
    let task = Task::new();
    assert_eq!(task.poll(&mut told), Poll::Pending);
    manager.cancel(&receipt).unwrap();
    task.until_woken(1);
    block_on(told);
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
}

/// A future that is ready counts, though the job is to stop.
pub(crate) fn a_future_that_is_ready_is_heard_in_a_job_that_is_to_stop(place: &dyn Place) {
    let (inside, door) = (Door::new(), Door::new());
    let (there, told) = (inside.clone(), door.clone());
    let manager = one_worker(place)
        .handle::<Work>(move |work, ctx| {
            there.enter(&work.label);
            let ready = ctx.block_on(async { 7 });
            told.enter(&format!("{} {}", ctx.is_cancelled(), ready?));
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    inside.arrived();
    manager.cancel(&receipt).unwrap();
    inside.open(1);
    assert_eq!(door.arrived(), "true 7");
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
}

pub(crate) fn a_panic_in_a_future_is_its_jobs(place: &dyn Place) {
    let fails = |_: &mut Work, ctx: &Context| -> Result<String, JobError> {
        ctx.block_on(async { panic!("in a future") })?;
        Ok(String::new())
    };
    let manager = one_worker(place).handle::<Work>(fails).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(1)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let failure = done.output().unwrap_err();
    assert!(failure.message().ends_with("in a future"), "{failure}");
}

/// What Tokio's own `block_on` would be for: a timer needs its reactor, and gets it.
#[cfg(feature = "http-server")]
pub(crate) fn a_future_of_tokios_is_driven_inside_of_its_runtime(place: &dyn Place) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_time().build().unwrap();
    let manager = Manager::builder(place.open())
        .queue(Queue::new("default").workers(1))
        .resource(runtime.handle().clone())
        .handle::<Work>(|work, ctx| {
            let _inside = ctx.resource::<tokio::runtime::Handle>()?.enter();
            // It is made on this thread, and must find the reactor there.
            let limited = tokio::time::timeout(HOUR, async { work.label.clone() });
            let label = ctx.block_on(limited)??;
            ctx.block_on(tokio::time::sleep(Duration::from_millis(1)))?;
            Ok(label)
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "a");
}
