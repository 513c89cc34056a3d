//! Admission at the k-th request.

use std::collections::{HashMap, VecDeque};

use cache_enterprise_core::Result;
use cache_enterprise_core::sync::Mutex;

use super::AdmissionPolicy;
use crate::{StrategyContext, bounds};

/// Lets a value in at the `k`-th request for its key, if the first of them is among the newest
/// `keys` keys remembered: the rule of B. Maggs and R. Sitaraman, "Algorithmic nuggets in content
/// delivery", 2015, where `k` is 2. Exact, where [`ByFrequency`](super::ByFrequency) estimates.
///
/// A key that came in is forgotten: should its value leave, it counts from one again.
///
/// Memory: 16 bytes a key in the table, and up to two records of 16 bytes in the order of keys. Cost: one lock and one or two
/// table look-ups per store.
///
/// ```
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::admission::{AdmissionPolicy, KthRequest};
///
/// let second = KthRequest::new(2, 10_000)?;
/// let context = StrategyContext::new("track:1");
/// assert!(!second.admit(&context));
/// assert!(second.admit(&context));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct KthRequest {
    k: u32,
    keys: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Requests so far, and the number of the first.
    counts: HashMap<u64, (u32, u32)>,
    /// Keys with the number of their first request, the longest known first. A key that came in
    /// leaves a gap, which its number tells from a later stay.
    order: VecDeque<(u64, u32)>,
    firsts: u32,
}

impl KthRequest {
    /// At the `k`-th request, remembering `keys` keys.
    ///
    /// # Errors
    /// When `k` does not lie in 1 to 64 or `keys` not in 1 to 2^26.
    pub fn new(k: u32, keys: usize) -> Result<Self> {
        let k = bounds::within("k", k, 1..=64)?;
        let keys = bounds::within("keys", keys, 1..=1 << 26)?;
        Ok(Self { k, keys, seen: Mutex::new(Seen::default()) })
    }
}

impl AdmissionPolicy for KthRequest {
    fn admit(&self, context: &StrategyContext<'_>) -> bool {
        self.k == 1 || self.seen.lock().request(context.hash, self.k, self.keys)
    }
}

impl Seen {
    fn request(&mut self, hash: u64, k: u32, keys: usize) -> bool {
        if let Some((count, _)) = self.counts.get_mut(&hash) {
            *count += 1;
            let is_in = *count >= k;
            if is_in {
                self.counts.remove(&hash);
            }
            return is_in;
        }
        while self.counts.len() >= keys || self.order.len() >= 2 * keys {
            let Some((oldest, first)) = self.order.pop_front() else { break };
            if self.counts.get(&oldest).is_some_and(|(_, known)| *known == first) {
                self.counts.remove(&oldest);
            }
        }
        self.firsts = self.firsts.wrapping_add(1);
        self.counts.insert(hash, (1, self.firsts));
        self.order.push_back((hash, self.firsts));
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        assert!(KthRequest::new(0, 1).unwrap_err().to_string().contains("parameter: k,"));
        assert!(KthRequest::new(2, 0).unwrap_err().to_string().contains("parameter: keys,"));
    }

    #[test]
    fn a_scan_longer_than_the_memory_comes_in_never() {
        let policy = KthRequest::new(2, 100).unwrap();
        let admitted = (0..1_000_u64)
            .filter(|at| policy.admit(&StrategyContext::new("scan").hash(at % 150)))
            .count();
        assert_eq!(admitted, 0);
    }

    proptest! {
        #[test]
        fn with_room_for_all_it_is_every_kth_request(
            k in 1_u32..5,
            keys in prop::collection::vec(0_u64..20, 0..200),
        ) {
            let policy = KthRequest::new(k, 1_000).unwrap();
            let mut counts = [0_u32; 20];
            for key in keys {
                counts[key as usize] += 1;
                let expected = counts[key as usize] % k == 0;
                prop_assert_eq!(policy.admit(&StrategyContext::new("k").hash(key)), expected);
            }
        }

        #[test]
        fn memory_is_bounded(keys in prop::collection::vec(0_u64..50, 0..500), room in 1_usize..10) {
            let policy = KthRequest::new(2, room).unwrap();
            for key in keys {
                policy.admit(&StrategyContext::new("k").hash(key));
                let seen = policy.seen.lock();
                prop_assert!(seen.counts.len() <= room && seen.order.len() <= 2 * room);
            }
        }
    }
}
