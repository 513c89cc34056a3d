//! Bytes that want a stack, a memory or a secret get an error.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use bytes::Bytes;
use cache_enterprise_core::{Codec, ErrorKind};
use cache_enterprise_serializers::{Bincode, DEPTH_MAX, Json, MessagePack, Postcard, Protobuf};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

const LEVELS: usize = 100_000;

/// Less than the two MiB a thread gets by default.
const STACK_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct List {
    next: Option<Box<List>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Vec<Tree>),
    Wrap(Box<Tree>),
    Named { inner: Box<Tree> },
    Pair(Box<Tree>, Box<Tree>),
}

/// Wide, so that a level of it takes a lot of stack: it overflowed one MiB at 256 levels.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wide {
    flag: bool,
    large: u128,
    ratio: f64,
    letter: char,
    text: String,
    bytes: Vec<u8>,
    tuple: (u16, [u8; 3]),
    trees: HashMap<String, Vec<Tree>>,
    next: Option<Box<Wide>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(message, optional, boxed, tag = "1")]
    next: Option<Box<Message>>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint64, repeated, tag = "3")]
    numbers: Vec<u64>,
}

/// Decodes on a small stack and says the kind of the error.
fn refusal<V: Send + 'static>(codec: impl Codec<V> + Copy, bytes: impl Into<Bytes>) -> ErrorKind {
    let bytes = bytes.into();
    let decode = move || codec.decode(&bytes).map(drop).unwrap_err().kind();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(decode).unwrap();
    thread.join().unwrap()
}

#[test]
fn a_hundred_thousand_levels_are_an_error_and_not_the_end_of_the_stack() {
    type Json5 = serde_json::Value;
    let refusals = [
        refusal::<Json5>(Json, "[".repeat(LEVELS)),
        refusal::<List>(Json, r#"{"next":"#.repeat(LEVELS)),
        refusal::<Tree>(Json, r#"{"Wrap":"#.repeat(LEVELS)),
        refusal::<Json5>(MessagePack, vec![0x91; LEVELS]),
        refusal::<List>(MessagePack, b"\x81\xa4next".repeat(LEVELS)),
        refusal::<List>(MessagePack, vec![0x91; LEVELS]),
        refusal::<Tree>(MessagePack, b"\x81\xa4Wrap".repeat(LEVELS)),
        refusal::<Tree>(MessagePack, b"\x81\xa4Node\x91".repeat(LEVELS)),
        refusal::<Tree>(MessagePack, b"\x81\xa5Named\x81\xa5inner".repeat(LEVELS)),
        refusal::<Wide>(MessagePack, b"\x81\xa4next".repeat(LEVELS)),
        refusal::<Wide>(Json, r#"{"next":"#.repeat(LEVELS)),
        refusal::<List>(Postcard, vec![1; LEVELS]),
        refusal::<Tree>(Postcard, [1, 1].repeat(LEVELS)),
        refusal::<Tree>(Postcard, vec![2; LEVELS]),
        refusal::<Tree>(Postcard, vec![3; LEVELS]),
        refusal::<Tree>(Postcard, vec![4; LEVELS]),
        refusal::<List>(Bincode, vec![1; LEVELS]),
        refusal::<Tree>(Bincode, [1, 1].repeat(LEVELS)),
        refusal::<Tree>(Bincode, vec![2; LEVELS]),
        refusal::<Tree>(Bincode, vec![3; LEVELS]),
        refusal::<Tree>(Bincode, vec![4; LEVELS]),
        refusal::<Message>(Protobuf, nested_messages(LEVELS)),
        refusal::<Message>(Protobuf, delimited(&vec![0x23; LEVELS])),
    ];
    assert_eq!(refusals, [ErrorKind::Codec; 23]);
}

/// `Message`s in `Message`s, from the outermost length to the innermost.
fn nested_messages(levels: usize) -> Vec<u8> {
    let mut heads = Vec::new();
    let mut len = 0;
    for _ in 0..levels {
        let mut head = vec![0x0a];
        prost::encode_length_delimiter(len, &mut head).unwrap();
        len += head.len();
        heads.push(head);
    }
    heads.reverse();
    delimited(&heads.concat())
}

fn delimited(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encode_length_delimiter(message.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(message);
    bytes
}

#[test]
fn nesting_within_the_limit_is_read_on_a_small_stack() {
    fn nested(levels: usize) -> Tree {
        (0..levels).fold(Tree::Leaf, |inner, _| Tree::Wrap(Box::new(inner)))
    }
    fn reads(codec: impl Codec<Tree> + Copy, levels: usize) -> bool {
        let work = move || {
            let mut bytes = Vec::new();
            codec.encode(&nested(levels), &mut bytes).unwrap();
            codec.decode(&bytes.into()).is_ok_and(|tree| tree == nested(levels))
        };
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap()
    }
    // The leaf is one level more.
    for levels in [1, DEPTH_MAX - 1] {
        assert!(reads(Postcard, levels) && reads(Bincode, levels), "{levels} levels");
    }
    assert!(!reads(Postcard, DEPTH_MAX) && !reads(Bincode, DEPTH_MAX));
    assert!(reads(MessagePack, 100) && reads(Json, 100));
}

/// The kind of the error and the most bytes that were allocated at once on the way to it.
fn cost_of_refusal<V>(codec: impl Codec<V>, bytes: &[u8]) -> (ErrorKind, u64) {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut kind = None;
    let spent = allocation_counter::measure(|| {
        kind = Some(codec.decode(&bytes).map(drop).unwrap_err().kind());
    });
    (kind.unwrap(), spent.bytes_max)
}

#[test]
fn a_length_that_the_bytes_cannot_hold_reserves_nothing() {
    const HUGE: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    const HALF: [u8; 9] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    const BINCODE_HUGE: [u8; 9] = [253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let costs = [
        cost_of_refusal::<Vec<u64>>(Postcard, &HUGE),
        cost_of_refusal::<Vec<u64>>(Postcard, &HALF),
        cost_of_refusal::<String>(Postcard, &HUGE),
        cost_of_refusal::<HashMap<u64, u64>>(Postcard, &HALF),
        cost_of_refusal::<Vec<()>>(Postcard, &HALF),
        cost_of_refusal::<Vec<u64>>(Bincode, &BINCODE_HUGE),
        cost_of_refusal::<String>(Bincode, &BINCODE_HUGE),
        cost_of_refusal::<HashMap<u64, u64>>(Bincode, &BINCODE_HUGE),
        cost_of_refusal::<Vec<()>>(Bincode, &BINCODE_HUGE),
        cost_of_refusal::<Vec<u64>>(MessagePack, &[0xdd, 0xff, 0xff, 0xff, 0xff]),
        cost_of_refusal::<HashMap<u64, u64>>(MessagePack, &[0xdf, 0xff, 0xff, 0xff, 0xff]),
        cost_of_refusal::<String>(MessagePack, &[0xdb, 0xff, 0xff, 0xff, 0xff]),
        cost_of_refusal::<Vec<u8>>(MessagePack, &[0xc6, 0xff, 0xff, 0xff, 0xff]),
        cost_of_refusal::<Message>(Protobuf, &HALF),
        cost_of_refusal::<Message>(Protobuf, &delimited(&[0x12, 0xff, 0xff, 0xff, 0x7f])),
        cost_of_refusal::<Message>(Protobuf, &delimited(&[0x1a, 0xff, 0xff, 0xff, 0x7f])),
    ];
    for (at, (kind, bytes_max)) in costs.into_iter().enumerate() {
        assert_eq!(kind, ErrorKind::Codec, "row {at}");
        assert!(bytes_max < 4_096, "row {at}: {bytes_max} bytes");
    }
}

#[test]
fn huge_lengths_inside_each_other_reserve_no_more_than_one() {
    // Each level claims to hold 2^31 trees; serde alone would reserve a MiB for each.
    let postcard = [1, 0xff, 0xff, 0xff, 0xff, 0x07].repeat(100);
    let bincode = [1, 252, 0xff, 0xff, 0xff, 0x7f].repeat(100);
    let messagepack = b"\x81\xa4Node\xdd\xff\xff\xff\xff".repeat(100);
    let costs = [
        cost_of_refusal::<Tree>(Postcard, &postcard),
        cost_of_refusal::<Tree>(Bincode, &bincode),
        cost_of_refusal::<Tree>(MessagePack, &messagepack),
    ];
    for (kind, bytes_max) in costs {
        assert_eq!(kind, ErrorKind::Codec);
        assert!(bytes_max < 64 * 1024, "{bytes_max} bytes");
    }
}

fn whole_value_only<V: Clone>(codec: impl Codec<V>, value: &V) {
    let mut bytes = Vec::new();
    codec.encode(value, &mut bytes).unwrap();
    for len in 0..bytes.len() {
        assert!(codec.decode(&Bytes::copy_from_slice(&bytes[..len])).is_err(), "{len} bytes");
    }
    for extra in 0..=u8::MAX {
        let mut longer = bytes.clone();
        longer.push(extra);
        assert!(codec.decode(&longer.clone().into()).is_err(), "and {extra}");
        longer.push(extra);
        assert!(codec.decode(&longer.into()).is_err(), "and {extra} twice");
    }
}

#[test]
fn a_cut_value_and_bytes_after_a_value_are_errors() {
    let tree = Tree::Pair(Box::new(Tree::Leaf), Box::new(Tree::Node(vec![Tree::Leaf; 3])));
    whole_value_only(MessagePack, &tree);
    whole_value_only(Json, &tree);
    whole_value_only(Postcard, &tree);
    whole_value_only(Bincode, &tree);
    let message = Message { name: "Ada".into(), numbers: vec![1, 300], next: None };
    whole_value_only(Protobuf, &message);
}

#[test]
fn an_error_names_codec_and_type_and_hides_the_value() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Account {
        iban: u64,
    }
    let mut named = Vec::new();
    let secret = HashMap::from([("iban".to_owned(), "canary-4711".to_owned())]);
    MessagePack.encode(&secret, &mut named).unwrap();
    let errors = [
        Codec::<Account>::decode(&MessagePack, &named.into()).unwrap_err(),
        Codec::<Account>::decode(&Json, &r#"{"iban":"canary-4711"}"#.into()).unwrap_err(),
        Codec::<u64>::decode(&Json, &r#""canary-4711""#.into()).unwrap_err(),
        Codec::<(bool, Tree)>::decode(&Postcard, &"\x01canary-4711".into()).unwrap_err(),
        Codec::<(bool, Tree)>::decode(&Bincode, &"\x01canary-4711".into()).unwrap_err(),
        Codec::<Message>::decode(&Protobuf, &"\x0bcanary-4711".into()).unwrap_err(),
    ];
    for error in errors {
        let text = format!("{error} {error:?}");
        assert!(text.contains("codec:") && text.contains("type:"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

type Odd = (Option<Box<Odder>>, HashMap<String, Vec<Tree>>, Vec<u8>, f64, char);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Odder {
    bits: u128,
    list: List,
}

proptest! {
    /// A panic or an abort fails the run; a value is as good as an error.
    #[test]
    fn noise_never_panics(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        let _ = Codec::<Odd>::decode(&MessagePack, &bytes);
        let _ = Codec::<Odd>::decode(&Json, &bytes);
        let _ = Codec::<Odd>::decode(&Postcard, &bytes);
        let _ = Codec::<Odd>::decode(&Bincode, &bytes);
        let _ = Codec::<Message>::decode(&Protobuf, &bytes);
    }
}
