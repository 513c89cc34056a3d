//! A small value that is set goes along with its notice: who holds the one before in level 1 has
//! the new one without a read, and nobody has what it could not have read.

use std::future::IntoFuture;

use cache_enterprise_core::coherence::{Bus, Change, Frame};
use cache_enterprise_core::{mins, tag};
use cache_enterprise_engine::{Memory, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_strategies::business::{BusinessRule, BusinessRules, PriorityClass};
use cache_enterprise_testkit::coherence::Link;

use super::relay::{PUSH_MAX, Relay};
use super::{Fleet, Process, SPEC, builder};

/// The value that a frame of one notice has.
fn value_of(frame: &Frame) -> Option<usize> {
    let [notice] = &frame.notices[..] else { panic!("one notice: {frame:?}") };
    match &notice.change {
        Change::Key { value, .. } => value.as_ref().map(|value| value.len()),
        other => panic!("a key was set: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_sets_the_other_holds_at_once() {
    let fleet = Fleet::new();
    let bus = fleet.bus.clone();
    let (one, other) = (fleet.pushing_on(&bus).await, fleet.pushing_on(&bus).await);
    one.set(1, 10).await;
    assert_eq!(other.get(1).await, Some(10));
    one.cache.set(&1, 11_u64).ttl(mins(5)).strict().into_future().await.unwrap();
    other.heard("the new value", || other.peek(1) == Some(11)).await;
    assert!(one.manager.bus_stats().unwrap().pushed >= 1);
    assert_eq!(other.manager.bus_stats().unwrap().adopted, 1);
    fleet.clock.advance(mins(5));
    assert_eq!(other.peek(1), None, "its life ends where that of the entry does");
}

#[tokio::test(start_paused = true)]
async fn batches_push_as_single_calls_do() {
    let fleet = Fleet::new();
    let bus = fleet.bus.clone();
    let (one, other) = (fleet.pushing_on(&bus).await, fleet.pushing_on(&bus).await);
    let keys: Vec<u64> = (0..100).collect();
    one.cache.set_many(keys.iter().map(|key| (*key, 1_u64))).await;
    assert!(other.cache.get_many(&keys).await.unwrap().iter().all(Option::is_some));
    one.cache.set_many(keys.iter().map(|key| (*key, 2_u64))).await;
    other.heard("all are new", || keys.iter().all(|key| other.peek(*key) == Some(2))).await;
}

#[tokio::test(start_paused = true)]
async fn what_speaks_for_a_pushed_value_comes_with_it() {
    let fleet = Fleet::new();
    let gold = PriorityClass::new("gold", 8.0).unwrap();
    let rules = [BusinessRule::class("gold").key("7").unwrap()];
    let choosy = builder(fleet.clock.clone())
        .l1(Memory::entries(100).strategy("business-priority"))
        .business_rules(BusinessRules::new([gold], rules).unwrap())
        .unwrap();
    let bus = fleet.bus.clone();
    let (one, other) = (fleet.pushing_on(&bus).await, fleet.pushing(choosy, &bus).await);
    one.set(7, 10).await;
    assert_eq!(other.get(7).await, Some(10));
    one.set(7, 11).await;
    other.heard("the new value", || other.peek(7) == Some(11)).await;
    other.cache.set_many((1_000..3_000_u64).map(|key| (key, key))).await;
    assert_eq!((other.peek(7), other.cache.len()), (Some(11), 100));
}

#[tokio::test(start_paused = true)]
async fn what_level_1_does_not_hold_is_not_filled() {
    let mut relay = Relay::new().await;
    let frame = relay.set(1, 10).await;
    assert!(value_of(&frame).is_some_and(|bytes| bytes <= PUSH_MAX));
    relay.hand_on(&frame).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (None, 0));
    assert_eq!(relay.hearer.get(1).await, Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_push_that_comes_late_or_twice_replaces_nothing_newer() {
    let mut relay = Relay::new().await;
    relay.set(1, 10).await;
    assert_eq!(relay.hearer.get(1).await, Some(10));
    let (older, newer) = (relay.set(1, 11).await, relay.set(1, 12).await);
    relay.hand_on(&newer).await;
    assert_eq!(relay.hearer.peek(1), Some(12));
    for late in [&older, &newer, &older] {
        relay.hand_on(late).await;
        assert_eq!(relay.hearer.peek(1), Some(12));
    }
    assert_eq!(relay.adopted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_comes_after_a_removal_fills_nothing() {
    let mut relay = Relay::new().await;
    relay.set(1, 10).await;
    assert_eq!(relay.hearer.get(1).await, Some(10));
    let late = relay.set(1, 11).await;
    relay.teller.cache.remove(&1).await;
    let removed = relay.next().await;
    relay.hand_on(&removed).await;
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.hearer.get(1).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_push_from_before_a_loss_is_not_believed() {
    let mut relay = Relay::new().await;
    relay.set(1, 10).await;
    assert_eq!(relay.hearer.get(1).await, Some(10));
    let late = relay.set(1, 11).await;
    relay.teller.cache.remove(&1).await;
    // What told of the removal is lost, and something else after it tells that something is.
    relay.hearer.bus.set(Link::Deaf);
    let mut unheard = late.clone();
    unheard.take_values();
    relay.fleet.bus.publish("fleet", unheard.encode()).await.unwrap();
    relay.fleet.bus.trim("fleet", 0);
    relay.hearer.bus.set(Link::Whole);
    let lost = || relay.hearer.manager.bus_stats().unwrap().lost > 0;
    relay.hearer.heard("the loss", lost).await;
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.hearer.get(1).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_pushed_value_whose_group_has_ended_is_refused() {
    let mut relay = Relay::new().await;
    relay.set(1, 10).await;
    assert_eq!(relay.hearer.get(1).await, Some(10));
    let set = relay.teller.cache.set(&1, 11_u64).tags([tag!("all")]);
    set.strict().into_future().await.unwrap();
    let late = relay.next().await;
    relay.teller.manager.invalidate(tag!("all")).await.strict().unwrap();
    let ended = relay.next().await;
    relay.hand_on(&ended).await;
    assert_eq!(relay.hearer.peek(1), Some(10), "it has no tag, and nothing was heard of it");
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_fresh_life_was_ended_is_not_renewed_by_what_is_older_than_the_end() {
    let mut relay = Relay::new().await;
    relay.set(1, 10).await;
    assert_eq!(relay.hearer.get(1).await, Some(10));
    let late = relay.set(1, 11).await;
    relay.hearer.cache.expire(&1).await;
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_sealed_for_another_key_is_refused() {
    let mut relay = Relay::new().await;
    relay.teller.cache.set_many([(1_u64, 10_u64), (2, 20)]).await;
    relay.next().await;
    let keys = [1, 2];
    assert!(relay.hearer.cache.get_many(&keys).await.unwrap().iter().all(Option::is_some));
    relay.teller.cache.set_many([(1_u64, 11_u64), (2, 21)]).await;
    let mut forged = relay.next().await;
    let [one, two] = &mut forged.notices[..] else { panic!("two notices: {forged:?}") };
    assert_eq!(one.at, two.at, "a batch has one number");
    let (Change::Key { value: one, .. }, Change::Key { value: two, .. }) =
        (&mut one.change, &mut two.change)
    else {
        panic!("two keys were set")
    };
    assert!(one.is_some() && two.is_some());
    std::mem::swap(one, two);
    relay.hand_on(&forged).await;
    assert_eq!(relay.adopted(), 0);
    let found = relay.hearer.cache.get_many(&keys).await.unwrap();
    let found: Vec<_> = found.into_iter().flatten().map(|number| *number).collect();
    assert_eq!(found, [11, 21], "they are read below");
}

/// A process that writes its tier so, and pushes values of so many bytes.
async fn process(fleet: &Fleet, write: WritePolicy, push_max: usize) -> Process {
    let (epochs, bus) = (fleet.epochs.another(), fleet.bus.another());
    let tier = fleet.shared_tier(&epochs).write(write);
    let built = builder(fleet.clock.clone()).l2(tier).codec(MessagePack).bus(bus.clone());
    let manager = built.push_max(push_max).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    Process { manager, cache, epochs, bus }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_larger_than_the_limit_stays_below_and_none_is_pushed_by_default() {
    let fleet = Fleet::new();
    let other = fleet.process().await;
    let small = process(&fleet, WritePolicy::Through, 8).await;
    let silent = fleet.process().await;
    for one in [&small, &silent] {
        one.set(1, 10).await;
        assert_eq!(other.get(1).await, Some(10));
        one.set(1, 11).await;
        other.heard("the copy has gone", || other.peek(1).is_none()).await;
        assert_eq!(other.get(1).await, Some(11));
        assert_eq!(one.manager.bus_stats().unwrap().pushed, 0);
    }
    let row = |one: &Process| one.manager.describe().row("push_max").unwrap().value.clone();
    assert_eq!((row(&small), row(&silent)), ("8".to_owned(), "off".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_no_tier_took_is_not_pushed() {
    let fleet = Fleet::new();
    let other = fleet.process().await;
    let around = process(&fleet, WritePolicy::Around, PUSH_MAX).await;
    other.set(1, 10).await;
    around.set(1, 11).await;
    other.heard("the copy has gone", || other.peek(1) != Some(10)).await;
    assert_eq!((other.peek(1), other.get(1).await), (None, None), "no tier has it");
    assert_eq!(around.manager.bus_stats().unwrap().pushed, 0);
}

#[tokio::test]
async fn a_limit_that_no_frame_holds_is_refused() {
    let fleet = Fleet::new();
    let built = builder(fleet.clock.clone())
        .l2(fleet.shared_tier(&fleet.epochs))
        .codec(MessagePack)
        .bus(fleet.bus.clone());
    let error = built.push_max(64 * 1024 + 1).build().await.unwrap_err();
    assert!(error.to_string().contains("lower the limit"), "{error}");
}
