//! One request of a call: the first one, or where a redirect leads.

use std::collections::BTreeMap;

use ureq::http::header::{ACCEPT, CONTENT_TYPE};
use ureq::http::uri::Scheme;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::location::join;
use super::{HttpCall, HttpCalls};

/// Headers that say where or how a request is sent, which the job does not decide.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

#[derive(Debug)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
}

impl Hop {
    /// The first request.
    pub(super) fn of(call: &HttpCall) -> Result<Self, String> {
        let method = call.method.parse::<Method>();
        let method = method.map_err(|cause| cause.to_string())?;
        if method == Method::CONNECT {
            return Err("CONNECT is no method of a call".into());
        }
        let mut headers = headers(&call.headers)?;
        let body = match (&call.body, call.form.is_empty()) {
            (Some(_), false) => return Err("it has a body and a form: give one of them".into()),
            (Some(body), true) => Some(body.bytes().to_vec()),
            (None, false) => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.entry(CONTENT_TYPE).or_insert(form);
                Some(encode(&call.form).into_bytes())
            }
            (None, true) => None,
        };
        if body.is_some() && method == Method::HEAD {
            return Err("HEAD sends no body".into());
        }
        // Its cause says nothing of the text.
        let uri = call.url.parse::<Uri>();
        let uri = uri.map_err(|cause| format!("its URL cannot be read: {cause}"))?;
        Ok(Self {
            method,
            uri,
            headers,
            body,
        })
    }

    /// The request that follows on a redirect.
    pub(super) fn follow(
        mut self,
        status: StatusCode,
        location: &HeaderValue,
    ) -> Result<Self, String> {
        let uri = location
            .to_str()
            .ok()
            .and_then(|text| join(&self.uri, text));
        let uri = uri.ok_or("its answer redirects to what is no URL")?;
        if self.uri.scheme() == Some(&Scheme::HTTPS) && uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(format!(
                "its answer redirects from https to {}: name the last URL in the call",
                origin(&uri)
            ));
        }
        let stays = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if !stays {
            self.headers.remove(CONTENT_TYPE);
            self.body = None;
            if self.method != Method::HEAD {
                self.method = Method::GET;
            }
        }
        if place(&uri) != place(&self.uri) {
            let mut public = HeaderMap::new();
            for name in [ACCEPT, CONTENT_TYPE] {
                if let Some(value) = self.headers.remove(&name) {
                    public.insert(name, value);
                }
            }
            self.headers = public;
        }
        self.uri = uri;
        Ok(self)
    }

    /// Checks what the host's rules say of the URL itself.
    pub(super) fn check(&self, calls: &HttpCalls) -> Result<(), String> {
        let (scheme, host) = (self.uri.scheme(), self.uri.host());
        if scheme != Some(&Scheme::HTTP) && scheme != Some(&Scheme::HTTPS) {
            return Err("its URL is neither http nor https".into());
        }
        if self
            .uri
            .authority()
            .is_some_and(|text| text.as_str().contains('@'))
        {
            return Err("its URL names a user: send the header `authorization` instead".into());
        }
        match host {
            Some(host) if calls.allow(host) => Ok(()),
            _ => Err("this host does not allow calls to it: name it in `HttpCalls::to`".into()),
        }
    }

    /// The body that is sent. An empty one says `content-length: 0`, which a request whose method means a
    /// body has to say (RFC 9110, section 8.6).
    pub(super) fn content(&self) -> Option<&[u8]> {
        let means_one = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        let empty: Option<&[u8]> = means_one.then_some(&[]);
        self.body.as_deref().or(empty)
    }

    /// How errors name the request.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, origin(&self.uri))
    }
}

fn headers(named: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let parsed = name.parse::<HeaderName>();
        let parsed = parsed.map_err(|_| format!("`{name}` is no name of a header"))?;
        if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("proxy-") {
            return Err(format!("a job does not set the header `{parsed}`"));
        }
        let value = HeaderValue::from_str(value);
        let mut value =
            value.map_err(|_| format!("the value of header `{parsed}` is not allowed"))?;
        value.set_sensitive(true);
        if headers.insert(&parsed, value).is_some() {
            return Err(format!("it has the header `{parsed}` twice"));
        }
    }
    Ok(headers)
}

/// A form as browsers send it.
fn encode(form: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in form {
        if !text.is_empty() {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

fn escape(part: &str, text: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |half: u8| {
        HEX.get(usize::from(half))
            .map_or('0', |digit| char::from(*digit))
    };
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            _ => text.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

/// What may be shown of a URL.
pub(super) fn origin_of(url: &str) -> String {
    url.parse().map_or_else(|_| "?".into(), |uri| origin(&uri))
}

fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("?");
    let host = uri.host().unwrap_or("?");
    let port = uri
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{scheme}://{host}{port}")
}

/// Scheme, host and port, to be compared.
fn place(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    (
        uri.scheme_str(),
        uri.host().map(str::to_ascii_lowercase),
        uri.port_u16().or(Some(default)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_as_browsers_do() {
        let form = [("a b", "1&2=3"), ("name", "Zoë+")];
        let form = form.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(encode(&form.into()), "a+b=1%262%3D3&name=Zo%C3%AB%2B");
    }

    fn followed(to: &str, status: StatusCode) -> Hop {
        let call = HttpCall::new("PUT", "https://a.example/x")
            .header("authorization", "secret")
            .header("accept", "text/plain")
            .body("data");
        let location = HeaderValue::from_str(to).unwrap();
        Hop::of(&call).unwrap().follow(status, &location).unwrap()
    }

    #[test]
    fn secrets_stay_with_their_origin() {
        for (to, kept) in [
            ("/y", true),
            ("https://A.example:443/y", true),
            ("https://a.example:444/y", false),
            ("https://b.example/y", false),
        ] {
            let hop = followed(to, StatusCode::FOUND);
            assert_eq!(hop.headers.contains_key("authorization"), kept, "{to}");
            assert!(hop.headers.contains_key("accept"));
        }
    }

    #[test]
    fn method_and_body_stay_where_the_status_says_so() {
        for status in [
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
        ] {
            let hop = followed("/y", status);
            assert_eq!((hop.method, hop.body), (Method::PUT, Some("data".into())));
        }
        for status in [
            StatusCode::MOVED_PERMANENTLY,
            StatusCode::FOUND,
            StatusCode::SEE_OTHER,
        ] {
            let hop = followed("/y", status);
            assert_eq!((hop.method, hop.body), (Method::GET, None));
        }
    }

    #[test]
    fn from_https_no_redirect_leads_to_http() {
        let call = HttpCall::new("GET", "https://a.example/x");
        let location = HeaderValue::from_static("http://u:p@a.example/secret");
        let error = Hop::of(&call)
            .unwrap()
            .follow(StatusCode::FOUND, &location)
            .unwrap_err();
        assert_eq!(
            error,
            "its answer redirects from https to http://a.example: name the last URL in the call"
        );
    }
}
