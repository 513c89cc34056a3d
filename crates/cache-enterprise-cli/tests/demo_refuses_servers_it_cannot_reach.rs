//! Servers that are misspelt or away get one clear line, which shows no password.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
    command.args(["demo", "--json"]).args(arguments).output().unwrap()
}

/// Asserts that a demo ends with `code` and one line that says `expected`.
fn assert_refused(arguments: &[&str], code: i32, expected: &[&str]) {
    let output = demo(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    for words in expected {
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
    assert!(!stderr.contains("canary") && output.stdout.is_empty(), "{arguments:?}: {stderr}");
}

#[test]
fn a_name_that_cannot_be_read_is_told_with_its_option() {
    assert_refused(&["--redis", "http://ada:canary@cache"], 2, &["--redis: ", "redis://"]);
    assert_refused(&["--redis", "ada:canary@cache"], 2, &["--redis: ", "redis://"]);
    assert_refused(&["--redis", "redis://ada@cache"], 2, &["--redis: ", "password"]);
    let nodes = ["--redis-cluster", "a:1,redis://:canary@b/3"];
    assert_refused(&nodes, 2, &["--redis-cluster: ", "database"]);
    assert_refused(&["--memcached", "mc-a:port"], 2, &["--memcached: ", "host:port"]);
    assert_refused(&["--memcached", "memcache://ada:canary@mc-a"], 2, &["--memcached: "]);
}

#[test]
fn a_level_that_is_not_there_cannot_be_broken() {
    assert_refused(&["--outage=3"], 2, &["no level 3"]);
}

#[test]
fn a_server_that_is_away_at_the_start_ends_the_demo() {
    // Taken and given back: nobody listens there now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let url = format!("redis://:canary@{address}");
    for outage in [&[][..], &["--outage"]] {
        let refused = |option: &str, server: &str, expected: &[&str]| {
            assert_refused(&[&[option, server], outage].concat(), 1, expected);
        };
        refused("--redis", &url, &["L2 redis: ", "nothing listens", &address]);
        refused("--redis-cluster", &url, &["L2 redis cluster: ", &address]);
        refused("--memcached", &address, &["L2 memcached: ", &address]);
    }
}

#[test]
fn a_line_that_is_not_understood_shows_no_password() {
    let output = demo(&["redis://ada:canary@cache"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("redis://***@cache") && !stderr.contains("canary"), "{stderr}");
}
