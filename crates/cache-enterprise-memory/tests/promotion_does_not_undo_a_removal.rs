//! Memory in front of a backend: what a read took from the back before a write of its key began,
//! ran or ended never enters the front after it.
#![allow(clippy::unwrap_used)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, Capacity, Clock, KeySpace, OpContext, Put, PutOutcome, Result, Sequence,
    StoredKey,
};
use cache_enterprise_memory::{HybridBackend, MemoryBackend};
use cache_enterprise_testkit::{ModelBackend, Seed};
use rand::RngExt;

/// A backend whose calls stop once before and once after the values change, so that a test that
/// polls by hand decides the order of everything.
#[derive(Debug)]
struct Stepped {
    values: ModelBackend,
    is_stepped: AtomicBool,
}

impl Stepped {
    async fn step(&self) {
        let mut is_first = self.is_stepped.load(Ordering::Relaxed);
        poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) })
            .await;
    }
}

#[async_trait]
impl Backend for Stepped {
    fn name(&self) -> &str {
        "stepped"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.step().await;
        let found = self.values.get(key, ctx).await;
        self.step().await;
        found
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.step().await;
        let done = self.values.put(key, value, how, ctx).await;
        self.step().await;
        done
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.step().await;
        let done = self.values.remove(key, at, ctx).await;
        self.step().await;
        done
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

type Call = Pin<Box<dyn Future<Output = ()>>>;

/// Polls once; says whether the call has ended.
fn step(call: &mut Call) -> bool {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn finish(mut call: Call) {
    while !step(&mut call) {}
}

struct Fixture {
    back: Arc<Stepped>,
    tier: Arc<HybridBackend>,
    key: StoredKey,
}

impl Fixture {
    fn new() -> Self {
        let clock = Clock::manual();
        let values = ModelBackend::new(clock.clone());
        let back = Arc::new(Stepped { values, is_stepped: AtomicBool::new(true) });
        let front = MemoryBackend::new(Capacity::entries(100));
        let tier = Arc::new(HybridBackend::new(front, Arc::clone(&back) as Arc<dyn Backend>));
        let key = KeySpace::new("m", "", "c").unwrap().key(&1_u8).unwrap();
        Self { back, tier, key }
    }

    fn get(&self) -> Call {
        let (tier, key) = (Arc::clone(&self.tier), self.key.clone());
        Box::pin(async move { drop(tier.get(&key, &OpContext::default()).await.unwrap()) })
    }

    fn put(&self, value: u64, at: u64) -> Call {
        let (tier, key) = (Arc::clone(&self.tier), self.key.clone());
        let how = Put { ttl: None, version: Sequence(at) };
        let bytes = Bytes::copy_from_slice(&value.to_le_bytes());
        Box::pin(async move {
            tier.put(&key, bytes, how, &OpContext::default()).await.unwrap();
        })
    }

    fn remove(&self, at: u64) -> Call {
        let (tier, key) = (Arc::clone(&self.tier), self.key.clone());
        Box::pin(async move {
            tier.remove(&key, Sequence(at), &OpContext::default()).await.unwrap();
        })
    }

    /// What the tier and what the back behind it hold.
    fn both(&self) -> [Option<Bytes>; 2] {
        self.back.is_stepped.store(false, Ordering::Relaxed);
        let ctx = OpContext::default();
        let both = [&*self.tier as &dyn Backend, &*self.back].map(|backend| {
            let mut get = backend.get(&self.key, &ctx);
            match get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(found) => found.unwrap(),
                Poll::Pending => panic!("nothing holds the backend up"),
            }
        });
        self.back.is_stepped.store(true, Ordering::Relaxed);
        both
    }
}

#[test]
fn wherever_the_removal_comes_in_between() {
    // The read stops twice: before and after it looked. The removal may begin, run and end at any
    // of these points.
    for begins in 0..3 {
        for ends in begins..3 {
            let fixture = Fixture::new();
            finish(fixture.put(7, 1));
            // Empties the front without touching the back: the back alone holds the value now.
            let fixture = Fixture {
                tier: Arc::new(HybridBackend::new(
                    MemoryBackend::new(Capacity::entries(100)),
                    Arc::clone(&fixture.back) as Arc<dyn Backend>,
                )),
                ..fixture
            };
            let (mut read, mut removal) = (fixture.get(), Some(fixture.remove(2)));
            for at in 0..3 {
                if at == begins {
                    step(removal.as_mut().unwrap());
                }
                if at == ends {
                    finish(removal.take().unwrap());
                }
                step(&mut read);
            }
            assert_eq!(fixture.both(), [None, None], "removed from {begins} to {ends}");
        }
    }
}

#[test]
fn over_random_interleavings_front_and_back_agree() {
    let seed = Seed::from_env_or(51);
    let _printed = seed.print_on_panic();
    let mut rng = seed.rng();
    for round in 0..2_000_u64 {
        let fixture = Fixture::new();
        let mut calls: Vec<Call> = Vec::new();
        for at in 1..40 {
            match rng.random_range(0..8) {
                0 => calls.push(fixture.put(at, at)),
                1 => calls.push(fixture.remove(at)),
                2 | 3 => calls.push(fixture.get()),
                // A caller that leaves.
                4 if !calls.is_empty() && rng.random_range(0..4) == 0 => {
                    drop(calls.swap_remove(rng.random_range(0..calls.len())));
                }
                _ if calls.is_empty() => {}
                _ => {
                    let call = rng.random_range(0..calls.len());
                    if step(&mut calls[call]) {
                        drop(calls.swap_remove(call));
                    }
                }
            }
        }
        calls.into_iter().for_each(finish);
        let [tier, back] = fixture.both();
        assert_eq!(tier, back, "round {round}");
    }
}
