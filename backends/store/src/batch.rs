use std::fmt;

use crate::{ByteCount, Encoded, Fence, Key, OpeningTag, QueueName, StateKind, Timestamp};

/// Blind puts and deletes of whole rows that take effect together or not at all.
///
/// A batch names the opening that it comes from and its commit number;
/// [`admit`](crate::admit) decides whether the store takes it. Writes apply in order: the last one of
/// a key wins.
#[derive(Clone, Debug)]
pub struct Batch {
    fence: Fence,
    expects: Option<OpeningTag>,
    writes: Vec<Write>,
}

/// One write of a [`Batch`]. `Debug` counts the bytes of its row.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts the row, whether or not the key has one.
    Put {
        /// Where.
        key: Key,
        /// The sealed row.
        row: Vec<u8>,
        /// What an engine with columns may index, for the rows of jobs.
        columns: Option<Columns>,
    },
    /// Deletes the row, if there is one.
    Delete {
        /// Which.
        key: Key,
    },
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => *key,
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, row, columns } => f
                .debug_struct("Put")
                .field("key", key)
                .field("row", &ByteCount::of(row))
                .field("columns", columns)
                .finish(),
            Self::Delete { key } => f.debug_struct("Delete").field("key", key).finish(),
        }
    }
}

/// The fields of a job's row that a SQL store may keep as columns, readable without decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Where the job stands.
    pub state: StateKind,
    /// The queue that it waits in.
    pub queue: QueueName,
    /// When it becomes ready, where it is not yet due.
    pub due: Option<Timestamp>,
}

impl Batch {
    /// The next commit of an opening: `fence` with the number that the commit is to have.
    pub fn new(fence: Fence) -> Self {
        Self {
            fence,
            expects: Some(fence.opening),
            writes: Vec::new(),
        }
    }

    /// The first commit of an opening, which takes the store over from the opening `replaced`, or
    /// founds it where it has none.
    pub fn opening(fence: Fence, replaced: Option<OpeningTag>) -> Self {
        Self {
            expects: replaced,
            ..Self::new(fence)
        }
    }

    /// Seals the row and puts it.
    pub fn put(&mut self, key: Key, row: Encoded) {
        self.push(key, row, None);
    }

    /// Seals the row of a job and puts it, with its columns.
    pub fn put_job(&mut self, key: Key, row: Encoded, columns: Columns) {
        self.push(key, row, Some(columns));
    }

    /// Deletes the row of `key`, if there is one.
    pub fn delete(&mut self, key: Key) {
        self.writes.push(Write::Delete { key });
    }

    /// Puts bytes as they are, sound or not: how the suite brings damage into any store.
    #[cfg(feature = "conformance")]
    pub(crate) fn put_raw(&mut self, key: Key, row: Vec<u8>) {
        self.writes.push(Write::Put {
            key,
            row,
            columns: None,
        });
    }

    fn push(&mut self, key: Key, row: Encoded, columns: Option<Columns>) {
        let row = row.seal(key);
        self.writes.push(Write::Put { key, row, columns });
    }

    /// What the store's fence becomes when the batch takes effect.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The opening that the store must have now: the batch's own, or for the first commit of an
    /// opening the one that it takes over from; `None` founds the store.
    pub fn expects(&self) -> Option<OpeningTag> {
        self.expects
    }

    /// The writes, in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The writes by value, in order: for a batch that was not written.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// One of the writes is of this key.
    pub fn touches(&self, key: Key) -> bool {
        self.writes.iter().any(|write| write.key() == key)
    }

    /// Nothing would be written but the fence.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}
