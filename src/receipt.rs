use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use hmac_sha256::HMAC;
use jobkeep_store::{Durability, JobNumber, OpeningTag, Secret, StoreId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;

use crate::Error;
use crate::config::is_name;

/// Says that a job was accepted, where, and under which number. Whoever has it can ask for the job.
///
/// The type parameter is a claim about the job's type; whoever reads the job checks it. The short
/// string form ([`Display`](fmt::Display), [`FromStr`], serde) is opaque, versioned and fits a cookie. A
/// secret of the store signs it, so that nobody can make up the receipt of another job. But who has a
/// receipt may use it: an application that gives it to its user should give it to nobody else, and
/// [`Debug`](fmt::Debug) and errors leave the text out.
///
/// A receipt holds as long as its job is kept: through restarts, under another
/// [name of the server](crate::Builder::server) too.
pub struct Receipt<J = AnyJob> {
    origin: Arc<Origin>,
    number: JobNumber,
    /// Of the call that gave it, not of the job: no part of the text, nor of what makes two the same.
    existing: bool,
    job: PhantomData<fn() -> J>,
}

/// The type of a [`Receipt`] that makes no claim about its job's type.
#[derive(Debug)]
#[non_exhaustive]
pub struct AnyJob {}

/// What the receipts of one opening have in common.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) server: String,
    pub(crate) store: StoreId,
    pub(crate) opening: OpeningTag,
    pub(crate) durability: Durability,
    pub(crate) proof: Proof,
}

/// What shows that a receipt was given, and not made up.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// The secret of the store that gives it: the signature is made for whoever wants the text.
    Secret(Secret),
    /// The signature that its text had.
    Signature(Signature),
}

/// The front half of an HMAC-SHA-256.
pub(crate) type Signature = [u8; 16];

/// Of the string form. The number at its front never changes meaning.
const VERSION: u8 = 1;

impl Origin {
    /// All that the text of a receipt says.
    fn body(&self, number: JobNumber) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.server.len());
        bytes.push(VERSION);
        bytes.push(match self.durability {
            Durability::Synced => 0,
            Durability::Flushed => 1,
            Durability::Buffered => 3,
            _ => 2,
        });
        bytes.extend_from_slice(&self.store.0.to_be_bytes());
        bytes.extend_from_slice(&self.opening.0.to_be_bytes());
        bytes.extend_from_slice(&number.0.to_be_bytes());
        bytes.extend_from_slice(self.server.as_bytes());
        bytes
    }

    fn signature(&self, body: &[u8]) -> Signature {
        match &self.proof {
            Proof::Secret(secret) => sign(secret, body),
            Proof::Signature(signature) => *signature,
        }
    }
}

fn sign(secret: &Secret, body: &[u8]) -> Signature {
    let mut front = Signature::default();
    let whole = HMAC::mac(body, secret.receipts);
    front
        .iter_mut()
        .zip(whole)
        .for_each(|(to, byte)| *to = byte);
    front
}

impl<J> Receipt<J> {
    pub(crate) fn new(origin: Arc<Origin>, number: JobNumber) -> Self {
        Self {
            origin,
            number,
            existing: false,
            job: PhantomData,
        }
    }

    /// As a call gave it that found the job there.
    pub(crate) fn of_existing(self, existing: bool) -> Self {
        Self { existing, ..self }
    }

    /// The call that gave this receipt has made no job: another one holds its
    /// [key](crate::NewJob::key), and this is that one's receipt, or the job came twice in one batch.
    /// [`Manager::status`](crate::Manager::status) tells what became of it, and
    /// [`Manager::remove`](crate::Manager::remove) lets its key go. `false` in a receipt that came as text,
    /// or from anything but a call that queues.
    ///
    /// ```
    /// # use jobkeep::{Job, Manager, MemoryStore, NewJob};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Order { id: u64 }
    /// # impl Job for Order { const NAME: &'static str = "order"; type Output = (); }
    /// # let manager = Manager::builder(MemoryStore::new()).start()?;
    /// let order = || NewJob::new(Order { id: 7 }).key("order/7");
    /// assert!(!manager.enqueue(order())?.is_existing());
    /// assert!(manager.enqueue(order())?.is_existing());
    /// # Ok::<(), jobkeep::Error>(())
    /// ```
    pub fn is_existing(&self) -> bool {
        self.existing
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

    /// It was given with this secret, as it is.
    pub(crate) fn is_signed_with(&self, secret: &Secret) -> bool {
        match &self.origin.proof {
            Proof::Secret(own) => own == secret,
            Proof::Signature(signature) => {
                let good = sign(secret, &self.origin.body(self.number));
                // How much of a guess is right shows in no time that this takes.
                signature.ct_eq(&good).into()
            }
        }
    }

    /// The receipt without its claim about the job's type.
    pub fn untyped(&self) -> Receipt {
        Receipt::new(Arc::clone(&self.origin), self.number).of_existing(self.existing)
    }

    /// The receipt with a claim about the job's type, for one that came as text. Reading the job as
    /// another type is an error that names both.
    pub fn typed<K>(self) -> Receipt<K> {
        Receipt::new(self.origin, self.number).of_existing(self.existing)
    }
}

impl<J> fmt::Display for Receipt<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.origin.body(self.number);
        let signature = self.origin.signature(&bytes);
        bytes.extend_from_slice(&signature);
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
            let (&number, rest) = rest.split_first_chunk::<8>()?;
            let (server, &signature) = rest.split_last_chunk::<16>()?;
            Some((store, opening, number, server, signature))
        });
        let Some((store, opening, number, server, signature)) = fields else {
            return Err(Error::bad_receipt("the text is too short"));
        };
        // It goes into messages and logs before any store has looked at the signature.
        let server = std::str::from_utf8(server)
            .ok()
            .filter(|name| is_name(name));
        let Some(server) = server else {
            return Err(Error::bad_receipt("what it names is no server"));
        };
        let origin = Origin {
            server: server.into(),
            store: StoreId(u128::from_be_bytes(store)),
            opening: OpeningTag(u64::from_be_bytes(opening)),
            durability,
            proof: Proof::Signature(signature),
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
        Self::new(Arc::clone(&self.origin), self.number).of_existing(self.existing)
    }
}

impl<J> PartialEq for Receipt<J> {
    /// A receipt that was made up is none that was given, though all else is the same.
    fn eq(&self, other: &Self) -> bool {
        if self.number != other.number || Arc::ptr_eq(&self.origin, &other.origin) {
            return self.number == other.number;
        }
        let (own, others) = (
            self.origin.body(self.number),
            other.origin.body(other.number),
        );
        own == others && self.origin.signature(&own) == other.origin.signature(&others)
    }
}

impl<J> Eq for Receipt<J> {}

impl<J> Hash for Receipt<J> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.origin.store.hash(state);
        self.origin.opening.hash(state);
    }
}

impl<J> fmt::Debug for Receipt<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the text, which lets whoever reads a log ask for the job.
        write!(f, "Receipt({} on {})", self.number, self.origin.server)
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
