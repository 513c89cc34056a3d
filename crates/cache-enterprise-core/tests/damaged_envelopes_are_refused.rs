//! Whatever happens to the bytes of an envelope, opening it is an error and never another value.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use cache_enterprise_core::envelope::{Body, Envelope, Header, Limits, OVERHEAD_BYTES, TAGS_MAX};
use cache_enterprise_core::{
    Error, ErrorKind, KeySpace, Result, Sequence, StoredKey, TAG_BYTES_MAX, Tag, Transform,
    TransformContext,
};
use proptest::prelude::*;
use twox_hash::XxHash3_64;

fn key(tenant: &str, cache: &str, key: &str) -> StoredKey {
    KeySpace::new("shop", tenant, cache).unwrap().key(&key.to_owned()).unwrap()
}

fn small() -> Envelope {
    Envelope {
        header: Header {
            expires_wall_ms: Some(1_800_000_300_000),
            sequence: Sequence(9),
            ..Header::default()
        },
        body: Body {
            tags: vec![Tag::from("org:7")],
            schema: 77,
            codec: 2,
            created_wall_ms: 1_800_000_000_000,
            fresh_until_wall_ms: Some(1_800_000_060_000),
            load_us: 40,
            plain_len: 5,
            payload: Bytes::from_static(b"hello"),
            ..Body::default()
        },
    }
}

fn open(bytes: impl Into<Bytes>, key: &StoredKey) -> Result<Envelope> {
    Envelope::open(&bytes.into(), key, None, &Limits::default())
}

/// Gives edited bytes the checksum a careful attacker would: what is left to refuse them is the
/// check of the field itself.
fn with_new_checksum(mut bytes: Vec<u8>, key: &StoredKey) -> Vec<u8> {
    let body_end = bytes.len() - 8;
    let seed = XxHash3_64::oneshot(key.as_str().as_bytes());
    let sum = XxHash3_64::oneshot_with_seed(seed, &bytes[..body_end]);
    bytes[body_end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn edited(offset: usize, field: &[u8]) -> Vec<u8> {
    let key = key("acme", "users", "42");
    let mut bytes = small().seal(&key, None).unwrap().to_vec();
    bytes[offset..offset + field.len()].copy_from_slice(field);
    with_new_checksum(bytes, &key)
}

fn kind_of_edit(offset: usize, field: &[u8]) -> ErrorKind {
    open(edited(offset, field), &key("acme", "users", "42")).unwrap_err().kind()
}

#[test]
fn a_flip_of_any_single_bit_is_an_error() {
    let key = key("acme", "users", "42");
    let sealed = small().seal(&key, None).unwrap();
    assert_eq!(open(sealed.clone(), &key).unwrap(), small());
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open(bytes, &key).is_err(), "bit {bit}");
    }
}

#[test]
fn a_cut_at_any_length_and_any_appended_bytes_are_errors() {
    let key = key("acme", "users", "42");
    let sealed = small().seal(&key, None).unwrap();
    for len in 0..sealed.len() {
        assert_eq!(open(sealed.slice(..len), &key).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(Header::read(&sealed[..len]).is_err());
    }
    for extra in 1..=64 {
        let longer = [&sealed[..], &vec![0; extra]].concat();
        assert!(Header::read(&longer).is_err());
        assert_eq!(open(longer, &key).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_blob_under_another_key_cache_or_tenant_does_not_open() {
    let sealed = small().seal(&key("acme", "users", "42"), None).unwrap();
    let others = [("acme", "users", "43"), ("acme", "user", "s42"), ("acm", "eusers", "42")];
    for (tenant, cache, name) in others {
        let error = open(sealed.clone(), &key(tenant, cache, name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(!error.to_string().contains("acme"), "an error names no key: {error}");
    }
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_anything_is_allocated() {
    let key = key("acme", "users", "42");
    let body_len = Bytes::from(edited(12, &u32::MAX.to_le_bytes()));
    let plain_len = Bytes::from(edited(32 + 28, &u32::MAX.to_le_bytes()));
    let tags_len = Bytes::from(edited(32 + 40, &u32::MAX.to_le_bytes()));
    for (bytes, kind) in [
        (body_len, ErrorKind::TooLarge),
        (plain_len, ErrorKind::TooLarge),
        (tags_len, ErrorKind::Corrupt),
    ] {
        let mut answer = None;
        let spent = allocation_counter::measure(|| {
            answer = Some(Envelope::open(&bytes, &key, None, &Limits::default()));
        });
        assert_eq!(answer.unwrap().unwrap_err().kind(), kind);
        assert!(spent.bytes_max < 4_096, "{} bytes for an error", spent.bytes_max);
    }
}

#[test]
fn each_field_refuses_what_its_format_does_not_allow() {
    let table: [(&str, usize, &[u8], ErrorKind); 13] = [
        ("magic", 0, b"PK", ErrorKind::Corrupt),
        ("version 0", 2, &[0], ErrorKind::Unsupported),
        ("version 3", 2, &[3], ErrorKind::Unsupported),
        ("undefined flag", 3, &[0b11], ErrorKind::Corrupt),
        ("date without its flag", 3, &[0], ErrorKind::Corrupt),
        ("suite without transform", 4, &[1], ErrorKind::Unsupported),
        ("reserved bytes", 5, &[0, 1, 0], ErrorKind::Corrupt),
        ("dictionary without compressor", 32 + 32, &[1], ErrorKind::Corrupt),
        ("plain length of a plain payload", 32 + 28, &[6], ErrorKind::Corrupt),
        ("undefined flag of the body", 32 + 38, &[0b11], ErrorKind::Corrupt),
        ("reserved byte of the body", 32 + 39, &[1], ErrorKind::Corrupt),
        ("length of a tag", 32 + 44, &[6, 0], ErrorKind::Corrupt),
        ("tag that is no text", 32 + 46, &[0xff], ErrorKind::Corrupt),
    ];
    for (name, offset, field, kind) in table {
        assert_eq!(kind_of_edit(offset, field), kind, "{name}");
    }
}

#[test]
fn an_etag_is_whole_text_and_neither_empty_nor_long() {
    let key = key("acme", "users", "42");
    let mut envelope = small();
    envelope.body.etag = Some("v7".into());
    let sealed = envelope.seal(&key, None).unwrap();
    assert_eq!(open(sealed.clone(), &key).unwrap(), envelope);
    let place = 32 + 44 + 2 + "org:7".len();
    let edits: [(usize, &[u8]); 3] =
        [(place, &[0, 0]), (place, &[0xff, 0xff]), (place + 2, &[0xff])];
    for (offset, field) in edits {
        let mut bytes = sealed.to_vec();
        bytes[offset..offset + field.len()].copy_from_slice(field);
        let error = open(with_new_checksum(bytes, &key), &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{field:?}");
    }
    for etag in [String::new(), "e".repeat(513)] {
        let body = Body { etag: Some(etag.into()), ..Body::default() };
        let odd = Envelope { body, ..Envelope::default() }.seal(&key, None);
        assert_eq!(odd.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn limits_are_inclusive() {
    let key = key("", "c", "k");
    let sealed = small().seal(&key, None).unwrap();
    let fitting = Limits { stored_bytes_max: sealed.len(), plain_bytes_max: 5 };
    assert!(Envelope::open(&sealed, &key, None, &fitting).is_ok());
    for limits in [
        Limits { stored_bytes_max: sealed.len() - 1, ..fitting },
        Limits { plain_bytes_max: 4, ..fitting },
    ] {
        let error = Envelope::open(&sealed, &key, None, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn what_could_not_be_opened_is_not_sealed() {
    let seal = |body: Body| {
        let envelope = Envelope { header: Header::default(), body };
        envelope.seal(&key("", "c", "k"), None).map_err(|error| error.kind())
    };
    let tags = |count| vec![Tag::from("t"); count];
    assert!(seal(Body { tags: tags(TAGS_MAX), ..Body::default() }).is_ok());
    let many = seal(Body { tags: tags(TAGS_MAX + 1), ..Body::default() });
    assert_eq!(many, Err(ErrorKind::TooLarge));
    for tag in [String::new(), "t".repeat(TAG_BYTES_MAX + 1)] {
        let odd = seal(Body { tags: vec![Tag::from(tag)], ..Body::default() });
        assert_eq!(odd, Err(ErrorKind::InvalidInput));
    }
    let longer = seal(Body { plain_len: 1, ..Body::default() });
    assert_eq!(longer, Err(ErrorKind::InvalidInput));
    let suite = Envelope { header: Header { suite: 1, ..Header::default() }, ..small() };
    assert_eq!(suite.seal(&key("", "c", "k"), None).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// A seal that only adds a byte, to play transforms that answer and that fail.
#[derive(Debug)]
struct Stamp(u8);

impl Transform for Stamp {
    fn suite(&self) -> u8 {
        self.0
    }

    fn seal(&self, mut body: Vec<u8>, _: TransformContext<'_>) -> Result<Vec<u8>> {
        body.push(self.0);
        Ok(body)
    }

    fn open(&self, body: &[u8], _: TransformContext<'_>) -> Result<Vec<u8>> {
        match body.split_last() {
            Some((stamp, body)) if *stamp == self.0 => Ok(body.to_vec()),
            _ => Err(Error::new(ErrorKind::Corrupt, "the stamp does not match")),
        }
    }
}

#[test]
fn a_seal_is_neither_missing_nor_dropped_nor_another() {
    let key = key("acme", "users", "42");
    let limits = Limits::default();
    let plain = small().seal(&key, None).unwrap();
    let sealed = Envelope { header: Header { suite: 7, key_id: 3, ..small().header }, ..small() };
    let stored = sealed.seal(&key, Some(&Stamp(7))).unwrap();
    assert_eq!(Envelope::open(&stored, &key, Some(&Stamp(7)), &limits).unwrap(), sealed);
    let refused: [(&Bytes, Option<&dyn Transform>); 3] =
        [(&stored, None), (&stored, Some(&Stamp(8))), (&plain, Some(&Stamp(7)))];
    for (bytes, transform) in refused {
        let error = Envelope::open(bytes, &key, transform, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn sealing_allocates_once_and_opening_copies_no_payload() {
    let key = key("acme", "users", "42");
    let payload = Bytes::from(vec![7; 100_000]);
    let body = Body { plain_len: 100_000, payload, ..Body::default() };
    let envelope = Envelope { header: Header::default(), body };
    let mut sealed = Bytes::new();
    let spent = allocation_counter::measure(|| sealed = envelope.seal(&key, None).unwrap());
    assert_eq!(spent.count_total, 1);
    assert_eq!(spent.bytes_total, 100_000 + OVERHEAD_BYTES as u64);

    let spent = allocation_counter::measure(|| {
        let opened = Envelope::open(&sealed, &key, None, &Limits::default()).unwrap();
        assert_eq!(opened.body.payload.as_ptr(), sealed[32 + 44..].as_ptr());
    });
    assert!(spent.bytes_total < 100, "{} bytes to open", spent.bytes_total);
}

#[test]
fn debug_output_shows_no_value() {
    assert!(!format!("{:?}", small()).contains("hello"));
}

prop_compose! {
    fn any_envelope()(
        key_id: u32,
        expires_wall_ms: Option<i64>,
        sequence: u64,
        tags in proptest::collection::vec("\\PC{1,40}", 0..6),
        schema: u64,
        codec: u8,
        load_us: u32,
        created_wall_ms: i64,
        fresh_until_wall_ms: Option<i64>,
        squeezed in proptest::option::of((1..=u8::MAX, any::<u32>(), 0..64_u32 << 20)),
        etag in proptest::option::of("\\PC{1,40}"),
        payload: Vec<u8>,
    ) -> Envelope {
        let as_is = (0, 0, u32::try_from(payload.len()).unwrap());
        let (compressor, dictionary, plain_len) = squeezed.unwrap_or(as_is);
        Envelope {
            header: Header { suite: 0, key_id, expires_wall_ms, sequence: Sequence(sequence) },
            body: Body {
                tags: tags.into_iter().map(Tag::from).collect(),
                etag: etag.map(String::into_boxed_str),
                payload: payload.into(),
                schema, codec, compressor, dictionary, created_wall_ms, fresh_until_wall_ms,
                load_us, plain_len,
            },
        }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_as_it_was(envelope in any_envelope(), name in ".{0,20}") {
        let key = key("acme", "users", &name);
        let sealed = envelope.seal(&key, None).unwrap();
        prop_assert_eq!(Header::read(&sealed).unwrap(), envelope.header);
        prop_assert_eq!(open(sealed, &key).unwrap(), envelope);
    }

    #[test]
    fn edits_under_a_right_checksum_never_panic_and_never_break_a_rule(
        envelope in any_envelope(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let key = key("acme", "users", "42");
        let mut bytes = envelope.seal(&key, None).unwrap().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(opened) = open(with_new_checksum(bytes, &key), &key) {
            prop_assert!(opened.seal(&key, None).is_ok());
        }
    }

    #[test]
    fn noise_is_no_envelope(mut bytes: Vec<u8>, is_magic: bool) {
        if is_magic && bytes.len() > 2 {
            bytes[..3].copy_from_slice(&[0xce, 0xe1, 1]);
        }
        prop_assert!(open(bytes, &key("", "c", "k")).is_err());
    }
}
