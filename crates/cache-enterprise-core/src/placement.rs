//! How high in the order of levels a value is placed.

use std::fmt;

use crate::CacheLevel;

/// What is known of the demand for a key.
///
/// ```
/// use cache_enterprise_core::Heat;
///
/// let heat = Heat::new(3, false);
/// assert_eq!((heat.frequency, heat.is_held), (3, false));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heat {
    /// How often the key was asked for lately, roughly: never too low by a collision, halved from
    /// time to time.
    pub frequency: u32,
    /// Whether level 1 holds a value of the key that could be served.
    pub is_held: bool,
}

impl Heat {
    /// A key that was asked for so often.
    pub fn new(frequency: u32, is_held: bool) -> Self {
        Self { frequency, is_held }
    }
}

/// Decides which is the highest level that gets a copy of a value; all levels below it get one
/// too. Asked once for each write that wants to be placed, on the task of its caller: it must not
/// block.
///
/// ```
/// use cache_enterprise_core::{CacheLevel, Heat, PlacementPolicy};
///
/// /// Level 1 is for what it holds already.
/// #[derive(Debug)]
/// struct Incumbents;
///
/// impl PlacementPolicy for Incumbents {
///     fn highest(&self, heat: Heat, _: CacheLevel) -> CacheLevel {
///         if heat.is_held { CacheLevel::L1 } else { CacheLevel::L2 }
///     }
/// }
/// # let policy: &dyn PlacementPolicy = &Incumbents;
/// # assert_eq!(policy.highest(Heat::new(0, true), CacheLevel::L3), CacheLevel::L1);
/// ```
pub trait PlacementPolicy: fmt::Debug + Send + Sync + 'static {
    /// The highest level for a key of this heat, where `deepest` is the last there is. An answer
    /// below `deepest` counts as `deepest`.
    fn highest(&self, heat: Heat, deepest: CacheLevel) -> CacheLevel;
}
