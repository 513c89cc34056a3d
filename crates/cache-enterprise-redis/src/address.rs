//! URLs and addresses, read without I/O and without ever showing a password.

use std::fmt;
use std::net::Ipv6Addr;

use cache_enterprise_core::{Error, Result};
use zeroize::Zeroizing;

const PORT: u16 = 6379;

/// Host and port of a server.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads `host`, `host:port` or `[v6]:port`. Default port: `default`.
    pub(crate) fn parse(text: &str, default: u16) -> Result<Self> {
        let (host, port) = split_port(text).ok_or_else(|| bad_address(text))?;
        let port = match port {
            None => default,
            Some(port) => port.parse().map_err(|_| bad_address(text))?,
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        if host.is_empty() || port == 0 || !host.bytes().all(is_plain) {
            return Err(bad_address(text));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a URL says. The password is not shown by `Debug`.
pub(crate) struct Url {
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Zeroizing<Vec<u8>>>,
    pub(crate) database: Option<u32>,
}

impl Url {
    /// Reads `redis://[[user]:password@]host[:port][/database]`, or `rediss` for TLS.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            bad_url("a Redis URL begins with redis:// or, for TLS, rediss://; write it so")
        })?;
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => {
                let text = "this is no scheme of Redis; write redis:// or, for TLS, rediss://";
                return Err(Error::config(text).with("scheme", scheme_shown(scheme)));
            }
        };
        if rest.contains(['?', '#']) {
            return Err(bad_url(
                "a Redis URL has no query and no fragment; set options by their own names, and \
                 write ? and # in a password as %3F and %23",
            ));
        }
        // A password may hold a slash only as %2F, but an @ in it is common: the last one counts.
        let (server, database) = match rest.rsplit_once('@') {
            Some((_, server)) => split_path(server),
            None => split_path(rest),
        };
        let user_info = rest.rsplit_once('@').map(|(user_info, _)| user_info);
        let (user, password) = user_info.map(credentials).transpose()?.unwrap_or_default();
        Ok(Self {
            endpoint: Endpoint::parse(server, PORT)?,
            tls,
            user,
            password,
            database: database.map(database_number).transpose()?,
        })
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn split_path(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((server, path)) if !path.is_empty() => (server, Some(path)),
        Some((server, _)) => (server, None),
        None => (text, None),
    }
}

fn database_number(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        bad_url("the path of a Redis URL is the number of a database; write one, or nothing")
    })
}

type Credentials = (Option<String>, Option<Zeroizing<Vec<u8>>>);

fn credentials(text: &str) -> Result<Credentials> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    let user = (!user.is_empty()).then(|| decode(user)).transpose()?;
    let user = user.map(|bytes| {
        String::from_utf8(bytes.to_vec()).map_err(|_| bad_url("the user in the URL is no UTF-8"))
    });
    let password = password.filter(|password| !password.is_empty()).map(decode).transpose()?;
    Ok((user.transpose()?, password))
}

/// Reads `%XX`.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            let text = "a % in the user or password of a URL begins a code such as %40; write it \
                        as %25";
            return Err(bad_url(text));
        };
        bytes.push((high * 16 + low) as u8);
    }
    Ok(bytes)
}

fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        // More than one colon: a bare address of version 6.
        Some((_, port)) if port.contains(':') => {
            text.parse::<Ipv6Addr>().ok()?;
            Some((text, None))
        }
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

fn bad_url(text: &str) -> Error {
    Error::config(text)
}

/// An address holds no password, unless somebody wrote a URL where an address belongs.
fn bad_address(text: &str) -> Error {
    let error = Error::config("this is no address of a server; write host:port");
    match text.contains(['@', '/']) {
        true => error,
        false => error.with("address", text.escape_default()),
    }
}

fn scheme_shown(scheme: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.len() <= 16 && scheme.bytes().all(is_plain) { scheme } else { "(unreadable)" }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_read() {
        let url = Url::parse("redis://localhost").unwrap();
        assert_eq!((url.endpoint.to_string(), url.tls), ("localhost:6379".into(), false));
        assert_eq!((url.user, url.database), (None, None));
        let url = Url::parse("rediss://ada:p%40ss@w%3Ard@cache:7000/3").unwrap();
        assert_eq!((url.endpoint.to_string(), url.tls), ("cache:7000".into(), true));
        assert_eq!(url.user.as_deref(), Some("ada"));
        assert_eq!(url.password.as_deref().map(Vec::as_slice), Some(&b"p@ss@w:rd"[..]));
        assert_eq!(url.database, Some(3));
        let url = Url::parse("redis://:secret@[::1]:6380/").unwrap();
        assert_eq!((url.endpoint.to_string(), url.user), ("[::1]:6380".into(), None));
        assert_eq!(url.password.as_deref().map(Vec::as_slice), Some(&b"secret"[..]));
    }

    #[test]
    fn bad_urls_are_refused_and_no_error_shows_the_password() {
        let urls = [
            "canary",
            "http://u:canary@host",
            "redis://u:canary@",
            "redis://u:canary@:6379",
            "redis://u:canary@host:port",
            "redis://u:canary@host:0",
            "redis://u:canary@host:70000",
            "redis://u:canary@host/one",
            "redis://u:canary@host/-1",
            "redis://u:canary%zz@host",
            "redis://u:canary@host?protocol=resp3",
            "redis://u:canary/@host/x",
            "redis://u:canary@[::1",
            "redis://u:canary@ho st",
            "u:canary://host",
        ];
        for url in urls {
            let error = Url::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{url}: {error:?}");
        }
    }

    #[test]
    fn addresses_are_read() {
        let read = |text| Endpoint::parse(text, 26_379).map(|endpoint| endpoint.to_string());
        assert_eq!(read("redis-1").unwrap(), "redis-1:26379");
        assert_eq!(read("10.0.0.1:7000").unwrap(), "10.0.0.1:7000");
        assert_eq!(read("::1").unwrap(), "[::1]:26379");
        assert_eq!(read("[fe80::1]:7").unwrap(), "[fe80::1]:7");
        for text in ["", ":", ":1", "a:", "a:b", "a:1:2", "[a]:1", "[::1]1", "redis://a", "a b"] {
            assert!(read(text).is_err(), "{text}");
        }
        let error = read("u:canary@host").unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }
}
