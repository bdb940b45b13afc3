//! Bodies of requests, read within their limits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Request, header};
use serde::de::DeserializeOwned;

use super::super::problem::Code;
use super::Host;
use super::answer::Refusal;
use super::room::{Taken, crowded};

/// What is larger is read and written on a thread for that, so that the others need not wait for it.
pub(super) const AT_ONCE: usize = 64 << 10;

/// A body, and the memory that is counted for it: until its jobs are accepted, they hold about as much.
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Taken,
}

impl Host {
    /// The body, within its limits and the memory for all of them.
    pub(super) async fn body(&self, request: Request<Body>) -> Result<Held, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::new(
                Code::NotJson,
                "the body must be declared as `content-type: application/json`",
            ));
        }
        if !is_plain(request.headers()) {
            return Err(Refusal::new(
                Code::NotJson,
                "the body must come without a `content-encoding`",
            ));
        }
        let (limit, body) = (self.limits.body, request.into_body());
        // Before it is asked for: who waits to hear that it may come need not send it.
        let size = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if size > limit {
            return Err(too_large(limit));
        }
        let room = self.memory.bodies.take(size).ok_or_else(crowded)?;
        let held = Held {
            bytes: Vec::with_capacity(size),
            room,
        };
        let read = tokio::time::timeout(self.limits.body_time, self.read(held, body));
        let slow = |_| Refusal::new(Code::TooSlow, "the body did not come in time");
        read.await.map_err(slow)?
    }

    async fn read(&self, mut held: Held, body: Body) -> Result<Held, Refusal> {
        let mut body = pin!(body);
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let broken = |_| {
                let told = "the body broke off, or is not cut into chunks as it should be";
                Refusal::new(Code::Malformed, told)
            };
            // Trailers say nothing.
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            let size = held.bytes.len().saturating_add(data.len());
            if size > self.limits.body {
                return Err(too_large(self.limits.body));
            }
            let grown = self.memory.bodies.grow(&mut held.room, size);
            grown.ok_or_else(crowded)?;
            held.bytes.extend_from_slice(&data);
        }
        Ok(held)
    }

    /// Does what a body asks for: if it is large, on another thread, and when there is memory for it.
    pub(super) async fn decoded<T: Send + 'static>(
        self: &Arc<Self>,
        body: Vec<u8>,
        decode: impl FnOnce(&Self, &[u8]) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if body.len() <= AT_ONCE {
            return decode(self, &body);
        }
        let room = self.memory.decoding(body.len()).await;
        let host = Arc::clone(self);
        let task = move || {
            let _room = room;
            // Freed here as well.
            let body = body;
            decode(&host, &body)
        };
        self.workers.run(task).await
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Code::TooLarge,
        format_args!("the body is larger than {limit} bytes"),
    )
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// It is not compressed, nor anything else.
fn is_plain(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The body as what it is to be.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], depth: usize) -> Result<T, Refusal> {
    if is_deeper(body, depth) {
        return Err(Refusal::new(
            Code::Malformed,
            format_args!("the body is nested deeper than {depth} levels"),
        ));
    }
    serde_json::from_slice(body).map_err(|cause| Refusal::new(Code::Malformed, cause))
}

/// Brackets are nested deeper than this. What is skipped over by a parser costs no stack, and so has no
/// limit of its own.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for &byte in json {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_within_texts_are_no_levels() {
        assert!(!is_deeper(br#"{"a":"[[[\"[[","b":[]}"#, 2));
        assert!(is_deeper(br#"{"a":"","b":[[]]}"#, 2));
        assert!(!is_deeper(b"[[]][[]]", 2));
    }
}
