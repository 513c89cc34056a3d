//! A codec whose faults are switched at run time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::Seed;

/// What a [`ChaosCodec`] does to the values that pass through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodecMode {
    /// Passes every value on.
    #[default]
    Healthy,
    /// Encodes nothing: every value fails with [`ErrorKind::Codec`], half of it written.
    FailEncode,
    /// Decodes nothing: all bytes fail with [`ErrorKind::Codec`].
    FailDecode,
    /// Flips one seeded bit of what it encodes.
    CorruptEncode,
    /// Flips one seeded bit of what it is given to decode.
    CorruptDecode,
}

/// Wraps any codec and spoils it in the way that [`set`](Self::set) says, from the next value on.
/// Clones share mode, randomness and counts, so a manager may own one while the test holds
/// another. Randomness is seeded: the same values in the same order are spoiled alike.
///
/// The number and name are those of the codec behind it: what was written before the faults
/// stays readable.
///
/// ```
/// use cache_enterprise_core::{Codec, ErrorKind, Format, Result};
/// use cache_enterprise_testkit::Seed;
/// use cache_enterprise_testkit::chaos::{ChaosCodec, CodecMode};
/// # use bytes::Bytes;
/// # #[derive(Clone, Debug)]
/// # struct Text;
/// # impl Codec<String> for Text {
/// #     fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<()> {
/// #         out.extend_from_slice(value.as_bytes());
/// #         Ok(())
/// #     }
/// #     fn decode(&self, bytes: &Bytes) -> Result<String> {
/// #         Ok(String::from_utf8_lossy(bytes).into_owned())
/// #     }
/// # }
/// # impl Format for Text {
/// #     fn id(&self) -> u8 { 200 }
/// #     fn name(&self) -> &'static str { "text" }
/// # }
///
/// let codec = ChaosCodec::new(Text, Seed(7));
/// codec.set(CodecMode::FailDecode);
/// let error = codec.decode(&"Ada".into()).map(|_: String| ()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Codec);
///
/// codec.set(CodecMode::Healthy);
/// assert_eq!(codec.decode(&"Ada".into())?, "Ada");
/// assert_eq!((codec.decoded(), codec.spoiled()), (2, 1));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ChaosCodec<C> {
    inner: C,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<(CodecMode, StdRng)>,
    encoded: AtomicU64,
    decoded: AtomicU64,
    spoiled: AtomicU64,
}

impl<C> ChaosCodec<C> {
    /// Wraps `inner`; healthy until a mode is set.
    pub fn new(inner: C, seed: Seed) -> Self {
        let shared = Shared {
            state: Mutex::new((CodecMode::Healthy, seed.rng())),
            encoded: AtomicU64::new(0),
            decoded: AtomicU64::new(0),
            spoiled: AtomicU64::new(0),
        };
        Self { inner, shared: Arc::new(shared) }
    }

    /// Changes what happens to values.
    pub fn set(&self, mode: CodecMode) {
        self.shared.state.lock().0 = mode;
    }

    /// What happens to values now.
    pub fn mode(&self) -> CodecMode {
        self.shared.state.lock().0
    }

    /// Values it was asked to encode so far, spoiled ones included.
    pub fn encoded(&self) -> u64 {
        self.shared.encoded.load(Ordering::Relaxed)
    }

    /// Values it was asked to decode so far, spoiled ones included.
    pub fn decoded(&self) -> u64 {
        self.shared.decoded.load(Ordering::Relaxed)
    }

    /// Values and bytes it failed or changed so far.
    pub fn spoiled(&self) -> u64 {
        self.shared.spoiled.load(Ordering::Relaxed)
    }

    fn failure(&self, operation: &'static str) -> Error {
        self.shared.spoiled.fetch_add(1, Ordering::Relaxed);
        Error::new(ErrorKind::Codec, "the codec fails on purpose").operation(operation)
    }

    /// Flips one bit; what is empty has none.
    fn flip(&self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let rng = &mut self.shared.state.lock().1;
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        self.shared.spoiled.fetch_add(1, Ordering::Relaxed);
    }
}

impl<C: fmt::Debug> fmt::Debug for ChaosCodec<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosCodec")
            .field("inner", &self.inner)
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl<C: Format> Format for ChaosCodec<C> {
    fn id(&self) -> u8 {
        self.inner.id()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

impl<V, C: Codec<V>> Codec<V> for ChaosCodec<C> {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<()> {
        self.shared.encoded.fetch_add(1, Ordering::Relaxed);
        let start = out.len();
        self.inner.encode(value, out)?;
        match self.mode() {
            CodecMode::FailEncode => {
                out.truncate(start + (out.len() - start) / 2);
                return Err(self.failure("encode"));
            }
            CodecMode::CorruptEncode => self.flip(&mut out[start..]),
            CodecMode::Healthy | CodecMode::FailDecode | CodecMode::CorruptDecode => {}
        }
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<V> {
        self.shared.decoded.fetch_add(1, Ordering::Relaxed);
        match self.mode() {
            CodecMode::FailDecode => Err(self.failure("decode")),
            CodecMode::CorruptDecode => {
                let mut spoiled = BytesMut::from(&bytes[..]);
                self.flip(&mut spoiled);
                self.inner.decode(&spoiled.freeze())
            }
            CodecMode::Healthy | CodecMode::FailEncode | CodecMode::CorruptEncode => {
                self.inner.decode(bytes)
            }
        }
    }
}
