//! A finished job, read back.

use jobkeep_store::{JobNumber, JobRecord, Kept, Key, State, StoreError, Totals, get_typed};

use super::command::Command;
use super::inbox::WhenFull;
use super::panics;
use super::shared::{FindError, Shared};
use super::step::find_failed;
use crate::Error;
use crate::core::Found;
use crate::finished::{Failure, Finished};

impl Shared {
    /// Reads again what could not be read, after a turn of the committer: it may just be opening the
    /// store anew, after that refused a write.
    pub(super) fn persist<T, E>(
        &self,
        read: impl Fn() -> Result<T, E>,
        is_worth_it: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        match read() {
            Err(cause) if is_worth_it(&cause) => {
                let count = |reply| Command::Count { reply };
                // Where nobody answers, the store is as it is.
                drop(self.inbox.ask("wait for a turn", WhenFull::Wait, count));
                read()
            }
            outcome => outcome,
        }
    }

    /// The finished job with its bytes, for who would rather wait than be told of a passing failure.
    pub(crate) fn finished_for_sure(&self, number: JobNumber) -> Result<Option<Finished>, Error> {
        self.persist(|| self.finished(number), may_pass_soon)
    }

    /// The same, for who waits for its end, which does not come where it is parked.
    pub(crate) fn end_for_sure(&self, number: JobNumber) -> Result<Option<Finished>, Error> {
        self.persist(|| self.end(number), may_pass_soon)
    }

    /// The finished job with its bytes.
    pub(crate) fn finished(&self, number: JobNumber) -> Result<Option<Finished>, Error> {
        match self.row(number)? {
            Row::Done(record) => self.whole(number, record),
            Row::Live(_) | Row::OnItsWay => Ok(None),
        }
    }

    /// The same, for who waits for its end.
    ///
    /// # Errors
    /// Where it is parked, too.
    pub(crate) fn end(&self, number: JobNumber) -> Result<Option<Finished>, Error> {
        match self.row(number)? {
            Row::Done(record) => self.whole(number, record),
            Row::Live(record) => match self.parked(number, &record) {
                Some(reason) => {
                    let (name, queue) = (&record.name, record.queue.as_str());
                    Err(Error::parked(wait_for(number), reason, name, queue))
                }
                None => Ok(None),
            },
            Row::OnItsWay => Ok(None),
        }
    }

    /// How a job failed last that has not finished, if it has failed and the store can be read.
    pub(crate) fn last_error(&self, number: JobNumber) -> Option<String> {
        match self.row(number) {
            Ok(Row::Live(record)) => Failure::last(&record),
            _ => None,
        }
    }

    /// The finished job of this record, with its bytes; `None` where it has been run again since.
    ///
    /// Its record and what stands apart from it are read one after the other. Where a commit came
    /// between, because the job was pruned, removed or run again, it is read anew.
    fn whole(&self, number: JobNumber, read: Box<JobRecord>) -> Result<Option<Finished>, Error> {
        let mut record = Some(read);
        while let Some(read) = record {
            let bytes = self.bytes(number, &read);
            if has_rows_apart(&read) {
                record = match self.row(number)? {
                    Row::Done(record) => Some(record),
                    Row::Live(_) | Row::OnItsWay => None,
                };
                if record.as_ref() != Some(&read) {
                    continue;
                }
            }
            let (payload, output) = bytes.map_err(|cause| self.unread(number, cause))?;
            return Ok(Some(Finished {
                number,
                record: *read,
                payload,
                output,
            }));
        }
        Ok(None)
    }

    /// The job's row.
    fn row(&self, number: JobNumber) -> Result<Row, Error> {
        let failed = |cause| self.unread(number, cause);
        let mut found = self.find(number).map_err(failed)?;
        if matches!(found, Found::Nowhere) {
            if self.lost.contains(number) {
                return Err(Error::lost(number));
            }
            if self.is_on_its_way(number)? {
                return Ok(Row::OnItsWay);
            }
            // It may have arrived since.
            found = self.find(number).map_err(failed)?;
        }
        match found {
            Found::Done(record) => Ok(Row::Done(record)),
            Found::Live(record) => Ok(Row::Live(record)),
            Found::Nowhere => Err(self.nowhere(number)?),
        }
    }

    /// Its payload, and its output where it succeeded.
    fn bytes(
        &self,
        number: JobNumber,
        record: &JobRecord,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), FindError> {
        let payload = self.kept(&record.payload, Key::body(number))?;
        let output = match (&record.state, &record.output) {
            (State::Succeeded, Some(output)) => Some(self.kept(output, Key::output(number))?),
            (State::Succeeded, None) => return Err(FindError::Missing(Key::output(number))),
            _ => None,
        };
        Ok((payload, output))
    }

    /// Why the job could not be read. Who finds the store closed is told what closed it.
    fn unread(&self, number: JobNumber, cause: FindError) -> Error {
        match cause {
            FindError::Store(cause) if cause.is_closed() => {
                self.inbox.refusal(&format!("look up job {number}"))
            }
            cause => find_failed(number, cause),
        }
    }

    /// The number was given to a job, and no commit since has got so far: it was accepted as
    /// buffered.
    fn is_on_its_way(&self, number: JobNumber) -> Result<bool, Error> {
        Ok(number >= self.next_written(number)? && self.inbox.has_given(number))
    }

    /// The first number that no job in the store has or had, nor any after it.
    fn next_written(&self, asked: JobNumber) -> Result<JobNumber, Error> {
        let totals: Option<Totals> = get_typed(&*self.store, Key::TOTALS)
            .map_err(|cause| self.unread(asked, cause.into()))?;
        Ok(totals.map_or(JobNumber(1), |totals| JobNumber(totals.next_number)))
    }

    /// Why the store has no such job.
    fn nowhere(&self, number: JobNumber) -> Result<Error, Error> {
        Ok(if number < self.next_written(number)? {
            Error::pruned(number)
        } else {
            Error::never_existed(number)
        })
    }

    /// The finished job, when nothing will end any more; else why its end will not be seen.
    pub(super) fn last_look(&self, number: JobNumber) -> Result<Finished, Error> {
        // A store that panics here must not keep the others from their end.
        let found = panics::catch(|| self.finished(number)).unwrap_or(Ok(None));
        found?.ok_or_else(|| self.wait_refused(number))
    }

    /// Why nobody waits for the job any more.
    pub(crate) fn wait_refused(&self, number: JobNumber) -> Error {
        self.inbox.refusal(&wait_for(number))
    }
}

/// What the store has of a job.
enum Row {
    Done(Box<JobRecord>),
    Live(Box<JobRecord>),
    /// Nothing yet: it was accepted as buffered.
    OnItsWay,
}

fn may_pass_soon(error: &Error) -> bool {
    error.as_store().is_some_and(may_pass)
}

fn has_rows_apart(record: &JobRecord) -> bool {
    let kept = [Some(&record.payload), record.output.as_ref()];
    kept.into_iter()
        .flatten()
        .any(|kept| matches!(kept, Kept::Apart(_)))
}

/// A failure to read that reopening the store may cure.
pub(super) fn may_pass(cause: &StoreError) -> bool {
    !cause.is_damaged() && !cause.is_closed()
}

/// As errors name it.
pub(super) fn wait_for(number: JobNumber) -> String {
    format!("wait for job {number}")
}
