//! Keys that are likely to be asked for are loaded ahead: those that follow others by a
//! prefetcher, those of a context by a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{Clock, mins, secs};
use cache_enterprise_engine::{
    CacheManager, CacheSpec, Fetched, LoadContext, Loader, SmartCache, Warm,
};
use cache_enterprise_strategies::predict::model::{
    ContextCounts, CountsLimits, ModelRegistry, ModelRules,
};
use cache_enterprise_strategies::predict::{PrefetchBudget, Prefetcher};

use crate::builder;

static PAGES: CacheSpec<u64, u64> = CacheSpec::new("pages").ttl(secs(10));
static TRACKS: CacheSpec<String, u64> = CacheSpec::new("tracks").ttl(mins(5));

#[derive(Clone, Default)]
struct Origin {
    loads: Arc<AtomicU64>,
}

impl Loader<u64, u64> for Origin {
    type Error = ();

    async fn load(&self, key: &u64, _: LoadContext<u64>) -> Result<Fetched<u64>, ()> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok((key * 10).into())
    }
}

impl Loader<String, u64> for Origin {
    type Error = ();

    async fn load(&self, key: &String, _: LoadContext<u64>) -> Result<Fetched<u64>, ()> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok((key.len() as u64).into())
    }
}

fn manager() -> (CacheManager, Clock) {
    let clock = Clock::manual();
    (builder(&clock).build_in_memory().unwrap(), clock)
}

/// Asks for the pages of a book in their order, round after round, each after its life. Hits, and
/// what was loaded ahead.
async fn read(rounds: u64, order: impl Fn(u64, u64) -> u64) -> (u64, u64) {
    let (manager, clock) = manager();
    let pages = manager.open(&PAGES).unwrap().with_loader(Origin::default());
    let budget = PrefetchBudget { per_second: 1_000.0, ..PrefetchBudget::default() };
    let pages = pages.prefetching(Prefetcher::with_next_access(budget).unwrap());
    let mut hits = 0;
    for round in 0..rounds {
        for place in 0..20 {
            let page = order(round, place);
            hits += u64::from(pages.contains(&page));
            assert_eq!(*pages.load(&page).await.unwrap(), page * 10);
            // What was let through is loaded by tasks of their own.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        clock.advance(secs(11));
        manager.tick();
    }
    (hits, pages.prefetched().fetched)
}

#[tokio::test]
async fn what_always_follows_is_there_when_it_is_asked_for() {
    let (hits, fetched) = read(30, |_, place| place).await;
    assert!(fetched > 0 && hits * 2 > 30 * 20, "{hits} hits, {fetched} loaded ahead");
}

#[tokio::test]
async fn where_nothing_follows_anything_nothing_is_loaded_ahead() {
    // Pages that never come again.
    let (hits, fetched) = read(30, |round, place| round * 20 + place).await;
    assert_eq!((hits, fetched), (0, 0));
}

#[tokio::test]
async fn a_model_warms_what_its_context_wants_and_no_more() {
    let (manager, _clock) = manager();
    let models = Arc::new(ModelRegistry::new(ModelRules::default()).unwrap());
    let counts = ContextCounts::new(CountsLimits::default()).unwrap();
    models.register("track_popularity_v2", Box::new(counts)).unwrap();
    let origin = Origin::default();
    let tracks = SmartCache::new(manager.open(&TRACKS).unwrap(), models)
        .most(2)
        .warming(Warm::new().concurrency(2));
    let (friday, monday) = ([("time", "friday_evening")], [("time", "monday_morning")]);
    for round in 0..300 {
        let dance = if round % 3 == 0 { "dance:2" } else { "dance:1" };
        tracks.learn("track_popularity_v2", dance, &friday).unwrap();
        let focus = if round % 3 == 0 { "focus:2" } else { "focus:1" };
        tracks.learn("track_popularity_v2", focus, &monday).unwrap();
    }
    let warm = tracks.predict_and_warm("track_popularity_v2", &friday, origin.clone());
    let report = warm.await.unwrap();
    assert_eq!((report.loaded, report.keys()), (2, 2));
    assert!(tracks.contains("dance:1") && tracks.contains("dance:2"));
    assert!(!tracks.contains("focus:1"), "that is for Monday");
    let again = tracks.predict_and_warm("track_popularity_v2", &friday, origin.clone()).await;
    assert_eq!((again.unwrap().held, origin.loads.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn a_model_that_is_not_there_and_a_context_of_no_use_are_told() {
    let (manager, _clock) = manager();
    let models = Arc::new(ModelRegistry::new(ModelRules::default()).unwrap());
    let tracks = SmartCache::new(manager.open(&TRACKS).unwrap(), models);
    let unknown = tracks.predict_and_warm("popularity", &[], Origin::default()).await;
    assert!(unknown.unwrap_err().to_string().contains("popularity"));
    let twice = [("region", "EU"), ("region", "US")];
    assert!(tracks.learn("popularity", "a", &twice).is_err());
}
