//! Deleting and expiring keys by a pattern.
//!
//! A pattern that names a prefix of key paths, or everything, is one epoch. Any other is a walk
//! over what the levels list: for administration, with a budget, never part of a request. Where a
//! level cannot list its keys the pattern itself is kept, with its number, and what is read is
//! compared with it.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::{EpochTarget, PATTERN_BYTES_MAX};
use cache_enterprise_core::{
    CacheKey, CacheLevel, Error, LocalStore, Pattern, Result, Sequence, saturating_millis,
};

use crate::cache::Cache;
use crate::invalidate::{Invalidate, Receipt};
use crate::path::text_of_name;

/// Keys a walk looks at before it pauses, unless it is told otherwise.
const KEYS_MAX: usize = 100_000;

/// Keys removed together.
pub(crate) const AT_ONCE: usize = 256;

/// What becomes of the keys that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Removed at every level.
    Deleted,
    /// Past their life from now on.
    Expired,
    /// Their life ends after this long at the latest.
    Shortened(Duration),
}

/// A walk as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub(crate) pattern: Pattern,
    pub(crate) fate: Fate,
    pub(crate) keys_max: usize,
    /// The number of a tier and its own cursor; none at the beginning.
    pub(crate) from: Option<Bytes>,
}

impl Walk {
    /// Whether the key of this name within its tenant matches.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.pattern.matches(&text_of_name(name))
    }
}

/// What a [`Sweep`] did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SweepReport {
    /// Keys it looked at, in all levels together.
    pub listed: u64,
    /// Keys that matched and were deleted or expired: those of level 1, and those that tiers
    /// listed besides. A tier may list a key twice.
    pub matched: u64,
    /// Where to go on, for [`Sweep::resume`]; `None` at the end.
    pub next: Option<Bytes>,
    /// The first failure of a tier or the bus to which something was to be told; the rest was done.
    /// A removal or soft end that a tier did not hear is owed: until it is told, what it holds is a
    /// miss. A life that it did not shorten stays as long as it was. Where nothing was walked the
    /// receipt has it.
    pub failure: Option<Error>,
    /// The receipt, where nothing was walked, and so nothing counted.
    pub receipt: Option<Receipt>,
    /// How it was done.
    pub way: SweepWay,
}

/// How a [`Sweep`] found what it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SweepWay {
    /// It looked at the keys that the levels list.
    #[default]
    Walk,
    /// The pattern was a prefix of paths or everything: one epoch stands for it.
    Epoch,
    /// Lazily, because a tier cannot list its keys: the pattern was kept, and a copy that is
    /// older is compared with it when it is read. Holds at once, at every level, and for keys
    /// that nobody could have counted.
    Lazy {
        /// With it ended everything of the cache that is older than this number, matched or not,
        /// because more patterns of the cache were kept than
        /// [`PATTERNS_MAX`](cache_enterprise_core::coherence::PATTERNS_MAX).
        cache_ended_at: Option<Sequence>,
    },
}

type Run<'a> = Box<
    dyn FnOnce(Result<Walk>) -> Pin<Box<dyn Future<Output = Result<SweepReport>> + Send + 'a>>
        + Send
        + 'a,
>;

/// A deletion or expiry by pattern that has not happened yet: await it.
///
/// **Not atomic**: keys that are written while it walks may stay, and others see some keys gone
/// and others not. It pauses when its budget is used up and goes on from the report's cursor. Each
/// primary of a cluster is listed by itself.
///
/// It ends what level 1 of this process and the tiers list. A key that the tiers have lost, by an
/// eviction for one, and that another process still holds in level 1 is not found, and stays there
/// for as long as its life in level 1 lasts. What ends such copies too is a prefix of
/// [paths](crate::CacheSpec::paths), a tag, or the whole cache.
///
/// Where a tier cannot list its keys, such as memcached, nothing is walked and nothing counted: the
/// pattern is kept beside the epochs ([`SweepWay::Lazy`]), and every copy from before it is compared
/// with it when it is read, in this process and in those that share the store of epochs. That costs
/// one step of the epochs now, and later one comparison for each read of an older copy and each
/// pattern since.
#[must_use = "a sweep does nothing until it is awaited"]
pub struct Sweep<'a> {
    run: Run<'a>,
    walk: Result<Walk>,
}

impl<'a> Sweep<'a> {
    fn new<K, V>(cache: Result<Cache<K, V>>, pattern: &str, fate: Fate) -> Self
    where
        K: CacheKey,
        V: Send + Sync + 'static,
    {
        let pattern = Pattern::new(pattern);
        let walk = pattern.map(|pattern| Walk { pattern, fate, keys_max: KEYS_MAX, from: None });
        let run = move |walk: Result<Walk>| {
            let work = async move { cache?.sweep(walk?).await };
            Box::pin(work) as Pin<Box<dyn Future<Output = Result<SweepReport>> + Send + 'a>>
        };
        Self { run: Box::new(run), walk }
    }

    /// Pauses after looking at this many keys in the tiers. Default: 100 000.
    pub fn keys_max(mut self, keys: usize) -> Self {
        if let Ok(walk) = &mut self.walk {
            walk.keys_max = keys.max(1);
        }
        self
    }

    /// Goes on where a report ended. Default: at the beginning.
    pub fn resume(mut self, from: Option<Bytes>) -> Self {
        if let Ok(walk) = &mut self.walk {
            walk.from = from;
        }
        self
    }

    /// Expires after `ttl` from now instead of at once. A life only gets shorter: a key that ends
    /// sooner ends sooner. Always a walk. Other processes are told to let go of copies whose life a
    /// tier has shortened, and find the rest of it there. Of no use to a deletion.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        if let Ok(walk) = &mut self.walk
            && walk.fate != Fate::Deleted
        {
            walk.fate = Fate::Shortened(ttl);
        }
        self
    }
}

impl<'a> IntoFuture for Sweep<'a> {
    type Output = Result<SweepReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.run)(self.walk)
    }
}

impl fmt::Debug for Sweep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep").field("walk", &self.walk).finish_non_exhaustive()
    }
}

/// A sweep of a cache that may not have opened.
pub(crate) fn sweep<'a, K, V>(cache: Result<Cache<K, V>>, pattern: &str, fate: Fate) -> Sweep<'a>
where
    K: CacheKey,
    V: Send + Sync + 'static,
{
    Sweep::new(cache, pattern, fate)
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Removes every key of this tenant that matches a glob over its text: the parts of a key are
    /// joined by `:`. With [`paths`](crate::CacheSpec::paths) a pattern such as `eu:*` is one
    /// epoch; so is `*` in every cache. See [`Pattern`] for the signs.
    ///
    /// Where it [walks](SweepWay::Walk) it finds what level 1 of this process and the tiers list: a
    /// key that the tiers have lost may stay in level 1 of another process, see [`Sweep`].
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static FILES: CacheSpec<String, u64> = CacheSpec::new("files").ttl(mins(5));
    /// let files = CacheManager::in_memory(Capacity::entries(100))?.open(&FILES)?;
    /// block_on(async {
    ///     files.set("user:1:temp_a", 1_u64).await;
    ///     files.set("user:1:name", 2_u64).await;
    ///     let report = files.delete_pattern("user:*:temp_*").await?;
    ///     assert_eq!(report.matched, 1);
    ///     assert!(files.contains("user:1:name"));
    ///     Ok::<(), cache_enterprise_core::Error>(())
    /// })?;
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Of the awaited call: [`InvalidInput`](cache_enterprise_core::ErrorKind::InvalidInput) for a
    /// pattern that is none, or where a tier cannot list its keys for one of more than
    /// [`PATTERN_BYTES_MAX`] bytes; and what a tier answered to the listing. A removal that a tier
    /// did not hear is no error: it is owed, and in the [report](SweepReport::failure). Of an
    /// expiry after a [`ttl`](Sweep::ttl) also
    /// [`Unsupported`](cache_enterprise_core::ErrorKind::Unsupported) where a tier cannot list its
    /// keys.
    pub fn delete_pattern(&self, pattern: &str) -> Sweep<'_> {
        Sweep::new(Ok(self.clone()), pattern, Fate::Deleted)
    }

    /// As [`delete_pattern`](Self::delete_pattern), softly: what matches is past its life from now
    /// on, or after a [`ttl`](Sweep::ttl).
    pub fn expire_pattern(&self, pattern: &str) -> Sweep<'_> {
        Sweep::new(Ok(self.clone()), pattern, Fate::Expired)
    }

    async fn sweep(&self, walk: Walk) -> Result<SweepReport> {
        if let Some(whole) = self.as_epoch(&walk) {
            let ended = if walk.fate == Fate::Expired { whole.soft() } else { whole };
            let receipt = Some(ended.await);
            return Ok(SweepReport { receipt, way: SweepWay::Epoch, ..SweepReport::default() });
        }
        if let Err(cannot_list) = self.check_sweep() {
            return match walk.fate {
                Fate::Shortened(_) => Err(cannot_list),
                fate => self.end_lazily(walk.pattern, fate).await,
            };
        }
        let mut report = SweepReport::default();
        if walk.from.is_none() {
            self.sweep_level1(&walk, &mut report).await;
        }
        self.sweep_below(&walk, &mut report).await?;
        if report.next.is_none() && self.view.has_tiers() {
            // What climbed while the tiers were walked.
            self.sweep_level1(&walk, &mut report).await;
        }
        Ok(report)
    }

    /// The invalidation that does the same without a walk, where there is one.
    fn as_epoch(&self, walk: &Walk) -> Option<Invalidate<'_>> {
        if matches!(walk.fate, Fate::Shortened(_)) {
            return None;
        }
        if walk.pattern.as_str() == "*" {
            return Some(self.clear());
        }
        let path = self.view.core.paths?.prefix_of(walk.pattern.as_str())?;
        Some(self.below(&path))
    }

    /// Keeps the pattern beside the epochs. What was derived from a key it matches ends too, and
    /// with it what was derived from any other key of the cache: nobody knows which there are.
    async fn end_lazily(&self, pattern: Pattern, fate: Fate) -> Result<SweepReport> {
        if pattern.as_str().len() > PATTERN_BYTES_MAX {
            let text = "a tier cannot list its keys, and the pattern is too long to be kept";
            let error = Error::invalid(text).operation("sweep");
            return Err(error.with("bytes", pattern.as_str().len()).with("max", PATTERN_BYTES_MAX));
        }
        let view = &self.view;
        let mut targets = vec![EpochTarget::Pattern(view.cell.name().clone(), Arc::new(pattern))];
        if self.may_have_dependents() {
            targets.push(EpochTarget::Tag(self.whole_parent_tag()));
        }
        let ended = || view.cell.epoch().max(view.cell.soft_epoch());
        // What is stored of patterns that others ended belongs to what was there before.
        self.prepare_below().await;
        let before = ended();
        let invalidate = Invalidate::new(&view.shared, &view.tenant, targets);
        let receipt = match fate {
            Fate::Expired => invalidate.soft().await,
            _ => invalidate.await,
        };
        let cache_ended_at = Some(ended()).filter(|after| *after > before);
        let way = SweepWay::Lazy { cache_ended_at };
        Ok(SweepReport { receipt: Some(receipt), way, ..SweepReport::default() })
    }

    /// Deletes or expires what level 1 holds, and the same keys below.
    async fn sweep_level1(&self, walk: &Walk, report: &mut SweepReport) {
        let mut keys = Vec::new();
        let now = self.view.clock.now();
        self.store.for_each(|key, entry| {
            if key.tenant == self.tenant_id && self.is_usable(&key.key, entry, now) {
                report.listed += 1;
                if walk.takes(&self.name_within(&key.key)) {
                    keys.push(key.key.clone());
                }
            }
        });
        report.matched += keys.len() as u64;
        for keys in keys.chunks(AT_ONCE) {
            match walk.fate {
                Fate::Deleted => {
                    self.remove_many(keys).await;
                }
                Fate::Expired => {
                    for key in keys {
                        self.expire(key).await;
                    }
                }
                Fate::Shortened(ttl) => self.shorten_level1(keys, ttl),
            }
        }
    }

    fn shorten_level1(&self, keys: &[K], ttl: Duration) {
        let until = self.view.clock.now().saturating_add(saturating_millis(ttl));
        for key in keys {
            if let Some(entry) = self.store.peek(&self.scoped(key)) {
                entry.end_freshness(until);
            }
        }
    }
}

/// Why a tier that cannot list its keys cannot be walked.
pub(crate) fn cannot_list(tier: &str, level: u8) -> Error {
    let text = "the tier cannot list its keys, so no life among them can be shortened by a pattern";
    Error::new(cache_enterprise_core::ErrorKind::Unsupported, text)
        .operation("sweep")
        .with("tier", tier)
        .with("level", CacheLevel::numbered(level).map_or("beside".into(), |it| it.to_string()))
}
