//! The row format: the only file that names bincode and the checksum.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use bincode::config::Configuration;
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use crc32fast::Hasher;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::borrowing::{Borrowing, Ear};
use crate::shape::{Layout, SHAPE_BYTES, Shape};
use crate::telling::Telling;
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
            .map_err(|cause| unencodable(&cause))?;
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
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|cause| unencodable(&cause))
}

/// Decodes what [`encode_value`] made, or the fields at its front.
///
/// # Errors
/// Where the bytes do not decode to a `T`.
pub fn decode_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RowError> {
    decode(bytes, ()).map(|(value, _)| value)
}

/// Encodes a value of somebody else's type, and decodes it: what is given back can be read. Before it
/// stands the fingerprint of its shape. `known` are bytes that were read as a `T` before: where the
/// value makes these again, they are not read another time.
///
/// # Errors
/// Where the value's own `Serialize` fails, or its type does not read all that this writes, and as the
/// same.
pub fn encode_payload<T: Serialize + DeserializeOwned>(
    value: &T,
    known: &[u8],
) -> Result<Vec<u8>, RowError> {
    // Room for a small payload, so that it is made in one piece.
    const USUAL_BYTES: usize = 128;
    let mut bytes = Vec::with_capacity(USUAL_BYTES.max(known.len()));
    bytes.resize(SHAPE_BYTES, 0);
    let mut writer = Growing(bytes);
    let written = Layout::default();
    bincode::serde::encode_into_writer(Telling(value, &written), &mut writer, CONFIG)
        .map_err(|cause| unencodable(&cause))?;
    let mut bytes = writer.0;
    let Some((shape, body)) = bytes.split_first_chunk_mut::<SHAPE_BYTES>() else {
        return Err(RowError(Fault::Shapeless));
    };
    *shape = match known.split_first_chunk() {
        Some((shape, known)) if *known == *body => *shape,
        _ => read_back::<T>(body, &written)
            .map_err(|RowError(fault)| RowError(Fault::Unreadable(Box::new(fault))))?,
    };
    Ok(bytes)
}

/// Decodes what a value wrote in this layout. Gives the fingerprint of its shape.
fn read_back<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    written: &Layout,
) -> Result<[u8; SHAPE_BYTES], RowError> {
    let (value, shape) = decode_whole::<T>(bytes)?;
    if !written.fits(&shape.layout) {
        return Err(RowError(Fault::Misread));
    }
    if written.variants != shape.layout.variants {
        // Another variant, or another name of the same.
        let again = Layout::default();
        encode_value(&Telling(&value, &again))?;
        if written.variants != again.variants {
            return Err(RowError(Fault::Misread));
        }
    }
    Ok(shape.fingerprint())
}

/// Decodes what [`encode_payload`] made: all of it, and in the shape that it had.
///
/// # Errors
/// Where the bytes do not decode to a `T`, or did not come from a `T` of this shape.
pub fn decode_payload<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    let Some((written, body)) = bytes.split_first_chunk::<SHAPE_BYTES>() else {
        return Err(RowError(Fault::Shapeless));
    };
    match decode_whole(body) {
        Ok((value, shape)) if shape.fingerprint() == *written => Ok(value),
        Ok(_) | Err(RowError(Fault::Unused(_))) => Err(RowError(Fault::Reshaped)),
        Err(error) => Err(error),
    }
}

/// The value that all of the bytes decode to, and its shape.
fn decode_whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Shape), RowError> {
    let shape = Shape::default();
    let (value, used) = decode(bytes, &shape)?;
    match bytes.len().saturating_sub(used) {
        0 => Ok((value, shape)),
        unused => Err(RowError(Fault::Unused(unused))),
    }
}

/// The value at the front, and how many bytes it took.
fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], ear: impl Ear) -> Result<(T, usize), RowError> {
    let seed = Borrowing::new(PhantomData::<T>, ear);
    bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG)
        .map_err(|cause| RowError(Fault::Undecodable(cause.to_string())))
}

fn unencodable(cause: &EncodeError) -> RowError {
    RowError(Fault::Unencodable(cause.to_string()))
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
    /// What the value makes does not decode: why.
    Unreadable(Box<Fault>),
    /// So many bytes are left over.
    Unused(usize),
    /// The bytes decode as something else than what they stand for.
    Misread,
    Reshaped,
    Shapeless,
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
        self.0.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(bytes) => {
                write!(
                    f,
                    "the row has {bytes} bytes, fewer than the {HEADER_BYTES} of its header"
                )
            }
            Self::Long(bytes) => {
                write!(
                    f,
                    "the row has {bytes} bytes, more than the {MAX_ROW_BYTES} allowed"
                )
            }
            Self::Checksum => f.write_str("the row does not match its checksum"),
            Self::Newer(format) => write!(
                f,
                "the row is in format {format}, and this jobkeep reads formats up to {FORMAT}: \
                 open the store with a newer jobkeep"
            ),
            Self::Undecodable(cause) => write!(f, "the bytes do not decode: {cause}"),
            Self::Unencodable(cause) => write!(f, "the value cannot be encoded: {cause}"),
            Self::Unreadable(cause) => write!(f, "the value cannot be read back: {cause}"),
            Self::Unused(bytes) => write!(f, "{bytes} of the bytes are left over"),
            Self::Misread => f.write_str(
                "its type writes other parts than it reads: look for a field or variant that is skipped",
            ),
            Self::Reshaped => f.write_str(
                "the bytes were written by a type of another shape: of a type in bincode, nothing \
                 may be added, removed, renamed or moved while its jobs are kept",
            ),
            Self::Shapeless => f.write_str("the bytes are too few to tell the shape of a type"),
        }
    }
}

impl Error for RowError {}
