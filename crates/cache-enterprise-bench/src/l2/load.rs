//! Callers who read one after the other, and what they saw.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::rounds::cpu_time;

/// What one round reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) bytes: usize,
    pub(crate) callers: usize,
    /// Reads of all callers together.
    pub(crate) reads: usize,
}

impl Load {
    /// So many reads that a round takes some tenths of a second on the slowest client.
    pub(crate) fn new(bytes: usize, callers: usize) -> Self {
        let reads = match callers {
            1 => 4_000,
            16 => 16_000,
            64 => 24_000,
            _ => 32_000,
        };
        Self { bytes, callers, reads: if bytes > 1024 { reads / 8 } else { reads } }
    }
}

/// Values under test: with large ones fewer, so that they fit into any server.
pub(crate) fn keys_for(bytes: usize) -> usize {
    if bytes > 1024 { 200 } else { 1_000 }
}

/// The value of a key: its own, and none that compresses.
pub(crate) fn value_of(number: usize, bytes: usize) -> Bytes {
    let mut value = vec![0; bytes];
    StdRng::seed_from_u64(number as u64).fill_bytes(&mut value);
    value.into()
}

/// One caller's hold of a client.
pub(crate) trait Client: Clone + Send + 'static {
    /// Reads the value of this number and answers its length; a miss is an error.
    fn read(&mut self, key: usize) -> impl Future<Output = Result<usize, ReadError>> + Send;
}

pub(crate) type ReadError = Box<dyn Error + Send + Sync>;

/// What a round showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Reads a second.
    pub(crate) rate: f64,
    /// Median time of a read; missing where it was not measured here.
    pub(crate) p50: Option<Duration>,
    /// CPU time a read of this process, the server's left out; missing for clients elsewhere.
    pub(crate) cpu: Option<Duration>,
}

impl Sample {
    pub(crate) fn kops(&self) -> f64 {
        self.rate / 1e3
    }

    /// Microseconds; infinite where not measured.
    pub(crate) fn p50(&self) -> f64 {
        self.p50.map_or(f64::INFINITY, |p50| p50.as_secs_f64() * 1e6)
    }

    /// Microseconds; infinite where not measured.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu.map_or(f64::INFINITY, |cpu| cpu.as_secs_f64() * 1e6)
    }
}

/// Lets all callers read at once, first an eighth to warm up.
pub(crate) async fn drive<C: Client>(client: &C, load: Load) -> Result<Sample, Box<dyn Error>> {
    read_all(client, load, load.reads / 8).await?;
    let (cpu, begun) = (cpu_time(), Instant::now());
    let mut times = read_all(client, load, load.reads).await?;
    let (wall, cpu) = (begun.elapsed(), cpu_time() - cpu);
    let reads = times.len();
    let (_, p50, _) = times.select_nth_unstable(reads / 2);
    Ok(Sample {
        rate: reads as f64 / wall.as_secs_f64(),
        p50: Some(*p50),
        cpu: Some(cpu / reads as u32),
    })
}

/// What each of at least `reads` reads took.
async fn read_all<C: Client>(
    client: &C,
    load: Load,
    reads: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let each = reads.div_ceil(load.callers);
    let keys = keys_for(load.bytes);
    let order: Arc<[usize]> = {
        let mut rng = StdRng::seed_from_u64(9);
        (0..each * load.callers).map(|_| (rng.next_u64() % keys as u64) as usize).collect()
    };
    let mut callers = JoinSet::new();
    for caller in 0..load.callers {
        let (mut client, order) = (client.clone(), Arc::clone(&order));
        callers.spawn(async move {
            let mut times = Vec::with_capacity(each);
            for &key in &order[caller * each..(caller + 1) * each] {
                let begun = Instant::now();
                let len = client.read(key).await?;
                times.push(begun.elapsed());
                if len < load.bytes {
                    return Err(ReadError::from(format!("a value of {len} bytes was read")));
                }
            }
            Ok(times)
        });
    }
    let mut times = Vec::with_capacity(each * load.callers);
    while let Some(read) = callers.join_next().await {
        let seen = read?.map_err(|error| -> Box<dyn Error> { error })?;
        times.extend(seen);
    }
    Ok(times)
}
