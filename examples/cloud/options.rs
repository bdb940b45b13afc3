use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};

pub(crate) const USAGE: &str =
    "cloud --jobs URL --host NAME=URL... --key FILE [--listen ADDRESS] [--token TOKEN]";

pub(crate) const HELP: &str = "\
The page of a photo service: it takes photos, and has hosts make thumbnails of them.

Usage: cloud --jobs URL --host NAME=URL... --key FILE [OPTIONS]

  --jobs URL        where jobs are created: the balancer before the hosts
  --host NAME=URL   where a host is that has given a receipt; once for each
  --key FILE        the secret that signs visitors' cookies, made where there is none
  --listen ADDRESS  where the page is (127.0.0.1:8000)
  --token TOKEN     what the hosts want to see, with the roles create and read
  --help            this

The arguments of a program can be seen by everybody on its machine: where that matters, give the token in
the environment variable JOBKEEP_TOKEN.
";

pub(crate) enum Command {
    Help,
    Serve(Options),
}

pub(crate) struct Options {
    pub(crate) listen: String,
    pub(crate) jobs: String,
    /// Name and URL of each.
    pub(crate) hosts: Vec<(String, String)>,
    pub(crate) key: PathBuf,
    pub(crate) token: Option<String>,
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let (mut jobs, mut key, mut hosts) = (None, None, Vec::new());
    let mut listen = String::from("127.0.0.1:8000");
    let mut token = match std::env::var_os("JOBKEEP_TOKEN") {
        Some(text) => Some(text.string().map_err(|_| "JOBKEEP_TOKEN: it is no text")?),
        None => None,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("jobs") => jobs = Some(arguments.value()?.string()?),
            Long("host") => {
                let text = arguments.value()?.string()?;
                let (name, url) = text.split_once('=').ok_or("--host is NAME=URL")?;
                hosts.push((name.into(), url.into()));
            }
            Long("key") => key = Some(arguments.value()?.into()),
            Long("listen") => listen = arguments.value()?.string()?,
            Long("token") => token = Some(arguments.value()?.string()?),
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Serve(Options {
        listen,
        jobs: jobs.ok_or("--jobs is missing: say where jobs are created")?,
        hosts,
        key: key.ok_or("--key is missing: say where the secret of the cookies is kept")?,
        token,
    }))
}
