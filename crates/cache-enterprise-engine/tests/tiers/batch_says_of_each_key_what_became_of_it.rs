//! Bulk calls report key by key, also where a tier fails.

use cache_enterprise_core::{Clock, ErrorKind, KEY_BYTES_MAX, SetOutcome, mins, secs};
use cache_enterprise_engine::{CacheSpec, Tier};
use cache_enterprise_serializers::MessagePack;

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
