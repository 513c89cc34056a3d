//! The compressors of this crate that are worth a choice.

use std::sync::Arc;

use cache_enterprise_core::{Compressor, DictionaryCompressor};

/// The ways to compress that are built in and differ in what they save for their time, each with
/// its level, for the engine's adaptive compression to choose among: LZ4, and Zstandard at levels
/// 1, 3 and 9. Snappy stands in where LZ4 is not built in, and gzip at level 6 where Zstandard is
/// not. Empty without any of them.
///
/// ```
/// use cache_enterprise_serializers::compression_arms;
///
/// let mut names: Vec<_> = compression_arms().iter().map(|(level, arm)| (arm.name(), *level)).collect();
/// names.dedup();
/// assert_eq!(names.len(), compression_arms().len(), "none stands twice");
/// ```
pub fn compression_arms() -> Vec<(i32, Arc<dyn Compressor>)> {
    #[allow(unused_mut, reason = "no compressor may be built in")]
    let mut arms: Vec<(i32, Arc<dyn Compressor>)> = Vec::new();
    #[cfg(feature = "lz4")]
    arms.push((1, Arc::new(crate::Lz4::over(0))));
    #[cfg(all(feature = "snap", not(feature = "lz4")))]
    arms.push((1, Arc::new(crate::Snap::over(0))));
    #[cfg(feature = "zstd")]
    for level in [1, 3, 9] {
        let zstd = crate::Zstd::over(0).level(level);
        arms.push((level, Arc::new(zstd.expect("the library has these levels"))));
    }
    #[cfg(all(feature = "gzip", not(feature = "zstd")))]
    arms.push((6, Arc::new(crate::Gzip::over(0))));
    arms
}

/// The way to compress with dictionaries that is built in, with its level: Zstandard at level 3.
/// Nothing without it.
///
/// ```
/// use cache_enterprise_serializers::dictionary_arm;
///
/// assert_eq!(dictionary_arm().is_some(), cfg!(feature = "zstd"));
/// ```
pub fn dictionary_arm() -> Option<(i32, Arc<dyn DictionaryCompressor>)> {
    #[cfg(feature = "zstd")]
    {
        let zstd = crate::Zstd::over(0).level(3).expect("the library has this level");
        Some((3, Arc::new(zstd)))
    }
    #[cfg(not(feature = "zstd"))]
    None
}
