//! The definition of a cache, written once as a `static`.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use cache_enterprise_core::{
    CacheKey, Capacity, Codec, Format, Inherit, NAME_BYTES_MAX, Own, Priority,
};

use crate::options::{Life, Options};
use crate::path::Paths;
use crate::policy::{Leases, OnError, OnNoWaiters, Refresh};

/// Names a cache and says what it holds and for how long. Opened from any manager or tenant; the
/// call sites do not change when levels are added.
///
/// ```
/// use cache_enterprise_core::mins;
/// use cache_enterprise_engine::CacheSpec;
///
/// struct User;
/// static USERS: CacheSpec<u64, User> = CacheSpec::new("users").ttl(mins(5));
/// assert_eq!(USERS.name(), "users");
/// ```
pub struct CacheSpec<K, V, S = Inherit> {
    name: &'static str,
    options: Options,
    capacity: Option<Capacity>,
    weigh: Option<fn(&V) -> usize>,
    schema: u64,
    paths: Option<Paths>,
    has_dependents: bool,
    strategy: Option<&'static str>,
    is_same: Option<fn(&V, &V) -> bool>,
    is_secret: bool,
    codec: S,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: CacheKey, V: Send + Sync + 'static> CacheSpec<K, V> {
    /// A cache called `name`. A life must follow: [`ttl`](Self::ttl) or
    /// [`forever`](Self::forever).
    ///
    /// # Panics
    /// When the name is empty or over 128 bytes: a compile error for a `static`.
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty(), "the name of a cache is empty");
        assert!(name.len() <= NAME_BYTES_MAX, "the name of a cache is over 128 bytes");
        Self {
            name,
            options: Options::NONE,
            capacity: None,
            weigh: None,
            schema: 0,
            paths: None,
            has_dependents: false,
            strategy: None,
            is_same: None,
            is_secret: false,
            codec: Inherit,
            types: PhantomData,
        }
    }
}

impl<K, V, S: Copy> CacheSpec<K, V, S> {
    /// Entries are fresh for this long.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = Some(Life::For(ttl));
        self
    }

    /// Entries live until they are removed, invalidated or evicted.
    #[must_use]
    pub const fn forever(mut self) -> Self {
        self.options.ttl = Some(Life::Forever);
        self
    }

    /// Longest life of a copy in level 1. Default: see [`Options::l1_ttl`].
    #[must_use]
    pub const fn l1_ttl(mut self, ttl: Duration) -> Self {
        self.options.l1_ttl = Some(ttl);
        self
    }

    /// Share of the life added at random, once per write. Default: 0.05.
    #[must_use]
    pub const fn jitter(mut self, share: f32) -> Self {
        self.options.jitter = Some(share);
        self
    }

    /// How long an absent value is remembered; zero remembers none. Default: 30 s.
    #[must_use]
    pub const fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.options.negative_ttl = Some(ttl);
        self
    }

    /// How long past its life a value may answer when its load fails. Default: none.
    #[must_use]
    pub const fn stale_if_error(mut self, grace: Duration) -> Self {
        self.options.stale_if_error = Some(grace);
        self
    }

    /// A value up to this long past its life answers at once while an owned loader
    /// ([`with_loader`](crate::Cache::with_loader), [`detached`](crate::Fetch::detached)) refreshes
    /// it. Borrowed loads cannot go on behind their caller: for them it is
    /// [`stale_if_error`](Self::stale_if_error). Default: none.
    #[must_use]
    pub const fn stale_for(mut self, grace: Duration) -> Self {
        self.options.stale_for = Some(grace);
        self
    }

    /// After so long a value past its life answers, while an owned load goes on. Default: none.
    #[must_use]
    pub const fn soft_timeout(mut self, limit: Duration) -> Self {
        self.options.soft_timeout = Some(limit);
        self
    }

    /// An owned loader runs again from this share of the life on, see [`Refresh::At`]. Default:
    /// not before the life is over.
    #[must_use]
    pub const fn refresh_at(self, share: f32) -> Self {
        self.refresh_early(Refresh::At(share))
    }

    /// When an owned loader runs again before the life is over. Default: not before.
    #[must_use]
    pub const fn refresh_early(mut self, refresh: Refresh) -> Self {
        self.options.refresh = Some(refresh);
        self
    }

    /// What becomes of a loader's error. Default: [`OnError::Share`].
    #[must_use]
    pub const fn on_error(mut self, policy: OnError) -> Self {
        self.options.on_error = Some(policy);
        self
    }

    /// What becomes of an owned load that nobody waits for. Default: [`OnNoWaiters::Finish`].
    #[must_use]
    pub const fn on_no_waiters(mut self, policy: OnNoWaiters) -> Self {
        self.options.on_no_waiters = Some(policy);
        self
    }

    /// Which loads one process does for all. Default: [`Leases::Refreshes`].
    #[must_use]
    pub const fn leases(mut self, leases: Leases) -> Self {
        self.options.leases = Some(leases);
        self
    }

    /// Entries not read for this long expire in level 1. Default: none.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.options.idle = Some(idle);
        self
    }

    /// How much entries want to stay in level 1. Default: normal.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Longest a load may take. Default: 30 s.
    #[must_use]
    pub const fn hard_timeout(mut self, limit: Duration) -> Self {
        self.options.hard_timeout = Some(limit);
        self
    }

    /// How long a loader may be woken and not polled before a waiter takes over. Default: 1 s.
    #[must_use]
    pub const fn takeover_after(mut self, limit: Duration) -> Self {
        self.options.takeover_after = Some(limit);
        self
    }

    /// Loaders of this cache that run at once, all tenants together; at least 1. What comes over
    /// it waits for its turn, up to [`loads_wait`](Self::loads_wait); tenants that wait have their
    /// turns one after the other. A value past its life answers before anything waits, and one
    /// that waited in vain is [`LoadError::Overloaded`](crate::LoadError::Overloaded); a call that
    /// cannot fail then runs its loader beyond the limit and stores nothing. A loader that spawns
    /// a task which loads from the same cache waits for itself. Default: no limit.
    #[must_use]
    pub const fn loads_max(mut self, loads_max: u32) -> Self {
        self.options.loads_max = Some(loads_max);
        self
    }

    /// How long a load waits for its turn where loads are limited. Default: 1 s.
    #[must_use]
    pub const fn loads_wait(mut self, limit: Duration) -> Self {
        self.options.loads_wait = Some(limit);
        self
    }

    /// A level 1 capacity of this cache's own, all tenants without a quota together. Bytes are a
    /// fixed part of the manager's budget, and a ceiling for a tenant with a quota; entries stand
    /// outside of budget and quotas. Default: a part of the budget by use.
    #[must_use]
    pub const fn capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// How many bytes a value holds, heap included; asked once per write. Default: its encoded
    /// length when it is encoded, and at least `size_of::<V>()`, with the heap of the common types
    /// of bytes and text.
    #[must_use]
    pub const fn weigh(mut self, weigh: fn(&V) -> usize) -> Self {
        self.weigh = Some(weigh);
        self
    }

    /// Number of the value's layout. Raise it when the meaning of the fields changes: entries of
    /// another number are misses. Default: 0.
    #[must_use]
    pub const fn schema(mut self, schema: u64) -> Self {
        self.schema = schema;
        self
    }

    /// Keys are paths, cut between their written parts: `("eu", "paris", 7)` lies under `eu` and
    /// under `eu:paris`, and [`under`](crate::Cache::under) ends what lies below such a prefix.
    ///
    /// Each write then makes a tag for each prefix, 32 at most, and one for the key: a look-up
    /// each, some 150 bytes in level 1 for those that no other key shares, and the text in the
    /// bytes of the tiers. A hit costs what it did. Default: keys have no parts that end.
    #[must_use]
    pub const fn paths(mut self) -> Self {
        self.paths = Some(Paths::Parts);
        self
    }

    /// As [`paths`](Self::paths), and the text of the parts is cut at `separator` too: for keys
    /// that are text, such as `user:7:feed`.
    #[must_use]
    pub const fn paths_at(mut self, separator: char) -> Self {
        self.paths = Some(Paths::At(separator));
        self
    }

    /// Other entries may be derived from those of this cache, in any process: each removal, expiry
    /// or replacement of a key ends them, see [`Set::depends_on`](crate::Set::depends_on). That is
    /// one epoch more for each such change: a round trip where a tier keeps epochs. Default: only
    /// changes of keys that something in this process depends on.
    #[must_use]
    pub const fn has_dependents(mut self) -> Self {
        self.has_dependents = true;
        self
    }

    /// Names the strategy that decides which values of this cache are stored and for how long; it
    /// is registered with the manager before the cache is opened. It is asked where a value is set
    /// or loaded, never on a hit, and a life that a call or its loader names stands. Default: the
    /// manager's, which has none unless its builder names one.
    #[must_use]
    pub const fn fill_strategy(mut self, name: &'static str) -> Self {
        self.strategy = Some(name);
        self
    }

    /// Tells a strategy whether a value that was loaded anew is the same as before. Default: by
    /// their etags where loaders give them, else by what the codec writes of both, else nobody is
    /// told.
    #[must_use]
    pub const fn same_value(mut self, is_same: fn(&V, &V) -> bool) -> Self {
        self.is_same = Some(is_same);
        self
    }

    /// Its values are secrets: nothing is learned from them that would outlive them, so that no
    /// dictionary of adaptive compression holds pieces of
    /// them, whatever kind of data a writer names. They are compressed as others are. Default: they
    /// are no secrets.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// A codec of this cache's own. Default: the manager's.
    pub const fn codec<X: Codec<V> + Format + Copy>(self, codec: X) -> CacheSpec<K, V, Own<X>> {
        CacheSpec {
            name: self.name,
            options: self.options,
            capacity: self.capacity,
            weigh: self.weigh,
            schema: self.schema,
            paths: self.paths,
            has_dependents: self.has_dependents,
            strategy: self.strategy,
            is_same: self.is_same,
            is_secret: self.is_secret,
            codec: Own(codec),
            types: PhantomData,
        }
    }
}

impl<K, V, S> CacheSpec<K, V, S> {
    /// The name of the cache.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The options set on this spec.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) const fn strategy_name(&self) -> Option<&'static str> {
        self.strategy
    }

    pub(crate) const fn comparison(&self) -> Option<fn(&V, &V) -> bool> {
        self.is_same
    }

    pub(crate) const fn own_capacity(&self) -> Option<Capacity> {
        self.capacity
    }

    pub(crate) const fn weigher(&self) -> Option<fn(&V) -> usize> {
        self.weigh
    }

    pub(crate) const fn schema_id(&self) -> u64 {
        self.schema
    }

    pub(crate) const fn path_cuts(&self) -> Option<Paths> {
        self.paths
    }

    pub(crate) const fn is_parent(&self) -> bool {
        self.has_dependents
    }

    pub(crate) const fn holds_secrets(&self) -> bool {
        self.is_secret
    }

    pub(crate) const fn codec_source(&self) -> &S {
        &self.codec
    }
}

impl<K, V, S> fmt::Debug for CacheSpec<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheSpec")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
