//! The world that processes live in: clocks, servers, the bus, and who is alive.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, EpochStore, Frame, Listener, Sequence};
use cache_enterprise_core::{Capabilities, Clock, Millis, Result};
use parking_lot::Mutex;

use super::history::{ProcessId, Recorder};
use super::network::{Line, Network, ServiceId, Weather};
use super::plan::{Plan, Shape, TierShape};
use super::remote::{RemoteEpochs, TierServer};
use super::request::{Parts, Process, Subject, TierParts};
use super::run::TICK;
use super::story::Story;
use crate::Seed;
use crate::coherence::{InProcessBus, Link, SharedEpochs};

/// The name all processes have in common.
pub(super) const MANAGER: &str = "chaos";

/// Longest life of a copy near a process that hears nobody.
pub(super) const NEAR_LIFE: Duration = Duration::from_millis(600);

/// Everything outside of the processes, and the processes.
pub(super) struct World {
    pub(super) story: Story,
    pub(super) network: Network,
    pub(super) recorder: Recorder,
    pub(super) shape: Shape,
    seed: u64,
    subject: Arc<dyn Subject>,
    /// The servers' own time.
    clock: Clock,
    shared: Vec<(TierServer, ServiceId)>,
    epochs: SharedEpochs,
    epochs_service: ServiceId,
    bus: InProcessBus,
    bus_service: ServiceId,
    homes: Vec<Home>,
}

/// What belongs to one process, and outlives it.
struct Home {
    private: Vec<(TierServer, ServiceId)>,
    own_epochs: SharedEpochs,
    state: Mutex<Inhabitant>,
}

/// A process while it lives.
struct Inhabitant {
    life: u32,
    clock: Clock,
    /// How far `clock` has followed simulated time.
    followed: Millis,
    skew_ms: i64,
    end: InProcessBus,
    process: Option<Arc<dyn Process>>,
    is_starting: bool,
}

impl Inhabitant {
    /// Lets its clock follow simulated time.
    fn follow(&mut self, now: Millis) {
        self.clock.advance(Duration::from_millis(now - self.followed));
        self.followed = now;
    }
}

impl World {
    pub(super) fn new(plan: &Plan, subject: Arc<dyn Subject>, story: Story) -> Self {
        let shape = plan.shape.clone();
        let network =
            Network::new(Seed(plan.seed).part("network").0, shape.processes, story.clone());
        let clock = Clock::manual();
        let time = network.clone();
        let recorder = Recorder::timed(move || time.now());
        let server = |name: String, is_fenced, is_shared| {
            let capabilities = capabilities(is_fenced, is_shared);
            let service = network.service(name.clone());
            (TierServer::new(name, clock.clone(), capabilities), service)
        };
        let tiers = || shape.tiers.iter().enumerate();
        let shared = tiers()
            .filter(|(_, tier)| **tier == TierShape::Shared)
            .map(|(index, _)| server(format!("shared{}", index + 2), true, true))
            .collect();
        let bus = InProcessBus::seeded(Seed(plan.seed).part("bus")).pulse_every(PULSE);
        let homes = shape.skews_ms.iter().enumerate().map(|(number, &skew_ms)| {
            let private = tiers().filter_map(|(index, tier)| match tier {
                TierShape::Private { is_fenced, .. } => {
                    Some(server(format!("p{number}'s tier {}", index + 2), *is_fenced, false))
                }
                TierShape::Shared => None,
            });
            let inhabitant = Inhabitant {
                life: 0,
                clock: Clock::manual(),
                followed: 0,
                skew_ms,
                end: bus.another(),
                process: None,
                is_starting: false,
            };
            Home {
                private: private.collect(),
                own_epochs: SharedEpochs::new(clock.clone()),
                state: Mutex::new(inhabitant),
            }
        });
        let homes = homes.collect();
        let epochs = SharedEpochs::new(clock.clone());
        let epochs_service = network.service("epochs");
        let bus_service = network.service("bus");
        Self {
            story,
            recorder,
            shape,
            seed: plan.seed,
            subject,
            clock,
            shared,
            epochs,
            epochs_service,
            bus,
            bus_service,
            homes,
            network,
        }
    }

    /// Starts a process, unless somebody does already; a new life of it where it lived before.
    pub(super) async fn start(&self, number: usize) -> Result<()> {
        let home = &self.homes[number];
        let (parts, life) = {
            let mut state = home.state.lock();
            if std::mem::replace(&mut state.is_starting, true) {
                return Ok(());
            }
            let clock = Clock::manual();
            let behind = self.clock.wall_ms() - clock.wall_ms();
            clock.shift_wall(behind + state.skew_ms);
            state.clock = clock;
            state.followed = self.network.now();
            state.end = self.bus.another();
            (self.parts(number, home, &state), state.life)
        };
        self.story.tell(|| format!("p{number}.{life} starts"));
        let process = self.subject.start(parts).await;
        let mut state = home.state.lock();
        // The life that started may have ended since: then another one starts.
        if state.life == life {
            state.is_starting = false;
            state.process = Some(process?);
        }
        Ok(())
    }

    fn parts(&self, number: usize, home: &Home, state: &Inhabitant) -> Parts {
        let line = |service| self.network.line(number, service);
        let (mut private, mut shared) = (home.private.iter(), self.shared.iter());
        let last = self.shape.tiers.len() - 1;
        let tiers = self.shape.tiers.iter().enumerate().map(|(index, tier)| {
            let (is_private, is_behind) = match tier {
                TierShape::Private { is_behind, .. } => (true, *is_behind),
                TierShape::Shared => (false, false),
            };
            let kept = if is_private { private.next() } else { shared.next() };
            let (server, service) = kept.expect("there is a server for each tier of the shape");
            let epochs = (index == last).then(|| match is_private {
                true => RemoteEpochs::own(Arc::new(home.own_epochs.clone()), line(*service)),
                false => {
                    RemoteEpochs::new(Arc::new(self.epochs.another()), line(self.epochs_service))
                }
            });
            TierParts {
                backend: Arc::new(server.over(line(*service))),
                epochs: epochs.map(|epochs| Arc::new(epochs) as Arc<dyn EpochStore>),
                is_private,
                is_behind,
            }
        });
        let bus = self.shape.has_bus.then(|| {
            let bus = RemoteBus { inner: state.end.clone(), line: line(self.bus_service) };
            Arc::new(bus) as Arc<dyn Bus>
        });
        let is_deaf = self.shape.has_shared_tier() && !self.shape.has_bus;
        Parts {
            clock: state.clock.clone(),
            tiers: tiers.collect(),
            bus,
            pushes: self.shape.pushes,
            near_life: is_deaf.then_some(NEAR_LIFE),
            seed: Seed(self.seed).part("process").0 ^ number as u64,
        }
    }

    /// The process with this number and the life it is in, while it lives.
    pub(super) fn process(&self, number: usize) -> Option<(ProcessId, Arc<dyn Process>)> {
        let state = self.homes[number].state.lock();
        let process = state.process.clone()?;
        Some((ProcessId { number, life: state.life }, process))
    }

    pub(super) fn is_alive(&self, id: ProcessId) -> bool {
        let state = self.homes[id.number].state.lock();
        state.life == id.life && state.process.is_some()
    }

    /// Ends a process's life without a word.
    pub(super) fn kill(&self, number: usize) {
        let mut state = self.homes[number].state.lock();
        state.life += 1;
        state.process = None;
        state.is_starting = false;
        self.network.kill(number);
        state.end.set(Link::Cut);
    }

    /// Stops a process, or lets it go on.
    pub(super) fn pause(&self, number: usize, is_paused: bool) {
        self.network.pause(number, is_paused);
        let link = if is_paused { Link::Hung } else { Link::Whole };
        self.homes[number].state.lock().end.set(link);
        self.wake(number);
    }

    /// What a process does first when it goes on: it sees what time it is.
    fn wake(&self, number: usize) {
        self.wake_at(number, self.network.now());
    }

    fn wake_at(&self, number: usize, now: Millis) {
        if self.network.is_paused(number) {
            return;
        }
        let process = {
            let mut state = self.homes[number].state.lock();
            state.follow(now);
            state.process.clone()
        };
        if let Some(process) = process {
            process.tick();
        }
    }

    pub(super) fn set_ear(&self, number: usize, link: Link) {
        if !self.network.is_paused(number) {
            self.homes[number].state.lock().end.set(link);
        }
    }

    pub(super) fn jump(&self, number: usize, by_ms: i64) {
        let mut state = self.homes[number].state.lock();
        state.clock.shift_wall(by_ms);
        state.skew_ms += by_ms;
    }

    /// What befalls a tier; of tiers that every process has its own of, that of process 0.
    pub(super) fn set_tier(&self, tier: usize, weather: Weather) {
        self.network.set_service(self.server(tier).1, weather);
    }

    pub(super) fn refuse(&self, tier: usize, of_1000: u64) {
        self.server(tier).0.refuse(of_1000);
    }

    fn server(&self, tier: usize) -> &(TierServer, ServiceId) {
        let private = &self.homes[0].private;
        private.get(tier).unwrap_or_else(|| &self.shared[tier - private.len()])
    }

    pub(super) fn set_epochs(&self, weather: Weather) {
        self.network.set_service(self.epochs_service, weather);
    }

    pub(super) fn lose_epochs(&self) {
        self.epochs.lose_all(MANAGER);
    }

    /// The server's own time goes on between two turns of the simulated clock: the numbers that it
    /// leads to are above those of the turn before.
    pub(super) fn set_back_epochs(&self) {
        let turn = i64::try_from(TICK.as_millis()).unwrap_or(i64::MAX);
        let time = Sequence::from_wall_ms(self.clock.wall_ms().saturating_add(turn));
        self.epochs.set_back(MANAGER, time);
    }

    /// The server that holds the deepest shared tier, the epochs and the log of the bus restarts
    /// with nothing in it.
    pub(super) fn restart_server(&self) {
        if let Some((server, _)) = self.shared.last() {
            server.restart();
        }
        self.lose_epochs();
        self.bus.lose_log();
    }

    pub(super) fn bus(&self) -> &InProcessBus {
        &self.bus
    }

    /// Ends every fault.
    pub(super) fn heal(&self) {
        self.network.heal();
        self.bus.disturb(crate::coherence::Disturbance::default());
        for home in &self.homes {
            home.state.lock().end.set(Link::Whole);
            home.private.iter().for_each(|(server, _)| server.refuse(0));
        }
        self.shared.iter().for_each(|(server, _)| server.refuse(0));
        (0..self.homes.len()).for_each(|number| self.wake(number));
    }

    /// Lets a process's clock follow simulated time, unless it stands still.
    pub(super) fn follow(&self, number: usize) {
        if self.network.is_paused(number) {
            return;
        }
        self.homes[number].state.lock().follow(self.network.now());
    }

    /// Lets every clock follow, and every process do what it does from time to time.
    pub(super) fn tick(&self, passed: Duration) {
        self.clock.advance(passed);
        let now = self.network.now();
        for number in 0..self.homes.len() {
            self.wake_at(number, now);
        }
    }
}

/// How often a listener asks the log.
const PULSE: Duration = Duration::from_millis(200);

fn capabilities(is_fenced: bool, is_shared: bool) -> Capabilities {
    Capabilities {
        expiry: true,
        fence: is_fenced,
        touch: true,
        swap: is_fenced,
        durable: true,
        shared: is_shared,
        ..Capabilities::default()
    }
}

/// A process's end of the bus, which counts what it could not publish.
#[derive(Debug)]
struct RemoteBus {
    inner: InProcessBus,
    line: Line,
}

#[async_trait]
impl Bus for RemoteBus {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.publish_with(manager, frame, Bytes::new()).await
    }

    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        self.line.tell(|| {
            let notices = Frame::decode(&frame).map(|it| it.notices);
            format!("publishes {notices:?} and {} bytes of values", values.len())
        });
        let (inner, manager) = (self.inner.clone(), manager.to_owned());
        let published = async move { inner.publish_with(&manager, frame, values).await };
        self.line.call("publish", published).await
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        let (inner, manager) = (self.inner.clone(), manager.to_owned());
        self.line.call("listen", async move { inner.listen(&manager).await }).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
