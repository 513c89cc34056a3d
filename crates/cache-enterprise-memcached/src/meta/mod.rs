//! One server by the meta protocol, on connections of the async client.

mod pool;
mod reads;
mod sizes;
mod wire;
mod writes;

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::Result;
use memcache::exp::{MetaCommand, MetaOp, MetaResponse};

use crate::change::{Change, Done};
use crate::limits::Limits;
use crate::name::Name;
use pool::Pool;
use reads::Reads;
use sizes::Sizes;
use wire::{Wire, is_worn};
use writes::Writes;

/// One server: a line of reads, which travel together, connections for writes, and others for the
/// records of coherence, which no large value holds up.
#[derive(Debug)]
pub(crate) struct MetaServer {
    wire: Arc<Wire>,
    reads: Arc<Reads>,
    sizes: Sizes,
    writes: Writes,
    records: Pool,
}

impl MetaServer {
    /// Connects to nothing yet. Must be called on a tokio runtime, which drives batches of reads.
    pub(crate) fn new(host: &str, port: u16, server: &str, limits: &Limits) -> Self {
        let wire = Arc::new(Wire::new(host, port, server, limits));
        Self {
            reads: Reads::new(Arc::clone(&wire)),
            sizes: Sizes::default(),
            writes: Writes::new(Arc::clone(&wire), limits.pool_size),
            records: Pool::new(Arc::clone(&wire), limits.pool_size),
            wire,
        }
    }

    /// What stands under each name, in their order.
    pub(crate) async fn read(&self, names: &[Name<'_>]) -> Result<Vec<Option<Bytes>>> {
        let command =
            |name: &Name<'_>| MetaCommand::new(MetaOp::Get, name.wire.as_bytes()).flag(&b"v"[..]);
        let found = match names {
            [name] => {
                let bytes = self.sizes.expected(name);
                self.reads.read(command(name), bytes).await?
            }
            names => {
                let commands = names.iter().map(|name| (command(name), self.sizes.expected(name)));
                self.reads.read_many(commands).await?
            }
        };
        for (name, value) in names.iter().zip(&found) {
            if let Some(value) = value {
                self.sizes.learn(name, value.len());
            }
        }
        Ok(found)
    }

    /// Carries out a change of one name.
    pub(crate) async fn change(&self, name: &str, change: &mut Change<'_>) -> Result<Done> {
        self.writes.change(name, change).await
    }

    /// Sends commands about records together and gives a reply to each. They must bear being sent
    /// twice: the server may have closed a connection while nobody looked.
    pub(crate) async fn exchange(&self, commands: Vec<MetaCommand>) -> Result<Vec<MetaResponse>> {
        let batch = self.wire.batch(commands);
        let mut lent = self.records.lend().await?;
        let mut replies = self.wire.exchange(&mut lent.link, &batch).await;
        if replies.as_ref().is_err_and(|failure| is_worn(&lent.link, failure)) {
            self.records.forget_idle();
            lent.link = self.wire.dial().await?;
            replies = self.wire.exchange(&mut lent.link, &batch).await;
        }
        match replies {
            Ok(_) => lent.give_back(),
            Err(_) => self.records.forget_idle(),
        }
        replies
    }

    /// Whether the server answers, on a connection of its own.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.wire.ping().await
    }

    /// Lets go of every connection; calls in line and later ones are told.
    pub(crate) fn close(&self) {
        self.reads.close();
        self.writes.close();
        self.records.close();
    }
}
