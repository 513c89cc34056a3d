//! A week in two regions: each time of the week and region has favourites of its own, besides what
//! is popular everywhere. When the context changes, the keys a model ranks first are warmed; the
//! first ten minutes are counted. Where favourites matter, ranking by context beats popularity;
//! where they do not, it costs next to nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod seeded;

use std::collections::HashSet;

use cache_enterprise_core::days;
use cache_enterprise_strategies::predict::model::{
    Access, ContextCounts, CountsLimits, Ftrl, FtrlLimits, ModelContext, PredictionModel,
};
use seeded::{Draws, Zipf};

const SEED: u64 = 0x3ee4;
const KEYS: usize = 5_000;
const CONTEXTS: usize = 8;
const WARMED: usize = 250;
/// Requests while a context lasts, and those in its first ten minutes.
const LASTING: usize = 3_000;
const FIRST: usize = 500;
/// Rounds through all contexts: the first four only teach.
const ROUNDS: usize = 6;
const TAUGHT: usize = 4;

struct World {
    contexts: Vec<ModelContext>,
    names: Vec<String>,
    /// Each context's own order of keys, and that of all.
    orders: Vec<Vec<usize>>,
    everywhere: Vec<usize>,
    law: Zipf,
    /// Which share of requests goes by the context's own order.
    share: f64,
}

impl World {
    fn new(share: f64) -> Self {
        let mut draws = Draws(SEED);
        let mut order = || {
            let mut keys: Vec<usize> = (0..KEYS).collect();
            draws.shuffle(&mut keys);
            keys
        };
        let times = ["monday_morning", "wednesday_afternoon", "friday_evening", "sunday_night"];
        let contexts = times.iter().flat_map(|time| {
            ["EU", "US"]
                .map(|region| ModelContext::new([("time", *time), ("region", region)]).unwrap())
        });
        Self {
            contexts: contexts.collect(),
            names: (0..KEYS).map(|key| format!("track:{key}")).collect(),
            orders: (0..CONTEXTS).map(|_| order()).collect(),
            everywhere: order(),
            law: Zipf::new(KEYS, 0.9),
            share,
        }
    }

    fn key(&self, context: usize, draws: &mut Draws) -> &str {
        let own = draws.unit() < self.share;
        let order = if own { &self.orders[context] } else { &self.everywhere };
        &self.names[order[self.law.rank(draws)]]
    }
}

/// The share of the first requests after each change that a cache of what was warmed and loaded
/// since answers. The model is told of every request, also the first.
fn replay(world: &World, model: &mut dyn PredictionModel, sees_context: bool) -> f64 {
    let (mut draws, anywhere) = (Draws(SEED + 1), ModelContext::default());
    let (mut hits, mut counted, mut at) = (0_u32, 0_u32, 0_u64);
    for round in 0..ROUNDS {
        for context in 0..CONTEXTS {
            let told = if sees_context { &world.contexts[context] } else { &anywhere };
            let warmed = if round >= TAUGHT { model.rank(told, at, WARMED) } else { Vec::new() };
            let mut held: HashSet<Box<str>> = warmed.into_iter().map(|ranked| ranked.key).collect();
            for request in 0..LASTING {
                let key = world.key(context, &mut draws);
                if round >= TAUGHT && request < FIRST {
                    counted += 1;
                    hits += u32::from(!held.insert(key.into()));
                }
                at += 1_200;
                model.learn(&Access::new(key, told, at));
            }
        }
    }
    f64::from(hits) / f64::from(counted)
}

fn counts() -> ContextCounts {
    let limits = CountsLimits { keys: KEYS, half_life: days(7), ..CountsLimits::default() };
    ContextCounts::new(limits).unwrap()
}

#[test]
fn counting_by_context() {
    println!("share of favourites: hits in the first ten minutes (seed {SEED:#x})");
    for (share, bar) in [(0.0, -1.0), (0.3, 2.0), (0.7, 5.0)] {
        let world = World::new(share);
        // Without a context the same model is decayed popularity, least frequently used.
        let popular = replay(&world, &mut counts(), false);
        let by_context = replay(&world, &mut counts(), true);
        let gain = (by_context - popular) * 100.0;
        println!(
            "  {share:.1}: popularity {:.1} %, context-counts {:.1} %, gain {gain:+.1} points",
            popular * 100.0,
            by_context * 100.0
        );
        assert!(gain >= bar, "gain {gain:.2} where {bar} is the floor");
    }
}

#[test]
fn regression_by_context() {
    let world = World::new(0.7);
    let limits = FtrlLimits { keys: KEYS, half_life: days(7), ..FtrlLimits::default() };
    let popular = replay(&world, &mut counts(), false);
    let ftrl = replay(&world, &mut Ftrl::new(limits).unwrap(), true);
    let gain = (ftrl - popular) * 100.0;
    println!("  0.7: ftrl {:.1} %, gain over popularity {gain:+.1} points", ftrl * 100.0);
    assert!(gain >= 2.0, "{gain}");
}
