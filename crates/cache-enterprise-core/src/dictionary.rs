//! Dictionaries: what payloads of one kind have in common, learned from samples of them.

use std::sync::Arc;

use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::{Compressor, Result};

/// A compressor that learns from samples what payloads of one kind share, and then does not write
/// it again with each of them. Training is asked for on a thread that may block, seldom; making a
/// compressor of a dictionary once for each dictionary and process.
///
/// A dictionary repeats pieces of its samples. Who asks for one keeps the samples of tenants apart,
/// and secrets away.
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use cache_enterprise_core::{
///     Compressor, DictionaryCompressor, Error, ErrorKind, Result, dictionary_id,
/// };
///
/// /// Leaves out what a payload begins with, where its dictionary begins alike.
/// #[derive(Debug, Default)]
/// struct Prefix(Bytes);
///
/// impl Compressor for Prefix {
///     fn id(&self) -> u8 {
///         200
///     }
///     fn name(&self) -> &'static str {
///         "prefix"
///     }
///     fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
///         let shared = bytes.iter().zip(&self.0).take(255).take_while(|(a, b)| a == b).count();
///         out.push(shared as u8);
///         out.extend_from_slice(&bytes[shared..]);
///         Ok(())
///     }
///     fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
///         let refused = || Error::new(ErrorKind::Corrupt, "the bytes do not inflate to their length");
///         let (shared, rest) = bytes.split_first().ok_or_else(refused)?;
///         let shared = self.0.get(..usize::from(*shared)).ok_or_else(refused)?;
///         let plain = [shared, rest].concat();
///         if plain.len() == len { Ok(plain) } else { Err(refused()) }
///     }
/// }
///
/// impl DictionaryCompressor for Prefix {
///     fn train(&self, samples: &[Bytes], bytes_max: usize) -> Result<Bytes> {
///         let first = samples.first().ok_or_else(|| Error::invalid("there are no samples"))?;
///         Ok(first.slice(..first.len().min(bytes_max)))
///     }
///     fn with_dictionary(&self, dictionary: &Bytes) -> Result<Arc<dyn Compressor>> {
///         Ok(Arc::new(Self(dictionary.clone())))
///     }
/// }
///
/// let plain = Prefix::default();
/// let dictionary = plain.train(&[Bytes::from_static(b"{\"id\":7}")], 1024)?;
/// let packed = plain.with_dictionary(&dictionary)?;
/// let mut out = Vec::new();
/// packed.compress(b"{\"id\":8}", &mut out)?;
/// assert_eq!((out.len(), packed.decompress(&out, 8)?), (3, b"{\"id\":8}".to_vec()));
/// assert_ne!(dictionary_id(&dictionary), dictionary_id(b"another"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub trait DictionaryCompressor: Compressor {
    /// A dictionary of at most `bytes_max` bytes from payloads as they are before compression. May
    /// take a second of processor time; never called where that would hold somebody up.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the samples are too few,
    /// too small or have nothing in common.
    fn train(&self, samples: &[Bytes], bytes_max: usize) -> Result<Bytes>;

    /// The same compressor with a dictionary: what it writes is read by it alone. The bytes may
    /// come from a tier.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when they are no dictionary.
    fn with_dictionary(&self, dictionary: &Bytes) -> Result<Arc<dyn Compressor>>;
}

/// The number of a dictionary in envelopes: 32 bits of the XXH3 hash of its bytes, never 0. Who finds a
/// dictionary by its number compares it again. [`DictionaryCompressor`] has an example.
pub fn dictionary_id(dictionary: &[u8]) -> u32 {
    let hash = XxHash3_64::oneshot(dictionary).to_le_bytes();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_that_of_the_content_and_never_changes() {
        assert_eq!(dictionary_id(b"a dictionary"), dictionary_id(&Bytes::from("a dictionary")));
        assert_ne!(dictionary_id(b"a dictionary"), dictionary_id(b"a dictionarz"));
        // Stored in envelopes: another number would make old entries unreadable.
        assert_eq!(dictionary_id(b""), 0x38d3_94c2);
        assert_ne!(dictionary_id(b""), 0);
    }

    #[test]
    fn a_trainer_is_used_through_a_pointer() {
        fn usable(_: Option<Arc<dyn DictionaryCompressor>>) {}
        usable(None);
    }
}
