//! The levels below memory: a disk in a directory that is removed, or servers that were named.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise::core::{Clock, OpenedBackend};
use cache_enterprise::prelude::*;
use cache_enterprise::resilience::CircuitBreakerConfig;
use cache_enterprise::{Backend, BackendHealth, BackendSource};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::ChaosBackend;

use super::spoiler::{Spoiler, Wire};
use crate::args::{DemoArgs, ServerName};
use crate::failure::Failure;

/// Longest life of an entry on somebody's server.
pub(crate) const LIFE_ON_SERVERS: Duration = mins(5);

/// As long as the name of any run is: of managers, the first part of every stored key.
pub(crate) const NAME_LONGEST: &str = "demo-000000000000";

/// The levels below memory, as they can be opened time and again.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Name of the manager: the first part of every stored key.
    pub(crate) manager: String,
    all: Vec<Level>,
    /// Number of the level to break, if one is.
    broken: Option<u8>,
}

#[derive(Debug)]
struct Level {
    /// Its name in the report, such as `L2 redis`.
    name: String,
    /// What it is, such as `redis at 127.0.0.1:6379`.
    place: String,
    store: Store,
    /// The proxies before its servers, when it is broken on the wire.
    wire: Option<Wire>,
}

#[derive(Clone, Debug)]
enum Store {
    Disk(PathBuf),
    Redis(Redis),
    RedisCluster(Redis),
    Memcached(Memcached),
}

/// Levels in use.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) first: Tier,
    pub(crate) others: Vec<Tier>,
    /// What breaks a level, and the level's number, when one is to be broken.
    pub(crate) spoiler: Option<(u8, Spoiler)>,
}

impl Levels {
    /// Reads the names of servers and asks each whether it is there. `directory` is where the disk
    /// lies, if there is no server.
    ///
    /// A server that is away fails the demo here and nowhere later: a level that never was there
    /// shows nothing.
    pub(crate) async fn reach(args: &DemoArgs, directory: PathBuf) -> Result<Self, Failure> {
        let mut stores = servers(args)?;
        let is_on_disk = stores.is_empty();
        if is_on_disk {
            stores.push(Store::Disk(directory));
        }
        let broken = args.outage.or(is_on_disk.then_some(2));
        let levels = (2..).zip(stores).map(|(number, store)| Level::new(number, store));
        let mut all: Vec<_> = levels.collect();
        for level in &all {
            level.check().await?;
        }
        if let Some(number) = broken {
            let text =
                format!("there is no level {number} to break; the demo has 1 to {}", all.len() + 1);
            let level = all.get_mut(usize::from(number) - 2).ok_or_else(|| Failure::input(text))?;
            level.reach_by_proxy(args)?;
        }
        let manager = if is_on_disk { "demo".into() } else { run_name() };
        Ok(Self { manager, all, broken })
    }

    /// Opens the levels; one that does not answer by now is a level that is down.
    pub(crate) async fn open(&self, clock: &Clock, seed: u64) -> Result<Opened, Failure> {
        let (mut tiers, mut spoiler) = (Vec::new(), None);
        for (number, level) in (2..).zip(&self.all) {
            let mut opened = level.open(clock).await?;
            if Some(number) == self.broken {
                let way = match &level.wire {
                    Some(wire) => Spoiler::Wire(wire.clone()),
                    None => {
                        let chaos = Arc::new(ChaosBackend::new(opened.backend, Seed(seed)));
                        opened.backend = Arc::clone(&chaos) as _;
                        Spoiler::Calls(chaos)
                    }
                };
                spoiler = Some((number, way));
            }
            tiers.push(level.tier(opened));
        }
        let first = tiers.remove(0);
        Ok(Opened { first, others: tiers, spoiler })
    }

    /// Name of a level, counted from 2, in the report.
    pub(crate) fn name(&self, number: u8) -> &str {
        &self.all[usize::from(number) - 2].name
    }

    /// Names of all levels below memory, from the top.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.all.iter().map(|level| level.name.as_str())
    }

    /// `level 2: redis at 127.0.0.1:6379, level 3: memcached at a:11211, b:11211`.
    pub(crate) fn places(&self) -> String {
        let places = (2..).zip(&self.all).map(|(number, level)| {
            let proxy = if level.wire.is_some() { " by way of a proxy" } else { "" };
            format!("level {number}: {}{proxy}", level.place)
        });
        places.collect::<Vec<_>>().join(", ")
    }

    /// Whether entries lie on servers, where others keep things too.
    pub(crate) fn are_on_servers(&self) -> bool {
        self.all.iter().any(|level| !matches!(level.store, Store::Disk(_)))
    }
}

impl Level {
    fn new(number: u8, store: Store) -> Self {
        let (kind, place) = match &store {
            Store::Disk(_) => ("disk", "disk".into()),
            Store::Redis(redis) => ("redis", format!("redis at {}", told(redis, "url"))),
            Store::RedisCluster(redis) => {
                ("redis cluster", format!("redis cluster at {}", told(redis, "cluster_nodes")))
            }
            Store::Memcached(servers) => {
                ("memcached", format!("memcached at {}", told(servers, "servers")))
            }
        };
        Self { name: format!("L{number} {kind}"), place, store, wire: None }
    }

    /// Whether its servers answer.
    async fn check(&self) -> Result<(), Failure> {
        let failed = |error| Failure::at(&self.name, &error);
        let backend: Arc<dyn Backend> = match self.store.clone() {
            Store::Disk(_) => return Ok(()),
            Store::Redis(redis) | Store::RedisCluster(redis) => {
                redis.open().await.map_err(failed)?
            }
            Store::Memcached(servers) => Arc::new(servers.open().map_err(failed)?),
        };
        let health = backend.health().await;
        backend.close().await.map_err(failed)?;
        match health {
            BackendHealth::Up => Ok(()),
            BackendHealth::Degraded(why) | BackendHealth::Down(why) => {
                Err(Failure::broken(format!("{}: {why}", self.name)))
            }
        }
    }

    /// Puts proxies before the servers, where a proxy can stand: a cluster sends its clients to
    /// the nodes themselves, and a certificate is for the server's own name.
    fn reach_by_proxy(&mut self, args: &DemoArgs) -> Result<(), Failure> {
        let failed = |error| Failure::at(&self.name, &error);
        let no_proxy = |error| Failure::broken(format!("{}: no proxy: {error}", self.name));
        match &mut self.store {
            Store::Redis(redis) if told(redis, "tls") == "false" => {
                let Some(url) = &args.redis else { return Ok(()) };
                let mut wire = Wire::default();
                let address = wire.proxy_to(&told(redis, "url")).map_err(no_proxy)?;
                *redis = Redis::url(&url_at(url.as_str(), &address)).map_err(failed)?;
                self.wire = Some(wire);
            }
            Store::Memcached(servers) => {
                let (mut wire, mut proxied) = (Wire::default(), Vec::new());
                for server in told(servers, "servers").split(", ") {
                    let (address, weight) = server.split_once('=').unwrap_or((server, "1"));
                    let proxy = wire.proxy_to(address).map_err(no_proxy)?;
                    proxied.push(format!("{proxy}={weight}"));
                }
                *servers = Memcached::servers(proxied).map_err(failed)?;
                self.wire = Some(wire);
            }
            Store::Disk(_) | Store::Redis(_) | Store::RedisCluster(_) => {}
        }
        Ok(())
    }

    async fn open(&self, clock: &Clock) -> Result<OpenedBackend, Failure> {
        let opened = match self.store.clone() {
            Store::Disk(directory) => {
                let disk = Disk::at(directory).clock(clock.clone()).open().await?;
                return Ok(OpenedBackend::new(Arc::clone(&disk) as _).with_epochs(disk));
            }
            Store::Redis(redis) | Store::RedisCluster(redis) => {
                BackendSource::open(Box::new(redis), clock).await
            }
            Store::Memcached(servers) => BackendSource::open(Box::new(servers), clock).await,
        };
        opened.map_err(|error| Failure::at(&self.name, &error))
    }

    fn tier(&self, opened: OpenedBackend) -> Tier {
        // Looks after the level more often than a service would, so that the demo stays short.
        let breaker = CircuitBreakerConfig {
            recovery_timeout: ms(300),
            recovery_timeout_max: secs(1),
            ..CircuitBreakerConfig::default()
        };
        let tier = Tier::new(opened).breaker(breaker);
        match self.store {
            Store::Disk(_) => tier,
            _ => tier.ttl(LIFE_ON_SERVERS),
        }
    }
}

/// The stores on servers that `args` name, from the top.
fn servers(args: &DemoArgs) -> Result<Vec<Store>, Failure> {
    let names = |names: &[ServerName]| {
        let names = names.iter().map(|name| name.as_str().to_owned());
        names.collect::<Vec<_>>()
    };
    let mut stores = Vec::new();
    if let Some(url) = &args.redis {
        let redis = Redis::url(url.as_str()).and_then(|redis| redis.check().map(|()| redis));
        stores.push(Store::Redis(redis.map_err(|error| Failure::at("--redis", &error))?));
    }
    if !args.redis_cluster.is_empty() {
        let redis = Redis::cluster(names(&args.redis_cluster));
        let redis = redis.and_then(|redis| redis.check().map(|()| redis));
        let refused = |error| Failure::at("--redis-cluster", &error);
        stores.push(Store::RedisCluster(redis.map_err(refused)?));
    }
    if !args.memcached.is_empty() {
        let servers = Memcached::servers(names(&args.memcached));
        stores.push(Store::Memcached(servers.map_err(|error| Failure::at("--memcached", &error))?));
    }
    Ok(stores)
}

/// What a source tells of one of its options; secrets are not told.
fn told(source: &impl BackendSource, option: &str) -> String {
    let options = source.describe();
    options.into_iter().find(|one| one.name == option).map(|one| one.value).unwrap_or_default()
}

/// The same URL to another address.
fn url_at(url: &str, address: &str) -> String {
    let begin = url.find("://").map_or(0, |scheme| scheme + 3);
    let begin = url.rfind('@').map_or(begin, |at| begin.max(at + 1));
    let end = url[begin..].find('/').map_or(url.len(), |slash| begin + slash);
    format!("{}{address}{}", &url[..begin], &url[end..])
}

/// A name that no other run has, so that it neither meets nor ends anybody's entries.
fn run_name() -> String {
    format!("demo-{:012x}", RandomState::new().hash_one(std::process::id()) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_all_but_its_address() {
        for (url, moved) in [
            ("redis://cache", "redis://127.0.0.1:9"),
            ("redis://cache:6379/3", "redis://127.0.0.1:9/3"),
            ("redis://ada:p%2Fw@[::1]:7000/", "redis://ada:p%2Fw@127.0.0.1:9/"),
            ("redis://:p@ss/w@cache", "redis://:p@ss/w@127.0.0.1:9"),
        ] {
            assert_eq!(url_at(url, "127.0.0.1:9"), moved);
        }
    }

    #[test]
    fn runs_have_names_of_their_own() {
        assert_ne!(run_name(), run_name());
        assert_eq!(run_name().len(), NAME_LONGEST.len());
    }
}
