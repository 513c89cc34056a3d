//! Labels on entries.

use std::fmt;
use std::sync::Arc;

/// Longest tag in bytes. A longer one refuses the write that carries it.
pub const TAG_BYTES_MAX: usize = 512;

/// A label on entries: invalidating it ends every entry that carries it. A tag belongs to one
/// tenant. Cloning costs one reference count.
///
/// ```
/// use cache_enterprise_core::{Tag, tag};
///
/// let org = 7;
/// assert_eq!(tag!("org:{org}"), Tag::from("org:7"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag from text; see [`tag!`](crate::tag) for the formatted form.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text of the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no write may carry it: [unstorable](Self::is_unstorable), or
    /// [reserved](Self::is_reserved).
    pub fn is_invalid(&self) -> bool {
        self.is_unstorable() || self.is_reserved()
    }

    /// Whether the text is empty or over [`TAG_BYTES_MAX`], so that no envelope holds it.
    pub fn is_unstorable(&self) -> bool {
        self.0.is_empty() || self.0.len() > TAG_BYTES_MAX
    }

    /// Whether the text begins with a control character. Such tags are the cache's own: they
    /// stand for key paths and for what an entry was derived from.
    ///
    /// ```
    /// use cache_enterprise_core::Tag;
    ///
    /// assert!(Tag::from("\u{1}users:eu:").is_reserved());
    /// assert!(!Tag::from("org:7").is_reserved());
    /// ```
    pub fn is_reserved(&self) -> bool {
        self.0.as_bytes().first().is_some_and(|first| *first < b' ')
    }
}

impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Tag {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&Tag> for Tag {
    fn from(tag: &Tag) -> Self {
        tag.clone()
    }
}

impl std::borrow::Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag:{}", self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a [`Tag`] with the syntax of `format!`.
///
/// ```
/// let tag = cache_enterprise_core::tag!("user:{}", 123);
/// assert_eq!(tag.as_str(), "user:123");
/// ```
#[macro_export]
macro_rules! tag {
    ($($text:tt)*) => {
        $crate::Tag::from(::std::format!($($text)*))
    };
}
