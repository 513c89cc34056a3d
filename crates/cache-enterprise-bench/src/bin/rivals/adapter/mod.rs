//! One adapter a library, thin: no adapter adds anything that its library does not do by itself.

#[cfg(feature = "rivals")]
mod amalgam_cache;
mod cached;
mod foyer;
#[cfg(feature = "rivals")]
mod hydracache;
mod moka;
#[cfg(feature = "rivals")]
mod multi_tier;
mod ours;
mod plain;

use std::time::Duration;

use crate::library::Library;

pub(crate) const OURS: &str = "cache-enterprise";
pub(crate) const PLAIN: &str = "plain map";

/// Entries that fit: more than any scenario makes.
const CAPACITY: u16 = 50_000;

/// Life of entries where a library asks for one: longer than any scenario.
#[cfg_attr(not(feature = "rivals"), allow(dead_code, reason = "the others have no life to set"))]
const TTL: Duration = Duration::from_secs(3_600);

/// Ours first, the plain map last.
pub(crate) fn all() -> Vec<Box<dyn Library>> {
    vec![
        Box::new(ours::Ours),
        Box::new(moka::Moka),
        Box::new(foyer::Foyer),
        Box::new(cached::CachedMacro),
        #[cfg(feature = "rivals")]
        Box::new(amalgam_cache::Amalgam),
        #[cfg(feature = "rivals")]
        Box::new(hydracache::Hydra),
        #[cfg(feature = "rivals")]
        Box::new(multi_tier::MultiTier),
        Box::new(plain::Plain),
    ]
}
