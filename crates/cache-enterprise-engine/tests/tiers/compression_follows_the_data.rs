//! Each kind of data is packed with what pays for it, and every reader opens every form.
//!
//! The compressors are the real ones; what they cost is told by the test, so that no outcome hangs
//! on the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::envelope::{Envelope, Limits};
use cache_enterprise_core::{Clock, Compressor, Own, Result, mins};
use cache_enterprise_engine::{AdaptiveCompression, Cache, CacheManager, CacheSpec, Tier};
use cache_enterprise_serializers::{Lz4, MessagePack, Raw, Zstd};
use cache_enterprise_strategies::compression::CompressionLimits;
use cache_enterprise_testkit::Seed;
use rand::RngExt;

use crate::scripted::Scripted;
use crate::{builder, tier};

static PAGES: CacheSpec<u64, Bytes, Own<Raw>> = CacheSpec::new("pages").ttl(mins(5)).codec(Raw);
static IMAGES: CacheSpec<u64, Bytes, Own<Raw>> = CacheSpec::new("images").ttl(mins(5)).codec(Raw);

/// A compressor that costs so many nanoseconds a byte, and counts its calls.
#[derive(Debug)]
struct Priced {
    inner: Box<dyn Compressor>,
    cost: u64,
    spent: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
}

impl Compressor for Priced {
    fn id(&self) -> u8 {
        self.inner.id()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.spent.fetch_add(self.cost * bytes.len() as u64, Ordering::SeqCst);
        self.inner.compress(bytes, out)
    }

    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        self.inner.decompress(bytes, len)
    }
}

/// LZ4 at 2 ns a byte, Zstandard at 5 and at 60, and how often any of them was called.
fn adaptive(bytes_per_cpu_second: f64) -> (AdaptiveCompression, Arc<AtomicU64>) {
    let (spent, calls) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let priced = |inner: Box<dyn Compressor>, cost| -> Arc<dyn Compressor> {
        Arc::new(Priced { inner, cost, spent: Arc::clone(&spent), calls: Arc::clone(&calls) })
    };
    let arms = [
        (1, priced(Box::new(Lz4::over(0)), 2)),
        (1, priced(Box::new(Zstd::over(0)), 5)),
        (9, priced(Box::new(Zstd::over(0).level(9).unwrap()), 60)),
    ];
    let limits = CompressionLimits {
        bytes_per_cpu_second,
        memory_bytes: 64 << 10,
        ..CompressionLimits::default()
    };
    let adaptive = AdaptiveCompression::new(arms, limits).unwrap();
    let clock = move || Duration::from_nanos(spent.load(Ordering::SeqCst));
    (adaptive.cpu_clock(clock), calls)
}

/// Objects as an API gives them: every compressor takes more than half away.
fn json(at: u64) -> Bytes {
    let objects: Vec<String> = (0..30)
        .map(|n| {
            format!("{{\"id\":{},\"name\":\"n{}\",\"tags\":[\"a\",\"b\"]}}", at * 31 + n, n * at)
        })
        .collect();
    objects.join(",").into()
}

/// Random letters of 64: a quarter can be taken away, and only with work.
fn letters(at: u64) -> Bytes {
    let letter = |byte: u8| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(byte % 64)]
    };
    noise(at).iter().map(|byte| letter(*byte)).collect()
}

fn noise(at: u64) -> Bytes {
    Seed(at).rng().random_iter::<u8>().take(2_000).collect()
}

async fn fill(cache: &Cache<u64, Bytes>, keys: std::ops::Range<u64>, value: fn(u64) -> Bytes) {
    for key in keys {
        cache.set(&key, value(key)).strict().await.unwrap();
    }
}

/// The compressor's number of each value that a tier holds.
fn compressors_of(tier: &Scripted) -> Vec<u8> {
    let values = tier.values.lock();
    let opened = values
        .iter()
        .map(|(key, (bytes, _))| Envelope::open(bytes, key, None, &Limits::default()).unwrap());
    opened.map(|envelope| envelope.body.compressor).collect()
}

fn best(adaptive: &AdaptiveCompression, class: &str) -> Option<(String, i32)> {
    adaptive.best(class).map(|arm| (arm.algorithm.into(), arm.level))
}

/// A manager whose one tier is packed by what is chosen.
async fn packing(
    adaptive: &AdaptiveCompression,
    shelf: &Arc<Scripted>,
) -> CacheManager<MessagePack> {
    let builder = builder(&Clock::manual()).l2(Arc::clone(shelf)).codec(MessagePack);
    builder.compression(adaptive.clone()).build().await.unwrap()
}

#[tokio::test]
async fn what_shrinks_is_packed_by_what_saves_most_and_noise_costs_nothing() {
    let (adaptive, calls) = adaptive(2e7);
    let shelf = tier("shelf");
    let manager = packing(&adaptive, &shelf).await;
    let (pages, images) = (manager.open(&PAGES).unwrap(), manager.open(&IMAGES).unwrap());
    fill(&images, 0..200, noise).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0, "noise is seen without work");
    assert_eq!(compressors_of(&shelf), [0; 200]);
    assert_eq!(best(&adaptive, "images"), None);

    shelf.values.lock().clear();
    fill(&pages, 0..400, json).await;
    assert_eq!(best(&adaptive, "pages"), Some(("zstd".into(), 1)));
    let stored: usize = shelf.values.lock().values().map(|(bytes, _)| bytes.len()).sum();
    let plain: usize = (0..400).map(|key| json(key).len()).sum();
    assert!(stored * 2 < plain, "{stored} of {plain} bytes");
    let of_level = manager.adaptive_compression(2).unwrap();
    assert_eq!(
        of_level.classes().iter().map(|class| &**class).collect::<Vec<_>>(),
        ["images", "pages"]
    );
    assert_eq!(best(&of_level, "pages"), best(&adaptive, "pages"));
    assert!(manager.adaptive_compression(3).is_none());
    let described = manager.describe();
    let row = |name: &str| described.row(name).map(|row| row.value.clone()).unwrap();
    assert_eq!(row("compression.algorithm"), "adaptive");
    assert_eq!(
        (row("l2.compression"), row("compression.threshold")),
        ("adaptive".into(), "256".into())
    );
}

#[tokio::test]
async fn a_kind_of_data_that_changes_is_followed_there_and_back() {
    // A second of work must save 60 MB: letters are not worth theirs.
    let (adaptive, _) = adaptive(6e7);
    let manager = packing(&adaptive, &tier("shelf")).await;
    let pages = manager.open(&PAGES).unwrap();
    fill(&pages, 0..400, json).await;
    assert_eq!(best(&adaptive, "pages"), Some(("lz4".into(), 1)));
    fill(&pages, 400..1_400, letters).await;
    assert_eq!(best(&adaptive, "pages"), None);
    fill(&pages, 1_400..4_400, json).await;
    assert_eq!(best(&adaptive, "pages"), Some(("lz4".into(), 1)));
}

#[tokio::test]
async fn what_one_choice_wrote_is_read_under_another_and_where_nothing_is_packed() {
    let (first, _) = adaptive(2e7);
    let shelf = tier("shelf");
    let start = |adaptive: Option<AdaptiveCompression>| {
        let builder = builder(&Clock::manual()).l2(Arc::clone(&shelf)).codec(MessagePack);
        let readers = builder.reads_compression(Lz4::over(0)).reads_compression(Zstd::over(0));
        match adaptive {
            Some(adaptive) => readers.compression(adaptive).build(),
            None => readers.build(),
        }
    };
    let pages = start(Some(first)).await.unwrap().open(&PAGES).unwrap();
    fill(&pages, 0..40, json).await;
    fill(&pages, 40..50, noise).await;
    let forms = compressors_of(&shelf);
    for form in [0, Lz4::over(0).id(), Zstd::over(0).id()] {
        assert!(forms.contains(&form), "{form} is not among {forms:?}");
    }
    // Another process, which has chosen nothing yet, and one that packs nothing.
    for adaptive in [Some(adaptive(1e9).0), None] {
        let pages = start(adaptive).await.unwrap().open(&PAGES).unwrap();
        for key in 0..50 {
            let value = if key < 40 { json(key) } else { noise(key) };
            assert_eq!(pages.get(&key).await.unwrap().as_deref(), Some(&value), "{key}");
        }
    }
}

#[tokio::test]
async fn a_kind_is_what_the_writer_names_else_the_cache() {
    let (adaptive, _) = adaptive(6e7);
    let manager = packing(&adaptive, &tier("shelf")).await;
    let pages = manager.open(&PAGES).unwrap();
    for key in 0..200 {
        pages.set(&key, json(key)).data_type("listing").strict().await.unwrap();
        pages.set(&(key + 1_000), letters(key)).data_type("token").strict().await.unwrap();
    }
    assert_eq!(best(&adaptive, "listing"), Some(("lz4".into(), 1)));
    let trials = |class: &str| adaptive.arms(class).iter().map(|(_, arm)| arm.trials).sum::<u64>();
    assert!(best(&adaptive, "token").is_none() && trials("token") > 0);
    assert_eq!(trials("pages"), 0, "nobody wrote without naming a kind");
    // A loader names it as well.
    let before = trials("listing");
    for key in 5_000..5_064 {
        let load = pages.fetch(&key).detached(|cx| async move {
            cx.data_type("listing");
            Ok::<Bytes, ()>(json(1))
        });
        load.await.unwrap();
    }
    assert!(trials("listing") > before && trials("pages") == 0);
}

#[tokio::test]
async fn tiers_that_share_a_choice_share_its_work() {
    let (adaptive, calls) = adaptive(2e7);
    let tiers = [tier("upper"), tier("lower")];
    let manager = builder(&Clock::manual())
        .l2(Tier::new(Arc::clone(&tiers[0])).compression(adaptive.clone()))
        .l3(Tier::new(Arc::clone(&tiers[1])).compression(adaptive))
        .codec(MessagePack)
        .build()
        .await
        .unwrap();
    let pages = manager.open(&PAGES).unwrap();
    fill(&pages, 0..100, json).await;
    assert_eq!(calls.load(Ordering::SeqCst), 100, "a value is packed once");
    assert_eq!(compressors_of(&tiers[0]), compressors_of(&tiers[1]));
}

#[test]
fn a_choice_among_nothing_or_the_same_twice_is_refused() {
    let new = |arms: Vec<(i32, Arc<dyn Compressor>)>| {
        AdaptiveCompression::new(arms, CompressionLimits::default()).unwrap_err().to_string()
    };
    let lz4 = || -> Arc<dyn Compressor> { Arc::new(Lz4::over(0)) };
    assert!(new(Vec::new()).contains("arms"));
    assert!(new(vec![(1, lz4()), (1, lz4())]).contains("twice"));
}
