//! Values that live on: when they are loaded anew early, and when their origin confirms them.

use std::sync::Arc;

use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Dates, Early, LocalStore, Lookup, Merit, Millis, NEVER,
    RemovalCause,
};

use crate::Sealed;
use crate::cache::{Cache, Leaving};
use crate::filling::AsLoaded;
use crate::flight::{Landing, Lead};
use crate::options::{Life, Options};
use crate::policy::Refresh;
use crate::read::{Answer, Call, Source, Stale};
use crate::settle::Settled;
use crate::write::Plan;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// When an entry is loaded anew before its fresh life is over. Counted from its own life, not
    /// from the shorter one a copy in level 1 may have.
    pub(crate) fn early(&self, options: &Options, dates: Dates, load_ms: Millis) -> Option<Early> {
        let Dates { created, fresh_until, .. } = dates;
        if fresh_until == NEVER || fresh_until <= created {
            return None;
        }
        match options.refresh? {
            Refresh::Never => None,
            Refresh::At(share) => {
                let life = (fresh_until - created) as f64;
                let from = created + (life * f64::from(share.clamp(0.0, 1.0))) as Millis;
                Some(Early::At(from + self.view.shared.jitter(fresh_until - from, 0.5)))
            }
            // What was set and not loaded has no load time to weigh.
            Refresh::Probabilistic { beta } if load_ms > 0 => {
                Some(Early::Drawn { end: fresh_until, load_ms, beta: beta.max(0.0) })
            }
            Refresh::Probabilistic { .. } => None,
        }
    }

    /// Lands the answer that an older value is still the right one. It is given another life where
    /// it stands, and the tiers get it with other dates, if nobody changed the key meanwhile.
    pub(crate) fn land_renewed<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        lead: Lead<'_, K, V>,
        stale: &Stale<V>,
        begun_micros: u64,
        call: &Call,
    ) -> (Answer<V>, Option<Sealed>) {
        let now = self.view.clock.now();
        let Settled { mut options, is_stored, said, .. } = self.settled(call);
        let entry = Cached::entry(&stale.value);
        let cached = Cached::new(Arc::clone(entry), now);
        let answer = Answer::Value(cached.clone(), Source::Loader.into());
        let landing = Landing::Value(cached, Source::Loader);
        if !is_stored || !self.stands(key, stale) {
            lead.land_empty(landing);
            return (answer, None);
        }
        let took = self.took(begun_micros);
        let load_ms = took.millis();
        let confirmed =
            AsLoaded { took, older: Some(&stale.value), etag: None, is_confirmed: true };
        // What stands already is not asked to be stored.
        let advice = self.advise(key, &stale.value, &options, Some(&said), Some(confirmed));
        let merit = took.told(advice.map_or(Merit::NORMAL, |advice| advice.merit));
        if let Some(ttl) = advice.and_then(|advice| advice.ttl) {
            options.to_mut().ttl = Some(Life::For(ttl));
        }
        let tags = entry.tags().iter().map(|cell| cell.name().clone()).collect();
        let plan = self.plan(lead.started(), lead.checked(), now, tags, &options);
        let early = self.early(&options, plan.dates, load_ms);
        let etag = entry.etag().map(Box::from);
        let plan = Plan { early, etag, data_type: said.data_type, ..plan };
        let sealed = self.seal_renewed(key, stale, &plan, load_ms);
        let mut leaving = Leaving::<K, V>::default();
        let renewed = lead.land(
            || landing,
            |key| {
                self.forget_absence(&key);
                // Out and in again: the store schedules its end anew.
                self.store.remove(&key, RemovalCause::Replaced, &mut leaving);
                entry.renew(plan.version, plan.l1_dates(), plan.early);
                entry.set_checked(plan.checked);
                if call.access.writes(CacheLevel::L1) {
                    self.note_name(&key.key);
                    self.put_level1(key, Arc::clone(entry), merit, false, &mut leaving);
                }
                self.note_renewal();
            },
        );
        drop(leaving);
        (answer, sealed.filter(|_| renewed.is_some()))
    }

    /// Counts a confirmed value. Other processes are told once the tiers have it.
    fn note_renewal(&self) {
        self.view.core.counts.renewals.add(1);
    }
}
