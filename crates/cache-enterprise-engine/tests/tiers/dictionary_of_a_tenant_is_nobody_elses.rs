//! A dictionary packs and inflates within one cache of one tenant, and is never learned from secrets.

use std::sync::Arc;

use cache_enterprise_core::envelope::{Envelope, Limits};
use cache_enterprise_core::{
    Clock, Error, ErrorKind, Result, StoredKey, Transform, TransformContext, mins,
};
use cache_enterprise_engine::{CacheSpec, DictionaryStats, Tier};
use cache_enterprise_serializers::{MessagePack, Raw};

use crate::learned::{
    ENOUGH, SESSIONS, Spec, adaptive, dictionaries_of, fill, kept, limits, order, process, session,
};
use crate::{builder, tier};

static TOKENS: Spec = CacheSpec::new("tokens").ttl(mins(5)).codec(Raw).secret();

#[tokio::test]
async fn a_tenant_neither_packs_nor_reads_with_the_dictionary_of_another() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let manager = process(&clock, &shelf).await;
    let acme = manager.tenant("acme").unwrap().open(&SESSIONS).unwrap();
    let bolt = manager.tenant("bolt").unwrap().open(&SESSIONS).unwrap();
    fill(&acme, 0..ENOUGH, session).await;
    manager.tend_dictionaries().await;
    fill(&acme, 1_000..1_100, session).await;
    // Bolt writes the same, and has no dictionary before it wrote enough itself.
    fill(&bolt, 1_000..1_100, session).await;
    let of = |tenant: &str| dictionaries_of(&shelf, &format!("stories:{tenant}:sessions:"));
    assert!(of("acme").iter().all(|(key, number)| (*number != 0) == (*key >= ENOUGH)));
    assert!(of("bolt").iter().all(|(_, number)| *number == 0));
    assert!(kept(&shelf).iter().all(|(place, _)| place.tenant() == "acme"));

    // Once it has, both have their own, made of their own values.
    fill(&bolt, 5_000..5_000 + ENOUGH, order).await;
    manager.tend_dictionaries().await;
    let mut tenants: Vec<_> = kept(&shelf);
    tenants.sort();
    let [(acmes, one), (bolts, other)] = &tenants[..] else { panic!("there are two") };
    assert_eq!((acmes.tenant(), bolts.tenant()), ("acme", "bolt"));
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(holds(one, b"session_id") && !holds(one, b"warehouse"));
    assert!(holds(other, b"warehouse"));
}

#[tokio::test]
async fn bytes_that_name_another_tenants_dictionary_are_a_miss() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let manager = process(&clock, &shelf).await;
    let acme = manager.tenant("acme").unwrap().open(&SESSIONS).unwrap();
    fill(&acme, 0..ENOUGH, session).await;
    manager.tend_dictionaries().await;
    acme.set(&1_000, session(1_000)).strict().await.unwrap();
    // Somebody copies the entry and the dictionary into bolt's space, sealed as if they were bolt's.
    let copied = |key: &StoredKey| {
        StoredKey::parse(&key.as_str().replace("stories:acme:", "stories:bolt:")).unwrap()
    };
    let entry: Vec<_> = {
        let values = shelf.values.lock();
        let is_meant = |key: &StoredKey| key.key() == "1000";
        values
            .iter()
            .filter(|(key, _)| is_meant(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let (key, (bytes, how)) = &entry[0];
    let envelope = Envelope::open(bytes, key, None, &Limits::default()).unwrap();
    assert_ne!(envelope.body.dictionary, 0);
    let forged = envelope.seal(&copied(key), None).unwrap();
    shelf.values.lock().insert(copied(key), (forged, *how));
    let place = &kept(&shelf)[0].0;
    let dictionary = shelf.values.lock()[place].clone();
    shelf.values.lock().insert(copied(place), dictionary);
    let bolt = manager.tenant("bolt").unwrap().open(&SESSIONS).unwrap();
    assert!(bolt.get(&1_000).await.unwrap().is_none());
    assert_eq!(bolt.stats().undecodable, 1);
    let stats = manager.dictionary_stats();
    assert_eq!((stats.refused, stats.fetched), (1, 0), "bytes are bound to their key");
    assert_eq!(acme.get(&1_000).await.unwrap().as_deref(), Some(&session(1_000)));
}

/// Binds a body to its key, and protects nothing: a story is no place for a cipher.
#[derive(Debug)]
struct Labelled;

impl Transform for Labelled {
    fn suite(&self) -> u8 {
        200
    }

    fn seal(&self, mut body: Vec<u8>, ctx: TransformContext<'_>) -> Result<Vec<u8>> {
        body.extend_from_slice(ctx.key.as_str().as_bytes());
        Ok(body)
    }

    fn open(&self, body: &[u8], ctx: TransformContext<'_>) -> Result<Vec<u8>> {
        let refused = || Error::new(ErrorKind::Corrupt, "the body was sealed for another key");
        let body = body.strip_suffix(ctx.key.as_str().as_bytes()).ok_or_else(refused)?;
        Ok(body.to_vec())
    }
}

#[tokio::test]
async fn nothing_is_learned_from_secrets_nor_under_a_seal() {
    let (clock, shelf) = (Clock::manual(), tier("shelf"));
    let builder = || builder(&clock).l2(Tier::new(Arc::clone(&shelf)).bare()).codec(MessagePack);
    let choosy = adaptive(limits()).secret_kind("card");
    let manager = builder().compression(choosy).build().await.unwrap();
    let (tokens, sessions) = (manager.open(&TOKENS).unwrap(), manager.open(&SESSIONS).unwrap());
    for key in 0..2 * ENOUGH {
        tokens.set(&key, session(key)).strict().await.unwrap();
        tokens.set(&key, session(key)).data_type("session").strict().await.unwrap();
        sessions.set(&key, session(key)).data_type("card").strict().await.unwrap();
    }
    manager.tend_dictionaries().await;
    assert!(kept(&shelf).is_empty());
    assert_eq!(manager.dictionary_stats(), DictionaryStats::default());
    // What is no secret in the same cache is learned from.
    fill(&sessions, 0..ENOUGH, session).await;
    manager.tend_dictionaries().await;
    assert_eq!(kept(&shelf).len(), 1);

    shelf.values.lock().clear();
    let sealed = builder().compression(adaptive(limits())).transform(Labelled);
    let manager = sealed.build().await.unwrap();
    let sessions = manager.open(&SESSIONS).unwrap();
    fill(&sessions, 0..2 * ENOUGH, session).await;
    manager.tend_dictionaries().await;
    assert!(shelf.values.lock().keys().all(|key| !key.is_reserved()));
    assert_eq!(manager.dictionary_stats(), DictionaryStats::default());
    assert_eq!(manager.describe().row("compression.dictionaries").unwrap().value, "false");
}
