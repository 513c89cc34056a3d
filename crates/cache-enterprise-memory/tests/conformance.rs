//! Store and tier keep the contracts of core.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Capacity, Clock, MIB};
use cache_enterprise_memory::{MemoryBackend, MemoryStore, StoreConfig};
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::conformance::local_store;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_backend_passes_the_backend_suite() {
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let tier = MemoryBackend::new(Capacity::bytes(256 * MIB)).with_clock(clock.clone());
        Fixture::new(Arc::new(tier)).clock(clock)
    })
    .await;
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
}

#[test]
fn the_memory_store_passes_the_store_suite() {
    for shards in [None, Some(1), Some(64)] {
        let report = local_store::run("memory", |capacity| {
            let mut config = StoreConfig::new(capacity);
            config.shards = shards;
            MemoryStore::new(config)
        });
        report.assert_passed();
    }
}
