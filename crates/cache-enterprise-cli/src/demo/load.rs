//! The callers: 256 at a time, each answer checked and timed by the level it came from.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What one read came to.
#[derive(Debug)]
struct Answer {
    took: Duration,
    is_outage: bool,
    has_loaded: bool,
    /// `None` for an error.
    found: Option<(Source, Judgement)>,
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
    fn new(tiers: usize) -> Self {
        Self { tiers: vec![Latency::default(); tiers], ..Self::default() }
    }

    fn note(&mut self, ask: &Ask, answer: &Answer) {
        if answer.is_outage {
            self.outage_operations += 1;
            self.outage_slowest = self.outage_slowest.max(answer.took);
        }
        if ask.is_counted {
            self.finished = Some(Instant::now());
        }
        let Some((source, judgement)) = answer.found else {
            self.caller_errors += 1;
            self.errors += u64::from(ask.is_counted);
            return;
        };
        match judgement {
            Judgement::Right => {}
            Judgement::Wrong => self.wrong += 1,
            Judgement::Outdated => self.outdated += 1,
        }
        if ask.is_counted {
            self.sized += u64::from(ask.bytes.is_some());
            self.loads += u64::from(answer.has_loaded);
            match source {
                Source::Memory => self.memory.record(answer.took),
                Source::Tier(number) => self.tiers[usize::from(number) - 2].record(answer.took),
                _ => self.origin.record(answer.took),
            }
        }
    }

    pub(crate) fn operations(&self) -> u64 {
        let below = self.tiers.iter().map(Latency::count).sum::<u64>();
        self.memory.count() + below + self.origin.count() + self.errors
    }

    fn add(&mut self, other: &Self) {
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
        self.finished = self.finished.max(other.finished);
    }
}

/// A tally for each worker, and none for each caller: the histograms of one take 0.7 MiB, and no
/// more callers than workers note anything at a time.
#[derive(Clone, Debug)]
struct Tallies(Arc<[Mutex<Tally>]>);

impl Tallies {
    fn new(workers: usize, tiers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::new(Tally::new(tiers))).collect())
    }

    /// The tally of a caller; no lock on it is held across an await.
    fn of(&self, caller: usize) -> MutexGuard<'_, Tally> {
        self.0[caller % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, tiers: usize) -> Tally {
        let mut sum = Tally::new(tiers);
        (0..self.0.len()).for_each(|worker| sum.add(&self.of(worker)));
        sum
    }
}

/// Runs the load with an outage in its middle.
pub(crate) async fn run(world: &Arc<World>, args: &DemoArgs) -> Result<(Tally, Outage), Failure> {
    let gauge = Arc::new(Gauge::default());
    gauge.goes_on.store(true, Ordering::Release);
    let streams = world.plan.streams(CALLERS)?;
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    let tallies = Tallies::new(workers, world.levels.names().len());
    for (caller, stream) in streams.into_iter().enumerate() {
        let (gauge, tallies) = (Arc::clone(&gauge), tallies.clone());
        callers.spawn(call(Arc::clone(world), gauge, tallies, caller, stream));
    }
    let progress = Progress::new(world);
    let conducted = async { Ok(conduct(world, &gauge, args, begun).await) };
    // A caller that fails ends the wait for an outage that nobody would go on through.
    let done = tokio::select! {
        done = async { tokio::try_join!(conducted, collect(callers)) } => done,
        never = show(&progress, &gauge) => match never {},
    };
    progress.finish();
    let (outage, recent) = done?;
    let mut tally = Tally { recent, ..tallies.sum(world.levels.names().len()) };
    tally.elapsed = tally.finished.map_or(begun.elapsed(), |at| at.duration_since(begun));
    Ok((tally, outage))
}

/// Waits for the callers; what they asked for lately.
async fn collect(mut callers: JoinSet<Result<Vec<Ask>, Failure>>) -> Result<Vec<Ask>, Failure> {
    let mut recent = Vec::new();
    while let Some(ended) = callers.join_next().await {
        let ended = ended.map_err(|panic| Failure::broken(format!("a caller ended: {panic}")))?;
        recent.extend(ended?);
    }
    Ok(recent)
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
async fn call(
    world: Arc<World>,
    gauge: Arc<Gauge>,
    tallies: Tallies,
    caller: usize,
    mut stream: Stream,
) -> Result<Vec<Ask>, Failure> {
    let mut recent = Vec::with_capacity(RECENT_EACH);
    let mut round = 0_u64;
    while !gauge.is_over.load(Ordering::Acquire) {
        let Some(ask) = stream.next(&world.plan, &gauge.goes_on)? else { break };
        round += 1;
        if round.is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
        if ask.is_write {
            write(&world, &ask).await?;
            tallies.of(caller).writes += 1;
            continue;
        }
        let answer = read(&world, &gauge, &ask).await?;
        tallies.of(caller).note(&ask, &answer);
        if recent.len() < RECENT_EACH {
            recent.push(ask);
        } else {
            let place = (round % RECENT_EACH as u64) as usize;
            recent[place] = ask;
        }
    }
    Ok(recent)
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
async fn read(world: &World, gauge: &Gauge, ask: &Ask) -> Result<Answer, Failure> {
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
    let found = found.ok().map(|(item, source)| {
        let body = (source != Source::Memory).then(|| world.plan.expected(ask, &item));
        let tenant = world.plan.tenant_name(ask);
        (source, item.judge(tenant, &ask.key.0, acknowledged, body.as_deref()))
    });
    Ok(Answer { took, is_outage, has_loaded: has_loaded.into_inner(), found })
}

#[cfg(test)]
mod tests {
    use cache_enterprise_workload::{Request, RequestKey};

    use super::*;

    #[test]
    fn callers_share_a_tally_for_each_worker_and_lose_nothing() {
        let ask = Ask::of(Request::new(RequestKey::Id(7)), true);
        let answer = |micros, source| Answer {
            took: Duration::from_micros(micros),
            is_outage: false,
            has_loaded: source == Source::Loader,
            found: Some((source, Judgement::Right)),
        };
        let tallies = Tallies::new(2, 1);
        assert_eq!(tallies.0.len(), 2, "two sets of histograms, whatever the callers");
        for caller in 0..CALLERS as usize {
            tallies.of(caller).note(&ask, &answer(10, Source::Memory));
            tallies.of(caller).note(&ask, &answer(1_000, Source::Tier(2)));
        }
        tallies.of(9).note(&ask, &answer(5_000, Source::Loader));
        tallies.of(8).note(&ask, &Answer { found: None, ..answer(1, Source::Memory) });
        let sum = tallies.sum(1);
        assert_eq!((sum.memory.count(), sum.tiers[0].count()), (CALLERS, CALLERS));
        assert_eq!((sum.origin.count(), sum.loads, sum.errors), (1, 1, 1));
        assert_eq!(sum.operations(), 2 * CALLERS + 2);
        assert!((sum.tiers[0].micros(0.5) - 1_000.0).abs() < 2.0);
    }
}
