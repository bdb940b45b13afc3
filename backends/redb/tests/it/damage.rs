//! Files that something changed behind the store's back.

use std::fs;
use std::ops::ControlFlow;

use jobkeep_redb::RedbStore;
use jobkeep_store::{Batch, Encoded, Finding, Key, QueueStore};

use crate::owner::{closed_image, commit, commits, crashed_image, live, place, put_rows, text};

fn findings(store: &RedbStore) -> Vec<Finding> {
    let mut findings = Vec::new();
    store.verify(&mut |finding| findings.push(finding)).unwrap();
    findings
}

/// Where the row of a number is in the file. Older copies of its page may be there as well.
fn places_of(image: &[u8], number: u64) -> Vec<usize> {
    let row = format!("{number:0>100}");
    let windows = image.windows(row.len()).enumerate();
    let places = windows.filter(|(_, window)| *window == row.as_bytes());
    places.map(|(place, _)| place).collect()
}

#[test]
fn a_killed_process_loses_no_commit() {
    let (_folder, path) = place();
    fs::write(&path, crashed_image()).unwrap();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(commits(&store), 3);
    assert!((0..1000).all(|number| text(&store, number).is_some()));
    assert_eq!(findings(&store), []);
    put_rows(&store, 1000..1001);
}

#[test]
fn a_flipped_row_is_found_by_the_store_and_by_redb() {
    let (_folder, path) = place();
    let mut image = closed_image();
    for place in places_of(&image, 42) {
        image[place] ^= 1;
    }
    fs::write(&path, &image).unwrap();
    let store = RedbStore::open(&path).unwrap();
    let opened = fs::read(&path).unwrap();
    let findings = findings(&store);
    assert!(
        matches!(
            &findings[..],
            [Finding::Row { key, .. }, Finding::Engine(_)] if *key == live(42)
        ),
        "{findings:?}"
    );
    assert!(fs::read(&path).unwrap() == opened, "verify changes nothing");
    assert_eq!(commits(&store), 3);
    put_rows(&store, 1000..1001);
}

#[test]
fn a_page_flipped_under_an_open_store_is_found() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..1000);
    put_rows(&store, 1000..1001);
    assert_eq!(findings(&store), []);
    let mut image = fs::read(&path).unwrap();
    for place in places_of(&image, 42) {
        image[place] ^= 1;
    }
    fs::write(&path, &image).unwrap();
    assert!(matches!(&findings(&store)[..], [.., Finding::Engine(_)]));
    assert!(fs::read(&path).unwrap() == image, "verify changes nothing");
}

/// Nobody promises what becomes of such a file, but the process lives and the error is a value.
#[test]
fn no_flipped_byte_of_the_file_is_met_by_a_panic() {
    let (_folder, path) = place();
    let image = closed_image();
    let used: Vec<_> = (0..image.len())
        .filter(|place| image[*place] != 0)
        .collect();
    for place in used.iter().step_by(used.len() / 100) {
        let mut image = image.clone();
        image[*place] ^= 0x55;
        fs::write(&path, &image).unwrap();
        let Ok(store) = RedbStore::open(&path) else {
            continue;
        };
        let _ = store.verify(&mut |_| ());
        let _ = store.get(&live(42));
        let _ = commit(&store, |batch| batch.delete(live(42)));
        let _ = store.reopen();
        let _ = store.close();
    }
}

/// Runs of deletes are one pass over the tree each, and must still be the writes that they stand for.
#[test]
fn runs_of_deletes_keep_the_order_of_writes() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, (0..100).chain([u64::MAX - 1, u64::MAX]));
    let fill = |batch: &mut Batch| {
        (10..20).for_each(|number| batch.delete(live(number)));
        batch.put(live(15), Encoded::new("later").unwrap());
        (30..40).rev().for_each(|number| batch.delete(live(number)));
        batch.put(live(50), Encoded::new("sooner").unwrap());
        (50..60).for_each(|number| batch.delete(live(number)));
        batch.delete(live(59));
        batch.delete(live(u64::MAX - 1));
        batch.delete(live(u64::MAX));
    };
    commit(&store, fill).unwrap();
    let mut left = Vec::new();
    let each = &mut |key: Key, _: &[u8]| {
        left.push(key.number);
        ControlFlow::Continue(())
    };
    store.scan(&live(0), &live(u64::MAX), each).unwrap();
    let expected = (0..10)
        .chain([15])
        .chain(20..30)
        .chain(40..50)
        .chain(60..100);
    assert!(left.into_iter().eq(expected));
    assert_eq!(text(&store, 15).as_deref(), Some("later"));
}
