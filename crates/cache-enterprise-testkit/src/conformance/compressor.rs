//! The contract of [`Compressor`] as named cases.
//!
//! ```no_run
//! use cache_enterprise_core::Compressor;
//! use cache_enterprise_testkit::conformance::compressor;
//!
//! fn check(mine: &impl Compressor) {
//!     compressor::run(mine).assert_passed();
//! }
//! ```

use cache_enterprise_core::{Compressor, ErrorKind, Result};
use rand::RngExt;

use super::Report;
use super::case::{Verdict, ensure, ensure_eq, run_here};
use super::hostile::{SECRET, expect_no_secret, mutated};
use crate::Seed;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0x2177;

/// A compressor and the seed of the bytes to try it on.
struct Subject<'a> {
    compressor: &'a dyn Compressor,
    seed: Seed,
}

type Case = (&'static str, fn(&Subject<'_>) -> Verdict);

/// Runs every case on `compressor`.
pub fn run(compressor: &dyn Compressor) -> Report {
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = Report::new("compressor", compressor.name().to_owned(), seed);
    for (name, case) in CASES {
        let subject = Subject { compressor, seed: seed.part(name) };
        report.add(name, run_here(|| case(&subject)));
    }
    report
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases![
    number_and_name_are_plain_and_stay,
    payloads_of_every_kind_come_back,
    payloads_of_every_length_come_back,
    a_payload_of_four_mebibytes_comes_back,
    compressing_appends_to_what_is_there,
    text_that_repeats_becomes_smaller,
    noise_grows_by_little,
    a_wrong_length_is_corrupt,
    cut_bytes_are_corrupt,
    flipped_bits_do_no_harm,
    mixed_bytes_do_no_harm,
    random_bytes_do_no_harm,
    a_bomb_is_stopped_at_its_length,
    no_error_shows_the_bytes,
    a_failure_leaves_the_compressor_usable,
    threads_share_the_compressor,
];

fn packed(subject: &Subject<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    subject.compressor.compress(bytes, &mut out)?;
    Ok(out)
}

fn round_trip(subject: &Subject<'_>, bytes: &[u8]) -> Verdict {
    let packed = packed(subject, bytes)?;
    let restored = subject.compressor.decompress(&packed, bytes.len())?;
    ensure!(restored == bytes, "{} bytes came back changed", bytes.len());
    Ok(())
}

/// Restores bytes of any origin: exactly `len` bytes, or [`ErrorKind::Corrupt`].
fn restore_hostile(subject: &Subject<'_>, bytes: &[u8], len: usize) -> Verdict {
    match subject.compressor.decompress(bytes, len) {
        Ok(restored) => ensure_eq!(restored.len(), len, "restored length"),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Corrupt, "kind of {error}");
            expect_no_secret(&error)?;
        }
    }
    Ok(())
}

fn expect_corrupt(subject: &Subject<'_>, bytes: &[u8], len: usize, what: &str) -> Verdict {
    match subject.compressor.decompress(bytes, len) {
        Ok(restored) => {
            ensure!(false, "{what} restored {} bytes of {len}", restored.len());
        }
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Corrupt, "kind of the error of {what}"),
    }
    Ok(())
}

fn text(len: usize) -> Vec<u8> {
    let words = br#"{"id":1,"name":"Ada Lovelace","tags":["org:7","plan:gold"]},"#;
    words.iter().copied().cycle().take(len).collect()
}

fn noise(subject: &Subject<'_>, len: usize) -> Vec<u8> {
    subject.seed.rng().random_iter().take(len).collect()
}

fn number_and_name_are_plain_and_stay(subject: &Subject<'_>) -> Verdict {
    let compressor = subject.compressor;
    let (id, name) = (compressor.id(), compressor.name());
    ensure!(id != 0, "zero stands for no compressor");
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    ensure!(!name.is_empty() && name.bytes().all(is_plain), "the name is {name:?}");
    round_trip(subject, &text(5_000))?;
    ensure_eq!((compressor.id(), compressor.name()), (id, name), "number and name afterwards");
    Ok(())
}

fn payloads_of_every_kind_come_back(subject: &Subject<'_>) -> Verdict {
    let zeros = vec![0; 100_000];
    let steps: Vec<u8> = (0..100_000_u32).map(|step| (step / 7) as u8).collect();
    for payload in [zeros, steps, text(100_000), noise(subject, 100_000)] {
        round_trip(subject, &payload)?;
    }
    Ok(())
}

fn payloads_of_every_length_come_back(subject: &Subject<'_>) -> Verdict {
    let borders = [255, 256, 1_023, 1_024, 4_096, 65_535, 65_536, 65_537, 131_072, 1 << 20];
    for len in (0..100).chain(borders) {
        round_trip(subject, &text(len))?;
        round_trip(subject, &noise(subject, len))?;
    }
    Ok(())
}

fn a_payload_of_four_mebibytes_comes_back(subject: &Subject<'_>) -> Verdict {
    round_trip(subject, &text(4 << 20))
}

fn compressing_appends_to_what_is_there(subject: &Subject<'_>) -> Verdict {
    let payload = text(5_000);
    let mut out = b"head".to_vec();
    subject.compressor.compress(&payload, &mut out)?;
    ensure!(out.starts_with(b"head"), "compressing changed what was in the buffer");
    let restored = subject.compressor.decompress(&out[4..], payload.len())?;
    ensure!(restored == payload, "the payload behind the head came back changed");
    Ok(())
}

fn text_that_repeats_becomes_smaller(subject: &Subject<'_>) -> Verdict {
    let packed = packed(subject, &text(20_000))?;
    ensure!(packed.len() < 10_000, "20000 bytes of repeating text became {}", packed.len());
    Ok(())
}

fn noise_grows_by_little(subject: &Subject<'_>) -> Verdict {
    let packed = packed(subject, &noise(subject, 100_000))?;
    ensure!(packed.len() < 102_000, "100000 bytes of noise became {}", packed.len());
    Ok(())
}

fn a_wrong_length_is_corrupt(subject: &Subject<'_>) -> Verdict {
    for payload in [text(5_000), noise(subject, 5_000)] {
        let packed = packed(subject, &payload)?;
        for len in [0, 1, 4_999, 5_001, 10_000, 1 << 20] {
            expect_corrupt(subject, &packed, len, "a wrong length")?;
        }
    }
    Ok(())
}

fn cut_bytes_are_corrupt(subject: &Subject<'_>) -> Verdict {
    let packed = packed(subject, &text(5_000))?;
    for cut in 0..packed.len() {
        restore_hostile(subject, &packed[..cut], 5_000)?;
    }
    expect_corrupt(subject, &packed[..packed.len() / 2], 5_000, "half of the bytes")?;
    expect_corrupt(subject, &[], 5_000, "no bytes")
}

fn flipped_bits_do_no_harm(subject: &Subject<'_>) -> Verdict {
    let packed = packed(subject, &text(3_000))?;
    for at in 0..packed.len() {
        for bit in 0..8 {
            let mut bytes = packed.clone();
            bytes[at] ^= 1 << bit;
            restore_hostile(subject, &bytes, 3_000)?;
        }
    }
    Ok(())
}

fn mixed_bytes_do_no_harm(subject: &Subject<'_>) -> Verdict {
    let mut rng = subject.seed.rng();
    for payload in [text(3_000), noise(subject, 3_000)] {
        let packed = packed(subject, &payload)?;
        for _ in 0..500 {
            let mut bytes = packed.clone();
            mutated(&mut bytes, &mut rng);
            restore_hostile(subject, &bytes, 3_000)?;
        }
    }
    Ok(())
}

fn random_bytes_do_no_harm(subject: &Subject<'_>) -> Verdict {
    let mut rng = subject.seed.rng();
    for round in 0..2_000 {
        let len = rng.random_range(0..=round / 4);
        let bytes: Vec<u8> = (&mut rng).random_iter().take(len).collect();
        restore_hostile(subject, &bytes, rng.random_range(0..5_000))?;
    }
    Ok(())
}

/// What inflates to much more than its envelope says must end there.
fn a_bomb_is_stopped_at_its_length(subject: &Subject<'_>) -> Verdict {
    let bomb = packed(subject, &vec![0; 16 << 20])?;
    for len in [0, 1, 100, 65_536, (16 << 20) - 1] {
        expect_corrupt(subject, &bomb, len, "a bomb")?;
    }
    Ok(())
}

fn no_error_shows_the_bytes(subject: &Subject<'_>) -> Verdict {
    restore_hostile(subject, SECRET.as_bytes(), 1_000)?;
    let mut packed = packed(subject, &SECRET.repeat(50).into_bytes())?;
    packed.truncate(packed.len() - 1);
    restore_hostile(subject, &packed, SECRET.len() * 50)
}

fn a_failure_leaves_the_compressor_usable(subject: &Subject<'_>) -> Verdict {
    for len in [100, 5_000, 70_000] {
        restore_hostile(subject, b"nothing of that kind", len)?;
        round_trip(subject, &text(len))?;
    }
    Ok(())
}

fn threads_share_the_compressor(subject: &Subject<'_>) -> Verdict {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    (0..20).try_for_each(|step| round_trip(subject, &text(worker * 999 + step)))
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(verdict) => verdict,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}
