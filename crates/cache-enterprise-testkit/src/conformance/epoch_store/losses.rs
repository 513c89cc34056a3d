//! Records and counters that are lost, or set back.

use cache_enterprise_core::coherence::{EpochTarget, Sequence};

use super::records::{effective, tag};
use super::{FAR, Fixture, Need, cases};
use crate::conformance::case::{Failure, Verdict, ensure};

cases! {
    needs [Need::Shared, Need::Lose] => [
        a_lost_record_comes_back_at_a_floor_above_everything,
        a_lost_record_has_another_mark,
        numbers_rise_across_a_lost_record,
        a_raise_right_after_a_loss_hides_nothing,
        a_record_that_was_lost_twice_has_a_third_mark,
    ]
    needs [Need::Shared, Need::Restart] => [
        a_restart_moves_the_floor_of_every_tenant,
        a_restart_changes_every_mark,
        numbers_rise_across_a_restart,
        everything_survives_a_restart,
    ]
    needs [Need::Shared, Need::SetBack] => [
        a_counter_that_was_set_back_is_lifted_by_its_callers,
    ]
}

/// Gives the newest number of a tenant in use.
async fn use_up(fixture: &Fixture, tenant: &str) -> Result<Sequence, Failure> {
    fixture.load(tenant, Sequence::ZERO).await?;
    fixture.raise(tenant, tag("org"), Sequence::ZERO).await?;
    Ok(fixture.store.next("suite", tenant, Sequence::ZERO).await?)
}

async fn a_lost_record_comes_back_at_a_floor_above_everything(fixture: Fixture) -> Verdict {
    let newest = use_up(&fixture, "acme").await?;
    Fixture::harm(&fixture.lose).await;
    let record = fixture.load("acme", Sequence::ZERO).await?;
    ensure!(record.floor >= newest, "the floor is {} and {newest} was given", record.floor);
    ensure!(record.floor <= record.sequence, "the floor is above the counter: nothing is valid");
    Ok(())
}

async fn a_lost_record_has_another_mark(fixture: Fixture) -> Verdict {
    use_up(&fixture, "acme").await?;
    let before = fixture.mark("acme").await?;
    Fixture::harm(&fixture.lose).await;
    let after = fixture.mark("acme").await?;
    ensure!(after != before, "the record was lost and its mark is the same");
    let since = fixture.store.since("suite", "acme", before, Sequence::ZERO).await?;
    let newest = fixture.load("acme", Sequence::ZERO).await?;
    ensure!(since.floor >= newest.floor, "what changed since hides the new floor");
    Ok(())
}

async fn numbers_rise_across_a_lost_record(fixture: Fixture) -> Verdict {
    let newest = use_up(&fixture, "acme").await?;
    Fixture::harm(&fixture.lose).await;
    let next = fixture.next(Sequence::ZERO).await?;
    ensure!(next > newest, "{next} after {newest}");
    let raised = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(raised > next, "{raised} after {next}");
    Ok(())
}

async fn a_raise_right_after_a_loss_hides_nothing(fixture: Fixture) -> Verdict {
    let newest = use_up(&fixture, "acme").await?;
    Fixture::harm(&fixture.lose).await;
    fixture.raise("acme", tag("another"), Sequence::ZERO).await?;
    let found = effective(&fixture.load("acme", Sequence::ZERO).await?, &tag("org"));
    ensure!(found >= newest, "a raise made the lost record anew at {found}, below {newest}");
    Ok(())
}

async fn a_record_that_was_lost_twice_has_a_third_mark(fixture: Fixture) -> Verdict {
    let mut marks = Vec::new();
    for round in 0..4 {
        use_up(&fixture, "acme").await?;
        let mark = fixture.mark("acme").await?;
        ensure!(!marks.contains(&mark), "{mark:?} came again after loss {round}");
        marks.push(mark);
        Fixture::harm(&fixture.lose).await;
    }
    Ok(())
}

async fn a_restart_moves_the_floor_of_every_tenant(fixture: Fixture) -> Verdict {
    let mut newest = Vec::new();
    for tenant in ["acme", "other", ""] {
        newest.push((tenant, use_up(&fixture, tenant).await?));
    }
    Fixture::harm(&fixture.restart).await;
    for (tenant, newest) in newest {
        let floor = fixture.load(tenant, Sequence::ZERO).await?.floor;
        ensure!(floor >= newest, "the floor of {tenant:?} is {floor} and {newest} was given");
    }
    Ok(())
}

async fn a_restart_changes_every_mark(fixture: Fixture) -> Verdict {
    let mut before = Vec::new();
    for tenant in ["acme", "other"] {
        use_up(&fixture, tenant).await?;
        before.push((tenant, fixture.mark(tenant).await?));
    }
    Fixture::harm(&fixture.restart).await;
    // The same calls again, so that what counts changes alone would count the same.
    for (tenant, before) in before {
        use_up(&fixture, tenant).await?;
        let after = fixture.mark(tenant).await?;
        ensure!(after != before, "the mark of {tenant:?} is the same after a restart");
    }
    Ok(())
}

async fn numbers_rise_across_a_restart(fixture: Fixture) -> Verdict {
    let newest = use_up(&fixture, "acme").await?;
    Fixture::harm(&fixture.restart).await;
    let next = fixture.next(Sequence::ZERO).await?;
    ensure!(next > newest, "{next} after {newest}");
    Ok(())
}

async fn everything_survives_a_restart(fixture: Fixture) -> Verdict {
    use_up(&fixture, "other").await?;
    let number = fixture.raise("acme", EpochTarget::Everything, Sequence::ZERO).await?;
    Fixture::harm(&fixture.restart).await;
    for tenant in ["other", "later"] {
        let found = effective(&fixture.load(tenant, Sequence::ZERO).await?, &tag("any"));
        ensure!(found >= number, "{tenant:?} is at {found} and everything ended at {number}");
    }
    Ok(())
}

async fn a_counter_that_was_set_back_is_lifted_by_its_callers(fixture: Fixture) -> Verdict {
    let newest = fixture.next(FAR).await?;
    Fixture::harm(&fixture.set_back).await;
    let next = fixture.next(newest).await?;
    ensure!(next > newest, "{next} for a caller that saw {newest}");
    let raised = fixture.raise("acme", tag("org"), next).await?;
    ensure!(raised > next, "{raised} for a caller that saw {next}");
    let loaded = fixture.load("acme", raised).await?.sequence;
    ensure!(loaded > raised, "{loaded} for a caller that saw {raised}");
    Ok(())
}
