//! What happens to a fleet when its memcached restarts, or memcached or a cluster cannot be reached
//! by one process.

use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::{MemcachedServer, RedisCluster, RedisServer};
use cache_enterprise_testkit::wait;

use crate::fleet::Member;
use crate::member::Seat;

/// Values and epochs at `address`, and a bus that works.
fn on_memcached(manager: &str, address: String, bus: &RedisServer) -> Seat {
    let (manager, kind) = (manager.to_owned(), "memcached".to_owned());
    Seat { manager, kind, values: vec![address], bus: vec![bus.url()] }
}

/// A process that cannot reach memcached hears of removals all the same, loads for itself, and
/// stores nothing old when it is back.
#[test]
fn a_process_that_is_cut_off_memcached_brings_nothing_old() {
    let (values, bus) = (MemcachedServer::start(), RedisServer::start());
    let proxy = TcpProxy::to(&values.address());
    let one = Member::start(&on_memcached("cut", values.address(), &bus));
    let cut = Member::start(&on_memcached("cut", proxy.address(), &bus));
    for key in 0..20 {
        assert_eq!(one.ask(&format!("set {key} {key}")), "yes");
        assert_eq!(cut.ask(&format!("get {key}")), key.to_string());
    }
    let load = cut.begin("gated 30 30");
    cut.await_load(30);
    proxy.set(Fault::Reset);
    assert_eq!(one.ask("remove 30"), "yes");
    for key in 0..20 {
        assert_eq!(one.ask(&format!("set {key} {}", key + 100)), "yes");
    }
    for key in 0..20 {
        cut.await_answer(&format!("peek {key}"), "-");
    }
    cut.ask("go 30");
    assert_eq!(load.answer(), "30", "its own caller has what it loaded");
    assert_eq!(cut.ask("load 31 31"), "31", "the loader answers");
    proxy.heal();
    for key in 0..20 {
        cut.await_answer(&format!("get {key}"), &(key + 100).to_string());
        assert_eq!(one.ask(&format!("get {key}")), (key + 100).to_string());
    }
    assert_eq!(one.ask("get 30"), "-", "it was removed while it was loaded");
    cut.await_answer("get 30", "-");
    wait::until("a set is acknowledged", || cut.ask("set 40 40") == "yes");
    one.await_answer("get 40", "40");
}

/// memcached is killed and comes back empty: both processes go on, and agree again.
#[test]
fn a_memcached_that_restarts_is_used_again() {
    let (values, bus) = (MemcachedServer::start(), RedisServer::start());
    let seat = on_memcached("restarted", values.address(), &bus);
    let (one, other) = (Member::start(&seat), Member::start(&seat));
    assert_eq!(one.ask("set 1 10"), "yes");
    assert_eq!(other.ask("get 1"), "10");
    values.kill();
    one.ask("remove 1");
    assert_eq!(one.ask("peek 1"), "-");
    assert_eq!(one.ask("load 2 20"), "20", "the loader answers");
    values.restart();
    // What is set before the loss of the epochs was noticed is as cold as everything else.
    wait::until("a set is heard of", || one.ask("set 3 30") == "yes" && other.ask("get 3") == "30");
    other.await_answer("peek 1", "-");
    other.await_answer("get 1", "-");
}

/// Who may be shut out alone.
const GUEST: &str = "guest";

/// A process that no node of a cluster lets in: a client goes where a cluster sends it, past any
/// proxy, so the nodes do the cutting. In doubt it serves nothing, and it catches up.
#[test]
fn a_process_that_a_cluster_shuts_out_catches_up() {
    let patient = RedisCluster::options().node_timeout(std::time::Duration::from_secs(20));
    let cluster = patient.start(3, 0);
    let ask_all = |command: &[&str]| {
        cluster.nodes().iter().for_each(|node| drop(node.cli(command)));
    };
    ask_all(&["ACL", "SETUSER", GUEST, "on", ">secret", "~*", "&*", "+@all"]);
    let seat = |urls: Vec<String>| {
        let (manager, kind) = ("shut".to_owned(), "cluster".to_owned());
        Seat { manager, kind, values: urls.clone(), bus: urls }
    };
    let one = Member::start(&seat(cluster.addresses()));
    let url = |address: String| format!("redis://{GUEST}:secret@{address}");
    let shut = Member::start(&seat(cluster.addresses().into_iter().map(url).collect()));
    for key in 0..20 {
        assert_eq!(one.ask(&format!("set {key} {key}")), "yes");
        assert_eq!(shut.ask(&format!("get {key}")), key.to_string());
    }
    ask_all(&["ACL", "SETUSER", GUEST, "off"]);
    ask_all(&["CLIENT", "KILL", "USER", GUEST]);
    for key in 0..20 {
        assert_eq!(one.ask(&format!("set {key} {}", key + 100)), "yes");
    }
    shut.await_answer("doubts", "yes");
    for key in 0..20 {
        assert_eq!(shut.ask(&format!("peek {key}")), "-", "in doubt");
    }
    ask_all(&["ACL", "SETUSER", GUEST, "on"]);
    shut.await_answer("doubts", "no");
    for key in 0..20 {
        shut.await_answer(&format!("get {key}"), &(key + 100).to_string());
    }
}
