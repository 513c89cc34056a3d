//! A bus whose faults are switched at run time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard, Listener};
use cache_enterprise_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep_until};

use crate::Seed;
use crate::coherence::{Disturbance, Link};
use crate::switch::Switch;

/// Wraps one process's end of any bus, and spoils what it publishes and hears in the way that
/// [`set`](Self::set) and [`disturb`](Self::disturb) say, from the next frame on.
///
/// It keeps the contract of [`Bus`]: what it loses is told as [`Heard::Lost`], and nothing is
/// current that is still on its way. So a manager over it owes what it owes over the bus behind
/// it. Randomness is seeded, time is tokio's: under a paused clock the same frames in the same
/// order meet the same faults. A listener keeps what it holds back in memory.
///
/// Needs a tokio runtime with time enabled.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::coherence::{Bus, Heard};
/// use cache_enterprise_testkit::Seed;
/// use cache_enterprise_testkit::chaos::ChaosBus;
/// use cache_enterprise_testkit::coherence::{Disturbance, InProcessBus};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let wire = InProcessBus::new();
/// let bus = ChaosBus::new(Arc::new(wire.another()), Seed(7));
/// let mut listener = bus.listen("shop").await?;
///
/// bus.disturb(Disturbance { lost: 1.0, ..Disturbance::default() });
/// wire.publish("shop", "a frame".into()).await?;
/// let mut heard = listener.next().await;
/// while matches!(heard, Heard::Current { .. }) {
///     heard = listener.next().await;
/// }
/// assert_eq!((heard, bus.faults()), (Heard::Lost, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ChaosBus {
    inner: Arc<dyn Bus>,
    shared: Arc<Shared>,
}

struct Shared {
    link: Switch<Link>,
    drawing: Mutex<(Disturbance, StdRng)>,
    faults: AtomicU64,
}

impl ChaosBus {
    /// Wraps `inner`; whole and calm until told otherwise. Clones share what they are told.
    pub fn new(inner: Arc<dyn Bus>, seed: Seed) -> Self {
        let shared = Shared {
            link: Switch::new(Link::Whole),
            drawing: Mutex::new((Disturbance::default(), seed.rng())),
            faults: AtomicU64::new(0),
        };
        Self { inner, shared: Arc::new(shared) }
    }

    /// Connects this end in another way. What comes while it hears nothing is heard afterwards.
    pub fn set(&self, link: Link) {
        self.shared.link.set(link);
    }

    /// How this end is connected.
    pub fn link(&self) -> Link {
        self.shared.link.get()
    }

    /// Spoils what is heard, and the answers to `publish`, from the next frame on.
    pub fn disturb(&self, disturbance: Disturbance) {
        self.shared.drawing.lock().0 = disturbance;
    }

    /// Frames that were lost or doubled, and calls that failed on purpose, so far.
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }

    fn failure(&self, kind: ErrorKind, operation: &'static str) -> Error {
        self.shared.suffer();
        Error::new(kind, "the bus fails on purpose").operation(operation).with("bus", self.name())
    }
}

impl Shared {
    fn suffer(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// How many copies of a frame arrive.
    fn copies(&self) -> u8 {
        let copies = self.draw(Disturbance::copies);
        if copies != 1 {
            self.suffer();
        }
        copies
    }

    fn arrival(&self) -> Instant {
        Instant::now() + self.draw(Disturbance::delay)
    }

    fn draw<T>(&self, draw: impl FnOnce(&Disturbance, &mut StdRng) -> T) -> T {
        let (disturbance, rng) = &mut *self.drawing.lock();
        draw(disturbance, rng)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Bus for ChaosBus {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.publish_with(manager, frame, Bytes::new()).await
    }

    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        let link = self.shared.link.wait_for(|link| *link != Link::Hung).await;
        if matches!(link, Link::Mute | Link::Cut) {
            return Err(self.failure(ErrorKind::Unavailable, "publish"));
        }
        match values.is_empty() {
            true => self.inner.publish(manager, frame).await?,
            false => self.inner.publish_with(manager, frame, values).await?,
        }
        match self.shared.draw(Disturbance::is_unanswered) {
            true => Err(self.failure(ErrorKind::Timeout, "publish")),
            false => Ok(()),
        }
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        if !self.link().hears() {
            return Err(self.failure(ErrorKind::Unavailable, "listen"));
        }
        let inner = self.inner.listen(manager).await?;
        let (shared, coming) = (Arc::clone(&self.shared), BTreeMap::new());
        Ok(Box::new(ChaosListener { inner, shared, coming, departures: 0 }))
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// Shows no frame.
impl fmt::Debug for ChaosBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link();
        f.debug_struct("ChaosBus").field("link", &link).finish_non_exhaustive()
    }
}

/// What is on its way to a listener.
enum Coming {
    Given(Heard),
    /// Everything from before this moment was given.
    Current {
        since: Instant,
    },
}

struct ChaosListener {
    inner: Box<dyn Listener>,
    shared: Arc<Shared>,
    /// By the time of arrival, and in the order of departure within it.
    coming: BTreeMap<(Instant, u64), Coming>,
    departures: u64,
}

impl ChaosListener {
    fn deliver(&mut self, at: Instant, coming: Coming) {
        self.departures += 1;
        self.coming.insert((at, self.departures), coming);
    }

    /// Sends on what the bus gave, and spoils it on the way.
    fn spoil(&mut self, heard: Heard) {
        match heard {
            Heard::Current { age } => {
                let now = Instant::now();
                // It holds once all that came before it has arrived.
                let at = self.coming.last_key_value().map_or(now, |((at, _), _)| now.max(*at));
                let since = now.checked_sub(age).unwrap_or(now);
                self.deliver(at, Coming::Current { since });
            }
            Heard::Lost => self.deliver(Instant::now(), Coming::Given(Heard::Lost)),
            frame => match self.shared.copies() {
                0 => self.deliver(self.shared.arrival(), Coming::Given(Heard::Lost)),
                copies => {
                    for _ in 0..copies {
                        self.deliver(self.shared.arrival(), Coming::Given(frame.clone()));
                    }
                }
            },
        }
    }

    fn arrived(&mut self) -> Option<Heard> {
        let first = self.coming.first_entry().filter(|first| first.key().0 <= Instant::now())?;
        Some(match first.remove() {
            Coming::Given(heard) => heard,
            Coming::Current { since } => Heard::Current { age: since.elapsed() },
        })
    }
}

#[async_trait]
impl Listener for ChaosListener {
    async fn next(&mut self) -> Heard {
        let shared = Arc::clone(&self.shared);
        loop {
            let switched = shared.link.switched();
            let hears = shared.link.get().hears();
            if hears && let Some(heard) = self.arrived() {
                return heard;
            }
            let next = self.coming.first_key_value().map(|((at, _), _)| *at).filter(|_| hears);
            let arrival = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Who gives up here has lost nothing: what the bus gave is kept before the next wait.
            let heard = tokio::select! {
                // As it is seeded, it picks none by chance.
                biased;
                heard = self.inner.next() => Some(heard),
                () = arrival => None,
                () = switched => None,
            };
            if let Some(heard) = heard {
                self.spoil(heard);
            }
        }
    }
}

/// Shows no frame.
impl fmt::Debug for ChaosListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosListener").field("coming", &self.coming.len()).finish_non_exhaustive()
    }
}
