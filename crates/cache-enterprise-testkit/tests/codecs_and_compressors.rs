//! The suites of codec and compressor pass what is sound and find what is planted.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use cache_enterprise_core::{Codec, Compressor, Error, ErrorKind, Result};
use cache_enterprise_testkit::conformance::{codec, compressor};

/// Numbers behind their count, read the way `fault` says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Numbers {
    Sound,
    TrustsItsLength,
    ReplacesTheBuffer,
    QuotesTheBytes,
}

impl Codec<Vec<u16>> for Numbers {
    fn encode(&self, value: &Vec<u16>, out: &mut Vec<u8>) -> Result<()> {
        if *self == Self::ReplacesTheBuffer {
            out.clear();
        }
        out.extend((value.len() as u64).to_le_bytes());
        out.extend(value.iter().flat_map(|number| number.to_le_bytes()));
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Vec<u16>> {
        let refused = || Error::new(ErrorKind::Codec, "the bytes are no list of numbers");
        let Some((count, body)) = bytes.split_first_chunk::<8>() else {
            return Err(match self {
                Self::QuotesTheBytes => refused().with("bytes", String::from_utf8_lossy(bytes)),
                _ => refused(),
            });
        };
        let count = u64::from_le_bytes(*count);
        if *self == Self::TrustsItsLength {
            let end = 2 * usize::try_from(count).unwrap();
            return Ok(body[..end].chunks_exact(2).map(number).collect());
        }
        if body.len() as u64 != count.saturating_mul(2) {
            return Err(match self {
                Self::QuotesTheBytes => refused().with("bytes", String::from_utf8_lossy(bytes)),
                _ => refused(),
            });
        }
        Ok(body.chunks_exact(2).map(number).collect())
    }
}

fn number(pair: &[u8]) -> u16 {
    u16::from_le_bytes([pair[0], pair[1]])
}

fn values() -> Vec<Vec<u16>> {
    vec![vec![], vec![0], vec![u16::MAX; 3], (0..2_000).collect()]
}

#[test]
fn a_sound_codec_passes() {
    codec::run("numbers", &Numbers::Sound, &values()).assert_passed();
}

#[test]
fn a_codec_that_trusts_lengths_is_found() {
    let report = codec::run("numbers", &Numbers::TrustsItsLength, &values());
    assert!(report.failed().contains(&"impossible_lengths_do_no_harm"), "{report}");
}

#[test]
fn a_codec_that_clears_the_buffer_is_found() {
    let report = codec::run("numbers", &Numbers::ReplacesTheBuffer, &values());
    assert_eq!(report.failed(), ["encoding_appends_to_what_is_there"], "{report}");
}

#[test]
fn a_codec_that_quotes_what_it_read_is_found() {
    let report = codec::run("numbers", &Numbers::QuotesTheBytes, &values());
    assert!(report.failed().contains(&"no_error_shows_the_bytes"), "{report}");
}

#[test]
fn a_suite_without_values_says_so() {
    let report = codec::run("numbers", &Numbers::Sound, &[]);
    assert!(report.failed().contains(&"every_value_comes_back"), "{report}");
}

/// Blocks of bytes; one that equals the block before it is a mark alone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blocks {
    Sound,
    StopsEarly,
    InflatesFirst,
}

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

impl Compressor for Blocks {
    fn id(&self) -> u8 {
        200
    }

    fn name(&self) -> &'static str {
        "blocks"
    }

    /// Blocks of 240 bytes that equal the one before them become one byte.
    fn compress(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut before: &[u8] = &[];
        for block in bytes.chunks(240) {
            if block == before {
                out.push(PACKED);
            } else {
                out.extend([PLAIN, block.len() as u8]);
                out.extend_from_slice(block);
            }
            before = block;
        }
        Ok(())
    }

    fn decompress(&self, mut bytes: &[u8], len: usize) -> Result<Vec<u8>> {
        let corrupt = || Error::new(ErrorKind::Corrupt, "the bytes are no blocks");
        let mut out = Vec::with_capacity(len);
        let mut last = 0..0;
        while let Some((mark, rest)) = bytes.split_first() {
            if *self == Self::StopsEarly && out.len() >= len {
                break;
            }
            bytes = rest;
            let start = out.len();
            match *mark {
                PACKED if !last.is_empty() => out.extend_from_within(last.clone()),
                PLAIN => {
                    let (count, rest) = bytes.split_first().ok_or_else(corrupt)?;
                    let block = rest.get(..usize::from(*count)).ok_or_else(corrupt)?;
                    out.extend_from_slice(block);
                    bytes = &rest[block.len()..];
                }
                _ => return Err(corrupt()),
            }
            last = start..out.len();
            if *self == Self::Sound && out.len() > len {
                return Err(corrupt());
            }
        }
        match self {
            Self::InflatesFirst => Ok(out),
            Self::StopsEarly => {
                out.truncate(len);
                Ok(out)
            }
            Self::Sound if out.len() == len => Ok(out),
            Self::Sound => Err(corrupt()),
        }
    }
}

#[test]
fn a_sound_compressor_passes() {
    compressor::run(&Blocks::Sound).assert_passed();
}

#[test]
fn a_compressor_that_ignores_the_length_is_found() {
    let report = compressor::run(&Blocks::InflatesFirst);
    for case in ["a_wrong_length_is_corrupt", "a_bomb_is_stopped_at_its_length"] {
        assert!(report.failed().contains(&case), "passes {case}\n{report}");
    }
}

#[test]
fn a_compressor_that_gives_half_a_value_is_found() {
    let report = compressor::run(&Blocks::StopsEarly);
    for case in ["a_wrong_length_is_corrupt", "cut_bytes_are_corrupt"] {
        assert!(report.failed().contains(&case), "passes {case}\n{report}");
    }
}
