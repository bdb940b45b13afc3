//! One attempt of a command.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, ErrorKind, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::group::{Bell, Cut, Group, until_dead};
use super::output::{Tail, collect};
use super::{Command, CommandOutput, Commands, Keep};
use crate::builtin::Content;
use crate::clock::{Steady, Wake};
use crate::sync::Arc;
use crate::{Context, JobError};

/// How much of each stream stands in an error, which is kept with each of the attempts.
const ERROR_BYTES: usize = 2 * 1024;

impl Command {
    pub(super) fn run(&self, allowed: &Commands, ctx: &Context) -> Result<CommandOutput, JobError> {
        if !allowed.allow(&self.program) {
            return Err(
                self.refused("this host does not allow the program: name it in `Commands::of`")
            );
        }
        if let Some(variable) = allowed.forbidden(self.environment.keys()) {
            let text = format!(
                "this host does not let jobs set the variable `{variable}`: name it in `Commands::variables`"
            );
            return Err(self.refused(&text));
        }
        if let Some(directory) = &self.directory
            && !Path::new(directory).is_absolute()
        {
            let text = format!("its directory `{directory}` is no absolute path");
            return Err(self.refused(&text));
        }
        // Before the program can show that it runs.
        let begun = ctx.clock().now().steady;
        let child = self.start().map_err(|cause| self.failed_start(&cause))?;
        let ended = self.attend(child, begun, allowed.keep_bytes, ctx);
        let (status, cut, written) = ended.map_err(|cause| self.failed(&cause.to_string()))?;
        if cut.is_none() && status.code() == Some(0) {
            return Ok(self.output(written, allowed.keep_bytes));
        }
        let bound = allowed.keep_bytes.min(ERROR_BYTES);
        Err(self.failed(&self.tell(status, cut, written, bound)))
    }

    fn start(&self) -> io::Result<Child> {
        let stream = || match self.keep {
            Keep::Never => Stdio::null(),
            Keep::Always | Keep::OnError => Stdio::piped(),
        };
        let mut command = process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(stream())
            .stderr(stream())
            .process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.spawn()
    }

    /// Stays with the program until it and its group have ended.
    fn attend(
        &self,
        mut child: Child,
        begun: Steady,
        bound: usize,
        ctx: &Context,
    ) -> io::Result<(ExitStatus, Option<Cut>, Option<[Tail; 2]>)> {
        let streams = child.stdout.take().zip(child.stderr.take());
        let streams = streams
            .map(|(stdout, stderr)| [OwnedFd::from(stdout), OwnedFd::from(stderr)].map(File::from));
        let group = Group::new(child);
        let leader = group.leader().ok_or(ErrorKind::InvalidData)?;
        let bell = Arc::new(Bell::default());
        let _watch = ctx.watch(Arc::clone(&bell) as Arc<dyn Wake>);
        ctx.clock().tell(&bell);
        let timeout = Some(self.timeout_ms).filter(|ms| *ms > 0);
        let deadline = timeout.map(|ms| begun.after(Duration::from_millis(ms)));
        let (stopped, stop) = pipe()?;
        let name = |part| format!("command-{}-{part}", ctx.id());
        thread::scope(|scope| {
            let stop = stop;
            let reader = streams.map(|streams| {
                let read = move || collect(streams, &stopped, bound);
                thread::Builder::new()
                    .name(name("output"))
                    .spawn_scoped(scope, read)
            });
            let reader = reader.transpose()?;
            let wait = || {
                until_dead(leader);
                bell.ended();
            };
            thread::Builder::new()
                .name(name("end"))
                .spawn_scoped(scope, wait)?;
            let cut = bell.attend(&group, deadline, ctx);
            let status = group.end()?;
            drop(stop);
            // It does not panic.
            let written = reader.and_then(|reader| reader.join().ok());
            Ok((status, cut, written))
        })
    }

    fn output(&self, written: Option<[Tail; 2]>, bound: usize) -> CommandOutput {
        let kept = written.filter(|_| self.keep == Keep::Always);
        let [(stdout, stdout_cut), (stderr, stderr_cut)] = kept
            .map(|written| written.map(|tail| Content::end(tail.into_bytes(), bound)))
            .unwrap_or_default();
        CommandOutput {
            code: 0,
            stdout,
            stdout_cut,
            stderr,
            stderr_cut,
        }
    }

    fn tell(
        &self,
        status: ExitStatus,
        cut: Option<Cut>,
        written: Option<[Tail; 2]>,
        bound: usize,
    ) -> String {
        let mut text = match cut {
            Some(Cut::TimedOut) => {
                let limit = self.timeout_ms;
                format!("it ran longer than its time-out of {limit} ms and was ended, with ")
            }
            Some(Cut::Cancelled) => {
                String::from("its job was told to stop and it was ended, with ")
            }
            None => String::from("it ended with "),
        };
        // Writing to a string does not fail.
        let _ = match (status.code(), status.signal()) {
            (Some(code), _) => write!(text, "exit code {code}"),
            (None, Some(signal)) => write!(text, "signal {signal}"),
            (None, None) => write!(text, "{status}"),
        };
        for (name, tail) in ["stdout", "stderr"]
            .into_iter()
            .zip(written.into_iter().flatten())
        {
            let (end, cut) = Content::end(tail.into_bytes(), bound);
            if !end.bytes().is_empty() {
                let dots = if cut { "…" } else { "" };
                let _ = write!(text, "; {name}: {dots}{}", end.text().trim_end());
            }
        }
        text
    }

    fn failed_start(&self, cause: &io::Error) -> JobError {
        let text = match &self.directory {
            Some(directory) => format!("start it in `{directory}`: {cause}"),
            None => format!("start it: {cause}"),
        };
        match cause.kind() {
            // A zero byte in what was asked.
            ErrorKind::InvalidInput => self.refused(&text),
            _ => self.failed(&text),
        }
    }

    fn failed(&self, why: &str) -> JobError {
        JobError::new(format!("run `{}`: {why}", self.program))
    }

    fn refused(&self, why: &str) -> JobError {
        JobError::permanent(format!("run `{}`: {why}", self.program))
    }
}
