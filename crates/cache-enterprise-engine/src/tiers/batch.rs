//! Batches on their way to the tiers.
//!
//! A batch of writes passes the gates of all its keys. It takes their turns in the order of the
//! keys, so that two batches never wait for each other in a circle.
//!
//! To a tier a batch goes node by node, all at the same time: what one node did not answer,
//! take or remove says nothing about the keys of the others, and only its own are asked for
//! elsewhere or owed.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::coherence::LeasedPut;
use cache_enterprise_core::{
    CacheKey, Cached, Error, Lookup, OpContext, PutOutcome, Result, Sequence, SetOutcome, StoredKey,
};

use cache_enterprise_resilience::by_node;
use futures_util::future::join_all;

use super::below::{SetBelow, later};
use super::gate::Pass;
use super::judge::Found;
use super::lease_many::HeldMany;
use super::stack::{Job, Stack, Taken, joined};
use super::tier::WritePolicy;
use crate::batch::Item;
use crate::batch_load::Claim;
use crate::cache::Cache;
use crate::failover::Failover;
use crate::flight::{Join, Landing, Lead, run_many};
use crate::options::Options;
use crate::read::{Call, Want};
use crate::shared::TenantState;
use crate::write::{How, Labels};
use crate::{Fence, Sealed};

/// A claim on its way through the levels.
struct Wanted<'a, K: CacheKey, V: Send + Sync + 'static> {
    claim: Claim<'a, K, V>,
    pass: Pass,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Asks the tiers for what level 1 does not hold. Keys somebody else is asking for are
    /// waited for, not asked again.
    pub(crate) async fn look_below_many<Q: Lookup<K>>(
        &self,
        keys: &[Q],
        missing: &[usize],
        found: &mut [Option<Cached<V>>],
    ) -> Result<()> {
        self.prepare_below().await;
        let call = self.call(Want::Lookup);
        let mut claims = Vec::with_capacity(missing.len());
        let mut others = Vec::new();
        for &index in missing {
            self.view.space.key(&keys[index].to_key())?;
            match self.join(&keys[index], self.arrival(&call)) {
                Join::Lead(seat) => {
                    self.view.core.counts.misses.add(1);
                    self.note_demand(&keys[index]);
                    let until = self.leads_until(&call);
                    let lead = Lead::new(&self.view.core.flights, seat, until);
                    claims.push(Claim { index, lead, stale: None });
                }
                Join::Known(value) => found[index] = Some(value),
                Join::Follow(_) => others.push(index),
            }
        }
        let take = |index: usize, value| found[index] = Some(value);
        for Claim { lead, .. } in self.read_below_many(keys, claims, &call, take).await? {
            lead.land_empty(Landing::Missing);
        }
        for index in others {
            found[index] = self.get(&keys[index]).await?;
        }
        Ok(())
    }

    /// Asks the tiers, level by level, for all of `claims` together. What they hold is landed and
    /// given to `take`; the claims that nobody could answer come back, with a value past its life
    /// where there is one.
    ///
    /// # Errors
    /// That of a level, in a manager where it ends the call.
    pub(crate) async fn read_below_many<'a, Q: Lookup<K>>(
        &'a self,
        keys: &[Q],
        claims: Vec<Claim<'a, K, V>>,
        call: &Call,
        mut take: impl FnMut(usize, Cached<V>),
    ) -> Result<Vec<Claim<'a, K, V>>> {
        let Some(stack) = self.stack() else { return Ok(claims) };
        if !self.is_restored() {
            self.check_fatal(|| stack.not_known())?;
            return Ok(claims);
        }
        let mut keyless = Vec::new();
        let mut wanted = Vec::with_capacity(claims.len());
        for mut claim in claims {
            claim.lead.found_nothing_below = true;
            match self.view.space.key(&keys[claim.index].to_key()) {
                Ok(stored) => wanted.push(Wanted { claim, pass: stack.gates.enter(&stored) }),
                Err(_) => keyless.push(claim),
            }
        }
        for level in 0..stack.levels.len() {
            if wanted.is_empty() {
                break;
            }
            wanted = self.ask_level(stack, level, wanted, call, &mut take).await?;
        }
        keyless.extend(wanted.into_iter().map(|want| want.claim));
        Ok(keyless)
    }

    /// Asks one level for all that is still wanted and gives back what it could not answer.
    async fn ask_level<'a>(
        &'a self,
        stack: &Arc<Stack>,
        level: usize,
        mut wanted: Vec<Wanted<'a, K, V>>,
        call: &Call,
        take: &mut impl FnMut(usize, Cached<V>),
    ) -> Result<Vec<Wanted<'a, K, V>>> {
        let keys: Vec<StoredKey> = wanted.iter().map(|want| want.pass.key().clone()).collect();
        let leads = wanted.iter_mut().map(|want| &mut want.claim.lead);
        let read =
            run_many(leads, stack.read_many_confirmed(level, &keys, &self.view.tenant)).await;
        let (mut unanswered, mut climbing) = (Vec::new(), Vec::new());
        for (mut want, read) in wanted.into_iter().zip(read) {
            want.claim.lead.found_nothing_below &= matches!(read, Ok(None));
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.check_fatal(|| error)?;
                    unanswered.push(want);
                    continue;
                }
            };
            let judged = bytes.map(|bytes| self.judge(stack, level, &want.pass, bytes));
            match judged {
                Some(Found::Fresh(opened, bytes)) => {
                    let Wanted { claim: Claim { index, lead, .. }, pass } = want;
                    let (value, job) =
                        self.land_from(stack, lead, (level, pass), opened, bytes, call);
                    climbing.extend(job);
                    take(index, value);
                }
                Some(Found::Stale(opened, bytes)) => {
                    let Wanted { claim, pass } = &mut want;
                    let found =
                        self.ended_from(stack, (level, pass), (opened, bytes), &claim.lead, call);
                    claim.stale = later(claim.stale.take(), found);
                    unanswered.push(want);
                }
                Some(Found::Nothing) => unanswered.push(want),
                None => {
                    stack.levels[level].counts.misses.add(1);
                    unanswered.push(want);
                }
            }
        }
        stack.promote_many(climbing, level).await;
        Ok(unanswered)
    }

    /// Writes loaded values to every tier by its policy, one call a tier and node, and gives the
    /// leases back.
    pub(crate) async fn fill_below_many(&self, sealed: Vec<Sealed>, held: Option<HeldMany>) {
        let Some(stack) = self.stack() else { return };
        let jobs = sealed.into_iter().map(Sealed::into_job).enumerate().collect();
        // The caller has its values; a tier that did not take one was reported as an event.
        stack.store_many(&self.view.tenant, jobs, false, held).await;
    }

    /// The error, in a manager where a failing level ends the call.
    fn check_fatal(&self, error: impl FnOnce() -> Error) -> Result<()> {
        match self.view.shared.failover {
            Failover::FailFast => Err(error()),
            _ => Ok(()),
        }
    }

    pub(crate) async fn set_below_many(
        &self,
        items: Vec<Item<K, V>>,
        options: &Options,
    ) -> Vec<SetOutcome> {
        let Some(stack) = self.stack() else { return Vec::new() };
        self.prepare_below().await;
        let number = self.number_below().await;
        let mut outcomes = Vec::with_capacity(items.len());
        let mut writes = Vec::with_capacity(items.len());
        for Item { key, value, merit } in items {
            let how = How { options, number: &number, merit };
            let stored = self.view.space.key(&key).ok();
            let mut write = None;
            let (_, outcome) =
                self.set_level1(key, value, Labels::default(), how, |value, plan| {
                    let stored = stored.as_ref()?;
                    let (made, plain_len) = self.seal_set(stack, stored, value, plan, &number);
                    write = Some(made);
                    plain_len
                });
            // No tier has a key of that length.
            outcomes.push(if stored.is_some() { outcome } else { SetOutcome::StoredAbove });
            let is_overtaken = outcome == SetOutcome::Fenced;
            writes.extend(write.map(|write| (outcomes.len() - 1, write, is_overtaken)));
        }
        for index in stack.write_many(&self.view.tenant, writes).await {
            outcomes[index] = SetOutcome::StoredAbove;
        }
        outcomes
    }

    pub(crate) async fn remove_below_many(&self, fences: Vec<(Fence, Sequence)>) -> Result<u64> {
        let Some(stack) = self.stack() else { return Ok(0) };
        let newest = fences.iter().map(|(_, at)| *at).max().unwrap_or_default();
        let passes = fences.into_iter().filter_map(|(fence, _)| fence.into_pass()).collect();
        stack.remove_many(&self.view.tenant, passes, newest).await
    }
}

impl Stack {
    /// As [`read_many`](Self::read_many). From a level that others write, bytes are an answer only
    /// if every group ended before the call is known here.
    async fn read_many_confirmed(
        &self,
        index: usize,
        keys: &[StoredKey],
        tenant: &TenantState,
    ) -> Vec<Result<Option<Bytes>>> {
        if self.shared_epochs().is_none() || !self.levels[index].is_shared() {
            return self.read_many(index, keys).await;
        }
        let asked = async {
            self.may_believe(tenant)?;
            let (read, confirm) = (self.read_many(index, keys), self.confirm_epochs(tenant));
            let (read, confirmed) = futures_util::future::join(read, confirm).await;
            confirmed.map(|()| read)
        };
        asked.await.unwrap_or_else(|error| keys.iter().map(|_| Err(error.clone())).collect())
    }

    /// What the level at `index` holds under each key, or why its node did not say.
    async fn read_many(&self, index: usize, keys: &[StoredKey]) -> Vec<Result<Option<Bytes>>> {
        let backend = &*self.levels[index].backend;
        let parts = by_node(backend, keys);
        let asked: Vec<_> = parts.iter().map(|part| part.pick(keys)).collect();
        let ctx = OpContext::default();
        let answers = join_all(asked.iter().map(|keys| backend.get_many(keys, &ctx))).await;
        let mut read: Vec<_> = keys.iter().map(|_| Ok(None)).collect();
        for ((part, asked), answer) in parts.iter().zip(&asked).zip(answers) {
            match answer {
                Ok(found) => {
                    self.answered(index, &asked[0]);
                    for (&place, bytes) in part.places.iter().zip(found) {
                        if let Some(bytes) = &bytes {
                            self.fetch_dictionary(index, &keys[place], bytes).await;
                        }
                        read[place] = Ok(bytes);
                    }
                }
                Err(error) => {
                    self.failed(index, "get_many", &asked[0], &error);
                    let error = error.with("tier", &self.levels[index].name);
                    part.places.iter().for_each(|&place| read[place] = Err(error.clone()));
                }
            }
        }
        read
    }

    /// Brings what callers set to every level: what can be written, and the end of what is older
    /// than the rest, those that a newer value overtook among it. Answers the numbers of those that
    /// are in level 1 alone. Survives its caller: level 1 has changed by now.
    async fn write_many(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        writes: Vec<(usize, SetBelow, bool)>,
    ) -> Vec<usize> {
        let all: Vec<usize> = writes.iter().map(|(index, _, _)| *index).collect();
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            let (mut jobs, mut above) = (Vec::new(), Vec::new());
            // The store gives a batch one number, or none.
            let mut unnumbered = (Sequence::ZERO, Vec::new());
            for (index, write, is_overtaken) in writes {
                match write {
                    SetBelow::Drop(pass, at, _) if stack.is_unnumbered(&tenant, at) => {
                        above.push(index);
                        unnumbered.0 = at.max(unnumbered.0);
                        unnumbered.1.push(pass);
                    }
                    write if is_overtaken => {
                        if write.end_older(&stack, &tenant).await.is_err() {
                            above.push(index);
                        }
                    }
                    SetBelow::Put(job) => jobs.push((index, job)),
                    SetBelow::Drop(pass, at, _) => {
                        above.push(index);
                        // A tier that failed was reported; what it still holds is a miss.
                        let _ = stack.remove_elders(&tenant, pass, at).await;
                    }
                }
            }
            if !unnumbered.1.is_empty() {
                let _ = stack.remove_many(&tenant, unnumbered.1, unnumbered.0).await;
            }
            above.extend(stack.store_many(&tenant, jobs, true, None).await);
            above
        });
        task.await.unwrap_or(all)
    }

    /// Writes a batch to every level, deepest first; answers the numbers of the jobs that some
    /// level did not take. Other processes are told of what was set and not of what was loaded.
    /// Survives its caller.
    async fn store_many(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        mut jobs: Vec<(usize, Job)>,
        is_told: bool,
        held: Option<HeldMany>,
    ) -> Vec<usize> {
        if jobs.is_empty() {
            return Vec::new();
        }
        let all: Vec<usize> = jobs.iter().map(|(index, _)| *index).collect();
        // Stable: of jobs of one key, which have one number where a store gives it, the last stays.
        jobs.sort_by(|(_, left), (_, right)| left.pass.key().cmp(right.pass.key()));
        jobs.dedup_by(|later, kept| {
            let is_same = later.1.pass.key() == kept.1.pass.key();
            if is_same && later.1.version >= kept.1.version {
                std::mem::swap(later, kept);
            }
            is_same
        });
        let (stack, tenant, every) = (Arc::clone(self), Arc::clone(tenant), all.clone());
        let task = self.runtime.spawn(async move {
            let reserved = stack.reserve_for(&tenant, jobs.iter_mut().map(|(_, job)| job)).await;
            let mut failed = if reserved.is_ok() { Vec::new() } else { every };
            for level in (0..stack.levels.len()).rev() {
                let held = held.as_ref().filter(|held| held.index == level);
                let behind = stack.levels[level].config.write != WritePolicy::Through;
                if behind && held.is_none() {
                    failed.extend(stack.store_singly(level, &mut jobs).await);
                } else {
                    failed.extend(stack.put_many(level, &jobs, held).await);
                }
            }
            // The values are there before anybody else may load.
            drop(held);
            if is_told && stack.unnumbered.len() > 0 {
                let failed: HashSet<_> = failed.iter().collect();
                for (_, job) in jobs.iter().filter(|(index, _)| !failed.contains(index)) {
                    stack.unnumbered.cover(job.pass.key(), job.version);
                }
            }
            let told = jobs.iter().map(|(_, job)| job);
            if is_told && stack.tell_stored(&tenant, told).await.is_err() {
                failed.extend(jobs.iter().map(|(index, _)| *index));
            }
            failed
        });
        task.await.unwrap_or(all)
    }

    /// Puts what the level at `from` gave into the levels above it, whatever their policy for
    /// writes. Survives its caller.
    async fn promote_many(self: &Arc<Self>, jobs: Vec<Job>, from: usize) {
        if jobs.is_empty() {
            return;
        }
        let mut jobs: Vec<_> = jobs.into_iter().enumerate().collect();
        jobs.sort_by(|(_, left), (_, right)| left.pass.key().cmp(right.pass.key()));
        let stack = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            for level in (0..from).rev() {
                stack.put_many(level, &jobs, None).await;
            }
        });
        // The values are in hand; what a tier above did not take was reported.
        let _ = task.await;
    }

    /// One job after the other, for levels that are written behind or around.
    async fn store_singly(self: &Arc<Self>, level: usize, jobs: &mut [(usize, Job)]) -> Vec<usize> {
        let mut failed = Vec::new();
        for (index, job) in jobs {
            let pass = self.gates.enter(job.pass.key());
            let copy = Job::new(pass, job.forms.clone(), job.version, job.expires);
            let copy = Arc::new(Job { is_reserved: job.is_reserved, ..copy });
            if !matches!(self.store_now(&copy, level..level + 1).await, Ok(None)) {
                failed.push(*index);
            }
        }
        failed
    }

    /// Puts a batch into one level, in one call a node, and in one more for what is `held`.
    async fn put_many(
        &self,
        level: usize,
        jobs: &[(usize, Job)],
        held: Option<&HeldMany>,
    ) -> Vec<usize> {
        let mut turns = Vec::with_capacity(jobs.len());
        let mut items = Vec::with_capacity(jobs.len());
        let mut sent = Vec::with_capacity(jobs.len());
        let (mut leased, mut under) = (Vec::new(), Vec::new());
        let mut failed = Vec::new();
        for (index, job) in jobs {
            turns.push(job.pass.turn.lock().await);
            let prepared = self.prepare(level, job).filter(|_| job.pass.admits(job.version));
            let token = held.and_then(|held| held.token(job.pass.key()));
            if let (Some((value, how)), Some(token)) = (&prepared, token) {
                let (key, value, how) = (job.pass.key().clone(), value.clone(), *how);
                leased.push(LeasedPut { key, value, how, token });
                under.push((*index, job));
            } else if let Some((bytes, how)) = prepared {
                items.push((job.pass.key().clone(), bytes, how));
                sent.push((*index, job));
            } else {
                self.note_shown(level, job, false);
                if self.remove_elder(level, job.pass.key(), job.version).await.is_err() {
                    failed.push(*index);
                }
            }
        }
        if let Some(held) = held.filter(|_| !leased.is_empty()) {
            failed.extend(self.put_leased(level, held, &leased, &under).await);
        }
        if items.is_empty() {
            return failed;
        }
        let backend = &*self.levels[level].backend;
        let parts = by_node(backend, items.iter().map(|(key, _, _)| key));
        let ctx = OpContext::default();
        let puts = parts.iter().map(|part| backend.put_many(part.pick(&items), &ctx));
        for (part, put) in parts.iter().zip(join_all(puts).await) {
            failed.extend(self.note_put(level, &part.pick(&sent), put, false).await);
        }
        failed
    }

    /// Puts what the holder of its leases loaded.
    async fn put_leased(
        &self,
        level: usize,
        held: &HeldMany,
        leased: &[LeasedPut],
        sent: &[(usize, &Job)],
    ) -> Vec<usize> {
        let parts = by_node(&*self.levels[level].backend, leased.iter().map(|item| &item.key));
        let puts = parts.iter().map(|part| held.put_many(part.pick(leased)));
        let mut failed = Vec::new();
        for (part, put) in parts.iter().zip(join_all(puts).await) {
            failed.extend(self.note_put(level, &part.pick(sent), put, true).await);
        }
        failed
    }

    /// Settles or owes what became of the jobs of one node; answers the numbers of those that
    /// were not taken.
    async fn note_put(
        &self,
        level: usize,
        sent: &[(usize, &Job)],
        put: Result<Vec<PutOutcome>>,
        is_leased: bool,
    ) -> Vec<usize> {
        let first = sent[0].1.pass.key();
        match put {
            Ok(outcomes) => {
                self.answered(level, first);
                let (mut fenced, mut failed) = (Vec::new(), Vec::new());
                for ((index, job), outcome) in sent.iter().zip(outcomes) {
                    self.note_shown(level, job, outcome == PutOutcome::Stored);
                    if outcome == PutOutcome::Fenced {
                        fenced.push((*index, *job));
                        continue;
                    }
                    self.debts(level).settle(job.pass.key(), job.version);
                    if self.counted(level, outcome) == Taken::Refused {
                        failed.push(*index);
                    }
                }
                if is_leased {
                    // A lease that was lost refuses too: what stands there is a later holder's.
                    return failed;
                }
                let dropped = fenced.iter().map(|(_, job)| self.drop_elder(level, job));
                let dropped = join_all(dropped).await.into_iter().zip(&fenced);
                let dropped = dropped.filter(|(done, _)| done.is_err());
                failed.extend(dropped.map(|(_, (index, _))| *index));
                failed
            }
            Err(error) => {
                self.failed(level, "put_many", first, &error);
                for (_, job) in sent {
                    self.note_shown(level, job, false);
                    self.debts(level).owe(job.pass.key(), job.version);
                }
                sent.iter().map(|(index, _)| *index).collect()
            }
        }
    }

    /// Removes a batch from every level, deepest first, and counts what the fullest one held.
    /// Survives its caller.
    pub(super) async fn remove_many(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        mut passes: Vec<Pass>,
        at: Sequence,
    ) -> Result<u64> {
        passes.sort_by(|left, right| left.key().cmp(right.key()));
        passes.dedup_by(|left, right| left.key() == right.key());
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            stack.reserve(&tenant, at).await;
            let mut turns = Vec::with_capacity(passes.len());
            for pass in &passes {
                turns.push(pass.turn.lock().await);
            }
            let keys: Vec<StoredKey> = passes.iter().map(|pass| pass.key().clone()).collect();
            let mut result = Ok(0);
            for level in (0..stack.levels.len()).rev() {
                result = match (result, stack.remove_many_from(level, &keys, at).await) {
                    (Ok(most), Ok(removed)) => Ok(removed.max(most)),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                };
            }
            if stack.is_unnumbered(&tenant, at) {
                stack.owe_unnumbered(&tenant, at, keys.iter());
            } else if result.is_ok() {
                keys.iter().for_each(|key| stack.unnumbered.cover(key, at));
            }
            let told = stack.tell_keys(&tenant, keys.iter().map(|key| (at, key))).await;
            told.and(result)
        });
        joined(task.await)
    }

    /// Removes a batch from one level. What a node did not confirm is owed, and the others' part
    /// is done.
    async fn remove_many_from(
        &self,
        level: usize,
        keys: &[StoredKey],
        at: Sequence,
    ) -> Result<u64> {
        let backend = &*self.levels[level].backend;
        let parts = by_node(backend, keys);
        let asked: Vec<_> = parts.iter().map(|part| part.pick(keys)).collect();
        let ctx = OpContext::default();
        let removals = asked.iter().map(|keys| backend.remove_many(keys, at, &ctx));
        let mut result = Ok(0);
        for (keys, removal) in asked.iter().zip(join_all(removals).await) {
            match removal {
                Ok(removed) => {
                    self.answered(level, &keys[0]);
                    keys.iter().for_each(|key| self.debts(level).settle(key, at));
                    result = result.map(|sum: u64| sum + removed);
                }
                Err(error) => {
                    self.failed(level, "remove_many", &keys[0], &error);
                    keys.iter().for_each(|key| self.debts(level).owe(key, at));
                    result = Err(error);
                }
            }
        }
        result
    }
}
