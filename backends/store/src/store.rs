use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::open_body;
use crate::{Batch, Fence, Key, OpeningTag, RowError, Space, StoreError, open_row};

/// What keeps the rows: three verbs and what surrounds them.
///
/// A store has no clock, no policy and no state machine. It is used from many threads at once, and
/// every method may block on the disk. No method panics on what it finds there.
pub trait QueueStore: Send + Sync + fmt::Debug + 'static {
    /// Says where the store is, what its commits survive, and which opening may write.
    ///
    /// # Errors
    /// Where the store is closed, cannot be read, or its fence fails its checksum.
    fn identity(&self) -> Result<Identity, StoreError>;

    /// Applies a batch: all of it or nothing, and durable to the degree that
    /// [`identity`](Self::identity) names when this returns `Ok`.
    ///
    /// The store calls [`admit`] on the fence that it keeps, inside the transaction that applies the
    /// batch, and writes the fence that `admit` returns with it.
    ///
    /// # Errors
    /// Where `admit` refuses the batch ([`is_replaced`](StoreError::is_replaced)) or the engine
    /// fails. After an error of which [`is_unknown`](StoreError::is_unknown) is true the batch may
    /// or may not have taken effect; after every other error it has not.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The row of `key`, or `None`. Shows what was committed and nothing else.
    ///
    /// # Errors
    /// Where the store is closed or cannot be read.
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// Hands the rows from `from` up to and including `to` to `each`, in the order of keys, until it
    /// breaks. All of them are of one moment between two commits. `each` must not call the store.
    ///
    /// # Errors
    /// Where the store is closed or cannot be read; `each` may have had some rows by then.
    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Checks every row against its checksum and the engine against its own, and hands what fails to
    /// `found`. Changes nothing. [`verify_rows`] does the rows.
    ///
    /// # Errors
    /// Where the store is closed or cannot be read at all.
    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError>;

    /// Lets go of the engine and opens it again, after a failure that it does not survive.
    ///
    /// # Errors
    /// Where it cannot be opened; the store is then closed, and `reopen` may be tried again.
    fn reopen(&self) -> Result<(), StoreError>;

    /// Lets go of the engine, so that another owner can open the store. Closing twice is fine.
    ///
    /// # Errors
    /// Where the engine cannot end in order. The store is closed all the same.
    fn close(&self) -> Result<(), StoreError>;

    /// Closes the store, unless another opening than this one has taken it over: how an owner lets go
    /// of a value that its successor may have too. Between the look and the close no commit comes in;
    /// the implementation that is given here cannot promise that.
    ///
    /// # Errors
    /// Those of [`close`](Self::close).
    fn close_for(&self, opening: OpeningTag) -> Result<(), StoreError> {
        // One that cannot be read has no other owner that could.
        let fence = self.identity().ok().and_then(|identity| identity.fence);
        if is_taken_over(fence.as_ref(), opening) {
            return Ok(());
        }
        self.close()
    }
}

/// A store with this fence belongs to another opening than this one.
pub fn is_taken_over(fence: Option<&Fence>, opening: OpeningTag) -> bool {
    fence.is_some_and(|fence| fence.opening != opening)
}

/// A pointer to a store is a store: for one that is chosen while the program runs.
macro_rules! through_pointer {
    ($($pointer:ident)+) => {$(
        impl<S: QueueStore + ?Sized> QueueStore for $pointer<S> {
            fn identity(&self) -> Result<Identity, StoreError> {
                (**self).identity()
            }

            fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
                (**self).commit(batch)
            }

            fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
                (**self).get(key)
            }

            fn scan(
                &self,
                from: &Key,
                to: &Key,
                each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
            ) -> Result<(), StoreError> {
                (**self).scan(from, to, each)
            }

            fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
                (**self).verify(found)
            }

            fn reopen(&self) -> Result<(), StoreError> {
                (**self).reopen()
            }

            fn close(&self) -> Result<(), StoreError> {
                (**self).close()
            }

            fn close_for(&self, opening: OpeningTag) -> Result<(), StoreError> {
                (**self).close_for(opening)
            }
        }
    )+};
}

through_pointer! { Box Arc }

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Where it is, as messages name it: a path, or `memory`.
    pub location: String,
    /// What its commits survive.
    pub durability: Durability,
    /// Which opening may write; `None` where nothing was ever committed.
    pub fence: Option<Fence>,
}

/// What a commit that has returned survives, and with it a job that was accepted.
///
/// | level | a job is accepted when | a killed process loses | a power cut loses |
/// |---|---|---|---|
/// | `Synced` | its commit is synced | nothing accepted | nothing accepted |
/// | `Flushed` | its commit is flushed | nothing accepted | what the operating system had not written |
/// | `Memory` | it is in RAM | everything | everything |
/// | `Buffered` | the manager has taken it in | the last jobs accepted, those whose commit had not ended; never one before another that survives | the same, and what its store loses |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process and a power cut.
    Synced,
    /// The end of the process. What the operating system had not yet written is lost in a power cut.
    Flushed,
    /// Nothing: it lives as long as the store's value.
    Memory,
    /// Nothing yet: the commit is still to come, and is then what its store makes of it. What is
    /// accepted like this and survives is a prefix of the order of acceptance. No store names it.
    Buffered,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Synced => "synced",
            Self::Flushed => "flushed",
            Self::Memory => "memory",
            Self::Buffered => "buffered",
        })
    }
}

/// A row that [`QueueStore::verify`] found wanting, or a complaint of the engine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The row does not check out.
    Row {
        /// Which row.
        key: Key,
        /// What is wrong with it.
        reason: RowError,
    },
    /// The engine's own check failed: its message.
    Engine(String),
}

/// Decides whether a store whose fence is `current` takes `batch`, and returns the fence to write
/// with it. The one rule that every store keeps; called inside its transaction.
///
/// A commit is taken from the newest opening only, and only with the next commit number, so that
/// neither an owner that was replaced nor a batch that already took effect can write.
///
/// # Errors
/// [`is_replaced`](StoreError::is_replaced) for a batch of another store or of an older opening, or
/// for an opening that was overtaken by another one.
pub fn admit(current: Option<&Fence>, batch: &Batch, location: &str) -> Result<Fence, StoreError> {
    let asked = batch.fence();
    let act = || format!("commit {} of opening {}", asked.commit, asked.opening);
    let held = current.map(|fence| fence.opening);
    let same_store = current.is_none_or(|fence| fence.store == asked.store);
    if !same_store || held != batch.expects() {
        return Err(StoreError::replaced(act(), location, held));
    }
    let next = current.map_or(1, |fence| fence.commit.saturating_add(1));
    if asked.commit != next {
        return Err(StoreError::out_of_turn(act(), location, next));
    }
    Ok(asked)
}

/// Reads the row of `key` and opens it.
///
/// # Errors
/// Where the store cannot be read, or the row does not check out.
pub fn get_typed<T: DeserializeOwned>(
    store: &dyn QueueStore,
    key: Key,
) -> Result<Option<T>, StoreError> {
    let Some(row) = store.get(&key)? else {
        return Ok(None);
    };
    open_row(key, &row)
        .map(Some)
        .map_err(|reason| StoreError::row(key, reason))
}

/// Checks the checksum and format of every row of a store: the rows' part of
/// [`QueueStore::verify`].
///
/// # Errors
/// Where the store cannot be read.
pub fn verify_rows(
    store: &dyn QueueStore,
    found: &mut dyn FnMut(Finding),
) -> Result<(), StoreError> {
    for space in Space::ALL {
        store.scan(
            &Key::new(space, 0),
            &Key::new(space, u64::MAX),
            &mut |key, row| {
                if let Err(reason) = open_body(key, row) {
                    found(Finding::Row { key, reason });
                }
                ControlFlow::Continue(())
            },
        )?;
    }
    Ok(())
}
