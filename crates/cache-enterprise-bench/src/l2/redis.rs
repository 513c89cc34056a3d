//! Clients of one Redis server.
//!
//! Peers read plain values under plain keys; ours reads what its backend put there, under its
//! own longer keys and with its head before each value.

use std::error::Error;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, cmd};
use cache_enterprise_core::{Backend, KeySpace, OpContext, Put, StoredKey};
use cache_enterprise_redis::{Redis, RedisBackend};
use cache_enterprise_testkit::servers::RedisServer;
use fred::interfaces::{ClientLike, KeysInterface};
use tokio::runtime::Runtime;

use super::load::{Client, Load, ReadError, Sample, drive, keys_for, value_of};
use super::{MULTIPLEXED, Measured, OURS, POOLED, case, limits};
use crate::rounds::Case;

/// Connections of the pool: with more of them a pool is slower here.
const POOL: usize = 16;

/// Commands that may wait for a multiplexed connection; the default of 50 holds callers up.
const BUFFER: usize = 512;

/// A server with the values of one size.
pub(super) struct Server {
    server: RedisServer,
    plain: Keys<String>,
    stored: Keys<StoredKey>,
}

type Keys<K> = Arc<[K]>;

impl Server {
    pub(super) fn start(runtime: &Runtime, bytes: usize) -> Result<Self, Box<dyn Error>> {
        let space = KeySpace::new("bench", "acme", "l2")?;
        let stored: Result<Keys<_>, _> = (0..keys_for(bytes)).map(|key| space.key(&key)).collect();
        let stored = stored?;
        let plain = stored.iter().map(|key| format!("plain:{}", key.as_str())).collect();
        let server = Self { server: RedisServer::start(), plain, stored };
        runtime.block_on(server.fill(bytes))?;
        Ok(server)
    }

    async fn fill(&self, bytes: usize) -> Result<(), Box<dyn Error>> {
        let mut peer = multiplexed(&self.server.url()).await?;
        let ours = Redis::url(&self.server.url())?.open().await?;
        for (number, (plain, stored)) in self.plain.iter().zip(&*self.stored).enumerate() {
            let value = value_of(number, bytes);
            cmd("SET").arg(plain).arg(&value[..]).query_async::<()>(&mut peer).await?;
            ours.put(stored, value, Put::default(), &OpContext::default()).await?;
        }
        Ok(ours.close().await?)
    }

    /// Ours first.
    pub(super) fn cases(&self, runtime: &Runtime, load: Load) -> Vec<Case<Measured>> {
        let peer = |name, run: fn(String, Keys<String>, Load) -> _| {
            let (url, keys) = (self.server.url(), Arc::clone(&self.plain));
            boxed_case(name, runtime, move || run(url.clone(), Arc::clone(&keys), load))
        };
        let (url, keys) = (self.server.url(), Arc::clone(&self.stored));
        vec![
            case(OURS, runtime, move || read_ours(url.clone(), Arc::clone(&keys), load)),
            peer(POOLED, |url, keys, load| Box::pin(read_pooled(url, keys, load))),
            peer(MULTIPLEXED, |url, keys, load| Box::pin(read_multiplexed(url, keys, load))),
            peer("fred", |url, keys, load| Box::pin(read_fred(url, keys, load))),
        ]
    }

    /// What the server can do for a client that does nothing else.
    pub(super) fn limits(&self, load: Load) -> [Case<Measured>; 2] {
        let (port, key) = (self.server.port(), &self.plain[0]);
        [
            limits::case("redis-benchmark -P 1", port, key, 1, load),
            limits::case("redis-benchmark -P 16", port, key, 16, load),
        ]
    }
}

type Run = std::pin::Pin<Box<dyn Future<Output = Measured>>>;

fn boxed_case(
    name: &'static str,
    runtime: &Runtime,
    run: impl Fn() -> Run + Send + 'static,
) -> Case<Measured> {
    case(name, runtime, run)
}

#[derive(Clone)]
struct Ours {
    backend: Arc<RedisBackend>,
    keys: Keys<StoredKey>,
}

impl Client for Ours {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let value = self.backend.get(&self.keys[key], &OpContext::default()).await?;
        Ok(value.ok_or("a value is gone")?.len())
    }
}

async fn read_ours(url: String, keys: Keys<StoredKey>, load: Load) -> Measured {
    let ours = Ours { backend: Redis::url(&url)?.open().await?, keys };
    let sample = drive(&ours, load).await?;
    ours.backend.close().await?;
    Ok(sample)
}

#[derive(Clone)]
struct Pooled {
    pool: deadpool_redis::Pool,
    keys: Keys<String>,
}

impl Client for Pooled {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let mut connection = self.pool.get().await?;
        let value: Option<Vec<u8>> =
            cmd("GET").arg(&self.keys[key]).query_async(&mut connection).await?;
        Ok(value.ok_or("a value is gone")?.len())
    }
}

async fn read_pooled(url: String, keys: Keys<String>, load: Load) -> Measured {
    let builder = deadpool_redis::Config::from_url(url).builder()?;
    let pool = builder.max_size(POOL).runtime(deadpool_redis::Runtime::Tokio1).build()?;
    drive(&Pooled { pool, keys }, load).await
}

#[derive(Clone)]
struct Multiplexed {
    connection: MultiplexedConnection,
    keys: Keys<String>,
}

impl Client for Multiplexed {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let value: Option<Vec<u8>> =
            cmd("GET").arg(&self.keys[key]).query_async(&mut self.connection).await?;
        Ok(value.ok_or("a value is gone")?.len())
    }
}

/// Without a timer for each response and with room for all callers: what served best.
async fn multiplexed(url: &str) -> Result<MultiplexedConnection, Box<dyn Error>> {
    let config =
        AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(BUFFER);
    let client = ::redis::Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

async fn read_multiplexed(url: String, keys: Keys<String>, load: Load) -> Measured {
    drive(&Multiplexed { connection: multiplexed(&url).await?, keys }, load).await
}

#[derive(Clone)]
struct Fred {
    client: fred::clients::Client,
    keys: Keys<String>,
}

impl Client for Fred {
    async fn read(&mut self, key: usize) -> Result<usize, ReadError> {
        let value: Option<bytes::Bytes> = self.client.get(&self.keys[key]).await?;
        Ok(value.ok_or("a value is gone")?.len())
    }
}

async fn read_fred(url: String, keys: Keys<String>, load: Load) -> Measured {
    let config = fred::types::config::Config::from_url(&url)?;
    let client = fred::types::Builder::from_config(config).build()?;
    client.init().await?;
    let sample: Sample = drive(&Fred { client: client.clone(), keys }, load).await?;
    client.quit().await?;
    Ok(sample)
}
