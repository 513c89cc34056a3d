//! What adaptive compression leaves of a seeded mix of data, and what it costs, beside each fixed
//! compressor: at the price of a CPU second that is the default, and at a tenth of it, for which
//! the second table tells each kind.
//!
//! ```text
//! cargo run --release -p cache-enterprise-engine --features tiers --example compression_choices
//! ```
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, Capacity, MIB, OpContext, Own, Put, PutOutcome, Result, Sequence,
    StoredKey, mins,
};
use cache_enterprise_engine::{
    AdaptiveCompression, CacheManager, CacheSpec, DictionaryLimits, Packer,
};
use cache_enterprise_serializers::{Lz4, MessagePack, Raw, Zstd, compression_arms, dictionary_arm};
use cache_enterprise_strategies::compression::CompressionLimits;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

static VALUES: CacheSpec<u64, Bytes, Own<Raw>> = CacheSpec::new("values").ttl(mins(5)).codec(Raw);

const SEED: u64 = 7;
const ROUNDS: u64 = 3_000;
const KINDS: [&str; 6] = ["event", "session", "listing", "page", "vector", "image"];
/// Dictionaries are trained between rounds, every so many.
const TENDED: u64 = 64;

/// Adds up what it is given, and keeps nothing.
#[derive(Debug, Default)]
struct Sum(AtomicUsize);

#[async_trait]
impl Backend for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, _: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn put(&self, _: &StoredKey, value: Bytes, _: Put, _: &OpContext) -> Result<PutOutcome> {
        self.0.fetch_add(value.len(), Ordering::Relaxed);
        Ok(PutOutcome::Stored)
    }

    async fn remove(&self, _: &StoredKey, _: Sequence, _: &OpContext) -> Result<bool> {
        Ok(false)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A value of this kind: objects of an API one at a time, by the handful and by the page, marked-up text,
/// floating-point numbers, and what is compressed already.
fn value(kind: &str, draws: &mut StdRng) -> Bytes {
    let object = |draws: &mut StdRng| {
        let id: u64 = draws.random_range(1..10_000_000);
        let (plays, minutes) = (id % 977, draws.random_range(1..3_000));
        format!(
            "{{\"id\":{id},\"user\":\"u{}\",\"title\":\"Track {}\",\"plays\":{plays},\
             \"minutes\":{minutes},\"tags\":[\"jazz\",\"{}\"],\"premium\":{}}}",
            id * 31,
            id % 4_099,
            ["eu", "us", "asia"][(id % 3) as usize],
            id.is_multiple_of(2)
        )
    };
    match kind {
        "event" => object(draws).into(),
        "session" => {
            (0..draws.random_range(2..6)).map(|_| object(draws)).collect::<String>().into()
        }
        "listing" => {
            (0..draws.random_range(30..90)).map(|_| object(draws)).collect::<String>().into()
        }
        "page" => {
            let words = ["cache", "level", "tenant", "entry", "tier", "loader", "epoch", "a", "of"];
            let mut page = String::from("<html><body>");
            for _ in 0..draws.random_range(200..1_500) {
                let (word, class) = (words[draws.random_range(0..9)], draws.random_range(0..40));
                page.push_str(&format!("<span class=\"c{class}\">{word}</span> "));
            }
            page.into()
        }
        "vector" => {
            (0..768).flat_map(|_| draws.random_range(-1.0_f32..1.0).to_le_bytes()).collect()
        }
        _ => (0..draws.random_range(8_000..40_000)).map(|_| draws.random::<u8>()).collect(),
    }
}

/// What a run came to.
#[derive(Default)]
struct Outcome {
    /// Bytes stored of each kind, envelopes included.
    stored: [usize; KINDS.len()],
    /// Bytes stored that are no values: dictionaries.
    beside: usize,
    /// Processor time a value in microseconds, that of dictionaries included.
    micros: f64,
}

impl Outcome {
    fn bytes(&self) -> usize {
        self.stored.iter().sum::<usize>() + self.beside
    }
}

async fn run(packer: Option<Packer>) -> Result<Outcome> {
    let sum = Arc::new(Sum::default());
    let builder = CacheManager::builder("mix")
        .l1(Capacity::bytes(16 * MIB))
        .l2(Arc::clone(&sum))
        .codec(MessagePack);
    let manager = match packer {
        Some(packer) => builder.compression(packer).build().await?,
        None => builder.build().await?,
    };
    let (values, mut draws) = (manager.open(&VALUES)?, StdRng::seed_from_u64(SEED));
    let (mut outcome, mut spent) = (Outcome::default(), 0.0);
    for round in 0..ROUNDS {
        for (place, kind) in KINDS.into_iter().enumerate() {
            let value = value(kind, &mut draws);
            let (begun, before) = (cpu_micros(), sum.0.load(Ordering::Relaxed));
            values.set(&round, value).data_type(kind).strict().await?;
            spent += cpu_micros() - begun;
            outcome.stored[place] += sum.0.load(Ordering::Relaxed) - before;
        }
        if round % TENDED == 0 {
            let begun = cpu_micros();
            manager.tend_dictionaries().await;
            spent += cpu_micros() - begun;
        }
    }
    outcome.beside = sum.0.load(Ordering::Relaxed) - outcome.bytes();
    outcome.micros = spent / (ROUNDS * KINDS.len() as u64) as f64;
    Ok(outcome)
}

#[cfg(unix)]
fn cpu_micros() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The time that went by stands in where the system does not tell.
#[cfg(not(unix))]
fn cpu_micros() -> f64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread needs no more than a thread");
    runtime.block_on(async {
        let adaptive = |limits| AdaptiveCompression::new(compression_arms(), limits);
        let learning = |limits| {
            let trained = dictionary_arm().expect("the example is built with Zstandard");
            adaptive(limits)?.dictionaries(trained, DictionaryLimits::default())
        };
        let dear = CompressionLimits::default();
        let cheap = CompressionLimits { bytes_per_cpu_second: 2e6, ..dear };
        let last = learning(cheap)?;
        let zstd = |level| {
            Ok::<_, cache_enterprise_core::Error>(Packer::from(Zstd::over(256).level(level)?))
        };
        let plain = run(None).await?;
        let mut by_kind = Vec::new();
        println!("| compressor | bytes | of those as they are | CPU a value |\n|---|---|---|---|");
        for (name, packer) in [
            ("LZ4", Packer::from(Lz4::over(256))),
            ("Zstandard 1", zstd(1)?),
            ("Zstandard 3", zstd(3)?),
            ("Zstandard 9", zstd(9)?),
            ("adaptive", adaptive(dear)?.into()),
            ("adaptive with dictionaries", learning(dear)?.into()),
            ("adaptive, 2 MB a CPU second", adaptive(cheap)?.into()),
            ("the same with dictionaries", last.clone().into()),
        ] {
            let outcome = run(Some(packer)).await?;
            let (bytes, micros) = (outcome.bytes(), outcome.micros - plain.micros);
            let share = 100.0 * bytes as f64 / plain.bytes() as f64;
            println!("| {name} | {bytes} | {share:.1} % | {micros:.1} us |");
            by_kind.push(outcome);
        }
        let [.., without, with] = &by_kind[..] else { unreachable!("there are eight") };
        println!("\n| kind | bytes a value | adaptive | with dictionaries | chosen then |");
        println!("|---|---|---|---|---|");
        for (place, kind) in KINDS.into_iter().enumerate() {
            let mean = plain.stored[place] as u64 / ROUNDS;
            let share = |outcome: &Outcome| {
                100.0 * outcome.stored[place] as f64 / plain.stored[place] as f64
            };
            let best = last.best(kind).map(|arm| format!("{} {}", arm.algorithm, arm.level));
            let best = best.as_deref().unwrap_or("nothing");
            println!(
                "| {kind} | {mean} | {:.1} % | {:.1} % | {best} |",
                share(without),
                share(with)
            );
        }
        println!("\n{} bytes of dictionaries among those of the last row", with.beside);
        Ok(())
    })
}
