//! Several keys in one call: each fares as it would alone.

use std::sync::Arc;

use cache_enterprise_core::coherence::{Acquired, LeaseToken, LeasedPut, Sequence};
use cache_enterprise_core::{Put, PutOutcome, StoredKey};
use tokio::task::JoinSet;

use super::fixture::LONG;
use super::{Fixture, cases};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    a_batch_takes_the_leases_that_are_free,
    a_batch_answers_in_the_order_of_its_keys,
    a_batch_without_keys_does_nothing,
    a_key_that_stands_twice_in_a_batch_is_held_once,
    a_batch_is_given_back_key_by_key,
    a_batch_of_puts_is_fenced_key_by_key,
    of_overlapping_batches_each_key_has_one_holder,
}

/// More keys than travel together.
const MANY: usize = 250;

fn keys(fixture: &Fixture, name: &str, count: usize) -> Result<Vec<StoredKey>, Failure> {
    (0..count).map(|number| fixture.key(&format!("{name}-{number}"))).collect()
}

fn tokens(acquired: Vec<Acquired>) -> Result<Vec<LeaseToken>, Failure> {
    let token = |acquired| match acquired {
        Acquired::Held(token) => Ok(token),
        Acquired::Busy(left) => Err(Failure(format!("a free lease is busy for {left:?}"))),
    };
    acquired.into_iter().map(token).collect()
}

async fn a_batch_takes_the_leases_that_are_free(fixture: Fixture) -> Verdict {
    let keys = keys(&fixture, "some", 6)?;
    for key in [&keys[1], &keys[4]] {
        fixture.hold(&fixture.two, key, LONG).await?;
    }
    let acquired = fixture.one.acquire_many(&keys, LONG).await?;
    let held: Vec<_> = acquired.iter().map(|one| matches!(one, Acquired::Held(_))).collect();
    ensure_eq!(held, [true, false, true, true, false, true], "what was held");
    for key in &keys {
        fixture.expect_busy(&fixture.two, key, LONG).await?;
    }
    Ok(())
}

async fn a_batch_answers_in_the_order_of_its_keys(fixture: Fixture) -> Verdict {
    let keys = keys(&fixture, "ordered", MANY)?;
    for key in keys.iter().step_by(3) {
        fixture.hold(&fixture.two, key, LONG).await?;
    }
    let acquired = fixture.one.acquire_many(&keys, LONG).await?;
    ensure_eq!(acquired.len(), MANY, "answers");
    for (number, (key, acquired)) in keys.iter().zip(acquired).enumerate() {
        match acquired {
            Acquired::Busy(_) => ensure!(number % 3 == 0, "{key} was free"),
            Acquired::Held(token) => {
                ensure!(number % 3 != 0, "{key} was given twice");
                ensure!(fixture.one.renew(key, token, LONG).await?, "{key} has another token");
            }
        }
    }
    Ok(())
}

async fn a_batch_without_keys_does_nothing(fixture: Fixture) -> Verdict {
    ensure!(fixture.one.acquire_many(&[], LONG).await?.is_empty(), "nothing was asked for");
    ensure!(fixture.one.put_many(Vec::new()).await?.is_empty(), "nothing was put");
    Ok(fixture.one.release_many(&[]).await?)
}

async fn a_key_that_stands_twice_in_a_batch_is_held_once(fixture: Fixture) -> Verdict {
    let key = fixture.key("twice")?;
    let acquired = fixture.one.acquire_many(&[key.clone(), key.clone()], LONG).await?;
    let held = acquired.iter().filter(|one| matches!(one, Acquired::Held(_))).count();
    ensure_eq!((acquired.len(), held), (2, 1), "answers, and holders of one lease");
    Ok(())
}

async fn a_batch_is_given_back_key_by_key(fixture: Fixture) -> Verdict {
    let keys = keys(&fixture, "returned", MANY)?;
    let held = tokens(fixture.one.acquire_many(&keys, LONG).await?)?;
    let mut leases: Vec<_> = keys.iter().cloned().zip(held).collect();
    let kept = leases.len() / 2;
    leases[kept].1 = LeaseToken(leases[kept].1.0 + 1);
    fixture.one.release_many(&leases).await?;
    for (number, key) in keys.iter().enumerate() {
        if number == kept {
            fixture.expect_busy(&fixture.two, key, LONG).await?;
        } else {
            fixture.hold(&fixture.two, key, LONG).await?;
        }
    }
    Ok(())
}

async fn a_batch_of_puts_is_fenced_key_by_key(fixture: Fixture) -> Verdict {
    let keys = keys(&fixture, "put", MANY)?;
    let held = tokens(fixture.one.acquire_many(&keys, fixture.short()).await?)?;
    let lost = MANY / 2;
    let later = fixture.take_over(&keys[lost]).await?;
    fixture.put(&fixture.two, &keys[lost], ("later", 2), later).await?;
    let how = Put { ttl: Some(LONG), version: Sequence(1) };
    let items = keys.iter().zip(held);
    let items = items.map(|(key, token)| LeasedPut {
        key: key.clone(),
        value: "loaded".into(),
        how,
        token,
    });
    let outcomes = fixture.one.put_many(items.collect()).await?;
    for (number, (key, outcome)) in keys.iter().zip(outcomes).enumerate() {
        let (expected, value) = match number == lost {
            true => (PutOutcome::Fenced, "later"),
            false => (PutOutcome::Stored, "loaded"),
        };
        ensure_eq!(outcome, expected, "put of {key}");
        fixture.expect(key, Some(value)).await?;
    }
    Ok(())
}

async fn of_overlapping_batches_each_key_has_one_holder(fixture: Fixture) -> Verdict {
    let keys = keys(&fixture, "raced", 60)?;
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let lease = Arc::clone(if number % 2 == 0 { &fixture.one } else { &fixture.two });
        let mut keys = keys.clone();
        keys.rotate_left(number * 7);
        tasks.spawn(async move {
            let acquired = lease.acquire_many(&keys, LONG).await?;
            let held = keys.into_iter().zip(acquired);
            let held = held.filter(|(_, acquired)| matches!(acquired, Acquired::Held(_)));
            Ok::<_, cache_enterprise_core::Error>(held.map(|(key, _)| key).collect::<Vec<_>>())
        });
    }
    let mut held = Vec::new();
    for batch in tasks.join_all().await {
        held.extend(batch?);
    }
    let mut expected = keys;
    held.sort();
    expected.sort();
    ensure_eq!(held, expected, "keys, each by its holders");
    Ok(())
}
