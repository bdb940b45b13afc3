//! What `open` does with what it finds.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use jobkeep_redb::RedbStore;
use jobkeep_store::{Encoded, FORMAT, Key, QueueStore, Space};
use redb::{Database, MultimapTableDefinition, ReadableDatabase, TableDefinition};

use crate::owner::{closed_image, commit, commits, crashed_image, fence, place, refusal};

const FENCE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("fence");

/// Makes a redb file as another program would.
fn foreign(path: &Path, write: impl FnOnce(&redb::WriteTransaction)) -> Database {
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    write(&transaction);
    transaction.commit().unwrap();
    database
}

/// Founds a store and puts another row in the place of its fence.
fn with_fence_row(path: &Path, row: &[u8]) {
    let store = RedbStore::open(path).unwrap();
    commit(&store, |_| ()).unwrap();
    store.close().unwrap();
    let database = foreign(path, |transaction| {
        let mut rows = transaction.open_table(FENCE).unwrap();
        rows.insert(0, row).unwrap();
    });
    database.close().unwrap();
}

/// The fence as format `format` would seal it.
fn sealed_as(format: u8) -> Vec<u8> {
    let mut row = Encoded::new(&fence(1)).unwrap().seal(Key::FENCE);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&row[5..]);
    hasher.update(&Key::FENCE.to_bytes());
    hasher.update(&[format]);
    row[0] = format;
    row[1..5].copy_from_slice(&hasher.finalize().to_le_bytes());
    row
}

#[test]
fn where_there_is_nothing_a_store_is_made_and_nothing_beside_it() {
    let (folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.identity().unwrap().fence, None);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_store_before_its_first_commit_opens_again() {
    let (_folder, path) = place();
    RedbStore::open(&path).unwrap().close().unwrap();
    let store = RedbStore::open(&path).unwrap();
    commit(&store, |_| ()).unwrap();
    assert_eq!(commits(&store), 1);
}

#[test]
fn of_many_that_create_at_once_one_has_the_store_and_its_commit_stays() {
    let (folder, path) = place();
    let barrier = Barrier::new(8);
    let open = || {
        barrier.wait();
        let opened = RedbStore::open(&path);
        if let Ok(store) = &opened {
            commit(store, |_| ()).unwrap();
        }
        // Nobody lets go of the store before everybody has tried.
        barrier.wait();
        opened.map(drop)
    };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(error.is_in_use(), "{error}");
    }
    assert_eq!(commits(&RedbStore::open(&path).unwrap()), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_open_store_is_in_use() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    commit(&store, |_| ()).unwrap();
    let error = refusal(&path);
    assert!(error.is_in_use());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it is already open, here or in another process: a store has one \
         owner at a time; close the other one, or reach it over HTTP"
    );
    commit(&store, |_| ()).unwrap();
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let (folder, _) = place();
    let error = refusal(&folder.path().join("missing/jobs.redb"));
    assert_eq!(
        error.to_string(),
        "open the store of PATH: No such file or directory (os error 2): create the directory of \
         the store first"
    );
    assert!(!folder.path().join("missing").exists());
}

#[test]
fn a_path_below_a_file_is_refused() {
    let (_folder, path) = place();
    fs::write(&path, "a file").unwrap();
    let error = refusal(&path.join("jobs.redb"));
    assert_eq!(
        error.to_string(),
        "open the store of PATH: Not a directory (os error 20): a part of the path is no \
         directory; choose another path"
    );
}

#[test]
fn a_directory_is_foreign() {
    let (folder, _) = place();
    let error = refusal(folder.path());
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it is a directory"
    );
}

#[test]
fn a_file_of_another_kind_is_foreign() {
    let (_folder, path) = place();
    fs::write(&path, "SQLite format 3\0 and so on").unwrap();
    let error = refusal(&path);
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it is no redb file"
    );
}

#[test]
fn the_redb_file_of_another_program_is_foreign() {
    let (_folder, path) = place();
    let cookies: TableDefinition<'_, &str, u64> = TableDefinition::new("cookies");
    foreign(&path, |transaction| {
        transaction.open_table(cookies).unwrap();
    });
    let error = refusal(&path);
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it is the redb file of another program: it has a table \"cookies\""
    );
    assert!(
        Database::open(&path)
            .unwrap()
            .begin_read()
            .unwrap()
            .open_table(cookies)
            .is_ok()
    );
}

#[test]
fn the_redb_file_of_another_program_that_crashed_is_not_even_repaired() {
    let (_folder, path) = place();
    let cookies: TableDefinition<'_, &str, u64> = TableDefinition::new("cookies");
    let other = foreign(&path, |transaction| {
        transaction.open_table(cookies).unwrap();
    });
    let crashed = fs::read(&path).unwrap();
    drop(other);
    fs::write(&path, crashed).unwrap();
    assert!(refusal(&path).is_foreign());
}

#[test]
fn a_table_that_only_has_our_name_is_foreign() {
    let (_folder, path) = place();
    let other: TableDefinition<'_, &str, u64> = TableDefinition::new("live");
    drop(foreign(&path, |transaction| {
        transaction.open_table(other).unwrap();
    }));
    let error = refusal(&path);
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: live has key type &str and value type u64"
    );

    fs::remove_file(&path).unwrap();
    let other: MultimapTableDefinition<'_, u64, &[u8]> = MultimapTableDefinition::new("live");
    drop(foreign(&path, |transaction| {
        transaction.open_multimap_table(other).unwrap();
    }));
    assert!(refusal(&path).is_foreign());
}

#[test]
fn tables_of_ours_without_a_fence_are_foreign() {
    let (_folder, path) = place();
    let live: TableDefinition<'_, u64, &[u8]> = TableDefinition::new(Space::Live.name());
    drop(foreign(&path, |transaction| {
        transaction.open_table(live).unwrap();
    }));
    let error = refusal(&path);
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it has tables and no fence, and every store of jobkeep has one"
    );
}

#[test]
fn an_empty_file_is_damaged_and_stays_empty() {
    let (_folder, path) = place();
    fs::write(&path, "").unwrap();
    let error = refusal(&path);
    assert!(error.is_damaged());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: the file is empty, which a store never is: put a copy of the \
         store in its place, or remove it if it never was one"
    );
}

#[test]
fn a_newer_format_is_refused() {
    let (_folder, path) = place();
    with_fence_row(&path, &sealed_as(FORMAT));
    RedbStore::open(&path).unwrap().close().unwrap();
    with_fence_row(&path, &sealed_as(FORMAT + 1));
    let error = refusal(&path);
    assert!(error.is_newer_format());
    assert_eq!(
        error.to_string(),
        "read row fence 0 of PATH: the row is in format 2, and this jobkeep reads formats up to \
         1: open the store with a newer jobkeep"
    );
}

#[test]
fn a_damaged_fence_is_refused() {
    let (_folder, path) = place();
    with_fence_row(&path, &[FORMAT, 0, 0, 0, 0, 1, 2, 3]);
    let error = refusal(&path);
    assert!(error.is_damaged());
    assert_eq!(
        error.to_string(),
        "read row fence 0 of PATH: the row does not match its checksum"
    );
}

/// Lengths at and beside the borders of pages, from one byte to one byte less than all.
fn cuts(image: &[u8]) -> impl Iterator<Item = usize> {
    let borders = (1..)
        .map(|page| page * 4096)
        .take_while(|cut| *cut < image.len());
    let beside = borders.step_by(7).flat_map(|cut| [cut - 1, cut, cut + 1]);
    let head = (1..10).chain([64, 319, 320]);
    head.chain(beside)
        .chain([image.len() - 4096, image.len() - 1])
}

#[test]
fn a_file_cut_off_after_its_store_was_closed_is_refused_at_every_length() {
    let (_folder, path) = place();
    let image = closed_image();
    for cut in cuts(&image) {
        fs::write(&path, &image[..cut]).unwrap();
        let error = refusal(&path);
        assert!(error.is_damaged(), "{cut} bytes: {error}");
    }
    fs::write(&path, image).unwrap();
    assert_eq!(commits(&RedbStore::open(&path).unwrap()), 3);
}

/// A crash may leave pages at the end of the file that nothing refers to.
#[test]
fn a_file_cut_off_after_a_crash_is_refused_or_whole() {
    let (_folder, path) = place();
    let image = crashed_image();
    for cut in cuts(&image) {
        fs::write(&path, &image[..cut]).unwrap();
        match RedbStore::open(&path) {
            Ok(store) => assert_eq!(commits(&store), 3, "{cut} of {} bytes", image.len()),
            Err(error) => assert!(error.is_damaged(), "{cut} bytes: {error}"),
        }
    }
}

#[test]
fn a_cut_off_head_is_named() {
    let (_folder, path) = place();
    fs::write(&path, &closed_image()[..5]).unwrap();
    assert_eq!(
        refusal(&path).to_string(),
        "open the store of PATH: the file is cut off: it has 5 bytes"
    );
    fs::write(&path, &closed_image()[..100]).unwrap();
    assert_eq!(
        refusal(&path).to_string(),
        "open the store of PATH: the file ends at byte 100, and is read up to byte 320"
    );
}

#[test]
fn reopening_never_makes_a_store_where_one_was() {
    let (folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    commit(&store, |_| ()).unwrap();
    fs::remove_file(&path).unwrap();
    let error = store.reopen().unwrap_err().at("PATH");
    assert!(error.is_replaced());
    assert_eq!(
        error.to_string(),
        "reopen the store of PATH: the file is not at its path any more, deleted or moved away: put it \
         or a copy back, and start again"
    );
    assert!(store.identity().unwrap_err().is_closed());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_closed_store_says_so() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    store.close().unwrap();
    let error = store.get(&Key::TOTALS).unwrap_err().at("PATH");
    assert!(error.is_closed());
    assert_eq!(
        error.to_string(),
        "read row manager 1 of PATH: the store is closed"
    );
}
