//! The end of a connection whose client may still be sending.
//!
//! A socket closed with bytes unread is a reset, and a reset takes the answer with it that the client has not
//! read yet: a stranger would see a broken pipe where 401 was said, and a balancer would take this host for
//! a dead one. So the answer is sent, the sending side is closed, and what still comes is read and thrown
//! away (nginx calls it a lingering close): until the client closes, or enough has come, or it is silent for
//! too long, or the time is over, or the host is about to end.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, Write};
use tokio::sync::watch;

use super::Leaving;
use super::limits::Limits;
use super::patience::Timer;

/// Who is silent for so long has seen the answer, or never will.
const SILENCE: Duration = Duration::from_secs(5);

/// How much is thrown away at a time.
const CHUNK: usize = 16 << 10;

/// Closes a connection in that way.
pub(super) struct Linger {
    is_shut: bool,
    bytes: usize,
    silence: Timer,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Linger {
    pub(super) fn new(limits: &Limits, mut leaving: watch::Receiver<Leaving>) -> Self {
        let time = limits.body_time;
        Self {
            is_shut: false,
            bytes: limits.unwanted,
            silence: Timer::default(),
            over: Box::pin(async move {
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = Leaving::now(&mut leaving) => {}
                }
            }),
        }
    }

    pub(super) fn poll<T: Read + Write + Unpin>(
        &mut self,
        connection: &mut T,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut *connection).poll_shutdown(context))?;
            self.is_shut = true;
        }
        while self.over.as_mut().poll(context).is_pending() {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            match Pin::new(&mut *connection).poll_read(context, chunk.unfilled()) {
                Poll::Ready(Ok(())) => {
                    let read = chunk.filled().len();
                    self.bytes = self.bytes.saturating_sub(read);
                    self.silence.stop();
                    if read == 0 || self.bytes == 0 {
                        break;
                    }
                }
                // It has broken off, and so has nothing to lose.
                Poll::Ready(Err(_)) => break,
                Poll::Pending => {
                    ready!(self.silence.poll(0, SILENCE, context));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Closes it.
    pub(super) async fn close<T: Read + Write + Unpin>(mut self, mut connection: T) {
        // Nobody is left to be told.
        let _ = poll_fn(|context| self.poll(&mut connection, context)).await;
    }
}
