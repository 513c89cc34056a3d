//! Invalidating tags, caches and tenants: one number, one epoch, no walk over entries.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{CacheKey, CacheLevel, Error, Result, Sequence, Tag};

use crate::cache::Cache;
use crate::events::Happening;
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

impl<T: Into<Tag>> From<Vec<T>> for Target {
    fn from(tags: Vec<T>) -> Self {
        Self { tags: tags.into_iter().map(Into::into).collect() }
    }
}

/// How far an invalidation reached when its call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reach {
    /// Every read of this process, at every level.
    Process,
    /// It is stored where epochs are kept as well: it holds after a restart, and for whoever
    /// reads that store.
    Stored,
    /// Other processes were told by the bus as well.
    Published,
}

/// What an invalidation did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The number it took; entries of a lower version that carry a target are invalid.
    pub sequence: Sequence,
    /// How many targets it named, each counted once. Entries are not counted: none is visited.
    pub targets: usize,
    /// The levels at which this process serves nothing of it any more. A level that could not be
    /// told to remove a key is missing; what it holds is a miss here all the same.
    pub levels: Vec<CacheLevel>,
    /// How far it reached.
    pub reach: Reach,
    /// Why it could not be made durable in the tier that keeps epochs. It holds in this process
    /// all the same; after a crash it may not.
    pub failure: Option<Error>,
}

impl Receipt {
    /// The receipt of keys that nothing else ended with.
    pub(crate) fn of_keys(sequence: Sequence) -> Self {
        let (levels, reach) = (Vec::new(), Reach::Process);
        Self { sequence, targets: 0, levels, reach, failure: None }
    }

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

/// An invalidation that has not happened yet: await it. Costs one step of the epochs, whatever
/// the number of targets and of entries: a round trip where a tier keeps them.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
///
/// static PAGES: CacheSpec<u64, u64> =
///     CacheSpec::new("pages").ttl(mins(5)).stale_if_error(mins(60));
/// let manager = CacheManager::in_memory(Capacity::entries(100))?;
/// let pages = manager.open(&PAGES)?;
/// block_on(async {
///     pages.set(&1, 7_u64).await;
///     pages.clear().soft().await;
///     assert!(!pages.contains(&1), "its life is over");
///     let page = pages.try_get_with(&1, || async { Err::<u64, _>("the origin is down") }).await;
///     assert_eq!(page.map(|page| *page).ok(), Some(7), "and it is a fallback");
/// });
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[must_use = "an invalidation does nothing until it is awaited"]
pub struct Invalidate<'a> {
    shared: &'a Shared,
    tenant: &'a Arc<TenantState>,
    targets: Vec<EpochTarget>,
    /// Why it is not what was asked for, though it ends no less.
    complaint: Option<Error>,
}

impl<'a> Invalidate<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        tenant: &'a Arc<TenantState>,
        targets: Vec<EpochTarget>,
    ) -> Self {
        Self { shared, tenant, targets, complaint: None }
    }

    /// What it would end, for somebody who ends more with it.
    pub(crate) fn into_targets(self) -> Vec<EpochTarget> {
        self.targets
    }

    /// The same, with a receipt that tells why it is not quite what was asked for.
    pub(crate) fn complaining(self, complaint: Error) -> Self {
        Self { complaint: Some(complaint), ..self }
    }

    /// Ends fresh lives only: what is older is loaded anew, and may answer as a fallback where the
    /// cache allows that. Default: hard, never served again.
    pub fn soft(mut self) -> Self {
        self.targets = self.targets.into_iter().map(EpochTarget::soft).collect();
        self
    }

    /// The same as a call that fails when the invalidation is not durable.
    ///
    /// # Errors
    /// That of the tier that keeps epochs; it holds in this process all the same. When a tag is
    /// one that no entry can carry.
    pub async fn strict(self) -> Result<Receipt> {
        self.await.strict()
    }
}

impl<'a> IntoFuture for Invalidate<'a> {
    type Output = Receipt;
    type IntoFuture = Pin<Box<dyn Future<Output = Receipt> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { shared, tenant, targets, complaint } = self;
            let receipt = raise(shared, tenant, targets).await;
            Receipt { failure: receipt.failure.or(complaint), ..receipt }
        })
    }
}

impl fmt::Debug for Invalidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidate").field("targets", &self.targets).finish_non_exhaustive()
    }
}

impl<C> CacheManager<C> {
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
        let receipt = raise(&self.shared, &self.tenant, vec![EpochTarget::Everything]).await;
        self.shared.raise_everything(receipt.sequence);
        receipt
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Ends every entry of this cache for this tenant, and what was derived from them, in O(1).
    pub fn clear(&self) -> Invalidate<'_> {
        let mut targets = vec![EpochTarget::Cache(self.view.cell.name().clone())];
        if self.may_have_dependents() {
            targets.push(EpochTarget::Tag(self.whole_parent_tag()));
        }
        Invalidate::new(&self.view.shared, &self.view.tenant, targets)
    }
}

/// Takes a number, has it stored where epochs are kept, and lets it hold in this process.
pub(crate) async fn raise(
    shared: &Shared,
    tenant: &Arc<TenantState>,
    mut targets: Vec<EpochTarget>,
) -> Receipt {
    targets.retain(|target| !is_nobodys(target));
    targets.sort_by_cached_key(EpochTarget::field);
    targets.dedup();
    if targets.is_empty() {
        let sequence = tenant.epochs.sequence().newest();
        let failure = Error::invalid(
            "no tag is left that an entry can carry: each is empty or over 512 bytes",
        );
        let failure = Some(failure.operation("invalidate"));
        let (levels, reach) = (Vec::new(), Reach::Process);
        return Receipt { sequence, targets: 0, levels, reach, failure };
    }
    shared.hub.tell(|| Happening::ending(&tenant.name, &targets));
    let told_targets = shared.hub.has_listeners().then(|| targets.clone());
    let (sequence, reach, failure) = match shared.raise_below(tenant, &targets).await {
        Ok(Some(sequence)) => (sequence, Reach::Stored, None),
        Ok(None) => (tenant.epochs.sequence().take(), Reach::Process, None),
        Err(error) => (tenant.epochs.sequence().take_provisional(), Reach::Process, Some(error)),
    };
    for target in &targets {
        tenant.epochs.raise(target, sequence);
    }
    let count = targets.len();
    let (reach, told) = match failure {
        None if shared.hears_others() => {
            match shared.tell_raised(tenant, sequence, targets).await {
                Ok(()) => (Reach::Published, None),
                Err(error) => (reach, Some(error)),
            }
        }
        // What failed is raised again, and told then.
        _ => (reach, None),
    };
    if let Some(targets) = told_targets {
        shared.hub.tell(|| Happening::ended(&tenant.name, &targets, sequence, reach));
    }
    let (levels, failure) = (shared.all_levels(), failure.or(told));
    Receipt { sequence, targets: count, levels, reach, failure }
}

/// Whether a target is a tag that no entry can carry.
fn is_nobodys(target: &EpochTarget) -> bool {
    match target {
        EpochTarget::Tag(tag) => tag.is_unstorable(),
        EpochTarget::Soft(hard) => is_nobodys(hard),
        _ => false,
    }
}
