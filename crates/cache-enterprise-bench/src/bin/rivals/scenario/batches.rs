//! Batches of random keys that overlap, at once. No load ends before all batches have asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use cache_enterprise_testkit::Seed;
use rand::seq::index;

use super::{Outcome, Verdict};
use crate::crowd::Crowd;
use crate::library::{Answer, Library, Refusal};
use crate::origin::Origin;

const BATCHES: usize = 50;
const KEYS_EACH: usize = 100;
const KEYS: usize = 500;

/// Passes when every batch gets its values and each key was loaded once. A library that loads no
/// batches is asked for the same keys one by one: what that gave is said.
pub(super) async fn play(library: &dyn Library, seed: Seed) -> Answer<Verdict> {
    let batches: Vec<_> = (0..BATCHES).map(|number| keys_of(seed, number)).collect();
    match together(library, &batches).await {
        Err(Refusal::NotOffered(what)) => {
            let (_, seen) = one_by_one(library, &batches).await?;
            let seen = format!("{what}; one by one, {seen}");
            Ok(Verdict { outcome: Outcome::NotOffered, seen })
        }
        answer => answer.map(|(passes, seen)| Verdict::new(passes, seen)),
    }
}

fn keys_of(seed: Seed, batch: usize) -> Vec<String> {
    let mut rng = seed.part(&batch.to_string()).rng();
    index::sample(&mut rng, KEYS, KEYS_EACH).into_iter().map(|key| format!("key{key}")).collect()
}

async fn together(library: &dyn Library, batches: &[Vec<String>]) -> Answer<(bool, String)> {
    let cache = library.alone().await?;
    let (origin, crowd) = (Origin::new(), Crowd::default());
    let call = |(caller, keys): (usize, &Vec<String>)| {
        let (cache, crowd, keys) = (Arc::clone(&cache), crowd.clone(), keys.clone());
        let load = origin.load_many(caller);
        tokio::spawn(async move { crowd.ask(cache.get_many(keys, load)).await })
    };
    let callers: Vec<_> = batches.iter().enumerate().map(call).collect();
    crowd.asked(BATCHES).await;
    origin.open();
    let mut complete = 0;
    for caller in callers {
        let values = caller.await.map_err(Refusal::failed)??;
        complete += usize::from(values.len() == KEYS_EACH);
    }
    Ok(judged(&origin, batches, complete))
}

async fn one_by_one(library: &dyn Library, batches: &[Vec<String>]) -> Answer<(bool, String)> {
    let cache = library.alone().await?;
    let (origin, crowd) = (Origin::new(), Crowd::default());
    let call = |key: String| {
        let (cache, crowd, load) = (Arc::clone(&cache), crowd.clone(), origin.load(&key, 0));
        tokio::spawn(async move { crowd.ask(cache.get_or_load(&key, None, load)).await })
    };
    let batch = |keys: &Vec<String>| keys.iter().cloned().map(call).collect::<Vec<_>>();
    let callers: Vec<Vec<_>> = batches.iter().map(batch).collect();
    crowd.asked(BATCHES * KEYS_EACH).await;
    origin.open();
    let mut complete = 0;
    for batch in callers {
        for caller in batch {
            caller.await.map_err(Refusal::failed)??;
        }
        complete += 1;
    }
    Ok(judged(&origin, batches, complete))
}

fn judged(origin: &Origin, batches: &[Vec<String>], complete: usize) -> (bool, String) {
    let asked: BTreeSet<_> = batches.iter().flatten().collect();
    let loads = origin.loads_of_each();
    let most = loads.values().max().copied().unwrap_or(0);
    let seen = format!(
        "batches: {BATCHES}, complete: {complete}; keys: {}, loads: {}, most of a key: {most}; calls of the origin: {}",
        asked.len(),
        origin.loads(),
        origin.calls(),
    );
    (complete == BATCHES && most == 1 && loads.len() == asked.len(), seen)
}
