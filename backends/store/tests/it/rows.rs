use std::collections::BTreeMap;

use jobkeep_store::{
    Encoded, FORMAT, Fence, HEADER_BYTES, InFlight, JobNumber, JobRecord, Key, MAX_ROW_BYTES,
    Place, RowError, Space, Totals, UniqueRow, open_row,
};
use serde::{Serialize, Serializer, ser};

use crate::random::Random;
use crate::records;

const KEY: Key = Key::live(JobNumber(42));
/// An interpreter is that much slower, more or less.
const SLOWER: usize = if cfg!(miri) { 97 } else { 1 };
const DAMAGED: &str = "the row does not match its checksum";

fn sample() -> Vec<u8> {
    Encoded::new(&records::failed()).unwrap().seal(KEY)
}

fn open(key: Key, row: &[u8]) -> Result<JobRecord, RowError> {
    open_row(key, row)
}

fn refusal(key: Key, row: &[u8]) -> String {
    let error = open(key, row).unwrap_err();
    assert_eq!(error.newer_format(), None, "damage is no newer format");
    error.to_string()
}

/// Seals a body as a version that writes `format` would.
fn sealed_as(format: u8, key: Key, body: &[u8]) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(&key.to_bytes());
    hasher.update(&[format]);
    let crc = hasher.finalize().to_le_bytes();
    [&[format], &crc[..], body].concat()
}

#[test]
fn a_row_is_format_checksum_and_body() {
    let row = sample();
    assert_eq!(row, sealed_as(FORMAT, KEY, &row[HEADER_BYTES..]));
    assert_eq!(open(KEY, &row).unwrap(), records::failed());
}

#[test]
fn the_length_of_a_row_is_known_before_its_key() {
    let encoded = Encoded::new(&records::failed()).unwrap();
    assert_eq!(encoded.row_bytes(), encoded.seal(KEY).len());
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let row = sample();
    for bit in (0..row.len() * 8).step_by(SLOWER) {
        let mut flipped = row.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refusal(KEY, &flipped), DAMAGED, "bit {bit}");
    }
}

#[test]
fn a_moved_row_is_found() {
    let row = sample();
    for key in [
        Key::done(JobNumber(42)),
        Key::live(JobNumber(41)),
        Key::live(JobNumber(42 << 8)),
        Key::live(JobNumber((1 << 63) + 42)),
        Key::FENCE,
    ] {
        assert_eq!(refusal(key, &row), DAMAGED, "moved to {key}");
    }
}

#[test]
fn a_cut_row_is_found() {
    let row = sample();
    for length in (0..row.len()).step_by(SLOWER) {
        let expected = if length < HEADER_BYTES {
            format!("the row has {length} bytes, fewer than the 5 of its header")
        } else {
            DAMAGED.into()
        };
        assert_eq!(refusal(KEY, &row[..length]), expected);
    }
}

#[test]
fn a_row_with_bytes_behind_it_is_found() {
    for behind in [0, 1, 0xff] {
        let mut row = sample();
        row.push(behind);
        assert_eq!(refusal(KEY, &row), DAMAGED);
    }
}

#[test]
fn a_row_of_zeroes_is_found() {
    for length in HEADER_BYTES..64 {
        assert_eq!(refusal(KEY, &vec![0; length]), DAMAGED, "{length} bytes");
    }
}

#[test]
fn a_row_too_long_is_refused_before_it_is_read() {
    let row = vec![0; MAX_ROW_BYTES + 1];
    assert_eq!(
        refusal(KEY, &row),
        "the row has 67108865 bytes, more than the 67108864 allowed"
    );
}

#[test]
fn a_row_of_a_newer_format_is_refused_with_what_to_do() {
    let body = &sample()[HEADER_BYTES..];
    for format in [FORMAT + 1, 77, u8::MAX] {
        let error = open(KEY, &sealed_as(format, KEY, body)).unwrap_err();
        assert_eq!(error.newer_format(), Some(format));
        assert_eq!(
            error.to_string(),
            format!(
                "the row is in format {format}, and this jobkeep reads formats up to 1: open the \
                 store with a newer jobkeep"
            )
        );
    }
}

#[test]
fn a_sound_row_of_another_type_is_an_error() {
    let body = [255; 40];
    let error = open(KEY, &sealed_as(FORMAT, KEY, &body)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the bytes do not decode: "), "{text}");
}

#[test]
fn a_value_that_cannot_be_encoded_says_why() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("on purpose"))
        }
    }
    let text = Encoded::new(&Stubborn).unwrap_err().to_string();
    assert!(text.starts_with("the value cannot be encoded: "), "{text}");
    assert!(text.contains("on purpose"), "{text}");
}

#[test]
fn arbitrary_bytes_never_panic() {
    let mut random = Random(1);
    for _ in 0..20_000 / SLOWER {
        let length = random.next() % 200;
        let bytes = random.bytes(length);
        let key = Key::new(Space::Live, random.next());
        assert!(open(key, &bytes).is_err(), "{bytes:?}");
    }
}

/// The checksum keeps damage from the decoder: here the decoder meets it all the same.
#[test]
fn arbitrary_bodies_under_a_sound_checksum_never_panic() {
    let mut random = Random(2);
    let row = sample();
    for _ in 0..20_000 / SLOWER {
        let mut body = row[HEADER_BYTES..].to_vec();
        for _ in 0..=random.next() % 4 {
            let at = usize::try_from(random.next()).unwrap() % body.len();
            body[at] = random.bytes(1)[0];
        }
        read_as_everything(&body);
        let length = random.next() % 60;
        read_as_everything(&random.bytes(length));
    }
}

fn read_as_everything(body: &[u8]) {
    let row = sealed_as(FORMAT, KEY, body);
    let _ = open_row::<JobRecord>(KEY, &row);
    let _ = open_row::<Place<'_>>(KEY, &row);
    let _ = open_row::<InFlight>(KEY, &row);
    let _ = open_row::<UniqueRow>(KEY, &row);
    let _ = open_row::<Totals>(KEY, &row);
    let _ = open_row::<Fence>(KEY, &row);
    let _ = open_row::<BTreeMap<String, Vec<String>>>(KEY, &row);
}
