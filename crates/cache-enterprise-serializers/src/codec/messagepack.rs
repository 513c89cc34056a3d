//! MessagePack with named fields.

use bytes::Bytes;
use cache_enterprise_core::{Codec, Format, Result};
use rmp_serde::decode::{Deserializer, Error as DecodeError};
use rmp_serde::encode::Error as EncodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounded;
use super::error::{cannot_decode, cannot_encode};

/// MessagePack; structs are written as maps with the names of their fields, so that a type may
/// gain optional fields and change their order between two releases. The default codec.
///
/// ```
/// use cache_enterprise_core::Codec;
/// use cache_enterprise_serializers::MessagePack;
///
/// let mut bytes = Vec::new();
/// MessagePack.encode(&("Ada".to_owned(), 1815), &mut bytes)?;
/// let value: (String, u32) = MessagePack.decode(&bytes.into())?;
/// assert_eq!(value, ("Ada".to_owned(), 1815));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagePack;

const NAME: &str = "messagepack";

impl Format for MessagePack {
    fn id(&self) -> u8 {
        2
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

impl<V: Serialize + DeserializeOwned> Codec<V> for MessagePack {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        rmp_serde::encode::write_named(out, value).map_err(|error| {
            out.truncate(start);
            cannot_encode::<V>(NAME, encode_reason(&error))
        })
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        let mut deserializer = Deserializer::from_read_ref(bytes.as_ref());
        let value = bounded::read(&mut deserializer, bytes.len())
            .map_err(|error| cannot_decode::<V>(NAME, decode_reason(&error)))?;
        // The deserializer does not tell its position. Reading a number asks for one more marker
        // and nothing before it, so only the end of the bytes answers with this error.
        match u8::deserialize(&mut deserializer) {
            Err(DecodeError::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(cannot_decode::<V>(NAME, "bytes follow the value")),
        }
    }
}

fn encode_reason(error: &EncodeError) -> &'static str {
    match error {
        EncodeError::InvalidValueWrite(_) => "the buffer could not grow",
        EncodeError::UnknownLength => "a sequence does not know its length",
        EncodeError::InvalidDataModel(_) => "the type breaks the rules of serde",
        EncodeError::DepthLimitExceeded => "the value is nested too deep",
        EncodeError::Syntax(_) => "the type refused to be written",
    }
}

fn decode_reason(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::InvalidMarkerRead(_) | DecodeError::InvalidDataRead(_) => {
            "the bytes end too early"
        }
        DecodeError::TypeMismatch(_) => "a value of another type stands there",
        DecodeError::OutOfRange => "a number is out of range",
        DecodeError::LengthMismatch(_) => "a sequence has another length",
        DecodeError::Utf8Error(_) => "a string is not UTF-8",
        DecodeError::DepthLimitExceeded => "the bytes are nested too deep",
        DecodeError::Uncategorized(_) | DecodeError::Syntax(_) => "the bytes do not fit the type",
    }
}
