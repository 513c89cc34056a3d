//! What happens in a manager, for those who want to hear of it.
//!
//! Each listener has a mailbox of its own with room for so many happenings; when it is full the
//! oldest is dropped and counted. So nobody who is slow holds up a write, and without a listener a
//! write costs one load. Nothing here needs a runtime.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    CacheKey, Error, ErrorKind, Event, Lookup, Observer, Result, Sequence,
};

use crate::cache::Cache;
use crate::invalidate::Reach;
use crate::manager::CacheManager;
use crate::parking::block_on;
use crate::told::target_text;

/// Something that happened in a manager.
///
/// ```
/// use cache_enterprise_engine::Happening;
///
/// fn tell(happening: &Happening) {
///     match happening {
///         Happening::Ended { targets, reach, .. } => println!("ended {targets:?} ({reach:?})"),
///         Happening::Removed { cache, keys, .. } => println!("removed {keys:?} of {cache}"),
///         other => println!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Happening {
    /// An invalidation of groups begins: it does not hold yet.
    Ending {
        /// Whose groups; empty for the root tenant.
        tenant: Arc<str>,
        /// What ends, as text such as `tag org:7`, softly where it says so.
        targets: Vec<String>,
    },
    /// It holds, in this process at least.
    Ended {
        /// Whose groups; empty for the root tenant.
        tenant: Arc<str>,
        /// What ended.
        targets: Vec<String>,
        /// The number it took.
        sequence: Sequence,
        /// How far it reached.
        reach: Reach,
        /// Whether another process ended it: this one heard of it over the bus, without an
        /// [`Ending`](Happening::Ending) before. The number is that of the notice,
        /// [`Sequence::MAX`] where its store gave none.
        is_heard: bool,
    },
    /// Keys were removed by this process.
    Removed {
        /// Whose keys; empty for the root tenant.
        tenant: Arc<str>,
        /// Their cache.
        cache: String,
        /// The keys as tiers write them.
        keys: Vec<String>,
    },
    /// The fresh life of keys was ended. A walk by pattern tells of a key once for each level that
    /// lists it.
    Expired {
        /// Whose keys; empty for the root tenant.
        tenant: Arc<str>,
        /// Their cache.
        cache: String,
        /// The keys as tiers write them.
        keys: Vec<String>,
        /// Whether another process ended it, and this one heard of it over the bus.
        is_heard: bool,
    },
    /// Another process removed keys or set them, or shortened their lives by a pattern: a notice of
    /// the bus does not say which. Whatever was known of them is older.
    Changed {
        /// Whose keys; empty for the root tenant.
        tenant: Arc<str>,
        /// Their cache; with `@` and a name where it lies in the backend of that name alone.
        cache: String,
        /// The keys as tiers write them.
        keys: Vec<String>,
    },
    /// Something rare that an operator may want to know.
    Trouble(Event),
}

impl Happening {
    pub(crate) fn ending(tenant: &Arc<str>, targets: &[EpochTarget]) -> Self {
        let targets = targets.iter().map(target_text).collect();
        Self::Ending { tenant: Arc::clone(tenant), targets }
    }

    pub(crate) fn ended(
        tenant: &Arc<str>,
        targets: &[EpochTarget],
        sequence: Sequence,
        reach: Reach,
    ) -> Self {
        let targets = targets.iter().map(target_text).collect();
        Self::Ended { tenant: Arc::clone(tenant), targets, sequence, reach, is_heard: false }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Tells listeners that keys were removed, or that their fresh life was ended.
    pub(crate) fn tell_keys<'a, Q>(&self, keys: impl IntoIterator<Item = &'a Q>, is_soft: bool)
    where
        Q: Lookup<K> + ?Sized + 'a,
    {
        self.tell_names(keys.into_iter().map(|key| self.name_within(key)), is_soft);
    }

    /// As [`tell_keys`](Self::tell_keys), of keys by what they are called within the tenant.
    pub(crate) fn tell_names<T: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = T>,
        is_soft: bool,
    ) {
        self.view.shared.hub.tell(|| {
            let prefix = self.name_prefix().len();
            let text = |name: T| name.as_ref()[prefix..].to_owned();
            let keys = names.into_iter().map(text).collect();
            let tenant = Arc::clone(&self.view.tenant.name);
            let cache = self.name().to_owned();
            match is_soft {
                true => Happening::Expired { tenant, cache, keys, is_heard: false },
                false => Happening::Removed { tenant, cache, keys },
            }
        });
    }
}

/// Where the happenings of one manager are handed to its listeners.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Number of listeners, read without the lock: usually zero.
    listeners: AtomicUsize,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
}

#[derive(Debug)]
struct Mailbox {
    room: usize,
    inside: Mutex<Inside>,
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<Happening>,
    waker: Option<Waker>,
    is_closed: bool,
}

impl Hub {
    /// Hands out what `tell` makes, if anybody listens.
    pub(crate) fn tell(&self, tell: impl FnOnce() -> Happening) {
        if !self.has_listeners() {
            return;
        }
        let happening = tell();
        let mailboxes = self.mailboxes.lock();
        for mailbox in mailboxes.iter() {
            mailbox.put(happening.clone());
        }
    }

    pub(crate) fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::Acquire) > 0
    }

    fn listen(self: &Arc<Self>, room: usize) -> Events {
        let mailbox = Arc::new(Mailbox {
            room: room.max(1),
            inside: Mutex::default(),
            missed: AtomicU64::new(0),
        });
        let mut mailboxes = self.mailboxes.lock();
        mailboxes.push(Arc::clone(&mailbox));
        self.listeners.store(mailboxes.len(), Ordering::Release);
        Events { hub: Arc::downgrade(self), mailbox }
    }

    fn leave(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self.mailboxes.lock();
        mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
        self.listeners.store(mailboxes.len(), Ordering::Release);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for mailbox in self.mailboxes.lock().drain(..) {
            mailbox.close();
        }
    }
}

impl Mailbox {
    fn put(&self, happening: Happening) {
        let mut inside = self.inside.lock();
        if inside.waiting.len() >= self.room {
            inside.waiting.pop_front();
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        inside.waiting.push_back(happening);
        let waker = inside.waker.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        let mut inside = self.inside.lock();
        inside.is_closed = true;
        let waker = inside.waker.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A stream of what happens in a manager from the moment it was asked for; see
/// [`CacheManager::events`].
#[derive(Debug)]
pub struct Events {
    hub: std::sync::Weak<Hub>,
    mailbox: Arc<Mailbox>,
}

impl Events {
    /// What happened next; `None` once the manager is gone and all was told. Waits without a
    /// runtime of any kind; a thread may [`block_on`](crate::block_on) it.
    pub fn recv(&mut self) -> impl Future<Output = Option<Happening>> + Send + use<'_> {
        std::future::poll_fn(|cx| self.poll_next(cx))
    }

    /// What happened next, if something did.
    pub fn try_recv(&mut self) -> Option<Happening> {
        self.mailbox.inside.lock().waiting.pop_front()
    }

    /// How many happenings were dropped because this listener was behind by more than its room.
    pub fn missed(&self) -> u64 {
        self.mailbox.missed.load(Ordering::Relaxed)
    }

    /// Polls for what happened next, for those who write their own future.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Happening>> {
        let mut inside = self.mailbox.inside.lock();
        match inside.waiting.pop_front() {
            Some(happening) => Poll::Ready(Some(happening)),
            None if inside.is_closed => Poll::Ready(None),
            None => {
                inside.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.leave(&self.mailbox);
        }
    }
}

/// Hears rare events for a builder's observer and for whoever listens.
pub(crate) struct Tee {
    pub(crate) hub: Arc<Hub>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Observer for Tee {
    fn on_event(&self, event: &Event) {
        self.observer.on_event(event);
        self.hub.tell(|| Happening::Trouble(event.clone()));
    }
}

impl fmt::Debug for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.observer.fmt(f)
    }
}

/// A hook on a thread of its own; it runs until the manager is gone.
#[derive(Clone, Debug)]
pub struct Hook {
    mailbox: Arc<Mailbox>,
    panics: Arc<AtomicU64>,
}

impl Hook {
    /// How many happenings were dropped because the hook was behind by more than its room.
    pub fn missed(&self) -> u64 {
        self.mailbox.missed.load(Ordering::Relaxed)
    }

    /// How often the hook panicked; it is called again all the same.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// Happenings that a hook may be behind.
const HOOK_ROOM: usize = 10_000;

impl<C> CacheManager<C> {
    /// A stream of what happens from now on, of all tenants, with room for `room` happenings: a
    /// listener that is further behind misses the oldest, and knows how many. Keys and tags are
    /// told as text, so whoever listens may see names; values are never told. Sets and hits of this
    /// process are counters, not events.
    ///
    /// With a bus it also tells what other processes said they changed, once it holds in level 1
    /// here: groups, expired keys, and keys that were [changed](Happening::Changed), also those
    /// that were set and those of tenants and caches this process has not opened. A bus may say a
    /// thing twice. What it lost (`bus_stats().lost` counts), and what strangers changed in the
    /// server of a tier, is not told.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, tag};
    /// use cache_enterprise_engine::{CacheManager, Happening, block_on};
    ///
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let mut events = manager.events(1_000);
    /// block_on(manager.invalidate(tag!("org:7")));
    /// assert!(matches!(events.try_recv(), Some(Happening::Ending { .. })));
    /// let Some(Happening::Ended { targets, .. }) = events.try_recv() else { panic!("it ended") };
    /// assert_eq!(targets, ["tag org:7"]);
    /// assert_eq!(events.missed(), 0);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn events(&self, room: usize) -> Events {
        self.shared.hub.listen(room)
    }

    /// Calls `hook` for each invalidation, before it holds and after, for each removal and expiry
    /// of keys, and for what other processes ended, on a thread of its own: a slow hook holds up
    /// nobody, and misses the oldest once it is 10 000 behind. For the rest see
    /// [`events`](Self::events).
    ///
    /// ```
    /// use cache_enterprise_core::Capacity;
    /// use cache_enterprise_engine::{CacheManager, Happening, block_on};
    /// use std::sync::mpsc;
    ///
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let (sender, heard) = mpsc::channel();
    /// manager.on_invalidate(move |happening| {
    ///     if let Happening::Ended { targets, .. } = happening {
    ///         let _ = sender.send(targets.clone());
    ///     }
    /// })?;
    /// block_on(manager.invalidate("org:7"));
    /// assert_eq!(heard.recv().ok(), Some(vec!["tag org:7".to_owned()]));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when no thread can be started.
    pub fn on_invalidate(&self, hook: impl Fn(&Happening) + Send + 'static) -> Result<Hook> {
        let mut events = self.events(HOOK_ROOM);
        let panics = Arc::new(AtomicU64::new(0));
        let handle = Hook { mailbox: Arc::clone(&events.mailbox), panics: Arc::clone(&panics) };
        let work = move || {
            while let Some(happening) = block_on(events.recv()) {
                if matches!(happening, Happening::Trouble(_)) {
                    continue;
                }
                if catch_unwind(AssertUnwindSafe(|| hook(&happening))).is_err() {
                    panics.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let thread = std::thread::Builder::new().name("cache-hook".to_owned()).spawn(work);
        thread.map(|_| handle).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot start a thread for the hook").source_error(error)
        })
    }
}
