//! What can be chosen before a Redis server starts.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use super::RedisServer;
use crate::servers::certificates::{Certificates, ServerName};
use crate::servers::program;

/// Options of a [`RedisServer`]; by default it has no password, no TLS and no persistence.
///
/// ```no_run
/// use cache_enterprise_testkit::servers::RedisServer;
///
/// let primary = RedisServer::options().tls().user("app", "secret").start();
/// let full = RedisServer::options().arg("maxmemory", "1mb").start();
/// let of_full = format!("127.0.0.1 {}", full.port());
/// let replica = RedisServer::options().arg("replicaof", &of_full).start();
/// ```
#[derive(Clone)]
pub struct RedisOptions {
    search_path: OsString,
    tls: Option<ServerName>,
    asks_clients_for_certificates: bool,
    user: Option<String>,
    password: Option<String>,
    directives: Vec<(String, String)>,
}

impl RedisOptions {
    pub(super) fn new() -> Self {
        RedisOptions {
            search_path: program::default_search_path(),
            tls: None,
            asks_clients_for_certificates: false,
            user: None,
            password: None,
            directives: Vec::new(),
        }
    }

    /// Speaks TLS and nothing else, with a certificate for `localhost` and 127.0.0.1. Default: no
    /// TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = Some(ServerName::Loopback);
        self
    }

    /// As [`tls`](Self::tls), but its certificate is for another name. Default: no TLS.
    #[must_use]
    pub fn tls_for_another_name(mut self) -> Self {
        self.tls = Some(ServerName::Another);
        self
    }

    /// As [`tls`](Self::tls), and refuses clients without a certificate of the same authority.
    /// Default: no TLS.
    #[must_use]
    pub fn client_certificates(mut self) -> Self {
        self.tls.get_or_insert(ServerName::Loopback);
        self.asks_clients_for_certificates = true;
        self
    }

    /// A user (ACL) who may do everything; the default user is switched off. The password takes no
    /// spaces. Default: the default user, who needs no password.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.user = Some(name.to_owned());
        self.password = Some(password.to_owned());
        self
    }

    /// A password (`requirepass`) of the default user, without spaces. Default: none.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.user = None;
        self.password = Some(password.to_owned());
        self
    }

    /// A line of the server's configuration, such as `maxmemory` and `1mb`. It stands behind the
    /// lines of the harness, so it has the last word.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A line before those of the test: a default that it may change.
    pub(in crate::servers) fn before(mut self, name: &str, value: &str) -> Self {
        self.directives.insert(0, (name.to_owned(), value.to_owned()));
        self
    }

    /// Where the programs are looked for. Default: `PATH`.
    #[must_use]
    pub fn in_search_path(mut self, search_path: impl Into<OsString>) -> Self {
        self.search_path = search_path.into();
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    /// When `redis-server` or `redis-cli` is missing (the text is the line that installs them) or
    /// the server does not come up (the text is its log).
    pub fn start(self) -> RedisServer {
        RedisServer::start_with(self)
    }

    pub(in crate::servers) fn search_path(&self) -> &OsStr {
        &self.search_path
    }

    pub(super) fn certificates(&self, folder: &Path) -> Option<Certificates> {
        self.tls.map(|name| Certificates::write(folder, name))
    }

    pub(super) fn asks_clients_for_certificates(&self) -> bool {
        self.asks_clients_for_certificates
    }

    pub(super) fn user_name(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(in crate::servers) fn password_text(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(super) fn directives(&self) -> &[(String, String)] {
        &self.directives
    }

    pub(super) fn url(&self, address: &str) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let user = self.user.as_deref().map(percent_encoded).unwrap_or_default();
        match &self.password {
            Some(password) => {
                format!("{scheme}://{user}:{}@{address}/", percent_encoded(password))
            }
            None => format!("{scheme}://{address}/"),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("tls", &self.tls)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "set"))
            .field("directives", &self.directives)
            .finish_non_exhaustive()
    }
}

fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_how_to_enter() {
        let options = RedisOptions::new();
        assert_eq!(options.url("127.0.0.1:7"), "redis://127.0.0.1:7/");
        let options = options.password("p@ss");
        assert_eq!(options.url("127.0.0.1:7"), "redis://:p%40ss@127.0.0.1:7/");
        let options = options.user("app", "x").tls();
        assert_eq!(options.url("127.0.0.1:7"), "rediss://app:x@127.0.0.1:7/");
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", RedisOptions::new().user("app", "hush-hush"));
        assert!(shown.contains("app") && !shown.contains("hush"), "{shown}");
    }
}
