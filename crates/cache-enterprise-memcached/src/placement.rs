//! Which server holds a key: weighted rendezvous hashing.
//!
//! Every server gets a score for the key, and the highest wins. A server that leaves gives its keys
//! to all others and moves no other key; one that joins takes its part from each. The order in
//! which servers are written makes no difference. What counts is the text of an address, so every
//! process that writes the same addresses finds the same server.
//!
//! The placement is fixed for ever: hashes, mixing and arithmetic below may not change, because a
//! changed one makes everybody's cache cold and leaves removed values readable where nobody looks
//! any more. Tests hold golden values.

use twox_hash::XxHash3_64;

/// Servers with their shares of the keys.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    servers: Box<[Share]>,
    is_even: bool,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    /// Hash of the server's identity.
    identity: u64,
    weight: u32,
}

impl Placement {
    /// A placement over servers, each by its identity and a weight of at least 1.
    pub(crate) fn new<'a>(servers: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let share = |(name, weight): (&str, u32)| Share {
            identity: XxHash3_64::oneshot(name.as_bytes()),
            weight: weight.max(1),
        };
        let servers: Box<[Share]> = servers.into_iter().map(share).collect();
        let is_even = servers.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { servers, is_even }
    }

    /// Index of the server that holds `key`: a hash of the key and a few instructions a server.
    pub(crate) fn owner(&self, key: &str) -> usize {
        if self.servers.len() < 2 {
            return 0;
        }
        let key = XxHash3_64::oneshot(key.as_bytes());
        // Where all weigh the same, the higher draw has the higher score.
        if self.is_even { self.best(|share| draw(key, share)) } else { self.best_weighted(key) }
    }

    fn best(&self, score: impl Fn(&Share) -> u64) -> usize {
        let ranked = self.servers.iter().map(|share| (score(share), share.identity));
        ranked.enumerate().max_by_key(|(_, rank)| *rank).map_or(0, |(index, _)| index)
    }

    fn best_weighted(&self, key: u64) -> usize {
        // A positive float orders like its bits.
        self.best(|share| (f64::from(share.weight) / -log(unit(draw(key, share)))).to_bits())
    }
}

/// What a server draws for a key: the finaliser of splitmix64 over both hashes.
fn draw(key: u64, share: &Share) -> u64 {
    let mut mixed = key ^ share.identity;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number in (0, 1), exact in a float.
fn unit(draw: u64) -> f64 {
    ((draw >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// The natural logarithm of a number in (0, 1). That of the machine's library may differ in the
/// last bit from another machine's, and so send a key elsewhere; additions, multiplications and
/// divisions are the same everywhere.
fn log(number: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let (mut mantissa, mut halvings) = (number, 0_u32);
    while mantissa < std::f64::consts::FRAC_1_SQRT_2 {
        mantissa *= 2.0;
        halvings += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); with |z| < 0.18 the 13th term is below 2^-60.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let (square, mut power, mut sum) = (z * z, z, 0.0);
    for odd in (1..=25).step_by(2) {
        sum += power / f64::from(odd);
        power *= square;
    }
    2.0 * sum - f64::from(halvings) * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(names: &[(String, u32)]) -> Placement {
        Placement::new(names.iter().map(|(name, weight)| (name.as_str(), *weight)))
    }

    fn even(count: usize) -> Vec<(String, u32)> {
        (0..count).map(|number| (format!("mc-{number}:11211"), 1)).collect()
    }

    fn keys(count: u32) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("shop:acme:users:{number}"))
    }

    /// The part of the keys that each server holds.
    fn parts(servers: &[(String, u32)], count: u32) -> Vec<f64> {
        let placement = named(servers);
        let mut held = vec![0_u32; servers.len()];
        for key in keys(count) {
            held[placement.owner(&key)] += 1;
        }
        held.into_iter().map(|held| f64::from(held) / f64::from(count)).collect()
    }

    #[test]
    fn golden_placements_never_change() {
        let names = |weights: [u32; 4]| -> Vec<(String, u32)> {
            ["mc-a:11211", "mc-b:11211", "mc-c:11211", "10.0.0.7:11212"]
                .map(String::from)
                .into_iter()
                .zip(weights)
                .collect()
        };
        let (even, weighted) = (named(&names([1; 4])), named(&names([1, 2, 3, 10])));
        let owners = |placement: &Placement| -> Vec<usize> {
            keys(24).map(|key| placement.owner(&key)).collect()
        };
        assert_eq!(owners(&even), GOLDEN_EVEN);
        assert_eq!(owners(&weighted), GOLDEN_WEIGHTED);
        assert_eq!(even.owner(""), 0);
    }

    const GOLDEN_EVEN: [usize; 24] =
        [0, 0, 1, 3, 3, 0, 3, 1, 0, 3, 0, 0, 2, 3, 0, 3, 2, 2, 3, 0, 3, 1, 1, 2];
    const GOLDEN_WEIGHTED: [usize; 24] =
        [3, 0, 3, 3, 3, 0, 3, 1, 3, 3, 0, 3, 2, 3, 0, 3, 2, 2, 3, 3, 3, 1, 3, 3];

    #[test]
    fn equal_weights_share_evenly_whatever_their_number() {
        for count in [2, 3, 5, 8] {
            let parts = parts(&even(count), 100_000);
            let most = parts.iter().copied().fold(0.0, f64::max);
            assert!(most * (count as f64) < 1.03, "{count} servers: {parts:?}");
        }
    }

    #[test]
    fn parts_follow_the_weights() {
        let weights = [1, 2, 3, 10];
        let servers: Vec<_> =
            even(4).into_iter().zip(weights).map(|((name, _), weight)| (name, weight)).collect();
        for (part, weight) in parts(&servers, 400_000).iter().zip(weights) {
            let wanted = f64::from(weight) / 16.0;
            assert!((part / wanted - 1.0).abs() < 0.03, "weight {weight}: {part} of {wanted}");
        }
    }

    #[test]
    fn a_written_weight_of_all_alike_changes_nothing() {
        let three: Vec<_> = even(5).into_iter().map(|(name, _)| (name, 3)).collect();
        let (one, three) = (named(&even(5)), named(&three));
        for key in keys(10_000) {
            assert_eq!(one.owner(&key), three.owner(&key));
            assert_eq!(three.best_weighted(XxHash3_64::oneshot(key.as_bytes())), three.owner(&key));
        }
    }

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        for draw in [0, 1 << 12, 1 << 40, 1 << 62, 1 << 63, u64::MAX >> 1, u64::MAX] {
            let number = unit(draw);
            assert!(number > 0.0 && number < 1.0);
            assert!((log(number) / number.ln() - 1.0).abs() < 1e-14, "at {number}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Removing one of n: its keys move and no other.
        #[test]
        fn a_leaving_server_moves_its_own_keys_alone(
            count in 2_usize..9, leaving in 0_usize..9, salt in any::<u32>(),
        ) {
            let leaving = leaving % count;
            let servers: Vec<_> =
                (0..count).map(|n| (format!("{salt}-{n}:11211"), 1)).collect();
            let mut fewer = servers.clone();
            fewer.remove(leaving);
            let (before, after) = (named(&servers), named(&fewer));
            let mut moved = 0_u32;
            for key in keys(10_000) {
                let (old, new) = (before.owner(&key), after.owner(&key));
                if old == leaving {
                    moved += 1;
                } else {
                    prop_assert_eq!(&servers[old].0, &fewer[new].0, "a key of a server that stays");
                }
            }
            // A point, and three standard deviations of 10 000 draws.
            prop_assert!(f64::from(moved) / 1e4 <= 1.0 / count as f64 + 0.01 + 0.015);
        }

        /// Adding one to n, whatever the weights: what moves, moves to the new one.
        #[test]
        fn a_joining_server_takes_keys_and_moves_none_between_others(
            weights in prop::collection::vec(1_u32..20, 2..8), salt in any::<u32>(),
        ) {
            let servers: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(n, weight)| (format!("{salt}-{n}:11211"), *weight))
                .collect();
            let joining = servers.len() - 1;
            let (after, before) = (named(&servers), named(&servers[..joining]));
            let mut taken = 0_u32;
            for key in keys(10_000) {
                match after.owner(&key) {
                    new if new == joining => taken += 1,
                    stayed => prop_assert_eq!(stayed, before.owner(&key)),
                }
            }
            let wanted = f64::from(weights[joining]) / f64::from(weights.iter().sum::<u32>());
            prop_assert!(f64::from(taken) / 1e4 <= wanted + 0.01 + 0.015);
        }

        #[test]
        fn the_order_of_servers_makes_no_difference(turn in 1_usize..6, salt in any::<u32>()) {
            let servers: Vec<_> =
                (0..6).map(|n| (format!("{salt}-{n}:11211"), 1 + n % 3)).collect();
            let mut turned = servers.clone();
            turned.rotate_left(turn);
            let (one, other) = (named(&servers), named(&turned));
            for key in keys(500) {
                prop_assert_eq!(&servers[one.owner(&key)], &turned[other.owner(&key)]);
            }
        }
    }

    /// The exact bar: 1/n and a point, at enough keys that the draw itself does not decide.
    #[test]
    fn one_of_five_moves_a_fifth_of_the_keys() {
        let parts = parts(&even(5), 100_000);
        assert!(parts.iter().all(|part| *part <= 0.2 + 0.01), "{parts:?}");
    }
}
