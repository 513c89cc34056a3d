//! Changing parameters while a cache serves: one bounded change at a time, tried on a shadow first,
//! kept only if shadow and live cache agree, written down, and undone on demand.
//!
//! ```text
//! propose    one knob, one step          the caller runs two shadows of a sample of the requests,
//!                                        one plain, one changed
//! shadow     gain below the margin       dropped: the knob turns round with half the step
//!            gain                        the caller changes the live cache
//! live       live gained as well         kept: the next step goes the same way
//!            it did not                  reverted
//! ```
//!
//! The controller is pure: it is told tallies and says what to do. Whoever runs it owns caches and
//! time.

mod knob;
mod tuner;

pub use knob::{Change, Knob};
pub use tuner::{Outcome, Step, Tally, TuneRecord, TuneRules, Tuner};
