//! Job types that come with the library: [`HttpCall`] (feature `http-call`) and [`Command`] (feature
//! `command`, on Unix).
//!
//! A host has none of them unless it registers them, and then says what they may reach:
//! [`Builder::http_calls`](crate::Builder::http_calls) takes the hosts that may be called,
//! [`Builder::commands`](crate::Builder::commands) the programs that may be run. What is not named is
//! refused. Their payloads are JSON that any language can write; the fields stand with each type, and one that
//! is not known is refused.

#[cfg(all(feature = "command", unix))]
mod command;
mod content;
#[cfg(feature = "http-call")]
mod http_call;

#[cfg(all(feature = "command", unix))]
pub use command::{Command, CommandOutput, Commands, GRACE, Keep};
pub use content::Content;
#[cfg(feature = "http-call")]
pub use http_call::{HttpAnswer, HttpCall, HttpCalls, REDIRECTS};
