//! Building a manager with levels below level 1.

use std::sync::Arc;

use cache_enterprise_core::envelope::Limits;
use cache_enterprise_core::{BackendHealth, Compressor, Error, Format, Result, Transform};

use super::tier::Tier;
use super::tier::WritePolicy;
use super::{Level, Packings, Pipeline, Stack, StackParts, life, open, shared};
use crate::builder::{self, ManagerBuilder, NoTiers};
use crate::manager::CacheManager;
use crate::options::{L1_TTL_UNHEARD, Origin};
use crate::shared::Shared;

/// A builder with tiers, in the order of their levels.
#[derive(Debug)]
pub struct Tiered {
    tiers: Vec<Tier>,
    compressor: Option<Arc<dyn Compressor>>,
    readers: Vec<Arc<dyn Compressor>>,
    transform: Option<Arc<dyn Transform>>,
    limits: Limits,
}

/// What can be built: a codec for tiers, or no tiers.
#[diagnostic::on_unimplemented(
    message = "a manager with tiers needs a codec",
    note = "add `.codec(MessagePack)` before `.build()`"
)]
pub trait Complete: sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

impl<C: Format> sealed::Sealed for (C, Tiered) {}
impl<C: Format> Complete for (C, Tiered) {}

impl<C> ManagerBuilder<C, NoTiers> {
    /// Adds the first level below level 1. Default: none.
    #[must_use]
    pub fn l2(self, tier: impl Into<Tier>) -> ManagerBuilder<C, Tiered> {
        let below = Tiered {
            tiers: vec![tier.into()],
            compressor: None,
            readers: Vec::new(),
            transform: None,
            limits: Limits::default(),
        };
        self.with_below(below).0
    }
}

impl<C> ManagerBuilder<C, Tiered> {
    /// Adds the next level below. Default: none.
    #[must_use]
    pub fn l3(self, tier: impl Into<Tier>) -> Self {
        self.tier(tier)
    }

    /// Adds a further level below those there are.
    #[must_use]
    pub fn tier(mut self, tier: impl Into<Tier>) -> Self {
        self.below.tiers.push(tier.into());
        self
    }

    /// Compresses payloads from the compressor's threshold on, for every tier that has no
    /// [`compression`](Tier::compression) of its own. Default: none.
    #[must_use]
    pub fn compression(mut self, compressor: impl Compressor) -> Self {
        let compressor = shared(compressor);
        self.below.readers.push(Arc::clone(&compressor));
        self.below.compressor = Some(compressor);
        self.origin("compression", Origin::Manager)
    }

    /// Also reads what this compressor wrote earlier.
    #[must_use]
    pub fn reads_compression(mut self, compressor: impl Compressor) -> Self {
        self.below.readers.push(shared(compressor));
        self
    }

    /// Seals bodies on their way to the tiers. Default: none.
    #[must_use]
    pub fn transform(mut self, transform: impl Transform) -> Self {
        self.below.transform = Some(Arc::new(transform));
        self
    }

    /// Largest values, stored and inflated. Default: 1 MiB stored, 64 MiB inflated.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.below.limits = limits;
        self.origin("limits", Origin::Manager)
    }

    /// Opens the tiers and builds the manager.
    ///
    /// # Errors
    /// When a setting cannot be used, outside a tokio runtime, or when a tier's source answers an
    /// error. A source may open later instead, as the disk does: its level is down until then.
    pub async fn build(self) -> Result<CacheManager<C>>
    where
        (C, Tiered): Complete,
        C: Format,
    {
        self.check()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            Error::config("a manager with tiers needs a tokio runtime; build it inside one")
        })?;
        let (untiered, below) = self.with_below(NoTiers);
        let Tiered { tiers, compressor, mut readers, transform, limits } = below;
        if tiers.len() > 8 {
            return Err(Error::config("more than eight tiers; remove some"));
        }
        let (levels, opened, packings) =
            open_all(tiers, &untiered.clock, compressor.as_ref()).await?;
        readers.extend(levels.iter().filter_map(|level| level.compressor.clone()));
        let is_shared = opened.iter().any(|opened| opened.backend.capabilities().shared);
        let epochs = opened.into_iter().find_map(|opened| opened.epochs);
        let pipeline = Pipeline {
            codec_id: untiered.codec.id(),
            compressor,
            packings,
            readers,
            transform,
            limits,
            clock: untiered.clock.clone(),
        };
        let stack = Stack::start(StackParts {
            manager: untiered.name.clone(),
            levels,
            pipeline,
            clock: untiered.clock.clone(),
            observer: Arc::clone(&untiered.observer),
            runtime,
            epochs,
            l1_bound: is_shared.then_some(L1_TTL_UNHEARD),
        });
        life::watch(&stack);
        let (shared, codec) = Shared::new(untiered, Some(Arc::clone(&stack)));
        let manager = builder::finish(shared, codec)?;
        if let Err(error) = stack.restore(&manager.tenant).await {
            // As for any other tenant: until they are known, tiers are written and not read.
            tracing::warn!(error = %error, "stored epochs are not known; the tiers are skipped");
        }
        Ok(manager)
    }
}

/// The levels with what they opened, and the forms in which they want values.
async fn open_all(
    tiers: Vec<Tier>,
    clock: &cache_enterprise_core::Clock,
    compressor: Option<&Arc<dyn Compressor>>,
) -> Result<(Vec<Level>, Vec<cache_enterprise_core::OpenedBackend>, Packings)> {
    let mut levels = Vec::with_capacity(tiers.len());
    let mut all = Vec::with_capacity(tiers.len());
    let mut packings = Packings::default();
    for (number, tier) in (2_u8..).zip(tiers) {
        let compressor = tier.config.compression.under(compressor);
        let (mut level, opened) = open(tier, number, clock, compressor).await?;
        // What is written around takes only what climbs, in the form it has.
        if level.config.write != WritePolicy::Around {
            level.packing = packings.number_of(level.compressor.clone());
        }
        if let BackendHealth::Down(why) = opened.backend.health().await {
            tracing::warn!(tier = %level.name, why, "a tier is down; it is skipped until it answers");
        }
        levels.push(level);
        all.push(opened);
    }
    Ok((levels, all, packings))
}
