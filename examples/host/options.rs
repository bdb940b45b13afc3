use std::path::PathBuf;
use std::time::Duration;

use jobkeep::http::Role;
use lexopt::prelude::{Long, Short, ValueExt};

pub(crate) const USAGE: &str = "host --server NAME --store FILE [--listen ADDRESS] \
     [--token [ROLES:]TOKEN]... [--notice SECONDS] [--executors N] [--push URL] [--verbose]";

pub(crate) const HELP: &str = "\
One host: queues the jobs that it is sent on itself, runs them, and answers who asks for them.

Usage: host --server NAME --store FILE [OPTIONS]

  --server NAME     its name in receipts; each host needs its own
  --store FILE      the redb file of its jobs, made where there is none
  --listen ADDRESS  where it listens (127.0.0.1:8081)
  --token TOKEN     lets in who has it, to do everything; may be given several times
  --token ROLES:TOKEN
                    only for these roles, with commas between: create, read,
                    read_all, operate, execute. Who may create needs no more than
                    create,read; execute is for hosts that push their jobs here
  --notice SECONDS  how long it goes on when it is told to stop, saying so to
                    balancers that ask for /v1/health (0)
  --executors N     runs N jobs at once for hosts that push theirs (0)
  --push URL        has the hosts behind this URL run its jobs, and shows them its
                    first token
  --verbose         a line for each request on standard error
  --help            this

The arguments of a program can be seen by everybody on its machine: where that matters, give the token in
the environment variable JOBKEEP_TOKEN. Without any token the host listens to its own machine only.

Its job types:
  echo       its payload is its output, whatever it is
  sleep      {\"ms\": 1000}
  fail       {\"message\": \"why\"}
  thumbnail  {\"photo\": \"JPEG or PNG as base64\", \"width\": 200}
";

pub(crate) enum Command {
    Help,
    Serve(Options),
}

pub(crate) struct Options {
    pub(crate) listen: String,
    pub(crate) server: String,
    pub(crate) store: PathBuf,
    pub(crate) tokens: Vec<(String, Vec<Role>)>,
    pub(crate) notice: Duration,
    pub(crate) executors: usize,
    pub(crate) push: Option<String>,
    pub(crate) verbose: bool,
}

const ALL: [(&str, Role); 5] = [
    ("create", Role::Create),
    ("read", Role::Read),
    ("read_all", Role::ReadAll),
    ("operate", Role::Operate),
    ("execute", Role::Execute),
];

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let (mut server, mut store) = (None, None);
    let mut listen = String::from("127.0.0.1:8081");
    let mut tokens = Vec::new();
    let mut notice = Duration::ZERO;
    let (mut executors, mut push, mut verbose) = (0, None, false);
    if let Some(text) = std::env::var_os("JOBKEEP_TOKEN") {
        let text = text.to_str().ok_or("JOBKEEP_TOKEN: it is no text")?;
        tokens.push(token(text)?);
    }
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("server") => server = Some(arguments.value()?.string()?),
            Long("store") => store = Some(arguments.value()?.into()),
            Long("listen") => listen = arguments.value()?.string()?,
            Long("token") => tokens.push(token(&arguments.value()?.string()?)?),
            Long("notice") => notice = Duration::from_secs(arguments.value()?.parse()?),
            Long("executors") => executors = arguments.value()?.parse()?,
            Long("push") => push = Some(arguments.value()?.string()?),
            Long("verbose") => verbose = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Serve(Options {
        listen,
        server: server.ok_or("--server is missing: give this host a name")?,
        store: store.ok_or("--store is missing: say where its jobs are to be kept")?,
        tokens,
        notice,
        executors,
        push,
        verbose,
    }))
}

fn token(text: &str) -> Result<(String, Vec<Role>), lexopt::Error> {
    let Some((roles, secret)) = text.split_once(':') else {
        return Ok((text.into(), ALL.map(|(_, role)| role).into()));
    };
    let roles = roles.split(',').map(|name| {
        let known = ALL.iter().find(|(known, _)| *known == name);
        // What stands there may be a part of the secret.
        known.map(|(_, role)| *role).ok_or(
            "--token, JOBKEEP_TOKEN: before the colon stand roles: create, read, read_all, operate, execute",
        )
    });
    Ok((secret.into(), roles.collect::<Result<_, _>>()?))
}
