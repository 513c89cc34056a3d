//! Every codec and every compressor runs the suite of its trait.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use cache_enterprise_core::{Codec, Compressor, DictionaryCompressor, ErrorKind, Format};
use cache_enterprise_serializers::{
    AnySerde, Bincode, CodecRegistry, Gzip, Json, Lz4, MessagePack, Postcard, Protobuf, Raw, Snap,
    Zstd,
};
use cache_enterprise_testkit::conformance::{codec, compressor};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Text(String),
    Pair(u8, i64),
    Named { nested: Option<Box<Shape>>, list: Vec<Shape> },
    Map(BTreeMap<String, f64>),
    Borders(i64, u64, u128, char, bool),
}

fn shapes() -> Vec<Shape> {
    let leaf = Shape::Named { nested: None, list: Vec::new() };
    vec![
        Shape::Nothing,
        Shape::Text(String::new()),
        Shape::Text("größe\0".repeat(500)),
        Shape::Pair(u8::MAX, i64::MIN),
        Shape::Named { nested: Some(Box::new(leaf)), list: vec![Shape::Nothing; 40] },
        Shape::Map(BTreeMap::from([("half".into(), 0.5), (String::new(), f64::MIN)])),
        Shape::Borders(i64::MAX, u64::MAX, u128::MAX, char::MAX, true),
    ]
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, repeated, tag = "2")]
    names: Vec<String>,
    #[prost(message, optional, boxed, tag = "3")]
    parent: Option<Box<Message>>,
}

fn check(format: impl Format + Codec<Shape>) {
    codec::run_format(&format, true).assert_passed();
    codec::run(format.name(), &format, &shapes()).assert_passed();
}

#[test]
fn serde_codecs_keep_the_contract_for_shapes_of_all_kinds() {
    check(MessagePack);
    check(Json);
    check(Postcard);
    check(Bincode);
    for codec in AnySerde::ALL {
        check(*codec);
    }
}

#[test]
fn serde_codecs_keep_the_contract_for_text_and_numbers() {
    fn texts(format: impl Format + Codec<String>) {
        codec::run(format.name(), &format, &["", "Ada", "日本語"].map(String::from))
            .assert_passed();
    }
    fn numbers(format: impl Format + Codec<Vec<u64>>) {
        codec::run(format.name(), &format, &[vec![], vec![0, u64::MAX], vec![7; 3_000]])
            .assert_passed();
    }
    texts(MessagePack);
    texts(Json);
    texts(Postcard);
    texts(Bincode);
    numbers(MessagePack);
    numbers(Json);
    numbers(Postcard);
    numbers(Bincode);
}

#[test]
fn a_registered_codec_keeps_the_contract() {
    let mut registry = CodecRegistry::default();
    registry.register::<Shape>("shapes", MessagePack).unwrap();
    check(registry.named::<Shape>("shapes").unwrap());
}

#[test]
fn protobuf_and_raw_keep_the_contract() {
    let child = Message { id: 7, names: vec!["Ada".into(), String::new()], parent: None };
    let parent = Message { parent: Some(Box::new(child.clone())), ..Message::default() };
    codec::run_format(&Protobuf, true).assert_passed();
    codec::run("protobuf", &Protobuf, &[Message::default(), child, parent]).assert_passed();

    codec::run_format(&Raw, true).assert_passed();
    let bytes = [Bytes::new(), Bytes::from_static(b"cover art"), vec![7; 5_000].into()];
    codec::run("raw", &Raw, &bytes).assert_passed();
    codec::run("raw", &Raw, &bytes.map(Vec::from)).assert_passed();
}

#[test]
fn compressors_keep_the_contract() {
    compressor::run(&Zstd::over(1024)).assert_passed();
    compressor::run(&Zstd::over(1024).level(-5).unwrap()).assert_passed();
    compressor::run(&Lz4::over(1024)).assert_passed();
    compressor::run(&Snap::over(1024)).assert_passed();
    compressor::run(&Gzip::over(1024)).assert_passed();
}

#[test]
fn zstd_with_a_dictionary_keeps_the_contract() {
    let sample = |n: u32| format!("{{\"id\":{n},\"kind\":\"track\",\"album\":{}}}", n % 97 * 7919);
    let samples: Vec<String> = (0..600).map(sample).collect();
    let dictionary = Zstd::train(&samples, 4096).unwrap();
    compressor::run(&Zstd::over(64).dictionary(dictionary)).assert_passed();
}

#[test]
fn zstd_that_was_made_for_one_dictionary_keeps_the_contract() {
    let sample = |n: u32| format!("{{\"id\":{n},\"kind\":\"track\",\"album\":{}}}", n % 97 * 7919);
    let samples: Vec<Bytes> = (0..600).map(|n| sample(n).into()).collect();
    let zstd = Zstd::over(64).level(3).unwrap();
    let dictionary = DictionaryCompressor::train(&zstd, &samples, 4096).unwrap();
    assert!(dictionary.len() <= 4096);
    let packed = zstd.with_dictionary(&dictionary).unwrap();
    compressor::run(&*packed).assert_passed();

    // It packs small values, reads what the same dictionary wrote, and nothing else.
    let (plain, mut small, mut without) = (sample(7_777), Vec::new(), Vec::new());
    packed.compress(plain.as_bytes(), &mut small).unwrap();
    zstd.compress(plain.as_bytes(), &mut without).unwrap();
    assert!(small.len() * 3 < without.len() * 2, "{} and {} bytes", small.len(), without.len());
    let again = Zstd::over(0).with_dictionary(&dictionary).unwrap();
    assert_eq!(again.decompress(&small, plain.len()).unwrap(), plain.as_bytes());
    let other: Vec<Bytes> =
        (0..600).map(|n| format!("<user n=\"{n}\" of=\"{}\"/>", n % 89 * 6_007).into()).collect();
    let other = DictionaryCompressor::train(&zstd, &other, 4096).unwrap();
    let other = zstd.with_dictionary(&other).unwrap();
    for error in [
        other.decompress(&small, plain.len()),
        packed.decompress(&without, plain.len()),
        zstd.decompress(&small, plain.len()),
    ] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let noise = zstd.with_dictionary(&Bytes::from_static(b"no dictionary"));
    assert_eq!(noise.unwrap_err().kind(), ErrorKind::InvalidInput);
    let cut = zstd.with_dictionary(&dictionary.slice(..100));
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::InvalidInput);
}
