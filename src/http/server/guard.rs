//! Who may do what.

use std::fmt;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::super::problem::Code;
use super::answer::Refusal;

/// What a token lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Create jobs.
    Create,
    /// Ask for a job whose receipt one has.
    Read,
    /// List, cancel, retry and remove jobs, and see the statistics.
    Operate,
}

/// The tokens, none of which is ever shown.
#[derive(Clone, Default)]
pub(super) struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    secret: String,
    roles: Vec<Role>,
}

impl Tokens {
    pub(super) fn add(&mut self, secret: String, roles: impl IntoIterator<Item = Role>) {
        let roles = roles.into_iter().collect();
        self.0.push(Token { secret, roles });
    }

    /// Without any token everybody on this machine is let in.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets in who may do this.
    pub(super) fn check(&self, headers: &HeaderMap, role: Role) -> Result<(), Refusal> {
        if self.is_empty() {
            return Ok(());
        }
        let shown = headers.get(header::AUTHORIZATION);
        let shown = shown.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let (mut is_known, mut may) = (false, false);
        if let Some(shown) = shown {
            // All of them, so that the time says nothing about which it was.
            for token in &self.0 {
                let is_it = bool::from(token.secret.as_bytes().ct_eq(shown));
                is_known |= is_it;
                may |= is_it && token.roles.contains(&role);
            }
        }
        match (is_known, may) {
            (true, true) => Ok(()),
            (true, false) => Err(Refusal::new(
                Code::Forbidden,
                format_args!("the token has not the role `{role}`, which this takes"),
            )),
            (false, _) => Err(Refusal::new(
                Code::Unauthorized,
                "this takes a token: `authorization: Bearer ...`",
            )),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Operate => "operate",
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}
