//! What the levels of a manager do together that nobody may have meant.

use std::time::Duration;

use super::tier::WritePolicy;
use super::{Level, Stack};
use crate::advice::{Advice, Check, Severity, told};
use crate::shared::Shared;

/// Every check of the manager and its levels, in the order of their codes.
pub(crate) const OF_LEVELS: [Check; 9] = [
    (
        "CE101",
        Severity::Error,
        "other processes use a tier, and no tier keeps epochs: invalidations of tags, paths, caches \
         and tenants end with this process; add a tier on Redis or memcached that keeps them",
    ),
    (
        "CE102",
        Severity::Error,
        "other processes use a tier, and the epochs are kept where they do not look: invalidations \
         of groups do not reach them; put a tier that shares its epochs before the others",
    ),
    (
        "CE103",
        Severity::Error,
        "the tier keeps entries when the process ends and no tier keeps epochs: what was \
         invalidated may be served after a restart",
    ),
    (
        "CE104",
        Severity::Warning,
        "the tier does not refuse older values and other processes write it: a late write may \
         replace a newer value",
    ),
    (
        "CE105",
        Severity::Warning,
        "calls to the tier have no limit: a hung one holds its callers for as long as they wait",
    ),
    (
        "CE106",
        Severity::Warning,
        "the tier has no circuit breaker: while it is down every miss pays for finding out",
    ),
    (
        "CE107",
        Severity::Warning,
        "the tiers may take as long as a load is given altogether: shorten their timeouts or \
         lengthen `hard_timeout`",
    ),
    (
        "CE108",
        Severity::Note,
        "writes to the tier are queued: a crash loses the queue, and other processes see them late",
    ),
    (
        "CE109",
        Severity::Note,
        "level 1 answers nothing and a bus is listened to: nobody needs what it tells",
    ),
];

impl Shared {
    pub(crate) fn advice_below(&self) -> Vec<Advice> {
        let Some(stack) = &self.stack else { return Vec::new() };
        let of_manager = OF_LEVELS.iter().filter(|check| self.applies_to_manager(check.0, stack));
        let mut advice: Vec<_> =
            of_manager.map(|check| told(check, "manager".to_owned())).collect();
        for level in &stack.levels {
            let found = OF_LEVELS.iter().filter(|check| applies_to_level(check.0, level, stack));
            let about = format!("level {}, {}", level.number, level.name);
            advice.extend(found.map(|check| told(check, about.clone())));
        }
        advice
    }

    /// Whether other processes write a tier and this one does not hear of it.
    pub(crate) fn is_unheard(&self) -> bool {
        self.has_shared_tier() && self.broadcast.is_none()
    }

    pub(crate) fn has_shared_tier(&self) -> bool {
        let levels = self.stack.iter().flat_map(|stack| &stack.levels);
        levels.into_iter().any(Level::is_shared)
    }

    fn applies_to_manager(&self, code: &str, stack: &Stack) -> bool {
        match code {
            "CE101" => self.has_shared_tier() && stack.epochs().is_none(),
            "CE102" => {
                let is_private = stack.epochs().is_some_and(|store| !store.is_shared());
                self.has_shared_tier() && is_private
            }
            "CE107" => {
                let limits = stack.levels.iter().map(|level| level.config.guards.timeout);
                let all: Option<Duration> = limits.map(|limit| Some(limit?.read)).sum();
                !stack.levels.is_empty()
                    && all.is_some_and(|all| all >= self.options.hard_timeout_or_default())
            }
            "CE109" => self.l1_ttl_max == Some(Duration::ZERO) && self.broadcast.is_some(),
            _ => false,
        }
    }
}

fn applies_to_level(code: &str, level: &Level, stack: &Stack) -> bool {
    let able = level.backend.capabilities();
    match code {
        "CE103" => able.durable && stack.epochs().is_none(),
        "CE104" => able.shared && !able.fence,
        "CE105" => level.config.guards.timeout.is_none(),
        "CE106" => level.breaker.is_none() && able.shared,
        "CE108" => matches!(level.config.write, WritePolicy::Behind { .. }),
        _ => false,
    }
}
