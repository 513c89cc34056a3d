//! The records of one manager in memory.

use std::collections::HashMap;

use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochTarget, Sequence};

/// What one manager has: a counter for all its tenants, a record each, and one of everything.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) counter: Sequence,
    everything: Option<Kept>,
    tenants: HashMap<String, Kept>,
    stamps: u64,
}

/// One record. Its stamp is another after every change.
#[derive(Debug)]
struct Kept {
    floor: Sequence,
    epochs: HashMap<EpochTarget, Sequence>,
    stamp: u64,
}

impl Records {
    pub(super) fn starting_at(start: Sequence) -> Self {
        Self { counter: start, everything: None, tenants: HashMap::new(), stamps: 0 }
    }

    /// A number above `above`, every earlier one, and the store's own time.
    pub(super) fn take(&mut self, above: Sequence, time: Sequence) -> Sequence {
        self.counter = Sequence(self.counter.max(above).max(time).0 + 1);
        self.counter
    }

    pub(super) fn raise(&mut self, tenant: &str, targets: &[EpochTarget], at: Sequence) {
        self.make(tenant, at);
        self.stamps += 1;
        for target in targets {
            let kept = if is_everything(target) {
                self.everything.as_mut()
            } else {
                self.tenants.get_mut(tenant)
            };
            let kept = kept.expect("both were made above");
            kept.epochs.insert(target.clone(), at);
            kept.stamp = self.stamps;
        }
    }

    /// The record of a tenant; what is missing is made at a floor of `at`.
    pub(super) fn load(&mut self, tenant: &str, at: Sequence) -> EpochRecord {
        self.make(tenant, at);
        let mark = self.mark(tenant).expect("both were made above");
        let everything = self.everything.as_ref().expect("it was made above");
        let own = &self.tenants[tenant];
        let epochs = own.epochs.iter().chain(&everything.epochs);
        EpochRecord {
            sequence: at,
            floor: own.floor.max(everything.floor),
            epochs: epochs.map(|(target, epoch)| (target.clone(), *epoch)).collect(),
            mark,
        }
    }

    /// The mark of a tenant's record; `None` when it must be made anew.
    pub(super) fn mark(&self, tenant: &str) -> Option<EpochMark> {
        let (own, everything) = (self.tenants.get(tenant)?, self.everything.as_ref()?);
        Some(EpochMark([own.stamp, everything.stamp, 0]))
    }

    pub(super) fn lose(&mut self, tenant: &str) {
        self.tenants.remove(tenant);
    }

    pub(super) fn lose_all(&mut self) {
        self.everything = None;
        self.tenants.clear();
    }

    fn make(&mut self, tenant: &str, floor: Sequence) {
        let mut made = || {
            self.stamps += 1;
            Kept { floor, epochs: HashMap::new(), stamp: self.stamps }
        };
        self.everything.get_or_insert_with(&mut made);
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.to_owned(), made());
        }
    }
}

fn is_everything(target: &EpochTarget) -> bool {
    match target {
        EpochTarget::Soft(hard) => is_everything(hard),
        target => *target == EpochTarget::Everything,
    }
}
