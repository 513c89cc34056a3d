//! Bits flip in every file of the store: a get gives the value that was put or an error that is
//! counted, and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use cache_enterprise_core::{Backend, ErrorKind, MIB, OpContext, Put};
use cache_enterprise_disk::Disk;
use support::{key, value};

const ENTRIES: u64 = 3_000;
const LENGTH: usize = 1_500;

/// Flips a bit in every 50 000th byte of the tables, the first and last 10 000 bytes excepted:
/// there lies the index, whose damage is found when the directory is opened.
fn flip_bits_under(path: &Path) -> usize {
    let mut flipped = 0;
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            flipped += flip_bits_under(&path);
        } else if path.parent().unwrap().ends_with("tables") {
            let mut bytes = std::fs::read(&path).unwrap();
            let end = bytes.len().saturating_sub(10_000);
            for at in (10_000..end).step_by(50_000) {
                bytes[at] ^= 4;
                flipped += 1;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    flipped
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bit_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::at(folder.path()).budget(16 * MIB);
    let open = disk.clone().open().await.unwrap();
    let context = OpContext::default();
    for number in 0..ENTRIES {
        open.put(&key(number), value(number, LENGTH), Put::default(), &context).await.unwrap();
    }
    open.close().await.unwrap();
    let flipped = flip_bits_under(folder.path());
    assert!(flipped > 20, "only {flipped} bits were flipped");

    let again = disk.open().await.unwrap();
    let mut damaged = 0;
    for number in 0..ENTRIES {
        match again.get(&key(number), &context).await {
            Ok(found) => assert_eq!(found, Some(value(number, LENGTH)), "entry {number}"),
            Err(failure) => {
                assert_eq!(failure.kind(), ErrorKind::Corrupt, "{failure:?}");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    assert_eq!(again.stats().corrupt, damaged);

    let put = again.put(&key(0), value(1, LENGTH), Put::default(), &context).await;
    put.unwrap();
    assert_eq!(again.get(&key(0), &context).await.unwrap(), Some(value(1, LENGTH)));
}
