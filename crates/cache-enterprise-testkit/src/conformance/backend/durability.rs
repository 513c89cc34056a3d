//! What is there after a close and a new opening.

use bytes::Bytes;
use cache_enterprise_core::{PutOutcome, hours, ms};

use super::admin::{put_keys, scan};
use super::cases;
use super::subject::{Need, Subject};
use super::touch::put_and_touch_in_time;
use super::values::whole;
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Durable] => [
        values_survive_a_reopen,
        a_large_value_survives_a_reopen,
        removals_survive_a_reopen,
        replacements_survive_a_reopen,
        a_reopened_backend_takes_writes,
        several_reopens_lose_nothing,
    ]
    needs [Need::Durable, Need::Expiry] => [
        what_expired_stays_gone_after_a_reopen,
        a_reopen_does_not_prolong_a_life,
    ]
    needs [Need::Durable, Need::Touch, Need::Expiry] => [a_touch_survives_a_reopen]
    needs [Need::Durable, Need::Fence] => [fences_survive_a_reopen]
    needs [Need::Durable, Need::Scan] => [a_scan_after_a_reopen_lists_every_key]
    needs [Need::Durable, Need::ClearPrefix] => [a_clear_survives_a_reopen]
}

async fn values_survive_a_reopen(subject: Subject) -> Verdict {
    let keys = subject.keys(500)?;
    for (number, key) in (0..).zip(&keys) {
        subject.put(key, whole(number, 200)).await?;
    }
    let subject = subject.reopen().await?;
    for (number, key) in (0..).zip(&keys) {
        subject.expect(key, whole(number, 200)).await?;
    }
    Ok(())
}

async fn a_large_value_survives_a_reopen(subject: Subject) -> Verdict {
    let limit = subject.capabilities().value_bytes_max.unwrap_or(usize::MAX);
    let value = whole(1, limit.min(1 << 20));
    let key = subject.key("large")?;
    subject.put(&key, value.clone()).await?;
    let subject = subject.reopen().await?;
    ensure!(subject.get(&key).await? == Some(value), "a large value came back changed");
    Ok(())
}

async fn removals_survive_a_reopen(subject: Subject) -> Verdict {
    let keys = subject.keys(20)?;
    for key in &keys {
        subject.put(key, "here").await?;
    }
    let mut subject = subject.reopen().await?;
    for key in &keys[..10] {
        ensure!(subject.remove(key).await?, "{key} was there");
    }
    subject = subject.reopen().await?;
    for key in &keys[..10] {
        subject.expect_miss(key).await?;
    }
    for key in &keys[10..] {
        subject.expect(key, "here").await?;
    }
    Ok(())
}

async fn replacements_survive_a_reopen(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    subject.put(&key, whole(1, 5_000)).await?;
    let subject = subject.reopen().await?;
    subject.put(&key, whole(2, 50)).await?;
    let subject = subject.reopen().await?;
    subject.expect(&key, whole(2, 50)).await
}

async fn a_reopened_backend_takes_writes(subject: Subject) -> Verdict {
    let key = subject.key("user")?;
    let subject = subject.reopen().await?;
    subject.expect_miss(&key).await?;
    subject.put(&key, "Ada").await?;
    subject.expect(&key, "Ada").await?;
    ensure!(subject.remove(&key).await?, "the key was there");
    Ok(())
}

async fn several_reopens_lose_nothing(mut subject: Subject) -> Verdict {
    let keys = subject.keys(5)?;
    for opened in 0..keys.len() {
        subject.put(&keys[opened], whole(opened as u64, 64)).await?;
        subject = subject.reopen().await?;
        for (number, key) in (0..).zip(&keys[..=opened]) {
            subject.expect(key, whole(number, 64)).await?;
        }
    }
    Ok(())
}

async fn what_expired_stays_gone_after_a_reopen(subject: Subject) -> Verdict {
    let (ended, before) = (subject.key("ended")?, subject.key("ends-while-closed")?);
    let life = subject.short();
    subject.put_for(&ended, "Ada", life).await?;
    subject.pass(life).await?;
    subject.put_for(&before, "Grace", ms(1)).await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(ms(1));
    }
    let subject = subject.reopen().await?;
    subject.expect_miss(&ended).await?;
    subject.expect_end(&before, ms(1)).await
}

async fn a_reopen_does_not_prolong_a_life(subject: Subject) -> Verdict {
    let (key, long) = (subject.key("half-way")?, subject.key("long")?);
    let life = subject.short();
    subject.put_for(&long, "long", hours(1)).await?;
    subject.put_for(&key, "Ada", life).await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(life / 2);
    }
    let subject = subject.reopen().await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(life / 2 - ms(1));
        subject.expect(&key, "Ada").await?;
        clock.advance(ms(1));
        subject.expect_miss(&key).await?;
    }
    subject.expect_end(&key, life).await?;
    subject.expect(&long, "long").await
}

async fn a_touch_survives_a_reopen(subject: Subject) -> Verdict {
    let (longer, shorter) = (subject.key("longer")?, subject.key("shorter")?);
    subject.put_for(&shorter, "Grace", hours(2)).await?;
    let life = put_and_touch_in_time(&subject, &longer).await?;
    ensure!(subject.touch(&shorter, subject.short()).await?, "the key was there");
    let subject = subject.reopen().await?;
    subject.pass(life).await?;
    subject.expect(&longer, "Ada").await?;
    subject.expect_miss(&shorter).await
}

async fn fences_survive_a_reopen(subject: Subject) -> Verdict {
    let (put, removed) = (subject.key("put")?, subject.key("removed")?);
    subject.put_at(&put, "newer", 20).await?;
    subject.remove_at(&removed, 20).await?;
    let subject = subject.reopen().await?;
    ensure_eq!(subject.put_at(&put, "older", 10).await?, PutOutcome::Fenced, "after a put");
    ensure_eq!(subject.put_at(&removed, "late", 10).await?, PutOutcome::Fenced, "after a removal");
    subject.expect(&put, "newer").await?;
    subject.expect_miss(&removed).await?;
    ensure_eq!(subject.put_at(&removed, "new", 30).await?, PutOutcome::Stored, "a newer put");
    Ok(())
}

async fn a_scan_after_a_reopen_lists_every_key(subject: Subject) -> Verdict {
    let keys = put_keys(&subject, 50).await?;
    let subject = subject.reopen().await?;
    ensure_eq!(scan(&subject, &subject.prefix(), 7).await?, keys, "listed keys");
    Ok(())
}

async fn a_clear_survives_a_reopen(subject: Subject) -> Verdict {
    let keys = subject.keys(50)?;
    for key in &keys {
        subject.put(key, "here").await?;
    }
    subject.backend().clear_prefix(&subject.prefix()).await?;
    let subject = subject.reopen().await?;
    ensure_eq!(subject.get_many(&keys).await?, vec![None::<Bytes>; 50], "what is left");
    Ok(())
}
