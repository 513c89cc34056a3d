//! One server, by whichever protocol it is spoken to.

use std::time::SystemTime;

use bytes::Bytes;
use cache_enterprise_core::{Clock, Result};

use crate::change::{Change, Done, Now, Wish};
use crate::classic::ClassicServer;
use crate::limits::Limits;
use crate::meta::MetaServer;
use crate::name::Name;

/// A client of one server.
#[derive(Debug)]
pub(crate) enum Client {
    Meta(Box<MetaServer>),
    Classic(ClassicServer),
}

/// One server and the address errors show.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl Server {
    /// What stands under each name, in their order.
    pub(crate) async fn read(&self, names: &[Name<'_>]) -> Result<Vec<Option<Bytes>>> {
        match &self.client {
            Client::Meta(server) => server.read(names).await,
            Client::Classic(server) => {
                server.read(names.iter().map(|name| name.wire.to_string()).collect()).await
            }
        }
    }

    /// Carries out a change of one key.
    pub(crate) async fn change(
        &self,
        name: &Name<'_>,
        wish: Wish,
        clock: &Clock,
        limits: &Limits,
    ) -> Result<Done> {
        let (now, life) = (now(clock), limits.tombstone_life);
        match &self.client {
            Client::Meta(server) => {
                let mut change = Change::new(wish, name.carried.into(), now, life);
                server.change(&name.wire, &mut change).await
            }
            Client::Classic(server) => {
                let change = Change::new(wish, name.carried.to_owned().into(), now, life);
                server.change(name.wire.to_string(), change).await
            }
        }
    }

    /// Whether the server answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        match &self.client {
            Client::Meta(server) => server.ping().await,
            Client::Classic(server) => server.ping().await,
        }
    }

    pub(crate) fn close(&self) {
        match &self.client {
            Client::Meta(server) => server.close(),
            Client::Classic(server) => server.close(),
        }
    }
}

fn now(clock: &Clock) -> Now {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Now {
        wall_ms: clock.wall_of(clock.tick()),
        unix_micros: since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX)),
    }
}
