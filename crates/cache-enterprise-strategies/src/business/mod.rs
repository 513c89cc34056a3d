//! A table of rules that says what an entry is worth to the business, for how long, and in which
//! class it stands.

mod glob;

pub use glob::Glob;

use std::time::Duration;

use cache_enterprise_core::{Candidate, Error, Result};

use crate::eviction::BusinessPriority;
use crate::{CacheStrategy, StrategyContext};

/// What a class of entries is worth, and the share of the capacity it keeps.
///
/// ```
/// use cache_enterprise_core::Error;
/// use cache_enterprise_strategies::business::PriorityClass;
///
/// let gold = PriorityClass::new("gold", 8.0)?.floor(0.4)?;
/// assert_eq!(gold.name(), "gold");
/// assert!(PriorityClass::new("free", 0.0).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PriorityClass {
    name: String,
    worth: f32,
    floor: Option<f64>,
}

impl PriorityClass {
    /// A class whose entries are worth so many times a normal one, 0.001 to 1000.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn new(name: impl Into<String>, worth: f32) -> Result<Self> {
        let worth = factor("worth", worth)?;
        Ok(Self { name: name.into(), worth, floor: None })
    }

    /// The share of the capacity that other classes cannot take from this one, 0.001 to 1.
    /// Default: none.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn floor(mut self, share: f64) -> Result<Self> {
        if !(0.001..=1.0).contains(&share) {
            return Err(refused("a floor is a share of the capacity, 0.001 to 1"));
        }
        self.floor = Some(share);
        Ok(self)
    }

    /// The name that rules use.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// One line of the table. What it does not name matches everything.
///
/// ```
/// use std::time::Duration;
///
/// use cache_enterprise_core::Error;
/// use cache_enterprise_strategies::business::BusinessRule;
///
/// let rule = BusinessRule::class("gold")
///     .key("invoice:*")?
///     .data_type("invoice")
///     .ttl(Duration::from_secs(3600))?
///     .cost(2.5)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BusinessRule {
    class: String,
    key: Option<Glob>,
    data_type: Option<String>,
    ttl: Option<Duration>,
    cost: f32,
}

impl BusinessRule {
    /// A rule that puts entries into a class.
    pub fn class(name: impl Into<String>) -> Self {
        Self { class: name.into(), key: None, data_type: None, ttl: None, cost: 1.0 }
    }

    /// For keys that match this [`Glob`]. Default: all.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) if the pattern cannot be read.
    pub fn key(mut self, pattern: &str) -> Result<Self> {
        self.key = Some(Glob::new(pattern)?);
        Ok(self)
    }

    /// For this type of data. Default: all, and entries without one.
    #[must_use]
    pub fn data_type(mut self, name: impl Into<String>) -> Self {
        self.data_type = Some(name.into());
        self
    }

    /// How long the entry lives. Default: as the cache says.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) for no time at all.
    pub fn ttl(mut self, life: Duration) -> Result<Self> {
        if life.is_zero() {
            return Err(refused("the life of a rule is longer than zero"));
        }
        self.ttl = Some(life);
        Ok(self)
    }

    /// What making the value costs, as a multiple of the usual, 0.001 to 1000: the worth of the
    /// class is multiplied by it. Default: 1.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn cost(mut self, cost: f32) -> Result<Self> {
        self.cost = factor("cost", cost)?;
        Ok(self)
    }

    fn matches(&self, key: &str, data_type: Option<&str>) -> bool {
        self.key.as_ref().is_none_or(|glob| glob.matches(key))
            && self.data_type.as_deref().is_none_or(|own| data_type == Some(own))
    }
}

/// What the table says of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The worth of the class times the cost of the rule; 1 where no rule matched.
    pub worth: f32,
    /// The number of the class, from 1 in the order of the table; 0 where no rule matched.
    pub class: u8,
    /// How long the entry lives; nothing where the cache decides.
    pub ttl: Option<Duration>,
}

impl Judgement {
    /// Of an entry that no rule speaks of.
    pub const NORMAL: Self = Self { worth: 1.0, class: 0, ttl: None };

    /// The candidate with this worth and class.
    #[must_use]
    pub fn apply(&self, candidate: Candidate) -> Candidate {
        candidate.worth(self.worth, self.class)
    }
}

/// The table: classes, and rules of which the first that matches decides.
///
/// [`judge`](Self::judge) takes one look at each rule up to the one that matches.
///
/// ```
/// use std::time::Duration;
///
/// use cache_enterprise_core::{Candidate, Error};
/// use cache_enterprise_strategies::business::{BusinessRule, BusinessRules, PriorityClass};
///
/// let rules = BusinessRules::new(
///     [PriorityClass::new("gold", 8.0)?.floor(0.4)?, PriorityClass::new("bulk", 0.25)?],
///     [
///         BusinessRule::class("gold").key("invoice:*")?.cost(2.0)?,
///         BusinessRule::class("bulk").data_type("report").ttl(Duration::from_secs(60))?,
///     ],
/// )?;
/// let invoice = rules.judge("invoice:7", None);
/// assert_eq!((invoice.worth, invoice.class, invoice.ttl), (16.0, 1, None));
/// assert_eq!(invoice.apply(Candidate::new(7, 1)).worth, 16.0);
/// assert_eq!(rules.judge("daily", Some("report")).ttl, Some(Duration::from_secs(60)));
/// let policy = rules.policy();
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BusinessRules {
    classes: Vec<PriorityClass>,
    rules: Vec<(BusinessRule, Judgement)>,
    policy: BusinessPriority,
}

impl BusinessRules {
    /// At most 255 classes, each named once, and rules that name them.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) with more classes, two of one name, a
    /// rule of an unknown class (the known ones are listed), or floors of over 1 together.
    pub fn new(
        classes: impl IntoIterator<Item = PriorityClass>,
        rules: impl IntoIterator<Item = BusinessRule>,
    ) -> Result<Self> {
        let classes: Vec<_> = classes.into_iter().take(usize::from(u8::MAX) + 1).collect();
        if classes.len() > usize::from(u8::MAX) {
            return Err(refused("a table has at most 255 classes"));
        }
        let mut policy = BusinessPriority::default();
        for (at, class) in classes.iter().enumerate() {
            if classes[..at].iter().any(|other| other.name == class.name) {
                return Err(refused("two classes have one name").with("class", &class.name));
            }
            if let Some(floor) = class.floor {
                policy = policy.floor(at as u8 + 1, floor)?;
            }
        }
        let rules = rules.into_iter().map(|rule| {
            let at = classes.iter().position(|class| class.name == rule.class);
            let Some(at) = at else {
                let known: Vec<_> = classes.iter().map(PriorityClass::name).collect();
                return Err(refused("a rule names an unknown class")
                    .with("class", &rule.class)
                    .with("known", known.join(", ")));
            };
            let worth = classes[at].worth * rule.cost;
            let judgement = Judgement { worth, class: at as u8 + 1, ttl: rule.ttl };
            Ok((rule, judgement))
        });
        let rules = rules.collect::<Result<_>>()?;
        Ok(Self { classes, rules, policy })
    }

    /// What the first rule that matches says.
    pub fn judge(&self, key: &str, data_type: Option<&str>) -> Judgement {
        let rule = self.rules.iter().find(|(rule, _)| rule.matches(key, data_type));
        rule.map_or(Judgement::NORMAL, |(_, judgement)| *judgement)
    }

    /// The policy that keeps the floors of the classes.
    pub fn policy(&self) -> BusinessPriority {
        self.policy.clone()
    }

    /// The name of a class by its number; nothing for 0 and for numbers beyond the table.
    pub fn class_name(&self, class: u8) -> Option<&str> {
        let at = usize::from(class).checked_sub(1)?;
        self.classes.get(at).map(PriorityClass::name)
    }
}

/// The table as the strategy of values on their way in: it gives life, worth and class, and lets
/// everything in.
impl CacheStrategy for BusinessRules {
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        self.judge(context.key, context.data_type).ttl
    }

    fn score(&self, context: &StrategyContext<'_>) -> f64 {
        self.judge(context.key, context.data_type).worth.into()
    }

    fn class(&self, context: &StrategyContext<'_>) -> u8 {
        self.judge(context.key, context.data_type).class
    }
}

fn factor(name: &'static str, value: f32) -> Result<f32> {
    if (0.001..=1000.0).contains(&value) {
        return Ok(value);
    }
    let given = match value {
        value if value.is_nan() => "NaN",
        0.0 => "zero",
        value if value < 0.0 => "negative",
        _ => "out of range",
    };
    Err(refused("a factor is outside of its range")
        .with("parameter", name)
        .with("given", given)
        .with("range", "0.001 to 1000"))
}

fn refused(rule: &'static str) -> Error {
    Error::config(rule).operation("read the rules of the business")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, worth: f32, floor: f64) -> PriorityClass {
        let class = PriorityClass::new(name, worth).expect("the worth is in range");
        class.floor(floor).expect("the floor is in range")
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = BusinessRules::new(
            [class("live", 10.0, 0.5), class("back", 0.5, 0.1)],
            [
                BusinessRule::class("back").key("playlist:old:*").expect("a pattern"),
                BusinessRule::class("live").key("playlist:*").expect("a pattern"),
                BusinessRule::class("live")
                    .data_type("session")
                    .ttl(Duration::from_secs(1_800))
                    .and_then(|rule| rule.cost(3.0))
                    .expect("life and cost are in range"),
            ],
        )
        .expect("the table is whole");
        for (key, data_type, worth, number, ttl) in [
            ("playlist:old:1", None, 0.5, 2, None),
            ("playlist:1", None, 10.0, 1, None),
            ("playlist:1", Some("session"), 10.0, 1, None),
            ("user:1", Some("session"), 30.0, 1, Some(1_800)),
            ("user:1", Some("feed"), 1.0, 0, None),
        ] {
            let ttl = ttl.map(Duration::from_secs);
            assert_eq!(
                rules.judge(key, data_type),
                Judgement { worth, class: number, ttl },
                "{key}"
            );
        }
        assert_eq!((rules.class_name(2), rules.class_name(0)), (Some("back"), None));
    }

    #[test]
    fn the_table_is_a_strategy_of_worth_class_and_life() {
        let rules = BusinessRules::new(
            [class("live", 10.0, 0.5)],
            [BusinessRule::class("live")
                .data_type("session")
                .ttl(Duration::from_secs(60))
                .expect("a life")],
        )
        .expect("the table is whole");
        let session = StrategyContext::new("k").data_type("session");
        assert_eq!((rules.score(&session), rules.class(&session)), (10.0, 1));
        assert_eq!(rules.ttl(&session), Some(Duration::from_secs(60)));
        let other = StrategyContext::new("k");
        assert_eq!((rules.score(&other), rules.class(&other)), (1.0, 0));
        assert!(rules.should_cache(&other) && rules.ttl(&other).is_none());
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        let twice = BusinessRules::new([class("a", 1.0, 0.1), class("a", 2.0, 0.1)], []);
        assert!(twice.expect_err("one name twice").to_string().contains("(class: a)"));
        let unknown = BusinessRules::new([class("a", 1.0, 0.1)], [BusinessRule::class("b")]);
        let text = unknown.expect_err("no such class").to_string();
        assert!(text.contains("class: b, known: a"), "{text}");
        assert!(BusinessRules::new([class("a", 1.0, 0.6), class("b", 1.0, 0.5)], []).is_err());
        let many = (0..256).map(|at| PriorityClass::new(at.to_string(), 1.0).expect("a worth"));
        assert!(BusinessRules::new(many, []).is_err());
        for value in [f32::NAN, 0.0, -1.0, f32::INFINITY, 1001.0] {
            assert!(PriorityClass::new("a", value).is_err());
            assert!(BusinessRule::class("a").cost(value).is_err());
            assert!(class("a", 1.0, 0.1).floor(f64::from(value)).is_err());
        }
        assert!(BusinessRule::class("a").ttl(Duration::ZERO).is_err());
    }
}
