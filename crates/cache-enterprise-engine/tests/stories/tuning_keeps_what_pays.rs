//! A tuner tries one bounded change on a shadow, keeps it only if shadow and cache agree, tells it,
//! and can take it back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_enterprise_core::{Clock, ErrorKind, Event, Observer, mins, secs};
use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Memory, Options, Origin, Tune, Tuning, block_on,
};
use cache_enterprise_strategies::tune::{Outcome, TuneRules};

const ENTRIES: u64 = 500;

/// A loop over so many keys leaves LRU without a hit.
const LOOP: u64 = 700;

static KEYS: CacheSpec<u64, u64> = CacheSpec::new("keys").forever();

/// Remembers what tuners told.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observer for Told {
    fn on_event(&self, event: &Event) {
        if let Event::Tuned { cache, change, outcome } = event {
            self.0.lock().unwrap().push(format!("{cache}: {change}: {outcome}"));
        }
    }
}

fn manager(strategy: &'static str) -> (CacheManager, Clock, Told) {
    let (clock, told) = (Clock::manual(), Told::default());
    let builder = CacheManager::builder("tuned")
        .l1(Memory::entries(ENTRIES).strategy(strategy))
        .options(Options { jitter: Some(0.0), ..Options::NONE })
        .observer(told.clone())
        .clock(clock.clone());
    (builder.build_in_memory().unwrap(), clock, told)
}

/// All keys are in the sample; a thousand requests warm up and a thousand are counted.
fn how() -> Tune {
    Tune::new().sample(1.0).seed(7).every(mins(60))
}

/// Asks for the keys of a loop, round after round, until so many trials have ended.
fn run_loop(manager: &CacheManager, cache: &Cache<u64, u64>, tuning: &Tuning, trials: usize) {
    for _ in 0..60 {
        for key in 0..LOOP {
            block_on(cache.get_with(&key, || async move { key }));
        }
        manager.tick();
        if tuning.log().len() >= trials && tuning.trying().is_none() {
            return;
        }
    }
    panic!("no trial ended: {:?}, {:?}", tuning.log(), tuning.trying());
}

fn strategy(cache: &Cache<u64, u64>) -> (String, Origin) {
    let row = cache.effective_options(&1).row("l1.strategy").unwrap().clone();
    (row.value, row.origin)
}

#[test]
fn a_strategy_that_pays_is_kept_told_and_taken_back() {
    let (manager, _clock, told) = manager("lru");
    let cache = manager.open(&KEYS).unwrap();
    let tuning = cache.tune(how().strategies(["lirs"])).unwrap();
    run_loop(&manager, &cache, &tuning, 1);
    let log = tuning.log();
    let kept = log.last().unwrap();
    assert_eq!((kept.change.as_str(), kept.outcome), ("strategy: lru -> lirs", Outcome::Kept));
    assert!(kept.shadow_gain > 0.2 && kept.live_gain.is_some_and(|gain| gain > 0.2), "{kept}");
    assert_eq!(strategy(&cache), ("lirs".to_owned(), Origin::Tuned));
    let row = manager.describe().row("cache.keys.l1.strategy").cloned().unwrap();
    assert_eq!((row.value.as_str(), row.origin), ("lirs", Origin::Tuned));
    let why = block_on(cache.explain(&1));
    assert_eq!(why.levels[0].strategy.as_deref(), Some("lirs"));

    assert_eq!(tuning.undo().unwrap(), "strategy: lirs -> lru");
    assert_eq!(strategy(&cache).0, "lru");
    assert!(tuning.undo().is_err(), "nothing is left to take back");
    let heard = told.0.lock().unwrap().clone();
    assert_eq!(heard, ["keys: strategy: lru -> lirs: kept", "keys: strategy: lirs -> lru: undone"]);
}

#[test]
fn a_strategy_that_does_not_pay_never_reaches_the_cache() {
    let (manager, _clock, told) = manager("lirs");
    let cache = manager.open(&KEYS).unwrap();
    let tuning = cache.tune(how().strategies(["lru", "fifo"])).unwrap();
    run_loop(&manager, &cache, &tuning, 2);
    let outcomes: Vec<_> = tuning.log().iter().map(|trial| trial.outcome).collect();
    assert_eq!(outcomes, [Outcome::Dropped; 2]);
    assert!(tuning.log().iter().all(|trial| trial.live_gain.is_none()));
    assert_eq!(strategy(&cache).0, "lirs");
    assert!(told.0.lock().unwrap().iter().all(|told| told.ends_with("dropped")));
}

#[test]
fn what_the_cache_does_not_confirm_is_taken_back() {
    let (manager, _clock, _) = manager("lru");
    let cache = manager.open(&KEYS).unwrap();
    let tuning = cache.tune(how().strategies(["lirs"])).unwrap();
    let mut next = 1_000_000;
    for _ in 0..60 {
        let is_live = tuning.trying().is_some_and(|trying| trying.ends_with("on the cache"));
        for key in 0..LOOP {
            // As soon as the change is made, nothing is asked for twice any more.
            next += 1;
            let key = if is_live { next } else { key };
            block_on(cache.get_with(&key, || async move { key }));
        }
        manager.tick();
        if !tuning.log().is_empty() {
            break;
        }
    }
    let log = tuning.log();
    let trial = log.last().expect("the trial ended");
    assert_eq!(trial.outcome, Outcome::Reverted, "{trial}");
    assert!(trial.shadow_gain > 0.2 && trial.live_gain.is_some_and(|gain| gain <= 0.0), "{trial}");
    assert_eq!(strategy(&cache).0, "lru");
}

#[test]
fn a_trial_that_is_broken_off_leaves_the_cache_as_it_was() {
    let (manager, _clock, told) = manager("lru");
    let cache = manager.open(&KEYS).unwrap();
    let tuning = cache.tune(how().strategies(["lirs"])).unwrap();
    let twice = cache.tune(how().strategies(["lirs"])).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    for _ in 0..60 {
        for key in 0..LOOP {
            block_on(cache.get_with(&key, || async move { key }));
        }
        manager.tick();
        if strategy(&cache).0 == "lirs" {
            break;
        }
    }
    assert_eq!(tuning.trying().as_deref(), Some("strategy: lru -> lirs, on the cache"));
    assert!(tuning.undo().is_err(), "a change that is being tried is no kept one");
    drop(tuning);
    assert_eq!(strategy(&cache).0, "lru");
    assert!(told.0.lock().unwrap().is_empty());
    assert!(cache.tune(how().strategies(["lirs"])).is_ok(), "the place is free again");
}

#[test]
fn everything_rests_and_is_tried_again_after_its_time() {
    let (manager, clock, _) = manager("lirs");
    let cache = manager.open(&KEYS).unwrap();
    let tuning = cache.tune(how().strategies(["lru"])).unwrap();
    run_loop(&manager, &cache, &tuning, 1);
    manager.tick();
    let ask = |rounds: u64| {
        for key in 0..LOOP * rounds {
            block_on(cache.get_with(&(key % LOOP), || async move { key }));
        }
        manager.tick();
    };
    (0..10).for_each(|_| ask(1));
    assert_eq!((tuning.trying(), tuning.log().len()), (None, 1));
    clock.advance(mins(60));
    manager.tick();
    run_loop(&manager, &cache, &tuning, 2);
    assert_eq!(tuning.log().len(), 2);
}

static TIMED: CacheSpec<u64, u64> = CacheSpec::new("timed").ttl(secs(50));

/// Asks for each of a hundred keys once a minute, until so many trials have ended.
fn run_minutes(manager: &CacheManager, cache: &Cache<u64, u64>, clock: &Clock, tuning: &Tuning) {
    for _ in 0..500 {
        for key in 0..100_u64 {
            block_on(cache.get_with(&key, || async move { key }));
        }
        clock.advance(secs(60));
        manager.tick();
        if !tuning.log().is_empty() {
            return;
        }
    }
    panic!("no trial ended: {:?}", tuning.trying());
}

fn life(cache: &Cache<u64, u64>) -> Option<String> {
    cache.effective_options(&7).row("entry.life").map(|row| row.value.clone())
}

#[test]
fn a_life_that_pays_is_kept_within_its_bounds_whoever_decides_over_level_1() {
    for chosen in ["quick", "lru"] {
        let (manager, clock, _) = manager(chosen);
        let cache = manager.open(&TIMED).unwrap();
        let tuning = cache.tune(how().ttl(secs(50), secs(600))).unwrap();
        run_minutes(&manager, &cache, &clock, &tuning);
        let log = tuning.log();
        let kept = log.last().unwrap();
        assert_eq!(
            (kept.change.as_str(), kept.outcome),
            ("ttl: 50.0 s -> 105.0 s", Outcome::Kept),
            "{chosen}: {kept}"
        );
        block_on(async { cache.set(&7, 7_u64).await });
        assert_eq!(life(&cache).as_deref(), Some("105s"));
        block_on(async { cache.set(&7, 7_u64).ttl(secs(5)).await });
        assert_eq!(life(&cache).as_deref(), Some("5s"), "a life that the call names stands");
        block_on(async { cache.set(&7, 7_u64).ttl(secs(50)).await });
        assert_eq!(life(&cache).as_deref(), Some("50s"), "that of the cache as well");
        tuning.undo().unwrap();
        block_on(async { cache.set(&7, 7_u64).await });
        assert_eq!(life(&cache).as_deref(), Some("50s"));
        let row = cache.effective_options(&7).row("ttl").unwrap().clone();
        assert_eq!(row.value, "50s");
    }
}

#[test]
fn a_capacity_that_pays_is_kept() {
    static COUNTED: CacheSpec<u64, u64> = CacheSpec::new("counted").forever();
    let (manager, _clock, _) = manager("lru");
    let cache = manager.open(&COUNTED).unwrap();
    let rules = TuneRules { learning_rate: 0.5, ..TuneRules::default() };
    let tuning = cache.tune(how().capacity(ENTRIES, 1_000).rules(rules)).unwrap();
    run_loop(&manager, &cache, &tuning, 1);
    assert_eq!(tuning.log()[0].change, "capacity: 500 -> 750");
    assert_eq!(tuning.log()[0].outcome, Outcome::Kept);
    assert_eq!(cache.stats().store.capacity, 750);
    tuning.undo().unwrap();
    assert_eq!(cache.stats().store.capacity, 500);
}

#[test]
fn a_sample_tells_what_all_requests_would() {
    let (manager, _clock, _) = manager("lru");
    let cache = manager.open(&KEYS).unwrap();
    let rules = TuneRules { min_data_points: 500, ..TuneRules::default() };
    let how = Tune::new().sample(0.25).seed(7).rules(rules).strategies(["lirs"]);
    let tuning = cache.tune(how).unwrap();
    run_loop(&manager, &cache, &tuning, 1);
    assert_eq!(tuning.log()[0].outcome, Outcome::Kept, "{}", tuning.log()[0]);
}

#[test]
fn a_manager_tunes_every_open_cache() {
    static OTHER: CacheSpec<u64, u64> = CacheSpec::new("other").forever();
    let (manager, _clock, _) = manager("lru");
    let (keys, other) = (manager.open(&KEYS).unwrap(), manager.open(&OTHER).unwrap());
    let tunings = manager.tune(&how().strategies(["lirs"])).unwrap();
    let names: Vec<_> = tunings.iter().map(Tuning::cache).collect();
    assert_eq!(names, ["keys", "other"]);
    run_loop(&manager, &other, &tunings[1], 1);
    assert_eq!(strategy(&other).0, "lirs");
    assert_eq!(strategy(&keys).0, "lru", "nobody asked for anything");
}

#[test]
fn what_cannot_be_tuned_is_refused_with_the_reason() {
    let (manager, _clock, _) = manager("lru");
    let cache = manager.open(&KEYS).unwrap();
    let refused = |how: Tune| cache.tune(how).unwrap_err().to_string();
    assert!(refused(how()).contains("nothing may be changed"));
    assert!(refused(how().strategies(["lirz"])).contains("nearest: lirs"));
    assert!(refused(how().strategies(["quick"])).contains("cannot take over"));
    assert!(refused(how().ttl(secs(1), secs(9))).contains("live for ever"));
    assert!(refused(how().capacity(600, 900)).contains("range: 600..=900"));
    for share in [0.0, -1.0, 1.1, f64::NAN] {
        assert!(refused(how().strategies(["lirs"]).sample(share)).contains("a share of the keys"));
    }
    assert!(refused(how().strategies(["lirs"]).sample(0.01)).contains("too little"));
    let rules = TuneRules { min_data_points: 5, ..TuneRules::default() };
    assert!(refused(how().strategies(["lirs"]).rules(rules)).contains("min_data_points"));
    assert!(cache.tune(how().strategies(["lirs"])).is_ok(), "what was refused took no place");

    let timed = manager.open(&TIMED).unwrap();
    let error = timed.tune(how().ttl(Duration::from_secs(60), secs(90))).unwrap_err();
    assert!(error.to_string().contains("range: 60..=90"), "{error}");

    let quick = CacheManager::builder("quick")
        .l1(Memory::bytes(1 << 20).strategy("quick"))
        .clock(Clock::manual());
    let cache = quick.build_in_memory().unwrap().open(&KEYS).unwrap();
    let text = cache.tune(how().strategies(["lirs"])).unwrap_err().to_string();
    assert!(text.contains("cannot be exchanged"), "{text}");
    let text = cache.tune(how().capacity(1, 9)).unwrap_err().to_string();
    assert!(text.contains("no capacity of its own"), "{text}");
}
