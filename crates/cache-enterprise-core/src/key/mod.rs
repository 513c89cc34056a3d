//! Keys: from the user's type to text that every backend can store.
//!
//! Level 1 keeps the typed key beside a tenant number ([`Scoped`]) and never writes text. Text is
//! written on the way to a tier, by [`KeySpace::key`]: `manager:tenant:cache:key`, each part
//! escaped, so that two different (tenant, cache, key) never give the same text.

mod impls;
mod scoped;
mod stored;
mod writer;

pub use scoped::{Lookup, Scoped, ScopedRef};
pub use stored::{KEY_BYTES_MAX, KeyPrefix, KeySpace, NAME_BYTES_MAX, StoredKey, check_name};
pub use writer::{KeyWriter, unescaped};

use std::hash::Hash;

/// A type whose values can be keys of a cache.
///
/// `write` must be injective: two different keys of one type write different parts. A type writes
/// either a fixed number of parts, or a first part that tells how many follow; then tuples and
/// nested keys stay injective too. Implementations exist for integers, `bool`, `char`, strings,
/// byte vectors, IP addresses, `Option` and tuples. A newtype is one line:
///
/// ```
/// use cache_enterprise_core::{CacheKey, KeyWriter};
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash)]
/// struct UserId(u64);
///
/// impl CacheKey for UserId {
///     fn write(&self, writer: &mut KeyWriter<'_>) {
///         writer.key(&self.0);
///     }
/// }
/// ```
///
/// `write` runs only on the way to a tier, never on a hit in level 1.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a cache",
    note = "implement `CacheKey` for it: `fn write(&self, w: &mut KeyWriter<'_>) {{ w.key(&self.0) }}`"
)]
pub trait CacheKey: Hash + Eq + Clone + Send + Sync + 'static {
    /// Writes the key as escaped parts.
    fn write(&self, writer: &mut KeyWriter<'_>);

    /// Bytes this key holds on the heap, counted into the weight of its entry. Default: 0.
    fn heap_bytes(&self) -> usize {
        0
    }
}
