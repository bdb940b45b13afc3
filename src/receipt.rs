use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use jobkeep_store::{Durability, JobNumber, OpeningTag, StoreId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// Says that a job was accepted, where, and under which number. Whoever has it can ask for the job.
///
/// The type parameter is a claim about the job's type; whoever reads the job checks it. The short
/// string form ([`Display`](fmt::Display), [`FromStr`], serde) is opaque, versioned and checksummed:
/// it fits a cookie, and a changed character is refused.
pub struct Receipt<J = AnyJob> {
    origin: Arc<Origin>,
    number: JobNumber,
    job: PhantomData<fn() -> J>,
}

/// The type of a [`Receipt`] that makes no claim about its job's type.
#[derive(Debug)]
#[non_exhaustive]
pub struct AnyJob {}

/// What the receipts of one opening have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) server: String,
    pub(crate) store: StoreId,
    pub(crate) opening: OpeningTag,
    pub(crate) durability: Durability,
}

/// Of the string form. The number at its front never changes meaning.
const VERSION: u8 = 1;

impl<J> Receipt<J> {
    pub(crate) fn new(origin: Arc<Origin>, number: JobNumber) -> Self {
        Self {
            origin,
            number,
            job: PhantomData,
        }
    }

    /// The name of the server that accepted the job: see
    /// [`Builder::server`](crate::Builder::server).
    pub fn server(&self) -> &str {
        &self.origin.server
    }

    /// The job's number in its store.
    pub fn number(&self) -> JobNumber {
        self.number
    }

    /// What the acceptance survives, as the store promised it when it was given; or
    /// [`Durability::Buffered`], where nobody waited for that.
    pub fn durability(&self) -> Durability {
        self.origin.durability
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The receipt without its claim about the job's type.
    pub fn untyped(&self) -> Receipt {
        Receipt::new(Arc::clone(&self.origin), self.number)
    }

    /// The receipt with a claim about the job's type, for one that came as text. Reading the job as
    /// another type is an error that names both.
    pub fn typed<K>(self) -> Receipt<K> {
        Receipt::new(self.origin, self.number)
    }
}

impl<J> fmt::Display for Receipt<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            server,
            store,
            opening,
            durability,
        } = &*self.origin;
        let mut bytes = Vec::with_capacity(48 + server.len());
        bytes.push(VERSION);
        bytes.push(match durability {
            Durability::Synced => 0,
            Durability::Flushed => 1,
            Durability::Buffered => 3,
            _ => 2,
        });
        bytes.extend_from_slice(&store.0.to_be_bytes());
        bytes.extend_from_slice(&opening.0.to_be_bytes());
        bytes.extend_from_slice(&self.number.0.to_be_bytes());
        bytes.extend_from_slice(server.as_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        f.write_str(&BASE64URL_NOPAD.encode(&bytes))
    }
}

impl<J> FromStr for Receipt<J> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| Error::bad_receipt("the text is not of its form"))?;
        let Some((body, &sum)) = bytes.split_last_chunk::<4>() else {
            return Err(Error::bad_receipt("the text is too short"));
        };
        if crc32fast::hash(body) != u32::from_be_bytes(sum) {
            return Err(Error::bad_receipt(
                "the text was changed: its checksum does not match",
            ));
        }
        let Some((&[version, durability], rest)) = body.split_first_chunk::<2>() else {
            return Err(Error::bad_receipt("the text is too short"));
        };
        if version != VERSION {
            return Err(Error::bad_receipt(format_args!(
                "it is of version {version}, and this jobkeep reads version {VERSION}"
            )));
        }
        let durability = match durability {
            0 => Durability::Synced,
            1 => Durability::Flushed,
            3 => Durability::Buffered,
            _ => Durability::Memory,
        };
        let fields = rest.split_first_chunk::<16>().and_then(|(&store, rest)| {
            let (&opening, rest) = rest.split_first_chunk::<8>()?;
            let (&number, server) = rest.split_first_chunk::<8>()?;
            Some((store, opening, number, std::str::from_utf8(server).ok()?))
        });
        let Some((store, opening, number, server)) = fields else {
            return Err(Error::bad_receipt("the text is too short"));
        };
        let origin = Origin {
            server: server.into(),
            store: StoreId(u128::from_be_bytes(store)),
            opening: OpeningTag(u64::from_be_bytes(opening)),
            durability,
        };
        Ok(Self::new(
            Arc::new(origin),
            JobNumber(u64::from_be_bytes(number)),
        ))
    }
}

// By hand: derives would ask the same of `J`.

impl<J> Clone for Receipt<J> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.origin), self.number)
    }
}

impl<J> PartialEq for Receipt<J> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.origin == other.origin
    }
}

impl<J> Eq for Receipt<J> {}

impl<J> Hash for Receipt<J> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.origin.hash(state);
    }
}

impl<J> fmt::Debug for Receipt<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Receipt({} on {}: {self})",
            self.number, self.origin.server
        )
    }
}

impl<J> Serialize for Receipt<J> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, J> Deserialize<'de> for Receipt<J> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
