//! What packs values on their way to a tier.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{Compressor, DictionaryCompressor, Result};

use super::AdaptiveCompression;
use super::dictionary::Trained;

/// A payload that became smaller.
#[derive(Debug)]
pub(super) struct Packed {
    /// The number of its compressor.
    pub(super) compressor: u8,
    /// That of the dictionary; zero for none.
    pub(super) dictionary: u32,
    pub(super) payload: Bytes,
}

/// What packs the values of a tier: one compressor, or the choice of one for each kind of data. Any
/// compressor and [`AdaptiveCompression`] turn into one.
#[derive(Clone, Debug)]
pub struct Packer(Packs);

#[derive(Clone, Debug)]
enum Packs {
    One(Arc<dyn Compressor>),
    Adaptive(AdaptiveCompression),
}

impl Packer {
    /// The name in settings and descriptions: the compressor's, or `adaptive`.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Packs::One(compressor) => compressor.name(),
            Packs::Adaptive(_) => "adaptive",
        }
    }

    /// Payloads below this many bytes are stored as they are.
    pub fn threshold(&self) -> usize {
        match &self.0 {
            Packs::One(compressor) => compressor.threshold(),
            Packs::Adaptive(adaptive) => adaptive.limits().bytes_min,
        }
    }

    /// The choice, if it is one: what it learned is asked there.
    pub fn adaptive(&self) -> Option<&AdaptiveCompression> {
        match &self.0 {
            Packs::One(_) => None,
            Packs::Adaptive(adaptive) => Some(adaptive),
        }
    }

    /// Whether one packs as the other does, so that their work can be shared.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Packs::One(one), Packs::One(other)) => Arc::ptr_eq(one, other),
            (Packs::Adaptive(one), Packs::Adaptive(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// What makes the dictionaries of a choice that learns them.
    pub(super) fn trainer(&self) -> Option<&Arc<dyn DictionaryCompressor>> {
        self.adaptive()?.learning().map(|learning| &learning.trainer)
    }

    /// Every compressor that may have packed a value.
    pub(super) fn compressors(&self) -> &[Arc<dyn Compressor>] {
        match &self.0 {
            Packs::One(compressor) => std::slice::from_ref(compressor),
            Packs::Adaptive(adaptive) => adaptive.compressors(),
        }
    }

    /// The packed payload of a value of this kind; `None` when it is too short for it or would not
    /// get smaller. A choice may take `dictionary` for it.
    pub(super) fn pack(
        &self,
        class: &str,
        plain: &Bytes,
        dictionary: Option<&Trained>,
    ) -> Result<Option<Packed>> {
        match &self.0 {
            Packs::One(compressor) if plain.len() < compressor.threshold() => Ok(None),
            Packs::One(compressor) => pack(compressor, 0, plain),
            Packs::Adaptive(adaptive) => adaptive.pack(class, plain, dictionary),
        }
    }
}

/// A compressor, and one that is behind a pointer already as it is: tiers that are given clones of
/// one pointer share its work.
impl<C: Compressor> From<C> for Packer {
    fn from(compressor: C) -> Self {
        Self(Packs::One(shared(compressor)))
    }
}

impl From<AdaptiveCompression> for Packer {
    fn from(adaptive: AdaptiveCompression) -> Self {
        Self(Packs::Adaptive(adaptive))
    }
}

/// A compressor behind a pointer.
pub(super) fn shared(compressor: impl Compressor) -> Arc<dyn Compressor> {
    let any: &dyn std::any::Any = &compressor;
    match any.downcast_ref::<Arc<dyn Compressor>>() {
        Some(pointer) => Arc::clone(pointer),
        None => Arc::new(compressor),
    }
}

/// The packed payload, by a compressor of the dictionary with this number; `None` when it would not
/// get smaller.
pub(super) fn pack(
    compressor: &Arc<dyn Compressor>,
    dictionary: u32,
    plain: &Bytes,
) -> Result<Option<Packed>> {
    let mut packed = Vec::with_capacity(plain.len() / 2);
    compressor.compress(plain, &mut packed)?;
    let compressor = compressor.id();
    let is_smaller = packed.len() < plain.len();
    Ok(is_smaller.then(|| Packed { compressor, dictionary, payload: packed.into() }))
}
