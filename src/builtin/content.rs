use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are text as a rule. In JSON they are a string where they are UTF-8, and otherwise
/// `{"base64":"…"}`; both are read.
///
/// ```
/// use jobkeep::builtin::Content;
///
/// let text: Content = serde_json::from_str(r#""done""#)?;
/// assert_eq!(text, Content::from("done"));
/// let bytes: Content = serde_json::from_str(r#"{"base64":"/w=="}"#)?;
/// assert_eq!(bytes.bytes(), [0xff]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Content(Vec<u8>);

impl Content {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes as text; what is no UTF-8 in them shows as `U+FFFD`.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The first `bound` bytes of them, or a few less, so that no character is cut.
    #[cfg(feature = "http-call")]
    pub(super) fn beginning(mut bytes: Vec<u8>, bound: usize) -> (Self, bool) {
        if bytes.len() <= bound {
            return (Self(bytes), false);
        }
        bytes.truncate(bound);
        if let Err(cause) = std::str::from_utf8(&bytes)
            && cause.error_len().is_none()
        {
            bytes.truncate(cause.valid_up_to());
        }
        (Self(bytes), true)
    }

    /// The last `bound` bytes of them, or a few less, so that no character is cut.
    #[cfg(all(feature = "command", unix))]
    pub(super) fn end(mut bytes: Vec<u8>, bound: usize) -> (Self, bool) {
        let Some(mut surplus) = bytes.len().checked_sub(bound).filter(|some| *some > 0) else {
            return (Self(bytes), false);
        };
        let rest = bytes.get(surplus..).unwrap_or_default();
        surplus += rest
            .iter()
            .take(3)
            .take_while(|byte| *byte & 0xc0 == 0x80)
            .count();
        bytes.drain(..surplus);
        (Self(bytes), true)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &BASE64.encode(&self.0))?;
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    Text(String),
    Encoded(Encoded),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    base64: String,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)
            .map_err(|_| D::Error::custom("neither a text nor {\"base64\":\"…\"}"))?;
        match read {
            Read::Text(text) => Ok(text.into()),
            Read::Encoded(Encoded { base64 }) => {
                let bytes = BASE64.decode(base64.as_bytes()).map_err(D::Error::custom)?;
                Ok(Self(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_go_round_as_base64() {
        let content = Content::from(vec![0xff, b'a']);
        let json = serde_json::to_string(&content).unwrap();
        assert_eq!(json, r#"{"base64":"/2E="}"#);
        assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        let refused = serde_json::from_str::<Content>(r#"{"base64":"/2E=","more":1}"#);
        assert!(refused.is_err());
    }

    #[test]
    #[cfg(feature = "http-call")]
    fn a_beginning_cuts_no_character() {
        let cut = |bound| Content::beginning("aäb".into(), bound);
        assert_eq!(cut(2), (Content::from("a"), true));
        assert_eq!(cut(3), (Content::from("aä"), true));
        assert_eq!(cut(4), (Content::from("aäb"), false));
    }

    #[test]
    #[cfg(all(feature = "command", unix))]
    fn an_end_cuts_no_character() {
        let cut = |bound| Content::end("aäb".into(), bound);
        assert_eq!(cut(2), (Content::from("b"), true));
        assert_eq!(cut(3), (Content::from("äb"), true));
        assert_eq!(cut(4), (Content::from("aäb"), false));
        assert_eq!(
            Content::end(vec![0xff; 5], 2),
            (Content(vec![0xff; 2]), true)
        );
    }
}
