//! A loader of several keys says of each what it knows: a value with a life and tags of its own,
//! an absence, or an error.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;
use cache_enterprise::{Batch, Clock, Missing};

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(hours(2)).negative_ttl(hours(1));

#[derive(Debug)]
struct ShardDown;

/// What a database knows of the users 1 to 4. A key that is not named would be absent.
async fn query(_: Missing<u64>) -> Batch<u64, String, ShardDown> {
    let mut batch = Batch::new();
    batch.value(1, "Ada").ttl(mins(1));
    batch.value(2, "Bob").tag(tag!("org:7"));
    batch.absent(3).error(4, ShardDown);
    batch
}

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let clock = Clock::manual();
    let manager = CacheManager::builder("shop").clock(clock.clone()).build_in_memory()?;
    let users = manager.open(&USERS)?;

    let loaded = users.get_many_with([4_u64, 3, 2, 1], query).await;
    for (id, outcome) in loaded.iter() {
        println!("user {id}: {outcome:?}");
    }
    assert_eq!(loaded.values().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 1], "in their order");
    assert_eq!(loaded.absent().collect::<Vec<_>>(), [&3]);
    assert!(matches!(loaded.errors().next(), Some((4, LoadError::Loader(_)))));

    clock.advance(mins(2));
    let mut asked = Vec::new();
    let again = |missing: Missing<u64>| {
        asked = missing.to_vec();
        query(missing)
    };
    assert_eq!(users.get_many_with([1_u64, 2, 3, 4], again).await.len(), 4);
    println!("two minutes later the database is asked for {asked:?}");
    assert_eq!(asked, [1, 4], "what lived a minute, and what failed");

    manager.invalidate(tag!("org:7")).await;
    assert!(users.contains(&1) && !users.contains(&2), "the tag is on one of them");
    Ok(())
}
