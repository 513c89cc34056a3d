//! The contract of [`Codec`] as named cases.
//!
//! The cases feed a codec the values its author gives, then bytes that no codec wrote: cut,
//! flipped, random, with lengths no memory holds, and of other formats. Decoding may refuse them
//! or read some value out of them; it may not panic, and its error may not show them. A codec that
//! allocates what a length claims, or recurses without a limit, ends the whole process instead of
//! one case: look at the cases about lengths and nesting first.
//!
//! ```
//! use bytes::Bytes;
//! use cache_enterprise_core::{Codec, Error, ErrorKind, Result};
//! use cache_enterprise_testkit::conformance::codec;
//!
//! struct Text;
//!
//! impl Codec<String> for Text {
//!     fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<()> {
//!         out.extend_from_slice(value.as_bytes());
//!         Ok(())
//!     }
//!     fn decode(&self, bytes: &Bytes) -> Result<String> {
//!         let text = std::str::from_utf8(bytes);
//!         text.map(String::from).map_err(|_| Error::new(ErrorKind::Codec, "the bytes are no text"))
//!     }
//! }
//!
//! codec::run("text", &Text, &["", "Ada", "日本語"].map(String::from)).assert_passed();
//! ```

use std::fmt::Debug;

use bytes::Bytes;
use cache_enterprise_core::{Codec, Error, ErrorKind, Format};
use rand::RngExt;
use rand::rngs::StdRng;

use super::case::{Verdict, ensure, ensure_eq, run_here};
use super::hostile::{SECRET, expect_no_secret, hostile_bytes, mutated};
use super::{Outcome, Report};
use crate::Seed;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0xc0dec;
/// Mutated inputs for each value.
const MUTATIONS: usize = 300;

/// What a value must offer to be compared and shown. Every type that can, does.
pub trait Sample: PartialEq + Debug + Send + Sync + 'static {}

impl<V: PartialEq + Debug + Send + Sync + 'static> Sample for V {}

/// A codec, the values to try it on, and the seed of the bytes to try it on.
struct Subject<'a, V> {
    codec: &'a dyn Codec<V>,
    values: &'a [V],
    seed: Seed,
}

type Case<V> = (&'static str, fn(&Subject<'_, V>) -> Verdict);

/// Runs every case on `codec` with `values`, of which there is at least one.
///
/// Give values of every shape the codec writes: empty and long, the borders of numbers, all
/// variants of an enum.
pub fn run<V>(name: &str, codec: &impl Codec<V>, values: &[V]) -> Report
where
    V: Sample,
{
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = Report::new("codec", name.to_owned(), seed);
    for (name, case) in cases::<V>() {
        let subject = Subject { codec, values, seed: seed.part(name) };
        report.add(name, run_here(|| case(&subject)));
    }
    report
}

/// Checks number and name of a codec: both stay, the name is plain, and `is_ours` says whether
/// the number must come from this workspace's share (below 128).
pub fn run_format(format: &impl Format, is_ours: bool) -> Report {
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = Report::new("format", format.name().to_owned(), seed);
    let twin = format.clone();
    let same = format.id() == twin.id() && format.name() == twin.name();
    let name = format.name();
    let is_plain = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let mut add = |case, holds: bool, why: &str| {
        let outcome = if holds { Outcome::Passed } else { Outcome::Failed(why.to_owned()) };
        report.add(case, outcome);
    };
    add("a_clone_has_the_same_number_and_name", same, "a clone differs");
    add("the_name_is_plain", is_plain, "the name is not of lower-case letters, digits and dashes");
    let is_in_share = (format.id() < 128) == is_ours;
    add("the_number_is_of_the_right_share", is_in_share, "numbers below 128 are this workspace's");
    report
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        fn cases<V: Sample>() -> Vec<Case<V>> {
            vec![$((stringify!($name), $name)),*]
        }
    };
}

cases![
    every_value_comes_back,
    encoding_appends_to_what_is_there,
    decoding_twice_gives_equal_values,
    a_decoded_value_outlives_the_bytes,
    decoding_reads_a_slice_of_a_larger_buffer,
    cut_bytes_do_no_harm,
    flipped_bits_do_no_harm,
    mixed_bytes_do_no_harm,
    bytes_with_a_tail_do_no_harm,
    random_bytes_do_no_harm,
    impossible_lengths_do_no_harm,
    deep_nesting_does_no_harm,
    no_error_shows_the_bytes,
    a_failed_decode_leaves_the_codec_usable,
    threads_share_the_codec,
];

fn encoded<V: Sample>(subject: &Subject<'_, V>, value: &V) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    subject.codec.encode(value, &mut out)?;
    Ok(out.into())
}

/// Decodes bytes of any origin: a value or [`ErrorKind::Codec`].
fn decode_hostile<V: Sample>(subject: &Subject<'_, V>, bytes: Bytes) -> Verdict {
    if let Err(error) = subject.codec.decode(&bytes) {
        ensure_eq!(error.kind(), ErrorKind::Codec, "kind of {error} for {} bytes", bytes.len());
        expect_no_secret(&error)?;
    }
    Ok(())
}

fn each_mutated<V: Sample>(
    subject: &Subject<'_, V>,
    mutate: impl Fn(&mut Vec<u8>, &mut StdRng),
) -> Verdict {
    let mut rng = subject.seed.rng();
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        for _ in 0..MUTATIONS {
            let mut bytes = bytes.to_vec();
            mutate(&mut bytes, &mut rng);
            decode_hostile(subject, bytes.into())?;
        }
    }
    Ok(())
}

fn every_value_comes_back<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    ensure!(!subject.values.is_empty(), "no value was given to try");
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        ensure_eq!(&subject.codec.decode(&bytes)?, value, "value after a round trip");
    }
    Ok(())
}

fn encoding_appends_to_what_is_there<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for value in subject.values {
        let mut out = b"head".to_vec();
        subject.codec.encode(value, &mut out)?;
        ensure!(out.starts_with(b"head"), "encoding changed what was in the buffer");
        let tail = Bytes::from(out).slice(4..);
        ensure_eq!(&subject.codec.decode(&tail)?, value, "value behind the head");
    }
    Ok(())
}

fn decoding_twice_gives_equal_values<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        let (first, second) = (subject.codec.decode(&bytes)?, subject.codec.decode(&bytes)?);
        ensure_eq!(first, second, "values of two decodes");
    }
    Ok(())
}

fn a_decoded_value_outlives_the_bytes<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        let decoded = subject.codec.decode(&bytes)?;
        drop(bytes);
        ensure_eq!(&decoded, value, "value after its bytes are gone");
    }
    Ok(())
}

fn decoding_reads_a_slice_of_a_larger_buffer<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        let padded = Bytes::from([&[0xa5; 7][..], &bytes, &[0x5a; 9]].concat());
        let slice = padded.slice(7..7 + bytes.len());
        ensure_eq!(&subject.codec.decode(&slice)?, value, "value out of a larger buffer");
    }
    Ok(())
}

fn cut_bytes_do_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        // Every cut of a short value; of a long one those near both ends.
        let cuts = (0..bytes.len()).filter(|cut| *cut < 512 || cut + 64 > bytes.len());
        for cut in cuts {
            decode_hostile(subject, bytes.slice(..cut))?;
            decode_hostile(subject, bytes.slice(cut..))?;
        }
    }
    Ok(())
}

fn flipped_bits_do_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    each_mutated(subject, |bytes, rng| {
        if !bytes.is_empty() {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
    })
}

fn mixed_bytes_do_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    each_mutated(subject, mutated)
}

fn bytes_with_a_tail_do_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    each_mutated(subject, |bytes, rng| {
        let tail = rng.random_range(1..40);
        bytes.extend(rng.random_iter::<u8>().take(tail));
    })
}

fn random_bytes_do_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    let mut rng = subject.seed.rng();
    for round in 0..4_000 {
        let len = rng.random_range(0..=round / 8);
        let bytes: Vec<u8> = (&mut rng).random_iter().take(len).collect();
        decode_hostile(subject, bytes.into())?;
    }
    Ok(())
}

fn impossible_lengths_do_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for bytes in hostile_bytes() {
        decode_hostile(subject, bytes.into())?;
    }
    Ok(())
}

/// A reader that calls itself for each level runs out of stack where it does not count them.
fn deep_nesting_does_no_harm<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for opening in [&b"["[..], b"{\"a\":", b"\x91", b"\x81\xa1a", b"\x0a\x7f", b"\x01"] {
        decode_hostile(subject, opening.repeat(20_000).into())?;
    }
    Ok(())
}

/// Readers of text formats like to quote what they found instead of what they hoped for.
fn no_error_shows_the_bytes<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    let text = SECRET.as_bytes();
    let len = u8::try_from(text.len()).expect("the secret is short");
    let forms: [Vec<u8>; 7] = [
        text.to_vec(),
        format!("\"{SECRET}\"").into_bytes(),
        format!("{{\"{SECRET}\":\"{SECRET}\"}}").into_bytes(),
        format!("[\"{SECRET}\",1]").into_bytes(),
        [&[0xa0 | len], text].concat(),
        [&[0x81, 0xa0 | len], text, &[0xa0 | len], text].concat(),
        [&[len], text].concat(),
    ];
    for bytes in forms {
        decode_hostile(subject, bytes.into())?;
    }
    Ok(())
}

fn a_failed_decode_leaves_the_codec_usable<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    for value in subject.values {
        let bytes = encoded(subject, value)?;
        decode_hostile(subject, bytes.slice(..bytes.len() / 2))?;
        ensure_eq!(&subject.codec.decode(&bytes)?, value, "value after a failed decode");
    }
    Ok(())
}

fn threads_share_the_codec<V: Sample>(subject: &Subject<'_, V>) -> Verdict {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50).try_for_each(|_| every_value_comes_back(subject))))
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(verdict) => verdict,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}
