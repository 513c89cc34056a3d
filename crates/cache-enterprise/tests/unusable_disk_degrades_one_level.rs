//! The directory of level 2 cannot be used when the service starts. The service starts, level 1
//! and the loader answer, health names the level, and the disk joins in when it can.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use cache_enterprise::core::{BackendHealth, Clock};
use cache_enterprise::prelude::*;
use cache_enterprise_testkit::wait;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").forever();

async fn manager(directory: &Path, clock: &Clock) -> CacheManager<MessagePack> {
    let builder = CacheManager::builder("shop").clock(clock.clone());
    // Longer than by default, so that a busy machine does not decide the story.
    let disk = Tier::new(Disk::at(directory)).timeout(secs(30));
    builder.l2(disk).codec(MessagePack).build().await.unwrap()
}

/// What the cache answers, and whether the loader was asked for it.
async fn get(users: &Cache<u64, String>, id: u64) -> (String, bool) {
    let mut is_loaded = false;
    let loader = async || {
        is_loaded = true;
        format!("user {id}")
    };
    let user = users.get_with(&id, loader).await.to_string();
    (user, is_loaded)
}

#[tokio::test]
async fn unusable_disk_degrades_one_level() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("var");
    std::fs::write(&in_the_way, "a file").unwrap();
    let directory = in_the_way.join("cache");

    let clock = Clock::manual();
    let first = manager(&directory, &clock).await;
    let users = first.open(&USERS).unwrap();
    for id in 0..100 {
        assert_eq!(get(&users, id).await, (format!("user {id}"), true));
        assert_eq!(get(&users, id).await, (format!("user {id}"), false));
    }
    let health = first.health().await;
    assert!(matches!(&health[0].health, BackendHealth::Down(_)), "{health:?}");

    std::fs::remove_file(&in_the_way).unwrap();
    wait::until_async("the disk joins in", async || {
        // The pauses between attempts and of the circuit breaker pass; the engine's own is real.
        clock.advance(mins(1));
        users.set(&100, String::from("kept")).await;
        users.drop_level1();
        users.get(&100).await.unwrap().is_some()
    })
    .await;
    let health = first.health().await;
    assert!(!matches!(&health[0].health, BackendHealth::Down(_)), "{health:?}");
    drop(users);
    first.shutdown(secs(10)).await;

    let second = manager(&directory, &clock).await;
    let users = second.open(&USERS).unwrap();
    assert_eq!(get(&users, 100).await, (String::from("kept"), false));
}
