//! The reference model: which values a read may give.
//!
//! The promise, as the judge takes it: once a hard invalidation of a key was acknowledged, no read
//! that begins later gives a value that was loaded from an older truth, or written by a call that
//! had ended before the invalidation began. Two writes at the same time may end in either order.
//! One exception: what another process holds near itself may be older for a bounded time.

use cache_enterprise_core::{Millis, mutant};

use super::history::{
    Acknowledged, Action, History, Maker, Moment, Outcome, Place, Record, Seen, Strength,
};

/// Judges histories.
///
/// [`Recorder`](super::Recorder) has an example.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// How long after an acknowledgement other processes may serve an older value from near
    /// themselves, in milliseconds. Default: 1 000, the bound of a cache that hears a bus.
    pub near_ms: Millis,
    /// Whether all clocks agree and go on evenly: only then is what ends by a date judged. Default:
    /// they do.
    pub has_steady_clocks: bool,
}

impl Default for Judge {
    fn default() -> Self {
        Self { near_ms: 1_000, has_steady_clocks: true }
    }
}

/// A read that broke the promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The read, as a place in the history.
    pub read: usize,
    /// The key.
    pub key: u64,
    /// What it gave.
    pub seen: Seen,
    /// The invalidation or write that it contradicts; none for a value that nobody made.
    pub against: Option<usize>,
}

impl Violation {
    /// The violation in one line.
    pub fn tell(&self, history: &History) -> String {
        let read = &history.records[self.read];
        let Seen { stamp, place, is_stale } = self.seen;
        let stale = if is_stale { ", told to be stale" } else { "" };
        let gave = format!(
            "{} read key {} from {} ms on and got generation {} ({place:?}{stale})",
            read.process, self.key, read.begin.at, stamp.generation
        );
        let Some(against) = self.against else { return format!("{gave}, which nobody made") };
        let record = &history.records[against];
        let what = match &record.action {
            Action::Read(_) => "read",
            Action::Write(_) => "write",
            Action::Invalidate(_, Strength::Hard) => "hard invalidation",
            Action::Invalidate(_, Strength::Soft | Strength::Dated) => "soft invalidation",
        };
        let truth = truth_of(record, self.key).unwrap_or_default();
        let acknowledged = record.end.as_ref().map_or(0, |(end, _)| end.at);
        format!(
            "{gave}, though a {what} of generation {truth} by {} was acknowledged at {acknowledged} ms",
            record.process
        )
    }
}

impl Judge {
    /// Every read of `history` that broke the promise, one violation a key at most.
    pub fn judge(&self, history: &History) -> Vec<Violation> {
        self.judge_from(history, 0)
    }

    /// As [`judge`](Self::judge), of the reads from this place of the history on.
    pub fn judge_from(&self, history: &History, from: usize) -> Vec<Violation> {
        let mut violations = Vec::new();
        // Most records are reads, which forbid nothing, and each read is held against the rest.
        let changes = history.records.iter().enumerate();
        let changes: Vec<_> = changes
            .filter(|(_, record)| matches!(record.end, Some((_, Outcome::Done(_)))))
            .collect();
        for (read, record) in history.records.iter().enumerate().skip(from) {
            let Some((_, Outcome::Values(values))) = &record.end else { continue };
            for (&key, seen) in record.action.keys().iter().zip(values) {
                let Some(seen) = *seen else { continue };
                if let Err(against) = self.permits(history, &changes, record, key, seen) {
                    violations.push(Violation { read, key, seen, against });
                }
            }
        }
        violations
    }

    /// Whether `read` may give this value; else which of the answered changes it contradicts.
    fn permits(
        &self,
        history: &History,
        changes: &[(usize, &Record)],
        read: &Record,
        key: u64,
        seen: Seen,
    ) -> Result<(), Option<usize>> {
        let maker = usize::try_from(seen.stamp.write).ok().and_then(|at| history.makers.get(at));
        let made = maker.filter(|maker| seen.stamp.key == key && is_made_for(history, maker, key));
        let Some(&maker) = made else { return Err(None) };
        let contradicted = changes.iter().find(|(_, record)| {
            record.begin.order < read.begin.order
                && self.forbids(record, read, key, seen)
                && is_older(history, maker, record, key, seen)
        });
        contradicted.map_or(Ok(()), |(against, _)| Err(Some(*against)))
    }

    /// Whether older values than `record`'s are forbidden to `read`.
    fn forbids(&self, record: &Record, read: &Record, key: u64, seen: Seen) -> bool {
        let Some((end, Outcome::Done(acknowledged))) = &record.end else { return false };
        let is_told = match &record.action {
            Action::Read(_) => false,
            Action::Write(_) | Action::Invalidate(_, Strength::Hard) => true,
            Action::Invalidate(_, strength) => {
                let is_known = *strength == Strength::Soft || self.has_steady_clocks;
                is_known && !seen.is_stale && record.process == read.process
            }
        };
        if !is_told || end.order > read.begin.order || !record.action.keys().contains(&key) {
            return false;
        }
        if record.process == read.process {
            return *acknowledged >= Acknowledged::Here;
        }
        *acknowledged == Acknowledged::Everywhere && !self.tolerates(end, read, seen)
    }

    /// What another process holds near itself may be older for a while.
    fn tolerates(&self, acknowledged: &Moment, read: &Record, seen: Seen) -> bool {
        if mutant::breaks("the judge tolerates no more than is promised") {
            return true;
        }
        seen.place == Place::Near && read.begin.at < acknowledged.at + self.near_ms
    }
}

/// Whether a value is older than what `record` acknowledged: of an older truth, and not of a
/// write that ran beside it.
fn is_older(history: &History, maker: Maker, record: &Record, key: u64, seen: Seen) -> bool {
    if truth_of(record, key).is_none_or(|truth| seen.stamp.generation >= truth) {
        return false;
    }
    match maker {
        Maker::Load(_) => true,
        Maker::Write(index) => {
            let ended = history.records[index].end.as_ref();
            ended.is_some_and(|(end, _)| end.order < record.begin.order)
        }
    }
}

/// Whether somebody made a value of this key there.
fn is_made_for(history: &History, maker: &Maker, key: u64) -> bool {
    match maker {
        Maker::Load(loaded) => *loaded == key,
        Maker::Write(index) => history.records[*index].action.keys().contains(&key),
    }
}

fn truth_of(record: &Record, key: u64) -> Option<u64> {
    let place = record.action.keys().iter().position(|&held| held == key)?;
    Some(record.truths[place])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::{ProcessId, Recorder, Stamp};
    use super::*;

    const ONE: ProcessId = ProcessId { number: 1, life: 0 };
    const TWO: ProcessId = ProcessId { number: 2, life: 0 };

    struct Table {
        recorder: Recorder,
        now: Arc<AtomicU64>,
    }

    impl Table {
        fn new() -> Self {
            let now = Arc::new(AtomicU64::new(0));
            let read = Arc::clone(&now);
            Self { recorder: Recorder::timed(move || read.load(Ordering::Relaxed)), now }
        }

        fn wait(&self, ms: Millis) {
            self.now.fetch_add(ms, Ordering::Relaxed);
        }

        fn remove(&self, by: ProcessId, key: u64, acknowledged: Acknowledged) {
            self.recorder.change(key);
            let action = Action::Invalidate(vec![key], Strength::Hard);
            self.recorder.begin(by, action).end(Outcome::Done(acknowledged));
        }

        fn read(&self, by: ProcessId, stamp: Stamp, place: Place) {
            let seen = Seen { stamp, place, is_stale: false };
            let read = self.recorder.begin(by, Action::Read(vec![stamp.key]));
            read.end(Outcome::Values(vec![Some(seen)]));
        }

        fn violations(&self) -> usize {
            Judge::default().judge(&self.recorder.history()).len()
        }
    }

    #[test]
    fn a_planted_old_value_is_found() {
        let table = Table::new();
        let old = table.recorder.load(1).stamp();
        table.read(TWO, old, Place::Asked);
        table.remove(ONE, 1, Acknowledged::Everywhere);
        assert_eq!(table.violations(), 0);
        table.read(TWO, old, Place::Asked);
        assert_eq!(table.violations(), 1, "a read that asked has no tolerance");
        table.read(ONE, old, Place::Near);
        assert_eq!(table.violations(), 2, "nor has the process that removed");
        table.wait(999);
        table.read(TWO, old, Place::Near);
        assert_eq!(table.violations(), 2, "another's level 1 has some");
        table.wait(1);
        table.read(TWO, old, Place::Near);
        assert_eq!(table.violations(), 3, "and no more");
        table.read(TWO, table.recorder.load(1).stamp(), Place::Near);
        assert_eq!(table.violations(), 3);
    }

    #[test]
    fn what_was_not_acknowledged_promises_nothing() {
        let table = Table::new();
        let old = table.recorder.load(1).stamp();
        table.remove(ONE, 1, Acknowledged::Nowhere);
        table.read(ONE, old, Place::Asked);
        assert_eq!(table.violations(), 0);
        table.remove(ONE, 1, Acknowledged::Here);
        table.read(TWO, old, Place::Asked);
        assert_eq!(table.violations(), 0);
        table.read(ONE, old, Place::Asked);
        assert_eq!(table.violations(), 1);
    }

    #[test]
    fn writes_beside_each_other_may_end_in_either_order() {
        let table = Table::new();
        let first = table.recorder.begin(ONE, Action::Write(vec![1]));
        let second = table.recorder.begin(TWO, Action::Write(vec![1]));
        let (older, newer) = (first.stamps()[0], second.stamps()[0]);
        second.end(Outcome::Done(Acknowledged::Everywhere));
        first.end(Outcome::Done(Acknowledged::Everywhere));
        table.read(ONE, older, Place::Asked);
        table.read(ONE, newer, Place::Asked);
        assert_eq!(table.violations(), 0);
        let third = table.recorder.begin(TWO, Action::Write(vec![1]));
        third.end(Outcome::Done(Acknowledged::Everywhere));
        table.read(ONE, older, Place::Asked);
        assert_eq!(table.violations(), 1);
    }

    #[test]
    fn a_soft_end_leaves_what_says_that_it_is_stale() {
        let table = Table::new();
        let old = table.recorder.load(1).stamp();
        table.recorder.change(1);
        let expiry = table.recorder.begin(ONE, Action::Invalidate(vec![1], Strength::Soft));
        expiry.end(Outcome::Done(Acknowledged::Everywhere));
        let read = table.recorder.begin(ONE, Action::Read(vec![1]));
        let seen = Seen { stamp: old, place: Place::Near, is_stale: true };
        read.end(Outcome::Values(vec![Some(seen)]));
        assert_eq!(table.violations(), 0);
        table.read(ONE, old, Place::Near);
        assert_eq!(table.violations(), 1);
    }

    #[test]
    fn a_value_that_nobody_made_is_found() {
        let table = Table::new();
        let stamp = Stamp { key: 1, generation: 9, write: 99 };
        table.read(ONE, stamp, Place::Asked);
        let other = table.recorder.load(2).stamp();
        table.read(ONE, Stamp { key: 1, ..other }, Place::Asked);
        let violations = Judge::default().judge(&table.recorder.history());
        assert_eq!(violations.len(), 2);
        assert!(violations[0].against.is_none());
    }
}
