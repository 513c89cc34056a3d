//! Where the directory should be lies something else. For a manager that is no failure: the level
//! is down, and opens by itself once the directory can be made.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use cache_enterprise_core::coherence::Sequence;
use cache_enterprise_core::{
    BackendHealth, BackendSource, Clock, ErrorKind, MIB, OpContext, OpenedBackend, Put,
};
use cache_enterprise_disk::Disk;
use support::{key, value};

async fn source(disk: Disk, clock: &Clock) -> cache_enterprise_core::Result<OpenedBackend> {
    let source: Box<dyn BackendSource> = Box::new(disk);
    source.open(clock).await
}

#[tokio::test]
async fn unusable_directory_opens_later() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("var");
    std::fs::write(&in_the_way, "a file").unwrap();
    let disk = Disk::at(in_the_way.join("cache")).budget(16 * MIB);
    assert_eq!(disk.clone().open().await.unwrap_err().kind(), ErrorKind::Io);

    let (clock, context) = (Clock::manual(), OpContext::default());
    let opened = source(disk.clone(), &clock).await.unwrap();
    let (backend, epochs) = (opened.backend, opened.epochs.unwrap());
    let (capabilities, name) = (backend.capabilities(), backend.name().to_owned());
    let failure = backend.get(&key(1), &context).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Unavailable);
    assert!(failure.to_string().starts_with("get: "), "{failure}");
    assert!(epochs.load("shop", "acme", Sequence::ZERO).await.is_err());
    let BackendHealth::Down(why) = backend.health().await else { panic!("it is not open") };
    assert!(why.contains("cannot read or write the cache directory"), "{why}");

    std::fs::remove_file(&in_the_way).unwrap();
    assert!(backend.get(&key(1), &context).await.is_err(), "the pause is not over");
    clock.advance(Duration::from_secs(1));
    assert_eq!(backend.get(&key(1), &context).await.unwrap(), None);
    assert_eq!(backend.health().await, BackendHealth::Up);
    backend.put(&key(1), value(1, 100), Put::default(), &context).await.unwrap();
    assert!(epochs.load("shop", "acme", Sequence::ZERO).await.is_ok());
    backend.close().await.unwrap();
    assert_eq!(backend.get(&key(1), &context).await.unwrap_err().kind(), ErrorKind::Closed);

    let again = source(disk, &clock).await.unwrap().backend;
    assert_eq!(again.get(&key(1), &context).await.unwrap(), Some(value(1, 100)));
    assert_eq!((again.capabilities(), again.name()), (capabilities, name.as_str()));
}

#[tokio::test]
async fn closing_ends_the_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("var");
    std::fs::write(&in_the_way, "a file").unwrap();
    let disk = Disk::at(in_the_way.join("cache")).budget(16 * MIB);
    let clock = Clock::manual();
    let backend = source(disk, &clock).await.unwrap().backend;
    backend.close().await.unwrap();
    std::fs::remove_file(&in_the_way).unwrap();
    clock.advance(Duration::from_secs(60));
    let failure = backend.get(&key(1), &OpContext::default()).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Closed);
    assert!(!in_the_way.exists());
}

#[tokio::test]
async fn what_only_a_person_can_mend_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    let too_small = source(Disk::at(folder.path()).budget(1), &clock).await.unwrap_err();
    assert_eq!(too_small.kind(), ErrorKind::Config);
    let _first = source(Disk::at(folder.path()), &clock).await.unwrap();
    let second = source(Disk::at(folder.path()), &clock).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
}
