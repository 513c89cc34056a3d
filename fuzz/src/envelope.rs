//! Envelopes.

use bytes::Bytes;
use cache_enterprise_core::envelope::{Body, Envelope, Header, Limits};
use cache_enterprise_core::{KeySpace, Sequence, StoredKey, tag};
use twox_hash::XxHash3_64;

const CHECKSUM_BYTES: usize = 8;

/// Opens the input as it is, and once more under a checksum that fits, so that mutations reach
/// the fields behind it. What opens must be what sealing its fields gives, byte for byte.
pub fn envelope_open(input: &[u8]) {
    let key = key();
    open(Bytes::copy_from_slice(input), &key);
    if let Some((covered, _)) = input.split_at_checked(input.len().saturating_sub(CHECKSUM_BYTES)) {
        let seed = XxHash3_64::oneshot(key.as_str().as_bytes());
        let sum = XxHash3_64::oneshot_with_seed(seed, covered);
        open([covered, &sum.to_le_bytes()].concat().into(), &key);
    }
}

fn open(bytes: Bytes, key: &StoredKey) {
    let limits = Limits { stored_bytes_max: 1 << 16, plain_bytes_max: 1 << 20 };
    if let Ok(envelope) = Envelope::open(&bytes, key, None, &limits) {
        assert!(envelope.body.plain_len <= 1 << 20, "the limit of the inflated payload holds");
        assert_eq!(Header::read(&bytes).ok(), Some(envelope.header));
        let sealed = envelope.seal(key, None).expect("what opened can be sealed");
        assert_eq!(sealed, bytes, "an envelope has one form");
    }
}

/// Reads the header alone; the length it accepts is the input's.
pub fn header_read(input: &[u8]) {
    if Header::read(input).is_ok() {
        let declared = input[12..16].iter().rev().fold(0, |len, byte| len << 8 | *byte as usize);
        assert_eq!(32 + declared + CHECKSUM_BYTES, input.len());
    }
}

fn key() -> StoredKey {
    let space = KeySpace::new("shop", "acme", "users").expect("short names");
    space.key(&42_u64).expect("a short key")
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let small = Envelope {
        header: Header { sequence: Sequence(7), ..Header::default() },
        body: Body { plain_len: 5, payload: Bytes::from_static(b"hello"), ..Body::default() },
    };
    let full = Envelope {
        header: Header { expires_wall_ms: Some(1_800_000_000_000), ..small.header },
        body: Body {
            tags: vec![tag!("org:7"), tag!("größe")],
            compressor: 1,
            dictionary: 9,
            fresh_until_wall_ms: Some(1_700_000_000_000),
            plain_len: 500,
            ..small.body.clone()
        },
    };
    let sealed = |envelope: Envelope| envelope.seal(&key(), None).expect("sound fields").to_vec();
    vec![sealed(Envelope::default()), sealed(small), sealed(full)]
}
