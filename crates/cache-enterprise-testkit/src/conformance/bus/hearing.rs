//! Publishing and hearing while everything is well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::Heard;
use cache_enterprise_core::ms;
use tokio::task::JoinSet;

use super::ear::{Ear, PATIENCE};
use super::{Fixture, MANAGER, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases! {
    needs [] => [
        a_listener_hears_what_the_other_end_publishes,
        a_process_hears_its_own_frames,
        every_listener_hears_every_frame,
        frames_come_back_byte_for_byte,
        frames_are_heard_with_their_own_values_or_without,
        frames_of_another_manager_are_not_heard,
        a_listener_at_rest_is_told_that_it_is_current,
        nothing_is_current_before_what_was_published,
        two_thousand_frames_are_heard,
        frames_published_at_once_are_all_heard,
        a_wait_that_is_given_up_loses_nothing,
        a_publish_that_is_given_up_spoils_nothing,
        a_listener_that_leaves_disturbs_nobody,
        a_late_listener_hears_what_follows,
        an_undisturbed_listener_loses_nothing,
        after_the_close_nothing_is_published,
    ]
}

async fn a_listener_hears_what_the_other_end_publishes(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    fixture.publish("hello").await?;
    two.hear_frame(b"hello").await
}

async fn a_process_hears_its_own_frames(fixture: Fixture) -> Verdict {
    let mut one = Fixture::listen(&fixture.one).await?;
    fixture.publish("own").await?;
    one.hear_frame(b"own").await
}

async fn every_listener_hears_every_frame(fixture: Fixture) -> Verdict {
    let mut ears = Vec::new();
    for bus in [&fixture.one, &fixture.two, &fixture.two] {
        ears.push(Fixture::listen(bus).await?);
    }
    fixture.publish_all(0..20).await?;
    for ear in &mut ears {
        ear.hear().await?.expect(0..20)?;
    }
    Ok(())
}

async fn frames_come_back_byte_for_byte(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let frames = [vec![0], b"\r\n$5\r\n".to_vec(), all.clone(), all.repeat(256), all.repeat(2_048)];
    for frame in &frames {
        fixture.publish(frame.clone()).await?;
    }
    let known = two.hear().await?;
    for frame in &frames {
        let is_heard = known.frames.iter().any(|heard| heard == frame);
        ensure!(is_heard, "a frame of {} bytes did not come back", frame.len());
    }
    let foreign = known.frames.iter().find(|heard| !frames.iter().any(|frame| *heard == frame));
    ensure!(foreign.is_none(), "a frame was heard that nobody published");
    Ok(())
}

/// Values are a favour; those that come are whole, and beside the frame they were given with.
async fn frames_are_heard_with_their_own_values_or_without(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    let frame = |number: u32| Bytes::from(number.to_le_bytes().to_vec());
    let values = |number: u32| Bytes::from(vec![number as u8; 3 * number as usize]);
    for number in 0..30 {
        fixture.one.publish_with(MANAGER, frame(number), values(number)).await?;
    }
    let known = two.hear().await?;
    known.expect(0..30)?;
    let is_own = |(heard, beside): &(Bytes, Bytes)| {
        (0..30).any(|number| *heard == frame(number) && *beside == values(number))
    };
    ensure!(known.pushed.iter().all(is_own), "values came torn, or beside another frame");
    Ok(())
}

async fn frames_of_another_manager_are_not_heard(fixture: Fixture) -> Verdict {
    let others = ["suite2", "suit", "SUITE", "suite:", "suite*", "suité"];
    let mut two = Fixture::listen(&fixture.two).await?;
    for manager in others {
        fixture.one.publish(manager, Bytes::from_static(b"foreign")).await?;
    }
    fixture.publish("own").await?;
    let mut frames = two.hear().await?.frames;
    frames.dedup();
    ensure_eq!(frames, [Bytes::from_static(b"own")], "frames heard, each once");
    let mut other = Ear::new(fixture.two.listen("suite*").await?);
    fixture.publish("own").await?;
    let heard = other.hear().await?.frames;
    ensure!(heard.is_empty(), "a listener of `suite*` heard `suite`");
    Ok(())
}

async fn a_listener_at_rest_is_told_that_it_is_current(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    for _ in 0..3 {
        let known = two.hear().await?;
        ensure!(known.frames.is_empty() && !known.is_lost, "{known:?} on a silent bus");
    }
    Ok(())
}

/// Rather often, so that a word that overtakes a frame is caught.
async fn nothing_is_current_before_what_was_published(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    for round in 0..15 {
        fixture.publish_all(round..round + 1).await?;
        two.hear().await?.expect(round..round + 1)?;
    }
    Ok(())
}

async fn two_thousand_frames_are_heard(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    fixture.publish_all(0..2_000).await?;
    two.hear().await?.expect(0..2_000)
}

async fn frames_published_at_once_are_all_heard(fixture: Fixture) -> Verdict {
    let mut ears = [Fixture::listen(&fixture.one).await?, Fixture::listen(&fixture.two).await?];
    let mut tasks = JoinSet::new();
    for number in 0..64_u32 {
        let bus = Arc::clone(if number % 2 == 0 { &fixture.one } else { &fixture.two });
        let frame = Bytes::from(number.to_le_bytes().to_vec());
        tasks.spawn(async move { bus.publish(MANAGER, frame).await });
    }
    for published in tasks.join_all().await {
        published?;
    }
    for ear in &mut ears {
        ear.hear().await?.expect(0..64)?;
    }
    Ok(())
}

async fn a_wait_that_is_given_up_loses_nothing(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    fixture.publish_all(0..50).await?;
    let mut heard = std::collections::BTreeSet::new();
    for _ in 0..200 {
        if let Some(Heard::Frame(frame)) = two.next_at_once().await {
            heard.extend(frame[..].try_into().ok().map(u32::from_le_bytes));
        }
        tokio::task::yield_now().await;
    }
    heard.extend(two.hear().await?.numbers());
    ensure_eq!(heard.len(), 50, "frames heard by a caller that gives up often");
    Ok(())
}

async fn a_publish_that_is_given_up_spoils_nothing(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    for _ in 0..50 {
        let publish = fixture.one.publish(MANAGER, Bytes::from_static(b"given up"));
        let _ = tokio::time::timeout(Duration::from_micros(50), publish).await;
    }
    fixture.publish_all(0..5).await?;
    let known = two.hear().await?;
    known.expect(0..5)?;
    let torn = known.frames.iter().find(|frame| frame.len() != 4 && *frame != "given up");
    ensure!(torn.is_none(), "a frame was torn");
    Ok(())
}

async fn a_listener_that_leaves_disturbs_nobody(fixture: Fixture) -> Verdict {
    let mut stays = Fixture::listen(&fixture.two).await?;
    for round in 0..5 {
        let leaves = Fixture::listen(&fixture.two).await?;
        fixture.publish_all(round..round + 1).await?;
        drop(leaves);
    }
    stays.hear().await?.expect(0..5)
}

async fn a_late_listener_hears_what_follows(fixture: Fixture) -> Verdict {
    fixture.publish_all(0..10).await?;
    let mut late = Fixture::listen(&fixture.two).await?;
    fixture.publish_all(10..20).await?;
    late.hear().await?.expect(10..20)
}

async fn an_undisturbed_listener_loses_nothing(fixture: Fixture) -> Verdict {
    let mut two = Fixture::listen(&fixture.two).await?;
    for round in 0..5 {
        fixture.publish_all(round * 50..(round + 1) * 50).await?;
        let known = two.hear().await?;
        ensure!(!known.is_lost, "something is said to be lost on a bus that is well");
    }
    Ok(())
}

async fn after_the_close_nothing_is_published(fixture: Fixture) -> Verdict {
    let mut one = Fixture::listen(&fixture.one).await?;
    one.hear().await?;
    fixture.one.close().await?;
    fixture.one.close().await?;
    let published = fixture.one.publish(MANAGER, Bytes::from_static(b"late")).await;
    ensure!(published.is_err(), "a closed bus took a frame");
    fixture.two.publish(MANAGER, Bytes::from_static(b"other")).await?;
    let start = tokio::time::Instant::now();
    // What was on its way may still come; then there must be silence.
    while let Some(heard) = one.next_within(ms(700)).await {
        ensure!(heard != Heard::Frame("other".into()), "a closed bus is heard");
        ensure!(start.elapsed() < PATIENCE, "a closed bus goes on talking");
    }
    Ok(())
}
