//! Parameters that people set: each has a range, and an error that names both.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use cache_enterprise_core::{Error, Result};

/// `value` if it lies in `range`. NaN lies in none.
pub(crate) fn within<T: PartialOrd + fmt::Display + Copy>(
    name: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(refused(name, value, format!("{}..={}", range.start(), range.end())))
}

/// `value` if it lies in `range`.
pub(crate) fn lasting(
    name: &'static str,
    value: Duration,
    range: RangeInclusive<Duration>,
) -> Result<Duration> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(refused(name, format!("{value:?}"), format!("{:?}..={:?}", range.start(), range.end())))
}

fn refused(name: &'static str, given: impl fmt::Display, range: String) -> Error {
    Error::config("a parameter is out of its range")
        .with("parameter", name)
        .with("range", range)
        .with("given", given)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_error_names_the_parameter_and_its_range() {
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1.5] {
            let text = within("learning_rate", value, 0.001..=1.0).unwrap_err().to_string();
            assert!(text.contains("learning_rate") && text.contains("0.001..=1"), "{text}");
        }
        assert_eq!(within("learning_rate", 1.0, 0.001..=1.0).unwrap(), 1.0);
        let second = Duration::from_secs(1);
        let text = lasting("min_ttl", Duration::ZERO, second..=60 * second).unwrap_err();
        assert!(text.to_string().contains("min_ttl, range: 1s..=60s"), "{text}");
    }
}
