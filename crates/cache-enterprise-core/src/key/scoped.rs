//! The key as level 1 stores it: a tenant number and the typed key.

use std::hash::{Hash, Hasher};

use equivalent::Equivalent;

/// What a `Cache<K, V>` can be asked with: `K` itself or anything borrowed that stands for it,
/// such as `&str` for `String` and `Arc<str>`. A hit copies nothing; the owned key is made on a
/// miss only.
///
/// ```
/// use cache_enterprise_core::Lookup;
/// use std::sync::Arc;
///
/// fn owned<K, Q: Lookup<K> + ?Sized>(query: &Q) -> K {
///     query.to_key()
/// }
/// let key: Arc<str> = owned("users");
/// assert_eq!(&*key, "users");
/// ```
pub trait Lookup<K>: Hash + Equivalent<K> {
    /// The owned key this query stands for.
    fn to_key(&self) -> K;
}

impl<Q, K> Lookup<K> for Q
where
    Q: ?Sized + Hash + Equivalent<K> + ToOwned,
    Q::Owned: Into<K>,
{
    fn to_key(&self) -> K {
        self.to_owned().into()
    }
}

/// A key with the number of its tenant; hashes like [`ScopedRef`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scoped<K> {
    /// Number of the tenant within its manager.
    pub tenant: u32,
    /// The user's key.
    pub key: K,
}

/// A borrowed [`Scoped`] for look-ups without an allocation.
///
/// ```
/// use cache_enterprise_core::{Scoped, ScopedRef};
/// use equivalent::Equivalent;
///
/// let stored = Scoped { tenant: 3, key: String::from("users") };
/// assert!(ScopedRef { tenant: 3, key: "users" }.equivalent(&stored));
/// assert!(!ScopedRef { tenant: 4, key: "users" }.equivalent(&stored));
/// ```
#[derive(Debug)]
pub struct ScopedRef<'a, Q: ?Sized> {
    /// Number of the tenant within its manager.
    pub tenant: u32,
    /// The borrowed key.
    pub key: &'a Q,
}

impl<Q: ?Sized> Clone for ScopedRef<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: ?Sized> Copy for ScopedRef<'_, Q> {}

impl<Q: ?Sized + Hash> Hash for ScopedRef<'_, Q> {
    // Every look-up begins here, and nothing else of it can begin before. Left to the compiler,
    // text keys are hashed by a call with the hasher in memory: a fifth of a hit.
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.key.hash(state);
    }
}

impl<Q, K> Equivalent<Scoped<K>> for ScopedRef<'_, Q>
where
    Q: ?Sized + Equivalent<K>,
{
    fn equivalent(&self, other: &Scoped<K>) -> bool {
        self.tenant == other.tenant && self.key.equivalent(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    #[test]
    fn a_borrowed_key_hashes_and_compares_like_the_owned_one() {
        let hasher = BuildHasherDefault::<DefaultHasher>::new();
        let owned = Scoped { tenant: 3, key: String::from("users") };
        let borrowed = ScopedRef { tenant: 3, key: "users" };
        assert_eq!(hasher.hash_one(&owned), hasher.hash_one(borrowed));
        assert!(borrowed.equivalent(&owned));
        assert!(!ScopedRef { tenant: 4, key: "users" }.equivalent(&owned));
    }
}
