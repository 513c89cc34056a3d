//! Files cannot grow any more: writes answer an error, reads go on, health says so. When there is
//! room again, what was acknowledged is there and writing works.
//!
//! The limit on file sizes stands in for a full disk: both fail in the middle of a write, and the
//! limit is there on every Unix machine.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use cache_enterprise_core::{Backend, BackendHealth, ErrorKind, MIB, OpContext, Put};
use cache_enterprise_disk::Disk;
use support::{child, child_role, key, say, value};

const BUDGET: u64 = 256 * MIB;
const LENGTH: usize = 10_000;

async fn write_until_full(disk: Disk) {
    let disk = disk.open().await.unwrap();
    let context = OpContext::default();
    let mut stored = 0;
    let failure = loop {
        let put = value(stored, LENGTH);
        match disk.put(&key(stored), put, Put::default(), &context).await {
            Ok(_) => stored += 1,
            Err(failure) => break failure,
        }
        assert!(stored < 1_000, "10 MB were written within a limit of 1 MiB");
    };
    assert_eq!(failure.kind(), ErrorKind::Io, "{failure:?}");
    assert!(matches!(disk.health().await, BackendHealth::Degraded(_)));

    let later = disk.put(&key(stored), value(0, 10), Put::default(), &context).await;
    assert!(matches!(later.unwrap_err().kind(), ErrorKind::Unavailable | ErrorKind::Io));
    assert_eq!(disk.get(&key(stored), &context).await.unwrap(), None);
    for number in 0..stored {
        let found = disk.get(&key(number), &context).await.unwrap();
        assert_eq!(found, Some(value(number, LENGTH)));
    }
    say(&format!("stored {stored}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_stops_writes_and_not_reads() {
    if let Some((directory, _)) = child_role() {
        return write_until_full(Disk::at(directory).budget(BUDGET)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::at(folder.path()).budget(BUDGET);
    disk.clone().open().await.unwrap().close().await.unwrap();

    // Blocks of 512 bytes; an ignored signal stays ignored in the program that follows.
    let limits = "trap '' XFSZ; ulimit -f 2048;";
    let other =
        child("full_disk_stops_writes_and_not_reads", folder.path(), 0, limits).output().unwrap();
    let said = String::from_utf8(other.stdout).unwrap();
    let errors = String::from_utf8(other.stderr).unwrap();
    assert!(other.status.success(), "{said}\n{errors}");
    let stored = said.lines().find_map(|line| line.strip_prefix("stored ")).unwrap();
    let stored: u64 = stored.parse().unwrap();
    assert!(stored > 10);

    let again = disk.open().await.unwrap();
    let context = OpContext::default();
    for number in 0..stored {
        let found = again.get(&key(number), &context).await.unwrap();
        assert_eq!(found, Some(value(number, LENGTH)), "entry {number} of {stored}");
    }
    assert_eq!(again.health().await, BackendHealth::Up);
    again.put(&key(stored), value(1, LENGTH), Put::default(), &context).await.unwrap();
}
