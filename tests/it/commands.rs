//! Programs run as jobs. Real ones: what a shell does is what is tested.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process;

use jobkeep::builtin::{Command, CommandOutput, Commands, GRACE, Keep};
use jobkeep::testing::ManualClock;
use jobkeep::{Completed, Job, Manager, MemoryStore, NewJob, Reason};
use tempfile::TempDir;

use crate::place::{PATIENCE, SECOND};

const SHELL: &str = "/bin/sh";

fn shell(script: &str) -> Command {
    Command::new(SHELL).arguments(["-c", script])
}

fn manager(clock: &ManualClock, commands: Commands) -> Manager {
    Manager::builder(MemoryStore::new())
        .clock(clock.clone())
        .commands(commands)
        .start()
        .unwrap()
}

/// One attempt of the command.
fn run_by(commands: Commands, command: Command) -> Completed<Command> {
    let manager = manager(&ManualClock::new(), commands);
    let receipt = manager.enqueue(NewJob::new(command).attempts(1)).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap()
}

/// What the host of these tests allows.
fn allowed() -> Commands {
    let variables = ["CODE", "ONE", "TWO", "HEARD", "SILENT", "LAST"];
    Commands::of([SHELL]).variables(variables)
}

fn run(command: Command) -> Completed<Command> {
    run_by(allowed(), command)
}

fn output(command: Command) -> CommandOutput {
    run(command).into_output().unwrap()
}

/// Why it failed, and in what words.
fn failure<J: Job>(done: &Completed<J>) -> (Reason, String) {
    let Err(failure) = done.output() else {
        panic!("it has succeeded");
    };
    (failure.reason(), failure.message().into())
}

#[track_caller]
fn assert_failed(done: &Completed<Command>, reason: Reason, text: &str) {
    assert_eq!(failure(done), (reason, text.into()));
}

#[test]
fn exit_code_zero_is_success_with_what_was_written() {
    let output = output(shell("echo out; echo err >&2"));
    assert_eq!(output.code(), 0);
    assert_eq!(output.stdout().text(), "out\n");
    assert_eq!(output.stderr().text(), "err\n");
    assert!(!output.is_stdout_cut() && !output.is_stderr_cut());
}

#[test]
fn every_other_end_is_an_error_with_what_was_written() {
    let done = run(shell("echo out; echo err >&2; exit 3"));
    assert_failed(
        &done,
        Reason::Error,
        "run `/bin/sh`: it ended with exit code 3; stdout: out; stderr: err",
    );
    let done = run(shell("kill -KILL $$"));
    assert_failed(
        &done,
        Reason::Error,
        "run `/bin/sh`: it ended with signal 9",
    );
}

#[test]
fn output_is_kept_as_the_job_says() {
    let script = "echo out; exit $CODE";
    let with = |keep, code| shell(script).variable("CODE", code).keep(keep);
    for (keep, kept) in [
        (Keep::Always, "out\n"),
        (Keep::OnError, ""),
        (Keep::Never, ""),
    ] {
        assert_eq!(output(with(keep, "0")).stdout().text(), kept, "{keep:?}");
    }
    let message = |keep| failure(&run(with(keep, "1"))).1;
    let bare = "run `/bin/sh`: it ended with exit code 1";
    assert_eq!(message(Keep::Always), format!("{bare}; stdout: out"));
    assert_eq!(message(Keep::OnError), format!("{bare}; stdout: out"));
    assert_eq!(message(Keep::Never), bare);
}

#[test]
fn of_much_output_the_end_is_kept() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo $i; echo $i >&2; i=$((i+1)); done";
    let done = run_by(Commands::of([SHELL]).keep_bytes(12), shell(script));
    let output = done.into_output().unwrap();
    assert_eq!(output.stdout().text(), "19998\n19999\n");
    assert_eq!(output.stderr().text(), "19998\n19999\n");
    assert!(output.is_stdout_cut() && output.is_stderr_cut());
    let done = run_by(
        Commands::of([SHELL]).keep_bytes(12),
        shell(&format!("{script}; exit 1")),
    );
    assert_eq!(
        failure(&done).1,
        "run `/bin/sh`: it ended with exit code 1; stdout: …19998\n19999; stderr: …19998\n19999"
    );
}

#[test]
fn the_environment_is_what_the_job_names() {
    // What the shell sets by itself is not in the environment of the programs that it runs.
    let print = "unset PWD OLDPWD SHLVL _; export -p | sed 's/^[a-z -]* -*x* *//'";
    let script = format!("PATH=/usr/bin:/bin; {print}");
    let named = shell(&script).variable("ONE", "1").variable("TWO", "a b");
    let output = output(named);
    let text = output.stdout().text().replace(['\'', '"'], "");
    let mut variables: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("PATH"))
        .collect();
    variables.sort_unstable();
    assert_eq!(variables, ["ONE=1", "TWO=a b"]);
}

#[test]
fn a_variable_that_the_host_does_not_let_jobs_set_is_refused_for_good() {
    let named = shell("exit 0")
        .variable("ONE", "1")
        .variable("PATH", "/tmp");
    assert_failed(
        &run(named.clone()),
        Reason::Permanent,
        "run `/bin/sh`: this host does not let jobs set the variable `PATH`: name it in \
         `Commands::variables`",
    );
    let none = run_by(Commands::of([SHELL]), shell("exit 0").variable("ONE", ""));
    assert_eq!(failure(&none).0, Reason::Permanent);
    let more = allowed().variables(["PATH"]);
    assert!(run_by(more, named).output().is_ok());
}

/// Set in a process that takes in orphans, as process 1 of a container does.
#[cfg(target_os = "linux")]
const REAPER: &str = "JOBKEEP_TAKES_IN_ORPHANS";

#[cfg(target_os = "linux")]
#[test]
fn what_a_program_leaves_is_buried_by_the_process_that_takes_in_orphans() {
    if std::env::var_os(REAPER).is_some() {
        leave_orphans();
        return;
    }
    // Whose children are whose, no other test is to notice.
    let name = "commands::what_a_program_leaves_is_buried_by_the_process_that_takes_in_orphans";
    let status = process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(REAPER, "1")
        .status();
    assert!(status.unwrap().success());
}

#[cfg(target_os = "linux")]
fn leave_orphans() {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).unwrap();
    for _ in 0..10 {
        run(shell("sleep 600 & sleep 600 &")).into_output().unwrap();
    }
    // All were killed; each is there until it is buried.
    while children() > 0 {
        std::thread::yield_now();
    }
}

/// How many this process has, the dead that are not buried included.
#[cfg(target_os = "linux")]
fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of_one = |thread: std::io::Result<std::fs::DirEntry>| {
        let children = thread.ok()?.path().join("children");
        Some(
            std::fs::read_to_string(children)
                .ok()?
                .split_whitespace()
                .count(),
        )
    };
    threads.filter_map(of_one).sum()
}

#[test]
fn it_runs_where_the_job_says_with_nothing_to_read() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().canonicalize().unwrap();
    let command = shell("pwd; read line || echo nothing").directory(place.to_str().unwrap());
    let expected = format!("{}\nnothing\n", place.display());
    assert_eq!(output(command).stdout().text(), expected);
}

#[test]
fn arguments_reach_the_program_as_they_are() {
    let command = shell("printf '<%s>' \"$@\"").arguments(["sh", "a b", "$HOME;*", ""]);
    assert_eq!(output(command).stdout().text(), "<a b><$HOME;*><>");
}

#[test]
fn a_program_that_the_host_does_not_name_is_refused() {
    for program in ["/bin/../bin/sh", "sh", "/bin/true"] {
        let done = run(Command::new(program));
        let text = format!(
            "run `{program}`: this host does not allow the program: name it in `Commands::of`"
        );
        assert_failed(&done, Reason::Permanent, &text);
    }
}

#[test]
fn what_can_never_be_run_fails_for_good() {
    let done = run(shell("true").directory("here"));
    let text = "run `/bin/sh`: its directory `here` is no absolute path";
    assert_failed(&done, Reason::Permanent, text);
    let done = run(shell("true").argument("a\0b"));
    let (reason, text) = failure(&done);
    assert_eq!(reason, Reason::Permanent);
    assert!(text.starts_with("run `/bin/sh`: start it: "), "{text}");
}

#[test]
fn a_program_that_is_not_there_is_tried_again() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("missing").to_str().unwrap().to_owned();
    let done = run_by(Commands::of([&program]), Command::new(&program));
    let text = format!("run `{program}`: start it: No such file or directory (os error 2)");
    assert_failed(&done, Reason::Error, &text);
}

#[test]
fn a_path_that_is_not_absolute_is_a_fault_of_the_host() {
    let builder = Manager::builder(MemoryStore::new()).commands(Commands::of(["sh", "/bin/sh"]));
    assert_eq!(
        builder.start().unwrap_err().to_string(),
        "start the manager: commands: `sh` is no absolute path"
    );
}

#[test]
fn its_payload_is_plain_json() {
    let full = r#"{"program":"/bin/sh","arguments":["-c"],"environment":{"A":"1"},"directory":"/tmp","timeout_ms":1500,"keep":"on_error"}"#;
    let command = Command::new("/bin/sh")
        .argument("-c")
        .variable("A", "1")
        .directory("/tmp")
        .timeout(SECOND + SECOND / 2)
        .keep(Keep::OnError);
    assert_eq!(serde_json::to_string(&command).unwrap(), full);
    assert_eq!(serde_json::from_str::<Command>(full).unwrap(), command);
    let short: Command = serde_json::from_str(r#"{"program":"/bin/sh"}"#).unwrap();
    assert_eq!(short, Command::new("/bin/sh"));
    let cause = serde_json::from_str::<Command>(r#"{"program":"/bin/sh","shell":true}"#);
    let cause = cause.unwrap_err().to_string();
    assert!(cause.starts_with("unknown field `shell`"), "{cause}");
    let written = serde_json::to_string(&output(shell("echo out"))).unwrap();
    assert_eq!(
        written,
        r#"{"code":0,"stdout":"out\n","stdout_cut":false,"stderr":"","stderr_cut":false}"#
    );
}

#[test]
fn it_is_not_created_over_http_by_default() {
    const { assert!(!Command::REMOTE) };
}

/// Two named pipes: one that the test reads until nobody has it open any more, and one that nobody
/// writes to.
struct Pipes {
    _folder: TempDir,
    heard: PathBuf,
    silent: PathBuf,
    last: PathBuf,
}

impl Pipes {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let [heard, silent, last] =
            ["heard", "silent", "last"].map(|name| folder.path().join(name));
        let made = process::Command::new("mkfifo")
            .args([&heard, &silent, &last])
            .status();
        assert!(made.unwrap().success());
        Self {
            _folder: folder,
            heard,
            silent,
            last,
        }
    }

    /// A script that finds the one pipe as number 9 and the other one as number 8.
    fn command(&self, script: &str) -> Command {
        let opened = format!("exec 9>\"$HEARD\" 8<>\"$SILENT\"; {script}");
        shell(&opened)
            .variable("HEARD", self.heard.to_str().unwrap())
            .variable("SILENT", self.silent.to_str().unwrap())
            .variable("LAST", self.last.to_str().unwrap())
    }

    /// Waits until the script has opened it.
    fn listen(&self) -> BufReader<File> {
        BufReader::new(File::open(&self.heard).unwrap())
    }
}

fn line(heard: &mut impl BufRead) -> String {
    let mut line = String::new();
    heard.read_line(&mut line).unwrap();
    line
}

/// What is still said, until all that could say something have ended.
fn rest(mut heard: impl Read) -> String {
    let mut rest = String::new();
    heard.read_to_string(&mut rest).unwrap();
    rest
}

/// Says `ready`, and then waits for ever; `SIGTERM` it does not mind.
const DEAF_CHILD: &str = "(trap '' TERM; echo ready >&9; while :; do read x <&8; done) &";

/// Beside such a child: the same, and it says when it is asked to end. A shell that waits for a child hears of
/// every signal, and one that reads of none that comes just before.
const DEAF: &str = "trap 'echo asked >&9' TERM; echo ready >&9; while :; do wait; done";

#[test]
fn a_time_out_ends_a_program_that_forks_and_ignores_sigterm() {
    let (pipes, clock) = (Pipes::new(), ManualClock::new());
    let manager = manager(&clock, allowed());
    let command = pipes
        .command(&format!("{DEAF_CHILD} {DEAF}"))
        .timeout(SECOND);
    let receipt = manager.enqueue(NewJob::new(command).attempts(1)).unwrap();
    let mut heard = pipes.listen();
    assert_eq!([line(&mut heard), line(&mut heard)], ["ready\n", "ready\n"]);
    clock.advance(SECOND);
    assert_eq!(line(&mut heard), "asked\n");
    clock.advance(GRACE);
    assert_eq!(rest(heard), "");
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_failed(
        &done,
        Reason::Error,
        "run `/bin/sh`: it ran longer than its time-out of 1000 ms and was ended, with signal 9",
    );
}

#[test]
fn a_program_may_end_by_itself_within_the_grace() {
    let (pipes, clock) = (Pipes::new(), ManualClock::new());
    let manager = manager(&clock, allowed());
    let polite = "trap 'echo bye; exit 7' TERM; echo ready >&9; while :; do wait; done";
    let command = pipes
        .command(&format!("{DEAF_CHILD} {polite}"))
        .timeout(SECOND);
    let receipt = manager.enqueue(NewJob::new(command).attempts(1)).unwrap();
    let mut heard = pipes.listen();
    assert_eq!([line(&mut heard), line(&mut heard)], ["ready\n", "ready\n"]);
    clock.advance(SECOND);
    assert_eq!(rest(heard), "");
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        failure(&done).1,
        "run `/bin/sh`: it ran longer than its time-out of 1000 ms and was ended, with exit code 7; \
         stdout: bye"
    );
}

#[test]
fn a_cancelled_job_ends_its_program() {
    let (pipes, clock) = (Pipes::new(), ManualClock::new());
    let manager = manager(&clock, allowed());
    let command = pipes.command(&format!("{DEAF_CHILD} {DEAF}"));
    let receipt = manager.enqueue(command).unwrap();
    let mut heard = pipes.listen();
    assert_eq!([line(&mut heard), line(&mut heard)], ["ready\n", "ready\n"]);
    manager.cancel(&receipt).unwrap();
    assert_eq!(line(&mut heard), "asked\n");
    clock.advance(GRACE);
    assert_eq!(rest(heard), "");
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(failure(&done).0, Reason::Cancelled);
}

#[test]
fn the_time_out_of_an_attempt_ends_its_program_too() {
    let (pipes, clock) = (Pipes::new(), ManualClock::new());
    let manager = manager(&clock, allowed());
    let job = NewJob::new(pipes.command(DEAF)).timeout(SECOND).attempts(1);
    let receipt = manager.enqueue(job).unwrap();
    let mut heard = pipes.listen();
    assert_eq!(line(&mut heard), "ready\n");
    clock.advance(SECOND);
    assert_eq!(line(&mut heard), "asked\n");
    clock.advance(GRACE);
    assert_eq!(rest(heard), "");
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(failure(&done).0, Reason::TimedOut);
}

#[test]
fn what_a_program_leaves_behind_is_ended_with_it() {
    let pipes = Pipes::new();
    let manager = manager(&ManualClock::new(), allowed());
    // The child has the output open.
    let receipt = manager
        .enqueue(pipes.command(&format!("{DEAF_CHILD} echo done")))
        .unwrap();
    let heard = pipes.listen();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap().stdout().text(), "done\n");
    rest(heard);
}

#[test]
fn a_process_that_left_the_group_holds_no_job_up() {
    let pipes = Pipes::new();
    let manager = manager(&ManualClock::new(), allowed());
    let child = "echo gone >&8; echo ready >&9; read x <\"$LAST\"; echo lived >&9";
    let script = format!("setsid {SHELL} -c '{child}' & read y <&8; echo done");
    let receipt = manager.enqueue(pipes.command(&script)).unwrap();
    let mut heard = pipes.listen();
    assert_eq!(line(&mut heard), "ready\n");
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap().stdout().text(), "done\n");
    // It lives, and has the output open; one line ends it.
    let mut last = File::options()
        .read(true)
        .write(true)
        .open(&pipes.last)
        .unwrap();
    writeln!(last, "end").unwrap();
    assert_eq!(rest(heard), "lived\n");
}
