//! The callers: 256 at a time, each answer checked and timed by the level it came from.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use cache_enterprise::core::Counter;
use cache_enterprise::{Cached, Source};
use tokio::task::JoinSet;

use super::item::{Item, Judgement};
use super::latency::Latency;
use super::outage::{self, Outage};
use super::progress::Progress;
use super::requests::{Ask, Stream};
use super::world::World;
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Requests in flight.
const CALLERS: u64 = 256;
/// Keys that each caller remembers for the restart.
const RECENT_EACH: usize = 8;
/// A hit in level 1 never yields by itself; so often a caller lets others run.
const YIELD_EVERY: u64 = 32;

/// What callers and the conductor tell each other while the load runs.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    answered: Counter,
    /// Number of the level that is out of order; zero while none is.
    away: AtomicU8,
    /// Set until the outage is over: a file that ends before is read again.
    goes_on: AtomicBool,
    is_over: AtomicBool,
}

impl Gauge {
    /// Reads answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.sum()
    }

    /// Number of the level that is out of order, if one is.
    pub(crate) fn away(&self) -> Option<u8> {
        Some(self.away.load(Ordering::Relaxed)).filter(|level| *level > 0)
    }

    pub(crate) fn begin_outage(&self, level: u8) {
        self.away.store(level, Ordering::Release);
    }

    pub(crate) fn end_outage(&self) {
        self.away.store(0, Ordering::Release);
    }
}

/// What the callers saw. Operations are reads; writes run beside them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) memory: Latency,
    /// Of each level below memory, from the top.
    pub(crate) tiers: Vec<Latency>,
    /// Answers that no level had: loaded, or waited for together with somebody's load.
    pub(crate) origin: Latency,
    pub(crate) writes: u64,
    /// Reads whose request had a recorded size.
    pub(crate) sized: u64,
    pub(crate) wrong: u64,
    pub(crate) outdated: u64,
    /// Reads that count and ended with an error.
    pub(crate) errors: u64,
    /// Errors that callers saw, those of reads that only keep an outage busy included.
    pub(crate) caller_errors: u64,
    pub(crate) outage_operations: u64,
    pub(crate) outage_slowest: Duration,
    pub(crate) recent: Vec<Ask>,
    /// Loader calls of the requests that count.
    pub(crate) loads: u64,
    pub(crate) finished: Option<Instant>,
    pub(crate) elapsed: Duration,
}

impl Tally {
    fn new(world: &World) -> Self {
        Self { tiers: vec![Latency::default(); world.levels.names().len()], ..Self::default() }
    }

    pub(crate) fn operations(&self) -> u64 {
        let below = self.tiers.iter().map(Latency::count).sum::<u64>();
        self.memory.count() + below + self.origin.count() + self.errors
    }

    fn add(&mut self, other: Self) {
        self.memory.add(&other.memory);
        self.tiers.iter_mut().zip(&other.tiers).for_each(|(tier, other)| tier.add(other));
        self.origin.add(&other.origin);
        self.writes += other.writes;
        self.sized += other.sized;
        self.wrong += other.wrong;
        self.outdated += other.outdated;
        self.errors += other.errors;
        self.outage_operations += other.outage_operations;
        self.caller_errors += other.caller_errors;
        self.outage_slowest = self.outage_slowest.max(other.outage_slowest);
        self.loads += other.loads;
        self.recent.extend(other.recent);
        self.finished = self.finished.max(other.finished);
    }
}

/// Runs the load with an outage in its middle.
pub(crate) async fn run(world: &Arc<World>, args: &DemoArgs) -> Result<(Tally, Outage), Failure> {
    let gauge = Arc::new(Gauge::default());
    gauge.goes_on.store(true, Ordering::Release);
    let streams = world.plan.streams(CALLERS)?;
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for stream in streams {
        callers.spawn(call(Arc::clone(world), Arc::clone(&gauge), stream));
    }
    let progress = Progress::new(world);
    let conducted = async { Ok(conduct(world, &gauge, args, begun).await) };
    // A caller that fails ends the wait for an outage that nobody would go on through.
    let done = tokio::select! {
        done = async { tokio::try_join!(conducted, collect(world, callers)) } => done,
        never = show(&progress, &gauge) => match never {},
    };
    progress.finish();
    let (outage, mut tally) = done?;
    tally.elapsed = tally.finished.map_or(begun.elapsed(), |at| at.duration_since(begun));
    Ok((tally, outage))
}

async fn collect(
    world: &World,
    mut callers: JoinSet<Result<Tally, Failure>>,
) -> Result<Tally, Failure> {
    let mut tally = Tally::new(world);
    while let Some(ended) = callers.join_next().await {
        let ended = ended.map_err(|panic| Failure::broken(format!("a caller ended: {panic}")))?;
        tally.add(ended?);
    }
    Ok(tally)
}

async fn show(progress: &Progress, gauge: &Gauge) -> Infallible {
    loop {
        tokio::time::sleep(progress.interval()).await;
        progress.show(gauge);
    }
}

/// Half of the load, the outage, the other half; or the whole load. What is not broken is watched.
async fn conduct(world: &World, gauge: &Gauge, args: &DemoArgs, begun: Instant) -> Outage {
    let total = world.plan.total();
    let limit = args.seconds.or(total.is_none().then_some(10)).map(Duration::from_secs);
    let is_late = || limit.is_some_and(|limit| begun.elapsed() >= limit);
    let is_done = || is_late() || total.is_some_and(|total| gauge.answered() >= total);
    let is_half = || {
        total.is_some_and(|total| gauge.answered() >= total.div_ceil(2))
            || limit.is_some_and(|limit| begun.elapsed() >= limit / 2)
    };
    let mut outage = Outage::default();
    if let Some((level, spoiler)) = &world.spoiler {
        outage::watch(world, gauge, &mut outage.seen, is_half).await;
        outage.played = Some(outage::play(world, *level, spoiler, gauge).await);
    }
    gauge.goes_on.store(false, Ordering::Release);
    outage::watch(world, gauge, &mut outage.seen, is_done).await;
    outage.seen.end();
    // A file is read to its end by the callers themselves; only a limit stops them before.
    if is_late() {
        gauge.is_over.store(true, Ordering::Release);
    }
    outage
}

/// One caller, until its requests or the load end.
async fn call(world: Arc<World>, gauge: Arc<Gauge>, mut stream: Stream) -> Result<Tally, Failure> {
    let mut tally = Tally::new(&world);
    let mut round = 0_u64;
    while !gauge.is_over.load(Ordering::Acquire) {
        let Some(ask) = stream.next(&world.plan, &gauge.goes_on)? else { break };
        round += 1;
        if round.is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
        if ask.is_write {
            write(&world, &ask).await?;
            tally.writes += 1;
            continue;
        }
        read(&world, &gauge, &ask, &mut tally).await?;
        if ask.is_counted {
            tally.finished = Some(Instant::now());
        }
        if tally.recent.len() < RECENT_EACH {
            tally.recent.push(ask);
        } else {
            let place = (round % RECENT_EACH as u64) as usize;
            tally.recent[place] = ask;
        }
    }
    Ok(tally)
}

/// A write at the origin, then in the cache, as an application does it under the row's lock.
async fn write(world: &World, ask: &Ask) -> Result<(), Failure> {
    let items = world.items(ask)?;
    let _row = world.origin.lock(ask).await;
    let item = world.origin.write(&world.plan, ask);
    let revision = item.revision;
    items.set(&ask.key, item).await;
    world.origin.acknowledge(ask, revision);
    Ok(())
}

/// One read: timed, told apart by level, and checked.
async fn read(world: &World, gauge: &Gauge, ask: &Ask, tally: &mut Tally) -> Result<(), Failure> {
    let is_outage = gauge.away().is_some();
    let items = world.items(ask)?;
    let acknowledged = world.origin.acknowledged(ask);
    let has_loaded = AtomicBool::new(false);
    let begun = Instant::now();
    let found: Result<(Cached<Item>, Source), String> = match items.get_entry(&ask.key).await {
        Ok(Some(hit)) => Ok((hit.value, hit.source)),
        Ok(None) => {
            let load = || async {
                has_loaded.store(true, Ordering::Relaxed);
                Ok::<_, Infallible>(world.origin.load(&world.plan, ask).await)
            };
            let loaded = items.try_get_with(&ask.key, load).await;
            loaded.map(|item| (item, Source::Loader)).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    let took = begun.elapsed();
    gauge.answered.add(1);
    if is_outage {
        tally.outage_operations += 1;
        tally.outage_slowest = tally.outage_slowest.max(took);
    }
    let Ok((item, source)) = found else {
        tally.caller_errors += 1;
        tally.errors += u64::from(ask.is_counted);
        return Ok(());
    };
    let body = (source != Source::Memory).then(|| world.plan.expected(ask, &item));
    let tenant = world.plan.tenant_name(ask);
    match item.judge(tenant, &ask.key.0, acknowledged, body.as_deref()) {
        Judgement::Right => {}
        Judgement::Wrong => tally.wrong += 1,
        Judgement::Outdated => tally.outdated += 1,
    }
    if ask.is_counted {
        tally.sized += u64::from(ask.bytes.is_some());
        tally.loads += u64::from(has_loaded.load(Ordering::Relaxed));
        match source {
            Source::Memory => tally.memory.record(took),
            Source::Tier(number) => tally.tiers[usize::from(number) - 2].record(took),
            _ => tally.origin.record(took),
        }
    }
    Ok(())
}
