//! What to build, judged before anything is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::coherence::Bus;
use cache_enterprise_core::{BackendRegistry, Compressor, Error};
use cache_enterprise_engine::{Life, Memory, Options, Packer, Strategy, Tier, WritePolicy};
use cache_enterprise_resilience::{
    BulkheadConfig, CircuitBreakerConfig, HedgeConfig, HedgeDelay, RetryBudget, RetryConfig,
    TimeoutConfig,
};
use cache_enterprise_serializers::AnySerde;
use cache_enterprise_settings::{
    self as settings, AdaptiveTtlSettings, EntryDefaults, HedgeSettings, LevelKind, LevelSettings,
    Problem, Settings, SettingsErrors, WriteSettings,
};
use cache_enterprise_strategies::lifetime::AdaptiveTtl;
use cache_enterprise_strategies::{CacheStrategy, Composite, WithLifetime};

use super::packers::{Packers, readers};
use super::{Strategies, origins};

/// Share of a token that a success earns for retries, in per cent: that of
/// [`RetryBudget::default`].
const EARNED_PERCENT: u32 = 10;

/// Backends that a feature of this crate would bring.
const FEATURES: [&str; 4] = ["memory", "disk", "redis", "memcached"];

/// A manager, planned.
#[derive(Debug)]
pub(super) struct Plan {
    /// What level 1 may hold and how it chooses; `None` when it is off.
    pub(super) l1: Option<Memory>,
    /// Longest life of a copy in level 1; zero when it is off.
    pub(super) l1_ttl_max: Option<Duration>,
    pub(super) options: Options,
    pub(super) codec: AnySerde,
    pub(super) packer: Option<Packer>,
    /// Every compressor that is built in: what an earlier choice wrote stays readable.
    pub(super) readers: Vec<Arc<dyn Compressor>>,
    pub(super) tiers: Vec<Tier>,
    /// Backends beside the levels, by name.
    pub(super) beside: Vec<(String, Tier)>,
    pub(super) bus: Option<PlannedBus>,
    /// The strategy that every manager from settings knows.
    pub(super) adaptive: Arc<dyn CacheStrategy>,
}

/// The bus between processes.
#[derive(Debug)]
pub(super) struct PlannedBus {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) unsure_max: Duration,
    pub(super) push_max: usize,
}

impl Plan {
    /// Judges `settings` with what is registered and built in.
    ///
    /// # Errors
    /// Every problem at once.
    pub(super) fn of(
        settings: &Settings,
        backends: &BackendRegistry,
        strategies: &Strategies,
    ) -> Result<Self, SettingsErrors> {
        let mut problems = Vec::new();
        let (top, below) = match settings.levels() {
            [top, below @ ..] if matches!(top.kind, LevelKind::Memory { .. }) => (Some(top), below),
            below => (None, below),
        };
        let codec = codec(settings, &mut problems);
        let mut packers = Packers::of(settings, &mut problems);
        let all = settings.levels().iter().chain(settings.backends());
        problems.extend(all.filter_map(|level| {
            let is_level1 = top.is_some_and(|top| std::ptr::eq(top, level));
            policy(settings, level, is_level1)
        }));
        let retry = retry(settings);
        let mut tier = |level: &LevelSettings| {
            let packing = packers.pack(settings, level, &mut problems);
            let tier = tier(settings, level, backends, &retry, &mut problems)?;
            Some(origins::of_tier(packing.apply(tier), settings, level))
        };
        let tiers: Vec<_> = below.iter().filter_map(&mut tier).collect();
        let named = settings.backends().iter();
        let beside: Vec<_> =
            named.filter_map(|level| Some((level.name.clone()?, tier(level)?))).collect();
        problems.extend(shared_directories(settings));
        problems.extend(unshared_bus(settings, below));
        let bus = bus(settings, backends, &mut problems);
        problems.extend(unknown_strategy(settings, strategies));
        let adaptive = adaptive_ttl(settings, &mut problems);
        SettingsErrors::check(problems)?;
        Ok(Self {
            l1: top.and_then(level1),
            l1_ttl_max: top.map_or(Some(Duration::ZERO), |top| top.ttl),
            options: options(settings.defaults()),
            codec,
            packer: packers.managers,
            readers: readers(),
            tiers,
            beside,
            bus,
            adaptive,
        })
    }
}

fn codec(settings: &Settings, problems: &mut Vec<Problem>) -> AnySerde {
    AnySerde::named(settings.codec()).unwrap_or_else(|error| {
        problems.push(settings.problem("codec", error.to_string(), "write one that is known"));
        AnySerde::default()
    })
}

/// What the top level says of level 1.
fn level1(top: &LevelSettings) -> Option<Memory> {
    let LevelKind::Memory { max_size, eviction_policy } = &top.kind else { return None };
    let memory = Memory::from(*max_size);
    Some(match eviction_policy {
        Some(name) => memory.strategy(name.clone()),
        None => memory,
    })
}

/// What is wrong with the eviction policy of a level.
fn policy(settings: &Settings, level: &LevelSettings, is_level1: bool) -> Option<Problem> {
    let LevelKind::Memory { eviction_policy: Some(name), .. } = &level.kind else { return None };
    let key = level.key("eviction_policy");
    match Strategy::from(name.clone()).resolve() {
        Err(error) => Some(settings.problem(&key, error.to_string(), "write one that is known")),
        Ok(Some(_)) if !is_level1 => {
            let what = "only level 1 chooses its eviction policy; a tier in memory has `quick`";
            Some(settings.problem(&key, what, "remove it, or write it to level 1"))
        }
        Ok(_) => None,
    }
}

/// The tier of one level, or a problem.
fn tier(
    settings: &Settings,
    level: &LevelSettings,
    backends: &BackendRegistry,
    retry: &RetryConfig,
    problems: &mut Vec<Problem>,
) -> Option<Tier> {
    let mut config = level.backend();
    (config.read_timeout, config.write_timeout) = written_timeouts(settings);
    let key = level.key("kind");
    let Ok(factory) = backends.named(config.kind()) else {
        let what = format!("no backend is named `{}`", config.kind());
        problems.push(settings.problem(&key, what, known(config.kind(), backends)));
        return None;
    };
    match factory.source(&config) {
        Ok(source) => {
            let source = origins::Described::new(source, level);
            Some(used(Tier::new(source), settings, level, retry))
        }
        Err(error) => {
            problems.push(settings.problem(
                &refused(settings, level, &error),
                error.to_string(),
                "correct it",
            ));
            None
        }
    }
}

/// How long a read and a write may take, where somebody wrote it.
fn written_timeouts(settings: &Settings) -> (Option<Duration>, Option<Duration>) {
    let is_written = |key: &str| settings.origin(key) != settings::Origin::Default;
    let timeouts = settings.timeouts();
    let read = is_written("timeouts.read").then_some(timeouts.read);
    (read, is_written("timeouts.write").then_some(timeouts.write))
}

fn unknown_strategy(settings: &Settings, strategies: &Strategies) -> Option<Problem> {
    let name = settings.strategy()?;
    if name == AdaptiveTtl::NAME || strategies.contains_key(name) {
        return None;
    }
    let known: Vec<_> =
        [AdaptiveTtl::NAME].into_iter().chain(strategies.keys().map(String::as_str)).collect();
    let what = format!("no strategy is named `{name}`");
    let fix = format!("write one of {}, or register one with `Wiring::strategy`", known.join(", "));
    Some(settings.problem("defaults.fill_strategy", what, fix))
}

/// The strategy of lives that follow how often values change; of no opinion where its bounds are a
/// problem.
fn adaptive_ttl(settings: &Settings, problems: &mut Vec<Problem>) -> Arc<dyn CacheStrategy> {
    let AdaptiveTtlSettings { min_ttl, max_ttl, adjustment_factor, .. } = *settings.adaptive_ttl();
    match AdaptiveTtl::new(min_ttl, max_ttl, adjustment_factor) {
        Ok(adaptive) => Arc::new(WithLifetime(adaptive)),
        Err(error) => {
            let named = error.context().find(|(name, _)| *name == "parameter");
            let key = format!("adaptive_ttl.{}", named.map_or("min_ttl", |(_, name)| name));
            problems.push(settings.problem(&key, error.to_string(), "write one within the range"));
            Arc::new(Composite::default())
        }
    }
}

/// Disks of which a directory is that of another: only one of them could be opened.
fn shared_directories(settings: &Settings) -> Vec<Problem> {
    let mut taken: Vec<(PathBuf, String)> = Vec::new();
    let mut problems = Vec::new();
    for level in settings.levels().iter().chain(settings.backends()) {
        let LevelKind::Disk { path, .. } = &level.kind else { continue };
        // What is written twice may be written in two ways; links are for the disk to find.
        let (path, key): (PathBuf, _) = (path.components().collect(), level.key("path"));
        match taken.iter().find(|(known, _)| *known == path) {
            Some((_, other)) => {
                let what = format!("is the directory of `{other}` too");
                problems.push(settings.problem(&key, what, "write another"));
            }
            None => taken.push((path, key)),
        }
    }
    problems
}

/// A bus without a level that other processes have too. What backends of other kinds share is known
/// when they are open.
fn unshared_bus(settings: &Settings, below: &[LevelSettings]) -> Option<Problem> {
    settings.bus()?;
    let mut levels = below.iter().chain(settings.backends());
    let what = match below.len() + settings.backends().len() {
        0 => "and there is none below level 1",
        _ if levels.any(|level| matches!(level.kind, LevelKind::Other { .. })) => return None,
        _ => "and those below level 1 belong to this one alone",
    };
    let what = format!("a bus joins processes that share a level, {what}");
    let fix = "add a level that all processes share, such as one of kind redis, or remove it";
    Some(settings.problem("bus.kind", what, fix))
}

/// The bus that the settings choose, or a problem.
fn bus(
    settings: &Settings,
    backends: &BackendRegistry,
    problems: &mut Vec<Problem>,
) -> Option<PlannedBus> {
    let chosen = settings.bus()?;
    let mut refuse = |key: &str, what: String, fix: String| {
        problems.push(settings.problem(key, what, fix));
    };
    let Ok(factory) = backends.bus_named(&chosen.kind) else {
        let what = format!("no bus is named `{}`", chosen.kind);
        let fix = match backends.bus_names().join(", ") {
            _ if chosen.kind == "redis" => "enable the feature `redis`".into(),
            known if known.is_empty() => "register a factory with `Wiring::bus`".into(),
            known => format!("write one of {known}, or register a factory with `Wiring::bus`"),
        };
        refuse("bus.kind", what, fix);
        return None;
    };
    match factory.bus(&chosen.config()) {
        Ok(bus) => {
            let (unsure_max, push_max) = (chosen.unsure_max, chosen.push_max);
            Some(PlannedBus { bus, unsure_max, push_max })
        }
        Err(error) => {
            let named = error.context().find(|(name, _)| *name == "option");
            let first = named.and_then(|(_, options)| options.split(", ").next());
            let key = first.map(|option| format!("bus.options.{}", option.to_ascii_lowercase()));
            let key = key.filter(|key| settings.describe().row(key).is_some());
            let key = key.unwrap_or_else(|| "bus.kind".into());
            refuse(&key, error.to_string(), "correct it".into());
            None
        }
    }
}

/// What to write instead of the name of a backend that is not there.
fn known(name: &str, backends: &BackendRegistry) -> String {
    if FEATURES.contains(&name) {
        return format!("enable the feature `{name}`");
    }
    let known = backends.names().join(", ");
    format!("write one of {known}, or register a factory with `Wiring::backend`")
}

/// The key that a factory's refusal is about: the option it names, else the level's kind.
fn refused(settings: &Settings, level: &LevelSettings, error: &Error) -> String {
    let named = error.context().find(|(name, _)| *name == "option").map(|(_, option)| option);
    let first = named.and_then(|options| options.split(", ").next());
    let is_there = |key: &String| settings.describe().row(key).is_some();
    let first = first.map(str::to_ascii_lowercase);
    let keys = first.map(|option| [level.key(&format!("options.{option}")), level.key(&option)]);
    keys.into_iter().flatten().find(is_there).unwrap_or_else(|| level.key("kind"))
}

/// A tier as the settings use it.
fn used(tier: Tier, settings: &Settings, level: &LevelSettings, retry: &RetryConfig) -> Tier {
    let timeouts = settings.timeouts();
    let mut tier = tier
        .promote_after(settings.promote_after())
        .write(match level.write {
            WriteSettings::Behind { queue_max } => {
                WritePolicy::Behind { queue_max: usize::try_from(queue_max).unwrap_or(usize::MAX) }
            }
            WriteSettings::Around => WritePolicy::Around,
            _ => WritePolicy::Through,
        })
        .timeouts(TimeoutConfig {
            read: timeouts.read,
            write: timeouts.write,
            ..TimeoutConfig::default()
        })
        .retry(RetryConfig {
            attempts: level.retry_attempts.unwrap_or(retry.attempts),
            ..retry.clone()
        });
    if let Some(ttl) = level.ttl {
        tier = tier.ttl(ttl);
    }
    if let Some(hedge) = settings.hedge() {
        tier = tier.hedge(self::hedge(hedge, retry));
    }
    if let Some(bulkhead) = settings.bulkhead() {
        tier = tier.bulkhead(BulkheadConfig {
            calls_max: bulkhead.calls_max as usize,
            queue_max: bulkhead.queue_max as usize,
            wait_max: bulkhead.wait_max,
        });
    }
    // The default backend's name is that of the whole walk.
    if let Some(name) = level.name.as_ref().filter(|_| level.number.is_some())
        && settings.default_backend() != Some(name)
    {
        tier = tier.named(name);
    }
    match settings.breaker() {
        None => tier.without_breaker(),
        Some(breaker) => tier.breaker(CircuitBreakerConfig {
            failure_threshold: breaker.failure_threshold,
            window: breaker.window,
            recovery_timeout: breaker.recovery_timeout,
            recovery_timeout_max: breaker.recovery_timeout_max,
            success_threshold: breaker.success_threshold,
        }),
    }
}

/// Second attempts are paid from the budget of the retries.
fn hedge(hedge: &HedgeSettings, retry: &RetryConfig) -> HedgeConfig {
    let HedgeSettings { quantile, delay_min: min, delay_max: max, share, .. } = *hedge;
    HedgeConfig {
        delay: HedgeDelay::Quantile { quantile, min, max },
        share_percent: (share * 100.0).round() as u32,
        budget: retry.budget.clone(),
    }
}

/// How the tiers repeat failed calls, all from one budget.
fn retry(settings: &Settings) -> RetryConfig {
    let retry = settings.retry();
    RetryConfig {
        attempts: retry.attempts,
        delay: retry.delay,
        delay_max: retry.delay_max,
        within: retry.within,
        budget: Some(Arc::new(RetryBudget::new(retry.budget, EARNED_PERCENT))),
    }
}

fn options(defaults: &EntryDefaults) -> Options {
    Options {
        ttl: defaults.ttl.map(|life| match life {
            settings::Life::For(ttl) => Life::For(ttl),
            settings::Life::Forever => Life::Forever,
        }),
        l1_ttl: defaults.l1_ttl,
        jitter: Some(defaults.jitter as f32),
        negative_ttl: Some(defaults.negative_ttl),
        stale_if_error: defaults.stale_if_error,
        idle: defaults.idle,
        hard_timeout: Some(defaults.hard_timeout),
        ..Options::NONE
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_compressor_that_nobody_chose_may_be_missing_and_a_chosen_one_may_not() {
        let (backends, is_built_in) = (BackendRegistry::new(), cfg!(feature = "zstd"));
        let unset = Plan::of(&Settings::default(), &backends, &Strategies::new()).unwrap();
        assert_eq!(unset.packer.is_some(), is_built_in);
        let chosen = Settings::builder().set("compression.algorithm", "zstd").build().unwrap();
        assert_eq!(Plan::of(&chosen, &backends, &Strategies::new()).is_ok(), is_built_in);
    }

    #[test]
    fn a_backend_whose_feature_is_off_is_told_by_the_feature() {
        let settings = Settings::builder().set("levels.1.kind", "disk").build().unwrap();
        let errors = Plan::of(&settings, &BackendRegistry::new(), &Strategies::new()).unwrap_err();
        assert!(errors.to_string().ends_with("enable the feature `disk`"), "{errors}");
    }
}
