//! Tuning while a cache serves: one bounded change at a time, tried on a shadow first.
//!
//! ```text
//! watch     requests for a sample of the keys are told to two small caches of keys alone
//! shadow    one as the cache is, one with the change; too little gain drops the change
//! live      the change is made to the cache; kept where the cache gained as well, else taken back
//! log       every trial is told to listeners and remembered; kept changes can be undone
//! ```
//!
//! The rules are those of [`cache_enterprise_strategies::tune`]; here are the shadows and the hands.
//! A hit looks at nothing more than before: entries of sampled keys are marked, and what is marked
//! takes the way of entries that have more to ask. Without a tuner nothing is marked.

mod ear;
mod plan;
mod running;
mod shadow;
mod subject;
mod watch;

pub use plan::Tune;
pub(crate) use running::Running;
pub use running::{Trial, Tuning};
pub(crate) use subject::{Subject, subject_of};
pub(crate) use watch::Watch;

use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Result};

use self::subject::OfCache;
use crate::cache::Cache;
use crate::manager::CacheManager;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Starts to tune this cache, within the bounds of `how`, until the handle is dropped. It is
    /// that of all tenants without a quota; that of a tenant with one is tuned by itself.
    ///
    /// Each trial begins and ends with a walk over the cache, and exchanging a strategy holds the
    /// lock of a shard for a pass over its entries. In between, a request for one of the sampled
    /// keys takes a lock and looks into two caches; others cost what they did.
    ///
    /// ```
    /// use cache_enterprise_core::mins;
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, Memory, Tune};
    ///
    /// static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));
    /// let level1 = Memory::entries(10_000).strategy("lru");
    /// let users = CacheManager::builder("shop").l1(level1).build_in_memory()?.open(&USERS)?;
    /// let how = Tune::new().strategies(["s3-fifo", "learned"]).ttl(mins(1), mins(10));
    /// let tuning = users.tune(how)?;
    /// // Later, for people:
    /// for trial in tuning.log() {
    ///     println!("{trial}");
    /// }
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `how` names nothing to change or something out of its range, a strategy that there is
    /// none of or that cannot be exchanged, a life for a cache that has none, a capacity for a
    /// cache without one of its own; and when the cache is being tuned already.
    pub fn tune(&self, how: Tune) -> Result<Tuning> {
        let (core, holding) = (Arc::clone(&self.view.core), Arc::clone(&self.view.holding));
        Tuning::start(&self.view.shared, Box::new(OfCache { core, holding }), how)
    }
}

impl<C> CacheManager<C> {
    /// Starts to tune each cache that is open now, as [`Cache::tune`] does for one.
    ///
    /// # Errors
    /// As [`Cache::tune`], for the first cache by name that `how` does not fit; none is tuned then.
    pub fn tune(&self, how: &Tune) -> Result<Vec<Tuning>> {
        let subjects = self.shared.subjects();
        subjects
            .into_iter()
            .map(|subject| Tuning::start(&self.shared, subject, how.clone()))
            .collect()
    }
}
