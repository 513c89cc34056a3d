#![allow(clippy::unwrap_used)]

use super::*;
use cache_enterprise_core::tag;
use std::time::Duration;

fn open(directory: &Path) -> EpochLog {
    EpochLog::open(directory, Clock::manual()).unwrap()
}

fn tag_epoch(record: &EpochRecord, name: &str) -> Option<Sequence> {
    let wanted = EpochTarget::Tag(tag!("{name}"));
    record.epochs.iter().find(|(target, _)| *target == wanted).map(|(_, epoch)| *epoch)
}

#[test]
fn numbers_only_rise_and_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let first = log.load("m", "t", Sequence::ZERO).unwrap();
    let raised = log.raise("m", "t", &[EpochTarget::Tag(tag!("a"))], first.sequence).unwrap();
    assert!(raised > first.sequence);
    log.reserve("m", "t", Sequence(raised.0 + 1_000)).unwrap();
    drop(log);
    let again = open(folder.path()).load("m", "t", Sequence::ZERO).unwrap();
    assert!(again.sequence.0 > raised.0 + 1_000);
    assert_eq!(again.floor, first.floor);
    assert_eq!(tag_epoch(&again, "a"), Some(raised));
}

#[test]
fn everything_reaches_tenants_that_are_loaded_later() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.load("m", "early", Sequence::ZERO).unwrap();
    log.load("m", "other", Sequence::ZERO).unwrap();
    let at = log.raise("m", "early", &[EpochTarget::Everything], Sequence::ZERO).unwrap();
    for tenant in ["early", "other", "late"] {
        let record = log.load("m", tenant, Sequence::ZERO).unwrap();
        assert!(record.floor >= at && record.sequence > at, "tenant {tenant}");
    }
    let elsewhere = log.load("another manager", "early", Sequence::ZERO).unwrap();
    assert!(elsewhere.epochs.is_empty());
}

#[test]
fn everything_is_raised_above_what_every_tenant_of_the_manager_has_reached() {
    for everything in [EpochTarget::Everything, EpochTarget::Everything.soft()] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        let first = log.load("m", "early", Sequence::ZERO).unwrap().sequence;
        let reserved = |ahead| Sequence(first.0 + ahead);
        log.reserve("m", "other", reserved(1_000)).unwrap();
        log.reserve("another manager", "other", reserved(1_000_000)).unwrap();
        let at =
            log.raise("m", "early", std::slice::from_ref(&everything), Sequence::ZERO).unwrap();
        assert!(at > reserved(1_000) && at < reserved(1_000_000), "{everything:?}");
        let tenant = log.raise("m", "other", &[EpochTarget::Tenant], Sequence::ZERO).unwrap();
        assert_eq!(tenant, Sequence(at.0 + 1), "one tenant needs no more");
    }
}

#[test]
fn a_frame_cut_short_is_forgotten_and_damage_before_it_starts_every_tenant_cold() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let first = log.load("m", "t", Sequence::ZERO).unwrap();
    let kept = log.raise("m", "t", &[EpochTarget::Tag(tag!("a"))], first.sequence).unwrap();
    let lost = log.raise("m", "t", &[EpochTarget::Tag(tag!("b"))], kept).unwrap();
    drop(log);
    let path = folder.path().join("epochs.log");
    let bytes = std::fs::read(&path).unwrap();

    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let record = open(folder.path()).load("m", "t", Sequence::ZERO).unwrap();
    assert_eq!((tag_epoch(&record, "a"), tag_epoch(&record, "b")), (Some(kept), None));
    assert_eq!(record.floor, first.floor);

    let mut flipped = bytes;
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let record = open(folder.path()).load("m", "t", lost).unwrap();
    assert!(record.floor > kept && record.floor <= record.sequence);
}

#[test]
fn a_frame_whose_length_was_damaged_is_no_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (open(folder.path()), folder.path().join("epochs.log"));
    let mut newest = log.load("m", "t", Sequence::ZERO).unwrap().sequence;
    let frame = std::fs::read(&path).unwrap().len();
    for name in ["a", "b", "c"] {
        newest = log.raise("m", "t", &[EpochTarget::Tag(tag!("{name}"))], newest).unwrap();
    }
    drop(log);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[frame + 3] ^= 0x40;
    std::fs::write(&path, &bytes).unwrap();
    let later = Clock::manual();
    later.advance(Duration::from_secs(1));
    let log = EpochLog::open(folder.path(), later).unwrap();
    assert!(log.load("m", "t", Sequence::ZERO).unwrap().floor > newest);
}

#[test]
fn the_log_stays_small_and_its_targets_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let mut newest = log.load("m", "t", Sequence::ZERO).unwrap().sequence;
    let tags = |range: std::ops::Range<u32>| -> Vec<_> {
        range.map(|number| EpochTarget::Tag(tag!("{number}"))).collect()
    };
    newest = log.raise("m", "t", &tags(0..70_000), newest).unwrap();
    newest = log.raise("m", "t", &tags(70_000..140_000), newest).unwrap();
    let record = log.load("m", "t", newest).unwrap();
    assert!(record.epochs.len() <= TARGETS_MAX);
    assert!(record.epochs.iter().all(|(_, epoch)| *epoch > record.floor));
    drop(log);
    assert_eq!(open(folder.path()).load("m", "t", newest).unwrap().floor, record.floor);
}
