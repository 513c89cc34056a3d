//! Who holds a lease, for how long, and by which token.

use std::sync::Arc;

use cache_enterprise_core::coherence::{Acquired, LeaseToken, Sequence};
use cache_enterprise_core::{OpContext, Put, PutOutcome, mins, ms, secs};
use tokio::task::JoinSet;

use super::fixture::LONG;
use super::{Fixture, Need, cases};
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        a_free_lease_is_given,
        a_held_lease_is_busy_for_everybody,
        keys_have_leases_of_their_own,
        a_key_that_has_a_value_has_a_lease_too,
        a_lease_hides_no_value,
        a_lease_makes_no_value,
        a_released_lease_is_free,
        a_release_with_another_token_does_nothing,
        a_release_of_what_nobody_holds_does_no_harm,
        a_lease_ends_after_its_life,
        a_renewed_lease_is_held_on,
        a_lost_lease_is_not_renewed,
        tokens_rise_from_holder_to_holder,
        tokens_rise_across_writes_and_removals,
        of_many_at_once_one_gets_the_lease,
        odd_keys_have_leases,
    ]
    needs [Need::ManualTime] => [
        tokens_rise_ten_minutes_after_a_lease_and_as_long_as_it_lived,
    ]
}

async fn a_free_lease_is_given(fixture: Fixture) -> Verdict {
    let key = fixture.key("free")?;
    fixture.hold(&fixture.one, &key, LONG).await?;
    Ok(())
}

async fn a_held_lease_is_busy_for_everybody(fixture: Fixture) -> Verdict {
    let key = fixture.key("held")?;
    fixture.hold(&fixture.one, &key, LONG).await?;
    for lease in [&fixture.two, &fixture.one, &fixture.two] {
        fixture.expect_busy(lease, &key, LONG).await?;
    }
    Ok(())
}

async fn keys_have_leases_of_their_own(fixture: Fixture) -> Verdict {
    for key in ["a", "b", "a:b", "A", ""] {
        let key = fixture.key(key)?;
        fixture.hold(&fixture.one, &key, LONG).await?;
        fixture.expect_busy(&fixture.two, &key, LONG).await?;
    }
    Ok(())
}

async fn a_key_that_has_a_value_has_a_lease_too(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("valued")?, OpContext::default());
    fixture.backend.put(&key, "Ada".into(), Put::default(), &ctx).await?;
    fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.expect_busy(&fixture.two, &key, LONG).await
}

async fn a_lease_hides_no_value(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("valued")?, OpContext::default());
    fixture.backend.put(&key, "Ada".into(), Put::default(), &ctx).await?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.expect(&key, Some("Ada")).await?;
    ensure!(fixture.one.renew(&key, token, LONG).await?, "the lease is held");
    fixture.expect(&key, Some("Ada")).await?;
    fixture.one.release(&key, token).await?;
    fixture.expect(&key, Some("Ada")).await
}

async fn a_lease_makes_no_value(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("nothing")?, OpContext::default());
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.expect(&key, None).await?;
    let removed = fixture.backend.remove(&key, Sequence::ZERO, &ctx).await?;
    ensure!(!removed, "a lease counted as a value");
    fixture.one.release(&key, token).await?;
    fixture.expect(&key, None).await
}

async fn a_released_lease_is_free(fixture: Fixture) -> Verdict {
    let key = fixture.key("released")?;
    let token = fixture.hold(&fixture.one, &key, LONG).await?;
    fixture.one.release(&key, token).await?;
    let next = fixture.hold(&fixture.two, &key, LONG).await?;
    // By the token of a holder that is gone.
    fixture.one.release(&key, token).await?;
    fixture.expect_busy(&fixture.one, &key, LONG).await?;
    fixture.two.release(&key, next).await?;
    fixture.hold(&fixture.one, &key, LONG).await?;
    Ok(())
}

async fn a_release_with_another_token_does_nothing(fixture: Fixture) -> Verdict {
    let key = fixture.key("held")?;
    let LeaseToken(token) = fixture.hold(&fixture.one, &key, LONG).await?;
    for other in [0, token - 1, token + 1, u64::MAX] {
        fixture.two.release(&key, LeaseToken(other)).await?;
        fixture.expect_busy(&fixture.two, &key, LONG).await?;
    }
    Ok(())
}

async fn a_release_of_what_nobody_holds_does_no_harm(fixture: Fixture) -> Verdict {
    let key = fixture.key("nobody")?;
    fixture.one.release(&key, LeaseToken(7)).await?;
    fixture.expect(&key, None).await?;
    fixture.hold(&fixture.two, &key, LONG).await?;
    Ok(())
}

async fn a_lease_ends_after_its_life(fixture: Fixture) -> Verdict {
    let key = fixture.key("ended")?;
    let first = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let second = fixture.take_over(&key).await?;
    ensure!(second > first, "token {second:?} after {first:?}");
    Ok(())
}

async fn a_renewed_lease_is_held_on(fixture: Fixture) -> Verdict {
    let key = fixture.key("renewed")?;
    let token = fixture.hold(&fixture.one, &key, secs(60)).await?;
    ensure!(fixture.one.renew(&key, token, LONG).await?, "the holder was refused");
    let Acquired::Busy(left) = fixture.two.acquire(&key, LONG).await? else {
        return Err(Failure("a held lease was given".into()));
    };
    ensure!(left > secs(60) && left <= LONG, "it is held for another {left:?}");
    // A short life ends a long one.
    ensure!(fixture.one.renew(&key, token, fixture.short()).await?, "the holder was refused");
    fixture.take_over(&key).await?;
    Ok(())
}

async fn a_lost_lease_is_not_renewed(fixture: Fixture) -> Verdict {
    let key = fixture.key("lost")?;
    let lost = fixture.hold(&fixture.one, &key, fixture.short()).await?;
    let held = fixture.take_over(&key).await?;
    ensure!(!fixture.one.renew(&key, lost, LONG).await?, "a lost lease was renewed");
    ensure!(fixture.two.renew(&key, held, LONG).await?, "the holder was refused");
    let nobody = fixture.key("nobody")?;
    ensure!(!fixture.one.renew(&nobody, LeaseToken(9), LONG).await?, "nobody held that lease");
    Ok(())
}

async fn tokens_rise_from_holder_to_holder(fixture: Fixture) -> Verdict {
    let key = fixture.key("rising")?;
    let mut last = LeaseToken(0);
    for round in 0..20 {
        let lease = if round % 2 == 0 { &fixture.one } else { &fixture.two };
        let token = fixture.hold(lease, &key, LONG).await?;
        ensure!(token > last, "token {token:?} after {last:?}");
        lease.release(&key, token).await?;
        last = token;
    }
    Ok(())
}

async fn tokens_rise_across_writes_and_removals(fixture: Fixture) -> Verdict {
    let (key, ctx) = (fixture.key("rising")?, OpContext::default());
    let mut last = LeaseToken(0);
    for version in 1..10 {
        let token = fixture.hold(&fixture.one, &key, LONG).await?;
        ensure!(token > last, "token {token:?} after {last:?}");
        fixture.put(&fixture.one, &key, ("loaded", version * 10), token).await?;
        let how = Put { version: Sequence(version * 10 + 1), ..Put::default() };
        fixture.backend.put(&key, "written".into(), how, &ctx).await?;
        fixture.backend.remove(&key, Sequence(version * 10 + 2), &ctx).await?;
        fixture.one.release(&key, token).await?;
        last = token;
    }
    Ok(())
}

async fn tokens_rise_ten_minutes_after_a_lease_and_as_long_as_it_lived(
    fixture: Fixture,
) -> Verdict {
    for (name, life, later) in [("short", secs(1), mins(10)), ("long", LONG, LONG)] {
        let (ended, released) = (fixture.key(name)?, fixture.key(&format!("released {name}"))?);
        let last = fixture.hold(&fixture.one, &ended, life).await?;
        let given_back = fixture.hold(&fixture.one, &released, life).await?;
        fixture.advance(life);
        fixture.one.release(&released, given_back).await?;
        fixture.advance(later - ms(1));
        for (key, last) in [(&ended, last), (&released, given_back)] {
            let next = fixture.hold(&fixture.two, key, LONG).await?;
            ensure!(next > last, "token {next:?} of {key} after {last:?}");
            let late = fixture.put(&fixture.one, key, ("late", 9), last).await?;
            ensure_eq!(late, PutOutcome::Fenced, "a put of a holder whose time is over");
        }
    }
    Ok(())
}

async fn of_many_at_once_one_gets_the_lease(fixture: Fixture) -> Verdict {
    for round in 0..10 {
        let key = fixture.key(&format!("raced-{round}"))?;
        let mut tasks = JoinSet::new();
        for number in 0..16 {
            let lease = Arc::clone(if number % 2 == 0 { &fixture.one } else { &fixture.two });
            let key = key.clone();
            tasks.spawn(async move { lease.acquire(&key, LONG).await });
        }
        let mut holders = 0;
        for acquired in tasks.join_all().await {
            holders += u32::from(matches!(acquired?, Acquired::Held(_)));
        }
        ensure_eq!(holders, 1, "holders of one lease");
    }
    Ok(())
}

async fn odd_keys_have_leases(fixture: Fixture) -> Verdict {
    for key in ["a b", "a\nb", "\0", "日本語", "%", "*", &"long".repeat(300)] {
        let key = fixture.key(key)?;
        let token = fixture.hold(&fixture.one, &key, LONG).await?;
        fixture.expect_busy(&fixture.two, &key, LONG).await?;
        fixture.put(&fixture.one, &key, ("loaded", 1), token).await?;
        fixture.expect(&key, Some("loaded")).await?;
    }
    Ok(())
}
