//! The backend.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::LeaseToken;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, Error, ErrorKind, KeyPrefix, OpContext, Put,
    PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped, unsupported,
};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::Protocol;
use crate::change::{Done, Wish};
use crate::epochs::Homes;
use crate::error;
use crate::item::{self, Found, ROOM_BYTES};
use crate::limits::Limits;
use crate::name::Name;
use crate::placement::Placement;
use crate::server::Server;

pub(crate) const NAME: &str = "memcached";

/// Entries on memcached servers. Made by [`Memcached::open`](crate::Memcached::open).
///
/// A key lives on one server. While that server is away its reads and writes fail, and no other
/// server takes its keys: they would be looked for there for as long as the server is away and
/// nowhere afterwards.
#[derive(Debug)]
pub struct MemcachedBackend {
    placement: Placement,
    servers: Box<[Server]>,
    clock: Clock,
    pub(crate) protocol: Protocol,
    pub(crate) limits: Limits,
    /// What this process knows of the managers whose epochs it keeps here.
    pub(crate) homes: Homes,
    is_closed: AtomicBool,
}

impl MemcachedBackend {
    pub(crate) fn new(
        placement: Placement,
        servers: Box<[Server]>,
        clock: Clock,
        protocol: Protocol,
        limits: Limits,
    ) -> Self {
        let (homes, is_closed) = (Homes::default(), AtomicBool::new(false));
        Self { placement, servers, clock, protocol, limits, homes, is_closed }
    }

    /// The address of the server that holds a key, as `host:port`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> cache_enterprise_core::Result<()> {
    /// use cache_enterprise_core::KeySpace;
    /// use cache_enterprise_memcached::Memcached;
    ///
    /// let names = ["mc-a:11211", "mc-b:11211", "mc-c:11211"];
    /// let servers = Memcached::servers(names)?.open()?;
    /// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
    /// assert!(names.contains(&servers.server_of(&key)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn server_of(&self, key: &StoredKey) -> &str {
        &self.server(key).name
    }

    fn server(&self, key: &StoredKey) -> &Server {
        self.server_named(key.as_str())
    }

    /// The server of any name, placed as keys are.
    pub(crate) fn server_named(&self, name: &str) -> &Server {
        &self.servers[self.placement.owner(name)]
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) { Err(error::closed("call")) } else { Ok(()) }
    }

    fn wall_ms(&self) -> i64 {
        self.clock.wall_of(self.clock.tick())
    }

    fn value(&self, key: &StoredKey, carried: &str, found: Option<Bytes>) -> Result<Option<Bytes>> {
        let Some(bytes) = found else { return Ok(None) };
        match item::open(carried, bytes) {
            Found::Own(head, value) => Ok(head.is_live(self.wall_ms()).then_some(value)),
            Found::OtherKey => Ok(None),
            Found::Foreign => {
                let text = "what stands under the key was written by another program";
                Err(error::at(self.server_of(key), ErrorKind::Corrupt, text))
            }
        }
    }

    pub(crate) async fn change(&self, key: &StoredKey, wish: Wish) -> Result<Done> {
        self.check_open()?;
        self.server(key).change(&Name::of(key), wish, &self.clock, &self.limits).await
    }

    async fn put_one(&self, key: &StoredKey, value: Bytes, how: Put) -> Result<PutOutcome> {
        self.put_under(key, value, how, None).await
    }

    /// Puts, with a token only while that is the newest of the key.
    pub(crate) async fn put_under(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        token: Option<LeaseToken>,
    ) -> Result<PutOutcome> {
        let wish = if value.len() > value_bytes_max(&self.limits) {
            Wish::Refuse { version: how.version, token }
        } else {
            Wish::Put { value, how, token }
        };
        match self.change(key, wish).await? {
            Done::Put(outcome) => Ok(outcome),
            _ => Err(error::out_of_step(self.server_of(key))),
        }
    }

    async fn swap_one(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
    ) -> Result<Swapped> {
        if self.protocol == Protocol::Ascii {
            return Err(unsupported(NAME, "swap"));
        }
        if value.len() > value_bytes_max(&self.limits) {
            self.check_open()?;
            return Ok(Swapped::Refused);
        }
        match self.change(key, Wish::Swap { value, how, expected }).await? {
            Done::Swapped(swapped) => Ok(swapped),
            _ => Err(error::out_of_step(self.server_of(key))),
        }
    }

    pub(crate) async fn was_there(&self, key: &StoredKey, wish: Wish) -> Result<bool> {
        match self.change(key, wish).await? {
            Done::Was(was_there) => Ok(was_there),
            _ => Err(error::out_of_step(self.server_of(key))),
        }
    }

    async fn get_all(&self, keys: &[StoredKey]) -> Result<Vec<Option<Bytes>>> {
        self.check_open()?;
        let mut asked: Vec<Vec<usize>> = vec![Vec::new(); self.servers.len()];
        for (index, key) in keys.iter().enumerate() {
            asked[self.placement.owner(key.as_str())].push(index);
        }
        let parts = self.servers.iter().zip(&asked).filter(|(_, part)| !part.is_empty());
        let answers = join_all(parts.map(|(server, part)| async move {
            let names: Vec<Name<'_>> = part.iter().map(|index| Name::of(&keys[*index])).collect();
            let found = server.read(&names).await?;
            Ok::<_, Error>((part, names, found))
        }));
        let mut values = vec![None; keys.len()];
        for answer in answers.await {
            let (part, names, found) = answer?;
            for ((index, name), found) in part.iter().zip(names).zip(found) {
                values[*index] = self.value(&keys[*index], name.carried, found)?;
            }
        }
        Ok(values)
    }

    /// Runs a change for each item, those of one key in their order, the others side by side on as
    /// many connections as there are. The first failure ends it.
    pub(crate) async fn change_all<'a, T, F>(
        &self,
        keys: impl Iterator<Item = &'a StoredKey>,
        change: impl Fn(usize) -> F,
    ) -> Result<Vec<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let mut of_key: HashMap<&StoredKey, usize> = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (index, key) in keys.enumerate() {
            let group = *of_key.entry(key).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(index);
        }
        let workers = groups.len().min(self.limits.pool_size * self.servers.len());
        let left = Mutex::new(groups.into_iter());
        let (left, change) = (&left, &change);
        let worked = join_all((0..workers).map(|_| async move {
            let mut done = Vec::new();
            loop {
                let Some(group) = left.lock().next() else { return Ok(done) };
                for index in group {
                    match change(index).await {
                        Ok(outcome) => done.push((index, outcome)),
                        Err(failure) => {
                            left.lock().by_ref().for_each(drop);
                            return Err(failure);
                        }
                    }
                }
            }
        }))
        .await;
        let mut outcomes = worked
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        outcomes.sort_by_key(|(index, _)| *index);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

/// Largest value that fits into an item whatever its key.
pub(crate) fn value_bytes_max(limits: &Limits) -> usize {
    limits.item_bytes_max - ROOM_BYTES
}

/// Names the operation, and keeps to the time its caller has.
async fn within<T>(
    operation: &'static str,
    ctx: &OpContext,
    call: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let answer = match ctx.timeout {
        None => call.await,
        Some(timeout) => tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the caller's time was over").with("backend", NAME))
        }),
    };
    answer.map_err(|failure| failure.operation(operation))
}

#[async_trait]
impl Backend for MemcachedBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            expiry: true,
            fence: true,
            touch: true,
            // By the text protocol the client does not tell whether an `add` was refused: a swap
            // that was stored, and replaced since, would be answered as one that was not.
            swap: self.protocol != Protocol::Ascii,
            scan: false,
            clear_prefix: false,
            durable: false,
            shared: true,
            value_bytes_max: Some(value_bytes_max(&self.limits)),
        }
    }

    fn node(&self, key: &StoredKey) -> u32 {
        u32::try_from(self.placement.owner(key.as_str())).unwrap_or(0)
    }

    fn nodes(&self) -> u32 {
        u32::try_from(self.servers.len()).unwrap_or(u32::MAX)
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        let read = async {
            self.check_open()?;
            let name = Name::of(key);
            let found = self.server(key).read(std::slice::from_ref(&name)).await?.pop().flatten();
            self.value(key, name.carried, found)
        };
        within("get", ctx, read).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        within("get_many", ctx, self.get_all(keys)).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        within("put", ctx, self.put_one(key, value, how)).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let put = |index: usize| {
            let (key, value, how) = &items[index];
            self.put_one(key, value.clone(), *how)
        };
        let puts = async {
            self.check_open()?;
            self.change_all(items.iter().map(|(key, _, _)| key), put).await
        };
        within("put_many", ctx, puts).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        within("remove", ctx, self.was_there(key, Wish::Remove { at })).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let remove = |index: usize| self.was_there(&keys[index], Wish::Remove { at });
        let removals = async {
            self.check_open()?;
            let removed = self.change_all(keys.iter(), remove).await?;
            Ok(removed.into_iter().map(u64::from).sum())
        };
        within("remove_many", ctx, removals).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        within("swap", ctx, self.swap_one(key, value, how, expected)).await
    }

    async fn touch(&self, key: &StoredKey, life: Duration, ctx: &OpContext) -> Result<bool> {
        within("touch", ctx, self.was_there(key, Wish::Touch { life })).await
    }

    async fn scan(&self, _: &KeyPrefix, _: Option<Bytes>, _: usize) -> Result<ScanPage> {
        Err(unsupported(NAME, "scan"))
    }

    async fn clear_prefix(&self, _: &KeyPrefix) -> Result<()> {
        Err(unsupported(NAME, "clear_prefix"))
    }

    /// Asks every server, side by side. Up when all answer, down when none does.
    async fn health(&self) -> BackendHealth {
        if self.is_closed.load(Ordering::Acquire) {
            return BackendHealth::Down("the backend was closed".into());
        }
        let pings = self.servers.iter().map(|server| async move {
            server.ping().await.err().map(|failure| format!("{failure}"))
        });
        let failures: Vec<String> = join_all(pings).await.into_iter().flatten().collect();
        let (silent, all) = (failures.len(), self.servers.len());
        let why = failures.join("; ");
        match silent {
            0 => BackendHealth::Up,
            _ if silent == all => BackendHealth::Down(why),
            _ => BackendHealth::Degraded(format!("{silent} of {all} servers do not answer: {why}")),
        }
    }

    async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        for server in &self.servers {
            server.close();
        }
        Ok(())
    }
}
