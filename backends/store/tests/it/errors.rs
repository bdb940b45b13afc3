use std::error::Error;
use std::io;

use jobkeep_store::{Encoded, JobNumber, JobRecord, Key, RowError, StoreError, open_row};

fn io_error() -> io::Error {
    io::Error::other("disk on fire")
}

fn row_error() -> RowError {
    open_row::<JobRecord>(KEY, &[1, 2]).unwrap_err()
}

const KEY: Key = Key::live(JobNumber(42));

/// Which of the predicates hold, in the order in which they are declared.
fn kinds(error: &StoreError) -> Vec<&'static str> {
    let all = [
        ("unknown", error.is_unknown()),
        ("full", error.is_full()),
        ("replaced", error.is_replaced()),
        ("out of turn", error.is_out_of_turn()),
        ("in use", error.is_in_use()),
        ("foreign", error.is_foreign()),
        ("newer", error.is_newer_format()),
        ("damaged", error.is_damaged()),
        ("closed", error.is_closed()),
    ];
    all.into_iter()
        .filter_map(|(name, holds)| holds.then_some(name))
        .collect()
}

fn assert_error(error: &StoreError, kind: &[&str], text: &str, sourced: bool) {
    assert_eq!(error.to_string(), text);
    assert_eq!(kinds(error), kind, "{text}");
    assert_eq!(error.source().is_some(), sourced, "{text}");
}

#[test]
fn an_error_of_the_engine_names_act_place_and_cause() {
    let failed = StoreError::failed("write commit 3", "jobs.redb", io_error());
    assert_error(
        &failed,
        &[],
        "write commit 3 of jobs.redb: disk on fire",
        true,
    );
    let unknown = StoreError::unknown("sync commit 3", "jobs.redb", io_error());
    assert_error(
        &unknown,
        &["unknown"],
        "sync commit 3 of jobs.redb: disk on fire",
        true,
    );
    let full = StoreError::full("write commit 3", "jobs.redb", io_error());
    assert_error(
        &full,
        &["full"],
        "write commit 3 of jobs.redb: disk on fire",
        true,
    );
}

#[test]
fn an_error_of_the_place_says_what_is_there() {
    let in_use = StoreError::in_use("open the store", "jobs.redb");
    assert_error(
        &in_use,
        &["in use"],
        "open the store of jobs.redb: it is already open, here or in another process: a store has \
         one owner at a time; close the other one, or reach it over HTTP",
        false,
    );
    let foreign = StoreError::foreign("open the store", "jobs.redb", "it has no table of jobkeep");
    assert_error(
        &foreign,
        &["foreign"],
        "open the store of jobs.redb: it has no table of jobkeep",
        false,
    );
    let damaged = StoreError::damaged("open the store", "jobs.redb", "its header is gone");
    assert_error(
        &damaged,
        &["damaged"],
        "open the store of jobs.redb: its header is gone",
        false,
    );
    let closed = StoreError::closed("read row live 42", "jobs.redb");
    assert_error(
        &closed,
        &["closed"],
        "read row live 42 of jobs.redb: the store is closed",
        false,
    );
}

#[test]
fn an_error_of_a_row_names_the_row() {
    let damaged = StoreError::row(KEY, row_error());
    assert_error(
        &damaged,
        &["damaged"],
        "read row live 42: the row has 2 bytes, fewer than the 5 of its header",
        true,
    );
    assert_error(
        &damaged.at("jobs.redb"),
        &["damaged"],
        "read row live 42 of jobs.redb: the row has 2 bytes, fewer than the 5 of its header",
        true,
    );
}

#[test]
fn a_row_of_a_newer_format_is_not_damaged() {
    let mut row = Encoded::new(&()).unwrap().seal(KEY);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&KEY.to_bytes());
    hasher.update(&[9]);
    row[0] = 9;
    row[1..].copy_from_slice(&hasher.finalize().to_le_bytes());
    let newer = StoreError::row(KEY, open_row::<()>(KEY, &row).unwrap_err());
    assert_error(
        &newer,
        &["newer"],
        "read row live 42: the row is in format 9, and this jobkeep reads formats up to 1: open \
         the store with a newer jobkeep",
        true,
    );
}

#[test]
fn the_source_is_the_error_of_the_engine() {
    let error = StoreError::failed("open the store", "jobs.redb", io_error());
    let source = error.source().unwrap();
    assert!(source.downcast_ref::<io::Error>().is_some());
    assert_eq!(source.to_string(), "disk on fire");
}
