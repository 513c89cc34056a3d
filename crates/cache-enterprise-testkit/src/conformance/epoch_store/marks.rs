//! Marks: equal while nothing was invalidated, never equal afterwards; and what changed since one.

use std::collections::HashSet;

use cache_enterprise_core::coherence::{EpochMark, EpochTarget, Sequence};

use super::records::{cache, effective, is_ended, tag};
use super::{Fixture, Need, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Shared] => [
        a_mark_stays_while_nothing_happens,
        a_raise_of_any_target_changes_the_mark,
        everything_changes_the_mark_of_every_tenant,
        no_mark_comes_again,
        since_tells_what_was_raised,
        since_an_unknown_mark_tells_everything,
    ]
    needs [Need::Shared, Need::Another] => [
        a_raise_of_one_client_changes_the_mark_of_the_other,
    ]
}

async fn a_mark_stays_while_nothing_happens(fixture: Fixture) -> Verdict {
    let loaded = fixture.load("acme", Sequence::ZERO).await?.mark;
    for _ in 0..3 {
        ensure_eq!(fixture.mark("acme").await?, loaded, "the mark of an unchanged record");
    }
    let again = fixture.load("acme", Sequence::ZERO).await?.mark;
    ensure_eq!(again, loaded, "the mark of a second load");
    Ok(())
}

async fn a_raise_of_any_target_changes_the_mark(fixture: Fixture) -> Verdict {
    let mut before = fixture.load("acme", Sequence::ZERO).await?.mark;
    for hard in [tag("org"), cache("users"), EpochTarget::Tenant, EpochTarget::Everything] {
        for target in [hard.clone(), hard.soft()] {
            fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
            let after = fixture.mark("acme").await?;
            ensure!(after != before, "{target:?} was raised and the mark is the same");
            before = after;
        }
    }
    Ok(())
}

async fn everything_changes_the_mark_of_every_tenant(fixture: Fixture) -> Verdict {
    for target in [EpochTarget::Everything, EpochTarget::Everything.soft()] {
        let mut before = Vec::new();
        for tenant in ["one", "two", ""] {
            before.push((tenant, fixture.load(tenant, Sequence::ZERO).await?.mark));
        }
        fixture.raise("acme", target, Sequence::ZERO).await?;
        for (tenant, before) in before {
            let after = fixture.mark(tenant).await?;
            ensure!(after != before, "everything was raised and {tenant:?} has the same mark");
        }
    }
    Ok(())
}

async fn no_mark_comes_again(fixture: Fixture) -> Verdict {
    let mut marks = HashSet::from([fixture.load("acme", Sequence::ZERO).await?.mark]);
    for round in 0..30 {
        let target = if round % 3 == 0 { EpochTarget::Everything } else { tag("org") };
        fixture.raise("acme", target, Sequence::ZERO).await?;
        let mark = fixture.mark("acme").await?;
        ensure!(marks.insert(mark), "{mark:?} came again in round {round}");
    }
    Ok(())
}

async fn since_tells_what_was_raised(fixture: Fixture) -> Verdict {
    fixture.raise("acme", tag("before"), Sequence::ZERO).await?;
    let seen = fixture.load("acme", Sequence::ZERO).await?;
    let mut raised = Vec::new();
    for target in [tag("org"), cache("users"), EpochTarget::Tenant, EpochTarget::Everything] {
        let number = fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        raised.push((target, number));
    }
    let soft = fixture.raise("acme", tag("soft").soft(), Sequence::ZERO).await?;
    let since = fixture.store.since("suite", "acme", seen.mark, seen.sequence).await?;
    for (target, number) in raised {
        let found = effective(&since, &target);
        ensure!(found >= number, "{target:?} is at {found}, raised to {number} since the mark");
    }
    ensure!(is_ended(&since, &tag("soft"), soft), "a soft target raised since the mark is missing");
    ensure!(since.sequence > soft, "the counter goes on from {} after {soft}", since.sequence);
    ensure_eq!(fixture.mark("acme").await?, since.mark, "the mark now");
    let again = fixture.store.since("suite", "acme", since.mark, since.sequence).await?;
    ensure_eq!(again.mark, since.mark, "the mark since the mark");
    Ok(())
}

async fn since_an_unknown_mark_tells_everything(fixture: Fixture) -> Verdict {
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    let everything = fixture.raise("acme", EpochTarget::Everything, Sequence::ZERO).await?;
    for mark in [EpochMark::default(), EpochMark([u64::MAX; 3]), EpochMark([7, 8, 9])] {
        let record = fixture.store.since("suite", "acme", mark, Sequence::ZERO).await?;
        ensure!(effective(&record, &tag("org")) >= number, "a target is missing since {mark:?}");
        let found = effective(&record, &tag("any"));
        ensure!(found >= everything, "everything is at {found} since {mark:?}");
    }
    Ok(())
}

async fn a_raise_of_one_client_changes_the_mark_of_the_other(fixture: Fixture) -> Verdict {
    let other = fixture.other().await;
    let mut before = other.load("suite", "acme", Sequence::ZERO).await?.mark;
    for target in [tag("org"), EpochTarget::Tenant.soft(), EpochTarget::Everything] {
        fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        let after = other.mark("suite", "acme").await?;
        ensure!(after != before, "{target:?} was raised and the other client sees the same mark");
        before = after;
    }
    Ok(())
}
