//! A hash of a job's value that does not depend on how it is encoded: two jobs of one idempotency key
//! are the same if it is.
//!
//! What it takes for the same is what JSON writes alike, but for the order of maps and of lists: serde
//! hands sets over as lists.

use std::hash::Hasher;

use serde::de::value::Error;
use serde::ser::{self, Serialize};
use serde_json::{Map, Value};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::{Codec, Job};

/// What a job's value is apart from the fields that its type fills in by itself: one that is added with
/// `#[serde(default)]` leaves it as it was.
pub(crate) fn of_job<J: Job>(job: &J, payload: &[u8]) -> Result<u128, String> {
    let is_read = J::CODEC == Codec::Json;
    let of = |job: &J, without: &[u128]| {
        let digest = Digest { is_read, without };
        job.serialize(digest).map_err(|cause| cause.to_string())
    };
    let whole = of(job, &[])?;
    if !is_read {
        return Ok(whole);
    }
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(payload) else {
        return Ok(whole);
    };
    if payload.len().saturating_mul(fields.len()) > TRIED_BYTES {
        return Ok(whole);
    }
    let names: Vec<_> = fields.keys().cloned().collect();
    let mut without = Vec::new();
    for name in names {
        let Some(value) = fields.remove(&name) else {
            continue;
        };
        let rest = serde_json::to_vec(&fields).unwrap_or_default();
        let filled_in = serde_json::from_slice::<J>(&rest).ok();
        if filled_in.is_some_and(|job| of(&job, &[]) == Ok(whole)) {
            without.push(text(&name));
        } else {
            fields.insert(name, value);
        }
    }
    of(job, &without)
}

/// The value is decoded once for each of its fields, as long as that reads no more than this.
const TRIED_BYTES: usize = 256 << 10;

/// Of bytes as they are.
pub(crate) fn of_bytes(bytes: &[u8]) -> u128 {
    leaf(Kind::Bytes, bytes)
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Bool,
    Integer,
    Negative,
    Float,
    Text,
    Bytes,
    List,
    Tuple,
    Map,
}

fn leaf(kind: Kind, bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u8(kind as u8);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

fn text(text: &str) -> u128 {
    leaf(Kind::Text, text.as_bytes())
}

/// Two hashes in their order.
fn pair(one: u128, other: u128) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(&one.to_be_bytes());
    hasher.write(&other.to_be_bytes());
    hasher.finish128().as_u128()
}

/// Makes the hash of one value.
#[derive(Clone, Copy)]
struct Digest<'a> {
    /// As formats for readers have it: types may look otherwise in them.
    is_read: bool,
    /// Hashes of the keys that do not count.
    without: &'a [u128],
}

impl Digest<'_> {
    fn within(self) -> Digest<'static> {
        Digest {
            is_read: self.is_read,
            without: &[],
        }
    }

    fn entry<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Result<u128, Error> {
        Ok(pair(text(key), value.serialize(self.within())?))
    }
}

/// Hashes of what a value holds, on their way to its own.
struct Parts<'a> {
    digest: Digest<'a>,
    kind: Kind,
    /// The variant that it is the value of.
    variant: Option<&'static str>,
    sum: u128,
    count: u64,
    key: Option<u128>,
}

impl<'a> Parts<'a> {
    fn new(digest: Digest<'a>, kind: Kind, variant: Option<&'static str>) -> Self {
        Self {
            digest,
            kind,
            variant,
            sum: 0,
            count: 0,
            key: None,
        }
    }

    fn add(&mut self, key: u128, value: u128) {
        if !self.digest.without.contains(&key) {
            self.sum = self.sum.wrapping_add(pair(key, value));
        }
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.digest.within())?;
        self.add(text(name), value);
        Ok(())
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.digest.within())?;
        // Only the place of a list's element does not count.
        let place = match self.kind {
            Kind::List => 0,
            _ => self.count,
        };
        self.count += 1;
        self.sum = self.sum.wrapping_add(pair(place.into(), value));
        Ok(())
    }

    fn value(&self) -> u128 {
        let value = leaf(self.kind, &self.sum.to_be_bytes());
        let value = pair(self.count.into(), value);
        match self.variant {
            None => value,
            Some(variant) => entry_alone(pair(text(variant), value)),
        }
    }
}

/// A map of one entry.
fn entry_alone(entry: u128) -> u128 {
    pair(0, leaf(Kind::Map, &entry.to_be_bytes()))
}

impl<'a> ser::Serializer for Digest<'a> {
    type Ok = u128;
    type Error = Error;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    fn is_human_readable(&self) -> bool {
        self.is_read
    }

    fn serialize_bool(self, value: bool) -> Result<u128, Error> {
        Ok(leaf(Kind::Bool, &[value.into()]))
    }

    fn serialize_i8(self, value: i8) -> Result<u128, Error> {
        self.serialize_i128(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<u128, Error> {
        self.serialize_i128(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<u128, Error> {
        self.serialize_i128(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<u128, Error> {
        self.serialize_i128(value.into())
    }

    fn serialize_i128(self, value: i128) -> Result<u128, Error> {
        match u128::try_from(value) {
            Ok(value) => self.serialize_u128(value),
            Err(_) => Ok(leaf(Kind::Negative, &value.to_be_bytes())),
        }
    }

    fn serialize_u8(self, value: u8) -> Result<u128, Error> {
        self.serialize_u128(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<u128, Error> {
        self.serialize_u128(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<u128, Error> {
        self.serialize_u128(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<u128, Error> {
        self.serialize_u128(value.into())
    }

    fn serialize_u128(self, value: u128) -> Result<u128, Error> {
        Ok(leaf(Kind::Integer, &value.to_be_bytes()))
    }

    fn serialize_f32(self, value: f32) -> Result<u128, Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<u128, Error> {
        Ok(leaf(Kind::Float, &value.to_bits().to_be_bytes()))
    }

    fn serialize_char(self, value: char) -> Result<u128, Error> {
        Ok(text(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, value: &str) -> Result<u128, Error> {
        Ok(text(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<u128, Error> {
        Ok(of_bytes(value))
    }

    fn serialize_none(self) -> Result<u128, Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u128, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<u128, Error> {
        Ok(leaf(Kind::Null, &[]))
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<u128, Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<u128, Error> {
        Ok(text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<u128, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u128, Error> {
        self.entry(variant, value).map(entry_alone)
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Parts<'a>, Error> {
        Ok(Parts::new(self, Kind::List, None))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Parts<'a>, Error> {
        Ok(Parts::new(self, Kind::Tuple, None))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Parts<'a>, Error> {
        Ok(Parts::new(self, Kind::Tuple, None))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Parts<'a>, Error> {
        Ok(Parts::new(self, Kind::Tuple, Some(variant)))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Parts<'a>, Error> {
        Ok(Parts::new(self, Kind::Map, None))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Parts<'a>, Error> {
        Ok(Parts::new(self, Kind::Map, None))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Parts<'a>, Error> {
        // The fields are not those of the job itself.
        let digest = Digest {
            without: &[],
            ..self
        };
        Ok(Parts::new(digest, Kind::Map, Some(variant)))
    }
}

impl ser::SerializeSeq for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

impl ser::SerializeTuple for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

impl ser::SerializeTupleStruct for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

impl ser::SerializeTupleVariant for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(key.serialize(self.digest.within())?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.digest.within())?;
        let key = self.key.take().unwrap_or_default();
        self.add(key, value);
        Ok(())
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

impl ser::SerializeStructVariant for Parts<'_> {
    type Ok = u128;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<u128, Error> {
        Ok(self.value())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::{Deserialize, Serialize};

    use super::{Digest, Job, Value, of_job};
    use crate::payload;

    fn digest<T: Serialize>(value: &T) -> u128 {
        let (is_read, without) = (true, [].as_slice());
        value.serialize(Digest { is_read, without }).unwrap()
    }

    #[test]
    fn the_order_of_maps_and_sets_does_not_count() {
        let words = ["a", "b", "c", "d", "e", "f"];
        let map = || -> HashMap<_, _> { words.iter().zip(0..).collect() };
        let ordered: BTreeMap<_, _> = words.iter().zip(0..).collect();
        let set = || -> HashSet<_> { words.iter().collect() };
        for _ in 0..20 {
            assert_eq!(digest(&map()), digest(&ordered));
            assert_eq!(digest(&set()), digest(&words.to_vec()));
        }
    }

    #[test]
    fn values_that_differ_otherwise_are_told_apart() {
        let values: Vec<Value> = [
            "null",
            "false",
            "true",
            "0",
            "1",
            "-1",
            "1.0",
            "\"\"",
            "\"1\"",
            "[]",
            "{}",
            "[null]",
            "[[]]",
            "[1]",
            "[1,1]",
            "[1,2]",
            "{\"a\":1}",
            "{\"a\":null}",
            "{\"b\":1}",
            "{\"a\":1,\"b\":2}",
            "{\"a\":2,\"b\":1}",
            "{\"a\":{\"b\":1}}",
            "{\"a\":[1]}",
        ]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
        let digests: HashSet<_> = values.iter().map(digest).collect();
        assert_eq!(digests.len(), values.len());
        assert_ne!(digest(&(1, 2)), digest(&(2, 1)));
        assert_ne!(digest(&[1, 2]), digest(&[2, 1]));
        assert_ne!(digest(&u128::MAX), digest(&(u128::MAX - 1)));
        assert_ne!(digest(&Some(0)), digest(&None::<u32>));
    }

    #[derive(Serialize, Deserialize)]
    struct Before {
        to: String,
    }

    #[derive(Serialize, Deserialize)]
    struct After {
        to: String,
        #[serde(default)]
        copies: Vec<String>,
        #[serde(default = "three")]
        tries: u32,
        from: Option<String>,
    }

    fn three() -> u32 {
        3
    }

    impl Job for Before {
        const NAME: &'static str = "before";
        type Output = ();
    }

    impl Job for After {
        const NAME: &'static str = "after";
        type Output = ();
    }

    fn of<J: Job>(job: &J) -> u128 {
        of_job(job, &payload::encode(J::CODEC, job, &[]).unwrap()).unwrap()
    }

    #[test]
    fn a_field_that_is_filled_in_does_not_count() {
        let to = || "ada".to_owned();
        let after = |copies: &[&str], tries| After {
            to: to(),
            copies: copies.iter().map(ToString::to_string).collect(),
            tries,
            from: None,
        };
        let before = of(&Before { to: to() });
        assert_eq!(of(&after(&[], 3)), before);
        assert_ne!(of(&after(&[], 2)), before);
        assert_ne!(of(&after(&["a"], 3)), before);
        assert_ne!(of(&after(&["a"], 3)), of(&after(&["b"], 3)));
    }
}
