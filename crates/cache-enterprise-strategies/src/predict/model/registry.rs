//! Models by name: a champion that ranks, a challenger that may replace it.
//!
//! Before a model learns from a request it is asked to tell the key from one requested lately: a
//! loss of 0, 1/2 or 1. So every score is of requests the model had not seen, and models of any
//! kind are compared on one scale. By pure popularity the score is about a half.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache_enterprise_core::sync::{Mutex, RwLock};
use cache_enterprise_core::{Error, Millis, Result, check_name};

use super::{
    Access, ModelContext, PageHinkley, PredictionModel, Ranked, decode_model, encode_model,
};
use crate::{bounds, hash};

/// Requests kept to draw others from.
const RECENT: usize = 512;
/// A score is a mean over about so many requests.
const SCORE_SPAN: f64 = 4_000.0;

/// When a challenger takes over, and when a model is not to be trusted.
///
/// ```
/// use cache_enterprise_strategies::predict::model::ModelRules;
///
/// assert_eq!(ModelRules::default().min_data_points, 1_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelRules {
    /// A challenger is judged, and a champion trusted, after so many requests. The default is
    /// 1 000.
    pub min_data_points: u64,
    /// By how much its score must be above the champion's. The default is 0.01.
    pub margin: f64,
    /// Below this score a champion is not trusted. The default is 0.
    pub accuracy_min: f64,
    /// Tolerance of the [`PageHinkley`] test of the champion's losses. The default is 0.05.
    pub drift_tolerance: f64,
    /// Threshold of that test. The default is 25.
    pub drift_threshold: f64,
}

impl Default for ModelRules {
    fn default() -> Self {
        Self {
            min_data_points: 1_000,
            margin: 0.01,
            accuracy_min: 0.0,
            drift_tolerance: 0.05,
            drift_threshold: 25.0,
        }
    }
}

/// Something that happened to a named model, for logs and audits.
///
/// ```
/// use cache_enterprise_strategies::predict::model::ModelEvent;
///
/// let event = ModelEvent::Promoted { from: 1, to: 2 };
/// assert_eq!(format!("{event:?}"), "Promoted { from: 1, to: 2 }");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelEvent {
    /// The challenger proved better; the champion is the challenger now.
    Promoted {
        /// Version of the champion so far.
        from: u32,
        /// Version of the champion now.
        to: u32,
    },
    /// The champion's losses have risen. Without a challenger, one of its kind starts from nothing.
    Drifted {
        /// Version of the champion.
        version: u32,
        /// Version of the challenger there is now.
        challenger: u32,
    },
}

/// One version of a named model.
///
/// [`ModelReport`] has an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VersionReport {
    /// Counts from 1 under each name.
    pub version: u32,
    /// The kind, such as `context-counts`.
    pub kind: &'static str,
    /// In which share of requests it told the key from another: 1 is perfect, 0.5 is chance.
    pub score: f64,
    /// Requests it was scored on.
    pub scored: u64,
}

/// What is known of a name.
///
/// ```
/// use cache_enterprise_strategies::predict::model::{
///     ContextCounts, CountsLimits, ModelRegistry, ModelRules,
/// };
///
/// let registry = ModelRegistry::new(ModelRules::default())?;
/// registry.register("popularity", Box::new(ContextCounts::new(CountsLimits::default())?))?;
/// let report = registry.report("popularity")?;
/// assert_eq!((report.champion.version, report.is_trusted), (1, false));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelReport {
    /// Who ranks.
    pub champion: VersionReport,
    /// Who may replace it.
    pub challenger: Option<VersionReport>,
    /// Whether the champion has seen enough and scores well enough for its answers to be used.
    pub is_trusted: bool,
    /// How often the champion's losses have risen.
    pub drifts: u64,
}

#[derive(Debug)]
struct Version {
    number: u32,
    model: Box<dyn PredictionModel>,
    score: f64,
    scored: u64,
}

#[derive(Debug)]
struct Named {
    champion: Version,
    challenger: Option<Version>,
    /// Requests learned when the next promotion may come: after one, or a rollback, both are
    /// compared for a while.
    settled_until: u64,
    /// The version that a person rolled back: evidence does not promote it.
    barred: Option<u32>,
    learned: u64,
    last_number: u32,
    recent: Vec<Box<str>>,
    drift: PageHinkley,
    drifts: u64,
}

/// The models that callers name. Learning and ranking lock one name; a ranking costs as much as its
/// model's.
///
/// ```
/// use cache_enterprise_strategies::predict::model::{
///     Access, ContextCounts, CountsLimits, ModelContext, ModelRegistry, ModelRules,
/// };
///
/// let registry = ModelRegistry::new(ModelRules::default())?;
/// let model = ContextCounts::new(CountsLimits::default())?;
/// registry.register("track_popularity_v2", Box::new(model))?;
/// let friday = ModelContext::new([("time", "friday_evening"), ("region", "EU")])?;
/// registry.learn("track_popularity_v2", &Access::new("track:1", &friday, 0))?;
/// let warm = registry.rank("track_popularity_v2", &friday, 1, 10)?;
/// assert_eq!(&*warm[0].key, "track:1");
/// let error = registry.rank("track_popularity_v3", &friday, 1, 10).expect_err("no such model");
/// assert!(error.to_string().contains("known: track_popularity_v2"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ModelRegistry {
    rules: ModelRules,
    by_name: RwLock<BTreeMap<Box<str>, Arc<Mutex<Named>>>>,
}

impl ModelRegistry {
    /// No models under these rules.
    ///
    /// # Errors
    /// When `min_data_points` does not lie in 1 to 10^9, `margin` not in 0 to 0.5, `accuracy_min`
    /// not in 0 to 1, or a parameter of the drift test is out of its range.
    pub fn new(rules: ModelRules) -> Result<Self> {
        bounds::within("min_data_points", rules.min_data_points, 1..=1_000_000_000)?;
        bounds::within("margin", rules.margin, 0.0..=0.5)?;
        bounds::within("accuracy_min", rules.accuracy_min, 0.0..=1.0)?;
        PageHinkley::new(rules.drift_tolerance, rules.drift_threshold)?;
        Ok(Self { rules, by_name: RwLock::default() })
    }

    /// Adds a model under `name` and gives its version: the champion if it is the first, else the
    /// challenger, in place of the one there was.
    ///
    /// # Errors
    /// When the name breaks the rules of [`check_name`].
    pub fn register(&self, name: &str, model: Box<dyn PredictionModel>) -> Result<u32> {
        check_name("model", name)?;
        let mut by_name = self.by_name.write();
        if let Some(named) = by_name.get(name) {
            return Ok(named.lock().challenge(model));
        }
        let named = Named {
            champion: Version { number: 1, model, score: 0.5, scored: 0 },
            challenger: None,
            settled_until: 0,
            barred: None,
            learned: 0,
            last_number: 1,
            recent: Vec::new(),
            drift: PageHinkley::new(self.rules.drift_tolerance, self.rules.drift_threshold)
                .expect("the rules were checked"),
            drifts: 0,
        };
        by_name.insert(name.into(), Arc::new(Mutex::new(named)));
        Ok(1)
    }

    /// Scores champion and challenger on a request, then lets both learn from it.
    ///
    /// # Errors
    /// When there is no model of this name; the error lists those there are.
    pub fn learn(&self, name: &str, access: &Access<'_>) -> Result<Option<ModelEvent>> {
        let named = self.named(name)?;
        let event = named.lock().learn(access, &self.rules);
        Ok(event)
    }

    /// The champion's ranking; [`PredictionModel::rank`] says how.
    ///
    /// # Errors
    /// When there is no model of this name; the error lists those there are.
    pub fn rank(
        &self,
        name: &str,
        context: &ModelContext,
        at: Millis,
        most: usize,
    ) -> Result<Vec<Ranked>> {
        Ok(self.named(name)?.lock().champion.model.rank(context, at, most))
    }

    /// Makes the challenger champion and the champion challenger, whatever their scores, such as
    /// after a promotion that a person wants undone. Gives the version of the champion.
    ///
    /// The one that was champion stays challenger whatever its score, until it is rolled back to
    /// or another is [registered](Self::register) in its place.
    ///
    /// # Errors
    /// When there is no model of this name or it has no challenger.
    pub fn roll_back(&self, name: &str) -> Result<u32> {
        let named = self.named(name)?;
        let mut named = named.lock();
        let from = named.champion.number;
        if named.swap(&self.rules).is_none() {
            return Err(
                Error::invalid("there is no other version to go back to").with("model", name)
            );
        }
        named.barred = Some(from);
        Ok(named.champion.number)
    }

    /// Champion and challenger with their scores.
    ///
    /// # Errors
    /// When there is no model of this name; the error lists those there are.
    pub fn report(&self, name: &str) -> Result<ModelReport> {
        let named = self.named(name)?;
        let named = named.lock();
        let champion = named.champion.report();
        Ok(ModelReport {
            is_trusted: champion.scored >= self.rules.min_data_points
                && champion.score >= self.rules.accuracy_min,
            challenger: named.challenger.as_ref().map(Version::report),
            champion,
            drifts: named.drifts,
        })
    }

    /// The champion as [`encode_model`] writes it.
    ///
    /// # Errors
    /// When there is no model of this name, or it is kept elsewhere.
    pub fn save(&self, name: &str) -> Result<Vec<u8>> {
        encode_model(&*self.named(name)?.lock().champion.model)
    }

    /// [Registers](Self::register) the model that these bytes are.
    ///
    /// # Errors
    /// Those of [`decode_model`] and of [`register`](Self::register); nothing has changed then.
    pub fn load(&self, name: &str, bytes: &[u8]) -> Result<u32> {
        self.register(name, decode_model(bytes)?)
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.by_name.read().keys().map(|name| name.to_string()).collect()
    }

    fn named(&self, name: &str) -> Result<Arc<Mutex<Named>>> {
        if let Some(found) = self.by_name.read().get(name) {
            return Ok(Arc::clone(found));
        }
        let known = self.names();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let unknown = Error::config("there is no model of this name");
        Err(unknown.with("model", name).with("known", known))
    }
}

impl Named {
    fn challenge(&mut self, model: Box<dyn PredictionModel>) -> u32 {
        self.last_number += 1;
        let number = self.last_number;
        self.challenger = Some(Version { number, model, score: 0.5, scored: 0 });
        number
    }

    fn learn(&mut self, access: &Access<'_>, rules: &ModelRules) -> Option<ModelEvent> {
        self.learned += 1;
        let drawn = hash::mix(self.learned) as usize % RECENT;
        let other = self.recent.get(drawn).filter(|other| &***other != access.key);
        let loss = other.map(|other| self.champion.judge(access, other));
        if let (Some(challenger), Some(other)) = (&mut self.challenger, other) {
            challenger.judge(access, other);
        }
        self.champion.model.learn(access);
        if let Some(challenger) = &mut self.challenger {
            challenger.model.learn(access);
        }
        // In a ring, so that what is drawn was asked for lately.
        if self.recent.len() < RECENT {
            self.recent.push(access.key.into());
        } else {
            self.recent[self.learned as usize % RECENT] = access.key.into();
        }
        self.promote(rules).or_else(|| self.watch(loss?))
    }

    fn promote(&mut self, rules: &ModelRules) -> Option<ModelEvent> {
        let challenger = self.challenger.as_ref()?;
        let is_known = challenger.scored >= rules.min_data_points;
        let is_better = challenger.score > self.champion.score + rules.margin;
        let is_barred = self.barred == Some(challenger.number);
        if is_barred || !is_known || !is_better || self.learned < self.settled_until {
            return None;
        }
        let from = self.champion.number;
        self.swap(rules)?;
        Some(ModelEvent::Promoted { from, to: self.champion.number })
    }

    fn swap(&mut self, rules: &ModelRules) -> Option<()> {
        let challenger = self.challenger.as_mut()?;
        std::mem::swap(&mut self.champion, challenger);
        self.settled_until = self.learned + rules.min_data_points;
        self.drift.restart();
        Some(())
    }

    fn watch(&mut self, loss: f64) -> Option<ModelEvent> {
        if !self.drift.observe(loss) {
            return None;
        }
        self.drifts += 1;
        let challenger = match &self.challenger {
            Some(challenger) => challenger.number,
            None => self.challenge(self.champion.model.fresh()),
        };
        Some(ModelEvent::Drifted { version: self.champion.number, challenger })
    }
}

impl Version {
    /// The loss at telling the key from another, taken into the score.
    fn judge(&mut self, access: &Access<'_>, other: &str) -> f64 {
        let score = |key| self.model.score(key, access.context, access.at);
        let loss = match score(access.key).partial_cmp(&score(other)) {
            Some(std::cmp::Ordering::Greater) => 0.0,
            Some(std::cmp::Ordering::Less) => 1.0,
            _ => 0.5,
        };
        self.scored += 1;
        self.score += (1.0 - loss - self.score) / (self.scored as f64).min(SCORE_SPAN);
        loss
    }

    fn report(&self) -> VersionReport {
        VersionReport {
            version: self.number,
            kind: self.model.kind(),
            score: self.score,
            scored: self.scored,
        }
    }
}
