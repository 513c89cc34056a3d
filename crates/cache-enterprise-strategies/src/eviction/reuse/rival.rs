//! Whether plain recency would hit more.
//!
//! Of few entries uses are remembered for as long as of a thousand, or too few would be. So where
//! habits change, or somebody changes keys on purpose, what was learned stays wrong for many
//! rounds of the entries. Beside a small cache therefore stands a list of the names that it would
//! hold if the least recently used always left. What the list hits and the policy misses adds to
//! its lead, what the policy hits and the list misses takes away, and a lead fades, so that merits
//! of long ago do not count. From a certain lead on the policy does as recency does, for some
//! rounds of its entries; then what was learned meanwhile has its next try. Where that fails too,
//! the next pause is twice as long.

use super::super::ghosts::{Ghosts, Name as Listed};
use super::history::Name;

/// Uses for each entry that recency must be ahead by.
const LEAD: f32 = 0.5;
/// Fewer uses are no lead however few entries there are.
const LEAST_LEAD: f32 = 16.0;
/// How much of a lead fades with a request.
const FADE: f32 = 0.01;
/// Requests for each entry of the first pause, and of a try that did not fail.
const PAUSE: u64 = 32;
/// How often the pause doubles.
const DOUBLINGS: u32 = 4;
/// Names for each entry that the list has room for, where entries are lighter than they were.
const NAMES: usize = 4;

/// Recency beside a policy.
#[derive(Debug, Default)]
pub(super) struct Rival {
    /// What recency would hold, with the weight of each.
    held: Ghosts<u32>,
    weight: u64,
    /// What recency has hit more than the policy, in uses.
    lead: f32,
    /// Whether the policy does as recency does, and since how many requests it does or not.
    leads: bool,
    since: u64,
    /// How many tries in a row failed.
    failed: u32,
}

/// A key that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) name: Name,
    pub(super) weight: u32,
    /// What the use is worth, 1 as a rule.
    pub(super) worth: f32,
    /// Whether the policy had it.
    pub(super) hit: bool,
}

impl Rival {
    /// Whether to do as recency does.
    pub(super) fn leads(&self) -> bool {
        self.leads
    }

    /// A request to a cache of so many entries, in which recency would have so much room.
    pub(super) fn asked(&mut self, asked: Asked, entries: usize, room: u64) {
        self.since += 1;
        let had = self.hold(asked, entries, room);
        if self.leads {
            if self.since >= self.pause(entries) {
                self.turn(false);
            }
            return;
        }
        match (had, asked.hit) {
            (true, false) => self.lead += asked.worth,
            (false, true) => self.lead -= asked.worth,
            _ => {}
        }
        self.lead = (self.lead - FADE).max(0.0);
        if self.lead > (LEAD * entries as f32).max(LEAST_LEAD) {
            let soon = self.since < self.pause(entries);
            self.failed = if soon { (self.failed + 1).min(DOUBLINGS) } else { 0 };
            self.turn(true);
        }
    }

    /// Whether recency would have had the key, which it has now.
    fn hold(&mut self, asked: Asked, entries: usize, room: u64) -> bool {
        let key = u64::from(asked.name.bits());
        let had = self.held.take(key);
        self.weight -= u64::from(had.unwrap_or(0));
        let room = room.saturating_sub(u64::from(asked.weight));
        let names = entries * NAMES;
        while self.weight > room || self.held.len() >= names {
            let Some(oldest) = self.held.oldest() else { break };
            self.weight -= u64::from(oldest);
            self.held.forget_oldest();
        }
        self.held.push(Listed::of(key), asked.weight, names);
        self.weight += u64::from(asked.weight);
        had.is_some()
    }

    fn pause(&self, entries: usize) -> u64 {
        (PAUSE << self.failed) * entries as u64
    }

    fn turn(&mut self, leads: bool) {
        self.leads = leads;
        self.since = 0;
        self.lead = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for keys of weight 1 in a cache of 64 entries.
    fn ask(rival: &mut Rival, keys: impl Iterator<Item = u64>, hit: bool) {
        for key in keys {
            let asked = Asked { name: Name::new(key, 3), weight: 1, worth: 1.0, hit };
            rival.asked(asked, 64, 64);
        }
    }

    #[test]
    fn holds_what_was_used_last() {
        let mut rival = Rival::default();
        ask(&mut rival, 0..1_000, false);
        assert_eq!((rival.held.len(), rival.weight), (64, 64));
        assert_eq!(rival.lead, 0.0);
        // All of the last 64, and none before them.
        ask(&mut rival, 936..946, false);
        assert!((9.0..=10.0).contains(&rival.lead), "{}", rival.lead);
        ask(&mut rival, 900..936, true);
        assert_eq!(rival.lead, 0.0);
    }

    #[test]
    fn weights_bound_what_it_holds() {
        let mut rival = Rival::default();
        for key in 0..100 {
            let weight = 1 + key as u32 % 7;
            let asked = Asked { name: Name::new(key, 3), weight, worth: 1.0, hit: false };
            rival.asked(asked, 64, 50);
            assert!(rival.weight <= 50);
        }
        let heavy = Asked { name: Name::new(7, 3), weight: u32::MAX, worth: 1.0, hit: false };
        rival.asked(heavy, 64, 50);
        assert_eq!((rival.held.len(), rival.weight), (1, u64::from(u32::MAX)));
    }

    #[test]
    fn pauses_grow_while_tries_fail() {
        let mut rival = Rival::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            while !rival.leads() {
                ask(&mut rival, 0..32, false);
            }
            let mut pause = 0;
            while rival.leads() {
                ask(&mut rival, 0..1, false);
                pause += 1;
            }
            pauses.push(pause / 64);
        }
        assert!(pauses.is_sorted() && pauses[0] <= 64 && pauses[6] >= 500, "{pauses:?}");
        // A try that went well for long is a new beginning.
        ask(&mut rival, (0..PAUSE * 64 * 16 / 32).flat_map(|_| 0..32), true);
        while !rival.leads() {
            ask(&mut rival, 0..32, false);
        }
        assert_eq!(rival.failed, 0);
    }
}
