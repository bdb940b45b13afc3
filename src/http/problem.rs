//! What is answered where a request is refused: RFC 9457, with a code that stays the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::wire;

/// Every way in which a request is refused. The code is part of the protocol.
macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $status:literal $code:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Code {
            $($(#[$about])* $name,)+
        }

        impl Code {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$name,)+];

            pub(super) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            pub(super) fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }
        }
    };
}

codes! {
    /// The body, a parameter or a header is not of its form.
    Malformed = 400 "malformed";
    /// A text is no receipt, or was changed.
    BadReceipt = 400 "bad_receipt";
    /// No token came, or an unknown one.
    Unauthorized = 401 "unauthorized";
    /// The token has not the role that this takes.
    Forbidden = 403 "forbidden";
    /// There is no such path.
    NoSuchPath = 404 "no_such_path";
    /// No job with that number was ever accepted.
    NeverExisted = 404 "never_existed";
    /// The path does not take this method.
    MethodNotAllowed = 405 "method_not_allowed";
    /// The body did not come in time.
    TooSlow = 408 "too_slow";
    /// The same job of the same store runs here.
    Busy = 409 "busy";
    /// The job's state does not allow it.
    IllegalState = 409 "illegal_state";
    /// The job cannot run here, and lacks more than somebody's word.
    Parked = 409 "parked";
    /// Another payload holds the idempotency key.
    KeyConflict = 409 "key_conflict";
    /// The job was accepted once and is no longer kept.
    Pruned = 410 "pruned";
    /// The receipt is of a store that is no longer there.
    StoreReplaced = 410 "store_replaced";
    /// The job was accepted as buffered and did not survive.
    Lost = 410 "lost";
    /// Body, batch, payload or key is beyond its limit.
    TooLarge = 413 "too_large";
    /// The body is not declared as JSON, or comes compressed.
    NotJson = 415 "not_json";
    /// The receipt is of another server.
    OtherServer = 421 "other_server";
    /// No job type is registered under this name.
    UnknownName = 422 "unknown_name";
    /// The host has no such queue.
    UnknownQueue = 422 "unknown_queue";
    /// The payload does not decode to the registered type.
    Undecodable = 422 "undecodable";
    /// Jobs of this name are not taken over HTTP here.
    NotRemote = 422 "not_remote";
    /// The token creates faster than it may.
    TooMany = 429 "too_many";
    /// The header is larger than its limit.
    HeaderTooLarge = 431 "header_too_large";
    /// A row of the job is damaged.
    Damaged = 500 "damaged";
    /// Whether the jobs were accepted is not known.
    OutcomeUnknown = 500 "outcome_unknown";
    /// Something failed that should not.
    Internal = 500 "internal";
    /// The inbox is full, every executor has a job, or as many connections are open or as many bytes held as
    /// may.
    Full = 503 "full";
    /// The host runs no jobs of other hosts.
    NoExecutors = 503 "no_executors";
    /// The host shuts down.
    ShuttingDown = 503 "shutting_down";
    /// The store refuses writes at the moment.
    StoreRefuses = 503 "store_refuses";
}

impl Code {
    /// The code of that text.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// A refusal as it stands in the body of an answer, `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    /// `about:blank`: the code says more than a page could.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The code as words.
    pub(super) title: String,
    pub(super) status: u16,
    /// What the program acts upon.
    pub(super) code: String,
    /// One sentence for people.
    pub(super) detail: String,
    /// The server that says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) server: Option<String>,
    /// For `other_server`, the one that gave the receipt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) ask: Option<String>,
    /// For `illegal_state`, the state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) state: Option<String>,
    /// For `key_conflict`, the number of the job that holds the key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) job: Option<u64>,
    /// For `parked`, why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) parked: Option<wire::Parked>,
    /// Which job of a batch is meant, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) index: Option<usize>,
    /// After so many seconds it is worth trying again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) retry_after: Option<u64>,
}

impl Problem {
    #[cfg(feature = "http-server")]
    pub(super) fn new(code: Code, detail: impl fmt::Display) -> Self {
        Self {
            kind: "about:blank".into(),
            title: code.as_str().replace('_', " "),
            status: code.status(),
            code: code.as_str().into(),
            detail: detail.to_string(),
            server: None,
            ask: None,
            state: None,
            job: None,
            parked: None,
            index: None,
            retry_after: None,
        }
    }

    /// With the word that it is worth trying again after so many seconds.
    #[cfg(feature = "http-server")]
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.status, self.code, self.detail)
    }
}
