//! Where sequence and epochs outlive a process.

use std::fmt;

use async_trait::async_trait;

use super::Sequence;
use crate::{Result, Tag};

/// What an invalidation of a group names. Keys are not here: they are removed physically.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EpochTarget {
    /// Every tenant of the manager.
    Everything,
    /// The whole tenant.
    Tenant,
    /// One cache of the tenant.
    Cache(Tag),
    /// One tag of the tenant.
    Tag(Tag),
}

/// A tenant's stored state, as [`EpochStore::load`] gives it.
///
/// ```
/// use cache_enterprise_core::coherence::{EpochRecord, EpochTarget, Sequence};
/// use cache_enterprise_core::tag;
///
/// let epochs = vec![(EpochTarget::Tag(tag!("org:7")), Sequence(9))];
/// let record = EpochRecord { sequence: Sequence(10), floor: Sequence(3), epochs };
/// assert!(record.floor < record.sequence);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochRecord {
    /// A number above every number given before. The counter goes on from here.
    pub sequence: Sequence,
    /// Entries older than this are invalid, whatever their targets.
    pub floor: Sequence,
    /// Epochs of targets that were invalidated.
    pub epochs: Vec<(EpochTarget, Sequence)>,
}

/// Issues and keeps a tenant's sequence and epochs. One tier of a manager provides it; without
/// one they live in the process alone.
///
/// Contract:
/// * `load` gives a number above every number that `raise` or `reserve` ever gave for the
///   tenant, also after a crash between two calls. A lost record gives a floor above everything.
/// * `raise` has stored the epochs durably when it returns; then and only then may the
///   invalidation be acknowledged. Its number is above `above`.
/// * `raise` of [`EpochTarget::Everything`] applies to tenants that `load` has yet to see.
/// * Calls for one tenant may come from several tasks at once.
///
/// ```
/// use cache_enterprise_core::Result;
/// use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
///
/// /// What a manager does around an invalidation.
/// async fn invalidate(store: &dyn EpochStore, seen: Sequence) -> Result<Sequence> {
///     let record = store.load("shop", "acme", seen).await?;
///     let newest = record.sequence.max(seen);
///     store.raise("shop", "acme", &[EpochTarget::Tenant], newest).await
/// }
/// ```
#[async_trait]
pub trait EpochStore: fmt::Debug + Send + Sync + 'static {
    /// The tenant's record; made anew when there is none. Empty text is the root tenant.
    /// `newest` is a number above every one the caller has seen.
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord>;

    /// Takes a number above `above` and stores it as the epoch of `targets`.
    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence>;

    /// Promises never to give a number up to `upto` again, so that the caller may use the
    /// numbers below it by itself.
    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()>;
}
