//! Levels below level 1.
//!
//! `stack` walks them, `gate` keeps writers and readers of one key in order, `pipeline` turns
//! values into bytes in the `forms` that tiers ask for, which a `packer` makes, be it an `adaptive`
//! one that knows a `dictionary` for its kind. `behind` writes later, `expire` ends lives softly,
//! `elders` takes away what is older than what did not arrive, `debts` remembers what a failing
//! tier was not told, `unnumbered` which keys ended without a number of the store's, `tell` says to
//! other processes what became of it. `fill` brings loads to the tiers, `lease` and `lease_many`
//! let one process load, `guards` puts the wrappers around a backend, `restore` takes over what a
//! tenant's last process left, `numbers` asks the store that all processes share, `judge` says
//! whether what a level gave may be believed, `inspect` shows what lies in a tier and whether it
//! may be served.

mod adaptive;
mod advice;
mod batch;
mod behind;
mod below;
mod build;
mod debts;
mod describe;
mod dictionary;
mod elders;
mod expire;
mod explain;
mod fill;
mod forms;
mod gate;
mod guards;
mod inspect;
mod judge;
mod lease;
mod lease_many;
mod life;
mod migrate;
mod numbers;
mod packer;
mod pipeline;
mod place;
mod promote;
mod pushed;
mod restore;
mod stack;
mod strict;
mod swap;
mod sweep;
mod tell;
mod tier;
mod unnumbered;

pub use adaptive::AdaptiveCompression;
pub(crate) use below::{Fence, Hold, Sealed};
pub use build::{Complete, Tiered};
pub use dictionary::{DictionaryLimits, DictionaryStats};
pub(crate) use forms::Packings;
pub(crate) use gate::Pass;
pub(crate) use guards::{Failing, Guards};
pub use inspect::{StoredEntry, StoredState};
pub(crate) use lease::Held;
pub(crate) use lease_many::HeldMany;
pub use life::{LevelHealth, TierStats};
pub(crate) use numbers::{Marks, Number};
pub use packer::Packer;
pub(crate) use pipeline::Pipeline;
pub(crate) use restore::Restoring;
pub(crate) use stack::{KeptEpochs, Stack, StackParts};
pub(crate) use tier::{Level, open};
pub use tier::{Tier, WritePolicy};
