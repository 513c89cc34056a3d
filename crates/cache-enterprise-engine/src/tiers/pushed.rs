//! Bytes of a tier that came over the bus.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{CacheKey, Entry, Freshness, Merit, Sequence};

use super::Pass;
use crate::cache::Cache;
use crate::read::Want;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The entry of bytes that were pushed beside the end of `key` at `at`, and what speaks for it:
    /// of what every level that others write could have given now, and of nothing else.
    pub(crate) fn pushed_entry(
        &self,
        pass: &Pass,
        bytes: &Bytes,
        at: Sequence,
        key: &K,
        checked: u64,
    ) -> Option<(Arc<Entry<V>>, Merit)> {
        let stack = self.stack()?;
        if !self.is_restored() || self.view.tenant.marks.owes_groups() {
            return None;
        }
        // What cannot be used was counted, and is read below.
        let (opened, standing) = self.weigh(stack, stack.bus_name(), pass, bytes).ok()?;
        let is_its_own = opened.plan.version == at && stack.admits_shared(pass, at);
        if !is_its_own || standing != Freshness::Fresh {
            return None;
        }
        let load_ms = opened.plan.load_ms;
        let merit = self.merit_of_climb(|| Some(key.clone()), &opened.value, load_ms);
        let call = self.call(Want::Lookup);
        let (_, entry) = self.cached_from(key.heap_bytes(), checked, opened, &call);
        Some((entry, merit))
    }
}
