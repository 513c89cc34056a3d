//! Words for times of the week.

const DAYS: [&str; 7] =
    ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];
/// Six hours each, from midnight.
const PARTS: [&str; 4] = ["night", "morning", "afternoon", "evening"];
const HOUR_MS: i64 = 3_600_000;

/// The time of the week in words, such as `friday_evening`: the day, and night (from 0 to 6
/// o'clock), morning, afternoon or evening (from 18 o'clock). `wall_ms` are milliseconds since the
/// start of 1970 in UTC, `east_minutes` how far the local clock is ahead.
///
/// ```
/// use cache_enterprise_strategies::predict::model::time_name;
///
/// // 2026-11-20 19:30 UTC, a Friday; at one hour past midnight further east it is Saturday.
/// let at = 1_795_203_000_000;
/// assert_eq!(time_name(at, 0), "friday_evening");
/// assert_eq!(time_name(at, 330), "saturday_night");
/// ```
pub fn time_name(wall_ms: i64, east_minutes: i32) -> String {
    let local = wall_ms.saturating_add(i64::from(east_minutes) * 60_000);
    let hours = local.div_euclid(HOUR_MS);
    // The first day of 1970 was a Thursday.
    let day = DAYS[hours.div_euclid(24).rem_euclid(7) as usize];
    let part = PARTS[(hours.rem_euclid(24) / 6) as usize];
    format!("{day}_{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_start_where_the_calendar_says() {
        assert_eq!(time_name(0, 0), "thursday_night");
        assert_eq!(time_name(-1, 0), "wednesday_evening");
        assert_eq!(time_name(6 * HOUR_MS, 0), "thursday_morning");
        assert_eq!(time_name(7 * 24 * HOUR_MS + 12 * HOUR_MS, 0), "thursday_afternoon");
        assert!(!time_name(i64::MAX, i32::MAX).is_empty());
        assert!(!time_name(i64::MIN, i32::MIN).is_empty());
    }
}
