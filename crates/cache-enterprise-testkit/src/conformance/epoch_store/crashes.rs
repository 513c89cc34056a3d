//! What is there after the store was dropped without a word.

use cache_enterprise_core::coherence::{EpochTarget, Sequence};

use super::records::{cache, expect_all, expect_epoch, raise_at_once, tag};
use super::{FAR, Fixture, Need, cases};
use crate::conformance::case::{Verdict, ensure};

cases! {
    needs [Need::Reopen] => [
        a_raise_survives_a_crash,
        every_target_survives_a_crash,
        everything_survives_a_crash,
        a_crash_gives_no_number_twice,
        raises_at_once_survive_a_crash,
        several_crashes_lose_nothing,
    ]
    needs [Need::Reopen, Need::Private] => [
        a_reservation_survives_a_crash,
    ]
}

async fn a_raise_survives_a_crash(fixture: Fixture) -> Verdict {
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    let fixture = fixture.crash().await?;
    expect_epoch(&fixture, "acme", &tag("org"), number).await?;
    let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
    ensure!(loaded > number, "the counter goes on from {loaded} after {number}");
    Ok(())
}

async fn every_target_survives_a_crash(mut fixture: Fixture) -> Verdict {
    for target in [tag("org"), cache("users"), EpochTarget::Tenant] {
        for tenant in ["acme", "", "é:b"] {
            let number = fixture.raise(tenant, target.clone(), Sequence::ZERO).await?;
            fixture = fixture.crash().await?;
            expect_epoch(&fixture, tenant, &target, number).await?;
        }
    }
    Ok(())
}

async fn a_reservation_survives_a_crash(fixture: Fixture) -> Verdict {
    fixture.reserve("acme", FAR).await?;
    let fixture = fixture.crash().await?;
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(number > FAR, "{number} was reserved before the crash");
    Ok(())
}

async fn everything_survives_a_crash(fixture: Fixture) -> Verdict {
    fixture.load("loaded", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    let fixture = fixture.crash().await?;
    expect_epoch(&fixture, "loaded", &tag("any"), number).await?;
    expect_epoch(&fixture, "later", &tag("any"), number).await
}

async fn a_crash_gives_no_number_twice(mut fixture: Fixture) -> Verdict {
    let mut last = Sequence::ZERO;
    for _ in 0..5 {
        let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
        ensure!(loaded > last, "a load after a crash gave {loaded}, {last} was given before");
        last = fixture.raise("acme", tag("org"), loaded).await?;
        ensure!(last > loaded, "a raise gave {last} after {loaded}");
        fixture = fixture.crash().await?;
    }
    Ok(())
}

async fn raises_at_once_survive_a_crash(fixture: Fixture) -> Verdict {
    let raised = raise_at_once(&fixture, 64).await?;
    let fixture = fixture.crash().await?;
    expect_all(&fixture, &raised).await
}

async fn several_crashes_lose_nothing(mut fixture: Fixture) -> Verdict {
    let mut raised = Vec::new();
    for round in 0..6 {
        let target = tag(&format!("round:{round}"));
        let number = fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        raised.push((target, number));
        fixture = fixture.crash().await?;
        expect_all(&fixture, &raised).await?;
    }
    Ok(())
}
