//! The words of cache-enterprise: keys, entries, errors, clock and every trait.
//!
//! A backend, codec or policy is written against this crate alone; `cache-enterprise-testkit`
//! holds the conformance suite for each trait. Nothing here does I/O, spawns or waits.
//!
//! | to write | implement | and run |
//! |---|---|---|
//! | a tier | [`Backend`] | `testkit::conformance::backend` |
//! | shared epochs | [`EpochStore`](coherence::EpochStore) | `testkit::conformance::epoch_store` |
//! | leases of loads | [`Lease`](coherence::Lease) | `testkit::conformance::lease` |
//! | a bus between processes | [`Bus`](coherence::Bus) | `testkit::conformance::bus` |
//! | a store for level 1 | [`LocalStore`] | `testkit::conformance::local_store` |
//! | an eviction policy | [`EvictionPolicy`] | `testkit::conformance::local_store` over it |
//! | a codec | [`Codec`] and [`Format`] | `testkit::conformance::codec` |
//! | a compressor | [`Compressor`], [`DictionaryCompressor`] | `testkit::conformance::compressor` |
//! | a key type | [`CacheKey`] | its injectivity test |
//!
//! The rules that keep every copy of a value coherent are in [`coherence`].

mod backend;
mod cached;
mod clock;
mod codec;
pub mod coherence;
mod counter;
mod dictionary;
mod early;
mod entry;
pub mod envelope;
mod error;
mod eviction;
mod factory;
mod key;
mod level;
#[doc(hidden)]
pub mod mutant;
mod observe;
mod pattern;
mod placement;
mod source;
mod store;
#[doc(hidden)]
pub mod sync;
mod tag;
mod units;

pub use backend::{
    Backend, BackendHealth, Capabilities, OpContext, Put, PutOutcome, ScanPage, Swapped,
    unsupported,
};
pub use cached::Cached;
pub use clock::{Clock, Millis, NEVER, saturating_millis};
pub use codec::{
    Codec, CodecFor, Compressor, Format, Inherit, MemoryOnly, Own, ResolvedCodec, Transform,
    TransformContext,
};
pub use coherence::Sequence;
pub use counter::Counter;
pub use dictionary::{DictionaryCompressor, dictionary_id};
pub use early::{Early, Reading};
pub use entry::{Dates, Detail, Entry, Freshness, Priority};
pub use envelope::Envelope;
pub use error::{Error, ErrorKind, Result};
pub use eviction::{
    Candidate, EvictionPolicy, HitMarks, Merit, PolicyFactory, PolicyShape, Recording, Slot,
    Verdict,
};
pub use factory::{
    BackendConfig, BackendFactory, BackendOption, BackendRegistry, BusFactory, SecretSource,
};
pub use key::{
    CacheKey, KEY_BYTES_MAX, KeyPrefix, KeySpace, KeyWriter, Lookup, NAME_BYTES_MAX, Scoped,
    ScopedRef, StoredKey, check_name, unescaped,
};
pub use level::CacheLevel;
pub use observe::{Event, NoObserver, Observer};
pub use pattern::Pattern;
pub use placement::{Heat, PlacementPolicy};
pub use source::{BackendSource, DescribedOption, OpenedBackend};
pub use store::{Capacity, LocalStore, RemovalCause, SetOutcome, StoreStats};
pub use tag::{TAG_BYTES_MAX, Tag};
pub use units::{GIB, KIB, MIB, days, hours, mins, ms, secs};
