//! Where the servers are, as options say it: in clear, or in a secret.
//!
//! An address may hold a password, and then settings keep the whole of it as a secret. A secret is
//! read on opening and no sooner; until then something stands for it that makes no demand, so that
//! all the other options are judged.

use cache_enterprise_core::{BackendConfig, DescribedOption, Error, Result};
use zeroize::Zeroizing;

use crate::factory;
use crate::{Redis, error};

/// The options that may be secrets.
const OPTIONS: [&str; 2] = ["url", "cluster_nodes"];

/// What the options say, as it is written.
#[derive(Default)]
pub(crate) struct Addresses {
    pub(crate) url: Option<Zeroizing<String>>,
    pub(crate) nodes: Vec<Zeroizing<String>>,
}

impl Addresses {
    /// Those in clear, and what stands for the others.
    pub(crate) fn in_clear(config: &BackendConfig) -> Result<Self> {
        let mut addresses = Self::default();
        match config.is_secret("url") {
            true => addresses.url = Some(stand_in(config)?),
            false => addresses.url = config.text("url")?.map(|url| url.to_owned().into()),
        }
        match config.is_secret("cluster_nodes") {
            true => addresses.nodes.push(stand_in(config)?),
            false => {
                let nodes = config.list("cluster_nodes")?;
                addresses.nodes.extend(nodes.into_iter().map(|node| node.to_owned().into()));
            }
        }
        Ok(addresses)
    }

    /// All of them; reads the secrets, which blocks.
    fn read(config: &BackendConfig) -> Result<Self> {
        let mut addresses = Self::in_clear(config)?;
        if config.is_secret("url") {
            addresses.url = Some(revealed(config, "url")?);
        }
        if config.is_secret("cluster_nodes") {
            let nodes = revealed(config, "cluster_nodes")?;
            let nodes = nodes.split(',').map(str::trim).filter(|node| !node.is_empty());
            addresses.nodes = nodes.map(|node| node.to_owned().into()).collect();
        }
        Ok(addresses)
    }
}

/// Options of which one is a secret that says where the servers are.
#[derive(Clone, Debug)]
pub(crate) struct Sealed(BackendConfig);

impl Sealed {
    /// These options, when a secret is among those that say where.
    pub(crate) fn of(config: &BackendConfig) -> Option<Self> {
        OPTIONS.into_iter().any(|option| config.is_secret(option)).then(|| Self(config.clone()))
    }

    /// The servers, with what the secrets say of them.
    pub(crate) async fn open(self) -> Result<Redis> {
        let read = tokio::task::spawn_blocking(move || {
            let addresses = Addresses::read(&self.0)?;
            let redis = factory::judged(&self.0, addresses).map_err(veiled)?;
            redis.check().map_err(veiled)?;
            Ok(redis)
        });
        read.await.map_err(|_| error::late("the address could not be read"))?
    }

    /// Whether an option was written, so that it is known without the secret.
    pub(crate) fn says(&self, option: &'static str) -> bool {
        self.0.text(option).is_ok_and(|text| text.is_some())
    }

    /// The secrets, by what their sources show of themselves.
    pub(crate) fn described(&self) -> Vec<DescribedOption> {
        let secret = |name| Some((name, self.0.secret(name).ok()??));
        let row = |(name, secret)| DescribedOption {
            name: String::from(name),
            value: format!("{secret:?}"),
            is_default: false,
        };
        OPTIONS.into_iter().filter_map(secret).map(row).collect()
    }
}

/// A server that has what another option may ask for: encryption, and a password for a user.
fn stand_in(config: &BackendConfig) -> Result<Zeroizing<String>> {
    let scheme = match config.flag("tls")? {
        Some(false) => "redis",
        _ => "rediss",
    };
    Ok(format!("{scheme}://:unread@unread").into())
}

fn revealed(config: &BackendConfig, option: &'static str) -> Result<Zeroizing<String>> {
    let mut seen = None;
    if let Some(secret) = config.secret(option)? {
        secret.reveal(&mut |bytes| {
            seen = std::str::from_utf8(bytes).ok().map(|text| text.trim().to_owned().into());
        })?;
    }
    seen.ok_or_else(|| {
        Error::config("the secret is no UTF-8 text, as an address is").with("option", option)
    })
}

/// A fault with what was in a secret, without the pieces that show what was read.
fn veiled(fault: Error) -> Error {
    let named = fault.context().find(|(name, _)| *name == "option");
    let veiled = Error::config(fault.message().to_owned());
    match named {
        Some((_, option)) => veiled.with("option", option),
        None => veiled,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Password, RedisFactory};
    use cache_enterprise_core::{BackendFactory, BackendOption, BusFactory, Clock};
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn secret(name: &str, text: &str) -> BackendConfig {
        let secret = BackendOption::Secret(Arc::new(Password::new(text)));
        BackendConfig::new("redis").option(name, secret)
    }

    fn text(text: &str) -> BackendOption {
        BackendOption::Text(text.to_owned())
    }

    /// What a client sends first to a server that never answers.
    async fn first_words(server: &TcpListener) -> String {
        let (mut socket, _) = server.accept().await.unwrap();
        let mut words = Vec::new();
        while !String::from_utf8_lossy(&words).contains("canary") {
            assert_ne!(socket.read_buf(&mut words).await.unwrap(), 0, "{words:?}");
        }
        String::from_utf8_lossy(&words).into_owned()
    }

    #[tokio::test]
    async fn a_secret_says_where_backend_and_bus_connect() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        for option in ["url", "cluster_nodes"] {
            let config = secret(option, &format!("redis://ada:canary@{at}"));
            let source = RedisFactory.source(&config).unwrap();
            let described = format!("{:?} {source:?}", source.describe());
            assert!(described.contains(option) && !described.contains("canary"), "{described}");
            assert!(!described.contains("unread\""), "{described}");
            let opened = tokio::spawn(async move { source.open(&Clock::system()).await });
            assert!(first_words(&server).await.contains("ada"));
            opened.abort();
            let bus = RedisFactory.bus(&config).unwrap();
            assert!(!format!("{bus:?}").contains("canary"));
            let heard = tokio::spawn(async move { bus.listen("shop").await.map(drop) });
            assert!(first_words(&server).await.contains("ada"));
            heard.abort();
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_secret_is_told_on_opening_without_it() {
        let cases = [
            ("url", "canary"),
            ("url", "canary://host"),
            ("url", "redis://u:canary@host:port"),
            ("url", "redis://u:canary@host/one"),
            ("cluster_nodes", "canary:canary"),
            ("cluster_nodes", "u:p,canary:x@host"),
            ("cluster_nodes", "redis://:canary@host/7"),
            ("cluster_nodes", " , "),
        ];
        for (option, canary) in cases {
            let source = RedisFactory.source(&secret(option, canary)).unwrap();
            let fault = source.open(&Clock::system()).await.unwrap_err();
            let told = format!("{fault} {fault:?}");
            assert!(told.contains("option: ") && !told.contains("canary"), "{canary}: {told}");
        }
    }

    #[test]
    fn the_other_options_are_judged_before_and_described() {
        let url = || secret("url", "redis://:canary@host");
        let judged = |config: BackendConfig| RedisFactory.source(&config);
        assert!(judged(url().option("pool_size", text("0"))).is_err());
        assert!(judged(url().option("tls", text("false")).option("ca_file", text("f"))).is_err());
        assert!(judged(url().option("sentinels", text("a"))).is_err());
        for fits in [("user", "ada"), ("ca_file", "ca.pem"), ("tls", "false"), ("database", "3")] {
            let source = judged(url().option(fits.0, text(fits.1))).unwrap();
            let described = source.describe();
            let row = described.iter().find(|row| row.name == fits.0);
            assert!(row.is_none_or(|row| row.value == fits.1), "{described:?}");
        }
        let rows: Vec<_> = judged(url()).unwrap().describe();
        let unknown = ["database", "tls", "user", "password"];
        assert!(!rows.iter().any(|row| unknown.contains(&row.name.as_str())), "{rows:?}");
        assert_eq!((rows[0].name.as_str(), rows[0].value.as_str()), ("url", "***"));
    }

    #[test]
    fn several_nodes_may_stand_in_one_value() {
        let nodes = text("redis-1:6379, redis-2:6379,");
        let config = BackendConfig::new("redis").option("cluster_nodes", nodes);
        let rows = RedisFactory.source(&config).unwrap().describe();
        assert_eq!(rows[0].value, "redis-1:6379, redis-2:6379");
        let sentinels = BackendConfig::new("redis").option("sentinels", text("a,b"));
        let source = RedisFactory.source(&sentinels.option("primary", text("main"))).unwrap();
        assert_eq!(source.describe()[0].value, "a:26379, b:26379");
    }
}
