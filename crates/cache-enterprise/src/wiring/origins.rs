//! Who said what: from the rows of the settings to those of the manager's description.

use async_trait::async_trait;
use cache_enterprise_core::{BackendSource, Clock, DescribedOption, OpenedBackend, Result};
use cache_enterprise_engine::{ManagerBuilder, Origin, Tier, Tiered};
use cache_enterprise_settings::{self as settings, LevelKind, LevelSettings, Settings};

/// An option of the manager and the key of the settings that sets it.
const MANAGER: [(&str, &str); 12] = [
    ("name", "name"),
    ("codec", "codec"),
    ("ttl", "defaults.ttl"),
    ("l1_ttl", "defaults.l1_ttl"),
    ("jitter", "defaults.jitter"),
    ("negative_ttl", "defaults.negative_ttl"),
    ("stale_if_error", "defaults.stale_if_error"),
    ("idle", "defaults.idle"),
    ("hard_timeout", "defaults.hard_timeout"),
    ("default_backend", "default_backend"),
    ("fill_strategy", "defaults.fill_strategy"),
    ("failover.strategy", "failover.strategy"),
];

const PIPELINE: [(&str, &str); 4] = [
    ("compression.algorithm", "compression.algorithm"),
    ("compression.threshold", "compression.threshold"),
    ("compression.bytes_per_cpu_second", "compression.bytes_per_cpu_second"),
    ("compression.dictionaries", "compression.dictionaries"),
];

/// An option of every tier and the key that sets it for all of them.
const TIERS: [(&str, &str); 23] = [
    ("promote_after", "promote_after"),
    ("timeout.read", "timeouts.read"),
    ("timeout.write", "timeouts.write"),
    ("retry.attempts", "retry.attempts"),
    ("retry.delay", "retry.delay"),
    ("retry.delay_max", "retry.delay_max"),
    ("retry.within", "retry.within"),
    ("retry.budget", "retry.budget"),
    ("breaker.enabled", "breaker.enabled"),
    ("breaker.failure_threshold", "breaker.failure_threshold"),
    ("breaker.window", "breaker.window"),
    ("breaker.recovery_timeout", "breaker.recovery_timeout"),
    ("breaker.recovery_timeout_max", "breaker.recovery_timeout_max"),
    ("breaker.success_threshold", "breaker.success_threshold"),
    ("hedge.enabled", "hedge.enabled"),
    ("hedge.quantile", "hedge.quantile"),
    ("hedge.delay_min", "hedge.delay_min"),
    ("hedge.delay_max", "hedge.delay_max"),
    ("hedge.share", "hedge.share"),
    ("bulkhead.enabled", "bulkhead.enabled"),
    ("bulkhead.calls_max", "bulkhead.calls_max"),
    ("bulkhead.queue_max", "bulkhead.queue_max"),
    ("bulkhead.wait_max", "bulkhead.wait_max"),
];

/// An option of one tier and the field of its level that sets it.
const TIER: [(&str, &str); 6] = [
    ("backend", "kind"),
    ("path", "path"),
    ("max_size", "max_size"),
    ("ttl", "ttl"),
    ("write", "write_policy"),
    ("write.queue_max", "write_queue_max"),
];

/// Notes the origins of what the manager and its level 1 do.
pub(super) fn of_manager<C>(builder: ManagerBuilder<C>, settings: &Settings) -> ManagerBuilder<C> {
    let builder = MANAGER
        .into_iter()
        .fold(builder, |builder, (option, key)| builder.origin(option, origin(settings, key)));
    match settings.levels() {
        [top, ..] if matches!(top.kind, LevelKind::Memory { .. }) => builder
            .origin("l1.max_size", origin(settings, &top.key("max_size")))
            .origin("l1.strategy", origin(settings, &top.key("eviction_policy")))
            .origin("l1.ttl_max", origin(settings, &top.key("ttl"))),
        _ => builder.origin("l1.ttl_max", switched_off(settings)),
    }
}

/// Notes the origins of what happens to every value on its way down.
pub(super) fn of_pipeline<C>(
    builder: ManagerBuilder<C, Tiered>,
    settings: &Settings,
) -> ManagerBuilder<C, Tiered> {
    let is_off = settings.compression().is_none();
    let from = |key| if is_off { "compression.enabled" } else { key };
    PIPELINE
        .into_iter()
        .fold(builder, |builder, (option, key)| builder.origin(option, origin(settings, from(key))))
}

/// Notes the origins of the bus.
pub(super) fn of_bus<C>(
    builder: ManagerBuilder<C, Tiered>,
    settings: &Settings,
) -> ManagerBuilder<C, Tiered> {
    let builder = builder.origin("bus", origin(settings, "bus.kind"));
    let builder = builder.origin("unsure_max", origin(settings, "bus.unsure_max"));
    builder.origin("push_max", origin(settings, "bus.push_max"))
}

/// Notes the origins of what a tier does.
pub(super) fn of_tier(tier: Tier, settings: &Settings, level: &LevelSettings) -> Tier {
    let mut tier = TIERS
        .into_iter()
        .fold(tier, |tier, (option, key)| tier.origin(option, origin(settings, key)));
    if let LevelKind::Other { options, .. } = &level.kind {
        for name in options.keys() {
            let place = origin(settings, &level.key(&format!("options.{name}")));
            tier = tier.origin(name.clone(), place);
        }
    }
    // A wait that does not grow is cut by the key that says so.
    let backoff = settings.describe().row("retry.backoff").map(|row| row.value.as_str());
    if backoff == Some("constant") {
        tier = tier.origin("retry.delay_max", origin(settings, "retry.backoff"));
    }
    if level.retry_attempts.is_some() {
        tier = tier.origin("retry.attempts", origin(settings, &level.key("retry_attempts")));
    }
    let compression = match (&level.compression, settings.compression()) {
        (Some(_), _) => level.key("compression"),
        (None, None) => "compression.enabled".to_owned(),
        (None, Some(_)) => "compression.algorithm".to_owned(),
    };
    let tier = tier.origin("compression", origin(settings, &compression));
    TIER.into_iter().fold(tier, |tier, (option, field)| {
        tier.origin(option, origin(settings, &level.key(field)))
    })
}

/// The level 1 that is off: who switched it off, or made another level the top.
fn switched_off(settings: &Settings) -> Origin {
    let enabled = origin(settings, "levels.0.enabled");
    if enabled == Origin::Default { origin(settings, "levels.0.kind") } else { enabled }
}

fn origin(settings: &Settings, key: &str) -> Origin {
    match settings.origin(key) {
        settings::Origin::Default => Origin::Default,
        place => Origin::settings(place),
    }
}

/// A backend whose description also tells the options that settings gave it: those that its own
/// description leaves out, secrets by reference.
#[derive(Debug)]
pub(super) struct Described {
    source: Box<dyn BackendSource>,
    options: Vec<DescribedOption>,
}

impl Described {
    pub(super) fn new(source: Box<dyn BackendSource>, level: &LevelSettings) -> Self {
        let mut options = source.describe();
        if let LevelKind::Other { options: written, .. } = &level.kind {
            for (name, value) in written {
                if !options.iter().any(|option| option.name == *name) {
                    let (name, value) = (name.clone(), value.to_string());
                    options.push(DescribedOption { name, value, is_default: false });
                }
            }
        }
        Self { source, options }
    }
}

#[async_trait]
impl BackendSource for Described {
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend> {
        self.source.open(clock).await
    }

    fn describe(&self) -> Vec<DescribedOption> {
        self.options.clone()
    }
}
