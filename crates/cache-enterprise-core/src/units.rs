//! Short words for sizes and durations.

use std::time::Duration;

/// 2^10 bytes.
pub const KIB: u64 = 1 << 10;
/// 2^20 bytes.
pub const MIB: u64 = 1 << 20;
/// 2^30 bytes.
pub const GIB: u64 = 1 << 30;

/// So many milliseconds.
///
/// ```
/// use cache_enterprise_core::{days, hours, ms, secs};
///
/// assert_eq!((ms(1_000), days(1)), (secs(1), hours(24)));
/// ```
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// So many seconds.
///
/// [`ms`] has an example.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
///
/// ```
/// assert_eq!(cache_enterprise_core::mins(5).as_secs(), 300);
/// ```
pub const fn mins(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(60))
}

/// So many hours.
///
/// [`ms`] has an example.
pub const fn hours(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(3_600))
}

/// So many days of 24 hours.
///
/// [`ms`] has an example.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(86_400))
}
