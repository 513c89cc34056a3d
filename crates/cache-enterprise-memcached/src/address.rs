//! Addresses of servers as people write them.

use std::fmt;

use cache_enterprise_core::{Error, Result};

/// The port of a server whose address names none.
const PORT: u16 = 11_211;

/// One server of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) weight: u32,
}

impl Address {
    /// Reads `host`, `host:port` or `host:port=weight`; the host may be an IPv6 address in
    /// brackets. `memcache://` and `memcached://` in front are allowed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.contains('@') {
            // Not repeated: what stands there may be a password.
            let text = "an address carries no user; give user and password as options";
            return Err(Error::config(text).with("backend", "memcached"));
        }
        let plain = without_scheme(text.trim())?;
        let (place, weight) = match plain.split_once('=') {
            None => (plain, Some(1)),
            Some((place, weight)) => (place, weight.parse().ok().filter(|weight| *weight > 0)),
        };
        let weight = weight
            .ok_or_else(|| unusable(text, "the weight of a server is a whole number from 1 on"))?;
        let (host, port) = host_and_port(place)
            .filter(|(host, _)| is_host(host))
            .ok_or_else(|| unusable(text, "write a server as host:port or host:port=weight"))?;
        Ok(Self { host: host.to_ascii_lowercase(), port, weight })
    }
}

/// The identity of a server, by which keys are placed.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn without_scheme(text: &str) -> Result<&str> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text) };
    match scheme {
        "memcache" | "memcached" => Ok(rest.trim_end_matches('/')),
        scheme if scheme.contains("tls") || scheme.contains("ssl") || scheme == "memcacheds" => {
            Err(no_tls().with("server", text))
        }
        _ => Err(unusable(text, "servers are reached by TCP; write host:port")),
    }
}

fn host_and_port(place: &str) -> Option<(&str, u16)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = if port.is_empty() { PORT } else { port.strip_prefix(':')?.parse().ok()? };
        return Some((host, port));
    }
    match place.split_once(':') {
        None => Some((place, PORT)),
        Some((host, port)) => Some((host, port.parse().ok()?)),
    }
}

fn is_host(host: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
    !host.is_empty() && host.bytes().all(is_plain)
}

fn unusable(text: &str, why: &str) -> Error {
    Error::config(why).with("backend", "memcached").with("server", text)
}

/// The answer to everybody who asks for TLS.
pub(crate) fn no_tls() -> Error {
    let text = "TLS to memcached is not offered; run a TLS proxy beside this process (such as \
                stunnel or ghostunnel in client mode) and name its local address as the server";
    Error::config(text).with("backend", "memcached")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_read_in_every_form() {
        for (text, identity, weight) in [
            ("mc-a:11212", "mc-a:11212", 1),
            ("MC-A", "mc-a:11211", 1),
            (" 10.0.0.7:1=3 ", "10.0.0.7:1", 3),
            ("[::1]:11299=2", "[::1]:11299", 2),
            ("[fe80::1%eth0]", "[fe80::1%eth0]:11211", 1),
            ("memcache://mc-a:1/", "mc-a:1", 1),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.weight), (identity, weight));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_way_to_write_one() {
        let wrong = [
            "",
            ":1",
            "a:",
            "a:b",
            "a:70000",
            "a:1=0",
            "a:1=x",
            "a b:1",
            "a:1:2",
            "[::1",
            "/run/memcached.sock",
            "unix:///run/mc",
            "a\r\nflush_all:1",
        ];
        for text in wrong {
            let error = Address::parse(text).unwrap_err();
            assert!(
                error.to_string().contains("host:port") || error.to_string().contains("weight"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let error = Address::parse("memcache://ada:canary@mc-a:11211").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }

    #[test]
    fn a_server_with_tls_is_answered_with_the_proxy() {
        for text in ["memcache+tls://a:1", "memcacheds://a", "tls://a:11211"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains("TLS proxy") && error.contains(text), "{error}");
        }
    }
}
