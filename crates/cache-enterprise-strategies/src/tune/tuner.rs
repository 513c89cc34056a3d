//! The controller: proposes, judges, remembers.

use std::collections::VecDeque;

use cache_enterprise_core::{Error, Result};

use super::knob::{Change, Knob};
use crate::bounds;

/// Records that are kept.
const LOG_MAX: usize = 256;

/// When a change counts as a gain.
///
/// ```
/// use cache_enterprise_strategies::tune::TuneRules;
///
/// assert_eq!(TuneRules::default().min_data_points, 1_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuneRules {
    /// The first step of a knob, as a share of its range. The default is 0.1.
    pub learning_rate: f64,
    /// Nothing is judged on fewer requests. The default is 1 000.
    pub min_data_points: u64,
    /// What the hit ratio must gain on the shadow, as a fraction. The default is 0.002.
    pub margin: f64,
}

impl Default for TuneRules {
    fn default() -> Self {
        Self { learning_rate: 0.1, min_data_points: 1_000, margin: 0.002 }
    }
}

/// Hits among requests.
///
/// ```
/// use cache_enterprise_strategies::tune::Tally;
///
/// assert_eq!(Tally::new(30, 40).hit_rate(), 0.75);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    hits: u64,
    requests: u64,
}

impl Tally {
    /// So many hits among so many requests; more hits than requests count as all.
    pub const fn new(hits: u64, requests: u64) -> Self {
        Self { hits: if hits < requests { hits } else { requests }, requests }
    }

    /// The requests.
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Hits over requests, from 0 to 1; 0 without requests.
    pub fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.requests.max(1) as f64
    }

    /// The variance of the rate, if requests were independent.
    fn variance(&self) -> f64 {
        let rate = self.hit_rate();
        rate * (1.0 - rate) / self.requests.max(1) as f64
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Go on counting: there are too few requests yet.
    Wait,
    /// Make this change to the live cache, and count it anew.
    Apply(Change),
    /// Make this change to the live cache: it undoes the one that was tried.
    Revert(Change),
    /// Nothing is being tried any more; the live cache stays as it is.
    Done,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The shadow gained too little.
    Dropped,
    /// Shadow and live cache gained.
    Kept,
    /// The shadow gained, the live cache did not.
    Reverted,
    /// A person took a kept change back.
    Undone,
}

/// A trial that ended.
///
/// [`Tuner`] has an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TuneRecord {
    /// Counts from 1.
    pub number: u64,
    /// What was tried.
    pub change: Change,
    /// How it ended.
    pub outcome: Outcome,
    /// What the hit ratio gained on the shadow, as a fraction.
    pub shadow_gain: f64,
    /// What it gained on the live cache, less what the plain shadow gained in the same time;
    /// nothing where it did not come to that.
    pub live_gain: Option<f64>,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Shadow { knob: usize, change: Change },
    Live { knob: usize, change: Change, shadow_gain: f64, plain_then: f64 },
}

/// The controller of some knobs.
///
/// ```
/// use cache_enterprise_strategies::tune::{Knob, Outcome, Step, Tally, TuneRules, Tuner};
///
/// let knobs = vec![Knob::new("window", 0.0, 1.0, 0.2)?];
/// let mut tuner = Tuner::new(knobs, TuneRules::default())?;
/// let change = tuner.propose().expect("nothing is being tried");
/// let (plain, changed) = (Tally::new(5_000, 10_000), Tally::new(6_000, 10_000));
/// assert_eq!(tuner.shadow(plain, changed), Step::Apply(change));
/// let (before, after) = (Tally::new(5_000, 10_000), Tally::new(5_900, 10_000));
/// assert_eq!(tuner.live(before, after, plain, changed), Step::Done);
/// assert!(tuner.value("window").is_some_and(|value| (value - 0.3).abs() < 1e-9));
/// assert_eq!(tuner.log().last().map(|record| record.outcome), Some(Outcome::Kept));
/// assert_eq!(tuner.undo()?.to_string(), "window: 0.3 -> 0.2");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tuner {
    knobs: Vec<Knob>,
    rules: TuneRules,
    state: State,
    turn: usize,
    log: VecDeque<TuneRecord>,
    number: u64,
}

impl Tuner {
    /// A controller that has changed nothing.
    ///
    /// # Errors
    /// When there are no knobs or two of one name, `learning_rate` does not lie in 0.005 to 0.5,
    /// `min_data_points` not in 100 to 10^9, or `margin` not in 0 to 0.1.
    pub fn new(mut knobs: Vec<Knob>, rules: TuneRules) -> Result<Self> {
        bounds::within("learning_rate", rules.learning_rate, 0.005..=0.5)?;
        bounds::within("min_data_points", rules.min_data_points, 100..=1_000_000_000)?;
        bounds::within("margin", rules.margin, 0.0..=0.1)?;
        bounds::within("knobs", knobs.len(), 1..=64)?;
        for (at, knob) in knobs.iter().enumerate() {
            if knobs[..at].iter().any(|other| other.name() == knob.name()) {
                return Err(Error::config("two knobs have one name").with("knob", knob.name()));
            }
        }
        knobs.iter_mut().for_each(|knob| knob.start(rules.learning_rate));
        let log = VecDeque::new();
        Ok(Self { knobs, rules, state: State::Idle, turn: 0, log, number: 0 })
    }

    /// The change to try on a shadow next, each knob in its turn; nothing while one is tried, or
    /// when every knob rests because no step of use was found any more.
    pub fn propose(&mut self) -> Option<Change> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        for _ in 0..self.knobs.len() {
            let at = self.turn % self.knobs.len();
            self.turn += 1;
            let knob = &mut self.knobs[at];
            if let Some(to) = knob.next() {
                let change = Change { knob: knob.name().into(), from: knob.value(), to };
                self.state = State::Shadow { knob: at, change: change.clone() };
                return Some(change);
            }
        }
        None
    }

    /// Judges the proposed change by two shadows of the same requests. Without a proposal there
    /// is nothing to do.
    pub fn shadow(&mut self, plain: Tally, changed: Tally) -> Step {
        let State::Shadow { knob, change } = &self.state else { return Step::Done };
        if plain.requests.min(changed.requests) < self.rules.min_data_points {
            return Step::Wait;
        }
        let (knob, change) = (*knob, change.clone());
        let gain = changed.hit_rate() - plain.hit_rate();
        if gain < self.rules.margin || !is_sure(gain, plain, changed) {
            self.knobs[knob].turn_round();
            self.end(change, Outcome::Dropped, gain, None);
            return Step::Done;
        }
        let plain_then = plain.hit_rate();
        self.state = State::Live { knob, change: change.clone(), shadow_gain: gain, plain_then };
        Step::Apply(change)
    }

    /// Judges the change on the live cache: its hits before and after, and those of both shadows
    /// since it was applied. What the plain shadow gained meanwhile is the workload's doing and not
    /// the change's.
    pub fn live(&mut self, before: Tally, after: Tally, plain: Tally, changed: Tally) -> Step {
        let State::Live { knob, change, shadow_gain, plain_then } = &self.state else {
            return Step::Done;
        };
        let counted = [before, after, plain, changed].map(|tally| tally.requests);
        if counted.iter().any(|requests| *requests < self.rules.min_data_points) {
            return Step::Wait;
        }
        let (knob, change, shadow_gain) = (*knob, change.clone(), *shadow_gain);
        let workload = plain.hit_rate() - plain_then;
        let live_gain = after.hit_rate() - before.hit_rate() - workload;
        let still_gains = changed.hit_rate() > plain.hit_rate();
        if live_gain > 0.0 && still_gains {
            self.knobs[knob].set(change.to);
            self.end(change, Outcome::Kept, shadow_gain, Some(live_gain));
            return Step::Done;
        }
        self.knobs[knob].turn_round();
        let back = change.back();
        self.end(change, Outcome::Reverted, shadow_gain, Some(live_gain));
        Step::Revert(back)
    }

    /// Breaks a trial off, as if it had not begun: answers the change that takes it back, where it
    /// was applied to the live cache. It is in no log, and may be proposed again.
    ///
    /// ```
    /// use cache_enterprise_strategies::tune::{Knob, TuneRules, Tuner};
    ///
    /// let knobs = vec![Knob::choice("strategy", 2, 0)?];
    /// let mut tuner = Tuner::new(knobs, TuneRules::default())?;
    /// let proposed = tuner.propose();
    /// assert!(tuner.give_up().is_none(), "nothing was applied yet");
    /// assert!(proposed.is_some() && tuner.propose() == proposed);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn give_up(&mut self) -> Option<Change> {
        let (knob, change, was_applied) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => return None,
            State::Shadow { knob, change } => (knob, change, false),
            State::Live { knob, change, .. } => (knob, change, true),
        };
        self.knobs[knob].untry(change.to);
        was_applied.then(|| change.back())
    }

    /// Takes the newest kept change back: the caller makes the answered change to the live cache.
    /// Its knob rests until [`wake`](Self::wake).
    ///
    /// # Errors
    /// While a change is tried, and when no kept change is left to take back.
    pub fn undo(&mut self) -> Result<Change> {
        if !matches!(self.state, State::Idle) {
            return Err(Error::invalid("a change is being tried; undo when it has ended"));
        }
        let mut undone = 0_usize;
        let kept = self.log.iter().rev().find(|record| match record.outcome {
            Outcome::Undone => {
                undone += 1;
                false
            }
            Outcome::Kept if undone > 0 => {
                undone -= 1;
                false
            }
            outcome => outcome == Outcome::Kept,
        });
        let Some(kept) = kept else {
            return Err(Error::invalid("there is no kept change to undo"));
        };
        let (back, gain) = (kept.change.back(), kept.shadow_gain);
        if let Some(knob) = self.knobs.iter_mut().find(|knob| *knob.name() == *back.knob) {
            knob.set(back.to);
            knob.start(0.0);
        }
        self.end(back.clone(), Outcome::Undone, gain, None);
        Ok(back)
    }

    /// Lets every knob that rests try again with its first step, such as each
    /// `optimization_interval` or when the workload has changed.
    pub fn wake(&mut self) {
        let step = self.rules.learning_rate;
        self.knobs.iter_mut().filter(|knob| knob.rests()).for_each(|knob| knob.start(step));
    }

    /// Where a knob stands.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.knobs.iter().find(|knob| knob.name() == name).map(Knob::value)
    }

    /// The last 256 trials, the oldest first.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &TuneRecord> {
        self.log.iter()
    }

    fn end(&mut self, change: Change, outcome: Outcome, shadow_gain: f64, live_gain: Option<f64>) {
        self.state = State::Idle;
        self.number += 1;
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        let number = self.number;
        self.log.push_back(TuneRecord { number, change, outcome, shadow_gain, live_gain });
    }
}

/// Whether a gain is above two deviations. Both shadows saw the same requests, so that their
/// difference varies less than this reckons.
fn is_sure(gain: f64, plain: Tally, changed: Tally) -> bool {
    gain > 2.0 * (plain.variance() + changed.variance()).sqrt() * PAIRED
}

/// How much less, by the share of requests on which two similar caches differ: about one in four.
const PAIRED: f64 = 0.5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::hash;

    fn tuner(value: f64) -> Tuner {
        let knobs = vec![Knob::new("window", 0.0, 1.0, value).unwrap()];
        Tuner::new(knobs, TuneRules::default()).unwrap()
    }

    fn tally(rate: f64, draw: &mut u64) -> Tally {
        *draw += 1;
        let noise = (hash::unit(hash::mix(*draw)) - 0.5) * 0.002;
        Tally::new(((rate + noise) * 100_000.0) as u64, 100_000)
    }

    /// Runs trials on a cache whose hit ratio hangs on the knob, and one whose shadow lies.
    fn run(tuner: &mut Tuner, trials: u32, shadow: &dyn Fn(f64) -> f64, live: &dyn Fn(f64) -> f64) {
        let mut draw = 0;
        for _ in 0..trials {
            let Some(change) = tuner.propose() else { return };
            let pair =
                |draw: &mut u64| (tally(shadow(change.from), draw), tally(shadow(change.to), draw));
            let (plain, changed) = pair(&mut draw);
            if let Step::Apply(applied) = tuner.shadow(plain, changed) {
                assert_eq!(applied, change);
                let before = tally(live(change.from), &mut draw);
                let after = tally(live(change.to), &mut draw);
                let (plain, changed) = pair(&mut draw);
                tuner.live(before, after, plain, changed);
            }
        }
    }

    #[test]
    fn it_ends_within_a_point_of_the_best_value() {
        for (best, start) in [(0.1, 0.9), (0.5, 0.0), (0.9, 0.2), (1.0, 0.5), (0.33, 0.33)] {
            let rate = move |value: f64| 0.7 - (value - best).powi(2) * 0.5;
            let mut tuner = tuner(start);
            run(&mut tuner, 60, &rate, &rate);
            let value = tuner.value("window").unwrap();
            assert!(rate(value) > rate(best) - 0.01, "{best} from {start}: {value}");
        }
    }

    #[test]
    fn after_a_change_of_the_world_it_goes_where_the_best_is_now() {
        let rate = |best: f64| move |value: f64| 0.7 - (value - best).powi(2) * 0.5;
        let mut tuner = tuner(0.5);
        run(&mut tuner, 60, &rate(0.1), &rate(0.1));
        tuner.wake();
        run(&mut tuner, 60, &rate(0.8), &rate(0.8));
        let value = tuner.value("window").unwrap();
        assert!((value - 0.8).abs() < 0.15, "{value}");
    }

    #[test]
    fn a_shadow_that_lies_changes_nothing() {
        let mut tuner = tuner(0.5);
        run(&mut tuner, 40, &|value| 0.5 + value * 0.3, &|value| 0.5 - value * 0.3);
        assert_eq!(tuner.value("window"), Some(0.5));
        assert!(tuner.log().any(|record| record.outcome == Outcome::Reverted));
        assert!(tuner.log().all(|record| record.outcome != Outcome::Kept));
    }

    #[test]
    fn what_does_not_matter_is_left_alone() {
        let mut tuner = tuner(0.5);
        run(&mut tuner, 60, &|_| 0.6, &|_| 0.6);
        assert_eq!(tuner.value("window"), Some(0.5));
        assert_eq!(tuner.propose(), None, "the knob rests");
    }

    #[test]
    fn kept_changes_are_undone_one_by_one() {
        let rate = |value: f64| 0.5 + value * 0.3;
        let mut tuner = tuner(0.2);
        run(&mut tuner, 2, &rate, &rate);
        let value = tuner.value("window").unwrap();
        assert!((value - 0.4).abs() < 1e-9, "{value}");
        assert!(tuner.undo().unwrap().to_string().ends_with("0.4 -> 0.3"));
        assert!(tuner.undo().unwrap().to_string().ends_with("0.3 -> 0.2"));
        assert!(tuner.undo().is_err());
        assert_eq!(tuner.propose(), None, "the knob rests until it is woken");
        tuner.wake();
        tuner.propose().unwrap();
        assert!(tuner.undo().is_err(), "a change is being tried");
    }

    #[test]
    fn the_workload_getting_better_is_no_gain() {
        let mut tuner = tuner(0.5);
        tuner.propose().unwrap();
        let at = |rate: f64| Tally::new((rate * 1e5) as u64, 100_000);
        assert!(matches!(tuner.shadow(at(0.5), at(0.55)), Step::Apply(_)));
        // Everything gained 10 points, the live cache with the change a little less.
        let step = tuner.live(at(0.5), at(0.59), at(0.6), at(0.65));
        assert!(matches!(step, Step::Revert(back) if back.to == 0.5));
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let knob = || Knob::new("window", 0.0, 1.0, 0.5).unwrap();
        let named = |knobs, rules| Tuner::new(knobs, rules).unwrap_err().to_string();
        let rules = TuneRules::default();
        assert!(named(vec![], rules).contains("knobs, range: 1..=64"));
        assert!(named(vec![knob(), knob()], rules).contains("one name"));
        for rate in [f64::NAN, 0.0, -0.1, 0.6] {
            let text = named(vec![knob()], TuneRules { learning_rate: rate, ..rules });
            assert!(text.contains("learning_rate, range: 0.005..=0.5"), "{text}");
        }
        let text = named(vec![knob()], TuneRules { min_data_points: 0, ..rules });
        assert!(text.contains("min_data_points"));
        assert!(named(vec![knob()], TuneRules { margin: -0.1, ..rules }).contains("margin"));
    }

    proptest! {
        #[test]
        fn no_tallies_lead_out_of_the_bounds_or_grow_the_log(
            rates in prop::collection::vec(prop::array::uniform4(0_u64..2_000), 0..400),
        ) {
            let mut tuner = tuner(0.5);
            for [a, b, c, d] in rates {
                if tuner.propose().is_none() {
                    tuner.wake();
                }
                let tally = |hits| Tally::new(hits, 1_500);
                tuner.shadow(tally(a), tally(b));
                tuner.live(tally(c), tally(d), tally(a), tally(b));
                let value = tuner.value("window").unwrap();
                prop_assert!((0.0..=1.0).contains(&value));
                prop_assert!(tuner.log().count() <= LOG_MAX);
            }
        }
    }
}
