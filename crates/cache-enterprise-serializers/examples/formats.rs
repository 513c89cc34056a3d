//! Every codec and every compressor on one corpus: bytes, and time for each direction.
//!
//! ```text
//! cargo run --release -p cache-enterprise-serializers --all-features --example formats
//! ```
//!
//! The corpus is seeded by its own numbers: 1000 songs of a catalogue, some 200 bytes of JSON each,
//! and for the compressors 64 of them in one payload. A time is the median of nine rounds.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use cache_enterprise_core::{Codec, Compressor, Format, Result};
use cache_enterprise_serializers::{
    Bincode, Gzip, Json, Lz4, MessagePack, Postcard, Protobuf, Snap, Zstd,
};
use serde::{Deserialize, Serialize};

const SONGS: u32 = 1_000;
const ROUNDS: usize = 9;

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Song {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    title: String,
    #[prost(string, repeated, tag = "3")]
    artists: Vec<String>,
    #[prost(uint32, tag = "4")]
    seconds: u32,
    #[prost(double, tag = "5")]
    loudness: f64,
    #[prost(string, repeated, tag = "6")]
    markets: Vec<String>,
    #[prost(bool, tag = "7")]
    explicit: bool,
}

fn song(number: u32) -> Song {
    let mixed = number.wrapping_mul(2_654_435_761);
    Song {
        id: u64::from(mixed) << 16,
        title: format!("Song number {number} of {}", mixed % 97),
        artists: (0..1 + mixed % 3)
            .map(|n| format!("Artist {}", mixed >> (n * 3) & 0xfff))
            .collect(),
        seconds: 90 + mixed % 300,
        loudness: -f64::from(mixed % 6_000) / 100.0,
        markets: ["DE", "FR", "US", "GB", "JP"].map(String::from).to_vec(),
        explicit: mixed.is_multiple_of(7),
    }
}

fn main() -> Result<()> {
    let songs: Vec<Song> = (0..SONGS).map(song).collect();
    println!("{:<12} {:>8} {:>12} {:>12}", "codec", "bytes", "encode ns", "decode ns");
    codec(&MessagePack, &songs)?;
    codec(&Json, &songs)?;
    codec(&Postcard, &songs)?;
    codec(&Bincode, &songs)?;
    codec(&Protobuf, &songs)?;

    let mut payload = Vec::new();
    for song in &songs[..64] {
        MessagePack.encode(song, &mut payload)?;
    }
    println!();
    println!("{:<12} {:>8} {:>12} {:>12}", "compressor", "bytes", "pack us", "inflate us");
    println!("{:<12} {:>8} {:>12} {:>12}", "none", payload.len(), "", "");
    compressor(&Zstd::over(1024), &payload)?;
    compressor(&Lz4::over(1024), &payload)?;
    compressor(&Snap::over(1024), &payload)?;
    compressor(&Gzip::over(1024), &payload)
}

/// Prints the mean of one value.
fn codec<C: Codec<Song> + Format>(codec: &C, songs: &[Song]) -> Result<()> {
    let mut encoded = Vec::new();
    for song in songs {
        let mut bytes = Vec::new();
        codec.encode(song, &mut bytes)?;
        encoded.push(Bytes::from(bytes));
    }
    let bytes: usize = encoded.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(4096);
    let encode = median_ns(|| {
        songs.iter().try_for_each(|song| {
            out.clear();
            codec.encode(black_box(song), &mut out)
        })
    })?;
    let decode = median_ns(|| {
        encoded
            .iter()
            .try_for_each(|bytes| codec.decode(black_box(bytes)).map(|song| drop(black_box(song))))
    })?;
    let each = |total: u128| total / u128::from(SONGS);
    let size = bytes / songs.len();
    println!("{:<12} {size:>8} {:>12} {:>12}", codec.name(), each(encode), each(decode));
    Ok(())
}

fn compressor(compressor: &dyn Compressor, payload: &[u8]) -> Result<()> {
    let mut packed = Vec::new();
    compressor.compress(payload, &mut packed)?;
    let mut out = Vec::with_capacity(payload.len() * 2);
    let pack = median_ns(|| {
        out.clear();
        compressor.compress(black_box(payload), &mut out)
    })?;
    let inflate = median_ns(|| {
        compressor.decompress(black_box(&packed), payload.len()).map(|plain| drop(black_box(plain)))
    })?;
    let (size, name) = (packed.len(), compressor.name());
    println!("{name:<12} {size:>8} {:>12.1} {:>12.1}", pack as f64 / 1e3, inflate as f64 / 1e3);
    Ok(())
}

/// One round more than is counted: the first fills pools and caches.
fn median_ns(mut work: impl FnMut() -> Result<()>) -> Result<u128> {
    work()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed().as_nanos());
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}
