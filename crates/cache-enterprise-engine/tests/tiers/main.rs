//! Stories of the levels below level 1, on a backend whose every answer is decided by the test.
#![allow(clippy::unwrap_used)]

mod advice_names_what_nobody_meant;
mod aged_backfill_keeps_its_original_expiry;
mod batch_loads_ask_each_tier_once;
mod batch_says_of_each_key_what_became_of_it;
mod batches_write_as_single_calls_do;
mod calls_pass_levels_by;
mod changed_struct_gives_misses_not_errors;
mod climbing_value_keeps_what_speaks_for_it;
mod compression_follows_the_data;
mod confirmed_value_is_not_encoded_again;
mod derived_bytes_end_with_their_parent;
mod dictionary_of_a_tenant_is_nobody_elses;
mod dictionary_outlives_what_it_packed;
mod each_tier_has_its_own_compression;
mod entries_move_between_named_backends;
mod events_tell_of_troubled_tiers;
mod every_level_explains_itself;
mod expired_value_is_fresh_at_no_level;
mod failing_codec_costs_the_tiers_and_no_caller;
mod failing_level_means_what_the_manager_says;
mod failing_node_takes_no_other_along;
mod fleet_loads_a_key_once;
mod hung_tier_holds_no_caller_past_its_deadline;
mod invalidation_survives_a_restart;
mod kept;
mod learned;
mod leased;
mod life_is_one_at_every_level;
mod lost_dictionary_costs_misses_not_errors;
mod named_backend_is_a_space_of_its_own;
mod newer_envelope_is_a_miss_and_not_an_error;
mod number_that_was_not_reserved_stays_above;
mod pattern_walks_each_tier_within_its_budget;
mod placed_values_lie_where_their_heat_says;
mod prediction_loads_ahead;
mod removal_a_tier_did_not_hear_is_never_undone;
mod scripted;
mod small_values_share_a_dictionary;
mod soft_end_is_seen_in_every_tier;
mod stale_bytes_answer_only_within_their_grace;
mod tenant_without_its_epochs_is_cold_never_stale;
mod tenants_share_a_tier_and_no_entry;
mod value_gone_at_its_origin_is_gone_below;
mod values_climb_and_travel_as_told;
mod warm_up_loads_ahead_within_its_limits;
mod writes_behind_are_not_lost;

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{Clock, SetOutcome};
use cache_enterprise_engine::{Cache, CacheManager, ManagerBuilder, Options};

use self::scripted::Scripted;

/// A builder without jitter on a manual clock.
fn builder(clock: &Clock) -> ManagerBuilder {
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    CacheManager::builder("stories").options(options).clock(clock.clone())
}

async fn set(cache: &Cache<u64, u64>, key: u64, value: u64) -> SetOutcome {
    cache.set(&key, value).into_future().await
}

/// What a cache answers for a key.
async fn get(cache: &Cache<u64, u64>, key: u64) -> Option<u64> {
    cache.get(&key).await.unwrap().map(|value| *value)
}

fn tier(name: &'static str) -> Arc<Scripted> {
    Arc::new(Scripted::new(name))
}
