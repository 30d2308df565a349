//! Schedules that the runtime holds.

use super::*;
use crate::mob::InteractionStatus;
use crate::modules::schedule::{ScheduleDefinition, TimeZones, latest_occurrence, next_occurrence};
use crate::modules::{HeldSchedule, ScheduleAction};
use crate::sim::SimRandom;

/// 2026-03-02, a Monday, at 08:00 UTC.
const MONDAY: u64 = 1_772_438_400_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn schedule(id: &str, interval: &str, timezone: &str) -> ScheduleDefinition {
    ScheduleDefinition {
        schedule_id: id.to_owned(),
        interval: interval.to_owned(),
        timezone: timezone.to_owned(),
        enabled: true,
        jitter_ms: 0,
        catch_up: false,
    }
}

fn tells(id: &str, interval: &str) -> HeldSchedule {
    HeldSchedule {
        schedule: schedule(id, interval, "Europe/Berlin"),
        action: ScheduleAction::Message {
            member_id: super::id("ada"),
            message: format!("{id} is due"),
        },
    }
}

/// What the member was told, in order.
async fn heard(runtime: &UnifiedRuntime) -> Vec<String> {
    let (messages, _) = runtime.session_history(&id("ada"), 0, 1_000).await.unwrap();
    let texts = messages
        .iter()
        .map(|it| serde_json::to_value(&it.message).unwrap());
    let asked = texts.filter(|message| message["role"] == "user");
    asked
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_next_occurrence_is_the_first_that_has_another_latest() {
    let zones = BundledZones::new();
    let day = 24 * HOUR;
    let cases = [
        ("*/15m", "UTC", MONDAY, MONDAY + 15 * MINUTE),
        ("*/15m", "UTC", MONDAY - 1, MONDAY),
        ("30 9 * * *", "Europe/Berlin", MONDAY, MONDAY + 30 * MINUTE),
        ("0 9 * * 1", "Europe/Berlin", MONDAY, MONDAY + 7 * day),
        // Over the night of the 29th of March in which the clocks go forward: half past two does not come.
        (
            "30 2 * * *",
            "Europe/Berlin",
            MONDAY + 26 * day,
            MONDAY + 27 * day - 6 * HOUR - 30 * MINUTE + day - HOUR,
        ),
        ("0 0 29 2 *", "UTC", MONDAY, 1_835_395_200_000),
        ("*/10s", "+05:30", MONDAY + 1, MONDAY + 10_000),
    ];
    for (interval, zone, after, wanted) in cases {
        let next = next_occurrence(&schedule("s", interval, zone), after, &zones).unwrap();
        let latest = |at| latest_occurrence(&schedule("s", interval, zone), at, &zones).unwrap();
        let next = next.unwrap();
        assert_eq!(latest(next), Some(next), "{interval} {zone}");
        assert!(
            latest(next - 1).is_none_or(|before| before <= after),
            "{interval} {zone}"
        );
        assert_eq!(next, wanted, "{interval} {zone}");
    }
    let random = SimRandom::new(3);
    let pick = |words: &[&'static str]| words[random.below(words.len() as u64) as usize];
    for _ in 0..200 {
        let minute = pick(&["*", "0", "7,31", "*/20", "10-12"]);
        let hour = pick(&["*", "3", "1-4", "*/6"]);
        let days = pick(&["* * *", "1 * *", "* 2,11 *", "* * 0", "13 * 5"]);
        let interval = format!("{minute} {hour} {days}");
        let zone = pick(&[
            "UTC",
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "+05:45",
        ]);
        let schedule = schedule("s", &interval, zone);
        let after = MONDAY + random.below(3 * 365 * day);
        let next = next_occurrence(&schedule, after, &zones).unwrap().unwrap();
        let latest = |at| latest_occurrence(&schedule, at, &zones).unwrap();
        assert!(next > after);
        assert_eq!(latest(next), Some(next), "{interval} {zone} {after}");
        assert!(
            latest(next - 1).is_none_or(|before| before <= after),
            "{interval} {zone} {after}"
        );
    }
    assert!(zones.is_known("Europe/Berlin"));
}

#[test]
fn a_schedule_tells_a_member_at_its_time_and_costs_one_timer() {
    in_sim(1, async |sim, host, disk| {
        sim.set_wall_clock(MONDAY + 1);
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        assert_eq!(sim.armed_timers(), 0);
        let view = modules
            .set_schedule(tells("daily", "30 9 * * *"))
            .await
            .unwrap();
        let due = MONDAY + 30 * MINUTE;
        assert_eq!(view.next_ms, [due, due + 24 * HOUR, due + 48 * HOUR]);
        assert_eq!(
            (view.schedule.schedule_id.as_str(), view.fired),
            ("daily", 0)
        );
        modules
            .set_schedule(tells("hourly", "0 * * * *"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(sim.armed_timers(), 1);
        host.sleep(Duration::from_millis(due - host.now_ms() - 1))
            .await;
        assert_eq!(heard(&runtime).await, [""; 0]);
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(heard(&runtime).await, ["daily is due"]);
        host.sleep(Duration::from_secs(1_800)).await;
        assert_eq!(heard(&runtime).await, ["daily is due", "hourly is due"]);
        let view = &modules.schedules()[0];
        assert_eq!(
            (view.last_due_ms, view.fired, view.error.as_ref()),
            (Some(due), 1, None)
        );
        let events = told(&runtime).await;
        let (module, event_type, payload) = &events[0];
        assert_eq!(
            (module.as_str(), event_type.as_str()),
            ("scheduling", "dispatch")
        );
        assert_eq!(payload["claim_key"], format!("daily:{due}"));
        modules.delete_schedule("hourly").await.unwrap();
        assert_eq!(
            kind(modules.delete_schedule("hourly").await),
            ModuleErrorKind::ScheduleNotFound
        );
        modules.delete_schedule("daily").await.unwrap();
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(sim.armed_timers(), 0);
    });
}

#[test]
fn what_was_missed_is_made_up_for_once() {
    in_sim(2, async |sim, host, disk| {
        sim.set_wall_clock(MONDAY + 1);
        let runtime = builder(&host, &disk).build().await.unwrap();
        runtime
            .modules()
            .set_schedule(tells("hourly", "0 * * * *"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(heard(&runtime).await.len(), 1);
        // The tab is closed over five of its times.
        drop(runtime);
        host.sleep(Duration::from_secs(5 * 3_600 + 60)).await;
        let runtime = builder(&host, &disk).build().await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(heard(&runtime).await.len(), 2, "once");
        let view = runtime.modules().schedules().remove(0);
        assert_eq!((view.fired, view.last_due_ms), (2, Some(MONDAY + 6 * HOUR)));
        drop(runtime);
        // And not again by the next start.
        let runtime = builder(&host, &disk).build().await.unwrap();
        host.sleep(Duration::from_secs(60)).await;
        assert_eq!(heard(&runtime).await.len(), 2);
        // A clock that jumps ahead makes no burst, and one that goes back repeats nothing.
        sim.set_wall_clock(MONDAY + 100 * HOUR + 1);
        host.sleep(Duration::from_secs(2 * 3_600)).await;
        let now = heard(&runtime).await.len();
        assert!((3..=5).contains(&now), "{now}");
        sim.set_wall_clock(MONDAY + 50 * HOUR + 1);
        host.sleep(Duration::from_secs(3 * 3_600)).await;
        assert_eq!(heard(&runtime).await.len(), now);
    });
}

#[test]
fn a_stopped_mob_and_a_schedule_that_is_off_are_silent() {
    in_sim(3, async |sim, host, disk| {
        sim.set_wall_clock(MONDAY + 1);
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let mut off = tells("off", "*/1m");
        off.schedule.enabled = false;
        assert_eq!(modules.set_schedule(off).await.unwrap().next_ms, [0; 0]);
        modules.set_schedule(tells("on", "*/1m")).await.unwrap();
        runtime.stop().await.unwrap();
        host.sleep(Duration::from_secs(600)).await;
        assert_eq!((heard(&runtime).await.len(), sim.armed_timers()), (0, 0));
        runtime.resume().await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(
            heard(&runtime).await,
            ["on is due"],
            "once for all that was missed"
        );
    });
}

#[test]
fn what_cannot_be_said_is_said_in_the_schedule() {
    in_sim(4, async |sim, host, disk| {
        sim.set_wall_clock(MONDAY + 1);
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        for (interval, zone, wanted) in [
            ("61 * * * *", "UTC", ModuleErrorKind::InvalidInterval),
            ("*/1m", "Mars/Olympus", ModuleErrorKind::InvalidTimezone),
        ] {
            let mut wrong = tells("x", interval);
            wrong.schedule.timezone = zone.to_owned();
            assert_eq!(kind(modules.set_schedule(wrong).await), wanted);
        }
        assert_eq!(
            kind(modules.set_schedule(tells(" ", "*/1m")).await),
            ModuleErrorKind::EmptyScheduleId
        );
        let mut nobody = tells("nobody", "*/1m");
        nobody.action = ScheduleAction::Message {
            member_id: super::id("zoe"),
            message: "x".into(),
        };
        modules.set_schedule(nobody).await.unwrap();
        let tool = HeldSchedule {
            schedule: schedule("tool", "*/1m", "UTC"),
            action: ScheduleAction::Tool {
                module_id: "gone".into(),
                tool: "x".into(),
                arguments: json!({}),
            },
        };
        modules.set_schedule(tool).await.unwrap();
        host.sleep(Duration::from_secs(61)).await;
        let errors: Vec<_> = modules
            .schedules()
            .into_iter()
            .map(|it| it.error.unwrap())
            .collect();
        assert_eq!(
            errors,
            ["mob member not found: zoe", "Module 'gone' not loaded"]
        );
        for n in 0..254 {
            modules
                .set_schedule(tells(&format!("n{n}"), "0 0 1 1 *"))
                .await
                .unwrap();
        }
        assert_eq!(
            kind(modules.set_schedule(tells("more", "*/1m")).await),
            ModuleErrorKind::TooManySchedules
        );
        modules.set_schedule(tells("n7", "*/1h")).await.unwrap();
    });
}

#[test]
fn the_alarm_rings_for_a_schedule_and_no_timer_waits() {
    in_sim(5, async |sim, host, disk| {
        sim.set_wall_clock(MONDAY + 1);
        let alarm = Rc::new(Alarm::default());
        let build = || builder(&host, &disk).wake(alarm.clone()).build();
        let runtime = build().await.unwrap();
        runtime
            .modules()
            .set_schedule(tells("hourly", "0 * * * *"))
            .await
            .unwrap();
        // Before whoever set it hears that it is set.
        assert_eq!(alarm.0.get(), (Some(MONDAY + HOUR), false));
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(sim.armed_timers(), 0);
        drop(runtime);
        host.sleep(Duration::from_millis(MONDAY + HOUR - host.now_ms()))
            .await;
        let runtime = build().await.unwrap();
        runtime.woken();
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(heard(&runtime).await, ["hourly is due"]);
        assert_eq!(alarm.0.get(), (Some(MONDAY + 2 * HOUR), false));
    });
}

/// A life over two times of a schedule that tells a member, and one that delivers to it.
async fn live(host: Host, disk: &SimDisk, storage: Rc<dyn Storage>) -> Vec<String> {
    let builder = builder(&host, disk)
        .storage(storage)
        .module(ModuleConfig::built_in("router").unwrap())
        .module(ModuleConfig::built_in("delivery").unwrap());
    let runtime = builder.build().await.unwrap();
    let modules = runtime.modules();
    modules
        .add_route(super::routing::route("m", "*", None, "mob_member"))
        .await
        .unwrap();
    for held in [
        tells("told", "*/1m"),
        HeldSchedule {
            schedule: schedule("sent", "*/1m", "UTC"),
            action: ScheduleAction::Delivery {
                recipient: "ada".into(),
                channel: None,
                payload: json!("sent is due"),
            },
        },
    ] {
        let known = modules.schedules();
        if !known
            .iter()
            .any(|it| it.schedule.schedule_id == held.schedule.schedule_id)
        {
            modules.set_schedule(held).await.unwrap();
        }
    }
    host.sleep(Duration::from_secs(70)).await;
    let open = runtime.status().mob_state;
    assert_eq!(open.as_str(), "running");
    heard(&runtime).await
}

#[test]
fn an_occurrence_is_told_once_over_a_crash_at_every_commit() {
    let whole = |seed, disk: &SimDisk, plan| {
        life(seed, disk, plan, async |host, storage| {
            live(host, disk, storage).await
        })
    };
    let disk = SimDisk::new();
    let whole_life = whole(1, &disk, StoragePlan::default()).unwrap();
    assert_eq!(whole_life.len(), 2, "{whole_life:?}");
    at_every_commit(disk.commits(), |at, plan, name| {
        let disk = SimDisk::new();
        let _ = whole(at, &disk, plan);
        // The clock of the simulation begins anew with each life: what the first life did lies in its past.
        let said = whole(at + 1_000, &disk, StoragePlan::default()).unwrap();
        for what in ["told is due", "sent is due"] {
            let count = said.iter().filter(|it| *it == what).count();
            assert_eq!(count, 1, "{name}: {said:?}");
        }
    });
    assert_eq!(InteractionStatus::Open.as_str(), "open");
}
