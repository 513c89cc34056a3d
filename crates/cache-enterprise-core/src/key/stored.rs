//! Text keys as backends see them.

use std::fmt;
use std::sync::Arc;

use super::writer::escape;
use super::{CacheKey, KeyWriter};
use crate::{Error, ErrorKind, Result};

/// Longest stored key in bytes, prefix included. A longer one is an error at the call.
pub const KEY_BYTES_MAX: usize = 8 * 1024;

/// Longest name of a manager, tenant or cache in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// How names begin that no key is written as.
const RESERVED: &str = "%~";

/// A key as a tier stores it: `manager:tenant:cache:key`. The root tenant's part is empty.
/// Cloning costs one reference count.
///
/// ```
/// use cache_enterprise_core::{KeySpace, StoredKey};
///
/// let key = KeySpace::new("shop", "acme", "users")?.key(&"a:b".to_owned())?;
/// assert_eq!(key.as_str(), "shop:acme:users:a%3Ab");
/// assert_eq!((key.tenant(), key.cache()), ("acme", "users"));
/// assert_eq!(StoredKey::parse(key.as_str()), Some(key));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredKey {
    text: Arc<str>,
}

impl StoredKey {
    /// Takes a key that a backend listed. `None` when the text is not a stored key.
    pub fn parse(text: &str) -> Option<Self> {
        let is_key =
            text.len() <= KEY_BYTES_MAX && text.bytes().filter(|b| *b == b':').count() >= 3;
        is_key.then(|| Self { text: text.into() })
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether the text is empty; it never is.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The escaped name of the manager.
    pub fn manager(&self) -> &str {
        self.part(0)
    }

    /// The escaped name of the tenant; empty for the root tenant.
    pub fn tenant(&self) -> &str {
        self.part(1)
    }

    /// The escaped name of the cache.
    pub fn cache(&self) -> &str {
        self.part(2)
    }

    /// The parts of the user's key, escaped.
    pub fn key(&self) -> &str {
        self.part(3)
    }

    /// What the engine keeps beside the entries of this key's cache under `name`, which is plain
    /// text: letters, digits and dashes. No key of a user is written so, since a `%` in one is
    /// followed by two digits.
    ///
    /// ```
    /// use cache_enterprise_core::KeySpace;
    ///
    /// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
    /// let beside = key.reserved("dictionary-1f");
    /// assert_eq!(beside.as_str(), "shop:acme:users:%~dictionary-1f");
    /// assert!(beside.is_reserved() && !key.is_reserved());
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    #[must_use]
    pub fn reserved(&self, name: &str) -> Self {
        debug_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        Self { text: format!("{}{RESERVED}{name}", self.space()).into() }
    }

    /// Whether the engine keeps something of its own there and no entry.
    pub fn is_reserved(&self) -> bool {
        self.key().starts_with(RESERVED)
    }

    /// What all keys of this key's cache and tenant start with; ends with the separator.
    pub fn space(&self) -> &str {
        &self.text[..self.text.len() - self.key().len()]
    }

    fn part(&self, index: usize) -> &str {
        self.text.splitn(4, ':').nth(index).unwrap_or_default()
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The keys of one cache of one tenant: the prefix is escaped once, keys are appended.
///
/// ```
/// use cache_enterprise_core::KeySpace;
///
/// let users = KeySpace::new("shop", "acme", "users")?;
/// assert_eq!(users.key(&42_u64)?.as_str(), "shop:acme:users:42");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySpace {
    prefix: Arc<str>,
}

impl KeySpace {
    /// The space of `cache` of `tenant` (empty for the root tenant) of `manager`.
    ///
    /// # Errors
    /// When a name is empty (the tenant's excepted) or over [`NAME_BYTES_MAX`].
    pub fn new(manager: &str, tenant: &str, cache: &str) -> Result<Self> {
        check_name("manager", manager)?;
        if !tenant.is_empty() {
            check_name("tenant", tenant)?;
        }
        check_name("cache", cache)?;
        Ok(Self { prefix: joined(&[manager, tenant, cache]).into() })
    }

    /// The stored form of a key: one allocation for the text, one to share it.
    ///
    /// # Errors
    /// When the text is over [`KEY_BYTES_MAX`].
    pub fn key<K: CacheKey>(&self, key: &K) -> Result<StoredKey> {
        let mut text = String::with_capacity(self.prefix.len() + 24);
        text.push_str(&self.prefix);
        key.write(&mut KeyWriter::new(&mut text));
        if text.len() > KEY_BYTES_MAX {
            return Err(Error::new(ErrorKind::InvalidInput, "key is over the length limit")
                .with("bytes", text.len())
                .with("limit", KEY_BYTES_MAX));
        }
        Ok(StoredKey { text: text.into() })
    }

    /// The prefix all keys of this space share.
    pub fn prefix(&self) -> KeyPrefix {
        KeyPrefix { text: Arc::clone(&self.prefix) }
    }
}

/// What a scan or a clear is limited to: all keys of a manager, of a tenant, or of a cache.
///
/// ```
/// use cache_enterprise_core::{KeyPrefix, KeySpace};
///
/// let key = KeySpace::new("shop", "acme", "users")?.key(&1_u8)?;
/// assert!(KeyPrefix::tenant("shop", "acme").contains(&key));
/// assert!(!KeyPrefix::tenant("shop", "ac").contains(&key));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix {
    text: Arc<str>,
}

impl KeyPrefix {
    /// All keys of a manager.
    pub fn manager(manager: &str) -> Self {
        Self { text: joined(&[manager]).into() }
    }

    /// All keys of a tenant (empty for the root tenant).
    pub fn tenant(manager: &str, tenant: &str) -> Self {
        Self { text: joined(&[manager, tenant]).into() }
    }

    /// All keys of a cache of a tenant.
    pub fn cache(manager: &str, tenant: &str, cache: &str) -> Self {
        Self { text: joined(&[manager, tenant, cache]).into() }
    }

    /// The text that keys start with; ends with the separator.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `key` lies under this prefix.
    pub fn contains(&self, key: &StoredKey) -> bool {
        key.as_str().starts_with(&*self.text)
    }
}

/// Checks the name of a manager, tenant or cache.
///
/// # Errors
/// When it is empty or over [`NAME_BYTES_MAX`] bytes; the error says which name.
///
/// ```
/// use cache_enterprise_core::check_name;
///
/// assert!(check_name("cache", "users").is_ok());
/// assert!(check_name("cache", "").is_err());
/// ```
pub fn check_name(what: &'static str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(format!("the name of the {what} is empty; give it one")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!("the name of the {what} is too long; shorten it"))
            .with("bytes", name.len())
            .with("limit", NAME_BYTES_MAX));
    }
    Ok(())
}

fn joined(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        escape(name.as_bytes(), &mut text);
        text.push(':');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stored_key_names_its_parts() {
        let key = KeySpace::new("shop", "a:b", "users").and_then(|s| s.key(&("x", 1_u8)));
        let key = key.expect("short names and key");
        assert_eq!(key.as_str(), "shop:a%3Ab:users:x:1");
        assert_eq!((key.manager(), key.tenant()), ("shop", "a%3Ab"));
        assert_eq!((key.cache(), key.key()), ("users", "x:1"));
        assert_eq!(StoredKey::parse(key.as_str()), Some(key));
        assert_eq!(StoredKey::parse("no key"), None);
    }

    #[test]
    fn bad_names_and_long_keys_are_refused_with_the_limit() {
        assert!(KeySpace::new("", "", "users").is_err());
        assert!(KeySpace::new("shop", "", "").is_err());
        assert!(KeySpace::new("shop", &"t".repeat(129), "users").is_err());
        let space = KeySpace::new("shop", "", "users").expect("short names");
        let error = space.key(&"x".repeat(KEY_BYTES_MAX)).expect_err("over the limit");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!error.to_string().contains("xxx"));
    }

    proptest! {
        #[test]
        fn distinct_tenant_cache_key_never_collide(
            a in ("[ab:%]{0,3}", "[ab:%]{1,3}", "[ab:%]{0,3}"),
            b in ("[ab:%]{0,3}", "[ab:%]{1,3}", "[ab:%]{0,3}"),
        ) {
            let text = |(tenant, cache, key): &(String, String, String)| {
                KeySpace::new("m", tenant, cache).and_then(|s| s.key(key)).expect("short")
            };
            prop_assert_eq!(a == b, text(&a) == text(&b));
            prop_assert!(!text(&a).is_reserved());
        }
    }
}
