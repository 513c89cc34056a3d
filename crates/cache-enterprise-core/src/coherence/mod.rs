//! The pure rules of coherence: one sequence, epochs of targets, and when an entry is valid.
//!
//! Every invalidation takes the next number of its tenant's [`Sequence`] and writes it as the
//! *epoch* of its targets. A load notes the sequence *before* it reads; the entry carries that
//! number as its version. An entry is valid while no epoch that applies to it is newer than its
//! version. Using an older number is always safe: the worst case is one needless load.
//!
//! Nothing here waits, sleeps or does I/O.

mod bus;
mod cursor;
mod epochs;
mod hearing;
mod lease;
mod notice;
mod patterns;
mod sequence;
mod store;

pub use bus::{Bus, Heard, Listener, Touched};
pub use cursor::{Cursor, LogId, Pushed};
pub use epochs::{EpochCell, TagCells, TenantEpochs};
pub use hearing::{Belief, Hearing};
pub use lease::{Acquired, Lease, LeaseToken, LeasedPut};
pub use notice::{Change, FRAME_NOTICES_MAX, FRAME_VALUES_MAX, Frame, Notice, SourceId};
pub use patterns::{PATTERN_BYTES_MAX, PATTERNS_MAX};
pub use sequence::{Sequence, SequenceCounter};
pub use store::{EpochMark, EpochRecord, EpochStore, EpochTarget};
