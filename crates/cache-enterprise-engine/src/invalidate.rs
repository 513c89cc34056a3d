//! Invalidating tags, caches and tenants: one number, one epoch, no walk over entries.

use std::sync::Arc;

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{CacheKey, Error, Result, Sequence, Tag};

use crate::cache::Cache;
use crate::manager::CacheManager;
use crate::shared::{Shared, TenantState};

/// What [`CacheManager::invalidate`] takes: one tag or several.
#[derive(Clone, Debug)]
pub struct Target {
    tags: Vec<Tag>,
}

impl Target {
    pub(crate) fn into_epochs(self) -> Vec<EpochTarget> {
        self.tags.into_iter().map(EpochTarget::Tag).collect()
    }
}

impl From<Tag> for Target {
    fn from(tag: Tag) -> Self {
        Self { tags: vec![tag] }
    }
}

impl From<&str> for Target {
    fn from(tag: &str) -> Self {
        Tag::from(tag).into()
    }
}

impl<T: Into<Tag>, const N: usize> From<[T; N]> for Target {
    fn from(tags: [T; N]) -> Self {
        Self { tags: tags.into_iter().map(Into::into).collect() }
    }
}

impl From<Vec<Tag>> for Target {
    fn from(tags: Vec<Tag>) -> Self {
        Self { tags }
    }
}

/// What an invalidation did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The number it took; entries of a lower version that carry a target are invalid.
    pub sequence: Sequence,
    /// How many targets it named.
    pub targets: usize,
    /// Why it could not be made durable in the tier that keeps epochs. It holds in this process
    /// all the same; after a crash it may not.
    pub failure: Option<Error>,
}

impl Receipt {
    /// The receipt, or the error when the invalidation is not durable.
    ///
    /// # Errors
    /// That of the tier that keeps epochs.
    pub fn strict(self) -> Result<Self> {
        match self.failure {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl<C> CacheManager<C> {
    pub(crate) async fn raise(&self, targets: Vec<EpochTarget>) -> Receipt {
        raise(&self.shared, &self.tenant, targets).await
    }

    /// Ends every entry of every tenant, those opened later included. Costs a step per tenant
    /// known to this process. A tenant reaches no other: on a tenant's handle this is
    /// [`clear`](Self::clear).
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static USERS: CacheSpec<u64, u64> = CacheSpec::new("users").ttl(mins(5));
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let users = manager.tenant("acme")?.open(&USERS)?;
    /// block_on(async {
    ///     users.set(&1, 7_u64).await;
    ///     manager.clear_everything().await;
    ///     assert!(!users.contains(&1));
    /// });
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub async fn clear_everything(&self) -> Receipt {
        if !self.tenant.name.is_empty() {
            return self.clear().await;
        }
        // The number must be above those of all tenants, and is taken by the root tenant.
        self.tenant.epochs.sequence().observe(self.shared.newest_of_all());
        let receipt = self.raise(vec![EpochTarget::Everything]).await;
        self.shared.raise_everything(receipt.sequence);
        receipt
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Ends every entry of this cache for this tenant, in O(1).
    pub async fn clear(&self) -> Receipt {
        let target = EpochTarget::Cache(self.view.cell.name().clone());
        raise(&self.view.shared, &self.view.tenant, vec![target]).await
    }
}

/// Takes a number, has it stored where epochs are kept, and lets it hold in this process.
async fn raise(shared: &Shared, tenant: &Arc<TenantState>, targets: Vec<EpochTarget>) -> Receipt {
    let (sequence, failure) = match shared.raise_below(tenant, &targets).await {
        Ok(Some(sequence)) => (sequence, None),
        Ok(None) => (tenant.epochs.sequence().take(), None),
        Err(error) => (tenant.epochs.sequence().take(), Some(error)),
    };
    for target in &targets {
        tenant.epochs.raise(target, sequence);
    }
    Receipt { sequence, targets: targets.len(), failure }
}
