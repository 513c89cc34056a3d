//! What may be turned, and how far.

use std::fmt;

use cache_enterprise_core::{Error, Result, check_name};

use crate::bounds;

/// Turned by less than this share of its range a knob rests.
const STEP_LEAST: f64 = 0.005;

/// A parameter with its bounds.
///
/// ```
/// use cache_enterprise_strategies::tune::Knob;
///
/// let window = Knob::new("window", 0.01, 0.8, 0.2)?;
/// assert_eq!((window.name(), window.value()), ("window", 0.2));
/// assert!(Knob::new("window", 0.01, 0.8, 0.9).is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Knob {
    name: Box<str>,
    min: f64,
    max: f64,
    value: f64,
    is_whole: bool,
    /// Share of the range, signed by the direction.
    step: f64,
    /// Places that were tried, bit by bit, of a knob whose places have no order.
    tried: Option<u64>,
}

impl Knob {
    /// A parameter between `min` and `max` that stands at `value`.
    ///
    /// # Errors
    /// When the name breaks the rules of [`check_name`], `min` and `max` are not finite or not
    /// apart, or `value` is not between them.
    pub fn new(name: &str, min: f64, max: f64, value: f64) -> Result<Self> {
        check_name("knob", name)?;
        let apart = min.is_finite() && max.is_finite() && (max - min).is_finite() && min < max;
        if !apart {
            return Err(Error::config("the bounds of a knob are not finite and apart")
                .with("knob", name)
                .with("min", min)
                .with("max", max));
        }
        let value =
            bounds::within("value", value, min..=max).map_err(|error| error.with("knob", name))?;
        Ok(Self { name: name.into(), min, max, value, is_whole: false, step: 0.0, tried: None })
    }

    /// A knob that stands at one of `count` places, from 0, of which none lies between two others:
    /// a list of strategies, say. Each other place is tried once.
    ///
    /// ```
    /// use cache_enterprise_strategies::tune::{Knob, TuneRules, Tuner};
    ///
    /// let knobs = vec![Knob::choice("strategy", 3, 1)?];
    /// let mut tuner = Tuner::new(knobs, TuneRules::default())?;
    /// assert_eq!(tuner.propose().map(|change| (change.from, change.to)), Some((1.0, 2.0)));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the name breaks the rules of [`check_name`], there are not 2 to 64 places, or `at` is
    /// none of them.
    pub fn choice(name: &str, count: usize, at: usize) -> Result<Self> {
        bounds::within("choices", count, 2..=64).map_err(|error| error.with("knob", name))?;
        let knob = Self::new(name, 0.0, (count - 1) as f64, at as f64)?.whole();
        Ok(Self { tried: Some(1 << at), ..knob })
    }

    /// Turned in whole numbers only; where none lies between the bounds it is not turned.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.is_whole = true;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands.
    pub fn value(&self) -> f64 {
        self.value
    }

    pub(super) fn start(&mut self, step: f64) {
        self.step = step;
        if let Some(tried) = &mut self.tried {
            *tried = 1 << self.value as u64;
        }
    }

    /// Moves to a value within the bounds.
    pub(super) fn set(&mut self, value: f64) {
        self.value = value.clamp(self.min, self.max);
    }

    /// Where a step would lead; nothing if the knob rests. At a bound it turns round.
    pub(super) fn next(&mut self) -> Option<f64> {
        if self.tried.is_some() {
            let place = self.untried()?;
            self.tried = self.tried.map(|tried| tried | 1 << place);
            return Some(place as f64);
        }
        for _ in 0..2 {
            if self.step.abs() < STEP_LEAST {
                return None;
            }
            let to = self.stepped();
            if to != self.value {
                return Some(to);
            }
            self.step = -self.step;
        }
        None
    }

    /// The next place after the own that was not tried, if there is one and the knob may move.
    fn untried(&self) -> Option<u64> {
        let tried = self.tried.filter(|_| self.step != 0.0)?;
        let (count, at) = (self.max as u64 + 1, self.value as u64);
        (1..count).map(|step| (at + step) % count).find(|place| tried & 1 << place == 0)
    }

    fn stepped(&self) -> f64 {
        let to = (self.value + self.step * (self.max - self.min)).clamp(self.min, self.max);
        if !self.is_whole {
            return to;
        }
        let (lowest, highest) = (self.min.ceil(), self.max.floor());
        if lowest > highest {
            return self.value;
        }
        // At least one, or a small step would never leave a whole number.
        let least = self.value + self.step.signum();
        let whole = if self.step > 0.0 { to.round().max(least) } else { to.round().min(least) };
        whole.clamp(lowest, highest)
    }

    /// What lay this way was no better: the other way, more carefully.
    pub(super) fn turn_round(&mut self) {
        if self.tried.is_none() {
            self.step *= -0.5;
        }
    }

    /// A place that was to be tried was not: it may be again.
    pub(super) fn untry(&mut self, place: f64) {
        if let Some(tried) = &mut self.tried {
            *tried &= !(1 << place as u64);
        }
    }

    pub(super) fn rests(&self) -> bool {
        match self.tried {
            Some(_) => self.untried().is_none(),
            None => self.step.abs() < STEP_LEAST,
        }
    }
}

/// One knob from one value to another.
///
/// ```
/// use cache_enterprise_strategies::tune::{Knob, TuneRules, Tuner};
///
/// let knobs = vec![Knob::new("window", 0.0, 1.0, 0.2)?];
/// let mut tuner = Tuner::new(knobs, TuneRules::default())?;
/// let change = tuner.propose().expect("nothing is being tried");
/// assert_eq!(change.to_string(), "window: 0.2 -> 0.3");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The name of the knob.
    pub knob: Box<str>,
    /// Where it stood.
    pub from: f64,
    /// Where it goes.
    pub to: f64,
}

impl Change {
    pub(super) fn back(&self) -> Self {
        Self { knob: self.knob.clone(), from: self.to, to: self.from }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four digits: what is beyond does not matter to any parameter.
        let short = |value: f64| (value * 1e4).round() / 1e4;
        write!(f, "{}: {} -> {}", self.knob, short(self.from), short(self.to))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_that_are_none_are_refused_by_name() {
        for (min, max) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            let text = Knob::new("window", min, max, 1.0).unwrap_err().to_string();
            assert!(text.contains("knob: window"), "{text}");
        }
        assert!(Knob::new("window", f64::MIN, f64::MAX, 0.0).is_err());
        assert!(Knob::new("", 0.0, 1.0, 0.5).is_err());
        let text = Knob::new("window", 0.0, 1.0, f64::NAN).unwrap_err().to_string();
        assert!(text.contains("range: 0..=1"), "{text}");
    }

    #[test]
    fn each_place_of_a_choice_is_tried_once_until_it_is_woken() {
        let mut knob = Knob::choice("strategy", 4, 2).unwrap();
        knob.start(0.1);
        assert_eq!((knob.next(), knob.next()), (Some(3.0), Some(0.0)));
        knob.set(0.0);
        assert_eq!((knob.next(), knob.next(), knob.rests()), (Some(1.0), None, true));
        knob.start(0.1);
        assert_eq!((knob.next(), knob.rests()), (Some(1.0), false));
        knob.start(0.0);
        assert!(knob.rests() && knob.next().is_none(), "a step of none is to stand still");
        for (count, at) in [(0, 0), (1, 0), (65, 0), (3, 3)] {
            assert!(Knob::choice("strategy", count, at).is_err(), "{at} of {count}");
        }
    }

    #[test]
    fn a_whole_knob_without_a_whole_number_stands_still() {
        for step in [0.1, -0.1] {
            let mut knob = Knob::new("k", 0.2, 0.8, 0.5).unwrap().whole();
            knob.start(step);
            assert_eq!(knob.next(), None);
        }
    }

    proptest! {
        #[test]
        fn no_step_leads_out_of_the_bounds(
            min in -100.0..100.0_f64,
            more in 2.0..100.0_f64,
            step in -0.5..0.5_f64,
            turns in prop::collection::vec(any::<bool>(), 0..40),
            is_whole: bool,
        ) {
            let start = (min + more / 2.0).round();
            let mut knob = Knob::new("k", min, min + more, start).unwrap();
            if is_whole {
                knob = knob.whole();
            }
            knob.start(step);
            for turn in turns {
                let Some(to) = knob.next() else { break };
                prop_assert!((min..=min + more).contains(&to));
                prop_assert!(to != knob.value() && (!is_whole || to.fract() == 0.0));
                if turn { knob.turn_round() } else { knob.set(to) }
            }
        }
    }
}
