//! The suite of epoch stores passes what is sound and finds what is planted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::Result;
use cache_enterprise_core::coherence::{EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
use parking_lot::Mutex;

/// Cases about stores that are shared.
const SHARED: usize = 28;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// The counter of a reopened store starts over.
    ForgetsItsCounter,
    /// A reservation is noted in memory alone.
    ForgetsReservations,
    /// Everything ends the caller's tenant and no other.
    NarrowsEverything,
    /// A tenant that was never seen is taken for an empty one.
    TrustsTheUnknown,
    /// A raise replaces the targets of the one before.
    KeepsTheLastRaise,
}

/// What is on the disk: records of (manager, tenant), and of managers.
#[derive(Debug, Default)]
struct Disk {
    records: HashMap<(String, String), EpochRecord>,
    everything: HashMap<String, Sequence>,
    everything_softly: HashMap<String, Sequence>,
}

#[derive(Debug)]
struct Store {
    disk: Arc<Mutex<Disk>>,
    reserved: Mutex<HashMap<(String, String), Sequence>>,
    fault: Fault,
}

impl Store {
    fn new(disk: Arc<Mutex<Disk>>, fault: Fault) -> Self {
        Self { disk, reserved: Mutex::default(), fault }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Changes the tenant's record, made anew when there is none.
    fn with<T>(
        &self,
        (manager, tenant): (&str, &str),
        newest: Sequence,
        change: impl FnOnce(&mut EpochRecord) -> T,
    ) -> T {
        let mut disk = self.disk.lock();
        let everything = disk.everything.get(manager).copied().unwrap_or_default();
        let softly = disk.everything_softly.get(manager).copied().unwrap_or_default();
        let scope = (manager.to_owned(), tenant.to_owned());
        let reserved = self.reserved.lock().get(&scope).copied().unwrap_or_default();
        let record = disk.records.entry(scope).or_insert_with(|| {
            let floor = if self.is(Fault::TrustsTheUnknown) { Sequence::ZERO } else { newest };
            EpochRecord { sequence: newest, floor, ..EpochRecord::default() }
        });
        record.sequence = record.sequence.max(newest).max(everything).max(softly).max(reserved);
        record.floor = record.floor.max(everything);
        if softly > Sequence::ZERO {
            let target = EpochTarget::Everything.soft();
            record.epochs.retain(|(known, _)| *known != target);
            record.epochs.push((target, softly));
        }
        change(record)
    }
}

#[async_trait]
impl EpochStore for Store {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        Ok(self.with((manager, tenant), newest, |record| {
            record.sequence.0 += 1;
            record.clone()
        }))
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let number = self.with((manager, tenant), above, |record| {
            record.sequence.0 += 1;
            if self.is(Fault::KeepsTheLastRaise) {
                record.epochs.clear();
            }
            record.epochs.retain(|(known, _)| !targets.contains(known));
            let number = record.sequence;
            record.epochs.extend(targets.iter().map(|target| (target.clone(), number)));
            number
        });
        if targets.contains(&EpochTarget::Everything) && !self.is(Fault::NarrowsEverything) {
            self.disk.lock().everything.insert(manager.to_owned(), number);
        }
        if targets.contains(&EpochTarget::Everything.soft()) {
            self.disk.lock().everything_softly.insert(manager.to_owned(), number);
        }
        Ok(number)
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        if self.is(Fault::ForgetsReservations) {
            let scope = (manager.to_owned(), tenant.to_owned());
            let mut reserved = self.reserved.lock();
            let known = reserved.entry(scope).or_default();
            *known = (*known).max(upto);
        } else {
            self.with((manager, tenant), upto, |_| ());
        }
        Ok(())
    }
}

async fn report(fault: Fault) -> Report {
    epoch_store::run(|| async {
        let disk = Arc::new(Mutex::new(Disk::default()));
        let first = Store::new(Arc::clone(&disk), fault);
        Fixture::new(Arc::new(first)).reopen(move || {
            if fault == Fault::ForgetsItsCounter {
                disk.lock().records.values_mut().for_each(|record| record.sequence.0 = 0);
            }
            let again = Store::new(Arc::clone(&disk), fault);
            async move { Arc::new(again) as _ }
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sound_store_passes() {
    let report = report(Fault::Nothing).await;
    report.assert_passed();
    assert_eq!(report.not_claimed(), SHARED, "{report}");
}

#[tokio::test]
async fn a_store_that_cannot_be_reopened_is_counted_apart() {
    let report = epoch_store::run(|| async {
        Fixture::new(Arc::new(Store::new(Arc::default(), Fault::Nothing)))
    })
    .await;
    report.assert_passed();
    assert_eq!((report.not_claimed(), report.not_tried()), (SHARED, 7), "{report}");
}

macro_rules! found {
    ($($test:ident: $fault:ident by $case:ident;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let report = report(Fault::$fault).await;
            assert!(report.failed().contains(&stringify!($case)), "{report}");
            assert!(report.failed().len() < 10, "{report}");
            println!("epoch store conformance finds {:?}", Fault::$fault);
        }
    )*};
}

found! {
    a_counter_that_starts_over_is_found: ForgetsItsCounter by a_crash_gives_no_number_twice;
    a_forgotten_reservation_is_found: ForgetsReservations by a_reservation_survives_a_crash;
    a_narrow_everything_is_found: NarrowsEverything by everything_reaches_tenants_that_were_not;
    a_trusted_unknown_is_found: TrustsTheUnknown by a_first_load_trusts_nothing_older;
    a_lost_target_is_found: KeepsTheLastRaise by three_thousand_tags_lose_nothing;
}
