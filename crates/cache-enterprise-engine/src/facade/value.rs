//! A value of any type, with its bytes when there are tiers.
//!
//! On the way to a tier the name of the type goes before the encoded value, so that another type
//! under the key is an error that names both, also after a restart.

use std::any::{Any, type_name};
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes};
use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};

use crate::weight::value_bytes;

/// Number of the facade's codec in envelopes.
const FACADE_CODEC: u8 = 7;

/// A value behind `Any`.
pub(crate) struct AnyValue {
    /// The name of its type, two bytes of length before it, and the encoded value.
    bytes: Option<Bytes>,
    /// The value, once somebody brought it or asked for it.
    typed: OnceLock<Typed>,
}

struct Typed {
    type_name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
    size: usize,
}

impl AnyValue {
    /// A value as its caller gave it; encoded when a codec is given.
    pub(crate) fn typed<V, C>(value: Arc<V>, codec: Option<&C>) -> Result<Self>
    where
        V: Send + Sync + 'static,
        C: Codec<V>,
    {
        let bytes = codec.map(|codec| encode(&*value, codec)).transpose()?;
        let typed = Typed { type_name: type_name::<V>(), size: value_bytes(&*value), value };
        Ok(Self { bytes, typed: OnceLock::from(typed) })
    }

    /// The value as a `V`; decoded at the first call after it came from a tier.
    pub(crate) fn as_type<V, C>(&self, codec: &C) -> Result<Arc<V>>
    where
        V: Send + Sync + 'static,
        C: Codec<V>,
    {
        let typed = match self.typed.get() {
            Some(typed) => typed,
            None => {
                let value: Arc<V> = Arc::new(self.decode(codec)?);
                let typed =
                    Typed { type_name: type_name::<V>(), size: value_bytes(&*value), value };
                self.typed.get_or_init(|| typed)
            }
        };
        Arc::clone(&typed.value)
            .downcast::<V>()
            .map_err(|_| another_type(typed.type_name, type_name::<V>()))
    }

    /// The value itself, once somebody brought it or asked for it.
    pub(crate) fn revealed(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.typed.get().map(|typed| &*typed.value)
    }

    /// Bytes the value holds, as far as is known.
    pub(crate) fn bytes_held(&self) -> usize {
        let bytes = self.bytes.as_ref().map_or(0, Bytes::len);
        size_of::<Self>() + bytes.max(self.typed.get().map_or(0, |typed| typed.size))
    }

    fn decode<V: 'static, C: Codec<V>>(&self, codec: &C) -> Result<V> {
        let bytes = self.bytes.as_ref().ok_or_else(malformed)?;
        let (name, value) = split(bytes)?;
        if name != type_name::<V>().as_bytes() {
            return Err(another_type(&String::from_utf8_lossy(&name), type_name::<V>()));
        }
        codec.decode(&value)
    }
}

fn encode<V: 'static, C: Codec<V>>(value: &V, codec: &C) -> Result<Bytes> {
    let name = type_name::<V>().as_bytes();
    let name = &name[..name.len().min(usize::from(u16::MAX))];
    let mut bytes = Vec::with_capacity(2 + name.len() + size_of::<V>());
    bytes.put_u16_le(u16::try_from(name.len()).unwrap_or(u16::MAX));
    bytes.put_slice(name);
    codec.encode(value, &mut bytes)?;
    Ok(bytes.into())
}

fn split(bytes: &Bytes) -> Result<(Bytes, Bytes)> {
    let len: [u8; 2] = bytes.get(..2).and_then(|len| len.try_into().ok()).ok_or_else(malformed)?;
    let value_at = 2 + usize::from(u16::from_le_bytes(len));
    if value_at > bytes.len() {
        return Err(malformed());
    }
    Ok((bytes.slice(2..value_at), bytes.slice(value_at..)))
}

fn malformed() -> Error {
    Error::new(ErrorKind::Corrupt, "a value of the facade does not name its type")
}

fn another_type(stored: &str, wanted: &str) -> Error {
    Error::new(ErrorKind::ValueType, "a value of another type stands under this key")
        .with("stored", stored)
        .with("wanted", wanted)
}

/// Passes the facade's bytes through: they were encoded when the value came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyCodec;

impl Format for AnyCodec {
    fn id(&self) -> u8 {
        FACADE_CODEC
    }

    fn name(&self) -> &'static str {
        "facade"
    }
}

impl Codec<AnyValue> for AnyCodec {
    fn encode(&self, value: &AnyValue, out: &mut Vec<u8>) -> Result<()> {
        let bytes = value.bytes.as_ref().ok_or_else(malformed)?;
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<AnyValue> {
        split(bytes)?;
        Ok(AnyValue { bytes: Some(bytes.clone()), typed: OnceLock::new() })
    }
}
