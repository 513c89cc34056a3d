//! Older puts against newer values and removals.

use cache_enterprise_core::{Put, PutOutcome, Sequence, hours, ms};

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Fence] => [
        an_older_put_after_a_newer_put_is_fenced,
        a_newer_put_is_stored,
        a_put_of_an_equal_version_is_stored,
        an_older_put_after_a_removal_is_fenced,
        a_put_at_the_version_of_the_removal_is_stored,
        a_removal_of_a_missing_key_fences_too,
        an_older_removal_does_not_lower_the_fence,
        a_second_removal_raises_the_fence,
        a_removal_older_than_the_value_removes_it_and_leaves_its_fence,
        a_batch_of_older_removals_leaves_the_fences_of_the_values,
        a_fence_holds_for_its_key_alone,
        fences_work_at_the_borders_of_the_number,
        a_fenced_put_leaves_bytes_and_version_alone,
    ]
    needs [Need::Fence, Need::Expiry] => [
        a_fenced_put_leaves_the_life_alone,
    ]
}

async fn expect_outcome(
    subject: &Subject,
    (value, version): (&'static str, u64),
    outcome: PutOutcome,
) -> Verdict {
    let key = subject.key("fenced")?;
    let found = subject.put_at(&key, value, version).await?;
    ensure_eq!(found, outcome, "put of {value:?} at version {version}");
    Ok(())
}

async fn an_older_put_after_a_newer_put_is_fenced(subject: Subject) -> Verdict {
    expect_outcome(&subject, ("newer", 20), PutOutcome::Stored).await?;
    expect_outcome(&subject, ("older", 19), PutOutcome::Fenced).await?;
    expect_outcome(&subject, ("oldest", 0), PutOutcome::Fenced).await?;
    subject.expect(&subject.key("fenced")?, "newer").await
}

async fn a_newer_put_is_stored(subject: Subject) -> Verdict {
    expect_outcome(&subject, ("first", 20), PutOutcome::Stored).await?;
    expect_outcome(&subject, ("second", 21), PutOutcome::Stored).await?;
    subject.expect(&subject.key("fenced")?, "second").await
}

async fn a_put_of_an_equal_version_is_stored(subject: Subject) -> Verdict {
    expect_outcome(&subject, ("first", 20), PutOutcome::Stored).await?;
    expect_outcome(&subject, ("second", 20), PutOutcome::Stored).await?;
    subject.expect(&subject.key("fenced")?, "second").await
}

async fn an_older_put_after_a_removal_is_fenced(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    expect_outcome(&subject, ("first", 20), PutOutcome::Stored).await?;
    ensure!(subject.remove_at(&key, 30).await?, "the key was there");
    expect_outcome(&subject, ("late", 29), PutOutcome::Fenced).await?;
    subject.expect_miss(&key).await
}

async fn a_put_at_the_version_of_the_removal_is_stored(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.remove_at(&key, 30).await?;
    expect_outcome(&subject, ("same", 30), PutOutcome::Stored).await?;
    subject.expect(&key, "same").await
}

/// A load may be on its way while nothing is stored: the removal must stop it all the same.
async fn a_removal_of_a_missing_key_fences_too(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    ensure!(!subject.remove_at(&key, 30).await?, "the key was not there");
    expect_outcome(&subject, ("late", 20), PutOutcome::Fenced).await?;
    subject.expect_miss(&key).await
}

async fn an_older_removal_does_not_lower_the_fence(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.remove_at(&key, 30).await?;
    subject.remove_at(&key, 10).await?;
    expect_outcome(&subject, ("late", 20), PutOutcome::Fenced).await?;
    subject.expect_miss(&key).await
}

async fn a_second_removal_raises_the_fence(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.remove_at(&key, 10).await?;
    subject.remove_at(&key, 30).await?;
    expect_outcome(&subject, ("late", 20), PutOutcome::Fenced).await?;
    expect_outcome(&subject, ("new", 31), PutOutcome::Stored).await?;
    subject.expect(&key, "new").await
}

/// Whoever removes wants the value gone, and what came before that value stays out all the same.
async fn a_removal_older_than_the_value_removes_it_and_leaves_its_fence(
    subject: Subject,
) -> Verdict {
    let key = subject.key("fenced")?;
    expect_outcome(&subject, ("newer", 20), PutOutcome::Stored).await?;
    ensure!(subject.remove_at(&key, 10).await?, "the key was there");
    subject.expect_miss(&key).await?;
    expect_outcome(&subject, ("late", 15), PutOutcome::Fenced).await?;
    subject.expect_miss(&key).await?;
    expect_outcome(&subject, ("same", 20), PutOutcome::Stored).await?;
    subject.expect(&key, "same").await
}

async fn a_batch_of_older_removals_leaves_the_fences_of_the_values(subject: Subject) -> Verdict {
    let keys = subject.keys(20)?;
    for key in &keys {
        subject.put_at(key, "newer", 20).await?;
    }
    let removed = subject.backend().remove_many(&keys, Sequence(10), &subject.ctx).await?;
    ensure_eq!(removed, 20, "keys that were there");
    for key in &keys {
        subject.expect_miss(key).await?;
        ensure_eq!(subject.put_at(key, "late", 15).await?, PutOutcome::Fenced, "put under {key}");
    }
    Ok(())
}

async fn a_fence_holds_for_its_key_alone(subject: Subject) -> Verdict {
    subject.remove_at(&subject.key("fenced")?, 30).await?;
    let (longer, shorter) = (subject.key("fenced:1")?, subject.key("fence")?);
    for key in [&longer, &shorter] {
        ensure_eq!(subject.put_at(key, "Ada", 1).await?, PutOutcome::Stored, "put under {key}");
        subject.expect(key, "Ada").await?;
    }
    Ok(())
}

async fn fences_work_at_the_borders_of_the_number(subject: Subject) -> Verdict {
    let borders = [0, 1, u64::from(u32::MAX), 1 << 53, (1 << 53) + 1, i64::MAX as u64, u64::MAX];
    for version in borders {
        expect_outcome(&subject, ("rising", version), PutOutcome::Stored).await?;
        if let Some(older) = version.checked_sub(1) {
            expect_outcome(&subject, ("older", older), PutOutcome::Fenced).await?;
        }
        subject.expect(&subject.key("fenced")?, "rising").await?;
    }
    Ok(())
}

async fn a_fenced_put_leaves_bytes_and_version_alone(subject: Subject) -> Verdict {
    expect_outcome(&subject, ("newer", 20), PutOutcome::Stored).await?;
    expect_outcome(&subject, ("older", 5), PutOutcome::Fenced).await?;
    // Had the refused put left its version, this one would pass.
    expect_outcome(&subject, ("between", 10), PutOutcome::Fenced).await?;
    subject.expect(&subject.key("fenced")?, "newer").await
}

async fn a_fenced_put_leaves_the_life_alone(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    let how = Put { ttl: Some(hours(1)), version: Sequence(20) };
    subject.put_as(&key, "newer", how).await?;
    let late = Put { ttl: Some(ms(1)), version: Sequence(10) };
    let outcome = subject.backend().put(&key, "older".into(), late, &subject.ctx).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "an older put");
    subject.pass(subject.short()).await?;
    subject.expect(&key, "newer").await
}
