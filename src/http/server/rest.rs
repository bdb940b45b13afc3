//! What is left of the body of a request that was answered without it.
//!
//! A little is read before the answer, and the connection goes on to the next request. More is not: the
//! answer says that the connection ends, and the rest is thrown away behind it ([`Linger`]).
//!
//! [`Linger`]: super::linger::Linger

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::http::{Request, header};
use hyper::body::{Frame, Incoming, SizeHint};

use crate::sync::Mutex;

/// So much is a little.
const LITTLE: u64 = 64 << 10;

/// How long a little is waited for.
const SOON: Duration = Duration::from_secs(1);

/// The body of a request, as its handler has it. Dropped, it is not gone: see [`Rest`].
pub(super) struct Lent(Arc<Mutex<Read>>);

/// What a handler leaves of a body.
pub(super) struct Rest(Arc<Mutex<Read>>);

struct Read {
    body: Incoming,
    is_over: bool,
    /// The client sends it: it does not wait to be asked, or has been.
    is_sent: bool,
}

/// Lends the body of a request to whoever answers it.
pub(super) fn lend(request: Request<Incoming>) -> (Request<Lent>, Rest) {
    let (head, body) = request.into_parts();
    let is_sent = !head.headers.contains_key(header::EXPECT);
    let is_over = body.is_end_stream();
    let read = Arc::new(Mutex::new(Read {
        body,
        is_over,
        is_sent,
    }));
    let lent = Lent(Arc::clone(&read));
    (Request::from_parts(head, lent), Rest(read))
}

impl Rest {
    /// Reads what is left, if that is a little. Says whether nothing is left then.
    pub(super) async fn read(self) -> bool {
        let is_little = {
            let read = self.0.lock();
            if read.is_over {
                return true;
            }
            let left = read.body.size_hint().exact();
            // Who waits to be asked for it need not send it.
            read.is_sent && left.is_some_and(|left| left <= LITTLE)
        };
        let all = async { while let Some(Ok(_)) = poll_fn(|context| self.frame(context)).await {} };
        is_little && tokio::time::timeout(SOON, all).await.is_ok() && self.0.lock().is_over
    }

    fn frame(&self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.lock().frame(context)
    }
}

impl Read {
    fn frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_sent = true;
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.is_over |= matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        frame
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.lock().frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_over
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}
