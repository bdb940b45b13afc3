//! Job names and what runs them.

use std::collections::BTreeMap;
use std::marker::PhantomData;

#[cfg(feature = "http-server")]
use serde::{Serialize, de::DeserializeOwned};

use crate::sync::Arc;
use crate::{Codec, Context, Draft, Job, JobError, NewJob, payload};

/// Runs jobs of one type from their bytes.
pub(crate) trait Handler: Send + Sync {
    /// Decodes, runs and encodes what is left. Panics where the job does.
    fn run(&self, codec: Codec, payload: &[u8], ctx: &Context) -> Ran;

    /// As [`Job::REMOTE`] says.
    #[cfg(any(feature = "http-server", test))]
    fn is_remote(&self) -> bool;

    /// A job that came as bytes, over the wire or from an operator: decoded as the type, and with the type's
    /// policy. Panics where the type's `Deserialize` does.
    fn draft(&self, codec: Codec, payload: &[u8], key: Option<&str>) -> Result<Draft, String>;

    /// Payload and output as JSON, whatever their codec is. Panics where one of the types' own code does.
    #[cfg(feature = "http-server")]
    fn as_json(&self, codec: Codec, payload: &[u8], output: Option<&[u8]>) -> Json;
}

/// A job's payload and output as JSON, each where it can be shown: its type may have changed since.
#[cfg(feature = "http-server")]
#[derive(Default)]
pub(crate) struct Json {
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) output: Option<Vec<u8>>,
}

/// What became of the bytes.
pub(crate) enum Ran {
    /// They do not decode to the type.
    Undecodable(String),
    /// The job ran: its value as it left it, encoded, and its output or error. An encoder's message
    /// stands for bytes that it could not make.
    Ended {
        left: Result<Vec<u8>, String>,
        result: Result<Result<Vec<u8>, String>, JobError>,
    },
}

struct Typed<J, F> {
    run: F,
    job: PhantomData<fn() -> J>,
}

impl<J, F> Handler for Typed<J, F>
where
    J: Job,
    F: Fn(&mut J, &Context) -> Result<J::Output, JobError> + Send + Sync + 'static,
{
    fn run(&self, codec: Codec, bytes: &[u8], ctx: &Context) -> Ran {
        let mut job: J = match payload::decode(codec, bytes) {
            Ok(job) => job,
            Err(cause) => return Ran::Undecodable(cause),
        };
        let result = (self.run)(&mut job, ctx);
        let result = result.map(|output| {
            payload::encode(codec, &output, &[])
                .map_err(|cause| format!("encode the output as the run left it: {cause}"))
        });
        let left = payload::encode(codec, &job, bytes)
            .map_err(|cause| format!("encode the job as the run left it: {cause}"));
        Ran::Ended { left, result }
    }

    #[cfg(any(feature = "http-server", test))]
    fn is_remote(&self) -> bool {
        J::REMOTE
    }

    fn draft(&self, codec: Codec, payload: &[u8], key: Option<&str>) -> Result<Draft, String> {
        if codec != Codec::Json && codec != J::CODEC {
            return Err(format!("jobs `{}` are not encoded as {codec:?}", J::NAME));
        }
        let job: J = payload::decode(codec, payload)?;
        let known = if codec == J::CODEC { payload } else { &[] };
        let job = NewJob::new(job);
        let job = match key {
            Some(key) => job.key(key),
            None => job,
        };
        job.encode(known)
    }

    #[cfg(feature = "http-server")]
    fn as_json(&self, codec: Codec, payload: &[u8], output: Option<&[u8]>) -> Json {
        Json {
            payload: as_json::<J>(codec, payload),
            output: output.and_then(|output| as_json::<J::Output>(codec, output)),
        }
    }
}

#[cfg(feature = "http-server")]
fn as_json<T: Serialize + DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Option<Vec<u8>> {
    let value: T = payload::decode(codec, bytes).ok()?;
    payload::to_json(&value).ok()
}

/// One job type with its handler, as given to the builder.
pub(crate) struct Registration {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) queue: &'static str,
    handler: Arc<dyn Handler>,
}

impl Registration {
    pub(crate) fn new<J: Job>(
        run: impl Fn(&mut J, &Context) -> Result<J::Output, JobError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: J::NAME,
            aliases: J::ALIASES,
            queue: J::POLICY.queue,
            handler: Arc::new(Typed {
                run,
                job: PhantomData::<fn() -> J>,
            }),
        }
    }
}

/// A name that a type may have: 1 to 128 bytes.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
}

/// Every name that can run here. A map in order, because to find a short name among some dozens is
/// cheaper than to hash it, and each job is looked up three times.
#[derive(Default)]
pub(crate) struct Registry(BTreeMap<&'static str, Known>);

struct Known {
    handler: Arc<dyn Handler>,
    /// All names of its type.
    names: Arc<[&'static str]>,
}

impl Registry {
    /// The registry of all registrations; faults are added to `faults`.
    pub(crate) fn new(registrations: Vec<Registration>, faults: &mut Vec<String>) -> Self {
        let mut handlers = BTreeMap::new();
        for Registration {
            name,
            aliases,
            handler,
            ..
        } in registrations
        {
            let names: Arc<[_]> = aliases.iter().copied().chain([name]).collect();
            for &name in &*names {
                if !is_name(name) {
                    faults.push(format!(
                        "job `{name}`: a job's name must be 1 to 128 bytes long"
                    ));
                }
                let known = Known {
                    handler: Arc::clone(&handler),
                    names: Arc::clone(&names),
                };
                if handlers.insert(name, known).is_some() {
                    faults.push(format!("job `{name}`: two registered types have this name"));
                }
            }
        }
        Self(handlers)
    }

    pub(crate) fn handler(&self, name: &str) -> Option<&Arc<dyn Handler>> {
        self.0.get(name).map(|known| &known.handler)
    }

    /// All names of the type that has this one; `None` where nobody runs it.
    pub(crate) fn names(&self, name: &str) -> Option<&[&'static str]> {
        self.0.get(name).map(|known| &*known.names)
    }

    /// A job of this name may be created over HTTP, as [`Job::REMOTE`] says; `false` where nobody runs it.
    #[cfg(any(feature = "http-server", test))]
    pub(crate) fn is_remote(&self, name: &str) -> bool {
        self.handler(name)
            .is_some_and(|handler| handler.is_remote())
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Open;

    impl Job for Open {
        const NAME: &'static str = "open";
        type Output = ();
    }

    #[derive(Serialize, Deserialize)]
    struct Local;

    impl Job for Local {
        const NAME: &'static str = "local";
        const ALIASES: &'static [&'static str] = &["inside"];
        const REMOTE: bool = false;
        type Output = ();
    }

    #[test]
    fn a_job_is_created_over_http_where_its_type_says_so_and_somebody_runs_it() {
        let open = Registration::new::<Open>(|_, _| Ok(()));
        let local = Registration::new::<Local>(|_, _| Ok(()));
        let mut faults = Vec::new();
        let registry = Registry::new(vec![open, local], &mut faults);
        assert!(registry.is_remote("open"));
        for name in ["local", "inside", "unknown"] {
            assert!(!registry.is_remote(name), "{name}");
        }
    }
}
