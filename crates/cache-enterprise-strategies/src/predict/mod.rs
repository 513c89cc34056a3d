//! What will be asked next: successions of keys, and the gate that keeps prefetching honest.
//!
//! ```text
//! NextAccess   learns from the stream of requested keys
//!   successions    what came right after a key, and after two keys   (ProbGraph, Markov)
//!   associations   what comes within some requests of a key          (Mithril)
//! model        popularity by context, for warming up
//! PrefetchGate lets a guess through while guesses are used, within a budget
//! Prefetcher   both: told of each request, it names what to fetch
//! ```
//!
//! Everything here speaks hashes of keys. Who prefetches keeps the way back from hash to key.

mod associations;
mod gate;
pub mod model;
mod next;
mod prefetcher;
mod successions;

pub use associations::AssociationLimits;
pub use gate::{GateStats, Permit, PrefetchBudget, PrefetchGate};
pub use next::{NextAccess, NextAccessLimits};
pub use prefetcher::Prefetcher;

use std::fmt;

/// A key that is likely to be asked for soon.
///
/// ```
/// use cache_enterprise_strategies::predict::Guess;
///
/// assert_eq!(Guess::new(7, 0.5).hash, 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Guess {
    /// The hash of the key.
    pub hash: u64,
    /// In which share of the cases seen so far the guess was right, from 0 to 1.
    pub confidence: f32,
}

impl Guess {
    /// A guess of this confidence.
    pub const fn new(hash: u64, confidence: f32) -> Self {
        Self { hash, confidence }
    }
}

/// Learns which keys follow which. Told of requests in their order, on one task: implementations
/// need no lock and must not block.
///
/// ```
/// use cache_enterprise_strategies::predict::{Guess, Predictor};
///
/// /// Blocks of a file follow each other.
/// #[derive(Debug, Default)]
/// struct ReadAhead(Option<u64>);
///
/// impl Predictor for ReadAhead {
///     fn observe(&mut self, hash: u64) {
///         self.0 = Some(hash);
///     }
///
///     fn predict(&self, guesses: &mut Vec<Guess>) {
///         guesses.extend(self.0.map(|last| Guess::new(last + 1, 0.9)));
///     }
/// }
///
/// let (mut predictor, mut guesses) = (ReadAhead::default(), Vec::new());
/// predictor.observe(41);
/// predictor.predict(&mut guesses);
/// assert_eq!(guesses[0].hash, 42);
/// ```
pub trait Predictor: fmt::Debug + Send {
    /// The key of this hash was asked for.
    fn observe(&mut self, hash: u64);

    /// Adds what is likely after the requests observed so far, the likeliest first, each key once.
    fn predict(&self, guesses: &mut Vec<Guess>);
}
