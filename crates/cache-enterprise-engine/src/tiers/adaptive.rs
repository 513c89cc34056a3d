//! The choice of a compressor for each kind of data, by what each saved for its processor time.
//!
//! The bandit of the strategies crate decides; here it meets the bytes. It stands behind a lock that
//! is held for a look-up, never while bytes are looked at or packed.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Compressor, DictionaryCompressor, Result};
use cache_enterprise_strategies::compression::{
    ArmReport, Compressed, CompressionArm, CompressionBandit, CompressionLimits, is_incompressible,
};

use super::DictionaryLimits;
use super::dictionary::Trained;
use super::packer::{Packed, pack};
use crate::manager::CacheManager;

/// What the processor gave to the calling thread so far.
type CpuClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Compresses each kind of data with the compressor that pays for it, found out while it works. A
/// kind is what a call names with [`data_type`](crate::Set::data_type), else the cache.
///
/// Each compressor is tried on the first values of a kind. From then on the one that saves most
/// bytes, less what its processor time should have saved elsewhere, packs them, or none; one value in 64
/// goes to the compressor whose last trial is oldest, so that a change of the data is followed.
/// Values that look like noise are left as they are without being tried. Envelopes name the
/// compressor, so every manager reads what was written under any choice, as long as it knows the
/// compressors: see [`reads_compression`](crate::ManagerBuilder::reads_compression).
///
/// Clones share what they learned, and tiers that are given clones share the work.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_enterprise_core::{BackendSource, Compressor, Result};
/// use cache_enterprise_engine::{AdaptiveCompression, Tier};
/// use cache_enterprise_strategies::compression::CompressionLimits;
///
/// /// `quick` and `small` are compressors such as LZ4, and Zstandard at its third level.
/// fn tier(disk: impl BackendSource, quick: Arc<dyn Compressor>, small: Arc<dyn Compressor>) -> Result<Tier> {
///     let adaptive = AdaptiveCompression::new([(1, quick), (3, small)], CompressionLimits::default())?;
///     Ok(Tier::new(disk).compression(adaptive))
/// }
/// ```
#[derive(Clone)]
pub struct AdaptiveCompression {
    arms: Arc<[Arc<dyn Compressor>]>,
    bandit: Arc<Mutex<CompressionBandit>>,
    limits: CompressionLimits,
    cpu: CpuClock,
    learning: Option<Arc<Learning>>,
    /// Kinds of data that nothing is learned from.
    secrets: Arc<HashSet<Box<str>>>,
}

/// How dictionaries are made.
#[derive(Debug)]
pub(super) struct Learning {
    pub(super) trainer: Arc<dyn DictionaryCompressor>,
    pub(super) limits: DictionaryLimits,
}

impl AdaptiveCompression {
    /// Chooses among these compressors, each with its level, which only serves to tell them apart
    /// in reports. Their thresholds do not count: `limits.bytes_min` does.
    ///
    /// # Errors
    /// When there is none or more than 32, when one stands twice, or when a limit is out of range.
    pub fn new(
        arms: impl IntoIterator<Item = (i32, Arc<dyn Compressor>)>,
        limits: CompressionLimits,
    ) -> Result<Self> {
        let arms: Vec<_> = arms.into_iter().collect();
        let names = arms.iter().map(|(level, arm)| CompressionArm::new(arm.name(), *level));
        let bandit = CompressionBandit::new(names.collect(), limits)?;
        Ok(Self {
            arms: arms.into_iter().map(|(_, arm)| arm).collect(),
            bandit: Arc::new(Mutex::new(bandit)),
            limits,
            cpu: Arc::new(thread_time),
            learning: None,
            secrets: Arc::default(),
        })
    }

    /// Learns dictionaries, one for each kind of data of each cache and tenant, and packs with them
    /// where that pays: one more way to choose from, called as its compressor and `+dictionary`.
    /// For small values that are alike, from 64 bytes on, whatever the other ways ask for.
    ///
    /// Values that are written become samples; once there are enough, a dictionary is trained on a
    /// thread that may block, tried on samples that it was not trained with, and stored in the
    /// tiers that are packed so, under a key that no value has. Only then it packs, and only
    /// values that it outlives there. Whoever reads such a value reads its dictionary once; every
    /// manager that should read them needs this or
    /// [`reads_dictionaries`](crate::ManagerBuilder::reads_dictionaries).
    ///
    /// A dictionary repeats pieces of values and outlives them, within their cache and tenant. Nothing is
    /// learned from caches that are [`secret`](crate::CacheSpec::secret), from
    /// [secret kinds](Self::secret_kind), and where a manager has a
    /// [`transform`](crate::ManagerBuilder::transform). Forgets what was learned so far. Default: none.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use cache_enterprise_core::{Compressor, DictionaryCompressor, Result};
    /// use cache_enterprise_engine::{AdaptiveCompression, DictionaryLimits};
    /// use cache_enterprise_strategies::compression::CompressionLimits;
    ///
    /// /// `trained` is a compressor such as Zstandard at its third level.
    /// fn packer(
    ///     arms: Vec<(i32, Arc<dyn Compressor>)>,
    ///     trained: Arc<dyn DictionaryCompressor>,
    /// ) -> Result<AdaptiveCompression> {
    ///     AdaptiveCompression::new(arms, CompressionLimits::default())?
    ///         .secret_kind("token")
    ///         .dictionaries((3, trained), DictionaryLimits::default())
    /// }
    /// ```
    ///
    /// # Errors
    /// When a limit is out of its range, or there are 32 other ways already.
    pub fn dictionaries(
        mut self,
        (level, trainer): (i32, Arc<dyn DictionaryCompressor>),
        limits: DictionaryLimits,
    ) -> Result<Self> {
        limits.check()?;
        let mut names: Vec<_> = self.arms("").into_iter().map(|(arm, _)| arm).collect();
        names.truncate(self.arms.len());
        names.push(CompressionArm::new(&format!("{}+dictionary", trainer.name()), level));
        self.bandit = Arc::new(Mutex::new(CompressionBandit::new(names, self.limits)?));
        self.learning = Some(Arc::new(Learning { trainer, limits }));
        Ok(self)
    }

    /// Learns no dictionary from this kind of data, and packs none of it with one. Default: every
    /// kind may have one.
    #[must_use]
    pub fn secret_kind(mut self, class: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.secrets).insert(class.into());
        self
    }

    /// Where processor time comes from: what the calling thread has used so far. Asked before and
    /// after a trial. Default: the operating system; where it does not tell, the time that went by.
    #[must_use]
    pub fn cpu_clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.cpu = Arc::new(now);
        self
    }

    /// What packs values of this kind; `None` while compressors are tried for the first time, and
    /// where none pays.
    pub fn best(&self, class: &str) -> Option<CompressionArm> {
        self.bandit.lock().best(class).cloned()
    }

    /// The compressors, and what is known of each for this kind of data.
    pub fn arms(&self, class: &str) -> Vec<(CompressionArm, ArmReport)> {
        self.bandit.lock().arms(class).map(|(arm, report)| (arm.clone(), report)).collect()
    }

    /// The kinds of data that were written, sorted; the empty one is shared by those beyond 256.
    pub fn classes(&self) -> Vec<Box<str>> {
        let mut classes: Vec<Box<str>> = self.bandit.lock().classes().map(Box::from).collect();
        classes.sort_unstable();
        classes
    }

    /// The limits it was made with.
    pub fn limits(&self) -> CompressionLimits {
        self.limits
    }

    pub(super) fn compressors(&self) -> &[Arc<dyn Compressor>] {
        &self.arms
    }

    pub(super) fn learning(&self) -> Option<&Learning> {
        self.learning.as_deref()
    }

    pub(super) fn is_secret(&self, class: &str) -> bool {
        self.secrets.contains(class)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bandit, &other.bandit)
    }

    /// The value in its packed form; `None` when it stays as it is. `dictionary` is at hand for it.
    pub(super) fn pack(
        &self,
        class: &str,
        plain: &Bytes,
        dictionary: Option<&Trained>,
    ) -> Result<Option<Packed>> {
        let (trained, is_long) = (self.arms.len(), plain.len() >= self.limits.bytes_min);
        let is_at_hand = |arm| if arm == trained { dictionary.is_some() } else { is_long };
        let choice = self.bandit.lock().choose_among(class, is_at_hand);
        let Some(choice) = choice else { return Ok(None) };
        if choice.is_doubted && is_incompressible(plain) {
            self.bandit.lock().refuse(class);
            return Ok(None);
        }
        let (arm, number) = match dictionary {
            Some(dictionary) if choice.arm == trained => (&dictionary.compressor, dictionary.id),
            _ => (&self.arms[choice.arm], 0),
        };
        if !choice.is_trial {
            let packed = pack(arm, number, plain)?;
            if packed.is_none() {
                self.bandit.lock().refuse(class);
            }
            return Ok(packed);
        }
        let begun = (self.cpu)();
        let packed = pack(arm, number, plain)?;
        let cpu = (self.cpu)().saturating_sub(begun);
        let after = packed.as_ref().map_or(plain.len(), |packed| packed.payload.len());
        let came_to = Compressed { before: plain.len(), after, cpu };
        self.bandit.lock().report(class, choice.arm, came_to);
        Ok(packed)
    }
}

impl<C> CacheManager<C> {
    /// What chooses the compressors of a level, from 2; `None` where nothing is chosen. To look at
    /// what it learned, such as by [`best`](AdaptiveCompression::best).
    pub fn adaptive_compression(&self, level: u8) -> Option<AdaptiveCompression> {
        let level = self.shared.levels().find(|known| known.number == level)?;
        level.packer.as_ref()?.adaptive().cloned()
    }
}

impl fmt::Debug for AdaptiveCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveCompression")
            .field("arms", &self.arms)
            .field("limits", &self.limits)
            .field("learning", &self.learning)
            .finish_non_exhaustive()
    }
}

/// What the calling thread has used; waiting and other processes do not count.
#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}

/// The system tells no such time without unsafe code: the time that went by stands in.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    static BEGUN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    BEGUN.elapsed()
}
