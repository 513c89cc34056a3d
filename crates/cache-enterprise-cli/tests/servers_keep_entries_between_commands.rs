//! Commands on a cache whose settings name a real Redis and a real memcached.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};

fn cachectl(arguments: &[&str], config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cachectl"))
        .args(arguments)
        .arg(config)
        .env("CACHECTL_TEST_PASSWORD", "canary")
        .output()
        .unwrap()
}

/// What a command that succeeded printed; never a password.
fn text(arguments: &[&str], config: &Path) -> String {
    let Output { status, stdout, stderr } = cachectl(arguments, config);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{arguments:?}: {stderr}");
    assert!(!format!("{stdout}{stderr}").contains("canary"), "{arguments:?}");
    stdout
}

#[test]
fn every_command_works_on_redis_and_memcached_and_says_which_of_them_is_away() {
    let redis = RedisServer::options().password("canary").start();
    let memcached = MemcachedServer::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.toml");
    let settings = format!(
        "name = \"shop\"\n\
         timeouts.read = \"20s\"\n\
         timeouts.write = \"20s\"\n\
         levels.1.kind = \"redis\"\n\
         levels.1.options.url = \"redis://{}\"\n\
         levels.1.options.password = \"env:CACHECTL_TEST_PASSWORD\"\n\
         levels.2.kind = \"memcached\"\n\
         levels.2.options.servers = [\"{}\"]\n",
        redis.address(),
        memcached.address(),
    );
    fs::write(&config, settings).unwrap();

    assert_eq!(text(&["config", "check"], &config), "settings are fine: 3 levels\n");
    assert!(text(&["config", "show"], &config).contains(&redis.address()));
    let set = ["set", "greeting", "hello", "--ttl", "5m", "--tag", "words", "--config"];
    assert_eq!(text(&set, &config), "stored\n");
    let values = redis.cli(&["KEYS", "*:greeting"]);
    assert_eq!((values.lines().count(), memcached.stat("curr_items")), (1, 1));
    assert_eq!(text(&["get", "greeting", "--config"], &config), "hello\n");
    let left: f64 = text(&["ttl", "greeting", "--config"], &config).trim().parse().unwrap();
    assert!((200.0..=330.0).contains(&left), "{left}");
    let copies = text(&["inspect", "greeting", "--config"], &config);
    assert!(copies.contains("L2 redis") && copies.contains("L3 memcached"), "{copies}");
    let levels = text(&["stats", "--config"], &config);
    assert!(levels.contains("L2 redis") && levels.contains("L3 memcached"), "{levels}");
    assert_eq!(levels.matches("health               up\n").count(), 2, "{levels}");

    redis.kill();
    for command in [&["get", "greeting", "--config"][..], &["inspect", "greeting", "--config"]] {
        let refused = cachectl(command, &config);
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("tier: redis") && stderr.lines().count() == 1, "{stderr}");
    }
    let levels = text(&["stats", "--config"], &config);
    assert!(levels.contains("health               down: "), "{levels}");
    let refused = cachectl(&["set", "greeting", "bye", "--config"], &config);
    assert_eq!(refused.status.code(), Some(1), "a write that a level did not take is no success");

    redis.restart();
    // The write that failed took its elder away where it could.
    assert_eq!(text(&["del", "greeting", "--config"], &config), "was not there\n");
    assert_eq!(cachectl(&["get", "greeting", "--config"], &config).status.code(), Some(1));
}
