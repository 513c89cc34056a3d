//! What holders write, in time and after their time.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Lease, LeaseToken, Sequence};
use cache_enterprise_core::{Error, OpContext, Put, PutOutcome, StoredKey};
use tokio::task::JoinSet;

use super::fixture::LONG;
use super::{Fixture, Need, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        a_holder_writes,
        a_holder_writes_over_a_value,
        a_holder_writes_more_than_once,
        a_put_ends_no_lease,
        a_holder_writes_after_its_release,
        a_paused_holder_is_refused,
        a_paused_holder_is_refused_before_the_next_has_written,
        a_paused_holder_is_refused_after_the_next_let_go,
        a_paused_holder_is_refused_after_a_removal,
        a_write_without_a_lease_passes,
        late_holders_never_win_a_race,
    ]
    needs [Need::Fence] => [
        a_holder_keeps_to_newer_removals,
        a_holder_keeps_to_newer_values,
    ]
}

async fn a_holder_writes(fixture: Fixture) -> Verdict {
    let key = fixture.key("written")?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    let outcome = fixture.put(&fixture.one, &key, ("loaded", 7), token).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put of the holder");
    fixture.expect(&key, Some("loaded")).await
}

async fn a_holder_writes_over_a_value(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("written")?, OpContext::default());
    fixture.backend.put(&key, "old".into(), Put::default(), &ctx).await?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    let outcome = fixture.put(&fixture.one, &key, ("loaded", 7), token).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put of the holder");
    fixture.expect(&key, Some("loaded")).await
}

async fn a_holder_writes_more_than_once(fixture: Fixture) -> Verdict {
    let key = fixture.key("written")?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    for (value, version) in [("first", 1), ("second", 2), ("third", 2)] {
        let outcome = fixture.put(&fixture.one, &key, (value, version), token).await?;
        ensure_eq!(outcome, PutOutcome::Stored, "put of {value:?}");
        fixture.expect(&key, Some(value)).await?;
    }
    Ok(())
}

async fn a_put_ends_no_lease(fixture: Fixture) -> Verdict {
    let key = fixture.key("written")?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.put(&fixture.one, &key, ("loaded", 7), token).await?;
    fixture.expect_busy(&fixture.two, &key, LONG).await?;
    ensure!(fixture.one.renew(&key, token, LONG).await?, "the holder was refused");
    Ok(())
}

/// Nobody has taken the lease since: its token is still the newest.
async fn a_holder_writes_after_its_release(fixture: Fixture) -> Verdict {
    let key = fixture.key("written")?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.one.release(&key, token).await?;
    let outcome = fixture.put(&fixture.one, &key, ("loaded", 7), token).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put by the newest token");
    fixture.expect(&key, Some("loaded")).await
}

async fn a_paused_holder_is_refused(fixture: Fixture) -> Verdict {
    let key = fixture.key("paused")?;
    let paused = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let next = fixture.take_over(&key).await?;
    let outcome = fixture.put(&fixture.two, &key, ("new", 7), next).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put of the holder");
    // Its version is no reason to refuse it; its token is.
    let outcome = fixture.put(&fixture.one, &key, ("late", 9), paused).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "a put of a holder whose time is over");
    fixture.expect(&key, Some("new")).await
}

async fn a_paused_holder_is_refused_before_the_next_has_written(fixture: Fixture) -> Verdict {
    let key = fixture.key("paused")?;
    let paused = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let next = fixture.take_over(&key).await?;
    let outcome = fixture.put(&fixture.one, &key, ("late", 9), paused).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "a put of a holder whose time is over");
    fixture.expect(&key, None).await?;
    let outcome = fixture.put(&fixture.two, &key, ("new", 7), next).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put of the holder");
    fixture.expect(&key, Some("new")).await
}

async fn a_paused_holder_is_refused_after_the_next_let_go(fixture: Fixture) -> Verdict {
    let key = fixture.key("paused")?;
    let paused = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let next = fixture.take_over(&key).await?;
    fixture.two.release(&key, next).await?;
    let outcome = fixture.put(&fixture.one, &key, ("late", 9), paused).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "a put of a holder whose time is over");
    fixture.expect(&key, None).await
}

async fn a_paused_holder_is_refused_after_a_removal(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("paused")?, OpContext::default());
    let paused = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let next = fixture.take_over(&key).await?;
    fixture.put(&fixture.two, &key, ("new", 7), next).await?;
    fixture.backend.remove(&key, Sequence(8), &ctx).await?;
    let outcome = fixture.put(&fixture.one, &key, ("late", 9), paused).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "a put of a holder whose time is over");
    fixture.expect(&key, None).await
}

async fn a_holder_keeps_to_newer_removals(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("removed")?, OpContext::default());
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.backend.remove(&key, Sequence(20), &ctx).await?;
    let outcome = fixture.put(&fixture.one, &key, ("older", 19), token).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "a put that is older than a removal");
    fixture.expect(&key, None).await?;
    let outcome = fixture.put(&fixture.one, &key, ("newer", 20), token).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put at the removal's number");
    fixture.expect(&key, Some("newer")).await
}

async fn a_holder_keeps_to_newer_values(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("written")?, OpContext::default());
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    let how = Put { version: Sequence(20), ..Put::default() };
    fixture.backend.put(&key, "explicit".into(), how, &ctx).await?;
    let outcome = fixture.put(&fixture.one, &key, ("older", 19), token).await?;
    ensure_eq!(outcome, PutOutcome::Fenced, "a put that is older than a value");
    fixture.expect(&key, Some("explicit")).await
}

async fn a_write_without_a_lease_passes(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("written")?, OpContext::default());
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    let how = Put { version: Sequence(20), ..Put::default() };
    let outcome = fixture.backend.put(&key, "explicit".into(), how, &ctx).await?;
    ensure_eq!(outcome, PutOutcome::Stored, "a put of somebody who asked for no lease");
    fixture.expect(&key, Some("explicit")).await?;
    // And leaves the lease to its holder.
    ensure!(fixture.one.renew(&key, token, LONG).await?, "the holder was refused");
    fixture.expect_busy(&fixture.two, &key, LONG).await
}

/// Holders whose time is over write as fast as they can while others take over and write: under
/// the key stands what the newest holder wrote.
async fn late_holders_never_win_a_race(fixture: Fixture) -> Verdict {
    for round in 0..5 {
        let key = fixture.key(&format!("raced-{round}"))?;
        let mut late = Vec::new();
        for _ in 0..4 {
            let token = fixture.hold(&fixture.one, &key, LONG).await?;
            fixture.one.release(&key, token).await?;
            late.push(token);
        }
        let newest = fixture.hold(&fixture.two, &key, LONG).await?;
        let mut tasks = JoinSet::new();
        for token in late {
            let (lease, key) = (Arc::clone(&fixture.one), key.clone());
            tasks.spawn(async move { put_often(&*lease, &key, "late", token).await });
        }
        let (lease, key_now) = (Arc::clone(&fixture.two), key.clone());
        let written = put_often(&*lease, &key_now, "new", newest).await?;
        ensure_eq!(written, 10, "puts of the holder that were stored");
        for stored in tasks.join_all().await {
            ensure_eq!(stored?, 0, "puts by a token below the newest that were stored");
        }
        fixture.expect(&key, Some("new")).await?;
    }
    Ok(())
}

/// Puts ten times and counts what was stored.
async fn put_often(
    lease: &dyn Lease,
    key: &StoredKey,
    value: &'static str,
    token: LeaseToken,
) -> Result<u32, Error> {
    let mut stored = 0;
    for _ in 0..10 {
        let how = Put { ttl: Some(LONG), version: Sequence(7) };
        let outcome = lease.put(key, Bytes::from_static(value.as_bytes()), how, token).await?;
        stored += u32::from(outcome == PutOutcome::Stored);
    }
    Ok(stored)
}
