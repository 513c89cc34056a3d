//! Codecs under names.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};

/// Codecs by type of value and name, for applications that let settings choose among codecs of
/// their own.
///
/// A codec is registered for one type: a codec for every type cannot be hidden behind a pointer
/// without going through some value of all types, which would change what is written.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};
/// use cache_enterprise_serializers::CodecRegistry;
///
/// #[derive(Clone, Debug)]
/// struct Decimal;
///
/// impl Format for Decimal {
///     fn id(&self) -> u8 { 128 }
///     fn name(&self) -> &'static str { "decimal" }
/// }
///
/// impl Codec<u64> for Decimal {
///     fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<()> {
///         out.extend_from_slice(value.to_string().as_bytes());
///         Ok(())
///     }
///     fn decode(&self, bytes: &Bytes) -> Result<u64> {
///         let text = std::str::from_utf8(bytes).ok();
///         let value = text.and_then(|text| text.parse().ok());
///         value.ok_or_else(|| Error::new(ErrorKind::Codec, "not a decimal number"))
///     }
/// }
///
/// let mut registry = CodecRegistry::default();
/// registry.register::<u64>("decimal", Decimal)?;
/// let codec = registry.named::<u64>("decimal")?;
/// assert_eq!(codec.decode(&Bytes::from_static(b"42"))?, 42);
/// # Ok::<(), Error>(())
/// ```
#[derive(Default)]
pub struct CodecRegistry {
    codecs: HashMap<(TypeId, &'static str), Box<dyn Any + Send + Sync>>,
}

impl CodecRegistry {
    /// Registers `codec` for values of type `V`. The name may differ from the codec's own.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the type has a codec of this name already.
    pub fn register<V: 'static>(
        &mut self,
        name: &'static str,
        codec: impl Codec<V> + Format,
    ) -> Result<()> {
        let slot = (TypeId::of::<V>(), name);
        if self.codecs.contains_key(&slot) {
            return Err(Error::new(ErrorKind::Conflict, "the type has a codec of this name")
                .with("type", type_name::<V>())
                .with("name", name));
        }
        let registered = RegisteredCodec::<V> { id: codec.id(), name, codec: Arc::new(codec) };
        self.codecs.insert(slot, Box::new(registered));
        Ok(())
    }

    /// The codec registered for values of type `V` under `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when there is none; the error lists the names the type has.
    pub fn named<V: 'static>(&self, name: &str) -> Result<RegisteredCodec<V>> {
        let found = self
            .codecs
            .iter()
            .filter(|((of, known), _)| *of == TypeId::of::<V>() && *known == name)
            .find_map(|(_, codec)| codec.downcast_ref::<RegisteredCodec<V>>());
        found.cloned().ok_or_else(|| {
            Error::config("no codec of this name is registered for the type")
                .with("type", type_name::<V>())
                .with("name", name)
                .with("known", self.names::<V>().join(", "))
        })
    }

    /// The names registered for values of type `V`, in alphabetical order.
    pub fn names<V: 'static>(&self) -> Vec<&'static str> {
        let of_type = self.codecs.keys().filter(|(of, _)| *of == TypeId::of::<V>());
        let mut names: Vec<_> = of_type.map(|(_, name)| *name).collect();
        names.sort_unstable();
        names
    }
}

impl fmt::Debug for CodecRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecRegistry").field("codecs", &self.codecs.len()).finish_non_exhaustive()
    }
}

/// A codec out of a [`CodecRegistry`], itself a codec: `CacheSpec::codec` takes it. Cloning costs
/// one reference count, a call one pointer more than the codec itself.
///
/// [`CodecRegistry`] has an example.
pub struct RegisteredCodec<V> {
    id: u8,
    name: &'static str,
    codec: Arc<dyn Codec<V>>,
}

impl<V> Clone for RegisteredCodec<V> {
    fn clone(&self) -> Self {
        Self { id: self.id, name: self.name, codec: Arc::clone(&self.codec) }
    }
}

impl<V> fmt::Debug for RegisteredCodec<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredCodec")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<V: 'static> Format for RegisteredCodec<V> {
    fn id(&self) -> u8 {
        self.id
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

impl<V: 'static> Codec<V> for RegisteredCodec<V> {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        self.codec.encode(value, out)
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        self.codec.decode(bytes)
    }
}
