//! A slot on its way from one node to another while clients go on.

use super::{RedisCluster, RedisServer, expect_ok, id_of};

/// How long one key may take from node to node.
const MOVE_TIMEOUT_MS: &str = "5000";

/// A slot that two nodes share: the old owner answers for the keys it still has and sends for the
/// others with `ASK`. The test says when keys go and when the slot itself does.
///
/// ```no_run
/// use cache_enterprise_testkit::servers::RedisCluster;
///
/// let cluster = RedisCluster::start(2, 0);
/// let slot = cluster.slot_of("key");
/// let other = cluster.nodes().iter().find(|n| n.port() != cluster.master_of(slot).port());
/// let migration = cluster.migrate(slot, &other.unwrap().address());
/// // Requests for "key" are answered with ASK from here on, unless the old owner has it.
/// migration.move_keys(100);
/// migration.finish();
/// // Requests to the old owner are answered with MOVED from here on.
/// ```
#[derive(Debug)]
pub struct SlotMigration<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    source: &'a RedisServer,
    target: &'a RedisServer,
}

impl<'a> SlotMigration<'a> {
    pub(super) fn begin(cluster: &'a RedisCluster, slot: u16, target: &'a RedisServer) -> Self {
        let source = cluster.master_of(slot);
        assert_ne!(source.port(), target.port(), "the node owns slot {slot} already");
        let slot = slot.to_string();
        // In this order: the target has to know before the source sends anybody there.
        expect_ok(target, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id_of(source)]);
        expect_ok(source, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id_of(target)]);
        SlotMigration { cluster, slot, source, target }
    }

    /// The node the slot comes from.
    pub fn source(&self) -> &'a RedisServer {
        self.source
    }

    /// The node the slot goes to.
    pub fn target(&self) -> &'a RedisServer {
        self.target
    }

    /// Moves up to `count` keys, and says how many moved: 0 when none is left.
    ///
    /// # Panics
    /// When a key cannot be moved.
    pub fn move_keys(&self, count: usize) -> usize {
        let count = count.to_string();
        let printed = self.source.cli(&["CLUSTER", "GETKEYSINSLOT", &self.slot, &count]);
        let keys: Vec<&str> = printed.lines().filter(|key| !key.is_empty()).collect();
        if keys.is_empty() {
            return 0;
        }
        let port = self.target.port().to_string();
        let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", MOVE_TIMEOUT_MS];
        let password = self.cluster.options.password_text();
        command.extend(password.iter().flat_map(|password| ["AUTH", password]));
        command.push("KEYS");
        command.extend(&keys);
        let answer = self.source.cli(&command);
        assert!(answer == "OK" || answer == "NOKEY", "moving {} keys: {answer}", keys.len());
        keys.len()
    }

    /// Moves what is left and gives the slot to its new owner.
    ///
    /// # Panics
    /// When a key cannot be moved or a node refuses.
    pub fn finish(self) {
        while self.move_keys(100) > 0 {}
        let owner = id_of(self.target);
        let command = ["CLUSTER", "SETSLOT", &self.slot, "NODE", &owner];
        // The target first: were it the source, nobody would own the slot in between.
        expect_ok(self.target, &command);
        expect_ok(self.source, &command);
        let bystanders = self.cluster.running().filter(|node| {
            ![self.source.port(), self.target.port()].contains(&node.port())
                && node.cli(&["ROLE"]).starts_with("master")
        });
        bystanders.for_each(|node| expect_ok(node, &command));
    }
}
