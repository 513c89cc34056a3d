//! Zstandard with one dictionary, for a reader and writer that has many of them.
//!
//! A working memory takes hundreds of KiB and does not belong to a dictionary: all dictionaries of
//! a [`Zstd`] take turns with the same few. What a dictionary adds is its bytes in the form that
//! packs and the form that inflates, together some five to ten times as long.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{Compressor, DictionaryCompressor, Error, ErrorKind, Result};
use zstd::zstd_safe::{CCtx, CDict, DCtx, DDict, compress_bound, get_error_name};

use super::error::{cannot_compress, cannot_inflate};
use super::pool::Pool;
use super::zstd::{NAME, Zstd, ZstdDictionary, frame_of};

/// Working memories, shared by the dictionaries of one compressor.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    packing: Pool<CCtx<'static>>,
    inflating: Pool<DCtx<'static>>,
}

/// Zstandard with one dictionary.
struct Trained {
    threshold: usize,
    id: u32,
    packs: CDict<'static>,
    inflates: DDict<'static>,
    contexts: Arc<Contexts>,
}

impl DictionaryCompressor for Zstd {
    fn train(&self, samples: &[Bytes], bytes_max: usize) -> Result<Bytes> {
        Self::train(samples, bytes_max).map(ZstdDictionary::into_bytes)
    }

    fn with_dictionary(&self, dictionary: &Bytes) -> Result<Arc<dyn Compressor>> {
        let dictionary = ZstdDictionary::new(dictionary.clone())?;
        let refused = || Error::invalid("the bytes are no dictionary that zstd can use");
        let bytes = dictionary.as_bytes();
        Ok(Arc::new(Trained {
            threshold: self.threshold(),
            id: dictionary.id(),
            packs: CDict::try_create(bytes, self.level_number()).ok_or_else(refused)?,
            inflates: DDict::try_create(bytes).ok_or_else(refused)?,
            contexts: Arc::clone(self.contexts()),
        }))
    }
}

impl Compressor for Trained {
    fn id(&self) -> u8 {
        Zstd::ID
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + compress_bound(bytes.len()), 0);
        let written = self.contexts.packing.with(
            || CCtx::try_create().ok_or_else(|| cannot_compress(NAME)),
            |context| context.compress_using_cdict(&mut out[start..], bytes, &self.packs),
        );
        let written = written.and_then(|written| {
            written.map_err(|code| cannot_compress(NAME).with("reason", get_error_name(code)))
        });
        out.truncate(start + written.as_ref().map_or(0, |len| *len));
        written.map(drop)
    }

    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        if frame_of(bytes, len)? != self.id {
            let text = "a payload was written with another dictionary";
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let mut plain = vec![0; len];
        let written = self.contexts.inflating.with(
            || DCtx::try_create().ok_or_else(|| cannot_inflate(NAME, len)),
            |context| context.decompress_using_ddict(&mut plain[..], bytes, &self.inflates),
        )?;
        match written {
            Ok(written) if written == len => Ok(plain),
            _ => Err(cannot_inflate(NAME, len)),
        }
    }
}

impl fmt::Debug for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trained").field("id", &self.id).finish_non_exhaustive()
    }
}
