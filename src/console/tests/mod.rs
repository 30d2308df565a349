//! The contract over a runtime on the simulator: envelopes, parameters, answers, streams, and input that makes no sense.

mod fuzz;
mod golden;
mod reference;
mod timeline;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::agent::demo::DemoModel;
use crate::agent::scripted::{Reply, ScriptedModel};
use crate::mob::definition::MobDefinition;
use crate::sim::{Sim, SimRandom};
use crate::storage::MemoryStorage;

const MOB: &str = r#"
[mob]
id = "m"
orchestrator = "lead"
[profiles.lead]
model = "scripted"
peer_description = "Leads"
[profiles.worker]
model = "scripted"
external_addressable = false
[wiring]
auto_wire_orchestrator = true
[[members]]
profile = "lead"
identity = "lead"
[[members]]
profile = "worker"
identity = "w-1"
"#;

/// A runtime with a lead and a wired worker whose model answers every message with `done`.
async fn open(sim: &Sim) -> UnifiedRuntime {
    UnifiedRuntime::builder()
        .definition(MobDefinition::from_toml(MOB).unwrap())
        .host(sim.host())
        .storage(Rc::new(MemoryStorage::new()))
        .model(
            "scripted",
            Rc::new(ScriptedModel::answering(sim.host(), |_| {
                Reply::text("done")
            })),
        )
        .build()
        .await
        .unwrap()
}

fn with_runtime<F: Future>(test: impl FnOnce(UnifiedRuntime, Rc<Sim>) -> F) {
    let sim = Rc::new(Sim::new(7));
    sim.block_on(async {
        let runtime = open(&sim).await;
        test(runtime, sim.clone()).await;
    });
}

async fn text(response: FetchResponse) -> String {
    match response.body {
        FetchBody::Full(bytes) => String::from_utf8(bytes).unwrap(),
        FetchBody::Stream(_) => panic!("a stream"),
    }
}

async fn post(runtime: &UnifiedRuntime, body: &str) -> String {
    let request = FetchRequest {
        body: body.as_bytes().to_vec(),
        ..FetchRequest::post_json("/console/rpc", &Value::Null)
    };
    let response = fetch(runtime, request).await;
    assert_eq!(response.status, 200);
    text(response).await
}

async fn answer(runtime: &UnifiedRuntime, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    serde_json::from_str(&post(runtime, &body.to_string()).await).unwrap()
}

async fn ok(runtime: &UnifiedRuntime, method: &str, params: Value) -> Value {
    let mut answer = answer(runtime, method, params).await;
    assert_eq!(answer["error"], Value::Null, "{method}");
    answer["result"].take()
}

async fn refused(runtime: &UnifiedRuntime, method: &str, params: Value) -> (i64, String, Value) {
    let mut answer = answer(runtime, method, params.clone()).await;
    assert_eq!(answer.get("result"), None, "{method} {params}");
    let error = answer["error"].take();
    (
        error["code"].as_i64().unwrap(),
        error["message"].as_str().unwrap().to_owned(),
        error["data"].clone(),
    )
}

#[test]
fn envelopes_are_answered_as_the_contract_says() {
    with_runtime(async |runtime, _| {
        let invalid = r#"{"error":{"code":-32600,"data":{"code":"invalid_request","kind":"invalid_request"},"message":"Invalid Request"},"id":null,"jsonrpc":"2.0"}"#;
        let parse = r#"{"error":{"code":-32700,"data":{"code":"parse_error","kind":"parse_error"},"message":"Parse error"},"id":null,"jsonrpc":"2.0"}"#;
        let cases = [
            ("", parse),
            ("{", parse),
            ("{} {}", parse),
            ("\u{feff}{}", parse),
            ("[]", invalid),
            ("7", invalid),
            ("null", invalid),
            ("{}", invalid),
            (r#"{"id":1,"method":"mobkit/status"}"#, invalid),
            (
                r#"{"jsonrpc":2.0,"id":1,"method":"mobkit/status"}"#,
                invalid,
            ),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"mobkit/status"}"#,
                invalid,
            ),
            (r#"{"jsonrpc":"2.0","id":1}"#, invalid),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, invalid),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, invalid),
            (r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, invalid),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"mobkit/status","params":3}"#,
                invalid,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"mobkit/status","params":[]}"#,
                r#"{"error":{"code":-32602,"data":{"code":"invalid_params","kind":"invalid_params"},"message":"Invalid params: params must be a JSON object"},"id":"a","jsonrpc":"2.0"}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"mobkit/nothing"}"#,
                r#"{"error":{"code":-32601,"data":{"code":"method_not_found","kind":"method_not_found"},"message":"Method not found: mobkit/nothing"},"id":null,"jsonrpc":"2.0"}"#,
            ),
            (r#"{"jsonrpc":"2.0","method":"mobkit/nothing"}"#, ""),
            (
                r#"{"jsonrpc":"2.0","method":"mobkit/status","params":[]}"#,
                "",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"mobkit/stop","params":null}"#,
                r#"{"id":1.5,"jsonrpc":"2.0","result":{"accepted":true,"changed":true}}"#,
            ),
        ];
        for (body, want) in cases {
            // The order of an object's fields says nothing.
            let read = |text: &str| serde_json::from_str::<Value>(text).ok();
            assert_eq!(read(&post(&runtime, body).await), read(want), "{body}");
        }
        let deep = "[".repeat(100_000);
        let answer = post(&runtime, &deep).await;
        assert!(answer.contains("-32700"), "{answer}");
    });
}

#[test]
fn a_notification_is_answered_by_nothing_and_done_all_the_same() {
    with_runtime(async |runtime, _| {
        let body = r#"{"jsonrpc":"2.0","method":"mobkit/spawn_member","params":{"profile":"worker","meerkat_id":"w-2"}}"#;
        assert_eq!(post(&runtime, body).await, "");
        assert_eq!(runtime.members().len(), 3);
    });
}

#[test]
fn waiting_over_http_has_an_end_whether_nothing_or_null_is_said_of_it() {
    with_runtime(async |runtime, sim| {
        let slow = ScriptedModel::answering(sim.host(), |_| {
            Reply::text("at last").after(Duration::from_secs(600))
        });
        runtime.set_model("scripted", Some(Rc::new(slow)));
        let send = json!({"member_id": "lead", "message": "think"});
        let sent = ok(&runtime, "mobkit/send_message", send).await;
        for wait in [
            json!({"interaction_id": sent["interaction_id"]}),
            json!({"interaction_id": sent["interaction_id"], "timeout_ms": null}),
        ] {
            let begun = sim.host().now_ms();
            let outcome = ok(&runtime, "mobkit/wait_interaction", wait).await;
            assert_eq!(outcome["status"], "open");
            assert_eq!(sim.host().now_ms() - begun, 60_000);
        }
    });
}

#[test]
fn what_is_advertised_is_what_there_is() {
    with_runtime(async |runtime, _| {
        let capabilities = ok(&runtime, "mobkit/capabilities", Value::Null).await;
        assert_eq!(
            (
                &capabilities["contract_version"],
                &capabilities["runtime_type"]
            ),
            (&json!("0.5.0"), &json!("unified"))
        );
        let methods: Vec<&str> = capabilities["methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert_eq!(methods.len(), 74);
        assert_eq!(
            methods.iter().collect::<BTreeSet<_>>().len(),
            methods.len(),
            "each once"
        );
        for method in methods {
            let answer = answer(&runtime, method, json!({"no such parameter": 1})).await;
            assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        }
    });
}

#[test]
fn members_are_found_ensured_and_reconciled() {
    with_runtime(async |runtime, _| {
        let spec = json!({"role": "worker", "agent_identity": "w-2", "labels": {"team": "core"}});
        for _ in 0..2 {
            let entry = ok(&runtime, "mobkit/ensure_member", spec.clone()).await;
            assert_eq!(entry["agent_identity"], "w-2");
        }
        let by_label = json!({"label_key": "team", "label_value": "core"});
        let found = ok(&runtime, "mobkit/find_members", by_label).await;
        assert_eq!(
            (found.as_array().unwrap().len(), &found[0]["agent_identity"]),
            (1, &json!("w-2"))
        );
        let found = ok(
            &runtime,
            "mobkit/find_members",
            json!({"label_key": "team", "label_value": "x"}),
        )
        .await;
        assert_eq!(found, json!([]));
        assert_eq!(
            ok(&runtime, "mobkit/get_member", json!({"member_id": "w-2"})).await["role"],
            "worker"
        );
        let (code, _, _) = refused(&runtime, "mobkit/get_member", json!({"member_id": "x"})).await;
        assert_eq!(code, -32602);

        let specs = json!({"specs": [{"profile": "lead", "identity": "lead"}, {"profile": "worker", "identity": "w-3"}]});
        let report = ok(&runtime, "mobkit/reconcile_members", specs).await;
        assert_eq!(report["mob"]["retired"], json!(["w-1", "w-2"]));
        assert_eq!(
            report["mob"]["spawned"],
            json!([{"member_ref": "w-3", "agent_identity": "w-3"}])
        );
        assert_eq!(report["routing"]["router_module_loaded"], false);
        let specs = json!({"specs": [{"profile": "nothing", "identity": "x"}]});
        let (code, _, data) = refused(&runtime, "mobkit/reconcile_members", specs).await;
        assert_eq!((code, &data["code"]), (-32000, &json!("partial_failure")));
        assert_eq!(data["mob"]["failures"][0]["stage"], "spawn");

        let nothing = json!({"status": "no_discovery_configured"});
        assert_eq!(
            ok(&runtime, "mobkit/rediscover", Value::Null).await,
            nothing
        );
        let edges = ok(&runtime, "mobkit/reconcile_edges", Value::Null).await;
        assert_eq!(edges["wired_edges"], json!([]));
        assert_eq!(
            ok(&runtime, "mobkit/bootstrap_edges_report", Value::Null).await,
            Value::Null
        );
        ok(
            &runtime,
            "mobkit/spawn_member",
            json!({"profile": "worker", "meerkat_id": "w-9"}),
        )
        .await;
        let reset = ok(&runtime, "mobkit/reset_all", Value::Null).await;
        assert_eq!(reset, json!({"retired": ["w-9"], "failed": []}));
    });
}

#[test]
fn labels_are_set_read_and_deleted() {
    with_runtime(async |runtime, _| {
        let accepted = json!({"accepted": true});
        let labels = |value: Value| json!({ "labels": value });
        for (scope, run) in [("mob", json!({})), ("run", json!({"run_id": "r"}))] {
            let method = |verb: &str| format!("mobkit/{scope}_labels/{verb}");
            let with = |more: Value| {
                let mut params = run.clone();
                params
                    .as_object_mut()
                    .unwrap()
                    .extend(more.as_object().unwrap().clone());
                params
            };
            assert_eq!(
                ok(&runtime, &method("get"), run.clone()).await,
                labels(json!({}))
            );
            let set = with(labels(json!({"a": "1", "b": "2"})));
            assert_eq!(ok(&runtime, &method("set"), set).await, accepted);
            ok(&runtime, &method("set"), with(labels(json!({"a": "3"})))).await;
            assert_eq!(
                ok(&runtime, &method("get"), run.clone()).await,
                labels(json!({"a": "3"}))
            );
            // The contract's trap: a set without labels clears.
            assert_eq!(ok(&runtime, &method("set"), run.clone()).await, accepted);
            assert_eq!(
                ok(&runtime, &method("get"), run.clone()).await,
                labels(json!({}))
            );
            for wrong in [json!(["a"]), json!({"a": 1}), json!("a")] {
                let (code, message, _) =
                    refused(&runtime, &method("set"), with(labels(wrong))).await;
                let text = "Invalid params: labels must be a map of string to string";
                assert_eq!((code, message.as_str()), (-32602, text));
            }
            ok(&runtime, &method("set"), with(labels(json!({"a": "3"})))).await;
            assert_eq!(ok(&runtime, &method("delete"), run.clone()).await, accepted);
            assert_eq!(
                ok(&runtime, &method("get"), run.clone()).await,
                labels(json!({}))
            );
        }
        let (code, message, _) =
            refused(&runtime, "mobkit/run_labels/get", json!({"run_id": " "})).await;
        assert_eq!(
            (code, message.as_str()),
            (-32602, "Invalid params: run_id must be a non-empty string")
        );
    });
}

#[test]
fn wrong_parameters_have_fixed_texts() {
    with_runtime(async |runtime, _| {
        let long = "x".repeat(129);
        let cases = [
            (
                "mobkit/status",
                json!({"x": 1}),
                -32602,
                "Invalid params: unknown parameter 'x'; the method takes none",
            ),
            (
                "mobkit/member_status",
                json!({}),
                -32602,
                "Invalid params: member_id must be a non-empty string",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": null}),
                -32602,
                "Invalid params: member_id must be a non-empty string",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": " "}),
                -32602,
                "Invalid params: member_id must be a non-empty string",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": 1}),
                -32602,
                "Invalid params: member_id must be a non-empty string",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": "a b"}),
                -32602,
                "Invalid params: member_id: invalid name \"a b\": a name must not contain white space",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": long}),
                -32602,
                "must not be longer than 128 bytes",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": "ghost"}),
                -32001,
                "mob member not found: ghost",
            ),
            (
                "mobkit/member_status",
                json!({"member_id": "lead", "deep": 1}),
                -32602,
                "Invalid params: unknown parameter 'deep'; the method takes: member_id",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "lead"}),
                -32602,
                "Invalid params: content must be a string or an array of content blocks",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "lead", "content": 1, "message": "hi"}),
                -32602,
                "Invalid params: content must be a string or an array of content blocks",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "lead", "content": [{"type": "sound"}]}),
                -32602,
                "content must be a string or",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "lead", "content": " \n"}),
                -32602,
                "Invalid params: content must not be blank",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "lead", "content": "x", "handling_mode": "soon"}),
                -32602,
                "Invalid params: handling_mode must be one of: queue, steer",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "lead", "content": "x", "origin": ""}),
                -32602,
                "Invalid params: origin must be a non-empty string",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "ghost", "content": "x"}),
                -32001,
                "mob member not found: ghost",
            ),
            (
                "mobkit/send_message",
                json!({"member_id": "w-1", "content": "x"}),
                -32002,
                "not externally addressable: w-1",
            ),
            (
                "mobkit/cancel_interaction",
                json!({}),
                -32602,
                "Invalid params: interaction_id must be a non-empty string",
            ),
            (
                "mobkit/cancel_interaction",
                json!({"interaction_id": "none"}),
                -32001,
                "interaction not found: none",
            ),
            (
                "mobkit/force_cancel_member",
                json!({"member_id": "ghost"}),
                -32001,
                "mob member not found: ghost",
            ),
            (
                "mobkit/spawn_member",
                json!({"profile": "worker"}),
                -32602,
                "Invalid params: missing field `identity`",
            ),
            (
                "mobkit/spawn_member",
                json!({"profile": "worker", "meerkat_id": "a/b"}),
                -32602,
                "must not contain '/'",
            ),
            (
                "mobkit/spawn_member",
                json!({"profile": "worker", "meerkat_id": "w-2", "shell_env": {}}),
                -32602,
                "unknown field `shell_env`",
            ),
            (
                "mobkit/spawn_member",
                json!({"module_id": "router"}),
                -32602,
                "Invalid params: module 'router' is not configured",
            ),
            (
                "mobkit/spawn_member",
                json!({"profile": "king", "meerkat_id": "k"}),
                -32602,
                "Invalid params: profile not found: king",
            ),
            (
                "mobkit/spawn_member",
                json!({"profile": "worker", "meerkat_id": "w-1"}),
                -32000,
                "mob member already exists: w-1",
            ),
            (
                "mobkit/retire_member",
                json!({"member_id": "ghost"}),
                -32001,
                "mob member not found: ghost",
            ),
            (
                "mobkit/respawn_member",
                json!({"member_id": "ghost"}),
                -32001,
                "mob member not found: ghost",
            ),
            (
                "mobkit/wire_members",
                json!({"a": "lead"}),
                -32602,
                "Invalid params: b must be a non-empty string",
            ),
            (
                "mobkit/wire_members",
                json!({"a": "lead", "b": "lead"}),
                -32000,
                "wiring error",
            ),
            (
                "mobkit/unwire_members",
                json!({"a": "lead", "b": "ghost"}),
                -32001,
                "mob member not found: ghost",
            ),
            (
                "mobkit/mob_events/query",
                json!({"afterSeq": 1}),
                -32602,
                "unknown field `afterSeq`",
            ),
            (
                "mobkit/mob_events/query",
                json!({"after_seq": -1}),
                -32602,
                "Invalid params: ",
            ),
            (
                "mobkit/mob_events/query",
                json!({"after_seq": "1x"}),
                -32602,
                "Invalid params: ",
            ),
            (
                "mobkit/mob_events/query",
                json!({"limit": 200_001}),
                -32602,
                "Invalid params: limit must be an integer between 0 and 200000",
            ),
            (
                "mobkit/query_events",
                json!({"event_types": "x"}),
                -32602,
                "Invalid params: ",
            ),
            (
                "mobkit/session_history",
                json!({"member_id": "lead", "limit": -1}),
                -32602,
                "Invalid params: limit must be an integer between 0 and 200000",
            ),
            (
                "mobkit/session_history",
                json!({"member_id": "lead", "offset": 1.5}),
                -32602,
                "Invalid params: offset must be an integer",
            ),
            (
                "mobkit/session_history",
                json!({"member_id": "ghost"}),
                -32001,
                "mob member not found: ghost",
            ),
        ];
        for (method, params, code, text) in cases {
            let got = refused(&runtime, method, params.clone()).await;
            assert_eq!(got.0, code, "{method} {params}: {}", got.1);
            assert!(
                got.1.contains(text),
                "{method} {params}:\n  got  {}\n  want {text}",
                got.1
            );
            assert!(got.2["code"].is_string(), "{method} {params}: {}", got.2);
        }
        let (_, _, data) = refused(
            &runtime,
            "mobkit/member_status",
            json!({"member_id": "ghost"}),
        )
        .await;
        assert_eq!(
            data,
            json!({"code": "member_not_found", "kind": "member_not_found", "member_id": "ghost"})
        );
        assert_eq!(runtime.members().len(), 2, "nothing was done");
    });
}

#[test]
fn a_stale_cursor_says_how_far_the_log_goes() {
    with_runtime(async |runtime, _| {
        let latest = runtime.status().latest_mob_cursor.get();
        for method in ["mobkit/mob_events/query", "mobkit/query_events"] {
            let (code, message, data) =
                refused(&runtime, method, json!({"after_seq": "999999999999"})).await;
            assert_eq!(
                (code, &data["error"], &data["code"]),
                (
                    -32010,
                    &json!("event_query_stale"),
                    &json!("stale_event_cursor")
                )
            );
            assert_eq!(data["after_cursor"], json!(999_999_999_999_u64));
            assert!(message.contains("requested 999999999999"), "{message}");
        }
        let (_, _, data) = refused(
            &runtime,
            "mobkit/mob_events/query",
            json!({"after_seq": latest + 1}),
        )
        .await;
        assert_eq!(data["latest_cursor"], json!(latest));
        let at_the_end = ok(
            &runtime,
            "mobkit/mob_events/query",
            json!({"after_seq": latest}),
        )
        .await;
        assert_eq!(
            at_the_end,
            json!({"events": [], "next_after_seq": latest, "resume_after_seq": latest})
        );
        let none = ok(&runtime, "mobkit/mob_events/query", json!({"limit": 0})).await;
        assert_eq!(none["events"], json!([]));
    });
}

/// MobKit contract, section 24.3, row 24: in the original a number stands for several errors, states are written as Rust shows
/// them, and what a query answers depends on what it finds.
#[test]
fn row_24_errors_have_names_of_their_own_states_are_lower_case_and_a_query_answers_one_shape() {
    with_runtime(async |runtime, _| {
        let worker = |name: &str| json!({"profile": "worker", "meerkat_id": name});
        let nothing = json!({"profile": "nothing", "meerkat_id": "x"});
        let team = json!({"specs": [
            {"profile": "lead", "identity": "lead"}, {"profile": "worker", "identity": "w-1"}, nothing,
        ]});
        let golden = [
            (-32602, "invalid_params", "spawn_member", json!({})),
            (-32602, "profile_not_found", "spawn_member", nothing),
            (
                -32000,
                "member_already_exists",
                "spawn_member",
                worker("w-1"),
            ),
            (
                -32000,
                "wiring_error",
                "wire_members",
                json!({"a": "lead", "b": "lead"}),
            ),
            (
                -32001,
                "member_not_found",
                "retire_member",
                json!({"member_id": "x"}),
            ),
            (
                -32001,
                "interaction_not_found",
                "cancel_interaction",
                json!({"interaction_id": "x"}),
            ),
            (
                -32010,
                "stale_event_cursor",
                "query_events",
                json!({"after_seq": 999}),
            ),
            (-32000, "partial_failure", "reconcile_members", team),
        ];
        for (number, name, method, params) in golden {
            let (code, _, data) = refused(&runtime, &format!("mobkit/{method}"), params).await;
            assert_eq!((code, &data["code"]), (number, &json!(name)), "{method}");
        }

        ok(&runtime, "mobkit/spawn_member", worker("w-2")).await;
        let members = ok(&runtime, "mobkit/list_members", Value::Null).await;
        let status = ok(&runtime, "mobkit/status", Value::Null).await;
        let states = ["state", "status", "activity"].map(|field| &members[0][field]);
        let states = states
            .into_iter()
            .chain([&status["mob_state"], &status["role"]]);
        for state in states {
            let state = state.as_str().unwrap();
            let lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(!state.is_empty() && state.bytes().all(lower), "{state}");
        }

        let keys = |answer: &Value| -> Vec<String> {
            answer.as_object().unwrap().keys().cloned().collect()
        };
        for lived in [false, true] {
            for query in [
                json!({}),
                json!({"limit": 0}),
                json!({"after_seq": 0}),
                json!({"event_types": ["nothing of the kind"]}),
                json!({"after_seq": 0, "identity": "w-2", "limit": 1}),
            ] {
                let events = ok(&runtime, "mobkit/query_events", query.clone()).await;
                assert_eq!(
                    keys(&events),
                    ["events", "gaps", "next_after_seq"],
                    "{query}"
                );
                let ledger = ok(&runtime, "mobkit/mob_events/query", query.clone()).await;
                let wanted = ["events", "next_after_seq", "resume_after_seq"];
                assert_eq!(keys(&ledger), wanted, "{query}");
                for answer in [&events, &ledger] {
                    assert!(answer["events"].is_array() && answer["next_after_seq"].is_u64());
                }
            }
            if !lived {
                let hello = json!({"member_id": "lead", "content": "hello"});
                let sent = ok(&runtime, "mobkit/send_message", hello).await;
                settled(&runtime, sent["interaction_id"].as_str().unwrap()).await;
            }
        }
    });
}

/// Waits until an interaction's last event is in the log.
async fn settled(runtime: &UnifiedRuntime, interaction: &str) {
    let events: Vec<_> = runtime
        .interaction(&interaction.into(), None)
        .unwrap()
        .collect()
        .await;
    assert!(!events.is_empty());
}

#[test]
fn a_message_can_be_sent_followed_and_read_back() {
    with_runtime(async |runtime, _| {
        let params = json!({"member_id": "lead", "content": "hello", "origin": "test", "idempotency_key": "k"});
        let accepted = ok(&runtime, "mobkit/send_message", params.clone()).await;
        assert_eq!(
            (&accepted["accepted"], &accepted["member_id"]),
            (&json!(true), &json!("lead"))
        );
        let interaction = accepted["interaction_id"].as_str().unwrap();
        assert_eq!(
            ok(&runtime, "mobkit/send_message", params).await["interaction_id"],
            interaction,
            "accepted once"
        );
        let conflict = json!({"member_id": "lead", "content": "other", "origin": "test", "idempotency_key": "k"});
        assert_eq!(
            refused(&runtime, "mobkit/send_message", conflict).await.0,
            -32009
        );
        settled(&runtime, interaction).await;

        let page = ok(
            &runtime,
            "mobkit/query_events",
            json!({"after_seq": 0, "identity": "lead"}),
        )
        .await;
        let events = page["events"].as_array().unwrap();
        let types: Vec<&str> = events
            .iter()
            .map(|event| event["event"]["event_type"].as_str().unwrap())
            .collect();
        for wanted in [
            "user_input",
            "run_started",
            "turn_started",
            "text_complete",
            "run_completed",
            "interaction_complete",
        ] {
            assert!(types.contains(&wanted), "{wanted} in {types:?}");
        }
        assert!(
            events
                .iter()
                .all(|event| event["event"]["payload"]["interaction_id"] == interaction),
            "{page}"
        );
        assert_eq!(
            (&page["gaps"], &events[0]["member_id"]),
            (&json!([]), &json!("lead:0"))
        );
        assert_eq!(
            page["next_after_seq"],
            json!(runtime.status().latest_event_cursor)
        );
        let newest = ok(&runtime, "mobkit/query_events", json!({"limit": 2})).await;
        assert_eq!(
            newest["events"].as_array().unwrap()[..],
            events[events.len() - 2..],
            "the newest, oldest first"
        );

        let history = ok(
            &runtime,
            "mobkit/session_history",
            json!({"member_id": "lead"}),
        )
        .await;
        assert_eq!(
            (
                &history["total"],
                history["messages"].as_array().unwrap().len()
            ),
            (&json!(2), 2)
        );
        assert_eq!(history["messages"][0]["interaction_id"], interaction);
        let rest = ok(
            &runtime,
            "mobkit/session_history",
            json!({"member_id": "lead", "offset": 1, "limit": 5}),
        )
        .await;
        assert_eq!(
            rest["messages"].as_array().unwrap()[..],
            history["messages"].as_array().unwrap()[1..]
        );
        let status = ok(
            &runtime,
            "mobkit/member_status",
            json!({"member_id": "lead"}),
        )
        .await;
        assert_eq!(
            (&status["output_preview"], &status["current_session_id"]),
            (&json!("done"), &accepted["session_id"])
        );
    });
}

#[test]
fn the_roster_is_managed_and_the_ledger_tells_of_it() {
    with_runtime(async |runtime, _| {
        let before = runtime.status().latest_mob_cursor;
        let spawn = json!({"profile": "worker", "meerkat_id": "w-2", "labels": {"team": "a"}});
        assert_eq!(
            ok(&runtime, "mobkit/spawn_member", spawn).await["meerkat_id"],
            "w-2"
        );
        let wire = json!({"a": "w-1", "b": "w-2"});
        for (method, changed) in [
            ("wire_members", true),
            ("wire_members", false),
            ("unwire_members", true),
            ("unwire_members", false),
        ] {
            let answer = ok(&runtime, &format!("mobkit/{method}"), wire.clone()).await;
            assert_eq!(
                answer,
                json!({"accepted": true, "changed": changed}),
                "{method}"
            );
        }
        assert_eq!(
            ok(
                &runtime,
                "mobkit/respawn_member",
                json!({"member_id": "w-2"})
            )
            .await["generation"],
            1
        );
        let members = ok(&runtime, "mobkit/list_members", json!({})).await;
        let names: Vec<&Value> = members
            .as_array()
            .unwrap()
            .iter()
            .map(|m| &m["agent_identity"])
            .collect();
        assert_eq!(names, ["lead", "w-1", "w-2"]);
        assert_eq!(members[2]["labels"], json!({"team": "a"}));
        assert_eq!(
            members[0]["wired_to"],
            json!(["w-1", "w-2"]),
            "the lead is wired to everybody"
        );
        ok(
            &runtime,
            "mobkit/retire_member",
            json!({"member_id": "w-2"}),
        )
        .await;
        for (method, changed) in [
            ("stop", true),
            ("stop", false),
            ("resume", true),
            ("resume", false),
        ] {
            assert_eq!(
                ok(&runtime, &format!("mobkit/{method}"), json!({})).await["changed"],
                json!(changed),
                "{method}"
            );
            let running = ok(&runtime, "mobkit/status", json!({})).await;
            let state = if method == "stop" {
                "stopped"
            } else {
                "running"
            };
            assert_eq!(
                (&running["mob_state"], &running["running"]),
                (&json!(state), &json!(method == "resume"))
            );
        }
        let page = ok(
            &runtime,
            "mobkit/mob_events/query",
            json!({"after_seq": before}),
        )
        .await;
        let kinds: Vec<&str> = page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["kind"].as_str().unwrap())
            .collect();
        for wanted in [
            "member_spawned",
            "members_wired",
            "members_unwired",
            "member_retired",
        ] {
            assert!(kinds.contains(&wanted), "{wanted} in {kinds:?}");
        }
    });
}

#[test]
fn status_and_profiles_describe_the_runtime() {
    with_runtime(async |runtime, _| {
        let status = ok(&runtime, "mobkit/status", Value::Null).await;
        assert_eq!(
            (&status["mob_id"], &status["role"], &status["running"]),
            (&json!("m"), &json!("leader"), &json!(true))
        );
        assert_eq!(status["models"]["scripted"]["availability"], "ready");
        assert_eq!(
            (&status["definition_changes"], &status["loaded_modules"]),
            (&json!([]), &json!([]))
        );
        let profiles = ok(&runtime, "mobkit/profiles", Value::Null).await;
        assert_eq!(
            profiles["profiles"][0],
            json!({"name": "lead", "model": "scripted", "peer_description": "Leads", "external_addressable": true})
        );
    });
}

#[test]
fn after_a_shutdown_reading_works_and_commands_say_why_not() {
    with_runtime(async |runtime, _| {
        runtime.shutdown().await;
        let (code, _, data) = refused(&runtime, "mobkit/stop", Value::Null).await;
        assert_eq!(
            (code, &data["code"]),
            (-32000, &json!("runtime_shutting_down"))
        );
        assert_eq!(
            ok(&runtime, "mobkit/status", Value::Null).await["running"],
            false
        );
    });
}

#[test]
fn addresses_that_lead_nowhere() {
    with_runtime(async |runtime, _| {
        let cases = [
            ("GET", "/", 404, r#"{"error":"not_found"}"#),
            ("GET", "/console/rpc/", 404, r#"{"error":"not_found"}"#),
            (
                "GET",
                "/console/rpc",
                405,
                r#"{"error":"method_not_allowed"}"#,
            ),
            (
                "POST",
                "/mob/events",
                405,
                r#"{"error":"method_not_allowed"}"#,
            ),
            ("GET", "/healthz?a=%", 400, "percent-encoded"),
            (
                "GET",
                "/mob/events?after_seq=x",
                400,
                "after_seq must be a whole number",
            ),
            (
                "GET",
                "/mob/events?after_seq=-1",
                400,
                "after_seq must be a whole number",
            ),
            (
                "GET",
                "/mob/events?afterSeq=1",
                400,
                "unknown field 'afterSeq'",
            ),
            (
                "GET",
                "/mobkit/mob_events/stream?since_ms=soon",
                400,
                "since_ms must be a whole number",
            ),
            (
                "GET",
                "/mobkit/mob_events/stream?mob_id=a%20b",
                400,
                "mob_id must be a name",
            ),
            ("get", "https://mob.local/healthz", 200, "ok"),
        ];
        for (method, url, status, want) in cases {
            let response = fetch(
                &runtime,
                FetchRequest {
                    method: method.to_owned(),
                    ..FetchRequest::get(url)
                },
            )
            .await;
            assert_eq!(response.status, status, "{method} {url}");
            let got = text(response).await;
            assert!(got.contains(want), "{method} {url}: {got}");
        }
        let response = fetch(&runtime, FetchRequest::get("/console/rpc")).await;
        assert!(response.headers.contains(&("allow", "POST".to_owned())));
        let stale = FetchRequest::get("/mobkit/mob_events/stream").header("last-event-id", "mob:3");
        assert_eq!(
            fetch(&runtime, stale).await.status,
            400,
            "another stream's id"
        );
    });
}

/// One event off a stream.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    event: String,
    data: Value,
}

/// A client of a stream that reads chunk by chunk.
struct Client {
    body: LocalBoxStream<'static, Vec<u8>>,
    events: std::collections::VecDeque<Event>,
    comments: Vec<String>,
}

impl Client {
    async fn open(runtime: &UnifiedRuntime, request: FetchRequest) -> Self {
        let response = fetch(runtime, request).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert!(
            response
                .headers
                .contains(&("content-type", "text/event-stream".to_owned()))
        );
        let FetchBody::Stream(body) = response.body else {
            panic!("not a stream")
        };
        Self {
            body,
            events: Default::default(),
            comments: Vec::new(),
        }
    }

    /// Reads one chunk, which is whole events; false at the end.
    async fn pull(&mut self) -> bool {
        let Some(chunk) = self.body.next().await else {
            return false;
        };
        for block in String::from_utf8(chunk).unwrap().split_terminator("\n\n") {
            if let Some(comment) = block.strip_prefix(": ") {
                self.comments.push(comment.to_owned());
                continue;
            }
            let fields: Vec<(&str, &str)> = block
                .lines()
                .map(|line| line.split_once(": ").unwrap())
                .collect();
            let (id, event, data) = match fields[..] {
                [("id", id), ("event", event), ("data", data)] => (id, event, data),
                // From here nobody goes on.
                [("event", event), ("data", data)] => ("", event, data),
                _ => panic!("{block}"),
            };
            let data = serde_json::from_str(data).unwrap();
            self.events.push_back(Event {
                id: id.to_owned(),
                event: event.to_owned(),
                data,
            });
        }
        true
    }

    async fn next(&mut self) -> Event {
        while self.events.is_empty() {
            assert!(self.pull().await, "the stream ended");
        }
        self.events.pop_front().unwrap()
    }
}

#[test]
fn the_ledger_streams_from_a_cursor_and_goes_on_live() {
    with_runtime(async |runtime, _| {
        let latest = runtime.status().latest_mob_cursor.get();
        let mut all = Client::open(
            &runtime,
            FetchRequest::get("/mobkit/mob_events/stream?after_seq=0"),
        )
        .await;
        for cursor in 1..=latest {
            let event = all.next().await;
            assert_eq!(
                (event.id, &event.event),
                (
                    format!("mob-evt-{cursor}"),
                    &event.data["kind"].as_str().unwrap().to_owned()
                )
            );
            assert_eq!(event.data["cursor"], cursor);
        }
        let mut live = Client::open(&runtime, FetchRequest::get("/mobkit/mob_events/stream")).await;
        let resumed = FetchRequest::get("/mobkit/mob_events/stream?after_seq=0")
            .header("Last-Event-ID", "mob-evt-2");
        let mut resumed = Client::open(&runtime, resumed).await;
        assert_eq!(
            resumed.next().await.id,
            "mob-evt-3",
            "Last-Event-ID wins over after_seq"
        );
        let filter = "/mobkit/mob_events/stream?after_seq=0&event_types=member_spawned,member_retired&identity=w-2";
        let mut filtered = Client::open(&runtime, FetchRequest::get(filter)).await;

        ok(
            &runtime,
            "mobkit/spawn_member",
            json!({"profile": "worker", "meerkat_id": "w-2"}),
        )
        .await;
        ok(
            &runtime,
            "mobkit/retire_member",
            json!({"member_id": "w-2"}),
        )
        .await;
        assert_eq!(live.next().await.id, format!("mob-evt-{}", latest + 1));
        assert_eq!(all.next().await.id, format!("mob-evt-{}", latest + 1));
        assert_eq!(filtered.next().await.event, "member_spawned");
        assert_eq!(filtered.next().await.event, "member_retired");
    });
}

#[test]
fn a_cursor_beyond_the_end_is_gone() {
    with_runtime(async |runtime, _| {
        let status = runtime.status();
        let cases = [
            (
                "/mobkit/mob_events/stream?after_seq=",
                status.latest_mob_cursor,
            ),
            ("/mob/events?after_seq=", status.latest_event_cursor),
        ];
        for (url, latest) in cases {
            let response = fetch(
                &runtime,
                FetchRequest::get(format!("{url}{}", latest.get() + 1)),
            )
            .await;
            assert_eq!(response.status, 410, "{url}");
            let body: Value = serde_json::from_str(&text(response).await).unwrap();
            let want = json!({"error": "event_query_stale", "after_cursor": latest.get() + 1, "latest_cursor": latest});
            assert_eq!(body, want);
            assert_eq!(
                fetch(&runtime, FetchRequest::get(format!("{url}{latest}")))
                    .await
                    .status,
                200
            );
        }
    });
}

#[test]
fn agent_events_stream_as_they_are_queried() {
    with_runtime(async |runtime, _| {
        let mut live = Client::open(&runtime, FetchRequest::get("/mob/events")).await;
        let accepted = ok(
            &runtime,
            "mobkit/send_message",
            json!({"member_id": "lead", "message": "hello"}),
        )
        .await;
        settled(&runtime, accepted["interaction_id"].as_str().unwrap()).await;
        let queried = ok(&runtime, "mobkit/query_events", json!({"after_seq": 0})).await;
        let queried = queried["events"].as_array().unwrap();
        let mut replayed =
            Client::open(&runtime, FetchRequest::get("/mob/events?after_seq=0")).await;
        for want in queried {
            for client in [&mut live, &mut replayed] {
                let got = client.next().await;
                let shape = json!({
                    "member_id": want["member_id"],
                    "source": want["member_id"],
                    "timestamp_ms": want["timestamp_ms"],
                    "payload": want["event"]["payload"],
                });
                assert_eq!(got.data, shape);
                assert_eq!(
                    (got.id, got.event),
                    (
                        format!("mob:{}", want["seq"]),
                        want["event"]["event_type"].as_str().unwrap().to_owned()
                    )
                );
            }
        }
        let last = queried.last().unwrap()["seq"].as_u64().unwrap();
        let resumed = FetchRequest::get("/mob/events?identity=lead")
            .header("last-event-id", &format!("mob:{}", last - 1));
        assert_eq!(
            Client::open(&runtime, resumed).await.next().await.id,
            format!("mob:{last}")
        );
    });
}

#[test]
fn a_silent_stream_says_every_fifteen_seconds_that_it_is_there_and_an_unread_one_does_nothing() {
    with_runtime(async |runtime, sim| {
        let host = runtime.host().clone();
        // What the start left to be made durable is done by then.
        host.sleep(Duration::from_secs(10)).await;
        for url in ["/mob/events", "/mobkit/mob_events/stream"] {
            let mut client = Client::open(&runtime, FetchRequest::get(url)).await;
            let unread = sim.timers_fired();
            let begin = host.instant();
            for round in 1..=3 {
                assert!(client.pull().await);
                assert_eq!(
                    host.instant().duration_since(begin),
                    Duration::from_secs(15) * round,
                    "{url}"
                );
            }
            assert_eq!(client.comments, ["keep-alive"; 3]);
            assert!(client.events.is_empty());
            assert_eq!(
                sim.timers_fired() - unread,
                3,
                "one timer for each comment and none besides"
            );
        }
    });
}

#[test]
fn a_stream_ends_with_its_runtime() {
    with_runtime(async |runtime, _| {
        let mut ledger = Client::open(
            &runtime,
            FetchRequest::get("/mobkit/mob_events/stream?after_seq=0"),
        )
        .await;
        let mut agents = Client::open(&runtime, FetchRequest::get("/mob/events?after_seq=0")).await;
        runtime.shutdown().await;
        for client in [&mut ledger, &mut agents] {
            while client.pull().await {
                assert!(
                    client.comments.is_empty(),
                    "ends, not silent for ever: {:?}",
                    client.comments
                );
            }
        }
    });
}

#[test]
fn a_line_break_cannot_forge_a_field() {
    let text = sse::encode(Some("1\nid: 2"), "a\r\nevent: b", r#""x\ny""#);
    assert_eq!(text, "id: 1 id: 2\nevent: a  event: b\ndata: \"x\\ny\"\n\n");
}

/// Requests that make sense, to be spoilt.
fn sensible() -> Vec<Vec<u8>> {
    let bodies = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "mobkit/send_message", "params": {"member_id": "lead", "content": [{"type": "text", "text": "é"}], "handling_mode": "steer", "idempotency_key": "k"}}),
        json!({"jsonrpc": "2.0", "id": "x", "method": "mobkit/mob_events/query", "params": {"after_seq": 0, "limit": 3, "event_types": ["member_spawned"], "since_ms": 1}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "mobkit/query_events", "params": {"after_seq": "0", "identity": "lead", "until_ms": 9_999_999_999_999_u64}}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "mobkit/spawn_member", "params": {"profile": "worker", "meerkat_id": "w-2", "labels": {"a": "b"}, "context": {"n": [1, 2.5, null]}}}),
        json!({"jsonrpc": "2.0", "id": 4, "method": "mobkit/session_history", "params": {"member_id": "lead", "offset": 0, "limit": 2}}),
        json!({"jsonrpc": "2.0", "id": null, "method": "mobkit/wire_members", "params": {"a": "lead", "b": "w-1"}}),
        json!({"jsonrpc": "2.0", "method": "mobkit/resume"}),
        json!({"jsonrpc": "2.0", "id": 5, "method": "mobkit/console/query_timeline", "params": {"after": "console:0", "limit": 3, "mode": "since", "identity": "lead"}}),
        json!({"jsonrpc": "2.0", "id": 6, "method": "mobkit/console/send", "params": {"identity": "lead", "content": "c", "origin": "o", "idempotency_key": "k"}}),
        json!([{"jsonrpc": "2.0", "id": 7, "method": "mobkit/list_edges"}, {"jsonrpc": "2.0", "method": "mobkit/cancel_all"}]),
    ];
    bodies
        .iter()
        .map(|body| body.to_string().into_bytes())
        .collect()
}

/// Some bytes changed, doubled, cut or put in; or a JSON token in the place of another.
fn spoil(random: &SimRandom, bytes: &mut Vec<u8>) {
    const TOKENS: [&str; 14] = [
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"\"",
        "[]",
        "{}",
        "true",
        "\\u0000",
        "\\ud800",
        "é",
        "\"2.0\"",
        "\u{feff}",
        "0.0",
    ];
    let index = |len: usize| usize::try_from(random.below(len as u64)).unwrap();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = index(bytes.len());
        match random.below(6) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes.truncate(at),
            2 => drop(bytes.remove(at)),
            3 => {
                let end = (at + 1 + index(16)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => drop(bytes.splice(at..at, TOKENS[index(TOKENS.len())].bytes())),
            _ => {
                let token = TOKENS[index(TOKENS.len())].bytes();
                let end = bytes[at..]
                    .iter()
                    .position(|byte| b",:]}".contains(byte))
                    .map_or(bytes.len(), |n| at + n);
                let start = bytes[..at]
                    .iter()
                    .rposition(|byte| b",:[{".contains(byte))
                    .map_or(0, |n| n + 1);
                bytes.splice(start..end, token);
            }
        }
    }
}

#[test]
fn nonsense_is_always_answered_and_never_kills() {
    with_runtime(async |runtime, _| {
        let random = SimRandom::new(20_260_101);
        let sensible = sensible();
        for round in 0..20_000_usize {
            let mut body = sensible[round % sensible.len()].clone();
            spoil(&random, &mut body);
            let shown = String::from_utf8_lossy(&body).into_owned();
            let request = FetchRequest {
                body,
                ..FetchRequest::post_json("/console/rpc", &Value::Null)
            };
            let answer = text(fetch(&runtime, request).await).await;
            if answer.is_empty() {
                continue;
            }
            let answers = match serde_json::from_str(&answer).unwrap() {
                Value::Array(answers) => answers,
                answer => vec![answer],
            };
            for answer in answers {
                assert!(
                    answer.get("result").is_some() != answer.get("error").is_some(),
                    "{shown}: {answer}"
                );
                if let Some(error) = answer.get("error") {
                    assert!(error["data"]["code"].is_string(), "{shown}: {answer}");
                }
            }
        }
        let urls = [
            "/mob/events?after_seq=0&identity=lead",
            "/mobkit/mob_events/stream?after_seq=1&event_types=a,b&since_ms=1",
            "/console/timeline/stream?after=console:3&identity=lead&limit=7",
            "/console/timeline?before=console:9&mode=recent&conversation_id=lead:0",
            "/console/identity/lead/stream?after=console:0",
        ];
        for round in 0..20_000_usize {
            let mut url = urls[round % urls.len()].as_bytes().to_vec();
            let mut id = b"mob-evt-1".to_vec();
            spoil(&random, &mut url);
            spoil(&random, &mut id);
            let request = FetchRequest::get(String::from_utf8_lossy(&url))
                .header("last-event-id", &String::from_utf8_lossy(&id));
            let status = fetch(&runtime, request).await.status;
            assert!(
                matches!(status, 200 | 400 | 404 | 409 | 410),
                "{status} {url:?}"
            );
        }
        assert_eq!(
            ok(&runtime, "mobkit/status", Value::Null).await["mob_id"],
            "m",
            "and lives on"
        );
    });
}

#[test]
fn the_demo_mob_works_behind_the_contract() {
    let sim = Sim::new(11);
    sim.block_on(async {
        let text = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/www/console/public/demo.toml"
        ));
        let runtime = UnifiedRuntime::builder()
            .definition(MobDefinition::from_toml(text).unwrap())
            .host(sim.host())
            .storage(Rc::new(MemoryStorage::new()))
            .model(
                "demo",
                Rc::new(DemoModel::new(sim.host(), Duration::from_millis(20))),
            )
            .build()
            .await
            .unwrap();
        let status = ok(&runtime, "mobkit/status", Value::Null).await;
        assert_eq!(status["models"]["demo"]["is_demo"], true);
        let params = json!({"member_id": "lead", "content": "Plan a weekend in Lisbon"});
        let accepted = ok(&runtime, "mobkit/send_message", params).await;
        let mut events = Client::open(&runtime, FetchRequest::get("/mob/events?after_seq=0")).await;
        let mut heard = BTreeSet::new();
        let answer = loop {
            let event = events.next().await;
            heard.insert((
                event.data["member_id"].as_str().unwrap().to_owned(),
                event.event.clone(),
            ));
            if event.event == "interaction_complete" {
                break event.data["payload"].clone();
            }
            assert_ne!(event.event, "interaction_failed", "{}", event.data);
        };
        assert_eq!(answer["interaction_id"], accepted["interaction_id"]);
        let result = answer["result"].as_str().unwrap();
        for specialist in ["researcher", "writer"] {
            assert!(
                heard.contains(&(format!("{specialist}:0"), "run_completed".to_owned())),
                "{heard:?}"
            );
            assert!(result.contains(specialist), "{result}");
        }
    });
}

#[test]
fn a_subscription_says_where_it_goes_on() {
    with_runtime(async |runtime, _| {
        let latest = runtime.status().latest_mob_cursor;
        let subscribe =
            async |params: Value| ok(&runtime, "mobkit/mob_events/subscribe", params).await;
        let all = subscribe(json!({})).await;
        assert_eq!(
            (&all["stream"], &all["keep_alive"]),
            (
                &json!("mob_events"),
                &json!({ "interval_ms": 15_000, "event": "keep_alive" })
            )
        );
        assert_eq!(all["events"].as_array().unwrap().len() as u64, latest.get());
        let base = "/mobkit/mob_events/stream?after_seq=";
        assert_eq!(all["subscribe_url"], format!("{base}{latest}"));
        for (params, url) in [
            // What was found last, else what was asked after, else the newest before.
            (
                json!({ "event_types": ["member_spawned"], "limit": 1, "after_seq": 0 }),
                format!("{base}2&event_types=member_spawned"),
            ),
            (
                json!({ "run_id": "r 1&é", "after_seq": 1 }),
                format!("{base}1&run_id=r+1%26%C3%A9"),
            ),
            (
                json!({ "run_id": "r", "step_id": "s", "limit": 7 }),
                format!("{base}{latest}&run_id=r&step_id=s"),
            ),
            (
                json!({ "event_types": ["a", "b"], "until_ms": 9, "since_ms": 3, "member_id": "m", "identity": "i", "mob_id": "m" }),
                format!(
                    "{base}{latest}&mob_id=m&identity=i&member_id=m&since_ms=3&until_ms=9&event_types=a%2Cb"
                ),
            ),
        ] {
            let answer = subscribe(params.clone()).await;
            assert_eq!(answer["subscribe_url"], url, "{params}");
            // It is an address of this runtime, and the stream takes all its fields.
            let response = fetch(&runtime, FetchRequest::get(url)).await;
            assert_eq!(response.status, 200, "{params}");
        }
        let (code, _, data) = refused(
            &runtime,
            "mobkit/mob_events/subscribe",
            json!({ "after_seq": 99 }),
        )
        .await;
        assert_eq!(
            (code, &data["error"]),
            (-32010, &json!("event_query_stale"))
        );
    });
}

#[test]
fn a_batch_is_answered_together_and_nobody_in_it_waits_for_another() {
    with_runtime(async |runtime, _| {
        let call = |id: Value, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let send = ok(
            &runtime,
            "mobkit/send_message",
            json!({ "member_id": "lead", "message": "hi" }),
        )
        .await;
        runtime.stop().await.unwrap();
        let second = ok(
            &runtime,
            "mobkit/send_message",
            json!({ "member_id": "lead", "message": "again" }),
        )
        .await;
        let waits = json!({ "interaction_id": second["interaction_id"] });
        // The first waits for what the third lets go on.
        let batch = json!([
            call(json!("w"), "mobkit/wait_interaction", waits),
            { "jsonrpc": "2.0", "method": "mobkit/spawn_member", "params": { "profile": "worker", "meerkat_id": "w-2" } },
            call(json!(3), "mobkit/resume", json!({})),
            call(json!(null), "mobkit/no_such", json!({})),
            7,
            { "jsonrpc": "1.0", "id": 5, "method": "mobkit/status" },
        ]);
        let answers: Value =
            serde_json::from_str(&post(&runtime, &batch.to_string()).await).unwrap();
        let ids: Vec<_> = answers
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].clone())
            .collect();
        assert_eq!(
            ids,
            [json!("w"), json!(3), json!(null), json!(null), json!(null)]
        );
        assert_eq!(answers[0]["result"]["status"], "completed");
        assert_eq!(
            answers[1]["result"],
            json!({ "accepted": true, "changed": true })
        );
        let codes: Vec<_> = (2..5)
            .map(|at| answers[at]["error"]["code"].clone())
            .collect();
        assert_eq!(codes, [json!(-32601), json!(-32600), json!(-32600)]);
        assert_eq!(
            runtime.members().len(),
            3,
            "the notification was carried out"
        );
        settled(&runtime, send["interaction_id"].as_str().unwrap()).await;
        // Notifications alone are answered by nothing; an empty batch and one too long are no requests.
        let told = json!([{ "jsonrpc": "2.0", "method": "mobkit/status" }]);
        assert_eq!(post(&runtime, &told.to_string()).await, "");
        for bad in [json!([]), Value::Array(vec![json!(1); 257])] {
            let answer: Value =
                serde_json::from_str(&post(&runtime, &bad.to_string()).await).unwrap();
            assert_eq!(answer["error"]["code"], -32600);
        }
    });
}

#[test]
fn one_members_events_stream_and_name_their_tool_calls() {
    let sim = Rc::new(Sim::new(8));
    sim.block_on(async {
        let model = ScriptedModel::new(sim.host());
        model.push(Reply::call("peers", json!({})));
        model.push(Reply::text("nobody"));
        let runtime = UnifiedRuntime::builder()
            .definition(MobDefinition::from_toml(MOB).unwrap())
            .host(sim.host())
            .storage(Rc::new(MemoryStorage::new()))
            .model("scripted", Rc::new(model))
            .build()
            .await
            .unwrap();
        let mut live = Client::open(&runtime, FetchRequest::get("/agents/lead/events")).await;
        let sent = ok(
            &runtime,
            "mobkit/send_message",
            json!({ "member_id": "lead", "message": "who?" }),
        )
        .await;
        settled(&runtime, sent["interaction_id"].as_str().unwrap()).await;
        let mut heard = Vec::new();
        while heard
            .last()
            .is_none_or(|event: &Event| event.event != "interaction_complete")
        {
            heard.push(live.next().await);
        }
        assert_eq!(
            (heard[0].event.as_str(), heard[0].id.as_str()),
            ("user_input", "lead:1")
        );
        for event in &heard {
            assert_eq!(event.data["type"], event.event);
            let about_tool = event.event.starts_with("tool_");
            assert_eq!(
                event.data.get("tool_call_id").is_some(),
                about_tool,
                "{event:?}"
            );
            if about_tool {
                assert_eq!(event.data["tool_call_id"], event.data["id"]);
            }
        }
        assert!(
            heard
                .iter()
                .any(|event| event.event == "tool_execution_completed")
        );
        // Taken up again behind any of them.
        let again =
            FetchRequest::get("/agents/le%61d/events").header("last-event-id", &heard[2].id);
        let mut again = Client::open(&runtime, again).await;
        for event in &heard[3..] {
            assert_eq!(again.next().await, *event);
        }
        for (url, id, status) in [
            ("/agents/nobody/events", "", 404),
            ("/agents//events", "", 400),
            ("/agents/%ff/events", "", 400),
            ("/agents/lead/events", "mob:3", 400),
            ("/agents/lead/events", "lead:x", 400),
            ("/agents/lead/events", "lead:99999", 410),
            ("/agents/lead", "", 404),
            ("/agents/a/b/events", "", 404),
        ] {
            let request = FetchRequest::get(url).header("last-event-id", id);
            assert_eq!(fetch(&runtime, request).await.status, status, "{url} {id}");
        }
    });
}
