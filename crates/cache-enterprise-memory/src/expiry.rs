//! Dropping entries whose life has ended.
//!
//! Only entries with an end are scheduled, in stripes of their own locks so that writers seldom
//! meet. A reader never relies on it: the engine checks each entry's date. What the wheel does is
//! give memory back.

use std::sync::Arc;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Entry, Freshness, Millis, NEVER};

use crate::wheel::{Slot, Wheel};

/// Records looked at in one turn of one store.
const TURN_RECORDS_MAX: usize = 4_096;

/// Records taken from a slot at once.
const BATCH: usize = 256;

/// A slot whose tick still runs is looked at in every turn when it is this short, so that few
/// entries leave at their exact millisecond; a longer one waits for its tick to end.
const RUNNING_MAX: usize = 64;

/// Live and dead records may be this many in a stripe, or twice the live ones, before the dead are
/// sifted out in turns. At half as many again (nobody turns the store, or not often enough) each
/// insert sifts a few itself.
const SIFT_FLOOR: usize = 256;

/// Records an insert sifts when turns do not keep up; most of them are dead then.
const INSERT_SIFT: usize = 16;

#[derive(Debug)]
pub(crate) struct Expiry {
    stripes: Box<[Mutex<Stripe>]>,
    /// Held during a turn, so that no slot comes up while its records are sifted. A second caller
    /// goes away.
    turning: Mutex<Box<[Sifting]>>,
}

#[derive(Debug)]
struct Stripe {
    wheel: Wheel,
    /// Sifting begins above this many records.
    sift_above: usize,
}

/// How far the sifting of a stripe has come.
#[derive(Clone, Debug, Default)]
struct Sifting {
    is_running: bool,
    next_slot: usize,
    /// Live records found so far.
    live: usize,
    /// What the slot before the next one held; sorted, each once.
    in_hand: Option<(Slot, Vec<u64>)>,
}

/// What the wheel asks of the store, by the hash of a key.
pub(crate) trait Shelf {
    /// Entries held.
    fn len(&self) -> usize;
    /// When the entry under this hash ends, if it is there and ends.
    fn end_of(&self, hash: u64) -> Option<End>;
    /// Drops the entry under this hash if it has ended. When one ends that has not.
    fn drop_ended(&mut self, hash: u64) -> Option<End>;
}

impl Expiry {
    pub(crate) fn new(stripes: usize) -> Self {
        let stripe = || Mutex::new(Stripe { wheel: Wheel::default(), sift_above: SIFT_FLOOR });
        Self {
            stripes: (0..stripes).map(|_| stripe()).collect(),
            turning: Mutex::new(vec![Sifting::default(); stripes].into()),
        }
    }

    /// Notes that the entry under `hash` ends at `end`.
    pub(crate) fn schedule(&self, hash: u64, end: Millis, shelf: &impl Shelf) {
        let number = hash as usize % self.stripes.len();
        let is_full = {
            let mut stripe = self.stripes[number].lock();
            stripe.wheel.schedule(hash, end);
            stripe.is_overfull()
        };
        if is_full {
            self.make_room(number, shelf);
        }
    }

    #[cold]
    fn make_room(&self, number: usize, shelf: &impl Shelf) {
        let live_max = shelf.len() / self.stripes.len();
        let stripe = &self.stripes[number];
        let is_full = {
            let mut stripe = stripe.lock();
            stripe.expect_live(live_max);
            stripe.is_overfull()
        };
        // A turn that is under way sifts already.
        if is_full && let Some(mut sifting) = self.turning.try_lock() {
            sift(stripe, &mut sifting[number], INSERT_SIFT, shelf);
        }
    }

    /// Drops what has ended at `now`, at most [`TURN_RECORDS_MAX`] records a turn.
    pub(crate) fn turn(&self, now: Millis, shelf: &mut impl Shelf) {
        let Some(mut sifting) = self.turning.try_lock() else { return };
        let mut records_left = TURN_RECORDS_MAX;
        let live_max = shelf.len() / self.stripes.len();
        for (stripe, sifting) in self.stripes.iter().zip(&mut *sifting) {
            fire(stripe, now, &mut records_left, shelf);
            stripe.lock().expect_live(live_max);
            records_left -= sift(stripe, sifting, records_left, shelf);
        }
    }
}

impl Stripe {
    /// Leaves a store alone that was just filled: its records are all live.
    fn expect_live(&mut self, live_max: usize) {
        self.sift_above = self.sift_above.max(live_max * 2);
    }

    fn is_overfull(&self) -> bool {
        self.wheel.len() > self.sift_above + self.sift_above / 2
    }
}

/// Handles the slots that have come up. The stripe is not locked while the store is asked.
fn fire(stripe: &Mutex<Stripe>, now: Millis, records_left: &mut usize, shelf: &mut impl Shelf) {
    while *records_left > 0 {
        let taken = {
            let wheel = &mut stripe.lock().wheel;
            if wheel.running_len(now).is_some_and(|records| records > RUNNING_MAX) {
                return;
            }
            wheel.take_due(now, BATCH)
        };
        let Some((slot, records)) = taken else { return };
        *records_left = records_left.saturating_sub(records.len());
        let is_running = Wheel::is_running(slot, now);
        let mut kept = Vec::new();
        for hash in records {
            let Some(end) = shelf.end_of(hash) else { continue };
            // A date outside the slot was moved by a read, or is that of a later value, which has
            // a record of its own.
            let end = if end.at <= now { shelf.drop_ended(hash) } else { Some(end) };
            let belongs = |end: &End| end.at > now && (slot.holds(end.at) || end.moves);
            kept.extend(end.filter(belongs).map(|end| (hash, end.at)));
        }
        let wheel = &mut stripe.lock().wheel;
        for (hash, end) in kept {
            wheel.schedule(hash, end);
        }
        if is_running {
            return;
        }
    }
}

/// Throws out records of entries that are gone or have another date: looks at up to `most` and
/// returns at how many.
fn sift(stripe: &Mutex<Stripe>, sifting: &mut Sifting, most: usize, shelf: &impl Shelf) -> usize {
    let mut looked_at = 0;
    while looked_at < most && sifting.take_slot(stripe) {
        let Some((slot, records)) = &mut sifting.in_hand else { break };
        let part = records.split_off(records.len().saturating_sub(most - looked_at));
        looked_at += part.len();
        let live = part.into_iter().filter_map(|hash| Some((hash, shelf.end_of(hash)?)));
        // A date beyond the slot is that of a later value, which has a record of its own, or was
        // moved by a read. One before it came up while its record was in hand.
        let live: Vec<_> = live.filter(|(_, end)| slot.ends_after(end.at) || end.moves).collect();
        sifting.live += live.iter().filter(|(_, end)| slot.holds(end.at)).count();
        let wheel = &mut stripe.lock().wheel;
        for (hash, end) in live {
            wheel.schedule(hash, end.at);
        }
    }
    looked_at
}

impl Sifting {
    /// Makes sure that records are in hand; `false` when there are none to sift.
    fn take_slot(&mut self, stripe: &Mutex<Stripe>) -> bool {
        if self.in_hand.as_ref().is_some_and(|(_, records)| !records.is_empty()) {
            return true;
        }
        let mut stripe = stripe.lock();
        if !self.is_running {
            self.is_running = stripe.wheel.len() > stripe.sift_above;
            (self.next_slot, self.live) = (0, 0);
        }
        while self.is_running {
            let Some((slot, mut records)) = stripe.wheel.take_slot(self.next_slot) else {
                stripe.sift_above = (self.live * 2).max(SIFT_FLOOR);
                self.is_running = false;
                break;
            };
            self.next_slot += 1;
            if !records.is_empty() {
                drop(stripe);
                // A key that was written often within the slot's span has many records in it.
                records.sort_unstable();
                records.dedup();
                self.in_hand = Some((slot, records));
                return true;
            }
        }
        self.in_hand = None;
        false
    }
}

/// When an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The first millisecond at which it is gone if nobody reads it before.
    pub(crate) at: Millis,
    /// A read may move it: the entry has idle expiry.
    pub(crate) moves: bool,
}

impl End {
    /// The end of `entry`; `None` for one that lasts for ever.
    pub(crate) fn of<V>(entry: &Arc<Entry<V>>) -> Option<Self> {
        let (dates, moves) = (entry.dates(), entry.has_idle_expiry());
        // Of a long life the one date is rounded down and the other is not.
        let end = dates.expires.max(dates.fresh_until);
        let last = end.saturating_sub(1);
        // An entry that is gone before its last millisecond ends by idleness.
        if last > dates.created && entry.freshness(last) == Freshness::Expired {
            return Some(Self { at: first_expired(entry, last), moves });
        }
        (end != NEVER).then_some(Self { at: end, moves })
    }
}

/// Expired is for good, so the first such moment is found by halving.
fn first_expired<V>(entry: &Arc<Entry<V>>, known_expired: Millis) -> Millis {
    let (mut alive, mut expired) = (entry.created(), known_expired);
    while expired - alive > 1 {
        let middle = alive + (expired - alive) / 2;
        if entry.freshness(middle) == Freshness::Expired {
            expired = middle;
        } else {
            alive = middle;
        }
    }
    expired
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Keys and their ends, without values.
    #[derive(Default)]
    struct Ends(HashMap<u64, Millis>);

    impl Shelf for Ends {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn end_of(&self, hash: u64) -> Option<End> {
            self.0.get(&hash).map(|at| End { at: *at, moves: false })
        }

        fn drop_ended(&mut self, hash: u64) -> Option<End> {
            self.0.remove(&hash);
            None
        }
    }

    fn records(expiry: &Expiry) -> usize {
        expiry.stripes.iter().map(|stripe| stripe.lock().wheel.len()).sum()
    }

    #[test]
    fn a_key_written_again_and_again_does_not_fill_the_wheel() {
        for turns in [false, true] {
            let (expiry, mut ends) = (Expiry::new(2), Ends::default());
            for now in 0..300_000 {
                let (hash, end) = (now % 100, now + 3_600_000);
                ends.0.insert(hash, end);
                expiry.schedule(hash, end, &ends);
                if turns && now % 100 == 0 {
                    expiry.turn(now, &mut ends);
                }
            }
            let held = records(&expiry);
            assert!(held <= 2 * (SIFT_FLOOR * 2 + 1), "{held} records, turns {turns}");
            (0..5).for_each(|_| expiry.turn(300_000 + 3_600_000, &mut ends));
            assert!(ends.0.is_empty(), "a live record was sifted out");
        }
    }

    #[test]
    fn what_comes_up_while_it_is_sifted_keeps_its_record() {
        let stripe = Mutex::new(Stripe { wheel: Wheel::default(), sift_above: 0 });
        let (mut ends, mut sifting) = (Ends::default(), Sifting::default());
        assert!(stripe.lock().wheel.take_due(640, 1).is_none());
        for hash in 0..100 {
            ends.0.insert(hash, 700);
            stripe.lock().wheel.schedule(hash, 700);
        }
        assert_eq!(sift(&stripe, &mut sifting, 16, &ends), 16);
        // The tick passes, with the rest in hand.
        while stripe.lock().wheel.take_due(704, BATCH).is_some() {}
        sift(&stripe, &mut sifting, 1_000, &ends);
        assert_eq!(stripe.lock().wheel.len(), 100 - 16);
    }

    #[test]
    fn a_burst_between_two_turns_is_scheduled_whole() {
        let (expiry, mut ends) = (Expiry::new(2), Ends::default());
        for hash in 0..100_000 {
            ends.0.insert(hash, 1_000 + hash % 50);
            expiry.schedule(hash, 1_000 + hash % 50, &ends);
        }
        for _ in 0..100 {
            expiry.turn(2_000, &mut ends);
        }
        assert!(ends.0.is_empty());
        assert_eq!(records(&expiry), 0);
    }
}
