use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use jobkeep::{Builder, Context, Job, JobError, Run};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::thumbnail::Thumbnail;

pub(crate) fn register(builder: Builder) -> Builder {
    builder
        .register::<Echo>()
        .register::<Sleep>()
        .register::<Fail>()
        .register::<Thumbnail>()
}

/// Gives its payload back. It is kept as the text that came, for nobody looks into it: as values, a text of
/// many small ones would take twelve times as much memory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Echo(Box<RawValue>);

impl Job for Echo {
    const NAME: &'static str = "echo";
    type Output = Box<RawValue>;
}

impl Run for Echo {
    fn run(&mut self, _: &Context) -> Result<Box<RawValue>, JobError> {
        Ok(self.0.clone())
    }
}

/// Takes so long, or until somebody cancels it.
#[derive(Debug, Serialize, Deserialize)]
struct Sleep {
    ms: u64,
}

impl Job for Sleep {
    const NAME: &'static str = "sleep";
    type Output = ();
}

impl Run for Sleep {
    fn run(&mut self, ctx: &Context) -> Result<(), JobError> {
        const STEP_MS: u64 = 100;
        // Nobody ever says anything in it: it only waits.
        let (_silent, silence) = channel::<()>();
        let mut left = self.ms;
        while left > 0 {
            ctx.progress(self.ms - left, self.ms);
            if ctx.is_cancelled() {
                return Err(JobError::cancel("it was told to stop"));
            }
            let step = left.min(STEP_MS);
            match silence.recv_timeout(Duration::from_millis(step)) {
                Err(RecvTimeoutError::Timeout) => left -= step,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }
}

/// Fails for good.
#[derive(Debug, Serialize, Deserialize)]
struct Fail {
    message: String,
}

impl Job for Fail {
    const NAME: &'static str = "fail";
    type Output = ();
}

impl Run for Fail {
    fn run(&mut self, _: &Context) -> Result<(), JobError> {
        Err(JobError::permanent(self.message.clone()))
    }
}
