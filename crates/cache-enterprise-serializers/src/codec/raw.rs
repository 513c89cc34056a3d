//! Bytes as they are.

use bytes::Bytes;
use cache_enterprise_core::{Codec, Format, Result};

/// The codec of values that are bytes already: [`Bytes`] and `Vec<u8>`. Reading `Bytes` shares
/// the tier's buffer, reading `Vec<u8>` copies it.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::Codec;
/// use cache_enterprise_serializers::Raw;
///
/// let stored = Bytes::from_static(b"cover art");
/// let value: Bytes = Raw.decode(&stored)?;
/// assert_eq!(value.as_ptr(), stored.as_ptr());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Format for Raw {
    fn id(&self) -> u8 {
        1
    }

    fn name(&self) -> &'static str {
        "raw"
    }
}

impl Codec<Bytes> for Raw {
    fn encode(&self, value: &Bytes, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Bytes> {
        Ok(bytes.clone())
    }
}

impl Codec<Vec<u8>> for Raw {
    fn encode(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }
}
