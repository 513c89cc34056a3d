//! A strategy by name, run over requests.

use std::sync::Arc;

use cache_enterprise::Strategy as Chosen;
use cache_enterprise::core::{Capacity, PolicyFactory};
use cache_enterprise::memory::{MemoryStore, QUICK, StoreConfig};
use cache_enterprise::strategies::eviction;
use cache_enterprise_workload::simulate::{Replay, Run, Simulator, Unit, through_store};

use super::Room;
use crate::failure::Failure;

/// Who decides what leaves.
#[derive(Clone, Debug)]
pub(super) struct Strategy {
    name: String,
    /// Nothing for the store on quick_cache, which has a policy of its own.
    policy: Option<Arc<dyn PolicyFactory>>,
}

impl Strategy {
    /// Every one there is.
    pub(super) fn all() -> Result<Vec<Self>, Failure> {
        let mut names: Vec<_> =
            eviction::all().iter().map(|policy| policy.name().to_owned()).collect();
        names.push(QUICK.to_owned());
        Self::named(&names)
    }

    /// Those with these names, each once. The names are those of settings, `default` included.
    pub(super) fn named(names: &[String]) -> Result<Vec<Self>, Failure> {
        let mut strategies: Vec<Self> = Vec::new();
        for name in names {
            let policy = Chosen::from(name.clone()).resolve()?;
            let name = policy.as_ref().map_or(QUICK, |policy| policy.name()).to_owned();
            if strategies.iter().all(|other| other.name != name) {
                strategies.push(Self { name, policy });
            }
        }
        Ok(strategies)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All requests through a cache of this room that is empty at first.
    pub(super) fn run(&self, replay: &Replay, room: Room) -> Result<Run, Failure> {
        let capacity = match room.unit {
            Unit::Objects => Capacity::entries(room.capacity),
            Unit::Bytes => Capacity::bytes(room.capacity),
        };
        let Some(policy) = &self.policy else {
            let store = MemoryStore::<u64, ()>::new(StoreConfig::new(capacity));
            return Ok(through_store(&store, replay, room.unit, 1));
        };
        Simulator::new(policy.as_ref(), capacity)
            .run(replay)
            .map_err(|fault| Failure::broken(format!("{}: {fault}", self.name)))
    }
}
