//! A cache's way to its manager's tiers.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Change, EpochTarget};
use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Dates, Entry, Error, Event, Lookup, Merit, Millis, NEVER, Result,
    Sequence, SetOutcome, StoredKey, mutant,
};

use super::forms::Forms;
use super::gate::Pass;
use super::judge::Found;
use super::numbers::Number;
use super::pipeline::{Opened, SealedValue, format_of};
use super::stack::{Job, Stack};
use crate::access::Access;
use crate::cache::Cache;
use crate::failover::Failover;
use crate::flight::{Landing, Lead};
use crate::options::Options;
use crate::read::{Answer, Below, Call, Source, Stale};
use crate::route;
use crate::set::SetNow;
use crate::shared::{Shared, TenantState};
use crate::write::{How, Labels, Plan};

/// A value sealed for the tiers, with the pass of its key.
#[derive(Debug)]
pub(crate) struct Sealed {
    job: Job,
    plain_len: usize,
    /// What others are told of a value that its origin confirmed.
    life: Option<Change>,
}

impl Sealed {
    pub(crate) fn plain_len(&self) -> usize {
        self.plain_len
    }

    /// A value that was sealed before and has other dates now.
    pub(super) fn renewed(job: Job) -> Self {
        Self { job, plain_len: 0, life: None }
    }

    /// With what others are told once the tiers have it.
    pub(super) fn confirming(self, life: Option<Change>) -> Self {
        Self { life, ..self }
    }

    pub(super) fn key(&self) -> &StoredKey {
        self.job.pass.key()
    }

    pub(super) fn into_parts(self) -> (Job, Option<Change>) {
        (self.job, self.life)
    }

    pub(super) fn into_job(self) -> Job {
        self.job
    }
}

/// A removal announced to the tiers: while it is held, older bytes are a miss.
#[derive(Debug, Default)]
pub(crate) struct Fence(Option<Pass>);

impl Fence {
    pub(super) fn into_pass(self) -> Option<Pass> {
        self.0
    }
}

/// Bytes of a value past its life, and the pass of their key: while it is held, a removal of the
/// key is seen.
#[derive(Debug)]
pub(crate) struct Hold {
    stack: Arc<Stack>,
    index: usize,
    pass: Pass,
    bytes: Bytes,
}

impl Hold {
    pub(super) fn new(stack: &Arc<Stack>, index: usize, pass: &Pass, bytes: Bytes) -> Self {
        let pass = stack.gates.enter(pass.key());
        Self { stack: Arc::clone(stack), index, pass, bytes }
    }

    /// Whether no removal of the key is newer than `version`.
    pub(crate) fn admits(&self, version: Sequence) -> bool {
        self.stack.admits(self.index, &self.pass, version)
    }

    pub(super) fn pass(&self) -> &Pass {
        &self.pass
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    pub(crate) fn stack(&self) -> Option<&Arc<Stack>> {
        route::stack(&self.view.shared, self.view.route.as_ref())
    }

    /// Before anything is read below: the tenant's stored sequence and epochs are known.
    pub(crate) async fn prepare_below(&self) {
        if let Some(stack) = self.stack()
            && !self.is_restored()
            && let Err(error) = stack.restore(&self.view.tenant).await
        {
            tracing::debug!(error = %error, "stored epochs are not known; the tiers are not read");
        }
    }

    pub(super) fn is_restored(&self) -> bool {
        self.view.tenant.restoring.is_done()
    }

    /// A number for what ends or replaces an entry of this cache.
    pub(crate) async fn number_below(&self) -> Number {
        match self.stack() {
            Some(stack) => stack.number(&self.view.tenant).await,
            None => Number::OWN,
        }
    }

    /// Asks the tiers one by one; what is found climbs.
    pub(crate) async fn read_below<'a, Q: Lookup<K> + ?Sized>(
        &'a self,
        key: &Q,
        mut lead: Lead<'a, K, V>,
        call: &Call,
    ) -> Below<'a, K, V> {
        let Some(stack) = self.stack() else { return Below::Unanswered(lead, None) };
        let is_fatal = call.can_fail() && self.view.shared.failover == Failover::FailFast;
        if !self.is_restored() {
            return if is_fatal {
                broken(lead, stack.not_known())
            } else {
                Below::Unanswered(lead, None)
            };
        }
        let Ok(stored) = self.view.space.key(&key.to_key()) else {
            return Below::Unanswered(lead, None);
        };
        let pass = stack.gates.enter(&stored);
        let mut older: Option<Stale<V>> = None;
        lead.found_nothing_below = true;
        for index in 0..stack.levels.len() {
            if !call.access.reads_number(stack.levels[index].number) {
                lead.found_nothing_below = false;
                continue;
            }
            let read = stack.read_confirmed(index, &stored, &self.view.tenant);
            let bytes = match lead.run(read).await {
                Ok(Some(bytes)) => bytes,
                Err(error) if is_fatal => return broken(lead, error),
                Ok(None) => continue,
                // The next level is asked; a failure was reported.
                Err(_) => {
                    lead.found_nothing_below = false;
                    continue;
                }
            };
            lead.found_nothing_below = false;
            match self.judge(stack, index, &pass, bytes) {
                Found::Fresh(opened, bytes) if call.takes(opened.plan.created) => {
                    let answer = self.climb_from(lead, index, pass, opened, bytes, call).await;
                    return Below::Answered(answer);
                }
                Found::Fresh(opened, bytes) => {
                    let stale =
                        self.stale_from(stack, (index, &pass), (opened, bytes), &lead, call);
                    older = later(older, stale);
                }
                Found::Stale(opened, bytes) => {
                    let found =
                        self.ended_from(stack, (index, &pass), (opened, bytes), &lead, call);
                    older = later(older, found);
                }
                Found::Nothing => {}
            }
        }
        Below::Unanswered(lead, older)
    }

    /// A value of the level at `index` that is not fresh any more. An invalidation may have ended a
    /// life that its own dates have not.
    pub(super) fn ended_from(
        &self,
        stack: &Arc<Stack>,
        from: (usize, &Pass),
        found: (Opened<V>, Bytes),
        lead: &Lead<'_, K, V>,
        call: &Call,
    ) -> Stale<V> {
        let stale = self.stale_from(stack, from, found, lead, call);
        Cached::entry(&stale.value).end_freshness(self.view.clock.now());
        stale
    }

    /// A value of the level at `index` that a load is to replace.
    fn stale_from(
        &self,
        stack: &Arc<Stack>,
        (index, pass): (usize, &Pass),
        (opened, bytes): (Opened<V>, Bytes),
        lead: &Lead<'_, K, V>,
        call: &Call,
    ) -> Stale<V> {
        let value = self.cached_from(lead.key_heap_bytes(), lead.checked(), opened, call).0;
        Stale { value, hold: Some(Hold::new(stack, index, pass, bytes)) }
    }

    /// Lands what a level held: into level 1 and the tiers between, if the key is hot enough.
    pub(super) async fn climb_from(
        &self,
        lead: Lead<'_, K, V>,
        index: usize,
        pass: Pass,
        opened: Opened<V>,
        bytes: Bytes,
        call: &Call,
    ) -> Answer<V> {
        let stack = self.stack().expect("a value was just read from the stack");
        let (cached, job) = self.land_from(stack, lead, (index, pass), opened, bytes, call);
        if let Some(job) = job {
            // The value is in hand; a tier above that did not take it was reported.
            let _ = stack.promote(job, 0..index).await;
        }
        Answer::Value(cached, Source::Tier(stack.levels[index].number).into())
    }

    /// Lands what a level held in level 1, if the key is hot enough, and gives what the tiers
    /// above are to get then.
    pub(super) fn land_from(
        &self,
        stack: &Stack,
        lead: Lead<'_, K, V>,
        (index, pass): (usize, Pass),
        opened: Opened<V>,
        bytes: Bytes,
        call: &Call,
    ) -> (Cached<V>, Option<Job>) {
        let (version, expires) = (opened.plan.version, opened.plan.expires);
        let is_hot = stack.levels[index].heat.note(pass.key());
        let key = || lead.if_attached(|key| key.key.clone());
        let merit = self.merit_of_climb(key, &opened.value, opened.plan.load_ms);
        let (cached, entry) = self.cached_from(lead.key_heap_bytes(), lead.checked(), opened, call);
        let source = Source::Tier(stack.levels[index].number);
        let landing = Landing::Value(cached.clone(), source);
        if !is_hot || !call.access.writes(CacheLevel::L1) {
            lead.land_empty(landing);
            return (cached, None);
        }
        let is_stored =
            self.store_landed_if(|| is_newest(&pass, version), lead, entry, merit, || landing);
        let job = Job::new(pass, Forms::One(bytes), version, expires);
        // A call that passes levels by moves nothing among the tiers.
        let climbs = is_stored && index > 0 && call.access == Access::PLAIN;
        (cached, climbs.then_some(job))
    }

    pub(super) fn cached_from(
        &self,
        key_heap_bytes: usize,
        checked: u64,
        opened: Opened<V>,
        call: &Call,
    ) -> (Cached<V>, Arc<Entry<V>>) {
        let now = self.view.clock.now();
        let options = self.options(call);
        let Opened { value, plan, plain_len } = opened;
        let fresh_until = match mutant::breaks("a climb keeps the remaining life") {
            true => NEVER,
            false => plan.fresh_until,
        };
        let dates = Dates { created: plan.created, fresh_until, expires: plan.expires };
        let plan = Plan {
            early: self.early(options, dates, plan.load_ms),
            etag: plan.etag,
            version: match mutant::breaks("a climb keeps the version of its bytes") {
                true => self.view.tenant.epochs.sequence().newest(),
                false => plan.version,
            },
            checked,
            dates,
            l1_until: self.l1_until(now, options),
            tags: plan.tags,
            priority: options.priority.unwrap_or_default(),
            idle: options.idle,
            data_type: None,
        };
        let entry = self.make_entry(key_heap_bytes, value, &plan, Some(plain_len));
        // It was made long ago, and is read now: idle time counts from here.
        entry.touch(now);
        (Cached::new(Arc::clone(&entry), now), entry)
    }

    /// Seals a loaded value for the tiers; `None` without tiers or when it cannot be written.
    pub(crate) fn seal<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        value: &V,
        plan: &Plan,
        load_ms: Millis,
    ) -> Option<Sealed> {
        let stack = self.stack()?;
        if self.view.tenant.epochs.sequence().is_provisional(plan.version)
            && !mutant::breaks("what was loaded under a provisional number stays above")
        {
            return None;
        }
        let stored = self.view.space.key(&key.to_key()).ok()?;
        let format = format_of(&self.view.core);
        match stack.pipeline.seal(&stored, value, plan, load_ms, &format) {
            Ok(SealedValue { forms, plain_len }) => {
                let pass = stack.gates.enter(&stored);
                let job = Job::new(pass, forms, plan.version, plan.dates.expires);
                Some(Sealed { job, plain_len, life: None })
            }
            Err(error) => {
                self.unencodable(&error);
                None
            }
        }
    }

    fn unencodable(&self, error: &Error) {
        tracing::debug!(cache = self.name(), error = %error, "a value stays in level 1");
        let cache = self.name().to_owned();
        self.view.shared.event(&Event::Unencodable { cache, kind: error.kind() });
    }

    /// Announces a removal, under the key's lock: older bytes are a miss from here on.
    pub(crate) fn fence_below<Q: Lookup<K> + ?Sized>(&self, key: &Q, at: Sequence) -> Fence {
        let Some(stack) = self.stack() else { return Fence::default() };
        let stored = self.view.space.key(&key.to_key()).ok();
        Fence(stored.map(|stored| stack.gates.fence(&stored, at)))
    }

    /// Removes from every tier, deepest first.
    pub(crate) async fn remove_below(&self, fence: Fence, at: Sequence) -> Result<bool> {
        let (Some(stack), Some(pass)) = (self.stack(), fence.0) else { return Ok(false) };
        stack.remove(&self.view.tenant, pass, at).await
    }

    pub(crate) async fn expire_below(&self, key: K, at: Sequence) -> Result<()> {
        let Some(stack) = self.stack() else { return Ok(()) };
        let pass = stack.gates.end(&self.view.space.key(&key)?, at);
        stack.expire(&self.view.tenant, pass, at).await
    }

    /// A caller's set: level 1 now, the tiers in the returned future. A tenant's first call takes
    /// its record over before it takes a number.
    pub(crate) fn set_now(
        &self,
        key: K,
        value: V,
        labels: Labels,
        options: &Options,
        merit: Merit,
    ) -> SetNow<'_> {
        let asks = |stack: &Arc<Stack>| !self.is_restored() || stack.shared_epochs().is_some();
        if !self.stack().is_some_and(asks) {
            return self.set_prepared(key, value, labels, How::own(options, merit));
        }
        let options = *options;
        SetNow::Below(Box::pin(async move {
            self.prepare_below().await;
            let number = self.number_below().await;
            let how = How { options: &options, number: &number, merit };
            match self.set_prepared(key, value, labels, how) {
                SetNow::Done(outcome) => Ok(outcome),
                SetNow::Below(told) => told.await,
            }
        }))
    }

    fn set_prepared(&self, key: K, value: V, labels: Labels, how: How<'_>) -> SetNow<'_> {
        let Some(stack) = self.stack() else {
            let (_, outcome) = self.set_level1(key, value, labels, how, |_, _| None);
            return SetNow::Done(outcome);
        };
        let stored = self.view.space.key(&key);
        let mut write = None;
        let (_, outcome) = self.set_level1(key, value, labels, how, |value, plan| {
            let stored = stored.as_ref().ok()?;
            let (made, plain_len) = self.seal_set(stack, stored, value, plan, how.number);
            write = Some(made);
            plain_len
        });
        let stack = Arc::clone(stack);
        SetNow::Below(Box::pin(async move {
            stored?;
            let Some(write) = write else { return Ok(outcome) };
            match write {
                write if outcome == SetOutcome::Fenced => {
                    write.end_older(&stack, &self.view.tenant).await?;
                    Ok(outcome)
                }
                SetBelow::Put(job) => {
                    stack.store_and_tell(&self.view.tenant, job).await?;
                    Ok(outcome)
                }
                SetBelow::Drop(pass, at, error) => {
                    stack.remove_elders(&self.view.tenant, pass, at).await?;
                    Err(error)
                }
            }
        }))
    }

    /// Seals a set. A value that cannot be written must at least not leave its elder below.
    pub(super) fn seal_set(
        &self,
        stack: &Arc<Stack>,
        stored: &StoredKey,
        value: &V,
        plan: &Plan,
        number: &Number,
    ) -> (SetBelow, Option<usize>) {
        let pass = stack.gates.fence(stored, plan.version);
        if let Some(error) = number.failure() {
            // Its place among what others wrote is not known: it stays above, its elder goes.
            return (SetBelow::Drop(pass, plan.version, error.clone()), None);
        }
        match stack.pipeline.seal(stored, value, plan, 0, &format_of(&self.view.core)) {
            Ok(SealedValue { forms, plain_len }) => {
                let job = Job::new(pass, forms, plan.version, plan.dates.expires);
                (SetBelow::Put(job), Some(plain_len))
            }
            Err(error) => {
                self.unencodable(&error);
                (SetBelow::Drop(pass, plan.version, error), None)
            }
        }
    }
}

/// The later one of two older values.
pub(super) fn later<V>(held: Option<Stale<V>>, found: Stale<V>) -> Option<Stale<V>> {
    let made = |stale: &Stale<V>| Cached::entry(&stale.value).created();
    Some(match held {
        Some(held) if made(&held) >= made(&found) => held,
        _ => found,
    })
}

/// The end of a flight that a failing level ends.
fn broken<K: CacheKey, V>(lead: Lead<'_, K, V>, error: Error) -> Below<'_, K, V> {
    lead.land_empty(Landing::Broken(error.clone()));
    Below::Answered(Answer::Broken(error))
}

/// What a set does to the tiers.
pub(super) enum SetBelow {
    Put(Job),
    Drop(Pass, Sequence, Error),
}

impl SetBelow {
    /// Ends what is older than a set that found something newer in level 1. A load that began
    /// after the set had its number may have brought that, and nobody is told of loads: what tiers
    /// and other processes hold may still be what the set was to replace.
    ///
    /// # Errors
    /// That of a tier, and why the set could not have been written to any.
    pub(super) async fn end_older(
        self,
        stack: &Arc<Stack>,
        tenant: &Arc<TenantState>,
    ) -> Result<()> {
        let (pass, at, written) = match self {
            Self::Put(job) => (job.pass, job.version, Ok(())),
            Self::Drop(pass, at, error) => (pass, at, Err(error)),
        };
        // Even where a later write is on its way: it may be late or fail, and this set is
        // acknowledged now.
        if mutant::breaks("a set that was overtaken ends what is older") {
            return Ok(());
        }
        stack.remove_elders(tenant, pass, at).await?;
        written
    }
}

impl Shared {
    /// Tells other processes that the epochs of groups were raised.
    pub(crate) async fn tell_raised(
        &self,
        tenant: &TenantState,
        at: Sequence,
        targets: Vec<EpochTarget>,
    ) -> Result<()> {
        match &self.stack {
            Some(stack) => {
                let changes = targets.into_iter().map(|target| (at, Change::Raised(target)));
                stack.tell(tenant, changes.collect()).await
            }
            None => Ok(()),
        }
    }

    pub(crate) async fn raise_below(
        &self,
        tenant: &Arc<TenantState>,
        targets: &[EpochTarget],
    ) -> Result<Option<Sequence>> {
        match &self.stack {
            Some(stack) => stack.raise(tenant, targets).await,
            None => Ok(None),
        }
    }
}

/// Whether what a tier gave or took is the newest still, asked as it lands in level 1. Whoever ends
/// a key closes its gate before level 1 lets go of it: bytes that were judged before the first must
/// not land after the second.
pub(super) fn is_newest(pass: &Pass, version: Sequence) -> bool {
    pass.admits(version) || mutant::breaks("what comes from a tier lands only as the newest")
}
