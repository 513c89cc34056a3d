//! A value is encoded once, and compressed once for each distinct compressor that is written to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::envelope::{Envelope, Limits};
use cache_enterprise_core::{Clock, Compressor, Error, Result, mins};
use cache_enterprise_engine::{CacheSpec, Source, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::ChaosCodec;

use crate::scripted::Scripted;
use crate::{builder, tier};

static TEXTS: CacheSpec<u64, String> = CacheSpec::new("texts").ttl(mins(5));

/// Keeps each byte once and counts its calls: what is one letter over and over gets short.
#[derive(Clone, Debug)]
struct Counting {
    id: u8,
    packed: Arc<AtomicU64>,
    unpacked: Arc<AtomicU64>,
}

impl Counting {
    fn new(id: u8) -> Self {
        Self { id, packed: Arc::default(), unpacked: Arc::default() }
    }

    fn counts(&self) -> [u64; 2] {
        [self.packed.load(Ordering::SeqCst), self.unpacked.load(Ordering::SeqCst)]
    }
}

impl Compressor for Counting {
    fn id(&self) -> u8 {
        self.id
    }

    fn name(&self) -> &'static str {
        "counting"
    }

    fn threshold(&self) -> usize {
        100
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.packed.fetch_add(1, Ordering::SeqCst);
        for run in bytes.chunk_by(|left, right| left == right) {
            out.extend_from_slice(&u32::try_from(run.len()).unwrap().to_le_bytes());
            out.push(run[0]);
        }
        Ok(())
    }

    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        self.unpacked.fetch_add(1, Ordering::SeqCst);
        let mut plain = Vec::new();
        for run in bytes.chunks_exact(5) {
            let times = u32::from_le_bytes(run[..4].try_into().unwrap());
            plain.extend(std::iter::repeat_n(run[4], usize::try_from(times).unwrap()));
        }
        if plain.len() == len { Ok(plain) } else { Err(Error::invalid("another length")) }
    }
}

/// The compressor's number in what a tier holds.
fn compressor_of(tier: &Scripted) -> u8 {
    let values = tier.values.lock();
    let (key, (bytes, _)) = values.iter().next().unwrap();
    Envelope::open(bytes, key, None, &Limits::default()).unwrap().body.compressor
}

#[tokio::test]
async fn a_write_compresses_once_for_each_distinct_compressor() {
    let codec = ChaosCodec::new(MessagePack, Seed(7));
    let (managers, own) = (Counting::new(201), Counting::new(202));
    let shared: Arc<dyn Compressor> = Arc::new(own.clone());
    let tiers = [tier("plain"), tier("managers"), tier("own"), tier("also own")];
    let [plain, inherited, first, second] = tiers.clone();
    let manager = builder(&Clock::manual())
        .l2(Tier::new(plain).without_compression())
        .l3(inherited)
        .tier(Tier::new(first).compression(Arc::clone(&shared)))
        .tier(Tier::new(second).compression(shared))
        .codec(codec.clone())
        .compression(managers.clone());
    let manager = manager.build().await.unwrap();
    let texts = manager.open(&TEXTS).unwrap();

    texts.set(&1, "a".repeat(1_000)).strict().await.unwrap();
    assert_eq!((codec.encoded(), managers.counts(), own.counts()), (1, [1, 0], [1, 0]));
    assert_eq!(tiers.each_ref().map(|tier| compressor_of(tier)), [0, 201, 202, 202]);

    texts.set_many([(2_u64, "b".repeat(1_000))]).await;
    assert_eq!((codec.encoded(), managers.counts(), own.counts()), (2, [2, 0], [2, 0]));
    texts.set(&3, "c".repeat(50)).strict().await.unwrap();
    assert_eq!((managers.counts(), own.counts()), ([2, 0], [2, 0]), "under the threshold");
    let row = |name: &str| manager.describe().row(name).map(|row| row.value.clone()).unwrap();
    assert_eq!((row("l2.compression"), row("l3.compression")), ("none".into(), "counting".into()));
}

#[tokio::test]
async fn bytes_climb_in_the_form_they_have() {
    let (upper_form, lower_form) = (Counting::new(201), Counting::new(202));
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&Clock::manual())
        .l2(Tier::new(upper.clone()).compression(upper_form.clone()))
        .l3(Tier::new(lower.clone()).compression(lower_form.clone()))
        .codec(MessagePack);
    let texts = manager.build().await.unwrap().open(&TEXTS).unwrap();
    texts.set(&1, "a".repeat(1_000)).strict().await.unwrap();
    upper.values.lock().clear();
    texts.drop_level1();
    let hit = texts.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((hit.source, hit.value.len()), (Source::Tier(3), 1_000));
    assert_eq!(compressor_of(&upper), 202, "nothing was packed anew");
    texts.drop_level1();
    assert_eq!(texts.get_entry(&1).await.unwrap().unwrap().source, Source::Tier(2));
    assert_eq!((upper_form.counts(), lower_form.counts()), ([1, 0], [1, 2]));
}

#[tokio::test]
async fn a_tier_that_writes_do_not_reach_costs_no_compression() {
    let (upper_form, lower_form) = (Counting::new(201), Counting::new(202));
    let (upper, lower) = (tier("upper"), tier("lower"));
    let around = Tier::new(upper.clone()).write(WritePolicy::Around);
    let manager = builder(&Clock::manual())
        .l2(around.compression(upper_form.clone()))
        .l3(Tier::new(lower.clone()).compression(lower_form.clone()))
        .codec(MessagePack);
    let texts = manager.build().await.unwrap().open(&TEXTS).unwrap();
    texts.set(&1, "a".repeat(1_000)).strict().await.unwrap();
    assert_eq!((upper_form.counts(), lower_form.counts()), ([0, 0], [1, 0]));
    assert_eq!((upper.len(), compressor_of(&lower)), (0, 202));
}
