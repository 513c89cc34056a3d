//! Models trained elsewhere: the operator supplies the inference, we supply the features.

use std::fmt;

use cache_enterprise_core::{Error, ErrorKind, Millis, Result, days};

use super::candidates::{Candidate, Candidates};
use super::{Access, ModelContext, PredictionModel, Ranked};
use crate::{bounds, hash};

/// What a supplied model may be given. All are finite.
///
/// ```
/// use cache_enterprise_strategies::predict::model::Feature;
///
/// assert_eq!(Feature::named("log_count")?, Feature::LogCount);
/// assert!(Feature::named("shoe_size").is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// `log_count`: base-2 logarithm of one more than the count, which halves each day.
    LogCount,
    /// `log_idle_ms`: base-2 logarithm of one more than the milliseconds since the last request.
    LogIdleMs,
    /// `log_bytes`: base-2 logarithm of one more than the weight in bytes.
    LogBytes,
    /// `log_load_micros`: base-2 logarithm of one more than the microseconds a load takes.
    LogLoadMicros,
    /// `key_hash`: a hash of the key as a number from 0 to below 1.
    KeyHash,
    /// `context_hash`: a hash of the context as a number from 0 to below 1.
    ContextHash,
}

impl Feature {
    const ALL: [(&str, Self); 6] = [
        ("log_count", Self::LogCount),
        ("log_idle_ms", Self::LogIdleMs),
        ("log_bytes", Self::LogBytes),
        ("log_load_micros", Self::LogLoadMicros),
        ("key_hash", Self::KeyHash),
        ("context_hash", Self::ContextHash),
    ];

    /// The feature of this name.
    ///
    /// # Errors
    /// When there is none; the error lists those there are.
    pub fn named(name: &str) -> Result<Self> {
        if let Some((_, feature)) = Self::ALL.iter().find(|(known, _)| *known == name) {
            return Ok(*feature);
        }
        let known = Self::ALL.map(|(known, _)| known).join(", ");
        Err(Error::config("there is no feature of this name")
            .with("feature", name)
            .with("known", known))
    }
}

/// Runs a model that was trained elsewhere.
///
/// ```
/// use cache_enterprise_strategies::predict::model::Inference;
///
/// /// Fresh and frequent is good.
/// #[derive(Debug)]
/// struct Linear([f32; 2]);
///
/// impl Inference for Linear {
///     fn inputs(&self) -> usize {
///         2
///     }
///
///     fn infer(&self, inputs: &[f32]) -> Option<f64> {
///         Some(inputs.iter().zip(self.0).map(|(x, w)| f64::from(x * w)).sum())
///     }
/// }
/// # assert_eq!(Linear([1.0, -1.0]).infer(&[3.0, 2.0]), Some(1.0));
/// ```
pub trait Inference: fmt::Debug + Send + Sync + 'static {
    /// How many numbers the model takes.
    fn inputs(&self) -> usize;

    /// The score of one key; nothing if the model could not say.
    fn infer(&self, inputs: &[f32]) -> Option<f64>;

    /// The names of the features it was trained on, in the order of its inputs, where the model
    /// says them: a schema of other names is then refused. Default: it says nothing.
    fn features(&self) -> Option<&[Box<str>]> {
        None
    }
}

/// A supplied model behind a declared schema (`supplied`): the names of its inputs in order. It
/// keeps counts for its features and learns nothing else.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_enterprise_strategies::predict::model::{Inference, PredictionModel, Supplied};
///
/// #[derive(Debug)]
/// struct One;
///
/// impl Inference for One {
///     fn inputs(&self) -> usize {
///         1
///     }
///
///     fn infer(&self, inputs: &[f32]) -> Option<f64> {
///         Some(inputs[0].into())
///     }
/// }
///
/// let model = Supplied::new(Arc::new(One), &["log_count"], 1_000)?;
/// assert_eq!(model.kind(), "supplied");
/// let error = Supplied::new(Arc::new(One), &["log_count", "key_hash"], 1_000);
/// assert!(error.is_err(), "the model takes one input");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Supplied {
    inference: std::sync::Arc<dyn Inference>,
    schema: Box<[Feature]>,
    candidates: Candidates,
    now: Millis,
    keys: usize,
}

impl Supplied {
    /// Ranks up to `keys` keys by what `inference` makes of the features named in `schema`.
    ///
    /// # Errors
    /// When a name is not that of a feature, when the schema has not as many names as the model
    /// has inputs or other names than the model itself says, or when `keys` does not lie in 1 to
    /// 2^22.
    pub fn new(
        inference: std::sync::Arc<dyn Inference>,
        schema: &[&str],
        keys: usize,
    ) -> Result<Self> {
        let keys = bounds::within("keys", keys, 1..=1 << 22)?;
        if schema.len() != inference.inputs() {
            return Err(Error::config("the schema does not fit the model")
                .with("names in the schema", schema.len())
                .with("inputs of the model", inference.inputs()));
        }
        if let Some(own) = inference.features()
            && !own.iter().map(|name| &**name).eq(schema.iter().copied())
        {
            return Err(Error::config(
                "the model was trained on other features, or in another order",
            )
            .with("names in the schema", schema.join(", "))
            .with("names in the model", own.join(", ")));
        }
        let schema = schema.iter().map(|name| Feature::named(name)).collect::<Result<_>>()?;
        let candidates = Candidates::new(keys, days(1).as_millis() as f64);
        Ok(Self { inference, schema, candidates, now: 0, keys })
    }

    fn infer(
        &self,
        key: u64,
        candidate: Option<&Candidate>,
        context: &ModelContext,
        now: Millis,
        inputs: &mut Vec<f32>,
    ) -> f64 {
        let log = |value: f64| (value.max(0.0) + 1.0).log2() as f32;
        let of_key =
            |value: &dyn Fn(&Candidate) -> f64| candidate.map_or(0.0, |known| log(value(known)));
        inputs.clear();
        inputs.extend(self.schema.iter().map(|feature| match feature {
            Feature::LogCount => of_key(&|known| self.candidates.count_of(known, now)),
            Feature::LogIdleMs => of_key(&|known| Candidates::idle_ms(known, now) as f64),
            Feature::LogBytes => of_key(&|known| known.bytes as f64),
            Feature::LogLoadMicros => of_key(&|known| known.load_micros.into()),
            Feature::KeyHash => hash::unit(key) as f32,
            Feature::ContextHash => hash::unit(context.cell) as f32,
        }));
        // What the model cannot say, or says not finitely, ranks last.
        let score = self.inference.infer(inputs).filter(|score| score.is_finite());
        score.unwrap_or(f64::MIN)
    }
}

impl PredictionModel for Supplied {
    fn kind(&self) -> &'static str {
        "supplied"
    }

    fn learn(&mut self, access: &Access<'_>) {
        self.now = self.now.max(access.at);
        self.candidates.count(access, hash::bytes(access.key.as_bytes()));
    }

    fn score(&self, key: &str, context: &ModelContext, at: Millis) -> f64 {
        let key = hash::bytes(key.as_bytes());
        self.infer(key, self.candidates.get(key), context, self.now.max(at), &mut Vec::new())
    }

    fn rank(&self, context: &ModelContext, at: Millis, most: usize) -> Vec<Ranked> {
        let (now, mut inputs) = (self.now.max(at), Vec::new());
        self.candidates.rank(most, |candidate| {
            self.infer(candidate.hash, Some(candidate), context, now, &mut inputs)
        })
    }

    fn fresh(&self) -> Box<dyn PredictionModel> {
        let candidates = Candidates::new(self.keys, days(1).as_millis() as f64);
        Box::new(Self { candidates, now: 0, ..self.clone() })
    }

    fn payload(&self) -> Result<Vec<u8>> {
        Err(Error::new(ErrorKind::Unsupported, "a supplied model is kept by who supplied it"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;

    #[derive(Debug)]
    struct Sum(usize);

    impl Inference for Sum {
        fn inputs(&self) -> usize {
            self.0
        }

        fn infer(&self, inputs: &[f32]) -> Option<f64> {
            let sum: f32 = inputs.iter().sum();
            (sum > 1.5).then(|| sum.into())
        }
    }

    #[test]
    fn a_schema_that_does_not_fit_is_refused() {
        let error = Supplied::new(Arc::new(Sum(2)), &["log_count"], 10).unwrap_err().to_string();
        assert!(error.contains("inputs of the model: 2"), "{error}");
        let error = Supplied::new(Arc::new(Sum(1)), &["age"], 10).unwrap_err().to_string();
        assert!(error.contains("log_idle_ms"), "{error}");
        assert!(Supplied::new(Arc::new(Sum(1)), &["log_count"], 0).is_err());
    }

    #[test]
    fn it_ranks_by_what_it_is_told_and_silence_comes_last() {
        let mut model = Supplied::new(Arc::new(Sum(1)), &["log_count"], 10).unwrap();
        let context = ModelContext::default();
        for at in 0..30 {
            let key = if at % 10 == 0 { "seldom" } else { "often" };
            model.learn(&Access::new(key, &context, at));
        }
        let keys: Vec<_> = model.rank(&context, 30, 5).into_iter().map(|r| r.key).collect();
        assert_eq!(keys, ["often".into(), Box::<str>::from("seldom")]);
        assert_eq!(model.score("unknown", &context, 30), f64::MIN);
        assert_eq!(model.payload().unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(model.fresh().rank(&context, 30, 5).is_empty());
    }
}
