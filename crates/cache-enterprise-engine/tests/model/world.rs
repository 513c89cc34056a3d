//! What every story plays in: a manager on a clock that stands, and an origin that knows which
//! of its writes were acknowledged.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64 as Note, Ordering::SeqCst};
use std::task::{Context, Waker};

use cache_enterprise_core::{Capacity, Clock, Tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Memory};
use shuttle::future::{block_on, yield_now};
use shuttle::sync::atomic::AtomicU64;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("model").forever();

/// The key of stories that need one.
pub(crate) const KEY: u64 = 7;

/// The tag of every value loaded with [`World::fetch`].
pub(crate) const TAG: &str = "shelf";

const KEYS: usize = 8;

pub(crate) struct World {
    pub(crate) manager: CacheManager,
    pub(crate) cache: Cache<u64, u64>,
    pub(crate) clock: Clock,
    pub(crate) origin: Origin,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::holding(Capacity::entries(64))
    }

    /// A world whose level 1 holds so much, and chooses so what leaves.
    pub(crate) fn holding(memory: impl Into<Memory>) -> Self {
        let clock = Clock::manual();
        let builder = CacheManager::builder("model").l1(memory).clock(clock.clone());
        let manager = builder.seed(1).build_in_memory().unwrap();
        let cache = manager.open(&SPEC).unwrap();
        Self { manager, cache, clock, origin: Origin::default() }
    }

    /// Changes the origin, has the cache told by `tell`, and acknowledges the change.
    pub(crate) fn write(&self, key: u64, tell: impl FnOnce(u64)) {
        let value = self.origin.write(key);
        tell(value);
        self.origin.acknowledge(key, value);
    }

    /// Changes the origin and removes the key.
    pub(crate) fn write_and_remove(&self, key: u64) {
        self.write(key, |_| {
            block_on(self.cache.remove(&key));
        });
    }

    /// The value of `key`, checked: not older than what was acknowledged when the call began.
    pub(crate) fn read(&self, key: u64) -> u64 {
        let oldest = self.origin.acknowledged(key);
        let value = *block_on(self.cache.get_with(&key, || self.origin.load(key)));
        not_before(oldest, value, "get_with");
        value
    }

    /// As [`read`](Self::read), the loaded value being tagged, and the load timed.
    pub(crate) fn fetch(&self, key: u64) -> Option<u64> {
        let oldest = self.origin.acknowledged(key);
        let load = || async { Ok::<_, Infallible>(self.origin.load(key).await) };
        let fetch = self.cache.fetch(&key).tags([Tag::from(TAG)]).with(load);
        // The clock may have passed the load's hard timeout.
        let value = block_on(fetch).ok().map(|value| *value);
        value.inspect(|value| not_before(oldest, *value, "fetch"));
        value
    }

    /// As [`read`](Self::read), an origin that was never written being an absence.
    pub(crate) fn ask(&self, key: u64) -> Option<u64> {
        let oldest = self.origin.acknowledged(key);
        let load = || async { Some(self.origin.load(key).await).filter(|value| *value > 0) };
        let value = block_on(self.cache.get_opt_with(&key, load)).map(|value| *value);
        not_before(oldest, value.unwrap_or(0), "get_opt_with");
        value
    }

    /// What level 1 holds of `key`, checked in the same way.
    pub(crate) fn look(&self, key: u64) -> Option<u64> {
        let oldest = self.origin.acknowledged(key);
        let peeked = self.cache.peek(&key).map(|value| *value);
        peeked.inspect(|value| not_before(oldest, *value, "peek"));
        let oldest = self.origin.acknowledged(key);
        let got = block_on(self.cache.get(&key)).unwrap().map(|value| *value);
        got.inspect(|value| not_before(oldest, *value, "get"));
        got
    }

    /// Asks for `key`, polls `polls` times and leaves, whatever came of it.
    pub(crate) fn leave_after(&self, key: u64, polls: usize) {
        let mut call = Box::pin(self.cache.get_with(&key, || self.origin.load(key)));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if call.as_mut().poll(&mut cx).is_ready() {
                return;
            }
            shuttle::thread::yield_now();
        }
    }
}

#[track_caller]
fn not_before(oldest: u64, value: u64, call: &str) {
    assert!(value >= oldest, "{call} gave {value} after {oldest} was acknowledged");
}

/// The truth: a number a key, which only grows. What stories note about it is no part of what is
/// explored, and so is kept in atomics the scheduler does not see.
#[derive(Default)]
pub(crate) struct Origin {
    values: [AtomicU64; KEYS],
    acknowledged: [Note; KEYS],
    loads: Note,
    running: Note,
    most_at_once: Note,
}

impl Origin {
    fn write(&self, key: u64) -> u64 {
        self.values[key as usize].fetch_add(1, SeqCst) + 1
    }

    fn acknowledge(&self, key: u64, value: u64) {
        self.acknowledged[key as usize].fetch_max(value, SeqCst);
    }

    pub(crate) fn acknowledged(&self, key: u64) -> u64 {
        self.acknowledged[key as usize].load(SeqCst)
    }

    /// A loader: reads, takes its time, and gives what it read.
    pub(crate) async fn load(&self, key: u64) -> u64 {
        let _running = Running::new(self);
        let value = self.values[key as usize].load(SeqCst);
        yield_now().await;
        value
    }

    /// Loader calls so far.
    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(SeqCst)
    }

    /// The most loaders that ran at one time.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.most_at_once.load(SeqCst)
    }
}

struct Running<'a>(&'a Origin);

impl<'a> Running<'a> {
    fn new(origin: &'a Origin) -> Self {
        origin.loads.fetch_add(1, SeqCst);
        let running = origin.running.fetch_add(1, SeqCst) + 1;
        origin.most_at_once.fetch_max(running, SeqCst);
        Self(origin)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}
