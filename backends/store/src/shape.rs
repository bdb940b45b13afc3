//! The shape of a value, as its type asks for it when it is decoded.
//!
//! bincode writes no names and no kinds: a type that has changed reads the bytes of before as other
//! values. So a payload's bytes have the fingerprint of its shape before them: fields and variants by
//! their names, numbers by their kinds. The names of types are no part of it, nor what stands around a
//! value without a byte, so that types may be renamed, moved and wrapped.
//!
//! It is taken while the value is decoded, and so costs no pass of its own and does not depend on the
//! order of a map: the same bytes are asked for in the same way.

use std::cell::Cell;

use crate::borrowing::{Ear, Kind};

/// How many bytes it takes.
pub(crate) const SHAPE_BYTES: usize = 4;

/// The fingerprint, as far as the value is decoded.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    hash: Hash,
    /// Which variants there are, until one is chosen.
    variants: Cell<&'static [&'static str]>,
    pub(crate) layout: Layout,
}

/// What bytes stand for, one after the other: the same whether it was heard of a value that was encoded,
/// or of its type when that was decoded.
///
/// A field that is written and not read, or the other way round, is noticed by it even where what
/// follows happens to decode.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    kinds: Hash,
    /// The sum over all variants. Which of a type's names an index means, only the encoder knows for
    /// certain: aliases are counted among those that the decoder tells.
    pub(crate) variants: Cell<u64>,
}

impl Layout {
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.kinds.0 == other.kinds.0
    }
}

impl Shape {
    pub(crate) fn fingerprint(&self) -> [u8; SHAPE_BYTES] {
        let [.., a, b, c, d] = mixed(self.hash.0.get(), 0).to_le_bytes();
        [a, b, c, d]
    }
}

#[derive(Debug, Default)]
struct Hash(Cell<u64>);

impl Hash {
    fn word(&self, word: u64) {
        self.0.set(mixed(self.0.get(), word));
    }

    fn name(&self, name: &str) {
        for part in name.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.word(u64::from_le_bytes(word));
        }
        self.word(name.len() as u64);
    }
}

/// One step of a hash that has to tell types apart, against no adversary, at the cost of a
/// multiplication. It is on disk: it stays as it is.
fn mixed(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl Ear for &Shape {
    fn kind(self, kind: Kind) {
        self.hash.word(kind as u64);
        self.layout.kinds.word(kind as u64);
    }

    fn parts(self, count: usize) {
        self.hash.word(Kind::Parts as u64);
        self.hash.word(count as u64);
    }

    fn fields(self, names: &'static [&'static str]) {
        self.hash.word(Kind::Fields as u64);
        for name in names {
            self.hash.name(name);
        }
    }

    fn variants(self, names: &'static [&'static str]) {
        self.hash.word(Kind::Variant as u64);
        self.variants.set(names);
    }

    /// bincode reads the number of a variant at once after the variants are asked for.
    fn number(self, number: u32) {
        let variants = self.variants.take();
        let chosen = usize::try_from(number).ok().and_then(|n| variants.get(n));
        if let Some(name) = chosen {
            self.hash.name(name);
            (&self.layout).variant(name);
        }
    }
}

impl Ear for &Layout {
    fn kind(self, kind: Kind) {
        self.kinds.word(kind as u64);
    }

    fn variant(self, name: &'static str) {
        self.kind(Kind::Variant);
        let chosen = Hash::default();
        chosen.name(name);
        let sum = self.variants.get().wrapping_add(chosen.0.get());
        self.variants.set(sum);
    }
}
