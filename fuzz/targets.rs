//! What is done with arbitrary bytes. Each function takes them as input of one kind, and panics where
//! jobkeep does something else than to take or refuse them.
//!
//! Shared by the fuzz targets beside this file and by `tests/it/fuzz_corpus.rs`, which runs the corpus.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use jobkeep::testing::ManualClock;
use jobkeep::{Job, Manager, MemoryStore, NewJob, Priority, Queue, QueueStore, Receipt};
use jobkeep_store::{
    Batch, Clocks, Closing, Damaged, Encoded, Expiring, ExpiringKeys, Fence, InFlight, JobRecord,
    Kept, Key, Opening, OpeningTag, Paused, PayloadCodec, Place, Secret, Space, Totals, UniqueRow,
    Withdrawn, decode_value, encode_payload, encode_value, get_typed, open_row,
};
use serde::de::DeserializeOwned;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};

/// A row: as it stands, and as the body of one whose checksum is right, under the key that its first
/// bytes say.
pub fn rows(bytes: &[u8]) {
    let (head, body) = bytes.split_at(bytes.len().min(2));
    let [space, number] = *head else { return };
    let spaces = Space::ALL.len();
    let space = Space::ALL[usize::from(space) % spaces];
    let key = Key::new(space, number.into());
    let sealed = Encoded::new(&Raw(body)).unwrap().seal(key);
    for row in [body, &sealed[..]] {
        record::<Fence>(key, row);
        record::<InFlight>(key, row);
        record::<Totals>(key, row);
        record::<Paused>(key, row);
        record::<Closing>(key, row);
        record::<Secret>(key, row);
        record::<Opening>(key, row);
        record::<JobRecord>(key, row);
        record::<UniqueRow>(key, row);
        record::<Expiring>(key, row);
        record::<ExpiringKeys>(key, row);
        record::<Clocks>(key, row);
        record::<Withdrawn>(key, row);
        record::<Damaged>(key, row);
        let _ = open_row::<Place<'_>>(key, row);
    }
    let _ = Key::from_bytes(bytes);
}

/// What is read is no more than what was there, whatever lengths it claims, and writes as itself.
fn record<T: Serialize + DeserializeOwned + PartialEq + Debug>(key: Key, row: &[u8]) {
    if let Ok(record) = open_row::<T>(key, row) {
        let again = Encoded::new(&record).unwrap();
        assert!(again.row_bytes() <= row.len(), "{record:?}");
        assert_eq!(open_row::<T>(key, &again.seal(key)).unwrap(), record);
    }
}

/// A body as it is: bytes without a length before them.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for byte in self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

/// The text of a receipt. One that is taken has that text and no other.
pub fn receipts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(receipt) = text.parse::<Receipt>() {
        assert_eq!(receipt.to_string().parse::<Receipt>().unwrap(), receipt);
        assert!(receipt.server().len() <= text.len());
    }
}

/// All that a payload may be made of, itself included.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Number(i64),
    Big(u128),
    Real(f32),
    Text(String),
    Letter(char),
    Bytes(Vec<u8>),
    Pair(Box<(Shape, Shape)>),
    Maybe(Option<Box<Shape>>),
    Many(Vec<Shape>),
    Named { name: String, flag: bool },
    Map(std::collections::BTreeMap<String, u16>),
}

#[derive(Serialize, Deserialize)]
struct Load(Shape);

impl Job for Load {
    const NAME: &'static str = "load";
    type Output = ();
}

/// The payload of a job, in either codec: it runs or is parked, and disturbs nobody.
pub fn payloads(bytes: &[u8]) {
    if let Ok(shape) = decode_value::<Shape>(bytes) {
        assert!(encode_value(&shape).unwrap().len() <= bytes.len());
    }
    let Some((codec, payload)) = bytes.split_first() else {
        return;
    };
    let (codec, payload) = match codec % 2 {
        0 => (PayloadCodec::Json, payload.to_vec()),
        _ => (
            PayloadCodec::Bincode,
            [&shape_of(payload), payload].concat(),
        ),
    };
    let store = MemoryStore::new();
    let builder = || Manager::builder(store.clone()).handle::<Load>(|_, _| Ok(()));
    let kit = builder().start_for_tests().unwrap();
    let receipt = kit.enqueue(Load(Shape::Nothing)).unwrap();
    kit.shutdown(Duration::ZERO).unwrap();

    let key = Key::live(receipt.number());
    let mut job: JobRecord = get_typed(&store, key).unwrap().unwrap();
    job.payload = Kept::Inline(payload);
    job.codec = codec;
    let fence = store.identity().unwrap().fence.unwrap();
    let opening = Fence {
        opening: OpeningTag(1),
        commit: fence.commit + 1,
        ..fence
    };
    let mut batch = Batch::opening(opening, Some(fence.opening));
    batch.put(key, Encoded::new(&job).unwrap());
    store.commit(&batch).unwrap();

    let kit = builder().start_for_tests().unwrap();
    assert_eq!(kit.drain("default").unwrap().len(), 1);
    let counts = kit.counts().unwrap();
    assert_eq!(counts.parked + counts.succeeded, 1);
    kit.shutdown(Duration::ZERO).unwrap();
}

/// What stands before a payload in bincode, where these bytes begin with one.
fn shape_of(bytes: &[u8]) -> [u8; 4] {
    let load = decode_value::<Load>(bytes).ok();
    let encoded = load.and_then(|load| encode_payload(&load, &[]).ok());
    let shape = encoded.and_then(|bytes| bytes.first_chunk().copied());
    shape.unwrap_or_default()
}

/// A job's options and a queue's: each is refused as a value, or the job is accepted.
pub fn options(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut number = || {
        let mut taken = [0; 8];
        taken.fill_with(|| bytes.next().unwrap_or_default());
        // All sizes, the extremes among them.
        u64::from_le_bytes(taken) >> (taken[0] % 64)
    };
    let span = |number: u64| match number % 3 {
        0 => Duration::from_millis(number),
        1 => Duration::from_nanos(number),
        _ => Duration::from_secs(number),
    };
    let text = |number: u64| "k".repeat(usize::try_from(number % 600).unwrap_or(0));
    let queue = Queue::new("default")
        .timeout(span(number()))
        .substitutes(usize::try_from(number() % 4).unwrap_or(0))
        .hand_over(usize::try_from(number()).unwrap_or(usize::MAX));
    let builder = Manager::builder(MemoryStore::new())
        .handle::<Load>(|_, _| Ok(()))
        .clock(ManualClock::new())
        .queue(queue)
        .key_retention(span(number()))
        .probation(span(number()))
        .server(text(number()));
    let Ok(kit) = builder.start_for_tests() else {
        return;
    };
    let mut job = NewJob::new(Load(Shape::Nothing));
    let chosen = number();
    if chosen & 1 > 0 {
        job = job.queue(text(number()));
    }
    if chosen & 2 > 0 {
        job = job.priority(Priority::Urgent).delay(span(number()));
    }
    if chosen & 4 > 0 {
        let moment = SystemTime::UNIX_EPOCH.checked_add(span(number()));
        job = job.run_at(moment.unwrap_or(SystemTime::UNIX_EPOCH));
    }
    if chosen & 8 > 0 {
        job = job.key(text(number()));
    }
    if chosen & 16 > 0 {
        job = job.attempts(u32::try_from(number()).unwrap_or(u32::MAX));
    }
    if chosen & 32 > 0 {
        job = job.backoff(span(number()), span(number()));
    }
    if chosen & 64 > 0 {
        job = job.timeout(span(number()));
    }
    if let Ok(receipt) = kit.enqueue(job) {
        kit.status(&receipt).unwrap();
        kit.drain("default").unwrap();
    }
    kit.shutdown(Duration::ZERO).unwrap();
}
