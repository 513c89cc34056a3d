//! Compressors.

use std::sync::LazyLock;

use cache_enterprise_core::Compressor;
use cache_enterprise_serializers::{Gzip, Lz4, Snap, Zstd};

static ZSTD: LazyLock<Zstd> = LazyLock::new(|| {
    let sample = |n: u32| format!("{{\"id\":{n},\"kind\":\"track\",\"album\":{}}}", n % 97 * 7919);
    let samples: Vec<String> = (0..600).map(sample).collect();
    let dictionary = Zstd::train(&samples, 4096).expect("600 samples are enough");
    Zstd::over(0).dictionary(dictionary)
});
static LZ4: LazyLock<Lz4> = LazyLock::new(|| Lz4::over(0));
static SNAP: LazyLock<Snap> = LazyLock::new(|| Snap::over(0));
static GZIP: LazyLock<Gzip> = LazyLock::new(|| Gzip::over(0));

/// Inflates and deflates the input, with a dictionary at hand.
pub fn zstd(input: &[u8]) {
    both_ways(&*ZSTD, input);
}

/// Inflates and deflates the input.
pub fn lz4(input: &[u8]) {
    both_ways(&*LZ4, input);
}

/// Inflates and deflates the input.
pub fn snap(input: &[u8]) {
    both_ways(&*SNAP, input);
}

/// Inflates and deflates the input.
pub fn gzip(input: &[u8]) {
    both_ways(&*GZIP, input);
}

/// The first two bytes are the length to inflate to, the rest is the stream; then the whole input
/// is a payload. What inflates has the length that was asked for.
fn both_ways(compressor: &dyn Compressor, input: &[u8]) {
    if let Some((len, stream)) = input.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes(*len));
        if let Ok(plain) = compressor.decompress(stream, len) {
            assert_eq!(plain.len(), len);
            there_and_back(compressor, &plain);
        }
    }
    there_and_back(compressor, input);
}

fn there_and_back(compressor: &dyn Compressor, plain: &[u8]) {
    let mut packed = Vec::new();
    compressor.compress(plain, &mut packed).expect("every payload can be compressed");
    let again = compressor.decompress(&packed, plain.len()).expect("reads what it wrote");
    assert_eq!(again, plain);
}

fn streams(compressor: &dyn Compressor) -> Vec<Vec<u8>> {
    let song: Vec<u8> = (0..40_u8).flat_map(|n| format!("line {n}; ").into_bytes()).collect();
    let plains = [Vec::new(), vec![7; 1_000], song, (0..=255).collect()];
    let stream = |plain: &Vec<u8>| {
        let len = u16::try_from(plain.len()).expect("short payloads");
        let mut stream = len.to_le_bytes().to_vec();
        compressor.compress(plain, &mut stream).expect("every payload can be compressed");
        stream
    };
    plains.iter().map(stream).collect()
}

pub(crate) fn zstd_seeds() -> Vec<Vec<u8>> {
    let mut seeds = streams(&*ZSTD);
    seeds.extend(streams(&Zstd::over(0)));
    seeds
}

pub(crate) fn lz4_seeds() -> Vec<Vec<u8>> {
    streams(&*LZ4)
}

pub(crate) fn snap_seeds() -> Vec<Vec<u8>> {
    streams(&*SNAP)
}

pub(crate) fn gzip_seeds() -> Vec<Vec<u8>> {
    streams(&*GZIP)
}
