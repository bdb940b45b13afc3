//! A program run as a job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Content;
use crate::Job;
use crate::retry::millis;

mod allowed;
mod group;
mod output;
mod run;

pub use allowed::Commands;

/// How long a program that is asked to end may take before it is killed: 5 seconds.
pub const GRACE: Duration = Duration::from_secs(5);

/// Runs a program, without a shell. Exit code 0 is success; every other end is an error, tried again by the
/// policy. A host runs such jobs where it registers them with
/// [`Builder::commands`](crate::Builder::commands), and over HTTP they do not come unless the host allows
/// it in so many words.
///
/// ```
/// use std::time::Duration;
/// use jobkeep::builtin::{Command, Commands};
/// use jobkeep::{Manager, MemoryStore};
///
/// let manager = Manager::builder(MemoryStore::new())
///     .commands(Commands::of(["/bin/sh"]).variables(["NAME"]))
///     .start()?;
/// let greet = Command::new("/bin/sh")
///     .arguments(["-c", "echo Hello, $NAME"])
///     .variable("NAME", "Ada")
///     .timeout(Duration::from_secs(60));
/// let receipt = manager.enqueue(greet)?;
/// let done = manager.wait(&receipt, Duration::from_secs(30))?;
/// assert_eq!(done.output()?.stdout().text(), "Hello, Ada\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Its payload, of which only `program` must be there:
///
/// ```json
/// {"program":"/usr/bin/convert","arguments":["a.jpg","a.png"],"environment":{"LANG":"C"},
///  "directory":"/srv/photos","timeout_ms":60000,"keep":"on_error"}
/// ```
///
/// # What the program sees
///
/// Its arguments, an environment of nothing but what the job names, and an empty standard input. It is the
/// leader of a process group of its own. A job may name the variables alone that its host lets it set, which
/// are none by default: [`Commands::variables`].
///
/// # Its end
///
/// When its time-out is over, when somebody cancels the job, when an attempt outlasts its own
/// [time-out](crate::Policy::timeout), and when the manager ends, the whole group gets `SIGTERM`, and
/// `SIGKILL` after [`GRACE`] (5 seconds). When the program has ended, however it did, what is left of its group
/// is killed at once, and buried where the host is the one to do that (as process 1 of a container); what left
/// the group is not, and what it writes from then on is lost. A process of the host's that dies leaves the program running, and the next attempt may run beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    program: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(default)]
    timeout_ms: u64,
    #[serde(default)]
    keep: Keep,
}

/// When the output of a program is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// With a success as the job's output, and with each failure in its error: the default.
    #[default]
    Always,
    /// Not at all.
    Never,
    /// With each failure, in its error.
    OnError,
}

impl Command {
    /// Runs the program at this absolute path.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: None,
            timeout_ms: 0,
            keep: Keep::Always,
        }
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment, which is empty by default. It must be one that the host lets jobs
    /// set: [`Commands::variables`].
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// The absolute path of the directory that it runs in; by default that of the host's process.
    pub fn directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// How long it may run; as long as it likes by default, and where this is zero. Rounded up to
    /// milliseconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// When its output is kept: [`Keep::Always`] by default.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }
}

impl Job for Command {
    const NAME: &'static str = "command";
    const REMOTE: bool = false;
    type Output = CommandOutput;
}

/// How a program ended that succeeded, and what it wrote: the last bytes of each stream, up to
/// [`Commands::keep_bytes`]. In JSON:
///
/// ```json
/// {"code":0,"stdout":"done\n","stdout_cut":false,"stderr":"","stderr_cut":false}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutput {
    code: i32,
    stdout: Content,
    stdout_cut: bool,
    stderr: Content,
    stderr_cut: bool,
}

impl CommandOutput {
    /// The exit code: 0, since every other is an error.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The end of what it wrote to its standard output; empty where that is not kept.
    pub fn stdout(&self) -> &Content {
        &self.stdout
    }

    /// It wrote more to its standard output, and the beginning is not kept.
    pub fn is_stdout_cut(&self) -> bool {
        self.stdout_cut
    }

    /// The end of what it wrote to its standard error; empty where that is not kept.
    pub fn stderr(&self) -> &Content {
        &self.stderr
    }

    /// It wrote more to its standard error, and the beginning is not kept.
    pub fn is_stderr_cut(&self) -> bool {
        self.stderr_cut
    }
}
