//! A name stands for a champion and a challenger: both are scored on requests they have not seen,
//! the better one ranks, a person can go back, and a change of the world is noticed.
#![allow(clippy::unwrap_used)]

mod seeded;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_enterprise_core::{ErrorKind, hours};
use cache_enterprise_strategies::predict::model::{
    Access, ContextCounts, CountsLimits, ModelContext, ModelEvent, ModelRegistry, ModelRules,
    PredictionModel, Ranked,
};
use seeded::{Draws, Zipf};

const SEED: u64 = 0xc4a3;
const NAME: &str = "track_popularity_v2";

fn counts() -> Box<ContextCounts> {
    let limits = CountsLimits { keys: 1_000, counters: 16_384, half_life: hours(24) };
    Box::new(ContextCounts::new(limits).unwrap())
}

/// Thinks every key is alike.
#[derive(Debug)]
struct Indifferent;

impl PredictionModel for Indifferent {
    fn kind(&self) -> &'static str {
        "indifferent"
    }

    fn learn(&mut self, _: &Access<'_>) {}

    fn score(&self, _: &str, _: &ModelContext, _: u64) -> f64 {
        0.0
    }

    fn rank(&self, _: &ModelContext, _: u64, _: usize) -> Vec<Ranked> {
        Vec::new()
    }

    fn fresh(&self) -> Box<dyn PredictionModel> {
        Box::new(Indifferent)
    }

    fn payload(&self) -> cache_enterprise_core::Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// Tells the key from another, or takes the other for it.
#[derive(Debug)]
struct Scripted {
    is_wrong: Arc<AtomicBool>,
    is_other: Cell<bool>,
}

impl Scripted {
    fn new(is_wrong: &Arc<AtomicBool>) -> Box<Self> {
        Box::new(Self { is_wrong: Arc::clone(is_wrong), is_other: Cell::new(false) })
    }
}

impl PredictionModel for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn learn(&mut self, _: &Access<'_>) {}

    /// Asked of the key and then of the other.
    fn score(&self, _: &str, _: &ModelContext, _: u64) -> f64 {
        match self.is_other.replace(!self.is_other.get()) {
            true if self.is_wrong.load(Ordering::Relaxed) => 1.0,
            true => 0.0,
            false => 0.5,
        }
    }

    fn rank(&self, _: &ModelContext, _: u64, _: usize) -> Vec<Ranked> {
        Vec::new()
    }

    fn fresh(&self) -> Box<dyn PredictionModel> {
        Self::new(&self.is_wrong)
    }

    fn payload(&self) -> cache_enterprise_core::Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// Requests that alternate between two regions with favourites of their own.
fn teach(
    registry: &ModelRegistry,
    requests: std::ops::Range<u64>,
    shift: usize,
) -> Vec<ModelEvent> {
    let regions = ["EU", "US"].map(|region| ModelContext::new([("region", region)]).unwrap());
    let (mut draws, law) = (Draws(SEED ^ requests.start), Zipf::new(300, 1.0));
    let mut events = Vec::new();
    for at in requests {
        let region = (at % 2) as usize;
        let rank = law.rank(&mut draws);
        let key = format!("track:{}", (rank + region * 300 + shift) % 900);
        let access = Access::new(&key, &regions[region], at * 100);
        events.extend(registry.learn(NAME, &access).unwrap());
    }
    events
}

#[test]
fn the_better_model_takes_over_and_a_person_can_go_back() {
    let registry = ModelRegistry::new(ModelRules::default()).unwrap();
    assert_eq!(registry.register(NAME, Box::new(Indifferent)).unwrap(), 1);
    assert_eq!(registry.register(NAME, counts()).unwrap(), 2);
    let events = teach(&registry, 0..6_000, 0);
    assert_eq!(events, [ModelEvent::Promoted { from: 1, to: 2 }]);
    let report = registry.report(NAME).unwrap();
    assert_eq!((report.champion.version, report.champion.kind), (2, "context-counts"));
    assert!(report.is_trusted && report.champion.score > 0.6, "{report:?}");
    assert!((report.challenger.unwrap().score - 0.5).abs() < 1e-9);

    assert_eq!(registry.roll_back(NAME).unwrap(), 1);
    assert_eq!(registry.report(NAME).unwrap().champion.kind, "indifferent");
    // Evidence does not undo what a person decided, until a person lets it in again.
    assert_eq!(teach(&registry, 6_000..12_000, 0), []);
    assert_eq!(registry.roll_back(NAME).unwrap(), 2);
    assert_eq!(registry.roll_back(NAME).unwrap(), 1);
    assert_eq!(registry.register(NAME, counts()).unwrap(), 3);
    let events = teach(&registry, 12_000..18_000, 0);
    assert_eq!(events, [ModelEvent::Promoted { from: 1, to: 3 }]);
}

#[test]
fn two_alike_do_not_take_turns() {
    let registry = ModelRegistry::new(ModelRules::default()).unwrap();
    registry.register(NAME, counts()).unwrap();
    registry.register(NAME, counts()).unwrap();
    assert_eq!(teach(&registry, 0..20_000, 0), []);
}

#[test]
fn a_change_of_the_world_is_noticed() {
    let registry = ModelRegistry::new(ModelRules::default()).unwrap();
    registry.register(NAME, counts()).unwrap();
    assert_eq!(teach(&registry, 0..10_000, 0), [], "a steady world is no drift");
    let events = teach(&registry, 10_000..14_000, 150);
    assert_eq!(events.first(), Some(&ModelEvent::Drifted { version: 1, challenger: 2 }));
    assert!(registry.report(NAME).unwrap().challenger.is_some());
}

#[test]
fn losses_of_the_champion_before_are_no_drift_of_the_next() {
    let rules = ModelRules { min_data_points: 100, drift_threshold: 6.0, ..ModelRules::default() };
    let registry = ModelRegistry::new(rules).unwrap();
    let wrong = [false, false].map(|is_wrong| Arc::new(AtomicBool::new(is_wrong)));
    registry.register(NAME, Scripted::new(&wrong[0])).unwrap();
    registry.register(NAME, Scripted::new(&wrong[1])).unwrap();
    let anywhere = ModelContext::default();
    let ask = |requests: std::ops::Range<u64>| -> Vec<ModelEvent> {
        let learn = |at: u64| registry.learn(NAME, &Access::new(&format!("{at}"), &anywhere, at));
        requests.filter_map(|at| learn(at).unwrap()).collect()
    };
    // Enough to draw others from at each request.
    assert_eq!(ask(0..600), []);
    wrong[0].store(true, Ordering::Relaxed);
    let promoted = (600..700).find(|at| !ask(*at..at + 1).is_empty()).unwrap();
    let report = registry.report(NAME).unwrap();
    assert_eq!((report.champion.version, report.drifts), (2, 0), "before its losses were a drift");
    wrong[1].store(true, Ordering::Relaxed);
    assert_eq!(ask(promoted + 1..promoted + 4), [], "three losses alone are none");
}

#[test]
fn a_saved_model_comes_back_as_a_challenger() {
    let registry = ModelRegistry::new(ModelRules::default()).unwrap();
    registry.register(NAME, counts()).unwrap();
    teach(&registry, 0..3_000, 0);
    let bytes = registry.save(NAME).unwrap();
    assert_eq!(registry.load(NAME, &bytes).unwrap(), 2);
    assert_eq!(registry.load("other", &bytes).unwrap(), 1);
    let context = ModelContext::new([("region", "EU")]).unwrap();
    let rank = |name| registry.rank(name, &context, 300_000, 20).unwrap();
    assert_eq!(rank("other"), rank(NAME));
    assert!(registry.load(NAME, &bytes[..bytes.len() / 2]).is_err());
    assert_eq!(registry.report(NAME).unwrap().challenger.unwrap().version, 2);
}

#[test]
fn names_and_rules_are_checked() {
    let registry = ModelRegistry::new(ModelRules::default()).unwrap();
    let error = registry.rank("x", &ModelContext::default(), 0, 1).unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("known: none"));
    assert!(registry.register("", counts()).is_err());
    registry.register("a", counts()).unwrap();
    assert!(registry.roll_back("a").is_err(), "there is no challenger");
    let named = |rules| ModelRegistry::new(rules).unwrap_err().to_string();
    let rules = ModelRules::default();
    assert!(named(ModelRules { min_data_points: 0, ..rules }).contains("min_data_points"));
    assert!(named(ModelRules { margin: f64::NAN, ..rules }).contains("margin"));
    assert!(named(ModelRules { accuracy_min: 1.1, ..rules }).contains("accuracy_min"));
    assert!(named(ModelRules { drift_threshold: 0.0, ..rules }).contains("threshold"));
}
