//! What happens to a fleet when its Redis restarts, forgets or cannot be reached.

use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait;

use crate::fleet::Member;
use crate::member::Seat;

fn seat(manager: &str, url: String) -> Seat {
    let kind = "redis".to_owned();
    Seat { manager: manager.to_owned(), kind, values: vec![url.clone()], bus: vec![url] }
}

/// Values, epochs and log are gone; what was invalidated does not come back, and what is written
/// afterwards is heard.
#[test]
fn a_flushed_redis_brings_nothing_back() {
    let redis = RedisServer::start();
    let seat = seat("flushed", redis.url());
    let (one, other) = (Member::start(&seat), Member::start(&seat));
    assert_eq!(one.ask("set 1 10 a"), "yes");
    assert_eq!(other.ask("get 1"), "10");
    let load = other.begin("gated 2 20 a");
    other.await_load(2);
    assert_eq!(one.ask("invalidate a"), "yes");
    redis.cli(&["FLUSHALL"]);
    other.ask("go 2");
    assert_eq!(load.answer(), "20");
    other.await_answer("peek 1", "-");
    assert_eq!(one.ask("get 2"), "-", "it was loaded before the epoch that was lost");
    one.await_answer("set 3 30", "yes");
    assert_eq!(other.ask("get 3"), "30");
    one.await_answer("set 3 31", "yes");
    other.await_answer("get 3", "31");
}

/// The record of epochs is deleted by hand: everything from before is cold.
#[test]
fn a_deleted_record_of_epochs_leaves_everything_cold() {
    let redis = RedisServer::start();
    let seat = seat("deleted", redis.url());
    let (one, other) = (Member::start(&seat), Member::start(&seat));
    assert_eq!(one.ask("set 1 10 a"), "yes");
    assert_eq!(other.ask("get 1"), "10");
    assert_eq!(one.ask("invalidate a"), "yes");
    for key in redis.cli(&["KEYS", "*epochs*"]).lines() {
        redis.cli(&["DEL", key]);
    }
    other.ask("forget");
    assert_eq!(other.ask("get 1"), "-");
    assert_eq!(one.ask("get 1"), "-");
    one.await_answer("set 1 11", "yes");
    other.await_answer("get 1", "11");
}

/// A process that is cut off serves its level 1 for a second, then nothing old; when it returns it
/// learns everything it missed.
#[test]
fn a_cut_process_catches_up() {
    let redis = RedisServer::start();
    let proxy = TcpProxy::to(&redis.address());
    let one = Member::start(&seat("cut", redis.url()));
    let cut = Member::start(&seat("cut", redis.url_at(&proxy.address())));
    for key in 0..50 {
        assert_eq!(one.ask(&format!("set {key} {key}")), "yes");
        assert_eq!(cut.ask(&format!("get {key}")), key.to_string());
    }
    proxy.set(Fault::Stall);
    for key in 0..50 {
        assert_eq!(one.ask(&format!("set {key} {}", key + 100)), "yes");
    }
    cut.await_answer("doubts", "yes");
    for key in 0..50 {
        assert_eq!(cut.ask(&format!("peek {key}")), "-", "in doubt");
    }
    proxy.heal();
    cut.await_answer("doubts", "no");
    for key in 0..50 {
        cut.await_answer(&format!("get {key}"), &(key + 100).to_string());
    }
}

/// A process is killed while what it loaded under its leases is on the way: that arrives after the
/// keys were removed and loaded anew.
#[test]
fn what_a_killed_holder_had_sent_comes_too_late() {
    let redis = RedisServer::start();
    let proxy = TcpProxy::to(&redis.address());
    let one = Member::start(&seat("sent", redis.url()));
    let connections = || redis.cli(&["CLIENT", "LIST"]).lines().count();
    let before = connections();
    let doomed = Member::start(&seat("sent", redis.url_at(&proxy.address())));
    let loads: Vec<_> = (0..10).map(|key| doomed.begin(&format!("held {key} 10"))).collect();
    (0..10).for_each(|key| doomed.await_load(key));
    proxy.set(Fault::Stall);
    (0..10).for_each(|key| drop(doomed.ask(&format!("go {key}"))));
    // They waited for the tier to take it.
    loads.into_iter().for_each(|load| assert_eq!(load.answer(), "10"));
    doomed.kill();
    (0..10).for_each(|key| drop(one.ask(&format!("remove {key}"))));
    let loads: Vec<_> = (0..10).map(|key| one.begin(&format!("turn {key} 11"))).collect();
    loads.into_iter().for_each(|load| assert_eq!(load.answer(), "11"));
    proxy.heal();
    wait::until("everything it sent has arrived", || connections() <= before);
    one.ask("forget");
    for key in 0..10 {
        assert_eq!(one.ask(&format!("get {key}")), "11");
    }
}

/// Redis is killed and comes back empty: both processes go on, and agree again.
#[test]
fn a_redis_that_restarts_empty_is_used_again() {
    let redis = RedisServer::start();
    let seat = seat("restarted", redis.url());
    let (one, other) = (Member::start(&seat), Member::start(&seat));
    assert_eq!(one.ask("set 1 10"), "yes");
    assert_eq!(other.ask("get 1"), "10");
    redis.kill();
    one.ask("remove 1");
    assert_eq!(one.ask("peek 1"), "-");
    assert_eq!(one.ask("load 2 20"), "20", "the loader answers");
    redis.restart();
    wait::until("a set is acknowledged", || one.ask("set 3 30") == "yes");
    other.await_answer("get 3", "30");
    other.await_answer("peek 1", "-");
    other.await_answer("get 1", "-");
}
