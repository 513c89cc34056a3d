//! What this process has to tell.
//!
//! Notices leave in the order in which they came, as many at a time as wait while the frame before
//! them is on its way: nothing is held back when there is little to tell. A key that changes again
//! before it left leaves once, and one that left in the last [`WINDOW`] waits for the window's end.
//! What the bus did not take stays first in line. When more waits than is kept, everything of a
//! tenant is ended instead of its keys.
//!
//! Values that go along with notices, and notices of what lives on, are favours: where too much
//! waits, or the bus did not take them at once, they are left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::coherence::{
    Bus, Change, EpochTarget, FRAME_NOTICES_MAX, FRAME_VALUES_MAX, Frame, Notice, SourceId,
};
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Error, ErrorKind, Event, Observer, Result, StoredKey, mutant};
use hashbrown::{HashMap, HashSet};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::BusStats;

/// A key is told of once in such a window.
const WINDOW: Duration = Duration::from_millis(5);

/// Longest wait for the bus to take a frame.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(250);

/// Between attempts to tell what the bus did not take.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_secs(1);

/// Notices that wait at most.
const WAITING_MAX: usize = 100_000;

/// Bytes of values that wait at most; those of further notices are left out.
const VALUES_WAITING_MAX: usize = 4 * FRAME_VALUES_MAX;

/// With more than so many notices in line, nobody is told of what lives on.
const LIVES_WAITING_MAX: usize = 4 * FRAME_NOTICES_MAX;

/// What later notices replace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Key(StoredKey),
    /// What lives on: an end of the same key is told beside it, and neither waits for the other.
    Life(StoredKey),
    Group(Arc<str>, EpochTarget),
}

impl Subject {
    fn of(notice: &Notice) -> Self {
        match &notice.change {
            Change::Raised(target) => Self::Group(Arc::clone(&notice.tenant), target.clone()),
            Change::Key { key, .. } | Change::Expired { key, .. } => Self::Key(key.clone()),
            Change::Extended { key, .. } => Self::Life(key.clone()),
            _ => Self::Group(Arc::clone(&notice.tenant), EpochTarget::Tenant),
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, Notice>,
    /// Bytes of the values among them.
    values: usize,
    /// Values that were left out.
    withheld: u64,
    places: HashMap<Subject, u64>,
    /// Who waits until everything up to a place was told.
    callers: BTreeMap<u64, Vec<oneshot::Sender<Result<()>>>>,
    /// Keys that were told of in this window.
    window: HashSet<Subject>,
    window_ends: Option<Instant>,
}

/// Notices on their way to the bus.
#[derive(Debug)]
pub(crate) struct Outbox {
    bus: Arc<dyn Bus>,
    manager: String,
    source: SourceId,
    observer: Arc<dyn Observer>,
    queue: Mutex<Queue>,
    /// Something waits.
    filled: Notify,
    /// Nothing waits any more.
    emptied: Notify,
    frames: AtomicU64,
    told: AtomicU64,
    failures: AtomicU64,
    overflows: AtomicU64,
    pushed: AtomicU64,
}

impl Outbox {
    pub(super) fn new(
        bus: Arc<dyn Bus>,
        manager: &str,
        source: SourceId,
        observer: Arc<dyn Observer>,
    ) -> Arc<Self> {
        Arc::new(Self {
            bus,
            manager: manager.to_owned(),
            source,
            observer,
            queue: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            frames: AtomicU64::new(0),
            told: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            pushed: AtomicU64::new(0),
        })
    }

    /// Puts notices in line and waits until the bus took them. An error says that it did not yet:
    /// they stay in line, whether the caller waits or not.
    pub(crate) async fn tell(&self, notices: Vec<Notice>) -> Result<()> {
        if notices.is_empty() || mutant::breaks("what is acknowledged was told") {
            return Ok(());
        }
        let (caller, answer) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            let places = notices.into_iter().map(|notice| queue.push(notice)).max();
            queue.callers.entry(places.unwrap_or_default()).or_default().push(caller);
            if queue.waiting.len() > WAITING_MAX {
                queue.collapse();
                self.overflows.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.filled.notify_one();
        answer.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Closed, "the bus was closed")))
    }

    /// Puts a notice in line that nobody waits for, unless too much waits already.
    pub(crate) fn post(&self, notice: Notice) {
        {
            let mut queue = self.queue.lock();
            if queue.waiting.len() >= LIVES_WAITING_MAX {
                return;
            }
            queue.push(notice);
        }
        self.filled.notify_one();
    }

    /// Tells what waits, for as long as the manager lives.
    pub(super) async fn run(self: Arc<Self>) {
        let mut pause = RETRY_FIRST;
        loop {
            let taken = self.queue.lock().take();
            let batch = match taken {
                Taken::Nothing => {
                    self.emptied.notify_waiters();
                    self.filled.notified().await;
                    continue;
                }
                Taken::NotYet(until) => {
                    tokio::time::sleep_until(until).await;
                    continue;
                }
                Taken::Batch(batch) => batch,
            };
            match self.publish(&batch).await {
                Ok(()) => {
                    pause = RETRY_FIRST;
                    let callers = self.queue.lock().told(batch);
                    callers.into_iter().for_each(|caller| drop(caller.send(Ok(()))));
                }
                Err(error) => {
                    let callers = self.queue.lock().put_back(batch);
                    self.failed(&error);
                    callers.into_iter().for_each(|caller| drop(caller.send(Err(error.clone()))));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MOST);
                }
            }
        }
    }

    async fn publish(&self, batch: &BTreeMap<u64, Notice>) -> Result<()> {
        let notices: Vec<_> = batch.values().cloned().collect();
        let count = notices.len() as u64;
        let has_value = |notice: &&Notice| value_of(notice) > 0;
        let pushed = notices.iter().filter(has_value).count() as u64;
        let mut frame = Frame { source: self.source, notices };
        let values = frame.take_values();
        let publish = self.bus.publish_with(&self.manager, frame.encode(), values);
        let late = |_| Err(Error::new(ErrorKind::Timeout, "the bus did not take a frame in time"));
        tokio::time::timeout(PUBLISH_TIMEOUT, publish).await.unwrap_or_else(late)?;
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.told.fetch_add(count, Ordering::Relaxed);
        self.pushed.fetch_add(pushed, Ordering::Relaxed);
        Ok(())
    }

    fn failed(&self, error: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(bus = self.bus.name(), error = %error, "the bus did not take a frame");
        let tier = self.bus.name().to_owned();
        let kind = error.kind();
        self.observer.on_event(&Event::TierFailed { tier, operation: "publish", kind });
    }

    /// Waits until nothing waits.
    pub(super) async fn drained(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.waiting() == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        let queue = self.queue.lock();
        queue.waiting.len() as u64
    }

    pub(super) fn stats(&self) -> BusStats {
        BusStats {
            frames: self.frames.load(Ordering::Relaxed),
            told: self.told.load(Ordering::Relaxed),
            waiting: self.waiting(),
            failures: self.failures.load(Ordering::Relaxed),
            overflows: self.overflows.load(Ordering::Relaxed),
            pushed: self.pushed.load(Ordering::Relaxed),
            withheld: self.queue.lock().withheld,
            ..BusStats::default()
        }
    }
}

enum Taken {
    Nothing,
    /// What is first in line may go then.
    NotYet(Instant),
    Batch(BTreeMap<u64, Notice>),
}

impl Queue {
    /// Puts a notice in line and answers its place.
    fn push(&mut self, mut notice: Notice) -> u64 {
        if self.values + value_of(&notice) > VALUES_WAITING_MAX {
            self.withheld += 1;
            leave_value_out(&mut notice);
        }
        self.values += value_of(&notice);
        let subject = Subject::of(&notice);
        if let Some(&place) = self.places.get(&subject)
            && let Some(held) = self.waiting.get_mut(&place)
        {
            let before = value_of(held) + value_of(&notice);
            merge(held, notice);
            self.values = self.values - before + value_of(held);
            return place;
        }
        let place = self.next;
        self.next += 1;
        self.places.insert(subject, place);
        self.waiting.insert(place, notice);
        place
    }

    /// What may leave now, first in line first.
    fn take(&mut self) -> Taken {
        let now = Instant::now();
        let window_ends = *self.window_ends.get_or_insert(now);
        if now >= window_ends {
            self.window.clear();
            self.window_ends = Some(now + WINDOW);
        }
        let (mut batch, mut values) = (BTreeMap::new(), 0);
        while batch.len() < FRAME_NOTICES_MAX
            && let Some(first) = self.waiting.first_entry()
        {
            let subject = Subject::of(first.get());
            let was_told = self.window.contains(&subject);
            if was_told && !mutant::breaks("a key is told of once in a window") {
                break;
            }
            let (place, mut notice) = first.remove_entry();
            self.places.remove(&subject);
            self.values -= value_of(&notice);
            if values + value_of(&notice) > FRAME_VALUES_MAX {
                self.withheld += 1;
                leave_value_out(&mut notice);
            }
            values += value_of(&notice);
            batch.insert(place, notice);
        }
        match (batch.is_empty(), self.waiting.is_empty()) {
            (false, _) => Taken::Batch(batch),
            (true, true) => Taken::Nothing,
            (true, false) => Taken::NotYet(window_ends.max(now)),
        }
    }

    /// The bus took a batch: who waited for it.
    fn told(&mut self, batch: BTreeMap<u64, Notice>) -> Vec<oneshot::Sender<Result<()>>> {
        let last = batch.last_key_value().map_or(0, |(place, _)| *place);
        let keys = batch.into_values().map(|notice| Subject::of(&notice));
        self.window.extend(keys.filter(|subject| matches!(subject, Subject::Key(_))));
        let later = self.callers.split_off(&(last + 1));
        std::mem::replace(&mut self.callers, later).into_values().flatten().collect()
    }

    /// The bus did not take a batch: it is first in line again, and all who wait are told. It
    /// goes without its values then: they have been read below, or are not wanted, when it does.
    fn put_back(&mut self, batch: BTreeMap<u64, Notice>) -> Vec<oneshot::Sender<Result<()>>> {
        for (place, mut notice) in batch {
            leave_value_out(&mut notice);
            let subject = Subject::of(&notice);
            match self.places.get(&subject).and_then(|place| self.waiting.get_mut(place)) {
                Some(later) => {
                    // What came later stands for both; it holds at least as much.
                    let newer = std::mem::replace(later, notice);
                    let before = value_of(&newer);
                    merge(later, newer);
                    self.values = self.values - before + value_of(later);
                }
                None => {
                    self.places.insert(subject, place);
                    self.waiting.insert(place, notice);
                }
            }
        }
        std::mem::take(&mut self.callers).into_values().flatten().collect()
    }

    /// Ends whole tenants instead of more keys than can be kept.
    fn collapse(&mut self) {
        if mutant::breaks("an overflow ends the tenant") {
            self.waiting.clear();
            self.values = 0;
            self.places.clear();
            self.callers.clear();
            return;
        }
        let mut tenants: BTreeMap<Arc<str>, Notice> = BTreeMap::new();
        self.values = 0;
        for notice in std::mem::take(&mut self.waiting).into_values() {
            let change = match notice.change {
                Change::Extended { .. } => continue,
                Change::Raised(EpochTarget::Everything) => EpochTarget::Everything,
                _ => EpochTarget::Tenant,
            };
            let whole = Notice { change: Change::Raised(change), ..notice };
            match tenants.entry(Arc::clone(&whole.tenant)) {
                std::collections::btree_map::Entry::Occupied(mut held) => {
                    let is_all = Change::Raised(EpochTarget::Everything);
                    if whole.change == is_all {
                        held.get_mut().change = is_all;
                    }
                    held.get_mut().at = held.get().at.max(whole.at);
                }
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(whole);
                }
            }
        }
        self.places.clear();
        let last = self.next;
        for notice in tenants.into_values() {
            self.push(notice);
        }
        // Who waited for a key waits for its tenant.
        let callers = std::mem::take(&mut self.callers).into_values().flatten().collect();
        self.callers.insert(self.next.saturating_sub(1).max(last), callers);
    }
}

/// Two notices of one subject in one: the greater number, and the stronger change.
fn merge(held: &mut Notice, mut other: Notice) {
    let is_hard = |notice: &Notice| matches!(notice.change, Change::Key { .. });
    let takes_other = match (is_hard(held), is_hard(&other)) {
        (true, false) => false,
        (false, true) => true,
        _ => other.at >= held.at,
    };
    if takes_other {
        std::mem::swap(held, &mut other);
    }
    if other.at > held.at {
        held.at = other.at;
        // A value is told with the number it has; this one has ended since.
        leave_value_out(held);
    }
}

/// Bytes of the value that goes along with a notice.
fn value_of(notice: &Notice) -> usize {
    match &notice.change {
        Change::Key { value: Some(value), .. } => value.len(),
        _ => 0,
    }
}

fn leave_value_out(notice: &mut Notice) {
    if let Change::Key { value, .. } = &mut notice.change {
        *value = None;
    }
}

#[cfg(test)]
mod tests;
