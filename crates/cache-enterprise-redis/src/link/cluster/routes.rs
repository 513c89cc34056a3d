//! Which node a call goes to, and what its answer says about the node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_enterprise_core::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::node::{Access, Node};
use super::redirect::{Sign, sign};
use super::table::SlotTable;
use super::watchdog::Watchdog;
use crate::address::Endpoint;
use crate::error;

/// Nodes that redirects named and the table does not know yet; with one more they are forgotten.
const STRANGERS_MAX: usize = 32;

/// What calls and the watchdog's driver share.
pub(super) struct Shared {
    pub(super) access: Access,
    pub(super) watchdog: Mutex<Watchdog>,
    /// Wakes the driver: the watchdog may be due earlier than it was.
    pub(super) wake: Notify,
    pub(super) phase: watch::Sender<Phase>,
    routes: RwLock<Routes>,
    strangers: Mutex<Vec<Arc<Node>>>,
    began: Instant,
    is_watched: bool,
}

/// The table and the node of each of its shards.
struct Routes {
    table: SlotTable,
    nodes: Vec<Arc<Node>>,
}

/// Whether the cluster was found.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Asking,
    Open,
    /// Nobody answered the last round of questions; the next one follows.
    Shut(Error),
    Closed,
}

impl Shared {
    pub(super) fn new(access: Access, watchdog: Watchdog, is_watched: bool) -> Self {
        Self {
            access,
            watchdog: Mutex::new(watchdog),
            wake: Notify::new(),
            phase: watch::channel(Phase::Asking).0,
            routes: RwLock::new(Routes { table: SlotTable::empty(), nodes: Vec::new() }),
            strangers: Mutex::default(),
            began: Instant::now(),
            is_watched,
        }
    }

    /// Time on the watchdog's clock.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.began + at
    }

    /// The node that serves a slot. Waits for the cluster to be found, no longer than `within`.
    pub(super) async fn node_of(&self, slot: u16, within: Duration) -> Result<Arc<Node>> {
        if let Some(node) = self.known_node_of(slot) {
            return Ok(node);
        }
        self.found(within).await?;
        self.known_node_of(slot).ok_or_else(|| {
            self.want_round();
            let text = "no master serves the slot of the key; see to the cluster";
            Error::new(ErrorKind::Unavailable, text).with("slot", slot)
        })
    }

    pub(super) fn known_node_of(&self, slot: u16) -> Option<Arc<Node>> {
        let routes = self.routes.read();
        routes.nodes.get(routes.table.shard(slot)?).cloned()
    }

    /// Waits until the nodes are known.
    pub(super) async fn found(&self, within: Duration) -> Result<()> {
        let mut phases = self.phase.subscribe();
        let ended = phases.wait_for(|phase| !matches!(phase, Phase::Asking));
        match timeout(within, ended).await {
            Ok(Ok(phase)) => match &*phase {
                Phase::Shut(why) => Err(why.clone()),
                Phase::Closed => Err(error::closed()),
                Phase::Asking | Phase::Open => Ok(()),
            },
            _ => Err(error::late("no node of the cluster answers in time")),
        }
    }

    /// The shard of a slot; the first one's number while nobody serves it.
    pub(super) fn shard_of(&self, slot: u16) -> usize {
        self.routes.read().table.shard(slot).unwrap_or(0)
    }

    /// The masters by the numbers of their shards.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.routes.read().nodes.clone()
    }

    pub(super) fn shards(&self) -> usize {
        self.routes.read().nodes.len()
    }

    /// The node at an address that a redirect named: a master, or one that will be.
    pub(super) fn node_at(&self, endpoint: &Endpoint) -> Arc<Node> {
        let known = |nodes: &[Arc<Node>]| nodes.iter().find(|n| n.endpoint == *endpoint).cloned();
        if let Some(node) = known(&self.routes.read().nodes) {
            return node;
        }
        let mut strangers = self.strangers.lock();
        if let Some(node) = known(&strangers) {
            return node;
        }
        if strangers.len() >= STRANGERS_MAX {
            strangers.clear();
        }
        let node = self.access.node(endpoint.clone());
        strangers.push(Arc::clone(&node));
        node
    }

    /// Nodes that calls may reach although no slot of the table is theirs.
    pub(super) fn strangers(&self) -> Vec<Arc<Node>> {
        self.strangers.lock().clone()
    }

    /// Takes the stranger at `endpoint` in, or begins to connect.
    pub(super) fn fresh_node(&self, endpoint: &Endpoint) -> Arc<Node> {
        let mut strangers = self.strangers.lock();
        match strangers.iter().position(|node| node.endpoint == *endpoint) {
            Some(place) => strangers.swap_remove(place),
            None => self.access.node(endpoint.clone()),
        }
    }

    /// Sends what comes from now on by `table`. Calls on their way end where they are: a node that
    /// is left lives until its last call has ended.
    pub(super) fn swap(&self, table: SlotTable, fresh: &[Arc<Node>]) {
        let mut routes = self.routes.write();
        let node = |master: &Endpoint| {
            let known = fresh.iter().chain(&routes.nodes);
            let node = known.into_iter().find(|node| node.endpoint == *master);
            node.cloned().unwrap_or_else(|| self.access.node(master.clone()))
        };
        let nodes = table.masters().iter().map(node).collect();
        *routes = Routes { table, nodes };
        drop(routes);
        self.enter(Phase::Open);
    }

    /// Changes the phase, unless everything was closed.
    pub(super) fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_open = !matches!(phase, Phase::Closed);
            if is_open {
                *phase = next;
            }
            is_open
        });
    }

    /// Notes what an answer says about the node it came from.
    pub(super) fn heard<T>(&self, node: &Node, answer: &Result<T>) {
        match sign(answer) {
            Sign::Silent => self.doubt(node),
            Sign::Lost => {
                self.trust(node);
                self.want_round();
            }
            Sign::Well => self.trust(node),
            Sign::None => {}
        }
    }

    fn trust(&self, node: &Node) {
        if node.is_doubted.load(Ordering::Relaxed) {
            node.is_doubted.store(false, Ordering::Relaxed);
            self.watchdog.lock().succeeded(node.id);
        }
    }

    #[cold]
    fn doubt(&self, node: &Node) {
        node.is_doubted.store(true, Ordering::Relaxed);
        if self.is_watched {
            self.watchdog.lock().failed(node.id, self.now());
            self.wake.notify_one();
        }
    }

    #[cold]
    fn want_round(&self) {
        self.watchdog.lock().redirected(self.now());
        self.wake.notify_one();
    }

    pub(super) fn close(&self) {
        self.phase.send_replace(Phase::Closed);
        let mut nodes = self.nodes();
        nodes.append(&mut self.strangers.lock());
        nodes.iter().for_each(|node| node.single.close());
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Closed)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.routes.read();
        f.debug_struct("Shared")
            .field("table", &routes.table)
            .field("nodes", &routes.nodes)
            .finish_non_exhaustive()
    }
}
