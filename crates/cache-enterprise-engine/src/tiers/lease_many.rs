//! The leases of a batch: each node of the tier is asked once for all keys that are left to load.
//!
//! A batch loads what it holds at once, and only then waits for what other processes hold: nobody
//! waits for a lease while he holds one that he does not use, so that overlapping batches of several
//! processes do not wait in a circle.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_enterprise_core::coherence::{Acquired, LeaseToken, LeasedPut};
use cache_enterprise_core::{
    CacheKey, Error, ErrorKind, Millis, PutOutcome, Result, StoredKey, saturating_millis,
};
use cache_enterprise_resilience::by_node;
use futures_util::future::join_all;
use hashbrown::HashMap;

use super::lease::{
    ANSWER_WITHIN, LIFE, Leasing, PAUSE_FIRST, PAUSE_MOST, PUT_WITHIN, RENEW_EVERY, REST, in_short,
};
use super::stack::Stack;
use crate::batch_load::Claim;
use crate::cache::Cache;
use crate::flight::{Landing, run_many};
use crate::read::{Call, Source};
use crate::turn::{Keeper, Turns};

/// The right to load some keys. It is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct HeldMany {
    stack: Arc<Stack>,
    leasing: Leasing,
    /// Number of the level among those of the stack.
    pub(super) index: usize,
    tokens: HashMap<StoredKey, LeaseToken>,
}

impl HeldMany {
    pub(super) fn token(&self, key: &StoredKey) -> Option<LeaseToken> {
        self.tokens.get(key).copied()
    }

    /// Writes what was loaded, but for keys that a later holder has.
    pub(super) async fn put_many(&self, items: Vec<LeasedPut>) -> Result<Vec<PutOutcome>> {
        let put = self.leasing.lease.put_many(items);
        tokio::time::timeout(PUT_WITHIN, put).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "puts under leases were not answered in time"))
        })
    }
}

impl Drop for HeldMany {
    fn drop(&mut self) {
        let lease = Arc::clone(&self.leasing.lease);
        let leases: Vec<_> = self.tokens.drain().collect();
        self.stack.runtime.spawn(async move {
            // What cannot be given back ends by itself.
            let _ = tokio::time::timeout(LIFE, lease.release_many(&leases)).await;
        });
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Takes the leases of `claims` that are free.
    pub(crate) async fn take_turns<'a>(
        &'a self,
        keys: &[K],
        claims: Vec<Claim<'a, K, V>>,
        call: &Call,
    ) -> Turns<'a, K, V> {
        let Some((stack, index, leasing)) = self.leasing(call) else { return Turns::ours(claims) };
        let mut turns = Turns::ours(Vec::new());
        let (mut asking, mut stored) = (Vec::new(), Vec::new());
        for claim in claims {
            match self.view.space.key(&keys[claim.index]) {
                Ok(key) => {
                    stored.push(key);
                    asking.push(claim);
                }
                // No tier has a key of that length.
                Err(_) => turns.ours.push(claim),
            }
        }
        let parts = by_node(&*stack.levels[index].backend, &stored);
        // A long batch has some more time: its calls are cut into several.
        let within = ANSWER_WITHIN + stored.len() as Millis;
        let (timer, clock) = (&self.view.shared.timer, &self.view.clock);
        let asks = parts.iter().map(|part| {
            let keys = part.pick(&stored);
            let lease = &leasing.lease;
            in_short(timer, clock, within, async move { lease.acquire_many(&keys, LIFE).await })
        });
        let leads = asking.iter_mut().map(|claim| &mut claim.lead);
        let answers = run_many(leads, join_all(asks)).await;
        let mut acquired = vec![None; stored.len()];
        for (part, answer) in parts.iter().zip(answers) {
            match answer {
                Some(Ok(answers)) => {
                    for (&place, answer) in part.places.iter().zip(answers) {
                        acquired[place] = Some(answer);
                    }
                }
                failed => {
                    let until = clock.now().saturating_add(REST);
                    leasing.rests_until.store(until, Ordering::Relaxed);
                    stack.lease_failed(index, failed.and_then(Result::err));
                }
            }
        }
        let mut tokens = HashMap::new();
        for ((claim, key), acquired) in asking.into_iter().zip(stored).zip(acquired) {
            match acquired {
                Some(Acquired::Held(token)) => {
                    tokens.insert(key, token);
                    turns.ours.push(claim);
                }
                Some(Acquired::Busy(_)) => turns.others.push(claim),
                None => turns.ours.push(claim),
            }
        }
        if !tokens.is_empty() {
            let (stack, leasing) = (Arc::clone(stack), leasing.clone());
            turns.held = Some(HeldMany { stack, leasing, index, tokens });
        }
        turns
    }

    /// Answers with older values where they may answer while others load, and gives back the rest.
    pub(crate) fn answer_beside_many<'a>(
        &self,
        keys: &[K],
        others: Vec<Claim<'a, K, V>>,
        call: &Call,
        mut take: impl FnMut(usize, cache_enterprise_core::Cached<V>),
    ) -> Vec<Claim<'a, K, V>> {
        let mut waiting = Vec::with_capacity(others.len());
        for mut claim in others {
            let key = &keys[claim.index];
            let older = self.older(key, claim.stale.take());
            match self.answer_beside(key, older.as_deref(), call) {
                Some(value) => {
                    claim.lead.land_empty(Landing::Value(value.clone(), Source::Memory));
                    take(claim.index, value);
                }
                None => {
                    claim.stale = older.and_then(Arc::into_inner);
                    waiting.push(claim);
                }
            }
        }
        waiting
    }

    /// Waits a little for what others load, each time twice as long.
    pub(crate) async fn pause_for_others(
        &self,
        others: &mut [Claim<'_, K, V>],
        pause: &mut Millis,
    ) {
        *pause = (*pause * 2).clamp(PAUSE_FIRST, PAUSE_MOST);
        let until = self.view.clock.now().saturating_add(*pause);
        let leads = others.iter_mut().map(|claim| &mut claim.lead);
        run_many(leads, self.view.shared.timer.deadline(until)).await;
    }

    /// What keeps the leases of a batch up while its loader runs.
    pub(crate) fn keep_turns(&self, held: &HeldMany) -> Keeper {
        let lease = Arc::clone(&held.leasing.lease);
        let leases: Vec<_> = held.tokens.iter().map(|(key, token)| (key.clone(), *token)).collect();
        let (timer, clock) = (Arc::clone(&self.view.shared.timer), self.view.clock.clone());
        Box::pin(async move {
            loop {
                timer.deadline(clock.now().saturating_add(RENEW_EVERY)).await;
                let renewals = leases.iter().map(|(key, token)| lease.renew(key, *token, LIFE));
                let within = saturating_millis(Duration::from_secs(2));
                // A lease that is lost is somebody else's: the token keeps our value out.
                let _ = in_short(&timer, &clock, within, join_all(renewals)).await;
            }
        })
    }
}
