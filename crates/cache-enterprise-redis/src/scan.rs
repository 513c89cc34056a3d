//! Pages of keys.
//!
//! `SCAN` gives as many keys a step as it likes. What a page has no room for travels in its
//! cursor: asking for the same step again could lose keys that moved meanwhile.

use bytes::{Buf, BufMut, Bytes};
use cache_enterprise_core::{Error, KeyPrefix, Result, ScanPage, StoredKey};
use redis::Value;

use crate::error;
use crate::key::{self, RedisKey};
use crate::link::{Call, Link, slot_of_key};
use crate::record;

/// Keys that one step looks at, more or less.
const STEP_MIN: usize = 10;
const STEP_MAX: usize = 1_000;
/// Steps of one page through keys that do not belong to it.
const STEPS_MAX: usize = 32;
/// First byte of a cursor; another form gets another one.
const CURSOR: u8 = 1;

/// Where a scan goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) node: u32,
    /// Of the server; zero begins the node.
    pub(crate) at: u64,
    /// Listed, and not given yet.
    pub(crate) left: Vec<StoredKey>,
}

impl Cursor {
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self> {
        let mut rest = bytes.clone();
        if rest.len() < 13 || rest.get_u8() != CURSOR {
            return Err(foreign());
        }
        let (node, at) = (rest.get_u32(), rest.get_u64());
        let mut left = Vec::new();
        while rest.has_remaining() {
            let len = rest.try_get_u16().map_err(|_| foreign())?.into();
            if rest.remaining() < len {
                return Err(foreign());
            }
            let text = rest.split_to(len);
            let key = std::str::from_utf8(&text).ok().and_then(StoredKey::parse);
            left.push(key.ok_or_else(foreign)?);
        }
        Ok(Self { node, at, left })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(13 + self.left.len() * 64);
        bytes.put_u8(CURSOR);
        bytes.put_u32(self.node);
        bytes.put_u64(self.at);
        for key in &self.left {
            // A stored key has at most 8 KiB.
            bytes.put_u16(key.len() as u16);
            bytes.put_slice(key.as_str().as_bytes());
        }
        bytes.into()
    }
}

fn foreign() -> Error {
    Error::invalid("this is no cursor of a scan; begin the scan anew")
}

/// One page of at most `limit` keys; it may be empty though more follow.
pub(crate) async fn page(
    link: &Link,
    prefix: &KeyPrefix,
    from: Option<Bytes>,
    limit: usize,
) -> Result<ScanPage> {
    let limit = limit.max(1);
    let mut cursor = match from {
        Some(bytes) => Cursor::decode(&bytes)?,
        None => Cursor::default(),
    };
    let mut keys = std::mem::take(&mut cursor.left);
    keys.retain(|key| prefix.contains(key));
    let pattern = key::pattern(prefix);
    let mut is_done = cursor.node >= link.nodes();
    for _ in 0..STEPS_MAX {
        if is_done || keys.len() >= limit {
            break;
        }
        let count = limit.clamp(STEP_MIN, STEP_MAX);
        let listed = link.list(cursor.node, cursor.at, &pattern, count).await?;
        cursor.at = listed.cursor;
        if cursor.at == 0 {
            cursor.node += 1;
            is_done = cursor.node >= link.nodes();
        }
        let ours = listed.keys.iter().filter_map(|key| key::stored_key(key));
        keys.extend(values(link, ours.filter(|key| prefix.contains(key)).collect()).await?);
    }
    cursor.left = keys.split_off(limit.min(keys.len()));
    let next = (!is_done || !cursor.left.is_empty()).then(|| {
        // Past the last node nothing is listed; only what is left is given.
        cursor.encode()
    });
    Ok(ScanPage { keys, next })
}

/// Those of the keys under which a value lies and no removal.
async fn values(link: &Link, keys: Vec<StoredKey>) -> Result<Vec<StoredKey>> {
    let kind = |key: &StoredKey| {
        let mut command = redis::cmd("GETRANGE");
        command.arg(RedisKey::of(key)).arg(0).arg(0);
        Call { slot: slot_of_key(key), command, payload: 0 }
    };
    let mut found = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(STEP_MAX) {
        let calls: Vec<_> = chunk.iter().map(kind).collect();
        for (key, answer) in chunk.iter().zip(link.call_all(&calls).await?) {
            match answer {
                Ok(Value::BulkString(first)) if record::is_value(&first) => found.push(key.clone()),
                Ok(Value::BulkString(_)) => {}
                Ok(_) => return Err(error::strange_reply()),
                // Something of another type under the key is no entry.
                Err(fault) if fault.kind() == cache_enterprise_core::ErrorKind::Conflict => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(found)
}

/// Every listed key under a prefix, step by step; removals too.
pub(crate) async fn each_step<F>(
    link: &Link,
    prefix: &KeyPrefix,
    mut take: impl FnMut(Vec<StoredKey>) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let pattern = key::pattern(prefix);
    let (mut node, mut at) = (0, 0);
    while node < link.nodes() {
        let listed = link.list(node, at, &pattern, STEP_MAX).await?;
        let ours = listed.keys.iter().filter_map(|key| key::stored_key(key));
        take(ours.filter(|key| prefix.contains(key)).collect()).await?;
        at = listed.cursor;
        node += u32::from(at == 0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_survives_its_trip_through_the_caller() {
        let left = ["shop:acme:users:1", "shop::users:"].map(|key| StoredKey::parse(key).unwrap());
        for cursor in [Cursor::default(), Cursor { node: 3, at: u64::MAX, left: left.into() }] {
            assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        let long = [0; 300];
        let cut = &[&Cursor::default().encode()[..], &[0, 9, b'a']].concat();
        let no_key = &[&Cursor::default().encode()[..], &[0, 1, b'a']].concat();
        for bytes in [&b""[..], b"0", b"\xff\xfe", &long, cut, no_key, b"another:tenant:cache"] {
            let error = Cursor::decode(&Bytes::copy_from_slice(bytes)).unwrap_err();
            assert_eq!(error.kind(), cache_enterprise_core::ErrorKind::InvalidInput);
        }
    }
}
