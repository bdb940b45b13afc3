//! Rules of ARCHITECTURE.md that no lint knows.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "no sources below {folder}");
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// Fails for each line of code (not of comment) that holds one of `words`.
fn no_line_has(folder: &str, words: &[&str], except: &[&str], rule: &str) {
    let mut offences = Vec::new();
    for (path, text) in sources(folder) {
        if except.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                offences.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

#[test]
fn the_core_imports_nothing_above_it_and_does_no_io() {
    let words = [
        "crate::runtime",
        "crate::manager",
        "crate::builder",
        "crate::registry",
        "crate::testing",
        "crate::sync",
        "std::fs",
        "std::io",
        "std::thread",
        "std::net",
        "Instant",
        "SystemTime",
        "QueueStore",
        "getrandom",
    ];
    no_line_has("src/core", &words, &[], "the core is pure");
}

#[test]
fn the_runtime_does_not_know_the_face() {
    let words = [
        "crate::manager",
        "crate::builder",
        "Manager",
        "Builder::new(&",
    ];
    no_line_has("src/runtime", &words, &[], "arrows point down");
}

#[test]
fn only_the_crate_root_names_a_backend() {
    let words = [
        "jobkeep_memory",
        "jobkeep_redb",
        "jobkeep_sled",
        "redb::",
        "sled::",
    ];
    no_line_has(
        "src",
        &words,
        &["src/lib.rs"],
        "a backend is the user's choice",
    );
}

#[test]
fn stores_read_no_clock() {
    no_line_has(
        "backends/store/src",
        &["Instant", "SystemTime::now", ".elapsed("],
        &["atomic.rs"],
        "no clock",
    );
}

#[test]
fn threads_wait_in_the_signal_only() {
    let words = [
        "Condvar::",
        ".notify_",
        "thread::park",
        "recv(",
        "thread::sleep",
    ];
    no_line_has(
        "src",
        &words,
        &["runtime/signal.rs", "sync/model.rs"],
        "a wait that nobody can wake",
    );
}

#[test]
fn no_file_outgrows_its_idea() {
    for folder in ["src", "backends", "benches", "examples"] {
        for (path, text) in sources(folder) {
            let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
            let lines = text.lines().filter(is_code).count();
            assert!(
                lines <= 500,
                "{} has {lines} lines of code: does it hold one idea?",
                path.display()
            );
        }
    }
}

#[test]
fn the_changelog_begins_with_what_is_not_released() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let first = text.lines().find(|line| line.starts_with("## "));
    assert_eq!(first, Some("## Unreleased"));
}
