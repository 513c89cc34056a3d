//! A backend of several nodes, each with faults of its own.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, OpContext, Put, PutOutcome,
    Result, ScanPage, Sequence, StoredKey, Swapped,
};

use super::{ChaosBackend, Mode};
use crate::Seed;

/// Several backends as the nodes of one, as a cluster or a row of servers looks from outside: a
/// hash of the key chooses the node, and each is a [`ChaosBackend`] whose faults are its own. A
/// batch is sent node by node and fails with the first that does.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Clock, ErrorKind, KeySpace, OpContext};
/// use cache_enterprise_testkit::chaos::{ChaosNodes, Mode};
/// use cache_enterprise_testkit::{ModelBackend, Seed};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cluster = ChaosNodes::new(3, Seed(7), || Arc::new(ModelBackend::new(Clock::manual())));
/// let key = KeySpace::new("shop", "acme", "users")?.key(&1_u8)?;
/// cluster.nodes()[cluster.node(&key) as usize].set(Mode::Fail(ErrorKind::Unavailable));
/// assert!(cluster.get(&key, &OpContext::default()).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ChaosNodes {
    nodes: Vec<Arc<ChaosBackend>>,
}

impl ChaosNodes {
    /// So many nodes, each made by `backend`; healthy until a mode is set.
    ///
    /// # Panics
    /// Without a node.
    pub fn new<B: Backend>(count: u32, seed: Seed, mut backend: impl FnMut() -> Arc<B>) -> Self {
        assert!(count > 0, "a backend has a node");
        let node = |at| Arc::new(ChaosBackend::new(backend(), Seed(seed.0.wrapping_add(at))));
        Self { nodes: (0..u64::from(count)).map(node).collect() }
    }

    /// The nodes by their numbers.
    pub fn nodes(&self) -> &[Arc<ChaosBackend>] {
        &self.nodes
    }

    /// Changes what happens to the calls of every node.
    pub fn set_all(&self, mode: Mode) {
        self.nodes.iter().for_each(|node| node.set(mode));
    }

    fn of(&self, key: &StoredKey) -> &ChaosBackend {
        &self.nodes[self.node(key) as usize]
    }

    /// The places of `keys` in their batch, a list a node.
    fn places<'k>(&self, keys: impl Iterator<Item = &'k StoredKey>) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new(); self.nodes.len()];
        for (place, key) in keys.enumerate() {
            places[self.node(key) as usize].push(place);
        }
        places
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for ChaosNodes {
    fn name(&self) -> &str {
        self.nodes[0].name()
    }

    fn capabilities(&self) -> Capabilities {
        self.nodes[0].capabilities()
    }

    fn node(&self, key: &StoredKey) -> u32 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        (hash % self.nodes.len() as u64) as u32
    }

    fn nodes(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("the count was a u32")
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.of(key).get(key, ctx).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let mut found = vec![None; keys.len()];
        for (node, places) in self.nodes.iter().zip(self.places(keys.iter())) {
            if places.is_empty() {
                continue;
            }
            let asked: Vec<_> = places.iter().map(|&place| keys[place].clone()).collect();
            for (place, value) in places.into_iter().zip(node.get_many(&asked, ctx).await?) {
                found[place] = value;
            }
        }
        Ok(found)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.of(key).put(key, value, how, ctx).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let mut outcomes = vec![PutOutcome::Refused; items.len()];
        let places = self.places(items.iter().map(|(key, _, _)| key));
        for (node, places) in self.nodes.iter().zip(places) {
            if places.is_empty() {
                continue;
            }
            let sent = places.iter().map(|&place| items[place].clone()).collect();
            for (place, outcome) in places.into_iter().zip(node.put_many(sent, ctx).await?) {
                outcomes[place] = outcome;
            }
        }
        Ok(outcomes)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.of(key).remove(key, at, ctx).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let mut removed = 0;
        for (node, places) in self.nodes.iter().zip(self.places(keys.iter())) {
            if places.is_empty() {
                continue;
            }
            let gone: Vec<_> = places.into_iter().map(|place| keys[place].clone()).collect();
            removed += node.remove_many(&gone, at, ctx).await?;
        }
        Ok(removed)
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        self.of(key).swap(key, value, how, expected, ctx).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.of(key).touch(key, ttl, ctx).await
    }

    /// One node after the other: a page's place is the number of its node and the place there.
    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let (node, from) = match from {
            None => (0, None),
            Some(place) => split(&place, self.nodes.len())?,
        };
        let mut page = self.nodes[node].scan(prefix, from, limit).await?;
        page.next = match page.next {
            Some(place) => Some(joined(node, &place)),
            None if node + 1 < self.nodes.len() => Some(joined(node + 1, &[])),
            None => None,
        };
        Ok(page)
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        for node in &self.nodes {
            node.clear_prefix(prefix).await?;
        }
        Ok(())
    }

    async fn health(&self) -> BackendHealth {
        for node in &self.nodes {
            let health = node.health().await;
            if health != BackendHealth::Up {
                return health;
            }
        }
        BackendHealth::Up
    }

    async fn close(&self) -> Result<()> {
        let mut result = Ok(());
        for node in &self.nodes {
            result = result.and(node.close().await);
        }
        result
    }
}

fn joined(node: usize, place: &[u8]) -> Bytes {
    [&(node as u32).to_le_bytes(), place].concat().into()
}

/// The node of a scan's place and the place there; none at a node's beginning.
fn split(place: &Bytes, nodes: usize) -> Result<(usize, Option<Bytes>)> {
    let unknown =
        || Error::new(ErrorKind::InvalidInput, "the scan's place is none of this backend");
    let (number, _) = place.split_first_chunk::<4>().ok_or_else(unknown)?;
    let node = u32::from_le_bytes(*number) as usize;
    if node >= nodes {
        return Err(unknown());
    }
    let rest = place.slice(number.len()..);
    Ok((node, (!rest.is_empty()).then_some(rest)))
}
