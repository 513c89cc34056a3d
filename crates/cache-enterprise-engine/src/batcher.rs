//! A batcher: single loads that come close to each other become one.
//!
//! The first key opens a window. It closes when it is full or its time is over; then one task
//! loads all its keys by `get_many_with`, and everybody who asked for one of them gets its
//! outcome. There is one task a window and none a key.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{CacheKey, Lookup, ms, saturating_millis};
use hashbrown::HashMap;

use crate::batch_answer::{Batch, BatchAnswer, KeyOutcome, Missing};
use crate::cache::Cache;
use crate::error::LoadError;
use crate::flight::register;
use crate::timer::race;

/// A loader of several keys that owns what it uses.
type BatchLoader<K, V, E> =
    dyn Fn(Missing<K>) -> Pin<Box<dyn Future<Output = Batch<K, V, E>> + Send>> + Send + Sync;

/// Gathers loads of single keys, for up to 2 ms or 100 keys, into one call of a loader of several
/// keys. A clone costs a few reference counts and gathers into the same windows.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins, ms};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, Missing, block_on};
///
/// static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5));
/// let manager = CacheManager::in_memory(Capacity::entries(100))?;
/// let names = manager.open(&NAMES)?.batcher(|missing: Missing<u64>| async move {
///     missing.into_iter().map(|id| (id, format!("user {id}"))).collect::<Vec<_>>()
/// });
/// let names = names.wait(ms(1)).keys_max(50);
/// let name = block_on(names.load(&7)).expect("the loader does not fail");
/// assert_eq!(name.as_deref().map(String::as_str), Some("user 7"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct Batcher<K: CacheKey, V: Send + Sync + 'static, E: Send + Sync + 'static> {
    cache: Cache<K, V>,
    load: Arc<BatchLoader<K, V, E>>,
    wait: Duration,
    keys_max: usize,
    open: Arc<Mutex<Open<K, V, E>>>,
}

impl<K: CacheKey, V: Send + Sync + 'static, E: Send + Sync + 'static> Clone for Batcher<K, V, E> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            load: Arc::clone(&self.load),
            wait: self.wait,
            keys_max: self.keys_max,
            open: Arc::clone(&self.open),
        }
    }
}

/// The window that is open, if one is.
type Open<K, V, E> = Option<Arc<Window<K, V, E>>>;

/// Keys that are gathered, and what became of them.
struct Window<K, V, E> {
    state: Mutex<State<K, V, E>>,
}

struct State<K, V, E> {
    keys: Vec<K>,
    /// Where each key stands.
    places: HashMap<K, usize>,
    is_full: bool,
    /// Whom to wake when the window is full.
    task: Option<Waker>,
    waiting: Vec<Option<Waker>>,
    done: Option<Done<V, E>>,
}

enum Done<V, E> {
    Loaded(Vec<KeyOutcome<V, E>>),
    /// The task ended without an answer.
    Lost,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// A batcher over `load`, which owns what it uses and runs in tasks of its own: on the runtime
    /// at hand, or in a manager without tiers on a thread for each window.
    pub fn batcher<F, Fut, A>(&self, load: F) -> Batcher<K, V, A::Error>
    where
        F: Fn(Missing<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = A> + Send + 'static,
        A: BatchAnswer<K, V>,
    {
        let load = move |missing| {
            let answer = load(missing);
            Box::pin(async move { answer.await.into_batch() })
                as Pin<Box<dyn Future<Output = _> + Send>>
        };
        Batcher {
            cache: self.clone(),
            load: Arc::new(load),
            wait: ms(2),
            keys_max: 100,
            open: Arc::default(),
        }
    }
}

impl<K, V, E> Batcher<K, V, E>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// How long a window is open at most. Default: 2 ms.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Keys that close a window at once, at least 1. Default: 100.
    #[must_use]
    pub fn keys_max(mut self, keys_max: usize) -> Self {
        self.keys_max = keys_max.max(1);
        self
    }

    /// The value under `key`, from level 1 at once, else from the window's load; `None` when the
    /// load found none. A caller that leaves does not end the load.
    ///
    /// # Errors
    /// As [`get_many_with`](Cache::get_many_with) for the key; [`LoadError::Panicked`] when the
    /// loader panicked or no task could be had for it.
    pub async fn load<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> KeyOutcome<V, E> {
        if let Some(hit) = self.cache.hit(key) {
            return Ok(Some(hit));
        }
        if self.cache.is_known_absent(key) {
            return Ok(None);
        }
        let (window, place) = self.enter(key.to_key());
        Outcome { window, place, slot: None }.await
    }

    /// Puts a key into the open window, or opens one. One whose task was lost is open no more.
    fn enter(&self, key: K) -> (Arc<Window<K, V, E>>, usize) {
        let mut open = self.open.lock();
        let window = match open.as_ref().filter(|window| !window.is_done()) {
            Some(window) => Arc::clone(window),
            None => {
                let window = Arc::new(Window::new());
                *open = Some(Arc::clone(&window));
                self.start(Arc::clone(&window));
                window
            }
        };
        let (place, len) = window.add(key);
        let is_full = len >= self.keys_max;
        if is_full {
            *open = None;
        }
        drop(open);
        if is_full {
            window.close();
        }
        (window, place)
    }

    /// Starts the task of a window.
    fn start(&self, window: Arc<Window<K, V, E>>) {
        let shared = &self.cache.view.shared;
        let until = self.cache.view.clock.now().saturating_add(saturating_millis(self.wait));
        let deadline = shared.timer.deadline(until);
        let (batcher, owed) = (self.clone(), Owed(window));
        shared.spawn(Box::pin(async move {
            race(Full(&owed.0), Some(deadline)).await;
            batcher.leave(&owed.0);
            let keys = owed.0.take_keys();
            let loaded = batcher.cache.get_many_with(keys, |missing| (batcher.load)(missing)).await;
            owed.0.finish(Done::Loaded(loaded.into_iter().map(|(_, outcome)| outcome).collect()));
        }));
    }

    /// Later keys go into another window.
    fn leave(&self, window: &Arc<Window<K, V, E>>) {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|held| Arc::ptr_eq(held, window)) {
            *open = None;
        }
    }
}

impl<K: CacheKey, V, E> Window<K, V, E> {
    fn new() -> Self {
        let state = State {
            keys: Vec::new(),
            places: HashMap::new(),
            is_full: false,
            task: None,
            waiting: Vec::new(),
            done: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// The place of a key, and how many keys there are.
    fn add(&self, key: K) -> (usize, usize) {
        let mut state = self.state.lock();
        let next = state.keys.len();
        let place = *state.places.entry(key.clone()).or_insert(next);
        if place == next {
            state.keys.push(key);
        }
        (place, state.keys.len())
    }

    fn close(&self) {
        let task = {
            let mut state = self.state.lock();
            state.is_full = true;
            state.task.take()
        };
        task.into_iter().for_each(Waker::wake);
    }

    fn is_done(&self) -> bool {
        self.state.lock().done.is_some()
    }

    fn take_keys(&self) -> Vec<K> {
        std::mem::take(&mut self.state.lock().keys)
    }

    fn finish(&self, done: Done<V, E>) {
        let waiting = {
            let mut state = self.state.lock();
            state.done.get_or_insert(done);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

/// The answer that a window's task owes: when the task ends without one, all are told.
struct Owed<K: CacheKey, V, E>(Arc<Window<K, V, E>>);

impl<K: CacheKey, V, E> Drop for Owed<K, V, E> {
    fn drop(&mut self) {
        self.0.finish(Done::Lost);
    }
}

/// Ends when the window is full.
struct Full<'a, K, V, E>(&'a Window<K, V, E>);

impl<K, V, E> Future for Full<'_, K, V, E> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state.lock();
        if state.is_full {
            return Poll::Ready(());
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Waiting for the outcome of one key.
struct Outcome<K, V, E> {
    window: Arc<Window<K, V, E>>,
    place: usize,
    slot: Option<usize>,
}

impl<K, V, E> Future for Outcome<K, V, E> {
    type Output = KeyOutcome<V, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = this.window.state.lock();
        match &state.done {
            Some(Done::Loaded(outcomes)) => Poll::Ready(outcomes[this.place].clone()),
            Some(Done::Lost) => Poll::Ready(Err(LoadError::Panicked)),
            None => {
                register(&mut state.waiting, &mut this.slot, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl<K, V, E> Drop for Outcome<K, V, E> {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        if let Some(waker) = self.window.state.lock().waiting.get_mut(slot) {
            *waker = None;
        }
    }
}

impl<K, V, E> fmt::Debug for Batcher<K, V, E>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("cache", &self.cache)
            .field("wait", &self.wait)
            .field("keys_max", &self.keys_max)
            .finish_non_exhaustive()
    }
}
