//! Processes whose values share dictionaries, and a look at what they stored.
//!
//! Zstandard is the real one. Processor time stands still, so that the way that saves most is best
//! and no outcome hangs on the machine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::envelope::{Envelope, Limits};
use cache_enterprise_core::{Clock, Compressor, Own, StoredKey, mins};
use cache_enterprise_engine::{
    AdaptiveCompression, Cache, CacheManager, CacheSpec, DictionaryLimits, Tier,
};
use cache_enterprise_serializers::{MessagePack, Raw, Zstd};
use cache_enterprise_strategies::compression::CompressionLimits;

use crate::builder;
use crate::scripted::Scripted;

pub(crate) type Texts = Cache<u64, Bytes>;
pub(crate) type Spec = CacheSpec<u64, Bytes, Own<Raw>>;

pub(crate) static SESSIONS: Spec = CacheSpec::new("sessions").ttl(mins(5)).codec(Raw);

/// Enough for a dictionary, in the limits below.
pub(crate) const ENOUGH: u64 = 200;

pub(crate) fn limits() -> DictionaryLimits {
    DictionaryLimits {
        bytes_max: 4 << 10,
        samples_max: ENOUGH as usize,
        samples_bytes_max: 128 << 10,
        value_bytes_max: 4 << 10,
        ..DictionaryLimits::default()
    }
}

/// Zstandard without a dictionary, for values of 256 bytes and more, or with one.
pub(crate) fn adaptive(limits: DictionaryLimits) -> AdaptiveCompression {
    let plain: Arc<dyn Compressor> = Arc::new(Zstd::over(0));
    let trained = Arc::new(Zstd::over(0).level(3).unwrap());
    AdaptiveCompression::new([(1, plain)], CompressionLimits::default())
        .unwrap()
        .cpu_clock(|| Duration::ZERO)
        .dictionaries((3, trained), limits)
        .unwrap()
}

/// A process over this tier.
pub(crate) async fn process(clock: &Clock, shelf: &Arc<Scripted>) -> CacheManager<MessagePack> {
    let builder = builder(clock).l2(Tier::new(Arc::clone(shelf)).bare()).codec(MessagePack);
    builder.compression(adaptive(limits())).build().await.unwrap()
}

/// What an application keeps of a session: some 170 bytes.
pub(crate) fn session(at: u64) -> Bytes {
    let (user, item) = (at.wrapping_mul(7_919) % 100_003, at.wrapping_mul(31) % 4_099);
    format!(
        "{{\"session_id\":\"{:016x}\",\"user_id\":{user},\"roles\":[\"customer\",\"beta\"],\
         \"cart\":{{\"items\":[{item}],\"currency\":\"EUR\"}},\"locale\":\"de-DE\",\
         \"expires_in\":3600,\"csrf_protected\":true}}",
        at.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
    .into()
}

/// Another shape of about the same length.
pub(crate) fn order(at: u64) -> Bytes {
    format!(
        "<order number=\"{}\"><buyer country=\"FR\" vat=\"included\"/><line sku=\"{:08}\" \
         quantity=\"1\" warehouse=\"north\"/><delivery carrier=\"post\" insured=\"no\"/></order>",
        at * 13,
        at.wrapping_mul(7_919) % 1_000_003
    )
    .into()
}

pub(crate) async fn fill(cache: &Texts, keys: std::ops::Range<u64>, value: fn(u64) -> Bytes) {
    for key in keys {
        cache.set(&key, value(key)).strict().await.unwrap();
    }
}

/// A process whose sessions have a dictionary, and 200 of them that are packed with it.
pub(crate) async fn trained(
    clock: &Clock,
    shelf: &Arc<Scripted>,
) -> (CacheManager<MessagePack>, Texts) {
    let manager = process(clock, shelf).await;
    let sessions = manager.open(&SESSIONS).unwrap();
    fill(&sessions, 0..ENOUGH, session).await;
    manager.tend_dictionaries().await;
    fill(&sessions, 1_000..1_200, session).await;
    (manager, sessions)
}

/// The number of the dictionary of each entry that a tier holds, by the number of its key.
pub(crate) fn dictionaries_of(shelf: &Scripted, space: &str) -> Vec<(u64, u32)> {
    let values = shelf.values.lock();
    let entries = values.iter().filter(|(key, _)| !key.is_reserved() && key.space() == space);
    entries
        .map(|(key, (bytes, _))| (key.key().parse().unwrap(), Envelope::dictionary_of(bytes)))
        .collect()
}

/// The dictionaries that a tier holds: where, and their bytes.
pub(crate) fn kept(shelf: &Scripted) -> Vec<(StoredKey, Bytes)> {
    let values = shelf.values.lock();
    let is_one = |key: &StoredKey| key.is_reserved() && !key.as_str().contains("dictionary-of-");
    let kept = values.iter().filter(|(key, _)| is_one(key));
    kept.map(|(key, (bytes, _))| {
        let envelope = Envelope::open(bytes, key, None, &Limits::default()).unwrap();
        (key.clone(), envelope.body.payload)
    })
    .collect()
}

/// Takes every dictionary away, with what tells of them.
pub(crate) fn lose(shelf: &Scripted) {
    shelf.values.lock().retain(|key, _| !key.is_reserved());
}

pub(crate) async fn all_there(
    cache: &Texts,
    keys: std::ops::Range<u64>,
    value: fn(u64) -> Bytes,
) -> bool {
    for key in keys {
        if cache.get(&key).await.unwrap().as_deref() != Some(&value(key)) {
            return false;
        }
    }
    true
}

pub(crate) const SPACE: &str = "stories::sessions:";
