//! Keys and the order in which they are asked for; the same for every peer.

use std::borrow::Borrow;
use std::hash::Hash;
use std::hint::black_box;

use cache_enterprise_core::{CacheKey, Lookup};
use cache_enterprise_workload::Zipf;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// What every peer stores.
pub(crate) type Payload = [u8; 128];

pub(crate) const PAYLOAD: Payload = [7; 128];

/// Bytes of a text key.
const TEXT_BYTES: usize = 24;

/// A key type and the borrowed form it is asked for with.
pub(crate) trait BenchKey: CacheKey + Eq + Borrow<Self::Query> {
    type Query: ?Sized + Hash + Eq + Lookup<Self> + ToOwned<Owned = Self> + Sync;
    /// Queries laid out in the order they are asked, as a caller has its key at hand.
    type Stream: Send + Sync + 'static;
    const KIND: &'static str;

    fn numbered(number: u64) -> Self;
    fn stream(numbers: &[u64]) -> Self::Stream;
    fn queries(stream: &Self::Stream) -> impl Iterator<Item = &Self::Query>;
}

impl BenchKey for u64 {
    type Query = u64;
    type Stream = Vec<u64>;
    const KIND: &'static str = "u64";

    fn numbered(number: u64) -> Self {
        number
    }

    fn stream(numbers: &[u64]) -> Vec<u64> {
        numbers.to_vec()
    }

    fn queries(stream: &Vec<u64>) -> impl Iterator<Item = &u64> {
        stream.iter()
    }
}

impl BenchKey for String {
    type Query = str;
    type Stream = String;
    const KIND: &'static str = "String24";

    fn numbered(number: u64) -> Self {
        format!("user:{number:019}")
    }

    fn stream(numbers: &[u64]) -> String {
        numbers.iter().map(|number| Self::numbered(*number)).collect()
    }

    fn queries(stream: &String) -> impl Iterator<Item = &str> {
        // The compiler is not told that all keys have one length: those of an application differ,
        // and a comparison made for that length would favour whoever is inlined into the loop.
        let length = black_box(TEXT_BYTES);
        (0..stream.len() / length).map(move |at| &stream[at * length..][..length])
    }
}

/// `operations` numbers below `keys`, Zipf 0.99. Ranks are shuffled over the numbers, so that hot
/// keys do not lie side by side in anybody's memory.
pub(crate) fn zipf(
    keys: u64,
    operations: usize,
    seed: u64,
) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    let law = Zipf::new(keys, 0.99)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut numbers: Vec<u64> = (0..keys).collect();
    numbers.shuffle(&mut StdRng::seed_from_u64(1));
    Ok((0..operations).map(|_| numbers[(law.sample(&mut rng) - 1) as usize]).collect())
}

/// A seed for each reading thread.
pub(crate) fn seed_of(thread: usize) -> u64 {
    StdRng::seed_from_u64(thread as u64).next_u64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn text_keys_have_24_bytes_and_come_back_from_their_stream() {
        let numbers = zipf(1_000, 100, 5).unwrap();
        let stream = String::stream(&numbers);
        let queries: Vec<_> = String::queries(&stream).map(str::to_owned).collect();
        let wanted: Vec<_> = numbers.iter().map(|number| String::numbered(*number)).collect();
        assert_eq!(queries, wanted);
        assert!(queries.iter().all(|query| query.len() == TEXT_BYTES));
    }
}
