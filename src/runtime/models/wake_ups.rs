//! What the models are worth: without any one of the wake-ups in the source, one of them fails.

use std::fs;
use std::io::{Write, stdout};
use std::panic::catch_unwind;
use std::path::Path;

use super::{MODELS, check};
use crate::sync::model::without;

/// A line of the source that wakes somebody.
struct WakeUp {
    file: String,
    line: u32,
    code: String,
}

#[test]
fn each_is_needed() {
    let mut missed = Vec::new();
    for WakeUp { file, line, code } in wake_ups() {
        let fails = |model| without(&file, line, || sleeps_for_ever(model));
        let wake_up = format!("{file}:{line} `{code}`");
        if let Some((name, _)) = MODELS.iter().find(|(_, model)| fails(*model)) {
            // Past the capture: it is what this run has to say.
            writeln!(stdout(), "{wake_up} removed: {name} fails").unwrap();
        } else {
            missed.push(wake_up);
        }
    }
    let missed = missed.join("\n");
    assert!(missed.is_empty(), "no model needs these:\n{missed}");
}

/// Under one of a few schedules.
fn sleeps_for_ever(model: fn()) -> bool {
    const SCHEDULES: usize = 200;
    catch_unwind(|| check(model, SCHEDULES)).is_err_and(|caught| {
        let text = caught.downcast_ref::<String>();
        text.is_some_and(|text| text.contains("deadlock"))
    })
}

fn wake_ups() -> Vec<WakeUp> {
    let mut found = Vec::new();
    search(Path::new("src"), &mut found);
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    assert!(!found.is_empty(), "no wake-up in the source");
    found
}

fn search(folder: &Path, found: &mut Vec<WakeUp>) {
    // Features that the models are built without: each has one waiter, and tests that would hang.
    const NOT_BUILT: [&str; 2] = ["src/http", "src/builtin"];
    if NOT_BUILT.iter().any(|apart| folder.ends_with(apart)) {
        return;
    }
    const CALLS: [&str; 4] = [".wake_one(", ".wake_all(", ".wake_from(", "wakers::wake("];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if root.join(&path).is_dir() {
            search(&path, found);
            continue;
        }
        if path.ends_with("runtime/signal.rs") || path.ends_with("models/wake_ups.rs") {
            continue;
        }
        let text = fs::read_to_string(root.join(&path)).unwrap();
        for (line, code) in (1..).zip(text.lines().map(str::trim)) {
            if CALLS.iter().any(|call| code.contains(call)) && !code.starts_with("//") {
                found.push(WakeUp {
                    file: path.to_str().unwrap().into(),
                    line,
                    code: code.into(),
                });
            }
        }
    }
}
