//! A key that one process sets a thousand times in a second costs the shared tier few reads,
//! however many processes hold it: a small value comes along with its notice, and a notice alone
//! makes nobody read.

use std::sync::Arc;

use cache_enterprise_core::ms;
use cache_enterprise_testkit::chaos::{ChaosBackend, Operation};
use tokio::task::JoinSet;

use super::{Fleet, Process, builder};

const PROCESSES: u64 = 20;
const HOT: u64 = 1;

/// A process and its client of the shared tier, which counts the reads.
struct Counted {
    process: Process,
    tier: Arc<ChaosBackend>,
}

impl Counted {
    async fn new(fleet: &Fleet) -> Self {
        let epochs = fleet.epochs.another();
        let (tier, level) = fleet.chaotic_tier(&epochs);
        let begun = builder(fleet.clock.clone());
        let process = fleet.pushing_over(begun, level.bare(), epochs, &fleet.bus).await;
        Self { process, tier }
    }

    fn reads(&self) -> u64 {
        self.tier.calls(Operation::Get)
    }
}

/// Twenty processes, the first of which has set the key.
async fn twenty(fleet: &Fleet) -> Vec<Counted> {
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(Counted::new(fleet).await);
    }
    processes[0].process.set(HOT, 0).await;
    processes
}

/// The first process sets the key once a millisecond for a second; every ten milliseconds `readers`
/// read it.
async fn a_second_of_sets(fleet: &Fleet, processes: &[Counted], readers: &[Counted]) {
    let mut sets = JoinSet::new();
    for value in 1..=1_000_u64 {
        let cache = processes[0].process.cache.clone();
        sets.spawn(async move { cache.set(&HOT, value).await });
        fleet.clock.advance(ms(1));
        tokio::time::advance(ms(1)).await;
        processes.iter().for_each(|one| one.process.manager.tick());
        if value % 10 == 0 {
            for reader in readers {
                assert!(reader.process.get(HOT).await.is_some(), "it was set before");
            }
        }
    }
    sets.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn who_holds_it_takes_what_came_along() {
    let fleet = Fleet::new();
    let processes = twenty(&fleet).await;
    for one in &processes {
        assert_eq!(one.process.get(HOT).await, Some(0));
    }
    a_second_of_sets(&fleet, &processes, &processes[1..]).await;
    let reads: u64 = processes.iter().map(Counted::reads).sum();
    assert!(reads <= PROCESSES * 10, "{reads} reads of {PROCESSES} processes");
    for one in &processes {
        one.process.heard("the last value", || one.process.peek(HOT) == Some(1_000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hold_it_reads_nothing() {
    let fleet = Fleet::new();
    let processes = twenty(&fleet).await;
    a_second_of_sets(&fleet, &processes, &[]).await;
    for one in &processes[1..] {
        let heard = || one.process.manager.bus_stats().unwrap().heard > 0;
        one.process.heard("the notices", heard).await;
        assert_eq!((one.reads(), one.process.peek(HOT)), (0, None));
    }
}
