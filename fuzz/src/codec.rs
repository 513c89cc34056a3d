//! Codecs.

use bytes::Bytes;
use cache_enterprise_core::{Codec, ErrorKind};
use cache_enterprise_serializers::{Bincode, Json, MessagePack, Postcard, Protobuf};

use crate::sample::{Message, Sample, messages, samples};

/// Decodes the input as a sample of all shapes of serde.
pub fn messagepack(input: &[u8]) {
    decode::<Sample>(MessagePack, input);
}

/// Decodes the input as a sample of all shapes of serde.
pub fn json(input: &[u8]) {
    decode::<Sample>(Json, input);
}

/// Decodes the input as a sample of all shapes of serde.
pub fn postcard(input: &[u8]) {
    decode::<Sample>(Postcard, input);
}

/// Decodes the input as a sample of all shapes of serde.
pub fn bincode(input: &[u8]) {
    decode::<Sample>(Bincode, input);
}

/// Decodes the input as a message with every kind of field.
pub fn protobuf(input: &[u8]) {
    decode::<Message>(Protobuf, input);
}

/// What decodes must be written and read again to the same bytes: numbers that are not equal to
/// themselves are compared too.
fn decode<V>(codec: impl Codec<V>, input: &[u8]) {
    match codec.decode(&Bytes::copy_from_slice(input)) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Codec),
        Ok(value) => {
            let once = encode(&codec, &value);
            let again = codec.decode(&once.clone().into()).expect("reads what it wrote");
            assert_eq!(encode(&codec, &again), once);
        }
    }
}

fn encode<V>(codec: &impl Codec<V>, value: &V) -> Vec<u8> {
    let mut out = Vec::new();
    codec.encode(value, &mut out).expect("a decoded value has a form");
    out
}

fn encode_all<V>(codec: impl Codec<V>, values: Vec<V>) -> Vec<Vec<u8>> {
    values.iter().map(|value| encode(&codec, value)).collect()
}

pub(crate) fn messagepack_seeds() -> Vec<Vec<u8>> {
    encode_all(MessagePack, samples())
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    encode_all(Json, samples())
}

pub(crate) fn postcard_seeds() -> Vec<Vec<u8>> {
    encode_all(Postcard, samples())
}

pub(crate) fn bincode_seeds() -> Vec<Vec<u8>> {
    encode_all(Bincode, samples())
}

pub(crate) fn protobuf_seeds() -> Vec<Vec<u8>> {
    encode_all(Protobuf, messages())
}
