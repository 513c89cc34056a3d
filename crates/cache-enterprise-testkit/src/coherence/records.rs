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

/// One record. Stamps are never given twice; the record's own is that of its last change.
#[derive(Debug)]
struct Kept {
    floor: Sequence,
    epochs: HashMap<EpochTarget, (Sequence, u64)>,
    birth: u64,
    stamp: u64,
}

impl Kept {
    fn new(floor: Sequence, stamp: u64) -> Self {
        Self { floor, epochs: HashMap::new(), birth: stamp, stamp }
    }

    /// The epochs that were raised after the record had this stamp; all where it never had.
    fn since(&self, stamp: u64) -> impl Iterator<Item = (EpochTarget, Sequence)> {
        let known = if (self.birth..=self.stamp).contains(&stamp) { stamp } else { 0 };
        let newer = self.epochs.iter().filter(move |(_, (_, raised))| *raised > known);
        newer.map(|(target, (epoch, _))| (target.clone(), *epoch))
    }
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
            kept.epochs.insert(target.clone(), (at, self.stamps));
            kept.stamp = self.stamps;
        }
    }

    /// What changed in the record of a tenant since it had this mark. What is missing is made at a
    /// floor of `at`.
    pub(super) fn since(&mut self, tenant: &str, mark: EpochMark, at: Sequence) -> EpochRecord {
        self.make(tenant, at);
        let everything = self.everything.as_ref().expect("it was made above");
        let own = &self.tenants[tenant];
        let EpochMark([own_stamp, everything_stamp, _]) = mark;
        EpochRecord {
            sequence: at,
            floor: own.floor.max(everything.floor),
            epochs: own.since(own_stamp).chain(everything.since(everything_stamp)).collect(),
            mark: EpochMark([own.stamp, everything.stamp, 0]),
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
        if self.everything.is_none() {
            self.stamps += 1;
            self.everything = Some(Kept::new(floor, self.stamps));
        }
        if !self.tenants.contains_key(tenant) {
            self.stamps += 1;
            self.tenants.insert(tenant.to_owned(), Kept::new(floor, self.stamps));
        }
    }
}

fn is_everything(target: &EpochTarget) -> bool {
    match target {
        EpochTarget::Soft(hard) => is_everything(hard),
        target => *target == EpochTarget::Everything,
    }
}
