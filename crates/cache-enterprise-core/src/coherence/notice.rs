//! What travels on a bus: notices, gathered into frames.
//!
//! ```text
//! frame   version 1 (u8) | source (16 bytes) | number of notices (u32) | notices
//! notice  kind (u8) | tenant (text) | sequence (u64) | what the kind needs
//! text    length (u32) | UTF-8
//! ```
//!
//! values  for each value: place of its notice (u32) | length (u32) | bytes
//!
//! All integers are little-endian. docs/formats.md describes the kinds. Values travel beside the
//! frame, so that a log keeps what has to be known and nothing else.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{EpochTarget, Sequence};
use crate::{Error, ErrorKind, Result, StoredKey};

/// Most notices in a frame.
pub const FRAME_NOTICES_MAX: usize = 512;

/// Most bytes of values that travel beside a frame, and so the largest value that does.
pub const FRAME_VALUES_MAX: usize = 64 * 1024;

const VERSION: u8 = 1;
const KEY: u8 = 1;
const EXPIRED: u8 = 2;
const EXTENDED: u8 = 3;
const RAISED: u8 = 4;
const SHORTEST_NOTICE: usize = 1 + 4 + 8;
/// The date of what does not end.
const ENDLESS: i64 = i64::MAX;

/// Who published a frame: one manager in one process, drawn at random when it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(pub u128);

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The tenant; empty text is the root tenant.
    pub tenant: Arc<str>,
    /// The number the change took: what is older is ended by it. [`Sequence::MAX`] when the store
    /// gave none: whatever stands is ended.
    pub at: Sequence,
    /// What changed.
    pub change: Change,
}

/// What a [`Notice`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A key was removed or replaced.
    Key {
        /// The key as tiers store it.
        key: StoredKey,
        /// The new value as tiers store it, for those that hold the old one. A favour: it may be
        /// left out on the way.
        value: Option<Bytes>,
    },
    /// The fresh life of a key was ended; its value may answer as a fallback.
    Expired {
        /// The key as tiers store it.
        key: StoredKey,
    },
    /// The origin confirmed a value, in a load that began at this number: whoever holds the value
    /// of this etag in a version that is not newer may keep it for so long.
    Extended {
        /// The key as tiers store it.
        key: StoredKey,
        /// By what the origin tells the value from others.
        etag: Arc<str>,
        /// When the value was confirmed, in wall milliseconds.
        from_wall_ms: i64,
        /// New end of its fresh life, in wall milliseconds; `None` for no end.
        until_wall_ms: Option<i64>,
        /// New end of its life as a fallback, in wall milliseconds; `None` for no end.
        expires_wall_ms: Option<i64>,
    },
    /// The epoch of a group was raised.
    Raised(EpochTarget),
}

/// Notices of one process, published together.
///
/// ```
/// use cache_enterprise_core::coherence::{Change, EpochTarget, Frame, Notice, Sequence, SourceId};
/// use cache_enterprise_core::tag;
///
/// let change = Change::Raised(EpochTarget::Tag(tag!("org:7")));
/// let notice = Notice { tenant: "acme".into(), at: Sequence(9), change };
/// let frame = Frame { source: SourceId(1), notices: vec![notice] };
/// assert_eq!(Frame::decode(&frame.encode())?, frame);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who published it.
    pub source: SourceId,
    /// In the order in which they happened; at most [`FRAME_NOTICES_MAX`].
    pub notices: Vec<Notice>,
}

impl Frame {
    /// The frame in bytes.
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(32 + self.notices.len() * 64);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.source.0.to_le_bytes());
        bytes.extend_from_slice(&length(self.notices.len()));
        for notice in &self.notices {
            notice.encode(&mut bytes);
        }
        bytes.into()
    }

    /// Reads a frame. Allocates no more than the bytes that are there.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when the bytes are no frame of a known version. Whoever
    /// reads it has missed something.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(&mut &*bytes)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a frame of the bus cannot be read"))
    }

    /// Takes the values out of the notices, for those who hear the frame as it is pushed; what is
    /// kept of it has none. No bytes where there are no values.
    ///
    /// ```
    /// use cache_enterprise_core::KeySpace;
    /// use cache_enterprise_core::coherence::{Change, Frame, Notice, Sequence, SourceId};
    ///
    /// let key = KeySpace::new("shop", "", "users")?.key(&7_u64)?;
    /// let change = Change::Key { key, value: Some("Ada".into()) };
    /// let notice = Notice { tenant: "".into(), at: Sequence(9), change };
    /// let told = Frame { source: SourceId(1), notices: vec![notice] };
    ///
    /// let mut frame = told.clone();
    /// let values = frame.take_values();
    /// assert_ne!(frame, told);
    /// frame.give_values(&values);
    /// assert_eq!(frame, told);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn take_values(&mut self) -> Bytes {
        let mut values = Vec::new();
        for (place, notice) in self.notices.iter_mut().enumerate() {
            if let Change::Key { value, .. } = &mut notice.change
                && let Some(value) = value.take()
            {
                values.extend_from_slice(&length(place));
                values.extend_from_slice(&length(value.len()));
                values.extend_from_slice(&value);
            }
        }
        values.into()
    }

    /// Gives the notices the values that were taken out of them. What cannot be read is left out:
    /// the notices say without it what has to be known.
    pub fn give_values(&mut self, mut values: &[u8]) {
        while let Ok(place) = values.try_get_u32_le()
            && let Some(bytes) = slice(&mut values)
        {
            let notice = usize::try_from(place).ok().and_then(|place| self.notices.get_mut(place));
            if let Some(Notice { change: Change::Key { value, .. }, .. }) = notice {
                // Copied: what is decoded from it may live long, and the push is as long as it is.
                *value = Some(Bytes::copy_from_slice(bytes));
            }
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        if from.try_get_u8().ok()? != VERSION {
            return None;
        }
        let source = SourceId(from.try_get_u128_le().ok()?);
        let count = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
        if count > from.len() / SHORTEST_NOTICE {
            return None;
        }
        let notices = (0..count).map(|_| Notice::read(from)).collect::<Option<_>>()?;
        from.is_empty().then_some(Self { source, notices })
    }
}

impl Notice {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let kind = match &self.change {
            Change::Key { .. } => KEY,
            Change::Expired { .. } => EXPIRED,
            Change::Extended { .. } => EXTENDED,
            Change::Raised(_) => RAISED,
        };
        bytes.push(kind);
        put_text(bytes, &self.tenant);
        bytes.extend_from_slice(&self.at.0.to_le_bytes());
        match &self.change {
            Change::Raised(target) => put_text(bytes, &target.field()),
            Change::Key { key, value } => {
                put_text(bytes, key.as_str());
                bytes.push(u8::from(value.is_some()));
                if let Some(value) = value {
                    bytes.extend_from_slice(&length(value.len()));
                    bytes.extend_from_slice(value);
                }
            }
            Change::Expired { key } => {
                put_text(bytes, key.as_str());
            }
            Change::Extended { key, etag, from_wall_ms, until_wall_ms, expires_wall_ms } => {
                put_text(bytes, key.as_str());
                put_text(bytes, etag);
                bytes.extend_from_slice(&from_wall_ms.to_le_bytes());
                for end in [until_wall_ms, expires_wall_ms] {
                    bytes.extend_from_slice(&end.unwrap_or(ENDLESS).to_le_bytes());
                }
            }
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let kind = from.try_get_u8().ok()?;
        let tenant = text(from)?.into();
        let at = Sequence(from.try_get_u64_le().ok()?);
        if kind == RAISED {
            // A target of a later version ends as much as it can name.
            let target = EpochTarget::from_field(text(from)?).unwrap_or(EpochTarget::Tenant);
            return Some(Self { tenant, at, change: Change::Raised(target) });
        }
        let key = StoredKey::parse(text(from)?)?;
        let change = match kind {
            KEY => {
                let value = match from.try_get_u8().ok()? {
                    0 => None,
                    1 => Some(Bytes::copy_from_slice(slice(from)?)),
                    _ => return None,
                };
                Change::Key { key, value }
            }
            EXPIRED => Change::Expired { key },
            EXTENDED => {
                let etag = text(from)?.into();
                let from_wall_ms = from.try_get_i64_le().ok()?;
                let (until_wall_ms, expires_wall_ms) = (end(from)?, end(from)?);
                Change::Extended { key, etag, from_wall_ms, until_wall_ms, expires_wall_ms }
            }
            _ => return None,
        };
        Some(Self { tenant, at, change })
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("texts, values and frames are far below 4 GiB").to_le_bytes()
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&length(text.len()));
    bytes.extend_from_slice(text.as_bytes());
}

fn slice<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

/// A date, or none for what does not end.
fn end(from: &mut &[u8]) -> Option<Option<i64>> {
    let wall_ms = from.try_get_i64_le().ok()?;
    Some((wall_ms != ENDLESS).then_some(wall_ms))
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(slice(from)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeySpace, tag};

    fn frame() -> Frame {
        let space = KeySpace::new("shop", "acme", "users").expect("plain names");
        let key = space.key(&7_u64).expect("a short key");
        let changes = [
            Change::Key { key: key.clone(), value: None },
            Change::Key { key: key.clone(), value: Some(Bytes::from_static(b"Ada")) },
            Change::Expired { key: key.clone() },
            Change::Extended {
                key,
                etag: "\"v7\"".into(),
                from_wall_ms: -5,
                until_wall_ms: Some(7),
                expires_wall_ms: None,
            },
            Change::Raised(EpochTarget::Tag(tag!("org:7")).soft()),
        ];
        let notice = |(at, change)| Notice { tenant: "acme".into(), at: Sequence(at), change };
        Frame { source: SourceId(u128::MAX - 3), notices: (9..).zip(changes).map(notice).collect() }
    }

    #[test]
    fn every_kind_of_notice_comes_back() {
        assert_eq!(Frame::decode(&frame().encode()).expect("a whole frame"), frame());
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused() {
        let bytes = frame().encode();
        for cut in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(Frame::decode(&longer).is_err());
    }

    #[test]
    fn values_go_beside_the_frame_and_find_their_notices() {
        let (whole, mut bare) = (frame(), frame());
        let values = bare.take_values();
        assert!(bare.take_values().is_empty());
        let mut heard = Frame::decode(&bare.encode()).expect("a whole frame");
        assert_eq!(heard, bare);
        heard.give_values(&values);
        assert_eq!(heard, whole);
    }

    #[test]
    fn values_that_cannot_be_read_are_left_out() {
        let mut bare = frame();
        let values = bare.take_values();
        for cut in 0..values.len() {
            let mut heard = bare.clone();
            heard.give_values(&values[..cut]);
            assert_eq!(heard, bare, "cut at {cut}");
        }
        // Of no notice, and of one that carries none.
        for place in [u32::MAX, 2] {
            let mut foreign = values.to_vec();
            foreign[..4].copy_from_slice(&place.to_le_bytes());
            let mut heard = bare.clone();
            heard.give_values(&foreign);
            assert_eq!(heard, bare, "place {place}");
        }
    }

    #[test]
    fn a_count_that_cannot_be_true_takes_no_memory() {
        let mut bytes = Frame { source: SourceId(0), notices: Vec::new() }.encode().to_vec();
        bytes[17..21].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Frame::decode(&bytes).is_err());
    }
}
