use std::sync::Arc;

use cache_enterprise_core::{Backend, KeySpace, OpContext, Sequence, StoredKey, ms};
use cache_enterprise_resilience::MigratingTier;
use tokio::time::Instant;

use crate::scripted::{Scripted, Step, call};

/// A tier of two backends that answer each call after 10 ms.
fn slow() -> (Arc<Scripted>, Arc<Scripted>, Arc<MigratingTier>) {
    let backend = || Scripted::new([], Step::AnswerAfter(ms(10)));
    let (old, new) = (backend(), backend());
    let tier = MigratingTier::new(old.clone(), new.clone());
    (old, new, tier)
}

fn keys(count: u64) -> Vec<StoredKey> {
    let space = KeySpace::new("shop", "", "users").unwrap();
    (0..count).map(|number| space.key(&number).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_large_batch_of_removals_is_not_as_slow_as_all_of_them() {
    let (old, new, tier) = slow();
    let started = Instant::now();
    let ctx = OpContext { timeout: Some(ms(250)) };
    let removed = tier.remove_many(&keys(320), Sequence(1), &ctx).await.unwrap();
    assert_eq!((removed, old.count(), new.count()), (320, 320, 320));
    // Ten turns of two calls, in whole milliseconds of the timer.
    let elapsed = started.elapsed();
    assert!(elapsed >= ms(200) && elapsed <= ms(220), "{elapsed:?}");
    let left = new.calls().last().unwrap().1.unwrap();
    assert!(left >= ms(40) && left <= ms(60), "counted from the start of the batch: {left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_batch_names_twice_is_removed_once() {
    let (old, new, tier) = slow();
    let named = [keys(3), keys(2)].concat();
    let removed = tier.remove_many(&named, Sequence(1), &OpContext::default()).await.unwrap();
    assert_eq!((removed, old.count(), new.count()), (3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn each_key_of_a_batch_of_removals_is_one_write() {
    let (_, _, tier) = slow();
    let ctx = OpContext::default();
    tier.remove_many(&keys(3), Sequence(1), &ctx).await.unwrap();
    assert_eq!(tier.report().writes, 3);
    tier.cut_over();
    tier.remove_many(&keys(3), Sequence(1), &ctx).await.unwrap();
    assert_eq!(tier.report().writes, 6);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_second_gets_what_is_left_of_the_callers_time() {
    for operation in ["get", "get_many", "put", "put_many", "remove", "remove_many", "touch"] {
        let (old, new, tier) = slow();
        call(&*tier, operation, &OpContext { timeout: Some(ms(100)) }).await.unwrap();
        let second = if operation.starts_with("get") { old } else { new };
        let left = second.calls()[0].1.unwrap();
        assert!(left >= ms(88) && left <= ms(90), "{operation}: {left:?}");
    }
}
