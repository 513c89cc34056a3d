//! Inflating gives exactly the length that was asked for, whatever the stream says.

#![allow(clippy::unwrap_used)]

use std::io::Read;

use cache_enterprise_core::{Compressor, ErrorKind};
use cache_enterprise_serializers::{Gzip, Lz4, Snap, Zstd, ZstdDictionary};
use proptest::prelude::*;

fn all() -> [Box<dyn Compressor>; 4] {
    [
        Box::new(Zstd::over(1024)),
        Box::new(Lz4::over(1024)),
        Box::new(Snap::over(1024)),
        Box::new(Gzip::over(1024)),
    ]
}

fn compressed(compressor: &dyn Compressor, bytes: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    compressor.compress(bytes, &mut out).unwrap();
    assert_eq!(&out[..6], b"before", "a compressor appends");
    out.split_off(6)
}

/// Text that all of them make smaller.
fn lyrics(len: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| format!("line {} of the song; ", n % 97).into_bytes())
        .take(len)
        .collect()
}

fn kind(compressor: &dyn Compressor, bytes: &[u8], len: usize) -> ErrorKind {
    compressor.decompress(bytes, len).unwrap_err().kind()
}

#[test]
fn numbers_and_names_of_compressors_never_change() {
    let formats = all().map(|compressor| (compressor.id(), compressor.name()));
    assert_eq!(formats, [(1, "zstd"), (2, "lz4"), (3, "snap"), (4, "gzip")]);
    assert_eq!(all().map(|compressor| compressor.threshold()), [1024; 4]);
}

#[test]
fn text_gets_smaller_and_comes_back_at_every_size() {
    for compressor in all() {
        for len in [0, 1, 100, 1_000, 65_534, 65_535, 65_536, 1_000_000] {
            let plain = lyrics(len);
            let packed = compressed(&*compressor, &plain);
            assert!(len < 1_000 || packed.len() < len / 2, "{} of {len}", compressor.name());
            assert_eq!(compressor.decompress(&packed, len).unwrap(), plain);
        }
    }
}

#[test]
fn any_other_length_is_corrupt() {
    for compressor in all() {
        let packed = compressed(&*compressor, &lyrics(5_000));
        for len in [0, 1, 4_999, 5_001, 50_000] {
            assert_eq!(kind(&*compressor, &packed, len), ErrorKind::Corrupt);
        }
    }
}

#[test]
fn a_cut_stream_and_bytes_after_a_stream_are_corrupt() {
    for compressor in all() {
        let packed = compressed(&*compressor, &lyrics(500));
        for len in 0..packed.len() {
            assert_eq!(kind(&*compressor, &packed[..len], 500), ErrorKind::Corrupt, "{len}");
        }
        for extra in 0..=u8::MAX {
            let longer = [&packed[..], &[extra]].concat();
            assert_eq!(kind(&*compressor, &longer, 500), ErrorKind::Corrupt, "and {extra}");
        }
        let twice = packed.repeat(2);
        assert_eq!(kind(&*compressor, &twice, 500), ErrorKind::Corrupt);
        assert_eq!(kind(&*compressor, &twice, 1_000), ErrorKind::Corrupt);
    }
}

const BOMB_BYTES: u64 = 1 << 30;

/// Streams that inflate to 1 GiB or claim 4 GiB, written by hand because compressing a GiB takes
/// seconds; the largest is a 150th of it.
fn bombs() -> [Vec<u8>; 4] {
    // One literal, then a match that repeats it 255 times for each further byte.
    let lz4 = [&[0x1f, 0, 1, 0][..], &vec![255; (BOMB_BYTES / 255) as usize], &[0]].concat();
    let snap = [&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0][..], &[0xfe, 1, 0].repeat(10_000)].concat();
    [zstd_bomb(), lz4, snap, gzip_bomb()]
}

/// Blocks of one byte that stands for 128 KiB each.
fn zstd_bomb() -> Vec<u8> {
    const WINDOW: u8 = (17 - 10) << 3;
    let block = |last: u32| (last | 1 << 1 | (128 << 10) << 3).to_le_bytes();
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0, WINDOW];
    let blocks = block(0).repeat((BOMB_BYTES >> 17) as usize - 1);
    let bomb = [&head[..], &blocks, &block(1)].concat();
    assert_inflates(zstd::Decoder::new(&bomb[..]).unwrap());
    bomb
}

/// A block of fixed codes with one zero byte and then matches of 258 bytes, 13 bits each. Eight
/// of them are 13 whole bytes.
fn gzip_bomb() -> Vec<u8> {
    let bits = ["110", "00110000", &"1100010100000".repeat(16)].concat();
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
    let bytes: Vec<u8> = bits.as_bytes().chunks_exact(8).map(byte).collect();
    let matches = bytes[2..15].repeat((BOMB_BYTES / (8 * 258)) as usize);
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let bomb = [&head[..], &bytes[..2], &matches].concat();
    assert_inflates(flate2::read::GzDecoder::new(&bomb[..]));
    bomb
}

/// A bomb that is no stream at all would be refused for that alone.
fn assert_inflates(mut bomb: impl Read) {
    let mut plain = vec![1; 4 << 20];
    bomb.read_exact(&mut plain).unwrap();
    assert!(plain.iter().all(|byte| *byte == 0));
}

#[test]
fn a_bomb_inflates_no_further_than_its_declared_length() {
    for (compressor, bomb) in all().iter().zip(bombs()) {
        for len in [1_000, 100_000] {
            let mut answer = None;
            let spent = allocation_counter::measure(|| {
                answer = Some(kind(&**compressor, &bomb, len));
            });
            assert_eq!(answer, Some(ErrorKind::Corrupt));
            // Beside the output: tables of a decoder.
            let most = len as u64 + 128 * 1024;
            assert!(spent.bytes_max < most, "{}: {}", compressor.name(), spent.bytes_max);
        }
    }
}

#[test]
fn a_compressor_works_on_after_an_error() {
    for compressor in all() {
        let plain = lyrics(3_000);
        let packed = compressed(&*compressor, &plain);
        assert!(compressor.decompress(b"noise", 3_000).is_err());
        assert_eq!(compressor.decompress(&packed, 3_000).unwrap(), plain);
    }
}

fn samples(kind: &str) -> Vec<String> {
    let sample = |n: u32| {
        let square = n.wrapping_mul(n).wrapping_mul(2_654_435_761);
        format!(r#"{{"id":{n},"kind":"{kind}","album":"{square:x}","market":["DE","FR","US"]}}"#)
    };
    (0..600).map(sample).collect()
}

#[test]
fn a_dictionary_pays_on_small_values_and_is_found_by_its_number() {
    let train = |kind| Zstd::train(&samples(kind), 8 * 1024).unwrap();
    let (tracks, users) = (train("track"), train("user"));
    assert_ne!(tracks.id(), users.id());
    assert_eq!(train("track"), tracks, "equal samples give an equal number");

    let plain = samples("track")[599].clone().into_bytes();
    let old = Zstd::over(64).dictionary(tracks.clone());
    let packed = compressed(&old, &plain);
    assert!(packed.len() * 2 < compressed(&Zstd::over(64), &plain).len());

    let new = Zstd::over(64).dictionary(tracks.clone()).dictionary(users.clone());
    assert_eq!(new.decompress(&packed, plain.len()).unwrap(), plain);
    let without = compressed(&Zstd::over(64), &plain);
    assert_eq!(new.decompress(&without, plain.len()).unwrap(), plain);
    let newer = compressed(&new, &plain);
    assert_eq!(new.decompress(&newer, plain.len()).unwrap(), plain);
    for lacking in [Zstd::over(64), Zstd::over(64).dictionary(users)] {
        let error = lacking.decompress(&packed, plain.len()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&tracks.id().to_string()), "{error}");
    }
    assert!(!format!("{old:?}").contains("market"), "no piece of a sample in debug output");
}

#[test]
fn what_is_no_dictionary_and_no_level_is_refused() {
    assert_eq!(ZstdDictionary::new("noise").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Zstd::train(&["a"], 1024).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Zstd::over(1).level(23).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(Zstd::over(1).level(0).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(Gzip::over(1).level(10).unwrap_err().kind(), ErrorKind::Config);
    let best = Zstd::over(1).level(19).unwrap();
    let packed = compressed(&best, &lyrics(10_000));
    assert!(packed.len() <= compressed(&Zstd::over(1), &lyrics(10_000)).len());
    assert_eq!(best.decompress(&packed, 10_000).unwrap(), lyrics(10_000));
}

#[test]
fn threads_share_one_compressor() {
    for compressor in all() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let compressor = &compressor;
                scope.spawn(move || {
                    for round in 0..50 {
                        let plain = lyrics(500 + thread * 100 + round);
                        let packed = compressed(&**compressor, &plain);
                        assert_eq!(compressor.decompress(&packed, plain.len()).unwrap(), plain);
                    }
                });
            }
        });
    }
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(bytes: Vec<u8>, repeats in 1..20_usize) {
        let plain = bytes.repeat(repeats);
        for compressor in all() {
            let packed = compressed(&*compressor, &plain);
            prop_assert_eq!(&compressor.decompress(&packed, plain.len()).unwrap(), &plain);
        }
    }

    #[test]
    fn noise_and_edits_give_the_length_or_an_error(
        noise: Vec<u8>,
        len in 0..2_000_usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for compressor in all() {
            if let Ok(plain) = compressor.decompress(&noise, len) {
                prop_assert_eq!(plain.len(), len);
            }
            let mut packed = compressed(&*compressor, &lyrics(len));
            for (at, byte) in &edits {
                let at = at.index(packed.len());
                packed[at] = *byte;
            }
            if let Ok(plain) = compressor.decompress(&packed, len) {
                prop_assert_eq!(plain.len(), len);
            }
        }
    }
}

#[test]
fn equal_payloads_give_equal_bytes() {
    for compressor in all() {
        let once = compressed(&*compressor, &lyrics(2_000));
        assert_eq!(once, compressed(&*compressor, &lyrics(2_000)));
    }
}
