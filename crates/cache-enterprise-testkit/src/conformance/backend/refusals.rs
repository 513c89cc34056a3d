//! Values that are too large: what is left under their keys.

use bytes::Bytes;
use cache_enterprise_core::{ErrorKind, Put, PutOutcome, Sequence, StoredKey};

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Refusal] => [
        a_value_over_the_limit_is_refused_and_nothing_breaks,
        a_refused_value_leaves_nothing_older,
        a_batch_is_refused_value_by_value,
    ]
    needs [Need::Refusal, Need::Fence] => [
        a_refused_value_fences_what_is_older,
        a_refused_value_of_a_missing_key_fences_too,
        a_value_that_is_too_large_and_older_is_fenced,
        a_batch_of_values_too_large_is_fenced_value_by_value,
    ]
}

fn large(subject: &Subject) -> Bytes {
    vec![7; subject.too_large().unwrap_or_default()].into()
}

/// Puts what is too large. `None` where the backend answers that with an error, which does not
/// tell what is left.
async fn put_large(
    subject: &Subject,
    key: &StoredKey,
    version: u64,
) -> Result<Option<PutOutcome>, Failure> {
    let how = Put { version: Sequence(version), ..Put::default() };
    match subject.backend().put(key, large(subject), how, &subject.ctx).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::TooLarge, "a value over the limit");
            Ok(None)
        }
    }
}

async fn a_value_over_the_limit_is_refused_and_nothing_breaks(subject: Subject) -> Verdict {
    let (key, other) = (subject.key("over")?, subject.key("other")?);
    subject.put(&other, "Ada").await?;
    if let Some(outcome) = put_large(&subject, &key, 0).await? {
        ensure_eq!(outcome, PutOutcome::Refused, "a value over the limit");
    }
    subject.expect_miss(&key).await?;
    subject.expect(&other, "Ada").await?;
    subject.put(&key, "Grace").await?;
    subject.expect(&key, "Grace").await
}

async fn a_refused_value_leaves_nothing_older(subject: Subject) -> Verdict {
    for (name, version) in [("unnumbered", 0), ("numbered", 5)] {
        let key = subject.key(name)?;
        subject.put_at(&key, "older", version).await?;
        match put_large(&subject, &key, version).await? {
            Some(outcome) => {
                ensure_eq!(outcome, PutOutcome::Refused, "a value over the limit");
                subject.expect_miss(&key).await?;
            }
            // What stood there may stand there still, whole.
            None => {
                let found = subject.get(&key).await?;
                let is_whole = found.as_ref().is_none_or(|found| found == "older");
                ensure!(is_whole, "after an error {found:?} was left");
            }
        }
        subject.put_at(&key, "newer", version).await?;
        subject.expect(&key, "newer").await?;
    }
    Ok(())
}

async fn a_batch_is_refused_value_by_value(subject: Subject) -> Verdict {
    let keys = subject.keys(4)?;
    for key in &keys {
        subject.put(key, "older").await?;
    }
    let values = ["first".into(), large(&subject), large(&subject), "last".into()];
    let items = keys.iter().cloned().zip(values);
    let items = items.map(|(key, value)| (key, value, Put::default())).collect();
    let outcomes = match subject.backend().put_many(items, &subject.ctx).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::TooLarge, "a batch with a value over the limit");
            return Ok(());
        }
    };
    let (stored, refused) = (PutOutcome::Stored, PutOutcome::Refused);
    ensure_eq!(outcomes, [stored, refused, refused, stored], "outcomes of a batch");
    subject.expect(&keys[0], "first").await?;
    subject.expect_miss(&keys[1]).await?;
    subject.expect_miss(&keys[2]).await?;
    subject.expect(&keys[3], "last").await
}

/// What was refused is newer than what is on its way, as if it stood there.
async fn a_refused_value_fences_what_is_older(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    ensure_eq!(subject.put_at(&key, "old", 20).await?, PutOutcome::Stored, "the first put");
    expect_fence(&subject, &key).await
}

async fn a_refused_value_of_a_missing_key_fences_too(subject: Subject) -> Verdict {
    expect_fence(&subject, &subject.key("fenced")?).await
}

async fn expect_fence(subject: &Subject, key: &StoredKey) -> Verdict {
    let Some(outcome) = put_large(subject, key, 30).await? else { return Ok(()) };
    ensure_eq!(outcome, PutOutcome::Refused, "a value over the limit");
    ensure_eq!(subject.put_at(key, "late", 29).await?, PutOutcome::Fenced, "an older put");
    subject.expect_miss(key).await?;
    ensure_eq!(subject.put_at(key, "same", 30).await?, PutOutcome::Stored, "a put at 30");
    subject.expect(key, "same").await
}

async fn a_value_that_is_too_large_and_older_is_fenced(subject: Subject) -> Verdict {
    let (put, removed) = (subject.key("put")?, subject.key("removed")?);
    subject.put_at(&put, "newer", 20).await?;
    subject.remove_at(&removed, 20).await?;
    for key in [&put, &removed] {
        if let Some(outcome) = put_large(&subject, key, 10).await? {
            ensure_eq!(outcome, PutOutcome::Fenced, "an older value over the limit");
        }
    }
    subject.expect(&put, "newer").await?;
    for key in [&put, &removed] {
        ensure_eq!(subject.put_at(key, "late", 15).await?, PutOutcome::Fenced, "an older put");
    }
    subject.expect(&put, "newer").await?;
    subject.expect_miss(&removed).await
}

async fn a_batch_of_values_too_large_is_fenced_value_by_value(subject: Subject) -> Verdict {
    let keys = subject.keys(3)?;
    for (key, version) in keys.iter().zip([20, 5, 10]) {
        subject.put_at(key, "old", version).await?;
    }
    let how = Put { version: Sequence(10), ..Put::default() };
    let items = keys.iter().map(|key| (key.clone(), large(&subject), how)).collect();
    let Ok(outcomes) = subject.backend().put_many(items, &subject.ctx).await else {
        return subject.expect(&keys[0], "old").await;
    };
    let (fenced, refused) = (PutOutcome::Fenced, PutOutcome::Refused);
    ensure_eq!(outcomes, [fenced, refused, refused], "outcomes of a batch");
    subject.expect(&keys[0], "old").await?;
    for key in &keys[1..] {
        subject.expect_miss(key).await?;
        ensure_eq!(subject.put_at(key, "late", 9).await?, PutOutcome::Fenced, "an older put");
    }
    Ok(())
}
