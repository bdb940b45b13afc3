//! A store checked against everything that jobkeep knows of its rows, and put in order again.

mod check;
mod finding;
mod mend;
mod seen;

use std::collections::HashSet;

use jobkeep_store::QueueStore;

pub use self::finding::{Finding, Part};
use self::seen::Seen;
use crate::Error;
use crate::clock::{Clock, Now, steady_after};

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// What is wrong; empty where all is well.
    pub findings: Vec<Finding>,
    /// Jobs that have not finished.
    pub unfinished: u64,
    /// Jobs that have finished and are still kept.
    pub finished: u64,
    /// Rows set aside earlier, with their bytes.
    pub set_aside: u64,
    /// A commit came between, so that a finding may be the trace of it and nothing wrong.
    pub moved: bool,
}

/// What [`repair`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// What was found before and is not there any more.
    pub repaired: Vec<Finding>,
    /// What a repair cannot know better, or what came to light by it.
    pub left: Vec<Finding>,
}

/// Checks a store beyond the checksums of its rows: each row decodes as the record that it is, and the
/// rows agree with one another about which jobs there are, their payloads, outputs, keys, counts and
/// retention. Changes nothing.
///
/// It is meant for a store that no manager has open. On a live one each part is read at another moment;
/// where [`moved`](Verification::moved) says that a commit came between, check again when it is quiet.
///
/// It reads the whole store twice, and needs some 200 bytes of memory for each job that is kept.
///
/// ```
/// use jobkeep::{MemoryStore, verify};
///
/// let store = MemoryStore::new();              // or RedbStore::open("jobs.redb")?
/// for finding in verify(&store)?.findings {
///     println!("{finding}");
/// }
/// # Ok::<(), jobkeep::Error>(())
/// ```
///
/// # Errors
/// Where the store cannot be read at all; what can be read and is wrong is a [`Finding`].
pub fn verify(store: &dyn QueueStore) -> Result<Verification, Error> {
    look(store, "verify the store").map(|(verification, _)| verification)
}

/// Verifies a store, does what is safe about what it finds, and verifies it again.
///
/// | found | done |
/// |---|---|
/// | a damaged row of a job, of the manager or of retention | set aside with its bytes; what other rows tell is written anew |
/// | a payload or output that belongs to no job | deleted |
/// | a key that belongs to no job, or that nothing lets go | let go, or let go in its time |
/// | a finished job that retention does not know | retention learns of it |
/// | counts, or a next number, that are wrong | corrected |
///
/// Everything else is left, and named: no job that can be read is ever deleted.
///
/// A manager that has the store open is replaced by the repair as by another owner, and stops.
///
/// # Errors
/// Where the store cannot be read or written, or has a row of a newer jobkeep. Nothing is changed then,
/// unless the cause [is unknown](Error::is_unknown), or the second look failed.
///
/// # Durability
/// All of it is one commit; where there is nothing to do, nothing is written.
pub fn repair(store: &dyn QueueStore) -> Result<Repair, Error> {
    const ACT: &str = "repair the store";
    let failed = |cause| Error::store(ACT, cause);
    let (before, seen) = look(store, ACT)?;
    let tag = getrandom::u64().map_err(|cause| Error::host(ACT, cause))?;
    let wall = Clock::system().now().wall;
    let now = Now::new(wall, steady_after(seen.clocks, wall));
    let Some(batch) = mend::mend(store, seen, tag, now).map_err(failed)? else {
        return Ok(Repair {
            repaired: Vec::new(),
            left: before.findings,
        });
    };
    store.commit(&batch).map_err(failed)?;
    let (after, _) = look(store, ACT)?;
    let left: HashSet<_> = after.findings.iter().collect();
    let repaired = before.findings.into_iter();
    Ok(Repair {
        repaired: repaired.filter(|found| !left.contains(found)).collect(),
        left: after.findings,
    })
}

fn look(store: &dyn QueueStore, act: &str) -> Result<(Verification, Seen), Error> {
    let failed = |cause| Error::store(act, cause);
    let seen = Seen::read(store).map_err(failed)?;
    let findings = check::check(&seen);
    let fence = store.identity().map_err(failed)?.fence;
    let verification = Verification {
        findings,
        unfinished: seen.live.len() as u64,
        finished: seen.done.len() as u64,
        set_aside: seen.aside.len() as u64,
        moved: fence != seen.fence,
    };
    Ok((verification, seen))
}
