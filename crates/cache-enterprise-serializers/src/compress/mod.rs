//! Fewer bytes, and back.

mod algorithm;
mod arms;
#[cfg(any(feature = "zstd", feature = "lz4", feature = "snap", feature = "gzip"))]
mod error;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(any(feature = "zstd", feature = "lz4", feature = "snap"))]
mod pool;
#[cfg(feature = "snap")]
mod snap;
#[cfg(feature = "zstd")]
mod trained;
#[cfg(feature = "zstd")]
mod zstd;

pub use algorithm::CompressionAlgorithm;
pub use arms::{compression_arms, dictionary_arm};
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
#[cfg(feature = "lz4")]
pub use lz4::Lz4;
#[cfg(feature = "snap")]
pub use snap::Snap;
#[cfg(feature = "zstd")]
pub use zstd::{Zstd, ZstdDictionary};
