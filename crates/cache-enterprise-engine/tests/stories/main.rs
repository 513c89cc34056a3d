//! Stories of level 1: no tier, no runtime, a clock that is moved by hand.
#![allow(clippy::unwrap_used)]

mod absence_is_remembered_until_something_changes;
mod batch_loads_what_nobody_else_loads;
mod batcher_gathers_single_loads;
mod caches_share_one_budget;
mod callers_of_one_cold_key_share_one_load;
mod calls_read_and_write_what_they_say;
mod cascade_reaches_children_of_children;
mod collected_invalidations_wait_for_the_commit;
mod colliding_keys_load_side_by_side;
mod computation_is_one_step;
mod conditional_set_replaces_what_was_read;
mod copy_explains_why_it_is_refused;
mod events_tell_of_lost_loaders;
mod failed_loads_are_not_repeated_in_haste;
mod first_poll_of_a_miss_goes_as_far_as_it_can;
mod followers_of_a_lost_leader_are_served;
mod hit_is_ready_at_the_first_poll;
mod invalidation_beats_the_load_it_overtakes;
mod life_ends_at_its_border;
mod listener_behind_misses_the_oldest_and_blocks_nobody;
mod listener_hears_each_cause_and_may_call_back;
mod loads_are_limited_and_tenants_take_turns;
mod loads_that_nobody_waits_for;
mod manager_starts_and_ends;
mod metadata_stays_flat_while_keys_rotate;
mod no_caller_waits_past_its_deadline;
mod nobody_reads_behind_an_acknowledged_write;
mod opening_says_what_is_wrong;
mod overlapping_batches_load_each_key_once;
mod pattern_takes_what_it_matches;
mod prefix_ends_what_lies_below_it;
mod quota_parts_a_tenant_from_the_others;
mod reads_of_every_kind_agree;
mod set_value_is_there_or_said_to_be_refused;
mod soft_invalidation_leaves_a_fallback;
mod stale_answers_only_where_allowed;
mod stale_value_answers_while_one_refresh_runs;
mod strategy_decides_what_is_stored;
mod tags_of_any_kind_end_what_carries_them;
mod tenants_are_apart;
mod tuning_keeps_what_pays;
mod unmodified_value_lives_on_where_it_stands;
mod worth_and_cost_decide_what_stays;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::{Capacity, Clock};
use cache_enterprise_engine::{CacheManager, Options};

/// A manager without jitter on a manual clock.
fn manager() -> (CacheManager, Clock) {
    let clock = Clock::manual();
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    let builder = CacheManager::builder("stories").l1(Capacity::entries(100_000));
    (builder.options(options).clock(clock.clone()).build_in_memory().unwrap(), clock)
}

/// Polls once with a waker that does nothing.
fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The output of a future that is ready now.
#[track_caller]
fn ready<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is still waiting"),
    }
}

/// Polls once and expects nothing yet.
#[track_caller]
fn waits<F: Future + ?Sized>(future: &mut Pin<Box<F>>) {
    assert!(poll(future).is_pending(), "the future did not wait");
}
