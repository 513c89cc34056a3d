//! Ten thousand callers of one cold key: what they cost, and how often the loader runs.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_enterprise_core::{Capacity, hours};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::keys::{PAYLOAD, Payload};
use crate::report::{Line, Place, Report, progress};
use crate::rounds::{Case, Quartiles, cpu_time, interleave};

const CALLERS: usize = 10_000;

/// Storms in one round, each on a key of its own.
const STORMS: usize = 5;

static SPEC: CacheSpec<String, Payload> = CacheSpec::new("flight").ttl(hours(1));

#[derive(Clone, Copy)]
enum Load {
    Sleep,
    Yield,
}

impl Load {
    async fn run(self, calls: &AtomicUsize) -> Payload {
        calls.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::Sleep => tokio::time::sleep(Duration::from_millis(20)).await,
            Self::Yield => tokio::task::yield_now().await,
        }
        PAYLOAD
    }
}

/// A cache asked by a task of the storm.
trait Storm: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn make() -> Self;
    fn ask(&self, key: &str, load: Load, calls: &AtomicUsize) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
struct Ours {
    cache: Cache<String, Payload>,
    _manager: Arc<CacheManager>,
}

impl Storm for Ours {
    const NAME: &'static str = "cache-enterprise";

    fn make() -> Self {
        let manager = CacheManager::in_memory(Capacity::entries(1_000))
            .expect("the capacity is above zero and a thread can be had");
        let cache = manager.open(&SPEC).expect("the spec has a life");
        Self { cache, _manager: Arc::new(manager) }
    }

    async fn ask(&self, key: &str, load: Load, calls: &AtomicUsize) {
        self.cache.get_with(key, || load.run(calls)).await;
    }
}

type Quick = Arc<quick_cache::sync::Cache<String, Arc<Payload>>>;

impl Storm for Quick {
    const NAME: &'static str = "quick_cache guard";

    fn make() -> Self {
        Arc::new(quick_cache::sync::Cache::new(1_000))
    }

    async fn ask(&self, key: &str, load: Load, calls: &AtomicUsize) {
        if let Err(guard) = self.get_value_or_guard_async(key).await {
            // Refused only when the entry was removed meanwhile, which nobody does here.
            let _ = guard.insert(Arc::new(load.run(calls).await));
        }
    }
}

type Moka = moka::future::Cache<String, Arc<Payload>>;

impl Storm for Moka {
    const NAME: &'static str = "moka future";

    fn make() -> Self {
        Self::new(1_000)
    }

    async fn ask(&self, key: &str, load: Load, calls: &AtomicUsize) {
        self.get_with_by_ref(key, async { Arc::new(load.run(calls).await) }).await;
    }
}

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?,
    );
    storms(report, &runtime, rounds, Load::Sleep, "load = sleep 20 ms")?;
    storms(report, &runtime, rounds, Load::Yield, "load = one yield")?;
    calls(report, &runtime, rounds)
}

fn storms(
    report: &mut Report,
    runtime: &Arc<Runtime>,
    rounds: usize,
    load: Load,
    what: &str,
) -> Result<(), Box<dyn Error>> {
    let bench = format!("10000 callers, one cold key, {what}");
    progress(&bench);
    let counted = Arc::new(AtomicUsize::new(0));
    let uncounted = Arc::new(AtomicUsize::new(0));
    let series = interleave(
        vec![
            case::<Ours>(runtime, load, &counted),
            case::<Quick>(runtime, load, &uncounted),
            case::<Moka>(runtime, load, &uncounted),
        ],
        rounds,
    );
    let (ours, peers) = series.split_first().ok_or("no case was measured")?;
    for peer in peers {
        let bar = (peer.name == "quick_cache guard").then_some(12);
        let place = Place { bar, group: "flight", bench: &bench, unit: "ns cpu/caller" };
        report.line(&Line::ratio(place, ours, peer))?;
    }
    let bench = format!("loader calls, {bench}");
    let place = Place { bar: Some(12), group: "flight", bench: &bench, unit: "calls" };
    Ok(report.line(&Line::count(place, vec![counted.load(Ordering::Relaxed) as f64]))?)
}

/// The median storm of a round; `most_calls` keeps the largest number of loads one storm made.
fn case<S: Storm>(runtime: &Arc<Runtime>, load: Load, most_calls: &Arc<AtomicUsize>) -> Case {
    let (runtime, most_calls) = (Arc::clone(runtime), Arc::clone(most_calls));
    Case::new(S::NAME, move || {
        let cache = S::make();
        let cost = |storm| {
            let calls = Arc::new(AtomicUsize::new(0));
            let begun = cpu_time();
            runtime.block_on(storm_of(&cache, storm, load, &calls));
            most_calls.fetch_max(calls.load(Ordering::Relaxed), Ordering::Relaxed);
            (cpu_time() - begun).as_nanos() as f64 / CALLERS as f64
        };
        Quartiles::of((0..STORMS).map(cost).collect()).median
    })
}

async fn storm_of<S: Storm>(cache: &S, storm: usize, load: Load, calls: &Arc<AtomicUsize>) {
    let key: Arc<str> = format!("cold key of 24 bytes {storm:03}").into();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, key, calls) = (cache.clone(), Arc::clone(&key), Arc::clone(calls));
        callers.spawn(async move { cache.ask(&key, load, &calls).await });
    }
    callers.join_all().await;
}

/// How often a loader runs that waits until every caller has asked, succeeding and failing.
fn calls(report: &mut Report, runtime: &Runtime, rounds: usize) -> Result<(), Box<dyn Error>> {
    for (what, is_failing) in [("succeeding", false), ("failing", true)] {
        let bench = format!("loader calls, 10000 callers of one cold key, {what} loader");
        progress(&bench);
        let mut counts = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            counts.push(runtime.block_on(calls_of(is_failing))? as f64);
        }
        let place = Place { bar: Some(13), group: "flight", bench: &bench, unit: "calls" };
        report.line(&Line::count(place, counts))?;
    }
    Ok(())
}

async fn calls_of(is_failing: bool) -> Result<usize, Box<dyn Error>> {
    let ours = Ours::make();
    let calls = Arc::new(AtomicUsize::new(0));
    let asking = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, calls, asking) = (ours.cache.clone(), Arc::clone(&calls), Arc::clone(&asking));
        callers.spawn(async move {
            asking.fetch_add(1, Ordering::Relaxed);
            let load = || async {
                calls.fetch_add(1, Ordering::Relaxed);
                while asking.load(Ordering::Relaxed) < CALLERS {
                    tokio::task::yield_now().await;
                }
                // The last caller has counted itself and is about to join.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if is_failing { Err("the origin is down") } else { Ok(PAYLOAD) }
            };
            cache.try_get_with("one cold key", load).await.is_err()
        });
    }
    let failed = callers.join_all().await.into_iter().filter(|failed| *failed).count();
    if failed != if is_failing { CALLERS } else { 0 } {
        return Err(format!("{failed} of {CALLERS} callers got an error").into());
    }
    Ok(calls.load(Ordering::Relaxed))
}
