//! An entry is a miss at its exact millisecond, and the sweep frees what expired in bounded
//! rounds without touching what lives or uncovering what was replaced.
#![allow(clippy::unwrap_used)]

mod support;

use cache_enterprise_core::{Backend, Clock, MIB, OpContext, Put, ms, secs};
use cache_enterprise_disk::Disk;
use support::{key, value};

const ENTRIES: u64 = 4_000;
const LENGTH: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_entries_give_their_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    let disk = Disk::at(folder.path()).budget(32 * MIB).clock(clock.clone());
    let disk = disk.open().await.unwrap();
    let context = OpContext::default();
    let put = async |number: u64, seed: u64, ttl| {
        let how = Put { ttl, ..Put::default() };
        disk.put(&key(number), value(seed, LENGTH), how, &context).await.unwrap();
    };
    // One in eight lives on; the lasting first values of the others are replaced by short ones.
    for number in 0..ENTRIES {
        put(number, number, None).await;
    }
    for number in 0..ENTRIES {
        let ttl = if number % 8 == 0 { None } else { Some(secs(60)) };
        put(number, ENTRIES + number, ttl).await;
    }
    clock.advance(secs(60) - ms(1));
    assert!(disk.get(&key(1), &context).await.unwrap().is_some());
    clock.advance(ms(1));
    assert_eq!(disk.get(&key(1), &context).await.unwrap(), None);

    let before = disk.stats().bytes;
    let mut freed = 0;
    for _ in 0..100 {
        freed += disk.sweep().await.unwrap();
    }
    let after = disk.stats().bytes;
    assert!(freed > 2 * MIB, "{freed} bytes were freed");
    assert!(after + freed <= before + MIB, "{before} - {freed} is not {after}");
    for number in 0..ENTRIES {
        let found = disk.get(&key(number), &context).await.unwrap();
        let lives = number % 8 == 0;
        assert_eq!(found, lives.then(|| value(ENTRIES + number, LENGTH)), "entry {number}");
    }
}
