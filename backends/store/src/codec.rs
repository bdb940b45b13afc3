//! The row format: the only file that names bincode and the checksum.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use bincode::config::Configuration;
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

use crate::borrowing::Borrowing;
use crate::{ByteCount, Key};

/// The row format that this version writes. It reads every format up to this one.
pub const FORMAT: u8 = 1;

/// What a row needs beside its body, in bytes: the format and the checksum.
pub const HEADER_BYTES: usize = 5;

/// The longest row that is read, in bytes. A longer one is damaged, or was never ours.
pub const MAX_ROW_BYTES: usize = 64 << 20;

/// Without bincode's limit, which counts bytes as decoded and so refuses long sequences of small
/// numbers: [`Borrowing`] keeps a value from claiming more than is there.
const CONFIG: Configuration = bincode::config::standard();

/// A body encoded and checksummed, waiting for its key.
///
/// Encoding happens on the thread of whoever has the value; [`seal`](Self::seal) then costs the
/// committer nine more bytes of checksum, whatever the size of the body. `Debug` counts its bytes.
#[derive(Clone)]
pub struct Encoded {
    /// The header's room, then the body.
    bytes: Vec<u8>,
    body_crc: u32,
}

impl Encoded {
    /// Encodes a record.
    ///
    /// # Errors
    /// Where the value's own `Serialize` fails; the records of this crate never do.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, RowError> {
        // Room for a head with a small payload, so that it is made in one piece.
        const USUAL_BYTES: usize = 512;
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.resize(HEADER_BYTES, 0);
        let mut writer = Growing(bytes);
        bincode::serde::encode_into_writer(value, &mut writer, CONFIG)
            .map_err(|cause| RowError(Fault::Unencodable(cause.to_string())))?;
        let bytes = writer.0;
        let mut hasher = Hasher::new();
        hasher.update(bytes.get(HEADER_BYTES..).unwrap_or_default());
        Ok(Self {
            bytes,
            body_crc: hasher.finalize(),
        })
    }

    /// The length of the sealed row, in bytes.
    pub fn row_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the bytes out, for a batch that may come back: see [`refill`](Self::refill).
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self {
            bytes: std::mem::take(&mut self.bytes),
            body_crc: self.body_crc,
        }
    }

    /// Takes the sealed row back that [`take`](Self::take) became, where its batch was not written.
    pub fn refill(&mut self, row: Vec<u8>) {
        self.bytes = row;
    }

    /// The bytes were taken out.
    pub fn is_taken(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The row under its key: written once, never changed.
    pub fn seal(self, key: Key) -> Vec<u8> {
        let mut bytes = self.bytes;
        let crc = checksum(Hasher::new_with_initial(self.body_crc), key, FORMAT);
        if let Some(header) = bytes.first_chunk_mut::<HEADER_BYTES>() {
            let [c0, c1, c2, c3] = crc.to_le_bytes();
            *header = [FORMAT, c0, c1, c2, c3];
        }
        bytes
    }
}

/// Checks the row found under `key` and decodes its body, or the fields at its front where `T` has
/// no more than these.
///
/// # Errors
/// Where the row is of a newer format, fails its checksum, or does not decode. Nothing of a row that
/// fails its checksum is decoded.
pub fn open_row<'a, T: Deserialize<'a>>(key: Key, row: &'a [u8]) -> Result<T, RowError> {
    decode_value(open_body(key, row)?)
}

/// Encodes a value without key or checksum, for payloads that stand inside a record.
///
/// # Errors
/// Where the value's own `Serialize` fails.
pub fn encode_value<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, RowError> {
    bincode::serde::encode_to_vec(value, CONFIG)
        .map_err(|cause| RowError(Fault::Unencodable(cause.to_string())))
}

/// Decodes what [`encode_value`] made, or the fields at its front.
///
/// # Errors
/// Where the bytes do not decode to a `T`.
pub fn decode_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RowError> {
    let seed = Borrowing::new(PhantomData::<T>);
    bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG)
        .map(|(value, _)| value)
        .map_err(|cause| RowError(Fault::Undecodable(cause.to_string())))
}

/// Checks a row's format and checksum and returns its body.
pub(crate) fn open_body(key: Key, row: &[u8]) -> Result<&[u8], RowError> {
    let Some((&[format, c0, c1, c2, c3], body)) = row.split_first_chunk::<HEADER_BYTES>() else {
        return Err(RowError(Fault::Short(row.len())));
    };
    if row.len() > MAX_ROW_BYTES {
        return Err(RowError(Fault::Long(row.len())));
    }
    let written = u32::from_le_bytes([c0, c1, c2, c3]);
    let mut hasher = Hasher::new();
    hasher.update(body);
    if checksum(hasher, key, format) != written {
        return Err(RowError(Fault::Checksum));
    }
    // After the checksum: a flipped format byte is damage, not a newer version.
    if format > FORMAT {
        return Err(RowError(Fault::Newer(format)));
    }
    Ok(body)
}

fn checksum(mut after_body: Hasher, key: Key, format: u8) -> u32 {
    after_body.update(&key.to_bytes());
    after_body.update(&[format]);
    after_body.finalize()
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoded")
            .field(&ByteCount::of(&self.bytes))
            .finish()
    }
}

struct Growing(Vec<u8>);

impl Writer for Growing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Why a row could not be read or a value not be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Short(usize),
    Long(usize),
    Checksum,
    Newer(u8),
    Undecodable(String),
    Unencodable(String),
}

impl RowError {
    /// The row was written by a newer jobkeep: its format, beside [`FORMAT`].
    pub fn newer_format(&self) -> Option<u8> {
        match self.0 {
            Fault::Newer(format) => Some(format),
            _ => None,
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Short(bytes) => {
                write!(
                    f,
                    "the row has {bytes} bytes, fewer than the {HEADER_BYTES} of its header"
                )
            }
            Fault::Long(bytes) => {
                write!(
                    f,
                    "the row has {bytes} bytes, more than the {MAX_ROW_BYTES} allowed"
                )
            }
            Fault::Checksum => f.write_str("the row does not match its checksum"),
            Fault::Newer(format) => write!(
                f,
                "the row is in format {format}, and this jobkeep reads formats up to {FORMAT}: \
                 open the store with a newer jobkeep"
            ),
            Fault::Undecodable(cause) => write!(f, "the bytes do not decode: {cause}"),
            Fault::Unencodable(cause) => write!(f, "the value cannot be encoded: {cause}"),
        }
    }
}

impl Error for RowError {}
