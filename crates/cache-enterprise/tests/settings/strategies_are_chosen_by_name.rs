//! Strategies by settings: adaptive lives with their three numbers, and one of the program's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise::prelude::*;
use cache_enterprise::settings::SettingsBuilder;
use cache_enterprise::strategies::{CacheStrategy, StrategyContext};
use cache_enterprise::{ErrorKind, Fetched, Loader, Wiring};

use crate::{World, one_level};

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").stale_if_error(days(2));

/// An origin whose value a test changes.
struct Origin(Arc<AtomicU64>);

impl Loader<u64, u64> for Origin {
    type Error = ();

    async fn load(&self, _: &u64, _: LoadContext<u64>) -> Result<Fetched<u64>, ()> {
        Ok(self.0.load(Ordering::Relaxed).into())
    }
}

fn adaptive() -> SettingsBuilder {
    one_level().set("defaults.fill_strategy", "adaptive_ttl")
}

/// The lives that four loads of a key give: the second and third find the same value, the fourth
/// another one.
async fn lives(settings: SettingsBuilder) -> Vec<String> {
    let world = World::new();
    let manager = world.manager(settings).await;
    let value = Arc::new(AtomicU64::new(1));
    let numbers = manager.open(&NUMBERS).unwrap().with_loader(Origin(Arc::clone(&value)));
    let mut lives = Vec::new();
    for load in 0..4 {
        if load == 3 {
            value.store(2, Ordering::Relaxed);
        }
        numbers.load(&1).await.unwrap();
        let row = numbers.effective_options(&1).row("entry.life").unwrap().value.clone();
        let life: f64 = row.trim_end_matches('s').parse().unwrap();
        world.clock.advance(Duration::from_secs_f64(life));
        lives.push(row);
    }
    lives
}

#[tokio::test]
async fn each_number_of_adaptive_lives_takes_effect() {
    assert_eq!(lives(adaptive()).await, ["60s", "66s", "72.6s", "60s"]);
    let longer = adaptive().set("adaptive_ttl.min_ttl", "100s");
    assert_eq!(lives(longer).await, ["100s", "110s", "121s", "100s"]);
    let bounded = adaptive().set("adaptive_ttl.max_ttl", "70s");
    assert_eq!(lives(bounded).await, ["60s", "66s", "70s", "60s"]);
    let faster = adaptive().set("adaptive_ttl.adjustment_factor", 0.5);
    assert_eq!(lives(faster).await, ["60s", "90s", "135s", "60s"]);
}

/// Nothing is worth keeping.
#[derive(Debug)]
struct Nothing;

impl CacheStrategy for Nothing {
    fn should_cache(&self, _: &StrategyContext<'_>) -> bool {
        false
    }
}

#[tokio::test]
async fn a_strategy_of_the_program_is_chosen_by_its_name() {
    let settings = one_level().set("defaults.fill_strategy", "nothing").build().unwrap();
    let wiring = Wiring::new().strategy("nothing", Arc::new(Nothing)).unwrap();
    let manager = wiring.manager(&settings).await.unwrap();
    let numbers = manager.open(&NUMBERS).unwrap();
    numbers.set(&1, 1_u64).await;
    assert!(numbers.peek(&1).is_none());
    for taken in ["nothing", "adaptive_ttl"] {
        let error = wiring.clone().strategy(taken, Arc::new(Nothing)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
}

#[test]
fn what_is_wrong_is_told_by_key_and_fix() {
    let wrong = one_level()
        .set("defaults.fill_strategy", "adaptiv")
        .set("adaptive_ttl.min_ttl", "2h")
        .build()
        .unwrap();
    let errors = Wiring::new().check(&wrong).unwrap_err();
    let said: Vec<_> = errors.problems().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("code: `defaults.fill_strategy`: no strategy is named `adaptiv`"));
    assert!(said[0].contains("write one of adaptive_ttl"), "{said:?}");
    assert!(
        said[1].contains("`adaptive_ttl.max_ttl`")
            && said[1].contains("2h") | said[1].contains("7200s"),
        "{said:?}"
    );
}
