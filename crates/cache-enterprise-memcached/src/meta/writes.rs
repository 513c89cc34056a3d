//! Writes of one server: each change has a connection to itself until it is done.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{ErrorKind, Result};
use memcache::exp::{MetaCommand, MetaOp, MetaResponse, ReturnCode};

use super::pool::Pool;
use super::wire::{Link, Wire};
use crate::change::{Answer, Change, Done, Item, Step};
use crate::error;

#[derive(Debug)]
pub(super) struct Writes {
    wire: Arc<Wire>,
    pool: Pool,
}

impl Writes {
    pub(super) fn new(wire: Arc<Wire>, connections: usize) -> Self {
        Self { pool: Pool::new(Arc::clone(&wire), connections), wire }
    }

    /// Carries out the steps of a change. Dropped or failed, the connection is given up; what was
    /// sent may still be carried out, whole.
    pub(super) async fn change(&self, name: &str, change: &mut Change<'_>) -> Result<Done> {
        let mut lent = self.pool.lend().await?;
        let done = self.carry_out(&mut lent.link, name, change).await;
        match done {
            Ok(_) => lent.give_back(),
            // The others were made before the server fell silent or went away: they would fail too.
            Err(_) => self.pool.forget_idle(),
        }
        done
    }

    async fn carry_out(
        &self,
        link: &mut Link,
        name: &str,
        change: &mut Change<'_>,
    ) -> Result<Done> {
        let mut step = change.first();
        loop {
            let answer = match step {
                Step::Done(done) => return Ok(done),
                Step::Add(item) => self
                    .store(link, set(name, item).flag(&b"ME"[..]))
                    .await?
                    .map_or(Answer::TooLarge, |reply| Answer::Added(reply.rc() == ReturnCode::Hd)),
                Step::Swap(item, token) => {
                    let command = set(name, item).flag(format!("C{token}"));
                    self.store(link, command).await?.map_or(Answer::TooLarge, |reply| {
                        Answer::Swapped(reply.rc() == ReturnCode::Hd)
                    })
                }
                Step::Read => Answer::Read(self.read(link, name).await?),
            };
            step = change.after(answer)?;
        }
    }

    /// Sends an item; `None` when the server takes none of this size.
    async fn store(&self, link: &mut Link, command: MetaCommand) -> Result<Option<MetaResponse>> {
        match self.wire.exchange(link, &self.wire.batch(vec![command])).await {
            Ok(mut replies) => Ok(replies.pop()),
            Err(refused) if refused.kind() == ErrorKind::TooLarge => {
                *link = self.wire.dial().await?;
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn read(&self, link: &mut Link, name: &str) -> Result<Option<(Bytes, u64)>> {
        let command = MetaCommand::new(MetaOp::Get, name).flag(&b"v"[..]).flag(&b"c"[..]);
        let reply = self.wire.exchange(link, &self.wire.batch(vec![command])).await?.pop();
        let reply = reply.ok_or_else(|| error::out_of_step(&self.wire.server))?;
        if reply.rc() == ReturnCode::En {
            return Ok(None);
        }
        let token = reply
            .flags()
            .find_map(|flag| std::str::from_utf8(flag.strip_prefix(b"c")?).ok()?.parse().ok());
        match (token, reply.into_value()) {
            (Some(token), Some(value)) => Ok(Some((value.into(), token))),
            _ => Err(error::out_of_step(&self.wire.server)),
        }
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}

fn set(name: &str, item: Item) -> MetaCommand {
    MetaCommand::new(MetaOp::Set, name).flag(format!("T{}", item.expiry)).value(item.bytes)
}
