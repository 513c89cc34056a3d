//! Every shape of every format that was ever written is kept in `golden/` and read for ever.
//!
//! The table below wrote the files. A new shape gets a new row and a new file
//! (`WRITE_GOLDEN=1 cargo test -p cache-enterprise-core` makes missing ones); an existing file is
//! never written again. When a test here fails, the format changed: that takes a new version.

#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cache_enterprise_core::envelope::{Body, Envelope, Header, Limits};
use cache_enterprise_core::{
    KeySpace, Result, Sequence, StoredKey, Tag, Transform, TransformContext,
};

struct Shape {
    file: &'static str,
    key: StoredKey,
    envelope: Envelope,
    transform: Option<&'static dyn Transform>,
}

/// Stands in for a cipher: turns every bit and appends the length of the key.
#[derive(Debug)]
struct Inverted;

impl Transform for Inverted {
    fn suite(&self) -> u8 {
        200
    }

    fn seal(&self, body: Vec<u8>, ctx: TransformContext<'_>) -> Result<Vec<u8>> {
        let mut sealed: Vec<u8> = body.iter().map(|byte| !byte).collect();
        sealed.push(u8::try_from(ctx.key.len()).unwrap());
        Ok(sealed)
    }

    fn open(&self, body: &[u8], ctx: TransformContext<'_>) -> Result<Vec<u8>> {
        let (key_len, sealed) = body.split_last().unwrap();
        assert_eq!(usize::from(*key_len), ctx.key.len());
        Ok(sealed.iter().map(|byte| !byte).collect())
    }
}

/// Every field of format 1 in use.
fn full() -> Envelope {
    Envelope {
        header: Header {
            suite: 0,
            key_id: 0,
            expires_wall_ms: Some(1_800_000_300_000),
            sequence: Sequence(1_800_000_000_000_001),
        },
        body: Body {
            tags: vec![Tag::from("org:7"), Tag::from("größe:ß"), Tag::from("a b\n{c}")],
            schema: 0x0123_4567_89ab_cdef,
            codec: 2,
            compressor: 1,
            dictionary: 0xdead_beef,
            created_wall_ms: 1_800_000_000_000,
            fresh_until_wall_ms: Some(1_800_000_060_000),
            load_us: 5_000,
            etag: None,
            plain_len: 4_096,
            payload: Bytes::from_static(b"not really compressed"),
        },
    }
}

fn shapes() -> Vec<Shape> {
    let key = |tenant, cache, key: &str| {
        KeySpace::new("shop", tenant, cache).unwrap().key(&key.to_owned()).unwrap()
    };
    let smallest = Envelope::default();
    let full = full();
    let extremes = Envelope {
        header: Header { expires_wall_ms: Some(0), sequence: Sequence(u64::MAX), ..full.header },
        body: Body {
            tags: vec![Tag::from("t".repeat(512))],
            schema: u64::MAX,
            codec: u8::MAX,
            compressor: u8::MAX,
            dictionary: u32::MAX,
            created_wall_ms: i64::MIN,
            fresh_until_wall_ms: Some(i64::MAX),
            load_us: u32::MAX,
            etag: None,
            plain_len: 0,
            payload: Bytes::new(),
        },
    };
    let long = Body {
        codec: 1,
        plain_len: 1_000,
        payload: (0..1_000_u16).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into(),
        ..Body::default()
    };
    let sealed = Envelope {
        header: Header { suite: 200, key_id: 0x0a0b_0c0d, ..full.header },
        body: full.body.clone(),
    };
    let shape = |file, key, envelope| Shape { file, key, envelope, transform: None };
    let with_etag = with_etag(&full, &sealed);
    let without = vec![
        shape("1/smallest", key("", "c", ""), smallest),
        shape("1/full", key("acme", "users", "42"), full),
        shape("1/extremes", key("a:b", "größe", "{%}"), extremes),
        shape("1/long", key("", "blobs", "x"), Envelope { header: Header::default(), body: long }),
        Shape {
            file: "1/sealed",
            key: key("acme", "users", "42"),
            envelope: sealed,
            transform: Some(&Inverted),
        },
    ];
    without.into_iter().chain(with_etag).collect()
}

/// The same with an etag: format 2.
fn with_etag(full: &Envelope, sealed: &Envelope) -> [Shape; 3] {
    let key = |tenant, cache, key: &str| {
        KeySpace::new("shop", tenant, cache).unwrap().key(&key.to_owned()).unwrap()
    };
    let body = |etag: &str| Body { etag: Some(etag.into()), ..full.body.clone() };
    let long = Body { etag: Some("e".repeat(512).into()), ..Body::default() };
    let user = || key("acme", "users", "42");
    let shape = |file, key, header, body, transform: Option<&'static dyn Transform>| {
        let envelope = Envelope { header, body };
        Shape { file, key, envelope, transform }
    };
    [
        shape("2/full", user(), full.header, body("W/\"67ab43\""), None),
        shape("2/longest", key("", "c", "x"), Header::default(), long, None),
        shape("2/sealed", user(), sealed.header, body("\"größe-7\""), Some(&Inverted)),
    ]
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/envelope-{name}"))
}

/// The file's bytes; on request a missing one is written first.
fn read_or_write(shape: &Shape) -> Bytes {
    let path = golden(shape.file).with_extension("bin");
    if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        file.write_all(&shape.envelope.seal(&shape.key, shape.transform).unwrap()).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

#[test]
fn every_format_is_read_as_it_was_written() {
    for shape in shapes() {
        let stored = read_or_write(&shape);
        let opened = Envelope::open(&stored, &shape.key, shape.transform, &Limits::default());
        assert_eq!(opened.unwrap(), shape.envelope, "{}", shape.file);
        assert_eq!(Header::read(&stored).unwrap(), shape.envelope.header, "{}", shape.file);
    }
}

#[test]
fn every_format_is_still_written_the_same() {
    for shape in shapes() {
        let sealed = shape.envelope.seal(&shape.key, shape.transform).unwrap();
        assert_eq!(sealed, read_or_write(&shape), "{}", shape.file);
    }
}

#[test]
fn every_golden_file_has_its_row() {
    let mut rows: Vec<PathBuf> =
        shapes().iter().map(|shape| golden(shape.file).with_extension("bin")).collect();
    let folders = ["1", "2"].map(|format| fs::read_dir(golden(format)).unwrap());
    let mut files: Vec<PathBuf> =
        folders.into_iter().flatten().map(|file| file.unwrap().path()).collect();
    rows.sort();
    files.sort();
    assert_eq!(rows, files);
}
