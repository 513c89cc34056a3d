//! The tiers of one manager, walked in order.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::EpochStore;
use cache_enterprise_core::{
    Clock, Error, ErrorKind, Event, Millis, NEVER, Observer, OpContext, Put, PutOutcome, Result,
    Sequence, StoredKey, mutant,
};
use futures_util::future::{Either, select};

use super::behind::Behind;
use super::debts::{DEBTS_MAX, Debts};
use super::forms::Forms;
use super::gate::{Gates, Pass};
use super::lease::Held;
use super::numbers::OwedEverything;
use super::tell::Shown;
use super::tier::WritePolicy;
use super::unnumbered::{KEYS_MAX, Unnumbered};
use super::{Level, Pipeline};
use crate::bus::Broadcast;
use crate::shared::TenantState;

/// Debts looked up under one lock.
const SETTLE_AT_ONCE: usize = 256;

/// Everything below level 1.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) manager: String,
    pub(crate) levels: Vec<Level>,
    pub(crate) pipeline: Pipeline,
    pub(crate) gates: Arc<Gates>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) behind: Vec<Option<Behind>>,
    debts: Vec<Debts>,
    pub(super) unnumbered: Unnumbered,
    pub(super) everything: OwedEverything,
    epochs: Option<KeptEpochs>,
    pub(super) broadcast: Option<Arc<Broadcast>>,
    /// Whether tiers of this process alone are told apart from before it heard the others.
    is_start_known: AtomicBool,
    l1_bound: Option<Duration>,
}

/// A store of epochs, and the tier that keeps it.
#[derive(Clone, Debug)]
pub(crate) struct KeptEpochs {
    pub(crate) store: Arc<dyn EpochStore>,
    pub(crate) tier: String,
}

/// What a stack is made of.
pub(crate) struct StackParts {
    pub(crate) manager: String,
    pub(crate) levels: Vec<Level>,
    pub(crate) pipeline: Pipeline,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) epochs: Option<KeptEpochs>,
    pub(crate) broadcast: Option<Arc<Broadcast>>,
    pub(crate) l1_bound: Option<Duration>,
}

/// Bytes on their way to the tiers, with the pass of their key.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) pass: Pass,
    pub(crate) forms: Forms,
    pub(crate) version: Sequence,
    pub(crate) expires: Millis,
    /// Whether no other process will be given its version.
    pub(super) is_reserved: bool,
    pub(super) shown: Shown,
}

/// What became of a job at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It lies there, or in the level's queue.
    Kept,
    /// It is not to lie there: something newer came first, its life has ended, or the level is
    /// written around.
    Passed,
    /// The level chose not to keep it. Nothing older is left there.
    Refused,
}

impl Job {
    pub(super) fn new(pass: Pass, forms: Forms, version: Sequence, expires: Millis) -> Self {
        Self { pass, forms, version, expires, is_reserved: true, shown: Shown::default() }
    }
}

impl Stack {
    pub(crate) fn start(parts: StackParts) -> Arc<Self> {
        let debts = parts.levels.iter().map(|_| Debts::new(DEBTS_MAX)).collect();
        Arc::new_cyclic(|stack| {
            let behind = (0..parts.levels.len())
                .map(|index| match parts.levels[index].config.write {
                    WritePolicy::Behind { queue_max } => {
                        Some(Behind::start(stack.clone(), index, queue_max, &parts.runtime))
                    }
                    WritePolicy::Through | WritePolicy::Around => None,
                })
                .collect();
            Self {
                manager: parts.manager,
                levels: parts.levels,
                pipeline: parts.pipeline,
                gates: Gates::new(),
                clock: parts.clock,
                observer: parts.observer,
                runtime: parts.runtime,
                behind,
                debts,
                unnumbered: Unnumbered::new(KEYS_MAX),
                everything: OwedEverything::default(),
                epochs: parts.epochs,
                broadcast: parts.broadcast,
                is_start_known: AtomicBool::new(false),
                l1_bound: parts.l1_bound,
            }
        })
    }

    pub(crate) fn l1_bound(&self) -> Option<Duration> {
        self.l1_bound
    }

    pub(crate) fn epochs(&self) -> Option<&Arc<dyn EpochStore>> {
        self.epochs.as_ref().map(|kept| &kept.store)
    }

    /// Why nothing can be said of the tiers while the epochs of a tenant are not known.
    pub(super) fn not_known(&self) -> Error {
        let text = "the stored epochs of the tenant are not known yet";
        let error = Error::new(ErrorKind::Unavailable, text);
        match &self.epochs {
            Some(kept) => error.with("tier", &kept.tier),
            None => error,
        }
    }

    pub(crate) fn debts(&self, index: usize) -> &Debts {
        &self.debts[index]
    }

    /// How many keys the level at `index` holds older bytes of, for all that is known.
    pub(super) fn owed(&self, index: usize) -> u64 {
        self.debts[index].len() + self.unnumbered.len()
    }

    /// Whether the level at `index` was not told of something about `key`.
    pub(super) fn owes(&self, index: usize, key: &StoredKey) -> bool {
        self.unnumbered.owes(key) || self.debts[index].owes(key)
    }

    /// Bytes of `key` from the level at `index`. A failure is an event and a counter besides.
    pub(crate) async fn read_level(&self, index: usize, key: &StoredKey) -> Result<Option<Bytes>> {
        let level = &self.levels[index];
        match level.backend.get(key, &OpContext::default()).await {
            Ok(bytes) => {
                self.answered(index, key);
                match &bytes {
                    Some(bytes) => self.fetch_dictionary(index, key, bytes).await,
                    None => level.counts.misses.add(1),
                }
                Ok(bytes)
            }
            Err(error) => {
                self.failed(index, "get", key, &error);
                Err(error.with("tier", &level.name))
            }
        }
    }

    /// As [`read_level`](Self::read_level). From a level that others write, bytes are an answer
    /// only if every group ended before the call is known here.
    pub(crate) async fn read_confirmed(
        &self,
        index: usize,
        key: &StoredKey,
        tenant: &TenantState,
    ) -> Result<Option<Bytes>> {
        if self.shared_epochs().is_none() || !self.levels[index].is_shared() {
            return self.read_level(index, key).await;
        }
        self.may_believe(tenant)?;
        let (read, confirm) =
            (pin!(self.read_level(index, key)), pin!(self.confirm_epochs(tenant)));
        match select(read, confirm).await {
            // What holds nothing needs no look, nor does a tier that failed.
            Either::Left((Ok(Some(bytes)), confirm)) => match confirm.await {
                Err(error) if !mutant::breaks("without a mark there is no answer") => Err(error),
                _ => Ok(Some(bytes)),
            },
            Either::Left((read, _)) => read,
            Either::Right((confirmed, read)) => {
                let read = read.await?;
                confirmed.map(|()| read)
            }
        }
    }

    /// Whether bytes of `version` that the level at `index` gave may be believed.
    pub(crate) fn admits(&self, index: usize, pass: &Pass, version: Sequence) -> bool {
        (pass.admits(version) || mutant::breaks("bytes from before a removal are a miss"))
            && (self.knows(index, pass.key(), version)
                || mutant::breaks("what a tier was not told is a miss there"))
            && (!self.is_in_doubt(index) || mutant::breaks("private tiers are doubted too"))
    }

    /// Whether the level at `index` was told of everything about `key` up to `version`.
    pub(super) fn knows(&self, index: usize, key: &StoredKey, version: Sequence) -> bool {
        !self.unnumbered.owes(key) && self.debts[index].admits(key, version)
    }

    /// Whether bytes of `version` may be believed that any level gave which others write.
    pub(super) fn admits_shared(&self, pass: &Pass, version: Sequence) -> bool {
        let mut shared = (0..self.levels.len()).filter(|index| self.levels[*index].is_shared());
        shared.all(|index| self.admits(index, pass, version))
    }

    /// What the bus is called, where there is one.
    pub(super) fn bus_name(&self) -> &str {
        self.broadcast.as_ref().map_or("", |broadcast| broadcast.name())
    }

    /// Whether what the level at `index` holds may have ended unheard: nobody else writes it, and
    /// the bus is silent.
    fn is_in_doubt(&self, index: usize) -> bool {
        let is_silent = |broadcast: &Arc<Broadcast>| broadcast.is_in_doubt();
        !self.levels[index].is_shared() && self.broadcast.as_ref().is_some_and(is_silent)
    }

    /// Writes what a caller set to every level, deepest first, each by its policy, and tells other
    /// processes after the tiers. Survives its caller.
    pub(crate) async fn store_and_tell(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        mut job: Job,
    ) -> Result<()> {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            let reserved = stack.reserve_for(&tenant, std::iter::once(&mut job)).await;
            let job = Arc::new(job);
            let stored = stack.store_now(&job, 0..stack.levels.len()).await;
            if stored.is_ok() {
                stack.unnumbered.cover(job.pass.key(), job.version);
            }
            let told = stack.tell_stored(&tenant, std::iter::once(&*job)).await;
            // A refusal leaves nothing older anywhere: what failed is the graver news.
            let refusing = reserved.and(stored)?;
            told?;
            refusing.map_or(Ok(()), |index| Err(stack.refused(index)))
        });
        joined(task.await)
    }

    /// Why a value is not at every level although none failed.
    fn refused(&self, index: usize) -> Error {
        let text = "a tier did not keep the value, which is too large for it";
        Error::new(ErrorKind::TooLarge, text).with("tier", &self.levels[index].name)
    }

    /// Puts bytes found deeper into the levels above them, whatever their policy for writes.
    pub(crate) async fn promote(self: &Arc<Self>, job: Job, levels: Range<usize>) -> Result<()> {
        let stack = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let mut result = Ok(());
            for index in levels.rev() {
                result = result.and(stack.put(index, &job).await.map(drop));
            }
            result
        });
        joined(task.await)
    }

    /// Writes one job to some levels, deepest first, and names one of them that refused it.
    pub(super) async fn store_now(
        &self,
        job: &Arc<Job>,
        levels: Range<usize>,
    ) -> Result<Option<usize>> {
        let mut result = Ok(None);
        for index in levels.rev() {
            let refusing = self.store_in(index, job).await;
            let refusing = refusing.map(|taken| (taken == Taken::Refused).then_some(index));
            result = result.and_then(|before| Ok(before.or(refusing?)));
        }
        result
    }

    /// Writes one job to one level by its policy.
    pub(super) async fn store_in(&self, index: usize, job: &Arc<Job>) -> Result<Taken> {
        match (&self.levels[index].config.write, &self.behind[index]) {
            (WritePolicy::Around, _) => self.drop_older(index, job).await.map(|()| Taken::Passed),
            (_, Some(behind)) => match behind.push(Arc::clone(job)) {
                Ok(()) => Ok(Taken::Kept),
                Err(full) => {
                    self.levels[index].counts.behind_full.add(1);
                    let tier = self.levels[index].name.clone();
                    self.observer.on_event(&Event::WriteBehindFull { tier });
                    self.put(index, &full).await
                }
            },
            (_, None) => self.put(index, job).await,
        }
    }

    /// Puts one job into one level, if it is still the newest of its key.
    pub(crate) async fn put(&self, index: usize, job: &Job) -> Result<Taken> {
        self.put_as(index, job, None).await
    }

    /// As [`put`](Self::put), by the holder of the key's lease.
    pub(super) async fn put_as(
        &self,
        index: usize,
        job: &Job,
        held: Option<&Held>,
    ) -> Result<Taken> {
        let level = &self.levels[index];
        let key = job.pass.key();
        let _turn = job.pass.turn.lock().await;
        if !job.pass.admits(job.version) && !mutant::breaks("an older value is not written") {
            // The value that overtook it may be on its way yet: its elders go now.
            self.note_shown(index, job, false);
            return self.remove_elder(index, key, job.version).await.map(|()| Taken::Passed);
        }
        let Some((bytes, how)) = self.prepare(index, job) else {
            return self.remove_elder(index, key, job.version).await.map(|()| Taken::Passed);
        };
        let put = match held {
            Some(held) => held.put(bytes, how).await,
            None => level.backend.put(key, bytes, how, &OpContext::default()).await,
        };
        self.note_shown(index, job, matches!(put, Ok(PutOutcome::Stored)));
        match put {
            Ok(PutOutcome::Fenced) => {
                self.answered(index, key);
                // A lease that was lost refuses too: what stands there is a later holder's.
                match held {
                    Some(_) => Ok(Taken::Passed),
                    None => self.drop_elder(index, job).await.map(|()| Taken::Passed),
                }
            }
            Ok(outcome) => {
                self.answered(index, key);
                self.debts[index].settle(key, job.version);
                Ok(self.counted(index, outcome))
            }
            Err(error) => {
                self.debts[index].owe(key, job.version);
                self.failed(index, "put", key, &error);
                Err(error)
            }
        }
    }

    /// What a level made of bytes that it took or refused. Only the former are counted.
    pub(super) fn counted(&self, index: usize, outcome: PutOutcome) -> Taken {
        if outcome != PutOutcome::Stored {
            return Taken::Refused;
        }
        self.levels[index].counts.puts.add(1);
        Taken::Kept
    }

    /// Notes whether a level keeps a job's bytes, if others read there.
    pub(super) fn note_shown(&self, index: usize, job: &Job, is_taken: bool) {
        if self.levels[index].is_shared() {
            job.shown.note(is_taken);
        }
    }

    /// What a job puts into a level, if its value is still alive and may lie there. It may have
    /// ended on the way.
    pub(super) fn prepare(&self, index: usize, job: &Job) -> Option<(Bytes, Put)> {
        let rest = (job.expires != NEVER).then(|| job.expires.saturating_sub(self.clock.now()));
        if rest == Some(0) || !job.is_reserved {
            return None;
        }
        let bytes = job.forms.of(self.levels[index].packing);
        let bytes = if job.pass.has_ended(job.version) {
            self.pipeline.end_freshness(job.pass.key(), bytes).ok()?
        } else {
            bytes.clone()
        };
        Some((bytes, Put { ttl: self.levels[index].life(rest), version: job.version }))
    }

    /// A level that is written around must not keep what the write replaced. The value that
    /// overtook the write may be on its way yet: what is older goes now.
    pub(super) async fn drop_older(&self, index: usize, job: &Job) -> Result<()> {
        let _turn = job.pass.turn.lock().await;
        if job.pass.fence() == Sequence::ZERO {
            return Ok(());
        }
        self.remove_from(index, job.pass.key(), job.version).await.map(drop)
    }

    /// Removes a key from every level, deepest first. Survives its caller.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        pass: Pass,
        at: Sequence,
    ) -> Result<bool> {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            stack.reserve(&tenant, at).await;
            let _turn = pass.turn.lock().await;
            let mut result = Ok(false);
            for index in (0..stack.levels.len()).rev() {
                let removed = stack.remove_from(index, pass.key(), at).await;
                result = match (result, removed) {
                    (Ok(before), Ok(now)) => Ok(before || now),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                };
            }
            if stack.is_unnumbered(&tenant, at) {
                stack.owe_unnumbered(&tenant, at, std::iter::once(pass.key()));
            } else if result.is_ok() {
                stack.unnumbered.cover(pass.key(), at);
            }
            let told = stack.tell_key(&tenant, pass.key(), at).await;
            told.and(result)
        });
        joined(task.await)
    }

    pub(super) async fn remove_from(
        &self,
        index: usize,
        key: &StoredKey,
        at: Sequence,
    ) -> Result<bool> {
        match self.levels[index].backend.remove(key, at, &OpContext::default()).await {
            Ok(was_there) => {
                self.answered(index, key);
                self.debts[index].settle(key, at);
                Ok(was_there)
            }
            Err(error) => {
                self.debts[index].owe(key, at);
                self.failed(index, "remove", key, &error);
                Err(error)
            }
        }
    }

    /// Lets tiers that no other process writes forget what another process ended.
    pub(crate) async fn heed_private(&self, keys: Vec<(Pass, Sequence)>) {
        for index in (0..self.levels.len()).filter(|index| !self.levels[*index].is_shared()) {
            for (pass, at) in &keys {
                let _turn = pass.turn.lock().await;
                // A failure was reported, and is owed.
                let _ = self.remove_from(index, pass.key(), *at).await;
            }
        }
    }

    /// Takes the first number this process is told for its start: what tiers of its own held by
    /// then may have been ended while nobody listened.
    pub(super) fn distrust_before_start(&self, at: Sequence) {
        if !self.is_start_known.swap(true, Ordering::AcqRel) {
            self.distrust_private(at);
        }
    }

    /// What is older than `at` in tiers that no other process writes is a miss from here on.
    pub(crate) fn distrust_private(&self, at: Sequence) {
        for (level, debts) in self.levels.iter().zip(&self.debts) {
            if !level.is_shared() {
                debts.distrust(at);
            }
        }
    }

    /// Settles debts of tiers that answer again, a few at a time.
    pub(crate) async fn settle_debts(&self, most: usize) {
        for index in 0..self.levels.len() {
            self.settle_level(index, most).await;
        }
    }

    /// A node that does not answer is left out for the rest of the round: its debts keep those of
    /// the others waiting no longer than one call.
    async fn settle_level(&self, index: usize, most: usize) {
        let backend = &self.levels[index].backend;
        let (mut left, mut silent) = (most, Vec::new());
        while left > 0 && !self.debts[index].is_late_full() {
            let is_open = |key: &StoredKey| !silent.contains(&backend.node(key));
            let some = self.debts[index].take_some(left.min(SETTLE_AT_ONCE), is_open);
            if some.is_empty() {
                break;
            }
            for (key, version) in some {
                let node = backend.node(&key);
                if silent.contains(&node) {
                    continue;
                }
                left -= 1;
                // As a writer: bytes that a reader has in hand by now are refused once the debt is
                // gone as they were before.
                let pass = self.gates.fence(&key, version);
                let _turn = pass.turn.lock().await;
                // A newer value may have settled it since it was looked up.
                let is_due = self.debts[index].is_due(&key, version);
                if is_due && self.remove_from(index, &key, version).await.is_err() {
                    silent.push(node);
                }
            }
        }
        // Newer values settled some on their way.
        let late = self.debts[index].take_late();
        if self.levels[index].is_shared() {
            self.tell_late(late).await;
        }
    }

    /// A store of leases failed, or did not answer in time.
    pub(super) fn lease_failed(&self, index: usize, error: Option<Error>) {
        let kind = error.map_or(ErrorKind::Timeout, |error| error.kind());
        let tier = self.levels[index].name.clone();
        self.observer.on_event(&Event::TierFailed { tier, operation: "lease", kind });
    }

    /// The node of `key` answered; when it was the last of the tier that had failed, that is
    /// worth an event.
    pub(super) fn answered(&self, index: usize, key: &StoredKey) {
        let level = &self.levels[index];
        if level.failing.answered(&*level.backend, key) {
            let tier = level.name.clone();
            self.observer.on_event(&Event::TierRecovered { tier });
        }
    }

    /// A call for `key`, or for a part of a batch that its node serves, failed.
    pub(super) fn failed(
        &self,
        index: usize,
        operation: &'static str,
        key: &StoredKey,
        error: &Error,
    ) {
        let level = &self.levels[index];
        level.failing.failed(&*level.backend, key);
        level.counts.failures.add(1);
        tracing::debug!(tier = %level.name, operation, error = %error, "a tier failed");
        let tier = level.name.clone();
        self.observer.on_event(&Event::TierFailed { tier, operation, kind: error.kind() });
    }
}

/// The answer of a task of ours, which neither panics nor is aborted unless the runtime ends.
pub(super) fn joined<T>(
    answer: std::result::Result<Result<T>, tokio::task::JoinError>,
) -> Result<T> {
    answer.unwrap_or_else(|_| {
        let kind = cache_enterprise_core::ErrorKind::Closed;
        Err(Error::new(kind, "the runtime ended before the tiers answered"))
    })
}
