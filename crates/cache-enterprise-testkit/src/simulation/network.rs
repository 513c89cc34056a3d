//! The simulated network between processes and the services they share.
//!
//! Everything runs on one thread and on tokio's paused time, so that a seed decides the whole run.
//! A call takes a while to the service and a while back. On the way a request may be lost, a
//! service may be down, and a reply may be lost after its effect. What was sent reaches the
//! service even if the process has died or given up since.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Error, ErrorKind, Millis, Result};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::story::Story;

/// How long a process waits for an answer that does not come.
const PATIENCE: Duration = Duration::from_millis(250);

/// The network of one world. Cloning shares it.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    start: Instant,
    story: Story,
    state: Mutex<State>,
    /// Wakes what waits for a process to go on.
    resumed: Notify,
}

struct State {
    rng: StdRng,
    services: Vec<Service>,
    processes: Vec<Process>,
}

/// What befalls the calls of a service, or between one process and everything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// Calls are refused.
    pub is_down: bool,
    /// Share of requests that never arrive, from 0 to 1.
    pub requests_lost: f64,
    /// Share of replies that never arrive, though the call had its effect.
    pub replies_lost: f64,
    /// Milliseconds that each way takes longer.
    pub delay_ms: Millis,
}

#[derive(Clone, Default)]
struct Service {
    name: String,
    weather: Weather,
}

#[derive(Clone, Default)]
struct Process {
    /// Raised when it dies: what its earlier lives still hold answers nothing.
    life: u32,
    is_paused: bool,
    weather: Weather,
    /// Calls that failed so far, in all lives.
    failures: u64,
    numbering: Numbering,
}

/// How a process comes by its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Whether the epoch store did not give the last one, so that the process may go on with
    /// numbers of its own.
    pub is_dark: bool,
    /// How often that has happened.
    pub failures: u64,
}

/// What is drawn for one call.
struct Fate {
    there: Duration,
    back: Duration,
    is_request_lost: bool,
    is_reply_lost: bool,
    /// Whether the caller may leave before the effect.
    is_rough: bool,
}

impl Network {
    /// A network in which nothing befalls anybody yet.
    pub fn new(seed: u64, processes: usize, story: Story) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            services: Vec::new(),
            processes: vec![Process::default(); processes],
        };
        let shared = Shared {
            start: Instant::now(),
            story,
            state: Mutex::new(state),
            resumed: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Simulated milliseconds since the network was made.
    pub fn now(&self) -> Millis {
        u64::try_from(self.shared.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A service that processes call.
    pub fn service(&self, name: impl Into<String>) -> ServiceId {
        let mut state = self.shared.state.lock();
        state.services.push(Service { name: name.into(), weather: Weather::default() });
        ServiceId(state.services.len() - 1)
    }

    /// The way from `process`, in its present life, to `service`.
    pub fn line(&self, process: usize, service: ServiceId) -> Line {
        let life = self.shared.state.lock().processes[process].life;
        Line { network: self.clone(), process, life, service }
    }

    /// Changes what befalls the calls of a service.
    pub fn set_service(&self, service: ServiceId, weather: Weather) {
        self.shared.state.lock().services[service.0].weather = weather;
    }

    /// Changes what befalls the calls of a process.
    pub fn set_process(&self, process: usize, weather: Weather) {
        self.shared.state.lock().processes[process].weather = weather;
    }

    /// Stops a process, or lets it go on: meanwhile it hears no answer.
    pub fn pause(&self, process: usize, is_paused: bool) {
        self.shared.state.lock().processes[process].is_paused = is_paused;
        self.shared.resumed.notify_waiters();
    }

    /// Whether a process is stopped.
    pub fn is_paused(&self, process: usize) -> bool {
        self.shared.state.lock().processes[process].is_paused
    }

    /// Ends a process's life without a word. What it sent arrives; it hears nothing any more.
    pub fn kill(&self, process: usize) {
        self.shared.state.lock().processes[process].life += 1;
        self.shared.resumed.notify_waiters();
    }

    /// Calls of a process that failed so far.
    pub fn failures(&self, process: usize) -> u64 {
        self.shared.state.lock().processes[process].failures
    }

    /// How a process comes by its numbers now.
    pub fn numbering(&self, process: usize) -> Numbering {
        self.shared.state.lock().processes[process].numbering
    }

    /// Good weather everywhere; whoever was stopped goes on.
    pub fn heal(&self) {
        let mut state = self.shared.state.lock();
        state.services.iter_mut().for_each(|service| service.weather = Weather::default());
        for process in &mut state.processes {
            process.weather = Weather::default();
            process.is_paused = false;
        }
        drop(state);
        self.shared.resumed.notify_waiters();
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A service of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceId(usize);

/// The way from one life of a process to a service.
#[derive(Clone, Debug)]
pub struct Line {
    network: Network,
    process: usize,
    life: u32,
    service: ServiceId,
}

impl Line {
    /// Calls the service: `effect` happens there if the request arrives.
    ///
    /// # Errors
    /// What `effect` gave, [`ErrorKind::Unavailable`] from a service that is down, and
    /// [`ErrorKind::Timeout`] where request or reply was lost.
    pub async fn call<T, F>(&self, what: &'static str, effect: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.stay().await;
        let mut patience = Patience { line: self, is_over: false };
        let answer = self.answered(what, effect).await;
        patience.is_over = true;
        answer
    }

    async fn answered<T, F>(&self, what: &'static str, effect: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let fate = self.fate();
        if fate.is_request_lost {
            return self.lose(what, "the request was lost").await;
        }
        let done = if fate.is_rough {
            // It is on the wire: whoever gives up does not call it back.
            let (told, hears) = oneshot::channel();
            let line = self.clone();
            tokio::spawn(async move {
                sleep(fate.there).await;
                let _ = told.send(line.arrive(effect).await);
            });
            hears.await.unwrap_or_else(|_| Err(unanswered("the service is gone")))
        } else {
            sleep(fate.there).await;
            self.arrive(effect).await
        };
        if fate.is_reply_lost {
            return self.lose(what, "the reply was lost").await;
        }
        sleep(fate.back).await;
        self.stay().await;
        if let Err(error) = &done {
            self.failed(what, error);
        }
        done
    }

    /// Waits until the process may go on: for ever when this life of it has ended.
    pub async fn stay(&self) {
        loop {
            let resumed = self.network.shared.resumed.notified();
            let (is_over, is_paused) = {
                let state = self.network.shared.state.lock();
                let process = &state.processes[self.process];
                (process.life != self.life, process.is_paused)
            };
            if is_over {
                std::future::pending::<()>().await;
            }
            if !is_paused {
                return;
            }
            resumed.await;
        }
    }

    /// Notes whether the epoch store gave a number.
    pub(super) fn note_number(&self, is_given: bool) {
        let mut state = self.network.shared.state.lock();
        let numbering = &mut state.processes[self.process].numbering;
        numbering.is_dark = !is_given;
        numbering.failures += u64::from(!is_given);
    }

    /// Adds a line about the process to the story.
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let story = &self.network.shared.story;
        story.tell(|| format!("p{}.{} {}", self.process, self.life, line()));
    }

    /// A random number below `bound`.
    pub fn draw(&self, bound: u64) -> u64 {
        self.network.shared.state.lock().rng.random_range(0..bound)
    }

    async fn arrive<T>(&self, effect: impl Future<Output = Result<T>>) -> Result<T> {
        if self.is_down() {
            return Err(Error::new(ErrorKind::Unavailable, "the service is down"));
        }
        effect.await
    }

    fn is_down(&self) -> bool {
        self.network.shared.state.lock().services[self.service.0].weather.is_down
    }

    async fn lose<T>(&self, what: &'static str, why: &'static str) -> Result<T> {
        sleep(PATIENCE).await;
        self.stay().await;
        let error = unanswered(why);
        self.failed(what, &error);
        Err(error)
    }

    fn failed(&self, what: &'static str, error: &Error) {
        let service = {
            let mut state = self.network.shared.state.lock();
            state.processes[self.process].failures += 1;
            state.services[self.service.0].name.clone()
        };
        self.tell(|| format!("{service} {what}: {error}"));
    }

    fn fate(&self) -> Fate {
        let mut state = self.network.shared.state.lock();
        let (here, there) =
            (state.processes[self.process].weather, state.services[self.service.0].weather);
        let rng = &mut state.rng;
        let mut chance = |share: f64| share > 0.0 && rng.random_bool(share.min(1.0));
        let is_request_lost =
            here.is_down || chance(here.requests_lost) || chance(there.requests_lost);
        let is_reply_lost = chance(here.replies_lost) || chance(there.replies_lost);
        let delay = here.delay_ms + there.delay_ms;
        let mut way = || match delay {
            0 => rng.random_range(0..3),
            most => rng.random_range(0..=most),
        };
        let (there, back) = (Duration::from_millis(way()), Duration::from_millis(way()));
        let is_rough = delay > 0 || is_reply_lost;
        Fate { there, back, is_request_lost, is_reply_lost, is_rough }
    }
}

/// Notes a call whose caller gave up: to the caller it failed.
struct Patience<'a> {
    line: &'a Line,
    is_over: bool,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.line.network.shared.state.lock();
            state.processes[self.line.process].failures += 1;
        }
    }
}

fn unanswered(why: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, why)
}
