//! Many tasks at once, and calls that are dropped half-way.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use cache_enterprise_core::{Put, PutOutcome, Sequence, StoredKey};
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::cases;
use super::subject::{Need, Subject};
use super::values::{number_of, whole};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        writers_of_one_key_leave_one_whole_value,
        readers_see_only_whole_values_that_were_written,
        a_reader_never_sees_less_than_was_acknowledged,
        writers_of_different_keys_lose_nothing,
        of_many_removers_one_finds_the_value,
        batches_and_single_calls_mix,
        a_call_dropped_early_leaves_the_backend_usable,
        a_call_dropped_anywhere_leaves_a_whole_value,
        a_seeded_walk_answers_like_a_map,
    ]
    needs [Need::Fence] => [
        of_racing_versions_the_newest_stands,
        a_removal_among_late_puts_stands,
    ]
}

/// Waits for every task; the first failure ends the case.
async fn join(mut tasks: JoinSet<Verdict>) -> Verdict {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure(format!("a task ended early: {error}")))??;
    }
    Ok(())
}

/// Lengths that make a torn value visible: short, long, and across usual block sizes.
fn len_of(number: u64) -> usize {
    [16, 5_000, 64, 40_000, 4_096, 333][number as usize % 6]
}

fn value(number: u64) -> bytes::Bytes {
    whole(number, len_of(number))
}

async fn expect_one_of(subject: &Subject, key: &StoredKey, numbers: u64) -> Verdict {
    let found = subject.get(key).await?;
    let number = found.as_ref().and_then(number_of);
    let is_one = number.is_some_and(|number| number < numbers);
    ensure!(is_one, "under {key} stands none of the values that were written");
    Ok(())
}

async fn writers_of_one_key_leave_one_whole_value(subject: Subject) -> Verdict {
    let key = subject.key("contended")?;
    for _ in 0..10 {
        let mut tasks = JoinSet::new();
        for writer in 0..8 {
            let (subject, key) = (subject.clone(), key.clone());
            tasks.spawn(async move {
                for step in 0..10 {
                    subject.put(&key, value(writer * 10 + step)).await?;
                }
                Ok(())
            });
        }
        join(tasks).await?;
        expect_one_of(&subject, &key, 80).await?;
    }
    Ok(())
}

async fn readers_see_only_whole_values_that_were_written(subject: Subject) -> Verdict {
    let keys: Arc<[StoredKey]> = subject.keys(4)?.into();
    let mut tasks = JoinSet::new();
    for worker in 0..8_u64 {
        let (subject, keys) = (subject.clone(), Arc::clone(&keys));
        let mut rng = rand::rngs::StdRng::seed_from_u64(subject.rng().random::<u64>() ^ worker);
        tasks.spawn(async move {
            for _ in 0..150 {
                let key = &keys[rng.random_range(0..keys.len())];
                match rng.random_range(0..10) {
                    0..4 => subject.put(key, value(rng.random_range(0..1_000))).await?,
                    4 => drop(subject.remove(key).await?),
                    _ => {
                        let found = subject.get(key).await?;
                        let is_whole = found.as_ref().is_none_or(|v| number_of(v).is_some());
                        ensure!(is_whole, "a torn value was read under {key}");
                    }
                }
            }
            Ok(())
        });
    }
    join(tasks).await
}

async fn a_reader_never_sees_less_than_was_acknowledged(subject: Subject) -> Verdict {
    const LAST: u64 = 300;
    let key = subject.key("rising")?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    subject.put(&key, value(0)).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (subject, key) = (subject.clone(), key.clone());
        let acknowledged = Arc::clone(&acknowledged);
        tasks.spawn(async move {
            loop {
                let before = acknowledged.load(Ordering::Acquire);
                let found = subject.get(&key).await?;
                let Some(number) = found.as_ref().and_then(number_of) else {
                    return Err(Failure(format!("a value went missing after {before}")));
                };
                ensure!(number >= before, "read {number} after {before} was acknowledged");
                if before == LAST {
                    return Ok(());
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for number in 1..=LAST {
        subject.put(&key, value(number)).await?;
        acknowledged.store(number, Ordering::Release);
        tokio::task::yield_now().await;
    }
    join(tasks).await
}

async fn writers_of_different_keys_lose_nothing(subject: Subject) -> Verdict {
    let mut tasks = JoinSet::new();
    for writer in 0..8_u64 {
        let subject = subject.clone();
        tasks.spawn(async move {
            for step in 0..100 {
                let key = subject.key(&format!("{writer}-{step}"))?;
                subject.put(&key, whole(writer * 100 + step, 64)).await?;
            }
            Ok(())
        });
    }
    join(tasks).await?;
    for (writer, step) in (0..8).flat_map(|writer| (0..100).map(move |step| (writer, step))) {
        let key = subject.key(&format!("{writer}-{step}"))?;
        subject.expect(&key, whole(writer * 100 + step, 64)).await?;
    }
    Ok(())
}

async fn of_many_removers_one_finds_the_value(subject: Subject) -> Verdict {
    let key = subject.key("removed")?;
    for round in 0..20 {
        subject.put(&key, "Ada").await?;
        let found = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (subject, key, found) = (subject.clone(), key.clone(), Arc::clone(&found));
            tasks.spawn(async move {
                found.fetch_add(u64::from(subject.remove(&key).await?), Ordering::Relaxed);
                Ok(())
            });
        }
        join(tasks).await?;
        ensure_eq!(found.load(Ordering::Relaxed), 1, "removers that found it in round {round}");
        subject.expect_miss(&key).await?;
    }
    Ok(())
}

async fn batches_and_single_calls_mix(subject: Subject) -> Verdict {
    let keys: Arc<[StoredKey]> = subject.keys(16)?.into();
    let mut tasks = JoinSet::new();
    for worker in 0..6_u64 {
        let (subject, keys) = (subject.clone(), Arc::clone(&keys));
        tasks.spawn(async move {
            for step in 0..30 {
                let number = worker * 30 + step;
                let items = keys.iter().map(|key| (key.clone(), value(number), Put::default()));
                match number % 3 {
                    0 => drop(subject.backend().put_many(items.collect(), &subject.ctx).await?),
                    1 => subject.put(&keys[number as usize % 16], value(number)).await?,
                    _ => {
                        let found = subject.get_many(&keys).await?;
                        let is_whole = found.iter().flatten().all(|v| number_of(v).is_some());
                        ensure!(is_whole, "a torn value was read in a batch");
                    }
                }
            }
            Ok(())
        });
    }
    join(tasks).await?;
    for key in keys.iter() {
        expect_one_of(&subject, key, 180).await?;
    }
    Ok(())
}

/// Polls a future at most `polls` times, with room for others in between, then drops it.
async fn drop_after<F: Future>(polls: u32, call: F) {
    let mut call = std::pin::pin!(call);
    for _ in 0..polls {
        let mut is_done = false;
        std::future::poll_fn(|cx| {
            is_done = call.as_mut().poll(cx).is_ready();
            Poll::Ready(())
        })
        .await;
        if is_done {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn a_call_dropped_early_leaves_the_backend_usable(subject: Subject) -> Verdict {
    let (key, other) = (subject.key("dropped")?, subject.key("other")?);
    let backend = subject.backend();
    let keys = [key.clone(), other.clone()];
    for round in 0..20 {
        drop_after(1, subject.get(&key)).await;
        drop_after(1, subject.put(&key, value(round))).await;
        drop_after(1, subject.remove(&key)).await;
        drop_after(1, subject.get_many(&keys)).await;
        let items = vec![(key.clone(), value(round), Put::default())];
        drop_after(1, backend.put_many(items, &subject.ctx)).await;
        drop_after(1, backend.remove_many(&keys[..1], Sequence::ZERO, &subject.ctx)).await;
        drop_after(1, backend.health()).await;
        if subject.capabilities().scan {
            drop_after(1, backend.scan(&subject.prefix(), None, 10)).await;
        }
        subject.put(&other, value(round)).await?;
        subject.expect(&other, value(round)).await?;
        let found = subject.get(&key).await?;
        let is_known = found.as_ref().is_none_or(|v| number_of(v).is_some_and(|n| n <= round));
        ensure!(is_known, "a dropped call left a value that nobody wrote");
    }
    Ok(())
}

async fn a_call_dropped_anywhere_leaves_a_whole_value(subject: Subject) -> Verdict {
    let mut rng = subject.rng();
    let key = subject.key("dropped")?;
    subject.put(&key, value(0)).await?;
    for round in 1..=200 {
        let polls = rng.random_range(1..6);
        if rng.random_bool(0.5) {
            drop_after(polls, subject.put(&key, value(round))).await;
        } else {
            let items = vec![(key.clone(), value(round), Put::default())];
            drop_after(polls, subject.backend().put_many(items, &subject.ctx)).await;
        }
        // Nothing here removes: the key holds the old or the new value at every moment.
        expect_one_of(&subject, &key, round + 1).await?;
    }
    Ok(())
}

async fn a_seeded_walk_answers_like_a_map(subject: Subject) -> Verdict {
    let mut rng = subject.rng();
    let keys = subject.keys(12)?;
    let mut map = std::collections::HashMap::new();
    for step in 0..600_u64 {
        let key = &keys[rng.random_range(0..keys.len())];
        match rng.random_range(0..8) {
            0..3 => {
                let number = rng.random_range(0..1_000);
                subject.put(key, value(number)).await?;
                map.insert(key.clone(), value(number));
            }
            3 => {
                let was_there = subject.remove(key).await?;
                ensure_eq!(was_there, map.remove(key).is_some(), "removal at step {step}");
            }
            4 => {
                let expected: Vec<_> = keys.iter().map(|key| map.get(key).cloned()).collect();
                ensure!(subject.get_many(&keys).await? == expected, "batch at step {step}");
            }
            _ => {
                let found = subject.get(key).await?;
                ensure!(found.as_ref() == map.get(key), "read of {key} at step {step}");
            }
        }
    }
    Ok(())
}

async fn of_racing_versions_the_newest_stands(subject: Subject) -> Verdict {
    let mut rng = subject.rng();
    for round in 0..20 {
        let key = subject.key(&format!("raced-{round}"))?;
        let mut tasks = JoinSet::new();
        let versions: Vec<u64> = (0..16).map(|_| rng.random_range(1..1_000)).collect();
        for version in versions.clone() {
            let (subject, key) = (subject.clone(), key.clone());
            tasks.spawn(async move {
                subject.put_at(&key, value(version), version).await?;
                Ok(())
            });
        }
        join(tasks).await?;
        let newest = versions.into_iter().max().unwrap_or_default();
        let found = subject.get(&key).await?.as_ref().and_then(number_of);
        ensure_eq!(found, Some(newest), "version that stands in round {round}");
    }
    Ok(())
}

async fn a_removal_among_late_puts_stands(subject: Subject) -> Verdict {
    for round in 0..20 {
        let key = subject.key(&format!("raced-{round}"))?;
        let mut tasks = JoinSet::new();
        for version in 1..16 {
            let (subject, key) = (subject.clone(), key.clone());
            tasks.spawn(async move {
                if version == 8 {
                    subject.remove_at(&key, 100).await?;
                }
                let outcome = subject.put_at(&key, value(version), version).await?;
                ensure!(outcome != PutOutcome::Refused, "a small value was refused");
                Ok(())
            });
        }
        join(tasks).await?;
        subject.expect_miss(&key).await?;
    }
    Ok(())
}
