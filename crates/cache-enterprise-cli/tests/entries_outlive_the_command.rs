//! What one command sets, the next one reads: values, lives, tags, and clear answers for the rest.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cache_enterprise::prelude::*;

fn cachectl(arguments: &[&str], config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cachectl"))
        .args(arguments)
        .args(["--config", config.to_str().unwrap()])
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The settings of a level there, with patience for a busy disk.
fn on_disk(path: &Path) -> String {
    format!(
        r#""levels": {{"1": {{"path": {path:?}}}}}, "timeouts": {{"read": "20s", "write": "20s"}}"#
    )
}

#[test]
fn a_value_lives_from_command_to_command_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    let disk = folder.path().join("disk");
    fs::write(&config, format!("{{{}}}", on_disk(&disk))).unwrap();

    let set = ["set", "greeting", "hello", "--ttl", "5m", "--tag", "words"];
    assert_eq!(text(&cachectl(&set, &config)), "stored\n");
    assert_eq!(text(&cachectl(&["get", "greeting"], &config)), "hello\n");
    let left: f64 = text(&cachectl(&["ttl", "greeting"], &config)).trim().parse().unwrap();
    assert!((200.0..=330.0).contains(&left), "{left}");

    let inspected = text(&cachectl(&["inspect", "greeting"], &config));
    assert!(inspected.contains("words") && inspected.contains("messagepack"), "{inspected}");
    assert!(!inspected.contains("hello"), "a value is shown only when asked for: {inspected}");
    let shown = text(&cachectl(&["inspect", "greeting", "--show-value"], &config));
    assert!(shown.contains("hello"), "{shown}");

    let other_tenant = cachectl(&["get", "greeting", "--tenant", "acme"], &config);
    assert_eq!(other_tenant.status.code(), Some(1));
    assert!(text(&cachectl(&["stats"], &config)).contains("generations"));
    assert_eq!(text(&cachectl(&["del", "greeting"], &config)), "removed\n");
    assert_eq!(cachectl(&["get", "greeting"], &config).status.code(), Some(1));
}

#[test]
fn codec_and_compression_are_those_of_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    let disk = folder.path().join("disk");
    let settings = format!(
        r#"{{{}, "codec": "json", "compression": {{"algorithm": "lz4", "threshold": 100}}}}"#,
        on_disk(&disk)
    );
    fs::write(&config, settings).unwrap();
    let song = "la ".repeat(500);
    assert_eq!(text(&cachectl(&["set", "song", &song], &config)), "stored\n");

    let inspected = text(&cachectl(&["inspect", "song", "--show-value"], &config));
    let row = |name: &str| {
        let line = inspected.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].trim_start().to_owned()
    };
    assert_eq!(
        (row("codec"), row("compressor"), row("state")),
        ("json".into(), "lz4".into(), "fresh".into())
    );
    let lives = (row("fresh for, seconds"), row("kept for, seconds"));
    assert_eq!(lives, ("forever".into(), "forever".into()));
    assert_eq!(row("bytes of value"), (song.len() + 2).to_string());
    assert!(row("bytes stored").parse::<usize>().unwrap() < 300, "{inspected}");
    assert!(inspected.contains(&song), "the value is shown inflated: {inspected}");
    assert_eq!(text(&cachectl(&["get", "song"], &config)), format!("{song}\n"));

    // Another compressor in the settings still reads what the first one wrote.
    let changed = fs::read_to_string(&config).unwrap().replace("lz4", "gzip");
    fs::write(&config, changed).unwrap();
    assert_eq!(text(&cachectl(&["get", "song"], &config)), format!("{song}\n"));
}

#[test]
fn an_entry_that_a_service_invalidated_shows_as_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    let disk = folder.path().join("disk");
    fs::write(&config, format!("{{{}}}", on_disk(&disk))).unwrap();
    for key in ["one", "two"] {
        text(&cachectl(&["set", key, "value", "--tag", key, "--cache", "words"], &config));
    }
    service(&config, async |manager| {
        manager.invalidate("one").await.strict().unwrap();
    });

    let shown = |key| text(&cachectl(&["inspect", key, "--cache", "words"], &config));
    assert!(shown("one").contains("invalid, tag one was invalidated"), "{}", shown("one"));
    assert!(shown("two").contains("state                fresh"));
    for command in ["get", "ttl"] {
        let refused = cachectl(&[command, "one", "--cache", "words"], &config);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("tag one was invalidated"));
        text(&cachectl(&[command, "two", "--cache", "words"], &config));
    }

    service(&config, async |manager| {
        static WORDS: CacheSpec<String, String> = CacheSpec::new("words").forever();
        manager.open(&WORDS).unwrap().clear().await.strict().unwrap();
    });
    assert!(shown("two").contains("invalid, its cache was cleared"));
}

#[test]
fn a_grace_is_kept_and_no_life() {
    static WORDS: CacheSpec<String, String> =
        CacheSpec::new("words").ttl(mins(5)).stale_if_error(hours(2));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    fs::write(&config, format!("{{{}}}", on_disk(&folder.path().join("disk")))).unwrap();
    service(&config, async |manager| {
        let words = manager.open(&WORDS).unwrap();
        for key in ["fresh", "stale"] {
            words.set(key, key.to_owned()).tags([Tag::from(key)]).strict().await.unwrap();
        }
        manager.invalidate("stale").soft().await.strict().unwrap();
    });

    let left = text(&cachectl(&["ttl", "fresh", "--cache", "words"], &config));
    assert!(left.trim().parse::<f64>().unwrap() <= 330.0, "{left}");
    let inspected = text(&cachectl(&["inspect", "fresh", "--cache", "words"], &config));
    let row = |name: &str| {
        let line = inspected.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].trim_start().parse::<f64>().unwrap()
    };
    assert!(
        row("fresh for, seconds") <= 330.0 && row("kept for, seconds") > 6_000.0,
        "{inspected}"
    );

    let inspected = text(&cachectl(&["inspect", "stale", "--cache", "words"], &config));
    assert!(inspected.contains("state                stale"), "{inspected}");
    for command in ["get", "ttl"] {
        let refused = cachectl(&[command, "stale", "--cache", "words"], &config);
        assert_eq!(refused.status.code(), Some(1), "{command}");
    }
}

#[test]
fn what_was_derived_from_an_entry_ends_with_it() {
    static USERS: CacheSpec<String, String> = CacheSpec::new("users").forever();
    static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").forever();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    fs::write(&config, format!("{{{}}}", on_disk(&folder.path().join("disk")))).unwrap();
    service(&config, async |manager| {
        let users = manager.open(&USERS).unwrap();
        let pages = manager.open(&PAGES).unwrap();
        for key in ["removed", "replaced", "kept"] {
            users.set(key, key.to_owned()).strict().await.unwrap();
            pages.set(key, key.to_owned()).depends_on(&users, key).strict().await.unwrap();
        }
    });

    text(&cachectl(&["del", "removed", "--cache", "users"], &config));
    text(&cachectl(&["set", "replaced", "other", "--cache", "users"], &config));
    for key in ["removed", "replaced"] {
        let inspected = text(&cachectl(&["inspect", key, "--cache", "pages"], &config));
        let state = "state                invalid, a path of its key or what it was derived from";
        assert!(inspected.contains(state), "{inspected}");
        assert_eq!(cachectl(&["get", key, "--cache", "pages"], &config).status.code(), Some(1));
    }
    assert_eq!(text(&cachectl(&["get", "kept", "--cache", "pages"], &config)), "kept\n");
}

#[test]
fn a_value_that_cannot_be_shown_hides_nothing_else() {
    static NUMBERS: CacheSpec<String, u64> = CacheSpec::new("numbers").forever();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    let settings = format!(r#"{{{}, "codec": "postcard"}}"#, on_disk(&folder.path().join("disk")));
    fs::write(&config, settings).unwrap();
    service(&config, async |manager| {
        manager.open(&NUMBERS).unwrap().set("seven", 7_u64).strict().await.unwrap();
    });
    let arguments = ["inspect", "seven", "--cache", "numbers", "--show-value"];
    let inspected = text(&cachectl(&arguments, &config));
    let row = "value                not shown: the value is no text, and postcard does not tell";
    assert!(inspected.contains(row) && inspected.contains("state  "), "{inspected}");
}

#[test]
fn numbers_below_zero_are_keys_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    fs::write(&config, format!("{{{}}}", on_disk(&folder.path().join("disk")))).unwrap();
    for (arguments, key, value) in [
        (&["set", "degrees", "-5", "--ttl", "5m"][..], "degrees", "-5\n"),
        (&["set", "-7", "--ttl", "5m", "-0.25"], "-7", "-0.25\n"),
    ] {
        assert_eq!(text(&cachectl(arguments, &config)), "stored\n");
        assert_eq!(text(&cachectl(&["get", key], &config)), value);
    }
    // A slip of the pen is no value.
    assert_eq!(cachectl(&["set", "degrees", "--tll=5m"], &config).status.code(), Some(2));
}

#[test]
fn keys_of_several_parts_are_named_part_by_part() {
    static VISITS: CacheSpec<(String, i64), String> = CacheSpec::new("visits").forever();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.json");
    fs::write(&config, format!("{{{}}}", on_disk(&folder.path().join("disk")))).unwrap();
    service(&config, async |manager| {
        let visits = manager.open(&VISITS).unwrap();
        visits.set(&("a:b".to_owned(), -1), "first".to_owned()).strict().await.unwrap();
    });
    let visits =
        |arguments: &[&str]| cachectl(&[arguments, &["--cache", "visits"]].concat(), &config);
    assert_eq!(text(&visits(&["get", "a:b", "--part", "-1"])), "first\n");
    assert_eq!(visits(&["get", "a:b:-1"]).status.code(), Some(1));
    text(&visits(&["set", "a:b", "--part", "2", "second"]));
    assert_eq!(text(&visits(&["del", "a:b", "--part", "-1"])), "removed\n");
    service(&config, async |manager| {
        let visits = manager.open(&VISITS).unwrap();
        let second = visits.get(&("a:b".to_owned(), 2)).await.unwrap();
        assert_eq!(second.as_deref().map(String::as_str), Some("second"));
        assert_eq!(visits.get(&("a:b".to_owned(), -1)).await.unwrap(), None);
    });
}

/// What a service does that is stopped before the next command.
fn service(config: &Path, work: impl AsyncFnOnce(&CacheManager<AnySerde>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings::builder().file(config).build().unwrap();
        let manager = CacheManager::from_settings(settings).await.unwrap();
        work(&manager).await;
        assert!(manager.shutdown(secs(60)).await.is_clean());
    });
}

#[test]
fn settings_that_cannot_be_used_are_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.toml");
    fs::write(&config, "nmae = \"shop\"\ncolour = 7\n").unwrap();
    let binary = env!("CARGO_BIN_EXE_cachectl");
    let check = Command::new(binary).args(["config", "check"]).arg(&config).output().unwrap();
    let stderr = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("nmae") && stderr.contains("colour"), "all at once: {stderr}");

    fs::write(&config, "codec = \"xml\"\nlevels.1.kind = \"floppy\"\n").unwrap();
    for arguments in [["config", "check"].as_slice(), &["get", "key", "--config"]] {
        let refused = Command::new(binary).args(arguments).arg(&config).output().unwrap();
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("xml") && stderr.contains("floppy"), "all at once: {stderr}");
    }
}

#[test]
fn settings_that_name_servers_are_checked_without_asking_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.toml");
    let levels = "levels.1.kind = \"redis\"\nlevels.1.options.url = \"redis://cache\"\n\
                  levels.2.kind = \"memcached\"\nlevels.2.options.servers = [\"a\", \"b:1=2\"]\n";
    fs::write(&config, levels).unwrap();
    let run = |arguments: &[&str]| {
        let binary = env!("CARGO_BIN_EXE_cachectl");
        Command::new(binary).args(arguments).arg(&config).output().unwrap()
    };
    assert_eq!(text(&run(&["config", "check"])), "settings are fine: 3 levels\n");
    assert!(text(&run(&["config", "show"])).contains("redis://cache"));

    fs::write(&config, format!("{levels}levels.1.options.pool_size = \"many\"\n")).unwrap();
    let refused = run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("pool_size"));
}

#[test]
fn completions_name_the_commands() {
    let binary = env!("CARGO_BIN_EXE_cachectl");
    let bash = Command::new(binary).args(["completions", "bash"]).output().unwrap();
    let script = text(&bash);
    assert!(script.contains("inspect") && script.contains("demo"));
}
