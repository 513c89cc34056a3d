//! What cases ask of a record, and the words for targets.

use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochRecord, EpochTarget, Sequence};
use cache_enterprise_core::{Pattern, Tag, tag};
use tokio::task::JoinSet;

use super::Fixture;
use crate::conformance::case::{Failure, Verdict, ensure};

pub(super) fn tag(name: &str) -> EpochTarget {
    EpochTarget::Tag(tag!("{name}"))
}

pub(super) fn pattern(cache: &str, text: &str) -> EpochTarget {
    let pattern = Pattern::new(text).expect("the suite's patterns are well-formed");
    EpochTarget::Pattern(Tag::from(cache), Arc::new(pattern))
}

pub(super) fn cache(name: &str) -> EpochTarget {
    EpochTarget::Cache(Tag::from(name))
}

/// The epoch that an entry of `target` is compared with.
pub(super) fn effective(record: &EpochRecord, target: &EpochTarget) -> Sequence {
    let applies = |known: &EpochTarget| {
        known == target || matches!(known, EpochTarget::Tenant | EpochTarget::Everything)
    };
    let epochs = record.epochs.iter().filter(|(known, _)| applies(known));
    epochs.map(|(_, epoch)| *epoch).fold(record.floor, Sequence::max)
}

/// Whether what is older than `at` is past its fresh life, be it ended softly or hard.
pub(super) fn is_ended(record: &EpochRecord, target: &EpochTarget, at: Sequence) -> bool {
    let applies = [target.clone(), EpochTarget::Tenant, EpochTarget::Everything];
    let soft = record
        .epochs
        .iter()
        .filter(|(known, _)| applies.iter().any(|target| *known == target.clone().soft()));
    let newest = soft.map(|(_, epoch)| *epoch).fold(effective(record, target), Sequence::max);
    newest >= at
}

pub(super) async fn expect_epoch(
    fixture: &Fixture,
    tenant: &str,
    target: &EpochTarget,
    at_least: Sequence,
) -> Verdict {
    let found = effective(&fixture.load(tenant, Sequence::ZERO).await?, target);
    ensure!(
        found >= at_least,
        "epoch of {target:?} of {tenant:?} is {found}, raised to {at_least}"
    );
    Ok(())
}

pub(super) async fn expect_below(
    fixture: &Fixture,
    tenant: &str,
    target: &EpochTarget,
    raised: Sequence,
) -> Verdict {
    let found = effective(&fixture.load(tenant, Sequence::ZERO).await?, target);
    ensure!(found < raised, "{target:?} of {tenant:?} was raised along with another target");
    Ok(())
}

/// Raises `count` tags from tasks of their own.
pub(super) async fn raise_at_once(
    fixture: &Fixture,
    count: u64,
) -> Result<Vec<(EpochTarget, Sequence)>, Failure> {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let store = Arc::clone(&fixture.store);
        tasks.spawn(async move {
            let target = tag(&format!("tag:{number}"));
            let targets = std::slice::from_ref(&target);
            let raised = store.raise("suite", "acme", targets, Sequence::ZERO).await;
            raised.map(|number| (target, number))
        });
    }
    Ok(tasks.join_all().await.into_iter().collect::<Result<_, _>>()?)
}

pub(super) async fn expect_all(fixture: &Fixture, raised: &[(EpochTarget, Sequence)]) -> Verdict {
    let record = fixture.load("acme", Sequence::ZERO).await?;
    for (target, number) in raised {
        ensure!(effective(&record, target) >= *number, "{target:?} is below its {number}");
        ensure!(record.sequence > *number, "the counter is at {}", record.sequence);
    }
    Ok(())
}
