//! Protocol Buffers.

use bytes::Bytes;
use cache_enterprise_core::{Codec, Format, Result};
use prost::Message;

use super::error::{cannot_decode, cannot_encode};

/// Protocol Buffers for types that implement [`prost::Message`]. Written with the length in front:
/// a message alone has no end, so bytes after it would be read as more fields of it.
///
/// ```
/// use cache_enterprise_core::Codec;
/// use cache_enterprise_serializers::Protobuf;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Track {
///     #[prost(string, tag = "1")]
///     title: String,
/// }
///
/// let track = Track { title: "Aria".into() };
/// let mut bytes = Vec::new();
/// Protobuf.encode(&track, &mut bytes)?;
/// let read: Track = Protobuf.decode(&bytes.into())?;
/// assert_eq!(read, track);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protobuf;

const NAME: &str = "protobuf";

impl Format for Protobuf {
    fn id(&self) -> u8 {
        6
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

impl<V: Message + Default> Codec<V> for Protobuf {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        value.encode_length_delimited(out).map_err(|_| {
            out.truncate(start);
            cannot_encode::<V>(NAME, "the buffer could not grow")
        })
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        let mut rest = bytes.clone();
        let len = prost::decode_length_delimiter(&mut rest)
            .map_err(|_| cannot_decode::<V>(NAME, "the length is malformed"))?;
        if len != rest.len() {
            return Err(cannot_decode::<V>(NAME, "the bytes are not as long as they declare"));
        }
        V::decode(rest).map_err(|_| cannot_decode::<V>(NAME, "the bytes do not fit the type"))
    }
}
