//! Bodies of requests, read within their limits.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::{HeaderMap, Request, header};
use serde::de::DeserializeOwned;

use super::super::problem::Code;
use super::Host;
use super::answer::Refusal;

/// Beyond this a body is decoded on a thread of its own, so that the others need not wait for it.
const AT_ONCE: usize = 64 << 10;

impl Host {
    /// The body, within its limits.
    pub(super) async fn body(&self, request: Request<Body>) -> Result<Bytes, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::new(
                Code::NotJson,
                "the body is to be declared as `content-type: application/json`",
            ));
        }
        if !is_plain(request.headers()) {
            return Err(Refusal::new(
                Code::NotJson,
                "the body is to come as it is, without a `content-encoding`",
            ));
        }
        let (limit, body) = (self.limits.body, request.into_body());
        let too_large = format_args!("the body is larger than {limit} bytes").to_string();
        // Before it is asked for: who waits to hear that it may come need not send it.
        if body.size_hint().lower() > limit as u64 {
            return Err(Refusal::new(Code::TooLarge, too_large));
        }
        let is_sized = body.size_hint().exact().is_some();
        match tokio::time::timeout(self.limits.body_time, to_bytes(body, limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) if is_sized => Err(Refusal::new(Code::Malformed, "the body broke off")),
            Ok(Err(_)) => Err(Refusal::new(Code::TooLarge, too_large + ", or broke off")),
            Err(_) => Err(Refusal::new(Code::TooSlow, "the body did not come in time")),
        }
    }
}

/// Does what a body asks for: on another thread, where that may take long.
pub(super) async fn decoded<T: Send + 'static>(
    body: Bytes,
    decode: impl FnOnce(&[u8]) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if body.len() <= AT_ONCE {
        return decode(&body);
    }
    let decoded = tokio::task::spawn_blocking(move || decode(&body)).await;
    decoded.unwrap_or_else(|_| Err(Refusal::new(Code::Internal, "the host could not do it")))
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
