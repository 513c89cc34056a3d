//! From values to bytes and back, and who knows how.
//!
//! A manager carries its codec as a type: [`MemoryOnly`] asks nothing of a value, a codec with
//! serde asks for serde, checked where a cache is opened.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Result, StoredKey};

/// Turns values into bytes and back. Called once per write and once per climb from a tier, never
/// on a hit in level 1. May allocate; must not block; must not panic on any input of `decode`.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};
///
/// /// Text as it is.
/// #[derive(Clone, Copy, Debug)]
/// struct Utf8;
///
/// impl Codec<String> for Utf8 {
///     fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<()> {
///         out.extend_from_slice(value.as_bytes());
///         Ok(())
///     }
///     fn decode(&self, bytes: &Bytes) -> Result<String> {
///         let refused = |_| Error::new(ErrorKind::Codec, "the bytes are not text");
///         std::str::from_utf8(bytes).map(String::from).map_err(refused)
///     }
/// }
///
/// impl Format for Utf8 {
///     fn id(&self) -> u8 {
///         200
///     }
///     fn name(&self) -> &'static str {
///         "utf8"
///     }
/// }
///
/// let mut out = Vec::new();
/// Utf8.encode(&"Ada".to_owned(), &mut out)?;
/// assert_eq!(Utf8.decode(&out.into())?, "Ada");
/// assert!(Utf8.decode(&Bytes::from_static(b"\xff")).is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot write values of type `{V}`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{V}`, or give its spec a codec of its own: `CacheSpec::new(..).codec(Raw)`"
)]
pub trait Codec<V>: Send + Sync + 'static {
    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) when the value has no form in this codec.
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()>;

    /// Reads a value from bytes of any origin. Must not allocate more than a small multiple of
    /// `bytes.len()` before it has checked lengths against it.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) when the bytes are not such a value.
    fn decode(&self, bytes: &Bytes) -> Result<V>;
}

/// A codec with a number that envelopes carry. Numbers below 128 belong to this workspace.
///
/// [`Codec`] has an example.
pub trait Format: Clone + fmt::Debug + Send + Sync + 'static {
    /// The number in the envelope.
    fn id(&self) -> u8;

    /// The name in settings and descriptions.
    fn name(&self) -> &'static str;
}

/// The codec of a manager without tiers: any value will do, and none is ever written.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryOnly;

impl<V> Codec<V> for MemoryOnly {
    fn encode(&self, _: &V, _: &mut Vec<u8>) -> Result<()> {
        Err(memory_only())
    }

    fn decode(&self, _: &Bytes) -> Result<V> {
        Err(memory_only())
    }
}

fn memory_only() -> crate::Error {
    crate::Error::new(crate::ErrorKind::Unsupported, "a manager without tiers writes no bytes")
}

/// A spec that uses its manager's codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inherit;

/// A spec that brings its own codec.
#[derive(Clone, Copy, Debug)]
pub struct Own<X>(pub X);

/// The codec of an opened cache, and its number when it writes envelopes.
pub struct ResolvedCodec<V> {
    /// Writes and reads the values.
    pub codec: Arc<dyn Codec<V>>,
    /// Its number, when the spec brought it; else the manager's number stands.
    pub own_id: Option<u8>,
}

impl<V> fmt::Debug for ResolvedCodec<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolvedCodec").field("own_id", &self.own_id).finish_non_exhaustive()
    }
}

/// How a spec finds its codec when a cache is opened from a manager whose codec is `M`.
///
/// ```
/// use cache_enterprise_core::{CodecFor, Inherit, MemoryOnly};
///
/// struct NoSerde;
/// let resolved = CodecFor::<MemoryOnly, NoSerde>::resolve(&Inherit, &MemoryOnly);
/// assert_eq!(resolved.own_id, None);
/// ```
#[diagnostic::on_unimplemented(
    message = "a cache of `{V}` cannot be opened from a manager with the codec `{M}`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{V}`, or give its spec a codec of its own"
)]
pub trait CodecFor<M, V> {
    /// The codec to use.
    fn resolve(&self, manager: &M) -> ResolvedCodec<V>;
}

impl<M: Codec<V> + Clone, V> CodecFor<M, V> for Inherit {
    fn resolve(&self, manager: &M) -> ResolvedCodec<V> {
        ResolvedCodec { codec: Arc::new(manager.clone()), own_id: None }
    }
}

impl<M, V, X: Codec<V> + Format> CodecFor<M, V> for Own<X> {
    fn resolve(&self, _: &M) -> ResolvedCodec<V> {
        ResolvedCodec { codec: Arc::new(self.0.clone()), own_id: Some(self.0.id()) }
    }
}

/// Makes bytes fewer. Used through `Arc<dyn Compressor>`, once per write and per climb.
///
/// ```
/// use cache_enterprise_core::{Compressor, Error, ErrorKind, Result};
///
/// /// Payloads that are one byte over and over.
/// #[derive(Debug)]
/// struct Same;
///
/// impl Compressor for Same {
///     fn id(&self) -> u8 {
///         200
///     }
///     fn name(&self) -> &'static str {
///         "same"
///     }
///     fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
///         let is_same = bytes.windows(2).all(|pair| pair[0] == pair[1]);
///         out.extend_from_slice(if is_same { &bytes[..bytes.len().min(1)] } else { bytes });
///         Ok(())
///     }
///     fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
///         match *bytes {
///             [byte] => Ok(vec![byte; len]),
///             _ if bytes.len() == len => Ok(bytes.to_vec()),
///             _ => Err(Error::new(ErrorKind::Corrupt, "the bytes do not inflate to their length")),
///         }
///     }
/// }
///
/// let mut out = Vec::new();
/// Same.compress(&[7; 1000], &mut out)?;
/// assert_eq!((out.len(), Same.decompress(&out, 1000)?), (1, vec![7; 1000]));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub trait Compressor: fmt::Debug + Send + Sync + 'static {
    /// The number in the envelope. Zero means none; below 128 belong to this workspace.
    fn id(&self) -> u8;

    /// The name in settings and descriptions.
    fn name(&self) -> &'static str;

    /// Payloads below this many bytes are stored as they are.
    fn threshold(&self) -> usize {
        1024
    }

    /// Appends the compressed form of `bytes` to `out`. The pipeline keeps it only when smaller.
    ///
    /// # Errors
    /// When the library fails.
    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Restores exactly `len` bytes; `len` was checked against the limit before the call. Must
    /// not allocate more than `len` plus a constant, whatever the bytes claim.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the bytes do not inflate to `len`.
    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>>;
}

impl<X: Compressor + ?Sized> Compressor for Arc<X> {
    fn id(&self) -> u8 {
        (**self).id()
    }

    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn threshold(&self) -> usize {
        (**self).threshold()
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        (**self).compress(bytes, out)
    }

    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        (**self).decompress(bytes, len)
    }
}

/// Whom the bytes belong to, from the request and never from the bytes.
#[derive(Clone, Copy, Debug)]
pub struct TransformContext<'a> {
    /// The key the bytes are stored under; names tenant and cache too.
    pub key: &'a StoredKey,
}

/// Bytes to bytes on the way to and from a tier, such as encryption. Applied to the sealed body.
///
/// ```
/// use cache_enterprise_core::{Error, ErrorKind, Result, Transform, TransformContext};
///
/// /// Binds a body to its key, and protects nothing: an example is no cipher.
/// #[derive(Debug)]
/// struct Labelled;
///
/// impl Transform for Labelled {
///     fn suite(&self) -> u8 {
///         200
///     }
///     fn seal(&self, mut body: Vec<u8>, ctx: TransformContext<'_>) -> Result<Vec<u8>> {
///         body.extend_from_slice(ctx.key.as_str().as_bytes());
///         Ok(body)
///     }
///     fn open(&self, body: &[u8], ctx: TransformContext<'_>) -> Result<Vec<u8>> {
///         let refused = || Error::new(ErrorKind::Corrupt, "the body was sealed for another key");
///         let body = body.strip_suffix(ctx.key.as_str().as_bytes()).ok_or_else(refused)?;
///         Ok(body.to_vec())
///     }
/// }
/// ```
pub trait Transform: fmt::Debug + Send + Sync + 'static {
    /// The suite number in the envelope. Zero means none.
    fn suite(&self) -> u8;

    /// Seals `body`.
    ///
    /// # Errors
    /// When no key is at hand; the tier is then skipped.
    fn seal(&self, body: Vec<u8>, ctx: TransformContext<'_>) -> Result<Vec<u8>>;

    /// Opens what `seal` made for the same context.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the bytes were not sealed for it.
    fn open(&self, body: &[u8], ctx: TransformContext<'_>) -> Result<Vec<u8>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_compressors_and_transforms_are_used_through_pointers() {
        fn usable<T: ?Sized>(_: Option<Arc<T>>) {}
        usable::<dyn Codec<u8>>(None);
        usable::<dyn Compressor>(None);
        usable::<dyn Transform>(None);
    }

    #[test]
    fn memory_only_takes_any_type_and_writes_nothing() {
        struct NoSerde;
        assert!(MemoryOnly.encode(&NoSerde, &mut Vec::new()).is_err());
        assert!(Codec::<NoSerde>::decode(&MemoryOnly, &Bytes::new()).is_err());
    }
}
