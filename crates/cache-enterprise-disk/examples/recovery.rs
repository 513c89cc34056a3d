//! How long until the first hit after reopening: fills a directory, ends without closing as a
//! killed process would leave it, opens it in another process and prints one line of JSON.
//!
//! `cargo run --release -p cache-enterprise-disk --example recovery -- 1000000 256`
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cache_enterprise_core::{Backend, Error, GIB, KeySpace, OpContext, Put, Result, StoredKey};
use cache_enterprise_disk::{Disk, directory_bytes};

fn key(number: u64) -> Result<StoredKey> {
    KeySpace::new("bench", "", "recovery")?.key(&number)
}

async fn fill(directory: &Path, entries: u64, length: usize) -> Result<()> {
    let disk = Disk::at(directory).budget(4 * GIB).open().await?;
    let value: Vec<u8> = (0..length).map(|at| (at * 37 % 251) as u8).collect();
    for number in 0..entries {
        let value = value.clone().into();
        disk.put(&key(number)?, value, Put::default(), &OpContext::default()).await?;
    }
    // No close and no drop: what a kill leaves is what is opened next.
    std::process::exit(0);
}

async fn first_hit(directory: &Path, entries: u64, length: usize) -> Result<()> {
    let started = Instant::now();
    let disk = Disk::at(directory).budget(4 * GIB).open().await?;
    let opened = started.elapsed();
    let oldest = disk.get(&key(0)?, &OpContext::default()).await?;
    let hit = started.elapsed();
    let newest = disk.get(&key(entries - 1)?, &OpContext::default()).await?;
    let is_whole = oldest.is_some() && newest.is_some();
    println!(
        "{{\"entries\":{entries},\"value_bytes\":{length},\"directory_bytes\":{},\
         \"open_ms\":{:.1},\"first_hit_ms\":{:.1},\"oldest_and_newest_there\":{is_whole}}}",
        directory_bytes(directory)?,
        opened.as_secs_f64() * 1_000.0,
        hit.as_secs_f64() * 1_000.0,
    );
    disk.close().await
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let number = |text: Option<String>, default: u64| match text {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Error::invalid("give numbers: ENTRIES BYTES")),
    };
    let entries = number(arguments.next(), 1_000_000)?.max(1);
    let length = number(arguments.next(), 256)? as usize;
    if let Some(directory) = arguments.next() {
        return fill(Path::new(&directory), entries, length).await;
    }
    let folder = tempfile::tempdir()?;
    let filled = Command::new(std::env::current_exe()?)
        .args([entries.to_string(), length.to_string()])
        .arg(folder.path())
        .status()?;
    if !filled.success() {
        return Err(Error::invalid("filling the directory failed"));
    }
    first_hit(folder.path(), entries, length).await
}
