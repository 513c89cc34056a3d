//! The disk backend keeps the contracts of `Backend` and `EpochStore`, reopening included.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Clock, MIB};
use cache_enterprise_disk::Disk;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::conformance::epoch_store;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_backend_passes_the_backend_suite() {
    let report = backend::run(|| async {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let clock = Clock::manual();
        let disk = Disk::at(folder.path()).budget(64 * MIB).clock(clock.clone());
        let reopened = disk.clone();
        Fixture::new(disk.open().await.unwrap()).clock(clock).reopen(move || {
            let (disk, folder) = (reopened.clone(), Arc::clone(&folder));
            async move {
                let again = disk.open().await.unwrap();
                drop(folder);
                again as _
            }
        })
    })
    .await;
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
    assert_eq!(report.not_claimed(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_backend_passes_the_epoch_store_suite() {
    let report = epoch_store::run(|| async {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let disk = Disk::at(folder.path()).budget(16 * MIB);
        let reopened = disk.clone();
        let opened = disk.open().await.unwrap();
        epoch_store::Fixture::new(opened).keep(Arc::clone(&folder)).reopen(move || {
            let disk = reopened.clone();
            async move { disk.open().await.unwrap() as _ }
        })
    })
    .await;
    report.assert_passed();
    // All but what is asked of stores that several processes share.
    assert!(report.ran() >= 37, "only {} cases ran", report.ran());
}
