//! The harness itself: a cluster comes up whole, changes its owners and moves its slots.
#![allow(clippy::unwrap_used)]

use cache_enterprise_testkit::servers::{RedisCluster, SLOTS};

#[test]
fn every_slot_has_a_master_and_a_replica() {
    let cluster = RedisCluster::start(3, 1);
    assert_eq!(cluster.nodes().len(), 6);
    for slot in [0, SLOTS / 2, SLOTS - 1] {
        assert_eq!(cluster.replicas_of(slot).len(), 1);
    }
    let slot = cluster.slot_of("{a}key");
    assert_eq!(slot, cluster.slot_of("{a}other"));
    assert_eq!(cluster.master_of(slot).cli(&["SET", "{a}key", "1"]), "OK");
}

#[test]
fn a_replica_follows_a_killed_and_a_hung_master() {
    let cluster = RedisCluster::start(3, 1);
    let old = cluster.master_of(0).address();
    cluster.master_of(0).kill();
    assert_ne!(cluster.await_new_master(0, &old).address(), old);

    let slot = SLOTS - 1;
    let hung = cluster.master_of(slot).address();
    cluster.node_at(&hung).pause();
    assert_ne!(cluster.await_new_master(slot, &hung).address(), hung);
    cluster.node_at(&hung).resume();
    cluster.node_at(&old).restart();
    cluster.await_whole();
}

#[test]
fn a_slot_moves_to_a_new_node_while_it_is_used() {
    let mut cluster = RedisCluster::options().password("secret").start(2, 0);
    let new = cluster.add_node().address();
    let slot = cluster.slot_of("{a}");
    let source = cluster.master_of(slot);
    for key in ["{a}1", "{a}2", "{a}3"] {
        assert_eq!(source.cli(&["SET", key, key]), "OK");
    }
    let migration = cluster.migrate(slot, &new);
    assert_eq!(migration.move_keys(2), 2);
    assert!(source.cli(&["SET", "{a}absent", "1"]).starts_with("ASK "));
    migration.finish();
    assert_eq!(cluster.master_of(slot).address(), new);
    assert!(source.cli(&["GET", "{a}1"]).starts_with("MOVED "));
    for key in ["{a}1", "{a}2", "{a}3"] {
        assert_eq!(cluster.node_at(&new).cli(&["GET", key]), key);
    }
}
