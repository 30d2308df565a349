//! A whole life: what starts, breaks, comes back and ends (agent_lifecycle of the contract's tests).

use futures::StreamExt;

use super::sending::{resolve, send};
use super::*;
use crate::modules::ModuleHealth::{Failed, Healthy, Restarting, Starting, Stopped};
use crate::modules::delivery::DeliveryStatus;
use crate::modules::schedule::ScheduleDefinition;
use crate::runtime::EventFilter;
use crate::wire::{Cursor, SpawnMemberSpec};

#[test]
fn a_stream_goes_on_over_the_crash_of_a_module_and_everything_ends_in_order() {
    in_sim(1, async |_, host, disk| {
        let scheduling = Script::new(&host).tool("scheduling.dispatch", |_, _| {
            Ok(json!({ "runtime_injection": { "member_id": "bob", "message": "begin the shift" } }))
        });
        let builder = builder(&host, &disk)
            .module(ModuleConfig::built_in("router").unwrap())
            .module(ModuleConfig::built_in("delivery").unwrap())
            .module(scheduling.config("scheduling"));
        let runtime = builder.build().await.unwrap();
        let modules = runtime.modules().clone();
        modules.settled().await;
        let mut stream = runtime
            .event_texts(&EventFilter {
                after: Some(Cursor::START),
                ..EventFilter::default()
            })
            .unwrap();

        let report = runtime
            .reconcile(vec![
                SpawnMemberSpec::new("p", "ada").unwrap(),
                SpawnMemberSpec::new("p", "bob").unwrap(),
            ])
            .await
            .unwrap();
        assert_eq!(report.routing.added_route_keys.len(), 2);

        scheduling.crash("out of memory");
        settle(&host).await;
        let moves = moves(&modules, "scheduling");
        assert_eq!(moves, [Starting, Healthy, Failed, Restarting, Healthy]);

        let schedule = ScheduleDefinition {
            schedule_id: "shift".to_owned(),
            interval: "*/1h".to_owned(),
            timezone: "UTC".to_owned(),
            enabled: true,
            jitter_ms: 0,
            catch_up: false,
        };
        let tick = 1_772_438_400_000;
        let dispatched = modules
            .dispatch_schedule_tick(vec![schedule], tick)
            .await
            .unwrap();
        assert_eq!(dispatched.dispatched[0].runtime_injection_error, None);
        let resolution = resolve(&modules, "ada").await;
        let record = modules
            .send_delivery(send(&resolution, json!("hello"), None))
            .await
            .unwrap();
        assert_eq!(
            (record.status, record.sink.as_str()),
            (DeliveryStatus::Sent, "mob_member")
        );
        host.sleep(Duration::from_secs(6)).await;

        let shutdown = runtime.shutdown().await;
        assert_eq!(
            shutdown.module_shutdown.terminated_modules,
            ["router", "delivery", "scheduling"]
        );
        assert!(
            modules
                .statuses()
                .iter()
                .all(|it| it.health == Some(Stopped))
        );

        let mut types = Vec::new();
        while let Some(event) = stream.next().await {
            let event: Value = serde_json::from_str(&event.unwrap()).unwrap();
            let event_type = event["event"]["event_type"].as_str().map(str::to_owned);
            types.extend(event_type);
        }
        let wanted = [
            "supervisor.warning",
            "supervisor.restart",
            "dispatch",
            "injection.dispatch",
            "runtime.injection.executed",
            "resolved",
            "send",
        ];
        let mut told = types.iter();
        for wanted in wanted {
            assert!(
                told.any(|it| it == wanted),
                "{wanted} in its place: {types:?}"
            );
        }
        assert_eq!(
            types
                .iter()
                .filter(|it| *it == "interaction_complete")
                .count(),
            2
        );
    });
}
