//! Models that say what is popular where: learned online, ranked per context, kept by name.
//!
//! ```text
//! ContextCounts   decayed counts of a key in a context, backed off to the key alone
//! Ftrl            online logistic regression over hashed features
//! Supplied        what an operator trained elsewhere, behind a declared schema
//!     each is a PredictionModel; ModelRegistry keeps champion and challenger of each name,
//!     scores both before they learn, watches for drift, promotes and rolls back
//! ```

mod calendar;
mod candidates;
mod counts;
mod drift;
mod file;
mod ftrl;
#[cfg(feature = "onnx")]
mod onnx;
mod registry;
mod supplied;
mod wire;

pub use calendar::time_name;
pub use counts::{ContextCounts, CountsLimits};
pub use drift::PageHinkley;
pub use file::{decode_model, encode_model};
pub use ftrl::{Ftrl, FtrlLimits};
#[cfg(feature = "onnx")]
pub use onnx::OnnxModel;
pub use registry::{ModelEvent, ModelRegistry, ModelReport, ModelRules, VersionReport};
pub use supplied::{Feature, Inference, Supplied};

use std::fmt;
use std::time::Duration;

use cache_enterprise_core::{Error, Millis, Result};

use crate::hash;

/// Pairs of name and text a context may have.
const PAIRS_MAX: usize = 8;
/// Bytes of a name or a text.
const TEXT_BYTES_MAX: usize = 128;

/// The circumstances a request was made in, such as the time of the week and the region. Any names
/// and texts: each pair is a category.
///
/// ```
/// use cache_enterprise_strategies::predict::model::ModelContext;
///
/// let one = ModelContext::new([("time", "friday_evening"), ("region", "EU")])?;
/// let other = ModelContext::new([("region", "EU"), ("time", "friday_evening")])?;
/// assert_eq!(one, other);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelContext {
    /// Sorted by name.
    pairs: Vec<(Box<str>, Box<str>)>,
    /// Hash of each pair.
    single: Vec<u64>,
    /// Hash of all pairs.
    cell: u64,
}

impl ModelContext {
    /// The context of these pairs, in whatever order. None at all is a context too.
    ///
    /// # Errors
    /// When there are more than 8 pairs, a name comes twice or is empty, or a name or text is over
    /// 128 bytes.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut sorted = Vec::new();
        for (name, text) in pairs {
            if name.is_empty() || name.len() > TEXT_BYTES_MAX || text.len() > TEXT_BYTES_MAX {
                return Err(Error::invalid(
                    "a name or text of a model context is not 1 to 128 bytes",
                )
                .with("name bytes", name.len())
                .with("text bytes", text.len()));
            }
            if sorted.len() == PAIRS_MAX {
                return Err(
                    Error::invalid("a model context has too many pairs").with("limit", PAIRS_MAX)
                );
            }
            sorted.push((Box::<str>::from(name), Box::<str>::from(text)));
        }
        sorted.sort();
        if let Some(two) = sorted.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(
                Error::invalid("a name comes twice in a model context").with("name", &two[0].0)
            );
        }
        let single: Vec<u64> = sorted
            .iter()
            .map(|(name, text)| {
                hash::pair(hash::bytes(name.as_bytes()), hash::bytes(text.as_bytes()))
            })
            .collect();
        let cell = single.iter().fold(hash::mix(0), |cell, pair| hash::pair(cell, *pair));
        Ok(Self { pairs: sorted, single, cell })
    }

    /// The pairs, sorted by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, text)| (&**name, &**text))
    }
}

/// A request that a model learns from.
///
/// ```
/// use cache_enterprise_strategies::predict::model::{Access, ModelContext};
///
/// let context = ModelContext::new([("region", "EU")])?;
/// let access = Access::new("track:1", &context, 1_000).bytes(4_096);
/// assert_eq!(access.bytes, 4_096);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Access<'a> {
    /// The key, as a loader takes it.
    pub key: &'a str,
    /// Where and when in words.
    pub context: &'a ModelContext,
    /// When, in milliseconds of one clock. Time that runs backwards counts as standing still.
    pub at: Millis,
    /// What the value weighs; 0 where nobody knows.
    pub bytes: u64,
    /// What loading it takes; zero where nobody knows.
    pub load_time: Duration,
}

impl<'a> Access<'a> {
    /// A request of which weight and load time are not known.
    pub fn new(key: &'a str, context: &'a ModelContext, at: Millis) -> Self {
        Self { key, context, at, bytes: 0, load_time: Duration::ZERO }
    }

    /// With the weight in bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// With the time that loading takes.
    #[must_use]
    pub fn load_time(mut self, load_time: Duration) -> Self {
        self.load_time = load_time;
        self
    }
}

/// A key with what a model makes of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ranked {
    /// The key.
    pub key: Box<str>,
    /// How likely it is asked for next, on the scale of its model: finite, more is likelier.
    pub score: f64,
    /// What its value weighed last; 0 where nobody knows.
    pub bytes: u64,
    /// What loading it took last; zero where nobody knows.
    pub load_time: Duration,
}

/// Says which keys are likely in a context. Used by one task at a time.
pub trait PredictionModel: fmt::Debug + Send {
    /// The name of the kind, such as `context-counts`.
    fn kind(&self) -> &'static str;

    /// Learns from one request. Must not block; costs microseconds in the implementations here.
    fn learn(&mut self, access: &Access<'_>);

    /// How likely the key is asked for next: finite, more is likelier, comparable only between
    /// answers of the same model.
    fn score(&self, key: &str, context: &ModelContext, at: Millis) -> f64;

    /// The `most` keys it knows with the highest scores, the best first; of equal ones the key
    /// that sorts first. Costs one score for every key known.
    fn rank(&self, context: &ModelContext, at: Millis, most: usize) -> Vec<Ranked>;

    /// A model with the same parameters that has learned nothing.
    fn fresh(&self) -> Box<dyn PredictionModel>;

    /// What [`decode_model`] makes the model of again.
    ///
    /// # Errors
    /// Of kind [`Unsupported`](cache_enterprise_core::ErrorKind::Unsupported) for models that are
    /// kept elsewhere.
    fn payload(&self) -> Result<Vec<u8>>;
}

/// The keys worth warming first: by expected load time saved per byte, as long as `bytes_max` is
/// not exceeded. What nobody measured counts as one microsecond and one byte, like for all. What
/// scores below zero comes after all that does not; what loads slowly and weighs little is nearest.
///
/// ```
/// use std::time::Duration;
///
/// use cache_enterprise_strategies::predict::model::{
///     Access, ContextCounts, CountsLimits, ModelContext, PredictionModel, worth_warming,
/// };
///
/// let mut model = ContextCounts::new(CountsLimits::default())?;
/// let anywhere = ModelContext::default();
/// for at in 0..10 {
///     model.learn(&Access::new("small", &anywhere, at).bytes(100));
///     model.learn(&Access::new("huge", &anywhere, at).bytes(1_000_000));
/// }
/// let plan = worth_warming(model.rank(&anywhere, 10, 2), 10_000);
/// assert_eq!(plan.len(), 1);
/// assert_eq!(&*plan[0].key, "small");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub fn worth_warming(mut ranked: Vec<Ranked>, bytes_max: u64) -> Vec<Ranked> {
    let worth = |ranked: &Ranked| {
        let saved = ranked.load_time.as_micros().max(1) as f64 / ranked.bytes.max(1) as f64;
        // The better of two below zero is the smaller number: a product would turn them round.
        if ranked.score < 0.0 { ranked.score / saved } else { ranked.score * saved }
    };
    ranked.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then_with(|| a.key.cmp(&b.key)));
    let mut left = bytes_max;
    ranked.retain(|ranked| match left.checked_sub(ranked.bytes) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    ranked
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn scores_below_zero_are_warmed_in_the_same_order_as_those_above() {
        let ranked = |key: &str, score, bytes, micros| Ranked {
            key: key.into(),
            score,
            bytes,
            load_time: Duration::from_micros(micros),
        };
        for scores in [[3.0, 2.0, 1.0], [-1.0, -2.0, -3.0], [1.0, 0.0, -1.0]] {
            let alike = [("c", scores[2]), ("a", scores[0]), ("b", scores[1])];
            let alike = alike.map(|(key, score)| ranked(key, score, 100, 500));
            let plan = worth_warming(alike.into(), 1_000);
            let keys: Vec<_> = plan.iter().map(|ranked| &*ranked.key).collect();
            assert_eq!(keys, ["a", "b", "c"], "{scores:?}");
        }
        for score in [2.0, -2.0] {
            let heavy = ranked("heavy", score, 1_000, 500);
            let light = ranked("light", score, 10, 500);
            let slow = ranked("slow", score, 10, 5_000);
            let plan = worth_warming(vec![heavy, light, slow], 10_000);
            let keys: Vec<_> = plan.iter().map(|ranked| &*ranked.key).collect();
            assert_eq!(keys, ["slow", "light", "heavy"], "{score}");
        }
    }

    #[test]
    fn contexts_are_checked() {
        let long = "x".repeat(129);
        assert!(ModelContext::new([("a", "1"), ("a", "2")]).is_err());
        assert!(ModelContext::new([("", "1")]).is_err());
        assert!(ModelContext::new([("a", long.as_str())]).is_err());
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        assert!(ModelContext::new(names.map(|name| (name, ""))).is_err());
        let pairs = ModelContext::new([("b", "2"), ("a", "1")]).unwrap();
        assert_eq!(pairs.pairs().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_ne!(pairs.cell, ModelContext::default().cell);
    }
}
