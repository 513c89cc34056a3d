//! A backend without fences or expiry of its own, so that the engine's rules are what is seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, Error, ErrorKind, OpContext, Put, PutOutcome, Result, Sequence,
    StoredKey,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// What the backend does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Work = 0,
    Fail = 1,
    Hang = 2,
    /// Looks the answer of a `get` up, and gives it when the test lets it pass.
    HoldGets = 3,
    HoldPuts = 4,
    HoldRemoves = 5,
}

#[derive(Debug)]
pub(crate) struct Scripted {
    name: &'static str,
    pub(crate) values: Mutex<BTreeMap<StoredKey, (Bytes, Put)>>,
    mode: AtomicU8,
    pub(crate) calls: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) pass: Semaphore,
}

impl Scripted {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            values: Mutex::default(),
            mode: AtomicU8::new(Mode::Work as u8),
            calls: AtomicU64::new(0),
            held: AtomicU64::new(0),
            pass: Semaphore::new(0),
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.lock().len()
    }

    /// Puts these bytes in the place of every value.
    pub(crate) fn overwrite(&self, bytes: &'static [u8]) {
        self.values.lock().values_mut().for_each(|(held, _)| *held = Bytes::from_static(bytes));
    }

    async fn enter(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.mode.load(Ordering::SeqCst) {
            mode if mode == Mode::Fail as u8 => {
                Err(Error::new(ErrorKind::Unavailable, "the script says so"))
            }
            mode if mode == Mode::Hang as u8 => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn hold(&self, mode: Mode) {
        if self.mode.load(Ordering::SeqCst) == mode as u8 {
            self.held.fetch_add(1, Ordering::SeqCst);
            self.pass.acquire().await.unwrap().forget();
        }
    }
}

#[async_trait]
impl Backend for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        self.enter().await?;
        let found = self.values.lock().get(key).map(|(bytes, _)| bytes.clone());
        self.hold(Mode::HoldGets).await;
        Ok(found)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.enter().await?;
        self.hold(Mode::HoldPuts).await;
        self.values.lock().insert(key.clone(), (value, how));
        Ok(PutOutcome::Stored)
    }

    async fn remove(&self, key: &StoredKey, _: Sequence, _: &OpContext) -> Result<bool> {
        self.enter().await?;
        self.hold(Mode::HoldRemoves).await;
        Ok(self.values.lock().remove(key).is_some())
    }

    /// A reopened manager takes the same script over.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
