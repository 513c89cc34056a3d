//! Small values alike are packed with a dictionary of their kind, which every reader finds.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::envelope::OVERHEAD_BYTES;
use cache_enterprise_core::{Clock, Compressor, dictionary_id, hours, mins};
use cache_enterprise_engine::{DictionaryLimits, Tier};
use cache_enterprise_serializers::{MessagePack, Zstd};

use crate::learned::{
    ENOUGH, SESSIONS, SPACE, adaptive, all_there, dictionaries_of, fill, kept, limits, order,
    process, session, trained,
};
use crate::{builder, tier};

#[tokio::test]
async fn they_take_less_than_each_packed_by_itself_and_are_named_by_content() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let (manager, sessions) = trained(&clock, &shelf).await;
    let [(place, dictionary)] = &kept(&shelf)[..] else { panic!("there is one dictionary") };
    let id = dictionary_id(dictionary);
    assert_eq!(place.as_str(), format!("{SPACE}%~dictionary-{id:08x}"));
    assert!(dictionary.len() <= 4 << 10);
    let named = dictionaries_of(&shelf, SPACE);
    for (key, number) in named {
        assert_eq!(number, if key < ENOUGH { 0 } else { id }, "{key}");
    }
    let stored = |key: u64| {
        let values = shelf.values.lock();
        values.iter().find(|(at, _)| at.key() == key.to_string()).map(|(_, (bytes, _))| bytes.len())
    };
    let with: usize = (1_000..1_200).map(|key| stored(key).unwrap()).sum();
    let alone = |key| {
        let mut out = Vec::new();
        Zstd::over(0).level(9).unwrap().compress(&session(key), &mut out).unwrap();
        out.len() + OVERHEAD_BYTES
    };
    let without: usize = (1_000..1_200).map(alone).sum();
    assert!(with * 4 < without * 3, "{with} and {without} bytes, envelopes included");
    assert!(all_there(&sessions, 0..ENOUGH, session).await);
    assert!(all_there(&sessions, 1_000..1_200, session).await);
    let best = manager.adaptive_compression(2).unwrap().best("sessions").unwrap();
    assert_eq!((&*best.algorithm, best.level), ("zstd+dictionary", 3));
    let stats = manager.dictionary_stats();
    assert_eq!((stats.trained, stats.packing, stats.sample_bytes), (1, 1, 0));
    assert_eq!(manager.describe().row("compression.dictionaries").unwrap().value, "true");
}

#[tokio::test]
async fn another_process_and_one_that_packs_otherwise_read_them() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let _writer = trained(&clock, &shelf).await;
    let other = process(&clock, &shelf).await;
    assert!(all_there(&other.open(&SESSIONS).unwrap(), 1_000..1_200, session).await);
    let stats = other.dictionary_stats();
    assert_eq!((stats.fetched, stats.missing), (1, 0), "it is read once");
    let plain = builder(&clock)
        .l2(Tier::new(Arc::clone(&shelf)).bare())
        .codec(MessagePack)
        .reads_dictionaries(Arc::new(Zstd::over(0)))
        .build()
        .await
        .unwrap();
    let sessions = plain.open(&SESSIONS).unwrap();
    // In one call, strictly, and looked at by hand.
    let keys: Vec<u64> = (1_000..1_200).collect();
    let many = sessions.get_many(&keys).await.unwrap();
    for (key, value) in keys.iter().zip(many) {
        assert_eq!(value.as_deref(), Some(&session(*key)), "{key}");
    }
    let seen = plain.inspect("sessions", &1_000_u64).await.unwrap();
    assert_eq!(seen[0].payload, session(1_000));
    let another = process(&clock, &shelf).await.open(&SESSIONS).unwrap();
    assert_eq!(another.get_strict(&1_001).await.unwrap().as_deref(), Some(&session(1_001)));
}

#[tokio::test]
async fn after_a_restart_it_is_read_and_taken_over_and_not_trained_anew() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    drop(trained(&clock, &shelf).await);
    let first = kept(&shelf);
    let manager = process(&clock, &shelf).await;
    let sessions = manager.open(&SESSIONS).unwrap();
    assert!(all_there(&sessions, 1_000..1_200, session).await);
    fill(&sessions, 2_000..2_000 + ENOUGH, session).await;
    manager.tend_dictionaries().await;
    let stats = manager.dictionary_stats();
    assert_eq!((stats.trained, stats.adopted), (0, 1));
    assert_eq!(kept(&shelf), first);
    fill(&sessions, 3_000..3_001, session).await;
    let id = dictionary_id(&first[0].1);
    assert!(dictionaries_of(&shelf, SPACE).contains(&(3_000, id)));
}

#[tokio::test]
async fn a_better_one_takes_over_only_where_it_saves_and_the_old_one_is_read_on() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let (manager, sessions) = trained(&clock, &shelf).await;
    // The same kind of values an hour later: nothing better is found, and it waits twice as long.
    clock.advance(hours(1));
    fill(&sessions, 2_000..2_000 + ENOUGH, session).await;
    manager.tend_dictionaries().await;
    let stats = manager.dictionary_stats();
    assert_eq!((stats.trained, stats.rejected, kept(&shelf).len()), (1, 1, 1));
    clock.advance(hours(1));
    fill(&sessions, 0..ENOUGH, order).await;
    manager.tend_dictionaries().await;
    assert_eq!(manager.dictionary_stats().sample_bytes, 0, "it rests");
    // The values have another shape now. What was stored for the old one ended: it is covered anew.
    clock.advance(hours(1));
    fill(&sessions, 2_999..3_000, session).await;
    manager.tend_dictionaries().await;
    fill(&sessions, 3_000..3_010, session).await;
    fill(&sessions, 4_000..4_000 + ENOUGH, order).await;
    manager.tend_dictionaries().await;
    assert_eq!((manager.dictionary_stats().trained, kept(&shelf).len()), (2, 2));
    fill(&sessions, 5_000..5_010, order).await;
    let numbers = dictionaries_of(&shelf, SPACE);
    let of = |key: u64| numbers.iter().find(|(at, _)| *at == key).unwrap().1;
    assert!(of(3_000) != 0 && of(5_000) != 0 && of(3_000) != of(5_000));
    let reader = process(&clock, &shelf).await.open(&SESSIONS).unwrap();
    assert!(all_there(&reader, 3_000..3_010, session).await);
    assert!(all_there(&reader, 5_000..5_010, order).await);
}

#[tokio::test]
async fn noise_gets_no_dictionary() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let manager = process(&clock, &shelf).await;
    let sessions = manager.open(&SESSIONS).unwrap();
    let noise = |at: u64| -> Bytes {
        let mut state = at;
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 56) as u8
        };
        (0..200).map(byte).collect()
    };
    fill(&sessions, 0..ENOUGH, noise).await;
    manager.tend_dictionaries().await;
    let stats = manager.dictionary_stats();
    assert_eq!((stats.rejected, stats.trained, kept(&shelf).len()), (1, 0, 0));
}

#[tokio::test]
async fn kinds_and_their_samples_are_bounded() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let few = DictionaryLimits { kinds_max: 2, samples_bytes_max: 64 << 10, ..limits() };
    let builder = builder(&clock).l2(Tier::new(Arc::clone(&shelf)).bare()).codec(MessagePack);
    let manager = builder.compression(adaptive(few)).build().await.unwrap();
    let sessions = manager.open(&SESSIONS).unwrap();
    let write = async |kind: &str, from: u64| {
        for key in from..from + 150 {
            sessions.set(&key, session(key)).data_type(kind.to_owned()).strict().await.unwrap();
            let long = sessions.set(&(key + 10_000), Bytes::from(vec![7; 5 << 10]));
            long.data_type(kind.to_owned()).strict().await.unwrap();
        }
    };
    for (from, kind) in [(0, "one"), (1_000, "two"), (2_000, "three"), (3_000, "four")] {
        write(kind, from).await;
    }
    let short: usize = (0..150).chain(1_000..1_150).map(|key| session(key).len()).sum();
    assert_eq!(manager.dictionary_stats().sample_bytes, short, "of two kinds, and no long ones");
    // One that is written no more makes room.
    clock.advance(mins(11));
    write("two", 1_000).await;
    write("three", 2_000).await;
    write("three", 2_500).await;
    manager.tend_dictionaries().await;
    assert_eq!(manager.dictionary_stats().packing, 2);
}
