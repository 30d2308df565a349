//! Tables of occurrences: zones, clocks that are set, leap days.

use super::{latest, ms};
use crate::modules::schedule::jitter_ms;
use crate::modules::schedule::rule::Interval;
use crate::modules::schedule::search::Search;
use crate::modules::schedule::zone::{TimeZones, Zone};
use crate::wire::calendar::civil_from_days;

#[test]
fn latest_occurrences() {
    // Interval, time zone, instant, and the latest occurrence; all but the rule in UTC.
    let cases = [
        (
            "* * * * *",
            "UTC",
            "2026-01-02T03:04:05.678",
            "2026-01-02T03:04:00",
        ),
        (
            "4 3 * * *",
            "UTC",
            "2026-01-02T03:04:00",
            "2026-01-02T03:04:00",
        ),
        (
            "4 3 * * *",
            "UTC",
            "2026-01-02T03:03:59.999",
            "2026-01-01T03:04:00",
        ),
        (
            "30 9-17/4 * * *",
            "UTC",
            "2026-01-02T17:29:00",
            "2026-01-02T13:30:00",
        ),
        (
            "30 9-17/4 * * *",
            "UTC",
            "2026-01-02T08:00:00",
            "2026-01-01T17:30:00",
        ),
        (
            "0 0 1 1 *",
            "+05:30",
            "2026-01-01T00:00:00",
            "2025-12-31T18:30:00",
        ),
        (
            "0 0 1 1 *",
            "-03:30",
            "2026-01-01T03:29:00",
            "2025-01-01T03:30:00",
        ),
        (
            "0 0 31 * *",
            "UTC",
            "2026-07-01T00:00:00",
            "2026-05-31T00:00:00",
        ),
        // Days and weekdays: either will do; 2026-11-15 is a Sunday.
        (
            "0 0 13 * 5",
            "UTC",
            "2026-11-15T00:00:00",
            "2026-11-13T00:00:00",
        ),
        (
            "0 0 13 * 1",
            "UTC",
            "2026-11-15T00:00:00",
            "2026-11-13T00:00:00",
        ),
        (
            "0 0 13 * 1",
            "UTC",
            "2026-11-12T00:00:00",
            "2026-11-09T00:00:00",
        ),
        (
            "0 0 * * 7",
            "UTC",
            "2026-11-21T00:00:00",
            "2026-11-15T00:00:00",
        ),
        (
            "0 0 31 2 1",
            "UTC",
            "2026-03-01T00:00:00",
            "2026-02-23T00:00:00",
        ),
        // What names every value is a wildcard, which does not ask for the other to be one too.
        (
            "0 0 1-31 * 1",
            "UTC",
            "2026-11-15T00:00:00",
            "2026-11-09T00:00:00",
        ),
        (
            "0 0 13 * 0-6",
            "UTC",
            "2026-11-12T00:00:00",
            "2026-10-13T00:00:00",
        ),
        (
            "0 0 13 * 1-7",
            "UTC",
            "2026-11-12T00:00:00",
            "2026-10-13T00:00:00",
        ),
        // Leap days; 2000 was a leap year, 2100 is none.
        (
            "0 0 29 2 *",
            "UTC",
            "2027-12-31T00:00:00",
            "2024-02-29T00:00:00",
        ),
        (
            "0 0 29 2 *",
            "UTC",
            "2003-01-01T00:00:00",
            "2000-02-29T00:00:00",
        ),
        (
            "0 0 29 2 *",
            "Europe/Berlin",
            "2104-02-28T22:59:00",
            "2096-02-28T23:00:00",
        ),
        // Berlin's clock skips 02:00 to 03:00 on 2026-03-29, and shows it twice on 2026-10-25.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-29T12:00:00",
            "2026-03-28T01:30:00",
        ),
        (
            "30 2 29 3 *",
            "Europe/Berlin",
            "2026-04-01T00:00:00",
            "2025-03-29T01:30:00",
        ),
        (
            "0 3 * * *",
            "Europe/Berlin",
            "2026-03-29T12:00:00",
            "2026-03-29T01:00:00",
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T00:59:00",
            "2026-10-25T00:30:00",
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T01:29:59",
            "2026-10-25T00:30:00",
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T12:00:00",
            "2026-10-25T01:30:00",
        ),
        // 02:50 the first time around is later on the clock than 02:10 the second time, and earlier.
        (
            "10,50 2 * * *",
            "Europe/Berlin",
            "2026-10-25T01:20:00",
            "2026-10-25T01:10:00",
        ),
        (
            "10,50 2 * * *",
            "Europe/Berlin",
            "2026-10-25T01:05:00",
            "2026-10-25T00:50:00",
        ),
        // The same in New York, on 2026-03-08 and 2026-11-01.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T20:00:00",
            "2026-03-07T07:30:00",
        ),
        (
            "59 1 * * *",
            "America/New_York",
            "2026-03-08T20:00:00",
            "2026-03-08T06:59:00",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T06:00:00",
            "2026-11-01T05:30:00",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T07:00:00",
            "2026-11-01T06:30:00",
        ),
        (
            "0 9 * * 1-5",
            "America/New_York",
            "2026-11-02T13:59:00",
            "2026-10-30T13:00:00",
        ),
        (
            "0 9 * * 1-5",
            "America/New_York",
            "2026-11-02T14:00:00",
            "2026-11-02T14:00:00",
        ),
        // Half an hour of summer time, and a day that Samoa did not have.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T20:00:00",
            "2026-10-02T15:45:00",
        ),
        (
            "0 12 30 12 *",
            "Pacific/Apia",
            "2012-06-01T00:00:00",
            "2010-12-30T22:00:00",
        ),
        // Markers count on the zone's own clock.
        ("*/1d", "UTC", "2026-01-02T03:04:05", "2026-01-02T00:00:00"),
        (
            "*/1d",
            "+05:30",
            "2026-01-02T18:29:59",
            "2026-01-01T18:30:00",
        ),
        (
            "*/1d",
            "-03:30",
            "2026-01-02T18:29:59",
            "2026-01-02T03:30:00",
        ),
        (
            "*/7s",
            "UTC",
            "1970-01-01T00:00:20.999",
            "1970-01-01T00:00:14",
        ),
        (
            "*/1d",
            "Europe/Berlin",
            "2026-03-29T12:00:00",
            "2026-03-28T23:00:00",
        ),
        (
            "*/1d",
            "Europe/Berlin",
            "2026-03-30T12:00:00",
            "2026-03-29T22:00:00",
        ),
        (
            "*/1d",
            "Europe/Berlin",
            "2026-10-25T12:00:00",
            "2026-10-24T22:00:00",
        ),
        (
            "*/1d",
            "Europe/Berlin",
            "2026-10-26T12:00:00",
            "2026-10-25T23:00:00",
        ),
        (
            "*/6h",
            "America/New_York",
            "2026-03-08T10:30:00",
            "2026-03-08T10:00:00",
        ),
        (
            "*/6h",
            "America/New_York",
            "2026-03-08T09:30:00",
            "2026-03-08T05:00:00",
        ),
    ];
    for (interval, zone, at, due) in cases {
        let found = latest(interval, zone, at).0;
        assert_eq!(found.as_deref(), Some(due), "{interval} in {zone} at {at}");
    }
}

#[test]
fn there_may_be_no_occurrence() {
    let cases = [
        // Not since 1970.
        ("0 0 29 2 *", "UTC", "1971-12-31T00:00:00"),
        ("30 0 * * *", "UTC", "1970-01-01T00:29:59"),
        ("0 12 * * *", "Europe/Berlin", "1970-01-01T10:59:00"),
        ("*/1d", "-01:00", "1970-01-01T00:30:00"),
        ("*/1d", "+01:00", "1970-01-01T00:30:00"),
        // To the sun's time: its minutes begin with none of UTC.
        ("* * * * *", "Africa/Monrovia", "1971-06-01T00:00:00"),
    ];
    for (interval, zone, at) in cases {
        assert_eq!(
            latest(interval, zone, at).0,
            None,
            "{interval} in {zone} at {at}"
        );
    }
}

/// What row 28 of the contract's list asks for, as the count of months looked at and offsets asked for.
#[test]
fn row_28_a_search_takes_few_steps() {
    let cases = [
        ("* * * * *", "UTC", "2026-06-01T00:00:00", 0),
        ("0 0 29 2 *", "UTC", "2027-12-31T00:00:00", 5),
        ("0 0 29 2 *", "UTC", "1971-12-31T00:00:00", 4),
        ("* * * * *", "Europe/Berlin", "2026-06-01T00:00:00", 2),
        ("0 9 * * 1-5", "Europe/Berlin", "2026-06-01T00:00:00", 12),
        ("0 0 29 2 *", "Europe/Berlin", "2027-12-31T00:00:00", 11),
        (
            "59 23 29 2 *",
            "America/New_York",
            "2104-02-28T00:00:00",
            13,
        ),
        ("30 2 29 3 *", "Europe/Berlin", "2026-12-31T00:00:00", 39),
        ("0 12 30 12 *", "Pacific/Apia", "2020-12-01T00:00:00", 10),
        ("* * * * *", "Africa/Monrovia", "1971-06-01T00:00:00", 1),
    ];
    for (interval, zone, at, most) in cases {
        let steps = latest(interval, zone, at).1;
        assert!(steps <= most, "{interval} in {zone} at {at}: {steps} steps");
    }
}

/// A zone whose clocks skip the first hour of each March, and show that before September twice.
struct NoEarlyMarch;

impl TimeZones for NoEarlyMarch {
    fn is_known(&self, _: &str) -> bool {
        true
    }

    fn offset_ms(&self, _: &str, utc_ms: i64) -> Option<i64> {
        let (_, month, _) = civil_from_days(utc_ms.div_euclid(86_400_000));
        Some(if (3..=8).contains(&month) {
            3_600_000
        } else {
            0
        })
    }
}

/// A search for what never came goes back ten years and ends.
#[test]
fn row_28_a_search_in_vain_takes_few_steps() {
    let cases = [
        ("30 0 1 3 *", None, 172),
        // A week more, and the hour is there.
        ("30 0 1,8 3 *", Some("2026-03-07T23:30:00"), 20),
        ("30 0 1 9 *", Some("2026-09-01T00:30:00"), 10),
    ];
    for (text, expected, most) in cases {
        let Some(Interval::Cron(rule)) = Interval::parse(text) else {
            panic!("{text}");
        };
        let mut search = Search::new(&rule, Zone::Named("it"), &NoEarlyMarch);
        let found = search.run(ms("2026-12-31T00:00:00") as i64);
        assert_eq!(found.map(super::utc).as_deref(), expected, "{text}");
        assert!(search.steps <= most, "{text}: {} steps", search.steps);
    }
}

#[test]
fn jitter_follows_from_the_id() {
    // The hash of the empty id is the seed.
    let seed = 1_469_598_103_934_665_603;
    assert_eq!(jitter_ms("", u64::MAX, u64::MAX), seed % u64::MAX);
    assert_eq!(jitter_ms("", 999, 60_000), seed % 1000);
    // By hand: (seed ^ 'a') * prime, modulo 2^64.
    let a = (seed ^ 0x61).wrapping_mul(1_099_511_628_211);
    assert_eq!(jitter_ms("a", 9_999, 60_000), a % 10_000);
    // Never as much as what lies between two occurrences.
    assert_eq!(jitter_ms("a", u64::MAX, 60_000), a % 60_000);
    assert_eq!(jitter_ms("a", 60_000, 60_000), a % 60_000);
    assert_eq!(jitter_ms("a", 0, 60_000), 0);
}
