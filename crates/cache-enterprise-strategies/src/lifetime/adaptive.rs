//! A life that follows how often the value changes.
//!
//! Each time a key is loaded anew its life is multiplied: by `1 + f` when the value was the same,
//! by `(1 - f)^c` when it had changed, where `f` is the adjustment factor and `c` the caution. The
//! life settles where both balance: with small `f`, where about one refresh in `c + 1` finds a
//! change. So a key's life becomes proportional to the mean time between its changes, whatever
//! that is, which no life common to all keys can do. The rule is that of adaptive time-outs, and
//! of Alex (V. Cate, "Alex: a global file system", 1992) in that the past of a value says how long
//! to trust it.
//!
//! A change found long after the life had ended says little of the life: it is counted by the
//! share of the time that the life covers.

use std::collections::HashMap;
use std::time::Duration;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Result, days};

use super::fixed::SHORTEST;
use super::kept::Kept;
use super::{LifetimeStrategy, Refresh};
use crate::StrategyContext;
use crate::bounds;

const LONGEST: Duration = days(49);
const SHARDS: usize = 16;
const KEYS: usize = 65_536;
const CAUTION: u32 = 4;

/// Kinds of value with a life of their own; later ones share that of values without a kind.
const CLASSES_MAX: usize = 256;

/// A class learns by this share of a key's step, since it hears of many keys.
const CLASS_SHARE: f32 = 0.125;

/// Lengthens the life of keys that are found unchanged and shortens that of keys that changed,
/// never outside its bounds.
///
/// A key that is not known starts with the life of its kind of value, which is learned likewise.
///
/// Memory: 16 bytes a key for at most [`keys_max`](Self::keys_max) keys, rounded up to a power of
/// two (1 MiB at the default of 65 536), and 256 kinds of value. Cost: one lock of sixteen and one
/// look-up per store, no allocation.
///
/// ```
/// use cache_enterprise_core::{mins, secs};
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::lifetime::{AdaptiveTtl, LifetimeStrategy, Refresh};
///
/// let adaptive = AdaptiveTtl::new(secs(60), secs(3_600), 0.1)?.start(secs(100))?;
/// let context = StrategyContext::new("user:1");
/// assert_eq!(adaptive.ttl(&context), Some(secs(100)));
/// adaptive.refreshed(&context, Refresh::new(false, secs(100)));
/// assert_eq!(adaptive.ttl(&context), Some(secs(110)));
/// adaptive.refreshed(&context, Refresh::new(true, secs(110)));
/// let after_a_change = adaptive.ttl(&context).expect("it always has an opinion");
/// assert_eq!(after_a_change.as_secs(), 72, "110 s, four times a tenth less");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AdaptiveTtl {
    min: Duration,
    max: Duration,
    start_ms: f32,
    longer: f32,
    shorter: f32,
    factor: f64,
    keys_max: usize,
    keys: Box<[Mutex<Kept>]>,
    classes: Mutex<HashMap<Box<str>, f32>>,
}

impl AdaptiveTtl {
    /// The name under which managers and settings know the strategy that it makes.
    pub const NAME: &str = "adaptive_ttl";

    /// Lives from `min_ttl` to `max_ttl` that change by `adjustment_factor` at each refresh. They
    /// start at `min_ttl`; the caution is 4.
    ///
    /// # Errors
    /// When `min_ttl` does not lie in 1 ms to 49 days, `max_ttl` not in `min_ttl` to 49 days, or
    /// `adjustment_factor` not in 0.001 to 0.9.
    pub fn new(min_ttl: Duration, max_ttl: Duration, adjustment_factor: f64) -> Result<Self> {
        let min = bounds::lasting("min_ttl", min_ttl, SHORTEST..=LONGEST)?;
        let max = bounds::lasting("max_ttl", max_ttl, min..=LONGEST)?;
        let factor = bounds::within("adjustment_factor", adjustment_factor, 0.001..=0.9)?;
        let made = Self {
            min,
            max,
            start_ms: millis(min),
            longer: (1.0 + factor) as f32,
            shorter: 1.0,
            factor,
            keys_max: KEYS,
            keys: Box::default(),
            classes: Mutex::new(HashMap::new()),
        };
        made.caution(CAUTION)?.keys_max(KEYS)
    }

    /// The life of a key while neither it nor its kind is known. The default is `min_ttl`.
    ///
    /// # Errors
    /// When `ttl` does not lie within the bounds.
    pub fn start(mut self, ttl: Duration) -> Result<Self> {
        self.start_ms = millis(bounds::lasting("start", ttl, self.min..=self.max)?);
        Ok(self)
    }

    /// By how many steps a change shortens a life: the more, the fewer stale answers and hits. The
    /// default is 4; with 1 every second refresh finds a change, which is staler than most want.
    ///
    /// # Errors
    /// When `steps` does not lie in 1 to 64.
    pub fn caution(mut self, steps: u32) -> Result<Self> {
        let steps = bounds::within("caution", steps, 1..=64)?;
        self.shorter = (1.0 - self.factor).powi(steps as i32) as f32;
        Ok(self)
    }

    /// How many keys are remembered. The default is 65 536.
    ///
    /// # Errors
    /// When `keys` does not lie in 64 to 2^26.
    pub fn keys_max(mut self, keys: usize) -> Result<Self> {
        self.keys_max = bounds::within("keys_max", keys, 64..=1 << 26)?;
        let each = self.keys_max.div_ceil(SHARDS);
        self.keys = (0..SHARDS).map(|_| Mutex::new(Kept::new(each))).collect();
        Ok(self)
    }

    fn shard(&self, hash: u64) -> &Mutex<Kept> {
        &self.keys[(hash >> 60) as usize % SHARDS]
    }

    fn of_class(&self, context: &StrategyContext<'_>) -> f32 {
        let classes = self.classes.lock();
        let class = context.data_type.unwrap_or_default();
        classes.get(class).or_else(|| classes.get("")).copied().unwrap_or(self.start_ms)
    }

    /// Moves the life of the class by the share of the step that one key may move it.
    fn teach_class(&self, context: &StrategyContext<'_>, step: f32) {
        let class = context.data_type.unwrap_or_default();
        let mut classes = self.classes.lock();
        let is_full = classes.len() >= CLASSES_MAX;
        let class = if is_full && !classes.contains_key(class) { "" } else { class };
        let before = classes.get(class).copied().unwrap_or(self.start_ms);
        let after = self.clamped(before * step.powf(CLASS_SHARE));
        match classes.get_mut(class) {
            Some(ttl_ms) => *ttl_ms = after,
            None => drop(classes.insert(class.into(), after)),
        }
    }

    fn clamped(&self, ttl_ms: f32) -> f32 {
        ttl_ms.clamp(millis(self.min), millis(self.max))
    }
}

impl LifetimeStrategy for AdaptiveTtl {
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        let known = self.shard(context.hash).lock().get(context.hash);
        let ttl_ms = known.unwrap_or_else(|| self.of_class(context));
        // Within the bounds whatever the last bit of a 24-bit mantissa says.
        let ttl = Duration::from_millis(f64::from(ttl_ms).round() as u64);
        Some(ttl.clamp(self.min, self.max))
    }

    fn refreshed(&self, context: &StrategyContext<'_>, refresh: Refresh) {
        let class_ms = self.of_class(context);
        let mut keys = self.shard(context.hash).lock();
        let before = keys.get(context.hash).unwrap_or(class_ms);
        let step = if refresh.changed {
            // The change may have come at any moment since: the life covers this share of it.
            let covered = (before / millis(refresh.after).max(1.0)).min(1.0);
            self.shorter.powf(covered)
        } else {
            self.longer
        };
        keys.set(context.hash, self.clamped(before * step));
        drop(keys);
        self.teach_class(context, step);
    }
}

fn millis(duration: Duration) -> f32 {
    (duration.as_secs_f64() * 1e3) as f32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cache_enterprise_core::{ms, secs};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let factors = [f64::NAN, 0.0, -0.1, 0.95, f64::INFINITY];
        for factor in factors {
            let text = AdaptiveTtl::new(secs(1), secs(2), factor).unwrap_err().to_string();
            assert!(text.contains("adjustment_factor, range: 0.001..=0.9"), "{text}");
        }
        let refused = |min, max, name| {
            AdaptiveTtl::new(min, max, 0.1).unwrap_err().to_string().contains(name)
        };
        assert!(refused(Duration::ZERO, secs(1), "min_ttl"));
        assert!(refused(secs(2), secs(1), "max_ttl, range: 2s..="));
        assert!(refused(secs(2), days(50), "max_ttl"));
        let made = || AdaptiveTtl::new(secs(60), secs(3_600), 0.1).unwrap();
        assert!(made().caution(0).unwrap_err().to_string().contains("caution"));
        assert!(made().keys_max(0).unwrap_err().to_string().contains("keys_max"));
        assert!(made().start(secs(59)).unwrap_err().to_string().contains("start"));
    }

    #[test]
    fn a_change_seen_late_says_little() {
        let after_change = |after| {
            let adaptive = AdaptiveTtl::new(secs(1), secs(1_000), 0.5).unwrap().caution(1).unwrap();
            let adaptive = adaptive.start(secs(100)).unwrap();
            let context = StrategyContext::new("key");
            adaptive.refreshed(&context, Refresh::new(true, after));
            adaptive.ttl(&context).unwrap()
        };
        assert_eq!(after_change(secs(100)), secs(50));
        assert!(after_change(secs(10_000)) > secs(99));
    }

    #[test]
    fn a_new_key_starts_with_what_its_kind_taught() {
        let adaptive = AdaptiveTtl::new(secs(1), secs(1_000), 0.5).unwrap();
        let keys: Vec<_> = (0..200).map(|key| format!("k{key}")).collect();
        for key in &keys {
            let stable = StrategyContext::new(key).data_type("stable");
            adaptive.refreshed(&stable, Refresh::new(false, secs(1)));
        }
        let ttl = |kind| adaptive.ttl(&StrategyContext::new("new").data_type(kind)).unwrap();
        assert!(ttl("stable") > secs(500), "{:?}", ttl("stable"));
        assert_eq!(ttl("unheard"), secs(1));
    }

    #[test]
    fn kinds_without_end_share_one_life() {
        let adaptive = AdaptiveTtl::new(secs(1), secs(1_000), 0.1).unwrap();
        for kind in 0..2_000 {
            let kind = kind.to_string();
            let context = StrategyContext::new("k").data_type(&kind);
            adaptive.refreshed(&context, Refresh::new(false, secs(1)));
        }
        assert!(adaptive.classes.lock().len() <= CLASSES_MAX + 1);
    }

    proptest! {
        #[test]
        fn no_history_leads_out_of_the_bounds(
            min in 1_u64..1_000_000,
            more in 0_u64..1_000_000_000,
            factor in 0.001..=0.9_f64,
            caution in 1_u32..=64,
            history in prop::collection::vec((any::<bool>(), 0_u64..10_000_000), 0..300),
        ) {
            let (min, max) = (ms(min), ms(min + more));
            let adaptive = AdaptiveTtl::new(min, max, factor).unwrap().caution(caution).unwrap();
            let context = StrategyContext::new("key");
            for (changed, after) in history {
                let ttl = adaptive.ttl(&context).unwrap();
                prop_assert!((min..=max).contains(&ttl));
                adaptive.refreshed(&context, Refresh::new(changed, ms(after)));
                let next = adaptive.ttl(&context).unwrap();
                prop_assert!((min..=max).contains(&next));
                let moved_right = if changed { next <= ttl } else { next >= ttl };
                prop_assert!(moved_right);
            }
        }
    }
}
