//! Redis from settings.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::coherence::Bus;
use cache_enterprise_core::{
    BackendConfig, BackendFactory, BackendSource, BusFactory, Error, Result, SecretSource,
};

use crate::bus::RedisBus;
use crate::config::Redis;
use crate::place::{Addresses, Sealed};

/// Makes a [`Redis`] of settings, or a [`RedisBus`] with connections of its own.
///
/// A bus takes the same options, those that say nothing about a bus too, and two of its own:
/// `entries`, how many frames its log keeps, and `tracking`, whether it hears of keys that anybody
/// changes.
///
/// One of these says where: `url`, `cluster_nodes`, or `sentinels` with `primary`. A `url` with
/// `cluster` set to true names one node of a cluster. The other options have the names and the
/// defaults of the setters of [`Redis`]: `user`, `password`, `sentinel_user`,
/// `sentinel_password`, `database`, `tls`, `ca_file`, `client_certificate_file` with
/// `client_key_file`, `pool_size` (also `connection_pool_size`), `pipeline_size`,
/// `connect_timeout`, `read_timeout`, `write_timeout`, `tombstone_life`, `replicated` and
/// `value_bytes_max`. A `replication_factor` is the number of copies that a removal must reach,
/// the primary's counted: 3 is `replicated` 2. How many copies a cluster keeps is its own matter; where
/// there are fewer, each removal says so by an error. A time is a number of seconds, or a number with `ms`, `s`, `m` or `h`.
/// Passwords are secrets: they are read when the backend is opened. `url` and `cluster_nodes` may
/// be secrets too, for a password in them.
///
/// ```
/// use cache_enterprise_core::{BackendConfig, BackendFactory, BackendOption};
/// use cache_enterprise_redis::RedisFactory;
///
/// let config = BackendConfig::new("redis")
///     .option("url", BackendOption::Text("redis://cache:6379/0".into()))
///     .option("pool_size", BackendOption::Text("20".into()))
///     .option("read_timeout", BackendOption::Text("5".into()));
/// let source = RedisFactory.source(&config)?;
/// assert!(source.describe().iter().any(|o| o.name == "read_timeout" && o.value == "5s"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RedisFactory;

const OPTIONS: [&str; 24] = [
    "url",
    "cluster",
    "cluster_nodes",
    "sentinels",
    "primary",
    "user",
    "password",
    "sentinel_user",
    "sentinel_password",
    "database",
    "tls",
    "ca_file",
    "client_certificate_file",
    "client_key_file",
    "pool_size",
    "connection_pool_size",
    "pipeline_size",
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "tombstone_life",
    "replicated",
    "replication_factor",
    "value_bytes_max",
];

impl BackendFactory for RedisFactory {
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
        config.knows_only(&OPTIONS)?;
        Ok(Box::new(redis(config)?))
    }
}

impl BusFactory for RedisFactory {
    fn bus(&self, config: &BackendConfig) -> Result<Arc<dyn Bus>> {
        let known: Vec<_> = OPTIONS.into_iter().chain(["entries", "tracking"]).collect();
        config.knows_only(&known)?;
        let tracking = config.flag("tracking")?.unwrap_or(false);
        let bus = RedisBus::with(redis(config)?).tracking(tracking);
        bus.check()?;
        Ok(match config.parsed("entries")? {
            Some(0) => {
                let text = "a log without entries keeps nothing for those that are cut off; \
                            write 1 or more";
                return Err(Error::config(text).with("option", "entries"));
            }
            Some(entries) => Arc::new(bus.entries(entries)),
            None => Arc::new(bus),
        })
    }
}

/// The servers and how they are reached, judged and not asked.
fn redis(config: &BackendConfig) -> Result<Redis> {
    if config.max_size.is_some() || config.path.is_some() {
        let text = "Redis has no size and no path of its own; its maxmemory is set at the server";
        let option = if config.max_size.is_some() { "max_size" } else { "path" };
        return Err(Error::config(text).with("option", option));
    }
    let mut redis = judged(config, Addresses::in_clear(config)?)?;
    redis.check()?;
    redis.sealed = Sealed::of(config).map(Box::new);
    Ok(redis)
}

/// The servers at these addresses, and how they are reached.
pub(crate) fn judged(config: &BackendConfig, addresses: Addresses) -> Result<Redis> {
    limits(access(topology(config, addresses)?, config)?, config)
}

/// The servers, as one of three options names them.
fn topology(config: &BackendConfig, addresses: Addresses) -> Result<Redis> {
    let Addresses { url, nodes } = &addresses;
    let (url, nodes) = (url.as_deref(), nodes.iter().map(|node| node.as_str()));
    let sentinels = config.list("sentinels")?;
    let primary = config.text("primary")?;
    let is_cluster = config.flag("cluster")?.unwrap_or(false);
    let named = |option: &'static str| move |fault: Error| fault.with("option", option);
    match (url, nodes.len() == 0, sentinels.is_empty()) {
        (Some(_), _, false) | (_, false, false) => Err(too_many("sentinels")),
        // A URL beside nodes is one node more: settings of several sources may give both.
        (url, false, true) => {
            Redis::cluster(nodes.chain(url.map(String::as_str))).map_err(named("cluster_nodes"))
        }
        (Some(url), true, true) if is_cluster => Redis::cluster([url]).map_err(named("url")),
        (Some(url), true, true) => Redis::url(url).map_err(named("url")),
        (None, true, false) => {
            let missing = || Error::config("sentinels need the name of the primary; write it");
            let primary = primary.ok_or_else(|| missing().with("option", "primary"))?;
            Redis::sentinel(primary, sentinels).map_err(named("sentinels"))
        }
        (None, true, true) => {
            let text = "nothing says where Redis is; write url, cluster_nodes or sentinels";
            Err(Error::config(text).with("backend", config.kind()).with("option", "url"))
        }
    }
}

fn too_many(option: &'static str) -> Error {
    let text = "Redis is one server, a cluster or behind sentinels; write one of url, \
                cluster_nodes and sentinels";
    Error::config(text).with("option", option)
}

fn access(mut redis: Redis, config: &BackendConfig) -> Result<Redis> {
    if let Some(user) = config.text("user")? {
        redis = redis.user(user);
    }
    if let Some(user) = config.text("sentinel_user")? {
        redis = redis.sentinel_user(user);
    }
    if let Some(password) = config.secret("password")? {
        redis = redis.password(Shared(password.clone()));
    }
    if let Some(password) = config.secret("sentinel_password")? {
        redis = redis.sentinel_password(Shared(password.clone()));
    }
    if let Some(number) = config.parsed("database")? {
        redis = redis.database(number);
    }
    match config.flag("tls")? {
        Some(true) => redis = redis.tls(),
        Some(false) if redis.tls.is_on => {
            let text = "rediss:// asks for TLS; write redis://, or leave tls out";
            return Err(Error::config(text).with("option", "tls"));
        }
        _ => {}
    }
    if let Some(path) = config.text("ca_file")? {
        redis = redis.ca_file(path);
    }
    match (config.text("client_certificate_file")?, config.text("client_key_file")?) {
        (Some(certificate), Some(key)) => Ok(redis.client_certificate(certificate, key)),
        (None, None) => Ok(redis),
        (certificate, _) => {
            let missing = match certificate {
                Some(_) => "client_key_file",
                None => "client_certificate_file",
            };
            let text = "a client's certificate and its key belong together; write both";
            Err(Error::config(text).with("option", missing))
        }
    }
}

/// The replicas that a removal waits for. Of a replication factor, the copies of a key, one is the
/// primary's.
fn replicas(config: &BackendConfig) -> Result<Option<usize>> {
    let (replicated, factor) = (config.parsed("replicated")?, config.parsed("replication_factor")?);
    let fault = |text: &str| Err(Error::config(text).with("option", "replication_factor"));
    match (replicated, factor) {
        (replicated, None) => Ok(replicated),
        (_, Some(0)) => fault("a key has one copy at least; write 1 or more"),
        (Some(replicas), Some(factor)) if replicas != factor - 1 => {
            fault("replicated says another number of copies; write one of the two")
        }
        (_, Some(factor)) => Ok(Some(factor - 1)),
    }
}

fn limits(mut redis: Redis, config: &BackendConfig) -> Result<Redis> {
    let pool_size = match config.parsed("pool_size")? {
        // What is said of this backend comes before what is said in general.
        None => config.parsed("connection_pool_size")?,
        size => size,
    };
    let limits = &mut redis.limits;
    let counts = [
        (&mut limits.pool_size, pool_size),
        (&mut limits.pipeline_size, config.parsed("pipeline_size")?),
        (&mut limits.replicas, replicas(config)?),
        (&mut limits.value_bytes_max, config.parsed("value_bytes_max")?),
    ];
    for (limit, count) in counts {
        *limit = count.unwrap_or(*limit);
    }
    // A call that may take longer than a connection is waited for would take no longer.
    limits.read_timeout = limits.read_timeout.max(config.read_timeout.unwrap_or_default());
    limits.write_timeout = limits.write_timeout.max(config.write_timeout.unwrap_or_default());
    let times = [
        (&mut limits.connect_timeout, time(config, "connect_timeout")?),
        (&mut limits.read_timeout, time(config, "read_timeout")?),
        (&mut limits.write_timeout, time(config, "write_timeout")?),
        (&mut limits.tombstone_life, time(config, "tombstone_life")?),
    ];
    for (limit, time) in times {
        *limit = time.unwrap_or(*limit);
    }
    Ok(redis)
}

fn time(config: &BackendConfig, name: &'static str) -> Result<Option<Duration>> {
    let Some(text) = config.text(name)? else { return Ok(None) };
    read_time(text.trim()).map(Some).ok_or_else(|| {
        let text = "this is no time; write seconds, such as 5, or a unit, such as 250ms";
        Error::config(text).with("backend", config.kind()).with("option", name)
    })
}

/// Seconds, or a number with one unit.
fn read_time(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match unit.trim_start() {
        "ms" => 0.001,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// A secret that settings share with others.
#[derive(Debug)]
struct Shared(std::sync::Arc<dyn SecretSource>);

impl SecretSource for Shared {
    fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.0.reveal(see)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Password;
    use cache_enterprise_core::{BackendOption, ErrorKind, ms, secs};
    use std::sync::Arc;

    fn config(options: &[(&str, &str)]) -> BackendConfig {
        options.iter().fold(BackendConfig::new("redis"), |config, (name, value)| {
            let value = match value.split_once(' ') {
                Some(_) => BackendOption::List(value.split(' ').map(str::to_owned).collect()),
                None => BackendOption::Text((*value).to_owned()),
            };
            config.option(*name, value)
        })
    }

    fn described(config: &BackendConfig) -> Vec<(String, String)> {
        let source = RedisFactory.source(config).unwrap();
        source.describe().into_iter().map(|option| (option.name, option.value)).collect()
    }

    #[test]
    fn every_option_takes_effect() {
        let canary = BackendOption::Secret(Arc::new(Password::new("canary")));
        let config = config(&[
            ("url", "rediss://cache:7000/2"),
            ("user", "ada"),
            ("ca_file", "ca.pem"),
            ("client_certificate_file", "c.pem"),
            ("client_key_file", "k.pem"),
            ("pool_size", "7"),
            ("connection_pool_size", "50"),
            ("pipeline_size", "64"),
            ("connect_timeout", "250ms"),
            ("read_timeout", "5"),
            ("write_timeout", "10"),
            ("tombstone_life", "2m"),
            ("replicated", "1"),
            ("value_bytes_max", "1000"),
        ])
        .option("password", canary);
        let described = described(&config);
        for (name, value) in [
            ("url", "cache:7000"),
            ("database", "2"),
            ("tls", "true"),
            ("user", "ada"),
            ("password", "***"),
            ("pool_size", "7"),
            ("pipeline_size", "64"),
            ("connect_timeout", "250ms"),
            ("read_timeout", "5s"),
            ("write_timeout", "10s"),
            ("tombstone_life", "120s"),
            ("replicated", "1"),
            ("value_bytes_max", "1000"),
        ] {
            assert!(described.contains(&(name.into(), value.into())), "{name}: {described:?}");
        }
        assert!(!format!("{described:?} {config:?}").contains("canary"));
    }

    #[test]
    fn what_calls_may_take_lengthens_what_a_connection_may_take() {
        let mut config = config(&[("url", "redis://a"), ("write_timeout", "3s")]);
        (config.read_timeout, config.write_timeout) = (Some(secs(5)), Some(secs(5)));
        let rows = described(&config);
        assert!(rows.contains(&("read_timeout".into(), "5s".into())));
        assert!(rows.contains(&("write_timeout".into(), "3s".into())), "an option says it");
        config.read_timeout = Some(ms(50));
        assert!(described(&config).contains(&("read_timeout".into(), "1s".into())));
    }

    #[test]
    fn a_replication_factor_is_the_copies_that_a_removal_reaches() {
        let nodes = ("cluster_nodes", "redis-1:6379 redis-2:6379");
        let three = config(&[nodes, ("replication_factor", "3")]);
        assert!(described(&three).contains(&("replicated".into(), "2".into())));
        for others in [("0", "0"), ("3", "1"), ("many", "1")] {
            let options = [nodes, ("replication_factor", others.0), ("replicated", others.1)];
            let error = RedisFactory.source(&config(&options)).unwrap_err();
            assert!(
                error.context().any(|pair| pair == ("option", "replication_factor")),
                "{error}"
            );
        }
    }

    #[test]
    fn each_topology_has_its_options() {
        let nodes = config(&[("cluster_nodes", "redis-1:6379 redis-2:6379")]);
        assert_eq!(described(&nodes)[0].1, "redis-1:6379, redis-2:6379");
        let url = config(&[("url", "redis://cluster:6379/0"), ("cluster", "Yes")]);
        assert_eq!(described(&url)[0].0, "cluster_nodes");
        let watched = config(&[("sentinels", "a b"), ("primary", "main")]);
        assert_eq!(described(&watched)[0].1, "a:26379, b:26379");
        let general = config(&[("url", "redis://a"), ("connection_pool_size", "50")]);
        assert!(described(&general).contains(&("pool_size".into(), "50".into())));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_option() {
        let mut sized = config(&[("url", "redis://a")]);
        sized.path = Some("var".into());
        let cases = [
            (config(&[]), "url"),
            (config(&[("url", "http://a")]), "url"),
            (config(&[("url", "redis://cluster/3"), ("cluster", "true")]), "url"),
            (config(&[("cluster_nodes", "a b"), ("database", "1")]), "database"),
            (config(&[("cluster_nodes", "a b:x")]), "cluster_nodes"),
            (config(&[("sentinels", "a b")]), "primary"),
            (config(&[("sentinels", "a b"), ("url", "redis://a")]), "sentinels"),
            (config(&[("url", "redis://a"), ("pool_size", "many")]), "pool_size"),
            (config(&[("url", "redis://a"), ("pipeline_size", "0")]), "pipeline_size"),
            (config(&[("url", "redis://a"), ("read_timeout", "soon")]), "read_timeout"),
            (config(&[("url", "redis://a"), ("read_timeout", "0")]), "read_timeout"),
            (config(&[("url", "redis://a"), ("password", "canary")]), "password"),
            (config(&[("url", "redis://a"), ("client_key_file", "k")]), "client_certificate_file"),
            (config(&[("url", "redis://a"), ("ca_file", "k")]), "ca_file"),
            (config(&[("url", "rediss://a"), ("tls", "false")]), "tls"),
            (config(&[("url", "redis://a"), ("binary_protocol", "true")]), "binary_protocol"),
            (sized, "path"),
        ];
        for (config, option) in cases {
            let error = RedisFactory.source(&config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.context().any(|pair| pair == ("option", option)), "{option}: {error}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_bus_is_judged_as_a_backend_is() {
        let bus =
            config(&[("url", "redis://cache:7000/2"), ("entries", "500"), ("tracking", "on")]);
        let text = format!("{:?}", RedisFactory.bus(&bus).unwrap());
        assert!(text.contains("entries: 500, tracking: true"), "{text}");
        for (options, option) in [
            (&[("entries", "5")][..], "url"),
            (&[("url", "redis://a"), ("entries", "0")], "entries"),
            (&[("url", "redis://a"), ("entries", "many")], "entries"),
            (&[("url", "redis://a"), ("channel", "c")], "channel"),
            (&[("url", "redis://a"), ("tracking", "much")], "tracking"),
            (&[("url", "redis://a"), ("cluster", "true"), ("tracking", "true")], "tracking"),
        ] {
            let error = RedisFactory.bus(&config(options)).unwrap_err();
            assert!(error.context().any(|pair| pair == ("option", option)), "{option}: {error}");
        }
        assert!(RedisFactory.source(&bus).is_err(), "a level has no log of frames");
    }

    #[test]
    fn times_are_seconds_or_carry_a_unit() {
        assert_eq!(read_time("5"), Some(secs(5)));
        assert_eq!(read_time("0.25"), Some(ms(250)));
        assert_eq!(read_time("250ms"), Some(ms(250)));
        assert_eq!(read_time("2 m"), Some(secs(120)));
        for text in ["", "s", "-1", "5d", "1e999", "5ss", "five"] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }
}
