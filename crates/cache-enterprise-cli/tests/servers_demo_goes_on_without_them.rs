//! The demo over a real Redis and a real memcached, of which one goes away.

#![allow(clippy::unwrap_used)]

mod demo;

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};
use cache_enterprise_testkit::wait;

const LEVELS: [&str; 3] = ["L1 memory", "L2 redis", "L3 memcached"];
/// Entries below memory that tell that the load is on.
const UNDER_LOAD: u64 = 20;

/// Each demo keeps all processors busy; two at once would be each other's outage.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn await_load(entries: impl Fn() -> u64) {
    wait::until("the demo stores something", || entries() >= UNDER_LOAD);
}

fn keys(redis: &RedisServer) -> u64 {
    redis.cli(&["DBSIZE"]).parse().unwrap()
}

#[test]
fn three_levels_go_on_while_redis_is_cut_off_and_hangs() {
    let _alone = alone();
    let redis = RedisServer::options().password("canary").start();
    let memcached = MemcachedServer::start();
    redis.cli(&["SET", "somebody:else", "kept"]);
    memcached.ask("set somebody:else 0 0 4\r\nkept");

    let run = || {
        let servers = ["--redis", &redis.url(), "--memcached", &memcached.address()];
        let load = ["--outage", "--seconds", "6", "--capacity", "1"];
        let mut started = demo::start(&[&servers[..], &load].concat());
        let progress = stderr_of(&mut started);
        let report = demo::report(started);
        report.assert_whole(&LEVELS);
        report.assert_outage("L2 redis", 1_000);
        (report, progress.join().unwrap())
    };
    let are_used = |(report, _): &(demo::Report, String)| {
        let counts = ["/levels/1/hits", "/levels/2/hits", "/restart/warm_hits"];
        counts.iter().all(|count| report.number(count) >= 1)
    };
    let (report, progress) = demo::until_seen(run, are_used);
    assert!(report.number("/levels/1/hits") >= 1 && report.number("/levels/2/hits") >= 1);
    assert!(report.number("/restart/warm_hits") >= 1);
    let at = format!("level 2: redis at {} by way of a proxy", redis.address());
    assert!(report.text.contains(&at), "{}", report.text);
    assert!(progress.contains("L2 redis is out of order"), "{progress}");
    assert!(!format!("{}{progress}", report.text).contains("canary"));

    // What was there before is there still, and what was added ends by itself.
    assert_eq!(redis.cli(&["GET", "somebody:else"]), "kept");
    assert!(memcached.ask("get somebody:else").contains("kept"));
    assert_eq!(memcached.stat("cmd_flush"), 0);
    // But for the records of epochs: what they ended must stay ended.
    let count = |pattern| redis.cli(&["KEYS", pattern]).lines().count() as u64;
    let records = count("*}epochs") + count("*}order");
    let keys = keys(&redis);
    let keyspace = redis.cli(&["INFO", "keyspace"]);
    let ending = keys - records - 1;
    assert!(keyspace.contains(&format!("keys={keys},expires={ending},")), "{keyspace}");
}

#[test]
fn three_levels_go_on_while_memcached_is_cut_off_and_hangs() {
    let _alone = alone();
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let servers = ["--redis", &redis.url(), "--memcached", &memcached.address()];
    let report =
        demo::report(demo::start(&[&servers[..], &["--outage=3", "--seconds", "1"]].concat()));
    report.assert_whole(&LEVELS);
    report.assert_outage("L3 memcached", 1_000);
}

#[test]
fn three_levels_go_on_when_redis_is_killed() {
    let _alone = alone();
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let servers = ["--redis", &redis.url(), "--memcached", &memcached.address()];
    let started = demo::start(&[&servers[..], &["--seconds", "10"]].concat());
    await_load(|| keys(&redis));
    redis.kill();
    let report = demo::report(started);
    report.assert_whole(&LEVELS);
    report.assert_outage("L2 redis", 1);
    assert!(report.text.contains("not back in use"), "{}", report.text);
    assert_eq!(report.number("/restart/warm_hits"), 0, "nobody knows the epochs any more");
}

#[test]
fn memcached_alone_goes_away_and_comes_back_empty() {
    let _alone = alone();
    let memcached = MemcachedServer::start();
    let mut started = demo::start(&["--memcached", &memcached.address(), "--seconds", "12"]);
    await_load(|| memcached.stat("curr_items"));
    memcached.kill();
    let stderr = BufReader::new(started.stderr.take().unwrap());
    let mut progress = stderr.lines().map(Result::unwrap);
    let noticed = progress.by_ref().find(|line| line.contains("L2 memcached is out of order"));
    assert!(noticed.is_some(), "the demo does not tell that its level is away");
    memcached.restart();
    let rest = std::thread::spawn(move || progress.count());
    let report = demo::report(started);
    rest.join().unwrap();
    report.assert_whole(&["L1 memory", "L2 memcached"]);
    report.assert_outage("L2 memcached", 1);
}

#[test]
fn a_level_that_nobody_breaks_is_not_said_to_be_broken_and_a_wrong_password_is_an_input() {
    let _alone = alone();
    let redis = RedisServer::options().user("ada", "canary").start();
    let wrong = redis.url().replace("canary", "not-canary");
    let output = demo::start(&["--redis", &wrong]).wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("L2 redis") && stderr.contains("password"), "{stderr}");
    assert!(!stderr.contains("canary") && stderr.lines().count() == 1, "{stderr}");

    let report = demo::report(demo::start(&["--redis", &redis.url(), "--seconds", "1"]));
    report.assert_whole(&["L1 memory", "L2 redis"]);
    assert!(!report.text.contains("canary"), "{}", report.text);
    let life = Duration::from_secs(5 * 60);
    let key = redis.cli(&["RANDOMKEY"]);
    assert!(key.starts_with("{demo-"), "{key}");
    let left: u64 = redis.cli(&["PTTL", &key]).parse().unwrap();
    assert!(Duration::from_millis(left) <= life, "{left}");
}

/// Reads what a demo says meanwhile, so that it need not wait for a reader.
fn stderr_of(demo: &mut Child) -> std::thread::JoinHandle<String> {
    let stderr = demo.stderr.take().unwrap();
    std::thread::spawn(move || std::io::read_to_string(stderr).unwrap())
}
