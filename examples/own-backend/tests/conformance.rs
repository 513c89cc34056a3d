//! The whole conformance suite: what it takes to be a tier.

use std::sync::Arc;

use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use own_backend::MapBackend;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_passes_the_backend_suite() {
    let report = backend::run(|| async { Fixture::new(Arc::new(MapBackend::default())) }).await;
    report.assert_passed();
    assert!(report.ran() >= 60, "{report}");
}
