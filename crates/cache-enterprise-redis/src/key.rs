//! Keys as Redis holds them: `{manager:tenant:bucket}manager:tenant:cache:key`.
//!
//! What stands in braces decides the slot of a cluster. Sixteen buckets spread a tenant over
//! sixteen slots and still let reads that arrive together meet in one; a standalone server gets
//! the same keys, so that it can become a cluster without losing an entry.

use bytes::BufMut;
use cache_enterprise_core::{KeyPrefix, StoredKey};
use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};
use twox_hash::XxHash3_64;

/// Buckets of a tenant. Fixed for ever: another number would hide every stored entry.
const BUCKETS: u64 = 16;

/// A stored key that is written into a command with its hash tag, without a text in between.
#[derive(Clone, Copy)]
pub(crate) struct RedisKey<'a> {
    stored: &'a StoredKey,
    /// Bytes of `manager:tenant`.
    owner: usize,
    bucket: u64,
}

impl<'a> RedisKey<'a> {
    pub(crate) fn of(stored: &'a StoredKey) -> Self {
        let text = stored.as_str();
        let owner = stored.manager().len() + 1 + stored.tenant().len();
        let bucket = XxHash3_64::oneshot(&text.as_bytes()[owner + 1..]) % BUCKETS;
        Self { stored, owner, bucket }
    }

    /// What stands in the braces, and decides the slot.
    pub(crate) fn tag(&self) -> String {
        format!("{}:{}", &self.stored.as_str()[..self.owner], self.bucket)
    }

    /// The bytes of the tag, without a text of their own.
    pub(crate) fn tag_bytes(&self) -> impl Iterator<Item = u8> + 'a {
        let ten = (self.bucket >= 10).then_some(b'1');
        let one = b'0' + (self.bucket % 10) as u8;
        let owner = self.stored.as_str()[..self.owner].bytes();
        owner.chain([b':']).chain(ten).chain([one])
    }

    fn len(&self) -> usize {
        self.owner + self.stored.len() + if self.bucket < 10 { 4 } else { 5 }
    }

    fn put_into(&self, out: &mut impl BufMut) {
        let text = self.stored.as_str().as_bytes();
        out.put_u8(b'{');
        out.put_slice(&text[..self.owner]);
        out.put_u8(b':');
        if self.bucket >= 10 {
            out.put_u8(b'1');
        }
        // Below 20: one digit is left.
        out.put_u8(b'0' + (self.bucket % 10) as u8);
        out.put_u8(b'}');
        out.put_slice(text);
    }
}

impl ToRedisArgs for RedisKey<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        self.put_into(&mut out.bufmut_for_next_arg(self.len()));
    }
}

impl ToSingleRedisArg for RedisKey<'_> {}

/// The stored key of a listed one; `None` for keys of somebody else.
pub(crate) fn stored_key(listed: &[u8]) -> Option<StoredKey> {
    let text = std::str::from_utf8(listed).ok()?;
    let (tag, stored) = text.strip_prefix('{')?.split_once('}')?;
    let stored = StoredKey::parse(stored)?;
    (RedisKey::of(&stored).tag() == tag).then_some(stored)
}

/// The pattern of `SCAN` that matches every key under a prefix, and perhaps others:
/// [`stored_key`] and [`KeyPrefix::contains`] tell which.
pub(crate) fn pattern(prefix: &KeyPrefix) -> Vec<u8> {
    let text = prefix.as_str();
    let manager = text.split(':').next().unwrap_or_default();
    let mut pattern = Vec::with_capacity(2 * text.len() + 8);
    pattern.push(b'{');
    escape(manager, &mut pattern);
    pattern.extend_from_slice(b":*}");
    escape(text, &mut pattern);
    pattern.push(b'*');
    pattern
}

/// Takes the meaning from what a glob would read as more than itself.
fn escape(text: &str, pattern: &mut Vec<u8>) {
    for byte in text.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn key(tenant: &str, cache: &str, key: &str) -> StoredKey {
        KeySpace::new("shop", tenant, cache).unwrap().key(&key.to_owned()).unwrap()
    }

    fn text(stored: &StoredKey) -> String {
        let mut bytes = Vec::new();
        RedisKey::of(stored).put_into(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    /// Golden: these texts never change, or every stored entry is lost.
    #[test]
    fn keys_have_had_this_form_since_the_first_version() {
        let keys = [
            key("acme", "users", "1"),
            key("", "users", "2"),
            key("acme", "users", "a:b {c}\r\n\0é"),
            key("a:b", "sessions", "3"),
        ];
        let golden = [
            "{shop:acme:0}shop:acme:users:1",
            "{shop::12}shop::users:2",
            "{shop:acme:7}shop:acme:users:a%3Ab %7Bc%7D%0D%0A%00%C3%A9",
            "{shop:a%3Ab:12}shop:a%3Ab:sessions:3",
        ];
        assert_eq!(keys.map(|key| text(&key)), golden);
    }

    #[test]
    fn the_buckets_are_all_used_and_none_is_crowded() {
        let mut counts = [0_u32; BUCKETS as usize];
        for number in 0..16_000 {
            counts[RedisKey::of(&key("acme", "users", &number.to_string())).bucket as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_command_carries_the_same_bytes() {
        for number in 0..200 {
            let stored = key("acme", "users", &number.to_string());
            let command = redis::cmd("GET").arg(RedisKey::of(&stored)).get_packed_command();
            let plain = redis::cmd("GET").arg(text(&stored)).get_packed_command();
            assert_eq!(command, plain);
        }
    }

    #[test]
    fn a_listed_key_is_read_back_and_a_foreign_one_is_not() {
        let stored = key("acme", "users", "a:b");
        assert_eq!(stored_key(text(&stored).as_bytes()), Some(stored.clone()));
        let other_bucket = format!("{{shop:acme:99}}{stored}");
        let other_owner = format!("{{shop:umbrella:3}}{stored}");
        for foreign in ["", "session:1", stored.as_str(), &other_bucket, &other_owner, "{}", "{"] {
            assert_eq!(stored_key(foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(stored_key(b"\xff\xfe"), None);
    }

    #[test]
    fn a_pattern_takes_no_name_for_a_glob() {
        let prefix = KeyPrefix::tenant("shop", "[a]*?^\\");
        let expected = br"{shop:*}shop:\[a\]\*\?\^\\:*";
        assert_eq!(pattern(&prefix), expected, "{}", prefix.as_str());
    }
}
