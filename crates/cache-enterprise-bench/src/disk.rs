//! The disk backend against the engine it stands on, used raw: 1 KiB values, page cache warm.
//!
//! Both have the same defaults of that engine: blocks of 4 KiB without compression, tables after
//! 64 MiB in memory, no flush to the device on a write. Both have the same block cache.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cache_enterprise_core::{Backend, GIB, KeySpace, MIB, OpContext, Put, StoredKey};
use cache_enterprise_disk::{Disk, DiskBackend};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;

use crate::report::{Line, Place, Report, progress};
use crate::rounds::{Series, cpu_ns_each};

/// What one round writes and reads.
#[derive(Clone, Copy)]
struct Load {
    keys: u64,
    reads: usize,
    /// Whether it is closed, opened again and read once before what is measured: entries then lie
    /// in files, and nothing is copied in the background any more.
    is_reopened: bool,
}

/// Fits into memory, in ours as in theirs: what is measured is the path and the journal.
const FRESH: Load = Load { keys: 20_000, reads: 40_000, is_reopened: false };
/// Three quarters of it in files, twice what the block cache holds.
const FILED: Load = Load { keys: 150_000, reads: 100_000, is_reopened: true };

/// The block cache of both: what a disk backend of this budget takes by default.
const BLOCK_CACHE_BYTES: u64 = 64 * MIB;
const VALUE_BYTES: usize = 1024;

/// Entries of the recovery figure.
const RECOVERED: u64 = 1_000_000;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    progress("disk, 1 KiB");
    let (ours, raw) = measure(&runtime, rounds, FRESH)?;
    let place = Place { bar: Some(11), group: "disk", bench: "1 KiB write", unit: "ns cpu/op" };
    report.line(&Line::ratio(place, &ours.writes, &raw.writes))?;
    let place = Place { bench: "1 KiB point read", ..place };
    report.line(&Line::ratio(place, &ours.reads, &raw.reads))?;
    progress("disk, 1 KiB in files");
    let (ours, raw) = measure(&runtime, rounds, FILED)?;
    let place = Place { bench: "1 KiB point read, opened again", ..place };
    report.line(&Line::ratio(place, &ours.reads, &raw.reads))?;
    recovery(report, &runtime)
}

fn measure(runtime: &Runtime, rounds: usize, load: Load) -> Result<(Costs, Costs), Box<dyn Error>> {
    let mut ours = Costs::new("cache-enterprise");
    let mut raw = Costs::new("fjall");
    for round in 0..=rounds {
        let is_kept = round > 0;
        if round % 2 == 0 {
            ours.add(is_kept, round_of_ours(runtime, load)?);
            raw.add(is_kept, round_of_fjall(load)?);
        } else {
            raw.add(is_kept, round_of_fjall(load)?);
            ours.add(is_kept, round_of_ours(runtime, load)?);
        }
    }
    Ok((ours, raw))
}

struct Costs {
    writes: Series,
    reads: Series,
}

impl Costs {
    fn new(name: &str) -> Self {
        let series = || Series { name: name.to_owned(), costs: Vec::new() };
        Self { writes: series(), reads: series() }
    }

    fn add(&mut self, is_kept: bool, (write, read): (f64, f64)) {
        if is_kept {
            self.writes.costs.push(write);
            self.reads.costs.push(read);
        }
    }
}

/// The values do not compress, and each key has its own.
fn value_of(number: u64) -> Bytes {
    let mut value = vec![0; VALUE_BYTES];
    StdRng::seed_from_u64(number).fill_bytes(&mut value);
    value.into()
}

fn keys_of(keys: u64) -> Result<Vec<StoredKey>, Box<dyn Error>> {
    let space = KeySpace::new("bench", "acme", "disk")?;
    Ok((0..keys).map(|number| space.key(&number)).collect::<Result<_, _>>()?)
}

/// The numbers to read, in no order of anybody's files.
fn order(load: Load) -> Vec<usize> {
    let mut rng = StdRng::seed_from_u64(9);
    (0..load.reads).map(|_| (rng.next_u64() % load.keys) as usize).collect()
}

async fn open(folder: &Path) -> Result<Arc<DiskBackend>, Box<dyn Error>> {
    let disk = Disk::at(folder.join("cache")).budget(4 * GIB).block_cache(BLOCK_CACHE_BYTES);
    Ok(disk.open().await?)
}

fn round_of_ours(runtime: &Runtime, load: Load) -> Result<(f64, f64), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let values: Vec<_> = (0..load.keys).map(value_of).collect();
    let (keys, order) = (keys_of(load.keys)?, order(load));
    let mut disk = runtime.block_on(open(folder.path()))?;
    let call = OpContext::default();
    let mut failures = 0;
    let write = cpu_ns_each(keys.len(), || {
        runtime.block_on(async {
            for (key, value) in keys.iter().zip(&values) {
                let put = disk.put(key, value.clone(), Put::default(), &call).await;
                failures += usize::from(put.is_err());
            }
        });
    });
    let read_all = |disk: &DiskBackend| {
        runtime.block_on(async {
            let mut failures = 0;
            for at in &order {
                let got = black_box(disk.get(&keys[*at], &call).await);
                failures += usize::from(!matches!(got, Ok(Some(_))));
            }
            failures
        })
    };
    if load.is_reopened {
        runtime.block_on(disk.close())?;
        disk = runtime.block_on(open(folder.path()))?;
        failures += read_all(&disk);
    }
    let read = cpu_ns_each(order.len(), || failures += read_all(&disk));
    runtime.block_on(disk.close())?;
    if failures > 0 {
        return Err(format!("{failures} operations on the disk backend failed").into());
    }
    Ok((write, read))
}

fn open_fjall(folder: &Path) -> fjall::Result<(fjall::Keyspace, fjall::Database)> {
    let builder = fjall::Database::builder(folder.join("fjall")).cache_size(BLOCK_CACHE_BYTES);
    let database = builder.open()?;
    let entries = database.keyspace("entries", fjall::KeyspaceCreateOptions::default)?;
    Ok((entries, database))
}

fn round_of_fjall(load: Load) -> Result<(f64, f64), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let values: Vec<_> = (0..load.keys).map(value_of).collect();
    let (keys, order) = (keys_of(load.keys)?, order(load));
    let (mut entries, mut database) = open_fjall(folder.path())?;
    let mut failures = 0;
    let write = cpu_ns_each(keys.len(), || {
        for (key, value) in keys.iter().zip(&values) {
            failures += usize::from(entries.insert(key.as_str(), &value[..]).is_err());
        }
    });
    let read_all = |entries: &fjall::Keyspace| {
        let mut failures = 0;
        for at in &order {
            let got = black_box(entries.get(keys[*at].as_str()));
            failures += usize::from(!matches!(got, Ok(Some(_))));
        }
        failures
    };
    if load.is_reopened {
        drop((entries, database));
        (entries, database) = open_fjall(folder.path())?;
        failures += read_all(&entries);
    }
    let read = cpu_ns_each(order.len(), || failures += read_all(&entries));
    drop((entries, database));
    if failures > 0 {
        return Err(format!("{failures} operations on fjall failed").into());
    }
    Ok((write, read))
}

/// Wall seconds from opening a directory of a million entries to its first hit.
fn recovery(report: &mut Report, runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    progress("disk, recovery of 10^6 entries");
    let folder = tempfile::tempdir()?;
    let keys = keys_of(RECOVERED)?;
    let call = OpContext::default();
    let value = value_of(0).slice(..64);
    let seconds = runtime.block_on(async {
        let disk = open(folder.path()).await?;
        for key in &keys {
            disk.put(key, value.clone(), Put::default(), &call).await?;
        }
        disk.close().await?;
        drop(disk);
        let begun = Instant::now();
        let disk = open(folder.path()).await?;
        let first = disk.get(&keys[0], &call).await?;
        let seconds = begun.elapsed().as_secs_f64();
        disk.close().await?;
        first.ok_or("the first of a million entries is gone")?;
        Ok::<_, Box<dyn Error>>(seconds)
    })?;
    let bench = "recovery of 10^6 entries, opening to first hit";
    let place = Place { bar: None, group: "disk", bench, unit: "s wall" };
    Ok(report.line(&Line::count(place, vec![seconds]))?)
}
