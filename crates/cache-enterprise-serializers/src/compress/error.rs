//! Errors of compressors.

use cache_enterprise_core::{Error, ErrorKind};

pub(super) fn cannot_compress(compressor: &'static str) -> Error {
    Error::new(ErrorKind::Codec, "cannot compress a payload").with("compressor", compressor)
}

/// The bytes are no stream of this compressor, or not one of `len` bytes once inflated.
pub(super) fn cannot_inflate(compressor: &'static str, len: usize) -> Error {
    Error::new(ErrorKind::Corrupt, "a payload does not inflate to its length")
        .with("compressor", compressor)
        .with("bytes", len)
}
