//! Ends of a process, in order and not.

use jobkeep::NewJob;
use jobkeep::testing::simulation::Process;

use crate::model::Verdict;
use crate::steps::{Bad, End};
use crate::world::{Work, World};

impl World {
    pub(crate) fn crash(&mut self) -> Verdict {
        self.tally.crashes += 1;
        if let Some(process) = self.process.take() {
            process.forget_threads();
        }
        self.die()
    }

    fn die(&mut self) -> Verdict {
        self.workers.clear();
        self.asked.clear();
        self.model.ops.clear();
        self.model.current.clear();
        self.model.buffered.clear();
        if self.lies {
            self.tally.lies += 1;
            self.disk
                .forget(usize::try_from(self.tally.steps % 7).unwrap());
            self.model.load(&self.disk)?;
        }
        Ok(())
    }

    pub(crate) fn torn(&mut self, done: bool) -> Verdict {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        self.arm(Bad::Unknown(done));
        let died = process.turn_or_die();
        self.settle_faults(Some(Bad::Unknown(done)));
        self.follow()?;
        if died {
            self.tally.torn += 1;
            self.process = Some(process);
            return self.crash();
        }
        self.process = Some(process);
        self.answers()
    }

    pub(crate) fn shut_down(&mut self, turns: usize) -> Verdict {
        if let Some(process) = &self.process {
            process.drain();
        }
        self.draining = true;
        for _ in 0..turns {
            if let Some(at) = self.workers.iter().position(|worker| worker.ours) {
                self.end(at, End::Succeed)?;
            }
            self.turn(None)?;
        }
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let report = process
            .end()
            .map_err(|cause| format!("at a shutdown: {cause}"))?;
        self.follow()?;
        if !self.full {
            self.model.nothing_is_buffered()?;
        }
        self.answers()?;
        let at_work = self.workers.iter().filter(|worker| worker.ours);
        let mut at_work: Vec<_> = at_work.map(|worker| worker.attempt.number()).collect();
        at_work.sort_unstable();
        let reported = report.still_running.iter().map(|still| still.job);
        if !reported.eq(at_work.iter().copied()) {
            return Err(format!("{at_work:?} run, and the report is {report:?}"));
        }
        self.ended();
        Ok(())
    }

    pub(crate) fn usurp(&mut self) -> Verdict {
        let Some(mut old) = self.process.take() else {
            return Ok(());
        };
        old.forget_threads();
        self.tally.crashes += 1;
        self.die()?;
        self.open(None)?;
        self.enqueue_at(&mut old)
    }

    /// A process that has lost its store writes nothing to it.
    fn enqueue_at(&mut self, old: &mut Process) -> Verdict {
        let pad = String::new();
        let job = NewJob::new(Work {
            id: 0,
            runs: 0,
            pad,
        });
        drop(old.enqueue(vec![job.draft().unwrap()]));
        let turned = old.turn();
        old.forget_threads();
        if !self.disk.commits().is_empty() {
            return Err("a process that has lost its store writes to it".into());
        }
        match turned {
            Err(_) => Ok(()),
            // It is full, and told to wait.
            Ok(()) if !old.works() => Ok(()),
            Ok(()) => Err("a process that has lost its store goes on".into()),
        }
    }
}
