//! What one process removes, replaces or invalidates leaves level 1 of the others.

use std::future::IntoFuture;

use cache_enterprise_core::tag;
use cache_enterprise_testkit::coherence::Link;

use super::{Fleet, SPEC};

#[tokio::test(start_paused = true)]
async fn a_removed_key_leaves_level_1_of_the_others() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    assert_eq!(other.get(1).await, Some(10));
    one.cache.remove(&1).await;
    other.heard("the key is gone", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_value_is_what_the_others_read_next() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    assert_eq!(other.get(1).await, Some(10));
    one.set(1, 11).await;
    other.heard("the old value is gone", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn batches_are_told_as_single_calls_are() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let keys: Vec<u64> = (0..1_000).collect();
    one.cache.set_many(keys.iter().map(|key| (*key, *key))).await;
    assert!(other.cache.get_many(&keys).await.unwrap().iter().all(Option::is_some));
    one.cache.remove_many(&keys).await;
    other.heard("all are gone", || keys.iter().all(|key| other.peek(*key).is_none())).await;
    let frames = one.manager.bus_stats().unwrap().frames;
    assert!(frames <= 4, "a thousand keys fit in two frames, and were told twice: {frames}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_is_past_its_life_everywhere() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    assert_eq!(other.get(1).await, Some(10));
    one.cache.expire(&1).await;
    other.heard("it is not fresh", || other.peek(1).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_a_cache_a_tenant_and_everything_end_everywhere() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    for round in 0..4 {
        let set = one.cache.set(&round, round).tags([tag!("round:{round}")]);
        set.strict().into_future().await.unwrap();
        assert_eq!(other.get(round).await, Some(round));
        let receipt = match round {
            0 => one.manager.invalidate(tag!("round:0")).await,
            1 => one.cache.clear().await,
            2 => one.manager.clear().await,
            _ => one.manager.clear_everything().await,
        };
        receipt.strict().unwrap();
        other.heard("the group has ended", || other.peek(round).is_none()).await;
        assert_eq!(other.get(round).await, None, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_of_everything_reaches_tenants_the_caller_never_saw() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let acme = other.manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    acme.set(&1, 10_u64).strict().into_future().await.unwrap();
    one.manager.clear_everything().await.strict().unwrap();
    other.heard("the tenant's key is gone", || acme.peek(&1).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_process_told_does_not_end_its_own_copy() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    one.set(1, 10).await;
    one.heard("its own frame came back", || one.manager.bus_stats().unwrap().ignored > 0).await;
    assert_eq!(one.peek(1), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_comes_late_ends_no_copy_that_is_as_new() {
    let fleet = Fleet::new();
    let (one, late) = (fleet.process().await, fleet.process().await);
    late.bus.set(Link::Deaf);
    one.set(1, 10).await;
    assert_eq!(late.get(1).await, Some(10), "it reads what it has not heard of");
    late.bus.set(Link::Whole);
    late.heard("the notice of it", || late.manager.bus_stats().unwrap().heard > 0).await;
    assert_eq!(late.peek(1), Some(10));
    one.set(1, 11).await;
    late.heard("that of the next", || late.peek(1).is_none()).await;
    assert_eq!(late.get(1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn clocks_ten_minutes_apart_change_nothing() {
    let fleet = Fleet::new();
    let (ahead, behind) =
        (cache_enterprise_core::Clock::manual(), cache_enterprise_core::Clock::manual());
    ahead.shift_wall(600_000);
    behind.shift_wall(-600_000);
    let (one, other) = (fleet.process_at(ahead).await, fleet.process_at(behind).await);
    for key in 0..5 {
        one.set(key, 1).await;
        assert_eq!(other.get(key).await, Some(1));
        other.set(key, 2).await;
        one.heard("the one behind is heard", || one.peek(key).is_none()).await;
        assert_eq!(one.get(key).await, Some(2));
        one.cache.remove(&key).await;
        other.heard("the one ahead is heard", || other.peek(key).is_none()).await;
        assert_eq!(other.get(key).await, None);
    }
}
