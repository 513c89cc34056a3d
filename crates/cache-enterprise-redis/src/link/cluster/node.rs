//! One master of a cluster, and how the way to it is built.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_enterprise_core::Result;
use rustls::ClientConfig;

use super::watchdog::LinkId;
use crate::address::Endpoint;
use crate::config::{Limits, Login};
use crate::link::bound::Bound;
use crate::link::door::{Door, Place};
use crate::link::single::Single;
use crate::tls::Certificates;

/// The connections to one node, for as long as it is believed.
pub(super) struct Node {
    pub(super) id: LinkId,
    pub(super) endpoint: Endpoint,
    pub(super) single: Single,
    /// The last call was not answered. Kept here, so that an answer costs one load while all is
    /// well, and the watchdog's lock only after a failure.
    pub(super) is_doubted: AtomicBool,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("endpoint", &self.endpoint)
            .field("single", &self.single)
            .finish_non_exhaustive()
    }
}

/// What the connections to all nodes have in common.
pub(in crate::link) struct Access {
    pub(in crate::link) login: Login,
    pub(in crate::link) tls: Option<Arc<ClientConfig>>,
    pub(in crate::link) certificates: Option<Arc<Certificates>>,
    pub(in crate::link) limits: Limits,
    links: AtomicU64,
}

impl Access {
    pub(in crate::link) fn new(
        login: Login,
        certificates: Option<Arc<Certificates>>,
        limits: Limits,
    ) -> Result<Self> {
        let tls = certificates.as_deref().map(Certificates::client_config).transpose()?;
        Ok(Self { login, tls, certificates, limits, links: AtomicU64::new(0) })
    }

    /// The door of the node at `endpoint`. A cluster has the database 0 alone.
    pub(super) fn door(&self, endpoint: Endpoint) -> Arc<Door> {
        Arc::new(Door {
            place: Place::Fixed(endpoint),
            login: self.login.clone(),
            database: 0,
            tls: self.tls.clone(),
            connect_timeout: self.limits.connect_timeout,
        })
    }

    /// Begins to connect to the node at `endpoint`.
    pub(super) fn node(&self, endpoint: Endpoint) -> Arc<Node> {
        let door = self.door(endpoint.clone());
        let bound = Bound::new(Arc::clone(&door), self.certificates.clone(), self.limits.clone());
        Arc::new(Node {
            id: LinkId(self.links.fetch_add(1, Ordering::Relaxed)),
            endpoint,
            single: Single::of_cluster(door, bound, self.limits.clone()),
            is_doubted: AtomicBool::new(false),
        })
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}
