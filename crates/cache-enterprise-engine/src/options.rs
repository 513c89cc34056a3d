//! Options and where each came from: manager, spec, then call; the nearest wins.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Priority, mins, secs};

use crate::policy::{Leases, OnError, OnNoWaiters, Refresh};

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
    /// How long an absent value is remembered by `get_opt_with` and `get_many_with`; zero
    /// remembers none. Default: 30 s.
    pub negative_ttl: Option<Duration>,
    /// How long past its life a value is kept to answer when its own load fails. Default: none.
    pub stale_if_error: Option<Duration>,
    /// How long past its life a value answers at once while an owned loader refreshes it; also
    /// how long it is kept, and answers when its load fails. Default: none.
    pub stale_for: Option<Duration>,
    /// After so long a value past its life answers, while an owned load goes on. Default: none.
    pub soft_timeout: Option<Duration>,
    /// When an owned loader runs again before the fresh life is over. Default:
    /// [`Refresh::Never`].
    pub refresh: Option<Refresh>,
    /// What becomes of a loader's error. Default: [`OnError::Share`].
    pub on_error: Option<OnError>,
    /// What becomes of an owned load that nobody waits for. Default: [`OnNoWaiters::Finish`].
    pub on_no_waiters: Option<OnNoWaiters>,
    /// Which loads one process does for all. Default: [`Leases::Refreshes`].
    pub leases: Option<Leases>,
    /// An entry not read for this long expires in level 1. Default: none.
    pub idle: Option<Duration>,
    /// How much an entry wants to stay in level 1. Default: [`Priority::Normal`].
    pub priority: Option<Priority>,
    /// Longest a load may take before its caller gives up. Default: 30 s.
    pub hard_timeout: Option<Duration>,
    /// How long a loader may be woken and not polled before a waiter takes over. Default: 1 s.
    pub takeover_after: Option<Duration>,
    /// Loaders of one cache that run at once, those of all its tenants together; at least 1. What
    /// comes over it waits, the tenants in turn. Default: no limit.
    pub loads_max: Option<u32>,
    /// How long a load waits for its turn before it is overloaded. Default: 1 s.
    pub loads_wait: Option<Duration>,
}

impl Options {
    /// Nothing set.
    pub const NONE: Self = Self {
        ttl: None,
        l1_ttl: None,
        jitter: None,
        negative_ttl: None,
        stale_if_error: None,
        stale_for: None,
        soft_timeout: None,
        refresh: None,
        on_error: None,
        on_no_waiters: None,
        leases: None,
        idle: None,
        priority: None,
        hard_timeout: None,
        takeover_after: None,
        loads_max: None,
        loads_wait: None,
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
            stale_for: self.stale_for.or(outer.stale_for),
            soft_timeout: self.soft_timeout.or(outer.soft_timeout),
            refresh: self.refresh.or(outer.refresh),
            on_error: self.on_error.or(outer.on_error),
            on_no_waiters: self.on_no_waiters.or(outer.on_no_waiters),
            leases: self.leases.or(outer.leases),
            idle: self.idle.or(outer.idle),
            priority: self.priority.or(outer.priority),
            hard_timeout: self.hard_timeout.or(outer.hard_timeout),
            takeover_after: self.takeover_after.or(outer.takeover_after),
            loads_max: self.loads_max.or(outer.loads_max),
            loads_wait: self.loads_wait.or(outer.loads_wait),
        }
    }

    pub(crate) fn jitter_or_default(&self) -> f32 {
        self.jitter.unwrap_or(0.05).clamp(0.0, 1.0)
    }

    pub(crate) fn negative_ttl_or_default(&self) -> Duration {
        self.negative_ttl.unwrap_or(secs(30))
    }

    /// How long past its life a value may answer when its load fails.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.stale_if_error.max(self.stale_for)
    }

    pub(crate) fn hard_timeout_or_default(&self) -> Duration {
        self.hard_timeout.unwrap_or(secs(30))
    }

    pub(crate) fn takeover_after_or_default(&self) -> Duration {
        self.takeover_after.unwrap_or(secs(1))
    }

    pub(crate) fn loads_wait_or_default(&self) -> Duration {
        self.loads_wait.unwrap_or(secs(1))
    }
}

/// Longest life of a level 1 copy when other processes may change the tier unheard.
pub(crate) const L1_TTL_UNHEARD: Duration = mins(1);

/// Where an option's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The manager's builder.
    Manager,
    /// Settings, and where in them.
    Settings(Arc<str>),
    /// The cache's spec.
    Spec,
    /// A tuner that found that it pays.
    Tuned,
    /// The entry itself: what its own write or load gave it.
    Entry,
}

impl Origin {
    /// Settings that say it at `place`, such as `cache.toml:3:7`.
    pub fn settings(place: impl fmt::Display) -> Self {
        Self::Settings(place.to_string().into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Manager => "manager",
            Self::Settings(place) => return write!(f, "settings, {place}"),
            Self::Spec => "spec",
            Self::Tuned => "tuned",
            Self::Entry => "entry",
        })
    }
}

/// Who set which option of a builder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(Vec<(Cow<'static, str>, Origin)>);

impl Origins {
    /// Notes who set `option`; the later note stands.
    pub(crate) fn note(&mut self, option: impl Into<Cow<'static, str>>, origin: Origin) {
        let option = option.into();
        self.0.retain(|(noted, _)| *noted != option);
        self.0.push((option, origin));
    }

    /// Who set `option`, or the group before its dot.
    pub(crate) fn of(&self, option: &str) -> Option<&Origin> {
        let find = |wanted: &str| self.0.iter().find(|(noted, _)| *noted == wanted);
        let group = || option.split_once('.').and_then(|(group, _)| find(group));
        find(option).or_else(group).map(|(_, origin)| origin)
    }
}

/// An option in force: its name, its value as text, and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveOption {
    /// Name of the option.
    pub name: String,
    /// The value in force; a secret is redacted.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
}

/// The options in force for a cache with this spec, with the origin of each.
pub(crate) fn effective(
    spec: &Options,
    manager: &Options,
    origins: &Origins,
) -> Vec<EffectiveOption> {
    let defaults = OPTIONS.iter().zip(texts(spec)).zip(texts(manager));
    defaults
        .map(|(((name, default), spec), manager)| {
            let (value, origin) = match (spec, manager) {
                (Some(value), _) => (value, Origin::Spec),
                (None, Some(value)) => {
                    (value, origins.of(name).cloned().unwrap_or(Origin::Manager))
                }
                (None, None) => ((*default).to_owned(), Origin::Default),
            };
            EffectiveOption { name: (*name).to_owned(), value, origin }
        })
        .collect()
}

/// Name and default of every option, in the order of [`texts`].
const OPTIONS: [(&str, &str); 17] = [
    ("ttl", "unset"),
    ("l1_ttl", "the entry's life"),
    ("jitter", "0.05"),
    ("negative_ttl", "30s"),
    ("stale_if_error", "off"),
    ("stale_for", "off"),
    ("soft_timeout", "off"),
    ("refresh", "Never"),
    ("on_error", "Share"),
    ("on_no_waiters", "Finish"),
    ("leases", "Refreshes"),
    ("idle", "off"),
    ("priority", "Normal"),
    ("hard_timeout", "30s"),
    ("takeover_after", "1s"),
    ("loads_max", "no limit"),
    ("loads_wait", "1s"),
];

/// The options that are set, as text.
fn texts(options: &Options) -> [Option<String>; 17] {
    let time = |value: Option<Duration>| value.map(|value| format!("{value:?}"));
    [
        options.ttl.map(|ttl| ttl.to_string()),
        time(options.l1_ttl),
        options.jitter.map(|share| share.to_string()),
        time(options.negative_ttl),
        time(options.stale_if_error),
        time(options.stale_for),
        time(options.soft_timeout),
        options.refresh.map(|refresh| format!("{refresh:?}")),
        options.on_error.map(|policy| format!("{policy:?}")),
        options.on_no_waiters.map(|policy| format!("{policy:?}")),
        options.leases.map(|leases| format!("{leases:?}")),
        time(options.idle),
        options.priority.map(|priority| format!("{priority:?}")),
        time(options.hard_timeout),
        time(options.takeover_after),
        options.loads_max.map(|most| most.to_string()),
        time(options.loads_wait),
    ]
}

/// What a spec sets for itself, for a description of the whole.
pub(crate) fn own(spec: &Options) -> Vec<(&'static str, String)> {
    let set = OPTIONS.iter().zip(texts(spec));
    set.filter_map(|((name, _), value)| Some((*name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_wins_and_says_where_it_came_from() {
        let manager = Options { jitter: Some(0.0), idle: Some(secs(9)), ..Options::NONE };
        let spec = Options { ttl: Some(Life::Forever), idle: Some(secs(1)), ..Options::NONE };
        let manager = Options { negative_ttl: Some(secs(2)), ..manager };
        let mut origins = Origins::default();
        origins.note("negative_ttl", Origin::settings("cache.toml:1:1"));
        let rows = effective(&spec, &manager, &origins);
        let find = |name| {
            let row = rows.iter().find(|row| row.name == name);
            row.map(|row| (row.value.as_str(), row.origin.to_string()))
        };
        assert_eq!(find("ttl"), Some(("forever", "spec".into())));
        assert_eq!(find("idle"), Some(("1s", "spec".into())));
        assert_eq!(find("jitter"), Some(("0", "manager".into())));
        assert_eq!(find("negative_ttl"), Some(("2s", "settings, cache.toml:1:1".into())));
        assert_eq!(find("hard_timeout"), Some(("30s", "default".into())));
        assert_eq!(spec.over(manager).idle, Some(secs(1)));
    }
}
