//! The suite of buses passes what is sound, also under loss and delay, and finds what is planted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard, Listener};
use cache_enterprise_core::{Result, ms};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::coherence::{Disturbance, InProcessBus, Link};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::bus::{self, Fixture};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// Every seventh frame goes nowhere.
    DropsFrames,
    /// What was published while the other end was cut off is never given to it.
    ForgetsTheCut,
    /// A listener is never told of a loss.
    HidesLosses,
    /// A listener that hears nothing takes itself for current.
    TakesSilenceForCurrent,
    /// What is heard is lost when the caller gives up at that moment.
    LosesWhatIsGivenUp,
    /// Managers whose names begin alike share a channel.
    MixesManagers,
    /// Long frames are cut short.
    TearsFrames,
    /// Values come cut short.
    TearsValues,
}

#[derive(Clone, Debug)]
struct Broken {
    bus: InProcessBus,
    fault: Fault,
    is_cut: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
}

/// Before a frame that the other end must not hear.
const HIDDEN: u8 = 0xff;

impl Broken {
    fn channel<'a>(&self, manager: &'a str) -> &'a str {
        if self.fault == Fault::MixesManagers { &manager[..4] } else { manager }
    }
}

#[async_trait]
impl Bus for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.publish_with(manager, frame, Bytes::new()).await
    }

    async fn publish_with(&self, manager: &str, mut frame: Bytes, mut values: Bytes) -> Result<()> {
        let number = self.published.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::DropsFrames if number % 7 == 6 => return Ok(()),
            Fault::TearsFrames => frame.truncate(60_000),
            Fault::TearsValues => values.truncate(values.len() / 2),
            Fault::ForgetsTheCut if self.is_cut.load(Ordering::SeqCst) => {
                frame = [&[HIDDEN; 9][..], &frame].concat().into();
            }
            _ => {}
        }
        self.bus.publish_with(self.channel(manager), frame, values).await
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        let inner = self.bus.listen(self.channel(manager)).await?;
        Ok(Box::new(BrokenListener { inner, fault: self.fault }))
    }

    async fn close(&self) -> Result<()> {
        self.bus.close().await
    }
}

#[derive(Debug)]
struct BrokenListener {
    inner: Box<dyn Listener>,
    fault: Fault,
}

#[async_trait]
impl Listener for BrokenListener {
    async fn next(&mut self) -> Heard {
        loop {
            let heard = if self.fault == Fault::TakesSilenceForCurrent {
                match tokio::time::timeout(ms(50), self.inner.next()).await {
                    Ok(heard) => heard,
                    Err(_) => return Heard::Current { age: Duration::ZERO },
                }
            } else {
                self.inner.next().await
            };
            match (self.fault, &heard) {
                (Fault::HidesLosses, Heard::Lost) => continue,
                (Fault::ForgetsTheCut, Heard::Frame(frame)) if frame.starts_with(&[HIDDEN; 9]) => {
                    continue;
                }
                (Fault::LosesWhatIsGivenUp, _) => tokio::task::yield_now().await,
                _ => {}
            }
            return heard;
        }
    }
}

fn fixture(fault: Fault, bus: InProcessBus) -> Fixture {
    let (other, log) = (bus.another(), bus.clone());
    let one = Broken { bus, fault, is_cut: Arc::default(), published: Arc::default() };
    let two = Broken { bus: other.clone(), ..one.clone() };
    let is_cut = Arc::clone(&one.is_cut);
    Fixture::new(Arc::new(one), Arc::new(two))
        .cut(move |cut| {
            is_cut.store(cut, Ordering::SeqCst);
            other.set(if cut { Link::Cut } else { Link::Whole });
            std::future::ready(())
        })
        .forget(move || {
            log.trim("suite", 0);
            std::future::ready(())
        })
}

async fn report(fault: Fault) -> Report {
    bus::run(|| async { fixture(fault, InProcessBus::new().pulse_every(ms(20))) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sound_bus_passes() {
    let report = report(Fault::Nothing).await;
    report.assert_passed();
    assert_eq!(report.not_tried(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bus_that_loses_and_delays_what_it_pushes_passes() {
    let seed = Seed::from_env_or(11);
    let _replay = seed.print_on_panic();
    let report = bus::run(|| async {
        let bus = InProcessBus::seeded(seed).pulse_every(ms(20));
        let delay_max = ms(40);
        bus.disturb(Disturbance { lost: 0.3, doubled: 0.2, delay_max, unanswered: 0.0 });
        fixture(Fault::Nothing, bus)
    })
    .await;
    report.assert_passed();
}

#[tokio::test]
async fn a_bus_that_cannot_be_cut_is_counted_apart() {
    let report = bus::run(|| async {
        let bus = InProcessBus::new().pulse_every(ms(20));
        Fixture::new(Arc::new(bus.another()), Arc::new(bus))
    })
    .await;
    report.assert_passed();
    assert_eq!(report.not_tried(), 8, "{report}");
}

macro_rules! found {
    ($($test:ident: $fault:ident by [$($case:ident),+ $(,)?];)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let report = report(Fault::$fault).await;
            $(assert!(report.failed().contains(&stringify!($case)), "{report}");)+
            assert!(report.failed().len() < 14, "{report}");
            println!("bus conformance finds {:?}", Fault::$fault);
        }
    )*};
}

found! {
    a_dropped_frame_is_found: DropsFrames by [
        two_thousand_frames_are_heard,
        nothing_is_current_before_what_was_published,
    ];
    a_forgotten_cut_is_found: ForgetsTheCut by [
        what_was_published_during_a_cut_is_heard_after_it,
        several_cuts_lose_nothing,
    ];
    a_hidden_loss_is_found: HidesLosses by [
        what_is_gone_after_a_cut_is_said_to_be_lost,
    ];
    a_silence_taken_for_current_is_found: TakesSilenceForCurrent by [
        nothing_is_current_during_a_cut,
    ];
    a_wait_that_loses_is_found: LosesWhatIsGivenUp by [
        a_wait_that_is_given_up_loses_nothing,
    ];
    mixed_managers_are_found: MixesManagers by [
        frames_of_another_manager_are_not_heard,
    ];
    torn_frames_are_found: TearsFrames by [
        frames_come_back_byte_for_byte,
    ];
    torn_values_are_found: TearsValues by [
        frames_are_heard_with_their_own_values_or_without,
    ];
}
