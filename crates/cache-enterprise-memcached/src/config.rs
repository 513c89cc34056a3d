//! How servers are asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Clock, Error, Result, SecretSource, mins};
use scheduled_thread_pool::ScheduledThreadPool;
use zeroize::Zeroizing;

use crate::MemcachedBackend;
use crate::address::Address;
use crate::classic::{ClassicServer, Dialect};
use crate::item::ROOM_BYTES;
use crate::limits::Limits;
use crate::meta::MetaServer;
use crate::placement::Placement;
use crate::server::{Client, Server};

/// Smallest longest item: room for the head and the longest key, and as much again for a value.
const ITEM_BYTES_MIN: usize = 2 * ROOM_BYTES;
/// Largest item a server can be told to take (`memcached -I`).
const ITEM_BYTES_MAX: usize = 1 << 30;
/// Most connections for each server.
const POOL_SIZE_MAX: usize = 1_024;
/// Longest life of a removal: a longer one would be a date for the server.
const TOMBSTONE_LIFE_MAX: Duration = Duration::from_secs(29 * 24 * 60 * 60);

/// The protocol that servers are spoken to by.
///
/// ```
/// use cache_enterprise_memcached::Protocol;
///
/// assert_eq!("meta".parse::<Protocol>()?, Protocol::Meta);
/// assert!("tls".parse::<Protocol>().is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// The meta protocol of memcached 1.6 and newer, on asynchronous connections.
    #[default]
    Meta,
    /// The binary protocol, on blocking threads; the one that SASL needs. memcached calls it
    /// deprecated.
    Binary,
    /// The text protocol, on blocking threads.
    Ascii,
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "meta" => Ok(Self::Meta),
            "binary" => Ok(Self::Binary),
            "ascii" => Ok(Self::Ascii),
            _ => Err(config("write the protocol as meta, binary or ascii")),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Meta => "meta",
            Self::Binary => "binary",
            Self::Ascii => "ascii",
        })
    }
}

/// memcached servers, and how to speak to them.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_memcached::Memcached;
///
/// let servers = Memcached::servers(["mc-a:11211", "mc-b:11211=2"])?
///     .connect_timeout(ms(200))
///     .read_timeout(ms(100));
/// servers.check()?;
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is opened"]
pub struct Memcached {
    pub(crate) addresses: Vec<Address>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Arc<dyn SecretSource>>,
    pub(crate) limits: Limits,
    clock: Option<Clock>,
}

impl Memcached {
    /// Servers as `host:port` or `host:port=weight`; without a port 11211, without a weight 1. A
    /// server holds as many keys as its weight says against the sum of all. Keys are placed by the
    /// text of an address: write it alike in every process; the order does not matter.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when there is no server, when one is
    /// named twice, or when an address cannot be read or asks for TLS.
    pub fn servers<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut addresses: Vec<Address> = Vec::new();
        for server in servers {
            let address = Address::parse(server.as_ref())?;
            if addresses.iter().any(|known| known.to_string() == address.to_string()) {
                let text = "a server is named twice; give it a weight instead";
                return Err(config(text).with("server", address));
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(config("memcached needs at least one server; name it as host:port"));
        }
        Ok(Self {
            addresses,
            protocol: None,
            user: None,
            password: None,
            limits: Limits::default(),
            clock: None,
        })
    }

    /// The protocol. Default: [`Protocol::Meta`]; [`Protocol::Binary`] where there is a password.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Another word for [`Protocol::Binary`]; `false` leaves the choice. Default: `false`.
    pub fn binary_protocol(mut self, is_binary: bool) -> Self {
        self.protocol = if is_binary { Some(Protocol::Binary) } else { self.protocol };
        self
    }

    /// The user for SASL PLAIN. The password travels in clear: keep to a trusted network or a TLS
    /// proxy. Default: none.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The password for SASL PLAIN, read when the servers are opened. Default: none.
    pub fn password(mut self, password: impl SecretSource) -> Self {
        self.password = Some(Arc::new(password));
        self
    }

    /// Longest time to make a connection. Default: 500 ms.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// Longest time for a reply. Default: 500 ms.
    ///
    /// By the meta protocol a request and its reply together take at most this and the
    /// [`write_timeout`](Self::write_timeout).
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.limits.read_timeout = timeout;
        self
    }

    /// Longest time to send a request. Default: 500 ms.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Most connections to each server for writes; by the classic protocols for reads too, and as
    /// many blocking threads. Reads by the meta protocol have up to 18 of their own. Default: 8.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.limits.pool_size = connections;
        self
    }

    /// Longest item the servers take: their option `-I`. Values leave 10 KiB of it free. Default:
    /// 1 MiB, as the servers'.
    pub fn item_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.item_bytes_max = bytes;
        self
    }

    /// How long a removal refuses older values. Longer than the longest load takes; a removal holds
    /// some 100 bytes of a server for that time. Default: 5 minutes, at most 29 days.
    pub fn tombstone_life(mut self, life: Duration) -> Self {
        self.limits.tombstone_life = life;
        self
    }

    /// The clock that dates entries. Default: a clock of its own that follows the machine.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether it could be opened as far as its options tell; nothing is touched.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when a time or a size is out of range,
    /// when there is a user without a password or a password without a user, or when they are
    /// given with the meta protocol, which knows none.
    pub fn check(&self) -> Result<()> {
        let limits = &self.limits;
        for (option, timeout) in [
            ("connect_timeout", limits.connect_timeout),
            ("read_timeout", limits.read_timeout),
            ("write_timeout", limits.write_timeout),
        ] {
            if timeout.is_zero() || timeout > mins(10) {
                return Err(config("a timeout is between a millisecond and ten minutes")
                    .with("option", option));
            }
        }
        if !(1..=POOL_SIZE_MAX).contains(&limits.pool_size) {
            return Err(
                config("each server needs 1 to 1024 connections").with("option", "pool_size")
            );
        }
        if !(ITEM_BYTES_MIN..=ITEM_BYTES_MAX).contains(&limits.item_bytes_max) {
            return Err(
                config("an item has between 20 KiB and 1 GiB").with("option", "item_bytes_max")
            );
        }
        if limits.tombstone_life.is_zero() || limits.tombstone_life > TOMBSTONE_LIFE_MAX {
            return Err(config("a removal is kept for some time and at most 29 days")
                .with("option", "tombstone_life"));
        }
        match (&self.user, &self.password, self.protocol) {
            (None, None, _) => Ok(()),
            (Some(_), Some(_), Some(Protocol::Meta)) => {
                Err(config("the meta protocol knows no password; choose the binary protocol"))
            }
            (Some(_), Some(_), _) => Ok(()),
            (Some(_), None, _) => Err(config("there is a user and no password; give both")),
            (None, Some(_), _) => Err(config("there is a password and no user; give both")),
        }
    }

    pub(crate) fn protocol_in_force(&self) -> Protocol {
        match (self.protocol, &self.password) {
            (Some(protocol), _) => protocol,
            (None, Some(_)) => Protocol::Binary,
            (None, None) => Protocol::Meta,
        }
    }

    /// The backend. Connects to nothing: a server that is away fails its calls and nothing else.
    /// Must be called on a tokio runtime with time and I/O enabled, which the backend then uses.
    ///
    /// # Errors
    /// As [`check`](Self::check), and when the password cannot be read or cannot be carried by the
    /// client.
    pub fn open(self) -> Result<MemcachedBackend> {
        self.check()?;
        let protocol = self.protocol_in_force();
        let named: Vec<(String, u32)> =
            self.addresses.iter().map(|address| (address.to_string(), address.weight)).collect();
        let placement = Placement::new(named.iter().map(|(name, weight)| (name.as_str(), *weight)));
        let clients = match protocol {
            Protocol::Meta => self.meta(),
            Protocol::Binary => self.classic(Dialect::Binary)?,
            Protocol::Ascii => self.classic(Dialect::Ascii)?,
        };
        let servers = named.into_iter().zip(clients);
        let servers = servers.map(|((name, _), client)| Server { name, client }).collect();
        let clock = self.clock.unwrap_or_default();
        Ok(MemcachedBackend::new(placement, servers, clock, protocol, self.limits))
    }

    fn meta(&self) -> Vec<Client> {
        let client = |address: &Address| {
            let server = address.to_string();
            let server = MetaServer::new(&address.host, address.port, &server, &self.limits);
            Client::Meta(Box::new(server))
        };
        self.addresses.iter().map(client).collect()
    }

    fn classic(&self, dialect: Dialect) -> Result<Vec<Client>> {
        let password = match &self.password {
            None => None,
            Some(secret) => Some(revealed(&**secret)?),
        };
        let login = self.user.as_deref().zip(password.as_ref().map(|text| text.as_str()));
        // Two for each server, so that one that hangs does not hold up another's.
        let threads = ScheduledThreadPool::builder()
            .num_threads(2 * self.addresses.len())
            .thread_name_pattern("cache-memcached-{}")
            .build();
        let threads = Arc::new(threads);
        let client = |address: &Address| {
            let threads = Arc::clone(&threads);
            ClassicServer::new(address, dialect, login, &self.limits, threads).map(Client::Classic)
        };
        self.addresses.iter().map(client).collect()
    }
}

fn revealed(secret: &dyn SecretSource) -> Result<Zeroizing<String>> {
    let mut password = None;
    secret.reveal(&mut |bytes| {
        password = std::str::from_utf8(bytes).ok().map(|text| Zeroizing::new(text.to_owned()));
    })?;
    password.ok_or_else(|| config("the password is not text"))
}

fn config(text: &str) -> Error {
    Error::config(text).with("backend", "memcached")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::{ErrorKind, MIB, ms};

    #[derive(Debug)]
    struct Canary(&'static str);

    impl SecretSource for Canary {
        fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()> {
            see(self.0.as_bytes());
            Ok(())
        }
    }

    fn one() -> Memcached {
        Memcached::servers(["mc-a:11211"]).unwrap()
    }

    #[test]
    fn servers_are_counted_and_told_apart() {
        assert!(Memcached::servers::<&str>([]).is_err());
        assert!(Memcached::servers(["mc-a", "MC-A:11211=3"]).is_err());
        assert_eq!(Memcached::servers(["mc-a", "mc-a:11212"]).unwrap().addresses.len(), 2);
    }

    #[test]
    fn what_is_out_of_range_is_told_before_anything_is_opened() {
        let wrong = [
            one().connect_timeout(Duration::ZERO),
            one().read_timeout(mins(11)),
            one().pool_size(0),
            one().pool_size(5_000),
            one().item_bytes_max(1_000),
            one().tombstone_life(Duration::ZERO),
            one().tombstone_life(Duration::MAX),
            one().user("ada"),
            one().password(Canary("canary")),
            one().user("ada").password(Canary("canary")).protocol(Protocol::Meta),
        ];
        for servers in wrong {
            let error = servers.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        }
        one().connect_timeout(ms(1)).item_bytes_max(8 * MIB as usize).check().unwrap();
    }

    #[test]
    fn a_password_asks_for_the_binary_protocol() {
        assert_eq!(one().protocol_in_force(), Protocol::Meta);
        assert_eq!(one().binary_protocol(true).protocol_in_force(), Protocol::Binary);
        assert_eq!(one().binary_protocol(false).protocol_in_force(), Protocol::Meta);
        let with_password = one().user("ada").password(Canary("canary"));
        assert_eq!(with_password.protocol_in_force(), Protocol::Binary);
        assert_eq!(with_password.protocol(Protocol::Ascii).protocol_in_force(), Protocol::Ascii);
    }

    #[tokio::test]
    async fn a_password_the_client_would_send_wrong_is_refused_and_not_shown() {
        for password in ["canary one", "canary:1", "canary/", "canaryé", "canary@", ""] {
            let error = one().user("ada").password(Canary(password)).open().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
        let open = one().user("ada").password(Canary("canary%20-_.!~*()&$+,")).open().unwrap();
        assert!(!format!("{open:?}").contains("canary"));
    }
}
