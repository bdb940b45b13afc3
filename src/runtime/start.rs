//! Taking a store over.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;

use jobkeep_store::{
    Batch, Closing, Durability, Fence, InFlight, JobNumber, JobRecord, Key, Opening, OpeningTag,
    ParkReason, Place, QueueStore, RowError, Secret, Space, StoreError, StoreId, Timestamp,
    get_typed, open_row,
};

use super::clocks::going_on;
use super::command::Command;
use super::executors::Executors;
use super::health::HealthBoard;
use super::inbox::{Haste, Inbox};
use super::living::{stuck_in, watch};
use super::lost::Lost;
use super::observe::Observers;
use super::parked::ParkedBoard;
use super::pool::Pool;
use super::rings::Rings;
use super::shared::Shared;
use super::waiters::Waiters;
use super::{panics, threads};
use crate::clock::{Clock, Now};
use crate::config::Config;
use crate::context::Resources;
use crate::core::{self, Drawn, Engine, Origins, Rules, Stored, UncleanEnd};
use crate::event::Event;
use crate::logging;
use crate::observer::Interest;
use crate::receipt::{Origin, Proof};
use crate::registry::Registry;
use crate::sync::Arc;
use crate::{Error, Observer, ParkedJobs};

/// What a manager is made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    pub(crate) resources: Resources,
    pub(crate) observers: Vec<Box<dyn Observer>>,
}

/// What the opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Jobs that were not finished, those below included.
    pub waiting: u64,
    /// Jobs that the last process had in flight when it ended: they run again.
    pub interrupted: u64,
    /// Those of them that are suspected of having ended the process: they are
    /// [held back](crate::Builder::probation) for a while.
    pub suspects: u64,
    /// Rows that did not match their checksum: set aside with their bytes.
    pub damaged: u64,
    /// Jobs that cannot run here, by why. Those whose payloads did not decode so far are tried once more,
    /// and count until then. Shown, it is a line for the log of a start.
    pub parked: ParkedJobs,
}

/// What the scan of a store finds.
#[derive(Default)]
pub(super) struct Findings {
    recovery: Recovery,
    /// Jobs that the last opening had in flight: what becomes of them is found after the scan.
    in_flight: HashSet<JobNumber>,
    observed: Interest,
    /// Of jobs that are parked from the beginning.
    events: Vec<Event>,
}

impl Findings {
    /// So many jobs that are parked from the beginning does an observer hear of, one by one.
    const TOLD: usize = 1_000;

    fn parked(
        &mut self,
        job: JobNumber,
        reason: ParkReason,
        (name, queue): (&str, &str),
        at: Timestamp,
    ) {
        self.recovery.parked.count(&reason, name, queue);
        // Undecodable ones are tried once more, and told then.
        let is_final = !matches!(reason, ParkReason::Undecodable(_));
        if self.observed == Interest::All && is_final && self.events.len() < Self::TOLD {
            let event = Event::parked(job, name, queue.into(), reason, at);
            self.events.push(event);
        }
    }
}

pub(super) const ACT: &str = "start the manager";

/// Takes the store over and starts the threads. What was started is stopped again where a later step
/// fails.
pub(crate) fn start(mut parts: Parts) -> Result<(Arc<Shared>, Recovery), Error> {
    panics::watch();
    let observers = std::mem::take(&mut parts.observers);
    let (shared, engine, recovery) = take_over(parts, observers.len())?;
    threads::start(&shared, engine, observers)?;
    logging::started(&shared.location, &recovery);
    Ok((shared, recovery))
}

/// Everything but the threads. There will be so many observers.
pub(super) fn take_over(
    parts: Parts,
    observers: usize,
) -> Result<(Arc<Shared>, Engine, Recovery), Error> {
    let Parts {
        store,
        config,
        clock,
        registry,
        resources,
        observers: _,
    } = parts;
    let positions = positions(&config);
    let identity = store.identity().map_err(|cause| Error::store(ACT, cause))?;
    let clock = going_on(&clock, &*store).map_err(|cause| Error::not_started(ACT, cause))?;
    let drawn = draw().map_err(|cause| Error::host(ACT, cause))?;
    let origins = |queue: &str, name: &str| {
        let &queue = positions.get(queue)?;
        Some(Origins {
            queue,
            known: config.runs(queue, &registry, name),
        })
    };
    let reader = Opener {
        store: &*store,
        now: clock.now(),
        origins: &origins,
    };
    let stored = reader
        .stored(identity.fence)
        .map_err(|cause| Error::not_started(ACT, cause))?;
    let store_id = identity.fence.map_or(drawn.store, |fence| fence.store);
    let secret = stored.secret.as_ref().unwrap_or(&drawn.secret).clone();
    // Those that return from now on are told by the watch below.
    let stuck: Vec<_> = stuck_in(store_id).iter().map(|stuck| stuck.job).collect();
    let observers = Observers::new(observers, drawn.tag, &clock);
    let rules = rules(&config, observers.lasting_interest(), stuck.clone());
    let opened = match reader.open(&rules, stored, &drawn) {
        Err(cause) if cause.is_out_of_turn() => reader.open_claimed(&rules, &drawn, cause),
        opened => opened,
    };
    let opened = opened.map_err(|cause| Error::not_started(ACT, cause))?;
    let pools = config
        .queues
        .iter()
        .map(|queue| Arc::new(Pool::new(queue)))
        .collect();
    let origin = Origin {
        server: config.server.clone(),
        store: store_id,
        opening: drawn.tag,
        durability: identity.durability,
        proof: Proof::Secret(secret.clone()),
    };
    let buffered = Origin {
        durability: Durability::Buffered,
        ..origin.clone()
    };
    let shared = Arc::new(Shared {
        inbox: Inbox::new(config.inbox, opened.engine.first_number(), &clock),
        location: identity.location,
        executors: Arc::new(Executors::new(config.executors)),
        store,
        config,
        registry,
        resources,
        pools,
        waiters: Waiters::default(),
        rings: Rings::default(),
        parked: ParkedBoard::default(),
        health: HealthBoard::default(),
        lost: Lost::default(),
        origin: Arc::new(origin),
        buffered: Arc::new(buffered),
        secret,
        openings: opened.openings,
        order_floor: opened.order_floor,
        positions,
        ending: Arc::default(),
        observers,
        clock,
    });
    shared.clock.tell(&shared.ending);
    shared.clock.tell(&shared.executors);
    for pool in shared.pools.iter().filter(|pool| pool.push.is_some()) {
        shared.clock.tell(pool);
    }
    shared.observers.tell_found(opened.events);
    watch(store_id, &shared.inbox);
    let still: Vec<_> = shared.stuck().iter().map(|stuck| stuck.job).collect();
    for job in stuck.into_iter().filter(|job| !still.contains(job)) {
        let returned = Command::Returned { job };
        drop(shared.inbox.report(returned, Haste::Now));
    }
    Ok((shared, opened.engine, opened.recovery))
}

pub(super) fn rules(config: &Config, observed: Interest, stuck: Vec<JobNumber>) -> Rules {
    Rules {
        queues: config
            .queues
            .iter()
            .map(|queue| queue.name.as_str().into())
            .collect(),
        pushed: (0..)
            .zip(&config.queues)
            .filter_map(|(position, queue)| Some((position, queue.push_timeout_ms()?)))
            .collect(),
        observed,
        stuck,
        retention: config.retention,
        key_retention: config.key_retention,
        probation: config.probation,
    }
}

/// The position of each queue.
fn positions(config: &Config) -> HashMap<String, u16> {
    config
        .queues
        .iter()
        .map(|queue| queue.name.clone())
        .zip(0..)
        .collect()
}

fn draw() -> Result<Drawn, getrandom::Error> {
    let (mut store, mut receipts) = ([0; 16], [0; 32]);
    getrandom::fill(&mut store)?;
    getrandom::fill(&mut receipts)?;
    Ok(Drawn {
        tag: OpeningTag(getrandom::u64()?),
        store: StoreId(u128::from_be_bytes(store)),
        secret: Secret { receipts },
    })
}

/// Reads a store, and makes it this opening's.
pub(super) struct Opener<'a> {
    pub(super) store: &'a dyn QueueStore,
    pub(super) now: Now,
    pub(super) origins: &'a dyn Fn(&str, &str) -> Option<Origins>,
}

struct Opened {
    engine: Engine,
    openings: Vec<(JobNumber, OpeningTag)>,
    order_floor: Timestamp,
    recovery: Recovery,
    events: Vec<Event>,
}

impl Opener<'_> {
    pub(super) fn stored(&self, fence: Option<Fence>) -> Result<Stored, StoreError> {
        let mut withdrawn = HashMap::new();
        self.each(Space::Withdrawn, |key, row| {
            withdrawn.insert(JobNumber(key.number), open_row(key, row)?);
            Ok(())
        })?;
        let totals = get_typed(self.store, Key::TOTALS)?;
        let paused = get_typed(self.store, Key::PAUSED)?.unwrap_or_default();
        let secret = get_typed(self.store, Key::SECRET)?;
        Ok(Stored {
            fence,
            totals,
            paused,
            withdrawn,
            secret,
        })
    }

    fn open(&self, rules: &Rules, stored: Stored, drawn: &Drawn) -> Result<Opened, StoreError> {
        let row_failed = |cause| StoreError::failed("prepare an opening", "the manager", cause);
        let mut engine = Engine::open(rules, stored, drawn, self.now).map_err(row_failed)?;
        let end = self.unclean_end()?;
        let in_flight = end.iter().flat_map(|end| &end.in_flight.jobs);
        let mut findings = Findings {
            in_flight: in_flight.map(|listed| listed.number).collect(),
            observed: rules.observed,
            ..Findings::default()
        };
        let order_floor = self.restore(&mut engine, &mut findings)?;
        if let Some(end) = end {
            self.interrupt(&mut engine, rules, &end, &mut findings)?;
        }
        findings.recovery.suspects = engine.suspects();
        let mut openings = Vec::new();
        self.each(Space::Openings, |key, row| {
            let opening: Opening = open_row(key, row)?;
            openings.push((JobNumber(key.number), opening.tag));
            Ok(())
        })?;
        let mut group = engine.end_group().map_err(row_failed)?;
        findings.events.append(&mut group.events);
        self.store.commit(&group.batch)?;
        engine.committed(group.batch.fence());
        let first = engine.first_number();
        openings.retain(|(number, _)| *number != first);
        openings.push((first, drawn.tag));
        Ok(Opened {
            engine,
            openings,
            order_floor,
            recovery: findings.recovery,
            events: findings.events,
        })
    }

    /// Another owner of the same store has committed since it was read, and would again: so it is taken
    /// over first, by a commit that says nothing else, and read then.
    fn open_claimed(
        &self,
        rules: &Rules,
        drawn: &Drawn,
        mut refused: StoreError,
    ) -> Result<Opened, StoreError> {
        /// Each fails only where the other owner commits between two calls.
        const TRIES: usize = 1_000;
        for _ in 0..TRIES {
            let Some(held) = self.store.identity()?.fence else {
                break;
            };
            let claim = Fence {
                opening: drawn.tag,
                commit: held.commit.saturating_add(1),
                ..held
            };
            match self
                .store
                .commit(&Batch::opening(claim, Some(held.opening)))
            {
                Ok(()) => {
                    let stored = self.stored(Some(claim))?;
                    return self.open(rules, stored, drawn);
                }
                Err(cause) if cause.is_out_of_turn() => refused = cause,
                Err(cause) => return Err(cause),
            }
        }
        Err(refused)
    }

    /// The scan of *live*: what checks out goes into the schedule, what does not is set aside.
    pub(super) fn restore(
        &self,
        engine: &mut Engine,
        findings: &mut Findings,
    ) -> Result<Timestamp, StoreError> {
        let mut floor = Timestamp::default();
        self.each(Space::Live, |key, row| {
            match open_row::<Place<'_>>(key, row) {
                Ok(place) => {
                    let origins = (self.origins)(place.queue, place.name);
                    let number = JobNumber(key.number);
                    let order = engine.restore(number, &place, origins);
                    floor = floor.max(order.unwrap_or_default());
                    findings.recovery.waiting += 1;
                    if let Some(reason) = core::found_parked(&place.state, origins)
                        && !findings.in_flight.contains(&number)
                    {
                        let job = (place.name, place.queue);
                        findings.parked(number, reason, job, self.now.wall);
                    }
                }
                Err(newer) if newer.newer_format().is_some() => return Err(newer),
                Err(damage) => {
                    engine.set_aside(key, row, &damage)?;
                    findings.recovery.damaged += 1;
                }
            }
            Ok(())
        })?;
        // Behind all of them, whatever number it has: a job run again has an old one.
        Ok(floor.after(Duration::from_millis(1)))
    }

    fn interrupt(
        &self,
        engine: &mut Engine,
        rules: &Rules,
        end: &UncleanEnd,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        for listed in &end.in_flight.jobs {
            let key = Key::live(listed.number);
            let Some(row) = self.store.get(&key)? else {
                continue;
            };
            // A damaged one was set aside by the scan.
            let Ok(record) = open_row::<JobRecord>(key, &row) else {
                continue;
            };
            let origins = (self.origins)(record.queue.as_str(), &record.name);
            let resend = origins.and_then(|here| rules.call_timeout(here.queue, &record));
            let hash = record
                .key
                .as_ref()
                .map(|key| core::key_hash(engine.store(), &record.name, key));
            if let Some(hash) = hash
                && engine.lacks_key(hash)
            {
                match get_typed(self.store, Key::new(Space::Unique, hash)) {
                    Ok(row) => engine.learn_key(hash, row.unwrap_or_default()),
                    // It stays as it is, and keeps nobody from interrupting the job.
                    Err(damage) if damage.is_damaged() => {}
                    Err(cause) => return Err(cause),
                }
            }
            let (name, queue) = (record.name.clone(), record.queue.clone());
            let state = engine
                .interrupt(listed, end, Box::new(record), origins, hash, resend)
                .map_err(|cause| StoreError::row(key, cause))?;
            findings.recovery.interrupted += 1;
            if let Some(reason) = core::found_parked(&state, origins) {
                let job = (name.as_str(), queue.as_str());
                findings.parked(listed.number, reason, job, self.now.wall);
            }
        }
        Ok(())
    }

    /// How the last opening ended, where jobs were in flight.
    fn unclean_end(&self) -> Result<Option<UncleanEnd>, StoreError> {
        let Some(in_flight) = get_typed::<InFlight>(self.store, Key::IN_FLIGHT)? else {
            return Ok(None);
        };
        let closing = get_typed::<Closing>(self.store, Key::CLOSING)?;
        Ok(Some(UncleanEnd {
            in_order: closing.is_some_and(|closing| closing.opening == in_flight.opening),
            in_flight,
        }))
    }

    fn each(
        &self,
        space: Space,
        mut act: impl FnMut(Key, &[u8]) -> Result<(), RowError>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        Shared::each_row(self.store, space, 0, &mut |key, row| match act(key, row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => {
                failed = Some(StoreError::row(key, reason));
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}
