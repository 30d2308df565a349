//! What is an interval and what is a time zone.

use super::NoZones;
use crate::modules::schedule::rule::Interval;
use crate::modules::schedule::zone::Zone;
use crate::sim::BundledZones;

#[test]
fn markers() {
    let good = [
        ("*/1s", 1_000),
        ("*/90s", 90_000),
        ("*/15m", 900_000),
        ("*/2h", 7_200_000),
        ("*/1d", 86_400_000),
        ("*/7D", 604_800_000),
        ("*/5M", 300_000),
        ("*/007m", 420_000),
        ("  */5m ", 300_000),
        // The greatest there is.
        ("*/18446744073709551s", 18_446_744_073_709_551_000),
    ];
    for (text, every) in good {
        assert_eq!(
            Interval::parse(text),
            Some(Interval::Marker(every)),
            "{text}"
        );
    }
    let bad = [
        "",
        " ",
        "*/",
        "*/5",
        "*/m",
        "*/0m",
        "*/-5m",
        "*/+5m",
        "*/5 m",
        "*/5w",
        "*/5ms",
        "*/1.5h",
        "5m",
        "/5m",
        "*/5mm",
        "*/٣m",
        "*/5ö",
        "*5m",
        "*/18446744073709552s",
        "*/99999999999999999999s",
    ];
    for text in bad {
        assert_eq!(Interval::parse(text), None, "{text}");
    }
}

/// Expressions that say the same.
#[test]
fn cron_expressions_that_are_equal() {
    let same = [
        ("* * * * *", "0-59 0-23 1-31 1-12 0-6"),
        ("*/15 * * * *", "0,15,30,45 * * * *"),
        ("10-30/10 * * * *", "10,20,30 * * * *"),
        ("10-29/10 * * * *", "10,20 * * * *"),
        // A step after a single value does nothing.
        ("5/15 * * * *", "5 * * * *"),
        ("*/59 * * * *", "0,59 * * * *"),
        ("*/4294967295 * * * *", "0 * * * *"),
        ("7-7 * * * *", "7 * * * *"),
        ("3,1,2,2 * * * *", "1-3 * * * *"),
        ("1,10-12,*/30 * * * *", "0,1,10,11,12,30 * * * *"),
        ("00 007 * * *", "0 7 * * *"),
        // Days begin with 1.
        ("0 0 */10 */6 *", "0 0 1,11,21,31 1,7 *"),
        // Sunday is 0 and 7.
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * 1-7", "0 0 * * *"),
        ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ("0 0 * * */7", "0 0 * * 0"),
        ("\t0  0 1 1 *\n", "0 0 1 1 *"),
    ];
    for (a, b) in same {
        let (a, b) = (Interval::parse(a).expect(a), Interval::parse(b).expect(b));
        assert_eq!(a, b);
        assert_eq!(a.base_ms(), 60_000);
    }
}

#[test]
fn what_is_no_cron_expression() {
    let bad = [
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "+1 * * * *",
        "1- * * * *",
        "-5 * * * *",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "0-60 * * * *",
        "*/0 * * * *",
        "5/0 * * * *",
        "1-5/0 * * * *",
        "*/ * * * *",
        "*/x * * * *",
        "/5 * * * *",
        "*/5/5 * * * *",
        "*/-5 * * * *",
        "*/4294967296 * * * *",
        "5/ * * * *",
        ", * * * *",
        "1, * * * *",
        ",1 * * * *",
        "1,,2 * * * *",
        "*-5 * * * *",
        "** * * * *",
        "? * * * *",
        "* * L * *",
        "* * 15W * *",
        "* * * JAN *",
        "* * * * MON",
        "* * * * 1#2",
        "@daily",
        "99999999999 * * * *",
        "1, 2 * * * *",
    ];
    for text in bad {
        assert_eq!(Interval::parse(text), None, "{text}");
    }
}

/// A day that none of the months has makes a rule that never comes; unless weekdays are named, for then those will do.
#[test]
fn dates_that_never_come() {
    let never = [
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        "0 0 30-31 2 *",
        "0 0 31 11 0-6",
    ];
    for text in never {
        assert_eq!(Interval::parse(text), None, "{text}");
    }
    let sometimes = [
        "0 0 29 2 *",
        "0 0 31 2,3 *",
        "0 0 29-31 2 *",
        "0 0 */30 2 *",
        "0 0 31 2 1",
    ];
    for text in sometimes {
        assert!(Interval::parse(text).is_some(), "{text}");
    }
}

#[test]
fn time_zones() {
    let zones = BundledZones::new();
    let good = [
        ("UTC", 0),
        ("utc", 0),
        ("Utc", 0),
        ("GMT", 0),
        ("Z", 0),
        (" UTC ", 0),
        ("+00:00", 0),
        ("-00:00", 0),
        ("+05:30", 330),
        ("+0530", 330),
        ("-03:30", -210),
        ("-0330", -210),
        ("UTC+02:00", 120),
        ("UTC-0800", -480),
        ("GMT+01:00", 60),
        ("gmt-0100", -60),
        ("+23:59", 1439),
        ("-23:59", -1439),
    ];
    for (text, minutes) in good {
        let zone = Some(Zone::Fixed(minutes * 60_000));
        assert_eq!(Zone::parse(text, &zones), zone, "{text}");
        assert_eq!(Zone::parse(text, &NoZones), zone, "{text}");
    }
    for name in [
        "Europe/Berlin",
        "America/New_York",
        "Etc/GMT+5",
        "GMT0",
        "EST5EDT",
    ] {
        assert_eq!(Zone::parse(name, &zones), Some(Zone::Named(name)), "{name}");
        assert_eq!(Zone::parse(name, &NoZones), None, "{name}");
    }
    let bad = [
        "",
        "  ",
        "+",
        "+5",
        "+05",
        "+5:30",
        "05:30",
        "+24:00",
        "+05:60",
        "+05:3",
        "+005:30",
        "+05-30",
        "±05:30",
        "UTC+5",
        "UTC 05:00",
        "UTC +05:00",
        "GMT+25:00",
        "Mars/Olympus",
        "Europe/",
        "/",
        "Z+01:00",
        "ÜTC",
        "+0a:00",
        "+٠٥:٣٠",
    ];
    for text in bad {
        assert_eq!(Zone::parse(text, &zones), None, "{text}");
    }
}
