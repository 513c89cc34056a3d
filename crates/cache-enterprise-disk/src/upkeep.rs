//! What happens in the background: full fronts become generations, the oldest generations make
//! room, expired entries are swept, and writing resumes after a failure.
//!
//! One thread does it, a `turn` at a time. The shelves are locked for writing only to exchange a
//! pointer; copying works on handles, so gets and puts go on. At the worst the directory holds
//! the generations with the copy in progress (7/8), the front it is made of (1/16) and a front of
//! double size (2/16): 17/16 of the budget, and some small files.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_enterprise_core::{Clock, Error, ErrorKind, MIB, Result};
use fjall::Keyspace;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::Notify;

use crate::error;
use crate::record::{Head, KeyHash, Kind, seal};
use crate::shelf::{Front, Generation, Shelves, Store, copy};

/// Pause before a failed write or copy is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Records one sweep looks at.
const SWEEP_RECORDS: usize = 16_384;

/// How the budget is divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) front: u64,
    pub(crate) generation: u64,
    pub(crate) generations: u64,
    pub(crate) value: usize,
}

impl Sizes {
    /// A front of 1/16 (at most 64 MiB, as it is in memory too), generations of 1/16, 7/8 for
    /// all of them.
    pub(crate) fn of(budget: u64) -> Self {
        let value = (budget / 16).min(64 * MIB);
        Self {
            front: (budget / 16).min(64 * MIB),
            generation: budget / 16,
            generations: budget / 8 * 7,
            value: usize::try_from(value).expect("64 MiB fit"),
        }
    }
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) records: u64,
    pub(crate) freed_bytes: u64,
}

/// Where the next sweep goes on, and what this pass over the generation has seen.
#[derive(Debug, Default)]
struct Pass {
    generation: Option<u64>,
    after: Option<Vec<u8>>,
    bytes: u64,
    dead_bytes: u64,
    /// A copy failed: the next one goes to a generation of its own, which replaces the remains.
    copy_failed: bool,
}

#[derive(Debug, Default)]
struct Wanted {
    look: bool,
    stop: bool,
}

/// The shelves with what keeps them in order. Shared by the backend and its thread.
pub(crate) struct Upkeep {
    pub(crate) directory: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) sizes: Sizes,
    /// Empty once closed.
    pub(crate) shelves: RwLock<Option<Shelves>>,
    pub(crate) dropped_generations: AtomicU64,
    room: Notify,
    fault: Mutex<Option<Error>>,
    is_front_stuck: AtomicBool,
    turn: Mutex<Pass>,
    wanted: Mutex<Wanted>,
    wake: Condvar,
}

impl Upkeep {
    pub(crate) fn new(directory: PathBuf, clock: Clock, sizes: Sizes, shelves: Shelves) -> Self {
        let look = shelves.draining.is_some();
        Self {
            directory,
            clock,
            sizes,
            shelves: RwLock::new(Some(shelves)),
            dropped_generations: AtomicU64::new(0),
            room: Notify::new(),
            fault: Mutex::default(),
            is_front_stuck: AtomicBool::new(false),
            turn: Mutex::default(),
            wanted: Mutex::new(Wanted { look, stop: false }),
            wake: Condvar::new(),
        }
    }

    /// Precise wall time in milliseconds; moves a coarse clock that nobody ticks.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.clock.wall_of(self.clock.tick())
    }

    /// Why writing fails at present.
    pub(crate) fn fault(&self) -> Option<Error> {
        self.fault.lock().clone()
    }

    /// A write failed: fjall takes no more in that database, so the front is exchanged as soon
    /// as a new one can be made.
    pub(crate) fn front_failed(&self, failure: &Error) {
        self.fault.lock().get_or_insert_with(|| failure.clone());
        self.is_front_stuck.store(true, Ordering::Release);
        self.look();
    }

    /// Asks the thread to see whether the front is full.
    pub(crate) fn look(&self) {
        self.wanted.lock().look = true;
        self.wake.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
    }

    /// Lets go of the shelves, then wakes those who wait for room: they see that it is closed, as
    /// does who enlists from now on.
    pub(crate) fn close(&self) {
        drop(self.shelves.write().take());
        self.room.notify_waiters();
    }

    /// Waits while copying is a whole front behind.
    pub(crate) async fn room(&self, operation: &'static str) -> Result<()> {
        while !self.has_room(operation)? {
            let mut freed = std::pin::pin!(self.room.notified());
            freed.as_mut().enable();
            // Asked again once enlisted, so that what was freed in between is not missed.
            if self.has_room(operation)? {
                break;
            }
            self.look();
            freed.await;
        }
        Ok(())
    }

    fn has_room(&self, operation: &'static str) -> Result<bool> {
        let shelves = self.shelves.read();
        let shelves = shelves.as_ref().ok_or_else(|| error::closed(operation))?;
        if shelves.front.bytes() < self.sizes.front * 2 {
            return Ok(true);
        }
        match self.fault() {
            None => Ok(false),
            Some(fault) => Err(Error::new(
                ErrorKind::Unavailable,
                "writing is suspended until the directory can be written again",
            )
            .operation(operation)
            .source_error(fault)),
        }
    }

    /// The thread's whole life.
    pub(crate) fn run(&self, sweep_every: Duration) {
        let mut sweep_at = Instant::now() + sweep_every;
        while self.wait(sweep_at) {
            let mut done = self.turn_over();
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + sweep_every;
                done = done.and_then(|()| self.sweep().map(|_| ()));
            }
            self.note(done);
        }
    }

    /// Waits for work; `false` ends the thread.
    fn wait(&self, sweep_at: Instant) -> bool {
        let until = match self.fault() {
            Some(_) => sweep_at.min(Instant::now() + RETRY_AFTER),
            None => sweep_at,
        };
        let mut wanted = self.wanted.lock();
        // After a failure a request does not cut the pause short: every failing put makes one.
        let is_failing = until != sweep_at;
        while !wanted.stop && (is_failing || !wanted.look) {
            if self.wake.wait_until(&mut wanted, until).timed_out() {
                break;
            }
        }
        wanted.look = false;
        !wanted.stop
    }

    fn note(&self, done: fjall::Result<()>) {
        match done {
            Ok(()) => *self.fault.lock() = None,
            Err(cause) => {
                *self.fault.lock() = Some(error::from_fjall("upkeep", &self.directory, cause));
            }
        }
        self.room.notify_waiters();
    }

    /// Copies what waits to be copied and exchanges a front that is full or cannot be written.
    pub(crate) fn turn_over(&self) -> fjall::Result<()> {
        let mut pass = self.turn.lock();
        loop {
            let drained = self.drain(pass.copy_failed);
            pass.copy_failed = drained.is_err();
            drained?;
            let Some(number) = self.due_front() else { return Ok(()) };
            let fresh = Front::create(&self.directory, number + 1)?;
            if let Some(shelves) = &mut *self.shelves.write() {
                shelves.draining = Some(std::mem::replace(&mut shelves.front, fresh));
                self.is_front_stuck.store(false, Ordering::Release);
            }
            self.room.notify_waiters();
        }
    }

    /// The number of the front, when it should be exchanged.
    fn due_front(&self) -> Option<u64> {
        let shelves = self.shelves.read();
        let front = &shelves.as_ref()?.front;
        let is_due =
            front.bytes() >= self.sizes.front || self.is_front_stuck.load(Ordering::Acquire);
        is_due.then(|| front.number())
    }

    /// Copies the draining front into the newest generation, or into a new one, and removes it.
    fn drain(&self, into_new: bool) -> fjall::Result<()> {
        let Some((source, store, bytes)) = self.draining() else { return Ok(()) };
        let hides_nothing = self.make_room(bytes)? == 0;
        let wall_ms = self.wall_ms();
        let fill = |target: &Keyspace| {
            copy(&source, target, |key, record| survive(key, record, wall_ms, hides_nothing))
        };
        let newest = self.newest_generation();
        let fresh = match &newest {
            Some(newest) if !into_new && newest.bytes() + bytes <= self.sizes.generation => {
                fill(newest.records())?;
                None
            }
            _ => store.create(newest.map_or(1, |newest| newest.number + 1), 0, fill)?,
        };
        let drained = match &mut *self.shelves.write() {
            Some(shelves) => {
                if let Some(fresh) = fresh {
                    shelves.generations.push_front(fresh);
                }
                shelves.draining.take()
            }
            None => None,
        };
        self.room.notify_waiters();
        drop(source);
        drained.map_or(Ok(()), |front| front.discard().map_err(Into::into))
    }

    fn draining(&self) -> Option<(Keyspace, Store, u64)> {
        let shelves = self.shelves.read();
        let shelves = shelves.as_ref()?;
        let draining = shelves.draining.as_ref()?;
        Some((draining.records().clone(), shelves.store.clone(), draining.bytes()))
    }

    fn newest_generation(&self) -> Option<Generation> {
        self.shelves.read().as_ref()?.generations.front().cloned()
    }

    /// Drops the oldest generations until `incoming` bytes fit. Returns how many are left.
    fn make_room(&self, incoming: u64) -> fjall::Result<usize> {
        loop {
            let oldest = {
                let shelves = self.shelves.read();
                let Some(shelves) = &*shelves else { return Ok(0) };
                if shelves.generations_bytes() + incoming <= self.sizes.generations {
                    return Ok(shelves.generations.len());
                }
                match shelves.generations.back() {
                    Some(oldest) => oldest.clone(),
                    None => return Ok(0),
                }
            };
            // First on the disk: what left the list must not come back after a crash.
            oldest.doom()?;
            if let Some(shelves) = &mut *self.shelves.write() {
                shelves.generations.pop_back();
            }
            self.dropped_generations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks at the next stretch of records; a generation that is dead by more than half at the
    /// end of its pass is rewritten without the dead.
    pub(crate) fn sweep(&self) -> fjall::Result<Swept> {
        let mut pass = self.turn.lock();
        let Some(generation) = self.sweep_target(&mut pass) else { return Ok(Swept::default()) };
        let wall_ms = self.wall_ms();
        let mut swept = Swept::default();
        let start = match pass.after.take() {
            Some(after) => std::ops::Bound::Excluded(after),
            None => std::ops::Bound::Unbounded,
        };
        let rest = generation.records().range::<Vec<u8>, _>((start, std::ops::Bound::Unbounded));
        for guard in rest.take(SWEEP_RECORDS) {
            let (key, record) = guard.into_inner()?;
            let bytes = u64::try_from(key.len() + record.len()).unwrap_or(u64::MAX);
            pass.bytes += bytes;
            if Head::peek(&record).is_some_and(|head| !head.is_live(|| wall_ms)) {
                pass.dead_bytes += bytes;
            }
            pass.after = Some(key.to_vec());
            swept.records += 1;
        }
        if swept.records < SWEEP_RECORDS as u64 {
            let is_mostly_dead = pass.dead_bytes * 2 > pass.bytes;
            *pass = Pass {
                generation: Some(generation.number + 1),
                copy_failed: pass.copy_failed,
                ..Pass::default()
            };
            if is_mostly_dead {
                swept.freed_bytes = self.rewrite(generation, wall_ms)?;
            }
        }
        Ok(swept)
    }

    /// The generation the pass is at, or the next newer one, or the oldest again.
    fn sweep_target(&self, pass: &mut Pass) -> Option<Generation> {
        let shelves = self.shelves.read();
        let generations = &shelves.as_ref()?.generations;
        let at = pass.generation.unwrap_or(0);
        let found = generations.iter().rev().find(|generation| generation.number >= at);
        let found = found.or_else(|| generations.back())?;
        if pass.generation != Some(found.number) {
            *pass = Pass {
                generation: Some(found.number),
                copy_failed: pass.copy_failed,
                ..Pass::default()
            };
        }
        Some(found.clone())
    }

    /// Replaces a generation by a copy without what expired. Returns the bytes freed.
    fn rewrite(&self, old: Generation, wall_ms: i64) -> fjall::Result<u64> {
        let Some((store, is_oldest)) = self.shelves.read().as_ref().map(|shelves| {
            let oldest = shelves.generations.back().map(|oldest| oldest.number);
            (shelves.store.clone(), oldest == Some(old.number))
        }) else {
            return Ok(0);
        };
        let fresh = store.create(old.number, old.edition + 1, |target| {
            copy(old.records(), target, |key, record| survive(key, record, wall_ms, is_oldest))
        })?;
        let freed = old.bytes().saturating_sub(fresh.as_ref().map_or(0, Generation::bytes));
        // Before the copy takes over: it may be copied into, and then nothing may prefer the old.
        old.doom()?;
        if let Some(shelves) = &mut *self.shelves.write() {
            replace(&mut shelves.generations, old.number, fresh);
        }
        Ok(freed)
    }
}

fn replace(generations: &mut VecDeque<Generation>, number: u64, fresh: Option<Generation>) {
    let Some(at) = generations.iter().position(|one| one.number == number) else { return };
    match fresh {
        Some(fresh) => generations[at] = fresh,
        None => drop(generations.remove(at)),
    }
}

/// What a copy keeps of a record. The dead are needed only while they hide something older; then
/// their header is enough. What cannot be read is kept: its reader shall learn of the damage.
fn survive(
    key: &[u8],
    record: bytes::Bytes,
    wall_ms: i64,
    hides_nothing: bool,
) -> Option<bytes::Bytes> {
    match Head::peek(&record) {
        Some(head) if !head.is_live(|| wall_ms) => match (hides_nothing, head.kind) {
            (true, _) => None,
            (false, Kind::Removed) => Some(record),
            (false, Kind::Value) => Some(seal(KeyHash::of(key), Head::removed(head.version), b"")),
        },
        _ => Some(record),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_writer_that_waits_for_room_is_told_of_the_close() {
        let folder = tempfile::tempdir().unwrap();
        let shelves = Shelves::open(folder.path(), MIB).unwrap();
        let sizes = Sizes { front: 0, ..Sizes::of(16 * MIB) };
        let upkeep = Upkeep::new(folder.path().into(), Clock::manual(), sizes, shelves);
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(upkeep.room("put"));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        upkeep.close();
        let Poll::Ready(told) = waiting.as_mut().poll(&mut context) else {
            panic!("it waits for somebody who is gone");
        };
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Closed);
    }
}
