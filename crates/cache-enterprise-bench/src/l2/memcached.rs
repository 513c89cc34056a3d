//! Clients of one memcached server.
//!
//! Peers read plain values under plain keys; ours reads what its backend put there, with its head
//! before each value.

use std::error::Error;
use std::sync::Arc;

use cache_enterprise_core::{Backend, KeySpace, OpContext, Put, StoredKey};
use cache_enterprise_memcached::{Memcached, MemcachedBackend};
use cache_enterprise_testkit::servers::MemcachedServer;
use memcache::exp::AsyncMemcache;
use tokio::runtime::Runtime;

use super::load::{Client, Load, ReadError, drive, keys_for, value_of};
use super::{BLOCKING, Measured, OURS, case};
use crate::rounds::Case;

/// Connections of the blocking client.
const POOL: u32 = 16;

/// A server with the values of one size.
pub(super) struct Server {
    server: MemcachedServer,
    plain: Keys<Arc<str>>,
    stored: Keys<StoredKey>,
}

type Keys<K> = Arc<[K]>;

impl Server {
    pub(super) fn start(runtime: &Runtime, bytes: usize) -> Result<Self, Box<dyn Error>> {
        let space = KeySpace::new("bench", "acme", "l2")?;
        let stored: Result<Keys<_>, _> = (0..keys_for(bytes)).map(|key| space.key(&key)).collect();
        let stored = stored?;
        let plain = stored.iter().map(|key| format!("plain:{}", key.as_str()).into()).collect();
        let server = MemcachedServer::options().memory_mb(256).start();
        let server = Self { server, plain, stored };
        runtime.block_on(server.fill(bytes))?;
        Ok(server)
    }

    async fn fill(&self, bytes: usize) -> Result<(), Box<dyn Error>> {
        let peer = blocking(&self.server.address())?;
        let ours = Memcached::servers([self.server.address()])?.open()?;
        for (number, (plain, stored)) in self.plain.iter().zip(&*self.stored).enumerate() {
            let value = value_of(number, bytes);
            peer.set(plain, &value[..], 0)?;
            ours.put(stored, value, Put::default(), &OpContext::default()).await?;
        }
        Ok(ours.close().await?)
    }

    /// Ours first.
    pub(super) fn cases(&self, runtime: &Runtime, load: Load) -> Vec<Case<Measured>> {
        let address = self.server.address();
        let ours = {
            let (address, keys) = (address.clone(), Arc::clone(&self.stored));
            case(OURS, runtime, move || read_ours(address.clone(), Arc::clone(&keys), load))
        };
        let blocking = {
            let (address, keys) = (address.clone(), Arc::clone(&self.plain));
            case(BLOCKING, runtime, move || read_blocking(address.clone(), Arc::clone(&keys), load))
        };
        let keys = Arc::clone(&self.plain);
        let asynchronous = case("memcache, async", runtime, move || {
            read_async(address.clone(), Arc::clone(&keys), load)
        });
        vec![ours, blocking, asynchronous]
    }
}

#[derive(Clone)]
struct Ours {
    backend: Arc<MemcachedBackend>,
    keys: Keys<StoredKey>,
}

impl Client for Ours {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let value = self.backend.get(&self.keys[key], &OpContext::default()).await?;
        Ok(value.ok_or("a value is gone")?.len())
    }
}

async fn read_ours(address: String, keys: Keys<StoredKey>, load: Load) -> Measured {
    let backend = Arc::new(Memcached::servers([address])?.open()?);
    let ours = Ours { backend, keys };
    let sample = drive(&ours, load).await?;
    ours.backend.close().await?;
    Ok(sample)
}

/// The classic client, each call on a thread that may block.
#[derive(Clone)]
struct Blocking {
    client: memcache::Client,
    keys: Keys<Arc<str>>,
}

impl Client for Blocking {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let (client, key) = (self.client.clone(), Arc::clone(&self.keys[key]));
        let read = tokio::task::spawn_blocking(move || client.get::<Vec<u8>>(&key)).await?;
        Ok(read?.ok_or("a value is gone")?.len())
    }
}

fn blocking(address: &str) -> Result<memcache::Client, memcache::MemcacheError> {
    let url = format!("memcache://{address}?protocol=ascii&tcp_nodelay=true");
    memcache::Client::builder().add_server(url)?.with_max_pool_size(POOL).build()
}

async fn read_blocking(address: String, keys: Keys<Arc<str>>, load: Load) -> Measured {
    drive(&Blocking { client: blocking(&address)?, keys }, load).await
}

/// The asynchronous client of the same crate, a connection of its pool for each call.
#[derive(Clone)]
struct Asynchronous {
    client: AsyncMemcache,
    keys: Keys<Arc<str>>,
}

impl Client for Asynchronous {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let value: Option<Vec<u8>> = self.client.get(self.keys[key].as_bytes()).await?;
        Ok(value.ok_or("a value is gone")?.len())
    }
}

async fn read_async(address: String, keys: Keys<Arc<str>>, load: Load) -> Measured {
    let client = AsyncMemcache::connect([address]).await?;
    drive(&Asynchronous { client, keys }, load).await
}
