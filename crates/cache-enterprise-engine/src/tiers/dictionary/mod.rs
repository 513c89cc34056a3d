//! Dictionaries: small values of one kind are packed with what they have in common.
//!
//! ```text
//! a write    the value may become a sample of its kind        kinds, samples
//!            the kind's dictionary, if one outlives the value, is one more way to pack it
//! the tender trains where there are samples enough, stores the dictionary, lets it pack   lessons
//!            and stores it again while it is in use           tend
//! a read     a number that is not at hand is looked for once  fetch, shelf
//! ```
//!
//! A kind is what a writer names, or its cache, within one cache of one tenant. Samples, dictionary
//! and stored dictionary belong to that space: the keys they are stored under are made from the key of the
//! value at hand, so that nobody reaches another tenant's.
//!
//! A dictionary is in the tiers before the first value that needs it, and longer than any: it packs
//! a value only if what was stored of it ends no sooner than the value. Writers look at that
//! date and wait for nothing; whatever is not covered is packed some other way, and the tender
//! covers it for the next. A dictionary is called by what it contains and never changes, so readers need no
//! news of it: a value names it, and it is looked for under that name, checked, and kept.
//! One that was lost makes its values misses, and the tender puts it back while it is in use.
//!
//! Where bodies are sealed there are no dictionaries: lengths of what is packed with others' words would
//! tell of these words through the seal.

mod fetch;
mod kinds;
mod lessons;
mod limits;
mod samples;
mod shelf;
mod tend;

pub use limits::DictionaryLimits;
pub(crate) use tend::watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    Clock, Compressor, Counter, DictionaryCompressor, Millis, Result, StoredKey, dictionary_id,
};

use self::kinds::Kinds;
use self::shelf::Shelf;
use super::AdaptiveCompression;
use crate::manager::CacheManager;

/// How long a dictionary that was not found is not looked for again.
const MISSED_FOR: Duration = Duration::from_secs(10);

/// The dictionaries of one stack: those that pack, and those that were read.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    readers: Vec<Arc<dyn DictionaryCompressor>>,
    kinds: Mutex<Kinds>,
    shelf: Mutex<Shelf>,
    /// One search at a time: whoever waited finds what the other brought.
    searching: tokio::sync::Mutex<()>,
    /// One round of the tender at a time.
    tending: tokio::sync::Mutex<()>,
    clock: Clock,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    trained: Counter,
    adopted: Counter,
    rejected: Counter,
    fetched: Counter,
    missing: Counter,
    refused: Counter,
}

/// A dictionary, ready to pack and to inflate.
pub(crate) struct Trained {
    pub(super) id: u32,
    pub(super) bytes: Bytes,
    pub(super) compressor: Arc<dyn Compressor>,
}

impl Trained {
    /// Makes the bytes of a dictionary ready.
    fn new(trainer: &dyn DictionaryCompressor, bytes: Bytes) -> Result<Self> {
        let compressor = trainer.with_dictionary(&bytes)?;
        Ok(Self { id: dictionary_id(&bytes), bytes, compressor })
    }
}

/// Shows the number, never the pieces of values.
impl fmt::Debug for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trained").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A value on its way to a tier, as far as dictionaries ask.
pub(crate) struct Written<'a> {
    pub(crate) key: &'a StoredKey,
    /// The kind of data.
    pub(crate) class: &'a str,
    /// The value ends then.
    pub(crate) expires: Millis,
}

/// What became of dictionaries in this process.
///
/// [`CacheManager::dictionary_stats`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DictionaryStats {
    /// Dictionaries that were trained here and pack now, or did.
    pub trained: u64,
    /// Dictionaries that another process had trained, or this one before it was started anew, and
    /// that were taken over to pack.
    pub adopted: u64,
    /// Times that samples were learned from and nothing was found that saves enough.
    pub rejected: u64,
    /// Dictionaries that were read from a tier.
    pub fetched: u64,
    /// Searches for a dictionary that no tier had: its values are misses.
    pub missing: u64,
    /// Stored dictionaries that were damaged or not what their number says.
    pub refused: u64,
    /// Kinds that have a dictionary now.
    pub packing: usize,
    /// Bytes of samples that are kept now.
    pub sample_bytes: usize,
    /// Bytes of dictionaries that are at hand for reading now.
    pub bytes: usize,
}

impl Dictionaries {
    pub(crate) fn new(readers: Vec<Arc<dyn DictionaryCompressor>>, clock: Clock) -> Self {
        Self {
            readers,
            kinds: Mutex::default(),
            shelf: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
            tending: tokio::sync::Mutex::default(),
            clock,
            counts: Counts::default(),
        }
    }

    /// The dictionary to pack a value with for the tiers that pack by `packing`, if its kind has
    /// one that outlives it. The value may become a sample.
    pub(crate) fn for_write(
        &self,
        (packing, adaptive): (usize, &AdaptiveCompression),
        written: &Written<'_>,
        plain: &[u8],
    ) -> Option<Arc<Trained>> {
        let learning = adaptive.learning().filter(|learning| learning.limits.takes(plain.len()))?;
        if adaptive.is_secret(written.class) {
            return None;
        }
        let now = self.clock.now();
        self.kinds.lock().for_write(packing, &learning.limits, written, plain, now)
    }

    /// The dictionary of this number in the space of `key`, if it is at hand.
    pub(super) fn for_read(&self, key: &StoredKey, id: u32) -> Option<Arc<Trained>> {
        self.shelf.lock().find(key.space(), id)
    }

    /// Whether what this dictionary packed in the space of `key` may live until then.
    pub(super) fn covers(&self, key: &StoredKey, id: u32, until: Millis) -> bool {
        self.kinds.lock().covers(key.space(), id, until)
    }

    fn reader(&self, compressor: u8) -> Option<&dyn DictionaryCompressor> {
        self.readers.iter().find(|reader| reader.id() == compressor).map(|reader| &**reader)
    }

    fn stats(&self) -> DictionaryStats {
        let (packing, sample_bytes) = self.kinds.lock().size();
        DictionaryStats {
            trained: self.counts.trained.sum(),
            adopted: self.counts.adopted.sum(),
            rejected: self.counts.rejected.sum(),
            fetched: self.counts.fetched.sum(),
            missing: self.counts.missing.sum(),
            refused: self.counts.refused.sum(),
            packing,
            sample_bytes,
            bytes: self.shelf.lock().size().1,
        }
    }
}

impl<C> CacheManager<C> {
    /// Trains and stores the dictionaries that are due, which otherwise is done within a second; for
    /// those who want them now, such as after a warm-up. See
    /// [`AdaptiveCompression::dictionaries`]. Takes some tens of milliseconds of processor time for
    /// each kind of data that has samples enough, on a thread that may block.
    pub async fn tend_dictionaries(&self) {
        for stack in self.shared.stacks() {
            stack.tend_dictionaries().await;
        }
    }

    /// What became of the dictionaries of this manager, all tenants together.
    ///
    /// ```
    /// # use cache_enterprise_engine::CacheManager;
    /// # async fn look<C>(manager: &CacheManager<C>) {
    /// manager.tend_dictionaries().await;
    /// let stats = manager.dictionary_stats();
    /// println!("{} trained, {} kinds packed with one", stats.trained, stats.packing);
    /// # }
    /// ```
    pub fn dictionary_stats(&self) -> DictionaryStats {
        let all = self.shared.stacks().filter_map(|stack| stack.pipeline.dictionaries.as_ref());
        all.map(|dictionaries| dictionaries.stats()).fold(DictionaryStats::default(), |sum, one| {
            DictionaryStats {
                trained: sum.trained + one.trained,
                adopted: sum.adopted + one.adopted,
                rejected: sum.rejected + one.rejected,
                fetched: sum.fetched + one.fetched,
                missing: sum.missing + one.missing,
                refused: sum.refused + one.refused,
                packing: sum.packing + one.packing,
                sample_bytes: sum.sample_bytes + one.sample_bytes,
                bytes: sum.bytes + one.bytes,
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Packs nothing, under any dictionary.
    #[derive(Debug)]
    pub(in crate::tiers) struct Idle;

    impl Compressor for Idle {
        fn id(&self) -> u8 {
            200
        }
        fn name(&self) -> &'static str {
            "idle"
        }
        fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
            out.extend_from_slice(bytes);
            Ok(())
        }
        fn decompress(&self, bytes: &[u8], _: usize) -> Result<Vec<u8>> {
            Ok(bytes.to_vec())
        }
    }

    impl DictionaryCompressor for Idle {
        fn train(&self, _: &[Bytes], _: usize) -> Result<Bytes> {
            Ok(Bytes::new())
        }
        fn with_dictionary(&self, _: &Bytes) -> Result<Arc<dyn Compressor>> {
            Ok(Arc::new(Self))
        }
    }

    /// A dictionary of these bytes.
    pub(super) fn plain(bytes: &[u8]) -> Arc<Trained> {
        Arc::new(Trained::new(&Idle, Bytes::copy_from_slice(bytes)).expect("it takes any"))
    }
}
