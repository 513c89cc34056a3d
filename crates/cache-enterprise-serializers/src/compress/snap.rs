//! Snappy blocks.

use std::convert::Infallible;

use cache_enterprise_core::{Compressor, Result};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::error::{cannot_compress, cannot_inflate};
use super::pool::Pool;

/// Snappy in its raw format: CPU time and saving close to [`Lz4`](crate::Lz4)'s.
///
/// ```
/// use cache_enterprise_core::Compressor;
/// use cache_enterprise_serializers::Snap;
///
/// let snap = Snap::over(256);
/// let mut out = Vec::new();
/// snap.compress(&[7; 1000], &mut out)?;
/// assert!(out.len() < 80);
/// assert_eq!(snap.decompress(&out, 1000)?, [7; 1000]);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Snap {
    threshold: usize,
    encoders: Pool<Encoder>,
}

const NAME: &str = "snap";

impl Snap {
    /// Compresses payloads of at least `threshold` bytes.
    pub fn over(threshold: usize) -> Self {
        Self { threshold, encoders: Pool::default() }
    }
}

impl Compressor for Snap {
    fn id(&self) -> u8 {
        3
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        // Zero for a payload over the format's 4 GiB, which the encoder then refuses.
        out.resize(start + max_compress_len(bytes.len()), 0);
        let Ok(written) = self.encoders.with(
            || Ok::<_, Infallible>(Encoder::new()),
            |encoder| encoder.compress(bytes, &mut out[start..]),
        );
        out.truncate(start + written.as_ref().map_or(0, |len| *len));
        written.map(drop).map_err(|error| cannot_compress(NAME).source_error(error))
    }

    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        if decompress_len(bytes).ok() != Some(len) {
            return Err(cannot_inflate(NAME, len));
        }
        let mut plain = vec![0; len];
        match Decoder::new().decompress(bytes, &mut plain) {
            Ok(written) if written == len => Ok(plain),
            _ => Err(cannot_inflate(NAME, len)),
        }
    }
}
