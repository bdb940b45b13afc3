//! Directories that something changed behind the store's back. sled opens some of that as empty, and
//! some as it was a few commits ago; the store must not.

use std::fs;
use std::path::Path;

use jobkeep_sled::SledStore;
use jobkeep_store::{Finding, QueueStore};

use crate::owner::{
    Image, ROWS, closed_image, commits, has_rows, image, lay, place, put_rows, refusal,
};

/// The store opens with all of its rows.
fn is_whole(image: &Image, path: &Path, what: &str) {
    lay(image, path);
    let store = SledStore::open(path).unwrap();
    assert_eq!(commits(&store), 3, "{what}");
    assert!(has_rows(&store, 0..ROWS), "{what}");
}

/// The store is refused as damaged, and the next time as well. Returns what the first refusal says.
fn is_damaged(image: &Image, path: &Path, what: &str) -> String {
    lay(image, path);
    let error = refusal(path);
    assert!(error.is_damaged(), "{what}: {error}");
    let again = refusal(path);
    assert!(again.is_damaged(), "{what}, the second time: {again}");
    error.to_string()
}

fn without(image: &Image, name: &str) -> Image {
    let mut image = image.clone();
    image.remove(name).unwrap();
    image
}

fn cut(image: &Image, name: &str, length: usize) -> Image {
    let mut image = image.clone();
    image.get_mut(name).unwrap().truncate(length);
    image
}

fn snapshot(image: &Image) -> &str {
    image.keys().find(|name| name.starts_with("snap.")).unwrap()
}

/// What the store guards against: no error, no row.
#[test]
fn sled_itself_opens_a_log_that_is_gone_as_empty() {
    let (_folder, path) = place();
    let image = closed_image();
    for image in [
        without(&image, "db"),
        cut(&image, "db", 0),
        cut(&image, "db", 100),
    ] {
        lay(&without(&image, snapshot(&image)), &path);
        assert!(sled::open(&path).unwrap().is_empty());
    }
}

#[test]
fn a_log_that_is_gone_is_refused_and_not_made_anew() {
    let (_folder, path) = place();
    let image = closed_image();
    let gone = without(&image, "db");
    let bare = without(&gone, snapshot(&gone));
    for image in [gone, bare] {
        assert_eq!(
            is_damaged(&image, &path, "without the log"),
            "open the store of PATH: its file \"db\" is gone"
        );
        assert!(!path.join("db").exists());
    }
    assert_eq!(
        is_damaged(&cut(&image, "db", 0), &path, "an empty log"),
        "open the store of PATH: its file \"db\" is empty"
    );
}

#[test]
fn a_log_that_sled_reads_as_empty_is_refused() {
    let (_folder, path) = place();
    let image = closed_image();
    let bare = without(&image, snapshot(&image));
    for length in [1, 20, 100, 10_000] {
        assert_eq!(
            is_damaged(&cut(&bare, "db", length), &path, "a short log"),
            "open the store of PATH: its rows are gone"
        );
    }
}

#[test]
fn a_log_cut_off_at_any_length_is_refused() {
    let (_folder, path) = place();
    let image = closed_image();
    let bare = without(&image, snapshot(&image));
    let all = image["db"].len();
    let lengths = (1..40).map(|part| all / 40 * part);
    for length in lengths.chain([1, 100, 4096, all - 4096, all - 1]) {
        is_damaged(
            &cut(&image, "db", length),
            &path,
            &format!("cut at {length}"),
        );
        is_damaged(
            &cut(&bare, "db", length),
            &path,
            &format!("bare, cut at {length}"),
        );
    }
    assert_eq!(
        is_damaged(&cut(&image, "db", all - 1), &path, "cut by a byte"),
        "open the store of PATH: its last commits are gone: it had 3, and has 2"
    );
}

#[test]
fn a_damaged_snapshot_is_refused_and_a_missing_one_is_not_needed() {
    let (_folder, path) = place();
    let image = closed_image();
    let name = snapshot(&image);
    let all = image[name].len();
    for length in [0, 1, 12, 13, 100, all / 2, all - 1] {
        assert_eq!(
            is_damaged(&cut(&image, name, length), &path, "a cut snapshot"),
            "open the store of PATH: sled cannot read what it wrote"
        );
    }
    is_whole(&without(&image, name), &path, "without the snapshot");
}

#[test]
fn a_missing_configuration_is_made_anew_and_a_damaged_one_refused() {
    let (_folder, path) = place();
    let image = closed_image();
    is_whole(&without(&image, "conf"), &path, "without the configuration");
    is_whole(&cut(&image, "conf", 0), &path, "an empty configuration");
    is_damaged(&cut(&image, "conf", 20), &path, "a cut configuration");
}

#[test]
fn a_store_without_its_mark_is_foreign_and_not_emptied() {
    let (_folder, path) = place();
    let whole = closed_image();
    let unmarked = without(&whole, "jobkeep-founded");
    lay(&unmarked, &path);
    assert!(refusal(&path).is_foreign());
    assert!(image(&path) == unmarked);
    fs::write(path.join("jobkeep-founded"), "").unwrap();
    let store = SledStore::open(&path).unwrap();
    assert!(has_rows(&store, 0..ROWS));
}

/// A crash between the first commit and its mark.
#[test]
fn a_store_that_was_not_marked_in_time_is_whole() {
    let (_folder, path) = place();
    let mut image = without(&closed_image(), "jobkeep-founded");
    image.insert("jobkeep-founding".into(), Vec::new());
    is_whole(&image, &path, "without the mark");
    assert!(path.join("jobkeep-founded").exists());
}

#[test]
fn a_flipped_log_is_met_by_no_panic_and_no_wrong_row() {
    let (_folder, path) = place();
    let image = closed_image();
    let all = image["db"].len();
    for place in (0..all).step_by(all / 40) {
        let mut image = image.clone();
        image.get_mut("db").unwrap()[place] ^= 0x55;
        lay(&image, &path);
        let Ok(store) = SledStore::open(&path) else {
            continue;
        };
        let mut rows = Vec::new();
        let verified = store.verify(&mut |finding: Finding| rows.push(finding));
        assert_eq!(rows, [], "sled's own checksums come first");
        if verified.is_ok() {
            assert!(has_rows(&store, 0..ROWS), "flipped at {place}");
        }
    }
}

#[test]
fn a_killed_process_loses_no_commit() {
    let (_folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    put_rows(&store, 0..100);
    put_rows(&store, 100..200);
    let killed = image(&path);
    drop(store);
    lay(&killed, &path);
    let store = SledStore::open(&path).unwrap();
    assert_eq!(commits(&store), 2);
    assert!(has_rows(&store, 0..200));
}
