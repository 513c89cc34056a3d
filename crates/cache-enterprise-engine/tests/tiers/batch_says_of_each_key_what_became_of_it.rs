//! Bulk calls report key by key, also where a tier fails.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{
    Backend, Capabilities, Clock, ErrorKind, KEY_BYTES_MAX, SetOutcome, mins, secs,
};
use cache_enterprise_engine::{CacheSpec, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::ModelBackend;

use crate::scripted::Mode;
use crate::{builder, tier};

static SPEC: CacheSpec<String, u64> = CacheSpec::new("texts").ttl(mins(5));

#[tokio::test]
async fn a_key_that_failed_is_named_and_the_others_are_done() {
    let (disk, clock) = (tier("disk"), Clock::manual());
    let manager = builder(&clock).l2(Tier::new(disk.clone()).bare()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    let long = "x".repeat(KEY_BYTES_MAX);
    let keys = ["a".to_owned(), long.clone(), "b".to_owned()];
    let items = keys.clone().map(|key| (key, 1_u64));

    let report = cache.bulk_set(items.clone(), Some(secs(10))).await;
    let failed: Vec<_> = report.failed().map(|(key, error)| (key.len(), error.kind())).collect();
    assert_eq!(failed, [(KEY_BYTES_MAX, ErrorKind::InvalidInput)]);
    assert_eq!((report.succeeded(), report.len()), (2, 3));
    let single = cache.set(&long, 1_u64).into_future().await;
    let many = cache.set_many([(long.clone(), 2_u64)]).await;
    assert_eq!((single, many), (SetOutcome::StoredAbove, vec![SetOutcome::StoredAbove]));
    assert_eq!(
        cache.peek(&long).as_deref(),
        Some(&2),
        "it is in level 1, as a single set leaves it"
    );
    cache.drop_level1();
    let found = cache.bulk_get(&keys).await;
    let held: Vec<_> =
        found.iter().map(|(_, found)| found.as_ref().ok().map(Option::is_some)).collect();
    assert_eq!(held, [Some(true), None, Some(true)]);

    disk.set(Mode::Fail);
    let report = cache.bulk_set([("a", 2_u64)], None).await;
    assert_eq!(report.failed().next().unwrap().1.kind(), ErrorKind::Unavailable);
    let report = cache.bulk_delete(&["a".to_owned(), "c".to_owned()]).await;
    assert_eq!(report.failed().count(), 2, "the tier was told of neither");
    assert!(report.failed().all(|(_, error)| error.to_string().contains("L2")));
    disk.set(Mode::Work);
    assert!(cache.get("a").await.unwrap().is_none(), "until it is, what it holds is a miss");
    assert!(cache.bulk_delete(&["a".to_owned(), "c".to_owned()]).await.is_complete());
    clock.advance(secs(10));
    assert!(cache.get("b").await.unwrap().is_none(), "the call's own life");
    let outcome = cache.bulk_set([("b", 1_u64)], None).await.into_iter().next().unwrap().1;
    assert_eq!(outcome.unwrap(), SetOutcome::Stored);
}

/// A value over the limit of a tier, through every call that can say so.
#[tokio::test]
async fn what_a_tier_does_not_keep_is_not_stored_at_every_level() {
    static TEXTS: CacheSpec<u64, String> = CacheSpec::new("long").ttl(mins(5));
    for write in [WritePolicy::Through, WritePolicy::Behind { queue_max: 1 }] {
        let clock = Clock::manual();
        let model = ModelBackend::new(clock.clone());
        let all = Backend::capabilities(&model);
        let small = Capabilities { value_bytes_max: Some(1_000), ..all };
        let small = Arc::new(model.reopened().claiming(small));
        let lower = Arc::new(ModelBackend::new(clock.clone()));
        let manager = builder(&clock).l2(Tier::new(small.clone()).bare().write(write));
        let manager = manager.l3(Tier::new(lower).bare()).codec(MessagePack).build().await.unwrap();
        let cache = manager.open(&TEXTS).unwrap();
        let (long, short) = ("x".repeat(2_000), "x".to_owned());
        cache.set(&1, short.clone()).strict().into_future().await.unwrap();

        if write == WritePolicy::Through {
            let error = cache.set(&1, long.clone()).strict().into_future().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            assert!(error.to_string().contains("tier: model"), "{error}");
            let alone = cache.set(&1, long.clone()).into_future().await;
            assert_eq!(alone, SetOutcome::StoredAbove);
            let many = cache.set_many([(1_u64, long.clone()), (2, short)]).await;
            assert_eq!(many, [SetOutcome::StoredAbove, SetOutcome::Stored]);
            assert_eq!(cache.bulk_set([(1_u64, long.clone())], None).await.failed().count(), 1);
            assert_eq!(manager.tier_stats()[0].puts, 2, "the two that it keeps");
            assert_eq!(manager.tier_stats()[0].failures, 0, "it is not down");
        } else {
            // What is queued is written later: nobody waits for the answer.
            let queued = cache.set(&1, long.clone()).strict().into_future().await;
            assert_eq!(queued.unwrap(), SetOutcome::Stored);
        }
        cache.drop_level1();
        assert_eq!(cache.get(&1).await.unwrap().as_deref(), Some(&long), "the lower tier has it");
    }
}
