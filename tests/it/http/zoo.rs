//! Types as people write them, on every way that a value takes: it is refused at the door, or it runs,
//! ends, and is read back everywhere, as the same value or as the one that the list says.

#![allow(
    clippy::option_option,
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    dead_code,
    reason = "such types are in the zoo because people write them"
)]

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use jobkeep::http::{Client, Pool};
use jobkeep::testing::Kit;
use jobkeep::{
    Builder, Codec, Completed, Context, Error, Job, JobError, Manager, MemoryStore, NewJob, Queue,
    Reason, Receipt,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::executing::{serving, to};
use super::wire::{Told, started};

/// What becomes of a value.
enum Fate<T> {
    Same,
    /// What its type makes of it.
    As(T),
    Refused,
}
use Fate::{As, Refused, Same};

/// Values, each with its fate in JSON and in bincode.
type Specimens<T> = Vec<(T, Fate<T>, Fate<T>)>;

trait Animal: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    const NAME: &'static str;

    fn specimens() -> Specimens<Self>;
}

trait Encoding: Send + Sync + 'static {
    const CODEC: Codec;

    fn fate<T>(json: Fate<T>, bincode: Fate<T>) -> Fate<T>;
}

struct InJson;

impl Encoding for InJson {
    const CODEC: Codec = Codec::Json;

    fn fate<T>(json: Fate<T>, _: Fate<T>) -> Fate<T> {
        json
    }
}

struct InBincode;

impl Encoding for InBincode {
    const CODEC: Codec = Codec::Bincode;

    fn fate<T>(_: Fate<T>, bincode: Fate<T>) -> Fate<T> {
        bincode
    }
}

/// A job with a value, or with none.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: DeserializeOwned"))]
struct Cage<T, E> {
    held: Vec<T>,
    way: Way,
    #[serde(skip)]
    encoding: PhantomData<fn() -> E>,
}

/// What the job does, mostly with the value of that place in the list of its type.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Way {
    /// It keeps its value on the way and returns it.
    Round,
    Output(usize),
    Left(usize),
    LeftByAnError(usize),
    Checkpoint(usize),
    Follow(usize),
}

impl<T: Animal, E: Encoding> Job for Cage<T, E> {
    const NAME: &'static str = T::NAME;
    const CODEC: Codec = E::CODEC;
    type Output = Vec<T>;
}

fn cage<T, E>(held: Vec<T>, way: Way) -> Cage<T, E> {
    Cage {
        held,
        way,
        encoding: PhantomData,
    }
}

fn run<T: Animal, E: Encoding>(job: &mut Cage<T, E>, ctx: &Context) -> Result<Vec<T>, JobError> {
    let made = |which: usize| vec![T::specimens().swap_remove(which).0];
    let is_first = ctx.attempt() == 1;
    match job.way {
        Way::Round => match ctx.checkpoint(job) {
            Err(error) if error.is_codec() => return Err(error.into()),
            // Or it runs elsewhere, where there are none.
            _ => return Ok(job.held.clone()),
        },
        Way::Output(which) => return Ok(made(which)),
        Way::Left(which) => job.held = made(which),
        Way::LeftByAnError(which) if is_first => {
            job.held = made(which);
            return Err(JobError::new("once more"));
        }
        Way::Checkpoint(which) if is_first => {
            job.held = made(which);
            let checkpoint = ctx.checkpoint(job);
            job.held.clear();
            refused(checkpoint)?;
            // A panic of which no hook hears.
            resume_unwind(Box::new("after the checkpoint"));
        }
        Way::Follow(which) => refused(ctx.enqueue(cage::<T, E>(made(which), Way::Round)))?,
        Way::LeftByAnError(_) | Way::Checkpoint(_) => return Ok(job.held.clone()),
    }
    Ok(Vec::new())
}

fn refused(asked: Result<(), Error>) -> Result<(), JobError> {
    asked.map_err(|error| {
        assert!(error.is_codec(), "{error}");
        JobError::permanent("refused")
    })
}

/// Where the values go.
struct Hosts {
    kit: Kit,
    client: Client,
    _told: [Told; 2],
    _executor: Manager,
}

impl Hosts {
    fn new(register: fn(Builder) -> Builder) -> Self {
        let executors = Manager::builder(MemoryStore::new()).executors(1);
        let (executor, away) = serving(register(executors));
        let builder = Manager::builder(MemoryStore::new())
            .queue(Queue::new("default"))
            .queue(Queue::new("away").push_to(to(&away)));
        let kit = register(builder).start_for_tests().unwrap();
        let told = started(&kit, |server| server.depth_limit(200));
        let pool = Pool::host(format!("http://{}", told.serving.address()));
        Self {
            kit,
            client: Client::builder(pool).build().unwrap(),
            _told: [told, away],
            _executor: executor,
        }
    }

    /// What is wrong with the type's values.
    fn visit<T: Animal, E: Encoding>(&self, wrong: &mut Vec<String>) {
        for (which, (value, json, bincode)) in T::specimens().into_iter().enumerate() {
            let what = format!("{} {value:?} in {:?}", T::NAME, E::CODEC);
            let expected = match E::fate(json, bincode) {
                Same => Some(format!("{:?}", [&value])),
                As(other) => Some(format!("{:?}", [other])),
                Refused => None,
            };
            let one = Specimen::<T, E> {
                hosts: self,
                what,
                expected,
                value,
                encoding: PhantomData,
            };
            let asked = AssertUnwindSafe(|| {
                one.enters();
                one.comes_from_within(which);
            });
            wrong.extend(catch_unwind(asked).err().map(text));
        }
    }
}

fn text(panic: Box<dyn Any + Send>) -> String {
    *panic.downcast::<String>().unwrap_or_default()
}

struct Specimen<'a, T, E> {
    hosts: &'a Hosts,
    what: String,
    /// Its text, where it is taken.
    expected: Option<String>,
    value: T,
    encoding: PhantomData<E>,
}

impl<T: Animal, E: Encoding> Specimen<'_, T, E> {
    fn enters(&self) {
        let Hosts { kit, client, .. } = self.hosts;
        let job = || cage::<T, E>(vec![self.value.clone()], Way::Round);
        let doors = [
            ("enqueue", "default", kit.enqueue(job())),
            ("client", "default", client.enqueue(job())),
            (
                "push",
                "away",
                kit.enqueue(NewJob::new(job()).queue("away")),
            ),
        ];
        for (door, queue, accepted) in doors {
            let what = format!("{door} {}", self.what);
            match (accepted, &self.expected) {
                (Err(error), None) => assert!(error.is_codec(), "{what}: {error}"),
                (Ok(receipt), Some(expected)) => {
                    kit.drain(queue).unwrap();
                    for done in [kit.completed(&receipt), client.completed(&receipt)] {
                        let done = done.unwrap();
                        let done = done.unwrap_or_else(|| panic!("{what}: it has not ended"));
                        came_back(&what, &done, expected);
                    }
                }
                (Err(error), Some(_)) => panic!("{what}: {error}"),
                (Ok(_), None) => panic!("{what}: it is taken"),
            }
        }
    }

    fn comes_from_within(&self, which: usize) {
        for (queue, way) in [
            ("default", Way::Output(which)),
            ("default", Way::Left(which)),
            ("default", Way::LeftByAnError(which)),
            ("default", Way::Checkpoint(which)),
            ("default", Way::Follow(which)),
            ("away", Way::Output(which)),
            ("away", Way::Left(which)),
            ("away", Way::LeftByAnError(which)),
        ] {
            let what = format!("{way:?} {queue} {}", self.what);
            let (receipt, ran) = self.after(queue, way);
            let done = self.hosts.kit.completed(&receipt).unwrap();
            let done = done.unwrap_or_else(|| panic!("{what}: it has not ended"));
            let Some(expected) = &self.expected else {
                let failure = done.output().unwrap_err();
                assert_eq!(failure.reason(), Reason::Permanent, "{what}: {failure}");
                let told = ["read back", "refused", "encoded", "encode the"];
                let is_told = told.iter().any(|told| failure.message().contains(told));
                assert!(is_told, "{what}: {failure}");
                assert!(done.job().unwrap().held.is_empty(), "{what}");
                continue;
            };
            let output = format!("{:?}", done.output().unwrap());
            let left = format!("{:?}", done.job().unwrap().held);
            match way {
                Way::Output(_) => assert_eq!((&*left, &output), ("[]", expected), "{what}"),
                Way::Left(_) => assert_eq!((&left, &*output), (expected, "[]"), "{what}"),
                Way::Follow(_) => {
                    let next = self.hosts.kit.completed(&ran[1].clone().typed());
                    came_back::<T, E>(&what, &next.unwrap().unwrap(), expected);
                }
                _ => came_back(&what, &done, expected),
            }
        }
    }

    /// The job after all of its attempts, each of which is told.
    fn after(&self, queue: &str, way: Way) -> (Receipt<Cage<T, E>>, Vec<Receipt>) {
        let job = NewJob::new(cage::<T, E>(Vec::new(), way))
            .queue(queue)
            .backoff(Duration::ZERO, Duration::ZERO);
        let receipt = self.hosts.kit.enqueue(job).unwrap();
        (receipt, self.hosts.kit.drain(queue).unwrap())
    }
}

fn came_back<T: Animal, E: Encoding>(what: &str, done: &Completed<Cage<T, E>>, expected: &str) {
    let output = done
        .output()
        .unwrap_or_else(|failure| panic!("{what}: {failure}"));
    assert_eq!(format!("{output:?}"), expected, "{what}: its output");
    let held = &done.job().unwrap().held;
    assert_eq!(format!("{held:?}"), expected, "{what}: what it left");
}

/// Types with their values, under their own names.
macro_rules! zoo {
    ($($name:ident: $specimens:expr;)+) => {
        $(impl Animal for $name {
            const NAME: &'static str = stringify!($name);

            fn specimens() -> Specimens<Self> {
                $specimens
            }
        })+

        #[test]
        fn every_value_is_refused_at_the_door_or_read_back_everywhere() {
            fn register<E: Encoding>(builder: Builder) -> Builder {
                builder$(.handle::<Cage<$name, E>>(run))+
            }
            let mut wrong = Vec::new();
            let (json, bincode) = (Hosts::new(register::<InJson>), Hosts::new(register::<InBincode>));
            $(
                json.visit::<$name, InJson>(&mut wrong);
                bincode.visit::<$name, InBincode>(&mut wrong);
            )+
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    };
}

macro_rules! types {
    ($($type:item)+) => {
        $(#[derive(Clone, Debug, Serialize, Deserialize)] $type)+
    };
}

types! {
    struct Plain { number: i64, text: String, maybe: Option<u8>, pair: (bool, char) }
    enum External { Unit, Newtype(Box<External>), Tuple(u8, i16), Struct { a: f32 } }
    struct Standard {
        for_ever: Duration,
        tried: Result<u8, String>,
        address: IpAddr,
        big: (u128, i128),
        nothing: (),
        map: BTreeMap<u32, Option<String>>,
    }
    struct Sparse { #[serde(skip_serializing_if = "Option::is_none")] maybe: Option<u8>, number: u8, bytes: Vec<u8> }
    struct Defaulted { #[serde(default, skip_serializing_if = "Vec::is_empty")] many: Vec<u8> }
    struct Inner { a: u8 }
    struct Flat { b: u8, #[serde(flatten)] inner: Inner }
    #[serde(untagged)]
    enum Untagged { Number(u32), Text(String), Struct { a: u8 } }
    #[serde(tag = "type")]
    enum Tagged { Unit, Struct { a: Option<u8> }, Newtype(Inner) }
    #[serde(tag = "type", content = "of")]
    enum Adjacent { Unit, Newtype(f64), Tuple(u8, u8) }
    struct Json(Value);
    struct Raw(Box<RawValue>);
    #[serde(tag = "type")]
    enum BigTagged { Big { n: u128 }, Address { of: IpAddr } }
    #[serde(untagged)]
    enum BigUntagged { Big(i128) }
    struct FlatKeys { #[serde(flatten)] more: BTreeMap<u32, u8> }
    struct Twice { a: u8, #[serde(flatten)] inner: Inner }
    struct Kinds { kind: String }
    #[serde(tag = "kind")]
    enum TagIsField { Of(Kinds) }
    struct At { #[serde(with = "seconds", skip_serializing_if = "Option::is_none")] at: Option<i64> }
    struct Login { user: String, #[serde(skip_serializing)] password: String }
    struct Nested(Option<Option<u8>>);
    struct MaybeNothing(Option<()>);
    struct MaybeReal(Option<f64>);
    struct Real(f64, f32);
    struct TupleKeys(HashMap<(u8, u8), u8>);
    struct File { path: PathBuf }
    #[serde(untagged)]
    enum Ambiguous { Small { a: u8 }, Big { a: u8, b: u8 } }
    struct Cached { n: u8, #[serde(skip)] cache: Vec<u8> }
    struct Rounded(#[serde(with = "whole")] f64);
    struct Nest(Vec<Nest>);
    struct Chain(Option<Box<Chain>>);
    enum Chosen { #[serde(skip)] Internal, First, #[serde(alias = "2nd")] Second(u8), Third }
    struct Renamed { #[serde(rename(serialize = "before", deserialize = "after"))] a: u8 }
    #[serde(deny_unknown_fields)]
    struct Denying { a: u8, #[serde(skip_deserializing)] b: u8 }
    #[serde(try_from = "String", into = "String")]
    struct Spelt(u8);
    struct Bytes(#[serde(with = "serde_bytes")] Vec<u8>);
    struct Nothing;
}

/// Written as text and read as whatever comes, as decimal numbers are.
#[derive(Clone, Debug)]
struct Decimal(String);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl serde::de::Visitor<'_> for Any {
            type Value = Decimal;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }

            fn visit_str<F: serde::de::Error>(self, text: &str) -> Result<Decimal, F> {
                Ok(Decimal(text.into()))
            }
        }
        from.deserialize_any(Any)
    }
}

/// A moment as seconds, where there is one.
mod seconds {
    use super::*;

    pub(super) fn serialize<S: Serializer>(at: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
        at.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
        Option::deserialize(from)
    }
}

/// Without what stands behind the point.
mod whole {
    use super::*;

    #[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
    pub(super) fn serialize<S: Serializer>(real: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(*real as i64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        i32::try_from(i64::deserialize(from)?)
            .map(f64::from)
            .map_err(not)
    }

    fn not<F: serde::de::Error>(cause: impl Display) -> F {
        F::custom(cause)
    }
}

impl TryFrom<String> for Spelt {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // It takes fewer than it gives.
        format!("2{text}").parse::<u8>()?;
        text.parse().map(Self)
    }
}

impl From<Spelt> for String {
    fn from(Spelt(number): Spelt) -> Self {
        number.to_string()
    }
}

fn nest(levels: usize) -> Nest {
    (1..levels).fold(Nest(Vec::new()), |nest, _| Nest(vec![nest]))
}

fn chain(levels: usize) -> Chain {
    (0..levels).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain))))
}

fn raw(text: &str) -> Raw {
    Raw(RawValue::from_string(text.into()).unwrap())
}

#[cfg(unix)]
fn file(name: &[u8]) -> File {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::OsStr::from_bytes(name).into();
    File { path }
}

zoo! {
    Plain: vec![(
        Plain { number: i64::MIN, text: "\u{0}\"\u{10ffff}".into(), maybe: Some(0), pair: (true, '\u{fffd}') },
        Same, Same,
    )];
    External: vec![
        (External::Unit, Same, Same),
        (External::Newtype(Box::new(External::Tuple(1, -1))), Same, Same),
        (External::Struct { a: 0.1 }, Same, Same),
        (External::Struct { a: f32::NAN }, Refused, Same),
    ];
    Standard: vec![(
        Standard {
            for_ever: Duration::MAX,
            tried: Err("no".into()),
            address: "::1".parse().unwrap(),
            big: (u128::MAX, i128::MIN),
            nothing: (),
            map: BTreeMap::from([(7, None), (8, Some(String::new()))]),
        },
        Same, Same,
    )];
    Sparse: vec![
        (Sparse { maybe: Some(1), number: 1, bytes: vec![3, 0] }, Same, Same),
        // bincode would read another value.
        (Sparse { maybe: None, number: 1, bytes: vec![3, 0] }, Same, Refused),
        (Sparse { maybe: None, number: 1, bytes: Vec::new() }, Same, Refused),
    ];
    Defaulted: vec![
        (Defaulted { many: vec![1] }, Same, Same),
        (Defaulted { many: Vec::new() }, Same, Refused),
    ];
    Flat: vec![(Flat { b: 1, inner: Inner { a: 2 } }, Same, Refused)];
    Untagged: vec![
        (Untagged::Number(7), Same, Refused),
        (Untagged::Text("7".into()), Same, Refused),
        (Untagged::Struct { a: 7 }, Same, Refused),
    ];
    Tagged: vec![
        (Tagged::Unit, Same, Refused),
        (Tagged::Struct { a: None }, Same, Refused),
        (Tagged::Newtype(Inner { a: 1 }), Same, Refused),
    ];
    Adjacent: vec![
        (Adjacent::Unit, Same, Refused),
        (Adjacent::Newtype(0.1), Same, Refused),
        (Adjacent::Newtype(f64::NAN), Refused, Refused),
        (Adjacent::Tuple(1, 2), Same, Refused),
    ];
    Json: vec![
        (Json(json!({"a": [null, 1.5, "text"]})), Same, Refused),
        (Json(Value::Null), Same, Refused),
    ];
    Raw: vec![(raw(r#"{"a":[1e400,"\ud83d\ude00"]}"#), Same, Refused)];
    Decimal: vec![(Decimal("1.10".into()), Same, Refused)];
    BigTagged: vec![
        (BigTagged::Big { n: 5 }, Refused, Refused),
        (BigTagged::Address { of: "127.0.0.1".parse().unwrap() }, Same, Refused),
    ];
    BigUntagged: vec![(BigUntagged::Big(5), Refused, Refused)];
    FlatKeys: vec![(FlatKeys { more: BTreeMap::from([(7, 7)]) }, Refused, Refused)];
    Twice: vec![(Twice { a: 1, inner: Inner { a: 2 } }, Refused, Refused)];
    TagIsField: vec![(TagIsField::Of(Kinds { kind: "k".into() }), Refused, Refused)];
    At: vec![
        (At { at: Some(7) }, Same, Same),
        (At { at: None }, Refused, Refused),
    ];
    Login: vec![(Login { user: "u".into(), password: "p".into() }, Refused, Refused)];
    Nested: vec![
        (Nested(None), Same, Same),
        (Nested(Some(None)), As(Nested(None)), Same),
        (Nested(Some(Some(1))), Same, Same),
    ];
    MaybeNothing: vec![(MaybeNothing(Some(())), As(MaybeNothing(None)), Same)];
    MaybeReal: vec![
        (MaybeReal(Some(f64::NAN)), As(MaybeReal(None)), Same),
        (MaybeReal(Some(0.1)), Same, Same),
    ];
    Real: vec![
        (Real(f64::NAN, 0.0), Refused, Same),
        (Real(0.0, f32::NEG_INFINITY), Refused, Same),
        (Real(0.922_985_673_580_006_9, 0.1), Same, Same),
        (Real(-0.0, f32::MIN_POSITIVE), Same, Same),
        (Real(f64::MAX, f32::MAX), Same, Same),
        (Real(5e-324, 1e-45), Same, Same),
    ];
    TupleKeys: vec![(TupleKeys(HashMap::from([((1, 2), 3)])), Refused, Same)];
    File: vec![
        (file(b"photo.jpg"), Same, Same),
        (file(b"photo\xff.jpg"), Refused, Refused),
    ];
    Ambiguous: vec![(Ambiguous::Big { a: 1, b: 2 }, As(Ambiguous::Small { a: 1 }), Refused)];
    Cached: vec![(
        Cached { n: 1, cache: vec![1] },
        As(Cached { n: 1, cache: Vec::new() }),
        As(Cached { n: 1, cache: Vec::new() }),
    )];
    Rounded: vec![(Rounded(1.9), As(Rounded(1.0)), As(Rounded(1.0)))];
    Nest: vec![
        (nest(60), Same, Same),
        (nest(125), Same, Refused),
        (nest(127), Refused, Refused),
        (nest(200), Refused, Refused),
    ];
    Chain: vec![
        (chain(60), As(chain(0)), Same),
        (chain(200), As(chain(0)), Refused),
    ];
    Chosen: vec![
        (Chosen::First, Same, Refused),
        (Chosen::Second(1), Same, Refused),
        (Chosen::Third, Same, Refused),
        (Chosen::Internal, Refused, Refused),
    ];
    Renamed: vec![(Renamed { a: 1 }, Refused, Same)];
    Denying: vec![(Denying { a: 1, b: 2 }, Refused, Refused)];
    Spelt: vec![
        (Spelt(55), Same, Same),
        (Spelt(56), Refused, Refused),
    ];
    Bytes: vec![(Bytes(vec![0, 255]), Same, Same)];
    Nothing: vec![(Nothing, Same, Same)];
}
