//! Sequence and epochs of tenants, kept for all processes.
//!
//! A tenant has one record in one slot, changed by functions (`functions/epochs.lua`): one call for
//! each operation. What holds for every tenant stands in the record of the root tenant, which a
//! cluster may keep elsewhere; it is looked at beside the tenant's own.
//!
//! Whether a server still knows all it was told cannot be asked of it. A replica that takes over,
//! or a server that restarts from its disk, may be behind. So the record carries the identity of
//! the process that wrote it, and a load under another one makes it anew with a floor above
//! everything. That a load is due is seen from the mark, which holds the identity too. It is asked
//! once for each connection: a server cannot be another process without another connection.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget};
use cache_enterprise_core::{Error, ErrorKind, Result, Sequence, mutant};
use redis::{Cmd, Value};
use twox_hash::XxHash3_64;

use crate::error;
use crate::functions::{Function, Invoke};
use crate::link::{Call, LARGE_BYTES};
use crate::names::TenantNames;
use crate::record;
use crate::servers::Servers;

/// Rounds of a load that meets a record being lost.
const LOADS_MAX: usize = 3;

/// Sequence and epochs in Redis. [`RedisBackend::opened`](crate::RedisBackend::opened) gives it.
///
/// One record a tenant, of at most 100 000 targets: beyond that the oldest ones fold into the
/// floor, a bounded number with each call, and so do those raised more than 31 days ago.
///
/// Numbers are the server's time in microseconds, or one more than the last where that is ahead.
/// Cost: a round trip for each call, three or four for `load`.
///
/// ```no_run
/// use cache_enterprise_core::Sequence;
/// use cache_enterprise_core::coherence::EpochStore;
/// use cache_enterprise_redis::Redis;
///
/// # async fn example() -> cache_enterprise_core::Result<()> {
/// let redis = Redis::url("redis://localhost:6379")?.open().await?;
/// let epochs = redis.epochs();
/// let first = epochs.next("shop", "acme", Sequence::ZERO).await?;
/// assert!(epochs.next("shop", "acme", Sequence::ZERO).await? > first);
/// # Ok(())
/// # }
/// ```
pub struct RedisEpochs {
    servers: Arc<Servers>,
    /// Draws birth marks.
    births: RandomState,
}

/// What a look at the records of a tenant and of the root found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    birth: u64,
    root_birth: u64,
    changed: Sequence,
    /// Epochs of everything, hard and soft.
    everything: [Sequence; 2],
    /// The processes of the servers that said so.
    runs: [u64; 2],
}

impl Seen {
    fn mark(&self) -> EpochMark {
        let [tenant, root] = self.runs;
        let identity: Vec<u8> = [self.birth, tenant, self.root_birth, root]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        let identity = XxHash3_64::oneshot(&identity);
        EpochMark([identity, self.changed.0, self.newest_of_everything().0])
    }

    fn newest_of_everything(&self) -> Sequence {
        self.everything[0].max(self.everything[1])
    }

    /// Both epochs of everything, as the root's record has them.
    fn shared_epochs(&self) -> [(EpochTarget, Sequence); 2] {
        let [hard, soft] = self.everything;
        [(EpochTarget::Everything, hard), (EpochTarget::Everything.soft(), soft)]
    }
}

impl RedisEpochs {
    pub(crate) fn new(servers: Arc<Servers>) -> Self {
        Self { servers, births: RandomState::new() }
    }

    /// Reads the heads of both records at once. `None` when one is missing.
    async fn look(&self, manager: &str, tenant: &str) -> Result<Option<Seen>> {
        let (own, root) = (TenantNames::of(manager, tenant), TenantNames::of(manager, ""));
        let own_head = head(&own, &["#birth", "#changed"]);
        let root_head = head(&root, &["#birth", "*", "~*"]);
        let questions = [(own.slot, &own_head), (root.slot, &root_head)];
        let [(own, own_run), (root, root_run)] = self.servers.link.ask_both(questions).await?;
        let (own, root) = (numbers(&own)?, numbers(&root)?);
        let ([Some(birth), Some(changed)], [Some(root_birth), Some(hard), Some(soft)]) =
            (&own[..], &root[..])
        else {
            return Ok(None);
        };
        Ok(Some(Seen {
            birth: birth.0,
            root_birth: root_birth.0,
            changed: *changed,
            everything: [*hard, *soft],
            runs: [own_run, root_run],
        }))
    }

    /// Takes a number for a load, and gives birth to the record if it is not there or was lost.
    async fn prepare(
        &self,
        manager: &str,
        tenant: &str,
        newest: Sequence,
        since: Option<Sequence>,
    ) -> Result<Prepared> {
        let names = TenantNames::of(manager, tenant);
        let is_root = tenant.is_empty();
        let birth = self.births.hash_one(newest) ^ unique();
        let call = Load { names: &names, is_root, birth, newest, since };
        Prepared::read(self.servers.call(&call).await?)
    }

    /// The record as a whole, with the mark of a state not newer than it.
    async fn whole(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        for _ in 0..LOADS_MAX {
            let mut own = self.prepare(manager, "", newest, None).await?;
            if !tenant.is_empty() {
                // Above what everything took: what is loaded from now on is valid.
                let Some(seen) = self.look(manager, "").await? else { continue };
                let newest = newest.max(seen.newest_of_everything());
                own = self.prepare(manager, tenant, newest, None).await?;
            }
            let Some(seen) = self.look(manager, tenant).await? else { continue };
            if let Some(record) = self.read(manager, tenant, &seen, own.sequence).await? {
                return Ok(record);
            }
        }
        let text = "the record of the tenant is lost as often as it is made anew";
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    /// Reads the record that was seen; `None` when it is another one by now.
    async fn read(
        &self,
        manager: &str,
        tenant: &str,
        seen: &Seen,
        sequence: Sequence,
    ) -> Result<Option<EpochRecord>> {
        let names = TenantNames::of(manager, tenant);
        let mut command = redis::cmd("HGETALL");
        command.arg(&names.epochs);
        // Perhaps megabytes: over the connection where it holds up no read.
        let call = Call { slot: names.slot, command, payload: LARGE_BYTES };
        let pairs = match self.servers.link.call(&call).await? {
            Value::Map(pairs) => pairs,
            _ => return Err(error::strange_reply()),
        };
        let mut record = EpochRecord { sequence, mark: seen.mark(), ..EpochRecord::default() };
        let mut birth = None;
        for (field, number) in &pairs {
            let (field, Some(number)) = (text(field)?, bytes(number).and_then(record::number))
            else {
                // The identity of the server's process is no number.
                continue;
            };
            match field {
                "#birth" => birth = Some(number.0),
                "#floor" => record.floor = number,
                _ if field.starts_with('#') || matches!(field, "*" | "~*") => {}
                _ => record.epochs.push((target(field), number)),
            }
        }
        record.epochs.extend(seen.shared_epochs());
        let floor = record.floor;
        record.epochs.retain(|(_, epoch)| *epoch > floor);
        Ok((birth == Some(seen.birth)).then_some(record))
    }

    /// What changed since `mark`; `None` when that cannot be told.
    async fn changes(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<Option<EpochRecord>> {
        let Some(seen) = self.look(manager, tenant).await? else { return Ok(None) };
        let now = seen.mark();
        if now.0[0] != mark.0[0] {
            return Ok(None);
        }
        let since = Some(Sequence(mark.0[1]));
        let everything = seen.newest_of_everything();
        let own = self.prepare(manager, tenant, newest.max(everything), since).await?;
        if own.birth != seen.birth {
            return Ok(None);
        }
        let Prepared { sequence, floor, mut epochs, .. } = own;
        epochs.extend(seen.shared_epochs());
        epochs.retain(|(_, epoch)| *epoch > floor);
        Ok(Some(EpochRecord { sequence, floor, epochs, mark: now }))
    }

    async fn take(
        &self,
        manager: &str,
        tenant: &str,
        fields: &[String],
        above: Sequence,
    ) -> Result<Sequence> {
        let names = TenantNames::of(manager, tenant);
        let birth = self.births.hash_one(above) ^ unique();
        let call = Raise { names: &names, is_root: tenant.is_empty(), birth, above, fields };
        let answer = self.servers.call(&call).await?;
        bytes(&answer).and_then(record::number).ok_or_else(error::strange_reply)
    }

    async fn raise_now(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let is_shared = |target: &&EpochTarget| matches!(target.field().as_str(), "*" | "~*");
        let fields = |targets: Vec<&EpochTarget>| -> Vec<String> {
            targets.into_iter().map(EpochTarget::field).collect()
        };
        let (shared, own): (Vec<_>, Vec<_>) = targets.iter().partition(is_shared);
        if shared.is_empty() || tenant.is_empty() {
            return self.take(manager, tenant, &fields(targets.iter().collect()), above).await;
        }
        // Above the numbers of all tenants, so that their entries are older than the epoch: above
        // the caller's own, and above the time of every master. The caller's goes on above the
        // epoch, so that its next entries are not older.
        let time = self.servers.link.newest_time().await;
        let above = self.take(manager, tenant, &[], above.max(Sequence(time))).await?;
        let number = self.take(manager, "", &fields(shared), above).await?;
        self.take(manager, tenant, &fields(own), Sequence(number.0 - 1)).await?;
        Ok(number)
    }
}

#[async_trait]
impl EpochStore for RedisEpochs {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        let loaded = self.whole(manager, tenant, newest).await;
        loaded.map_err(|fault| self.servers.told("load_epochs", fault))
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let raised = self.raise_now(manager, tenant, targets, above).await;
        raised.map_err(|fault| self.servers.told("raise_epochs", fault))
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        let taken = self.take(manager, tenant, &[], upto).await;
        taken.map(drop).map_err(|fault| self.servers.told("reserve", fault))
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn next(&self, manager: &str, tenant: &str, above: Sequence) -> Result<Sequence> {
        let taken = self.take(manager, tenant, &[], above).await;
        taken.map_err(|fault| self.servers.told("next", fault))
    }

    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        match self.look(manager, tenant).await {
            Ok(Some(seen)) => Ok(seen.mark()),
            // Like no mark before it, so that the record is loaded, which makes it anew.
            Ok(None) if !mutant::breaks("a lost record changes the mark") => {
                Ok(EpochMark([0, unique(), u64::MAX]))
            }
            Ok(None) => Ok(EpochMark::default()),
            Err(fault) => Err(self.servers.told("mark", fault)),
        }
    }

    async fn since(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<EpochRecord> {
        match self.changes(manager, tenant, mark, newest).await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => self.load(manager, tenant, newest).await,
            Err(fault) => Err(self.servers.told("load_epochs", fault)),
        }
    }
}

impl fmt::Debug for RedisEpochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEpochs").field("link", &self.servers.link).finish_non_exhaustive()
    }
}

/// What the function `epochs_load` gave.
struct Prepared {
    birth: u64,
    sequence: Sequence,
    floor: Sequence,
    /// Those raised since the number that was asked for.
    epochs: Vec<(EpochTarget, Sequence)>,
}

impl Prepared {
    fn read(answer: Value) -> Result<Self> {
        let Value::Array(parts) = answer else { return Err(error::strange_reply()) };
        let Some((head, members)) = parts.split_at_checked(4) else {
            return Err(error::strange_reply());
        };
        let number = |at: usize| bytes(&head[at]).and_then(record::number);
        let (Some(birth), Some(sequence), Some(floor)) = (number(0), number(2), number(3)) else {
            return Err(error::strange_reply());
        };
        let epochs = members.iter().map(raised).collect::<Option<_>>();
        let epochs = epochs.ok_or_else(error::strange_reply)?;
        Ok(Self { birth: birth.0, sequence, floor, epochs })
    }
}

/// A member of the order: a number, then a field.
fn raised(member: &Value) -> Option<(EpochTarget, Sequence)> {
    let (number, field) = bytes(member)?.split_at_checked(8)?;
    Some((target(std::str::from_utf8(field).ok()?), record::number(number)?))
}

/// A field of a later version ends everything, as far as this one can tell.
fn target(field: &str) -> EpochTarget {
    EpochTarget::from_field(field).unwrap_or(EpochTarget::Everything)
}

struct Load<'a> {
    names: &'a TenantNames,
    is_root: bool,
    birth: u64,
    newest: Sequence,
    since: Option<Sequence>,
}

impl Invoke for Load<'_> {
    fn function(&self) -> Function {
        Function::LoadEpochs
    }

    fn slot(&self) -> u16 {
        self.names.slot
    }

    fn write(&self, command: &mut Cmd) {
        write_head(command, self.names, self.is_root, self.birth);
        command.arg(record::version(self.newest).as_slice());
        match self.since {
            Some(since) => command.arg(record::version(since).as_slice()),
            None => command.arg(""),
        };
    }
}

struct Raise<'a> {
    names: &'a TenantNames,
    is_root: bool,
    birth: u64,
    above: Sequence,
    fields: &'a [String],
}

impl Invoke for Raise<'_> {
    fn function(&self) -> Function {
        Function::RaiseEpochs
    }

    fn slot(&self) -> u16 {
        self.names.slot
    }

    fn write(&self, command: &mut Cmd) {
        write_head(command, self.names, self.is_root, self.birth);
        command.arg(record::version(self.above).as_slice());
        for field in self.fields {
            command.arg(field);
        }
    }
}

fn write_head(command: &mut Cmd, names: &TenantNames, is_root: bool, birth: u64) {
    command.arg(2).arg(&names.epochs).arg(names.order());
    command.arg(if is_root { "1" } else { "0" }).arg(birth.to_be_bytes().as_slice());
}

fn head(names: &TenantNames, fields: &[&str]) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(&names.epochs);
    for field in fields {
        command.arg(*field);
    }
    command
}

/// The numbers that an `HMGET` found.
fn numbers(answer: &Value) -> Result<Vec<Option<Sequence>>> {
    let Value::Array(parts) = answer else { return Err(error::strange_reply()) };
    let number = |part: &Value| match part {
        Value::Nil => Ok(None),
        part => bytes(part).and_then(record::number).map(Some).ok_or_else(error::strange_reply),
    };
    parts.iter().map(number).collect()
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn text(value: &Value) -> Result<&str> {
    bytes(value).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(error::strange_reply)
}

/// A number that this process gives once.
fn unique() -> u64 {
    static GIVEN: AtomicU64 = AtomicU64::new(1);
    GIVEN.fetch_add(1, Ordering::Relaxed)
}
