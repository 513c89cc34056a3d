//! Durations, sizes and shares as people write them, and back.
//!
//! Whatever [`print`](print_duration) gives is read back to the same value. Every reader says in
//! its [`Fault`] what it saw and how to write it instead.

use std::time::Duration;

use cache_enterprise_core::Capacity;

/// What is wrong with a text, and how to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// A setting over a hundred years is a slip of the keyboard, and sums of dates must not overflow.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Units of sizes; those of two letters count by the thousand, those with an `i` by 1024.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

const DURATION_FIX: &str = "write a duration above zero, such as \"250ms\", \"5m\" or \"1h 30m\"; \
                            a plain number is seconds";
const SIZE_FIX: &str = "write a number above zero with a unit: \"512MB\" is 512 x 10^6 bytes, \
                        \"512MiB\" is 512 x 2^20";

/// Reads a duration above zero; a plain number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    let seen = |problem: &str| Fault::new(format!("{text:?} {problem}"), DURATION_FIX);
    if text.starts_with('-') {
        return Err(seen("is a negative duration"));
    }
    let read = match text.parse::<f64>() {
        Ok(seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| seen("is too long a duration"))?
        }
        // Months to some, minutes to others.
        Err(_) if text.split(|c: char| !c.is_ascii_alphabetic()).any(|unit| unit == "M") => {
            return Err(seen("could mean two durations"));
        }
        Err(_) => humantime::parse_duration(text).map_err(|_| seen("is not a duration"))?,
    };
    if read.is_zero() {
        return Err(seen("is no time at all"));
    }
    if read > DURATION_MAX {
        return Err(seen("is over a hundred years"));
    }
    Ok(read)
}

/// A duration as [`duration`] reads it.
pub(crate) fn print_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Reads a size in bytes above zero. `plain_is_bytes` allows a number without a unit.
pub(crate) fn size(text: &str, plain_is_bytes: bool) -> Result<u64, Fault> {
    let seen = |problem: &str| Fault::new(format!("{text:?} {problem}"), SIZE_FIX);
    if text.starts_with('-') {
        return Err(seen("is a negative size"));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim();
    let factor = match unit {
        "" if plain_is_bytes => 1,
        "" => return Err(seen("has no unit")),
        _ => factor(unit).ok_or_else(|| match unit {
            "k" | "K" | "m" | "M" | "g" | "G" | "t" | "T" => seen("could mean two sizes"),
            _ => seen("is not a size"),
        })?,
    };
    match scaled(&number.replace('_', ""), factor) {
        None => Err(seen("is not a size")),
        Some(0) => Err(seen("is less than one byte")),
        Some(bytes) => u64::try_from(bytes).map_err(|_| seen("is over 2^64 bytes")),
    }
}

fn factor(unit: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
}

/// `number`, which may have a fraction, times `factor`, rounded down; saturates over `u64`.
fn scaled(number: &str, factor: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u128>().unwrap_or(u128::MAX).saturating_mul(u128::from(factor));
    let tenths = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    Some(whole.saturating_add(fraction * u128::from(factor) / tenths))
}

/// A size as [`size`] reads it, in the largest unit that divides it.
pub(crate) fn print_size(bytes: u64) -> String {
    let (unit, factor) =
        UNITS.into_iter().find(|(_, factor)| bytes.is_multiple_of(*factor)).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Reads a capacity: a size with a unit, or a number of entries.
pub(crate) fn capacity(text: &str) -> Result<Capacity, Fault> {
    let fix = "write bytes with a unit, such as \"512MB\" or \"1GiB\", or a number of entries \
               above zero, such as 10000";
    let number = text.strip_suffix("entries").unwrap_or(text).trim();
    if !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit() || c == b'_') {
        let entries = number.replace('_', "").parse::<u64>().ok().filter(|entries| *entries > 0);
        let wrong = || Fault::new(format!("{text:?} is not a number of entries"), fix);
        return entries.map(Capacity::Entries).ok_or_else(wrong);
    }
    size(text, false).map(Capacity::Bytes).map_err(|fault| Fault { fix: fix.to_owned(), ..fault })
}

/// A capacity as [`capacity`] reads it.
pub(crate) fn print_capacity(capacity: Capacity) -> String {
    match capacity {
        Capacity::Bytes(bytes) => print_size(bytes),
        Capacity::Entries(entries) => format!("{entries} entries"),
    }
}

/// Reads a share of one: a number from 0 to 1, or per cent.
pub(crate) fn share(text: &str) -> Result<f64, Fault> {
    let read = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match read {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(Fault::new(
            format!("{text:?} is not a share"),
            "write a number from 0 to 1, such as 0.2, or \"20%\"",
        )),
    }
}

/// Reads a whole number from `least` upward.
pub(crate) fn count(text: &str, least: u32) -> Result<u32, Fault> {
    let read = text.replace('_', "").parse::<u32>().ok().filter(|count| *count >= least);
    read.ok_or_else(|| {
        Fault::new(
            format!("{text:?} is not a count"),
            format!("write a whole number from {least} to {}", u32::MAX),
        )
    })
}

/// Reads yes or no.
pub(crate) fn flag(text: &str) -> Result<bool, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Fault::new(format!("{text:?} is neither yes nor no"), "write true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them_and_plain_numbers_are_seconds() {
        for (text, millis) in [
            ("250ms", 250),
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("5", 5_000),
            ("0.25", 250),
            ("2days", 172_800_000),
        ] {
            let read = duration(text).map(|duration| duration.as_millis());
            assert_eq!(read, Ok(millis), "{text}");
        }
    }

    #[test]
    fn durations_that_cannot_be_meant_are_faults_that_show_the_text() {
        for text in [
            "",
            "0",
            "0s",
            "-1",
            "-5m",
            "soon",
            "5 parsecs",
            "1e300",
            "NaN",
            "inf",
            "200y",
            "5M",
            "1h 30M",
        ] {
            let fault = duration(text).expect_err(text);
            assert!(fault.what.starts_with(&format!("{text:?} ")), "{fault:?}");
            assert!(fault.fix.contains("above zero"));
        }
    }

    #[test]
    fn two_letter_units_count_by_the_thousand_and_those_with_an_i_by_1024() {
        for (text, bytes) in [
            ("1GB", 1_000_000_000),
            ("1GiB", 1 << 30),
            ("512MB", 512_000_000),
            ("1.5 KiB", 1_536),
            ("100mb", 100_000_000),
            ("1_000 B", 1_000),
            ("16777215.999999999TiB", 18_446_744_073_709_550_516),
        ] {
            assert_eq!(size(text, false), Ok(bytes), "{text}");
        }
        assert_eq!(size("1024", true), Ok(1_024));
    }

    #[test]
    fn sizes_that_cannot_be_meant_are_faults_with_the_fix() {
        for (text, what) in [
            ("", "has no unit"),
            ("10", "has no unit"),
            ("-1GB", "is a negative size"),
            ("0MB", "is less than one byte"),
            ("0.0001kB", "is less than one byte"),
            ("16777216TiB", "is over 2^64 bytes"),
            ("99999999999999999999999999999999999999999TB", "is over 2^64 bytes"),
            ("1G", "could mean two sizes"),
            ("5 parsecs", "is not a size"),
            ("1.2.3MB", "is not a size"),
            ("MB", "is not a size"),
            (".5MB", "is not a size"),
        ] {
            let fault = size(text, false).expect_err(text);
            assert_eq!(fault.what, format!("{text:?} {what}"));
            assert_eq!(fault.fix, SIZE_FIX);
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let mut number = 1_u64;
        while number < u64::MAX / 7 {
            assert_eq!(size(&print_size(number), false), Ok(number));
            for capacity_in in [Capacity::Bytes(number), Capacity::Entries(number)] {
                assert_eq!(capacity(&print_capacity(capacity_in)), Ok(capacity_in));
            }
            let time = Duration::from_millis(number % 3_000_000_000_000);
            assert_eq!(duration(&print_duration(time)), Ok(time));
            number = number * 7 / 3 + 1;
        }
        assert_eq!(print_size(64 << 20), "64MiB");
        assert_eq!(print_size(512_000_000), "512MB");
    }

    #[test]
    fn a_capacity_without_a_unit_is_entries() {
        assert_eq!(capacity("10000"), Ok(Capacity::Entries(10_000)));
        assert_eq!(capacity("1_000 entries"), Ok(Capacity::Entries(1_000)));
        assert_eq!(capacity("1GB"), Ok(Capacity::Bytes(1_000_000_000)));
        for text in ["0", "", "entries", "-5", "99999999999999999999", "1.5"] {
            assert!(capacity(text).expect_err(text).fix.contains("10000"));
        }
    }

    #[test]
    fn shares_counts_and_flags_keep_their_limits() {
        assert_eq!(share("20%"), Ok(0.2));
        assert_eq!(share("0.8"), Ok(0.8));
        for text in ["1.01", "-0.1", "NaN", "101%", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!(count("3", 1), Ok(3));
        assert!(count("0", 1).is_err() && count("4294967296", 0).is_err());
        assert_eq!((flag("True"), flag("off")), (Ok(true), Ok(false)));
        assert!(flag("maybe").is_err());
    }
}
