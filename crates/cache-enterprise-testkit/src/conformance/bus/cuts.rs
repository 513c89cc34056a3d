//! An end that is cut off, and frames that are gone when it comes back.

use cache_enterprise_core::coherence::Heard;
use cache_enterprise_core::ms;
use tokio::time::Instant;

use super::{Fixture, MANAGER, Need, cases};
use crate::conformance::case::{Verdict, ensure};

cases! {
    needs [Need::Cut] => [
        what_was_published_during_a_cut_is_heard_after_it,
        nothing_is_current_during_a_cut,
        several_cuts_lose_nothing,
        a_cut_publisher_fails_or_is_heard,
        the_other_end_goes_on_during_a_cut,
    ]
    needs [Need::Cut, Need::Forget] => [
        what_is_gone_after_a_cut_is_said_to_be_lost,
        after_a_loss_the_listener_goes_on,
    ]
    needs [Need::Forget] => [
        frames_after_a_forgotten_log_are_heard,
    ]
}

async fn what_was_published_during_a_cut_is_heard_after_it(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    two.hear().await?;
    fixture.set_cut(true).await;
    fixture.publish_all(0..30).await?;
    fixture.set_cut(false).await;
    two.hear().await?.expect(0..30)
}

async fn nothing_is_current_during_a_cut(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    two.hear().await?;
    fixture.set_cut(true).await;
    fixture.publish_all(0..1).await?;
    let (start, mut is_known) = (Instant::now(), false);
    while start.elapsed() < ms(1_000) {
        let asked = Instant::now();
        match two.next_within(ms(200)).await {
            Some(Heard::Current { age }) => {
                let is_later = asked.checked_sub(age).is_some_and(|known_at| known_at >= start);
                ensure!(is_known || !is_later, "a cut listener is told that it is current");
            }
            // Somebody whose cut is slow may hear it; then it is current indeed.
            Some(Heard::Frame(_) | Heard::Pushed { .. } | Heard::Touched(_) | Heard::Lost) => {
                is_known = true
            }
            None => {}
        }
    }
    fixture.set_cut(false).await;
    let known = two.hear().await?;
    if is_known { Ok(()) } else { known.expect(0..1) }
}

async fn several_cuts_lose_nothing(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    two.hear().await?;
    let mut from = 0;
    for _ in 0..4 {
        fixture.publish_all(from..from + 5).await?;
        fixture.set_cut(true).await;
        fixture.publish_all(from + 5..from + 10).await?;
        fixture.set_cut(false).await;
        fixture.publish_all(from + 10..from + 15).await?;
        two.hear().await?.expect(from..from + 15)?;
        from += 15;
    }
    Ok(())
}

async fn a_cut_publisher_fails_or_is_heard(fixture: Fixture) -> Verdict {
    let mut one = Fixture::listen(&fixture.one).await?;
    fixture.set_cut(true).await;
    let published = fixture.two.publish(MANAGER, 0_u32.to_le_bytes().to_vec().into()).await;
    if published.is_ok() {
        one.hear().await?.expect(0..1)?;
    }
    fixture.set_cut(false).await;
    let start = Instant::now();
    while fixture.two.publish(MANAGER, 1_u32.to_le_bytes().to_vec().into()).await.is_err() {
        ensure!(start.elapsed() < super::ear::PATIENCE, "an end that is joined cannot publish");
        tokio::time::sleep(ms(10)).await;
    }
    one.hear().await?.expect(1..2)
}

async fn the_other_end_goes_on_during_a_cut(fixture: Fixture) -> Verdict {
    let mut one = Fixture::listen(&fixture.one).await?;
    fixture.set_cut(true).await;
    fixture.publish_all(0..10).await?;
    let known = one.hear().await?;
    fixture.set_cut(false).await;
    ensure!(!known.is_lost, "an end that is well lost something to another's cut");
    known.expect(0..10)
}

async fn what_is_gone_after_a_cut_is_said_to_be_lost(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    two.hear().await?;
    fixture.set_cut(true).await;
    fixture.publish_all(0..30).await?;
    fixture.forget_all().await;
    fixture.set_cut(false).await;
    two.hear().await?.expect(0..30)
}

async fn after_a_loss_the_listener_goes_on(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    two.hear().await?;
    fixture.set_cut(true).await;
    fixture.publish_all(0..5).await?;
    fixture.forget_all().await;
    fixture.set_cut(false).await;
    two.hear().await?;
    fixture.publish_all(5..15).await?;
    let known = two.hear().await?;
    ensure!(!known.is_lost, "a loss is told for ever");
    known.expect(5..15)
}

async fn frames_after_a_forgotten_log_are_heard(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    fixture.publish_all(0..5).await?;
    two.hear().await?;
    fixture.forget_all().await;
    fixture.publish_all(5..15).await?;
    two.hear().await?.expect(5..15)
}
