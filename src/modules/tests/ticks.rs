//! Schedules of a caller's (schedule_dispatch and swarm_integration of the contract's tests).

use super::*;
use crate::modules::schedule::{MAX_SCHEDULES, ScheduleDefinition};

const TICK: u64 = 1_772_438_400_000;

fn schedule(id: &str) -> ScheduleDefinition {
    ScheduleDefinition {
        schedule_id: id.to_owned(),
        interval: "*/1m".to_owned(),
        timezone: "UTC".to_owned(),
        enabled: true,
        jitter_ms: 0,
        catch_up: false,
    }
}

#[test]
fn a_tick_is_dispatched_once_over_restarts_too() {
    in_sim(1, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let due = modules.evaluate_schedules(&[schedule("a")], TICK).unwrap();
        assert_eq!(due.due_triggers.len(), 1);
        let report = modules
            .dispatch_schedule_tick(vec![schedule("a")], TICK)
            .await
            .unwrap();
        let dispatched = &report.dispatched[0];
        assert_eq!(
            (report.due_count, dispatched.dispatch.claim_key.as_str()),
            (1, "a:1772438400000")
        );
        assert_eq!(dispatched.event_id, "evt-schedule-a-1772438400000-0");
        assert_eq!(
            (&dispatched.runtime_injection, &dispatched.supervisor_signal),
            (&None, &None)
        );
        let again = modules
            .dispatch_schedule_tick(vec![schedule("a")], TICK)
            .await
            .unwrap();
        assert_eq!(
            (again.dispatched.len(), again.skipped_claims),
            (0, vec!["a:1772438400000".to_owned()])
        );
        runtime.shutdown().await;
        let runtime = builder(&host, &disk).build().await.unwrap();
        let again = runtime
            .modules()
            .dispatch_schedule_tick(vec![schedule("a")], TICK)
            .await
            .unwrap();
        assert_eq!((again.dispatched.len(), again.skipped_claims.len()), (0, 1));
        let next = runtime
            .modules()
            .dispatch_schedule_tick(vec![schedule("a")], TICK + 60_000)
            .await
            .unwrap();
        assert_eq!(next.dispatched.len(), 1);
        assert_eq!(told(&runtime).await.len(), 2);
    });
}

#[test]
fn wrong_schedules_are_refused_all_at_once() {
    in_sim(2, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let twice = modules
            .dispatch_schedule_tick(vec![schedule("a"), schedule(" a ")], TICK)
            .await;
        assert_eq!(
            twice.unwrap_err().to_string(),
            "duplicate schedule_id 'a' is not allowed"
        );
        let many = (0..=MAX_SCHEDULES)
            .map(|n| schedule(&n.to_string()))
            .collect();
        assert_eq!(
            kind(modules.dispatch_schedule_tick(many, TICK).await),
            ModuleErrorKind::TooManySchedules
        );
        assert_eq!(
            kind(modules.evaluate_schedules(&[schedule("a")], u64::MAX)),
            ModuleErrorKind::InvalidTickMs
        );
        assert_eq!(told(&runtime).await.len(), 0);
    });
}

#[test]
fn the_module_says_what_is_to_be_said_to_whom() {
    in_sim(3, async |_, host, disk| {
        let scheduling = Script::new(&host).tool("scheduling.dispatch", |args, _| match args["schedule_id"].as_str() {
            Some("silent") => Ok(json!({})),
            Some("broken") => Err(failed("lost")),
            Some("nobody") => Ok(json!({ "runtime_injection": { "member_id": "zoe", "message": "x" } })),
            _ => Ok(json!({ "runtime_injection": { "member_id": "ada", "message": "water the plants" } })),
        });
        let runtime = builder(&host, &disk)
            .module(scheduling.config("scheduling"))
            .build()
            .await
            .unwrap();
        let modules = runtime.modules();
        modules.settled().await;
        scheduling.crash("once");
        settle(&host).await;
        let names = ["silent", "broken", "nobody", "plants"];
        let report = modules
            .dispatch_schedule_tick(names.iter().map(|it| schedule(it)).collect(), TICK)
            .await
            .unwrap();
        assert_eq!(report.dispatched.len(), 4);
        for dispatched in report.dispatched {
            let injection = dispatched.runtime_injection;
            let error = dispatched.runtime_injection_error;
            let signal = dispatched.supervisor_signal.unwrap();
            assert!(
                signal.starts_with("evt-scheduling-supervisor-1772438400000-"),
                "{signal}"
            );
            match dispatched.dispatch.schedule_id.as_str() {
                "silent" => assert_eq!((injection, error), (None, None)),
                "broken" => assert_eq!((injection, error.as_deref()), (None, Some("lost"))),
                "nobody" => {
                    assert_eq!(injection.unwrap().member_id, "zoe");
                    assert_eq!(
                        error.unwrap(),
                        "mob injection failed: mob member not found: zoe"
                    );
                }
                _ => {
                    assert_eq!(injection.unwrap().message, "water the plants");
                    assert_eq!(error, None);
                }
            }
        }
        host.sleep(Duration::from_secs(1)).await;
        let (messages, _) = runtime.session_history(&id("ada"), 0, 10).await.unwrap();
        let said = serde_json::to_string(&messages[0].message).unwrap();
        assert!(said.contains("water the plants"), "{said}");
        let events = told(&runtime).await;
        let of = |wanted: &str| events.iter().filter(|it| it.1 == wanted).count();
        assert_eq!(
            (
                of("dispatch"),
                of("supervisor.restart"),
                of("injection.dispatch")
            ),
            (4, 1, 2)
        );
        assert_eq!(
            (
                of("runtime.injection.executed"),
                of("runtime.injection.failed"),
                of("injection.failed")
            ),
            (1, 1, 1)
        );
        let failed = events
            .iter()
            .find(|it| it.1 == "runtime.injection.failed")
            .unwrap();
        assert_eq!(
            (&failed.0, &failed.2["error_kind"]),
            (&"runtime".to_owned(), &json!("mob_runtime"))
        );
        runtime.shutdown().await;
        let refused = modules
            .dispatch_schedule_tick(vec![schedule("a")], TICK)
            .await;
        assert_eq!(refused.unwrap_err().code(), "runtime_shutting_down");
    });
}

#[test]
fn what_a_schedule_says_is_said_once_over_a_crash_at_every_commit() {
    let whole = |seed, disk: &SimDisk, plan| {
        life(seed, disk, plan, async |host, storage| {
            let scheduling = Script::new(&host).tool("scheduling.dispatch", |_, _| {
                Ok(json!({ "runtime_injection": { "member_id": "ada", "message": "water the plants" } }))
            });
            let runtime = builder(&host, disk)
                .storage(storage)
                .module(scheduling.config("scheduling"))
                .build()
                .await
                .unwrap();
            let modules = runtime.modules();
            modules
                .dispatch_schedule_tick(vec![schedule("a")], TICK)
                .await
                .unwrap();
            host.sleep(Duration::from_secs(6)).await;
            let (messages, _) = runtime.session_history(&id("ada"), 0, 50).await.unwrap();
            let said = messages
                .iter()
                .map(|it| serde_json::to_string(&it.message).unwrap());
            said.filter(|it| it.contains("water the plants")).count()
        })
    };
    let disk = SimDisk::new();
    assert_eq!(whole(1, &disk, StoragePlan::default()).unwrap(), 1);
    at_every_commit(disk.commits(), |at, plan, name| {
        let disk = SimDisk::new();
        let _ = whole(at, &disk, plan);
        let said = whole(at + 1_000, &disk, StoragePlan::default());
        assert_eq!(said.unwrap(), 1, "{name}");
    });
}
