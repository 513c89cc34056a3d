//! Keys as paths: `users.under(path!["eu", "paris"]).clear()` ends what lies below.
//!
//! A cache whose spec says so labels each entry with the prefixes of its key, by tags that users
//! cannot write: `\u{1}` before the cache and the escaped text up to and with a separator, and one
//! more for the key itself. Ending a path raises the epoch of one such tag, whatever lies below,
//! and `eu` is no prefix of `europe` because a prefix ends with its separator.
//!
//! What is too deep or too long for a tag of its own shares that of the longest prefix that has
//! one: ending it ends more than was asked for, never less.

use std::fmt;

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{
    CacheKey, Error, KeyWriter, StoredKey, TAG_BYTES_MAX, Tag, mutant, unescaped,
};

use crate::cache::Cache;
use crate::filling;
use crate::invalidate::Invalidate;

/// First character of the tags that stand for paths.
const PATH: char = '\u{1}';

/// Prefixes of a key that have tags of their own.
const DEPTH_MAX: usize = 32;

/// The first segments of a key, from the top. [`path!`](crate::path) writes one.
///
/// ```
/// use cache_enterprise_engine::{KeyPath, path};
///
/// assert_eq!(path!["eu", 7], KeyPath::new().then("eu").then(7));
/// assert_eq!(path!["eu", "a:b"].to_string(), "eu:a%3Ab");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath {
    /// Escaped, as keys are written.
    segments: Vec<String>,
}

impl KeyPath {
    /// The path above all keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// The path with one more segment, written as a part of a key is.
    #[must_use]
    pub fn then(mut self, segment: impl fmt::Display) -> Self {
        let mut text = String::new();
        KeyWriter::new(&mut text).display(segment);
        self.segments.push(text);
        self
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join(":"))
    }
}

/// Makes a [`KeyPath`] of its segments.
///
/// ```
/// use cache_enterprise_engine::path;
///
/// let region = String::from("eu");
/// assert_eq!(path![region, "paris", 3].to_string(), "eu:paris:3");
/// ```
#[macro_export]
macro_rules! path {
    ($($segment:expr),* $(,)?) => { $crate::KeyPath::new()$(.then(&$segment))* };
}

/// Where the keys of a cache are cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paths {
    /// Between their written parts.
    Parts,
    /// There, and at this character inside of them.
    At(char),
}

impl Paths {
    /// The tags of what is stored under `name`, see [`name_of`]: of each prefix, then its own.
    pub(crate) fn tags_of(self, name: &str) -> impl Iterator<Item = Tag> {
        let has_no_tags = mutant::breaks("an entry knows the prefixes of its path");
        let ends = self.ends(name).take(if has_no_tags { 0 } else { DEPTH_MAX });
        let own = self.ends(name).nth(DEPTH_MAX).is_none().then_some(name.len());
        let texts = ends.chain(own.filter(|_| !has_no_tags)).map(|end| &name[..end]);
        texts.filter_map(tag_of)
    }

    /// What ends with `path`: what lies below, and the key at the path; nothing for one that only
    /// the whole cache stands for. `cache` is the escaped name with its separator.
    fn targets(self, cache: &str, path: &KeyPath) -> Vec<EpochTarget> {
        if path.segments.is_empty() {
            return Vec::new();
        }
        let separator = self.separator();
        let at = format!("{cache}{}", path.segments.join(&separator));
        let below = format!("{at}{separator}");
        let ends: Vec<usize> = self.ends(&below).take(DEPTH_MAX).collect();
        let last = ends.iter().rev().find_map(|end| Some((*end, tag_of(&below[..*end])?)));
        match last {
            Some((end, tag)) if end == below.len() => {
                [tag].into_iter().chain(tag_of(&at)).map(EpochTarget::Tag).collect()
            }
            Some((_, nearest)) => vec![EpochTarget::Tag(nearest)],
            None => Vec::new(),
        }
    }

    /// Where each prefix of the key in `name` ends, its separator included.
    fn ends(self, name: &str) -> impl Iterator<Item = usize> {
        let cache = name.find(':').map_or(name.len(), |at| at + 1);
        let inner = match self {
            Self::Parts => String::new(),
            Self::At(_) => self.separator(),
        };
        (cache..name.len()).filter_map(move |at| match &name.as_bytes()[at..] {
            [b':', ..] => Some(at + 1),
            rest if !inner.is_empty() && rest.starts_with(inner.as_bytes()) => {
                Some(at + inner.len())
            }
            _ => None,
        })
    }

    /// What stands between two segments of a path, escaped.
    fn separator(self) -> String {
        match self {
            Self::Parts => ":".to_owned(),
            Self::At(separator) => {
                let mut text = String::new();
                KeyWriter::new(&mut text).display(separator);
                text
            }
        }
    }

    /// The tag of the prefix that a pattern such as `eu:*` names, when it names one: all segments
    /// plain, and the last one everything.
    pub(crate) fn prefix_of(self, pattern: &str) -> Option<KeyPath> {
        let separator = match self {
            Self::Parts => ':',
            Self::At(separator) => separator,
        };
        let plain = pattern.strip_suffix('*')?.strip_suffix(separator)?;
        let is_plain = !plain.contains(['*', '?', '[', ']', '\\']);
        is_plain.then(|| plain.split(separator).fold(KeyPath::new(), KeyPath::then))
    }
}

/// The tag of a prefix, when it is short enough to have one.
fn tag_of(text: &str) -> Option<Tag> {
    (text.len() < TAG_BYTES_MAX).then(|| Tag::new(format!("{PATH}{text}")))
}

/// The path a reserved tag stands for, for people.
pub(crate) fn told(tag: &Tag) -> Option<String> {
    tag.as_str().strip_prefix(PATH).map(|path| format!("path {path}"))
}

/// What a stored key is called within its tenant: its cache and its own text, both escaped.
pub(crate) fn name_of(key: &StoredKey) -> &str {
    key.as_str().splitn(3, ':').nth(2).unwrap_or_default()
}

/// The text of a key as its owner wrote it, of its name within the tenant.
pub(crate) fn text_of_name(name: &str) -> String {
    unescaped(name.split_once(':').map_or("", |(_, key)| key))
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The text of a key as its owner wrote it, its parts joined by `:`.
    pub(crate) fn text_of<Q>(&self, key: &Q) -> String
    where
        Q: cache_enterprise_core::Lookup<K> + ?Sized,
    {
        filling::text_of(&key.to_key())
    }

    /// The escaped name of the cache with its separator, as it begins the names of its keys.
    pub(crate) fn name_prefix(&self) -> String {
        let prefix = self.view.space.prefix();
        prefix.as_str().splitn(3, ':').nth(2).unwrap_or_default().to_owned()
    }

    /// What `key` is called within the tenant, however long it is.
    pub(crate) fn name_within<Q: cache_enterprise_core::Lookup<K> + ?Sized>(
        &self,
        key: &Q,
    ) -> String {
        let mut name = self.name_prefix();
        KeyWriter::new(&mut name).key(&key.to_key());
        name
    }

    /// The end of what lies below a path, the key at the path left alone. For caches that keep
    /// paths.
    pub(crate) fn below(&self, path: &KeyPath) -> Invalidate<'_> {
        let view = &self.view;
        let cache = self.name_prefix();
        let mut targets =
            view.core.paths.map_or_else(Vec::new, |paths| paths.targets(&cache, path));
        // The first stands for what lies below, the second for the key itself.
        targets.truncate(1);
        match targets.is_empty() {
            true => self.clear(),
            false => Invalidate::new(&view.shared, &view.tenant, targets),
        }
    }

    /// What lies under a path of the cache's keys. Needs a spec with
    /// [`paths`](crate::CacheSpec::paths) or [`paths_at`](crate::CacheSpec::paths_at).
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on, path};
    ///
    /// type Place = (String, String, u64);
    /// static USERS: CacheSpec<Place, String> = CacheSpec::new("users").ttl(mins(5)).paths();
    ///
    /// let users = CacheManager::in_memory(Capacity::entries(100))?.open(&USERS)?;
    /// let ada: Place = ("eu".into(), "paris".into(), 1);
    /// let bob: Place = ("europe".into(), "paris".into(), 2);
    /// block_on(async {
    ///     users.set(&ada, "Ada").await;
    ///     users.set(&bob, "Bob").await;
    ///     users.under(path!["eu", "paris"]).clear().await;
    ///     assert!(!users.contains(&ada) && users.contains(&bob));
    /// });
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn under(&self, path: KeyPath) -> Under<'_, K, V> {
        Under { cache: self, path }
    }
}

/// A part of a cache: the keys under a path. See [`Cache::under`].
#[derive(Debug)]
pub struct Under<'a, K: CacheKey, V: Send + Sync + 'static> {
    cache: &'a Cache<K, V>,
    path: KeyPath,
}

impl<'a, K: CacheKey, V: Send + Sync + 'static> Under<'a, K, V> {
    /// The cache whose part it is.
    pub(crate) fn cache(&self) -> &'a Cache<K, V> {
        self.cache
    }

    /// Ends every entry below the path, and the one at the path, at every level: one number, one
    /// epoch, however many there are. In a cache whose spec keeps no paths the whole cache ends,
    /// and the receipt's failure says so.
    pub fn clear(self) -> Invalidate<'a> {
        let view = &self.cache.view;
        let targets = match view.core.paths {
            Some(paths) => paths.targets(&self.cache.name_prefix(), &self.path),
            None => Vec::new(),
        };
        if !targets.is_empty() {
            return Invalidate::new(&view.shared, &view.tenant, targets);
        }
        let whole = self.cache.clear();
        if view.core.paths.is_some() || self.path == KeyPath::new() {
            return whole;
        }
        let text = "the cache keeps no paths, so all of it was ended; give its spec `.paths()`";
        whole.complaining(Error::config(text).with("cache", self.cache.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(paths: Paths, name: &str) -> Vec<String> {
        paths.tags_of(name).map(|tag| tag.as_str()[1..].to_owned()).collect()
    }

    fn targets(paths: Paths, path: &KeyPath) -> Vec<String> {
        let texts = paths.targets("users:", path).into_iter().map(|target| match target {
            EpochTarget::Tag(tag) => tag.as_str()[1..].to_owned(),
            other => format!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn a_key_has_a_tag_for_each_prefix_and_for_itself() {
        assert_eq!(
            tags(Paths::Parts, "users:eu:paris:7"),
            ["users:eu:", "users:eu:paris:", "users:eu:paris:7"]
        );
        assert_eq!(
            tags(Paths::At(':'), "facade:user%3A7%3Afeed"),
            ["facade:user%3A", "facade:user%3A7%3A", "facade:user%3A7%3Afeed"]
        );
        assert_eq!(tags(Paths::At('/'), "p:a/b:c"), ["p:a/", "p:a/b:", "p:a/b:c"]);
        assert_eq!(tags(Paths::Parts, "users:7"), ["users:7"]);
    }

    #[test]
    fn a_path_ends_what_lies_below_and_the_key_at_it() {
        let path = KeyPath::new().then("eu").then("a:b");
        assert_eq!(targets(Paths::Parts, &path), ["users:eu:a%3Ab:", "users:eu:a%3Ab"]);
        assert_eq!(targets(Paths::At(':'), &path), ["users:eu%3Aa%3Ab%3A", "users:eu%3Aa%3Ab"]);
    }

    #[test]
    fn what_is_too_deep_or_too_long_ends_with_the_nearest_prefix_that_has_a_tag() {
        let deep = (0..40).fold(KeyPath::new(), KeyPath::then);
        let key = format!("users:{deep}:x");
        let held = tags(Paths::Parts, &key);
        assert_eq!(held.len(), DEPTH_MAX);
        assert_eq!(targets(Paths::Parts, &deep), [held[DEPTH_MAX - 1].clone()]);
        let long = KeyPath::new().then("eu").then("x".repeat(600));
        assert_eq!(targets(Paths::Parts, &long), ["users:eu:"]);
        assert!(tags(Paths::Parts, &format!("users:{long}")).contains(&"users:eu:".to_owned()));
        let longest = KeyPath::new().then("x".repeat(600));
        assert!(targets(Paths::Parts, &longest).is_empty(), "the whole cache has to end");
    }

    #[test]
    fn only_a_pattern_of_plain_segments_names_a_path() {
        let at = |pattern| Paths::At(':').prefix_of(pattern).map(|path| path.to_string());
        assert_eq!(at("session:*"), Some("session".into()));
        assert_eq!(at("user:7:*"), Some("user:7".into()));
        for pattern in ["session:", "session*", "user:*:temp", "user:?:*", "u[s]er:*", "*"] {
            assert_eq!(at(pattern), None, "{pattern}");
        }
    }
}
