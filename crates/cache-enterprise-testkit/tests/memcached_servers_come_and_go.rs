//! The harness itself: a server is there when a test asks for it and gone when the test is.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::net::TcpStream;
use std::path::Path;

use cache_enterprise_testkit::servers::MemcachedServer;

#[test]
fn a_server_answers_and_is_gone_with_its_test() {
    let memcached = MemcachedServer::start();
    assert_eq!(memcached.ask("set key 0 0 5\r\nvalue"), "STORED");
    assert_eq!(memcached.ask("get key"), "VALUE key 0 5\r\nvalue\r\nEND");
    assert_eq!(memcached.stat("curr_items"), 1);
    let address = memcached.address();
    drop(memcached);
    assert!(TcpStream::connect(&address).is_err(), "{address} still answers");
}

#[test]
fn a_killed_server_comes_back_empty_on_its_port() {
    let memcached = MemcachedServer::start();
    let port = memcached.port();
    memcached.ask("set key 0 0 5\r\nvalue");
    memcached.kill();
    assert!(TcpStream::connect(memcached.address()).is_err());
    memcached.restart();
    assert_eq!((memcached.port(), memcached.ask("get key")), (port, "END".to_owned()));
}

#[test]
fn of_a_paused_server_no_thread_runs() {
    let memcached = MemcachedServer::start();
    let threads = format!("/proc/{}/task", memcached.pid());
    for _ in 0..50 {
        memcached.pause();
        let threads = std::fs::read_dir(&threads).unwrap();
        let states = threads.map(|thread| state_of(&thread.unwrap().path()));
        assert_eq!(states.collect::<HashSet<_>>(), HashSet::from(["T (stopped)".to_owned()]));
        memcached.resume();
    }
}

/// What the system says a thread does: `S (sleeping)`.
fn state_of(thread: &Path) -> String {
    let status = std::fs::read_to_string(thread.join("status")).unwrap();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.unwrap().trim().to_owned()
}

#[test]
fn a_paused_server_goes_on() {
    let memcached = MemcachedServer::start();
    memcached.pause();
    assert!(!memcached.is_running());
    memcached.resume();
    assert!(memcached.is_running());
    assert!(memcached.ask("version").starts_with("VERSION "));
}

#[test]
fn sizes_are_as_asked() {
    let memcached = MemcachedServer::options().memory_mb(8).item_size_max("512k").start();
    assert_eq!(memcached.stat("limit_maxbytes"), 8 * 1024 * 1024);
    let value = "x".repeat(600_000);
    let answer = memcached.ask(&format!("set key 0 0 600000\r\n{value}"));
    assert!(answer.starts_with("SERVER_ERROR object too large"), "{answer}");
}

#[test]
fn with_sasl_the_text_protocol_is_closed() {
    // The start itself has entered by SASL, or the server would not count as up.
    let memcached = MemcachedServer::options().sasl("app", "secret").start();
    // A packet of the binary protocol has 24 bytes before it can be wrong.
    assert_eq!(memcached.ask("get a-key-that-is-long-enough-to-be-wrong"), "");
    memcached.restart();
}

#[test]
#[should_panic(expected = "apt-get install")]
fn a_missing_program_is_a_failure_with_the_line_to_run() {
    MemcachedServer::options().in_search_path("").start();
}
