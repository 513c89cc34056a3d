//! `entry(..).and_compute_with(..)` above a tier: it reads below, and leaves its value everywhere.

use cache_enterprise_engine::{Compute, Computed};

use crate::Fleet;

#[tokio::test]
async fn it_computes_from_what_the_tier_holds_and_others_hear_of_it() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process().await, fleet.process().await);
    a.set(1, 10).await;
    assert_eq!(b.get(1).await, Some(10));
    a.cache.drop_level1();
    let next = |old: Option<cache_enterprise_core::Cached<u64>>| async move {
        Compute::Put(old.map_or(0, |old| *old) + 1)
    };
    let computed = a.cache.entry(&1).and_compute_with(next).await.unwrap();
    assert!(matches!(computed, Computed::Replaced(value) if *value == 11));
    b.heard("the old value is gone", || b.peek(1).is_none()).await;
    assert_eq!(b.get(1).await, Some(11));
}

#[tokio::test]
async fn what_it_removes_is_gone_everywhere() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process().await, fleet.process().await);
    a.set(1, 10).await;
    assert_eq!(b.get(1).await, Some(10));
    let computed = a.cache.entry(&1).and_compute_with(|_| async { Compute::Remove }).await;
    assert!(matches!(computed.unwrap(), Computed::Removed(old) if *old == 10));
    assert!(fleet.tier.is_empty());
    b.heard("the value is gone", || b.peek(1).is_none()).await;
    assert_eq!(b.get(1).await, None);
}
