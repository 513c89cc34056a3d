//! Checks of the parameters of policies: the error says which, what kind of value came, and what
//! may stand there.

use std::ops::RangeInclusive;

use cache_enterprise_core::{Error, Result};

/// A number within its range.
pub(super) fn number(
    policy: &'static str,
    parameter: &'static str,
    value: f64,
    range: RangeInclusive<f64>,
) -> Result<f64> {
    if range.contains(&value) {
        return Ok(value);
    }
    let given = match value {
        value if value.is_nan() => "NaN",
        value if value.is_infinite() => "infinite",
        0.0 => "zero",
        value if value < 0.0 => "negative",
        value if value < *range.start() => "below the range",
        _ => "above the range",
    };
    Err(outside(policy, parameter, given, range.start(), range.end()))
}

/// A whole number within its range.
pub(super) fn whole(
    policy: &'static str,
    parameter: &'static str,
    value: u64,
    range: RangeInclusive<u64>,
) -> Result<u64> {
    if range.contains(&value) {
        return Ok(value);
    }
    let given = match value {
        0 => "zero",
        value if value < *range.start() => "below the range",
        _ => "above the range",
    };
    Err(outside(policy, parameter, given, range.start(), range.end()))
}

fn outside(
    policy: &'static str,
    parameter: &'static str,
    given: &'static str,
    least: &dyn std::fmt::Display,
    most: &dyn std::fmt::Display,
) -> Error {
    Error::config("a parameter of the policy is outside of its range")
        .operation("configure the eviction policy")
        .with("policy", policy)
        .with("parameter", parameter)
        .with("given", given)
        .with("range", format_args!("{least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_parameter_range_and_kind_of_value() {
        let cases =
            [(f64::NAN, "NaN"), (f64::INFINITY, "infinite"), (0.0, "zero"), (-0.5, "negative")];
        for (value, given) in cases.into_iter().chain([(0.01, "below"), (0.95, "above")]) {
            let error = number("s3-fifo", "small_share", value, 0.02..=0.9).expect_err(given);
            let text = error.to_string();
            for part in ["s3-fifo", "small_share", "0.02 to 0.9", given] {
                assert!(text.contains(part), "{text} does not say {part}");
            }
        }
        assert!(whole("clock", "rounds", 16, 1..=15).is_err());
        assert_eq!(number("s3-fifo", "small_share", 0.1, 0.02..=0.9).ok(), Some(0.1));
    }
}
