//! Bytes of a tier that came over the bus.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{CacheKey, Entry, Freshness, Merit, Sequence, mutant};

use super::{Pass, Stack};
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
        if !self.is_restored() {
            return None;
        }
        // What cannot be used was counted, and is read below.
        let (opened, standing) = self.weigh(stack, stack.bus_name(), pass, bytes).ok()?;
        let is_its_own = opened.plan.version == at;
        if !is_its_own || standing != Freshness::Fresh || !self.is_admitted(stack, pass, at) {
            return None;
        }
        let load_ms = opened.plan.load_ms;
        let merit = self.merit_of_climb(|| Some(key.clone()), &opened.value, load_ms);
        let call = self.call(Want::Lookup);
        let (_, entry) = self.cached_from(key.heap_bytes(), checked, opened, &call);
        Some((entry, merit))
    }

    /// Whether what another process wrote under `at` is newer than all that this one knows to have
    /// ended under the key. What it ended itself without a number is under way, then owed by the
    /// levels, then ended again under a number: each begins before the one before it is over, so
    /// that they are asked in this order.
    fn is_admitted(&self, stack: &Stack, pass: &Pass, at: Sequence) -> bool {
        let is_placed = self.is_placed(stack, pass, true);
        let admits = stack.admits_shared(pass, at);
        let may_precede = !is_placed || self.view.tenant.marks.may_precede(at);
        admits
            && (!may_precede
                || mutant::breaks("a pushed value is no older than a write without a number"))
    }
}
