use std::error::Error;
use std::fmt;

use crate::{Key, OpeningTag, RowError};

type Source = Box<dyn Error + Send + Sync>;

/// Why a store could not do what it was asked: the act, the store and the cause in one sentence.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    act: String,
    location: String,
    cause: String,
    source: Option<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Unknown,
    Full,
    Replaced,
    OutOfTurn,
    InUse,
    Foreign,
    Newer,
    Damaged,
    Closed,
}

impl StoreError {
    /// The engine refused, and nothing took effect. `act` is a verb and its object, such as
    /// `open the store`; `location` says where, such as a path.
    pub fn failed(
        act: impl Into<String>,
        location: impl fmt::Display,
        source: impl Into<Source>,
    ) -> Self {
        Self::caused(Kind::Failed, act, location, source)
    }

    /// The engine failed in a way that leaves open whether the batch took effect, such as a sync
    /// that ended in an error.
    pub fn unknown(
        act: impl Into<String>,
        location: impl fmt::Display,
        source: impl Into<Source>,
    ) -> Self {
        Self::caused(Kind::Unknown, act, location, source)
    }

    /// There is no space left where the store is, and nothing took effect.
    pub fn full(
        act: impl Into<String>,
        location: impl fmt::Display,
        source: impl Into<Source>,
    ) -> Self {
        Self::caused(Kind::Full, act, location, source)
    }

    /// Another owner has the store open, in this process or another.
    pub fn in_use(act: impl Into<String>, location: impl fmt::Display) -> Self {
        let cause = "it is already open, here or in another process: a store has one owner at a \
                     time; close the other one, or reach it over HTTP";
        Self::said(Kind::InUse, act, location, cause)
    }

    /// What is there is not a store of jobkeep, and was left as it is.
    pub fn foreign(
        act: impl Into<String>,
        location: impl fmt::Display,
        cause: impl Into<String>,
    ) -> Self {
        Self::said(Kind::Foreign, act, location, cause)
    }

    /// What is there was a store and no longer reads as one, and was left as it is.
    pub fn damaged(
        act: impl Into<String>,
        location: impl fmt::Display,
        cause: impl Into<String>,
    ) -> Self {
        Self::said(Kind::Damaged, act, location, cause)
    }

    /// The store was closed, or could not be opened again.
    pub fn closed(act: impl Into<String>, location: impl fmt::Display) -> Self {
        Self::said(Kind::Closed, act, location, "the store is closed")
    }

    /// A row of the store does not check out.
    pub fn row(key: Key, reason: RowError) -> Self {
        let kind = if reason.newer_format().is_some() {
            Kind::Newer
        } else {
            Kind::Damaged
        };
        let cause = reason.to_string();
        let source = Some(reason.into());
        Self {
            kind,
            act: format!("read row {key}"),
            location: String::new(),
            cause,
            source,
        }
    }

    pub(crate) fn replaced(
        act: impl Into<String>,
        location: &str,
        holder: Option<OpeningTag>,
    ) -> Self {
        let cause = match holder {
            Some(tag) => format!("opening {tag} has taken the store over: this owner must stop"),
            None => "the store has no opening yet: it is not the one that this owner opened".into(),
        };
        Self::said(Kind::Replaced, act, location, cause)
    }

    /// The store is this owner's no longer, as its place on the disk shows: it was moved away, or
    /// somebody else has written it.
    pub fn displaced(
        act: impl Into<String>,
        location: impl fmt::Display,
        cause: impl Into<String>,
    ) -> Self {
        Self::said(Kind::Replaced, act, location, cause)
    }

    pub(crate) fn out_of_turn(act: impl Into<String>, location: &str, next: u64) -> Self {
        let cause = format!("the store expects commit {next}");
        Self::said(Kind::OutOfTurn, act, location, cause)
    }

    /// What was tried: a verb and its object.
    pub fn act(&self) -> &str {
        &self.act
    }

    /// Where the store is.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Why it failed.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The same error with the store's place in it, for an error made where the place was not known.
    #[must_use]
    pub fn at(mut self, location: impl fmt::Display) -> Self {
        self.location = location.to_string();
        self
    }

    fn said(
        kind: Kind,
        act: impl Into<String>,
        location: impl fmt::Display,
        cause: impl Into<String>,
    ) -> Self {
        let (act, cause) = (act.into(), cause.into());
        Self {
            kind,
            act,
            location: location.to_string(),
            cause,
            source: None,
        }
    }

    fn caused(
        kind: Kind,
        act: impl Into<String>,
        location: impl fmt::Display,
        source: impl Into<Source>,
    ) -> Self {
        let source = source.into();
        let cause = source.to_string();
        Self {
            source: Some(source),
            ..Self::said(kind, act, location, cause)
        }
    }

    /// Whether the batch took effect is not known.
    pub fn is_unknown(&self) -> bool {
        self.kind == Kind::Unknown
    }

    /// There is no space left where the store is.
    pub fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }

    /// Another opening has taken the store over, or the store was moved away or overwritten: this
    /// owner may not write any more.
    pub fn is_replaced(&self) -> bool {
        self.kind == Kind::Replaced
    }

    /// The batch has a commit number that is not the next: it already took effect, or one before it
    /// did not.
    pub fn is_out_of_turn(&self) -> bool {
        self.kind == Kind::OutOfTurn
    }

    /// The store is already open, in this process or another.
    pub fn is_in_use(&self) -> bool {
        self.kind == Kind::InUse
    }

    /// What is there is not a store of jobkeep.
    pub fn is_foreign(&self) -> bool {
        self.kind == Kind::Foreign
    }

    /// The store, or a row of it, was written by a newer jobkeep.
    pub fn is_newer_format(&self) -> bool {
        self.kind == Kind::Newer
    }

    /// The store, or a row of it, is damaged.
    pub fn is_damaged(&self) -> bool {
        self.kind == Kind::Damaged
    }

    /// The store was closed.
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.act)?;
        if !self.location.is_empty() {
            write!(f, " of {}", self.location)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}
