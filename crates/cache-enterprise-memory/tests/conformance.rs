//! Store and tier keep the contracts of core.
#![allow(clippy::unwrap_used)]

mod strategies;

use std::sync::Arc;

use cache_enterprise_core::{Capacity, Clock, KIB, MIB};
use cache_enterprise_memory::{HybridBackend, MemoryBackend, StoreConfig};
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::conformance::local_store;

use strategies::{Strategy, one_of_each_kind, strategies};

/// Strategies that turn newcomers away.
const SELECTIVE: [&str; 3] = ["w-tinylfu", "adaptive", "learned"];

/// More than a quarter of a tier of 256 MiB.
const TOO_LARGE: usize = 65 * MIB as usize;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_backend_passes_the_backend_suite() {
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let tier = MemoryBackend::new(Capacity::bytes(256 * MIB)).with_clock(clock.clone());
        Fixture::new(Arc::new(tier)).clock(clock).too_large(TOO_LARGE)
    })
    .await;
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hybrid_passes_the_backend_suite() {
    for front in [256 * MIB, 64 * KIB] {
        let report = backend::run(|| async {
            let clock = Clock::manual();
            let tier = |bytes| MemoryBackend::new(Capacity::bytes(bytes));
            let back = Arc::new(tier(256 * MIB).with_clock(clock.clone()));
            let hybrid = HybridBackend::new(tier(front).with_clock(clock.clone()), back);
            // A front too small for a value's whole stay promotes only what is read again.
            let reads = if front == 256 * MIB { 1 } else { u32::MAX };
            Fixture::new(Arc::new(hybrid.promote_after(reads))).clock(clock).too_large(TOO_LARGE)
        })
        .await;
        report.assert_passed();
    }
}

#[test]
fn every_store_passes_the_store_suite_with_few_shards_and_many() {
    for strategy in one_of_each_kind() {
        for shards in [None, Some(1), Some(64)] {
            pass_the_store_suite(&strategy, shards);
        }
    }
}

#[test]
fn the_store_passes_its_suite_under_every_policy() {
    strategies().iter().for_each(|strategy| pass_the_store_suite(strategy, None));
}

fn pass_the_store_suite(strategy: &Strategy, shards: Option<usize>) {
    let open = |capacity| {
        let mut config = StoreConfig::new(capacity);
        config.shards = shards;
        strategy.open(config)
    };
    let report = if SELECTIVE.contains(&strategy.name()) {
        local_store::run_selective(strategy.name(), open)
    } else {
        local_store::run(strategy.name(), open)
    };
    report.assert_passed();
}
