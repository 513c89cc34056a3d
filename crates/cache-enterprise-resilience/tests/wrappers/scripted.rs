//! A backend that plays a script and keeps a record of how it was called.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, KeySpace, OpContext, Put,
    PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped,
};
use parking_lot::Mutex;
use tokio::time::sleep;

/// How one call ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Answer,
    AnswerAfter(Duration),
    Fail(ErrorKind),
    FailAfter(Duration, ErrorKind),
    Hang,
}

/// Every operation that goes through the wrappers with an answer to judge.
pub(crate) const OPERATIONS: [&str; 10] = [
    "get",
    "get_many",
    "put",
    "put_many",
    "remove",
    "remove_many",
    "swap",
    "touch",
    "scan",
    "clear_prefix",
];

#[derive(Debug)]
pub(crate) struct Scripted {
    capabilities: Capabilities,
    steps: Mutex<VecDeque<Step>>,
    /// Played once `steps` is empty.
    finally: Mutex<Step>,
    calls: Mutex<Vec<(&'static str, Option<Duration>)>>,
}

impl Scripted {
    /// Plays `steps`, then `finally` for ever.
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>, finally: Step) -> Arc<Self> {
        Self::with_fence(true, steps, finally)
    }

    pub(crate) fn with_fence(
        fence: bool,
        steps: impl IntoIterator<Item = Step>,
        finally: Step,
    ) -> Arc<Self> {
        Arc::new(Self {
            capabilities: Capabilities {
                fence,
                swap: true,
                shared: true,
                ..Capabilities::default()
            },
            steps: Mutex::new(steps.into_iter().collect()),
            finally: Mutex::new(finally),
            calls: Mutex::default(),
        })
    }

    /// The same script on a backend that only this process sees.
    pub(crate) fn local(steps: impl IntoIterator<Item = Step>, finally: Step) -> Arc<Self> {
        let mut scripted = Self::new(steps, finally);
        Arc::get_mut(&mut scripted).unwrap().capabilities.shared = false;
        scripted
    }

    pub(crate) fn play_on(&self, step: Step) {
        self.steps.lock().clear();
        *self.finally.lock() = step;
    }

    /// How often each call came in, and with which time to live with.
    pub(crate) fn calls(&self) -> Vec<(&'static str, Option<Duration>)> {
        self.calls.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.lock().len()
    }

    async fn play(&self, operation: &'static str, timeout: Option<Duration>) -> Result<()> {
        self.calls.lock().push((operation, timeout));
        let step = self.steps.lock().pop_front().unwrap_or(*self.finally.lock());
        let fail = |kind| Err(Error::new(kind, "scripted").operation(operation));
        match step {
            Step::Answer => Ok(()),
            Step::AnswerAfter(wait) => {
                sleep(wait).await;
                Ok(())
            }
            Step::Fail(kind) => fail(kind),
            Step::FailAfter(wait, kind) => {
                sleep(wait).await;
                fail(kind)
            }
            Step::Hang => pending().await,
        }
    }
}

pub(crate) fn key() -> StoredKey {
    KeySpace::new("shop", "", "users").unwrap().key(&1_u8).unwrap()
}

/// Calls one of [`OPERATIONS`] and drops its answer.
pub(crate) async fn call(backend: &dyn Backend, operation: &str, ctx: &OpContext) -> Result<()> {
    let (key, value, how) = (key(), Bytes::from_static(b"value"), Put::default());
    let prefix = KeyPrefix::manager("shop");
    match operation {
        "get" => backend.get(&key, ctx).await.map(drop),
        "get_many" => backend.get_many(&[key], ctx).await.map(drop),
        "put" => backend.put(&key, value, how, ctx).await.map(drop),
        "put_many" => backend.put_many(vec![(key, value, how)], ctx).await.map(drop),
        "remove" => backend.remove(&key, Sequence(1), ctx).await.map(drop),
        "remove_many" => backend.remove_many(&[key], Sequence(1), ctx).await.map(drop),
        "swap" => backend.swap(&key, value, how, Sequence(1), ctx).await.map(drop),
        "touch" => backend.touch(&key, Duration::from_secs(1), ctx).await.map(drop),
        "scan" => backend.scan(&prefix, None, 10).await.map(drop),
        "clear_prefix" => backend.clear_prefix(&prefix).await,
        other => panic!("no operation is called {other}"),
    }
}

#[async_trait]
impl Backend for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn get(&self, _: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.play("get", ctx.timeout).await.map(|()| None)
    }

    async fn get_many(&self, _: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.play("get_many", ctx.timeout).await.map(|()| vec![None])
    }

    async fn put(&self, _: &StoredKey, _: Bytes, _: Put, ctx: &OpContext) -> Result<PutOutcome> {
        self.play("put", ctx.timeout).await.map(|()| PutOutcome::Stored)
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        assert_eq!(items.len(), 1, "a repeated call carries the items again");
        self.play("put_many", ctx.timeout).await.map(|()| vec![PutOutcome::Stored])
    }

    async fn remove(&self, _: &StoredKey, _: Sequence, ctx: &OpContext) -> Result<bool> {
        self.play("remove", ctx.timeout).await.map(|()| true)
    }

    async fn remove_many(&self, _: &[StoredKey], _: Sequence, ctx: &OpContext) -> Result<u64> {
        self.play("remove_many", ctx.timeout).await.map(|()| 1)
    }

    async fn swap(
        &self,
        _: &StoredKey,
        _: Bytes,
        _: Put,
        _: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        self.play("swap", ctx.timeout).await.map(|()| Swapped::Stored)
    }

    async fn touch(&self, _: &StoredKey, _: Duration, ctx: &OpContext) -> Result<bool> {
        self.play("touch", ctx.timeout).await.map(|()| true)
    }

    async fn scan(&self, _: &KeyPrefix, _: Option<Bytes>, _: usize) -> Result<ScanPage> {
        self.play("scan", None).await.map(|()| ScanPage::default())
    }

    async fn clear_prefix(&self, _: &KeyPrefix) -> Result<()> {
        self.play("clear_prefix", None).await
    }

    async fn health(&self) -> BackendHealth {
        match self.play("health", None).await {
            Ok(()) => BackendHealth::Up,
            Err(error) => BackendHealth::Down(error.to_string()),
        }
    }

    async fn close(&self) -> Result<()> {
        self.play("close", None).await
    }
}
