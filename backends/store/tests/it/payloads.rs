//! Values of other people's types.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use jobkeep_store::{decode_payload, decode_value, encode_payload, encode_value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(String),
    Tuple(i8, u16, char),
    Struct {
        text: Option<String>,
        next: Box<Shape>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct All {
    shapes: Vec<Shape>,
    map: HashMap<(u8, u8), BTreeMap<String, u128>>,
    float: f64,
    nothing: Option<()>,
    bytes: serde_bytes::ByteBuf,
}

fn all() -> All {
    All {
        shapes: vec![
            Shape::Unit,
            Shape::Tuple(-1, 2, 'c'),
            Shape::Struct {
                text: Some("text".into()),
                next: Box::new(Shape::Newtype("name".into())),
            },
        ],
        map: (0..9)
            .map(|n| ((n, n), BTreeMap::from([(n.to_string(), u128::MAX)])))
            .collect(),
        float: f64::INFINITY,
        nothing: Some(()),
        bytes: serde_bytes::ByteBuf::from(vec![0, 255]),
    }
}

fn back<T: Serialize + DeserializeOwned, A: DeserializeOwned>(value: &T) -> Result<A, String> {
    let bytes = encode_payload(value, &[]).map_err(|error| error.to_string())?;
    decode_payload(&bytes).map_err(|error| error.to_string())
}

#[test]
fn a_payload_is_read_back_whole_or_not_at_all() {
    let bytes = encode_payload(&all(), &[]).unwrap();
    assert_eq!(decode_payload::<All>(&bytes).unwrap(), all());
    for cut in 0..bytes.len() {
        assert!(
            decode_payload::<All>(&bytes[..cut]).is_err(),
            "cut at {cut}"
        );
    }
    let longer = [&*bytes, &[0]].concat();
    assert!(decode_payload::<All>(&longer).is_err());
    for place in 0..4 {
        let mut other = bytes.clone();
        other[place] ^= 1;
        assert!(decode_payload::<All>(&other).is_err(), "other at {place}");
    }
}

/// What is known is not read again, and has the same fingerprint.
#[test]
fn a_payload_that_is_known_is_the_same() {
    let shapes = all().shapes;
    let bytes = encode_payload(&shapes, &[]).unwrap();
    assert_eq!(encode_payload(&shapes, &bytes).unwrap(), bytes);
    let others = vec![Shape::Unit];
    assert_eq!(
        encode_payload(&others, &bytes).unwrap(),
        encode_payload(&others, &[]).unwrap()
    );
}

/// It is on disk.
#[test]
fn the_fingerprint_stays_as_it_is() {
    let shape = |bytes: Vec<u8>| bytes[..4].to_vec();
    let shapes = encode_payload(&all().shapes, &[]).unwrap();
    let nothing = encode_payload(&(), &[]).unwrap();
    assert_eq!(nothing, [0; 4]);
    assert_eq!(shape(shapes), [193, 129, 228, 12]);
    assert_eq!(
        shape(encode_payload(&1_u8, &[]).unwrap()),
        [113, 57, 50, 79]
    );
}

/// The kinds of numbers, the names and the order of fields and variants.
#[test]
fn another_shape_does_not_read_a_payload() {
    macro_rules! pairs {
        ($($written:expr => $read:ty;)+) => {
            $({
                let error = back::<_, $read>(&$written).unwrap_err();
                assert!(error.starts_with("the bytes "), "{error}");
            })+
        };
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum First {
        New,
        Unit,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Named {
        a: u8,
        b: u8,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Swapped {
        b: u8,
        a: u8,
    }
    pairs! {
        5_u32 => u64;
        5_u32 => i32;
        1_u8 => bool;
        1_u8 => i8;
        1.5_f32 => u32;
        vec![1_u8] => String;
        vec![1_u8] => serde_bytes::ByteBuf;
        vec![(1_u8, 2_u8)] => BTreeMap<u8, u8>;
        (1_u8, 2_u8, 3_u8) => (u8, (u8, u8));
        [1_u8, 2] => Named;
        Named { a: 1, b: 2 } => Swapped;
        Shape::Unit => First;
        Some(1_u8) => (bool, u8);
        All { shapes: Vec::new(), ..all() } => (Vec<Shape>, HashMap<(u8, u8), BTreeMap<String, u128>>, f64, Option<()>, serde_bytes::ByteBuf);
    }
}

/// What stands around a value without a byte, and variants that are not chosen.
#[test]
fn a_shape_may_be_wrapped_and_renamed() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(u32);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Later {
        Unit,
        Newtype(Box<str>),
        Other,
    }
    fn same<T, A>(written: &T, read: &A)
    where
        T: Serialize + DeserializeOwned,
        A: DeserializeOwned + PartialEq + Debug,
    {
        assert_eq!(back::<T, A>(written).as_ref(), Ok(read));
    }
    same(&7_u32, &Wrapped(7));
    same(&Box::new(7_usize), &7_u64);
    same(&vec![1_u8, 2], &std::collections::BTreeSet::from([1_u8, 2]));
    same(&Shape::Unit, &Later::Unit);
    same(&Shape::Newtype("n".into()), &Later::Newtype("n".into()));
}

#[test]
fn a_value_that_does_not_come_back_is_refused() {
    #[derive(Serialize, Deserialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        maybe: Option<u8>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Silent {
        #[serde(skip_deserializing)]
        number: u8,
    }
    let refused = |error: jobkeep_store::RowError| error.to_string();
    assert_eq!(
        refused(encode_payload(&Sparse { maybe: None }, &[]).unwrap_err()),
        "the value cannot be read back: the bytes do not decode: UnexpectedEnd { additional: 1 }"
    );
    assert!(encode_payload(&Sparse { maybe: Some(1) }, &[]).is_ok());
    assert_eq!(
        refused(encode_payload(&Silent { number: 1 }, &[]).unwrap_err()),
        "the value cannot be read back: 1 of the bytes are left over"
    );
    // A record is read as far as it is known.
    let bytes = encode_value(&(1_u8, 2_u8)).unwrap();
    assert_eq!(decode_value::<u8>(&bytes).unwrap(), 1);
}

/// bincode has no names: where a field or a variant is skipped, other bytes may stand where it is read.
#[test]
fn a_value_that_comes_back_as_another_one_is_refused() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        maybe: Option<u8>,
        number: u8,
        bytes: Vec<u8>,
    }
    #[derive(Serialize, Deserialize)]
    #[expect(dead_code, reason = "it is read, and not written")]
    struct Secret {
        #[serde(skip_serializing)]
        number: u8,
        bytes: Vec<u8>,
    }
    #[derive(Serialize, Deserialize)]
    enum Chosen {
        #[serde(skip)]
        Internal,
        First,
        Second,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Aliased {
        #[serde(alias = "first", alias = "one")]
        First,
        #[serde(rename(serialize = "written", deserialize = "read"))]
        Second(u8),
    }
    fn refused<T: Serialize + DeserializeOwned>(value: &T) {
        // It decodes, and takes all of the bytes.
        let bytes = encode_value(value).unwrap();
        let read: T = decode_value(&bytes).unwrap();
        assert_eq!(encode_value(&read).unwrap().len(), bytes.len());
        assert_eq!(
            encode_payload(value, &[]).unwrap_err().to_string(),
            "the value cannot be read back: its type writes other parts than it reads: look for a field \
             or variant that is skipped"
        );
    }
    let sparse = Sparse {
        maybe: None,
        number: 1,
        bytes: vec![3, 0],
    };
    refused(&sparse);
    let maybe = Some(2);
    assert!(encode_payload(&Sparse { maybe, ..sparse }, &[]).is_ok());
    assert!(encode_payload(&Chosen::Internal, &[]).is_err());
    assert!(encode_payload(&Chosen::Second, &[]).is_err());
    refused(&vec![Chosen::First]);
    let secret = Secret {
        number: 0,
        bytes: vec![1, 9],
    };
    let error = encode_payload(&secret, &[]).unwrap_err();
    assert!(error.to_string().contains("skipped"), "{error}");
    for aliased in [Aliased::First, Aliased::Second(7)] {
        assert_eq!(back::<_, Aliased>(&aliased).unwrap(), aliased);
    }
}
