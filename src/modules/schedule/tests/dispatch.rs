//! What is due, what is refused, and what is dispatched once.

use serde_json::json;

use super::{NoZones, ms, schedule};
use crate::modules::schedule::{
    Claims, MAX_SCHEDULES, ScheduleDefinition, ScheduleValidationError, dispatch, evaluate,
    jitter_ms,
};
use crate::sim::BundledZones;
use crate::wire::ModuleError;
use crate::wire::json::{FromJson, value_of};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// The claims dispatched at a tick, and those skipped.
fn keys(
    schedules: &[ScheduleDefinition],
    tick_ms: u64,
    claims: &mut Claims,
) -> (Vec<String>, Vec<String>) {
    let report = dispatch(schedules, tick_ms, &NoZones, claims).unwrap();
    assert_eq!(
        report.due_count,
        report.dispatched.len() + report.skipped_claims.len()
    );
    let dispatched = report.dispatched.into_iter().map(|it| it.claim_key);
    (dispatched.collect(), report.skipped_claims)
}

fn catching_up(mut schedule: ScheduleDefinition) -> ScheduleDefinition {
    schedule.catch_up = true;
    schedule
}

#[test]
fn a_schedule_is_read_with_its_defaults() {
    let read = |value| ScheduleDefinition::from_json(value).unwrap();
    let plain = json!({ "schedule_id": "a", "interval": "*/1m", "timezone": "UTC" });
    assert_eq!(read(plain), schedule("a", "*/1m", "UTC"));
    let full = json!({
        "schedule_id": "a", "interval": "*/1m", "timezone": "UTC",
        "enabled": false, "jitter_ms": 7, "catch_up": true,
    });
    assert_eq!(value_of(&read(full.clone())), full);
    let without = ScheduleDefinition::from_json(json!({ "schedule_id": "a", "interval": "*/1m" }));
    assert!(without.unwrap_err().to_string().contains("timezone"));
}

#[test]
fn one_wrong_schedule_refuses_them_all() {
    use ScheduleValidationError as Wrong;
    let good = schedule("good", "*/1m", "UTC");
    let off = |mut schedule: ScheduleDefinition| {
        schedule.enabled = false;
        schedule
    };
    let interval = |id: &str, text: &str| Wrong::InvalidInterval {
        schedule_id: id.into(),
        interval: text.into(),
    };
    let timezone = |id: &str, text: &str| Wrong::InvalidTimezone {
        schedule_id: id.into(),
        timezone: text.into(),
    };
    let late = i64::MAX as u64 + 1;
    let cases = [
        (
            vec![good.clone(), schedule("", "*/1m", "UTC")],
            0,
            Wrong::EmptyScheduleId,
            "empty_schedule_id",
        ),
        (
            vec![good.clone(), schedule(" \t", "*/1m", "UTC")],
            0,
            Wrong::EmptyScheduleId,
            "empty_schedule_id",
        ),
        (
            vec![good.clone(), schedule(" good ", "*/1m", "UTC")],
            0,
            Wrong::DuplicateScheduleId("good".into()),
            "duplicate_schedule_id",
        ),
        (
            vec![good.clone()],
            late,
            Wrong::InvalidTickMs(late),
            "invalid_tick_ms",
        ),
        // One that is not enabled too.
        (
            vec![good.clone(), off(schedule(" b ", " */0m", "UTC"))],
            0,
            interval("b", " */0m"),
            "invalid_interval",
        ),
        (
            vec![good.clone(), off(schedule("b", "*/1m", " "))],
            0,
            timezone("b", " "),
            "invalid_timezone",
        ),
        (
            vec![good.clone(), schedule("b", "*/1m", "Europe/Berlin")],
            0,
            timezone("b", "Europe/Berlin"),
            "invalid_timezone",
        ),
        // The first that is wrong, and of that what is wrong first.
        (
            vec![schedule("b", "x", "x"), schedule("b", "x", "x")],
            0,
            interval("b", "x"),
            "invalid_interval",
        ),
    ];
    for (schedules, tick, wrong, code) in cases {
        let mut claims = Claims::default();
        let refused = evaluate(&schedules, tick, &NoZones).unwrap_err();
        assert_eq!(refused, wrong);
        assert_eq!(
            dispatch(&schedules, tick, &NoZones, &mut claims),
            Err(wrong)
        );
        assert!(claims.is_empty());
        let told = ModuleError::from(refused);
        assert_eq!(
            (told.kind.as_str(), told.data().code.as_str()),
            (code, code)
        );
    }
    let duplicate = ModuleError::from(Wrong::DuplicateScheduleId("a".into()));
    assert_eq!(
        duplicate.message,
        "duplicate schedule_id 'a' is not allowed"
    );
    assert_eq!(duplicate.data, json!({ "schedule_id": "a" }));
}

#[test]
fn as_many_schedules_as_are_allowed() {
    let mut schedules: Vec<_> = (0..MAX_SCHEDULES)
        .map(|n| schedule(&format!("s{n}"), "*/1m", "UTC"))
        .collect();
    let due = evaluate(&schedules, MINUTE, &NoZones).unwrap().due_triggers;
    assert_eq!(due.len(), MAX_SCHEDULES);
    schedules.push(schedule("one more", "*/1m", "UTC"));
    let refused = evaluate(&schedules, MINUTE, &NoZones).unwrap_err();
    assert_eq!(refused, ScheduleValidationError::TooManySchedules(257));
}

#[test]
fn evaluating_tells_what_is_due_to_the_millisecond() {
    let mut off = schedule("off", "*/1m", "UTC");
    off.enabled = false;
    let schedules = [
        schedule("b", "*/5m", "UTC"),
        schedule(" a ", " 0 * * * *", "Europe/Berlin"),
        schedule("c", "1 * * * *", "Z"),
        off,
    ];
    let zones = BundledZones::new();
    let hour = ms("2026-06-01T12:00");
    let evaluation = evaluate(&schedules, hour, &zones).unwrap();
    let expected = json!({
        "tick_ms": hour,
        "due_triggers": [
            { "schedule_id": "a", "interval": " 0 * * * *", "timezone": "Europe/Berlin", "due_tick_ms": hour },
            { "schedule_id": "b", "interval": "*/5m", "timezone": "UTC", "due_tick_ms": hour },
        ],
    });
    assert_eq!(value_of(&evaluation), expected);
    // It depends on nothing else, and keeps nothing.
    assert_eq!(evaluate(&schedules, hour, &zones).unwrap(), evaluation);
    let later = evaluate(&schedules, hour + 1, &zones).unwrap();
    assert!(later.due_triggers.is_empty());
}

#[test]
fn the_greatest_tick_is_one() {
    let zones = BundledZones::new();
    let schedules = [
        schedule("a", "*/1s", "+23:59"),
        schedule("b", "* * * * *", "-23:59"),
        schedule("c", "* * * * *", "Europe/Berlin"),
        schedule("d", "*/1d", "Europe/Berlin"),
        schedule("e", "0 0 29 2 *", "UTC"),
        schedule("f", "*/106751991167d", "UTC"),
        schedule("g", "*/213503982334d", "UTC"),
    ];
    for tick in [i64::MAX as u64, i64::MAX as u64 - 1, 0, 1] {
        assert!(evaluate(&schedules, tick, &zones).is_ok());
        assert!(dispatch(&schedules, tick, &zones, &mut Claims::default()).is_ok());
    }
}

#[test]
fn jitter_delays_what_is_due() {
    let mut late = schedule(" late ", "0 12 * * *", "UTC");
    late.jitter_ms = 30_000;
    let jitter = jitter_ms("late", 30_000, MINUTE);
    assert!(jitter > 0);
    let noon = ms("2026-06-01T12:00");
    let due = |tick| {
        evaluate(std::slice::from_ref(&late), tick, &NoZones)
            .unwrap()
            .due_triggers
    };
    assert!(due(noon).is_empty());
    assert_eq!(due(noon + jitter)[0].due_tick_ms, noon + jitter);
    // Before the first there is none.
    assert!(due(jitter - 1).is_empty());
}

#[test]
fn an_occurrence_is_dispatched_once() {
    let schedules = [schedule(" a ", "*/5m", "UTC"), schedule("b", "*/5m", "UTC")];
    let mut claims = Claims::default();
    let tick = ms("2026-06-01T12:00");
    let report = dispatch(&schedules, tick, &NoZones, &mut claims).unwrap();
    let one = |id: &str| {
        json!({
            "claim_key": format!("{id}:{tick}"), "schedule_id": id, "interval": "*/5m",
            "timezone": "UTC", "due_tick_ms": tick, "tick_ms": tick,
        })
    };
    let expected = json!({
        "tick_ms": tick, "due_count": 2, "dispatched": [one("a"), one("b")], "skipped_claims": [],
    });
    assert_eq!(value_of(&report), expected);
    // At the very tick again: due, and claimed. Later: not due any more, and not told of.
    let both = vec![format!("a:{tick}"), format!("b:{tick}")];
    assert_eq!(keys(&schedules, tick, &mut claims), (vec![], both));
    assert_eq!(keys(&schedules, tick + 1, &mut claims), (vec![], vec![]));
    let next = tick + 5 * MINUTE;
    let both = vec![format!("a:{next}"), format!("b:{next}")];
    assert_eq!(keys(&schedules, next, &mut claims), (both, vec![]));
    // The clock goes back: what was before the last is over.
    assert_eq!(keys(&schedules, tick + 1, &mut claims), (vec![], vec![]));
}

/// Of what was missed only the latest is dispatched, whether a schedule catches up or not.
#[test]
fn what_was_missed_is_dispatched_but_for_what_is_older() {
    let plain = [schedule("a", "*/5m", "UTC")];
    let catch_up = [catching_up(plain[0].clone())];
    let noon = ms("2026-06-01T12:00");
    for schedules in [&plain, &catch_up] {
        let mut claims = Claims::default();
        let first = vec![format!("a:{noon}")];
        assert_eq!(keys(schedules, noon + 7, &mut claims), (first, vec![]));
        let late = vec![format!("a:{}", noon + 20 * MINUTE)];
        assert_eq!(
            keys(schedules, noon + 24 * MINUTE, &mut claims),
            (late, vec![])
        );
        assert_eq!(
            keys(schedules, noon + 24 * MINUTE, &mut claims),
            (vec![], vec![])
        );
    }
    // One that catches up is not told of its claim at the very tick.
    let (mut claims, key) = (Claims::default(), vec![format!("a:{noon}")]);
    assert_eq!(keys(&catch_up, noon, &mut claims), (key.clone(), vec![]));
    assert_eq!(keys(&catch_up, noon, &mut claims), (vec![], vec![]));
    assert_eq!(keys(&plain, noon, &mut claims), (vec![], key));
}

#[test]
fn what_is_due_for_the_longest_is_first() {
    let schedules = [
        schedule("z", "*/1h", "UTC"),
        schedule("b", "*/5m", "UTC"),
        schedule("a", "*/5m", "UTC"),
        schedule("y", "0 0 * * *", "UTC"),
    ];
    let (noon, mut claims) = (ms("2026-06-01T12:00"), Claims::default());
    let (dispatched, _) = keys(&schedules, noon + 11 * MINUTE, &mut claims);
    let ids: Vec<&str> = dispatched.iter().map(|key| &key[..1]).collect();
    assert_eq!(ids, ["y", "z", "a", "b"]);
}

/// The original forgot after a day that a rare schedule had been dispatched, and did so every day.
#[test]
fn a_rare_schedule_is_dispatched_once_for_each_occurrence() {
    let (noon, mut claims) = (ms("2026-06-01T12:00"), Claims::default());
    let schedules = [schedule("a", "0 12 1 * *", "UTC")];
    let told: usize = (0..60)
        .map(|day| {
            keys(&schedules, noon + day * DAY + MINUTE, &mut claims)
                .0
                .len()
        })
        .sum();
    assert_eq!(told, 2, "June and July");
}

/// After a day a claim is forgotten, and the last occurrence of a schedule that is not handed in any more.
#[test]
fn claims_are_kept_for_a_day() {
    let (noon, mut claims) = (ms("2026-06-01T12:00"), Claims::default());
    let schedules = [schedule("a", "0 12 1 * *", "UTC")];
    assert_eq!(keys(&schedules, noon, &mut claims).0.len(), 1);
    assert_eq!(keys(&schedules, noon + DAY, &mut claims).0.len(), 0);
    assert_eq!(claims.len(), 1);
    assert_eq!(keys(&[], noon + DAY + 1, &mut claims).0.len(), 0);
    assert_eq!(claims, Claims::default());
    assert_eq!(keys(&schedules, noon + DAY + 1, &mut claims).0.len(), 1);
    assert_eq!(keys(&schedules, noon + DAY + 1, &mut claims).0.len(), 0);
}

#[test]
fn claims_have_a_bound() {
    let mut claims = Claims::default();
    for round in 0..20_u64 {
        let schedules: Vec<_> = (0..MAX_SCHEDULES)
            .map(|n| schedule(&format!("{round}-{n}"), "*/1m", "UTC"))
            .collect();
        let tick = (1_000_000 + round) * MINUTE;
        assert_eq!(keys(&schedules, tick, &mut claims).0.len(), MAX_SCHEDULES);
        // What was dispatched just now is the last to be forgotten.
        assert_eq!(keys(&schedules, tick, &mut claims).1.len(), MAX_SCHEDULES);
        assert_eq!(
            claims.len(),
            4_096.min((round as usize + 1) * MAX_SCHEDULES)
        );
    }
    let value = value_of(&claims);
    assert_eq!(value["last_due"].as_object().unwrap().len(), 4_096);
}

#[test]
fn claims_are_a_row() {
    let mut claims = Claims::default();
    assert_eq!(value_of(&claims), json!({ "claimed": {}, "last_due": {} }));
    assert_eq!(Claims::from_json(json!({})).unwrap(), claims);
    let tick = ms("2026-06-01T12:00");
    keys(&[schedule("a", "*/1h", "UTC")], tick + 5, &mut claims);
    let row = json!({ "claimed": { format!("a:{tick}"): tick + 5 }, "last_due": { "a": tick } });
    assert_eq!(value_of(&claims), row);
    assert_eq!(Claims::from_json(row).unwrap(), claims);
}
