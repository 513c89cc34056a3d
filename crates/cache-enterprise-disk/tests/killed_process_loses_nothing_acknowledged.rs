//! A process that puts and removes at random is killed again and again: everything it
//! acknowledged is there, and no value is torn.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};

use cache_enterprise_core::{Backend, MIB, OpContext, Put, Sequence};
use cache_enterprise_disk::Disk;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{child, child_role, key, say, value};

const ROUNDS: u64 = 12;
const KEYS: u64 = 400;
/// A front is 2 MiB, so one is copied about every second round; all rounds together write less
/// than the 28 MiB from which on old entries are dropped.
const BUDGET: u64 = 32 * MIB;
const OPERATIONS: u64 = 1_500;

/// What operation `step` of a round does: a key, and the seed and length of its value or none.
fn operation(round: u64, step: u64) -> (u64, Option<(u64, usize)>) {
    let mut random = StdRng::seed_from_u64(round << 32 | step);
    let number = random.random_range(0..KEYS);
    let is_put = random.random_ratio(9, 10);
    (number, is_put.then(|| (round << 32 | step, random.random_range(1..5_000))))
}

async fn write_until_killed(disk: Disk, round: u64) {
    let disk = disk.open().await.unwrap();
    for step in 0..OPERATIONS {
        let (number, put) = operation(round, step);
        say(&format!("doing {step}"));
        let context = OpContext::default();
        match put {
            Some((seed, length)) => {
                let value = value(seed, length);
                disk.put(&key(number), value, Put::default(), &context).await.unwrap();
            }
            None => {
                disk.remove(&key(number), Sequence::ZERO, &context).await.unwrap();
            }
        }
        say(&format!("done {step}"));
    }
    std::future::pending::<()>().await;
}

/// Runs a round and kills it at a random step. Gives the last step acknowledged, and the one
/// that was under way.
fn killed_round(directory: &std::path::Path, round: u64) -> (Option<u64>, Option<u64>) {
    let story = "killed_process_loses_nothing_acknowledged";
    let mut running = child(story, directory, round, "").spawn().unwrap();
    let kill_at = StdRng::seed_from_u64(round).random_range(1..OPERATIONS);
    let (mut done, mut doing) = (None, None);
    let lines = BufReader::new(running.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let step = |word: &str| line.split_once(word).and_then(|(_, step)| step.parse().ok());
        if let Some(step) = step("doing ") {
            doing = Some(step);
            if step == kill_at {
                running.kill().unwrap();
            }
        } else if let Some(step) = step("done ") {
            (done, doing) = (Some(step), None);
        }
    }
    running.wait().unwrap();
    (done, doing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_loses_nothing_acknowledged() {
    if let Some((directory, round)) = child_role() {
        return write_until_killed(Disk::at(directory).budget(BUDGET), round).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut expected: HashMap<u64, Option<(u64, usize)>> = HashMap::new();
    let mut operations = 0;
    for round in 1..=ROUNDS {
        let (done, doing) = killed_round(folder.path(), round);
        let done_count = done.map_or(0, |step| step + 1);
        operations += done_count;
        for (number, put) in (0..done_count).map(|step| operation(round, step)) {
            expected.insert(number, put);
        }
        let under_way = doing.map(|step| operation(round, step));

        let disk = Disk::at(folder.path()).budget(BUDGET).open().await.unwrap();
        for number in 0..KEYS {
            let found = disk.get(&key(number), &OpContext::default()).await.unwrap();
            let is = |put: Option<(u64, usize)>| found == put.map(|(seed, len)| value(seed, len));
            let acknowledged = expected.get(&number).copied().flatten();
            let unacknowledged = under_way.filter(|(under_way, _)| *under_way == number);
            match unacknowledged {
                Some((_, put)) if is(put) => {
                    expected.insert(number, put);
                }
                _ => assert!(is(acknowledged), "key {number} after round {round}"),
            }
        }
        assert_eq!(disk.stats().corrupt, 0);
        disk.close().await.unwrap();
    }
    assert!(operations > ROUNDS * 20, "only {operations} operations were acknowledged");
}
