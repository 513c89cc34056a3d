//! Zstandard, with dictionaries.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{Compressor, Error, ErrorKind, Result};
use zstd::bulk;
use zstd::zstd_safe::{find_frame_compressed_size, get_dict_id_from_frame};

use super::error::{cannot_compress, cannot_inflate};
use super::pool::Pool;
use super::trained::Contexts;

/// Zstandard. Values of a few hundred bytes gain from a trained dictionary, without one next to
/// nothing.
///
/// ```
/// use cache_enterprise_core::Compressor;
/// use cache_enterprise_serializers::Zstd;
///
/// let zstd = Zstd::over(1024);
/// let mut out = Vec::new();
/// zstd.compress(&[7; 4096], &mut out)?;
/// assert!(out.len() < 50);
/// assert_eq!(zstd.decompress(&out, 4096)?, [7; 4096]);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Zstd {
    threshold: usize,
    level: i32,
    /// For payloads written without a dictionary, then one for each dictionary by its number.
    readers: Vec<Reader>,
    /// Writes with the last dictionary that was given.
    writers: Pool<bulk::Compressor<'static>>,
    /// Of compressors that were made of it for one dictionary each.
    contexts: Arc<Contexts>,
}

pub(super) const NAME: &str = "zstd";

/// On JSON of 4 KiB, level 1 takes about a quarter less CPU time than level 3 and saves less than a
/// tenth less.
const LEVEL_DEFAULT: i32 = 1;

impl Zstd {
    /// Its number in envelopes.
    pub(super) const ID: u8 = 1;

    /// Compresses payloads of at least `threshold` bytes.
    pub fn over(threshold: usize) -> Self {
        let plain = Reader { dictionary: None, contexts: Pool::default() };
        Self {
            threshold,
            level: LEVEL_DEFAULT,
            readers: vec![plain],
            writers: Pool::default(),
            contexts: Arc::default(),
        }
    }

    /// Sets the level, 1 (least work) to 22 (fewest bytes); negative ones trade more bytes for
    /// less work. Default: 1.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the library does not have it.
    pub fn level(mut self, level: i32) -> Result<Self> {
        let known = zstd::compression_level_range();
        if level == 0 || !known.contains(&level) {
            return Err(Error::config("the level of zstd is out of range")
                .with("level", level)
                .with("least", known.start())
                .with("most", known.end()));
        }
        self.level = level;
        self.writers = Pool::default();
        Ok(self)
    }

    /// Writes with this dictionary from now on, and reads what any dictionary given before wrote.
    /// Default: none.
    #[must_use]
    pub fn dictionary(mut self, dictionary: ZstdDictionary) -> Self {
        self.readers.retain(|reader| reader.id() != dictionary.id);
        self.readers.push(Reader { dictionary: Some(dictionary), contexts: Pool::default() });
        self.writers = Pool::default();
        self
    }

    /// Trains a dictionary of at most `bytes_max` bytes from payloads as they are before
    /// compression. A few hundred samples and 16 to 64 KiB serve well; takes tens of milliseconds.
    ///
    /// A dictionary repeats pieces of its samples: never train one from the data of several
    /// tenants, nor from secrets.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the samples are too few, too small or too alike.
    pub fn train<S: AsRef<[u8]>>(samples: &[S], bytes_max: usize) -> Result<ZstdDictionary> {
        let trained = zstd::dict::from_samples(samples, bytes_max).map_err(|error| {
            Error::invalid("cannot train a dictionary from these samples")
                .with("samples", samples.len())
                .with("bytes_max", bytes_max)
                .source_error(error)
        })?;
        ZstdDictionary::new(trained)
    }

    pub(super) fn level_number(&self) -> i32 {
        self.level
    }

    pub(super) fn contexts(&self) -> &Arc<Contexts> {
        &self.contexts
    }

    fn writing(&self) -> Option<&ZstdDictionary> {
        self.readers.last().and_then(|reader| reader.dictionary.as_ref())
    }
}

impl Compressor for Zstd {
    fn id(&self) -> u8 {
        Self::ID
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(bytes.len()), 0);
        let written = self.writers.with(
            || match self.writing() {
                Some(dictionary) => {
                    bulk::Compressor::with_dictionary(self.level, &dictionary.bytes)
                }
                None => bulk::Compressor::new(self.level),
            },
            |writer| writer.compress_to_buffer(bytes, &mut out[start..]),
        );
        let written = written.and_then(|written| written);
        out.truncate(start + written.as_ref().map_or(0, |len| *len));
        written.map(drop).map_err(|error| cannot_compress(NAME).source_error(error))
    }

    /// The frame names its dictionary itself; without it the bytes mean nothing.
    fn decompress(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        let id = frame_of(bytes, len)?;
        let Some(reader) = self.readers.iter().find(|reader| reader.id() == id) else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the dictionary of a payload is not at hand",
            )
            .with("dictionary", id));
        };
        reader.inflate(bytes, len)
    }
}

/// The number that the one frame of a payload names its dictionary by; zero for none. The library
/// would go on with frames after the first, and skip what is none.
pub(super) fn frame_of(bytes: &[u8], len: usize) -> Result<u32> {
    if find_frame_compressed_size(bytes) != Ok(bytes.len()) {
        return Err(cannot_inflate(NAME, len));
    }
    Ok(get_dict_id_from_frame(bytes).map_or(0, u32::from))
}

/// Reads what was written with one dictionary, or with none.
#[derive(Debug)]
struct Reader {
    dictionary: Option<ZstdDictionary>,
    contexts: Pool<bulk::Decompressor<'static>>,
}

impl Reader {
    /// Zero without a dictionary.
    fn id(&self) -> u32 {
        self.dictionary.as_ref().map_or(0, |dictionary| dictionary.id)
    }

    fn inflate(&self, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        let mut plain = vec![0; len];
        let written = self.contexts.with(
            || match &self.dictionary {
                Some(dictionary) => bulk::Decompressor::with_dictionary(&dictionary.bytes),
                None => bulk::Decompressor::new(),
            },
            |context| context.decompress_to_buffer(bytes, &mut plain[..]),
        );
        match written.and_then(|written| written) {
            Ok(written) if written == len => Ok(plain),
            _ => Err(cannot_inflate(NAME, len)),
        }
    }
}

/// A trained dictionary. Its number comes from its content, so one number never means two
/// dictionaries; keep a dictionary as long as entries written with it live.
///
/// ```
/// use cache_enterprise_serializers::{Zstd, ZstdDictionary};
///
/// let samples: Vec<String> =
///     (0..500).map(|n| format!("{{\"id\":{n},\"kind\":\"track\",\"at\":{}}}", n * 7919)).collect();
/// let trained = Zstd::train(&samples, 4096)?;
/// let read_back = ZstdDictionary::new(trained.as_bytes().to_vec())?;
/// assert_eq!(read_back.id(), trained.id());
/// let zstd = Zstd::over(64).dictionary(trained);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ZstdDictionary {
    id: u32,
    bytes: Bytes,
}

impl ZstdDictionary {
    /// Takes a dictionary that was trained before.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the bytes are no trained dictionary.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        match zstd::zstd_safe::get_dict_id(&bytes) {
            Some(id) => Ok(Self { id: id.into(), bytes }),
            None => Err(Error::invalid("the bytes are no trained dictionary of zstd")),
        }
    }

    /// The number that frames written with it carry; never zero.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Shows the size, never the pieces of samples.
impl fmt::Debug for ZstdDictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZstdDictionary")
            .field("id", &self.id)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
