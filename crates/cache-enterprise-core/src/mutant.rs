//! Switches that break a rule of coherence, to show that a test would see it.
//!
//! Not part of the interface. In a build with `--cfg mutants`, which `cargo xtask chaos --mutants`
//! makes, one rule at a time can be switched off while the program runs; it starts with the one
//! that the variable `CACHE_BROKEN_RULE` names. In any other build [`breaks`] is constantly
//! `false`, and no branch behind it is compiled.

/// Whether `rule` is the one that is switched off now.
#[cfg(not(mutants))]
#[inline(always)]
pub const fn breaks(_rule: &str) -> bool {
    false
}

#[cfg(mutants)]
pub use self::switch::{break_rule, breaks};

#[cfg(mutants)]
mod switch {
    use std::sync::LazyLock;

    use parking_lot::RwLock;

    static BROKEN: LazyLock<RwLock<Option<String>>> =
        LazyLock::new(|| RwLock::new(std::env::var("CACHE_BROKEN_RULE").ok()));

    /// Whether `rule` is the one that is switched off now.
    pub fn breaks(rule: &str) -> bool {
        BROKEN.read().as_deref() == Some(rule)
    }

    /// Switches `rule` off in the whole process, and on again the one before it.
    pub fn break_rule(rule: Option<&str>) {
        *BROKEN.write() = rule.map(str::to_owned);
    }
}
