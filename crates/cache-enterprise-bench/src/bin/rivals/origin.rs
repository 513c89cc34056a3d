//! Where values come from: behind a gate, and counted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::library::{Load, LoadMany};

/// The payload of the panics that scenarios ask for.
struct Planned;

thread_local! {
    /// Whether a planned panic happened in the scenario that runs on this thread.
    static IS_HUSHED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps planned panics, and those that a library makes of them, off stderr: they are counted.
pub(crate) fn hush_planned_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().is::<Planned>() {
            IS_HUSHED.set(true);
        }
        if !IS_HUSHED.get() {
            usual(info);
        }
    }));
}

/// Panics are told again.
pub(crate) fn end_hush() {
    IS_HUSHED.set(false);
}

/// Loads that began.
#[derive(Default)]
struct Begun {
    /// The caller whose loader ran first.
    leader: Option<usize>,
    loads: usize,
    of_key: BTreeMap<String, usize>,
}

/// A version number behind a gate. A load reads the version, waits at the gate, and gives what it
/// read: an origin that answers late.
pub(crate) struct Origin {
    version: AtomicU64,
    begun: watch::Sender<Begun>,
    calls: AtomicUsize,
    gate: watch::Sender<bool>,
    first_panics: AtomicBool,
}

impl Origin {
    /// At version 1, its gate closed.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU64::new(1),
            begun: watch::Sender::default(),
            calls: AtomicUsize::new(0),
            gate: watch::Sender::new(false),
            first_panics: AtomicBool::new(false),
        })
    }

    /// Lets the first load panic behind the gate.
    pub(crate) fn panic_first(&self) {
        self.first_panics.store(true, Ordering::Relaxed);
    }

    /// Lets waiting loads end, and those to come at once.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// What loads give that begin from now on.
    pub(crate) fn change(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// Waits until this many loads began.
    pub(crate) async fn begun(&self, loads: usize) {
        let mut begun = self.begun.subscribe();
        begun.wait_for(|begun| begun.loads >= loads).await.expect("the sender lives in self");
    }

    /// The caller whose loader ran first.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.begun.borrow().leader
    }

    pub(crate) fn loads(&self) -> usize {
        self.begun.borrow().loads
    }

    /// How often each key was loaded.
    pub(crate) fn loads_of_each(&self) -> BTreeMap<String, usize> {
        self.begun.borrow().of_key.clone()
    }

    /// How often the origin was called, for one key or for several.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// A loader of one key, in the hands of one caller.
    pub(crate) fn load(self: &Arc<Self>, key: &str, caller: usize) -> Load {
        let (origin, key) = (Arc::clone(self), key.to_owned());
        Box::new(move || {
            Box::pin(async move {
                let (version, is_first) = origin.begin([key], caller);
                origin.pass().await;
                if is_first && origin.first_panics.load(Ordering::Relaxed) {
                    panic::panic_any(Planned);
                }
                version
            })
        })
    }

    /// A loader of several keys, in the hands of one caller.
    pub(crate) fn load_many(self: &Arc<Self>, caller: usize) -> LoadMany {
        let origin = Arc::clone(self);
        Box::new(move |keys| {
            let origin = Arc::clone(&origin);
            Box::pin(async move {
                let (version, _) = origin.begin(keys.iter().cloned(), caller);
                origin.pass().await;
                keys.into_iter().map(|key| (key, version)).collect()
            })
        })
    }

    /// Counts a call; its version, and whether it is the first of all.
    fn begin(&self, keys: impl IntoIterator<Item = String>, caller: usize) -> (u64, bool) {
        let version = self.version.load(Ordering::Relaxed);
        let is_first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        self.begun.send_modify(|begun| {
            begun.leader.get_or_insert(caller);
            for key in keys {
                begun.loads += 1;
                *begun.of_key.entry(key).or_default() += 1;
            }
        });
        (version, is_first)
    }

    async fn pass(&self) {
        let mut gate = self.gate.subscribe();
        gate.wait_for(|is_open| *is_open).await.expect("the sender lives in self");
    }
}
