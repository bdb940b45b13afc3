use jobkeep_store::{JobNumber, Key, Space};

use crate::random::Random;

/// On disk, and in tables and files that people keep.
#[test]
fn the_numbers_and_names_of_spaces_stay() {
    let pinned = [
        (Space::Fence, 0, "fence"),
        (Space::Manager, 1, "manager"),
        (Space::Openings, 2, "openings"),
        (Space::Live, 3, "live"),
        (Space::Bodies, 4, "bodies"),
        (Space::Outputs, 5, "outputs"),
        (Space::Done, 6, "done"),
        (Space::Unique, 7, "unique"),
        (Space::ExpiringSuccesses, 8, "expiring_successes"),
        (Space::ExpiringFailures, 9, "expiring_failures"),
        (Space::ExpiringKeys, 10, "expiring_keys"),
        (Space::Withdrawn, 11, "withdrawn"),
        (Space::Damaged, 12, "damaged"),
    ];
    assert_eq!(pinned.map(|(space, ..)| space), Space::ALL);
    for (space, number, name) in pinned {
        assert_eq!(space as u8, number, "{name}");
        assert_eq!(space.name(), name);
    }
    assert!(Space::ALL.is_sorted());
}

#[test]
fn the_addresses_of_single_rows_stay() {
    let job = JobNumber(0x0102_0304_0506_0708);
    let pinned = [
        (Key::FENCE, [0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (Key::IN_FLIGHT, [1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (Key::TOTALS, [1, 0, 0, 0, 0, 0, 0, 0, 1]),
        (Key::CLOSING, [1, 0, 0, 0, 0, 0, 0, 0, 4]),
        (Key::live(job), [3, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Key::body(job), [4, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Key::output(job), [5, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Key::done(job), [6, 1, 2, 3, 4, 5, 6, 7, 8]),
    ];
    for (key, bytes) in pinned {
        assert_eq!(key.to_bytes(), bytes, "{key}");
    }
}

#[test]
fn keys_read_as_space_and_number() {
    assert_eq!(Key::live(JobNumber(42)).to_string(), "live 42");
    let last = Key::new(Space::ExpiringKeys, u64::MAX);
    assert_eq!(last.to_string(), "expiring_keys 18446744073709551615");
}

fn some_keys() -> Vec<Key> {
    let mut random = Random(3);
    let mut keys = Vec::new();
    for space in Space::ALL {
        for number in [0, 1, 255, 256, u64::MAX - 1, u64::MAX] {
            keys.push(Key::new(space, number));
        }
        for _ in 0..if cfg!(miri) { 2 } else { 50 } {
            let shift = random.next() % 64;
            keys.push(Key::new(space, random.next() >> shift));
        }
    }
    keys
}

#[test]
fn the_byte_form_is_read_back() {
    for key in some_keys() {
        assert_eq!(Key::from_bytes(&key.to_bytes()), Some(key));
    }
}

#[test]
fn the_byte_form_is_ordered_as_the_keys_are() {
    let keys = some_keys();
    for a in &keys {
        for b in &keys {
            assert_eq!(a.cmp(b), a.to_bytes().cmp(&b.to_bytes()), "{a} and {b}");
        }
    }
}

#[test]
fn other_bytes_are_no_key() {
    let whole = Key::live(JobNumber(42)).to_bytes();
    for length in 0..Key::BYTES {
        assert_eq!(Key::from_bytes(&whole[..length]), None, "{length} bytes");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(Key::from_bytes(&longer), None);
    for space in 13..=u8::MAX {
        let mut unknown = whole;
        unknown[0] = space;
        assert_eq!(Key::from_bytes(&unknown), None, "space {space}");
    }
}
