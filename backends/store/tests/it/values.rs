use std::collections::BTreeMap;

use jobkeep_store::{AttemptEnd, Kept, decode_value, encode_value};
use serde::{Deserialize, Serialize};

/// Numbers grow when they are decoded, and a limit on the decoded size would refuse these.
#[test]
fn a_value_that_grows_on_decoding_is_read_back() {
    let unit = if cfg!(miri) { 1 << 10 } else { 1 << 20 };
    let many = vec![1_u64; 9 * unit];
    let bytes = encode_value(&many).unwrap();
    assert!(bytes.len() < 10 * unit);
    assert!(decode_value::<Vec<u64>>(&bytes).unwrap() == many);
}

/// With 2^60 bytes claimed, making room first would end the process.
#[test]
fn a_value_cannot_claim_more_bytes_than_there_are() {
    // The prefix of a length in eight bytes, then the length.
    let mut claim = vec![253];
    claim.extend((1_u64 << 60).to_le_bytes());
    let refused = [
        decode_value::<String>(&claim).unwrap_err(),
        decode_value::<Vec<String>>(&[&[1], &*claim].concat()).unwrap_err(),
        decode_value::<Option<Box<str>>>(&[&[1], &*claim].concat()).unwrap_err(),
        decode_value::<Kept>(&[&[0], &*claim].concat()).unwrap_err(),
        decode_value::<AttemptEnd>(&[&[1, 1], &*claim].concat()).unwrap_err(),
        decode_value::<BTreeMap<String, u8>>(&[&[1], &*claim].concat()).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(
            error.to_string(),
            "the bytes do not decode: UnexpectedEnd { additional: 1152921504606846976 }"
        );
    }
}

#[test]
fn values_of_every_shape_are_read_back() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Newtype(String),
        Tuple(i8, i16, i32, i64, i128, char),
        Struct {
            text: Option<String>,
            nested: Box<Shape>,
        },
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Unit;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        unit: Unit,
        shapes: Vec<Shape>,
        map: BTreeMap<String, (u8, u16, u32, u64, u128)>,
        floats: [f64; 2],
        float: f32,
        truth: bool,
        nothing: Option<String>,
    }
    let all = All {
        unit: Unit,
        shapes: vec![
            Shape::Unit,
            Shape::Newtype("text".into()),
            Shape::Tuple(
                i8::MIN,
                i16::MIN,
                i32::MIN,
                i64::MIN,
                i128::MIN,
                '\u{10ffff}',
            ),
            Shape::Struct {
                text: Some(String::new()),
                nested: Box::new(Shape::Unit),
            },
        ],
        map: BTreeMap::from([
            ("low".into(), (0, 0, 0, 0, 0)),
            (
                "high".into(),
                (u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX),
            ),
        ]),
        floats: [f64::MIN, f64::EPSILON],
        float: f32::MAX,
        truth: true,
        nothing: None,
    };
    let bytes = encode_value(&all).unwrap();
    assert_eq!(decode_value::<All>(&bytes).unwrap(), all);
    for cut in 0..bytes.len() {
        assert!(decode_value::<All>(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn text_may_be_borrowed_from_the_bytes() {
    let bytes = encode_value(&("borrowed", 7_u8)).unwrap();
    let (text, number): (&str, u8) = decode_value(&bytes).unwrap();
    assert_eq!((text, number), ("borrowed", 7));
}

#[test]
fn the_fields_at_the_front_are_read_alone() {
    let bytes = encode_value(&(1_u8, "front", vec!["back"])).unwrap();
    assert_eq!(
        decode_value::<(u8, String)>(&bytes).unwrap(),
        (1, "front".into())
    );
}

/// Two bytes a level were enough to overflow the stack, which no handler catches: the process ended.
#[test]
fn a_value_nested_without_end_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Nested {
        End,
        Seq(Vec<Nested>),
        Maybe(Option<Box<Nested>>),
    }
    for level in [[1, 1], [2, 1]] {
        let error = decode_value::<Nested>(&level.repeat(1_000_000)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the bytes do not decode: OtherString(\"the value is nested deeper than 128 levels\")"
        );
    }
    let nested = (0..30).fold(Nested::End, |nested, _| {
        Nested::Maybe(Some(Box::new(Nested::Seq(vec![nested]))))
    });
    let bytes = encode_value(&nested).unwrap();
    assert_eq!(decode_value::<Nested>(&bytes).unwrap(), nested);
}
