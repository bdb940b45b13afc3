//! What a host allows.

use std::path::Path;

use super::Command;
use crate::Builder;

/// How many bytes of each stream are kept by default. Both fit an output of the default limit however JSON
/// has to escape them.
const KEEP_BYTES: usize = 64 * 1024;

/// The programs that a host runs for [`Command`] jobs.
#[derive(Clone, Debug)]
pub struct Commands {
    programs: Vec<String>,
    variables: Vec<String>,
    pub(super) keep_bytes: usize,
}

impl Commands {
    /// Allows the programs at these absolute paths, exactly as jobs name them, and no others. A program that
    /// runs what its arguments say, as a shell does, allows everything. Its environment is empty, unless
    /// [`variables`](Self::variables) may be set.
    pub fn of<P: Into<String>>(programs: impl IntoIterator<Item = P>) -> Self {
        Self {
            programs: programs.into_iter().map(Into::into).collect(),
            variables: Vec::new(),
            keep_bytes: KEEP_BYTES,
        }
    }

    /// Lets jobs set these variables of a program's environment, which are none by default. What a variable
    /// makes of a program is for you to know: shells, loaders and interpreters run what some of them name
    /// (`LD_PRELOAD`, `BASH_ENV`, `PATH`, `PYTHONPATH`), so whoever may set such a one runs what they like.
    pub fn variables<V: Into<String>>(mut self, names: impl IntoIterator<Item = V>) -> Self {
        self.variables.extend(names.into_iter().map(Into::into));
        self
    }

    /// How many bytes of standard output and of standard error are kept, each: 64 KiB by default, the last
    /// ones. [`Builder::output_limit`] counts for both together, as JSON. The text of an error has at most
    /// the last 2 KiB of each.
    pub fn keep_bytes(mut self, bytes: usize) -> Self {
        self.keep_bytes = bytes;
        self
    }

    pub(super) fn allow(&self, program: &str) -> bool {
        self.programs.iter().any(|allowed| allowed == program)
    }

    /// The first of these variables that jobs may not set.
    pub(super) fn forbidden<'a>(
        &self,
        mut names: impl Iterator<Item = &'a String>,
    ) -> Option<&'a String> {
        names.find(|name| !self.variables.contains(name))
    }

    fn faults(&self) -> impl Iterator<Item = String> {
        let relative = |program: &&String| !Path::new(program).is_absolute();
        self.programs
            .iter()
            .filter(relative)
            .map(|program| format!("commands: `{program}` is no absolute path"))
    }
}

impl Builder {
    /// Runs [`Command`] jobs: those of the programs that `commands` allows.
    pub fn commands(mut self, commands: Commands) -> Self {
        self.faults.extend(commands.faults());
        self.handle::<Command>(move |command, ctx| command.run(&commands, ctx))
    }
}
