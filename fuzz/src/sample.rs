//! The types that decoders are asked for: every shape of serde, and recursion.

use std::collections::BTreeMap;

use cache_enterprise_serializers::prost;
use serde::{Deserialize, Serialize};

/// A value of every shape that all serde codecs can write.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    flag: bool,
    small: i8,
    large: u128,
    negative: i64,
    ratio: f64,
    letter: char,
    text: String,
    bytes: Vec<u8>,
    option: Option<Box<Sample>>,
    newtype: Newtype,
    tuple: (u16, [u8; 3]),
    map: BTreeMap<String, Vec<Tree>>,
    unit: (),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Newtype(Option<u32>);

#[derive(Debug, Serialize, Deserialize)]
enum Tree {
    Leaf,
    /// Wide: a large decimal becomes an infinite `f32`, for which JSON has no form.
    Value(f64),
    Nodes(Vec<Tree>),
    Pair(Box<Tree>, Box<Tree>),
    Named {
        inner: Box<Tree>,
        next: Option<Box<Tree>>,
    },
}

pub(crate) fn samples() -> Vec<Sample> {
    let pair = Tree::Pair(Box::new(Tree::Leaf), Box::new(Tree::Value(1.5)));
    let named = Tree::Named { inner: Box::new(pair), next: Some(Box::new(Tree::Leaf)) };
    let trees = vec![Tree::Nodes(vec![Tree::Leaf, named]), Tree::Leaf];
    let full = Sample {
        flag: true,
        small: -7,
        large: u128::MAX,
        negative: i64::MIN,
        ratio: 0.1,
        letter: 'ß',
        text: "größe".into(),
        bytes: vec![0, 127, 255],
        option: Some(Box::default()),
        newtype: Newtype(Some(70_000)),
        tuple: (300, [1, 2, 3]),
        map: BTreeMap::from([("trees".into(), trees), (String::new(), Vec::new())]),
        unit: (),
    };
    vec![Sample::default(), full]
}

/// A message of every kind of field, and recursion.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "cache_enterprise_serializers::prost")]
pub(crate) struct Message {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, repeated, tag = "2")]
    names: Vec<String>,
    #[prost(sint32, repeated, tag = "3")]
    numbers: Vec<i32>,
    #[prost(message, optional, boxed, tag = "4")]
    parent: Option<Box<Message>>,
    #[prost(bytes = "bytes", tag = "5")]
    blob: bytes::Bytes,
    #[prost(double, repeated, tag = "6")]
    ratios: Vec<f64>,
    #[prost(message, repeated, tag = "9")]
    children: Vec<Message>,
    #[prost(oneof = "Choice", tags = "7, 8")]
    choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(prost_path = "cache_enterprise_serializers::prost")]
enum Choice {
    #[prost(bool, tag = "7")]
    Flag(bool),
    #[prost(fixed32, tag = "8")]
    Fixed(u32),
}

pub(crate) fn messages() -> Vec<Message> {
    let full = Message {
        id: 300,
        names: vec!["Ada".into(), String::new()],
        numbers: vec![-1, 70_000],
        parent: Some(Box::new(Message { id: 1, ..Message::default() })),
        blob: bytes::Bytes::from_static(b"\0\xff"),
        ratios: vec![0.5, -1.0],
        children: vec![Message::default(), Message { id: 2, ..Message::default() }],
        choice: Some(Choice::Fixed(8)),
    };
    vec![Message::default(), full]
}
