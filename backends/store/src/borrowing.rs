//! Decoding owned text and bytes by way of borrowed ones.
//!
//! For an owned string bincode makes room for as many bytes as the length before it claims, up to a
//! limit over the whole value, and only then looks whether they are there. A borrowed one it cuts
//! from the input. So that no few bytes can claim many, and so that no limit is needed which large
//! sound values would meet, every request for an owned string is turned into one for a borrowed
//! string; the visitors of serde copy what they are lent.
//!
//! On the way an [`Ear`] hears what the type asks of the bytes.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// Wraps each part of a decoding in turn: seed, deserializer, visitor and access. Counts how much
/// deeper a value may be nested.
pub(crate) struct Borrowing<T, E>(T, u8, E);

/// Hears what a type asks of the bytes that it is decoded from, or what a value writes. Nothing, by
/// default.
pub(crate) trait Ear: Copy {
    /// Something of this kind is asked for, or written.
    fn kind(self, _kind: Kind) {}

    /// Parts are asked for, so many.
    fn parts(self, _count: usize) {}

    /// Fields of these names are asked for.
    fn fields(self, _names: &'static [&'static str]) {}

    /// One of these variants is asked for.
    fn variants(self, _names: &'static [&'static str]) {}

    /// A number came that may say which.
    fn number(self, _number: u32) {}

    /// This variant is written.
    fn variant(self, _name: &'static str) {}
}

/// Whoever does not care.
impl Ear for () {}

/// What is asked for, as far as different bytes stand for it or the same bytes mean something else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool = 1,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Text,
    Bytes,
    Maybe,
    Seq,
    Map,
    Parts,
    Fields,
    Variant,
}

/// How deep a value may be nested: bincode has no bound of its own, and where the type has none, a byte
/// or two of input a level would overflow the stack, which ends the process. JSON's is the same.
pub(crate) const DEEPEST: u8 = 128;

impl<T, E: Ear> Borrowing<T, E> {
    pub(crate) fn new(seed: T, ear: E) -> Self {
        Self(seed, DEEPEST, ear)
    }
}

/// What is left one level deeper.
fn deeper<F: Error>(left: u8) -> Result<u8, F> {
    left.checked_sub(1).ok_or_else(|| {
        F::custom(format_args!(
            "the value is nested deeper than {DEEPEST} levels"
        ))
    })
}

impl<'de, S: DeserializeSeed<'de>, E: Ear> DeserializeSeed<'de> for Borrowing<S, E> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        let left = deeper(self.1)?;
        self.0.deserialize(Borrowing(from, left, self.2))
    }
}

macro_rules! deserialize {
    ($($method:ident => $inner:ident $(: $kind:ident)?;)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
                $(self.2.kind(Kind::$kind);)?
                self.0.$inner(Borrowing(visitor, self.1, self.2))
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>, E: Ear> Deserializer<'de> for Borrowing<D, E> {
    type Error = D::Error;

    deserialize! {
        deserialize_string => deserialize_str: Text;
        deserialize_byte_buf => deserialize_bytes: Bytes;

        deserialize_bool => deserialize_bool: Bool;
        deserialize_i8 => deserialize_i8: I8;
        deserialize_i16 => deserialize_i16: I16;
        deserialize_i32 => deserialize_i32: I32;
        deserialize_i64 => deserialize_i64: I64;
        deserialize_i128 => deserialize_i128: I128;
        deserialize_u8 => deserialize_u8: U8;
        deserialize_u16 => deserialize_u16: U16;
        deserialize_u32 => deserialize_u32: U32;
        deserialize_u64 => deserialize_u64: U64;
        deserialize_u128 => deserialize_u128: U128;
        deserialize_f32 => deserialize_f32: F32;
        deserialize_f64 => deserialize_f64: F64;
        deserialize_char => deserialize_char: Char;
        deserialize_str => deserialize_str: Text;
        deserialize_bytes => deserialize_bytes: Bytes;
        deserialize_option => deserialize_option: Maybe;
        deserialize_seq => deserialize_seq: Seq;
        deserialize_map => deserialize_map: Map;

        deserialize_any => deserialize_any;
        deserialize_unit => deserialize_unit;
        deserialize_identifier => deserialize_identifier;
        deserialize_ignored_any => deserialize_ignored_any;
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.2.parts(len);
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.2.parts(len);
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.2.fields(fields);
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.2.variants(variants);
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($type:ty);)*) => {
        $(
            fn $method<F: Error>(self, value: $type) -> Result<V::Value, F> {
                self.0.$method(value)
            }
        )*
    };
}

impl<'de, V: Visitor<'de>, E: Ear> Visitor<'de> for Borrowing<V, E> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_u32<F: Error>(self, value: u32) -> Result<V::Value, F> {
        self.2.number(value);
        self.0.visit_u32(value)
    }

    fn visit_none<F: Error>(self) -> Result<V::Value, F> {
        self.0.visit_none()
    }

    fn visit_unit<F: Error>(self) -> Result<V::Value, F> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        let left = deeper(self.1)?;
        self.0.visit_some(Borrowing(from, left, self.2))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        let left = deeper(self.1)?;
        self.0.visit_newtype_struct(Borrowing(from, left, self.2))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Borrowing(access, self.1, self.2))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Borrowing(access, self.1, self.2))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Borrowing(access, self.1, self.2))
    }
}

impl<'de, A: SeqAccess<'de>, E: Ear> SeqAccess<'de> for Borrowing<A, E> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Borrowing(seed, self.1, self.2))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>, E: Ear> MapAccess<'de> for Borrowing<A, E> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Borrowing(seed, self.1, self.2))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Borrowing(seed, self.1, self.2))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>, E: Ear> EnumAccess<'de> for Borrowing<A, E> {
    type Error = A::Error;
    type Variant = Borrowing<A::Variant, E>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Borrowing(seed, self.1, self.2))?;
        Ok((value, Borrowing(variant, self.1, self.2)))
    }
}

impl<'de, A: VariantAccess<'de>, E: Ear> VariantAccess<'de> for Borrowing<A, E> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Borrowing(seed, self.1, self.2))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.2.parts(len);
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.2.fields(fields);
        let visitor = Borrowing(visitor, self.1, self.2);
        self.0.struct_variant(fields, visitor)
    }
}
