//! When an entry is fresh, stale and gone, and what renews it.

use super::*;

fn entry(dates: Dates) -> Entry<u8> {
    Entry::new(7, Sequence(1), 0, dates)
}

const DAY: Millis = 86_400_000;

#[test]
fn the_head_is_fifty_six_bytes() {
    assert_eq!(size_of::<Entry<[u8; 128]>>(), 56 + 128);
}

#[test]
fn an_entry_goes_from_fresh_to_stale_to_expired_at_the_exact_millisecond() {
    let entry = entry(Dates { created: 100, fresh_until: 200, expires: 300 });
    assert_eq!(entry.freshness(199), Freshness::Fresh);
    assert_eq!(entry.freshness(200), Freshness::Stale);
    assert_eq!(entry.freshness(299), Freshness::Stale);
    assert_eq!(entry.freshness(300), Freshness::Expired);
    assert_eq!(entry.freshness(50), Freshness::Fresh, "a reading before creation");
}

#[test]
fn what_a_clock_ahead_of_ours_made_ends_by_our_dates() {
    let dates = Dates { created: 420_000, fresh_until: 900, expires: 1_000 };
    let made = entry(dates);
    let renewed = entry(Dates::lasting(0, None));
    renewed.renew(Sequence(2), dates, None);
    for entry in [made, renewed] {
        assert_eq!(entry.freshness(899), Freshness::Fresh);
        assert_eq!(entry.freshness(999), Freshness::Stale);
        assert_eq!(entry.freshness(1_000), Freshness::Expired, "kept until its maker's date");
    }
}

#[test]
fn lives_at_the_borders_of_arithmetic_hold() {
    let table = [
        (Some(Duration::ZERO), 0, Freshness::Expired),
        (Some(Duration::from_nanos(1)), 0, Freshness::Fresh),
        (Some(Duration::from_nanos(1)), 1, Freshness::Expired),
        (Some(Duration::MAX), 1 << 40, Freshness::Fresh),
        (Some(Duration::from_secs(30 * 86_400)), 30 * DAY - 1, Freshness::Fresh),
        (Some(Duration::from_secs(30 * 86_400)), 30 * DAY, Freshness::Expired),
        (Some(Duration::from_secs(365 * 86_400)), 364 * DAY, Freshness::Fresh),
        (Some(Duration::from_secs(365 * 86_400)), 365 * DAY, Freshness::Expired),
        (None, NEVER - 1, Freshness::Fresh),
    ];
    for (ttl, now, expected) in table {
        let entry = entry(Dates::lasting(0, ttl));
        assert_eq!(entry.freshness(now), expected, "ttl {ttl:?} at {now}");
    }
}

#[test]
fn a_soft_end_leaves_the_fallback() {
    let entry = entry(Dates::lasting(0, Some(Duration::from_secs(10))));
    entry.end_freshness(4_000);
    assert_eq!(entry.freshness(4_000), Freshness::Stale);
    assert_eq!(entry.freshness(10_000), Freshness::Expired);
}

#[test]
fn an_idle_entry_expires_unless_it_is_read() {
    let [read, unread] = [(); 2].map(|()| {
        let detail = Detail { idle_ms: Some(1_000), ..Detail::default() };
        entry(Dates::lasting(0, None)).with_detail(detail)
    });
    read.touch(900);
    assert_eq!(read.freshness(1_500), Freshness::Fresh);
    assert_eq!(unread.freshness(1_500), Freshness::Expired);
}

#[test]
fn a_refresh_is_due_from_its_date_on_and_the_entry_is_fresh_until_its_own() {
    let detail = Detail { early: Some(Early::At(800)), ..Detail::default() };
    let dates = Dates { created: 0, fresh_until: 1_000, expires: 2_000 };
    let entry = entry(dates).with_detail(detail);
    let no_draw = || unreachable!("a date decides");
    let table = [
        (799, Reading::Fresh),
        (800, Reading::Due),
        (1_000, Reading::Stale),
        (2_000, Reading::Expired),
    ];
    for (now, expected) in table {
        assert_eq!(entry.read_or_due(now, no_draw), expected, "at {now}");
    }
    assert_eq!((entry.read(999), entry.dates()), (Freshness::Fresh, dates));
    entry.end_freshness(500);
    assert_eq!(entry.read_or_due(500, no_draw), Reading::Stale);
}

#[test]
fn a_draw_is_due_the_likelier_the_longer_the_load_took() {
    let end = 60_000;
    let early = Early::Drawn { end, load_ms: 1_000, beta: 1.0 };
    let detail = Detail { early: Some(early), ..Detail::default() };
    let entry = entry(Dates::lasting(0, Some(Duration::from_millis(end)))).with_detail(detail);
    let at = |now, uniform: f64| entry.read_or_due(now, || uniform);
    assert_eq!(entry.read_or_due(22_999, || unreachable!("too early to draw")), Reading::Fresh);
    assert_eq!(at(59_000 - 1, (-1.0_f64).exp()), Reading::Fresh);
    assert_eq!(at(59_000, (-1.0_f64).exp() * 0.999), Reading::Due);
    assert_eq!(at(23_300, 2_f64.powi(-53)), Reading::Due);
    assert_eq!(at(59_999, 1.0), Reading::Fresh, "the least reach is none");
}

#[test]
fn a_renewed_entry_lives_as_a_new_one_would() {
    let detail =
        Detail { etag: Some("a".into()), early: Some(Early::At(800)), ..Detail::default() };
    let entry = entry(Dates { created: 0, fresh_until: 1_000, expires: 2_000 })
        .with_priority(Priority::High)
        .with_detail(detail);
    let second = Dates { created: 1_500, fresh_until: 60 * DAY, expires: 70 * DAY };
    entry.renew(Sequence(9), second, Some(Early::At(5_000)));
    assert_eq!((entry.version(), entry.priority()), (Sequence(9), Priority::High));
    assert_eq!((entry.created(), entry.dates().fresh_until), (1_500, 60 * DAY));
    assert_eq!(entry.read_or_due(4_999, || 1.0), Reading::Fresh);
    assert_eq!(entry.read_or_due(5_000, || 1.0), Reading::Due);
    assert_eq!(entry.freshness(70 * DAY - 2), Freshness::Stale);
    assert_eq!(entry.freshness(70 * DAY), Freshness::Expired);
}

#[test]
fn priority_unit_and_an_early_end_share_a_byte_without_harm() {
    let dates = Dates::lasting(123, Some(Duration::from_secs(400 * 86_400)));
    for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Pinned] {
        let entry = entry(dates).with_priority(priority);
        for is_ended in [false, true] {
            assert_eq!((entry.priority(), entry.created()), (priority, 123));
            assert_eq!((entry.is_ended(), entry.dates().expires), (is_ended, dates.expires));
            entry.end_freshness(124);
        }
        entry.renew(Sequence(2), dates, None);
        assert!(!entry.is_ended() && entry.priority() == priority);
    }
}
