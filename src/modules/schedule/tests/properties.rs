//! The search against its definition: one minute after the other, with another library's calendar.

use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use crate::modules::schedule::rule::{CronRule, Interval};
use crate::modules::schedule::search::{LOOKBACK, Search, latest};
use crate::modules::schedule::zone::{TimeZones, Zone};
use crate::sim::{BundledZones, SimRandom};

const ZONES: [&str; 14] = [
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    // Half an hour, two hours and minus an hour of summer time.
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Casablanca",
    // Days that were left out.
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Africa/Cairo",
    "America/Argentina/Tucuman",
    "America/Scoresbysund",
    // The sun's time until 1972.
    "Africa/Monrovia",
];

/// A field as it is written, and the values that it names.
struct Field {
    text: String,
    values: Vec<i8>,
    wild: bool,
}

impl Field {
    fn random(random: &SimRandom, first: i8, last: i8) -> Self {
        let any = |from: i8, to: i8| from + random.below((to - from + 1) as u64) as i8;
        let (text, values) = match random.below(8) {
            0..=2 => ("*".to_owned(), (first..=last).collect()),
            3 => {
                let step = any(1, last);
                let values = (first..=last).step_by(step as usize).collect();
                (format!("*/{step}"), values)
            }
            4 => {
                let from = any(first, last);
                let (to, step) = (any(from, last), any(1, 4));
                let values = (from..=to).step_by(step as usize).collect();
                (format!("{from}-{to}/{step}"), values)
            }
            5 => {
                let value = any(first, last);
                (format!("{value}/3"), vec![value])
            }
            _ => {
                let values: Vec<i8> = (0..any(1, 4)).map(|_| any(first, last)).collect();
                let texts: Vec<String> = values.iter().map(i8::to_string).collect();
                (texts.join(","), values)
            }
        };
        let wild = (first..=last).all(|value| values.contains(&value));
        Self { text, values, wild }
    }

    fn has(&self, value: i8) -> bool {
        self.values.contains(&value)
    }
}

struct Rule {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Rule {
    fn random(random: &SimRandom) -> Self {
        let mut rule = Self {
            minute: Field::random(random, 0, 59),
            hour: Field::random(random, 0, 23),
            day: Field::random(random, 1, 31),
            month: Field::random(random, 1, 12),
            weekday: Field::random(random, 0, 7),
        };
        let week = &mut rule.weekday;
        week.values.iter_mut().for_each(|day| *day %= 7);
        week.wild = (0..7).all(|day| week.values.contains(&day));
        rule
    }

    fn text(&self) -> String {
        let fields = [
            &self.minute,
            &self.hour,
            &self.day,
            &self.month,
            &self.weekday,
        ];
        fields.map(|field| field.text.as_str()).join(" ")
    }

    fn matches(&self, zone: &TimeZone, minute: i64) -> bool {
        let at = Timestamp::from_second(minute * 60).unwrap();
        let local = zone.to_datetime(at);
        let day = self.day.has(local.day());
        let weekday = self.weekday.has(local.weekday().to_sunday_zero_offset());
        self.minute.has(local.minute())
            && self.hour.has(local.hour())
            && self.month.has(local.month())
            && local.second() == 0
            && match (self.day.wild, self.weekday.wild) {
                (false, false) => day || weekday,
                _ => day && weekday,
            }
    }
}

/// An instant of which every second one is about where a clock is set.
fn random_tick(random: &SimRandom, zone: &TimeZone) -> i64 {
    let years_70 = 70 * 365 * 24 * 60 * 60 * 1000;
    let at = random.below(years_70) as i64;
    let about = zone
        .following(Timestamp::from_millisecond(at).unwrap())
        .next();
    match about {
        Some(transition) if random.chance(1, 2) => {
            let days_3 = 3 * 24 * 60 * 60 * 1000;
            let at = transition.timestamp().as_millisecond() - days_3;
            at + random.below(2 * days_3 as u64) as i64
        }
        _ => at,
    }
}

fn cron(text: &str) -> Option<CronRule> {
    match Interval::parse(text)? {
        Interval::Cron(rule) => Some(rule),
        Interval::Marker(_) => None,
    }
}

#[test]
fn the_search_finds_what_its_definition_finds() {
    let random = SimRandom::new(28);
    let (zones, database) = (BundledZones::new(), TimeZoneDatabase::bundled());
    let (mut most_steps, mut compared) = (0, 0);
    // The definition is slow: as many trials as take a few seconds.
    while compared < 300 {
        let name = ZONES[random.below(ZONES.len() as u64) as usize];
        let zone = database.get(name).unwrap();
        let (rule, tick) = (Rule::random(&random), random_tick(&random, &zone));
        let Some(parsed) = cron(&rule.text()) else {
            assert!(!rule.day.wild && rule.weekday.wild, "{}", rule.text());
            continue;
        };
        let mut search = Search::new(&parsed, Zone::Named(name), &zones);
        let found = search.run(tick);
        most_steps = most_steps.max(search.steps);

        // Two months back as a rule, all the way now and then.
        let back = if random.chance(1, 200) {
            LOOKBACK
        } else {
            60 * 24 * 60
        };
        let (newest, oldest) = (tick / 60_000, (tick / 60_000 - back).max(0));
        let expected = (oldest..=newest)
            .rev()
            .find(|minute| rule.matches(&zone, *minute))
            .map(|minute| minute * 60_000);
        let found = found.filter(|due| *due >= oldest * 60_000);
        assert_eq!(found, expected, "{} in {name} at {tick}", rule.text());
        compared += 1;
    }
    assert!(most_steps < 100, "{most_steps} steps");
}

/// Without the definition many more: no search takes many steps, and what it finds is an occurrence.
#[test]
fn no_rule_takes_many_steps() {
    let random = SimRandom::new(82);
    let (zones, database) = (BundledZones::new(), TimeZoneDatabase::bundled());
    for _ in 0..20_000 {
        let name = ZONES[random.below(ZONES.len() as u64) as usize];
        let zone = database.get(name).unwrap();
        let (rule, tick) = (Rule::random(&random), random_tick(&random, &zone));
        let Some(parsed) = cron(&rule.text()) else {
            continue;
        };
        let mut search = Search::new(&parsed, Zone::Named(name), &zones);
        if let Some(found) = search.run(tick) {
            assert!(found <= tick && found % 60_000 == 0);
            assert!(
                rule.matches(&zone, found / 60_000),
                "{} in {name}",
                rule.text()
            );
        }
        let steps = search.steps;
        assert!(steps < 130, "{} in {name} at {tick}: {steps}", rule.text());
    }
}

#[test]
fn a_marker_is_a_multiple_on_the_clock_of_the_zone() {
    let random = SimRandom::new(15);
    let (zones, database) = (BundledZones::new(), TimeZoneDatabase::bundled());
    for _ in 0..20_000 {
        let name = ZONES[random.below(ZONES.len() as u64) as usize];
        let tick = random_tick(&random, &database.get(name).unwrap());
        let unit = [1_000, 60_000, 3_600_000, 86_400_000][random.below(4) as usize];
        let every = (1 + random.below(40)) * unit;
        let Some(due) = latest(&Interval::Marker(every), Zone::Named(name), &zones, tick) else {
            continue;
        };
        let offset = |at: i64| zones.offset_ms(name, at).unwrap();
        let settled = (due + offset(due)) % every as i64 == 0;
        // Where the clock was set over a multiple, the offset goes to and fro; then that of the tick counts.
        let set = offset(due) != offset(tick);
        assert!(settled || set, "{every} in {name} at {tick}");
        assert!(due <= tick);
        if !set {
            assert!(tick - due < every as i64, "{every} in {name} at {tick}");
        }
    }
}

/// What the search takes for granted of every zone.
#[test]
fn no_zone_comes_back_to_an_offset_within_a_day() {
    let database = TimeZoneDatabase::bundled();
    let mut transitions = 0;
    for name in database.available() {
        let zone = database.get(name.as_str()).unwrap();
        let mut before = (Timestamp::UNIX_EPOCH, zone.to_offset(Timestamp::UNIX_EPOCH));
        let mut left = None;
        for transition in zone.following(Timestamp::UNIX_EPOCH).take(200) {
            let (at, offset) = (transition.timestamp(), transition.offset());
            assert!(offset.seconds().abs() < 86_400, "{name}");
            if left == Some(offset) && offset != before.1 {
                assert!(
                    at > before.0.checked_add(48.hours()).unwrap(),
                    "{name} at {at}"
                );
            }
            if offset != before.1 {
                left = Some(before.1);
            }
            before = (at, offset);
            transitions += 1;
        }
        let minutes = |second: i32| second % 60 == 0;
        let mut since = zone.following(Timestamp::UNIX_EPOCH).take(200);
        assert!(since.all(|it| minutes(it.offset().seconds())), "{name}");
    }
    assert!(transitions > 10_000, "{transitions}");
    assert_eq!(Weekday::Sunday.to_sunday_zero_offset(), 0);
}
