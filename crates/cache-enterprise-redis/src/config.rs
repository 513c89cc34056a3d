//! How a Redis backend is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Error, MIB, Result, SecretSource, mins, ms, secs};

use crate::address::{Endpoint, Url};
use crate::place::Sealed;
use crate::record::HEAD_BYTES;
use crate::{Password, RedisBackend};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;
/// Redis takes strings of up to 512 MB.
const STRING_BYTES_MAX: usize = 512 * MIB as usize;

/// Options of a [`RedisBackend`].
///
/// ```
/// use cache_enterprise_core::{ms, secs};
/// use cache_enterprise_redis::{Password, Redis};
///
/// let one = Redis::url("rediss://cache:6380/2")?
///     .user("shop")
///     .password(Password::new("hunter2"))
///     .ca_file("etc/redis-ca.pem")
///     .read_timeout(ms(500));
/// let followed = Redis::sentinel("primary", ["sentinel-a:26379", "sentinel-b:26379"])?;
/// let sharded = Redis::cluster(["redis-1:6379", "redis-2:6379"])?.write_timeout(secs(1));
/// # for redis in [one, followed, sharded] {
/// redis.check()?;
/// # }
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is opened"]
pub struct Redis {
    pub(crate) topology: Topology,
    pub(crate) login: Login,
    pub(crate) sentinel_login: Login,
    pub(crate) database: u32,
    pub(crate) tls: Tls,
    pub(crate) limits: Limits,
    pub(crate) is_watched: bool,
    /// Options that say where the servers are in secret: until these are read, the rest stands for
    /// what they say.
    pub(crate) sealed: Option<Box<Sealed>>,
}

/// Which servers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    Standalone(Endpoint),
    /// The primary of this name, as these sentinels tell it.
    Sentinel {
        primary: String,
        sentinels: Vec<Endpoint>,
    },
    /// Some nodes of a cluster; they tell the others.
    Cluster(Vec<Endpoint>),
}

/// Who connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Arc<dyn SecretSource>>,
}

/// Whether and how connections are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) is_on: bool,
    pub(crate) ca_file: Option<PathBuf>,
    /// Files of the certificate and of its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// Numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) pool_size: usize,
    pub(crate) pipeline_size: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) tombstone_life: Duration,
    pub(crate) replicas: usize,
    pub(crate) value_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: 20,
            pipeline_size: 100,
            connect_timeout: secs(1),
            read_timeout: secs(1),
            write_timeout: secs(2),
            tombstone_life: mins(5),
            replicas: 0,
            value_bytes_max: STRING_BYTES_MAX - HEAD_BYTES,
        }
    }
}

impl Redis {
    /// One server: `redis://[[user]:password@]host[:port][/database]`, or `rediss` for TLS.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when it is no such URL. The error
    /// shows nothing of user and password.
    pub fn url(url: &str) -> Result<Self> {
        let url = Url::parse(url)?;
        let mut redis = Self::of(Topology::Standalone(url.endpoint.clone()));
        redis.take_access(url);
        Ok(redis)
    }

    /// The primary called `primary`, as the sentinels at `addresses` tell it, followed after a
    /// failover. Port of an address without one: 26379. For connections with TLS see
    /// [`tls`](Self::tls).
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when there is no name or no address,
    /// or one cannot be read.
    pub fn sentinel<A: AsRef<str>>(
        primary: &str,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        if primary.is_empty() {
            return Err(Error::config("the sentinels need the name of a primary; give it one"));
        }
        let endpoint = |address: A| Endpoint::parse(address.as_ref(), SENTINEL_PORT);
        let sentinels: Vec<_> = addresses.into_iter().map(endpoint).collect::<Result<_>>()?;
        if sentinels.is_empty() {
            return Err(Error::config("there is no sentinel to ask; give the address of one"));
        }
        Ok(Self::of(Topology::Sentinel { primary: primary.to_owned(), sentinels }))
    }

    /// A cluster of which these nodes are known; any one that answers tells the others. An
    /// address is `host[:port]`, or a URL as [`url`](Self::url) takes it.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when there is no address, one cannot
    /// be read, or one names a database other than 0: a cluster has no other.
    pub fn cluster<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut redis = Self::of(Topology::Cluster(Vec::new()));
        let mut nodes = Vec::new();
        for address in addresses {
            let address = address.as_ref();
            if address.contains("://") {
                let url = Url::parse(address)?;
                nodes.push(url.endpoint.clone());
                redis.take_access(url);
            } else {
                nodes.push(Endpoint::parse(address, PORT)?);
            }
        }
        if nodes.is_empty() {
            return Err(Error::config("a cluster needs the address of one node at least"));
        }
        redis.topology = Topology::Cluster(nodes);
        redis.check_database()?;
        Ok(redis)
    }

    fn of(topology: Topology) -> Self {
        Self {
            topology,
            login: Login::default(),
            sentinel_login: Login::default(),
            database: 0,
            tls: Tls::default(),
            limits: Limits::default(),
            is_watched: true,
            sealed: None,
        }
    }

    /// Leaves a master of a cluster that does not answer where it is. For tests, which show what
    /// the watchdog is for.
    #[doc(hidden)]
    pub fn unwatched(mut self) -> Self {
        self.is_watched = false;
        self
    }

    fn take_access(&mut self, url: Url) {
        self.tls.is_on |= url.tls;
        self.database = url.database.unwrap_or(self.database);
        self.login.user = url.user.or(self.login.user.take());
        if let Some(password) = url.password {
            self.login.password = Some(Arc::new(Password::from(password)));
        }
    }

    /// The ACL user. Default: that of the URL, else the server's `default`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.login.user = Some(user.into());
        self
    }

    /// The password, read for every connection, so that a changed one is taken up. Default: that
    /// of the URL, else none.
    pub fn password(mut self, password: impl SecretSource) -> Self {
        self.login.password = Some(Arc::new(password));
        self
    }

    /// As [`user`](Self::user), for the sentinels. Default: none.
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Self {
        self.sentinel_login.user = Some(user.into());
        self
    }

    /// As [`password`](Self::password), for the sentinels. Default: none.
    pub fn sentinel_password(mut self, password: impl SecretSource) -> Self {
        self.sentinel_login.password = Some(Arc::new(password));
        self
    }

    /// The number of the database. Default: that of the URL, else 0.
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// Encrypts all connections, those to sentinels too. Default: on for `rediss`.
    pub fn tls(mut self) -> Self {
        self.tls.is_on = true;
        self
    }

    /// The file with the certificates, in PEM, of the authorities that may vouch for a server.
    /// Default: those of the operating system.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca_file = Some(path.into());
        self
    }

    /// The files, in PEM, of the client's certificate and of its key. Default: none.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Connections, of one server, for calls that need one to themselves: administrative scans,
    /// and removals that wait for replicas. Reads and writes share two others and never wait for
    /// these. Default: 20.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.limits.pool_size = connections;
        self
    }

    /// Most commands, or keys of one command, that travel together. Default: 100.
    pub fn pipeline_size(mut self, commands: usize) -> Self {
        self.limits.pipeline_size = commands;
        self
    }

    /// Longest time until a connection can be used: name, socket, TLS and login together.
    /// Default: 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// Longest time until a read is answered. When it passes, the connection is replaced. It is
    /// kept to within an eighth. A call that finds no connection waits as long for one first.
    /// Default: 1 s.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.limits.read_timeout = timeout;
        self
    }

    /// Longest time until a write is answered. A read that is late on the same connection ends
    /// the write with it. A call that finds no connection waits as long for one first. Default: 2 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// How long a removal is remembered at its key to refuse values that were loaded before it;
    /// longer than any load takes. Default: 5 min.
    pub fn tombstone_life(mut self, life: Duration) -> Self {
        self.limits.tombstone_life = life;
        self
    }

    /// A removal waits until so many replicas have it, within
    /// [`write_timeout`](Self::write_timeout), and is an error if they do not: it may be lost in
    /// a failover. Each costs a connection of the pool for one round trip. Default: 0.
    pub fn replicated(mut self, replicas: usize) -> Self {
        self.limits.replicas = replicas;
        self
    }

    /// Largest value in bytes that is kept. Default, and at most: 512 MiB less 9 bytes, which is
    /// what Redis takes.
    pub fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.value_bytes_max = bytes;
        self
    }

    /// Whether it could be opened as far as its options tell; nothing is read or sent.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) with the option and the fix.
    pub fn check(&self) -> Result<()> {
        self.check_database()?;
        let Tls { is_on, ca_file, identity } = &self.tls;
        if !is_on && (ca_file.is_some() || identity.is_some()) {
            let option = if ca_file.is_some() { "ca_file" } else { "client_certificate" };
            let text = "certificates need TLS; write rediss:// or switch tls on";
            return Err(Error::config(text).with("option", option));
        }
        if self.login.user.is_some() && self.login.password.is_none() {
            let text = "a user needs a password; give it, or leave the user out";
            return Err(Error::config(text).with("option", "user"));
        }
        let Limits { pool_size, pipeline_size, value_bytes_max, tombstone_life, .. } = self.limits;
        let counts = [("pool_size", pool_size), ("pipeline_size", pipeline_size)];
        let zero = counts.into_iter().find(|(_, count)| *count == 0).map(|(option, _)| option);
        let times = [
            ("connect_timeout", self.limits.connect_timeout),
            ("read_timeout", self.limits.read_timeout),
            ("write_timeout", self.limits.write_timeout),
            ("tombstone_life", tombstone_life),
        ];
        let short = times.into_iter().find(|(_, time)| *time < ms(1)).map(|(option, _)| option);
        if let Some(option) = zero.or(short) {
            return Err(Error::config("zero is no limit; write more").with("option", option));
        }
        if value_bytes_max > STRING_BYTES_MAX - HEAD_BYTES {
            let text = "Redis keeps no value this large; write 512 MiB less 9 bytes or less";
            return Err(Error::config(text).with("option", "value_bytes_max"));
        }
        Ok(())
    }

    fn check_database(&self) -> Result<()> {
        if self.database == 0 || !matches!(self.topology, Topology::Cluster(_)) {
            return Ok(());
        }
        let text = "a cluster has the database 0 alone; leave the number out";
        Err(Error::config(text).with("option", "database").with("database", self.database))
    }

    /// Connects. Needs a tokio runtime with I/O and time.
    ///
    /// Cost: two connections to the server, or to each of a cluster, and the time until they
    /// answer, at most [`connect_timeout`](Self::connect_timeout).
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when the options contradict each
    /// other, a certificate cannot be used, or the server refuses the login;
    /// [`Io`](cache_enterprise_core::ErrorKind::Io) when a file cannot be read;
    /// [`Timeout`](cache_enterprise_core::ErrorKind::Timeout) and
    /// [`Unavailable`](cache_enterprise_core::ErrorKind::Unavailable) when the server does not
    /// answer. A manager's builder takes the last two for a level that is down and connects later.
    pub async fn open(self) -> Result<Arc<RedisBackend>> {
        let backend = RedisBackend::new(self).await?;
        backend.connected().await?;
        Ok(Arc::new(backend))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn topologies_are_read() {
        let redis = Redis::url("redis://cache/3").unwrap();
        assert!(matches!(&redis.topology, Topology::Standalone(at) if at.port == 6379));
        assert_eq!((redis.database, redis.tls.is_on), (3, false));
        let redis = Redis::sentinel("primary", ["a", "b:1"]).unwrap();
        let Topology::Sentinel { sentinels, .. } = &redis.topology else { panic!("{redis:?}") };
        assert_eq!(sentinels[0].port, 26_379);
        let redis = Redis::cluster(["rediss://ada:secret@a:7000/0", "b"]).unwrap();
        assert!(redis.tls.is_on && redis.login.password.is_some());
        assert!(matches!(&redis.topology, Topology::Cluster(nodes) if nodes.len() == 2));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_option() {
        let redis = || Redis::url("redis://cache").unwrap();
        let cases = [
            (redis().ca_file("ca.pem").check(), "ca_file"),
            (redis().client_certificate("c", "k").check(), "client_certificate"),
            (redis().user("ada").check(), "user"),
            (redis().pool_size(0).check(), "pool_size"),
            (redis().pipeline_size(0).check(), "pipeline_size"),
            (redis().read_timeout(Duration::ZERO).check(), "read_timeout"),
            (redis().value_bytes_max(STRING_BYTES_MAX).check(), "value_bytes_max"),
            (Redis::cluster(["a"]).unwrap().database(1).check(), "database"),
            (Redis::cluster(["redis://a/1"]).map(drop), "database"),
        ];
        for (checked, option) in cases {
            let error = checked.unwrap_err();
            assert!(error.context().any(|pair| pair == ("option", option)), "{error}");
        }
        assert!(Redis::sentinel("", ["a"]).is_err());
        assert!(Redis::sentinel::<&str>("primary", []).is_err());
        assert!(Redis::cluster::<&str>([]).is_err());
        redis().check().unwrap();
    }

    #[test]
    fn no_password_is_shown() {
        let redis = Redis::url("redis://ada:canary@cache").unwrap();
        assert!(!format!("{redis:?} {redis:#?}").contains("canary"));
    }
}
