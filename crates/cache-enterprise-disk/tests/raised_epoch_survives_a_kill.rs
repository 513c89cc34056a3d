//! A tag is invalidated, the process is killed at once: the epoch and every number are there.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};

use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::tag;
use cache_enterprise_disk::Disk;
use support::{child, child_role, say};

async fn raise_and_say(disk: Disk, above: Sequence) {
    let disk = disk.open().await.unwrap();
    let start = disk.load("shop", "acme", above).await.unwrap();
    disk.reserve("shop", "acme", Sequence(start.sequence.0 + 500)).await.unwrap();
    let target = [EpochTarget::Tag(tag!("org:7"))];
    let raised = disk.raise("shop", "acme", &target, start.sequence).await.unwrap();
    say(&format!("raised {raised}"));
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raised_epoch_survives_a_kill() {
    if let Some((directory, above)) = child_role() {
        return raise_and_say(Disk::at(directory), Sequence(above)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut newest = Sequence::ZERO;
    for _ in 0..5 {
        let mut running =
            child("raised_epoch_survives_a_kill", folder.path(), newest.0, "").spawn().unwrap();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let raised = lines
            .map_while(Result::ok)
            .find_map(|line| Some(Sequence(line.strip_prefix("raised ")?.parse().unwrap())))
            .unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(raised > newest);

        let disk = Disk::at(folder.path()).open().await.unwrap();
        let record = disk.load("shop", "acme", Sequence::ZERO).await.unwrap();
        assert!(record.sequence > raised);
        assert!(record.epochs.contains(&(EpochTarget::Tag(tag!("org:7")), raised)));
        newest = record.sequence;
    }
}
