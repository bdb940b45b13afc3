use std::collections::HashSet;

use data_encoding::BASE64URL_NOPAD;
use hmac_sha256::HMAC;
use jobkeep::{Durability, Error, JobNumber, Manager, QueueStore, Receipt, StateKind};
use jobkeep_store::{Key, Secret, get_typed};

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

/// The same receipt for another job, signed as it was.
fn renumbered(receipt: &Receipt<Work>, number: u64) -> Receipt<Work> {
    let text = forged(receipt, |bytes| renumber(bytes, number));
    let receipt = parsed(&text).unwrap();
    assert_eq!(receipt.number(), JobNumber(number));
    receipt
}

fn renumber(bytes: &mut [u8], number: u64) {
    bytes[26..34].copy_from_slice(&number.to_be_bytes());
}

/// The same receipt for another job, as the store would sign it.
fn signed(receipt: &Receipt<Work>, number: u64, secret: &Secret) -> Receipt<Work> {
    let text = forged(receipt, |bytes| {
        renumber(bytes, number);
        bytes.truncate(bytes.len() - 16);
        let signature = HMAC::mac(&bytes, secret.receipts);
        bytes.extend(&signature[..16]);
    });
    parsed(&text).unwrap()
}

fn secret(place: &dyn Place) -> Secret {
    let store = place.open();
    let secret = get_typed(&store, Key::SECRET).unwrap().unwrap();
    store.close().unwrap();
    secret
}

fn assert_replaced(error: &Error, receipt: &Receipt<Work>) {
    assert_eq!(
        error.to_string(),
        format!(
            "look up job {}: the store was replaced since its receipt was given, by a new one \
             or by an older copy: the job is not here",
            receipt.number()
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
    assert!(text.len() < 85 && text.chars().all(cookie), "{text}");
    assert_eq!(
        format!("{receipt:?}"),
        // Who reads a log is not to ask for the job.
        "Receipt(1 on berlin-2)"
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
    let named = |name: &str| {
        forged(&receipt, |bytes| {
            bytes.splice(34..bytes.len() - 16, name.bytes());
        })
    };
    let (nameless, lines, colours) = (named(""), named("a\nb"), named("\u{1b}[31ma"));
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
        (&nameless, "what it names is no server"),
        (&lines, "what it names is no server"),
        (&colours, "what it names is no server"),
    ] {
        let error = parsed(text).unwrap_err();
        assert_eq!(error.to_string(), format!("read a receipt: {reason}"));
        assert!(error.is_bad_receipt());
    }
}

pub(crate) fn a_receipt_of_another_server_is_refused(place: &dyn Place) {
    let other = Manager::builder(jobkeep::MemoryStore::new()).server("a");
    let receipt = other.start().unwrap().enqueue(work("x")).unwrap();
    let manager = one_worker(place).server("b").start().unwrap();
    manager.enqueue(work("y")).unwrap();
    let text =
        "look up job 1: its receipt was given by server `a`, and this is `b`: ask that server";
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
}

pub(crate) fn a_server_of_another_name_answers_for_its_own_store(place: &dyn Place) {
    let manager = one_worker(place).server("web-d7vhr").start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).server("web-x2k4p");
    let manager = manager.start().unwrap();
    let again = parsed(&receipt.to_string()).unwrap();
    assert_eq!(again.server(), "web-d7vhr");
    manager.wait(&again, PATIENCE).unwrap();
    manager.retry(&again).unwrap();
    manager.wait(&again, PATIENCE).unwrap();
    let page = manager.jobs(StateKind::Succeeded, None, 10).unwrap();
    let listed = page.jobs()[0].receipt();
    assert_eq!(
        (listed.server(), listed.number()),
        ("web-x2k4p", again.number())
    );
    manager.status(listed).unwrap();
}

/// One receipt was all receipts once: ten lines made those of the other jobs out of it.
pub(crate) fn nobody_can_make_up_the_receipt_of_another_job(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let own = manager.enqueue(work("a")).unwrap();
    let others = manager.enqueue(work("b")).unwrap();
    manager.wait(&others, PATIENCE).unwrap();
    let made_up = renumbered(&own, 2);
    assert_ne!(made_up, others);
    for error in [
        manager.status(&made_up).unwrap_err(),
        manager.completed(&made_up).unwrap_err(),
        manager.wait(&made_up, PATIENCE).unwrap_err(),
        manager.cancel(&made_up).unwrap_err(),
        manager.retry(&made_up).unwrap_err(),
        manager.remove(&made_up).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "look up job 2: this store did not sign its receipt, which was made up or changed"
        );
        assert!(error.is_bad_receipt());
    }
    // Nor one that says more than was promised, or that another server gave it.
    let bytes = BASE64URL_NOPAD.decode(own.to_string().as_bytes()).unwrap();
    for at in (1..bytes.len() - 4).filter(|at| !(2..18).contains(at)) {
        let text = forged(&own, |bytes| bytes[at] ^= 1);
        let Ok(changed) = parsed(&text) else { continue };
        assert_ne!(changed, own, "byte {at}");
        let error = manager.status(&changed).unwrap_err();
        assert!(error.is_bad_receipt(), "byte {at}: {error}");
    }
    drop(manager);
    let secret = secret(place);
    assert_eq!(signed(&own, 2, &secret), others);
    assert!(!format!("{secret:?}").contains(char::is_numeric));
}

pub(crate) fn a_store_draws_its_secret_once(place: &dyn Place) {
    drop(one_worker(place).start().unwrap());
    let first = secret(place);
    drop(one_worker(place).start().unwrap());
    assert_eq!(secret(place), first);
    let memory = jobkeep::MemoryStore::new();
    drop(Manager::builder(memory.clone()).start().unwrap());
    let others: Secret = get_typed(&memory, Key::SECRET).unwrap().unwrap();
    assert_ne!(others, first);
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
    drop(one_worker(place).start().unwrap());
    let secret = secret(place);
    let manager = one_worker(place).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let never = signed(&receipt, 7, &secret);
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
    let none = signed(&receipt, 0, &secret);
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
