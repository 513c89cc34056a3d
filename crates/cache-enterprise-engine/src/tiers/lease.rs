//! One process at a time loads a key, where a tier gives leases.
//!
//! The holder looks into the tiers once more, since another may just have filled them, loads, and
//! writes under its token: a tier refuses what comes after a later holder. It renews while the
//! loader runs, and the lease ends with the fill, or by itself when the process dies. Everybody
//! else looks into the tiers from time to time, until the value is there or the lease is free.
//!
//! A lease saves loads and decides nothing. A store of leases that fails or does not answer is
//! left alone for a second, and everybody loads meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken};
use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Clock, Error, ErrorKind, Lookup, Millis, Put, PutOutcome, Result,
    StoredKey, saturating_millis,
};

use super::stack::Stack;
use crate::cache::Cache;
use crate::flight::{Landing, Lead};
use crate::policy::Leases;
use crate::read::{Answer, Below, Call, Source, Stale};
use crate::timer::{Raced, Timer, race};
use crate::turn::{Keeper, Turn};

/// How long a lease lasts unless it is renewed: as long a dead holder keeps others from loading.
pub(super) const LIFE: Duration = Duration::from_secs(10);

/// How often it is renewed, in milliseconds.
pub(super) const RENEW_EVERY: Millis = 3_000;

/// Longest wait for the store of leases, in milliseconds.
pub(super) const ANSWER_WITHIN: Millis = 250;

/// Longest wait for a put under a lease.
pub(super) const PUT_WITHIN: Duration = Duration::from_secs(2);

/// How long a store of leases is left alone after it failed, in milliseconds.
pub(super) const REST: Millis = 1_000;

/// The first pause before the tiers are looked into again, in milliseconds; each is twice as long.
pub(super) const PAUSE_FIRST: Millis = 5;

/// The longest one.
pub(super) const PAUSE_MOST: Millis = 250;

/// The leases of one level.
#[derive(Clone, Debug)]
pub(crate) struct Leasing {
    pub(super) lease: Arc<dyn Lease>,
    /// When it is asked again, after it failed.
    pub(super) rests_until: Arc<AtomicU64>,
}

impl Leasing {
    pub(super) fn new(lease: Arc<dyn Lease>) -> Self {
        Self { lease, rests_until: Arc::default() }
    }
}

/// The right to load a key. It is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    stack: Arc<Stack>,
    leasing: Leasing,
    /// Number of the level among those of the stack.
    pub(super) index: usize,
    key: StoredKey,
    pub(super) token: LeaseToken,
}

impl Held {
    /// Writes what was loaded, unless a later holder has the key.
    pub(super) async fn put(&self, bytes: Bytes, how: Put) -> Result<PutOutcome> {
        let put = self.leasing.lease.put(&self.key, bytes, how, self.token);
        tokio::time::timeout(PUT_WITHIN, put).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "a put under a lease was not answered in time"))
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (lease, key, token) = (Arc::clone(&self.leasing.lease), self.key.clone(), self.token);
        self.stack.runtime.spawn(async move {
            // What cannot be given back ends by itself.
            let _ = tokio::time::timeout(LIFE, lease.release(&key, token)).await;
        });
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Whether other processes are asked before this load runs.
    pub(crate) fn asks_for_turn(&self, call: &Call) -> bool {
        let is_wanted = match self.options(call).leases.unwrap_or_default() {
            Leases::Never => false,
            Leases::Refreshes => call.is_behind(),
            Leases::Loads => true,
        };
        is_wanted && self.leasing(call).is_some()
    }

    /// The first level whose leases this call can use.
    pub(super) fn leasing(&self, call: &Call) -> Option<(&Arc<Stack>, usize, &Leasing)> {
        let stack = self.stack()?;
        let now = self.view.clock.now();
        stack.levels.iter().enumerate().find_map(|(index, level)| {
            let leasing = level.leasing.as_ref()?;
            let is_used = CacheLevel::numbered(level.number)
                .is_none_or(|number| call.access.reads(number) && call.access.writes(number));
            let is_up = now >= leasing.rests_until.load(Ordering::Relaxed);
            (is_used && is_up).then_some((stack, index, leasing))
        })
    }

    /// Waits for the turn of this process, or for what another process loads.
    pub(crate) async fn take_turn<'a, Q: Lookup<K> + ?Sized>(
        &'a self,
        key: &Q,
        mut lead: Lead<'a, K, V>,
        mut stale: Option<Arc<Stale<V>>>,
        call: &Call,
    ) -> Turn<'a, K, V> {
        let (Some((stack, index, leasing)), Ok(stored)) =
            (self.leasing(call), self.view.space.key(&key.to_key()))
        else {
            return Turn::Load(lead, stale, None);
        };
        let mut pause = PAUSE_FIRST;
        loop {
            let asked = self.in_short(leasing.lease.acquire(&stored, LIFE));
            let held = match lead.run(asked).await {
                Some(Ok(Acquired::Held(token))) => {
                    let (stack, leasing) = (Arc::clone(stack), leasing.clone());
                    Some(Held { stack, leasing, index, key: stored.clone(), token })
                }
                Some(Ok(Acquired::Busy(rest))) => {
                    if let Some(answer) = self.answer_beside(key, stale.as_deref(), call) {
                        return landed(lead, answer);
                    }
                    let pause_now = pause.min(saturating_millis(rest).max(1));
                    let until = self.view.clock.now().saturating_add(pause_now);
                    lead.run(self.view.shared.timer.deadline(until)).await;
                    pause = (pause * 2).min(PAUSE_MOST);
                    None
                }
                failed => {
                    let until = self.view.clock.now().saturating_add(REST);
                    leasing.rests_until.store(until, Ordering::Relaxed);
                    stack.lease_failed(index, failed.and_then(Result::err));
                    return Turn::Load(lead, stale, None);
                }
            };
            match Box::pin(self.read_below(key, lead, call)).await {
                Below::Answered(answer) => return Turn::Answered(answer),
                Below::Unanswered(led, below) => {
                    lead = led;
                    stale = self.older(key, below).or(stale);
                }
            }
            if held.is_some() {
                return Turn::Load(lead, stale, held);
            }
        }
    }

    /// An older value that may answer while another process loads a newer one. A load of our own
    /// that callers do not wait for goes on waiting, for the new value to reach level 1.
    pub(super) fn answer_beside<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        stale: Option<&Stale<V>>,
        call: &Call,
    ) -> Option<Cached<V>> {
        let stale = stale.filter(|_| call.owned.is_none())?;
        let may_answer = self.answers_at_once(&stale.value, call) && self.stands(key, stale);
        may_answer.then(|| stale.value.clone())
    }

    /// What keeps a lease up while its loader runs.
    pub(crate) fn keep_turn(&self, held: &Held) -> Keeper {
        let (lease, key, token) = (Arc::clone(&held.leasing.lease), held.key.clone(), held.token);
        let (timer, clock) = (Arc::clone(&self.view.shared.timer), self.view.clock.clone());
        Box::pin(async move {
            loop {
                timer.deadline(clock.now().saturating_add(RENEW_EVERY)).await;
                let renewed =
                    in_short(&timer, &clock, ANSWER_WITHIN, lease.renew(&key, token, LIFE)).await;
                if matches!(renewed, Some(Ok(false))) {
                    // Somebody else loads too. The token keeps our value out of the tier.
                    return;
                }
            }
        })
    }

    async fn in_short<F: Future>(&self, work: F) -> Option<F::Output> {
        in_short(&self.view.shared.timer, &self.view.clock, ANSWER_WITHIN, work).await
    }
}

/// The answer of the store of leases, if it comes in time.
pub(super) async fn in_short<F: Future>(
    timer: &Arc<Timer>,
    clock: &Clock,
    within: Millis,
    work: F,
) -> Option<F::Output> {
    let until = clock.now().saturating_add(within);
    match race(work, Some(timer.deadline(until))).await {
        Raced::Done(output) => Some(output),
        Raced::TimedOut => None,
    }
}

fn landed<'a, K: CacheKey, V: Send + Sync + 'static>(
    lead: Lead<'a, K, V>,
    value: Cached<V>,
) -> Turn<'a, K, V> {
    lead.land_empty(Landing::Value(value.clone(), Source::Memory));
    Turn::Answered(Answer::Value(value, Source::Memory.into()))
}
