//! Building a manager with levels below level 1.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::coherence::{Bus, FRAME_VALUES_MAX};
use cache_enterprise_core::envelope::Limits;
use cache_enterprise_core::{
    BackendHealth, Clock, Compressor, DictionaryCompressor, Error, ErrorKind, Format, Observer,
    Result, Transform, check_name,
};
use cache_enterprise_resilience::RetryBudget;

use super::dictionary::{self, Dictionaries};
use super::packer::shared;
use super::tier::{Tier, WritePolicy};
use super::{KeptEpochs, Level, Packer, Packings, Pipeline, Stack, StackParts, life, open};
use crate::builder::{self, ManagerBuilder, NoTiers};
use crate::bus::{Broadcast, UNSURE_MAX};
use crate::failover::Failover;
use crate::manager::CacheManager;
use crate::options::{L1_TTL_UNHEARD, Origin};
use crate::route::Route;
use crate::shared::Shared;

/// A builder with tiers, in the order of their levels.
#[derive(Debug)]
pub struct Tiered {
    tiers: Vec<Tier>,
    packer: Option<Packer>,
    readers: Vec<Arc<dyn Compressor>>,
    trainers: Vec<Arc<dyn DictionaryCompressor>>,
    transform: Option<Arc<dyn Transform>>,
    limits: Limits,
    retry_budget: Arc<RetryBudget>,
    /// Backends beside the levels, by name.
    beside: Vec<(String, Tier)>,
    bus: Option<Arc<dyn Bus>>,
    unsure_max: Duration,
    push_max: usize,
}

impl Tiered {
    fn new(tiers: Vec<Tier>) -> Self {
        Self {
            tiers,
            packer: None,
            readers: Vec::new(),
            trainers: Vec::new(),
            transform: None,
            limits: Limits::default(),
            retry_budget: Arc::default(),
            beside: Vec::new(),
            bus: None,
            unsure_max: UNSURE_MAX,
            push_max: 0,
        }
    }
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
        self.with_below(Tiered::new(vec![tier.into()])).0
    }

    /// Opens a backend beside level 1, as the builder with tiers does beside its levels.
    #[must_use]
    pub fn backend(
        self,
        name: impl Into<String>,
        tier: impl Into<Tier>,
    ) -> ManagerBuilder<C, Tiered> {
        self.with_below(Tiered::new(Vec::new())).0.backend(name, tier)
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

    /// Opens a backend beside the levels: no walk asks it, and calls reach it by this name, see
    /// [`CacheManager::backend`]. A level is reached alone by [`Tier::named`]. Default: none.
    #[must_use]
    pub fn backend(mut self, name: impl Into<String>, tier: impl Into<Tier>) -> Self {
        self.below.beside.push((name.into(), tier.into()));
        self
    }

    /// Tells other processes of what is removed, replaced and invalidated here, and hears of what
    /// they end: copies in level 1 then live as long as their entries. Needs a tier that keeps the
    /// sequence for all processes, such as Redis or memcached. Default: none; a copy in level 1
    /// lives at most 60 s above a tier that others write.
    #[must_use]
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.below.bus = Some(Arc::new(bus));
        self.origin("bus", Origin::Manager)
    }

    /// How long level 1 is believed after the bus was heard last: what is older is looked up below
    /// from then on, until the bus is heard again. Default: 1 s.
    #[must_use]
    pub fn unsure_max(mut self, unsure_max: Duration) -> Self {
        self.below.unsure_max = unsure_max;
        self.origin("unsure_max", Origin::Manager)
    }

    /// Sends a value that was set along with the notice of it, where it has at most so many bytes
    /// as tiers store it: other processes that hold the one before in level 1 then have it without
    /// a read. At most 64 KiB; 0 sends none. Default: 0.
    ///
    /// Each process that holds such a key decodes each value that is set under it, whether it is
    /// read or not. What level 1 does not hold is left there where it is.
    #[must_use]
    pub fn push_max(mut self, bytes: usize) -> Self {
        self.below.push_max = bytes;
        self.origin("push_max", Origin::Manager)
    }

    /// Compresses payloads from the compressor's threshold on, for every tier that has no
    /// [`compression`](Tier::compression) of its own; or lets
    /// [`AdaptiveCompression`](crate::AdaptiveCompression) choose among several for each kind of
    /// data. Default: none.
    #[must_use]
    pub fn compression(mut self, packer: impl Into<Packer>) -> Self {
        let packer = packer.into();
        self.below.readers.extend_from_slice(packer.compressors());
        self.below.packer = Some(packer);
        self.origin("compression", Origin::Manager)
    }

    /// Also reads what this compressor wrote earlier.
    #[must_use]
    pub fn reads_compression(mut self, compressor: impl Compressor) -> Self {
        self.below.readers.push(shared(compressor));
        self
    }

    /// Also reads what was packed with dictionaries of this compressor, as other managers of the
    /// same tiers may, or this one earlier; see
    /// [`AdaptiveCompression::dictionaries`](crate::AdaptiveCompression::dictionaries), which
    /// reads its own anyway.
    #[must_use]
    pub fn reads_dictionaries(mut self, compressor: Arc<dyn DictionaryCompressor>) -> Self {
        self.below.trainers.push(compressor);
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

    /// What all tiers pay their retries and hedged reads from, but those that bring a budget of
    /// their own: an outage costs the manager so many and no more, however many tiers it takes
    /// along. Default: [`RetryBudget::default`].
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.below.retry_budget = Arc::new(budget);
        self
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
        let (untiered, mut below) = self.with_below(NoTiers);
        below.check(untiered.default_backend.as_deref())?;
        below.lend_budget();
        below.queue_writes(untiered.failover);
        let (clock, observer) = (untiered.clock.clone(), Arc::clone(&untiered.observer));
        let Tiered { tiers, packer, mut readers, mut trainers, transform, limits, beside, .. } =
            below;
        let (unsure_max, push_max, bus) = (below.unsure_max, below.push_max, below.bus);
        let mut levels = open_all((2..).zip(tiers), &clock, &observer, packer.as_ref()).await?;
        let (names, beside): (Vec<_>, Vec<_>) = beside.into_iter().unzip();
        let beside = beside.into_iter().map(|tier| (0, tier));
        let mut beside = open_all(beside, &clock, &observer, packer.as_ref()).await?;
        for level in levels.levels.iter().chain(&beside.levels) {
            level.tell_packers(&mut readers, &mut trainers);
        }
        let epochs = shared_first(levels.epochs.take(), beside.epochs.take());
        if bus.is_some() && !epochs.as_ref().is_some_and(|kept| kept.store.is_shared()) {
            return Err(Error::config(
                "a bus needs a tier that keeps the sequence for all processes; \
                 add a tier on Redis or memcached, or leave the bus out",
            ));
        }
        let broadcast = bus.map(|bus| {
            let observer = Arc::clone(&observer);
            Arc::new(Broadcast::new(bus, &untiered.name, unsure_max, push_max, observer))
        });
        let stacks = Stacks {
            broadcast: broadcast.clone(),
            manager: untiered.name.clone(),
            pipeline: Pipeline {
                codec_id: untiered.codec.id(),
                packer,
                packings: Packings::default(),
                readers,
                dictionaries: None,
                transform,
                limits,
                clock,
            },
            observer,
            runtime: runtime.clone(),
            epochs,
            trainers,
        };
        let is_unheard = levels.is_shared && broadcast.is_none();
        if is_unheard {
            levels.shorten_private(L1_TTL_UNHEARD);
        }
        let named = levels.levels.iter().filter_map(|level| {
            let name = level.config.name.as_ref()?;
            Some(stacks.alone(name, level, true))
        });
        let beside = names.iter().zip(&beside.levels);
        let beside = beside.map(|(name, level)| stacks.alone(name, level, false));
        let routes = named.chain(beside).collect();
        let l1_bound = is_unheard.then_some(L1_TTL_UNHEARD);
        let stack = stacks.start(levels.levels, levels.packings, l1_bound);
        let (shared, codec) = Shared::new(untiered, Some(Arc::clone(&stack)), broadcast, routes);
        let manager = builder::finish(shared, codec)?;
        if let Some(broadcast) = &manager.shared.broadcast {
            broadcast.start(&manager.shared, &runtime);
        }
        for advice in manager.advice() {
            tracing::warn!(code = advice.code, about = advice.about, "{}", advice.text);
        }
        if let Err(error) = stack.restore(&manager.tenant).await {
            // As for any other tenant: until they are known, tiers are not read.
            tracing::warn!(error = %error, "stored epochs are not known; the tiers are skipped");
        }
        Ok(manager)
    }
}

impl Tiered {
    fn lend_budget(&mut self) {
        let beside = self.beside.iter_mut().map(|(_, tier)| tier);
        for tier in self.tiers.iter_mut().chain(beside) {
            tier.config.guards.lend(&self.retry_budget);
        }
    }

    /// Writes tiers behind that say nothing of their writes, where the manager queues writes.
    fn queue_writes(&mut self, failover: Failover) {
        let Failover::QueueWrites { queue_max } = failover else { return };
        let beside = self.beside.iter_mut().map(|(_, tier)| tier);
        for tier in self.tiers.iter_mut().chain(beside) {
            if tier.config.origins.of("write").is_none() {
                tier.config.write = WritePolicy::Behind { queue_max };
            }
        }
    }

    /// Whether there are not too many tiers, and no two backends of one name.
    fn check(&self, default: Option<&str>) -> Result<()> {
        if self.tiers.len() > 8 {
            return Err(Error::config("more than eight tiers; remove some"));
        }
        if self.push_max > FRAME_VALUES_MAX {
            let text = "values over 64 KiB are not pushed; lower the limit";
            return Err(Error::config(text).with("push_max", self.push_max));
        }
        let levels = self.tiers.iter().filter_map(|tier| tier.config.name.as_deref());
        let names = levels.chain(self.beside.iter().map(|(name, _)| name.as_str()));
        let mut known: Vec<_> = default.into_iter().collect();
        for name in names {
            check_name("backend", name)?;
            if known.contains(&name) {
                let text = "two backends have one name; rename one";
                return Err(Error::new(ErrorKind::Conflict, text).with("backend", name));
            }
            known.push(name);
        }
        Ok(())
    }
}

/// What all stacks of a manager have in common.
struct Stacks {
    manager: String,
    pipeline: Pipeline,
    observer: Arc<dyn Observer>,
    runtime: tokio::runtime::Handle,
    epochs: Option<KeptEpochs>,
    broadcast: Option<Arc<Broadcast>>,
    /// What reads with dictionaries.
    trainers: Vec<Arc<dyn DictionaryCompressor>>,
}

impl Level {
    /// Adds what packs for this level to what reads.
    fn tell_packers(
        &self,
        readers: &mut Vec<Arc<dyn Compressor>>,
        trainers: &mut Vec<Arc<dyn DictionaryCompressor>>,
    ) {
        let Some(packer) = &self.packer else { return };
        readers.extend_from_slice(packer.compressors());
        trainers.extend(packer.trainer().cloned());
    }
}

impl Stacks {
    fn start(
        &self,
        levels: Vec<Level>,
        packings: Packings,
        l1_bound: Option<Duration>,
    ) -> Arc<Stack> {
        let clock = &self.pipeline.clock;
        let has_any = !self.trainers.is_empty() && self.pipeline.transform.is_none();
        let dictionaries =
            has_any.then(|| Arc::new(Dictionaries::new(self.trainers.clone(), clock.clone())));
        let stack = Stack::start(StackParts {
            manager: self.manager.clone(),
            levels,
            clock: self.pipeline.clock.clone(),
            pipeline: Pipeline { packings, dictionaries, ..self.pipeline.clone() },
            observer: Arc::clone(&self.observer),
            runtime: self.runtime.clone(),
            epochs: self.epochs.clone(),
            broadcast: self.broadcast.clone(),
            l1_bound,
        });
        life::watch(&stack);
        dictionary::watch(&stack);
        stack
    }

    /// The backend of `level` by itself.
    fn alone(&self, name: &str, level: &Level, is_a_level: bool) -> Route {
        let mut packings = Packings::default();
        packings.number_of(level.packer.clone());
        let stack = self.start(vec![level.beside(name)], packings, None);
        Route { name: name.into(), stack: Some(stack), is_a_level }
    }
}

/// Levels that were opened.
struct Opened {
    levels: Vec<Level>,
    /// The forms in which they want values.
    packings: Packings,
    /// Whether another process may change what one of them holds.
    is_shared: bool,
    /// The store of epochs: the first that other processes use too, else the first.
    epochs: Option<KeptEpochs>,
}

impl Opened {
    /// Nobody tells this process what others ended: tiers of its own keep copies of what others
    /// may change for so long and no longer, as level 1 does.
    fn shorten_private(&mut self, life: Duration) {
        for level in self.levels.iter_mut().filter(|level| !level.is_shared()) {
            level.config.ttl = Some(level.config.ttl.map_or(life, |ttl| ttl.min(life)));
        }
    }
}

/// Where others number too, a store of this process alone would keep their invalidations from it.
fn shared_first(held: Option<KeptEpochs>, next: Option<KeptEpochs>) -> Option<KeptEpochs> {
    match (&held, &next) {
        (Some(own), Some(all)) if !own.store.is_shared() && all.store.is_shared() => next,
        _ => held.or(next),
    }
}

async fn open_all(
    tiers: impl Iterator<Item = (u8, Tier)>,
    clock: &Clock,
    observer: &Arc<dyn Observer>,
    packer: Option<&Packer>,
) -> Result<Opened> {
    let packings = Packings::default();
    let mut all = Opened { levels: Vec::new(), packings, is_shared: false, epochs: None };
    for (number, tier) in tiers {
        let packer = tier.config.compression.under(packer);
        let (mut level, opened) = open(tier, number, clock, observer, packer).await?;
        // What is written around takes only what climbs, in the form it has.
        if level.config.write != WritePolicy::Around {
            level.packing = all.packings.number_of(level.packer.clone());
        }
        if let BackendHealth::Down(why) = opened.backend.health().await {
            tracing::warn!(tier = %level.name, why, "a tier is down; it is skipped until it answers");
        }
        all.is_shared |= opened.backend.capabilities().shared;
        let kept = opened.epochs.map(|store| KeptEpochs { store, tier: level.name.clone() });
        all.epochs = shared_first(all.epochs, kept);
        all.levels.push(level);
    }
    Ok(all)
}
