//! Defaults, then files, then environment, then code; and the description says which it was.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;

use cache_enterprise_core::{Capacity, ms, secs};
use cache_enterprise_settings::{Format, LevelKind, Origin, Settings};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn origin(settings: &Settings, key: &str) -> String {
    settings.describe().row(key).unwrap().origin.to_string()
}

#[test]
fn four_layers_meet_in_one_level() {
    let toml = "[[levels]]\nmax_size = \"1MB\"\nttl = \"1m\"\n[timeouts]\nread = 1\nwrite = 2\n";
    let settings = Settings::builder()
        .set("levels.0.max_size", "3MB")
        .env_from("CE_", variables(&[("CE_LEVELS__0__MAX_SIZE", "2MB"), ("CE_READ_TIMEOUT", "3")]))
        .text(Format::Toml, toml)
        .build()
        .unwrap();
    let expected =
        LevelKind::Memory { max_size: Capacity::bytes(3_000_000), eviction_policy: None };
    let [level] = settings.levels() else { panic!("{:?}", settings.levels()) };
    assert_eq!((&level.kind, level.ttl), (&expected, Some(secs(60))));
    assert_eq!((settings.timeouts().read, settings.timeouts().write), (secs(3), secs(2)));
    assert_eq!(origin(&settings, "levels.0.max_size"), "code");
    assert_eq!(origin(&settings, "levels.0.ttl"), "text:3:1");
    assert_eq!(origin(&settings, "timeouts.read"), "env CE_READ_TIMEOUT");
    assert_eq!(origin(&settings, "timeouts.write"), "text:6:1");
    assert_eq!(origin(&settings, "codec"), "default");
}

#[test]
fn each_format_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let texts = [
        ("a.toml", "name = \"shop\"\n[[levels]]\n[[levels]]\nkind = \"disk\"\npath = \"p\"\n"),
        ("a.yaml", "name: shop\nlevels:\n  - {}\n  - {kind: disk, path: p}\n"),
        ("a.yml", "{name: shop, levels: [{}, {kind: disk, path: p}]}"),
        ("a.json", r#"{"name": "shop", "levels": [{}, {"kind": "disk", "path": "p"}]}"#),
    ];
    for (name, text) in texts {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        let settings = Settings::builder().file(&path).build().unwrap();
        assert_eq!((settings.name(), settings.levels().len()), ("shop", 2), "{name}");
        assert!(origin(&settings, "name").starts_with(path.to_str().unwrap()));
    }
}

#[test]
fn of_two_files_the_later_wins_and_the_rest_stays() {
    let settings = Settings::builder()
        .text(Format::Toml, "codec = \"json\"\nname = \"a\"")
        .text(Format::Json, r#"{"name": "b"}"#)
        .build()
        .unwrap();
    assert_eq!((settings.codec(), settings.name()), ("json", "b"));
    assert_eq!(
        settings.describe().row("name").unwrap().origin,
        Origin::File { name: "text".into(), place: None }
    );
}

#[test]
fn a_setting_can_be_switched_off_again() {
    let settings = Settings::builder()
        .text(Format::Toml, "[defaults]\nidle = \"5m\"\nttl = \"1m\"\n")
        .set("defaults.idle", "off")
        .set("defaults.ttl", "forever")
        .set("compression_enabled", false)
        .set("breaker.enabled", false)
        .set("retry.attempts", 0)
        .build()
        .unwrap();
    assert_eq!(settings.defaults().idle, None);
    assert_eq!(settings.defaults().ttl, Some(cache_enterprise_settings::Life::Forever));
    assert!(settings.compression().is_none() && settings.breaker().is_none());
    assert_eq!(settings.retry().attempts, 0);
}

#[test]
fn variables_of_others_and_of_tests_are_left_alone() {
    let foreign = [("PATH", "/bin"), ("CE_SEED", "7"), ("CEX_NAME", "x"), ("ce_name", "x")];
    let settings = Settings::builder().env_from("CE_", variables(&foreign)).build().unwrap();
    assert_eq!(settings.name(), "cache");
}

#[test]
fn times_without_a_unit_are_seconds() {
    let json = r#"{"PERFORMANCE_CONFIG": {"read_timeout": 5, "write_timeout": 0.25}}"#;
    let settings = Settings::builder().text(Format::Json, json).build().unwrap();
    assert_eq!((settings.timeouts().read, settings.timeouts().write), (secs(5), ms(250)));
}

#[test]
fn the_description_is_a_table_of_every_key() {
    let settings = Settings::builder().set("levels.1.path", "var/shop").build().unwrap();
    let table = settings.describe().to_string();
    let keys: Vec<_> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(&keys[..4], ["name", "cache_levels", "levels.0.kind", "levels.0.enabled"]);
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["levels.1.max_size", "1GiB", "default"]), "{table}");
    assert!(rows.contains(&vec!["levels.1.path", "var/shop", "code"]), "{table}");
    let columns: Vec<_> = table.lines().filter_map(|line| line.find("default")).collect();
    assert!(columns.len() > 30);
}

#[test]
fn a_later_source_wins_whichever_way_it_spells_a_key() {
    let levels = "[[levels]]\n[[levels]]\nkind = \"redis\"\n";
    let file =
        format!("{levels}ttl = \"1m\"\noptions = {{ url = \"redis://file\", pool_size = 5 }}\n");
    let told = |settings: &Settings, field: &str| {
        let row = settings.describe().row(&format!("levels.1.{field}")).unwrap().clone();
        format!("{} ({})", row.value, row.origin)
    };
    let settings = Settings::builder()
        .text(Format::Toml, file)
        .env_from("CE_", variables(&[("CE_REDIS_URL", "redis://env"), ("CE_POOL_SIZE", "7")]))
        .set("backends.redis.ttl", "5m")
        .build()
        .unwrap();
    assert_eq!(told(&settings, "options.url"), "redis://env (env CE_REDIS_URL)");
    assert_eq!(told(&settings, "options.pool_size"), "7 (env CE_POOL_SIZE)");
    assert_eq!(told(&settings, "ttl"), "5m (code)");

    let settings = Settings::builder()
        .text(Format::Toml, format!("redis_url = \"redis://file\"\n{levels}"))
        .env_from("CE_", variables(&[("CE_LEVELS__1__OPTIONS__URL", "redis://env")]))
        .build()
        .unwrap();
    assert_eq!(told(&settings, "options.url"), "redis://env (env CE_LEVELS__1__OPTIONS__URL)");
}
