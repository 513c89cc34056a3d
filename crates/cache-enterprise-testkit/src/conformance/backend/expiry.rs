//! Lives: when entries end, and what a replacement does to the end.

use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Put, PutOutcome, Sequence, days, hours, ms, secs};

use super::cases;
use super::subject::{Need, Subject};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [Need::Expiry] => [
        a_value_without_ttl_stays,
        a_value_ends_at_its_exact_millisecond,
        a_ttl_of_one_millisecond_ends,
        a_ttl_below_a_millisecond_ends_and_does_no_harm,
        a_zero_ttl_is_a_miss_at_once,
        a_zero_ttl_leaves_nothing_older,
        an_endless_ttl_stays,
        a_ttl_a_second_under_thirty_days_holds,
        a_ttl_of_thirty_days_holds,
        a_ttl_a_second_over_thirty_days_holds,
        a_ttl_of_ten_years_holds,
        a_replacement_with_a_shorter_ttl_ends_sooner,
        a_replacement_with_a_longer_ttl_ends_later,
        a_replacement_without_ttl_stays,
        a_replacement_gives_an_endless_value_an_end,
        an_expired_key_can_be_put_again,
        a_remove_of_an_expired_key_finds_nothing,
        remove_many_does_not_count_the_expired,
        get_many_leaves_out_the_expired,
        put_many_keeps_to_each_ttl,
        a_read_does_not_prolong_a_life,
        many_lives_end_each_at_its_own_time,
    ]
}

async fn a_value_without_ttl_stays(subject: Subject) -> Verdict {
    let key = subject.key("endless")?;
    subject.put(&key, "Ada").await?;
    subject.pass(subject.short()).await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(days(400));
    }
    subject.expect(&key, "Ada").await
}

/// Holds until the last millisecond and not a millisecond longer. On a real clock only the end is
/// checked: nobody can say what time it was when the backend looked.
async fn holds_exactly(subject: &Subject, ttl: Duration) -> Verdict {
    let key = subject.key("exact")?;
    subject.put_for(&key, "Ada", ttl).await?;
    match &subject.fixture.clock {
        Some(clock) => {
            clock.advance(ttl - ms(1));
            subject.expect(&key, "Ada").await?;
            clock.advance(ms(1));
            subject.expect_miss(&key).await
        }
        None if ttl <= secs(1) => subject.expect_end(&key, ttl).await,
        None => subject.expect(&key, "Ada").await,
    }
}

async fn a_value_ends_at_its_exact_millisecond(subject: Subject) -> Verdict {
    for ttl in [ms(2), ms(63), ms(64), ms(65), ms(999), secs(1)] {
        holds_exactly(&subject, ttl).await?;
    }
    Ok(())
}

async fn a_ttl_of_one_millisecond_ends(subject: Subject) -> Verdict {
    holds_exactly(&subject, ms(1)).await
}

async fn a_ttl_below_a_millisecond_ends_and_does_no_harm(subject: Subject) -> Verdict {
    let (key, other) = (subject.key("tiny")?, subject.key("other")?);
    subject.put(&other, "Grace").await?;
    subject.put_for(&key, "Ada", Duration::from_nanos(1)).await?;
    if let Some(clock) = &subject.fixture.clock {
        subject.expect(&key, "Ada").await?;
        clock.advance(ms(1));
        subject.expect_miss(&key).await?;
    }
    subject.expect_end(&key, ms(1)).await?;
    subject.expect(&other, "Grace").await
}

/// Puts with no life at all. Stored or refused, it may not be read; but nothing fences it.
async fn put_lifeless(subject: &Subject, key: &str) -> Verdict {
    let key = subject.key(key)?;
    let how = Put { ttl: Some(Duration::ZERO), ..Put::default() };
    let outcome = subject.backend().put(&key, "lifeless".into(), how, &subject.ctx).await?;
    ensure!(outcome != PutOutcome::Fenced, "a put without life was fenced");
    subject.expect_miss(&key).await
}

async fn a_zero_ttl_is_a_miss_at_once(subject: Subject) -> Verdict {
    put_lifeless(&subject, "new").await
}

async fn a_zero_ttl_leaves_nothing_older(subject: Subject) -> Verdict {
    subject.put(&subject.key("old")?, "Ada").await?;
    put_lifeless(&subject, "old").await
}

async fn an_endless_ttl_stays(subject: Subject) -> Verdict {
    let key = subject.key("endless")?;
    subject.put_for(&key, "Ada", Duration::MAX).await?;
    subject.expect(&key, "Ada").await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(days(3_650));
    }
    subject.expect(&key, "Ada").await
}

async fn a_ttl_a_second_under_thirty_days_holds(subject: Subject) -> Verdict {
    holds_exactly(&subject, days(30) - secs(1)).await
}

async fn a_ttl_of_thirty_days_holds(subject: Subject) -> Verdict {
    holds_exactly(&subject, days(30)).await
}

/// memcached takes a life over 30 days for a date in 1970.
async fn a_ttl_a_second_over_thirty_days_holds(subject: Subject) -> Verdict {
    holds_exactly(&subject, days(30) + secs(1)).await
}

async fn a_ttl_of_ten_years_holds(subject: Subject) -> Verdict {
    holds_exactly(&subject, days(3_650)).await
}

async fn a_replacement_with_a_shorter_ttl_ends_sooner(subject: Subject) -> Verdict {
    let key = subject.key("shorter")?;
    subject.put_for(&key, "long", hours(1)).await?;
    subject.put_for(&key, "short", subject.short()).await?;
    subject.pass(subject.short()).await?;
    subject.expect_miss(&key).await
}

async fn a_replacement_with_a_longer_ttl_ends_later(subject: Subject) -> Verdict {
    let key = subject.key("longer")?;
    subject.put_for(&key, "short", subject.short()).await?;
    subject.put_for(&key, "long", hours(1)).await?;
    subject.pass(subject.short()).await?;
    subject.expect(&key, "long").await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(hours(1) - subject.short());
        subject.expect_miss(&key).await?;
    }
    Ok(())
}

async fn a_replacement_without_ttl_stays(subject: Subject) -> Verdict {
    let key = subject.key("endless")?;
    subject.put_for(&key, "short", subject.short()).await?;
    subject.put(&key, "endless").await?;
    subject.pass(subject.short()).await?;
    subject.expect(&key, "endless").await
}

async fn a_replacement_gives_an_endless_value_an_end(subject: Subject) -> Verdict {
    let key = subject.key("ending")?;
    subject.put(&key, "endless").await?;
    subject.put_for(&key, "short", subject.short()).await?;
    subject.pass(subject.short()).await?;
    subject.expect_miss(&key).await
}

async fn an_expired_key_can_be_put_again(subject: Subject) -> Verdict {
    let key = subject.key("again")?;
    subject.put_for(&key, "first", subject.short()).await?;
    subject.pass(subject.short()).await?;
    subject.expect_miss(&key).await?;
    subject.put(&key, "second").await?;
    subject.pass(subject.short()).await?;
    subject.expect(&key, "second").await
}

async fn a_remove_of_an_expired_key_finds_nothing(subject: Subject) -> Verdict {
    let key = subject.key("expired")?;
    subject.put_for(&key, "Ada", subject.short()).await?;
    subject.pass(subject.short()).await?;
    ensure!(!subject.remove(&key).await?, "an expired key counted as there");
    Ok(())
}

async fn remove_many_does_not_count_the_expired(subject: Subject) -> Verdict {
    let keys = subject.keys(4)?;
    subject.put(&keys[0], "endless").await?;
    subject.put_for(&keys[1], "short", subject.short()).await?;
    subject.put_for(&keys[2], "long", hours(1)).await?;
    subject.pass(subject.short()).await?;
    let at = Sequence::ZERO;
    let removed = subject.backend().remove_many(&keys, at, &subject.ctx).await?;
    ensure_eq!(removed, 2, "removed keys");
    Ok(())
}

async fn get_many_leaves_out_the_expired(subject: Subject) -> Verdict {
    let keys = subject.keys(3)?;
    subject.put(&keys[0], "endless").await?;
    subject.put_for(&keys[1], "short", subject.short()).await?;
    subject.put_for(&keys[2], "long", hours(1)).await?;
    subject.pass(subject.short()).await?;
    let expected = [Some("endless"), None, Some("long")].map(|text| text.map(Bytes::from));
    ensure_eq!(subject.get_many(&keys).await?, expected, "answers");
    Ok(())
}

async fn put_many_keeps_to_each_ttl(subject: Subject) -> Verdict {
    let keys = subject.keys(3)?;
    let lives = [None, Some(subject.short()), Some(hours(1))];
    let items = keys
        .iter()
        .zip(lives)
        .map(|(key, ttl)| (key.clone(), Bytes::from("Ada"), Put { ttl, ..Put::default() }));
    subject.backend().put_many(items.collect(), &subject.ctx).await?;
    subject.pass(subject.short()).await?;
    subject.expect(&keys[0], "Ada").await?;
    subject.expect_miss(&keys[1]).await?;
    subject.expect(&keys[2], "Ada").await
}

async fn a_read_does_not_prolong_a_life(subject: Subject) -> Verdict {
    let key = subject.key("read")?;
    subject.put_for(&key, "Ada", subject.short()).await?;
    if let Some(clock) = &subject.fixture.clock {
        clock.advance(subject.short() - ms(1));
        subject.expect(&key, "Ada").await?;
        subject.get_many(std::slice::from_ref(&key)).await?;
        clock.advance(ms(1));
        subject.expect_miss(&key).await?;
    }
    // Asking again and again is what this does on a real clock.
    subject.expect_end(&key, subject.short()).await
}

async fn many_lives_end_each_at_its_own_time(subject: Subject) -> Verdict {
    let keys = subject.keys(200)?;
    for (number, key) in (1..).zip(&keys) {
        subject.put_for(key, "Ada", ms(number)).await?;
    }
    let Some(clock) = &subject.fixture.clock else {
        subject.pass(ms(200)).await?;
        let left = subject.get_many(&keys).await?;
        ensure_eq!(left.iter().flatten().count(), 0, "entries left after the longest life");
        return Ok(());
    };
    let start = clock.now();
    for ended in [1, 50, 100, 199, 200] {
        clock.advance(ms(ended - (clock.now() - start)));
        let found = subject.get_many(&keys).await?;
        let expected = keys.iter().zip(1..).map(|(_, number)| number > ended);
        let is_right = found.iter().map(Option::is_some).eq(expected);
        ensure!(is_right, "after {ended} ms other entries are left than should be");
    }
    Ok(())
}
