//! Bounds that every server of a backend shares.

use std::time::Duration;

/// Times and counts that nothing may exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    /// Connections for writes by the meta protocol; all connections, and threads, of the classic
    /// client. For each server.
    pub(crate) pool_size: usize,
    /// Longest item of the servers.
    pub(crate) item_bytes_max: usize,
    pub(crate) tombstone_life: Duration,
}

impl Limits {
    /// The time for a request to leave and its reply to arrive.
    pub(crate) fn exchange_timeout(&self) -> Duration {
        self.read_timeout.saturating_add(self.write_timeout)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(500),
            read_timeout: Duration::from_millis(500),
            write_timeout: Duration::from_millis(500),
            pool_size: 8,
            item_bytes_max: 1 << 20,
            tombstone_life: Duration::from_secs(300),
        }
    }
}
