//! The job of these histories: its label says everything about it.

use std::time::Duration;

use jobkeep::{Context, Job, JobError, Policy};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) label: String,
    filler: String,
    /// How often it has begun, as its checkpoints and its ends have kept it.
    pub(crate) runs: u32,
}

impl Job for Work {
    const NAME: &'static str = "work";
    const POLICY: Policy = Policy::new()
        .attempts(3)
        .backoff(Duration::from_secs(1), Duration::from_secs(60));
    type Output = String;
}

/// Text that no other label has.
fn text(label: &str, bytes: usize) -> String {
    let more = format!("{label} ");
    let mut text = more.repeat(bytes / more.len() + 1);
    text.truncate(bytes);
    text
}

impl Work {
    pub(crate) fn any(number: usize, dice: &mut Dice) -> Self {
        let end = [
            "well", "well", "leader", "twice", "never", "snooze", "keeps",
        ][dice.below(7)];
        let payload = [0, 10, 300, 700, 5_000, 40_000][dice.below(6)];
        let output = [0, 10, 600, 9_000][dice.below(4)];
        let label = format!("{end} {number} {payload} {output}");
        Self::new(label)
    }

    pub(crate) fn new(label: String) -> Self {
        let mut work = Self {
            label,
            filler: String::new(),
            runs: 0,
        };
        work.filler = text(&work.label, work.size(2));
        work
    }

    fn size(&self, word: usize) -> usize {
        let size = self.label.split(' ').nth(word);
        size.and_then(|size| size.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn output(&self) -> String {
        text(&self.label, self.size(3))
    }

    /// It is what it was when it was queued, but for what its runs have left.
    pub(crate) fn is_whole(&self) -> bool {
        self.filler == text(&self.label, self.size(2))
    }

    /// The job that is queued with the success of this one.
    pub(crate) fn follower(&self) -> Option<Self> {
        let rest = self.label.strip_prefix("leader ")?;
        Some(Self::new(format!("follower {rest}")))
    }

    /// `kept` is told of each checkpoint, once it is acknowledged.
    pub(crate) fn run(&mut self, ctx: &Context, kept: impl Fn(&Self)) -> Result<String, JobError> {
        self.runs += 1;
        if self.label.starts_with("keeps ") {
            ctx.checkpoint(self)?;
            kept(self);
        }
        if let Some(follower) = self.follower() {
            ctx.enqueue(follower)?;
        }
        match self.label.split(' ').next() {
            Some("twice") if self.runs == 1 => Err(JobError::new("not yet")),
            Some("never") => Err(JobError::permanent("never")),
            Some("snooze") if self.runs == 1 => Err(JobError::snooze(Duration::from_secs(5))),
            _ => Ok(self.output()),
        }
    }
}
