//! After writing ten times the budget the directory is within a quarter above it, at every
//! moment, and the newest half of the budget is readable; also after reopening.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use cache_enterprise_core::{Backend, MIB, OpContext, Put};
use cache_enterprise_disk::{Disk, DiskBackend, directory_bytes};
use support::{key, value};

const BUDGET: u64 = 16 * MIB;

fn length(number: u64) -> usize {
    200 + usize::try_from(number % 97).unwrap() * 180
}

fn assert_within_budget(disk: &DiskBackend) {
    let bytes = directory_bytes(disk.directory()).unwrap();
    assert!(bytes <= BUDGET / 4 * 5, "{bytes} bytes of a budget of {BUDGET}");
}

/// The other way to count: at rest no file has holes.
fn lengths_under(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let length = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        about if about.is_dir() => lengths_under(&entry.path()),
        about => about.len(),
    };
    entries.map(length).sum()
}

async fn assert_newest_half(disk: &DiskBackend, newest: u64) {
    let mut bytes = 0;
    for number in (0..=newest).rev() {
        let found = disk.get(&key(number), &OpContext::default()).await.unwrap();
        assert!(found == Some(value(number, length(number))), "entry {number} of {newest}");
        bytes += u64::try_from(length(number)).unwrap();
        if bytes >= BUDGET / 2 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_budget_stays_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::at(folder.path()).budget(BUDGET);
    let open = disk.clone().open().await.unwrap();
    let (mut written, mut number) = (0, 0);
    while written < 10 * BUDGET {
        let bytes = value(number, length(number));
        written += bytes.len() as u64;
        open.put(&key(number), bytes, Put::default(), &OpContext::default()).await.unwrap();
        if number % 500 == 0 {
            assert_within_budget(&open);
        }
        number += 1;
    }
    assert_within_budget(&open);
    assert_newest_half(&open, number - 1).await;
    assert!(open.stats().dropped_generations > 0);
    open.close().await.unwrap();
    let lengths = lengths_under(folder.path());
    assert!(lengths <= BUDGET / 4 * 5, "files of {lengths} bytes in length");

    let again = disk.open().await.unwrap();
    assert_newest_half(&again, number - 1).await;
    assert_within_budget(&again);
}
