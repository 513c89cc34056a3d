//! What insight says from a sample, beside what every request says: on requests for popular keys, on
//! loops and on scans.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use cache_enterprise_strategies::insight::{HotKeys, ReuseTimes, Shards};

const SEED: u64 = 11;

/// SplitMix64.
fn mixed(n: u64) -> u64 {
    let x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number from 0 to 1 for each request.
fn uniform(n: u64) -> f64 {
    (mixed(n ^ SEED << 40) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Keys whose popularity falls about as one over their rank, among 40,000.
fn popular(requests: u64) -> Vec<u64> {
    (0..requests).map(|n| mixed((40_000_f64.powf(uniform(n)) * 1.0) as u64)).collect()
}

/// Popular keys, a loop over 5,000 and a scan that never comes back, by turns.
fn mixture(requests: u64) -> Vec<u64> {
    let popular = popular(requests);
    (0..requests)
        .map(|n| match n / 20_000 % 3 {
            0 => popular[n as usize],
            1 => mixed(1_000_000 + n % 5_000),
            _ => mixed(2_000_000 + n),
        })
        .collect()
}

/// Misses of the least recently used by a list, for a cache of each size in `sizes`.
fn exact_misses(hashes: &[u64], sizes: &[usize]) -> Vec<u64> {
    let mut list: Vec<u64> = Vec::new();
    let mut misses = vec![0; sizes.len()];
    for hash in hashes {
        let depth = list.iter().position(|held| held == hash);
        for (size, misses) in sizes.iter().zip(&mut misses) {
            *misses += u64::from(depth.is_none_or(|depth| depth >= *size));
        }
        let end = depth.unwrap_or(list.len());
        if depth.is_none() {
            list.push(*hash);
        }
        list[..=end].rotate_right(1);
    }
    misses
}

#[test]
fn a_curve_of_all_keys_is_exact() {
    let hashes: Vec<u64> = mixture(6_000).iter().map(|hash| mixed(hash % 700)).collect();
    // Ends of steps: there the curve knows the size to the unit.
    let sizes = [1, 2, 10, 63, 65, 127, 255, 511, 703];
    let mut shards = Shards::new(1_000);
    hashes.iter().for_each(|hash| shards.record(*hash, 1));
    assert_eq!(shards.rate(), 1.0);
    let curve = shards.curve();
    for (size, misses) in sizes.iter().zip(exact_misses(&hashes, &sizes)) {
        let exact = misses as f64 / hashes.len() as f64;
        assert!((curve.miss_ratio(*size as u64) - exact).abs() < 1e-9, "at {size}: {exact}");
    }
}

#[test]
fn a_curve_of_a_sample_is_near_the_whole() {
    for (name, hashes) in [("popular", popular(200_000)), ("mixture", mixture(240_000))] {
        let mut whole = Shards::new(1 << 20);
        let mut sampled = Shards::new(2_048);
        for hash in &hashes {
            whole.record(*hash, 1);
            sampled.record(*hash, 1);
        }
        assert!(sampled.rate() < 0.25, "{name}: nothing was left out");
        let (whole, sampled) = (whole.curve(), sampled.curve());
        let sizes: Vec<u64> = (1..=40).map(|step| step * 1_000).collect();
        let error: f64 = sizes
            .iter()
            .map(|size| (whole.miss_ratio(*size) - sampled.miss_ratio(*size)).abs())
            .sum::<f64>()
            / sizes.len() as f64;
        assert!(error < 0.03, "{name}: a mean error of {error}");
        let mut last = 1.0;
        for (_, ratio) in sampled.steps() {
            assert!((0.0..=last).contains(ratio), "{name} rises to {ratio}");
            last = *ratio;
        }
    }
}

#[test]
fn weights_are_sizes() {
    // A loop over twenty objects of 1 KiB to 20 KiB: 210 KiB, all or nothing.
    let mut shards = Shards::new(64);
    for n in 0..2_000_u64 {
        shards.record(mixed(n % 20), (n % 20 + 1) << 10);
    }
    let curve = shards.curve();
    assert_eq!(curve.miss_ratio(200 << 10), 1.0);
    assert_eq!(curve.miss_ratio(220 << 10), 0.01);
    assert!(curve.capacity_for(0.5).is_some_and(|size| (210 << 10..=217 << 10).contains(&size)));
}

#[test]
fn no_request_is_no_curve() {
    let curve = Shards::new(0).curve();
    assert_eq!((curve.miss_ratio(u64::MAX), curve.capacity_for(1.0)), (1.0, None));
    let reuse = ReuseTimes::new(0);
    assert_eq!((reuse.within(u64::MAX), reuse.first_uses(), reuse.counts()), (0.0, 0.0, vec![]));
    assert!(HotKeys::<u64>::new(0).top(3).is_empty());
}

#[test]
fn hot_keys_of_a_long_mixture_are_the_hot_keys() {
    let hashes = mixture(240_000);
    let mut exact: HashMap<u64, u64> = HashMap::new();
    let mut hot = HotKeys::new(1_000);
    for hash in &hashes {
        hot.record(*hash);
        *exact.entry(*hash).or_default() += 1;
    }
    let mut ranked: Vec<(u64, u64)> =
        exact.into_iter().map(|(hash, count)| (count, hash)).collect();
    ranked.sort_by(|a, b| b.cmp(a));
    let found: Vec<u64> = hot.top(10).into_iter().map(|key| key.key).collect();
    // Ten of those that truly lead; neighbours may change places within the error.
    let leading = &ranked[..15];
    assert!(found.iter().all(|hash| leading.iter().any(|(_, other)| other == hash)));
}

#[test]
fn reuse_times_of_a_sample_are_near_the_whole() {
    let hashes = mixture(240_000);
    let mut whole = ReuseTimes::new(1 << 20);
    let mut sampled = ReuseTimes::new(2_048);
    for hash in &hashes {
        whole.record(*hash);
        sampled.record(*hash);
    }
    assert_eq!(whole.requests(), 240_000);
    let known = whole.counts().iter().map(|(_, count)| count).sum::<f64>();
    assert!((known + whole.first_uses() * 240_000.0 - 240_000.0).abs() < 1e-6);
    for power in 8..18 {
        let time = (1 << power) - 1;
        let difference = (whole.within(time) - sampled.within(time)).abs();
        assert!(difference < 0.05, "within {time}: off by {difference}");
    }
}
