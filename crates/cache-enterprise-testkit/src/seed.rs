//! Randomness that can be played again.

use std::fmt;
use std::io::Write;

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Environment variable that replaces the seed a test was written with.
pub const SEED_VARIABLE: &str = "CE_SEED";

/// The one source of randomness of a test: the same seed gives the same run.
///
/// ```
/// use cache_enterprise_testkit::Seed;
/// use rand::RngExt;
///
/// let seed = Seed::from_env_or(7);
/// let _printed_if_the_test_panics = seed.print_on_panic();
/// let first: u64 = seed.rng().random();
/// assert_eq!(first, seed.rng().random());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed in `CE_SEED`, or `default` when the variable is not set.
    ///
    /// # Panics
    /// When the variable holds something else than a number: a replay that quietly used another
    /// seed would mislead.
    pub fn from_env_or(default: u64) -> Self {
        match std::env::var(SEED_VARIABLE) {
            Ok(text) => Self::parse(&text),
            Err(_) => Self(default),
        }
    }

    fn parse(text: &str) -> Self {
        let seed = text.trim().parse();
        Self(seed.unwrap_or_else(|_| panic!("{SEED_VARIABLE} is no whole number: {text:?}")))
    }

    /// A generator that starts from this seed.
    pub fn rng(self) -> StdRng {
        StdRng::seed_from_u64(self.0)
    }

    /// The seed of a part named `name`, so that parts stay the same when others come or go.
    #[must_use]
    pub fn part(self, name: &str) -> Self {
        let start = self.0 ^ 0xcbf2_9ce4_8422_2325;
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Self(name.bytes().fold(start, mix))
    }

    /// The words that repeat a run with this seed, to put before the command.
    pub fn replay(self) -> String {
        format!("{SEED_VARIABLE}={self}")
    }

    /// Prints the line that repeats the run when the guard is dropped by a panic.
    #[must_use = "the guard prints when it is dropped by a panic; bind it to a name"]
    pub fn print_on_panic(self) -> SeedGuard {
        SeedGuard { seed: self }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Prints its seed when a panic passes; see [`Seed::print_on_panic`].
#[derive(Debug)]
pub struct SeedGuard {
    seed: Seed,
}

impl Drop for SeedGuard {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("TEST");
        // Nothing is left to do when the error stream itself is closed.
        let _ = writeln!(std::io::stderr(), "replay: {} cargo test {test}", self.seed.replay());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn parts_have_seeds_of_their_own_and_keep_them() {
        let seed = Seed(7);
        assert_eq!(seed.part("a"), seed.part("a"));
        assert_ne!(seed.part("a"), seed.part("b"));
        assert_ne!(seed.part("a"), Seed(8).part("a"));
        let numbers = |seed: Seed| seed.rng().random_iter().take(4).collect::<Vec<u64>>();
        assert_eq!(numbers(seed), numbers(seed));
    }

    #[test]
    fn a_replay_gives_the_same_seed() {
        let (name, text) = Seed(99)
            .replay()
            .split_once('=')
            .map(|(n, t)| (n.to_owned(), Seed::parse(t)))
            .expect("has a sign");
        assert_eq!((name.as_str(), text), (SEED_VARIABLE, Seed(99)));
    }

    #[test]
    #[should_panic(expected = "no whole number")]
    fn a_seed_that_is_no_number_is_refused() {
        Seed::parse("seven");
    }
}
