//! What processes are asked for, and what they answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_enterprise_core::coherence::{Bus, EpochStore};
use cache_enterprise_core::{Backend, Clock, Millis, Result};
use parking_lot::Mutex;

use super::history::{Recorder, Stamp};

/// One call to a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The value if some level holds it.
    Get(u64),
    /// The value, loaded if need be.
    Load(u64, LoadPlan),
    /// The values that some level holds.
    GetMany(Vec<u64>),
    /// The values, those that no level holds from one call of the loader.
    LoadMany(Vec<u64>, LoadPlan),
    /// Puts a new value.
    Set(u64),
    /// Puts new values. Those of keys with a tag must carry it.
    SetMany(Vec<u64>),
    /// Puts a new value if what the process reads first still stands there.
    SetIfVersion(u64),
    /// Puts a new value by a computation in one step.
    Compute(u64),
    /// Removes a key, hard.
    Remove(u64),
    /// Removes keys, hard.
    RemoveMany(Vec<u64>),
    /// Ends the fresh life of a key, softly.
    Expire(u64),
    /// Ends every value with a tag, hard.
    Invalidate(u64),
    /// Ends the fresh life of every value with a tag, softly.
    InvalidateSoftly(u64),
    /// Ends every value of the cache, hard.
    Clear,
    /// Ends every value of the tenant, hard.
    ClearTenant,
    /// Ends every value of every tenant, hard.
    ClearEverything,
}

/// How a load goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// How long the loader takes, in simulated milliseconds.
    pub takes_ms: Millis,
    /// Whether it fails.
    pub fails: bool,
    /// Which form of loading is asked for.
    pub form: Form,
    /// When the caller leaves without an answer.
    pub leaves_after_ms: Option<Millis>,
}

/// The forms of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With the options of the cache, and a loader that may fail.
    Shared,
    /// With options of its own, and a loader that borrows; tags are known before the load.
    Borrowed,
    /// With a loader that goes on when its caller leaves; tags are known after the load.
    Detached,
}

/// The loader's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginFailed;

/// The origin of values: loads read the truth when they begin.
#[derive(Clone, Debug)]
pub struct Loader {
    recorder: Recorder,
    /// Loads that ran for the call this loader was given to.
    ran: Arc<Mutex<Vec<u64>>>,
}

impl Loader {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, ran: Arc::default() }
    }

    /// Loads `key` as `plan` says.
    ///
    /// # Errors
    /// Where the plan says so.
    pub async fn load(
        &self,
        key: u64,
        plan: &LoadPlan,
    ) -> std::result::Result<Stamp, OriginFailed> {
        let load = self.recorder.load(key);
        self.ran.lock().push(load.stamp().write);
        if plan.takes_ms > 0 {
            tokio::time::sleep(Duration::from_millis(plan.takes_ms)).await;
        }
        if plan.fails { Err(OriginFailed) } else { Ok(load.stamp()) }
    }

    /// Whether the load that made this value ran for this call.
    pub(super) fn made(&self, stamp: Stamp) -> bool {
        self.ran.lock().contains(&stamp.write)
    }
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A value and whether it is told to be stale, in the order of the keys.
    Values(Vec<Option<(Stamp, bool)>>),
    /// A write or an invalidation returned; whether it says that everybody was told.
    Done(bool),
    /// A read failed, or a write that may fail was not done, for all that is known.
    Failed,
}

/// A process under test: a cache, as the simulation speaks to it.
#[async_trait]
pub trait Process: Send + Sync + 'static {
    /// Does what is asked. `stamps` are the values of a write, in the order of its keys.
    async fn perform(&self, request: &Request, stamps: &[Stamp], loader: &Loader) -> Answer;

    /// Simulated time has passed on the process's clock.
    fn tick(&self);
}

/// Starts processes over the parts of a world.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Starts one. Tiers keep what they hold from an earlier life of the process.
    ///
    /// # Errors
    /// When the process cannot start, which ends the run.
    async fn start(&self, parts: Parts) -> Result<Arc<dyn Process>>;
}

/// What a process is made of.
#[derive(Debug)]
pub struct Parts {
    /// The process's own clock.
    pub clock: Clock,
    /// The tiers below level 1, from the top.
    pub tiers: Vec<TierParts>,
    /// The bus, where processes hear each other.
    pub bus: Option<Arc<dyn Bus>>,
    /// Whether values go along with what is told on the bus, however large they are.
    pub pushes: bool,
    /// Longest life of a copy in level 1, and in tiers of the process's own, where there is
    /// something to hear and no bus.
    pub near_life: Option<Duration>,
    /// Seeds what the process draws.
    pub seed: u64,
}

/// One tier of a process.
#[derive(Debug)]
pub struct TierParts {
    /// What keeps the bytes.
    pub backend: Arc<dyn Backend>,
    /// What keeps sequence and epochs, where this tier does.
    pub epochs: Option<Arc<dyn EpochStore>>,
    /// Whether no other process sees it.
    pub is_private: bool,
    /// Whether writes are queued.
    pub is_behind: bool,
}
