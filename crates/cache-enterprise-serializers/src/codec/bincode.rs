//! bincode 1.3.3.

use std::marker::PhantomData;

use bincode::{ErrorKind, Options};
use bytes::Bytes;
use cache_enterprise_core::{Codec, Format, Result};
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Deserializer, Serialize};

use super::bounded;
use super::error::{cannot_decode, cannot_encode};

/// bincode 1.3.3 with variable-length integers. Upstream is complete and no longer maintained;
/// [`Postcard`](crate::Postcard) writes about as many bytes and is. Neither names nor types are
/// written: the schema in the envelope must change with the type.
///
/// ```
/// use cache_enterprise_core::Codec;
/// use cache_enterprise_serializers::Bincode;
///
/// let mut bytes = Vec::new();
/// Bincode.encode(&vec![1_u32, 2, 300], &mut bytes)?;
/// assert_eq!(bytes, [3, 1, 2, 251, 44, 1]);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

const NAME: &str = "bincode";

impl Format for Bincode {
    fn id(&self) -> u8 {
        5
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

/// The crate's plain functions have no limit and write every length in eight bytes; these options
/// do not. The limit counts what is written; what is read is bounded by its slice, for which the
/// crate ignores the limit, and by [`bounded`].
fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_limit(u64::from(u32::MAX))
        .with_varint_encoding()
        .reject_trailing_bytes()
}

impl<V: Serialize + DeserializeOwned> Codec<V> for Bincode {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        options().serialize_into(&mut *out, value).map_err(|error| {
            out.truncate(start);
            cannot_encode::<V>(NAME, reason(&error))
        })
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        let seed = Bounded { bytes: bytes.len(), value: PhantomData };
        options()
            .deserialize_seed(seed, bytes)
            .map_err(|error| cannot_decode::<V>(NAME, reason(&error)))
    }
}

/// Carries the bounds through the only entry that also rejects bytes after the value.
struct Bounded<V> {
    bytes: usize,
    value: PhantomData<V>,
}

impl<'de, V: Deserialize<'de>> DeserializeSeed<'de> for Bounded<V> {
    type Value = V;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V, D::Error> {
        bounded::read(deserializer, self.bytes)
    }
}

fn reason(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::Io(_) => "the bytes end too early",
        ErrorKind::InvalidUtf8Encoding(_) => "a string is not UTF-8",
        ErrorKind::InvalidBoolEncoding(_)
        | ErrorKind::InvalidCharEncoding
        | ErrorKind::InvalidTagEncoding(_) => "the bytes do not fit the type",
        ErrorKind::DeserializeAnyNotSupported => "the type needs a format that describes itself",
        ErrorKind::SizeLimit => "the value is over 4 GiB",
        ErrorKind::SequenceMustHaveLength => "a sequence does not know its length",
        ErrorKind::Custom(_) => "value and bytes do not fit each other",
    }
}
