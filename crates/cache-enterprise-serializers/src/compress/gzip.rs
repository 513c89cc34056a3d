//! gzip.

use std::io::{Read, Write};

use cache_enterprise_core::{Compressor, Error, Result};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::error::{cannot_compress, cannot_inflate};

/// gzip: several times the CPU time of zstd for about the same saving, and readable everywhere. The
/// header carries neither name nor date, so equal payloads give equal bytes.
///
/// ```
/// use cache_enterprise_core::Compressor;
/// use cache_enterprise_serializers::Gzip;
///
/// let gzip = Gzip::over(256).level(9)?;
/// let mut out = Vec::new();
/// gzip.compress(&[7; 1000], &mut out)?;
/// assert!(out.len() < 50);
/// assert_eq!(gzip.decompress(&out, 1000)?, [7; 1000]);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Gzip {
    threshold: usize,
    level: Compression,
}

const NAME: &str = "gzip";
const LEVEL_MAX: u32 = 9;

impl Gzip {
    /// Compresses payloads of at least `threshold` bytes.
    pub fn over(threshold: usize) -> Self {
        Self { threshold, level: Compression::default() }
    }

    /// Sets the level, 1 (least work) to 9 (fewest bytes). Default: 6.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](cache_enterprise_core::ErrorKind::Config) when it is out of range.
    pub fn level(mut self, level: u32) -> Result<Self> {
        if !(1..=LEVEL_MAX).contains(&level) {
            return Err(Error::config("the level of gzip is out of range")
                .with("level", level)
                .with("least", 1)
                .with("most", LEVEL_MAX));
        }
        self.level = Compression::new(level);
        Ok(self)
    }
}

impl Compressor for Gzip {
    fn id(&self) -> u8 {
        4
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let mut encoder = GzEncoder::new(&mut *out, self.level);
        let written = encoder.write_all(bytes).and_then(|()| encoder.finish().map(drop));
        written.map_err(|error| {
            out.truncate(start);
            cannot_compress(NAME).source_error(error)
        })
    }

    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        let mut plain = vec![0; len];
        let mut decoder = GzDecoder::new(bytes);
        let is_exact = decoder.read_exact(&mut plain).is_ok()
            // Reading on to the end checks that nothing more comes, and the CRC.
            && matches!(decoder.read(&mut [0]), Ok(0))
            && decoder.into_inner().is_empty();
        if is_exact { Ok(plain) } else { Err(cannot_inflate(NAME, len)) }
    }
}
