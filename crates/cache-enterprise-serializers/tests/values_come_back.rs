//! What a codec writes it reads back; what happens when the type has changed in between is told
//! here, codec by codec.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use cache_enterprise_core::{Codec, ErrorKind, Format, Result};
use cache_enterprise_serializers::{
    AnySerde, Bincode, CodecRegistry, Json, MessagePack, Postcard, Protobuf, Raw,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Source {
    Catalogue,
    Upload(String),
    Mirror { host: String, port: u16 },
    Both(Box<Source>, Box<Source>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    id: u64,
    title: String,
    rating: Option<i8>,
    artists: Vec<String>,
    plays: BTreeMap<u32, (u64, bool)>,
    gain: f32,
    seconds: f64,
    key: char,
    source: Source,
    empty: (),
    cells: Vec<Vec<Option<()>>>,
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

fn source() -> impl Strategy<Value = Source> {
    let leaf = prop_oneof![
        Just(Source::Catalogue),
        any::<String>().prop_map(Source::Upload),
        (any::<String>(), any::<u16>()).prop_map(|(host, port)| Source::Mirror { host, port }),
    ];
    leaf.prop_recursive(4, 8, 2, |inner| {
        (inner.clone(), inner)
            .prop_map(|(left, right)| Source::Both(Box::new(left), Box::new(right)))
    })
}

prop_compose! {
    fn track()(
        id: u64,
        title: String,
        rating: Option<i8>,
        artists: Vec<String>,
        plays: BTreeMap<u32, (u64, bool)>,
        gain in -100.0_f32..100.0,
        seconds in proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL,
        key: char,
        source in source(),
        cells in proptest::collection::vec(proptest::collection::vec(Just(Some(())), 0..3), 0..5),
    ) -> Track {
        Track { id, title, rating, artists, plays, gain, seconds, key, source, empty: (), cells }
    }
}

fn encoded<V>(codec: &impl Codec<V>, value: &V) -> Bytes {
    let mut out = b"before".to_vec();
    codec.encode(value, &mut out).unwrap();
    assert_eq!(&out[..6], b"before", "a codec appends");
    Bytes::from(out).slice(6..)
}

fn again<V>(codec: &impl Codec<V>, value: &V) -> V {
    codec.decode(&encoded(codec, value)).unwrap()
}

proptest! {
    #[test]
    fn every_serde_codec_reads_what_it_wrote(track in track()) {
        // JSON and MessagePack write `Some(())` and `None` alike.
        let plain = Track { cells: Vec::new(), ..track.clone() };
        prop_assert_eq!(&again(&Json, &plain), &plain);
        prop_assert_eq!(&again(&Postcard, &track), &track);
        prop_assert_eq!(&again(&Bincode, &track), &track);
        prop_assert_eq!(&again(&MessagePack, &plain), &plain);
    }

    #[test]
    fn protobuf_and_raw_read_what_they_wrote(id: u64, names: Vec<String>, bytes: Vec<u8>) {
        let parent = Some(Box::new(Message { id: 1, ..Message::default() }));
        let message = Message { id, names, parent };
        prop_assert_eq!(&again(&Protobuf, &message), &message);
        prop_assert_eq!(&again(&Raw, &bytes), &bytes);
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(&again(&Raw, &bytes), &bytes);
    }
}

#[test]
fn thousands_of_empty_and_nested_elements_stay_within_the_bounds_of_decoding() {
    type Cell = (u8, (), [(); 7]);
    let empty: Vec<Vec<u8>> = vec![Vec::new(); 100_000];
    let cells: Vec<Cell> = vec![(1, (), [(); 7]); 50_000];
    let nothing = vec![(); 4_000];
    assert_eq!(again(&Postcard, &empty), empty);
    assert_eq!(again(&Bincode, &empty), empty);
    assert_eq!(again(&MessagePack, &empty), empty);
    assert_eq!(again(&Postcard, &cells), cells);
    assert_eq!(again(&Bincode, &cells), cells);
    assert_eq!(again(&MessagePack, &cells), cells);
    assert_eq!(again(&Postcard, &nothing), nothing);
}

#[test]
fn numbers_and_names_of_formats_never_change() {
    let formats: [(u8, &str); 6] = [
        (Raw.id(), Raw.name()),
        (MessagePack.id(), MessagePack.name()),
        (Json.id(), Json.name()),
        (Postcard.id(), Postcard.name()),
        (Bincode.id(), Bincode.name()),
        (Protobuf.id(), Protobuf.name()),
    ];
    let expected = [
        (1, "raw"),
        (2, "messagepack"),
        (3, "json"),
        (4, "postcard"),
        (5, "bincode"),
        (6, "protobuf"),
    ];
    assert_eq!(formats, expected);
}

#[test]
fn a_codec_chosen_by_name_writes_what_the_codec_itself_writes() {
    let value = (7_u8, "seven".to_owned());
    let itself = [
        encoded(&MessagePack, &value),
        encoded(&Json, &value),
        encoded(&Postcard, &value),
        encoded(&Bincode, &value),
    ];
    for (codec, expected) in AnySerde::ALL.iter().zip(itself) {
        assert_eq!(AnySerde::named(codec.name()).unwrap(), *codec);
        assert_eq!(encoded(codec, &value), expected);
        assert_eq!(again(codec, &value), value);
    }
    assert_eq!(AnySerde::default(), AnySerde::MessagePack);
    let error = AnySerde::named("yaml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("messagepack, json, postcard, bincode"), "{error}");
}

#[test]
fn a_registry_keeps_codecs_of_one_name_apart_by_type() {
    let mut registry = CodecRegistry::default();
    registry.register::<Message>("protobuf", Protobuf).unwrap();
    registry.register::<u32>("compact", Postcard).unwrap();
    registry.register::<String>("compact", Bincode).unwrap();

    let again_taken = registry.register::<u32>("compact", Json).unwrap_err();
    assert_eq!(again_taken.kind(), ErrorKind::Conflict);
    assert_eq!(registry.named::<u32>("compact").unwrap().id(), Postcard.id());
    assert_eq!(registry.named::<String>("compact").unwrap().id(), Bincode.id());
    let message = Message { id: 5, ..Message::default() };
    assert_eq!(again(&registry.named::<Message>("protobuf").unwrap(), &message), message);
    let error = registry.named::<u32>("protobuf").unwrap_err();
    assert!(error.to_string().contains("known: compact"), "{error}");
}

#[test]
fn a_value_without_a_form_leaves_the_buffer_as_it_was() {
    let by_list = BTreeMap::from([(vec![1_u8], 2_u8)]);
    let mut out = b"before".to_vec();
    let error = Json.encode(&by_list, &mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert_eq!(out, b"before");
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Version1 {
    name: String,
    plays: u32,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct FieldAdded {
    name: String,
    plays: u32,
    #[serde(default)]
    rating: u8,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct FieldsSwapped {
    plays: u32,
    name: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct FieldRenamed {
    title: String,
    plays: u32,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct FieldRemoved {
    name: String,
}

fn version_1_read_as<V>(codec: impl Codec<Version1> + Codec<V>) -> Result<V> {
    codec.decode(&encoded(&codec, &Version1 { name: "Aria".into(), plays: 9 }))
}

#[test]
fn formats_with_names_read_what_a_neighbouring_release_wrote() {
    let name = || "Aria".to_owned();
    let added = FieldAdded { name: name(), plays: 9, rating: 0 };
    let swapped = FieldsSwapped { name: name(), plays: 9 };
    let removed = FieldRemoved { name: name() };
    assert_eq!(version_1_read_as::<FieldAdded>(MessagePack).unwrap(), added);
    assert_eq!(version_1_read_as::<FieldAdded>(Json).unwrap(), added);
    assert_eq!(version_1_read_as::<FieldsSwapped>(MessagePack).unwrap(), swapped);
    assert_eq!(version_1_read_as::<FieldsSwapped>(Json).unwrap(), swapped);
    assert_eq!(version_1_read_as::<FieldRemoved>(MessagePack).unwrap(), removed);
    assert_eq!(version_1_read_as::<FieldRemoved>(Json).unwrap(), removed);
    assert!(version_1_read_as::<FieldRenamed>(MessagePack).is_err());
    assert!(version_1_read_as::<FieldRenamed>(Json).is_err());
}

#[test]
fn formats_without_names_refuse_other_lengths_but_cannot_see_other_names() {
    assert!(version_1_read_as::<FieldAdded>(Postcard).is_err());
    assert!(version_1_read_as::<FieldAdded>(Bincode).is_err());
    assert!(version_1_read_as::<FieldRemoved>(Postcard).is_err());
    assert!(version_1_read_as::<FieldRemoved>(Bincode).is_err());
    // Why the envelope carries a schema: the bytes alone do not tell these two types apart.
    let renamed = FieldRenamed { title: "Aria".into(), plays: 9 };
    assert_eq!(version_1_read_as::<FieldRenamed>(Postcard).unwrap(), renamed);
    assert_eq!(version_1_read_as::<FieldRenamed>(Bincode).unwrap(), renamed);
}
