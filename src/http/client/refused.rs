//! What an answer other than a success means.

use std::time::Duration;

use super::super::problem::{Code, Problem};
use super::exchange::{Answer, Failed};
use super::read;
use crate::error::{Kind, Remote};
use crate::{Error, JobNumber, ParkReason, StateKind};

/// Why a host did not do what it was asked.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) kind: Kind,
    pub(super) told: String,
    /// What is known of the request.
    pub(super) fate: Fate,
    pub(super) retry_after: Option<Duration>,
    /// Why the job is parked that it speaks of, and which of a batch that is.
    parked: Option<Box<ParkReason>>,
    index: Option<usize>,
}

/// What became of a request, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It took no effect, and will not if it is sent again.
    Refused,
    /// It took no effect. Who wants to have something done learns so; who only asks may ask again later,
    /// when what stands before the host lets them through.
    Barred,
    /// It took no effect, and may if it is sent again.
    NotNow,
    /// It may have taken effect: no answer came.
    Unanswered,
    /// It may have taken effect: the answer is of no use, and another will not be of more.
    Garbled,
}

const UNREACHABLE: Kind = Kind::Remote(Remote::Unreachable);

impl Refused {
    fn new(kind: Kind, fate: Fate, told: impl Into<String>) -> Self {
        Self {
            kind,
            told: told.into(),
            fate,
            retry_after: None,
            parked: None,
            index: None,
        }
    }

    /// An answer that should not be.
    pub(super) fn garbled(told: impl Into<String>) -> Self {
        Self::new(Kind::Host, Fate::Garbled, told)
    }

    /// The same as an error with this message.
    pub(super) fn error(self, message: String) -> Error {
        Error::from_host(
            self.kind,
            message,
            self.parked.map(|reason| *reason),
            self.index,
        )
    }

    /// It is worth asking again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.fate, Fate::Barred | Fate::NotNow | Fate::Unanswered)
    }
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotSent(told) => Self::new(UNREACHABLE, Fate::NotNow, told),
            Failed::Unanswered(told) => Self::new(UNREACHABLE, Fate::Unanswered, told),
            Failed::Endless(told) => Self::garbled(told),
        }
    }
}

impl From<&Answer> for Refused {
    fn from(answer: &Answer) -> Self {
        let refused = match &answer.problem {
            Some((code, problem)) => by_host(*code, problem),
            None => by_others(answer.status),
        };
        Self {
            retry_after: answer.retry_after,
            ..refused
        }
    }
}

/// A refusal by a host of the protocol.
fn by_host(code: Code, problem: &Problem) -> Refused {
    let kind = match code {
        Code::Malformed
        | Code::NoSuchPath
        | Code::MethodNotAllowed
        | Code::NotJson
        | Code::Busy
        | Code::UnknownName
        | Code::NotRemote
        | Code::NoExecutors
        | Code::Internal => Kind::Host,
        Code::BadReceipt => Kind::BadReceipt,
        Code::Unauthorized | Code::Forbidden => Kind::Remote(Remote::Denied),
        Code::NeverExisted => Kind::NeverExisted,
        Code::IllegalState => {
            let state = problem.state.as_deref().and_then(state);
            state.map_or(Kind::Host, Kind::IllegalState)
        }
        Code::Parked => Kind::Parked,
        Code::KeyConflict => {
            let job = problem.job.map(JobNumber);
            job.map_or(Kind::Host, Kind::KeyConflict)
        }
        Code::Pruned => Kind::Pruned,
        Code::StoreReplaced => Kind::Replaced,
        Code::Lost => Kind::Lost,
        Code::TooLarge | Code::HeaderTooLarge => Kind::TooLarge,
        Code::OtherServer => Kind::OtherServer,
        Code::UnknownQueue => Kind::UndeclaredQueue,
        Code::Undecodable => Kind::Codec,
        Code::TooMany => Kind::Remote(Remote::TooMany),
        Code::Damaged => Kind::Damaged,
        Code::OutcomeUnknown => Kind::Remote(Remote::Unanswered),
        Code::Full => Kind::Full,
        Code::ShuttingDown => Kind::ShutDown,
        Code::TooSlow | Code::StoreRefuses => UNREACHABLE,
    };
    let fate = match code {
        Code::Full
        | Code::NoExecutors
        | Code::ShuttingDown
        | Code::StoreRefuses
        | Code::TooSlow => Fate::NotNow,
        Code::OutcomeUnknown | Code::Internal => Fate::Garbled,
        Code::TooMany => Fate::Barred,
        _ => Fate::Refused,
    };
    let mut told = format!(
        "the host answered {} ({}): {}",
        problem.status,
        code.as_str(),
        sentence(&problem.detail)
    );
    if let (Code::OtherServer, Some(ask)) = (code, &problem.ask) {
        told = format!("{told} (`{}`)", sentence(ask));
    }
    let parked = problem.parked.clone().filter(|_| code == Code::Parked);
    Refused {
        parked: parked.map(|parked| Box::new(read::parked(parked))),
        index: problem.index,
        ..Refused::new(kind, fate, told)
    }
}

/// An answer that no host of the protocol wrote: a balancer's, or a stranger's.
fn by_others(status: u16) -> Refused {
    let (kind, fate, told) = match status {
        300..=399 => (
            Kind::Host,
            Fate::Refused,
            "a redirect, which is not followed: give the URL that it leads to",
        ),
        401 | 403 => (
            Kind::Remote(Remote::Denied),
            Fate::Refused,
            "not a host's answer, but one of what stands before it",
        ),
        408 => (
            UNREACHABLE,
            Fate::NotNow,
            "the request did not come in time",
        ),
        413 | 431 => (
            Kind::TooLarge,
            Fate::Refused,
            "what stands before the host takes no request that large",
        ),
        // Of a balancer whose hosts are just being exchanged.
        404 => (Kind::Host, Fate::Barred, "not a host's answer"),
        429 => (
            Kind::Remote(Remote::TooMany),
            Fate::Barred,
            "what stands before the host lets fewer requests through",
        ),
        400..=499 => (Kind::Host, Fate::Refused, "not a host's answer"),
        502..=504 => (
            UNREACHABLE,
            Fate::Unanswered,
            "not a host's answer, but one of what stands before it",
        ),
        500..=599 => (Kind::Host, Fate::Unanswered, "not a host's answer"),
        _ => (Kind::Host, Fate::Garbled, "not a host's answer"),
    };
    Refused::new(kind, fate, format!("the answer was {status}: {told}"))
}

/// The state of that name.
pub(super) fn state(name: &str) -> Option<StateKind> {
    const ALL: [StateKind; 7] = [
        StateKind::Scheduled,
        StateKind::Ready,
        StateKind::Running,
        StateKind::Parked,
        StateKind::Succeeded,
        StateKind::Failed,
        StateKind::Cancelled,
    ];
    ALL.into_iter().find(|state| state.as_str() == name)
}

/// What came from far away, as it may stand in a message.
fn sentence(text: &str) -> String {
    const MOST: usize = 500;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MOST).map(plain).collect()
}
