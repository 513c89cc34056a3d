//! Codec, compression, lives, writes, promotion and limits below level 1.

use cache_enterprise::core::Format;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::SettingsBuilder;
use cache_enterprise::{Compressor, ErrorKind, Source, StoredEntry, StoredState};
use cache_enterprise_testkit::chaos::{Mode, Operation};
use tokio::time::Instant;

use crate::{World, two_levels};

static TEXTS: CacheSpec<u64, String> = CacheSpec::new("texts");

/// What lies on the shelf after a value of so many bytes was set.
async fn stored(settings: SettingsBuilder, bytes: usize) -> StoredEntry {
    let manager = World::new().manager(settings).await;
    manager.open(&TEXTS).unwrap().set(&1, "a".repeat(bytes)).strict().await.unwrap();
    manager.inspect("texts", &1_u64).await.unwrap().remove(0)
}

#[tokio::test]
async fn codec_and_compression() {
    let entry = stored(two_levels(), 2_000).await;
    assert_eq!((entry.codec, entry.compressor), (MessagePack.id(), Zstd::over(0).id()));
    assert!(entry.stored_bytes < 500 && entry.payload.len() > 2_000);
    let entry = stored(two_levels(), 1_000).await;
    assert_eq!(entry.compressor, 0, "it is under the threshold");
    for (name, codec) in
        [("msgpack", MessagePack.id()), ("json", Json.id()), ("bincode", Bincode.id())]
    {
        let entry = stored(two_levels().set("serialization", name), 1).await;
        assert_eq!(entry.codec, codec, "{name}");
    }
    let lz4 = two_levels().set("compression.algorithm", "lz4").set("compression.threshold", 100);
    assert_eq!(stored(lz4, 200).await.compressor, Lz4::over(0).id());
    let off = two_levels().set("compression_enabled", false);
    assert_eq!(stored(off, 2_000).await.compressor, 0);
    let none = two_levels().set("compression.algorithm", "none");
    assert_eq!(stored(none, 2_000).await.compressor, 0);
}

#[tokio::test]
async fn adaptive_compression_packs_what_shrinks_and_reads_what_others_wrote() {
    let world = World::new();
    let adaptive = two_levels().set("compression.algorithm", "adaptive");
    let cheap = adaptive.set("compression.bytes_per_cpu_second", "1B");
    let text = |key: u64| format!("{{\"id\":{key},\"name\":\"Ada\"}},").repeat(100);
    let manager = world.manager(cheap).await;
    let cache = manager.open(&TEXTS).unwrap();
    for key in 0..200 {
        cache.set(&key, text(key)).strict().await.unwrap();
    }
    assert!(manager.adaptive_compression(2).unwrap().best("texts").is_some());
    drop((cache, manager));
    let manager = world.manager(two_levels().set("compression_enabled", false)).await;
    let entry = manager.inspect("texts", &199_u64).await.unwrap().remove(0);
    assert!(entry.compressor != 0 && entry.stored_bytes < 500, "{entry:?}");
    let cache = manager.open(&TEXTS).unwrap();
    for key in 0..200 {
        assert_eq!(cache.get(&key).await.unwrap().as_deref(), Some(&text(key)));
    }
    let lowest = two_levels().set("levels.1.compression", "adaptive");
    let described = world.manager(lowest).await.describe();
    assert_eq!(described.row("l2.compression").unwrap().value, "adaptive");
}

#[tokio::test]
async fn dictionaries_are_learned_where_settings_say_so_and_read_everywhere() {
    let text = |key: u64| {
        let roles = "[\"admin\",\"guest\",\"operator\"]";
        format!(
            "{{\"id\":{},\"name\":\"Ada\",\"roles\":{roles},\"team\":\"engines\"}}",
            key * 7_919
        )
    };
    for is_on in [false, true] {
        let world = World::new();
        let adaptive = two_levels().set("compression.algorithm", "adaptive");
        let cheap = adaptive.set("compression.bytes_per_cpu_second", "1B");
        let manager = world.manager(cheap.set("compression.dictionaries", is_on)).await;
        let cache = manager.open(&TEXTS).unwrap();
        for key in 0..512 {
            cache.set(&key, text(key)).strict().await.unwrap();
        }
        manager.tend_dictionaries().await;
        assert_eq!(manager.dictionary_stats().trained, u64::from(is_on));
        for key in 1_000..1_050 {
            cache.set(&key, text(key)).strict().await.unwrap();
        }
        drop((cache, manager));
        let manager = world.manager(two_levels().set("compression_enabled", false)).await;
        let entry = manager.inspect("texts", &1_049_u64).await.unwrap().remove(0);
        assert_eq!(entry.compressor != 0, is_on, "it is short");
        let cache = manager.open(&TEXTS).unwrap();
        for key in 1_000..1_050 {
            assert_eq!(cache.get(&key).await.unwrap().as_deref(), Some(&text(key)));
        }
    }
}

#[tokio::test]
async fn the_life_of_a_level_is_its_own() {
    let world = World::new();
    let settings = two_levels().set("levels.0.ttl", "1s").set("levels.1.ttl", "10s");
    let cache = world.manager(settings).await.open(&TEXTS).unwrap();
    cache.set(&1, String::from("a")).await;
    world.clock.advance(secs(9));
    assert_eq!(cache.get_entry(&1).await.unwrap().unwrap().source, Source::Tier(2));
    world.clock.advance(secs(1));
    assert!(cache.get(&1).await.unwrap().is_none());
}

#[tokio::test]
async fn writes_go_through_around_or_behind() {
    let world = World::new();
    let around = two_levels().set("levels.1.write_policy", "around");
    let manager = world.manager(around).await;
    manager.open(&TEXTS).unwrap().set(&1, String::from("a")).await;
    assert_eq!(world.shelf.calls(Operation::Put), 0);

    let world = World::new();
    let behind = two_levels()
        .set("levels.1.write_policy", "behind")
        .set("levels.1.write_queue_max", 2)
        .set("timeouts.write", "1h");
    let manager = world.manager(behind).await;
    let cache = manager.open(&TEXTS).unwrap();
    world.shelf.set(Mode::Hang);
    for key in 0..2 {
        cache.set(&key, String::from("a")).await;
    }
    assert_eq!(manager.tier_stats()[0].behind_queued, 2, "nobody waited for the shelf");
    world.shelf.set(Mode::Healthy);
    let report = manager.shutdown(secs(10)).await;
    assert_eq!((report.writes_flushed, report.writes_lost), (2, 0), "{report:?}");
}

#[tokio::test]
async fn an_entry_climbs_after_so_many_hits() {
    let world = World::new();
    let settings = two_levels().set("cache_backends.hybrid.promotion_threshold", 3);
    let cache = world.manager(settings).await.open(&TEXTS).unwrap();
    cache.set(&1, String::from("a")).await;
    cache.drop_level1();
    for is_up in [false, false, true] {
        assert_eq!(cache.get_entry(&1).await.unwrap().unwrap().source, Source::Tier(2));
        assert_eq!(cache.contains(&1), is_up);
    }
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_end_at_their_own_limits() {
    let world = World::new();
    let settings = two_levels()
        .set("timeouts.read", "70ms")
        .set("timeouts.write", "900ms")
        .set("retry.attempts", 0);
    let cache = world.manager(settings).await.open(&TEXTS).unwrap();
    world.shelf.set(Mode::Hang);
    let begun = Instant::now();
    assert!(cache.get(&1).await.is_ok_and(|found| found.is_none()));
    assert_eq!(begun.elapsed(), ms(70));
    let begun = Instant::now();
    let failed = cache.set(&1, String::from("a")).strict().await.unwrap_err();
    assert_eq!((failed.kind(), begun.elapsed()), (ErrorKind::Timeout, ms(900)));
}

/// How often the shelf was asked for one value while it failed.
async fn attempts(settings: SettingsBuilder, reads: u64) -> u64 {
    let world = World::new();
    let cache = world.manager(settings).await.open(&TEXTS).unwrap();
    world.shelf.set(Mode::Fail(ErrorKind::Unavailable));
    for key in 0..reads {
        assert!(cache.get(&key).await.is_ok_and(|found| found.is_none()));
    }
    world.shelf.calls(Operation::Get)
}

#[tokio::test(start_paused = true)]
async fn failed_calls_are_tried_again_and_then_left_alone_as_told() {
    let patient = || two_levels().set("breaker.enabled", false).set("retry.budget", 1_000);
    for (retries, expected) in [(0, 1), (1, 2), (3, 4)] {
        let settings = patient().set("retry.attempts", retries);
        assert_eq!(attempts(settings, 1).await, expected);
    }
    // Waits are 5 to 10 ms, 10 to 20 and 20 to 40.
    let in_time = patient().set("retry.attempts", 3).set("retry.within", "12ms");
    assert_eq!(attempts(in_time.clone(), 1).await, 2, "no third attempt would start in time");
    assert_eq!(attempts(in_time.clone().set("retry.within", "80ms"), 1).await, 4);
    let slower = in_time.set("retry.within", "59ms").set("retry.delay", "20ms");
    assert_eq!(attempts(slower, 1).await, 2, "the second wait is longer than the time there is");
    let bounded = patient().set("retry.attempts", 1).set("retry.budget", 5);
    assert_eq!(attempts(bounded, 20).await, 25, "the budget pays for five");

    let once = || two_levels().set("retry.attempts", 0);
    assert_eq!(attempts(once().set("breaker.failure_threshold", 3), 20).await, 3);
    assert_eq!(attempts(once(), 20).await, 5);
    assert_eq!(attempts(once().set("breaker.enabled", false), 20).await, 20);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_closes_when_it_was_told_to() {
    let world = World::new();
    let settings = two_levels()
        .set("retry.attempts", 0)
        .set("breaker.failure_threshold", 2)
        .set("breaker.window", "3s")
        .set("breaker.recovery_timeout", "7s")
        .set("breaker.success_threshold", 1);
    let cache = world.manager(settings).await.open(&TEXTS).unwrap();
    let ask = async || {
        let before = world.shelf.calls(Operation::Get);
        let _ = cache.get(&1).await;
        world.shelf.calls(Operation::Get) > before
    };
    world.shelf.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(ask().await);
    world.clock.advance(secs(4));
    assert!(ask().await && ask().await, "the first failure left the window");
    assert!(!ask().await, "two within the window opened the circuit");
    world.shelf.set(Mode::Healthy);
    world.clock.advance(secs(7) - ms(1));
    assert!(!ask().await);
    world.clock.advance(ms(1));
    assert!(ask().await && ask().await, "one good probe closed it");
}

#[tokio::test]
async fn inspect_tells_what_a_read_would_do() {
    let world = World::new();
    let settings = two_levels().set("defaults.ttl", "10s").set("defaults.stale_if_error", "5s");
    let manager = world.manager(settings).await;
    let texts = manager.open(&TEXTS).unwrap();
    let state = async |key: u64| {
        let copies = manager.inspect("texts", &key).await.unwrap();
        copies.first().map(|copy| copy.state.clone())
    };
    texts.set(&1, String::from("a")).tags([tag!("t")]).await;
    texts.set(&2, String::from("b")).await;
    assert_eq!((state(1).await, state(3).await), (Some(StoredState::Fresh), None));
    manager.invalidate(tag!("t")).await;
    assert!(matches!(state(1).await, Some(StoredState::Invalidated(_))));
    assert_eq!(state(2).await, Some(StoredState::Fresh));
    world.clock.advance(secs(10));
    assert_eq!(state(2).await, Some(StoredState::Stale));
    world.clock.advance(secs(5));
    assert_eq!(state(2).await, None, "the shelf ended its life too");
}

#[tokio::test]
async fn a_tier_that_may_take_longer_has_a_client_that_waits_as_long() {
    // Nobody listens there, which is no reason not to start.
    let redis =
        || two_levels().set("levels.1.kind", "redis").set("redis_url", "redis://127.0.0.1:1");
    let longer = redis().set("timeouts.read", "5s").set("timeouts.write", "10s");
    for (settings, read, write) in [
        (longer.clone(), "5s", "10s"),
        (longer.set("levels.1.options.read_timeout", "3s"), "3s", "10s"),
        // Giving a connection up costs more than giving a call up.
        (redis().set("timeouts.read", "50ms"), "1s", "2s"),
    ] {
        let manager = World::new().manager(settings).await;
        let value = |option: &str| manager.describe().row(option).unwrap().value.clone();
        let limits = (value("l2.read_timeout"), value("l2.write_timeout"));
        assert_eq!(limits, (read.to_owned(), write.to_owned()));
    }
}
