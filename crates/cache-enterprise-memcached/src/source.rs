//! Servers as a manager's builder and settings take them.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache_enterprise_core::{
    BackendConfig, BackendFactory, BackendSource, Clock, DescribedOption, Error, OpenedBackend,
    Result,
};

use crate::address::no_tls;
use crate::limits::Limits;
use crate::{Memcached, Protocol};

/// The options a [`MemcachedFactory`] knows.
const OPTIONS: &[&str] = &[
    "servers",
    "protocol",
    "binary_protocol",
    "user",
    "password",
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "pool_size",
    "item_bytes_max",
    "tombstone_life",
    "tls",
];

/// Opens on the manager's clock. A server that is away does not keep a service from starting: its
/// calls fail until it is back.
#[async_trait]
impl BackendSource for Memcached {
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend> {
        let backend = Arc::new(Memcached::open((*self).clock(clock.clone()))?);
        let opened = OpenedBackend::new(backend.clone());
        Ok(match backend.protocol {
            Protocol::Meta => opened.with_lease(backend.clone()).with_epochs(backend),
            Protocol::Binary => opened.with_lease(backend),
            Protocol::Ascii => opened,
        })
    }

    fn describe(&self) -> Vec<DescribedOption> {
        let usual = Limits::default();
        let servers: Vec<String> = self
            .addresses
            .iter()
            .map(|address| match address.weight {
                1 => address.to_string(),
                weight => format!("{address}={weight}"),
            })
            .collect();
        let option = |name: &str, value: String, is_default: bool| DescribedOption {
            name: name.into(),
            value,
            is_default,
        };
        let time = |name: &str, time: Duration, usual: Duration| {
            option(name, format!("{time:?}"), time == usual)
        };
        let (now, size) = (&self.limits, self.limits.pool_size);
        let mut options = vec![
            option("servers", servers.join(", "), false),
            option("protocol", self.protocol_in_force().to_string(), self.protocol.is_none()),
            time("connect_timeout", now.connect_timeout, usual.connect_timeout),
            time("read_timeout", now.read_timeout, usual.read_timeout),
            time("write_timeout", now.write_timeout, usual.write_timeout),
            time("tombstone_life", now.tombstone_life, usual.tombstone_life),
            option("pool_size", size.to_string(), size == usual.pool_size),
            option(
                "item_bytes_max",
                now.item_bytes_max.to_string(),
                now.item_bytes_max == usual.item_bytes_max,
            ),
        ];
        if let Some(user) = &self.user {
            options.push(option("user", user.clone(), false));
            options.push(option("password", "***".into(), false));
        }
        options
    }
}

/// Makes [`Memcached`] servers of settings. Options: `servers` (needed), `protocol` (`meta`,
/// `binary`, `ascii`) or `binary_protocol`, `user`, `password` (by reference), `connect_timeout`,
/// `read_timeout`, `write_timeout`, `pool_size`, `item_bytes_max`, `tombstone_life`.
/// Times are written as `500ms`, `2s` or `5m`; a plain number is seconds.
/// `tls` is known so that asking for it is answered with what to do instead.
///
/// ```
/// use cache_enterprise_core::{BackendConfig, BackendFactory, BackendOption};
/// use cache_enterprise_memcached::MemcachedFactory;
///
/// let config = BackendConfig::new("memcached")
///     .option("servers", BackendOption::List(vec!["mc-a:11211".into(), "mc-b:11211=2".into()]))
///     .option("pool_size", BackendOption::Text("16".into()));
/// let source = MemcachedFactory.source(&config)?;
/// assert_eq!(source.describe()[0].value, "mc-a:11211, mc-b:11211=2");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MemcachedFactory;

impl BackendFactory for MemcachedFactory {
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
        config.knows_only(OPTIONS)?;
        if config.flag("tls")? == Some(true) {
            return Err(no_tls().with("option", "tls"));
        }
        if config.max_size.is_some() || config.path.is_some() {
            let text = "the servers' memory is set where they are started, and they have no path; \
                        remove both";
            return Err(Error::config(text).with("backend", config.kind()));
        }
        let texts = config.list("servers")?;
        let servers = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        let mut servers = Memcached::servers(servers.filter(|server| !server.is_empty()))
            .map_err(|error| error.with("option", "servers"))?;
        servers.protocol = protocol(config)?;
        servers.user = config.text("user")?.map(str::to_owned);
        servers.password = config.secret("password")?.map(Arc::clone);
        let limits = &mut servers.limits;
        // A call that may take longer than a connection is waited for would take no longer.
        limits.read_timeout = limits.read_timeout.max(config.read_timeout.unwrap_or_default());
        limits.write_timeout = limits.write_timeout.max(config.write_timeout.unwrap_or_default());
        set(config, "connect_timeout", &mut limits.connect_timeout, |Span(time)| time)?;
        set(config, "read_timeout", &mut limits.read_timeout, |Span(time)| time)?;
        set(config, "write_timeout", &mut limits.write_timeout, |Span(time)| time)?;
        set(config, "tombstone_life", &mut limits.tombstone_life, |Span(time)| time)?;
        set(config, "pool_size", &mut limits.pool_size, |size: usize| size)?;
        set(config, "item_bytes_max", &mut limits.item_bytes_max, |bytes: usize| bytes)?;
        servers.check()?;
        Ok(Box::new(servers))
    }
}

/// A time as settings write it.
struct Span(Duration);

impl FromStr for Span {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) if text[at..].starts_with(['m', 's', 'h']) => text.split_at(at),
            _ => (text, "s"),
        };
        let seconds: f64 = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(()),
        };
        let number: f64 = number.trim().parse().map_err(drop)?;
        Duration::try_from_secs_f64(number * seconds).map(Self).map_err(drop)
    }
}

fn protocol(config: &BackendConfig) -> Result<Option<Protocol>> {
    let named = match config.text("protocol")? {
        None => None,
        Some(text) => {
            Some(text.trim().parse().map_err(|error: Error| error.with("option", "protocol"))?)
        }
    };
    match (named, config.flag("binary_protocol")?) {
        (None, Some(true)) => Ok(Some(Protocol::Binary)),
        (Some(Protocol::Meta | Protocol::Ascii), Some(true)) => {
            let text = "two options name two protocols; remove one of them";
            Err(Error::config(text)
                .with("backend", config.kind())
                .with("option", "protocol, binary_protocol"))
        }
        (named, _) => Ok(named),
    }
}

fn set<T: FromStr, V>(
    config: &BackendConfig,
    name: &'static str,
    place: &mut V,
    meaning: impl Fn(T) -> V,
) -> Result<()> {
    if let Some(value) = config.parsed::<T>(name)? {
        *place = meaning(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::{BackendOption, ErrorKind};

    fn config(options: &[(&str, &str)]) -> BackendConfig {
        options.iter().fold(BackendConfig::new("memcached"), |config, (name, value)| {
            config.option(*name, BackendOption::Text((*value).to_owned()))
        })
    }

    fn described(options: &[(&str, &str)], name: &str) -> (String, bool) {
        let source = MemcachedFactory.source(&config(options)).unwrap();
        let found = source.describe().into_iter().find(|option| option.name == name).unwrap();
        (found.value, found.is_default)
    }

    #[test]
    fn what_calls_may_take_lengthens_what_a_connection_may_take() {
        let mut config = config(&[("servers", "a"), ("write_timeout", "300ms")]);
        config.read_timeout = Some(Duration::from_secs(5));
        config.write_timeout = config.read_timeout;
        let rows = MemcachedFactory.source(&config).unwrap().describe();
        let value = |name: &str| rows.iter().find(|row| row.name == name).unwrap().value.clone();
        assert_eq!(value("read_timeout"), "5s");
        assert_eq!(value("write_timeout"), "300ms", "an option says it");
    }

    #[test]
    fn options_reach_the_servers() {
        let servers = ("servers", "mc-a, mc-b:11212=3");
        assert_eq!(described(&[servers], "servers").0, "mc-a:11211, mc-b:11212=3");
        assert_eq!(described(&[servers], "protocol"), ("meta".into(), true));
        let binary = described(&[servers, ("binary_protocol", "yes")], "protocol");
        assert_eq!(binary, ("binary".into(), false));
        let ascii = described(&[servers, ("protocol", "ascii")], "protocol");
        assert_eq!(ascii, ("ascii".into(), false));
        for (written, shown) in [("40ms", "40ms"), ("2", "2s"), ("0.25", "250ms"), ("1m", "60s")] {
            let timeout = described(&[servers, ("read_timeout", written)], "read_timeout");
            assert_eq!(timeout, (shown.into(), false));
        }
        assert_eq!(described(&[servers], "pool_size"), ("8".into(), true));
    }

    #[test]
    fn wrong_options_are_told_without_opening_anything() {
        let servers = ("servers", "mc-a");
        for options in [
            &[][..],
            &[servers, ("server", "mc-b")],
            &[servers, ("tls", "true")],
            &[servers, ("protocol", "udp")],
            &[servers, ("protocol", "meta"), ("binary_protocol", "true")],
            &[servers, ("binary_protocol", "perhaps")],
            &[servers, ("pool_size", "many")],
            &[servers, ("read_timeout", "0")],
            &[servers, ("read_timeout", "-1s")],
            &[servers, ("read_timeout", "1e99")],
            &[servers, ("read_timeout", "soon")],
            &[servers, ("user", "ada")],
            &[servers, ("user", "ada"), ("password", "in clear")],
        ] {
            let error = MemcachedFactory.source(&config(options)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{options:?}: {error}");
            assert!(!error.to_string().contains("in clear"), "{error}");
        }
        MemcachedFactory.source(&config(&[servers, ("tls", "false")])).unwrap();
    }
}
