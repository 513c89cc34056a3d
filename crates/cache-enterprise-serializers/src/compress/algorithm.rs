//! A compressor that settings choose.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cache_enterprise_core::{Compressor, Error, Result};

/// A way to compress, as an envelope and settings tell it: those of this crate, built in or not,
/// and those of an application.
///
/// ```
/// use cache_enterprise_serializers::CompressionAlgorithm;
///
/// let algorithm: CompressionAlgorithm = "none".parse()?;
/// assert!(algorithm.compressor(1024)?.is_none());
/// assert_eq!(CompressionAlgorithm::of_id(2), CompressionAlgorithm::Lz4);
/// assert_eq!(CompressionAlgorithm::of_id(200), CompressionAlgorithm::Custom(200));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompressionAlgorithm {
    /// Payloads are stored as they are.
    #[default]
    None,
    /// Zstandard at its default level; feature `zstd`.
    Zstd,
    /// LZ4 blocks; feature `lz4`.
    Lz4,
    /// Snappy blocks; feature `snap`.
    Snappy,
    /// gzip at its default level; feature `gzip`.
    Gzip,
    /// A compressor this crate does not know, by its number in the envelope.
    Custom(u8),
}

impl CompressionAlgorithm {
    /// All that have a name here, built in or not.
    pub const ALL: [Self; 5] = [Self::None, Self::Zstd, Self::Lz4, Self::Snappy, Self::Gzip];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::Custom(_) => "custom",
        }
    }

    /// The number in the envelope; zero for none.
    pub fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Zstd => 1,
            Self::Lz4 => 2,
            Self::Snappy => 3,
            Self::Gzip => 4,
            Self::Custom(id) => id,
        }
    }

    /// The algorithm of this number.
    pub fn of_id(id: u8) -> Self {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.id() == id);
        known.unwrap_or(Self::Custom(id))
    }

    /// The compressor, for payloads of at least `threshold` bytes; `None` for
    /// [`CompressionAlgorithm::None`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`](cache_enterprise_core::ErrorKind::Config) when the feature of the
    /// compressor is off, which the error names, or when it is not of this crate.
    pub fn compressor(self, threshold: usize) -> Result<Option<Arc<dyn Compressor>>> {
        // Only read when at least one compressor is built in.
        let _ = threshold;
        match self {
            Self::None => Ok(None),
            Self::Custom(id) => Err(Error::config(
                "the compressor is not of this crate; give it to the builder's `compression`",
            )
            .with("id", id)),
            #[cfg(feature = "zstd")]
            Self::Zstd => Ok(Some(Arc::new(crate::Zstd::over(threshold)))),
            #[cfg(feature = "lz4")]
            Self::Lz4 => Ok(Some(Arc::new(crate::Lz4::over(threshold)))),
            #[cfg(feature = "snap")]
            Self::Snappy => Ok(Some(Arc::new(crate::Snap::over(threshold)))),
            #[cfg(feature = "gzip")]
            Self::Gzip => Ok(Some(Arc::new(crate::Gzip::over(threshold)))),
            #[allow(unreachable_patterns, reason = "reached for each feature that is off")]
            Self::Zstd | Self::Lz4 | Self::Snappy | Self::Gzip => {
                Err(Error::config("the compressor is not built in; enable its feature")
                    .with("feature", self.feature()))
            }
        }
    }

    fn feature(self) -> &'static str {
        if self == Self::Snappy { "snap" } else { self.name() }
    }
}

impl fmt::Display for CompressionAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(id) => write!(f, "custom ({id})"),
            named => f.write_str(named.name()),
        }
    }
}

/// Takes the names, and `snap` for Snappy.
impl FromStr for CompressionAlgorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = |algorithm: &&Self| algorithm.name() == name || algorithm.feature() == name;
        Self::ALL.iter().find(wanted).copied().ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::config("no compressor has this name").with("name", name).with("known", known)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_name_parses_to_itself_and_a_wrong_one_lists_them() {
        for algorithm in CompressionAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse::<CompressionAlgorithm>().unwrap(), algorithm);
        }
        assert_eq!("snap".parse::<CompressionAlgorithm>().unwrap(), CompressionAlgorithm::Snappy);
        let error = "zip".parse::<CompressionAlgorithm>().unwrap_err();
        assert!(error.to_string().contains("none, zstd, lz4, snappy, gzip"), "{error}");
    }

    #[test]
    fn an_algorithm_has_the_number_of_its_compressor_and_the_rest_are_custom() {
        for algorithm in CompressionAlgorithm::ALL {
            assert_eq!(CompressionAlgorithm::of_id(algorithm.id()), algorithm);
            if let Ok(Some(compressor)) = algorithm.compressor(0) {
                assert_eq!(compressor.id(), algorithm.id());
            }
        }
        let own = CompressionAlgorithm::of_id(130);
        assert_eq!(
            (own, own.to_string()),
            (CompressionAlgorithm::Custom(130), "custom (130)".into())
        );
        assert!(own.compressor(0).unwrap_err().to_string().contains("builder"));
    }

    #[test]
    fn a_compressor_keeps_its_threshold_and_one_without_its_feature_is_named() {
        let built_in = [cfg!(feature = "zstd"), cfg!(feature = "lz4")]
            .into_iter()
            .chain([cfg!(feature = "snap"), cfg!(feature = "gzip")]);
        for (algorithm, is_built_in) in CompressionAlgorithm::ALL[1..].iter().zip(built_in) {
            match algorithm.compressor(77) {
                Ok(compressor) => {
                    assert!(is_built_in);
                    assert_eq!(compressor.unwrap().threshold(), 77);
                }
                Err(error) => {
                    assert!(!is_built_in);
                    assert!(error.to_string().contains(algorithm.feature()), "{error}");
                }
            }
        }
    }
}
