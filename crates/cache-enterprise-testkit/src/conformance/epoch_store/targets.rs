//! Targets: what a raise reaches, and what it leaves.

use cache_enterprise_core::coherence::{EpochTarget, Sequence};

use super::records::{cache, effective, expect_below, expect_epoch, is_ended, pattern, tag};
use super::{FAR, Fixture, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        a_raised_target_is_found_by_a_load,
        a_second_raise_of_a_target_counts,
        one_raise_stores_several_targets,
        a_raise_leaves_other_targets,
        a_tag_and_a_cache_of_one_name_are_two_targets,
        a_raise_leaves_other_tenants,
        a_raise_leaves_other_managers,
        odd_names_stay_apart,
        everything_reaches_tenants_that_were_loaded,
        everything_reaches_tenants_that_were_not,
        everything_leaves_other_managers,
        three_thousand_tags_lose_nothing,
        a_soft_target_is_found_by_a_load,
        a_soft_target_is_not_a_hard_one,
        soft_everything_reaches_other_tenants,
    ]
}

async fn a_raised_target_is_found_by_a_load(fixture: Fixture) -> Verdict {
    let temporary = pattern("users", "user:*:temp_[0-9]");
    let groups = [tag("org"), cache("users"), temporary.clone(), temporary.soft()];
    for target in groups.into_iter().chain([EpochTarget::Tenant, EpochTarget::Everything]) {
        let number = fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        expect_epoch(&fixture, "acme", &target, number).await?;
    }
    Ok(())
}

async fn a_second_raise_of_a_target_counts(fixture: Fixture) -> Verdict {
    fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    let second = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    expect_epoch(&fixture, "acme", &tag("org"), second).await
}

async fn one_raise_stores_several_targets(fixture: Fixture) -> Verdict {
    let targets = [tag("org"), tag("plan"), cache("users")];
    let number = fixture.store.raise("suite", "acme", &targets, Sequence::ZERO).await?;
    for target in &targets {
        expect_epoch(&fixture, "acme", target, number).await?;
    }
    Ok(())
}

async fn a_raise_leaves_other_targets(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    fixture.raise("acme", tag("org:1"), Sequence::ZERO).await?;
    let raised = fixture.raise("acme", tag("org:11"), Sequence::ZERO).await?;
    for other in [tag("org:1"), tag("org"), tag("ORG:11"), tag(""), cache("org:11")] {
        expect_below(&fixture, "acme", &other, raised).await?;
    }
    Ok(())
}

async fn a_tag_and_a_cache_of_one_name_are_two_targets(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    let of_tag = fixture.raise("acme", tag("users"), Sequence::ZERO).await?;
    expect_below(&fixture, "acme", &cache("users"), of_tag).await?;
    let of_cache = fixture.raise("acme", cache("users"), Sequence::ZERO).await?;
    expect_below(&fixture, "acme", &tag("users"), of_cache).await?;
    expect_epoch(&fixture, "acme", &tag("users"), of_tag).await
}

async fn a_raise_leaves_other_tenants(fixture: Fixture) -> Verdict {
    for tenant in ["acme", "ac", "acme2", ""] {
        fixture.load(tenant, Sequence(5)).await?;
    }
    for target in [tag("org"), EpochTarget::Tenant] {
        let raised = fixture.raise("acme", target.clone(), FAR).await?;
        for tenant in ["ac", "acme2", ""] {
            expect_below(&fixture, tenant, &target, raised).await?;
        }
    }
    Ok(())
}

async fn a_raise_leaves_other_managers(fixture: Fixture) -> Verdict {
    fixture.store.load("suite2", "acme", Sequence(5)).await?;
    let raised = fixture.raise("acme", tag("org"), FAR).await?;
    let other = fixture.store.load("suite2", "acme", Sequence(5)).await?;
    ensure!(effective(&other, &tag("org")) < raised, "the raise reached another manager");
    Ok(())
}

async fn odd_names_stay_apart(fixture: Fixture) -> Verdict {
    let names = ["a:b", "a", "b", "a b", "a\0b", "a\nb", "A", "é", "日本語", "%", "*", "../a"];
    for tenant in names {
        fixture.load(tenant, Sequence(5)).await?;
    }
    let mut numbers = Vec::new();
    for tenant in names {
        numbers.push(fixture.raise(tenant, tag(tenant), Sequence::ZERO).await?);
    }
    for (tenant, number) in names.iter().zip(numbers) {
        expect_epoch(&fixture, tenant, &tag(tenant), number).await?;
        let record = fixture.load(tenant, Sequence::ZERO).await?;
        let foreign = record.epochs.iter().filter(|(target, _)| *target != tag(tenant)).count();
        ensure_eq!(foreign, 0, "targets of others in the record of {tenant:?}");
    }
    Ok(())
}

async fn everything_reaches_tenants_that_were_loaded(fixture: Fixture) -> Verdict {
    fixture.load("other", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    expect_epoch(&fixture, "other", &tag("any"), number).await
}

async fn everything_reaches_tenants_that_were_not(fixture: Fixture) -> Verdict {
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    let record = fixture.load("later", Sequence(5)).await?;
    ensure!(effective(&record, &tag("any")) >= number, "a new tenant is below everything's epoch");
    ensure!(record.sequence > number, "its counter goes on from {}", record.sequence);
    Ok(())
}

async fn everything_leaves_other_managers(fixture: Fixture) -> Verdict {
    fixture.store.load("suite2", "acme", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    let other = fixture.store.load("suite2", "acme", Sequence(5)).await?;
    ensure!(effective(&other, &tag("any")) < number, "everything reached another manager");
    Ok(())
}

async fn three_thousand_tags_lose_nothing(fixture: Fixture) -> Verdict {
    let mut numbers = Vec::new();
    for first in (0..3_000).step_by(100) {
        let targets: Vec<_> = (first..first + 100).map(|n| tag(&format!("tag:{n}"))).collect();
        let number = fixture.store.raise("suite", "acme", &targets, Sequence::ZERO).await?;
        numbers.extend(targets.into_iter().map(|target| (target, number)));
    }
    let record = fixture.load("acme", Sequence::ZERO).await?;
    for (target, number) in numbers {
        ensure!(effective(&record, &target) >= number, "{target:?} is below its {number}");
    }
    Ok(())
}

async fn a_soft_target_is_found_by_a_load(fixture: Fixture) -> Verdict {
    for target in [tag("org"), cache("users"), EpochTarget::Tenant, EpochTarget::Everything] {
        let number = fixture.raise("acme", target.clone().soft(), Sequence::ZERO).await?;
        let record = fixture.load("acme", Sequence::ZERO).await?;
        ensure!(is_ended(&record, &target, number), "{target:?} is fresh after its soft {number}");
    }
    Ok(())
}

async fn a_soft_target_is_not_a_hard_one(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    let hard = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    let soft = fixture.raise("acme", tag("org").soft(), Sequence::ZERO).await?;
    expect_epoch(&fixture, "acme", &tag("org"), hard).await?;
    expect_below(&fixture, "acme", &tag("org"), soft).await?;
    let again = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    expect_epoch(&fixture, "acme", &tag("org"), again).await?;
    let record = fixture.load("acme", Sequence::ZERO).await?;
    ensure!(is_ended(&record, &tag("org"), soft), "a hard raise took the soft one back");
    Ok(())
}

async fn soft_everything_reaches_other_tenants(fixture: Fixture) -> Verdict {
    fixture.load("other", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything.soft(), FAR).await?;
    let record = fixture.load("other", Sequence::ZERO).await?;
    ensure!(is_ended(&record, &tag("any"), number), "a tenant is fresh after everything ended");
    expect_below(&fixture, "other", &tag("any"), number).await
}
