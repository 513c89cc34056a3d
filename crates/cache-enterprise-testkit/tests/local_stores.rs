//! The suite of local stores passes what is sound and finds what is planted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Entry, Freshness, LocalStore, Millis, Priority, RemovalCause, Scoped, Sequence,
    SetOutcome, StoreStats,
};
use cache_enterprise_testkit::conformance::local_store;
use equivalent::Equivalent;
use hashbrown::HashMap;
use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// A refusal leaves the older entry.
    KeepsWhatItRefused,
    /// An entry of version 100 is turned away.
    TurnsTheHundredthAway,
    /// An entry of version 100 is taken, and said to be refused.
    DeniesTheHundredth,
    /// A replacement adds its weight and does not give back the old one's.
    LosesWeight,
    /// Pins are evicted like any other.
    ForgetsPins,
    /// Keys are compared without their tenant.
    MixesTenants,
    /// Turns drop what is no longer fresh.
    DropsTheStale,
    /// What was evicted is kept in a drawer.
    KeepsTheEvicted,
}

type Value = Arc<Entry<Vec<u8>>>;

/// A map and the order of insertion: first in, first out.
#[derive(Default)]
struct State {
    map: HashMap<Scoped<String>, Value>,
    order: VecDeque<Scoped<String>>,
    drawer: Vec<Value>,
    stats: StoreStats,
}

struct Store {
    state: Mutex<State>,
    fault: Fault,
}

impl State {
    fn put_out(&mut self, key: &Scoped<String>) -> Option<Value> {
        let entry = self.map.remove(key)?;
        self.order.retain(|known| known != key);
        self.stats.weight -= u64::from(entry.weight());
        self.stats.entries -= 1;
        Some(entry)
    }

    fn make_room(&mut self, fault: Fault, leaving: &mut Vec<Value>) {
        while self.stats.weight > self.stats.capacity {
            let is_candidate = |key: &&Scoped<String>| {
                fault == Fault::ForgetsPins || self.map[*key].priority() != Priority::Pinned
            };
            let Some(key) = self.order.iter().find(is_candidate).cloned() else { return };
            let entry = self.put_out(&key).unwrap();
            self.stats.evictions += 1;
            match fault {
                Fault::KeepsTheEvicted => self.drawer.push(entry),
                _ => leaving.push(entry),
            }
        }
    }
}

impl Store {
    fn new(capacity: Capacity, fault: Fault) -> Self {
        let stats = StoreStats { capacity: capacity.limit(), ..StoreStats::default() };
        Self { state: Mutex::new(State { stats, ..State::default() }), fault }
    }

    fn key(&self, mut key: Scoped<String>) -> Scoped<String> {
        if self.fault == Fault::MixesTenants {
            key.tenant = 0;
        }
        key
    }

    fn drop_where(
        &self,
        leaving: &mut Vec<Value>,
        is_dropped: impl Fn(&Scoped<String>, &Value) -> bool,
    ) -> u64 {
        let mut state = self.state.lock();
        let keys: Vec<_> = state
            .map
            .iter()
            .filter(|(key, entry)| is_dropped(key, entry))
            .map(|(key, _)| key.clone())
            .collect();
        leaving.extend(keys.iter().filter_map(|key| state.put_out(key)));
        keys.len() as u64
    }
}

impl LocalStore<String, Vec<u8>> for Store {
    type Leaving = Vec<Value>;

    fn get<Q: ?Sized + Hash + Equivalent<Scoped<String>>>(&self, key: &Q) -> Option<Value> {
        self.peek(key)
    }

    fn peek<Q: ?Sized + Hash + Equivalent<Scoped<String>>>(&self, key: &Q) -> Option<Value> {
        self.state.lock().map.get(key).cloned()
    }

    fn insert(&self, key: Scoped<String>, entry: Value, leaving: &mut Vec<Value>) -> SetOutcome {
        let key = self.key(key);
        let weight = u64::from(entry.weight());
        let mut state = self.state.lock();
        let is_hundredth = entry.version() == Sequence(100);
        let is_turned_away = is_hundredth && self.fault == Fault::TurnsTheHundredthAway;
        if weight > state.stats.capacity || is_turned_away {
            if self.fault != Fault::KeepsWhatItRefused {
                leaving.extend(state.put_out(&key));
            }
            state.stats.refusals += 1;
            return SetOutcome::Refused;
        }
        let old = state.put_out(&key);
        if let (Fault::LosesWeight, Some(old)) = (self.fault, &old) {
            state.stats.weight += u64::from(old.weight());
        }
        leaving.extend(old);
        state.stats.weight += weight;
        state.stats.entries += 1;
        state.map.insert(key.clone(), entry);
        state.order.push_back(key);
        state.make_room(self.fault, leaving);
        if is_hundredth && self.fault == Fault::DeniesTheHundredth {
            return SetOutcome::Refused;
        }
        SetOutcome::Stored
    }

    fn remove<Q: ?Sized + Hash + Equivalent<Scoped<String>>>(
        &self,
        key: &Q,
        _: RemovalCause,
        _: &mut Vec<Value>,
    ) -> Option<Value> {
        let mut state = self.state.lock();
        let (found, _) = state.map.get_key_value(key)?;
        let found = found.clone();
        state.put_out(&found)
    }

    fn retain(
        &self,
        keep: impl Fn(&Scoped<String>, &Value) -> bool,
        _: RemovalCause,
        leaving: &mut Vec<Value>,
    ) {
        self.drop_where(leaving, |key, entry| !keep(key, entry));
    }

    fn for_each(&self, mut visit: impl FnMut(&Scoped<String>, &Value)) {
        self.state.lock().map.iter().for_each(|(key, entry)| visit(key, entry));
    }

    fn turn(&self, now: Millis, leaving: &mut Vec<Value>) {
        let is_dropped = |_: &_, entry: &Value| match entry.freshness(now) {
            Freshness::Fresh => false,
            Freshness::Stale => self.fault == Fault::DropsTheStale,
            Freshness::Expired => true,
        };
        let dropped = self.drop_where(leaving, is_dropped);
        self.state.lock().stats.expirations += dropped;
    }

    fn resize(&self, capacity: u64, leaving: &mut Vec<Value>) {
        let mut state = self.state.lock();
        state.stats.capacity = capacity;
        state.make_room(self.fault, leaving);
    }

    fn stats(&self) -> StoreStats {
        self.state.lock().stats
    }
}

#[test]
fn a_sound_store_passes() {
    local_store::run("map", |capacity| Store::new(capacity, Fault::Nothing)).assert_passed();
}

macro_rules! found {
    ($($test:ident: $fault:ident by $case:ident;)*) => {$(
        #[test]
        fn $test() {
            let case = stringify!($case);
            let open = |capacity| Store::new(capacity, Fault::$fault);
            let report = local_store::run_case("map", case, open);
            assert_eq!(report.failed(), [case], "{report}");
            println!("local store conformance finds {:?}", Fault::$fault);
        }
    )*};
}

/// By its own rules, which are not those of a store that takes what fits.
#[test]
fn a_case_of_a_selective_store_is_run_alone() {
    let open = |capacity| Store::new(capacity, Fault::TurnsTheHundredthAway);
    let case = "what_was_just_stored_is_found_under_pressure";
    assert_eq!(local_store::run_case("map", case, open).failed(), [case]);
    local_store::run_selective_case("map", case, open).assert_passed();
}

found! {
    a_writer_that_fails_ends_its_readers:
        DeniesTheHundredth by a_reader_never_sees_less_than_was_stored;
    an_older_entry_under_a_refusal_is_found:
        KeepsWhatItRefused by a_refused_entry_leaves_nothing_older;
    a_lost_weight_is_found: LosesWeight by weights_are_counted_exactly;
    a_forgotten_pin_is_found: ForgetsPins by pinned_entries_outlive_pressure;
    mixed_tenants_are_found: MixesTenants by tenants_do_not_share_keys;
    a_dropped_fallback_is_found: DropsTheStale by a_stale_entry_stays_until_it_expires;
    a_kept_eviction_is_found: KeepsTheEvicted by an_eviction_is_counted_and_released;
}
