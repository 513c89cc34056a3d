//! Loading a value anew before its fresh life is over.

use crate::clock::{Millis, NEVER};

/// What a read of an entry found, for a reader that can have it loaded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Serve it.
    Fresh,
    /// Serve it, and have it loaded anew.
    Due,
    /// Usable only as a fallback while or when a load fails.
    Stale,
    /// Past its life: a miss.
    Expired,
}

/// When an entry is loaded anew before its fresh life is over.
///
/// ```
/// use cache_enterprise_core::Early;
///
/// assert_eq!(Early::At(800).first(), 800);
/// let drawn = Early::Drawn { end: 60_000, load_ms: 100, beta: 1.0 };
/// assert_eq!(drawn.first(), 60_000 - 3_700);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Early {
    /// At the first read from this date on.
    At(Millis),
    /// At each read by a draw that gets likelier towards `end`: XFetch (Vattani, Chierichetti,
    /// Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015).
    Drawn {
        /// End of the fresh life, whatever shorter life a copy has.
        end: Millis,
        /// What the load took.
        load_ms: Millis,
        /// Weight of the load time; above 1 refreshes earlier.
        beta: f32,
    },
}

/// No draw is further from zero: the logarithm of 2^-53, the least number that is drawn.
const LEAST_LOG: f64 = 37.0;

impl Early {
    /// No read before this date is due.
    pub fn first(self) -> Millis {
        match self {
            Self::At(date) => date,
            Self::Drawn { end, load_ms, beta } => {
                end.saturating_sub(reach(load_ms, beta, LEAST_LOG))
            }
        }
    }

    /// Whether a read at `now` is due that drew `uniform`, evenly from above 0 to 1.
    pub(crate) fn is_due(self, now: Millis, uniform: impl FnOnce() -> f64) -> bool {
        match self {
            Self::At(date) => now >= date,
            Self::Drawn { end, load_ms, beta } => {
                end != NEVER && now.saturating_add(reach(load_ms, beta, -uniform().ln())) >= end
            }
        }
    }

    /// The date that a renewal moves.
    pub(crate) fn end(self) -> Millis {
        match self {
            Self::At(date) => date,
            Self::Drawn { end, .. } => end,
        }
    }

    pub(crate) fn with_end(self, end: Millis) -> Self {
        match self {
            Self::At(_) => Self::At(end),
            Self::Drawn { load_ms, beta, .. } => Self::Drawn { end, load_ms, beta },
        }
    }
}

fn reach(load_ms: Millis, beta: f32, log: f64) -> Millis {
    (load_ms as f64 * f64::from(beta) * log) as Millis
}
