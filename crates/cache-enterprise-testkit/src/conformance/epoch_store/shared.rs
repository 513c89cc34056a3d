//! Numbers and records of a store that several processes share.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{Error, ErrorKind};
use tokio::task::JoinSet;

use super::records::{effective, expect_all, raise_at_once, tag};
use super::{FAR, Fixture, Need, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Shared] => [
        next_gives_rising_numbers,
        next_is_above_what_the_caller_saw,
        loads_raises_and_next_share_one_row_of_numbers,
        everything_is_above_the_numbers_of_other_tenants,
        numbers_of_managers_are_their_own,
    ]
    needs [Need::Shared, Need::Another] => [
        two_clients_share_one_row_of_numbers,
        two_clients_that_race_give_a_thousand_numbers_once,
        a_number_is_above_every_one_acknowledged_before,
        a_raise_of_one_client_is_loaded_by_the_other,
        raises_of_two_clients_at_once_lose_nothing,
        two_first_loads_at_once_agree,
    ]
}

/// What a store says that is not shared.
pub(super) async fn check_refusal(store: &dyn EpochStore) -> Verdict {
    let next = store.next("suite", "acme", Sequence::ZERO).await.err();
    let mark = store.mark("suite", "acme").await.err();
    for refused in [next, mark] {
        let kind = refused.map(|error| error.kind());
        ensure_eq!(kind, Some(ErrorKind::Unsupported), "a store that is not shared");
    }
    Ok(())
}

async fn next_gives_rising_numbers(fixture: Fixture) -> Verdict {
    let mut last = Sequence::ZERO;
    for _ in 0..50 {
        let number = fixture.next(Sequence::ZERO).await?;
        ensure!(number > last, "{number} after {last}");
        last = number;
    }
    Ok(())
}

async fn next_is_above_what_the_caller_saw(fixture: Fixture) -> Verdict {
    for above in [Sequence::ZERO, Sequence(7), FAR, Sequence(FAR.0 + 1_000)] {
        let number = fixture.next(above).await?;
        ensure!(number > above, "{number} is not above {above}");
    }
    let number = fixture.next(Sequence(9)).await?;
    ensure!(number > FAR, "{number} after {FAR}");
    Ok(())
}

async fn loads_raises_and_next_share_one_row_of_numbers(fixture: Fixture) -> Verdict {
    let mut last = Sequence::ZERO;
    for round in 0..5 {
        let next = fixture.next(Sequence::ZERO).await?;
        let raised = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
        let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
        let after = fixture.next(Sequence::ZERO).await?;
        let rises = last < next && next < raised && raised < loaded && loaded <= after;
        ensure!(rises, "round {round}: {last}, {next}, {raised}, {loaded}, {after}");
        last = after;
    }
    Ok(())
}

async fn everything_is_above_the_numbers_of_other_tenants(fixture: Fixture) -> Verdict {
    let mut newest = Sequence::ZERO;
    for tenant in ["one", "two", ""] {
        newest = newest.max(fixture.store.next("suite", tenant, Sequence::ZERO).await?);
        newest = newest.max(fixture.raise(tenant, tag("org"), Sequence::ZERO).await?);
    }
    let everything = fixture.raise("acme", EpochTarget::Everything, Sequence::ZERO).await?;
    ensure!(everything >= newest, "everything ends at {everything}, {newest} was given before");
    for tenant in ["one", "two", ""] {
        let next = fixture.store.next("suite", tenant, Sequence::ZERO).await?;
        ensure!(next >= everything, "{tenant:?} goes on from {next} after {everything}");
    }
    Ok(())
}

async fn numbers_of_managers_are_their_own(fixture: Fixture) -> Verdict {
    fixture.next(FAR).await?;
    let other = fixture.store.next("suite2", "acme", Sequence::ZERO).await?;
    ensure!(other < FAR, "a number of one manager lifted another's to {other}");
    Ok(())
}

async fn two_clients_share_one_row_of_numbers(fixture: Fixture) -> Verdict {
    let other = fixture.other().await;
    let mut last = Sequence::ZERO;
    for round in 0..40 {
        let store = if round % 2 == 0 { &fixture.store } else { &other };
        let number = match round % 3 {
            0 => store.raise("suite", "acme", &[tag("org")], Sequence::ZERO).await?,
            1 => store.next("suite", "acme", Sequence::ZERO).await?,
            _ => store.load("suite", "acme", Sequence::ZERO).await?.sequence,
        };
        ensure!(number > last, "{number} after {last} in round {round}");
        last = number;
    }
    Ok(())
}

async fn two_clients_that_race_give_a_thousand_numbers_once(fixture: Fixture) -> Verdict {
    let mut tasks = JoinSet::new();
    for store in [Arc::clone(&fixture.store), fixture.other().await] {
        for _ in 0..4 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..125 {
                    numbers.push(store.next("suite", "acme", Sequence::ZERO).await?);
                }
                Ok::<_, Error>(numbers)
            });
        }
    }
    let mut all = HashSet::new();
    for numbers in tasks.join_all().await {
        let numbers = numbers?;
        ensure!(numbers.is_sorted(), "a client saw numbers fall");
        all.extend(numbers);
    }
    ensure_eq!(all.len(), 1_000, "distinct numbers of a thousand");
    Ok(())
}

async fn a_number_is_above_every_one_acknowledged_before(fixture: Fixture) -> Verdict {
    let newest = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for store in [Arc::clone(&fixture.store), fixture.other().await] {
        for worker in 0..3 {
            let (store, newest) = (Arc::clone(&store), Arc::clone(&newest));
            tasks.spawn(async move {
                for _ in 0..40 {
                    let before = Sequence(newest.load(Ordering::SeqCst));
                    let number = match worker {
                        0 => store.raise("suite", "acme", &[tag("org")], Sequence::ZERO).await?,
                        _ => store.next("suite", "acme", Sequence::ZERO).await?,
                    };
                    if number <= before {
                        return Ok(Some((number, before)));
                    }
                    newest.fetch_max(number.0, Ordering::SeqCst);
                }
                Ok::<_, Error>(None)
            });
        }
    }
    for wrong in tasks.join_all().await {
        ensure_eq!(wrong?, None, "a number and one acknowledged before it was asked for");
    }
    Ok(())
}

async fn a_raise_of_one_client_is_loaded_by_the_other(fixture: Fixture) -> Verdict {
    let other = fixture.other().await;
    other.load("suite", "acme", Sequence::ZERO).await?;
    for target in [tag("org"), EpochTarget::Tenant, EpochTarget::Everything] {
        let number = fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        let record = other.load("suite", "acme", Sequence::ZERO).await?;
        let found = effective(&record, &target);
        ensure!(found >= number, "the other finds {target:?} at {found}, raised to {number}");
    }
    Ok(())
}

async fn raises_of_two_clients_at_once_lose_nothing(fixture: Fixture) -> Verdict {
    let other = Fixture::new(fixture.other().await);
    let (one, two) = tokio::join!(raise_at_once(&fixture, 32), raise_at_once(&other, 64));
    let (one, two) = (one?, two?);
    let numbers: HashSet<_> = one.iter().chain(&two).map(|(_, number)| *number).collect();
    ensure_eq!(numbers.len(), 96, "distinct numbers of 96 raises");
    for client in [&fixture, &other] {
        expect_all(client, &one).await?;
        expect_all(client, &two).await?;
    }
    Ok(())
}

async fn two_first_loads_at_once_agree(fixture: Fixture) -> Verdict {
    let other = fixture.other().await;
    let (one, two) = tokio::join!(
        fixture.store.load("suite", "acme", Sequence::ZERO),
        other.load("suite", "acme", Sequence::ZERO),
    );
    let (one, two) = (one?, two?);
    ensure!(one.sequence != two.sequence, "both were given {}", one.sequence);
    let mark = fixture.mark("acme").await?;
    ensure_eq!(other.mark("suite", "acme").await?, mark, "the mark of the other client");
    ensure!(one.mark == mark || two.mark == mark, "neither load gave the record that stands");
    Ok(())
}
