//! Keys whose values change at known rates, from twice a minute to once in three days: at equal
//! staleness an adaptive life hits more often than any life common to all keys. Where all keys
//! change alike there is nothing to learn, and the table says what learning then costs.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod seeded;

use std::time::Duration;

use cache_enterprise_core::{hours, secs};
use cache_enterprise_strategies::StrategyContext;
use cache_enterprise_strategies::lifetime::{AdaptiveTtl, FixedTtl, LifetimeStrategy, Refresh};
use seeded::{Draws, Zipf};

const SEED: u64 = 0x7715;
const KEYS: usize = 1_000;
const REQUESTS: usize = 200_000;
/// Mean seconds between two requests: a day and a half in all.
const PACE: f64 = 0.6;
/// The first part only teaches.
const COUNTED_FROM: usize = REQUESTS / 3;

/// What a life costs and brings: shares of all requests.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    hits: f64,
    stale: f64,
}

struct Object {
    changes_every: f64,
    next_change: f64,
    version: u32,
    loaded: Option<(f64, f64, u32)>,
}

/// Requests by Zipf's law with exponent 0.8, answered by a cache without limit of size.
fn replay(strategy: &dyn LifetimeStrategy, changes_every: &dyn Fn(&mut Draws) -> f64) -> Outcome {
    let mut draws = Draws(SEED);
    let mut objects: Vec<Object> = Vec::new();
    let names: Vec<_> = (0..KEYS).map(|key| format!("object:{key}")).collect();
    for _ in 0..KEYS {
        let changes_every = changes_every(&mut draws);
        let next_change = draws.wait(changes_every);
        objects.push(Object { changes_every, next_change, version: 0, loaded: None });
    }
    let popularity = Zipf::new(KEYS, 0.8);
    let (mut now, mut hits, mut stale) = (0.0, 0_u32, 0_u32);
    for at in 0..REQUESTS {
        now += draws.wait(PACE);
        let key = popularity.rank(&mut draws);
        let object = &mut objects[key];
        while object.next_change <= now {
            object.version += 1;
            object.next_change += draws.wait(object.changes_every);
        }
        let counted = u32::from(at >= COUNTED_FROM);
        match object.loaded {
            Some((_, until, version)) if now < until => {
                hits += counted;
                stale += counted * u32::from(version != object.version);
            }
            before => {
                let context = StrategyContext::new(&names[key]);
                if let Some((loaded, _, version)) = before {
                    let after = Duration::from_secs_f64(now - loaded);
                    strategy.refreshed(&context, Refresh::new(version != object.version, after));
                }
                let ttl = strategy.ttl(&context).unwrap().as_secs_f64();
                object.loaded = Some((now, now + ttl, object.version));
            }
        }
    }
    let counted = (REQUESTS - COUNTED_FROM) as f64;
    Outcome { hits: f64::from(hits) / counted, stale: f64::from(stale) / counted }
}

/// The lives tried: each twice as long as the one before, from 2 s to 18 hours.
fn fixed_curve(changes_every: &dyn Fn(&mut Draws) -> f64) -> Vec<(u64, Outcome)> {
    let lives = (1..=16).map(|power| 1_u64 << power);
    lives.map(|ttl| (ttl, replay(&FixedTtl::new(secs(ttl)).unwrap(), changes_every))).collect()
}

/// Hits of the fixed life that is exactly as stale, between two that were tried.
fn hits_at(curve: &[(u64, Outcome)], stale: f64) -> f64 {
    let above = curve.iter().position(|(_, outcome)| outcome.stale >= stale);
    let above = above.expect("the longest life is staler");
    let (lower, upper) = (curve[above.saturating_sub(1)].1, curve[above].1);
    let span = (upper.stale - lower.stale).max(1e-12);
    lower.hits + (upper.hits - lower.hits) * ((stale - lower.stale) / span).clamp(0.0, 1.0)
}

fn adaptive(caution: u32) -> AdaptiveTtl {
    AdaptiveTtl::new(secs(2), hours(24), 0.1).unwrap().caution(caution).unwrap()
}

/// Prints both curves and gives the gain in hits, in points, at each caution.
fn table(title: &str, changes_every: &dyn Fn(&mut Draws) -> f64) -> Vec<(u32, f64)> {
    let curve = fixed_curve(changes_every);
    let mut lines = format!("{title} (seed {SEED:#x})\n");
    for (ttl, Outcome { hits, stale }) in &curve {
        let (hits, stale) = (hits * 100.0, stale * 100.0);
        lines += &format!("  fixed {ttl:>6} s: hits {hits:5.1} %, stale {stale:5.2} %\n");
    }
    let mut gains = Vec::new();
    for caution in [1, 4, 16] {
        let got = replay(&adaptive(caution), changes_every);
        let fixed = hits_at(&curve, got.stale);
        let gain = (got.hits - fixed) * 100.0;
        lines += &format!(
            "  adaptive, caution {caution:>2}: hits {:5.1} %, stale {:5.2} %; fixed at equal \
             staleness: hits {:5.1} %; gain {gain:+5.1} points\n",
            got.hits * 100.0,
            got.stale * 100.0,
            fixed * 100.0
        );
        gains.push((caution, gain));
    }
    println!("{lines}");
    gains
}

#[test]
fn keys_that_change_at_their_own_rates() {
    // Evenly over the magnitudes from 30 seconds to three days.
    let rates = |draws: &mut Draws| 30.0 * (3.0 * 86_400.0 / 30.0_f64).powf(draws.unit());
    for (caution, gain) in table("change rates from 30 s to 3 days", &rates) {
        // The bar is 10 points at the default caution of 4. Steps of one size in both directions
        // settle where every second refresh finds a change: too stale to gain anything.
        let floor = if caution == 1 { -4.0 } else { 13.0 };
        assert!(gain >= floor, "caution {caution}: {gain:.1} where {floor} is the floor");
    }
}

#[test]
fn keys_that_all_change_alike() {
    for (caution, gain) in table("every key changes once an hour", &|_| 3_600.0) {
        assert!(gain >= -13.0, "caution {caution}: {gain:.1}");
    }
}
