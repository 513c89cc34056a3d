//! What a seal covers.

use std::fmt;

use bytes::Bytes;

use super::fields::Fields;
use super::header::{PLAIN, WITH_ETAG, optional_date};
use super::{check_limit, corrupt};
use crate::{Error, ErrorKind, Result, Tag};

/// Most tags one envelope carries.
pub const TAGS_MAX: usize = 1024;

/// Longest etag of an envelope, in bytes.
pub const ETAG_BYTES_MAX: usize = 512;

/// Size of the body without tags and payload.
pub(super) const FIXED_BYTES: usize = 44;

/// Where the number of the dictionary stands in a body.
pub(super) const DICTIONARY_AT: usize = 32;

const HAS_FRESH_UNTIL: u8 = 1;

/// The part of an envelope that describes and holds the value.
///
/// [`Envelope`](super::Envelope) has an example.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Labels; invalidating one ends the entry. At most [`TAGS_MAX`], none empty, each at most
    /// [`TAG_BYTES_MAX`](crate::TAG_BYTES_MAX) bytes.
    pub tags: Vec<Tag>,
    /// Fingerprint of the value's type. A reader with another one treats the entry as a miss.
    pub schema: u64,
    /// Number of the codec, see [`Format::id`](crate::Format::id).
    pub codec: u8,
    /// Number of the compressor, see [`Compressor::id`](crate::Compressor::id); zero for none.
    pub compressor: u8,
    /// The dictionary the compressor used; zero for none.
    pub dictionary: u32,
    /// When the value was made, in milliseconds since the Unix epoch.
    pub created_wall_ms: i64,
    /// End of the fresh part of the life, in milliseconds since the Unix epoch; `None` when it is
    /// fresh until it expires.
    pub fresh_until_wall_ms: Option<i64>,
    /// What the load took, in microseconds; feeds early refresh.
    pub load_us: u32,
    /// Length of the payload once inflated, in bytes.
    pub plain_len: u32,
    /// By what the origin tells the value from others, such as the `ETag` of an HTTP response; not
    /// empty, at most [`ETAG_BYTES_MAX`] bytes. An envelope with one is of format 2.
    pub etag: Option<Box<str>>,
    /// The encoded value, compressed when `compressor` says so.
    pub payload: Bytes,
}

impl Body {
    /// Checks what a reader would check, so that a writer cannot store what nobody can open.
    pub(super) fn check(&self) -> Result<()> {
        if self.tags.len() > TAGS_MAX {
            return Err(too_many_tags());
        }
        if self.tags.iter().any(Tag::is_unstorable) {
            return Err(Error::invalid("a tag is empty or over its length limit"));
        }
        if self.etag.as_deref().is_some_and(is_invalid_etag) {
            return Err(Error::invalid("an etag is empty or over 512 bytes"));
        }
        if !self.is_consistent() {
            return Err(Error::invalid(
                "an envelope without a compressor has no dictionary and a payload of plain length",
            ));
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        let etag = self.etag.as_ref().map_or(0, |etag| 2 + etag.len());
        FIXED_BYTES + self.tags_len() + etag + self.payload.len()
    }

    /// The format in which it is written.
    pub(super) fn version(&self) -> u8 {
        if self.etag.is_some() { WITH_ETAG } else { PLAIN }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.fresh_until_wall_ms.is_some() { HAS_FRESH_UNTIL } else { 0 };
        let tags_len = u32::try_from(self.tags_len()).expect("1024 tags of 512 bytes fit 32 bits");
        out.extend_from_slice(&self.schema.to_le_bytes());
        out.extend_from_slice(&self.created_wall_ms.to_le_bytes());
        out.extend_from_slice(&self.fresh_until_wall_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.load_us.to_le_bytes());
        out.extend_from_slice(&self.plain_len.to_le_bytes());
        out.extend_from_slice(&self.dictionary.to_le_bytes());
        out.extend_from_slice(&[self.codec, self.compressor, flags, 0]);
        out.extend_from_slice(&tags_len.to_le_bytes());
        for tag in &self.tags {
            write_text(tag.as_str(), out);
        }
        if let Some(etag) = &self.etag {
            write_text(etag, out);
        }
        out.extend_from_slice(&self.payload);
    }

    /// Reads an opened body of this version; the payload is a slice of `bytes`.
    pub(super) fn read(bytes: &Bytes, version: u8, plain_bytes_max: usize) -> Result<Self> {
        let mut fields = Fields::new(bytes);
        let (body, tags_len) = Self::read_fixed(&mut fields)
            .ok_or_else(|| corrupt("the body of an envelope is cut short or malformed"))?;
        let plain_len = usize::try_from(body.plain_len).unwrap_or(usize::MAX);
        check_limit("the payload of an envelope, once inflated,", plain_len, plain_bytes_max)?;
        let tags = fields
            .slice(tags_len)
            .ok_or_else(|| corrupt("the tags of an envelope reach past its end"))?;
        let etag = (version == WITH_ETAG).then(|| read_etag(&mut fields)).transpose()?;
        let payload = bytes.slice(bytes.len() - fields.remaining()..);
        let body = Self { tags: read_tags(tags)?, etag, payload, ..body };
        if !body.is_consistent() {
            return Err(corrupt("length, compressor and dictionary of an envelope do not agree"));
        }
        Ok(body)
    }

    /// The fields before the tags, and the length of the tags in bytes.
    fn read_fixed(fields: &mut Fields<'_>) -> Option<(Self, usize)> {
        let schema = fields.u64()?;
        let created_wall_ms = fields.i64()?;
        let fresh_until = fields.i64()?;
        let load_us = fields.u32()?;
        let plain_len = fields.u32()?;
        let dictionary = fields.u32()?;
        let [codec, compressor, flags, reserved] = fields.array()?;
        let tags_len = fields.length()?;
        if flags & !HAS_FRESH_UNTIL != 0 || reserved != 0 {
            return None;
        }
        let body = Self {
            schema,
            codec,
            compressor,
            dictionary,
            created_wall_ms,
            fresh_until_wall_ms: optional_date(flags & HAS_FRESH_UNTIL != 0, fresh_until)?,
            load_us,
            plain_len,
            ..Self::default()
        };
        Some((body, tags_len))
    }

    fn is_consistent(&self) -> bool {
        let is_plain = self.dictionary == 0
            && usize::try_from(self.plain_len).is_ok_and(|len| len == self.payload.len());
        self.compressor != 0 || is_plain
    }

    fn tags_len(&self) -> usize {
        self.tags.iter().map(|tag| 2 + tag.as_str().len()).sum()
    }
}

fn read_tags(bytes: &[u8]) -> Result<Vec<Tag>> {
    let mut fields = Fields::new(bytes);
    let mut tags = Vec::new();
    while !fields.is_empty() {
        if tags.len() == TAGS_MAX {
            return Err(too_many_tags());
        }
        let tag = read_tag(&mut fields)
            .ok_or_else(|| corrupt("a tag of an envelope is cut short, empty, long or no text"))?;
        tags.push(tag);
    }
    Ok(tags)
}

fn read_tag(fields: &mut Fields<'_>) -> Option<Tag> {
    let tag = Tag::from(read_text(fields)?);
    (!tag.is_unstorable()).then_some(tag)
}

fn read_etag(fields: &mut Fields<'_>) -> Result<Box<str>> {
    let etag = read_text(fields).filter(|etag| !is_invalid_etag(etag));
    etag.map(Box::from)
        .ok_or_else(|| corrupt("the etag of an envelope is cut short, empty, long or no text"))
}

fn is_invalid_etag(etag: &str) -> bool {
    etag.is_empty() || etag.len() > ETAG_BYTES_MAX
}

fn read_text<'a>(fields: &mut Fields<'a>) -> Option<&'a str> {
    let len = fields.u16()?;
    std::str::from_utf8(fields.slice(usize::from(len))?).ok()
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let len = u16::try_from(text.len()).expect("tags and etags have at most 512 bytes");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn too_many_tags() -> Error {
    Error::new(ErrorKind::TooLarge, "an envelope has too many tags").with("limit", TAGS_MAX)
}

/// Shows everything but the value.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("tags", &self.tags)
            .field("schema", &self.schema)
            .field("codec", &self.codec)
            .field("compressor", &self.compressor)
            .field("dictionary", &self.dictionary)
            .field("created_wall_ms", &self.created_wall_ms)
            .field("fresh_until_wall_ms", &self.fresh_until_wall_ms)
            .field("load_us", &self.load_us)
            .field("etag", &self.etag)
            .field("plain_len", &self.plain_len)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}
