//! Each kind of row against its bytes as format 1 wrote them.
//!
//! A fixture is written once, by a run with `JOBKEEP_WRITE_FIXTURES=1`, and never overwritten: what
//! differs from it is a change of the format.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use jobkeep_store::{
    Clocks, Closing, Damaged, Encoded, Ended, Expiring, ExpiringKeys, FailureKind, Fence, InFlight,
    JobNumber, Key, Listed, Opening, OpeningTag, Paused, Secret, Space, StoreId, Timestamp, Totals,
    UniqueEntry, UniqueRow, Withdrawn, open_row,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::records;

struct Fixture {
    name: &'static str,
    row: Vec<u8>,
    /// Panics where a row does not read as the record.
    reads_back: Check,
}

type Check = Box<dyn Fn(&[u8])>;

fn fixture<T>(name: &'static str, key: Key, value: T) -> Fixture
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
{
    Fixture {
        name,
        row: Encoded::new(&value).unwrap().seal(key),
        reads_back: Box::new(move |row| {
            assert_eq!(open_row::<T>(key, row).as_ref(), Ok(&value), "{name}");
        }),
    }
}

const OPENING: OpeningTag = OpeningTag(0x0123_4567_89ab_cdef);
const AT: Timestamp = Timestamp(1_767_225_600_000);

fn fixtures() -> Vec<Fixture> {
    let mut fixtures = jobs();
    fixtures.extend(of_the_manager());
    fixtures.extend(of_finished_jobs());
    fixtures
}

fn jobs() -> Vec<Fixture> {
    let live = |number| Key::live(JobNumber(number));
    let done = |number| Key::done(JobNumber(number));
    vec![
        fixture("job_ready", live(1), records::ready()),
        fixture("job_scheduled", live(2), records::scheduled()),
        fixture(
            "job_scheduled_by_the_wall",
            live(u64::MAX),
            records::scheduled_by_the_wall(),
        ),
        fixture("job_parked", live(300), records::parked()),
        fixture("job_parked_as_crashing", live(301), records::crashing()),
        fixture("job_succeeded", done(5), records::succeeded()),
        fixture(
            "job_succeeded_with_output_apart",
            done(6),
            records::succeeded_with_output_apart(),
        ),
        fixture("job_failed", done(7), records::failed()),
        fixture(
            "job_failed_with_an_error",
            done(8),
            records::failed_for(FailureKind::Error),
        ),
        fixture(
            "job_failed_permanently",
            done(9),
            records::failed_for(FailureKind::Permanent),
        ),
        fixture("job_cancelled", done(10), records::cancelled()),
        fixture("job_timed_out", done(11), records::timed_out()),
        fixture("job_of_unknown_outcome", done(12), records::unknown()),
        fixture("job_not_started", live(302), records::not_started()),
        fixture(
            "body",
            Key::body(JobNumber(2)),
            ByteBuf::from("payload ".repeat(70)),
        ),
        fixture(
            "output",
            Key::output(JobNumber(6)),
            ByteBuf::from((0..=255).collect::<Vec<u8>>()),
        ),
        fixture("body_of_nothing", Key::body(JobNumber(3)), ByteBuf::new()),
    ]
}

fn of_the_manager() -> Vec<Fixture> {
    let fence = Fence {
        store: StoreId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        opening: OPENING,
        commit: 70_000,
    };
    let listed = |number, sequence, [taken, lasting, suspect]: [bool; 3]| Listed {
        number: JobNumber(number),
        sequence,
        taken,
        lasting,
        suspect,
    };
    let in_flight = InFlight {
        opening: OPENING,
        at: AT,
        jobs: vec![
            listed(1, 9, [true, true, false]),
            listed(300, 70_000, [false, false, true]),
        ],
    };
    let totals = Totals {
        next_number: 1_001,
        succeeded: 250,
        failed: 251,
        cancelled: 0,
        damaged: 1,
        ended: u64::MAX,
    };
    let opening = Opening {
        tag: OPENING,
        at: AT,
    };
    let paused = Paused {
        queues: vec!["images".into(), "mail".into()],
    };
    vec![
        fixture("fence", Key::FENCE, fence),
        fixture("in_flight", Key::IN_FLIGHT, in_flight),
        fixture("totals", Key::TOTALS, totals),
        fixture("paused", Key::PAUSED, paused),
        fixture("opening", Key::new(Space::Openings, 1_001), opening),
        fixture("closing", Key::CLOSING, Closing { opening: OPENING }),
        fixture(
            "secret",
            Key::SECRET,
            Secret {
                receipts: std::array::from_fn(|n| u8::try_from(n).unwrap()),
            },
        ),
        fixture(
            "clocks",
            Key::CLOCKS,
            Clocks {
                wall: AT,
                steady: Timestamp(AT.0 - 28_800_000),
            },
        ),
    ]
}

fn of_finished_jobs() -> Vec<Fixture> {
    let entry = |key: &str, job, ended| UniqueEntry {
        name: "thumbnail".into(),
        key: key.into(),
        job: JobNumber(job),
        payload_hash: 0xfedc_ba98_7654_3210_0123_4567_89ab_cdef,
        ended,
        sent_hash: ended.map(|_| 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210),
        retention_ms: ended.map(|_| 60_000),
    };
    let unique = UniqueRow {
        entries: vec![entry("photo-7", 2, None), entry("photo-8", 5, Some(AT))],
    };
    let ended = |number, [body, output, cancelled]: [bool; 3]| Ended {
        number: JobNumber(number),
        body,
        output,
        cancelled,
    };
    let successes = Expiring {
        at: AT,
        jobs: vec![
            ended(5, [false, false, false]),
            ended(6, [true, true, false]),
        ],
    };
    let failures = Expiring {
        at: AT,
        jobs: vec![
            ended(7, [true, false, false]),
            ended(10, [false, false, true]),
        ],
    };
    let keys = ExpiringKeys {
        at: AT,
        keys: vec![(0xdead_beef_0000_0001, JobNumber(5))],
    };
    let withdrawn = Withdrawn {
        successes: 1,
        failures: 300,
    };
    let damaged = Damaged {
        at: AT,
        reason: "the row does not match its checksum".into(),
        bytes: vec![1, 2, 3, 4, 5, 6],
    };
    vec![
        fixture("unique", Key::new(Space::Unique, 1 << 63), unique),
        fixture(
            "expiring_successes",
            Key::new(Space::ExpiringSuccesses, 1),
            successes,
        ),
        fixture(
            "expiring_failures",
            Key::new(Space::ExpiringFailures, 2),
            failures,
        ),
        fixture("expiring_keys", Key::new(Space::ExpiringKeys, 3), keys),
        fixture("withdrawn", Key::new(Space::Withdrawn, 7), withdrawn),
        fixture("damaged", Key::new(Space::Damaged, 0), damaged),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

/// The bytes of a fixture's file, which is written first where it is missing and that was asked for.
fn read(fixture: &Fixture) -> Vec<u8> {
    let path = folder().join(fixture.name).with_extension("hex");
    if !path.exists() && std::env::var_os("JOBKEEP_WRITE_FIXTURES").is_some() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(&path, to_hex(&fixture.row)).unwrap();
    }
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("read the fixture {}: {error}", path.display()));
    from_hex(&text)
}

fn to_hex(row: &[u8]) -> String {
    let mut text = String::new();
    for line in row.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_ascii_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn every_record_is_written_as_in_format_1() {
    for fixture in fixtures() {
        let written = to_hex(&read(&fixture));
        assert_eq!(to_hex(&fixture.row), written, "{}", fixture.name);
    }
}

#[test]
fn every_row_of_format_1_is_read() {
    for fixture in fixtures() {
        (fixture.reads_back)(&read(&fixture));
    }
}

#[test]
fn every_fixture_has_its_record() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = fixtures()
        .iter()
        .map(|fixture| format!("{}.hex", fixture.name))
        .collect();
    assert_eq!(files, names);
}
