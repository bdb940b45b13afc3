//! The one table of states and edges. A record changes its state through the functions below and in
//! no other way.

use std::fmt;

use jobkeep_store::{
    Attempt, AttemptEnd, Due, FailureKind, JobRecord, ParkReason, State, StateKind, Timestamp,
};

/// How many ended attempts a record keeps, the newest first. Those that spent nothing (snoozes,
/// interruptions, calls that were refused) take half of that at most as soon as others have to go: a job that
/// waits for long still shows how it failed before.
pub const HISTORY: usize = 20;

/// A way from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Claim,
    Interrupt,
    Succeed,
    Fail,
    Retry,
    Snooze,
    PutOff,
    Park,
    Cancel,
    Revive,
    Release,
    Amend,
}

/// From which states an edge leads, and where to. `Scheduled` falls due without a write, and what a parked
/// job lacked is found at a start without one, so a claim may find both stored. ARCHITECTURE.md shows the
/// same table, and a test compares them.
const EDGES: [(Edge, &[StateKind], StateKind); 16] = {
    use StateKind::{Cancelled, Failed, Parked, Ready, Running, Scheduled, Succeeded};
    [
        (Edge::Claim, &[Ready, Scheduled, Parked], Running),
        (Edge::Interrupt, &[Running], Ready),
        (Edge::Interrupt, &[Running], Scheduled),
        (Edge::Succeed, &[Running], Succeeded),
        (Edge::Fail, &[Running], Failed),
        (Edge::Retry, &[Running], Scheduled),
        (Edge::Snooze, &[Running], Scheduled),
        (Edge::PutOff, &[Running], Scheduled),
        (Edge::Park, &[Running], Parked),
        (Edge::Cancel, &[Running], Cancelled),
        (Edge::Cancel, &[Ready, Scheduled, Parked], Cancelled),
        (Edge::Revive, &[Succeeded, Failed, Cancelled], Ready),
        (Edge::Revive, &[Failed, Cancelled], Scheduled),
        (Edge::Release, &[Parked], Ready),
        (Edge::Amend, &[Ready, Parked], Ready),
        (Edge::Amend, &[Scheduled], Scheduled),
    ]
};

impl Edge {
    /// One row of the table holds all three.
    fn leads(self, from: StateKind, to: StateKind) -> bool {
        EDGES.iter().any(|(edge, sources, target)| {
            *edge == self && sources.contains(&from) && *target == to
        })
    }
}

/// A job was asked to go a way that does not lead from its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IllegalEdge {
    pub(crate) edge: Edge,
    pub(crate) from: StateKind,
    pub(crate) to: StateKind,
}

impl fmt::Display for IllegalEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} does not lead from {} to {}",
            self.edge, self.from, self.to
        )
    }
}

/// Moves a state along the edge, or says why that is no way.
fn go(state: &mut State, edge: Edge, target: State) -> Result<(), IllegalEdge> {
    let (from, to) = (state.kind(), target.kind());
    if !edge.leads(from, to) {
        return Err(IllegalEdge { edge, from, to });
    }
    *state = target;
    Ok(())
}

/// A worker takes the job. Nothing is written: the claim stands in the in-flight record.
pub(crate) fn claim(record: &mut JobRecord) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Claim, State::Running)
}

/// The process died or shut down while the job was in flight: not the job's error, no attempt spent.
/// It keeps its place in line, unless another host may still run it: then it is due when that is over.
pub(crate) fn interrupt(
    record: &mut JobRecord,
    interruption: Interruption,
    due: Option<Timestamp>,
) -> Result<(), IllegalEdge> {
    let to = due.map_or(State::Ready, delayed);
    go(&mut record.state, Edge::Interrupt, to)?;
    record.order = due.unwrap_or(record.order);
    note(record, interruption);
    record.lost_until = due;
    Ok(())
}

/// The process died shortly after this job had begun, time and again: nobody starts it again but an
/// operator.
pub(crate) fn park_crashing(
    record: &mut JobRecord,
    interruption: Interruption,
) -> Result<(), IllegalEdge> {
    let reason = ParkReason::Crashing(interruption.unclean_ends);
    go(&mut record.state, Edge::Park, State::Parked(reason))?;
    note(record, interruption);
    Ok(())
}

/// How an earlier opening ended while the job was in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interruption {
    /// When the job was claimed, at the latest, and when its interruption was found.
    pub(crate) started: Timestamp,
    pub(crate) at: Timestamp,
    /// A worker is known to have begun.
    pub(crate) begun: bool,
    /// At how many unclean ends in a row the job had begun shortly before.
    pub(crate) unclean_ends: u32,
}

fn note(record: &mut JobRecord, interruption: Interruption) {
    let Interruption {
        started,
        at,
        begun,
        unclean_ends,
    } = interruption;
    record.interruptions = record.interruptions.saturating_add(1);
    record.unclean_ends = unclean_ends;
    let number = record.attempts.saturating_add(1);
    let end = AttemptEnd::Interrupted { begun };
    let thread = String::new();
    remember(
        record,
        Attempt {
            number,
            started,
            ended: at,
            thread,
            end,
            log: Vec::new(),
        },
    );
}

/// The attempt returned the job's output.
pub(crate) fn succeed(record: &mut JobRecord, attempt: Attempt) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Succeed, State::Succeeded)?;
    finish(record, attempt.ended);
    spend(record, attempt);
    Ok(())
}

/// The attempt failed and was the last, or said that trying again is of no use.
pub(crate) fn fail(
    record: &mut JobRecord,
    kind: FailureKind,
    attempt: Attempt,
) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Fail, State::Failed(kind))?;
    finish(record, attempt.ended);
    spend(record, attempt);
    Ok(())
}

/// The attempt failed and another one may follow, when `due` by the steady clock.
pub(crate) fn retry(
    record: &mut JobRecord,
    due: Timestamp,
    attempt: Attempt,
) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Retry, delayed(due))?;
    record.order = due;
    spend(record, attempt);
    Ok(())
}

/// The job put itself off: no attempt is spent.
pub(crate) fn snooze(
    record: &mut JobRecord,
    due: Timestamp,
    attempt: Attempt,
) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Snooze, delayed(due))?;
    record.order = due;
    record.snoozes = record.snoozes.saturating_add(1);
    record.unclean_ends = 0;
    remember(record, attempt);
    Ok(())
}

/// No other host has begun the job that was to be sent there: no attempt is spent.
pub(crate) fn put_off(
    record: &mut JobRecord,
    due: Timestamp,
    mut attempt: Attempt,
) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::PutOff, delayed(due))?;
    record.order = due;
    record.unclean_ends = 0;
    // An outage of many refusals would fill the history with them.
    if matches!(record.history.first(), Some(last) if matches!(last.end, AttemptEnd::NotStarted(_)))
    {
        attempt.started = record.history.remove(0).started;
    }
    remember(record, attempt);
    Ok(())
}

/// The job cannot run here: no attempt is spent.
pub(crate) fn park(
    record: &mut JobRecord,
    reason: ParkReason,
    attempt: Attempt,
) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Park, State::Parked(reason))?;
    record.unclean_ends = 0;
    // Parked again at every start for the same reason, it would fill its history with that.
    if record
        .history
        .first()
        .is_none_or(|last| last.end != attempt.end)
    {
        remember(record, attempt);
    }
    Ok(())
}

/// The job cancelled itself in this attempt, or ended it after somebody had asked to cancel it.
pub(crate) fn cancel_running(record: &mut JobRecord, attempt: Attempt) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Cancel, State::Cancelled)?;
    finish(record, attempt.ended);
    spend(record, attempt);
    Ok(())
}

/// Somebody cancelled the job while it waited.
pub(crate) fn cancel(record: &mut JobRecord, at: Timestamp) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Cancel, State::Cancelled)?;
    finish(record, at);
    Ok(())
}

/// Somebody wants a finished job run again, with all its attempts. Its history stays. One that another
/// host may still run is due when that is over.
pub(crate) fn revive(
    record: &mut JobRecord,
    order: Timestamp,
    due: Option<Timestamp>,
) -> Result<(), IllegalEdge> {
    go(
        &mut record.state,
        Edge::Revive,
        due.map_or(State::Ready, delayed),
    )?;
    record.finished = None;
    record.output = None;
    record.attempts = 0;
    record.cancel_requested = false;
    record.order = due.unwrap_or(order);
    Ok(())
}

/// Somebody wants a parked job run.
pub(crate) fn release(record: &mut JobRecord) -> Result<(), IllegalEdge> {
    go(&mut record.state, Edge::Release, State::Ready)?;
    record.unclean_ends = 0;
    Ok(())
}

/// Somebody gives a job that no worker has another payload. One that is parked is to run with it; a suspect
/// that waits stays one.
pub(crate) fn amend(record: &mut JobRecord) -> Result<(), IllegalEdge> {
    let from = record.state.kind();
    let to = match record.state {
        State::Scheduled { .. } => record.state.clone(),
        _ => State::Ready,
    };
    go(&mut record.state, Edge::Amend, to)?;
    if from == StateKind::Parked {
        record.unclean_ends = 0;
    }
    Ok(())
}

fn delayed(due: Timestamp) -> State {
    State::Scheduled {
        due,
        by: Due::Delay,
    }
}

fn finish(record: &mut JobRecord, at: Timestamp) {
    record.finished = Some(at);
}

/// Counts the attempt and remembers it.
fn spend(record: &mut JobRecord, attempt: Attempt) {
    record.attempts = attempt.number;
    record.unclean_ends = 0;
    remember(record, attempt);
}

fn remember(record: &mut JobRecord, attempt: Attempt) {
    record.lost_until = None;
    let history = &mut record.history;
    history.insert(0, attempt);
    while history.len() > HISTORY {
        let unspent = history
            .iter()
            .filter(|attempt| spends_nothing(&attempt.end));
        let oldest = if unspent.count() > HISTORY / 2 {
            history
                .iter()
                .rposition(|attempt| spends_nothing(&attempt.end))
        } else {
            None
        };
        history.remove(oldest.unwrap_or(history.len() - 1));
    }
}

/// However often a job ends so, it has as many attempts left.
fn spends_nothing(end: &AttemptEnd) -> bool {
    matches!(
        end,
        AttemptEnd::Snoozed(_)
            | AttemptEnd::Interrupted { .. }
            | AttemptEnd::NotStarted(_)
            | AttemptEnd::Undecodable(_)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [Edge; 12] = [
        Edge::Claim,
        Edge::Interrupt,
        Edge::Succeed,
        Edge::Fail,
        Edge::Retry,
        Edge::Snooze,
        Edge::PutOff,
        Edge::Park,
        Edge::Cancel,
        Edge::Revive,
        Edge::Release,
        Edge::Amend,
    ];

    fn states() -> [State; 7] {
        [
            delayed(Timestamp(1)),
            State::Ready,
            State::Running,
            State::Parked(ParkReason::UnknownName),
            State::Succeeded,
            State::Failed(FailureKind::Error),
            State::Cancelled,
        ]
    }

    /// The words between commas, without what stands in brackets.
    fn words(cell: &str) -> Vec<String> {
        let mut depth = 0_usize;
        let plain = cell.chars().filter(|&letter| {
            depth += usize::from(letter == '(');
            let outside = depth == 0;
            depth -= usize::from(letter == ')');
            outside
        });
        let plain: String = plain.collect();
        plain
            .split(',')
            .map(|word| word.trim().to_owned())
            .collect()
    }

    /// The rows of the table of states that are edges: (from, edge, to), by their names.
    fn documented() -> BTreeSet<(String, String, String)> {
        let text = include_str!("../../ARCHITECTURE.md");
        let section = text.split("## The states").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
        let mut triples = BTreeSet::new();
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [from, edge, to] = cells[..] else {
                panic!("{row}");
            };
            // An acceptance makes the row; what is no write changes none.
            if from == "(new)" || edge.ends_with("(no write)") {
                continue;
            }
            for from in words(from) {
                for edge in words(edge) {
                    for to in words(to) {
                        assert!(triples.insert((from.clone(), edge.clone(), to)), "{row}");
                    }
                }
            }
        }
        triples
    }

    fn name(edge: Edge) -> String {
        match edge {
            Edge::PutOff => "put off".into(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn a_state_changes_along_the_rows_of_the_documented_table_only() {
        let mut documented = documented();
        for edge in ALL {
            for from in states() {
                for to in states() {
                    let mut state = from.clone();
                    let gone = go(&mut state, edge, to.clone()).is_ok();
                    let triple = (from.kind().to_string(), name(edge), to.kind().to_string());
                    assert_eq!(gone, documented.remove(&triple), "{triple:?}");
                    assert_eq!(state, if gone { to } else { from.clone() }, "{triple:?}");
                }
            }
        }
        assert!(documented.is_empty(), "no such edges: {documented:?}");
    }

    #[test]
    fn a_job_that_succeeded_is_never_revived_for_later() {
        let mut state = State::Succeeded;
        let refused = go(&mut state, Edge::Revive, delayed(Timestamp(1))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Revive does not lead from succeeded to scheduled"
        );
        assert_eq!(state, State::Succeeded);
    }
}
