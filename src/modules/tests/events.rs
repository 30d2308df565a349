//! What modules tell, and what is told again (core_types_and_rpc and swarm_integration of the contract's tests).

use super::*;
use crate::mob::SendRequest;
use crate::modules::events::normalised;
use crate::modules::{SubscribeRequest, SubscribeScope};
use crate::wire::TimestampMs;

#[test]
fn events_come_with_a_tag_or_flat_or_short() {
    let read = |told: Value| normalised("mod", &told, TimestampMs::new(7), || "fresh".to_owned());
    let whole = json!({
        "event_id": "e1", "source": "module", "timestamp_ms": 5,
        "event": { "kind": "module", "module": "mod", "event_type": "done", "payload": { "n": 1 } },
    });
    let flat = json!({ "event_id": "e1", "source": "module", "timestamp_ms": 5, "module": "mod", "event_type": "done", "payload": { "n": 1 } });
    assert_eq!(read(whole.clone()).unwrap(), read(flat.clone()).unwrap());
    let event = read(whole).unwrap();
    assert_eq!(
        (
            event.id.as_str(),
            event.timestamp_ms.get(),
            event.event.event_type.as_str()
        ),
        ("e1", 5, "done")
    );
    let short = read(json!({ "event_type": "done" })).unwrap();
    assert_eq!(
        (
            short.id.as_str(),
            short.timestamp_ms.get(),
            &short.event.payload
        ),
        ("fresh", 7, &Value::Null)
    );
    let with = |name: &str, value: Value| {
        let mut told = flat.clone();
        told[name] = value;
        told
    };
    let wrong = [
        (json!(7), "invalid_schema", "event"),
        (json!({}), "missing_field", "event_type"),
        (with("event", json!("x")), "invalid_field_type", "event"),
        (
            with("event_type", json!("")),
            "invalid_field_type",
            "event_type",
        ),
        (
            with("event_type", json!("a\nb")),
            "invalid_field_type",
            "event_type",
        ),
        (
            with("timestamp_ms", json!(-1)),
            "invalid_field_type",
            "timestamp_ms",
        ),
        (with("source", json!("agent")), "source_mismatch", "source"),
        (with("module", json!("other")), "source_mismatch", "module"),
        (with("kind", json!("agent")), "source_mismatch", "kind"),
    ];
    for (told, problem, field) in wrong {
        let error = read(told).unwrap_err();
        assert_eq!(error.kind, ModuleErrorKind::InvalidEvent);
        assert_eq!(
            (&error.data["problem"], &error.data["field"]),
            (&json!(problem), &json!(field))
        );
    }
}

async fn subscribe(
    modules: &Modules,
    scope: SubscribeScope,
    last: Option<&str>,
    whose: Option<&str>,
) -> Value {
    let request = SubscribeRequest {
        scope,
        last_event_id: last.map(str::to_owned),
        agent_id: whose.map(str::to_owned),
    };
    serde_json::from_str(&modules.subscribe_events(&request).await.unwrap()).unwrap()
}

fn ids(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn row_10_a_subscription_tells_again_what_is_kept_and_puts_late_events_in_their_place() {
    in_sim(1, async |sim, host, disk| {
        sim.set_wall_clock(1_000_000);
        let script = Script::echo(&host);
        let build = || builder(&host, &disk).module(script.config("mod")).build();
        let runtime = build().await.unwrap();
        let modules = runtime.modules();
        modules.settled().await;
        for (name, at) in [("m1", 1_000_010), ("m3", 1_000_030), ("m2", 1_000_020)] {
            script.tell(json!({ "event_id": name, "timestamp_ms": at, "event_type": "interaction_noted", "payload": null })).unwrap();
        }
        written(&host).await;
        let mob = subscribe(modules, SubscribeScope::Mob, None, None).await;
        assert_eq!(ids(&mob), ["m1", "m2", "m3"]);
        assert_eq!(
            mob["keep_alive"],
            json!({ "interval_ms": 15_000, "event": "keep-alive" })
        );
        assert_eq!(
            mob["events"][0],
            json!({
                "event_id": "m1", "source": "module", "timestamp_ms": 1_000_010,
                "event": { "kind": "module", "module": "mod", "event_type": "interaction_noted", "payload": null },
            })
        );
        let frame = mob["event_frames"][0].as_str().unwrap();
        assert!(
            frame.starts_with("id: m1\nevent: interaction_noted\ndata: {\"event_id\":\"m1\",")
                && frame.ends_with("}\n\n"),
            "{frame}"
        );
        runtime
            .ask(&id("ada"), SendRequest::new("hi"))
            .await
            .unwrap();
        // Inclusive, and across kinds; what was told after it though it is older comes too.
        let after = subscribe(modules, SubscribeScope::Mob, Some("m3"), None).await;
        assert_eq!(ids(&after)[..2], ["m2", "m3"]);
        assert_eq!(after["replay_from_event_id"], "m3");
        let agent = subscribe(modules, SubscribeScope::Agent, None, Some("ada:0")).await;
        assert_eq!(
            ids(&agent),
            ids(&subscribe(modules, SubscribeScope::Agent, None, Some("ada")).await)
        );
        assert!(ids(&agent).len() > 3 && ids(&agent).iter().all(|id| id.starts_with("evt-agent-")));
        let interaction = subscribe(modules, SubscribeScope::Interaction, None, None).await;
        assert_eq!(ids(&interaction).len(), 4);
        runtime.shutdown().await;
        // What happened before a reload is told again too.
        let runtime = build().await.unwrap();
        let after = subscribe(runtime.modules(), SubscribeScope::Mob, Some("m2"), None).await;
        assert_eq!(ids(&after)[0], "m2");
        let wrong = [
            (
                SubscribeScope::Mob,
                Some(" "),
                None,
                ModuleErrorKind::EmptyCheckpoint,
            ),
            (
                SubscribeScope::Mob,
                Some("x"),
                None,
                ModuleErrorKind::UnknownCheckpoint,
            ),
            (
                SubscribeScope::Agent,
                Some("m1"),
                Some("ada"),
                ModuleErrorKind::UnknownCheckpoint,
            ),
            (
                SubscribeScope::Agent,
                None,
                None,
                ModuleErrorKind::MissingAgentId,
            ),
            (
                SubscribeScope::Agent,
                None,
                Some(" "),
                ModuleErrorKind::InvalidAgentId,
            ),
        ];
        for (scope, last, whose, wanted) in wrong {
            let request = SubscribeRequest {
                scope,
                last_event_id: last.map(str::to_owned),
                agent_id: whose.map(str::to_owned),
            };
            assert_eq!(
                kind(runtime.modules().subscribe_events(&request).await),
                wanted
            );
        }
    });
}

#[test]
fn row_10_only_what_is_truly_evicted_is_unknown() {
    in_sim(2, async |_, host, disk| {
        let script = Script::echo(&host);
        let runtime = builder(&host, &disk)
            .module(script.config("mod"))
            .build()
            .await
            .unwrap();
        let modules = runtime.modules();
        modules.settled().await;
        for n in 0..5_000_u64 {
            script
                .tell(json!({ "event_id": format!("m{n}"), "timestamp_ms": n, "event_type": "n" }))
                .unwrap();
        }
        written(&host).await;
        let latest = subscribe(modules, SubscribeScope::Mob, None, None).await;
        assert_eq!(
            (ids(&latest).len(), ids(&latest)[255].as_str()),
            (256, "m4999")
        );
        let from = subscribe(modules, SubscribeScope::Mob, Some("m904"), None).await;
        assert_eq!((ids(&from).len(), ids(&from)[0].as_str()), (4_096, "m904"));
        let request = SubscribeRequest {
            last_event_id: Some("m903".into()),
            ..SubscribeRequest::default()
        };
        assert_eq!(
            kind(modules.subscribe_events(&request).await),
            ModuleErrorKind::UnknownCheckpoint
        );
    });
}
