//! A job encoded for the store, on the thread of whoever has it in hand, so that the committer only
//! moves bytes.

use std::collections::HashMap;

use jobkeep_store::{
    Columns, Due, Encoded, JobNumber, JobRecord, Kept, Key, QueueName, RowError, State, StateKind,
    Timestamp,
};

use super::schedule::Line;
use crate::clock::Now;
use crate::options::{Draft, Start};

/// A job's rows, with what the schedule needs of it.
#[derive(Clone, Debug)]
pub(crate) struct EncodedJob {
    pub(crate) line: Line,
    pub(crate) state: StateKind,
    pub(crate) head: Encoded,
    pub(crate) columns: Columns,
    pub(crate) body: Apart,
    pub(crate) output: Option<Encoded>,
    /// It has a row in *bodies* when this is written, and one in *outputs*.
    pub(crate) has_body: bool,
    pub(crate) has_output: bool,
    /// The record, for a job that may be claimed or cancelled before anybody reads it back; a
    /// finished one needs it no more.
    pub(crate) record: Option<Box<JobRecord>>,
}

/// What happens to a row that stands apart from its record.
#[derive(Clone, Debug)]
pub(crate) enum Apart {
    Leave,
    Put(Encoded),
    Delete,
}

impl Apart {
    pub(crate) fn take(&mut self) -> Self {
        match self {
            Self::Leave => Self::Leave,
            Self::Put(row) => Self::Put(row.take()),
            Self::Delete => Self::Delete,
        }
    }
}

/// Which queues and names there are, as an encoder must know them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins {
    /// The position of the job's queue among those declared.
    pub(crate) queue: u16,
    /// The job's name has a handler here.
    pub(crate) known: bool,
}

impl EncodedJob {
    /// Encodes a record whose payload and output are in place already.
    pub(crate) fn new(
        record: Box<JobRecord>,
        origins: Origins,
        body: Apart,
        output: Option<Encoded>,
    ) -> Result<Self, RowError> {
        let state = record.state.kind();
        let line = Line::new(origins, &record.state, record.priority, record.order);
        Ok(Self {
            line,
            state,
            head: Encoded::new(&*record)?,
            columns: Columns {
                state,
                queue: record.queue.clone(),
                due: line.due.map(|(due, _)| due),
            },
            body,
            output,
            has_body: record.payload.is_apart(),
            has_output: record.output.as_ref().is_some_and(Kept::is_apart),
            record: (!state.is_final()).then_some(record),
        })
    }

    /// Moves the rows out, for a batch that may come back.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            line: self.line,
            state: self.state,
            head: self.head.take(),
            columns: self.columns.clone(),
            body: self.body.take(),
            output: self.output.as_mut().map(Encoded::take),
            has_body: self.has_body,
            has_output: self.has_output,
            record: None,
        }
    }

    /// Moves the rows out with the record, which does not come back.
    pub(crate) fn take_all(&mut self) -> Self {
        let record = self.record.take();
        Self {
            record,
            ..self.take()
        }
    }

    /// Takes the rows back from a batch that was not written.
    pub(crate) fn refill(&mut self, number: JobNumber, rows: &mut HashMap<Key, Vec<u8>>) {
        let head = if self.state.is_final() {
            Key::done(number)
        } else {
            Key::live(number)
        };
        let body = match &mut self.body {
            Apart::Put(body) => Some(body),
            Apart::Leave | Apart::Delete => None,
        };
        let parts = [
            (head, Some(&mut self.head)),
            (Key::body(number), body),
            (Key::output(number), self.output.as_mut()),
        ];
        for (key, part) in parts {
            if let Some(part) = part.filter(|part| part.is_taken())
                && let Some(row) = rows.remove(&key)
            {
                part.refill(row);
            }
        }
    }

    /// The job type and the idempotency key, where it has one and its record is at hand.
    pub(crate) fn name_and_key(&self) -> Option<(&str, &str)> {
        let record = self.record.as_ref()?;
        Some((&record.name, record.key.as_deref()?))
    }

    /// The bytes of all its rows.
    pub(crate) fn bytes(&self) -> usize {
        let body = match &self.body {
            Apart::Put(body) => body.row_bytes(),
            Apart::Leave | Apart::Delete => 0,
        };
        self.head.row_bytes() + body + self.output.as_ref().map_or(0, Encoded::row_bytes)
    }
}

/// Makes a new job of a draft: its record, encoded. `order` is its place in line if it is ready at
/// once.
pub(crate) fn accept(
    draft: Draft,
    queue: QueueName,
    origins: Origins,
    now: Now,
    order: Timestamp,
) -> Result<EncodedJob, RowError> {
    let (state, order) = match draft.start {
        Start::At(due) if due > now.wall => {
            let order = now.steady.after(due.since(now.wall)).kept();
            (State::Scheduled { due, by: Due::Wall }, order)
        }
        Start::After(delay) if !delay.is_zero() => {
            let due = now.steady.after(delay).kept();
            (
                State::Scheduled {
                    due,
                    by: Due::Delay,
                },
                due,
            )
        }
        Start::Now | Start::At(_) | Start::After(_) => (State::Ready, order),
    };
    let (payload, body) = keep(draft.payload)?;
    let record = JobRecord {
        state,
        queue,
        priority: draft.priority,
        order,
        name: draft.name.into_owned(),
        codec: draft.codec,
        payload,
        output: None,
        created: now.wall,
        finished: None,
        max_attempts: draft.attempts.max(1),
        backoff: draft.backoff,
        timeout_ms: draft.timeout_ms,
        attempts: 0,
        interruptions: 0,
        unclean_ends: 0,
        snoozes: 0,
        cancel_requested: false,
        key: draft.key,
        history: Vec::new(),
        lost_until: None,
    };
    let body = body.map_or(Apart::Leave, Apart::Put);
    EncodedJob::new(Box::new(record), origins, body, None)
}

/// Keeps bytes in the record, or in a row of their own where they are many.
pub(crate) fn keep(bytes: Vec<u8>) -> Result<(Kept, Option<Encoded>), RowError> {
    if bytes.len() <= Kept::INLINE_BYTES {
        return Ok((Kept::Inline(bytes), None));
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Ok((
        Kept::Apart(length),
        Some(Encoded::new(serde_bytes::Bytes::new(&bytes))?),
    ))
}
