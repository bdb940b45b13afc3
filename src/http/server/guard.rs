//! Who may do what, and how much of it.

use std::collections::BTreeSet;
use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq;

use super::super::problem::Code;
use super::answer::Refusal;
use crate::clock::Steady;
use crate::sync::Mutex;

/// What a token lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Create jobs.
    Create,
    /// Ask for a job by its receipt, with its payload and output. A receipt cannot be made up: this role
    /// reads the jobs whose receipts its holder was given, by whomever.
    Read,
    /// Read every job: list them all with their receipts, ask for each, and see the statistics.
    ReadAll,
    /// List, cancel, retry and remove jobs, and see the statistics. Payloads and outputs take a role that
    /// reads.
    Operate,
    /// Have jobs of other hosts run here.
    Execute,
}

/// The tokens, none of which is ever shown.
pub(super) struct Tokens {
    all: Vec<Token>,
    /// Of those who need none.
    anybody: Token,
    /// What is compared are hashes by a key that nobody knows, so that not even the length of a token shows
    /// in the time that it takes.
    key: [u8; 16],
}

impl Default for Tokens {
    fn default() -> Self {
        let mut key = [0; 16];
        // Without randomness the tokens are compared all the same.
        let _ = getrandom::fill(&mut key);
        Self {
            all: Vec::new(),
            anybody: Token::default(),
            key,
        }
    }
}

/// One token.
#[derive(Default)]
pub(super) struct Token {
    secret: String,
    hash: [u8; 16],
    roles: BTreeSet<Role>,
    spent: Mutex<Spent>,
}

/// What a token has created of late.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// In thousandths of a job.
    debt: u64,
    at: Steady,
}

impl Tokens {
    pub(super) fn add(&mut self, secret: String, roles: impl IntoIterator<Item = Role>) {
        self.all.push(Token {
            hash: self.hash(secret.as_bytes()),
            secret,
            roles: roles.into_iter().collect(),
            spent: Mutex::default(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What speaks against the tokens; not in their words.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_good = |token: &Token| {
            !token.secret.is_empty() && token.secret.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !self.all.iter().all(is_good) {
            return Some("a token must be non-empty printable ASCII without spaces");
        }
        let secrets: BTreeSet<_> = self.all.iter().map(|token| &token.secret).collect();
        (secrets.len() < self.all.len())
            .then_some("a token is given twice: give it all its roles at once")
    }

    /// Lets in who has one of these roles.
    pub(super) fn check(&self, headers: &HeaderMap, roles: &[Role]) -> Result<&Token, Refusal> {
        if self.is_empty() {
            return Ok(&self.anybody);
        }
        let shown = headers.get(header::AUTHORIZATION).and_then(bearer);
        let mut known = None;
        if let Some(shown) = shown {
            let shown = self.hash(shown);
            // All of them, so that the time says nothing about which it was.
            for token in &self.all {
                if bool::from(token.hash.ct_eq(&shown)) {
                    known = Some(token);
                }
            }
        }
        match known {
            Some(token) if roles.iter().any(|role| token.roles.contains(role)) => Ok(token),
            Some(_) => {
                let roles: Vec<_> = roles.iter().map(|role| format!("`{role}`")).collect();
                let roles = roles.join(" or ");
                Err(Refusal::new(
                    Code::Forbidden,
                    format_args!("the token lacks the role {roles}, which this needs"),
                ))
            }
            None => Err(Refusal::new(
                Code::Unauthorized,
                "this needs a token: `authorization: Bearer ...`",
            )),
        }
    }
}

impl Tokens {
    fn hash(&self, secret: &[u8]) -> [u8; 16] {
        SipHasher24::new_with_key(&self.key).hash(secret).as_bytes()
    }
}

/// What stands behind the name of the scheme, however that is written.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    // RFC 9110: one space or more.
    let token = token.trim_ascii_start();
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

impl Token {
    /// Counts jobs that it is about to create: the leaky bucket as a meter (ITU-T I.371).
    pub(super) fn spend(
        &self,
        jobs: usize,
        rate: Option<(u32, u32)>,
        now: Steady,
    ) -> Result<(), Refusal> {
        let Some((per_second, burst)) = rate else {
            return Ok(());
        };
        let (per_second, most) = (u64::from(per_second), u64::from(burst) * 1_000);
        let cost = u64::try_from(jobs)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000);
        let mut spent = self.spent.lock();
        let passed = u64::try_from(now.since(spent.at).as_millis()).unwrap_or(u64::MAX);
        let debt = spent.debt.saturating_sub(passed.saturating_mul(per_second));
        *spent = Spent { debt, at: now };
        // The debt of a batch beyond the burst is above all of it.
        let missing = debt.saturating_add(cost.min(most)).saturating_sub(most);
        if missing == 0 {
            spent.debt = debt.saturating_add(cost);
            return Ok(());
        }
        let seconds = missing.div_ceil(per_second * 1_000);
        let told =
            format_args!("this token may create {per_second} jobs a second and {burst} at once");
        Err(Refusal::new(Code::TooMany, told).retry_after(seconds))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::ReadAll => "read_all",
            Self::Operate => "operate",
            Self::Execute => "execute",
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.all.len())
    }
}
