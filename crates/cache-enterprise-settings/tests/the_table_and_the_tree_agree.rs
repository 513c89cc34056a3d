//! Every row of the table of keys is read, shows in the description, and has the default and the
//! kind that it says.

#![allow(clippy::unwrap_used)]

use cache_enterprise_settings::keys::{KEYS, Kind};
use cache_enterprise_settings::{Origin, Settings, SettingsBuilder};

/// A path of a key for a level or option that exists, and settings that make it apply.
fn concrete(path: &str) -> (String, SettingsBuilder) {
    let builder = Settings::builder();
    match path {
        "levels.*.path" => ("levels.1.path".into(), builder.set("levels.1.kind", "disk")),
        "levels.*.kind" => ("levels.1.kind".into(), builder),
        "levels.*.enabled" => ("levels.1.enabled".into(), builder.set("levels.1.kind", "disk")),
        "levels.0.enabled" => (path.into(), builder.set("levels.1.kind", "disk")),
        "levels.2.enabled" => {
            (path.into(), builder.set("levels.1.kind", "disk").set("levels.2.kind", "redis"))
        }
        "levels.*.options.*" => {
            ("levels.1.options.pool_size".into(), builder.set("levels.1.kind", "redis"))
        }
        "levels.*.compression" => {
            ("levels.1.compression".into(), builder.set("levels.1.kind", "disk"))
        }
        "levels.*.retry_attempts" => {
            ("levels.1.retry_attempts".into(), builder.set("levels.1.kind", "disk"))
        }
        // Beside a level that is listed, so that it does not become one.
        "backends.*.*" => ("backends.attic.pool_size".into(), builder.set("levels.1.kind", "disk")),
        path if path.starts_with("backends.") => {
            (path.into(), builder.set("levels.1.kind", "disk"))
        }
        "default_backend" => (path.into(), builder.set("levels.1.kind", "redis")),
        "levels.*.write_policy" => {
            ("levels.1.write_policy".into(), builder.set("levels.1.kind", "disk"))
        }
        "levels.*.write_queue_max" => {
            ("levels.1.write_queue_max".into(), builder.set("levels.1.write_policy", "behind"))
        }
        // A budget and its shares need each other; the two shares add to 1.
        "budget.max_size" => (path.into(), builder.set("budget.l1_ratio", "0.2")),
        "budget.l1_ratio" => (path.into(), builder.set("levels.0.max_size", "1GB")),
        "budget.l2_ratio" => (path.into(), builder.set("levels.0.max_size", "1GB")),
        "bus.kind" => (path.into(), builder),
        "bus.options.*" => ("bus.options.url".into(), builder.set("bus.kind", "redis")),
        "bus.unsure_max" | "bus.push_max" => (path.into(), builder.set("bus.kind", "redis")),
        "hedge.enabled" | "bulkhead.enabled" => (path.into(), builder),
        _ if path.starts_with("hedge.") => (path.into(), builder.set("hedge.enabled", true)),
        _ if path.starts_with("bulkhead.") => (path.into(), builder.set("bulkhead.enabled", true)),
        _ => (path.replace('*', "0"), builder),
    }
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let settings = Settings::default();
    let rows = settings.describe();
    for key in KEYS.iter().filter(|key| !key.path.contains('*')) {
        let row = rows.row(key.path).unwrap_or_else(|| panic!("no row for {}", key.path));
        let default = if key.default.is_empty() { "unset" } else { key.default };
        assert_eq!((row.value.as_str(), &row.origin), (default, &Origin::Default), "{}", key.path);
    }
    let levels: Vec<_> = rows.rows().iter().filter(|row| row.key.starts_with("levels.")).collect();
    let levels: Vec<_> = levels.iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
    assert_eq!(
        levels,
        [
            ("levels.0.kind", "memory"),
            ("levels.0.enabled", "true"),
            ("levels.0.max_size", "64MiB"),
            ("levels.0.ttl", "off"),
            ("levels.0.eviction_policy", "default"),
        ]
    );
}

#[test]
fn every_key_of_the_table_is_read_and_described() {
    for key in KEYS {
        let (path, builder) = concrete(key.path);
        let settings = builder.set(&path, key.example).build();
        let settings = settings.unwrap_or_else(|errors| panic!("{path}: {errors}"));
        let row = settings.describe().row(&path).unwrap();
        assert_ne!(key.example, key.default, "{path}: the example shows nothing");
        assert_eq!((row.value.as_str(), &row.origin), (key.example, &Origin::Code), "{path}");
    }
}

#[test]
fn every_key_reaches_the_typed_tree() {
    // A check leaves no other trace.
    for key in KEYS.iter().filter(|key| key.path != "cache_levels") {
        let (path, builder) = concrete(key.path);
        let before = builder.clone().build().unwrap_or_default();
        let after = builder.set(&path, key.example).build().unwrap();
        let shape = |settings: &Settings| format!("{:?}", without_description(settings));
        assert_ne!(shape(&before), shape(&after), "{path}");
    }
}

fn without_description(settings: &Settings) -> impl std::fmt::Debug + '_ {
    (
        (settings.name(), settings.levels(), settings.promote_after(), settings.defaults()),
        (settings.backends(), settings.default_backend(), settings.failover(), settings.bus()),
        (settings.codec(), settings.timeouts()),
        (settings.compression(), settings.compression_bytes_per_cpu_second()),
        settings.has_compression_dictionaries(),
        (settings.strategy(), settings.adaptive_ttl()),
        (settings.breaker(), settings.retry(), settings.hedge(), settings.bulkhead()),
    )
}

#[test]
fn every_alias_is_its_key() {
    for key in KEYS {
        for (alias, stands_for) in key.aliases {
            let (_, builder) = concrete(stands_for);
            let upper = alias.to_ascii_uppercase();
            for spelling in [*alias, upper.as_str()] {
                let settings = builder.clone().set(spelling, key.example).build();
                let settings = settings.unwrap_or_else(|errors| panic!("{spelling}: {errors}"));
                assert_eq!(settings.describe().row(stands_for).unwrap().value, key.example);
            }
        }
    }
}

#[test]
fn every_key_refuses_what_is_not_of_its_kind() {
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Path | Kind::Free)) {
        let (path, builder) = concrete(key.path);
        let errors = builder.set(&path, "\u{2603} ?").build().unwrap_err();
        let [problem] = errors.problems() else { panic!("{path}: {errors}") };
        assert_eq!((problem.key.as_str(), &problem.origin), (path.as_str(), &Origin::Code));
        assert!(problem.what.contains('\u{2603}') && !problem.fix.is_empty(), "{problem}");
    }
}
