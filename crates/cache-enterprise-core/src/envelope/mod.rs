//! The form in which an entry travels to a tier and lies there.
//!
//! ```text
//! header 32 bytes, clear | body, sealed when a suite is named | checksum 8 bytes
//! ```
//!
//! The table of fields and the rules for readers stand in `docs/envelope.md`; golden files keep
//! every format that was ever written readable. All integers are little-endian.
//!
//! The checksum is seeded with the text of the stored key. A blob that a backend hands out under
//! another key is therefore [`ErrorKind::Corrupt`], just like one with a flipped bit. A checksum
//! finds accidents; against somebody who edits bytes on purpose only a [`Transform`] helps.

mod body;
mod fields;
mod header;

pub use body::{Body, ETAG_BYTES_MAX, TAGS_MAX};
pub use header::Header;

use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::{Error, ErrorKind, Result, StoredKey, Transform, TransformContext};

/// Bytes an envelope adds to its payload when it carries no tag and no transform is used. A tag
/// adds two bytes and its text.
pub const OVERHEAD_BYTES: usize = header::BYTES + body::FIXED_BYTES + CHECKSUM_BYTES;

const CHECKSUM_BYTES: usize = 8;

/// An entry as tiers hold it: what may be read without opening, and what a seal covers.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::envelope::{Body, Envelope, Header, Limits};
/// use cache_enterprise_core::{KeySpace, Sequence, tag};
///
/// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
/// let header = Header { sequence: Sequence(7), ..Header::default() };
/// let payload = Bytes::from_static(b"Ada");
/// let body = Body { tags: vec![tag!("org:7")], plain_len: 3, payload, ..Body::default() };
///
/// let stored = Envelope { header, body }.seal(&key, None)?;
/// assert_eq!(Header::read(&stored)?.sequence, Sequence(7));
/// assert_eq!(&Envelope::open(&stored, &key, None, &Limits::default())?.body.payload[..], b"Ada");
///
/// let other = KeySpace::new("shop", "acme", "users")?.key(&43_u64)?;
/// assert!(Envelope::open(&stored, &other, None, &Limits::default()).is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Readable without key material.
    pub header: Header,
    /// Covered by the seal when a suite is named.
    pub body: Body,
}

/// What a reader is willing to take in.
///
/// ```
/// use bytes::Bytes;
/// use cache_enterprise_core::envelope::{Envelope, Limits};
/// use cache_enterprise_core::{ErrorKind, KeySpace};
///
/// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
/// let stored = Envelope::default().seal(&key, None)?;
/// let small = Limits { stored_bytes_max: 16, ..Limits::default() };
/// let error = Envelope::open(&stored, &key, None, &small).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::TooLarge);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest envelope in bytes, as stored. Default: 1 MiB of payload and 64 KiB around it.
    pub stored_bytes_max: usize,
    /// Largest payload in bytes once inflated. Default: 64 MiB.
    pub plain_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stored_bytes_max: (1 << 20) + (64 << 10), plain_bytes_max: 64 << 20 }
    }
}

impl Envelope {
    /// The bytes to store under `key`. Without a transform: one allocation, of the exact size.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the fields contradict each other or the transform, so
    /// that what was sealed always opens; [`ErrorKind::TooLarge`] for more than [`TAGS_MAX`] tags
    /// or a body over 4 GiB; whatever the transform answers.
    pub fn seal(&self, key: &StoredKey, transform: Option<&dyn Transform>) -> Result<Bytes> {
        self.body.check()?;
        let suite = transform.map_or(0, Transform::suite);
        if self.header.suite != suite {
            return Err(Error::invalid("the suite of an envelope must be its transform's")
                .with("suite", self.header.suite)
                .with("transform", suite));
        }
        let sealed = transform.map(|transform| self.sealed_body(key, transform)).transpose()?;
        let body_len = sealed.as_ref().map_or_else(|| self.body.len(), Vec::len);
        let declared = u32::try_from(body_len)
            .map_err(|_| too_large("the body of an envelope", body_len, u32::MAX as usize))?;

        let mut out = Vec::with_capacity(header::BYTES + body_len + CHECKSUM_BYTES);
        self.header.write(declared, self.body.version(), &mut out);
        match &sealed {
            Some(sealed) => out.extend_from_slice(sealed),
            None => self.body.write(&mut out),
        }
        let sum = checksum(key, &out);
        out.extend_from_slice(&sum.to_le_bytes());
        Ok(out.into())
    }

    /// Reads what [`seal`](Self::seal) made for the same key. Without a transform the payload is
    /// a slice of `bytes`, not a copy, and only tags are allocated. The caller checks the date,
    /// the schema and the codec, and inflates.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] when a length is over its limit, before anything is allocated;
    /// [`ErrorKind::Unsupported`] for a version this build does not know, or a suite other than
    /// the transform's: neither a sealed envelope without its transform nor a plain one where a
    /// seal is asked for; [`ErrorKind::Corrupt`] for everything else.
    pub fn open(
        bytes: &Bytes,
        key: &StoredKey,
        transform: Option<&dyn Transform>,
        limits: &Limits,
    ) -> Result<Self> {
        check_limit("an envelope", bytes.len(), limits.stored_bytes_max)?;
        let (header, declared, version) = Header::parse(bytes)?;
        check_limit("the body of an envelope", declared, limits.stored_bytes_max)?;
        let body_end = header::check_length(bytes, declared)?;
        let (covered, sum) = bytes.split_at(body_end);
        if checksum(key, covered).to_le_bytes() != sum {
            return Err(corrupt("the checksum of an envelope does not match bytes and key"));
        }

        let suite = transform.map_or(0, Transform::suite);
        if header.suite != suite {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the suite of an envelope is not in use",
            )
            .with("suite", header.suite)
            .with("transform", suite));
        }
        let body = match transform {
            Some(transform) => {
                let sealed = &covered[header::BYTES..];
                let body = transform.open(sealed, TransformContext { key })?;
                check_limit("the body of an envelope", body.len(), limits.stored_bytes_max)?;
                Bytes::from(body)
            }
            None => bytes.slice(header::BYTES..body_end),
        };
        let body = Body::read(&body, version, limits.plain_bytes_max)?;
        Ok(Self { header, body })
    }

    /// The dictionary that the payload of `bytes` was packed with; zero for none, for a sealed body
    /// and for what is no envelope. Nothing is checked: this tells what to have at hand before
    /// [`open`](Self::open). Allocates nothing.
    ///
    /// ```
    /// use cache_enterprise_core::envelope::{Body, Envelope};
    /// use cache_enterprise_core::KeySpace;
    ///
    /// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
    /// let body = Body { compressor: 1, dictionary: 7, ..Body::default() };
    /// let stored = Envelope { body, ..Envelope::default() }.seal(&key, None)?;
    /// assert_eq!(Envelope::dictionary_of(&stored), 7);
    /// assert_eq!(Envelope::dictionary_of(b"no envelope"), 0);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn dictionary_of(bytes: &[u8]) -> u32 {
        let is_plain = Header::read(bytes).is_ok_and(|header| header.suite == 0);
        let number = bytes.get(header::BYTES + body::DICTIONARY_AT..).filter(|_| is_plain);
        let number = number.and_then(|rest| rest.first_chunk::<4>());
        number.map_or(0, |number| u32::from_le_bytes(*number))
    }

    fn sealed_body(&self, key: &StoredKey, transform: &dyn Transform) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(self.body.len());
        self.body.write(&mut body);
        transform.seal(body, TransformContext { key })
    }
}

/// The key's text enters as the seed, so that no copy of key and bytes side by side is needed.
fn checksum(key: &StoredKey, covered: &[u8]) -> u64 {
    let seed = XxHash3_64::oneshot(key.as_str().as_bytes());
    XxHash3_64::oneshot_with_seed(seed, covered)
}

fn check_limit(what: &str, bytes: usize, limit: usize) -> Result<()> {
    if bytes > limit { Err(too_large(what, bytes, limit)) } else { Ok(()) }
}

fn too_large(what: &str, bytes: usize, limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{what} is over its limit"))
        .with("bytes", bytes)
        .with("limit", limit)
}

fn corrupt(message: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
