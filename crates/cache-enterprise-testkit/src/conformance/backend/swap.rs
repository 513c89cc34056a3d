//! Putting a value only where nobody else did.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{Error, Put, PutOutcome, Sequence, StoredKey, Swapped, hours};
use tokio::task::JoinSet;

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Swap] => [
        a_swap_that_expects_nothing_stores,
        a_swap_of_the_expected_version_replaces,
        a_swap_of_another_version_changes_nothing,
        a_swap_that_expects_a_value_does_not_make_one,
        a_swap_that_expects_nothing_spares_a_value,
        a_swap_after_a_removal_expects_nothing,
        of_swaps_at_once_one_is_stored,
        counting_by_swaps_loses_no_step,
        versions_at_the_border_of_the_number_are_swapped,
    ]
    needs [Need::Swap, Need::Fence] => [
        a_swap_older_than_a_removal_is_fenced,
        a_swap_to_an_older_version_is_fenced,
        a_swap_of_another_version_is_told_before_the_fence,
        a_swap_leaves_the_fence_of_its_version,
    ]
    needs [Need::Swap, Need::Expiry] => [
        a_swapped_value_ends_with_its_life,
        an_expired_value_counts_as_nothing,
    ]
    needs [Need::Swap, Need::Refusal] => [
        a_swap_over_the_limit_is_not_stored,
    ]
}

async fn swap(
    subject: &Subject,
    key: &StoredKey,
    (value, version): (&str, u64),
    expected: u64,
) -> Result<Swapped, Failure> {
    let how = Put { version: Sequence(version), ..Put::default() };
    let value = Bytes::copy_from_slice(value.as_bytes());
    let backend = subject.backend();
    Ok(backend.swap(key, value, how, Sequence(expected), &subject.ctx).await?)
}

async fn a_swap_that_expects_nothing_stores(subject: Subject) -> Verdict {
    let key = subject.key("new")?;
    ensure_eq!(swap(&subject, &key, ("Ada", 5), 0).await?, Swapped::Stored, "a swap of nothing");
    subject.expect(&key, "Ada").await
}

async fn a_swap_of_the_expected_version_replaces(subject: Subject) -> Verdict {
    let key = subject.key("replaced")?;
    subject.put_at(&key, "Ada", 5).await?;
    ensure_eq!(swap(&subject, &key, ("Bob", 6), 5).await?, Swapped::Stored, "a swap of version 5");
    subject.expect(&key, "Bob").await?;
    ensure_eq!(swap(&subject, &key, ("Cyd", 7), 6).await?, Swapped::Stored, "a swap of version 6");
    subject.expect(&key, "Cyd").await
}

async fn a_swap_of_another_version_changes_nothing(subject: Subject) -> Verdict {
    let key = subject.key("changed")?;
    subject.put_at(&key, "Ada", 5).await?;
    for expected in [1, 4, 6, u64::MAX] {
        let swapped = swap(&subject, &key, ("Bob", 9), expected).await?;
        let changed = Swapped::Changed(Sequence(5));
        ensure_eq!(swapped, changed, "a swap of version {expected}");
        subject.expect(&key, "Ada").await?;
    }
    Ok(())
}

async fn a_swap_that_expects_a_value_does_not_make_one(subject: Subject) -> Verdict {
    let key = subject.key("nothing")?;
    let swapped = swap(&subject, &key, ("Ada", 9), 5).await?;
    ensure_eq!(swapped, Swapped::Changed(Sequence::ZERO), "a swap where nothing stands");
    subject.expect_miss(&key).await
}

async fn a_swap_that_expects_nothing_spares_a_value(subject: Subject) -> Verdict {
    let key = subject.key("spared")?;
    subject.put_at(&key, "Ada", 5).await?;
    let swapped = swap(&subject, &key, ("Bob", 9), 0).await?;
    ensure_eq!(swapped, Swapped::Changed(Sequence(5)), "a swap of nothing");
    subject.expect(&key, "Ada").await
}

async fn a_swap_after_a_removal_expects_nothing(subject: Subject) -> Verdict {
    let key = subject.key("removed")?;
    subject.put_at(&key, "Ada", 5).await?;
    subject.remove_at(&key, 6).await?;
    let swapped = swap(&subject, &key, ("Bob", 9), 5).await?;
    ensure_eq!(swapped, Swapped::Changed(Sequence::ZERO), "a swap of what was removed");
    subject.expect_miss(&key).await?;
    ensure_eq!(swap(&subject, &key, ("Cyd", 9), 0).await?, Swapped::Stored, "a swap of nothing");
    subject.expect(&key, "Cyd").await
}

async fn of_swaps_at_once_one_is_stored(subject: Subject) -> Verdict {
    for (round, expected) in [(0, 0), (1, 5), (2, 0), (3, 5), (4, 5)] {
        let key = subject.key(&format!("raced-{round}"))?;
        if expected > 0 {
            subject.put_at(&key, "Ada", expected).await?;
        }
        let mut tasks = JoinSet::new();
        for version in 10..26 {
            let (subject, key) = (subject.clone(), key.clone());
            tasks.spawn(async move {
                let swapped =
                    swap(&subject, &key, (&version.to_string(), version), expected).await?;
                Ok::<_, Failure>((version, swapped))
            });
        }
        let mut stored = Vec::new();
        for answer in tasks.join_all().await {
            match answer? {
                (version, Swapped::Stored) => stored.push(version),
                // A swap that comes after one of a later number may be older than it.
                (_, Swapped::Changed(_) | Swapped::Fenced) => {}
                (version, other) => return Err(Failure(format!("{version} was {other:?}"))),
            }
        }
        ensure_eq!(stored.len(), 1, "swaps that were stored at once");
        subject.expect(&key, stored[0].to_string()).await?;
    }
    Ok(())
}

async fn counting_by_swaps_loses_no_step(subject: Subject) -> Verdict {
    const STEPS: u64 = 25;
    /// Of four that count, one always wins.
    const TRIES_MAX: u64 = 100 * STEPS;
    let key = subject.key("counter")?;
    subject.put_at(&key, "1", 1).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (subject, key) = (subject.clone(), key.clone());
        tasks.spawn(async move {
            let (mut counted, mut tries) = (0, 0);
            while counted < STEPS {
                counted += u64::from(counts_on(&subject, &key).await?);
                tries += 1;
                ensure!(tries < TRIES_MAX, "{tries} swaps counted {counted} steps");
            }
            Ok::<_, Failure>(())
        });
    }
    for counted in tasks.join_all().await {
        counted?;
    }
    subject.expect(&key, (1 + 4 * STEPS).to_string()).await
}

/// Tries to raise the number under the key, which is its version too, by one.
async fn counts_on(subject: &Subject, key: &StoredKey) -> Result<bool, Failure> {
    let found = subject.get(key).await?.unwrap_or_default();
    let number = std::str::from_utf8(&found).ok().and_then(|text| text.parse::<u64>().ok());
    let number = number.ok_or_else(|| Failure("the counter holds no number".into()))?;
    let next = number + 1;
    Ok(swap(subject, key, (&next.to_string(), next), number).await? == Swapped::Stored)
}

async fn versions_at_the_border_of_the_number_are_swapped(subject: Subject) -> Verdict {
    let key = subject.key("border")?;
    let mut last = 0;
    for version in [1, u64::from(u32::MAX), 1 << 53, (1 << 53) + 1, i64::MAX as u64, u64::MAX] {
        let swapped = swap(&subject, &key, ("rising", version), last).await?;
        ensure_eq!(swapped, Swapped::Stored, "a swap of {last} for {version}");
        let swapped = swap(&subject, &key, ("again", version), last).await?;
        let changed = Swapped::Changed(Sequence(version));
        ensure_eq!(swapped, changed, "a second swap of {last} for {version}");
        last = version;
    }
    subject.expect(&key, "rising").await
}

async fn a_swap_older_than_a_removal_is_fenced(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.remove_at(&key, 30).await?;
    ensure_eq!(swap(&subject, &key, ("late", 29), 0).await?, Swapped::Fenced, "an older swap");
    subject.expect_miss(&key).await?;
    ensure_eq!(swap(&subject, &key, ("same", 30), 0).await?, Swapped::Stored, "a swap at 30");
    subject.expect(&key, "same").await
}

/// That it stands there is no reason to go back behind it: somebody may have read it.
async fn a_swap_to_an_older_version_is_fenced(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.put_at(&key, "newer", 20).await?;
    ensure_eq!(swap(&subject, &key, ("older", 10), 20).await?, Swapped::Fenced, "a swap at 10");
    subject.expect(&key, "newer").await?;
    ensure_eq!(subject.put_at(&key, "late", 15).await?, PutOutcome::Fenced, "an older put");
    ensure_eq!(swap(&subject, &key, ("same", 20), 20).await?, Swapped::Stored, "a swap at 20");
    subject.expect(&key, "same").await
}

async fn a_swap_of_another_version_is_told_before_the_fence(subject: Subject) -> Verdict {
    let (put, removed) = (subject.key("put")?, subject.key("removed")?);
    subject.put_at(&put, "newer", 20).await?;
    subject.remove_at(&removed, 20).await?;
    for (key, stands) in [(&put, 20), (&removed, 0)] {
        let swapped = swap(&subject, key, ("older", 10), 5).await?;
        let changed = Swapped::Changed(Sequence(stands));
        ensure_eq!(swapped, changed, "an older swap of another version");
    }
    subject.expect(&put, "newer").await?;
    subject.expect_miss(&removed).await
}

async fn a_swap_leaves_the_fence_of_its_version(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.put_at(&key, "Ada", 5).await?;
    swap(&subject, &key, ("Bob", 20), 5).await?;
    ensure_eq!(subject.put_at(&key, "late", 19).await?, PutOutcome::Fenced, "an older put");
    subject.expect(&key, "Bob").await
}

async fn a_swapped_value_ends_with_its_life(subject: Subject) -> Verdict {
    let key = subject.key("ending")?;
    subject.put_at(&key, "Ada", 5).await?;
    let how = Put { ttl: Some(subject.short()), version: Sequence(6) };
    let backend = subject.backend();
    backend.swap(&key, "Bob".into(), how, Sequence(5), &subject.ctx).await?;
    subject.pass(subject.short()).await?;
    subject.expect_miss(&key).await?;
    let how = Put { ttl: Some(hours(1)), version: Sequence(7) };
    let swapped = backend.swap(&key, "Cyd".into(), how, Sequence::ZERO, &subject.ctx).await?;
    ensure_eq!(swapped, Swapped::Stored, "a swap of what has ended");
    subject.pass(subject.short()).await?;
    subject.expect(&key, "Cyd").await
}

async fn an_expired_value_counts_as_nothing(subject: Subject) -> Verdict {
    let key = subject.key("expired")?;
    let how = Put { ttl: Some(subject.short()), version: Sequence(5) };
    subject.put_as(&key, "Ada", how).await?;
    subject.pass(subject.short()).await?;
    let swapped = swap(&subject, &key, ("Bob", 9), 5).await?;
    ensure_eq!(swapped, Swapped::Changed(Sequence::ZERO), "a swap of what has ended");
    ensure_eq!(swap(&subject, &key, ("Cyd", 9), 0).await?, Swapped::Stored, "a swap of nothing");
    subject.expect(&key, "Cyd").await
}

/// What is too large may be refused by an outcome or an error.
async fn a_swap_over_the_limit_is_not_stored(subject: Subject) -> Verdict {
    let key = subject.key("large")?;
    subject.put_at(&key, "Ada", 5).await?;
    let large = Bytes::from(vec![7; subject.too_large().unwrap_or_default()]);
    let how = Put { version: Sequence(6), ..Put::default() };
    let backend = Arc::clone(&subject.fixture.backend);
    let swapped: Result<_, Error> = backend.swap(&key, large, how, Sequence(5), &subject.ctx).await;
    ensure!(
        matches!(swapped, Err(_) | Ok(Swapped::Refused)),
        "a value over the limit was {swapped:?}"
    );
    subject.expect(&key, "Ada").await
}
