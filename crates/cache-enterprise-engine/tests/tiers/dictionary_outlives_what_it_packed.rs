//! A dictionary is in the tier before the first value that needs it, and stays longer than any.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::envelope::{Envelope, Limits};
use cache_enterprise_core::{Clock, StoredKey, hours, mins, secs};
use cache_enterprise_engine::{CacheSpec, LoadContext, Tier};
use cache_enterprise_serializers::{MessagePack, Raw, Zstd};
use cache_enterprise_testkit::ModelBackend;

use crate::learned::{
    ENOUGH, SESSIONS, SPACE, Spec, Texts, adaptive, all_there, dictionaries_of, fill, kept, limits,
    lose, process, session,
};
use crate::scripted::Mode;
use crate::{builder, tier};

static HELD: Spec = CacheSpec::new("held").ttl(secs(10)).stale_if_error(mins(5)).codec(Raw);

#[tokio::test]
async fn it_is_stored_before_it_packs_and_outlives_what_it_packed() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let manager = process(&clock, &shelf).await;
    let sessions = manager.open(&SESSIONS).unwrap();
    fill(&sessions, 0..ENOUGH - 1, session).await;
    // While the tier does not take it, nothing is packed with it.
    shelf.set(Mode::Fail);
    sessions.set(&(ENOUGH - 1), session(0)).await;
    manager.tend_dictionaries().await;
    shelf.set(Mode::Work);
    fill(&sessions, 1_000..1_001, session).await;
    assert_eq!((kept(&shelf).len(), manager.dictionary_stats().trained), (0, 0));
    clock.advance(secs(10));
    manager.tend_dictionaries().await;
    assert_eq!(kept(&shelf).len(), 1);

    let ends = |key: &StoredKey| {
        let bytes = shelf.values.lock()[key].0.clone();
        let header = Envelope::open(&bytes, key, None, &Limits::default()).unwrap().header;
        header.expires_wall_ms.map_or(i64::MAX, |wall| i64::try_from(clock.at_wall(wall)).unwrap())
    };
    let key_of = |at: u64| StoredKey::parse(&format!("{SPACE}{at}")).unwrap();
    let place = kept(&shelf)[0].0.clone();
    let outlives = |at: u64| {
        let key = key_of(at);
        let packed = Envelope::dictionary_of(&shelf.values.lock()[&key].0) != 0;
        assert!(!packed || ends(&place) >= ends(&key), "{at}");
        packed
    };
    fill(&sessions, 2_000..2_001, session).await;
    assert!(outlives(2_000));
    // Of a longer life than any before: first packed otherwise, then covered.
    sessions.set(&2_001, session(1)).ttl(hours(20)).strict().await.unwrap();
    assert!(!outlives(2_001));
    manager.tend_dictionaries().await;
    sessions.set(&2_002, session(2)).ttl(hours(20)).strict().await.unwrap();
    assert!(outlives(2_002));
    // Nobody tended for long: what it would not outlive is packed otherwise.
    clock.advance(hours(19));
    sessions.set(&2_003, session(3)).ttl(hours(20)).strict().await.unwrap();
    outlives(2_003);
    sessions.set(&2_004, session(4)).forever().strict().await.unwrap();
    manager.tend_dictionaries().await;
    sessions.set(&2_005, session(5)).forever().strict().await.unwrap();
    assert!(outlives(2_005) && ends(&place) == i64::MAX);
}

/// A value with an etag, loaded or confirmed.
async fn load(cache: &Texts, key: u64) -> Bytes {
    let load = move |cx: LoadContext<Bytes>| async move {
        if cx.etag() == Some("v1") {
            return Ok::<_, ()>(cx.not_modified());
        }
        cx.keep_etag("v1");
        Ok(cx.value(session(key)))
    };
    (*cache.fetch(&key).detached(load).await.unwrap()).clone()
}

#[tokio::test]
async fn a_confirmed_value_stays_packed_only_where_its_dictionary_is_kept_for_it() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let writer = process(&clock, &shelf).await;
    let cache = writer.open(&HELD).unwrap();
    fill(&cache, 0..ENOUGH, session).await;
    writer.tend_dictionaries().await;
    assert_eq!(load(&cache, 1_000).await, session(1_000));
    let number = || {
        let all = dictionaries_of(&shelf, "stories::held:");
        all.iter().find(|(key, _)| *key == 1_000).unwrap().1
    };
    let id = number();
    clock.advance(secs(11));
    cache.drop_level1();
    assert_eq!(load(&cache, 1_000).await, session(1_000));
    assert_eq!((number(), cache.stats().renewals), (id, 1));
    assert_ne!(id, 0);
    // One that keeps no dictionary in the tier must not prolong what needs it.
    let other = builder(&clock)
        .l2(Tier::new(Arc::clone(&shelf)).bare())
        .codec(MessagePack)
        .reads_dictionaries(Arc::new(Zstd::over(0)));
    let cache = other.build().await.unwrap().open(&HELD).unwrap();
    clock.advance(secs(11));
    assert_eq!(load(&cache, 1_000).await, session(1_000));
    assert_eq!((number(), cache.stats().renewals), (0, 1));
    lose(&shelf);
    let reader = process(&clock, &shelf).await.open(&HELD).unwrap();
    assert_eq!(reader.get(&1_000).await.unwrap().as_deref(), Some(&session(1_000)));
}

#[tokio::test]
async fn patterns_leave_it_and_what_moves_to_another_backend_takes_a_copy_along() {
    let clock = Clock::manual();
    let model = || Arc::new(ModelBackend::new(clock.clone()));
    let (shelf, old, new) = (model(), model(), model());
    let start = || {
        let builder = builder(&clock).l2(Arc::clone(&shelf)).codec(MessagePack);
        let builder = builder.backend("old", Arc::clone(&old)).backend("new", Arc::clone(&new));
        builder.compression(adaptive(limits())).build()
    };
    let manager = start().await.unwrap();
    let sessions = manager.open(&SESSIONS).unwrap();
    fill(&sessions, 0..ENOUGH, session).await;
    manager.tend_dictionaries().await;
    fill(&sessions, 1_000..1_010, session).await;
    for pattern in ["100?", "*"] {
        sessions.delete_pattern(pattern).await.unwrap();
        assert!(sessions.get(&1_000).await.unwrap().is_none(), "{pattern}");
    }
    fill(&sessions, 1_000..1_010, session).await;
    let reader = start().await.unwrap().open(&SESSIONS).unwrap();
    assert!(all_there(&reader, 1_000..1_010, session).await);

    let apart = manager.backend("old").unwrap().open(&SESSIONS).unwrap();
    fill(&apart, 0..ENOUGH, session).await;
    manager.tend_dictionaries().await;
    fill(&apart, 1_000..1_010, session).await;
    manager.migrate_data("old", "new", "100[0-4]").unwrap().run().await.unwrap();
    let later = start().await.unwrap();
    let moved = later.backend("new").unwrap().open(&SESSIONS).unwrap();
    assert!(all_there(&moved, 1_000..1_005, session).await);
    let stayed = later.backend("old").unwrap().open(&SESSIONS).unwrap();
    assert!(all_there(&stayed, 1_005..1_010, session).await);
    assert_eq!(later.dictionary_stats().fetched, 2);
}
