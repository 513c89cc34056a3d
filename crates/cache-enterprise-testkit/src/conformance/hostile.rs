//! Bytes that no encoder wrote.

use cache_enterprise_core::Error;
use rand::RngExt;
use rand::rngs::StdRng;

use super::case::{Verdict, ensure};

/// Text inside hostile bytes that no error may repeat. Shorter than 32 bytes: the longest text
/// whose length MessagePack writes into its first byte.
pub(super) const SECRET: &str = "s3cret-of-the-suite-8f1c";

/// Everything an operator can print of an error: both its texts and those of its causes.
fn texts(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

/// Whether a text holds the secret, as text or as the list of its bytes.
pub(super) fn shows_secret(text: &str) -> bool {
    let listed = format!("{:?}", SECRET.as_bytes());
    text.contains(SECRET) || text.contains(listed.trim_matches(['[', ']']))
}

/// Fails when the error, or one of its causes, repeats the secret.
pub(super) fn expect_no_secret(error: &Error) -> Verdict {
    ensure!(!shows_secret(&texts(error)), "an error of kind {:?} shows bytes", error.kind());
    Ok(())
}

/// Headers of the usual formats that claim more than any memory holds, with little behind them.
pub(super) fn hostile_bytes() -> Vec<Vec<u8>> {
    let mut inputs = vec![
        // MessagePack: bin, str, array and map of 2^32 - 1; ext; nested arrays of it.
        vec![0xc6, 0xff, 0xff, 0xff, 0xff, 1],
        vec![0xdb, 0xff, 0xff, 0xff, 0xff, 1],
        vec![0xdd, 0xff, 0xff, 0xff, 0xff, 1],
        vec![0xdf, 0xff, 0xff, 0xff, 0xff, 1],
        vec![0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        [0xdd, 0x7f, 0xff, 0xff, 0xff].repeat(50),
        // Fixed-width little-endian lengths, as bincode writes them.
        u64::MAX.to_le_bytes().to_vec(),
        [&(u64::MAX / 2).to_le_bytes()[..], &[7; 20]].concat(),
        [&(1_u64 << 40).to_le_bytes()[..], &[7; 20]].concat(),
        [&(1_u64 << 32).to_le_bytes()[..], &[7; 20]].concat(),
        [0xfd, 0xff].repeat(12),
        // Variable-width lengths, as postcard and protobuf write them.
        [&[0xff; 9][..], &[0x01, 7, 7]].concat(),
        [&[0x0a][..], &[0xff; 9], &[0x01, 7, 7]].concat(),
        vec![0x80; 40],
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x07],
        // Numbers of text formats.
        b"1e999999999".to_vec(),
        vec![b'9'; 10_000],
        b"\"\\ud800\"".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
    ];
    inputs.extend((0..=255).map(|byte| vec![byte]));
    inputs.extend((0..=255).map(|byte| vec![byte; 64]));
    inputs.extend((0..=255).map(|byte| [&[byte][..], &[0xff; 16]].concat()));
    inputs
}

/// Changes bytes in several places at once: overwrites, deletes, doubles and inserts.
pub(super) fn mutated(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..8) {
        if bytes.is_empty() {
            bytes.push(rng.random());
            continue;
        }
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(1..16)).min(bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at..end].fill(0xff),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
            _ => bytes.insert(at, rng.random()),
        }
    }
}
