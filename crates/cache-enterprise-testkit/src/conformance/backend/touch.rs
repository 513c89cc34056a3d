//! New lives for entries whose bytes stay.

use std::time::Duration;

use cache_enterprise_core::{PutOutcome, Sequence, StoredKey, days, hours, ms, secs};

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Touch] => [
        a_touch_of_a_missing_key_says_so,
        a_touch_keeps_the_value,
    ]
    needs [Need::Touch, Need::Expiry] => [
        a_touch_prolongs_a_life,
        a_touch_shortens_a_life,
        a_touch_gives_an_endless_value_an_end,
        a_touch_counts_from_now,
        a_touch_of_an_expired_key_does_not_revive_it,
        a_touch_with_an_endless_life_works,
        a_touch_with_no_life_ends_the_value,
    ]
    needs [Need::Touch, Need::Fence] => [
        a_touch_leaves_the_fence,
    ]
}

async fn a_touch_of_a_missing_key_says_so(subject: Subject) -> Verdict {
    let key = subject.key("nobody")?;
    ensure!(!subject.touch(&key, hours(1)).await?, "a missing key was touched");
    subject.expect_miss(&key).await
}

async fn a_touch_keeps_the_value(subject: Subject) -> Verdict {
    let key = subject.key("touched")?;
    subject.put(&key, "Ada").await?;
    ensure!(subject.touch(&key, hours(1)).await?, "the key was there");
    subject.expect(&key, "Ada").await
}

async fn a_touch_prolongs_a_life(subject: Subject) -> Verdict {
    let key = subject.key("longer")?;
    let life = put_and_touch_in_time(&subject, &key).await?;
    subject.pass(life).await?;
    subject.expect(&key, "Ada").await
}

/// Puts "Ada" for the life that it gives, and then touches it for an hour.
pub(super) async fn put_and_touch_in_time(
    subject: &Subject,
    key: &StoredKey,
) -> Result<Duration, Failure> {
    // Long enough to be touched in time on a real clock, or longer where the machine stood still.
    let mut life = 10 * subject.short();
    loop {
        subject.put_for(key, "Ada", life).await?;
        if subject.touch(key, hours(1)).await? {
            return Ok(life);
        }
        ensure!(life < secs(60), "the key was there");
        life *= 4;
    }
}

async fn a_touch_shortens_a_life(subject: Subject) -> Verdict {
    let key = subject.key("shorter")?;
    subject.put_for(&key, "Ada", hours(1)).await?;
    ensure!(subject.touch(&key, subject.short()).await?, "the key was there");
    subject.pass(subject.short()).await?;
    subject.expect_miss(&key).await
}

async fn a_touch_gives_an_endless_value_an_end(subject: Subject) -> Verdict {
    let key = subject.key("ending")?;
    subject.put(&key, "Ada").await?;
    ensure!(subject.touch(&key, subject.short()).await?, "the key was there");
    subject.pass(subject.short()).await?;
    subject.expect_miss(&key).await
}

async fn a_touch_counts_from_now(subject: Subject) -> Verdict {
    let key = subject.key("touched")?;
    let life = subject.short();
    subject.put_for(&key, "Ada", life * 100).await?;
    let Some(clock) = &subject.fixture.clock else {
        subject.touch(&key, life).await?;
        return subject.expect_end(&key, life).await;
    };
    clock.advance(life / 2);
    subject.touch(&key, life).await?;
    clock.advance(life - ms(1));
    subject.expect(&key, "Ada").await?;
    clock.advance(ms(1));
    subject.expect_miss(&key).await
}

async fn a_touch_of_an_expired_key_does_not_revive_it(subject: Subject) -> Verdict {
    let key = subject.key("expired")?;
    subject.put_for(&key, "Ada", subject.short()).await?;
    subject.pass(subject.short()).await?;
    ensure!(!subject.touch(&key, hours(1)).await?, "an expired key was touched");
    subject.expect_miss(&key).await
}

async fn a_touch_with_an_endless_life_works(subject: Subject) -> Verdict {
    let key = subject.key("endless")?;
    subject.put_for(&key, "Ada", hours(1)).await?;
    ensure!(subject.touch(&key, Duration::MAX).await?, "the key was there");
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(days(3_650));
    }
    subject.expect(&key, "Ada").await
}

async fn a_touch_with_no_life_ends_the_value(subject: Subject) -> Verdict {
    let key = subject.key("ended")?;
    subject.put(&key, "Ada").await?;
    ensure!(subject.touch(&key, Duration::ZERO).await?, "the key was there");
    subject.expect_miss(&key).await
}

async fn a_touch_leaves_the_fence(subject: Subject) -> Verdict {
    let key = subject.key("fenced")?;
    subject.put_at(&key, "Ada", 20).await?;
    ensure!(subject.touch(&key, hours(1)).await?, "the key was there");
    ensure_eq!(subject.put_at(&key, "late", 10).await?, PutOutcome::Fenced, "an older put");
    let removed = subject.backend().remove(&key, Sequence(30), &subject.ctx).await?;
    ensure!(removed, "the key was there");
    ensure!(!subject.touch(&key, hours(1)).await?, "a removed key was touched");
    subject.expect_miss(&key).await
}
