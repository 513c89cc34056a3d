//! A Redis Cluster.

mod migration;
mod options;

use super::process::START_UP;
use super::redis::{RedisOptions, RedisServer, Role};
use crate::wait;
pub use migration::SlotMigration;
pub use options::RedisClusterOptions;

/// Slots of every Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// How often the whole start is tried when somebody else took a port that was free.
const STARTS_TRIED: usize = 3;

/// A Redis Cluster whose nodes are as many [`RedisServer`]s; they end when it is dropped.
///
/// ```no_run
/// use cache_enterprise_testkit::servers::RedisCluster;
///
/// let cluster = RedisCluster::start(3, 1);
/// let slot = cluster.slot_of("user:1");
/// let old = cluster.master_of(slot).address();
/// cluster.master_of(slot).kill();
/// let new = cluster.await_new_master(slot, &old);
/// assert_ne!(new.address(), old);
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    options: RedisOptions,
}

impl RedisCluster {
    /// Starts `masters` nodes that share the slots evenly and `replicas_per_master` replicas of
    /// each. Waits until every node says that the cluster is whole and every replica is linked:
    /// some seconds. A dead shard does not stop the others, and a node counts as dead after 2 s.
    ///
    /// # Panics
    /// When a program is missing or the cluster does not come up.
    pub fn start(masters: usize, replicas_per_master: usize) -> Self {
        Self::options().start(masters, replicas_per_master)
    }

    /// What can be chosen before the start.
    pub fn options() -> RedisClusterOptions {
        RedisClusterOptions::new()
    }

    fn start_with(options: &RedisOptions, masters: usize, replicas_per_master: usize) -> Self {
        assert!(masters > 0, "a cluster has a master");
        let count = masters * (1 + replicas_per_master);
        for _ in 0..STARTS_TRIED {
            let spawn = |_| RedisServer::spawn(options.clone(), Role::ClusterNode);
            let nodes: Vec<RedisServer> = (0..count).map(spawn).collect();
            if nodes.iter().all(RedisServer::comes_up) {
                let cluster = RedisCluster { nodes, options: options.clone() };
                cluster.form(masters);
                return cluster;
            }
        }
        panic!("the free ports of a cluster were taken by others, {STARTS_TRIED} times");
    }

    /// Makes one cluster of nodes that know nobody: the first `masters` of them share the slots.
    fn form(&self, masters: usize) {
        for (index, node) in self.nodes.iter().enumerate() {
            // Epochs of their own, or the nodes have to settle who yields.
            expect_ok(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        for (index, node) in self.nodes[..masters].iter().enumerate() {
            let slots = share(index, masters).map(|slot| slot.to_string()).collect::<Vec<_>>();
            let command =
                ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
            expect_ok(node, &command.collect::<Vec<_>>());
        }
        for node in &self.nodes[1..] {
            self.meet(node);
        }
        self.wait_until("every node knows every other", || self.all_know_all());
        for (index, replica) in self.nodes.iter().enumerate().skip(masters) {
            let master = &self.nodes[index % masters];
            // The replica has to have heard that the other is a master with slots.
            self.wait_until("a replica has its master", || {
                replica.answers_with(&["CLUSTER", "REPLICATE", &id_of(master)], "OK")
            });
        }
        self.await_whole();
    }

    fn meet(&self, node: &RedisServer) {
        let port = node.port().to_string();
        expect_ok(&self.nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &port]);
    }

    fn all_know_all(&self) -> bool {
        let known = format!("cluster_known_nodes:{}\r\n", self.nodes.len());
        self.nodes.iter().all(|node| {
            let nodes = node.ask(&["CLUSTER", "NODES"]);
            node.answers_with(&["CLUSTER", "INFO"], &known)
                && nodes.is_some_and(|nodes| !nodes.contains("handshake"))
        })
    }

    /// Waits until every node that runs says `cluster_state:ok` and every replica that runs is
    /// linked to its master.
    ///
    /// # Panics
    /// When that does not come within a minute; the text is what the first node says of the others.
    pub fn await_whole(&self) {
        self.wait_until("the cluster is whole", || {
            self.running().all(|node| {
                let replication = node.ask(&["INFO", "replication"]);
                node.answers_with(&["CLUSTER", "INFO"], "cluster_state:ok\r\n")
                    && replication.is_some_and(|text| !text.contains("master_link_status:down"))
            })
        });
    }

    fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        if !wait::holds_within(START_UP, condition) {
            let view = self.running().find_map(|node| node.ask(&["CLUSTER", "NODES"]));
            let view = view.unwrap_or_else(|| "no node answers".to_owned());
            panic!("waited {START_UP:?} in vain until {what}; the cluster:\n{view}");
        }
    }

    /// All nodes in the order of their start: at first the masters, then the replicas, then those
    /// that were added.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// `127.0.0.1:PORT` of every node, in the order of [`nodes`](Self::nodes).
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::address).collect()
    }

    /// The URL of every node, in the order of [`nodes`](Self::nodes).
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The node that listens on `address`.
    ///
    /// # Panics
    /// When none does.
    pub fn node_at(&self, address: &str) -> &RedisServer {
        let found = self.nodes.iter().find(|node| node.address() == address);
        found.unwrap_or_else(|| panic!("no node of the cluster listens on {address}"))
    }

    /// The slot of a key.
    pub fn slot_of(&self, key: &str) -> u16 {
        let node = self.running().next().expect("a node of the cluster runs");
        let answer = node.cli(&["CLUSTER", "KEYSLOT", key]);
        answer.parse().unwrap_or_else(|_| panic!("a slot is a number: {answer}"))
    }

    /// The master of a slot, as most of the running nodes see it.
    ///
    /// # Panics
    /// When the running nodes do not agree, or name nobody.
    pub fn master_of(&self, slot: u16) -> &RedisServer {
        self.owner_by_majority(slot).expect("most of the running nodes agree on the owner")
    }

    /// The running replicas of the master of a slot.
    pub fn replicas_of(&self, slot: u16) -> Vec<&RedisServer> {
        let master = format!("master_port:{}\r\n", self.master_of(slot).port());
        let follows = |node: &&RedisServer| node.cli(&["INFO", "replication"]).contains(&master);
        self.running().filter(follows).collect()
    }

    /// Waits until most of the running nodes name a master of `slot` other than the one at
    /// `old_address`, and gives it.
    ///
    /// # Panics
    /// When that does not come within a minute; the text is what the first node says of the others.
    pub fn await_new_master(&self, slot: u16, old_address: &str) -> &RedisServer {
        let mut new = None;
        self.wait_until("the slot has another master", || {
            new = self.owner_by_majority(slot).filter(|node| node.address() != old_address);
            new.is_some()
        });
        new.expect("was waited for")
    }

    /// Starts one more node, an empty master, and waits until the whole cluster knows it.
    ///
    /// # Panics
    /// When it does not come up or is not taken in.
    pub fn add_node(&mut self) -> &RedisServer {
        let node = (0..STARTS_TRIED)
            .map(|_| RedisServer::spawn(self.options.clone(), Role::ClusterNode))
            .find(RedisServer::comes_up)
            .expect("a free port is left to us");
        self.meet(&node);
        self.nodes.push(node);
        self.wait_until("every node knows the new one", || self.all_know_all());
        // The new node itself must call the cluster whole, or moves of slots to it fail.
        self.await_whole();
        self.nodes.last().expect("was just added")
    }

    /// Begins to move `slot` to the node at `address`, which then runs until it is
    /// [finished](SlotMigration::finish): in between, the slot's keys are asked for by `ASK`.
    ///
    /// # Panics
    /// When the node owns the slot already or refuses it.
    pub fn migrate(&self, slot: u16, address: &str) -> SlotMigration<'_> {
        SlotMigration::begin(self, slot, self.node_at(address))
    }

    /// The nodes that were neither killed nor paused.
    pub fn running(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    fn owner_by_majority(&self, slot: u16) -> Option<&RedisServer> {
        let view = |node: &RedisServer| owner(&node.ask(&["CLUSTER", "SLOTS"])?, slot);
        let views: Vec<Option<u16>> = self.running().map(view).collect();
        let most = views.iter().copied().flatten().find(|port| {
            let votes = views.iter().filter(|view| **view == Some(*port)).count();
            2 * votes > views.len()
        })?;
        self.nodes.iter().find(|node| node.port() == most)
    }
}

/// The slots of master `index` out of `masters`.
fn share(index: usize, masters: usize) -> std::ops::Range<usize> {
    let border = |index: usize| index * usize::from(SLOTS) / masters;
    border(index)..border(index + 1)
}

/// The port of the master of `slot` in what `redis-cli` prints of `CLUSTER SLOTS`: for each range
/// its first and last slot, then address, port, id and more of the master, then of each replica.
fn owner(printed: &str, slot: u16) -> Option<u16> {
    let lines: Vec<&str> = printed.lines().collect();
    lines.windows(4).find_map(|window| {
        let &[first, last, "127.0.0.1", port] = window else { return None };
        let range = first.parse::<u16>().ok()?..=last.parse().ok()?;
        range.contains(&slot).then(|| port.parse().ok())?
    })
}

fn id_of(node: &RedisServer) -> String {
    node.cli(&["CLUSTER", "MYID"])
}

fn expect_ok(node: &RedisServer, command: &[&str]) {
    let answer = node.cli(command);
    assert_eq!(answer, "OK", "{} answered this to {:?}", node.address(), &command[..2]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_owner() {
        for masters in [1, 2, 3, 7] {
            let slots: Vec<usize> = (0..masters).flat_map(|index| share(index, masters)).collect();
            assert!(slots.into_iter().eq(0..usize::from(SLOTS)));
        }
    }

    #[test]
    fn the_owner_is_the_first_of_its_range() {
        let printed = "0\n8191\n127.0.0.1\n7001\nid-a\n\n127.0.0.1\n7003\nid-c\n\n\
                       8192\n16383\n127.0.0.1\n7002\nid-b\n\n";
        assert_eq!(owner(printed, 0), Some(7001));
        assert_eq!(owner(printed, 8191), Some(7001));
        assert_eq!(owner(printed, 8192), Some(7002));
        assert_eq!(owner("", 1), None);
    }
}
