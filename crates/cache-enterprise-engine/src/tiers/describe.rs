//! What the tiers of a manager do, and who said so.

use cache_enterprise_resilience::{
    BulkheadConfig, CircuitBreakerConfig, HedgeConfig, HedgeDelay, RetryConfig, TimeoutConfig,
};

use super::tier::WritePolicy;
use super::{Level, Pipeline};
use crate::describe::{Description, time_or_off};
use crate::options::{Origin, Origins};
use crate::shared::Shared;

impl Shared {
    pub(crate) fn describe_below(&self, description: &mut Description) {
        let Some(stack) = &self.stack else { return };
        for level in self.levels() {
            Rows { level, description }.push_all();
        }
        let of = |option: &str| self.origins.of(option).cloned().unwrap_or(Origin::Default);
        description.push("codec", self.codec_name.unwrap_or("unknown"), of("codec"));
        stack.pipeline.describe(&self.origins, description);
        if let Some(broadcast) = &self.broadcast {
            description.push("bus", broadcast.name(), of("bus"));
            let unsure_max = format!("{:?}", broadcast.unsure_max);
            description.push("unsure_max", unsure_max, of("unsure_max"));
            let push_max = match broadcast.push_max {
                0 => "off".to_owned(),
                bytes => bytes.to_string(),
            };
            description.push("push_max", push_max, of("push_max"));
        }
    }
}

impl Pipeline {
    fn describe(&self, origins: &Origins, description: &mut Description) {
        let of = |option: &str| origins.of(option).cloned().unwrap_or(Origin::Default);
        match &self.packer {
            None => description.push("compression.algorithm", "none", of("compression.algorithm")),
            Some(packer) => {
                let (name, threshold) = (packer.name(), packer.threshold());
                description.push("compression.algorithm", name, of("compression.algorithm"));
                description.push("compression.threshold", threshold, of("compression.threshold"));
                if let Some(adaptive) = packer.adaptive() {
                    let option = "compression.bytes_per_cpu_second";
                    description.push(option, adaptive.limits().bytes_per_cpu_second, of(option));
                    let option = "compression.dictionaries";
                    let learns = adaptive.learning().is_some() && self.transform.is_none();
                    description.push(option, learns, of(option));
                }
            }
        }
        if let Some(transform) = &self.transform {
            description.push("transform.suite", transform.suite(), Origin::Manager);
        }
        let stored = self.limits.stored_bytes_max;
        description.push("limits.stored_bytes_max", stored, of("limits"));
        description.push("limits.plain_bytes_max", self.limits.plain_bytes_max, of("limits"));
    }
}

/// The rows of one level.
struct Rows<'a> {
    level: &'a Level,
    description: &'a mut Description,
}

impl Rows<'_> {
    fn push_all(mut self) {
        let config = self.level.config.clone();
        let backend = self.level.backend.name().to_owned();
        let chosen = self.origin("backend", Origin::Manager);
        self.push_from("backend", backend, chosen);
        for option in self.level.options.clone() {
            let unset = if option.is_default { Origin::Default } else { Origin::Manager };
            let origin = self.origin(&option.name, unset);
            self.push_from(&option.name, option.value, origin);
        }
        self.push("ttl", time_or_off(config.ttl));
        match config.write {
            WritePolicy::Through => self.push("write", "through".into()),
            WritePolicy::Around => self.push("write", "around".into()),
            WritePolicy::Behind { queue_max } => {
                self.push("write", "behind".into());
                self.push("write.queue_max", queue_max.to_string());
            }
        }
        let name = self.level.packer.as_ref().map_or("none", |packer| packer.name());
        self.push("compression", name.to_owned());
        let promotes = match config.promotion {
            Some(_) => "by a policy".to_owned(),
            None => config.promote_after.to_string(),
        };
        self.push("promote_after", promotes);
        let guards = &config.guards;
        self.push_timeout(guards.timeout.as_ref());
        self.push_hedge(guards.hedge.as_ref());
        self.push_retry(guards.retry.as_ref());
        self.push_breaker(guards.breaker.as_ref());
        self.push_bulkhead(guards.bulkhead.as_ref());
    }

    fn push_timeout(&mut self, timeout: Option<&TimeoutConfig>) {
        self.push("timeout.read", time_or_off(timeout.map(|timeout| timeout.read)));
        self.push("timeout.write", time_or_off(timeout.map(|timeout| timeout.write)));
    }

    fn push_hedge(&mut self, hedge: Option<&HedgeConfig>) {
        self.push("hedge.enabled", hedge.is_some().to_string());
        let Some(hedge) = hedge else { return };
        match hedge.delay {
            HedgeDelay::Fixed(delay) => self.push("hedge.delay", format!("{delay:?}")),
            HedgeDelay::Quantile { quantile, min, max } => {
                self.push("hedge.quantile", quantile.to_string());
                self.push("hedge.delay_min", format!("{min:?}"));
                self.push("hedge.delay_max", format!("{max:?}"));
            }
        }
        self.push("hedge.share", (f64::from(hedge.share_percent) / 100.0).to_string());
    }

    fn push_bulkhead(&mut self, bulkhead: Option<&BulkheadConfig>) {
        self.push("bulkhead.enabled", bulkhead.is_some().to_string());
        let Some(bulkhead) = bulkhead else { return };
        self.push("bulkhead.calls_max", bulkhead.calls_max.to_string());
        self.push("bulkhead.queue_max", bulkhead.queue_max.to_string());
        self.push("bulkhead.wait_max", format!("{:?}", bulkhead.wait_max));
    }

    fn push_retry(&mut self, retry: Option<&RetryConfig>) {
        let Some(retry) = retry else { return self.push("retry.attempts", "0".into()) };
        self.push("retry.attempts", retry.attempts.to_string());
        self.push("retry.delay", format!("{:?}", retry.delay));
        self.push("retry.delay_max", format!("{:?}", retry.delay_max));
        self.push("retry.within", format!("{:?}", retry.within));
        let budget = retry.budget.as_ref().map_or(0, |budget| budget.tokens_max());
        self.push("retry.budget", budget.to_string());
    }

    fn push_breaker(&mut self, breaker: Option<&CircuitBreakerConfig>) {
        self.push("breaker.enabled", breaker.is_some().to_string());
        let Some(breaker) = breaker else { return };
        self.push("breaker.failure_threshold", breaker.failure_threshold.to_string());
        self.push("breaker.window", format!("{:?}", breaker.window));
        self.push("breaker.recovery_timeout", format!("{:?}", breaker.recovery_timeout));
        self.push("breaker.recovery_timeout_max", format!("{:?}", breaker.recovery_timeout_max));
        self.push("breaker.success_threshold", breaker.success_threshold.to_string());
    }

    fn push(&mut self, option: &str, value: String) {
        let origin = self.origin(option, Origin::Default);
        self.push_from(option, value, origin);
    }

    fn push_from(&mut self, option: &str, value: String, origin: Origin) {
        let place = match self.level.number {
            0 => format!("backend.{}", self.level.name),
            number => format!("l{number}"),
        };
        self.description.push(format!("{place}.{option}"), value, origin);
    }

    fn origin(&self, option: &str, unset: Origin) -> Origin {
        self.level.config.origins.of(option).cloned().unwrap_or(unset)
    }
}
