//! Numbers: rising, never given twice, above what was reserved.

use std::collections::HashSet;
use std::sync::Arc;

use cache_enterprise_core::Error;
use cache_enterprise_core::coherence::{EpochTarget, Sequence};
use tokio::task::JoinSet;

use super::records::{cache, effective, expect_all, raise_at_once, tag};
use super::{FAR, Fixture, Need, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        a_first_load_starts_above_what_the_caller_saw,
        a_first_load_trusts_nothing_older,
        a_second_load_is_not_below_the_first,
        a_load_does_not_invalidate_what_came_after_the_last,
        a_raise_gives_a_number_above_the_callers,
        raises_give_rising_numbers,
        a_raise_is_above_what_a_load_gave,
        a_load_is_above_every_raise,
        a_lower_newest_lowers_nothing,
        a_raise_without_targets_still_counts,
        raises_at_once_give_numbers_of_their_own,
    ]
    needs [Need::Private] => [
        a_load_is_above_a_reservation,
        a_raise_is_above_a_reservation,
        a_lower_reservation_lowers_nothing,
        raises_and_reservations_mix,
    ]
}

async fn a_first_load_starts_above_what_the_caller_saw(fixture: Fixture) -> Verdict {
    let record = fixture.load("acme", FAR).await?;
    ensure!(record.sequence >= FAR, "the counter starts at {}", record.sequence);
    Ok(())
}

/// Never seen and lost cannot be told apart.
async fn a_first_load_trusts_nothing_older(fixture: Fixture) -> Verdict {
    let record = fixture.load("acme", FAR).await?;
    ensure!(record.floor >= FAR, "the floor is {} and {FAR} was seen", record.floor);
    ensure!(record.floor <= record.sequence, "the floor is above the counter: nothing is valid");
    Ok(())
}

async fn a_second_load_is_not_below_the_first(fixture: Fixture) -> Verdict {
    let first = fixture.load("acme", Sequence(5)).await?;
    let second = fixture.load("acme", Sequence(5)).await?;
    ensure!(second.sequence >= first.sequence, "{} after {}", second.sequence, first.sequence);
    ensure!(second.floor >= first.floor, "floor {} after {}", second.floor, first.floor);
    Ok(())
}

async fn a_load_does_not_invalidate_what_came_after_the_last(fixture: Fixture) -> Verdict {
    let version = fixture.load("acme", Sequence(5)).await?.sequence;
    let record = fixture.load("acme", version).await?;
    let epoch = effective(&record, &tag("any"));
    ensure!(epoch <= version, "a value of version {version} ends with the epoch {epoch}");
    Ok(())
}

async fn a_raise_gives_a_number_above_the_callers(fixture: Fixture) -> Verdict {
    for above in [Sequence::ZERO, Sequence(7), FAR] {
        let number = fixture.raise("acme", tag("org"), above).await?;
        ensure!(number > above, "{number} is not above {above}");
    }
    Ok(())
}

async fn raises_give_rising_numbers(fixture: Fixture) -> Verdict {
    let mut last = Sequence::ZERO;
    for _ in 0..50 {
        let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
        ensure!(number > last, "{number} after {last}");
        last = number;
    }
    Ok(())
}

async fn a_raise_is_above_what_a_load_gave(fixture: Fixture) -> Verdict {
    let loaded = fixture.load("acme", Sequence(5)).await?.sequence;
    let number = fixture.raise("acme", tag("org"), loaded).await?;
    ensure!(number > loaded, "{number} after a load gave {loaded}");
    Ok(())
}

async fn a_load_is_above_every_raise(fixture: Fixture) -> Verdict {
    for target in [tag("org"), cache("users"), EpochTarget::Tenant, EpochTarget::Everything] {
        let number = fixture.raise("acme", target, Sequence::ZERO).await?;
        let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
        ensure!(loaded > number, "the counter goes on from {loaded} after {number}");
    }
    Ok(())
}

async fn a_load_is_above_a_reservation(fixture: Fixture) -> Verdict {
    fixture.reserve("acme", FAR).await?;
    let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
    ensure!(loaded > FAR, "the counter goes on from {loaded}, reserved up to {FAR}");
    Ok(())
}

async fn a_raise_is_above_a_reservation(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    fixture.reserve("acme", FAR).await?;
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(number > FAR, "{number} was reserved");
    Ok(())
}

async fn a_lower_reservation_lowers_nothing(fixture: Fixture) -> Verdict {
    fixture.reserve("acme", FAR).await?;
    fixture.reserve("acme", Sequence(3)).await?;
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(number > FAR, "{number} was reserved");
    Ok(())
}

async fn a_lower_newest_lowers_nothing(fixture: Fixture) -> Verdict {
    let raised = fixture.raise("acme", tag("org"), FAR).await?;
    fixture.load("acme", Sequence::ZERO).await?;
    let loaded = fixture.load("acme", Sequence(1)).await?.sequence;
    ensure!(loaded > raised, "the counter goes on from {loaded} after {raised}");
    Ok(())
}

async fn a_raise_without_targets_still_counts(fixture: Fixture) -> Verdict {
    let first = fixture.store.raise("suite", "acme", &[], Sequence(9)).await?;
    let second = fixture.store.raise("suite", "acme", &[], Sequence::ZERO).await?;
    ensure!(first > Sequence(9) && second > first, "numbers {first} and {second} above 9");
    Ok(())
}

async fn raises_at_once_give_numbers_of_their_own(fixture: Fixture) -> Verdict {
    let raised = raise_at_once(&fixture, 64).await?;
    let numbers: HashSet<_> = raised.iter().map(|(_, number)| number).collect();
    ensure_eq!(numbers.len(), 64, "distinct numbers of 64 raises");
    expect_all(&fixture, &raised).await
}

async fn raises_and_reservations_mix(fixture: Fixture) -> Verdict {
    let mut tasks = JoinSet::new();
    for step in 1..=32_u64 {
        let store = Arc::clone(&fixture.store);
        tasks.spawn(async move {
            let upto = Sequence(FAR.0 + step * 1_000);
            store.reserve("suite", "acme", upto).await?;
            let number = store.raise("suite", "acme", &[tag("org")], Sequence::ZERO).await?;
            Ok::<_, Error>((upto, number))
        });
    }
    for answer in tasks.join_all().await {
        let (upto, number) = answer?;
        ensure!(number > upto, "{number} was given after a reservation up to {upto}");
    }
    Ok(())
}
