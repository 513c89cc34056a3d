//! What can be chosen before a Redis Cluster starts.

use std::ffi::OsString;
use std::time::Duration;

use super::RedisCluster;
use crate::servers::redis::{RedisOptions, RedisServer};

/// Options of a [`RedisCluster`].
///
/// ```no_run
/// use std::time::Duration;
/// use cache_enterprise_testkit::servers::RedisCluster;
///
/// let quick = RedisCluster::options().node_timeout(Duration::from_millis(500)).start(3, 1);
/// let strict = RedisCluster::options().full_coverage(true).password("secret").start(2, 0);
/// ```
#[derive(Clone, Debug)]
pub struct RedisClusterOptions {
    nodes: RedisOptions,
    full_coverage: bool,
    node_timeout: Duration,
}

impl RedisClusterOptions {
    pub(super) fn new() -> Self {
        RedisClusterOptions {
            nodes: RedisServer::options(),
            full_coverage: false,
            node_timeout: Duration::from_secs(2),
        }
    }

    /// Whether the whole cluster refuses requests while a slot has no owner
    /// (`cluster-require-full-coverage`). Default: no.
    #[must_use]
    pub fn full_coverage(mut self, required: bool) -> Self {
        self.full_coverage = required;
        self
    }

    /// How long a node may be silent before the others call it dead (`cluster-node-timeout`).
    /// Default: 2 s.
    #[must_use]
    pub fn node_timeout(mut self, timeout: Duration) -> Self {
        self.node_timeout = timeout;
        self
    }

    /// A password of the default user of every node. Default: none.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.nodes = self.nodes.password(password);
        self
    }

    /// A line of the configuration of every node; it has the last word.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.nodes = self.nodes.arg(name, value);
        self
    }

    /// Where the programs are looked for. Default: `PATH`.
    #[must_use]
    pub fn in_search_path(mut self, search_path: impl Into<OsString>) -> Self {
        self.nodes = self.nodes.in_search_path(search_path);
        self
    }

    /// Starts the nodes, makes them one cluster and waits until it is whole.
    ///
    /// # Panics
    /// When a program is missing or the cluster does not come up.
    pub fn start(self, masters: usize, replicas_per_master: usize) -> RedisCluster {
        let coverage = if self.full_coverage { "yes" } else { "no" };
        let millis = self.node_timeout.as_millis().to_string();
        let nodes = self
            .nodes
            .before("cluster-require-full-coverage", coverage)
            .before("cluster-node-timeout", &millis)
            // Replicas stay with the master the test gave them.
            .before("cluster-allow-replica-migration", "no");
        RedisCluster::start_with(&nodes, masters, replicas_per_master)
    }
}
