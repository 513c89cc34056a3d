//! When the server gives an item's memory back.
//!
//! memcached counts whole seconds, and a number over 30 days is a date for it, not a life. The
//! exact end of a value stands in its head and is what readers go by; the server's own end only
//! frees memory, so it may come later and must never come sooner.

use std::time::Duration;

/// Longest life in seconds; a larger number is a date.
const LIFE_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// Seconds by which the server's end follows the exact one: its second that has begun, clocks that
/// differ a little, and room for a late put to still meet the version of what ended.
const LATER_SECONDS: u64 = 10;
/// Dates past this one are negative for the text protocols, which means ended already.
const DATE_MAX: u64 = i32::MAX as u64;

/// The number a server is told for a life that begins now; 0 has no end.
pub(crate) fn server_expiry(life: Option<Duration>, now_unix_seconds: u64) -> u32 {
    let Some(life) = life else { return 0 };
    let seconds = life.as_secs().saturating_add(u64::from(life.subsec_nanos() > 0));
    let seconds = seconds.saturating_add(LATER_SECONDS);
    let number = match seconds {
        0..=LIFE_SECONDS_MAX => seconds,
        _ => now_unix_seconds.saturating_add(seconds),
    };
    // Without an end for the server the head still has one.
    if number > DATE_MAX { 0 } else { u32::try_from(number).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::{days, ms, secs};

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_life_is_rounded_up_and_ends_later_never_sooner() {
        assert_eq!(server_expiry(None, NOW), 0);
        assert_eq!(server_expiry(Some(Duration::ZERO), NOW), 10);
        assert_eq!(server_expiry(Some(ms(1)), NOW), 11);
        assert_eq!(server_expiry(Some(ms(1_001)), NOW), 12);
    }

    #[test]
    fn a_life_over_thirty_days_becomes_a_date() {
        assert_eq!(server_expiry(Some(days(30) - secs(10)), NOW), 30 * 86_400);
        assert_eq!(server_expiry(Some(days(30) - secs(9)), NOW), 1_800_000_000 + 30 * 86_400 + 1);
        assert_eq!(server_expiry(Some(days(30)), NOW), 1_800_000_000 + 30 * 86_400 + 10);
    }

    #[test]
    fn a_life_beyond_the_dates_of_the_protocol_has_no_end_for_the_server() {
        assert_eq!(server_expiry(Some(days(3_650)), NOW), 1_800_000_000 + 3_650 * 86_400 + 10);
        assert_eq!(server_expiry(Some(days(36_500)), NOW), 0);
        assert_eq!(server_expiry(Some(Duration::MAX), NOW), 0);
    }
}
