//! Loading ahead: a list of keys, and what a model says is likely on a Friday evening.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::sync::Arc;

use cache_enterprise::prelude::*;
use cache_enterprise::strategies::predict::model::{
    ContextCounts, CountsLimits, ModelRegistry, ModelRules,
};
use cache_enterprise::{Fetched, Loader, SmartCache, Warm, block_on};

static PLAYS: CacheSpec<String, u64> = CacheSpec::new("plays").ttl(mins(5));

/// Where the numbers come from.
#[derive(Clone, Copy)]
struct Statistics;

impl Loader<String, u64> for Statistics {
    type Error = Infallible;

    async fn load(&self, track: &String, _: LoadContext<u64>) -> Result<Fetched<u64>, Infallible> {
        Ok((track.len() as u64 * 1_000).into())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plays = CacheManager::in_memory(Capacity::bytes(16 * MIB))?.open(&PLAYS)?;
    let always = ["blue_in_green", "so_what"].map(String::from);
    let how = Warm::new().concurrency(4).per_second(1_000);
    println!("{}", block_on(plays.with_loader(Statistics).warm(always, how)));
    assert!(plays.contains("blue_in_green") && plays.contains("so_what"));

    let models = Arc::new(ModelRegistry::new(ModelRules::default())?);
    let counts = ContextCounts::new(CountsLimits::default())?;
    models.register("track_popularity_v2", Box::new(counts))?;
    let plays = SmartCache::new(plays, models).most(1);
    let (friday, monday) = ([("time", "friday_evening")], [("time", "monday_morning")]);
    for _ in 0..100 {
        plays.learn("track_popularity_v2", "dance", &friday)?;
        plays.learn("track_popularity_v2", "focus", &monday)?;
    }
    let report = block_on(plays.predict_and_warm("track_popularity_v2", &friday, Statistics))?;
    println!("{report}");
    assert!(plays.contains("dance") && !plays.contains("focus"));
    Ok(())
}
