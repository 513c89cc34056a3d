//! The cache of the demo: memory, a disk whose faults can be switched on, and the origin.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cache_enterprise::core::{Clock, OpenedBackend};
use cache_enterprise::prelude::*;
use cache_enterprise::resilience::CircuitBreakerConfig;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::ChaosBackend;

use super::item::{Item, ItemKey};
use super::origin::Origin;
use super::requests::{Ask, Plan};
use crate::args::DemoArgs;
use crate::failure::Failure;

static ITEMS: CacheSpec<ItemKey, Item> = CacheSpec::new("items").ttl(hours(1));

type Items = Cache<ItemKey, Item>;

/// A running cache with what stands behind it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) origin: Origin,
    pub(crate) chaos: Arc<ChaosBackend>,
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
        directory: &Path,
    ) -> Result<Arc<Self>, Failure> {
        let begun = Instant::now();
        let clock = Clock::system();
        let disk = Disk::at(directory).clock(clock.clone()).open().await?;
        let chaos = Arc::new(ChaosBackend::new(Arc::clone(&disk) as _, Seed(args.seed)));
        let opened = OpenedBackend { backend: Arc::clone(&chaos) as _, epochs: Some(disk) };
        // Looks after the disk more often than a service would, so that the demo stays short.
        let breaker = CircuitBreakerConfig {
            recovery_timeout: ms(300),
            recovery_timeout_max: secs(1),
            ..CircuitBreakerConfig::default()
        };
        let manager = CacheManager::builder("demo")
            .l1(Memory::bytes(args.capacity * MIB))
            .l2(Tier::new(opened).breaker(breaker))
            .codec(MessagePack)
            .compression(Lz4::over(1024))
            .clock(clock)
            .seed(args.seed)
            .build()
            .await?;
        let root = manager.open(&ITEMS)?;
        let (origin, opened_in) = (Origin::new(origin_latency), begun.elapsed());
        let tenants = RwLock::default();
        Ok(Arc::new(Self { plan, origin, chaos, manager, root, tenants, opened_in }))
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
}
