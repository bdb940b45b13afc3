//! What an operator must know, said through the `log` facade: never what a job carries.
//!
//! Lines about jobs and the store come from a thread of the manager's own, because a logger may block;
//! those about its start and its end from the thread that called. Without a logger nothing is made.

use std::fmt::{self, Write};

use crate::event::{Degraded, Finished, Lost, Parked, Recovered, Retried, Stuck, Suspected};
use crate::{Observer, Recovery, Shutdown, StateKind};

#[derive(Clone, Copy)]
enum Level {
    Info,
    Warn,
    Error,
}

/// There is a logger.
#[cfg(feature = "log")]
pub(crate) fn is_on() -> bool {
    log::max_level() != log::LevelFilter::Off
}

#[cfg(feature = "log")]
fn say(level: Level, line: fmt::Arguments<'_>) {
    let level = match level {
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::log!(target: "jobkeep", level, "{}", OneLine(line));
}

#[cfg(not(feature = "log"))]
pub(crate) fn is_on() -> bool {
    false
}

#[cfg(not(feature = "log"))]
fn say(level: Level, line: fmt::Arguments<'_>) {
    let _ = match level {
        Level::Info | Level::Warn | Level::Error => OneLine(line),
    };
}

/// Text that stays in its line: errors of jobs may quote what strangers sent.
struct OneLine<'a>(fmt::Arguments<'a>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

        impl Write for Escaping<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for part in text.split_inclusive(char::is_control) {
                    let plain = part.trim_end_matches(char::is_control);
                    self.0.write_str(plain)?;
                    let control = part.strip_prefix(plain).unwrap_or_default();
                    write!(self.0, "{}", control.escape_default())?;
                }
                Ok(())
            }
        }

        Escaping(f).write_fmt(self.0)
    }
}

/// A manager has taken its store over, and begins.
pub(crate) fn started(store: &str, recovery: &Recovery) {
    let Recovery {
        waiting,
        interrupted,
        damaged,
        parked,
        ..
    } = recovery;
    say(
        Level::Info,
        format_args!(
            "started on {store}: {waiting} jobs have not finished, {interrupted} of them were interrupted"
        ),
    );
    if *damaged > 0 {
        say(
            Level::Error,
            format_args!("{damaged} rows of {store} are damaged, and were set aside"),
        );
    }
    if !parked.is_empty() {
        say(Level::Error, format_args!("{parked}"));
    }
}

/// A manager has ended.
pub(crate) fn shut_down(store: &str, report: &Shutdown) {
    let Shutdown {
        finished,
        handed_back,
        still_running,
        unrecorded,
        stalled,
        ..
    } = report;
    say(
        Level::Info,
        format_args!(
            "shut down on {store}: {finished} jobs ended meanwhile, {handed_back} were put back untouched"
        ),
    );
    if let Some(since) = stalled {
        say(
            Level::Error,
            format_args!("the store has not answered since {since}, and was left behind"),
        );
    }
    for running in still_running {
        let (job, thread) = (running.job, &running.thread);
        say(
            Level::Warn,
            format_args!("job {job} still runs on thread {thread}: the next start runs it again"),
        );
    }
    for job in unrecorded {
        say(
            Level::Warn,
            format_args!(
                "the end of job {job} could not be recorded: the next start runs it again"
            ),
        );
    }
}

/// Writes down what somebody should look at.
pub(crate) struct Log;

macro_rules! about {
    ($event:expr, $level:expr, $($text:tt)+) => {
        say($level, format_args!(
            "job {} (`{}`, queue `{}`) {}",
            $event.job(), $event.name(), $event.queue(), format_args!($($text)+)
        ))
    };
}

impl Observer for Log {
    fn finished(&self, event: &Finished) {
        if let Some(failure) = event.failure()
            && event.state() == StateKind::Failed
        {
            let (attempt, message) = (failure.attempts(), failure.message());
            about!(
                event,
                Level::Error,
                "failed at attempt {attempt}: {message}"
            );
        }
    }

    fn retried(&self, event: &Retried) {
        if let (Some(error), Some(due)) = (event.error(), event.due()) {
            let attempts = event.attempts();
            about!(
                event,
                Level::Warn,
                "is tried again at {due}, after attempt {attempts}: {error}"
            );
        }
    }

    fn parked(&self, event: &Parked) {
        about!(event, Level::Error, "cannot run here: {}", event.reason());
    }

    fn suspected(&self, event: &Suspected) {
        let (times, until) = (event.unclean_ends(), event.until());
        about!(
            event,
            Level::Warn,
            "is held back until {until}: {times} times a process died shortly after it had begun"
        );
    }

    fn stuck(&self, event: &Stuck) {
        let thread = event.thread();
        about!(
            event,
            Level::Warn,
            "still runs on thread {thread}, though its time-out is over"
        );
    }

    fn degraded(&self, event: &Degraded) {
        let cause = event.cause();
        if event.is_poisoned() {
            say(
                Level::Error,
                format_args!(
                    "nothing is written any more, see to the cause and start anew: {cause}"
                ),
            );
        } else {
            say(
                Level::Error,
                format_args!("the store refuses, and is tried again until it does not: {cause}"),
            );
        }
    }

    fn recovered(&self, _: &Recovered) {
        say(
            Level::Info,
            format_args!("the store takes again what is written to it"),
        );
    }

    fn lost(&self, event: &Lost) {
        let lines = event.total();
        say(
            Level::Warn,
            format_args!("{lines} lines about jobs are missing here: the logger is too slow"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        let text = "a\nb\r\n\u{1b}[31mc\u{0}";
        let line = OneLine(format_args!("{text}, {}", 'ä')).to_string();
        assert_eq!(line, "a\\nb\\r\\n\\u{1b}[31mc\\u{0}, ä");
    }
}
