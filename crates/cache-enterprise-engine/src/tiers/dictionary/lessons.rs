//! Learning from samples, and judging what was learned on others. Runs where it may block.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{Compressor, DictionaryCompressor};

use super::kinds::Lesson;
use super::{DictionaryLimits, Trained};

/// A dictionary should be a small part of what it was trained from.
const PART_OF_SAMPLES: usize = 4;

/// The least that compressors make a dictionary of.
const BYTES_LEAST: usize = 256;

/// Where a dictionary comes from that is worth it.
#[derive(Debug)]
pub(super) enum Learned {
    Found(Arc<Trained>),
    New(Arc<Trained>),
}

/// What saves enough on the samples that were held back: `found`, which is in the tiers already,
/// else one that is trained now, else nothing.
pub(super) fn learn(
    trainer: &dyn DictionaryCompressor,
    limits: &DictionaryLimits,
    lesson: &Lesson,
    found: Option<Arc<Trained>>,
) -> Option<Learned> {
    let packs_now = lesson.current.as_ref().map(|current| &*current.compressor);
    let before = match packs_now {
        Some(current) => stored(current, &lesson.tried),
        None => stored(trainer, &lesson.tried),
    };
    let is_worth_it = |trained: &Arc<Trained>| {
        let after = stored(&*trained.compressor, &lesson.tried);
        (after as f64) <= before as f64 * (1.0 - limits.gain_min)
    };
    if let Some(found) = found.filter(is_worth_it) {
        return Some(Learned::Found(found));
    }
    let sum: usize = lesson.learned.iter().map(Bytes::len).sum();
    let bytes_max = limits.bytes_max.min(sum / PART_OF_SAMPLES).max(BYTES_LEAST);
    let trained = trainer.train(&lesson.learned, bytes_max);
    let trained = trained.and_then(|bytes| Trained::new(trainer, bytes));
    match trained {
        Ok(trained) => Some(Arc::new(trained)).filter(is_worth_it).map(Learned::New),
        Err(error) => {
            tracing::debug!(error = %error, "nothing was learned from samples");
            None
        }
    }
}

/// Bytes that these values take, each packed or as it is, whichever is less.
fn stored<X: Compressor + ?Sized>(compressor: &X, values: &[Bytes]) -> usize {
    let mut out = Vec::new();
    let stored = values.iter().map(|value| {
        out.clear();
        let packed = compressor.compress(value, &mut out);
        packed.map_or(value.len(), |()| out.len().min(value.len()))
    });
    stored.sum()
}
