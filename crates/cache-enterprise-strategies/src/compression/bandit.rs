//! A choice among compressors that learns what each saves and costs on each kind of data.
//!
//! The measure is bytes saved per CPU second. One that saves little at once and one that saves
//! much slowly are compared by a price: so many bytes a CPU second must earn. The gain of a way to
//! compress is what it saves less what its time should have earned, per byte given. Ways that were
//! hardly tried are tried first; then the best is used, and one try in so many goes to the way
//! whose last try is longest ago, so that a change of the data is noticed. Old trials fade.
//!
//! What a look at the bytes would tell, the work tells as well: kinds of data that shrink are looked
//! at now and then, those that did not shrink lately each time.

use std::collections::HashMap;
use std::time::Duration;

use cache_enterprise_core::{Error, Result};

use super::is_incompressible;
use crate::bounds;

/// Kinds of data with a choice of their own; later ones share one.
const CLASSES_MAX: usize = 256;
/// Times a way is tried before it is judged.
const TRIES: u32 = 4;
/// Every so many picks the way with the oldest trial gets another.
const AGAIN: u64 = 64;
/// What is remembered of a way, in bytes of input, counts half when another trial of it is due long
/// after the last; but not below so many, lest one odd value decide.
const KEPT_BYTES: f64 = 16_384.0;
/// Once every way was tried, every so many picks are to be measured: measuring costs about as much
/// as packing a few hundred bytes quickly.
const MEASURED: u64 = 8;
/// Values of a kind that shrank one after the other, after which the next is not looked at first.
const TRUSTED: u32 = 8;
/// Every so many picks a trusted kind is looked at all the same.
const LOOKED_AT: u64 = 16;

/// A way to compress, named as its codec is.
///
/// ```
/// use cache_enterprise_strategies::compression::CompressionArm;
///
/// let arm = CompressionArm::new("zstd", 3);
/// assert_eq!((&*arm.algorithm, arm.level), ("zstd", 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressionArm {
    /// The name of the codec.
    pub algorithm: Box<str>,
    /// Its level.
    pub level: i32,
}

impl CompressionArm {
    /// This codec at this level.
    pub fn new(algorithm: &str, level: i32) -> Self {
        Self { algorithm: algorithm.into(), level }
    }
}

/// What a bandit weighs time by.
///
/// ```
/// use cache_enterprise_strategies::compression::CompressionLimits;
///
/// assert_eq!(CompressionLimits::default().bytes_per_cpu_second, 2e7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompressionLimits {
    /// What a CPU second must save to be worth it, in bytes. The default is 20 million: the more,
    /// the faster the codec that is chosen.
    pub bytes_per_cpu_second: f64,
    /// Values below so many bytes are not compressed. The default is 256.
    pub bytes_min: usize,
    /// Bytes of input to a way and a kind after which its older trials count half: the fewer, the
    /// sooner a change of the data is followed. The default is 1 MiB.
    pub memory_bytes: usize,
}

impl Default for CompressionLimits {
    fn default() -> Self {
        Self { bytes_per_cpu_second: 2e7, bytes_min: 256, memory_bytes: 1 << 20 }
    }
}

/// What to do with a value.
///
/// [`CompressionBandit::choose`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The number of the arm to compress it with.
    pub arm: usize,
    /// Whether to look first if the value can shrink at all, see [`is_incompressible`].
    pub is_doubted: bool,
    /// Whether to measure, and to [report](CompressionBandit::report) what it came to.
    pub is_trial: bool,
}

/// What compressing a value came to.
///
/// [`CompressionBandit`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Bytes before.
    pub before: usize,
    /// Bytes after; no fewer means nothing was saved.
    pub after: usize,
    /// CPU time it took.
    pub cpu: Duration,
}

/// What is known of one way for one kind of data.
///
/// ```
/// use cache_enterprise_strategies::compression::ArmReport;
///
/// assert_eq!(ArmReport::default().bytes_saved_per_cpu_second(), 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ArmReport {
    /// Trials in all.
    pub trials: u64,
    /// Bytes given, those of old trials counting less.
    pub before: f64,
    /// Of those, bytes saved.
    pub saved: f64,
    /// CPU seconds spent on them.
    pub cpu_seconds: f64,
}

impl ArmReport {
    /// Bytes saved for each CPU second; 0 before the first trial.
    pub fn bytes_saved_per_cpu_second(&self) -> f64 {
        if self.trials == 0 { 0.0 } else { self.saved / self.cpu_seconds.max(1e-9) }
    }

    fn fade(&mut self) {
        self.before /= 2.0;
        self.saved /= 2.0;
        self.cpu_seconds /= 2.0;
    }

    /// Saved less what the time should have earned, per byte given.
    fn gain(&self, price: f64) -> f64 {
        (self.saved - price * self.cpu_seconds) / self.before.max(1.0)
    }
}

#[derive(Clone, Debug, Default)]
struct Class {
    arms: Vec<ArmReport>,
    /// Whether each arm was at hand once.
    was_at_hand: Vec<bool>,
    /// The pick at which each arm was last tried.
    tried_at: Vec<u64>,
    picks: u64,
    /// Values that shrank since one did not.
    shrank: u32,
}

/// Chooses a compressor per kind of data. Belongs to one task, or stands behind a lock.
///
/// Memory: 41 bytes for each kind and way, for 256 kinds at most. Cost of a pick: one table
/// look-up, and the test for incompressible bytes.
///
/// ```
/// use std::time::Duration;
///
/// use cache_enterprise_strategies::compression::{
///     Compressed, CompressionArm, CompressionBandit, CompressionLimits,
/// };
///
/// let arms = vec![CompressionArm::new("lz4", 1), CompressionArm::new("zstd", 3)];
/// let mut bandit = CompressionBandit::new(arms, CompressionLimits::default())?;
/// let page = "some text of a page ".repeat(50);
/// for _ in 0..100 {
///     let Some(arm) = bandit.pick("page", page.as_bytes()) else { continue };
///     // The second saves more and takes no longer.
///     let after = if arm == 0 { 600 } else { 300 };
///     let cpu = Duration::from_micros(5);
///     bandit.report("page", arm, Compressed { before: page.len(), after, cpu });
/// }
/// assert_eq!(bandit.best("page").map(|arm| &*arm.algorithm), Some("zstd"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CompressionBandit {
    arms: Vec<CompressionArm>,
    limits: CompressionLimits,
    classes: HashMap<Box<str>, Class>,
}

impl CompressionBandit {
    /// A choice among `arms` that knows nothing yet.
    ///
    /// # Errors
    /// When there are no arms or more than 32, `bytes_per_cpu_second` does not lie in 0 to 10^12,
    /// or `memory_bytes` is 0.
    pub fn new(arms: Vec<CompressionArm>, limits: CompressionLimits) -> Result<Self> {
        bounds::within("arms", arms.len(), 1..=32)?;
        bounds::within("bytes_per_cpu_second", limits.bytes_per_cpu_second, 0.0..=1e12)?;
        bounds::within("memory_bytes", limits.memory_bytes, 1..=usize::MAX)?;
        let twice = arms.iter().enumerate().find(|(at, arm)| arms[..*at].contains(arm));
        if let Some((_, arm)) = twice {
            return Err(Error::config("an algorithm and level stand twice among the arms")
                .with("algorithm", &arm.algorithm)
                .with("level", arm.level));
        }
        Ok(Self { arms, limits, classes: HashMap::new() })
    }

    /// The number of the arm to compress this value with; nothing if it should stay as it is. What
    /// it comes to is to be [reported](Self::report).
    pub fn pick(&mut self, class: &str, value: &[u8]) -> Option<usize> {
        let choice = self.choose(class, value.len())?;
        if choice.is_doubted && is_incompressible(value) {
            self.refuse(class);
            return None;
        }
        Some(choice.arm)
    }

    /// As [`pick`](Self::pick), for those who share the bandit behind a lock: what takes time, the
    /// look at the bytes and the work, is theirs.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use cache_enterprise_strategies::compression::{
    ///     Compressed, CompressionArm, CompressionBandit, CompressionLimits, is_incompressible,
    /// };
    ///
    /// # fn compress(_: usize, _: &[u8]) -> Vec<u8> { vec![0; 300] }
    /// let arms = vec![CompressionArm::new("lz4", 1)];
    /// let mut bandit = CompressionBandit::new(arms, CompressionLimits::default())?;
    /// let page = "some text of a page ".repeat(50);
    /// if let Some(choice) = bandit.choose("page", page.len()) {
    ///     if choice.is_doubted && is_incompressible(page.as_bytes()) {
    ///         bandit.refuse("page");
    ///     } else {
    ///         let begun = Instant::now();
    ///         let after = compress(choice.arm, page.as_bytes()).len();
    ///         let (before, cpu) = (page.len(), begun.elapsed());
    ///         match choice.is_trial {
    ///             true => bandit.report("page", choice.arm, Compressed { before, after, cpu }),
    ///             false if after >= before => bandit.refuse("page"),
    ///             false => {}
    ///         }
    ///     }
    /// }
    /// # assert_eq!(bandit.arms("page").next().map(|(_, report)| report.trials), Some(1));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn choose(&mut self, class: &str, bytes: usize) -> Option<Choice> {
        if bytes < self.limits.bytes_min {
            return None;
        }
        self.choose_among(class, |_| true)
    }

    /// As [`choose`](Self::choose), among those arms that are at hand for this value: one that needs
    /// what was learned of other values, such as a dictionary, is not always. The length of the value
    /// is not looked at.
    ///
    /// ```
    /// use cache_enterprise_strategies::compression::{
    ///     CompressionArm, CompressionBandit, CompressionLimits,
    /// };
    ///
    /// let arms = vec![CompressionArm::new("lz4", 1), CompressionArm::new("zstd+dictionary", 3)];
    /// let mut bandit = CompressionBandit::new(arms, CompressionLimits::default())?;
    /// let choice = bandit.choose_among("session", |arm| arm == 1);
    /// assert_eq!(choice.map(|choice| choice.arm), Some(1));
    /// assert_eq!(bandit.choose_among("session", |_| false), None);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn choose_among(
        &mut self,
        class: &str,
        is_at_hand: impl Fn(usize) -> bool,
    ) -> Option<Choice> {
        let price = self.limits.bytes_per_cpu_second;
        let arms = self.arms.len();
        let at_hand = || (0..arms).filter(|arm| is_at_hand(*arm));
        at_hand().next()?;
        let class = self.class(class);
        class.picks += 1;
        for arm in at_hand() {
            class.was_at_hand[arm] = true;
        }
        let oldest = at_hand().min_by_key(|arm| class.tried_at[*arm])?;
        let is_untried = at_hand().any(|arm| class.arms[arm].trials < u64::from(TRIES));
        let is_again = class.picks.is_multiple_of(AGAIN);
        let arm = match is_untried {
            // In turn, so that a burst of one kind of value does not teach one arm alone.
            true => at_hand().min_by_key(|arm| class.arms[*arm].trials)?,
            false if is_again => oldest,
            false => class.best(at_hand(), price)?,
        };
        class.tried_at[arm] = class.picks;
        if is_again && class.arms[arm].before > KEPT_BYTES {
            class.arms[arm].fade();
        }
        let is_doubted = class.shrank < TRUSTED || class.picks.is_multiple_of(LOOKED_AT);
        let is_measured = is_untried || is_again || class.picks.is_multiple_of(MEASURED);
        Some(Choice { arm, is_doubted, is_trial: is_doubted || is_measured })
    }

    /// Notes a value of this kind that cannot shrink, or did not: the next ones are looked at.
    pub fn refuse(&mut self, class: &str) {
        self.class(class).shrank = 0;
    }

    /// Takes in what compressing with an arm came to. An arm there is not is passed over.
    pub fn report(&mut self, class: &str, arm: usize, compressed: Compressed) {
        let memory = self.limits.memory_bytes as f64;
        let class = self.class(class);
        let Some(known) = class.arms.get_mut(arm) else { return };
        let Compressed { before, after, cpu } = compressed;
        class.shrank = if after < before { class.shrank.saturating_add(1) } else { 0 };
        known.trials += 1;
        known.before += before as f64;
        known.saved += before.saturating_sub(after) as f64;
        known.cpu_seconds += cpu.as_secs_f64();
        if known.before > memory {
            known.fade();
        }
    }

    /// The arm that is best for this kind of data; nothing before each that was at hand was tried, or
    /// if none is worth its time.
    pub fn best(&self, class: &str) -> Option<&CompressionArm> {
        let class = self.classes.get(class)?;
        let at_hand = || (0..self.arms.len()).filter(|arm| class.was_at_hand[*arm]);
        let is_judged = at_hand().all(|arm| class.arms[arm].trials >= u64::from(TRIES));
        let price = self.limits.bytes_per_cpu_second;
        let best = class.best(at_hand(), price).filter(|_| is_judged)?;
        Some(&self.arms[best])
    }

    /// The kinds of data there are choices for, in no order; the empty one is shared by those that
    /// came too late for their own.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(|class| &**class)
    }

    /// The arms with what is known of them for this kind of data.
    pub fn arms(&self, class: &str) -> impl Iterator<Item = (&CompressionArm, ArmReport)> {
        let known = self.classes.get(class).map_or(&[][..], |class| &class.arms);
        let reports = known.iter().copied().chain(std::iter::repeat(ArmReport::default()));
        self.arms.iter().zip(reports)
    }

    fn class(&mut self, class: &str) -> &mut Class {
        let is_full = self.classes.len() >= CLASSES_MAX && !self.classes.contains_key(class);
        let class = if is_full { "" } else { class };
        if !self.classes.contains_key(class) {
            let arms = self.arms.len();
            let fresh = Class {
                arms: vec![ArmReport::default(); arms],
                was_at_hand: vec![false; arms],
                tried_at: vec![0; arms],
                ..Class::default()
            };
            self.classes.insert(class.into(), fresh);
        }
        self.classes.get_mut(class).expect("it was there or was made")
    }
}

impl Class {
    /// The one of these arms with the greatest gain, if that is one.
    fn best(&self, arms: impl Iterator<Item = usize>, price: f64) -> Option<usize> {
        let gain = |arm: &usize| self.arms[*arm].gain(price);
        let best = arms.max_by(|a, b| gain(a).total_cmp(&gain(b)))?;
        (gain(&best) > 0.0).then_some(best)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::hash;

    /// Of what a codec makes of text and of numbers: share left, and ns a byte.
    type Made = [(f64, f64); 2];

    const CODECS: [(&str, i32, Made); 3] = [
        ("lz4", 1, [(0.60, 2.0), (0.95, 2.0)]),
        ("zstd", 3, [(0.30, 10.0), (0.70, 10.0)]),
        ("zstd", 19, [(0.27, 400.0), (0.40, 15.0)]),
    ];

    fn bandit(bytes_per_cpu_second: f64) -> CompressionBandit {
        let arms = CODECS.iter().map(|(name, level, _)| CompressionArm::new(name, *level));
        let limits = CompressionLimits { bytes_per_cpu_second, ..CompressionLimits::default() };
        CompressionBandit::new(arms.collect(), limits).unwrap()
    }

    fn run(bandit: &mut CompressionBandit, class: &str, kind: usize, rounds: u64) -> Vec<usize> {
        let mut picked = Vec::new();
        for round in 0..rounds {
            let value = vec![b'x'; 1_000 + (hash::mix(round) % 3_000) as usize];
            let Some(arm) = bandit.pick(class, &value) else { continue };
            let (left, ns) = CODECS[arm].2[kind];
            let noise = 0.95 + hash::unit(hash::mix(round << 8)) / 10.0;
            let after = (value.len() as f64 * left * noise) as usize;
            let cpu = Duration::from_nanos((value.len() as f64 * ns * noise) as u64);
            bandit.report(class, arm, Compressed { before: value.len(), after, cpu });
            picked.push(arm);
        }
        picked
    }

    #[test]
    fn each_kind_of_data_finds_its_own() {
        let mut bandit = bandit(2e7);
        let text = run(&mut bandit, "text", 0, 2_000);
        let numbers = run(&mut bandit, "numbers", 1, 2_000);
        let best = |class| bandit.best(class).map(|arm| (&*arm.algorithm, arm.level));
        assert_eq!((best("text"), best("numbers")), (Some(("zstd", 3)), Some(("zstd", 19))));
        let share = |picked: &[usize], arm| {
            picked.iter().filter(|picked| **picked == arm).count() as f64 / picked.len() as f64
        };
        assert!(share(&text, 1) > 0.97 && share(&numbers, 2) > 0.97);
        let slow = bandit.arms("text").nth(2).unwrap().1.bytes_saved_per_cpu_second();
        let fast = bandit.arms("text").next().unwrap().1.bytes_saved_per_cpu_second();
        assert!(fast > 50.0 * slow, "{fast} {slow}");
    }

    #[test]
    fn where_time_is_dear_the_fast_one_wins_or_none() {
        let mut dear = bandit(1.5e8);
        run(&mut dear, "text", 0, 500);
        assert_eq!(dear.best("text").map(|arm| &*arm.algorithm), Some("lz4"));
        let mut dearest = bandit(1e10);
        let picked = run(&mut dearest, "text", 0, 2_000);
        assert_eq!(dearest.best("text"), None);
        assert!(picked.len() < 60, "{} of 2000 were compressed for nothing", picked.len());
    }

    #[test]
    fn a_change_of_the_data_is_followed() {
        let mut bandit = bandit(2e7);
        run(&mut bandit, "class", 0, 1_000);
        run(&mut bandit, "class", 1, 3_000);
        assert_eq!(bandit.best("class").map(|arm| arm.level), Some(19));
        run(&mut bandit, "class", 0, 3_000);
        assert_eq!(bandit.best("class").map(|arm| arm.level), Some(3));
    }

    #[test]
    fn small_and_random_values_stay_as_they_are() {
        let mut bandit = bandit(0.0);
        let random: Vec<u8> = (0..4_096).map(|at| hash::mix(at) as u8).collect();
        assert_eq!(bandit.pick("x", &random), None);
        assert_eq!(bandit.pick("x", &[b'a'; 255]), None);
        assert_eq!(bandit.pick("x", &[b'a'; 256]), Some(0));
        bandit.report("x", 99, Compressed { before: 1, after: 1, cpu: Duration::ZERO });
    }

    #[test]
    fn what_shrinks_is_looked_at_now_and_then_and_what_did_not_each_time() {
        let mut bandit = bandit(2e7);
        run(&mut bandit, "text", 0, 200);
        let mut choices = |many| -> Vec<Choice> {
            (0..many).map(|_| bandit.choose("text", 1_000).unwrap()).collect()
        };
        let trusted = choices(160);
        assert_eq!(trusted.iter().filter(|choice| choice.is_doubted).count(), 10);
        assert_eq!(trusted.iter().filter(|choice| choice.is_trial).count(), 20);
        bandit.refuse("text");
        assert!((0..40).all(|_| bandit.choose("text", 1_000).unwrap().is_doubted));
        run(&mut bandit, "text", 0, 20);
        assert!((0..15).any(|_| !bandit.choose("text", 1_000).unwrap().is_doubted));
    }

    #[test]
    fn an_arm_that_comes_to_hand_late_is_tried_and_left_where_it_is_not() {
        let mut bandit = bandit(2e7);
        let feed = |bandit: &mut CompressionBandit, rounds, is_there: fn(usize) -> bool| {
            let mut picked = Vec::new();
            for _ in 0..rounds {
                let Some(choice) = bandit.choose_among("text", is_there) else { continue };
                // The last saves nine tenths, the others half, and all take a microsecond.
                let after = if choice.arm == 2 { 100 } else { 500 };
                let cpu = Duration::from_micros(1);
                bandit.report("text", choice.arm, Compressed { before: 1_000, after, cpu });
                picked.push(choice.arm);
            }
            picked
        };
        let early = feed(&mut bandit, 200, |arm| arm < 2);
        assert!(early.iter().all(|arm| *arm < 2));
        assert!(bandit.best("text").is_some(), "what was never at hand is not waited for");
        let late = feed(&mut bandit, 200, |_| true);
        assert_eq!(late[..4], [2; 4], "what is new is tried first");
        assert_eq!(bandit.best("text").map(|arm| arm.level), Some(19));
        assert!(feed(&mut bandit, 200, |arm| arm < 2).iter().all(|arm| *arm < 2));
        assert!(feed(&mut bandit, 5, |_| false).is_empty());
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let named = |arms: Vec<CompressionArm>, price| {
            let limits =
                CompressionLimits { bytes_per_cpu_second: price, ..CompressionLimits::default() };
            CompressionBandit::new(arms, limits).unwrap_err().to_string()
        };
        let arm = || CompressionArm::new("lz4", 1);
        assert!(named(vec![], 1.0).contains("arms, range: 1..=32"));
        assert!(named(vec![arm(), arm()], 1.0).contains("twice"));
        for price in [f64::NAN, -1.0, f64::INFINITY] {
            assert!(named(vec![arm()], price).contains("bytes_per_cpu_second"));
        }
        let forgetful = CompressionLimits { memory_bytes: 0, ..CompressionLimits::default() };
        let error = CompressionBandit::new(vec![arm()], forgetful).unwrap_err().to_string();
        assert!(error.contains("memory_bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn kinds_are_bounded_and_picks_are_arms(
            steps in prop::collection::vec((0_u32..2_000, 0_usize..10_000, any::<u32>()), 0..600),
        ) {
            let mut bandit = bandit(1e6);
            for (class, after, nanos) in steps {
                let class = class.to_string();
                if let Some(arm) = bandit.pick(&class, &[7; 300]) {
                    prop_assert!(arm < CODECS.len());
                    let cpu = Duration::from_nanos(nanos.into());
                    bandit.report(&class, arm, Compressed { before: 300, after, cpu });
                }
            }
            prop_assert!(bandit.classes.len() <= CLASSES_MAX + 1);
        }
    }
}
