//! Options and where each came from: manager, spec, then call; the nearest wins.

use std::fmt;
use std::time::Duration;

use cache_enterprise_core::{Priority, mins, secs};

/// How long an entry lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Fresh for so long after it was made.
    For(Duration),
    /// Until it is removed, invalidated or evicted.
    Forever,
}

impl Life {
    /// The duration, when there is one.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::For(duration) => Some(duration),
            Self::Forever => None,
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(duration) => write!(f, "{duration:?}"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// Options of a manager, a spec or a call; what is not set is asked one step further out.
///
/// ```
/// use cache_enterprise_engine::{Life, Options};
/// use std::time::Duration;
///
/// let spec = Options { ttl: Some(Life::Forever), ..Options::NONE };
/// let call = Options { ttl: Some(Life::For(Duration::from_secs(1))), ..Options::NONE };
/// assert_eq!(call.over(spec).ttl, Some(Life::For(Duration::from_secs(1))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Life of an entry at every level. No default: a cache without one does not open.
    pub ttl: Option<Life>,
    /// Longest life of a copy in level 1. Default: 60 s when a tier is shared with other
    /// processes and no bus says what they changed; else the entry's own life.
    pub l1_ttl: Option<Duration>,
    /// Share of the life that is added at random, once per write. Default: 0.05.
    pub jitter: Option<f32>,
    /// How long an absent value is remembered by `get_opt_with`. Default: 30 s.
    pub negative_ttl: Option<Duration>,
    /// How long past its life a value is kept to answer when its own load fails. Default: none.
    pub stale_if_error: Option<Duration>,
    /// An entry not read for this long expires in level 1. Default: none.
    pub idle: Option<Duration>,
    /// How much an entry wants to stay in level 1. Default: [`Priority::Normal`].
    pub priority: Option<Priority>,
    /// Longest a load may take before its caller gives up. Default: 30 s.
    pub hard_timeout: Option<Duration>,
    /// How long a loader may be woken and not polled before a waiter takes over. Default: 1 s.
    pub takeover_after: Option<Duration>,
}

impl Options {
    /// Nothing set.
    pub const NONE: Self = Self {
        ttl: None,
        l1_ttl: None,
        jitter: None,
        negative_ttl: None,
        stale_if_error: None,
        idle: None,
        priority: None,
        hard_timeout: None,
        takeover_after: None,
    };

    /// These options where set, else those of `outer`.
    #[must_use]
    pub fn over(self, outer: Self) -> Self {
        Self {
            ttl: self.ttl.or(outer.ttl),
            l1_ttl: self.l1_ttl.or(outer.l1_ttl),
            jitter: self.jitter.or(outer.jitter),
            negative_ttl: self.negative_ttl.or(outer.negative_ttl),
            stale_if_error: self.stale_if_error.or(outer.stale_if_error),
            idle: self.idle.or(outer.idle),
            priority: self.priority.or(outer.priority),
            hard_timeout: self.hard_timeout.or(outer.hard_timeout),
            takeover_after: self.takeover_after.or(outer.takeover_after),
        }
    }

    pub(crate) fn jitter_or_default(&self) -> f32 {
        self.jitter.unwrap_or(0.05).clamp(0.0, 1.0)
    }

    pub(crate) fn negative_ttl_or_default(&self) -> Duration {
        self.negative_ttl.unwrap_or(secs(30))
    }

    pub(crate) fn hard_timeout_or_default(&self) -> Duration {
        self.hard_timeout.unwrap_or(secs(30))
    }

    pub(crate) fn takeover_after_or_default(&self) -> Duration {
        self.takeover_after.unwrap_or(secs(1))
    }
}

/// Longest life of a level 1 copy when other processes may change the tier unheard.
pub(crate) const L1_TTL_UNHEARD: Duration = mins(1);

/// Where an option's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The manager's builder or its settings.
    Manager,
    /// The cache's spec.
    Spec,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Manager => "manager",
            Self::Spec => "spec",
        })
    }
}

/// An option in force: its name, its value as text, and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveOption {
    /// Name of the option.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
}

/// The options in force for a cache, with the origin of each.
pub(crate) fn effective(spec: &Options, manager: &Options) -> Vec<EffectiveOption> {
    let mut rows = Vec::new();
    let mut row = |name, spec: Option<String>, manager: Option<String>, default: &str| {
        let (value, origin) = match (spec, manager) {
            (Some(value), _) => (value, Origin::Spec),
            (None, Some(value)) => (value, Origin::Manager),
            (None, None) => (default.to_owned(), Origin::Default),
        };
        rows.push(EffectiveOption { name, value, origin });
    };
    let time = |value: Option<Duration>| value.map(|value| format!("{value:?}"));
    row("ttl", spec.ttl.map(|v| v.to_string()), manager.ttl.map(|v| v.to_string()), "unset");
    row("l1_ttl", time(spec.l1_ttl), time(manager.l1_ttl), "the entry's life");
    let share = |value: Option<f32>| value.map(|value| value.to_string());
    row("jitter", share(spec.jitter), share(manager.jitter), "0.05");
    row("negative_ttl", time(spec.negative_ttl), time(manager.negative_ttl), "30s");
    row("stale_if_error", time(spec.stale_if_error), time(manager.stale_if_error), "off");
    row("idle", time(spec.idle), time(manager.idle), "off");
    let priority = |value: Option<Priority>| value.map(|value| format!("{value:?}"));
    row("priority", priority(spec.priority), priority(manager.priority), "Normal");
    row("hard_timeout", time(spec.hard_timeout), time(manager.hard_timeout), "30s");
    row("takeover_after", time(spec.takeover_after), time(manager.takeover_after), "1s");
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_wins_and_says_where_it_came_from() {
        let manager = Options { jitter: Some(0.0), idle: Some(secs(9)), ..Options::NONE };
        let spec = Options { ttl: Some(Life::Forever), idle: Some(secs(1)), ..Options::NONE };
        let rows = effective(&spec, &manager);
        let find = |name| rows.iter().find(|row| row.name == name).map(|r| (&*r.value, r.origin));
        assert_eq!(find("ttl"), Some(("forever", Origin::Spec)));
        assert_eq!(find("idle"), Some(("1s", Origin::Spec)));
        assert_eq!(find("jitter"), Some(("0", Origin::Manager)));
        assert_eq!(find("hard_timeout"), Some(("30s", Origin::Default)));
        assert_eq!(spec.over(manager).idle, Some(secs(1)));
    }
}
