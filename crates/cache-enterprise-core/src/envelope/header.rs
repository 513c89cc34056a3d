//! What may be read without opening an envelope.

use super::fields::Fields;
use super::{CHECKSUM_BYTES, corrupt};
use crate::{Error, ErrorKind, Result, Sequence};

/// Size of the header.
pub(super) const BYTES: usize = 32;

const MAGIC: [u8; 2] = [0xce, 0xe1];

/// What is written for an entry without an etag.
pub(super) const PLAIN: u8 = 1;

/// An etag stands between tags and payload.
pub(super) const WITH_ETAG: u8 = 2;
const HAS_EXPIRY: u8 = 1;

/// The clear part of an envelope: enough to expire and to order entries without their keys.
///
/// [`Envelope`](super::Envelope) has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The transform that sealed the body; zero for none.
    pub suite: u8,
    /// The key the transform sealed it with; zero where it has none.
    pub key_id: u32,
    /// End of life in milliseconds since the Unix epoch; `None` for no end.
    pub expires_wall_ms: Option<i64>,
    /// The sequence the value belongs to.
    pub sequence: Sequence,
}

impl Header {
    /// Reads sequence and expiry of a whole envelope without its body. The checksum is not
    /// looked at: this is for sweeps and displays, never for serving. Allocates nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a version this build does not know,
    /// [`ErrorKind::Corrupt`] when the bytes are no envelope or not a whole one.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let (header, body_len, _) = Self::parse(bytes)?;
        check_length(bytes, body_len)?;
        Ok(header)
    }

    /// The header at the front of `bytes`, the length of body it declares, and the version.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize, u8)> {
        let mut fields = Fields::new(bytes);
        if fields.array() != Some(MAGIC) {
            return Err(corrupt("the bytes do not start as an envelope does"));
        }
        match fields.u8() {
            Some(version @ (PLAIN | WITH_ETAG)) => Self::parse_fields(fields)
                .map(|(header, body_len)| (header, body_len, version))
                .ok_or_else(|| corrupt("the header of an envelope is cut short or malformed")),
            Some(version) => {
                Err(Error::new(ErrorKind::Unsupported, "the version of an envelope is not known")
                    .with("version", version))
            }
            None => Err(corrupt("the header of an envelope is cut short or malformed")),
        }
    }

    fn parse_fields(mut fields: Fields<'_>) -> Option<(Self, usize)> {
        let flags = fields.u8()?;
        let suite = fields.u8()?;
        let reserved = fields.array::<3>()?;
        let key_id = fields.u32()?;
        let body_len = fields.length()?;
        let expires = fields.i64()?;
        let sequence = Sequence(fields.u64()?);
        if flags & !HAS_EXPIRY != 0 || reserved != [0; 3] {
            return None;
        }
        let expires_wall_ms = optional_date(flags & HAS_EXPIRY != 0, expires)?;
        Some((Self { suite, key_id, expires_wall_ms, sequence }, body_len))
    }

    pub(super) fn write(&self, body_len: u32, version: u8, out: &mut Vec<u8>) {
        let flags = if self.expires_wall_ms.is_some() { HAS_EXPIRY } else { 0 };
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[version, flags, self.suite, 0, 0, 0]);
        out.extend_from_slice(&self.key_id.to_le_bytes());
        out.extend_from_slice(&body_len.to_le_bytes());
        out.extend_from_slice(&self.expires_wall_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.sequence.0.to_le_bytes());
    }
}

/// Where the body ends, when the envelope is exactly as long as its header declares.
pub(super) fn check_length(bytes: &[u8], body_len: usize) -> Result<usize> {
    let body_end = BYTES.checked_add(body_len);
    let whole = body_end.and_then(|end| end.checked_add(CHECKSUM_BYTES));
    match body_end {
        Some(end) if whole == Some(bytes.len()) => Ok(end),
        _ => Err(corrupt("an envelope is not as long as it declares")),
    }
}

/// A date that is there exactly when its flag is; an absent one is written as zero.
pub(super) fn optional_date(is_set: bool, wall_ms: i64) -> Option<Option<i64>> {
    match (is_set, wall_ms) {
        (true, date) => Some(Some(date)),
        (false, 0) => Some(None),
        (false, _) => None,
    }
}
