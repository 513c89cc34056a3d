//! A set may wait for its number while a load begins and lands: nobody is told of loads.

use std::future::IntoFuture;
use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{ErrorKind, OpenedBackend, Result, SetOutcome};
use cache_enterprise_engine::{Cache, CacheManager, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::{ChaosCodec, CodecMode};
use cache_enterprise_testkit::coherence::SharedEpochs;
use tokio::sync::Semaphore;

use super::{Fleet, Process, SPEC, builder};

/// Gives a number only when a reply is let through.
#[derive(Debug)]
struct SlowReplies {
    inner: SharedEpochs,
    replies: Arc<Semaphore>,
}

#[async_trait]
impl EpochStore for SlowReplies {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        self.inner.load(manager, tenant, newest).await
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        self.inner.raise(manager, tenant, targets, above).await
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        self.inner.reserve(manager, tenant, upto).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn next(&self, manager: &str, tenant: &str, above: Sequence) -> Result<Sequence> {
        let number = self.inner.next(manager, tenant, above).await;
        self.replies.acquire().await.unwrap().forget();
        number
    }

    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        self.inner.mark(manager, tenant).await
    }

    async fn since(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<EpochRecord> {
        self.inner.since(manager, tenant, mark, newest).await
    }
}

/// A process whose numbers come late.
pub(super) struct Late {
    manager: CacheManager<ChaosCodec<MessagePack>>,
    pub(super) cache: Cache<u64, u64>,
    codec: ChaosCodec<MessagePack>,
    pub(super) epochs: SharedEpochs,
    pub(super) replies: Arc<Semaphore>,
}

impl Late {
    pub(super) async fn process(fleet: &Fleet) -> Self {
        let (inner, replies) = (fleet.epochs.another(), Arc::new(Semaphore::new(0)));
        let slow = SlowReplies { inner: inner.clone(), replies: Arc::clone(&replies) };
        let source = OpenedBackend::new(Arc::new(fleet.tier.reopened()));
        let tier = Tier::new(source.with_epochs(Arc::new(slow))).bare();
        let codec = ChaosCodec::new(MessagePack, Seed(7));
        let builder = builder(fleet.clock.clone()).l2(tier).codec(codec.clone());
        let manager = builder.bus(fleet.bus.another()).build().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        Self { manager, cache, codec, epochs: inner, replies }
    }

    /// Lets `set` wait for its number until a load of the key, above that number, has landed.
    async fn overtake<T: Send + 'static>(
        &self,
        other: &Process,
        set: impl Future<Output = T> + Send + 'static,
    ) -> T {
        other.heard("both listen", || other.bus.listeners("fleet") > 1).await;
        other.set(1, 10).await;
        let asked = self.epochs.calls().next;
        let set = tokio::spawn(set);
        other.heard("the set asks for its number", || self.epochs.calls().next > asked).await;
        other.set(2, 20).await;
        let heard = || self.manager.bus_stats().unwrap().heard > 1;
        other.heard("a later number is known", heard).await;
        assert_eq!(
            *self.cache.fetch(&1).refresh().with(|| async { Ok::<_, ()>(12_u64) }).await.unwrap(),
            12
        );
        self.replies.add_permits(1);
        set.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn alone() {
    let fleet = Fleet::new();
    let (late, other) = (Late::process(&fleet).await, fleet.process().await);
    let cache = late.cache.clone();
    let set = async move { cache.set(&1, 11_u64).strict().into_future().await.unwrap() };
    assert_eq!(late.overtake(&other, set).await, SetOutcome::Fenced);
    other.heard("its older copy has ended", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, Some(12), "what overtook it stays where it is");
}

#[tokio::test(start_paused = true)]
async fn in_a_batch() {
    let fleet = Fleet::new();
    let (late, other) = (Late::process(&fleet).await, fleet.process().await);
    let cache = late.cache.clone();
    let set = async move { cache.set_many([(1_u64, 11_u64), (3, 30)]).await };
    assert_eq!(late.overtake(&other, set).await, [SetOutcome::Fenced, SetOutcome::Stored]);
    other.heard("its older copy has ended", || other.peek(1).is_none()).await;
    assert_eq!(late.cache.peek(&1).map(|value| *value), Some(12));
    assert_eq!((other.get(1).await, other.get(3).await), (Some(12), Some(30)));
}

#[tokio::test(start_paused = true)]
async fn with_a_value_that_no_tier_can_take() {
    let fleet = Fleet::new();
    let (late, other) = (Late::process(&fleet).await, fleet.process().await);
    late.codec.set(CodecMode::FailEncode);
    let cache = late.cache.clone();
    let set = async move { cache.set(&1, 11_u64).strict().into_future().await };
    let refused = late.overtake(&other, set).await.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Codec));
    other.heard("its older copy has ended", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn in_a_batch_with_a_value_that_no_tier_can_take() {
    let fleet = Fleet::new();
    let (late, other) = (Late::process(&fleet).await, fleet.process().await);
    late.codec.set(CodecMode::FailEncode);
    let cache = late.cache.clone();
    let set = async move { cache.set_many([(1_u64, 11_u64)]).await };
    assert_eq!(late.overtake(&other, set).await, [SetOutcome::StoredAbove]);
    other.heard("its older copy has ended", || other.peek(1).is_none()).await;
}
