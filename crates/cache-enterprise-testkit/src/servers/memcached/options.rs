//! What can be chosen before memcached starts.

use std::ffi::{OsStr, OsString};
use std::fmt;

use super::MemcachedServer;
use crate::servers::program;

/// Options of a [`MemcachedServer`].
///
/// ```no_run
/// use cache_enterprise_testkit::servers::MemcachedServer;
///
/// let small = MemcachedServer::options().memory_mb(8).item_size_max("512k").start();
/// let closed = MemcachedServer::options().sasl("app", "secret").start();
/// ```
#[derive(Clone, Debug)]
pub struct MemcachedOptions {
    search_path: OsString,
    account: Option<Account>,
    memory_mb: u32,
    item_size_max: String,
    arguments: Vec<String>,
}

/// Who may enter.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

impl MemcachedOptions {
    pub(super) fn new() -> Self {
        MemcachedOptions {
            search_path: program::default_search_path(),
            account: None,
            memory_mb: 64,
            item_size_max: "1m".to_owned(),
            arguments: Vec::new(),
        }
    }

    /// Lets in nobody but this user, by SASL PLAIN; the server then speaks its binary protocol
    /// alone. Default: no SASL.
    #[must_use]
    pub fn sasl(mut self, user: &str, password: &str) -> Self {
        self.account = Some(Account { user: user.to_owned(), password: password.to_owned() });
        self
    }

    /// Memory for items, in MB. Default: 64.
    #[must_use]
    pub fn memory_mb(mut self, memory: u32) -> Self {
        self.memory_mb = memory;
        self
    }

    /// The largest item, as memcached writes it: `512k`, `2m`. Default: `1m`.
    #[must_use]
    pub fn item_size_max(mut self, size: &str) -> Self {
        self.item_size_max = size.to_owned();
        self
    }

    /// An argument of `memcached` with its value, such as `-t` and `1`.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Where the program is looked for. Default: `PATH`.
    #[must_use]
    pub fn in_search_path(mut self, search_path: impl Into<OsString>) -> Self {
        self.search_path = search_path.into();
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    /// When `memcached` is missing (the text is the line that installs it) or the server does not
    /// come up (the text is its log).
    pub fn start(self) -> MemcachedServer {
        MemcachedServer::start_with(&self)
    }

    pub(super) fn search_path(&self) -> &OsStr {
        &self.search_path
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    pub(super) fn arguments(&self, port: u16) -> Vec<String> {
        let mut arguments: Vec<String> = [
            // Root has to say whom it wants to be; to others the argument says nothing.
            ["-u", "root"],
            ["-l", "127.0.0.1"],
            ["-p", &port.to_string()],
            ["-U", "0"],
            ["-m", &self.memory_mb.to_string()],
            ["-I", &self.item_size_max],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
        if self.account.is_some() {
            arguments.push("-S".to_owned());
        }
        arguments.extend(self.arguments.iter().cloned());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_bound_to_the_loopback() {
        let arguments = MemcachedOptions::new().arg("-t", "1").arguments(7).join(" ");
        assert_eq!(arguments, "-u root -l 127.0.0.1 -p 7 -U 0 -m 64 -I 1m -t 1");
    }

    #[test]
    fn sasl_is_asked_for_and_its_password_not_shown() {
        let options = MemcachedOptions::new().sasl("app", "hush-hush");
        assert!(options.arguments(7).contains(&"-S".to_owned()));
        assert!(!options.arguments(7).iter().any(|argument| argument.contains("hush")));
        assert!(!format!("{options:?}").contains("hush"));
    }
}
