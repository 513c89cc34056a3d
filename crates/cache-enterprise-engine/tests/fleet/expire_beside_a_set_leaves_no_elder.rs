//! A set that took its number before an `expire` and reaches the tier after it is older than the end:
//! it is not kept there, and neither is the value it was to replace.

use std::future::IntoFuture;

use cache_enterprise_core::hours;

use super::set_that_a_load_overtook_is_told::Late;
use super::{Fleet, Process};

/// What a process that knows nothing answers when its load fails.
async fn fallback(fleet: &Fleet) -> Option<u64> {
    let process = fleet.process().await;
    let fetch = process.cache.fetch(&1).stale_if_error(hours(1));
    fetch.with(async || Err::<u64, _>("down")).await.ok().map(|value| *value)
}

/// Lets `set` have its number before `one` expires the key, and the tier after it.
async fn overtake<T: Send + 'static>(
    (late, one): (&Late, &Process),
    set: impl Future<Output = T> + Send + 'static,
) -> T {
    let asked = late.epochs.calls().next;
    let set = tokio::spawn(set);
    one.heard("the set has its number", || late.epochs.calls().next > asked).await;
    one.cache.expire(&1).await;
    late.replies.add_permits(1);
    set.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn alone() {
    let fleet = Fleet::new();
    let (late, one) = (Late::process(&fleet).await, fleet.process().await);
    one.set(1, 10).await;
    let cache = late.cache.clone();
    let set = async move { cache.set(&1, 11_u64).strict().into_future().await.unwrap() };
    one.cache.expire(&1).await;
    assert_eq!(fallback(&fleet).await, Some(10), "what was expired is a fallback");
    overtake((&late, &one), set).await;
    assert_eq!(fallback(&fleet).await, None);
}

#[tokio::test(start_paused = true)]
async fn in_a_batch() {
    let fleet = Fleet::new();
    let (late, one) = (Late::process(&fleet).await, fleet.process().await);
    one.set(1, 10).await;
    let cache = late.cache.clone();
    let set = async move { cache.set_many([(1_u64, 11_u64), (3, 30)]).await };
    overtake((&late, &one), set).await;
    assert_eq!((fallback(&fleet).await, one.get(3).await), (None, Some(30)));
}
