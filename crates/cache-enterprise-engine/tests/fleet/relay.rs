//! Two processes on buses of their own, and a test in between that hands frames on: when it wants,
//! in the order it wants, as often as it wants.

use std::collections::VecDeque;

use cache_enterprise_core::coherence::{Bus, Frame, Heard, Listener};
use cache_enterprise_engine::{ManagerBuilder, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::coherence::{InProcessBus, SharedEpochs};

use super::{Fleet, Process, SPEC, builder};

/// The largest value that is pushed.
pub(crate) const PUSH_MAX: usize = 256;

/// What one process tells, on its way to the other.
pub(crate) struct Relay {
    pub(crate) fleet: Fleet,
    pub(crate) teller: Process,
    pub(crate) hearer: Process,
    ear: Box<dyn Listener>,
    told: VecDeque<Frame>,
}

impl Fleet {
    /// A process on this bus, which pushes small values.
    pub(crate) async fn pushing_on(&self, bus: &InProcessBus) -> Process {
        self.pushing(builder(self.clock.clone()), bus).await
    }

    /// As [`pushing_on`](Self::pushing_on), for a manager that was begun otherwise.
    pub(crate) async fn pushing(&self, begun: ManagerBuilder, bus: &InProcessBus) -> Process {
        let epochs = self.epochs.another();
        self.pushing_over(begun, self.shared_tier(&epochs), epochs, bus).await
    }

    /// As [`pushing`](Self::pushing), over a tier with this client of the store of epochs.
    pub(crate) async fn pushing_over(
        &self,
        begun: ManagerBuilder,
        tier: Tier,
        epochs: SharedEpochs,
        bus: &InProcessBus,
    ) -> Process {
        let bus = bus.another();
        let manager = begun
            .l2(tier)
            .codec(MessagePack)
            .bus(bus.clone())
            .push_max(PUSH_MAX)
            .build()
            .await
            .unwrap();
        let cache = manager.open(&SPEC).unwrap();
        let process = Process { manager, cache, epochs, bus };
        process.heard("it listens", || process.bus.listeners("fleet") > 0).await;
        process
    }
}

impl Relay {
    pub(crate) async fn new() -> Self {
        let fleet = Fleet::new();
        let hearer = fleet.pushing_on(&fleet.bus).await;
        Self::to(fleet, hearer).await
    }

    /// A relay to a process of the fleet's bus.
    pub(crate) async fn to(fleet: Fleet, hearer: Process) -> Self {
        let own = InProcessBus::new();
        let ear = own.listen("fleet").await.unwrap();
        let teller = fleet.pushing_on(&own).await;
        Self { fleet, teller, hearer, ear, told: VecDeque::new() }
    }

    /// The next frame the teller told, with its values.
    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.told.pop_front() {
                return frame;
            }
            let (frame, values) = match self.ear.next().await {
                Heard::Frame(frame) => (frame, Vec::new()),
                Heard::Pushed { frame, values } => (frame, values.to_vec()),
                Heard::Current { .. } | Heard::Touched(_) => continue,
                Heard::Lost => panic!("nothing is lost here"),
            };
            let mut frame = Frame::decode(&frame).unwrap();
            frame.give_values(&values);
            self.told.push_back(frame);
        }
    }

    /// Hands a frame on and waits until the hearer has heeded it.
    pub(crate) async fn hand_on(&self, frame: &Frame) {
        let heard = || self.hearer.manager.bus_stats().unwrap().heard;
        let (before, mut frame) = (heard(), frame.clone());
        let values = frame.take_values();
        self.fleet.bus.publish_with("fleet", frame.encode(), values).await.unwrap();
        self.hearer.heard("the frame", || heard() > before).await;
        // It is counted before it is heeded, in one step with the sharing of level 1.
        tokio::task::yield_now().await;
    }

    /// Sets a number and gives what was told of it.
    pub(crate) async fn set(&mut self, key: u64, number: u64) -> Frame {
        self.teller.set(key, number).await;
        self.next().await
    }

    /// Values of the other that level 1 of the hearer took.
    pub(crate) fn adopted(&self) -> u64 {
        self.hearer.manager.bus_stats().unwrap().adopted
    }
}
