//! One request and the key it asks for.

use std::fmt;
use std::sync::Arc;

use crate::hash;

/// One read-through request: look the key up; on a miss fetch the object and insert it.
///
/// ```
/// use cache_enterprise_workload::{Request, RequestKey};
///
/// let request = Request::new(RequestKey::parse("/index.html")).with_size(2326);
/// assert_eq!(request.key.to_string(), "/index.html");
/// assert_eq!(request.tenant, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Seconds since the start of the source; 0 throughout when the source has no times.
    pub time: u32,
    /// The object asked for.
    pub key: RequestKey,
    /// Size of the object in bytes; 1 when the source does not know it.
    pub size: u32,
    /// Who asks. Equal keys of two tenants are two objects.
    pub tenant: Option<Arc<str>>,
}

impl Request {
    /// A request for `key` at time 0, of unknown size, by no tenant.
    pub fn new(key: RequestKey) -> Self {
        Self { time: 0, key, size: 1, tenant: None }
    }

    /// The same request for an object of `size` bytes.
    pub fn with_size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }

    /// The object as one number: the key itself when it is a number without a tenant, else a stable
    /// 64-bit hash of tenant and key.
    ///
    /// Among a million objects two share a hash with a chance of about 3 in 10^8, which a hit ratio
    /// does not notice. Costs one pass over the text.
    ///
    /// ```
    /// use cache_enterprise_workload::{Request, RequestKey};
    ///
    /// let mut request = Request::new(RequestKey::Id(7));
    /// assert_eq!(request.object_id(), 7);
    /// request.tenant = Some("acme".into());
    /// assert_ne!(request.object_id(), 7);
    /// ```
    pub fn object_id(&self) -> u64 {
        match (&self.tenant, &self.key) {
            (None, RequestKey::Id(id)) => *id,
            (None, key) => key.stable_hash(),
            (Some(tenant), key) => hash::pair(hash::text(tenant), key.stable_hash()),
        }
    }
}

/// A key as its source writes it: a number, or text such as a URL.
///
/// A number costs no allocation and text exactly its own bytes; the type itself takes 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestKey {
    /// An object id or block number; opaque, neighbours mean nothing.
    Id(u64),
    /// Anything else.
    Text(Box<str>),
}

impl RequestKey {
    /// Reads a key: decimal numbers in their shortest form become [`RequestKey::Id`], all else
    /// stays text. Distinct texts give distinct keys, and [`Display`](fmt::Display) gives the text
    /// back.
    ///
    /// ```
    /// use cache_enterprise_workload::RequestKey;
    ///
    /// assert_eq!(RequestKey::parse("42"), RequestKey::Id(42));
    /// assert_eq!(RequestKey::parse("042"), RequestKey::Text("042".into()));
    /// ```
    pub fn parse(text: &str) -> Self {
        let shortest = text == "0" || text.bytes().next().is_some_and(|b| matches!(b, b'1'..=b'9'));
        match text.parse() {
            Ok(id) if shortest => Self::Id(id),
            _ => Self::Text(text.into()),
        }
    }

    /// A well-mixed 64-bit hash, the same on every platform and in every version.
    pub fn stable_hash(&self) -> u64 {
        match self {
            Self::Id(id) => hash::number(*id),
            Self::Text(text) => hash::text(text),
        }
    }
}

impl From<u64> for RequestKey {
    fn from(id: u64) -> Self {
        Self::Id(id)
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_two_words() {
        assert_eq!(size_of::<RequestKey>(), 16);
    }

    #[test]
    fn only_shortest_decimals_are_numbers() {
        for text in ["0", "7", "18446744073709551615"] {
            assert!(matches!(RequestKey::parse(text), RequestKey::Id(_)), "{text}");
        }
        for text in ["", "00", "+7", "-7", "7 ", "1e3", "18446744073709551616", "٣"] {
            assert_eq!(RequestKey::parse(text), RequestKey::Text(text.into()));
        }
    }

    #[test]
    fn object_ids_tell_tenants_apart() {
        let of = |tenant: Option<&str>, key: &str| {
            let tenant = tenant.map(Arc::from);
            Request { tenant, ..Request::new(RequestKey::parse(key)) }.object_id()
        };
        assert_eq!(of(None, "7"), 7);
        assert_ne!(of(Some("a"), "7"), of(Some("b"), "7"));
        assert_ne!(of(Some("a"), "bc"), of(Some("ab"), "c"));
        assert_ne!(of(Some("a"), "b"), of(Some("b"), "a"));
    }
}
