//! What a manager's options do together that nobody may have meant.
//!
//! Each check has a code that stays, and a section in `docs/advice.md` with the reason and the way
//! out. Nothing is refused for it: a build logs what is more than a note, and `describe` prints
//! all.

use std::fmt;
use std::time::Duration;

use cache_enterprise_core::days;

use crate::manager::CacheManager;
use crate::options::{Life, Options};
use crate::shared::Shared;

/// How much an [`Advice`] weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know.
    Note,
    /// Likely not what was meant.
    Warning,
    /// Stale values may be served for longer than anybody asked for.
    Error,
}

/// A mix of options that may do something else than was meant.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec};
///
/// static LISTS: CacheSpec<u64, u64> = CacheSpec::new("lists").ttl(mins(1)).idle(mins(5));
/// let manager = CacheManager::in_memory(Capacity::entries(100))?;
/// manager.open(&LISTS)?;
/// let advice = manager.advice();
/// assert_eq!((advice[0].code, advice[0].about.as_str()), ("CE202", "cache lists"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// The check, as `docs/advice.md` lists it.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about: a level, a cache, or the manager.
    pub about: String,
    /// What happens, and what to do instead.
    pub text: &'static str,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, severity, about, text } = self;
        write!(f, "{code} {severity:?} ({about}): {text}")
    }
}

/// A check: its code, its weight, and what it says.
pub(crate) type Check = (&'static str, Severity, &'static str);

/// Life of an entry past which the epochs that end it may have been folded.
const EPOCHS_KEPT: Duration = days(30);

/// Every check of caches, in the order of their codes. Those of levels stand in `tiers/advice.rs`.
pub(crate) const OF_CACHES: [Check; 6] = [
    (
        "CE201",
        Severity::Warning,
        "a copy in level 1 may live longer than 60 s above a tier that other processes write, and \
         no bus tells of their changes: shorten `l1_ttl` or add a bus",
    ),
    (
        "CE202",
        Severity::Warning,
        "entries are fresh for no longer than they may stay unread, so `idle` never ends one: \
         shorten `idle`",
    ),
    (
        "CE203",
        Severity::Warning,
        "absence is remembered for longer than values live: shorten `negative_ttl`",
    ),
    (
        "CE204",
        Severity::Note,
        "without jitter, what was written together ends together and is loaded together: leave \
         `jitter` at its default",
    ),
    (
        "CE205",
        Severity::Warning,
        "no waiter takes a stalled load over before it has timed out: make `takeover_after` shorter \
         than `hard_timeout`",
    ),
    (
        "CE206",
        Severity::Note,
        "entries may outlive the epochs of 30 days that a shared store keeps; older ones are then \
         loaded anew: give them a life",
    ),
];

impl<C> CacheManager<C> {
    /// What the options of the manager and of its open caches do together that may not be meant,
    /// the gravest first. Walks the levels and the open caches: for people and start-up.
    pub fn advice(&self) -> Vec<Advice> {
        self.shared.advice()
    }
}

impl Shared {
    pub(crate) fn advice(&self) -> Vec<Advice> {
        let mut advice = self.advice_below();
        let specs: Vec<(String, Options)> = {
            let caches = self.caches.lock();
            caches.iter().map(|(name, open)| (name.clone(), open.options)).collect()
        };
        for (name, spec) in specs {
            let options = spec.over(self.options);
            let found = OF_CACHES.iter().filter(|check| self.applies(check.0, &options));
            advice.extend(found.map(|check| told(check, format!("cache {name}"))));
        }
        advice.sort_by(|left, right| {
            let order = right.severity.cmp(&left.severity);
            order.then_with(|| left.code.cmp(right.code)).then_with(|| left.about.cmp(&right.about))
        });
        advice
    }

    /// Whether the check of this code applies to a cache with these options.
    fn applies(&self, code: &str, options: &Options) -> bool {
        let ttl = options.ttl.and_then(Life::duration);
        match code {
            "CE201" => self.is_unheard() && options.l1_ttl.is_some_and(|life| life > UNHEARD_MAX),
            "CE202" => options.idle.zip(ttl).is_some_and(|(idle, ttl)| idle >= ttl),
            "CE203" => options.negative_ttl.zip(ttl).is_some_and(|(absent, ttl)| absent > ttl),
            "CE204" => ttl.is_some() && options.jitter == Some(0.0),
            "CE205" => options.takeover_after_or_default() >= options.hard_timeout_or_default(),
            "CE206" => self.has_shared_tier() && ttl.is_none_or(|ttl| ttl > EPOCHS_KEPT),
            _ => false,
        }
    }
}

/// Longest life of a copy in level 1 above tiers whose changes are not heard.
const UNHEARD_MAX: Duration = crate::options::L1_TTL_UNHEARD;

pub(crate) fn told(check: &Check, about: String) -> Advice {
    let (code, severity, text) = *check;
    Advice { code, severity, about, text }
}

#[cfg(not(feature = "tiers"))]
impl Shared {
    fn advice_below(&self) -> Vec<Advice> {
        Vec::new()
    }

    fn is_unheard(&self) -> bool {
        false
    }

    fn has_shared_tier(&self) -> bool {
        false
    }
}
