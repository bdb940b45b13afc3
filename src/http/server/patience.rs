//! How long a connection may keep the server waiting.
//!
//! hyper counts the time between two requests as that of the next one's head; these are two limits here. So
//! the time is counted where the bytes come in:
//!
//! 1. A new connection owes the head of a request.
//! 2. When that is there, the server is at work, and nothing is owed.
//! 3. With the answer made, the connection rests.
//! 4. The first byte after that begins a head, and so back to 2.
//!
//! A client that takes nothing of its answer is waited for as for a body, and one that takes little of it not
//! for ever.
//!
//! What hyper answers by itself is its word on what is no request, without a body: a problem is sent in its
//! place.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::problem::Code;
use super::Leaving;
use super::answer::Refusal;
use super::limits::Limits;
use super::linger::Linger;
use crate::clock::FOREVER;
use crate::sync::Mutex;

/// What a connection is waited for, shared with what answers its requests.
#[derive(Clone, Debug)]
pub(super) struct Stage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    /// Of who read last, and found nothing. hyper does not read again before there is something, so it is
    /// woken when another time begins to count.
    reader: Mutex<Option<Waker>>,
    /// How many answers were made.
    answers: AtomicU64,
    /// The client may still be sending what nobody reads.
    leaves: AtomicBool,
}

const OWES: u8 = 0;
const WORKS: u8 = 1;
const RESTS: u8 = 2;

impl Stage {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn works(&self) {
        self.0.stage.store(WORKS, Ordering::Relaxed);
    }

    pub(super) fn rests(&self) {
        self.0.answers.fetch_add(1, Ordering::Relaxed);
        self.0.stage.store(RESTS, Ordering::Relaxed);
        let reader = self.0.reader.lock().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// What the client sends of a request that was answered is not read any more, and the connection ends.
    pub(super) fn leaves_the_rest(&self) {
        self.0.leaves.store(true, Ordering::Relaxed);
    }

    fn has_left_the_rest(&self) -> bool {
        self.0.leaves.load(Ordering::Relaxed)
    }

    /// What it is in, for who found nothing to read.
    fn read_later(&self, waker: &Waker) -> u8 {
        *self.0.reader.lock() = Some(waker.clone());
        self.0.stage.load(Ordering::Relaxed)
    }

    /// A byte has come: says whether it is the first one after a rest.
    fn get(&self) -> u8 {
        self.0.stage.load(Ordering::Relaxed)
    }

    fn has_read(&self) -> bool {
        let (order, stage) = (Ordering::Relaxed, &self.0.stage);
        stage.compare_exchange(RESTS, OWES, order, order).is_ok()
    }
}

/// A connection with its limits.
pub(super) struct Patient<T> {
    inner: T,
    stage: Stage,
    limits: Limits,
    leaving: watch::Receiver<Leaving>,
    reading: Timer,
    writing: Timer,
    sending: Sending,
    head: Head,
    /// What is left to send in the place of hyper's own word.
    refusal: Option<Vec<u8>>,
    linger: Option<Linger>,
}

/// What has come of a head. hyper has one word for three faults of it.
#[derive(Default)]
struct Head {
    bytes: usize,
    lines: usize,
}

impl Head {
    /// More lines are none of hyper's.
    const LINES: usize = 100;

    /// Reads a piece of it, and leaves it to hyper.
    fn read<T: Read + Unpin>(
        &mut self,
        inner: &mut T,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; 4 << 10];
        let (piece, _) = piece.split_at_mut(buffer.remaining().min(4 << 10));
        let mut piece = ReadBuf::new(piece);
        ready!(Pin::new(inner).poll_read(context, piece.unfilled()))?;
        let piece = piece.filled();
        self.bytes += piece.len();
        self.lines += piece.split(|byte| *byte == b'\n').skip(1).count();
        buffer.put_slice(piece);
        Poll::Ready(Ok(()))
    }

    /// It is too large, and not the body that it announces.
    fn is_large(&self, limits: &Limits) -> bool {
        self.bytes >= limits.header || self.lines > Self::LINES
    }
}

/// So many bytes of an answer are to be taken in a second, on the whole.
const SLOWEST: u64 = 64 << 10;

/// An answer that is being sent.
#[derive(Default)]
struct Sending {
    /// Which one it is.
    answer: u64,
    bytes: u64,
    /// Since when its client has been waited for.
    waits: Option<Instant>,
}

impl Sending {
    /// How long the client may still take, beyond the usual time of silence.
    fn left(&mut self, time: Duration, now: Instant) -> Duration {
        let waited = now - *self.waits.get_or_insert(now);
        let more = Duration::from_secs(self.bytes / SLOWEST);
        time.saturating_add(more).saturating_sub(waited)
    }
}

/// A time that is over, and what it was set for.
#[derive(Default)]
pub(super) struct Timer(Option<(u8, Pin<Box<Sleep>>)>);

impl Timer {
    /// Whether it is over, set anew where it was for something else.
    pub(super) fn poll(&mut self, what: u8, time: Duration, context: &mut Context<'_>) -> Poll<()> {
        let end = || Instant::now() + time.min(FOREVER);
        let (of, sleep) = self
            .0
            .get_or_insert_with(|| (what, Box::pin(sleep_until(end()))));
        if *of != what {
            *of = what;
            sleep.as_mut().reset(end());
        }
        sleep.as_mut().poll(context)
    }

    pub(super) fn stop(&mut self) {
        self.0 = None;
    }
}

impl<T> Patient<T> {
    pub(super) fn new(
        inner: T,
        stage: Stage,
        limits: Limits,
        leaving: watch::Receiver<Leaving>,
    ) -> Self {
        Self {
            inner,
            stage,
            limits,
            leaving,
            reading: Timer::default(),
            writing: Timer::default(),
            sending: Sending::default(),
            head: Head::default(),
            refusal: None,
            linger: None,
        }
    }
}

/// The header that all refusals of ours have.
const KIND: &[u8] = b"content-type: ";

impl<T: Write + Unpin> Patient<T> {
    /// Sends with limits: an error where nothing could be sent for too long.
    fn send(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let answer = self.stage.0.answers.load(Ordering::Relaxed);
        if self.sending.answer != answer {
            self.sending = Sending {
                answer,
                ..Sending::default()
            };
        }
        if let Poll::Ready(written) = write(Pin::new(&mut self.inner), context) {
            self.sending.bytes += written.as_ref().map_or(0, |bytes| *bytes as u64);
            self.writing.stop();
            return Poll::Ready(written);
        }
        let time = self.limits.body_time;
        let left = self.sending.left(time, Instant::now()).min(time);
        ready!(self.writing.poll(WORKS, left, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// A problem in the place of what begins so, where that is hyper's own word.
    fn refusal(&self, begin: &[u8]) -> Option<Vec<u8>> {
        let status = begin.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
        // Ours say of what type they are.
        let is_ours = || begin.windows(KIND.len()).any(|part| part == KIND);
        if !status.starts_with(b"4") || is_ours() {
            return None;
        }
        let refusal = match status {
            b"431" if !self.head.is_large(&self.limits) => Refusal::new(
                Code::TooLarge,
                "the declared length of the body is too large",
            ),
            b"414" | b"431" => Refusal::new(Code::HeaderTooLarge, "the head is too large"),
            _ => Refusal::new(Code::Malformed, "this is not a valid request of HTTP/1.1"),
        };
        Some(refusal.bytes())
    }

    /// Sends the problem, if there is one, and then says that all of what begins so was sent.
    fn refuse(
        &mut self,
        context: &mut Context<'_>,
        begin: &[u8],
        all: usize,
    ) -> Option<Poll<io::Result<usize>>> {
        let mut left = self.refusal.take().or_else(|| self.refusal(begin))?;
        self.stage.leaves_the_rest();
        while !left.is_empty() {
            match self.send(context, |inner, context| inner.poll_write(context, &left)) {
                Poll::Ready(Ok(sent)) => drop(left.drain(..sent.min(left.len()))),
                Poll::Ready(Err(cause)) => return Some(Poll::Ready(Err(cause))),
                Poll::Pending => {
                    self.refusal = Some(left);
                    return Some(Poll::Pending);
                }
            }
        }
        Some(Poll::Ready(Ok(all)))
    }
}

impl<T: Read + Unpin> Read for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = match this.stage.get() {
            WORKS => Pin::new(&mut this.inner).poll_read(context, buffer),
            stage => {
                if stage == RESTS {
                    this.head = Head::default();
                }
                this.head.read(&mut this.inner, context, buffer)
            }
        };
        if let Poll::Ready(read) = read {
            if this.stage.has_read() {
                this.reading.stop();
            }
            return Poll::Ready(read);
        }
        let stage = this.stage.read_later(context.waker());
        let time = match stage {
            OWES => this.limits.header_time,
            RESTS => this.limits.idle_time,
            _ => {
                this.reading.stop();
                return Poll::Pending;
            }
        };
        ready!(this.reading.poll(stage, time, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: Read + Write + Unpin> Write for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(refused) = self.refuse(context, bytes, bytes.len()) {
            return refused;
        }
        self.send(context, |inner, context| inner.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let begin = bytes.iter().find(|part| !part.is_empty());
        let begin = begin.map_or(&[][..], |part| part);
        let all = bytes.iter().map(|part| part.len()).sum();
        if let Some(refused) = self.refuse(context, begin, all) {
            return refused;
        }
        self.send(context, |inner, context| {
            inner.poll_write_vectored(context, bytes)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.stage.has_left_the_rest() {
            return Pin::new(&mut this.inner).poll_shutdown(context);
        }
        let linger = || Linger::new(&this.limits, this.leaving.clone());
        let linger = this.linger.get_or_insert_with(linger);
        linger.poll(&mut this.inner, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_byte_of_its_answer_now_and_then_is_not_waited_for_for_ever() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut sending = Sending::default();
        assert_eq!(sending.left(30 * second, begin), 30 * second);
        sending.bytes += 1;
        assert_eq!(sending.left(30 * second, begin + 20 * second), 10 * second);
        // A second more for what a slow line takes in one.
        sending.bytes += 60 * SLOWEST;
        assert_eq!(sending.left(30 * second, begin + 80 * second), 10 * second);
        sending.bytes += 1;
        assert_eq!(
            sending.left(30 * second, begin + 91 * second),
            Duration::ZERO
        );
        assert_eq!(
            sending.left(Duration::MAX, begin + 91 * second),
            Duration::MAX.saturating_sub(91 * second)
        );
    }
}
