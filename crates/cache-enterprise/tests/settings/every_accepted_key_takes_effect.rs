//! Each key of the table changes what the manager does, or is refused: none is read and ignored.
//! The rows of `describe` are read from the parts that act, not from the settings.

use std::collections::BTreeSet;

use cache_enterprise::Origin;
use cache_enterprise::settings::SettingsBuilder;
use cache_enterprise::settings::keys::KEYS;

use crate::{World, two_levels};

/// A key, settings it needs, the path and value to set, and the row that tells.
struct Case {
    key: &'static str,
    with: &'static [(&'static str, &'static str)],
    set: (&'static str, &'static str),
    row: (&'static str, &'static str),
}

const fn case(
    key: &'static str,
    with: &'static [(&'static str, &'static str)],
    set: (&'static str, &'static str),
    row: (&'static str, &'static str),
) -> Case {
    Case { key, with, set, row }
}

/// A key of one manager-wide value.
const fn plain(key: &'static str, value: &'static str, row: (&'static str, &'static str)) -> Case {
    case(key, &[], (key, value), row)
}

const MEMORY_BELOW: (&str, &str) = ("levels.1.kind", "memory");
const BUDGET: &[(&str, &str)] = &[MEMORY_BELOW, ("budget.max_size", "1GiB")];

const HEDGE: &[(&str, &str)] = &[("hedge.enabled", "true")];
const BULKHEAD: &[(&str, &str)] = &[("bulkhead.enabled", "true")];

const CASES: &[Case] = &[
    plain("name", "shop", ("name", "shop")),
    case("levels.*.kind", &[], MEMORY_BELOW, ("l2.backend", "memory")),
    case("levels.*.enabled", &[], ("levels.0.enabled", "false"), ("l1.enabled", "false")),
    case("levels.*.max_size", &[], ("levels.0.max_size", "8MiB"), ("l1.max_size", "8 MiB")),
    case(
        "levels.*.max_size",
        &[MEMORY_BELOW],
        ("levels.1.max_size", "8MiB"),
        ("l2.max_size", "8 MiB"),
    ),
    case(
        "levels.*.eviction_policy",
        &[],
        ("levels.0.eviction_policy", "s3-fifo"),
        ("l1.strategy", "s3-fifo"),
    ),
    case("levels.*.ttl", &[], ("levels.0.ttl", "1m"), ("l1.ttl_max", "60s")),
    case(
        "levels.*.eviction_policy",
        &[],
        ("levels.0.eviction_policy", "s3-fifo"),
        ("l1.strategy", "s3-fifo"),
    ),
    case("levels.*.ttl", &[], ("levels.1.ttl", "1m"), ("l2.ttl", "60s")),
    case("levels.*.write_policy", &[], ("levels.1.write_policy", "around"), ("l2.write", "around")),
    case(
        "levels.*.write_queue_max",
        &[("levels.1.write_policy", "behind")],
        ("levels.1.write_queue_max", "500"),
        ("l2.write.queue_max", "500"),
    ),
    case("levels.*.compression", &[], ("levels.1.compression", "gzip"), ("l2.compression", "gzip")),
    case(
        "levels.*.retry_attempts",
        &[("retry.attempts", "2")],
        ("levels.1.retry_attempts", "7"),
        ("l2.retry.attempts", "7"),
    ),
    case(
        "backends.*.*",
        &[("backends.attic.kind", "shelf")],
        ("backends.attic.pool_size", "20"),
        ("backend.attic.pool_size", "20"),
    ),
    plain("failover.strategy", "fail_fast", ("failover.strategy", "fail_fast")),
    case(
        "retry.backoff",
        &[("retry.delay", "7ms")],
        ("retry.backoff", "constant"),
        ("l2.retry.delay_max", "7ms"),
    ),
    case("levels.*.options.*", &[], ("levels.1.options.pool_size", "20"), ("l2.pool_size", "20")),
    case(
        "budget.max_size",
        &[MEMORY_BELOW, ("budget.l1_ratio", "0.25")],
        ("budget.max_size", "1GiB"),
        ("l1.max_size", "256 MiB"),
    ),
    case("budget.l1_ratio", BUDGET, ("budget.l1_ratio", "0.5"), ("l1.max_size", "512 MiB")),
    case("budget.l2_ratio", BUDGET, ("budget.l2_ratio", "0.75"), ("l2.max_size", "768 MiB")),
    plain("promote_after", "10", ("l2.promote_after", "10")),
    plain("defaults.ttl", "5m", ("ttl", "300s")),
    plain("defaults.l1_ttl", "30s", ("l1_ttl", "30s")),
    plain("defaults.jitter", "0.1", ("jitter", "0.1")),
    plain("defaults.negative_ttl", "5s", ("negative_ttl", "5s")),
    plain("defaults.stale_if_error", "1h", ("stale_if_error", "3600s")),
    plain("defaults.idle", "10m", ("idle", "600s")),
    plain("defaults.hard_timeout", "10s", ("hard_timeout", "10s")),
    plain("defaults.fill_strategy", "adaptive_ttl", ("fill_strategy", "adaptive_ttl")),
    plain("codec", "json", ("codec", "json")),
    plain("compression.enabled", "false", ("compression.algorithm", "none")),
    plain("compression.algorithm", "lz4", ("compression.algorithm", "lz4")),
    plain("compression.threshold", "4KiB", ("compression.threshold", "4096")),
    case(
        "compression.bytes_per_cpu_second",
        &[("compression.algorithm", "adaptive")],
        ("compression.bytes_per_cpu_second", "100MB"),
        ("compression.bytes_per_cpu_second", "100000000"),
    ),
    case(
        "compression.dictionaries",
        &[("compression.algorithm", "adaptive")],
        ("compression.dictionaries", "true"),
        ("compression.dictionaries", "true"),
    ),
    plain("timeouts.read", "5s", ("l2.timeout.read", "5s")),
    plain("timeouts.write", "10s", ("l2.timeout.write", "10s")),
    plain("breaker.enabled", "false", ("l2.breaker.enabled", "false")),
    plain("breaker.failure_threshold", "10", ("l2.breaker.failure_threshold", "10")),
    plain("breaker.window", "1m", ("l2.breaker.window", "60s")),
    plain("breaker.recovery_timeout", "5s", ("l2.breaker.recovery_timeout", "5s")),
    plain("breaker.recovery_timeout_max", "2m", ("l2.breaker.recovery_timeout_max", "120s")),
    plain("breaker.success_threshold", "5", ("l2.breaker.success_threshold", "5")),
    plain("retry.attempts", "3", ("l2.retry.attempts", "3")),
    plain("retry.delay", "20ms", ("l2.retry.delay", "20ms")),
    plain("retry.delay_max", "1s", ("l2.retry.delay_max", "1s")),
    plain("retry.within", "2s", ("l2.retry.within", "2s")),
    plain("retry.budget", "50", ("l2.retry.budget", "50")),
    plain("hedge.enabled", "true", ("l2.hedge.enabled", "true")),
    case("hedge.quantile", HEDGE, ("hedge.quantile", "0.99"), ("l2.hedge.quantile", "0.99")),
    case("hedge.delay_min", HEDGE, ("hedge.delay_min", "5ms"), ("l2.hedge.delay_min", "5ms")),
    case("hedge.delay_max", HEDGE, ("hedge.delay_max", "50ms"), ("l2.hedge.delay_max", "50ms")),
    case("hedge.share", HEDGE, ("hedge.share", "0.1"), ("l2.hedge.share", "0.1")),
    plain("bulkhead.enabled", "true", ("l2.bulkhead.enabled", "true")),
    case(
        "bulkhead.calls_max",
        BULKHEAD,
        ("bulkhead.calls_max", "64"),
        ("l2.bulkhead.calls_max", "64"),
    ),
    case(
        "bulkhead.queue_max",
        BULKHEAD,
        ("bulkhead.queue_max", "100"),
        ("l2.bulkhead.queue_max", "100"),
    ),
    case(
        "bulkhead.wait_max",
        BULKHEAD,
        ("bulkhead.wait_max", "20ms"),
        ("l2.bulkhead.wait_max", "20ms"),
    ),
];

/// Keys with a test of their own: one is a check, one needs a disk, one is a name
/// for calls, those of the bus need a store that numbers for all processes, and those of adaptive
/// lives need a value to follow.
const ELSEWHERE: [&str; 10] = [
    "cache_levels",
    "levels.*.path",
    "default_backend",
    "bus.kind",
    "bus.options.*",
    "bus.unsure_max",
    "bus.push_max",
    "adaptive_ttl.min_ttl",
    "adaptive_ttl.max_ttl",
    "adaptive_ttl.adjustment_factor",
];

fn with(base: SettingsBuilder, settings: &[(&str, &str)]) -> SettingsBuilder {
    settings.iter().fold(base, |builder, (key, value)| builder.set(key, value))
}

#[tokio::test]
async fn and_says_so_in_the_description() {
    for case in CASES {
        let world = World::new();
        let manager = world.manager(with(with(two_levels(), case.with), &[case.set])).await;
        let description = manager.describe();
        let row = description.row(case.row.0);
        let row = row.unwrap_or_else(|| panic!("{}: no row in\n{description}", case.key));
        assert_eq!(row.value, case.row.1, "{}", case.key);
        assert_eq!(row.origin, Origin::settings("code"), "{}", case.key);
    }
}

#[test]
fn and_no_key_is_forgotten_here() {
    let covered: BTreeSet<_> = CASES.iter().map(|case| case.key).chain(ELSEWHERE).collect();
    let keys: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(covered, keys);
}

#[test]
fn the_count_of_levels_is_a_check() {
    assert!(two_levels().set("cache_levels", 2).build().is_ok());
    let wrong = two_levels().set("cache_levels", 3).build().unwrap_err();
    assert!(wrong.to_string().contains("says 3, and 2 are switched on"), "{wrong}");
}

#[tokio::test]
async fn an_eviction_policy_is_known_or_refused() {
    for (key, name, strategy) in [
        ("l1_policy", "default", "s3-fifo"),
        ("strategy", "quick", "quick"),
        ("l1_strategy", "S3_FIFO", "s3-fifo"),
        ("strategy", "adaptive", "adaptive"),
    ] {
        let manager = World::new().manager(two_levels().set(key, name)).await;
        let row = manager.describe().row("l1.strategy").unwrap().clone();
        assert_eq!((row.value.as_str(), row.origin), (strategy, Origin::settings("code")));
    }
    let refusal = |key, name| {
        let settings = two_levels().set(key, name).build().unwrap();
        World::new().wiring().check(&settings).unwrap_err().to_string()
    };
    let refused = refusal("strategy", "adaptiv");
    assert!(refused.contains("no eviction policy has this name"), "{refused}");
    assert!(refused.contains("known: fifo") && refused.contains("nearest: adaptive"), "{refused}");
    let below = [("levels.1.kind", "memory"), ("levels.1.eviction_policy", "sieve")];
    let below = with(two_levels(), &below).build().unwrap();
    let refused = World::new().wiring().check(&below).unwrap_err().to_string();
    assert!(refused.contains("only level 1 chooses"), "{refused}");
}

#[tokio::test]
async fn a_disk_lies_where_its_path_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    let disk = two_levels().set("levels.1.kind", "disk").set("levels.1.path", path.display());
    let manager = World::new().manager(disk).await;
    assert!(path.is_dir());
    let row = manager.describe().row("l2.path").unwrap().clone();
    assert_eq!((row.value, row.origin), (path.display().to_string(), Origin::settings("code")));
    assert!(manager.shutdown(std::time::Duration::from_secs(60)).await.is_clean());
}
