//! Writes of one server: each change has a connection to itself until it is done.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{ErrorKind, Result};
use memcache::exp::{MetaCommand, MetaOp, MetaResponse, ReturnCode};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::wire::{Link, Wire};
use crate::change::{Answer, Change, Done, Item, Step};
use crate::error;

pub(super) struct Writes {
    wire: Arc<Wire>,
    permits: Semaphore,
    /// Connections that wait for work; `None` when the backend was closed.
    idle: Mutex<Option<Vec<Link>>>,
}

impl Writes {
    pub(super) fn new(wire: Arc<Wire>, pool_size: usize) -> Self {
        Self { wire, permits: Semaphore::new(pool_size), idle: Mutex::new(Some(Vec::new())) }
    }

    /// Carries out the steps of a change. Dropped or failed, the connection is given up; what was
    /// sent may still be carried out, whole.
    pub(super) async fn change(&self, name: &str, change: &mut Change<'_>) -> Result<Done> {
        let permit = tokio::time::timeout(self.wire.exchange_timeout, self.permits.acquire());
        let _permit = match permit.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(error::closed("write")),
            Err(_) => return Err(error::overloaded(&self.wire.server)),
        };
        let idle = match &mut *self.idle.lock() {
            Some(idle) => idle.pop(),
            None => return Err(error::closed("write")),
        };
        let mut link = match idle {
            Some(link) => link,
            None => self.wire.dial().await?,
        };
        let done = self.carry_out(&mut link, name, change).await;
        let mut idle = self.idle.lock();
        match (&done, &mut *idle) {
            (Ok(_), Some(idle)) => idle.push(link),
            // The others were made before the server fell silent or went away: they would fail too.
            (Err(_), Some(idle)) => idle.clear(),
            (_, None) => {}
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
        self.permits.close();
        *self.idle.lock() = None;
    }
}

fn set(name: &str, item: Item) -> MetaCommand {
    MetaCommand::new(MetaOp::Set, name).flag(format!("T{}", item.expiry)).value(item.bytes)
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writes").field("wire", &self.wire).finish_non_exhaustive()
    }
}
