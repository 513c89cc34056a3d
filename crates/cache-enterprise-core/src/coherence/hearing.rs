//! Whether the bus is heard, and what that means for level 1.

use crate::{Millis, mutant};

/// Watches how long ago everything published was known to be heard. A pure state machine: the
/// caller brings the time.
///
/// While nothing is heard, copies in level 1 are believed for `unsure_max` and no longer: those
/// from before the silence end at once when it becomes too long, and those loaded in it live until
/// the next [`Doubt`](Belief::Doubt), which comes every `unsure_max`.
///
/// ```
/// use cache_enterprise_core::coherence::{Belief, Hearing};
///
/// let mut hearing = Hearing::new(1_000);
/// hearing.heard_at(5_000);
/// assert_eq!(hearing.turn(5_900), Some(Belief::Trust));
/// assert_eq!(hearing.turn(6_001), Some(Belief::Doubt));
/// assert_eq!(hearing.turn(6_500), None);
/// hearing.heard_at(6_600);
/// assert_eq!(hearing.turn(6_601), Some(Belief::Trust));
/// ```
#[derive(Debug)]
pub struct Hearing {
    unsure_max: Millis,
    heard: Option<Millis>,
    /// When doubt comes again; `None` while the bus is heard.
    doubt_at: Option<Millis>,
}

/// What changed about the copies in level 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// What was not loaded or checked since may be old: it is not served.
    Doubt,
    /// Everything that was missed has been heard: what stands is good.
    Trust,
}

impl Hearing {
    /// A bus that was not heard yet.
    pub fn new(unsure_max: Millis) -> Self {
        Self { unsure_max, heard: None, doubt_at: Some(0) }
    }

    /// Everything published until `at` was heard.
    pub fn heard_at(&mut self, at: Millis) {
        self.heard = Some(self.heard.map_or(at, |heard| heard.max(at)));
    }

    /// When everything published was heard last.
    pub fn last(&self) -> Option<Millis> {
        self.heard
    }

    /// Whether level 1 is in doubt.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt_at.is_some()
    }

    /// How long silence is believed.
    fn patience(&self) -> Millis {
        if mutant::breaks("silence is believed for its time") { 0 } else { self.unsure_max }
    }

    /// What is due at `now`. Call it every few milliseconds.
    pub fn turn(&mut self, now: Millis) -> Option<Belief> {
        let is_silent = self.heard.is_none_or(|heard| now.saturating_sub(heard) > self.patience());
        match self.doubt_at {
            None if is_silent => {}
            Some(doubt_at) if is_silent && now >= doubt_at => {}
            Some(_) if !is_silent => {
                self.doubt_at = None;
                return Some(Belief::Trust);
            }
            _ => return None,
        }
        self.doubt_at = Some(now.saturating_add(self.patience()));
        Some(Belief::Doubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_from_the_start_is_doubt_again_and_again() {
        let mut hearing = Hearing::new(100);
        assert_eq!(hearing.turn(7), Some(Belief::Doubt));
        assert_eq!(hearing.turn(106), None);
        assert_eq!(hearing.turn(107), Some(Belief::Doubt));
    }

    #[test]
    fn doubt_comes_right_after_the_bound_and_not_before() {
        let mut hearing = Hearing::new(100);
        hearing.heard_at(50);
        assert_eq!(hearing.turn(60), Some(Belief::Trust));
        assert_eq!(hearing.turn(150), None);
        assert_eq!(hearing.turn(151), Some(Belief::Doubt));
    }

    #[test]
    fn what_was_heard_late_counts_from_when_it_was_asked() {
        let mut hearing = Hearing::new(100);
        hearing.heard_at(50);
        hearing.heard_at(20);
        assert_eq!(hearing.last(), Some(50));
        hearing.turn(60);
        assert_eq!(hearing.turn(200), Some(Belief::Doubt));
        hearing.heard_at(90);
        assert_eq!(hearing.turn(201), None, "what was heard is too old by now");
    }

    #[test]
    fn a_process_that_stood_still_doubts_at_its_first_turn() {
        let mut hearing = Hearing::new(1_000);
        hearing.heard_at(10);
        assert_eq!(hearing.turn(11), Some(Belief::Trust));
        assert_eq!(hearing.turn(30_011), Some(Belief::Doubt));
    }
}
