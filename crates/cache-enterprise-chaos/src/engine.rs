//! A manager as a process of the simulation.

use std::future::{IntoFuture, ready};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Listener};
use cache_enterprise_core::{
    BackendSource, Cached, Capacity, Clock, Error, ErrorKind, OpenedBackend, Result, Sequence,
    SetOutcome, Tag, hours, mins,
};
use cache_enterprise_engine::{
    Batch, Cache, CacheManager, CacheSpec, Compute, Computed, KeyOutcome, LoadContext, Missing,
    Options, Receipt, Tier, WritePolicy,
};
use cache_enterprise_testkit::simulation::{
    Answer, Form, LoadPlan, Loader, OriginFailed, Parts, Process, Request, Stamp, Subject,
    TierParts, tag_of,
};

use crate::codec::Stamps;

static SPEC: CacheSpec<u64, Stamp> =
    CacheSpec::new("stamps").ttl(hours(1)).stale_if_error(mins(10)).jitter(0.0);

/// Room for every key of a plan, and so little that level 1 is one shard: its turns, one every ten
/// simulated milliseconds in every process, are a third of what a schedule costs.
const L1: Capacity = Capacity::entries(32);

/// Room for a stamp in its envelope.
const PUSH_MAX: usize = 512;

/// Starts managers of this workspace.
#[derive(Clone, Copy, Debug)]
pub struct Engine;

#[async_trait]
impl Subject for Engine {
    async fn start(&self, parts: Parts) -> Result<Arc<dyn Process>> {
        let Parts { clock, tiers, bus, pushes, near_life, seed } = parts;
        let options = Options { l1_ttl: near_life, ..Options::NONE };
        let mut tiers = tiers.into_iter().map(|tier| level(tier, near_life));
        let first = tiers.next().expect("a plan has a tier");
        let mut builder = CacheManager::builder("chaos")
            .l1(L1)
            .options(options)
            .clock(clock)
            .seed(seed)
            .l2(first);
        for tier in tiers {
            builder = builder.tier(tier);
        }
        if let Some(bus) = bus {
            let push_max = if pushes { PUSH_MAX } else { 0 };
            builder = builder.bus(Carried(bus)).push_max(push_max);
        }
        let manager = builder.codec(Stamps).build().await?;
        let cache = manager.open(&SPEC)?;
        Ok(Arc::new(Manager { manager, cache }))
    }
}

/// What a plan says of a tier, as the engine takes it. Without guards: they draw at random.
fn level(parts: TierParts, near_life: Option<std::time::Duration>) -> Tier {
    let TierParts { backend, epochs, is_private, is_behind } = parts;
    let mut opened = OpenedBackend::new(backend);
    if let Some(epochs) = epochs {
        opened = opened.with_epochs(epochs);
    }
    let mut tier = Tier::new(Opened(opened)).bare();
    if let Some(life) = near_life.filter(|_| is_private) {
        tier = tier.ttl(life);
    }
    match is_behind {
        true => tier.write(WritePolicy::Behind { queue_max: 16 }),
        false => tier,
    }
}

#[derive(Debug)]
struct Opened(OpenedBackend);

#[async_trait]
impl BackendSource for Opened {
    async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
        Ok(self.0)
    }
}

/// A bus behind a pointer.
#[derive(Debug)]
struct Carried(Arc<dyn Bus>);

#[async_trait]
impl Bus for Carried {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.0.publish(manager, frame).await
    }

    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        self.0.publish_with(manager, frame, values).await
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        self.0.listen(manager).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

struct Manager {
    manager: CacheManager<Stamps>,
    cache: Cache<u64, Stamp>,
}

/// The tag of a key's values.
fn tag(key: u64) -> Option<Tag> {
    tag_of(key).map(name_of)
}

fn name_of(tag: u64) -> Tag {
    Tag::from(format!("tag:{tag}"))
}

fn seen(value: &Cached<Stamp>) -> (Stamp, bool) {
    (**value, value.is_stale())
}

fn told(receipt: Receipt) -> Answer {
    Answer::Done(receipt.strict().is_ok())
}

impl Manager {
    async fn load(&self, key: u64, plan: &LoadPlan, loader: &Loader) -> Answer {
        let fetch = self.cache.fetch(&key);
        let loaded = match plan.form {
            // A tag is known only to a load that names it.
            Form::Shared if tag(key).is_none() => {
                self.cache.try_get_with(&key, || loader.load(key, plan)).await
            }
            Form::Shared | Form::Borrowed => {
                fetch.tags(tag(key)).with(|| loader.load(key, plan)).await
            }
            Form::Detached => {
                let (loader, plan) = (loader.clone(), plan.clone());
                let load = move |context: LoadContext<Stamp>| async move {
                    let value = loader.load(key, &plan).await?;
                    let revision = value.generation.to_string();
                    if context.etag() == Some(&revision) {
                        return Ok(context.not_modified());
                    }
                    tag(key).into_iter().for_each(|tag| context.tag(tag));
                    context.keep_etag(revision);
                    Ok(context.value(value))
                };
                fetch.detached(load).await
            }
        };
        match loaded {
            Ok(value) => Answer::Values(vec![Some(seen(&value))]),
            Err(_) => Answer::Failed,
        }
    }

    async fn load_many(&self, keys: &[u64], plan: &LoadPlan, loader: &Loader) -> Answer {
        let load = |missing: Missing<u64>| async move {
            let mut batch = Batch::new();
            for &key in missing.keys() {
                match loader.load(key, plan).await {
                    Ok(stamp) => {
                        let value = batch.value(key, stamp);
                        tag(key).into_iter().for_each(|tag| _ = value.tag(tag));
                    }
                    Err(error) => _ = batch.error(key, error),
                }
            }
            batch
        };
        let loaded = self.cache.get_many_with(keys.iter().copied(), load).await;
        let value = |outcome: &KeyOutcome<Stamp, OriginFailed>| {
            outcome.as_ref().ok().and_then(|value| value.as_ref().map(seen))
        };
        Answer::Values(loaded.iter().map(|(_, outcome)| value(outcome)).collect())
    }

    async fn set_if_version(&self, key: u64, stamp: Stamp) -> Answer {
        let Ok(found) = self.cache.get_entry(&key).await else { return Answer::Failed };
        let version = found.map_or(Sequence::ZERO, |hit| hit.version);
        match self.cache.set_if_version(&key, stamp, version).await {
            Ok(done) if done.is_stored() => Answer::Done(true),
            _ => Answer::Failed,
        }
    }

    async fn get(&self, key: u64) -> Answer {
        match self.cache.get_entry(&key).await {
            Ok(hit) => Answer::Values(vec![hit.map(|hit| (*hit.value, hit.stale))]),
            Err(_) => Answer::Failed,
        }
    }
}

#[async_trait]
impl Process for Manager {
    async fn perform(&self, request: &Request, stamps: &[Stamp], loader: &Loader) -> Answer {
        let cache = &self.cache;
        match request {
            Request::Get(key) => self.get(*key).await,
            Request::Load(key, plan) => self.load(*key, plan, loader).await,
            Request::GetMany(keys) => match cache.get_many(keys).await {
                Ok(found) => {
                    Answer::Values(found.iter().map(|value| value.as_ref().map(seen)).collect())
                }
                Err(_) => Answer::Failed,
            },
            Request::Set(key) => {
                let set = cache.set(key, stamps[0]).tags(tag(*key)).strict();
                // What a level refuses to keep leaves nothing older there.
                let is_done = |error: Error| error.kind() == ErrorKind::TooLarge;
                Answer::Done(set.into_future().await.map_or_else(is_done, |_| true))
            }
            Request::SetMany(keys) => {
                let items = keys.iter().copied().zip(stamps.iter().copied());
                let outcomes = cache.set_many(items).await;
                Answer::Done(!outcomes.contains(&SetOutcome::StoredAbove))
            }
            Request::LoadMany(keys, plan) => self.load_many(keys, plan, loader).await,
            Request::SetIfVersion(key) => self.set_if_version(*key, stamps[0]).await,
            Request::Compute(key) => {
                let computed =
                    cache.entry(key).and_compute_with(|_| ready(Compute::Put(stamps[0])));
                match computed.await {
                    Ok(Computed::Inserted(_) | Computed::Replaced(_)) => Answer::Done(true),
                    _ => Answer::Failed,
                }
            }
            Request::Remove(key) => {
                cache.remove(key).await;
                Answer::Done(true)
            }
            Request::RemoveMany(keys) => {
                cache.remove_many(keys).await;
                Answer::Done(true)
            }
            Request::Expire(key) => {
                cache.expire(key).await;
                Answer::Done(true)
            }
            Request::Invalidate(tag) => told(self.manager.invalidate(name_of(*tag)).await),
            Request::InvalidateSoftly(tag) => {
                told(self.manager.invalidate(name_of(*tag)).soft().await)
            }
            Request::Clear => told(cache.clear().await),
            Request::ClearTenant => told(self.manager.clear().await),
            Request::ClearEverything => told(self.manager.clear_everything().await),
        }
    }

    fn tick(&self) {
        self.manager.tick();
    }
}
