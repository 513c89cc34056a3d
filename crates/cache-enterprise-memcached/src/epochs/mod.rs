//! Sequence and epochs on memcached, shared by all processes.
//!
//! A manager has a *home*, one of the servers, placed as keys are. There lie a counter that gives
//! the numbers of all its tenants, a record of the manager as a whole, and a record for each tenant.
//! A record is read, changed and swapped by its token, so two processes lose nothing to each other.
//! memcached may forget any of it at any time: a record that is missing is made anew at a floor
//! above every number that was given, a counter at the server's time.
//!
//! The mark of a record is its token with the low half of its birth, which its flags carry: tokens
//! start over when a server does, and births are drawn.

mod counter;
mod record;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{ErrorKind, Result, mutant, unsupported};
use memcache::exp::{MetaCommand, MetaOp, MetaResponse, ReturnCode};
use parking_lot::Mutex;
use twox_hash::XxHash3_128;

use crate::Protocol;
use crate::backend::{MemcachedBackend, NAME};
use crate::error;
use crate::item::ROOM_BYTES;
use crate::meta::MetaServer;
use crate::server::Client;
use counter::Counter;
use record::{Owner, RECORD_BYTES_MAX, Record};

/// Rounds in which other processes may win before a call gives up.
const ROUNDS_MAX: u32 = 512;
/// Changes of records that one process carries out at the same time.
const STRIPES: usize = 16;

/// What one process remembers: the newest number of each manager, and which records it is changing.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    newest: Mutex<HashMap<String, Sequence>>,
    /// One process takes no round from itself.
    changing: [tokio::sync::Mutex<()>; STRIPES],
}

impl Homes {
    fn newest(&self, manager: &str) -> Sequence {
        self.newest.lock().get(manager).copied().unwrap_or_default()
    }

    fn observe(&self, manager: &str, seen: Sequence) {
        let mut newest = self.newest.lock();
        match newest.get_mut(manager) {
            Some(newest) => *newest = seen.max(*newest),
            None => drop(newest.insert(manager.to_owned(), seen)),
        }
    }
}

/// One manager on its server.
struct Home<'a> {
    backend: &'a MemcachedBackend,
    server: &'a MetaServer,
    /// The server's address, for errors.
    address: &'a str,
    manager: &'a str,
    hash: String,
}

/// A record as it lies on the server.
struct Found {
    bytes: Vec<u8>,
    token: u64,
    flags: u32,
}

impl MemcachedBackend {
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) by another protocol than meta: the others cannot
    /// ask for a token without the value.
    fn home<'a>(&'a self, manager: &'a str, operation: &'static str) -> Result<Home<'a>> {
        self.check_open().map_err(|closed| closed.operation(operation))?;
        let hash = hashed(manager);
        let server = self.server_named(&hash);
        match &server.client {
            Client::Meta(meta) => {
                Ok(Home { backend: self, server: meta, address: &server.name, manager, hash })
            }
            Client::Classic(_) => Err(unsupported(NAME, operation)),
        }
    }

    fn record_bytes_max(&self) -> usize {
        RECORD_BYTES_MAX.min(self.limits.item_bytes_max - ROOM_BYTES)
    }
}

/// Keys have a colon or begin with `#`; no name here does.
fn hashed(name: &str) -> String {
    format!("{:032x}", XxHash3_128::oneshot(name.as_bytes()))
}

impl Home<'_> {
    fn counter(&self) -> Counter<'_> {
        let (server, address) = (self.server, self.address);
        Counter { server, address, name: format!("@n{}", self.hash) }
    }

    /// A number above `above`, and above everything that was given to anybody.
    async fn take(&self, above: Sequence) -> Result<Sequence> {
        let above = above.max(self.backend.homes.newest(self.manager));
        let number = self.counter().above(above).await?;
        self.backend.homes.observe(self.manager, number);
        Ok(number)
    }

    /// The record of the manager as a whole.
    fn whole(&self) -> (String, Owner<'_>) {
        (format!("@w{}", self.hash), Owner { manager: self.manager, tenant: "" })
    }

    fn of_tenant<'t>(&'t self, tenant: &'t str) -> (String, Owner<'t>) {
        let name = format!("@t{}{}", self.hash, hashed(tenant));
        (name, Owner { manager: self.manager, tenant })
    }

    /// The tenant's record and the manager's, in one exchange. What is missing is made anew.
    async fn load(&self, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        let places = [self.of_tenant(tenant), self.whole()];
        for _ in 0..ROUNDS_MAX {
            let commands = places.iter().map(|(name, _)| get(name, &["v", "c", "f"])).collect();
            let mut found = Vec::with_capacity(places.len());
            for reply in self.server.exchange(commands).await? {
                found.push(self.found(reply)?);
            }
            let read = |(place, found): (&(String, Owner<'_>), &Option<Found>)| {
                Record::decode(place.1, &found.as_ref()?.bytes)
            };
            let records: Vec<_> = places.iter().zip(&found).map(read).collect();
            let known = records.iter().flatten().map(|record| record.newest.max(record.floor));
            let sequence = self.take(known.fold(newest, Sequence::max)).await?;
            if let ([Some(own), Some(whole)], [Some(own_found), Some(whole_found)]) =
                (&records[..], &found[..])
            {
                return Ok(EpochRecord {
                    sequence,
                    floor: own.floor.max(whole.floor),
                    epochs: own.epochs().chain(whole.epochs()).collect(),
                    mark: mark([own_found, whole_found].map(|found| (found.token, found.flags))),
                });
            }
            for (((name, owner), found), record) in places.iter().zip(&found).zip(&records) {
                if record.is_none() {
                    let fresh = born(sequence);
                    self.store(name, *owner, &fresh, found.as_ref()).await?;
                }
            }
        }
        Err(self.lost_every_round())
    }

    /// Stores the epoch of `targets` in one record.
    async fn raise(
        &self,
        (name, owner): (String, Owner<'_>),
        targets: &[&EpochTarget],
        number: Sequence,
    ) -> Result<()> {
        let stripe = XxHash3_128::oneshot(name.as_bytes()) as usize % STRIPES;
        let _alone = self.backend.homes.changing[stripe].lock().await;
        for _ in 0..ROUNDS_MAX {
            let reply = self.server.exchange(vec![get(&name, &["v", "c", "f"])]).await?.pop();
            let found = match reply {
                Some(reply) => self.found(reply)?,
                None => return Err(error::out_of_step(self.address)),
            };
            let known = found.as_ref().and_then(|found| Record::decode(owner, &found.bytes));
            let mut record = known.unwrap_or_else(|| born(number));
            record.raise(targets.iter().copied(), number);
            if self.store(&name, owner, &record, found.as_ref()).await? {
                return Ok(());
            }
        }
        Err(self.lost_every_round())
    }

    /// Puts a record in the place of what was found; `false` when somebody else changed it.
    async fn store(
        &self,
        name: &str,
        owner: Owner<'_>,
        record: &Record,
        found: Option<&Found>,
    ) -> Result<bool> {
        let mut record = record.clone();
        record.fold(owner, self.backend.record_bytes_max());
        let only_if = found.map_or("ME".to_owned(), |found| format!("C{}", found.token));
        let command = MetaCommand::new(MetaOp::Set, name)
            .flag(format!("F{}", flags_of(record.birth)))
            .flag(only_if)
            .value(record.encode(owner));
        let replies = self.server.exchange(vec![command]).await?;
        Ok(replies.iter().all(|reply| reply.rc() == ReturnCode::Hd))
    }

    /// The mark without the records; `None` when one is missing.
    async fn mark(&self, tenant: &str) -> Result<Option<EpochMark>> {
        let (own, whole) = (self.of_tenant(tenant).0, self.whole().0);
        let commands = vec![get(&own, &["c", "f"]), get(&whole, &["c", "f"])];
        let mut tokens = Vec::with_capacity(2);
        for reply in self.server.exchange(commands).await? {
            if reply.rc() == ReturnCode::En {
                return Ok(None);
            }
            tokens.push(self.token(&reply)?);
        }
        match tokens[..] {
            [own, whole] => Ok(Some(mark([own, whole]))),
            _ => Err(error::out_of_step(self.address)),
        }
    }

    fn found(&self, reply: MetaResponse) -> Result<Option<Found>> {
        if reply.rc() == ReturnCode::En {
            return Ok(None);
        }
        let (token, flags) = self.token(&reply)?;
        let bytes = reply.into_value().ok_or_else(|| error::out_of_step(self.address))?;
        Ok(Some(Found { bytes, token, flags }))
    }

    fn token(&self, reply: &MetaResponse) -> Result<(u64, u32)> {
        match (flag(reply, b'c'), flag(reply, b'f')) {
            (Some(0), _) => Err(error::no_tokens(self.address)),
            (Some(token), Some(flags)) => Ok((token, flags)),
            _ => Err(error::out_of_step(self.address)),
        }
    }

    fn lost_every_round(&self) -> cache_enterprise_core::Error {
        let text = "other processes changed the epochs in every round";
        error::at(self.address, ErrorKind::Overloaded, text)
    }
}

/// A new record: nobody knows what a lost one held, so nothing older than now is trusted.
fn born(at: Sequence) -> Record {
    let floor =
        if mutant::breaks("a lost record comes back at a floor") { Sequence::ZERO } else { at };
    // The standard library's hasher is the one source of randomness that needs no further crate.
    Record::born(RandomState::new().hash_one(at.0), floor)
}

/// What the flags of an item tell of its record's birth.
fn flags_of(birth: u64) -> u32 {
    birth as u32
}

fn mark([own, whole]: [(u64, u32); 2]) -> EpochMark {
    EpochMark([own.0, whole.0, u64::from(own.1) << 32 | u64::from(whole.1)])
}

fn get(name: &str, flags: &[&str]) -> MetaCommand {
    flags.iter().fold(MetaCommand::new(MetaOp::Get, name), |command, flag| command.flag(*flag))
}

/// The number behind a flag of a reply.
fn flag<T: std::str::FromStr>(reply: &MetaResponse, letter: u8) -> Option<T> {
    let number = reply.flags().find_map(|flag| flag.strip_prefix(&[letter]))?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// By the meta protocol. A number costs one exchange, a mark one, a raise three, which move the
/// record twice; a load two, and as many again where a record is missing.
#[async_trait]
impl EpochStore for MemcachedBackend {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        let home = self.home(manager, "load")?;
        home.load(tenant, newest).await.map_err(|failure| failure.operation("load"))
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let home = self.home(manager, "raise")?;
        let raise = async {
            let number = home.take(above).await?;
            let (whole, own): (Vec<_>, Vec<_>) =
                targets.iter().partition(|target| is_everything(target));
            if !own.is_empty() {
                home.raise(home.of_tenant(tenant), &own, number).await?;
            }
            if !whole.is_empty() {
                home.raise(home.whole(), &whole, number).await?;
            }
            Ok(number)
        };
        raise.await.map_err(|failure: cache_enterprise_core::Error| failure.operation("raise"))
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        self.next(manager, tenant, upto).await.map(drop)
    }

    fn is_shared(&self) -> bool {
        self.protocol == Protocol::Meta
    }

    async fn next(&self, manager: &str, _: &str, above: Sequence) -> Result<Sequence> {
        let home = self.home(manager, "next")?;
        home.take(above).await.map_err(|failure| failure.operation("next"))
    }

    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        let home = self.home(manager, "mark")?;
        let asked = async {
            match home.mark(tenant).await? {
                Some(mark) => Ok(mark),
                None => Ok(home.load(tenant, Sequence::ZERO).await?.mark),
            }
        };
        asked.await.map_err(|failure: cache_enterprise_core::Error| failure.operation("mark"))
    }
}

fn is_everything(target: &EpochTarget) -> bool {
    *target == EpochTarget::Everything || *target == EpochTarget::Everything.soft()
}
