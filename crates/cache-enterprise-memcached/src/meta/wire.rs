//! Exchanges on the client's connections.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::{Error, ErrorKind, Result};
use memcache::exp::{AsyncMetaConnection, MetaCommand, MetaOp, MetaResponse};

use crate::error;
use crate::limits::Limits;

/// Where a server is, and how long it may take.
pub(super) struct Wire {
    host: String,
    port: u16,
    /// The server's address as errors show it.
    pub(super) server: String,
    connect_timeout: Duration,
    pub(super) exchange_timeout: Duration,
    exchanges: AtomicU64,
}

/// A connection and whether it has carried an exchange before: the server may have closed such a
/// one while nobody looked.
pub(super) struct Link {
    connection: AsyncMetaConnection,
    pub(super) is_used: bool,
}

/// Commands of one exchange and the token that proves their replies.
pub(super) struct Batch {
    commands: Vec<MetaCommand>,
    token: Vec<u8>,
}

impl Wire {
    pub(super) fn new(host: &str, port: u16, server: &str, limits: &Limits) -> Self {
        Self {
            host: host.to_owned(),
            port,
            server: server.to_owned(),
            connect_timeout: limits.connect_timeout,
            exchange_timeout: limits.exchange_timeout(),
            exchanges: AtomicU64::new(0),
        }
    }

    /// A new connection. The host is looked up each time, so a server that moves is found again.
    pub(super) async fn dial(&self) -> Result<Link> {
        let place = (self.host.as_str(), self.port);
        let dialled = AsyncMetaConnection::connect(place);
        match tokio::time::timeout(self.connect_timeout, dialled).await {
            Ok(Ok(connection)) => Ok(Link { connection, is_used: false }),
            Ok(Err(cause)) => Err(error::from_meta(&self.server, cause)),
            Err(_) => Err(error::timeout(&self.server)),
        }
    }

    /// Commands that go out together. The first and the last carry a token of their own, and their
    /// replies must bring it back: nobody's reply can be taken for another's even if a connection
    /// got out of step.
    pub(super) fn batch(&self, mut commands: Vec<MetaCommand>) -> Batch {
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed);
        let token = format!("O{number:x}").into_bytes();
        let last = commands.pop().expect("a batch has a command");
        commands.push(last.flag(token.clone()));
        if commands.len() > 1 {
            let first = commands.swap_remove(0);
            commands.push(first.flag(token.clone()));
            let end = commands.len() - 1;
            commands.swap(0, end);
        }
        Batch { commands, token }
    }

    /// Sends a batch at once and gives a reply to each command. After an error, or when this is
    /// dropped, the link must not be used again: a reply may still be on its way.
    pub(super) async fn exchange(
        &self,
        link: &mut Link,
        batch: &Batch,
    ) -> Result<Vec<MetaResponse>> {
        let exchanged = link.connection.execute_batch(&batch.commands);
        let replies = match tokio::time::timeout(self.exchange_timeout, exchanged).await {
            Ok(replies) => replies.map_err(|cause| error::from_meta(&self.server, cause))?,
            Err(_) => return Err(error::timeout(&self.server)),
        };
        let is_ours = |reply: Option<&MetaResponse>| {
            reply.is_some_and(|reply| reply.flags().any(|flag| flag == batch.token))
        };
        if !is_ours(replies.first()) || !is_ours(replies.last()) {
            return Err(error::out_of_step(&self.server));
        }
        link.is_used = true;
        Ok(replies)
    }

    /// Whether the server answers a request that asks for nothing.
    pub(super) async fn ping(&self) -> Result<()> {
        let mut link = self.dial().await?;
        let nothing = MetaCommand::new(MetaOp::Noop, "");
        let pinged = link.connection.execute(&nothing);
        match tokio::time::timeout(self.exchange_timeout, pinged).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(error::from_meta(&self.server, cause)),
            Err(_) => Err(error::timeout(&self.server)),
        }
    }
}

/// Whether a failure on a used link may be the server's having closed it long before: worth one
/// more try on a new link where asking twice does no harm. A server that is silent is not asked
/// again, because that would double the wait.
pub(super) fn is_worn(link: &Link, failure: &Error) -> bool {
    link.is_used && failure.kind() == ErrorKind::Unavailable
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("server", &self.server).finish_non_exhaustive()
    }
}
