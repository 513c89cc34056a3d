//! The cache of the demo: memory, the levels below it, and the origin.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cache_enterprise::core::{BackendHealth, Clock};
use cache_enterprise::prelude::*;

use super::item::{Item, ItemKey};
use super::levels::{Levels, Opened};
use super::origin::Origin;
use super::requests::{Ask, Plan};
use super::spoiler::Spoiler;
use crate::args::DemoArgs;
use crate::failure::Failure;

pub(crate) static ITEMS: CacheSpec<ItemKey, Item> = CacheSpec::new("items").ttl(hours(1));

type Items = Cache<ItemKey, Item>;

/// A running cache with what stands behind it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) origin: Origin,
    pub(crate) levels: Arc<Levels>,
    /// What breaks a level, and the level's number, when one is to be broken.
    pub(crate) spoiler: Option<(u8, Spoiler)>,
    pub(crate) manager: CacheManager<MessagePack>,
    root: Items,
    tenants: RwLock<HashMap<Arc<str>, Items>>,
    pub(crate) opened_in: Duration,
}

impl World {
    pub(crate) async fn open(
        args: &DemoArgs,
        plan: Plan,
        origin_latency: Duration,
        levels: &Arc<Levels>,
    ) -> Result<Arc<Self>, Failure> {
        let begun = Instant::now();
        let clock = Clock::system();
        let Opened { first, others, spoiler } = levels.open(&clock, args.seed).await?;
        let builder = CacheManager::builder(&levels.manager)
            .l1(Memory::bytes(args.capacity * MIB))
            .l2(first)
            .codec(MessagePack)
            .compression(Lz4::over(1024))
            .clock(clock)
            .seed(args.seed);
        let builder = others.into_iter().fold(builder, |builder, tier| builder.tier(tier));
        let manager = builder.build().await?;
        let root = manager.open(&ITEMS)?;
        let (origin, opened_in) = (Origin::new(origin_latency), begun.elapsed());
        let (levels, tenants) = (Arc::clone(levels), RwLock::default());
        Ok(Arc::new(Self { plan, origin, levels, spoiler, manager, root, tenants, opened_in }))
    }

    /// The items of the tenant who asks.
    pub(crate) fn items(&self, ask: &Ask) -> Result<Items, Failure> {
        let Some(name) = &ask.tenant else { return Ok(self.root.clone()) };
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(items) = known {
            return Ok(items);
        }
        let items = self.manager.tenant(name)?.open(&ITEMS)?;
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(Arc::clone(name), items.clone());
        Ok(items)
    }

    /// Numbers of the levels that do not answer or are left alone after failures, from the top.
    pub(crate) async fn away(&self) -> Vec<u8> {
        let health = self.manager.health().await;
        let away = health.into_iter().filter(|level| level.health != BackendHealth::Up);
        away.map(|level| level.level).collect()
    }
}
