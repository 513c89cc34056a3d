//! Connections that are lent to one call at a time.

use std::fmt;
use std::sync::Arc;

use cache_enterprise_core::Result;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::wire::{Link, Wire};
use crate::error;

/// At most so many connections to one server.
pub(super) struct Pool {
    wire: Arc<Wire>,
    permits: Semaphore,
    /// Connections that wait for work; `None` when the backend was closed.
    idle: Mutex<Option<Vec<Link>>>,
}

/// A connection of one call. Dropped without [`give_back`](Self::give_back) it is given up: a reply
/// may still be on its way.
pub(super) struct Lent<'a> {
    pub(super) link: Link,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(wire: Arc<Wire>, connections: usize) -> Self {
        let idle = Mutex::new(Some(Vec::new()));
        Self { wire, permits: Semaphore::new(connections), idle }
    }

    /// A connection, at the latest when one exchange could have ended.
    pub(super) async fn lend(&self) -> Result<Lent<'_>> {
        let permit = tokio::time::timeout(self.wire.exchange_timeout, self.permits.acquire());
        let permit = match permit.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(error::closed("call")),
            Err(_) => return Err(error::overloaded(&self.wire.server)),
        };
        let idle = match &mut *self.idle.lock() {
            Some(idle) => idle.pop(),
            None => return Err(error::closed("call")),
        };
        let link = match idle {
            Some(link) => link,
            None => self.wire.dial().await?,
        };
        Ok(Lent { link, pool: self, _permit: permit })
    }

    /// Gives up the connections that are idle: one of the same age has failed.
    pub(super) fn forget_idle(&self) {
        if let Some(idle) = &mut *self.idle.lock() {
            idle.clear();
        }
    }

    pub(super) fn close(&self) {
        self.permits.close();
        *self.idle.lock() = None;
    }
}

impl Lent<'_> {
    /// After every request had its reply.
    pub(super) fn give_back(self) {
        if let Some(idle) = &mut *self.pool.idle.lock() {
            idle.push(self.link);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("wire", &self.wire).finish_non_exhaustive()
    }
}
