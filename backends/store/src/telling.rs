//! Encoding, with an [`Ear`] that hears what a value writes: what its type asks for when the bytes are
//! decoded is to be the same.

use std::fmt::Display;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::borrowing::{Ear, Kind};

/// Wraps each part of an encoding in turn: value, serializer and compound.
pub(crate) struct Telling<T, E>(pub(crate) T, pub(crate) E);

impl<T: Serialize + ?Sized, E: Ear> Serialize for Telling<&T, E> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Telling(to, self.1))
    }
}

macro_rules! serialize {
    ($($method:ident($type:ty) $kind:ident;)*) => {
        $(
            fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
                self.1.kind(Kind::$kind);
                self.0.$method(value)
            }
        )*
    };
}

impl<S: Serializer, E: Ear> Serializer for Telling<S, E> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Telling<S::SerializeSeq, E>;
    type SerializeTuple = Telling<S::SerializeTuple, E>;
    type SerializeTupleStruct = Telling<S::SerializeTupleStruct, E>;
    type SerializeTupleVariant = Telling<S::SerializeTupleVariant, E>;
    type SerializeMap = Telling<S::SerializeMap, E>;
    type SerializeStruct = Telling<S::SerializeStruct, E>;
    type SerializeStructVariant = Telling<S::SerializeStructVariant, E>;

    serialize! {
        serialize_bool(bool) Bool;
        serialize_i8(i8) I8;
        serialize_i16(i16) I16;
        serialize_i32(i32) I32;
        serialize_i64(i64) I64;
        serialize_i128(i128) I128;
        serialize_u8(u8) U8;
        serialize_u16(u16) U16;
        serialize_u32(u32) U32;
        serialize_u64(u64) U64;
        serialize_u128(u128) U128;
        serialize_f32(f32) F32;
        serialize_f64(f64) F64;
        serialize_char(char) Char;
        serialize_str(&str) Text;
        serialize_bytes(&[u8]) Bytes;
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.1.kind(Kind::Text);
        self.0.collect_str(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.1.kind(Kind::Maybe);
        self.0.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.1.kind(Kind::Maybe);
        self.0.serialize_some(&Telling(value, self.1))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.1.variant(variant);
        self.0.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Telling(value, self.1);
        self.0.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.1.variant(variant);
        let value = Telling(value, self.1);
        self.0
            .serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.1.kind(Kind::Seq);
        Ok(Telling(self.0.serialize_seq(len)?, self.1))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Telling(self.0.serialize_tuple(len)?, self.1))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Ok(Telling(self.0.serialize_tuple_struct(name, len)?, self.1))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.1.variant(variant);
        let parts = self.0.serialize_tuple_variant(name, index, variant, len)?;
        Ok(Telling(parts, self.1))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.1.kind(Kind::Map);
        Ok(Telling(self.0.serialize_map(len)?, self.1))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Telling(self.0.serialize_struct(name, len)?, self.1))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.1.variant(variant);
        let fields = self.0.serialize_struct_variant(name, index, variant, len)?;
        Ok(Telling(fields, self.1))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! parts {
    ($($compound:ident: $method:ident($($name:ident)?);)*) => {
        $(
            impl<C: $compound, E: Ear> $compound for Telling<C, E> {
                type Ok = C::Ok;
                type Error = C::Error;

                fn $method<T: Serialize + ?Sized>(
                    &mut self,
                    $($name: &'static str,)?
                    value: &T,
                ) -> Result<(), C::Error> {
                    self.0.$method($($name,)? &Telling(value, self.1))
                }

                fn end(self) -> Result<C::Ok, C::Error> {
                    self.0.end()
                }
            }
        )*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(name);
    SerializeStructVariant: serialize_field(name);
}

impl<C: SerializeMap, E: Ear> SerializeMap for Telling<C, E> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.0.serialize_key(&Telling(key, self.1))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.0.serialize_value(&Telling(value, self.1))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}
