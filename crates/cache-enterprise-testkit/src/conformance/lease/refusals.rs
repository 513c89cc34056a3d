//! Values that are too large for the backend: what their holders leave.

use bytes::Bytes;
use cache_enterprise_core::coherence::{LeaseToken, LeasedPut, Sequence};
use cache_enterprise_core::{ErrorKind, OpContext, Put, PutOutcome, StoredKey};

use super::fixture::LONG;
use super::{Fixture, Need, cases};
use crate::conformance::case::{Failure, Verdict, ensure_eq};

cases! {
    needs [Need::ValueLimit] => [
        a_refused_value_of_a_holder_leaves_nothing_older,
        a_paused_holder_is_refused_a_value_that_is_too_large,
    ]
    needs [Need::ValueLimit, Need::Fence] => [
        a_refused_value_of_a_holder_fences_what_is_older,
        a_holders_value_that_is_too_large_and_older_is_fenced,
        a_batch_of_values_too_large_is_judged_key_by_key,
    ]
}

/// A value over the limit.
fn large(fixture: &Fixture) -> Bytes {
    let limit = fixture.backend.capabilities().value_bytes_max.unwrap_or_default();
    vec![7; limit + 1].into()
}

fn at(version: u64) -> Put {
    Put { ttl: Some(LONG), version: Sequence(version) }
}

/// Puts what is too large. `None` where that is answered with an error, which does not tell what
/// is left.
async fn put_large(
    fixture: &Fixture,
    key: &StoredKey,
    version: u64,
    token: LeaseToken,
) -> Result<Option<PutOutcome>, Failure> {
    match fixture.one.put(key, large(fixture), at(version), token).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::TooLarge, "a value over the limit");
            Ok(None)
        }
    }
}

/// Puts as somebody who asked for no lease.
async fn write(fixture: &Fixture, key: &StoredKey, version: u64) -> Verdict {
    let ctx = OpContext::default();
    let outcome = fixture.backend.put(key, "written".into(), at(version), &ctx).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put without a lease");
    Ok(())
}

async fn a_refused_value_of_a_holder_leaves_nothing_older(fixture: Fixture) -> Verdict {
    let key = fixture.key("large")?;
    write(&fixture, &key, 5).await?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    if let Some(outcome) = put_large(&fixture, &key, 20, token).await? {
        ensure_eq!(outcome, PutOutcome::Refused, "a value over the limit");
        fixture.expect(&key, None).await?;
    }
    // It ends no lease either.
    fixture.expect_busy(&fixture.two, &key, LONG).await?;
    let outcome = fixture.put(&fixture.one, &key, ("smaller", 20), token).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put at the same version");
    fixture.expect(&key, Some("smaller")).await
}

async fn a_refused_value_of_a_holder_fences_what_is_older(fixture: Fixture) -> Verdict {
    for written in [None, Some(5)] {
        let key = fixture.key(if written.is_some() { "written" } else { "empty" })?;
        if let Some(version) = written {
            write(&fixture, &key, version).await?;
        }
        let token = fixture.hold(&fixture.one, &key, LONG).await?;
        let Some(outcome) = put_large(&fixture, &key, 20, token).await? else { return Ok(()) };
        ensure_eq!(outcome, PutOutcome::Refused, "a value over the limit");
        let outcome = fixture.put(&fixture.one, &key, ("late", 19), token).await?;
        ensure_eq!(outcome, PutOutcome::Fenced, "an older put of the holder");
        let ctx = OpContext::default();
        let outcome = fixture.backend.put(&key, "late".into(), at(19), &ctx).await?;
        ensure_eq!(outcome, PutOutcome::Fenced, "an older put without a lease");
        fixture.expect(&key, None).await?;
    }
    Ok(())
}

async fn a_holders_value_that_is_too_large_and_older_is_fenced(fixture: Fixture) -> Verdict {
    let key = fixture.key("large")?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    write(&fixture, &key, 20).await?;
    if let Some(outcome) = put_large(&fixture, &key, 19, token).await? {
        ensure_eq!(outcome, PutOutcome::Fenced, "an older value over the limit");
    }
    fixture.expect(&key, Some("written")).await
}

async fn a_paused_holder_is_refused_a_value_that_is_too_large(fixture: Fixture) -> Verdict {
    let key = fixture.key("paused")?;
    let paused = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let next = fixture.take_over(&key).await?;
    let outcome = fixture.put(&fixture.two, &key, ("new", 7), next).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put of the holder");
    // Its version is no reason to refuse it; its token is.
    if let Some(outcome) = put_large(&fixture, &key, 9, paused).await? {
        ensure_eq!(outcome, PutOutcome::Fenced, "a put of a holder whose time is over");
    }
    fixture.expect(&key, Some("new")).await
}

async fn a_batch_of_values_too_large_is_judged_key_by_key(fixture: Fixture) -> Verdict {
    let large = large(&fixture);
    let names = ["paused", "newer", "large", "small"];
    let keys = names.into_iter().map(|name| fixture.key(name)).collect::<Result<Vec<_>, _>>()?;
    let mut tokens = Vec::new();
    for (key, version) in keys.iter().zip([5, 20, 5, 5]) {
        let life = if tokens.is_empty() { fixture.short() } else { LONG };
        tokens.push(fixture.hold(&fixture.one, key, life).await?);
        write(&fixture, key, version).await?;
    }
    fixture.take_over(&keys[0]).await?;
    let values = [large.clone(), large.clone(), large, "small".into()];
    let items = keys.iter().cloned().zip(values).zip(tokens);
    let items = items.map(|((key, value), token)| LeasedPut { key, value, how: at(10), token });
    let outcomes = match fixture.one.put_many(items.collect()).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::TooLarge, "a batch with a value over the limit");
            return Ok(());
        }
    };
    let (fenced, refused, stored) = (PutOutcome::Fenced, PutOutcome::Refused, PutOutcome::Stored);
    ensure_eq!(outcomes, [fenced, fenced, refused, stored], "outcomes of a batch");
    let left = [Some("written"), Some("written"), None, Some("small")];
    for (key, left) in keys.iter().zip(left) {
        fixture.expect(key, left).await?;
    }
    let late = fixture.backend.put(&keys[2], "late".into(), at(9), &OpContext::default()).await?;
    ensure_eq!(late, PutOutcome::Fenced, "a put that is older than what was refused");
    Ok(())
}
