//! An explanation tells of each tier what it holds and why it would answer or be refused; health tells
//! how each feels.

use std::sync::Arc;

use cache_enterprise_core::{BackendHealth, Clock, mins};
use cache_enterprise_engine::{CacheSpec, Tier, Verdict, path};
use cache_enterprise_serializers::MessagePack;

use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(1)).paths();

#[tokio::test]
async fn the_level_that_would_answer_is_named() {
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&Clock::manual())
        .l2(Tier::new(upper.clone()).bare())
        .l3(Tier::new(lower.clone()).bare())
        .codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    let verdicts = async || {
        let why = cache.explain(&1).await;
        let texts: Vec<_> = why.levels.iter().map(|view| view.verdict.to_string()).collect();
        (texts, why.answered_by())
    };
    let all_hit = vec!["hit".to_owned(), "hit".to_owned(), "hit".to_owned()];
    assert_eq!(verdicts().await, (all_hit, Some(1)));

    cache.drop_level1();
    upper.values.lock().clear();
    let (texts, answered) = verdicts().await;
    assert_eq!((texts[0].as_str(), texts[1].as_str(), answered), ("nothing", "nothing", Some(3)));
    assert_eq!(cache.len(), 0, "nothing climbed");

    upper.set(Mode::Fail);
    let (texts, answered) = verdicts().await;
    assert!(texts[1].starts_with("not asked or silent"), "{texts:?}");
    assert_eq!(answered, Some(3));

    upper.set(Mode::Work);
    cache.under(path![1]).clear().await;
    let (texts, answered) = verdicts().await;
    assert_eq!(texts[2], "refused: path numbers:1 was invalidated after it was made");
    assert_eq!(answered, None);

    set(&cache, 1, 2).await;
    lower.overwrite(b"no entry");
    let why = cache.explain(&1).await;
    assert!(matches!(why.levels[2].verdict, Verdict::Unreadable(_)), "{why}");

    lower.set(Mode::Fail);
    cache.remove(&1).await;
    lower.set(Mode::Work);
    let health = manager.health().await;
    assert_eq!(health.iter().map(|level| level.owed).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((health[1].queued, health[1].breaker), (0, None));
}

#[tokio::test]
async fn a_value_that_a_tier_was_not_told_of_is_superseded() {
    let (disk, clock) = (tier("disk"), Clock::manual());
    let manager = builder(&clock).l2(Tier::new(disk.clone()).bare()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    disk.set(Mode::Fail);
    cache.remove(&1).await;
    disk.set(Mode::Work);
    let why = cache.explain(&1).await;
    assert!(matches!(why.levels[1].verdict, Verdict::Superseded), "{why}");
    assert_eq!(get(&cache, 1).await, None);
    let health = manager.health().await;
    assert_eq!(health[0].health, BackendHealth::Up);
    assert!(Arc::strong_count(&disk) > 1);
}
