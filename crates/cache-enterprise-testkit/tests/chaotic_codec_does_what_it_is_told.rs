//! Each mode of the chaotic codec does what it says, and clones share it.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use cache_enterprise_core::{Codec, Error, ErrorKind, Format, Result};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::{ChaosCodec, CodecMode};
use cache_enterprise_testkit::conformance::codec;

/// Bytes behind their length.
#[derive(Clone, Debug)]
struct Counted;

impl Format for Counted {
    fn id(&self) -> u8 {
        200
    }

    fn name(&self) -> &'static str {
        "counted"
    }
}

impl Codec<Vec<u8>> for Counted {
    fn encode(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        out.extend((value.len() as u64).to_le_bytes());
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Vec<u8>> {
        match bytes.split_first_chunk::<8>() {
            Some((len, value)) if u64::from_le_bytes(*len) == value.len() as u64 => {
                Ok(value.to_vec())
            }
            _ => Err(Error::new(ErrorKind::Codec, "the bytes are not counted")),
        }
    }
}

fn chaos() -> ChaosCodec<Counted> {
    ChaosCodec::new(Counted, Seed(7))
}

fn encoded(codec: &ChaosCodec<Counted>) -> Bytes {
    let mut out = Vec::new();
    codec.encode(&b"Ada".to_vec(), &mut out).unwrap();
    out.into()
}

fn bits_between(left: &[u8], right: &[u8]) -> u32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left ^ right).count_ones()).sum()
}

#[test]
fn a_healthy_wrapper_keeps_the_contract() {
    let codec = chaos();
    codec::run_format(&codec, false).assert_passed();
    codec::run("chaos", &codec, &[vec![], vec![7], vec![0; 3_000]]).assert_passed();
    assert_eq!(codec.spoiled(), 0);
}

#[test]
fn failing_names_the_operation_and_may_leave_half_a_value() {
    let codec = chaos();
    let bytes = encoded(&codec);
    codec.set(CodecMode::FailEncode);
    let mut out = b"head".to_vec();
    let error = codec.encode(&b"Ada".to_vec(), &mut out).unwrap_err();
    assert_eq!((error.kind(), out.len()), (ErrorKind::Codec, 4 + bytes.len() / 2));
    assert_eq!(codec.decode(&bytes).unwrap(), b"Ada");

    codec.set(CodecMode::FailDecode);
    let error = codec.decode(&bytes).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "decode: the codec fails on purpose");
    assert_eq!(encoded(&codec), bytes);
    assert_eq!((codec.encoded(), codec.decoded(), codec.spoiled()), (3, 2, 2));
}

#[test]
fn corruption_is_one_bit_and_the_seed_says_which() {
    let sound = encoded(&chaos());
    let corrupt = || {
        let codec = chaos();
        codec.set(CodecMode::CorruptEncode);
        [(); 20].map(|()| encoded(&codec))
    };
    let first = corrupt();
    assert!(first.iter().all(|bytes| bits_between(bytes, &sound) == 1));
    assert!(first.iter().any(|bytes| *bytes != first[0]), "not one bit alone");
    assert_eq!(first, corrupt(), "the same seed spoils the same bits");

    let codec = chaos();
    codec.set(CodecMode::CorruptDecode);
    for _ in 0..20 {
        // A flipped length is refused, a flipped value comes back changed.
        if let Ok(value) = codec.decode(&sound) {
            assert_eq!(bits_between(&value, b"Ada"), 1);
        }
    }
    assert_eq!(codec.spoiled(), 20);
}

#[test]
fn clones_share_mode_and_counts() {
    let (held, owned) = (chaos(), chaos());
    let clone = owned.clone();
    owned.set(CodecMode::FailDecode);
    assert_eq!((clone.mode(), held.mode()), (CodecMode::FailDecode, CodecMode::Healthy));
    encoded(&clone);
    assert_eq!((owned.encoded(), owned.id(), owned.name()), (1, 200, "counted"));
}
