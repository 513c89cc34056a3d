//! postcard.

use bytes::Bytes;
use cache_enterprise_core::{Codec, Format, Result};
use postcard::{Deserializer, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bounded;
use super::error::{cannot_decode, cannot_encode};

/// postcard: the smallest output of the serde codecs. Neither names nor types are written, so
/// bytes of another type may decode to nonsense; the schema in the envelope must change with the
/// type.
///
/// ```
/// use cache_enterprise_core::Codec;
/// use cache_enterprise_serializers::Postcard;
///
/// let mut bytes = Vec::new();
/// Postcard.encode(&vec![1_u32, 2, 300], &mut bytes)?;
/// assert_eq!(bytes, [3, 1, 2, 0xac, 2]);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Postcard;

const NAME: &str = "postcard";

impl Format for Postcard {
    fn id(&self) -> u8 {
        4
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        postcard::to_io(value, &mut *out).map(drop).map_err(|error| {
            out.truncate(start);
            cannot_encode::<V>(NAME, reason(&error))
        })
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        let mut deserializer = Deserializer::from_bytes(bytes);
        let value = bounded::read(&mut deserializer, bytes.len())
            .map_err(|error| cannot_decode::<V>(NAME, reason(&error)))?;
        match deserializer.finalize() {
            Ok([]) => Ok(value),
            _ => Err(cannot_decode::<V>(NAME, "bytes follow the value")),
        }
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::WontImplement | Error::NotYetImplemented => {
            "the type needs a format that describes itself"
        }
        Error::SerializeSeqLengthUnknown => "a sequence does not know its length",
        Error::SerdeSerCustom | Error::CollectStrError => "the type refused to be written",
        Error::DeserializeUnexpectedEnd => "the bytes end too early",
        Error::DeserializeBadUtf8 => "a string is not UTF-8",
        _ => "the bytes do not fit the type",
    }
}
