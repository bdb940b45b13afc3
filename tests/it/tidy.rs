//! Rules of ARCHITECTURE.md that no lint knows.

mod uses;

use std::fs;
use std::path::{Path, PathBuf};

use uses::Rule;

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

/// Fails for all that the files of a room use and may not.
fn room_uses_only(crate_root: &str, room: &str, rule: &Rule<'_>, except: &[&str]) {
    let src = root().join(crate_root);
    let names = uses::root(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut offending = Vec::new();
    for (path, text) in sources(&format!("{crate_root}/{room}")) {
        let file = path.strip_prefix(&src).unwrap();
        if except.iter().any(|except| file.starts_with(except)) {
            continue;
        }
        let module = file.with_extension("");
        let mut module: Vec<&str> = module.iter().map(|part| part.to_str().unwrap()).collect();
        module.pop_if(|last| matches!(*last, "mod" | "lib"));
        for offence in uses::offences(&text, &module, &names, rule) {
            offending.push(format!("{}: {offence}", file.display()));
        }
    }
    let told = offending.join("\n");
    assert!(
        offending.is_empty(),
        "{crate_root}/{room} may not use:\n{told}"
    );
}

#[test]
fn the_core_uses_nothing_above_it_and_does_no_io() {
    let rule = Rule {
        may: &[
            "crate::carry",
            "crate::clock::Now",
            "crate::clock::Steady",
            "crate::config::Retention",
            "crate::context::cut",
            "crate::core",
            "crate::error",
            "crate::event",
            "crate::job",
            "crate::observer::Interest",
            "crate::options",
            "crate::retry",
            "jobkeep_store",
            "serde",
            "serde_bytes",
            "siphasher",
            "std::borrow",
            "std::cmp",
            "std::collections",
            "std::fmt",
            "std::hash",
            "std::iter",
            "std::mem",
            "std::ops",
            "std::time::Duration",
        ],
        // What reads or writes a store.
        but_not: &[
            "jobkeep_store::QueueStore",
            "jobkeep_store::conformance",
            "jobkeep_store::get_typed",
            "jobkeep_store::verify_rows",
        ],
    };
    room_uses_only("src", "core", &rule, &[]);
}

#[test]
fn the_runtime_does_not_know_the_face() {
    let rule = Rule {
        may: &[
            "crate::cancellation",
            "crate::carry",
            "crate::clock",
            "crate::config",
            "crate::context",
            "crate::core",
            "crate::error",
            "crate::event",
            "crate::finished",
            "crate::job",
            "crate::logging",
            "crate::observer",
            "crate::options",
            "crate::parked",
            "crate::payload",
            "crate::receipt",
            "crate::registry",
            "crate::retry",
            "crate::runtime",
            "crate::sync",
            "getrandom",
            "jobkeep_store",
            "serde",
            "serde_bytes",
            "signal_hook",
            "std::any",
            "std::cell",
            "std::collections",
            "std::fmt",
            "std::io",
            "std::iter",
            "std::mem",
            "std::ops",
            "std::panic",
            "std::pin",
            "std::process",
            "std::ptr",
            "std::sync",
            "std::task",
            "std::thread",
            "std::time::Duration",
        ],
        but_not: &["jobkeep_store::conformance"],
    };
    // Models are tests.
    room_uses_only("src", "runtime", &rule, &["runtime/models"]);
}

#[test]
fn a_backend_uses_its_engine_and_the_contract_alone() {
    // Of the time it knows spans alone: no clock.
    let common = [
        "crate",
        "jobkeep_store",
        "parking_lot",
        "std::any",
        "std::collections",
        "std::error",
        "std::ffi",
        "std::fmt",
        "std::mem",
        "std::ops",
        "std::panic",
        "std::sync",
        "std::time::Duration",
    ];
    let of_a_file = [
        "rustix",
        "std::fs",
        "std::io",
        "std::os",
        "std::path",
        "std::process",
        "std::thread",
    ];
    for (backend, own) in [
        ("memory", &[][..]),
        ("redb", &[&["redb"][..], &of_a_file].concat()),
        ("sled", &[&["sled", "getrandom"][..], &of_a_file].concat()),
    ] {
        let rule = Rule {
            may: &[&common[..], own].concat(),
            but_not: &[],
        };
        room_uses_only(&format!("backends/{backend}/src"), "", &rule, &[]);
    }
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
