//! A bus that is mute for a minute, a process that is stopped for half a minute, a wall clock that
//! jumps by a day. What was acknowledged holds; near a process that cannot hear, after a second.

use cache_enterprise_core::{Clock, ms, secs, tag};
use cache_enterprise_testkit::coherence::{Disturbance, Link};

use super::{Fleet, Process};

const DAY_MS: i64 = 86_400_000;

/// The bound on silence, and the turn of the ticker that notices it.
const BOUND: std::time::Duration = ms(1_030);

#[tokio::test(start_paused = true)]
async fn a_bus_mute_for_a_minute_is_doubted_after_a_second_and_current_when_it_speaks() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 0).await;
    one.set(2, 0).await;
    other.pass(&fleet, secs(1)).await;
    assert_eq!((other.get(1).await, other.get(2).await), (Some(0), Some(0)));
    other.bus.set(Link::Hung);
    for round in 1..=30 {
        one.set(1, round).await;
        other.pass(&fleet, BOUND).await;
        assert_eq!(other.peek(1), None, "in round {round} it may have ended, and it has");
        assert_eq!(other.get(1).await, Some(round), "the tier is asked");
        other.pass(&fleet, BOUND).await;
        assert_eq!(other.peek(1), None, "nor is a copy made in silence believed for longer");
    }
    assert!(other.manager.bus_stats().unwrap().is_in_doubt);
    other.bus.set(Link::Whole);
    other.pass(&fleet, secs(1)).await;
    assert!(!other.manager.bus_stats().unwrap().is_in_doubt);
    assert_eq!(other.get(1).await, Some(30));
    assert_eq!(other.peek(2), Some(0), "what nobody changed is believed again");
}

#[tokio::test(start_paused = true)]
async fn frames_lost_for_a_minute_reach_everybody_by_the_log() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    fleet.bus.disturb(Disturbance { lost: 1.0, ..Disturbance::default() });
    for round in 0..60 {
        one.set(1, round).await;
        other.pass(&fleet, secs(1)).await;
        assert!(other.peek(1).is_none_or(|value| value == round), "after a second");
        assert_eq!(other.get(1).await, Some(round));
    }
    assert_eq!(other.manager.bus_stats().unwrap().lost, 0);
}

/// Nothing of a stopped process moves but what is on its way to it.
async fn stopped_for(fleet: &Fleet, stopped: &Process, going: &Process, seconds: u64) {
    stopped.bus.set(Link::Hung);
    going.pass(fleet, secs(seconds)).await;
}

/// It goes on: first of all it sees what time it is.
fn goes_on(stopped: &Process, clock: &Clock, seconds: u64) {
    clock.advance(secs(seconds));
    stopped.manager.tick();
    stopped.bus.set(Link::Whole);
}

#[tokio::test(start_paused = true)]
async fn a_process_stopped_for_half_a_minute_serves_nothing_from_before() {
    let fleet = Fleet::new();
    let clock = Clock::manual();
    let (one, stopped) = (fleet.process().await, fleet.process_at(clock.clone()).await);
    for key in 1..=3 {
        one.cache.set(&key, key).tags([tag!("a")]).strict().await.unwrap();
        assert_eq!(stopped.get(key).await, Some(key));
    }
    stopped_for(&fleet, &stopped, &one, 10).await;
    one.cache.remove(&1).await;
    one.set(2, 20).await;
    one.manager.invalidate(tag!("a")).await.strict().unwrap();
    one.pass(&fleet, secs(20)).await;
    goes_on(&stopped, &clock, 30);
    assert_eq!([stopped.peek(1), stopped.peek(2), stopped.peek(3)], [None; 3], "all in doubt");
    assert_eq!(stopped.get(1).await, None);
    assert_eq!(stopped.get(2).await, Some(20));
    assert_eq!(stopped.get(3).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_load_of_a_process_stopped_for_half_a_minute_stores_nowhere() {
    let fleet = Fleet::new();
    let clock = Clock::manual();
    let (one, stopped) = (fleet.process().await, fleet.process_at(clock.clone()).await);
    let (go, load) = stopped.loading(1, 10).await;
    stopped_for(&fleet, &stopped, &one, 15).await;
    one.set(1, 11).await;
    one.cache.remove(&1).await;
    one.pass(&fleet, secs(15)).await;
    goes_on(&stopped, &clock, 30);
    go.send(()).unwrap();
    assert_eq!(load.await.unwrap(), 10, "its own caller has the value");
    assert_eq!((one.get(1).await, stopped.get(1).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_by_a_day_and_back_decides_nothing() {
    for jump in [DAY_MS, -DAY_MS] {
        let fleet = Fleet::new();
        let clock = Clock::manual();
        let (one, jumping) = (fleet.process().await, fleet.process_at(clock.clone()).await);
        for round in 1..=4 {
            // What ended by the clock that jumped is a miss; what is older is never an answer.
            let newest = |seen: Option<u64>, value| {
                assert!(seen.is_none_or(|seen| seen == value), "{jump} ms, {round}: {seen:?}");
            };
            jumping.set(1, round).await;
            newest(one.get(1).await, round);
            // Out by a day, home again, and so on.
            clock.shift_wall(if round % 2 == 1 { jump } else { -jump });
            one.set(1, 10 + round).await;
            jumping.heard("the other's value", || jumping.peek(1).is_none()).await;
            newest(jumping.get(1).await, 10 + round);
            jumping.cache.set(&2, round).tags([tag!("a")]).strict().await.unwrap();
            jumping.manager.invalidate(tag!("a")).await.strict().unwrap();
            jumping.cache.remove(&1).await;
            one.heard("the removal", || one.peek(1).is_none()).await;
            for process in [&one, &jumping] {
                process.cache.drop_level1();
                assert_eq!((process.get(1).await, process.get(2).await), (None, None));
            }
        }
    }
}
