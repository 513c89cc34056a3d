//! The suite of epoch stores passes a shared store that is sound and finds what is planted in one.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cache_enterprise_core::Result;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_testkit::Clock;
use cache_enterprise_testkit::coherence::SharedEpochs;
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// Each client gives numbers of its own to keys.
    CountsAlone,
    /// The number its caller saw is not looked at.
    IgnoresTheCaller,
    /// The mark says nothing of what was done to everything.
    MarksItsTenantAlone,
    /// The mark has too few states.
    MarksInCircles,
    /// A client goes on with the first mark it saw.
    RemembersTheMark,
    /// What is lost comes back empty.
    TrustsALostRecord,
    /// A soft target is stored as a hard one.
    HardensTargets,
    /// What changed since a mark is always nothing.
    ForgetsWhatChanged,
}

/// A client with a fault.
#[derive(Debug)]
struct Client {
    epochs: SharedEpochs,
    fault: Fault,
    alone: AtomicU64,
    first_mark: parking_lot::Mutex<Option<EpochMark>>,
}

impl Client {
    fn new(epochs: SharedEpochs, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            epochs,
            fault,
            alone: AtomicU64::new(0),
            first_mark: parking_lot::Mutex::default(),
        })
    }

    fn spoiled(&self, mut record: EpochRecord) -> EpochRecord {
        record.mark = self.marked(record.mark);
        if self.fault == Fault::TrustsALostRecord {
            record.floor = Sequence::ZERO;
        }
        record
    }

    fn marked(&self, mark: EpochMark) -> EpochMark {
        let EpochMark([own, everything, _]) = mark;
        match self.fault {
            Fault::MarksItsTenantAlone => EpochMark([own, 0, 0]),
            Fault::MarksInCircles => EpochMark([own % 3, everything % 3, 0]),
            Fault::RemembersTheMark => *self.first_mark.lock().get_or_insert(mark),
            _ => mark,
        }
    }
}

#[async_trait]
impl EpochStore for Client {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        Ok(self.spoiled(self.epochs.load(manager, tenant, newest).await?))
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let hard = |target: &EpochTarget| match target {
            EpochTarget::Soft(hard) if self.fault == Fault::HardensTargets => (**hard).clone(),
            target => target.clone(),
        };
        let targets: Vec<_> = targets.iter().map(hard).collect();
        self.epochs.raise(manager, tenant, &targets, above).await
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        self.epochs.reserve(manager, tenant, upto).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn next(&self, manager: &str, tenant: &str, above: Sequence) -> Result<Sequence> {
        match self.fault {
            Fault::CountsAlone => {
                self.alone.fetch_max(above.0, Ordering::SeqCst);
                Ok(Sequence(self.alone.fetch_add(1, Ordering::SeqCst) + 1))
            }
            Fault::IgnoresTheCaller => self.epochs.next(manager, tenant, Sequence::ZERO).await,
            _ => self.epochs.next(manager, tenant, above).await,
        }
    }

    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        Ok(self.marked(self.epochs.mark(manager, tenant).await?))
    }

    async fn since(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<EpochRecord> {
        let mut record = self.spoiled(self.epochs.since(manager, tenant, mark, newest).await?);
        if self.fault == Fault::ForgetsWhatChanged {
            record.epochs.clear();
        }
        Ok(record)
    }
}

async fn report(fault: Fault) -> Report {
    epoch_store::run(|| async {
        let epochs = SharedEpochs::new(Clock::manual());
        let client = epochs.clone();
        let harm = |harm: fn(&SharedEpochs)| {
            let epochs = epochs.clone();
            move || {
                harm(&epochs);
                std::future::ready(())
            }
        };
        let again = epochs.clone();
        Fixture::new(Client::new(epochs.clone(), fault))
            .reopen(move || std::future::ready(Client::new(again.another(), fault) as _))
            .another(move || std::future::ready(Client::new(client.another(), fault) as _))
            .lose(harm(|epochs| epochs.lose("suite", "acme")))
            .restart(harm(|epochs| epochs.lose_all("suite")))
            .set_back(harm(|epochs| epochs.set_back("suite", Sequence(1))))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sound_shared_store_passes() {
    let report = report(Fault::Nothing).await;
    report.assert_passed();
    // Reservations, which nobody asks of a shared store.
    assert_eq!((report.not_claimed(), report.not_tried()), (5, 0), "{report}");
}

macro_rules! found {
    ($($test:ident: $fault:ident by [$($case:ident),+ $(,)?];)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let report = report(Fault::$fault).await;
            $(assert!(report.failed().contains(&stringify!($case)), "{report}");)+
            assert!(report.failed().len() < 14, "{report}");
            println!("epoch store conformance finds {:?}", Fault::$fault);
        }
    )*};
}

found! {
    numbers_of_one_process_are_found: CountsAlone by [
        two_clients_share_one_row_of_numbers,
        two_clients_that_race_give_a_thousand_numbers_once,
        a_number_is_above_every_one_acknowledged_before,
    ];
    an_ignored_caller_is_found: IgnoresTheCaller by [
        next_is_above_what_the_caller_saw,
        a_counter_that_was_set_back_is_lifted_by_its_callers,
    ];
    a_mark_without_everything_is_found: MarksItsTenantAlone by [
        everything_changes_the_mark_of_every_tenant,
        a_raise_of_any_target_changes_the_mark,
    ];
    a_mark_that_comes_again_is_found: MarksInCircles by [
        no_mark_comes_again,
    ];
    a_remembered_mark_is_found: RemembersTheMark by [
        a_raise_of_one_client_changes_the_mark_of_the_other,
        a_lost_record_has_another_mark,
        a_restart_changes_every_mark,
    ];
    a_trusted_loss_is_found: TrustsALostRecord by [
        a_lost_record_comes_back_at_a_floor_above_everything,
        a_raise_right_after_a_loss_hides_nothing,
        a_restart_moves_the_floor_of_every_tenant,
        everything_survives_a_restart,
    ];
    a_hardened_target_is_found: HardensTargets by [
        a_soft_target_is_not_a_hard_one,
        soft_everything_reaches_other_tenants,
    ];
    a_forgotten_change_is_found: ForgetsWhatChanged by [
        since_tells_what_was_raised,
        since_an_unknown_mark_tells_everything,
    ];
}
