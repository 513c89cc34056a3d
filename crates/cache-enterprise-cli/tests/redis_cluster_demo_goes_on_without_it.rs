//! The demo over a real cluster of Redis.

#![allow(clippy::unwrap_used)]

mod demo;

use cache_enterprise_testkit::servers::RedisCluster;

#[test]
fn a_cluster_that_hangs_is_not_felt_by_callers() {
    let cluster = RedisCluster::start(3, 0);
    let nodes = cluster.addresses().join(",");
    let load = ["--outage", "--seconds", "6", "--capacity", "1"];
    let run = || {
        let cluster = ["--redis-cluster", &nodes];
        let report = demo::report(demo::start(&[&cluster[..], &load].concat()));
        report.assert_whole(&["L1 memory", "L2 redis cluster"]);
        report.assert_outage("L2 redis cluster", 1_000);
        assert!(report.text.contains("calls to the level spoiled"), "{}", report.text);
        report
    };
    let is_used = |report: &demo::Report| {
        report.number("/levels/1/hits") >= 1 && report.number("/restart/warm_hits") >= 1
    };
    let report = demo::until_seen(run, is_used);
    assert!(report.number("/levels/1/hits") >= 1);
    assert!(report.number("/restart/warm_hits") >= 1);
    let is_used =
        |node: &&cache_enterprise_testkit::servers::RedisServer| node.cli(&["DBSIZE"]) != "0";
    assert_eq!(cluster.nodes().iter().filter(is_used).count(), 3, "every shard has a part");
}
