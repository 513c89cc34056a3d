//! An entry has one end, drawn once; a level may end its copy earlier, never later.

use cache_enterprise_core::{Clock, NEVER, envelope::Header, hours, mins, ms, secs};
use cache_enterprise_engine::{CacheManager, CacheSpec, Options, Source, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use rand::RngExt;

use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(100));
static IDLE: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(hours(1)).idle(secs(10));
static SHORT: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(hours(1)).l1_ttl(secs(10));

#[tokio::test]
async fn jitter_is_drawn_once_per_write_and_only_adds() {
    let seed = Seed::from_env_or(41);
    let _printed = seed.print_on_panic();
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let options = Options { jitter: Some(0.2), ..Options::NONE };
    let builder = CacheManager::builder("stories").options(options).clock(clock.clone());
    let builder = builder.seed(seed.rng().random()).l2(upper.clone()).l3(lower.clone());
    let cache = builder.codec(MessagePack).build().await.unwrap().open(&SPEC).unwrap();
    let mut ends = Vec::new();
    for key in 0..50 {
        set(&cache, key, key).await;
        let stored = [&upper, &lower].map(|tier| {
            let values = tier.values.lock();
            let (bytes, how) = values.values().last().unwrap();
            let end = Header::read(bytes).unwrap().expires_wall_ms.unwrap();
            assert_eq!(how.ttl, Some(ms(clock.at_wall(end))), "the backend is told the same end");
            end
        });
        assert_eq!(stored[0], stored[1], "both tiers hold the same end");
        let end = clock.at_wall(stored[0]);
        assert!((100_000..=120_000).contains(&end), "{end} ms");
        ends.push(end);
        [&upper, &lower].iter().for_each(|tier| tier.values.lock().clear());
    }
    let early = *ends.iter().min().unwrap();
    assert!(ends.iter().any(|end| *end != early), "lives differ from write to write");
    clock.advance(ms(early - 1));
    assert!((0..50).all(|key| cache.contains(&key)));
    clock.advance(ms(1));
    for (key, end) in (0..50_u64).zip(&ends) {
        assert_eq!(cache.contains(&key), *end > early, "level 1 keeps the end of the tiers");
    }
}

#[tokio::test]
async fn idle_expiry_ends_the_copy_in_level_1_and_not_the_entry() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let manager = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&IDLE).unwrap();
    set(&cache, 1, 7).await;
    for _ in 0..5 {
        clock.advance(secs(9));
        assert_eq!(get(&cache, 1).await, Some(7), "a read keeps it");
    }
    clock.advance(secs(10));
    assert!(!cache.contains(&1));
    let hit = cache.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*hit.value, hit.source), (7, Source::Tier(2)));
    clock.advance(secs(9));
    assert!(cache.contains(&1), "its idle time starts anew with the climb");
}

#[tokio::test]
async fn a_shorter_life_in_a_level_is_that_levels_own() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let short = Tier::new(upper.clone()).ttl(mins(1));
    let manager = builder(&clock).l2(short).l3(lower.clone()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SHORT).unwrap();
    cache.set(&1, 7_u64).forever().await;
    let told = |tier: &crate::scripted::Scripted| {
        tier.values.lock().values().next().map(|(_, how)| how.ttl).unwrap()
    };
    assert_eq!((told(&upper), told(&lower)), (Some(mins(1)), None));
    clock.advance(secs(10));
    let hit = cache.get_entry(&1).await.unwrap().unwrap();
    assert_eq!(hit.source, Source::Tier(2), "level 1 let it go after ten seconds");
    let dates = cache_enterprise_core::Cached::entry(&hit.value).dates();
    assert_eq!(dates.expires, clock.now() + 10_000);
    assert_ne!(dates.expires, NEVER);
}
