use std::collections::HashSet;

use data_encoding::BASE64URL_NOPAD;
use jobkeep::{Durability, Error, JobNumber, Manager, Receipt};

use crate::place::{Other, PATIENCE, Place, Work, one_worker, succeeding, work};

fn parsed(text: &str) -> Result<Receipt<Work>, Error> {
    text.parse()
}

/// The receipt with some of its bytes changed, and a checksum that fits.
fn forged(receipt: &Receipt<Work>, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = BASE64URL_NOPAD
        .decode(receipt.to_string().as_bytes())
        .unwrap();
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// The same receipt for another job.
fn renumbered(receipt: &Receipt<Work>, number: u64) -> Receipt<Work> {
    let text = forged(receipt, |bytes| {
        bytes[26..34].copy_from_slice(&number.to_be_bytes());
    });
    let receipt = parsed(&text).unwrap();
    assert_eq!(receipt.number(), JobNumber(number));
    receipt
}

fn assert_replaced(error: &Error, receipt: &Receipt<Work>) {
    assert_eq!(
        error.to_string(),
        format!(
            "look up receipt {receipt}: the store was replaced since it was given, by a new one \
             or by an older copy: the job is not here"
        )
    );
    assert!(error.is_replaced());
}

pub(crate) fn a_receipt_survives_its_text(place: &dyn Place) {
    let manager = succeeding(one_worker(place))
        .server("berlin-2")
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let text = receipt.to_string();
    let again = parsed(&text).unwrap();
    assert_eq!(again, receipt);
    assert_eq!(again.to_string(), text);
    assert_eq!(
        (again.server(), again.number(), again.durability()),
        ("berlin-2", JobNumber(1), receipt.durability())
    );
    let cookie = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(text.len() < 70 && text.chars().all(cookie), "{text}");
    assert_eq!(
        format!("{receipt:?}"),
        format!("Receipt(1 on berlin-2: {text})")
    );
    manager.wait(&again, PATIENCE).unwrap();
    let untyped: Receipt = text.parse().unwrap();
    manager.status(&untyped).unwrap();
    assert_eq!(untyped.typed::<Work>(), receipt);
}

pub(crate) fn a_receipt_is_a_string_to_serde(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let json = serde_json::to_string(&receipt).unwrap();
    assert_eq!(json, format!("\"{receipt}\""));
    let again: Receipt<Work> = serde_json::from_str(&json).unwrap();
    assert_eq!(again, receipt);
    let error = serde_json::from_str::<Receipt<Work>>("\"AQ\"").unwrap_err();
    assert_eq!(error.to_string(), "read a receipt: the text is too short");
}

pub(crate) fn a_receipt_says_what_its_acceptance_survives(place: &dyn Place) {
    let store = place.open();
    let durability = jobkeep::QueueStore::identity(&store).unwrap().durability;
    let manager = Manager::builder(store).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(receipt.durability(), durability);
    assert_eq!(
        parsed(&receipt.to_string()).unwrap().durability(),
        durability
    );
}

pub(crate) fn a_receipt_of_which_one_character_changed_is_refused(place: &dyn Place) {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=. é";
    let manager = one_worker(place).start().unwrap();
    let text = manager.enqueue(work("a")).unwrap().to_string();
    for (position, was) in text.char_indices() {
        for character in ALPHABET.chars().filter(|&character| character != was) {
            let mut changed = text.clone();
            changed.replace_range(position..=position, &character.to_string());
            assert!(parsed(&changed).unwrap_err().is_bad_receipt(), "{changed}");
        }
        let mut shorter = text.clone();
        shorter.remove(position);
        assert!(parsed(&shorter).unwrap_err().is_bad_receipt(), "{shorter}");
        assert!(parsed(&text[..position]).unwrap_err().is_bad_receipt());
    }
    assert!(parsed(&format!("{text}A")).unwrap_err().is_bad_receipt());
}

pub(crate) fn a_text_that_is_no_receipt_is_refused_with_the_reason(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let text = receipt.to_string();
    let changed = format!(
        "{}{}",
        if text.starts_with('A') { 'B' } else { 'A' },
        &text[1..]
    );
    let newer = forged(&receipt, |bytes| bytes[0] = 2);
    let short = forged(&receipt, |bytes| bytes.truncate(20));
    for (text, reason) in [
        ("not a receipt", "the text is not of its form"),
        ("", "the text is too short"),
        (&short, "the text is too short"),
        (
            &changed,
            "the text was changed: its checksum does not match",
        ),
        (
            &newer,
            "it is of version 2, and this jobkeep reads version 1",
        ),
    ] {
        let error = parsed(text).unwrap_err();
        assert_eq!(error.to_string(), format!("read a receipt: {reason}"));
        assert!(error.is_bad_receipt());
    }
}

pub(crate) fn a_receipt_of_another_server_is_refused(place: &dyn Place) {
    let manager = one_worker(place).server("a").start().unwrap();
    let receipt = manager.enqueue(work("x")).unwrap();
    drop(manager);
    let manager = one_worker(place).server("b").start().unwrap();
    let text = format!(
        "look up receipt {receipt}: it was given by server `a`, and this is `b`: ask that server"
    );
    for error in [
        manager.status(&receipt).unwrap_err(),
        manager.completed(&receipt).unwrap_err(),
        manager.wait(&receipt, PATIENCE).unwrap_err(),
        manager.cancel(&receipt).unwrap_err(),
        manager.retry(&receipt).unwrap_err(),
        manager.remove(&receipt).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), text);
        assert!(error.is_other_server());
    }
    drop(manager);
    let manager = one_worker(place).server("a").start().unwrap();
    manager.status(&receipt).unwrap();
}

pub(crate) fn a_receipt_of_another_store_is_refused(place: &dyn Place) {
    let other = Manager::builder(jobkeep::MemoryStore::new())
        .start()
        .unwrap();
    let receipt = other.enqueue(work("a")).unwrap();
    let manager = one_worker(place).start().unwrap();
    manager.enqueue(work("b")).unwrap();
    assert_replaced(&manager.status(&receipt).unwrap_err(), &receipt);
    assert_replaced(&manager.completed(&receipt).unwrap_err(), &receipt);
    assert_replaced(&manager.remove(&receipt).unwrap_err(), &receipt);
}

pub(crate) fn a_receipt_of_an_older_opening_still_holds(place: &dyn Place) {
    let mut receipts = Vec::new();
    for opening in 0..4 {
        let manager = one_worker(place).start().unwrap();
        // The third accepts nothing.
        for n in 0..[2, 1, 0, 3][opening] {
            receipts.push(manager.enqueue(work(format!("{opening}/{n}"))).unwrap());
        }
        for receipt in &receipts {
            manager.status(receipt).unwrap();
        }
    }
    let numbers: HashSet<_> = receipts.iter().map(Receipt::number).collect();
    assert_eq!(numbers.len(), 6);
    let manager = succeeding(one_worker(place)).start().unwrap();
    for receipt in &receipts {
        let again = parsed(&receipt.to_string()).unwrap();
        manager.wait(&again, PATIENCE).unwrap();
    }
}

/// The copy gives the number again that the original gave after it was made.
#[cfg(feature = "redb")]
#[test]
fn a_receipt_that_an_older_copy_of_the_store_never_gave_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (
        folder.path().join("jobs.redb"),
        folder.path().join("copy.redb"),
    );
    let open = |file| {
        let store = jobkeep::RedbStore::open(file).unwrap();
        Manager::builder(store).start().unwrap()
    };
    let before = open(&file).enqueue(work("before")).unwrap();
    std::fs::copy(&file, &copy).unwrap();
    let manager = open(&file);
    let after = manager.enqueue(work("after")).unwrap();
    manager.status(&after).unwrap();
    drop(manager);
    let manager = open(&copy);
    manager.status(&before).unwrap();
    assert_replaced(&manager.status(&after).unwrap_err(), &after);
    let instead = manager.enqueue(work("instead")).unwrap();
    assert_eq!(instead.number(), after.number());
    assert_replaced(&manager.completed(&after).unwrap_err(), &after);
    assert_ne!(instead, after);
}

pub(crate) fn a_number_never_given_is_told_from_one_removed(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let never = renumbered(&receipt, 7);
    for error in [
        manager.status(&never).unwrap_err(),
        manager.completed(&never).unwrap_err(),
        manager.wait(&never, PATIENCE).unwrap_err(),
        manager.cancel(&never).unwrap_err(),
        manager.retry(&never).unwrap_err(),
        manager.remove(&never).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "look up job 7: no such job was ever accepted"
        );
        assert!(error.is_never_existed());
    }
    manager.remove(&receipt).unwrap();
    for error in [
        manager.status(&receipt).unwrap_err(),
        manager.completed(&receipt).unwrap_err(),
        manager.wait(&receipt, PATIENCE).unwrap_err(),
        manager.cancel(&receipt).unwrap_err(),
        manager.retry(&receipt).unwrap_err(),
        manager.remove(&receipt).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "look up job 1: it was accepted once and is gone, pruned by retention or removed: see \
             `Builder::retention` for how long finished jobs are kept"
        );
        assert!(error.is_pruned());
    }
    // A number before the first one belongs to no opening.
    let none = renumbered(&receipt, 0);
    assert_replaced(&manager.status(&none).unwrap_err(), &none);
}

pub(crate) fn a_wrong_claim_about_the_type_names_both(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let claimed = receipt.clone().typed::<Other>();
    for error in [
        manager.completed(&claimed).unwrap_err(),
        manager.wait(&claimed, PATIENCE).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "read job 1 as `other`: it is stored as `work`"
        );
        assert!(error.is_other_type());
    }
    assert!(manager.completed(&receipt).unwrap().is_some());
}

#[test]
fn a_memory_receipt_promises_nothing() {
    let manager = Manager::builder(jobkeep::MemoryStore::new())
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(receipt.durability(), Durability::Memory);
}
