//! File systems of a test's own, which only root may have: it runs in a process with mounts that nobody
//! else sees.

use std::path::PathBuf;
use std::process::Command;

/// The folder of the process that has the mounts.
const FOLDER: &str = "JOBKEEP_TEST_MOUNTS";
const MAY_NOT: i32 = 77;

/// Runs the test `name` in a process of its own, after `set_up` in the folder that it then gets; the folder
/// `mnt` there is unmounted at the end. `None` in the process that was asked first, once that has
/// succeeded, or where this machine does not let it: then a line says so.
pub(crate) fn mounted(name: &str, set_up: &str) -> Option<PathBuf> {
    mounted_by(Command::new("unshare").arg("--mount"), name, set_up)
}

/// The same with a command before the shell's.
#[allow(
    clippy::print_stderr,
    reason = "whoever runs the tests sees what was not"
)]
pub(crate) fn mounted_by(shell: &mut Command, name: &str, set_up: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "cd \"$0\" && mkdir base mnt && {{ {set_up}; }} || exit {MAY_NOT}\n\
         \"$1\" --exact \"$2\" --test-threads 1 --nocapture; status=$?\n\
         cd /; umount -l \"$0\"/mnt 2>/dev/null; exit $status"
    );
    let run = shell
        .args(["sh", "-c", &script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FOLDER, folder.path())
        .output();
    let Ok(run) = run else {
        eprintln!("skipped, because this machine has no `unshare`: {name}");
        return None;
    };
    let said = String::from_utf8_lossy(&run.stdout);
    let complaint = String::from_utf8_lossy(&run.stderr);
    if run.status.code() == Some(MAY_NOT) || (said.is_empty() && !run.status.success()) {
        eprintln!("skipped, because it cannot mount here: {name}: {complaint}");
        return None;
    }
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}\n{complaint}"
    );
    None
}
