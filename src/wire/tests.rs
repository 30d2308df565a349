//! Golden shapes and round trips of the wire types.

use serde_json::{Value, json};

use super::agent_record::RecordText;
use super::*;

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    json: Value,
) -> T {
    let value: T =
        serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(
        serde_json::to_value(&value).unwrap(),
        json,
        "is written as it was read"
    );
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(
        serde_json::from_str::<T>(&text).unwrap(),
        value,
        "is read as it was written"
    );
    value
}

#[test]
fn names_are_checked_wherever_they_come_from() {
    let long = "x".repeat(129);
    let escaped = "名".repeat(34);
    let cases = [
        ("", "empty"),
        (" ", "white space"),
        ("a b", "white space"),
        ("a\u{a0}b", "white space"),
        ("a/b", "'/'"),
        ("a\u{0}", "control"),
        ("a\nb", "control"),
        (long.as_str(), "128"),
        (escaped.as_str(), "300"),
    ];
    for (input, reason) in cases {
        let error = AgentIdentity::new(input).unwrap_err();
        assert_eq!(error.input, input);
        assert!(error.reason.contains(reason), "{input:?}: {}", error.reason);
        assert!(input.parse::<MobId>().is_err());
        assert!(serde_json::from_value::<ProfileName>(json!(input)).is_err());
    }
    let (long, escaped) = ("x".repeat(128), "名".repeat(33));
    for good in ["a", "rev-1", "Ünïcode_9", "a:b", &long, &escaped] {
        assert_eq!(AgentIdentity::new(good).unwrap().as_str(), good);
        assert_eq!(round_trip::<AgentIdentity>(json!(good)).to_string(), good);
    }
}

/// MobKit contract, section 24.3, row 30: to JavaScript all numbers from 2^53 on are inexact.
#[test]
fn row_30_cursors_cross_as_numbers_while_those_are_exact_and_as_digits_beyond() {
    for (json, want) in [
        (json!(0), 0),
        (json!(7), 7),
        (json!("7"), 7),
        (json!(u64::MAX), u64::MAX),
        (json!("18446744073709551615"), u64::MAX),
    ] {
        assert_eq!(serde_json::from_value::<Cursor>(json).unwrap().get(), want);
    }
    for bad in [
        json!(-1),
        json!(1.5),
        json!(""),
        json!("+1"),
        json!(" 1"),
        json!("18446744073709551616"),
        json!("9.007199254740992e+15"),
        json!(null),
    ] {
        assert!(
            serde_json::from_value::<Cursor>(bad.clone()).is_err(),
            "{bad}"
        );
    }
    let exact = (1 << 53) - 1;
    for (number, text) in [
        (9, "9"),
        (exact, "9007199254740991"),
        (exact + 1, "\"9007199254740992\""),
        (exact + 2, "\"9007199254740993\""),
        (u64::MAX, "\"18446744073709551615\""),
    ] {
        let cursor = Cursor::new(number);
        assert_eq!(serde_json::to_string(&cursor).unwrap(), text);
        assert_eq!(json::value_of(&cursor), json::ToValue::to_value(&cursor));
        let value = serde_json::from_str(text).unwrap();
        assert_eq!(round_trip::<Cursor>(value), cursor);
        // As JavaScript reads and writes it, whose numbers are of this kind.
        let Ok(through) = text.parse::<f64>() else {
            continue;
        };
        assert_eq!(through as u64, number, "exact as it is");
    }
}

#[test]
fn identifiers_print_as_the_contract_says() {
    let id: AgentRuntimeId = round_trip(json!({"identity": "lead", "generation": 2}));
    assert_eq!(id.to_string(), "lead:2");
    assert_eq!(FenceToken::new(3).to_string(), "fence:3");
}

#[test]
fn content_is_text_or_blocks() {
    assert_eq!(round_trip::<ContentInput>(json!("hi")).text(), "hi");
    let blocks: ContentInput = round_trip(json!([
        {"type": "text", "text": "a"},
        {"type": "image", "media_type": "image/png", "data": "AA=="},
        {"type": "text", "text": "b"},
    ]));
    assert_eq!(
        (blocks.text(), blocks.is_blank(), blocks.has_media()),
        ("ab".to_owned(), false, true)
    );
    for blank in [
        json!(""),
        json!(" \n"),
        json!([]),
        json!([{"type": "text", "text": " "}]),
    ] {
        assert!(
            serde_json::from_value::<ContentInput>(blank)
                .unwrap()
                .is_blank()
        );
    }
    for bad in [
        json!(1),
        json!(null),
        json!({"text": "a"}),
        json!([{"type": "sound"}]),
    ] {
        assert!(serde_json::from_value::<ContentInput>(bad).is_err());
    }
}

/// One example of every type, with its optional fields once there and once not.
fn agent_events() -> Vec<Value> {
    vec![
        json!({"type": "run_started", "session_id": "s", "prompt": "do"}),
        json!({"type": "run_started", "session_id": "s", "prompt": [{"type": "text", "text": "do"}], "from": "user"}),
        json!({"type": "run_completed", "session_id": "s", "result": "r", "extraction_required": false,
               "usage": {"input_tokens": 1, "output_tokens": 2}}),
        json!({"type": "run_completed", "session_id": "s", "result": "r", "structured_output": {"a": 1},
               "extraction_required": true, "terminal_cause_kind": "cancelled",
               "usage": {"input_tokens": 1, "output_tokens": 2, "cache_creation_tokens": 3, "cache_read_tokens": 4}}),
        json!({"type": "extraction_succeeded", "session_id": "s", "structured_output": [], "schema_warnings": ["w"]}),
        json!({"type": "extraction_failed", "session_id": "s", "last_output": "o", "attempts": 2, "reason": "r"}),
        json!({"type": "run_failed", "session_id": "s", "error_class": "terminal", "error": "e",
               "terminal_cause_kind": "interrupted", "error_report": {"status": 500}}),
        json!({"type": "hook_started", "hook_id": "h", "point": "p"}),
        json!({"type": "hook_completed", "hook_id": "h", "point": "p", "duration_ms": 5}),
        json!({"type": "hook_failed", "hook_id": "h", "point": "p", "error": "e"}),
        json!({"type": "hook_denied", "hook_id": "h", "point": "p", "reason_code": "c", "message": "m", "payload": 1}),
        json!({"type": "turn_started", "turn_number": 1}),
        json!({"type": "reasoning_delta", "delta": "d"}),
        json!({"type": "text_delta", "delta": "d"}),
        json!({"type": "reasoning_complete", "content": "c"}),
        json!({"type": "text_complete", "content": "c"}),
        json!({"type": "server_tool_content", "id": "i", "name": "n", "content": {"type": "x"}}),
        json!({"type": "assistant_image_appended", "image": {"image_id": "i", "blob_ref": "b", "media_type": "image/png",
               "width": 1, "height": 2, "revised_prompt": null, "meta": {}}}),
        json!({"type": "tool_call_requested", "id": "c1", "name": "send_message", "args": {"to": "rev-1"}}),
        json!({"type": "tool_result_received", "id": "c1", "name": "n", "is_error": false}),
        json!({"type": "tool_result_received", "id": "c1", "name": "n", "is_error": true,
               "content": [{"type": "text", "text": "t"}]}),
        json!({"type": "turn_completed", "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 2}}),
        json!({"type": "tool_execution_started", "id": "c1", "name": "n"}),
        json!({"type": "tool_execution_completed", "id": "c1", "name": "n", "result": "r", "is_error": false, "duration_ms": 9}),
        json!({"type": "tool_execution_timed_out", "id": "c1", "name": "n", "timeout_ms": 9}),
        json!({"type": "compaction_started", "input_tokens": 1, "estimated_history_tokens": 2, "message_count": 3}),
        json!({"type": "compaction_completed", "summary_tokens": 1, "messages_before": 2, "messages_after": 3}),
        json!({"type": "compaction_failed", "error": "e"}),
        json!({"type": "budget_warning", "budget_type": "tool_calls", "used": 8, "limit": 10, "percent": 80.0}),
        json!({"type": "retrying", "attempt": 2, "max_attempts": 3, "error": "e", "delay_ms": 500, "retry": {"status": 429}}),
        json!({"type": "skills_resolved", "skills": ["s"], "injection_bytes": 12}),
        json!({"type": "skill_resolution_failed", "skill_key": "k", "reason": "r", "reference": "f", "error": "e"}),
        json!({"type": "interaction_complete", "interaction_id": "i", "result": "r", "structured_output": 1}),
        json!({"type": "interaction_callback_pending", "interaction_id": "i", "tool_name": "t", "args": {}}),
        json!({"type": "interaction_failed", "interaction_id": "i", "error": "e"}),
        json!({"type": "stream_truncated", "reason": "r"}),
        json!({"type": "tool_config_changed", "payload": {"operation": "reload", "target": "t", "status": "ok",
               "persisted": true, "applied_at_turn": 1, "domain": "d", "deferred_catalog_delta": {}}}),
        json!({"type": "background_job_completed", "job_id": "j", "display_name": "d", "status": "done",
               "terminal_status": "completed", "detail": "t"}),
        json!({"type": "history_truncated", "omitted_messages": 4, "kept_messages": 2, "estimated_tokens": 100}),
        json!({"type": "user_input", "interaction_id": "i", "content": "c", "origin": "console", "handling_mode": "steer"}),
        json!({"type": "peer_message", "from": "lead", "content": "c", "interaction_id": "i"}),
        json!({"type": "model_unavailable", "model": "m", "reason": "r"}),
        json!({"type": "identity_retired"}),
        json!({"type": "identity_respawned"}),
    ]
}

#[test]
fn every_agent_event_has_its_shape_and_its_name() {
    let mut seen = std::collections::BTreeSet::new();
    for json in agent_events() {
        let event: AgentEvent = round_trip(json.clone());
        assert_eq!(event.agent_event_type(), json["type"]);
        assert!(!matches!(event, AgentEvent::Unknown(_)), "{json}");
        seen.insert(event.agent_event_type().to_owned());
    }
    for name in AgentEvent::TYPES {
        assert!(seen.contains(*name), "no example of {name}");
    }
}

#[test]
fn the_tag_may_stand_anywhere() {
    let event: AgentEvent = serde_json::from_str(r#"{"delta":"d","type":"text_delta"}"#).unwrap();
    assert_eq!(
        event,
        AgentEvent::TextDelta {
            delta: "d".to_owned()
        }
    );
}

#[test]
fn an_unknown_agent_event_is_kept_as_it_came() {
    for text in [
        r#"{"type":"model_fallback_staged","to":"m","n":[1]}"#,
        r#"{"n":1,"type":"live_channel_closed"}"#,
    ] {
        let event: AgentEvent = serde_json::from_str(text).unwrap();
        let json: Value = serde_json::from_str(text).unwrap();
        assert!(matches!(event, AgentEvent::Unknown(_)));
        assert_eq!(event.agent_event_type(), json["type"]);
        assert_eq!(serde_json::to_value(&event).unwrap(), json);
    }
}

#[test]
fn a_known_agent_event_with_a_wrong_field_is_an_error_that_names_it() {
    let cases = [
        (json!({"type": "turn_started"}), "turn_number"),
        (json!({"type": "text_delta", "delta": 1}), "found 1"),
        (json!({"delta": 1, "type": "text_delta"}), "`delta`"),
        (json!({"type": 1}), "string"),
        (json!({}), "type"),
        (json!("x"), "object"),
    ];
    for (json, part) in cases {
        let from_value = serde_json::from_value::<AgentEvent>(json.clone())
            .unwrap_err()
            .to_string();
        let from_text = serde_json::from_str::<AgentEvent>(&json.to_string())
            .unwrap_err()
            .to_string();
        assert!(from_value.contains(part), "{json}: {from_value}");
        assert!(from_text.contains(part), "{json}: {from_text}");
    }
}

fn record(event: AgentEvent) -> AgentEventRecord {
    AgentEventRecord {
        identity: AgentIdentity::new("lead").unwrap(),
        generation: Generation::new(1),
        fence_token: FenceToken::new(7),
        role: ProfileName::new("boss").unwrap(),
        timestamp_ms: TimestampMs::new(1000),
        interaction_id: Some("i1".into()),
        work_id: Some("w1".into()),
        continues: false,
        event,
    }
}

#[test]
fn a_record_has_a_compact_row_and_the_contracts_envelope() {
    let record = record(AgentEvent::TextDelta {
        delta: "d".to_owned(),
    });
    let row = json!({
        "identity": "lead", "generation": 1, "fence_token": 7, "role": "boss", "timestamp_ms": 1000,
        "interaction_id": "i1", "work_id": "w1", "event": {"type": "text_delta", "delta": "d"},
    });
    assert_eq!(round_trip::<AgentEventRecord>(row), record);
    assert_eq!(
        serde_json::to_value(record.to_unified(Cursor::new(5))).unwrap(),
        json!({
            "event_id": "evt-agent-5", "source": "agent", "timestamp_ms": 1000,
            "event": {"kind": "agent", "agent_id": "lead:1", "event_type": "text_delta",
                      "payload": {"type": "text_delta", "delta": "d", "interaction_id": "i1", "work_id": "w1"}},
        })
    );
    let persisted = serde_json::to_value(record.to_persisted(Cursor::new(5))).unwrap();
    assert_eq!(
        (&persisted["id"], &persisted["seq"]),
        (&json!("evt-agent-5"), &json!(5))
    );
    assert_eq!(
        (&persisted["member_id"], &persisted["identity"]),
        (&json!("lead:1"), &json!("lead"))
    );
    round_trip::<PersistedEvent>(persisted);
}

#[test]
fn the_text_of_a_record_gives_the_same_envelope() {
    let awkward = json!({"type": "text_delta", "delta": "}\",\"work_id\":\"no\" \\ \u{2028}{"});
    for (number, event) in (1..).zip(agent_events().into_iter().chain([awkward])) {
        let mut record = record(serde_json::from_value(event).unwrap());
        for ids in [true, false] {
            if !ids {
                (record.interaction_id, record.work_id) = (None, None);
            }
            let cursor = Cursor::new(if ids { number } else { number + (1 << 53) });
            let stored = serde_json::to_vec(&record).unwrap();
            let text = RecordText::of(&stored).unwrap();
            assert_eq!(text.identity, r#""lead""#);
            assert_eq!(text.interaction_id, ids.then_some(r#""i1""#));
            let persisted: Value = serde_json::from_str(&text.to_persisted(cursor)).unwrap();
            assert_eq!(persisted, json::value_of(&record.to_persisted(cursor)));
            assert_eq!(
                text.to_persisted_event(cursor).unwrap(),
                record.to_persisted(cursor)
            );
        }
    }
    for wrong in ["", "[]", "{}", r#"{"identity":"lead","generation":1}"#] {
        assert!(RecordText::of(wrong.as_bytes()).is_none(), "{wrong}");
    }
}

#[test]
fn an_event_that_names_its_interaction_keeps_it() {
    let mut complete = record(AgentEvent::InteractionComplete {
        interaction_id: "i2".into(),
        result: String::new(),
        structured_output: None,
    });
    complete.work_id = None;
    let UnifiedEvent::Agent { payload, .. } = complete.to_unified(Cursor::new(1)).event else {
        panic!()
    };
    assert_eq!(
        (&payload["interaction_id"], payload.get("work_id")),
        (&json!("i2"), None)
    );
}

#[test]
fn module_events_have_their_own_kind() {
    let event = round_trip::<UnifiedEvent>(
        json!({"kind": "module", "module": "m", "event_type": "t", "payload": null}),
    );
    assert_eq!(event.event_type(), "t");
}

pub(crate) type Name = Option<&'static str>;

/// Kind, then run, step and member that the projection takes out of it.
pub(crate) fn ledger() -> Vec<(Value, Name, Name, Name)> {
    let run = Some("r");
    let step = Some("st");
    let target = json!({"identity": "x", "generation": 0});
    let kickoff =
        json!({"phase": "failed", "error": "e", "updated_at": "2026-01-02T03:04:05.678Z"});
    vec![
        (
            json!({"type": "mob_created", "definition": {"id": "m"}}),
            None,
            None,
            None,
        ),
        (json!({"type": "mob_completed"}), None, None, None),
        (json!({"type": "mob_destroying"}), None, None, None),
        (
            json!({"type": "mob_destroy_storage_finalizing"}),
            None,
            None,
            None,
        ),
        (json!({"type": "mob_reset"}), None, None, None),
        (
            json!({"type": "member_spawned", "agent_identity": "x", "generation": 0, "fence_token": 1,
                   "agent_runtime_id": target, "role": "w", "runtime_mode": "autonomous_host", "labels": {"k": "v"}}),
            None,
            None,
            Some("x"),
        ),
        (
            json!({"type": "member_retired", "agent_identity": "x", "generation": 0, "role": "w"}),
            None,
            None,
            Some("x"),
        ),
        (
            json!({"type": "member_reset", "agent_identity": "x", "previous_generation": 0, "new_generation": 1,
                   "fence_token": 2, "agent_runtime_id": {"identity": "x", "generation": 1}}),
            None,
            None,
            Some("x"),
        ),
        (
            json!({"type": "member_kickoff_updated", "member": "x", "kickoff": kickoff}),
            None,
            None,
            Some("x"),
        ),
        (
            json!({"type": "members_wired", "a": "x", "b": "y"}),
            None,
            None,
            None,
        ),
        (
            json!({"type": "members_wired_batch", "edges": [{"a": "x", "b": "y"}]}),
            None,
            None,
            None,
        ),
        (
            json!({"type": "members_unwired", "a": "x", "b": "y"}),
            None,
            None,
            None,
        ),
        (
            json!({"type": "external_peer_wired", "local": "x", "spec": {"name": "p"}}),
            None,
            None,
            Some("x"),
        ),
        (
            json!({"type": "external_peer_unwired", "local": "x", "peer_name": "p"}),
            None,
            None,
            Some("x"),
        ),
        (
            json!({"type": "flow_started", "run_id": "r", "flow_id": "f", "params": {}}),
            run,
            None,
            None,
        ),
        (
            json!({"type": "flow_completed", "run_id": "r", "flow_id": "f", "structured_output": 1}),
            run,
            None,
            None,
        ),
        (
            json!({"type": "flow_failed", "run_id": "r", "flow_id": "f", "reason": "b"}),
            run,
            None,
            None,
        ),
        (
            json!({"type": "flow_canceled", "run_id": "r", "flow_id": "f"}),
            run,
            None,
            None,
        ),
        (
            json!({"type": "step_dispatched", "run_id": "r", "step_id": "st", "target": target}),
            run,
            step,
            Some("x"),
        ),
        (
            json!({"type": "step_target_completed", "run_id": "r", "step_id": "st", "target": target}),
            run,
            step,
            Some("x"),
        ),
        (
            json!({"type": "step_target_failed", "run_id": "r", "step_id": "st", "target": target, "reason": "b",
                   "error_report": {}, "error": "e"}),
            run,
            step,
            Some("x"),
        ),
        (
            json!({"type": "step_completed", "run_id": "r", "step_id": "st"}),
            run,
            step,
            None,
        ),
        (
            json!({"type": "step_failed", "run_id": "r", "step_id": "st", "reason": "b"}),
            run,
            step,
            None,
        ),
        (
            json!({"type": "step_skipped", "run_id": "r", "step_id": "st", "reason": "b"}),
            run,
            step,
            None,
        ),
        (
            json!({"type": "topology_violation", "from_role": "a", "to_role": "b"}),
            None,
            None,
            None,
        ),
        (
            json!({"type": "supervisor_escalation", "run_id": "r", "step_id": "st", "escalated_to": "x"}),
            run,
            step,
            Some("x"),
        ),
        (
            json!({"type": "operator_action_recorded", "tool_name": "t", "principal_token": "p",
                   "caller_provenance": {}, "audit_invocation_id": "a"}),
            None,
            None,
            None,
        ),
    ]
}

fn mob_event(cursor: u64, kind: Value) -> MobEvent {
    serde_json::from_value(json!({
        "cursor": cursor, "timestamp": "1970-01-01T00:00:01.500Z", "mob_id": "m", "kind": kind,
    }))
    .unwrap()
}

#[test]
fn every_ledger_kind_has_its_shape_and_its_fields() {
    let labels = |key: &str| Labels::from_iter([(key.to_owned(), "1".to_owned())]);
    let mut seen = Vec::new();
    for (json, run, step, identity) in ledger() {
        let kind: MobEventKind = round_trip(json.clone());
        assert_eq!(kind.label(), json["type"]);
        let event = mob_event(3, json.clone());
        round_trip::<MobEvent>(serde_json::to_value(&event).unwrap());
        let envelope =
            MobStructuralEventEnvelope::project(&event).labelled(labels("mob"), labels("run"));
        assert_eq!(envelope.event_id, "mob-evt-3");
        assert_eq!(envelope.timestamp_ms, TimestampMs::new(1500));
        assert_eq!(envelope.run_id.as_ref().map(RunId::as_str), run, "{json}");
        assert_eq!(
            envelope.step_id.as_ref().map(StepId::as_str),
            step,
            "{json}"
        );
        assert_eq!(
            envelope.agent_identity.as_ref().map(AgentIdentity::as_str),
            identity,
            "{json}"
        );
        assert_eq!(envelope.mob_labels, labels("mob"));
        assert_eq!(
            envelope.run_labels.is_empty(),
            run.is_none(),
            "run labels belong to a run"
        );
        assert_eq!(envelope.data, json);
        round_trip::<MobStructuralEventEnvelope>(serde_json::to_value(&envelope).unwrap());
        seen.push(kind.label());
    }
    assert_eq!(seen, MOB_EVENT_KINDS);
}

#[test]
fn an_envelope_leaves_out_what_it_has_not() {
    let event = mob_event(1, json!({"type": "mob_completed"}));
    assert_eq!(
        serde_json::to_value(MobStructuralEventEnvelope::project(&event)).unwrap(),
        json!({"event_id": "mob-evt-1", "cursor": 1, "mob_id": "m", "timestamp_ms": 1500, "kind": "mob_completed",
               "data": {"type": "mob_completed"}})
    );
}

#[test]
fn timestamps_of_the_ledger_are_rfc_3339() {
    let cases: &[(&str, u64)] = &[
        ("1970-01-01T00:00:00.000Z", 0),
        ("1972-02-29T23:59:59.999Z", 68_255_999_999),
        ("2000-02-29T00:00:00.000Z", 951_782_400_000),
        ("2026-01-02T03:04:05.678Z", 1_767_323_045_678),
        ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ];
    for &(text, ms) in cases {
        assert_eq!(rfc3339::format(TimestampMs::new(ms)), text);
        assert_eq!(rfc3339::parse(text), Some(TimestampMs::new(ms)));
    }
    assert_eq!(
        rfc3339::format(TimestampMs::new(u64::MAX)),
        "9999-12-31T23:59:59.999Z"
    );
    let read: &[(&str, Option<u64>)] = &[
        ("1970-01-01T00:00:01Z", Some(1000)),
        ("1970-01-01t00:00:01z", Some(1000)),
        ("1970-01-01T00:00:00.1Z", Some(100)),
        ("1970-01-01T00:00:00.123456789Z", Some(123)),
        ("1970-01-01T01:00:01+01:00", Some(1000)),
        ("1969-12-31T23:30:01-00:30", Some(1000)),
        ("1960-01-01T00:00:00Z", Some(0)),
        ("1970-01-01T00:00:60Z", Some(60_000)),
        ("1970-01-01T00:00:00", None),
        ("1970-01-01T00:00:00.Z", None),
        ("1970-02-29T00:00:00Z", None),
        ("1970-13-01T00:00:00Z", None),
        ("1970-01-00T00:00:00Z", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01T00:00:00+1:00", None),
        ("1970-01-01T00:00:00+24:00", None),
        ("x970-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:0éZ", None),
        ("", None),
    ];
    for &(text, ms) in read {
        assert_eq!(rfc3339::parse(text), ms.map(TimestampMs::new), "{text}");
    }
    for day in 0..200_000u64 {
        let at = TimestampMs::new(day * 86_400_000 + 1);
        assert_eq!(rfc3339::parse(&rfc3339::format(at)), Some(at));
    }
}

#[test]
fn a_query_matches_envelopes_as_the_contract_says() {
    let spawned = mob_event(
        2,
        json!({"type": "member_spawned", "agent_identity": "x", "generation": 0, "fence_token": 1,
               "agent_runtime_id": {"identity": "x", "generation": 0}, "role": "w", "runtime_mode": "turn_driven"}),
    );
    let step = mob_event(
        3,
        json!({"type": "step_completed", "run_id": "r", "step_id": "s"}),
    );
    let batch = mob_event(
        4,
        json!({"type": "members_wired_batch", "edges": [{"a": "x", "b": "y"}]}),
    );
    let cases = [
        (json!({}), [true, true, true]),
        (json!({"since_ms": 1500}), [true, true, true]),
        (json!({"since_ms": 1501}), [false, false, false]),
        (json!({"until_ms": 1500}), [false, false, false]),
        (json!({"until_ms": 1501}), [true, true, true]),
        (json!({"mob_id": "m"}), [true, true, true]),
        (json!({"mob_id": "n"}), [false, false, false]),
        (json!({"run_id": "r"}), [false, true, false]),
        (
            json!({"run_id": "r", "step_id": "t"}),
            [false, false, false],
        ),
        (json!({"member_id": "x"}), [true, false, false]),
        (json!({"identity": "x"}), [true, false, false]),
        (
            json!({"identity": "y", "member_id": "x"}),
            [false, false, false],
        ),
        (
            json!({"event_types": ["step_completed", "members_wired_batch"]}),
            [false, true, true],
        ),
        (json!({"event_types": ["nonsense"]}), [false, false, false]),
        (json!({"limit": 0, "after_seq": "99"}), [true, true, true]),
    ];
    for (json, want) in cases {
        let query: EventQuery = serde_json::from_value(json.clone()).unwrap();
        let got = [&spawned, &step, &batch]
            .map(|event| query.envelope_matches(&MobStructuralEventEnvelope::project(event)));
        assert_eq!(got, want, "{json}");
    }
    assert!(
        serde_json::from_value::<EventQuery>(json!({"sinceMs": 1})).is_err(),
        "a misspelt filter filters nothing"
    );
}

#[test]
fn a_query_matches_records_by_member_time_and_type() {
    let record = record(AgentEvent::TurnStarted { turn_number: 1 });
    let record = serde_json::to_vec(&record).unwrap();
    let cases = [
        (json!({}), true),
        (json!({"member_id": "lead"}), true),
        (json!({"member_id": "lead:1"}), true),
        (json!({"member_id": "lead:2"}), false),
        (json!({"identity": "lea"}), false),
        (json!({"event_types": ["turn_started"]}), true),
        (json!({"event_types": ["turn_completed"]}), false),
        (json!({"since_ms": 1000, "until_ms": 1001}), true),
        (json!({"until_ms": 1000}), false),
        (json!({"run_id": "r"}), false),
    ];
    for (json, want) in cases {
        assert_eq!(
            serde_json::from_value::<EventQuery>(json.clone())
                .unwrap()
                .record_matches(&RecordText::of(&record).unwrap()),
            want,
            "{json}"
        );
    }
}

/// MobKit contract, section 24.3, row 24: the original writes `Active`.
#[test]
fn row_24_a_roster_row_is_written_in_lower_case_and_read_in_both() {
    let mut json = json!({
        "agent_identity": "lead", "role": "boss", "runtime_mode": "autonomous_host", "state": "active",
        "wired_to": ["a", "b"], "labels": {"k": "v"}, "status": "broken", "error": "profile gone", "is_final": false,
        "kickoff": {"phase": "started", "updated_at": "2026-01-02T03:04:05.678Z"}, "activity": "waiting_model",
        "model": "demo",
    });
    let entry: MobMemberListEntry = round_trip(json.clone());
    json["state"] = json!("Active");
    assert_eq!(
        serde_json::from_value::<MobMemberListEntry>(json).unwrap(),
        entry
    );
    let least: MobMemberListEntry =
        serde_json::from_value(json!({"agent_identity": "a", "role": "r", "state": "Retiring"}))
            .unwrap();
    assert_eq!(least.state, MemberState::Retiring);
}

#[test]
fn a_spawn_spec_takes_the_contracts_other_names_and_no_unknown_ones() {
    let spec: SpawnMemberSpec =
        serde_json::from_value(json!({"profile": "w", "meerkat_id": "w-1"})).unwrap();
    assert_eq!(spec, SpawnMemberSpec::new("w", "w-1").unwrap());
    round_trip::<SpawnMemberSpec>(json!({
        "role_name": "w", "identity": "w-1", "initial_message": "hi", "context": {"a": 1},
        "labels": {"k": "v"}, "additional_instructions": ["x"], "model_override": "m",
        "system_prompt_override": "p",
    }));
    let unknown = serde_json::from_value::<SpawnMemberSpec>(
        json!({"profile": "w", "identity": "w-1", "shell_env": {}}),
    );
    assert!(unknown.unwrap_err().to_string().contains("shell_env"));
}

#[test]
fn what_a_discovery_found_is_spawned_with_all_of_it() {
    let everything = json!({
        "profile": "worker", "meerkat_id": "w-1", "labels": {"team": "core"}, "context": {"tenant": 7},
        "additional_instructions": ["Be kind.", "Be brief."],
        "resume_session_id": "0191d9b2-7c3e-7aaa-8bbb-0123456789ab",
    });
    let found: AgentDiscoverySpec = round_trip(everything);
    let spec = discovery_spec_to_spawn_spec(&found).unwrap();
    assert_eq!(
        serde_json::to_value(&spec).unwrap(),
        json!({
            "role_name": "worker", "identity": "w-1", "labels": {"team": "core"}, "context": {"tenant": 7},
            "additional_instructions": ["Be kind.", "Be brief."],
            "resume_session_id": "0191d9b2-7c3e-7aaa-8bbb-0123456789ab",
        })
    );

    let least = json!({"profile": "worker", "meerkat_id": "w-1"});
    let found: AgentDiscoverySpec = serde_json::from_value(least.clone()).unwrap();
    let mut written = least;
    written["additional_instructions"] = json!([]);
    assert_eq!(serde_json::to_value(&found).unwrap(), written);
    let spec = discovery_spec_to_spawn_spec(&found).unwrap();
    assert_eq!(spec, SpawnMemberSpec::new("worker", "w-1").unwrap());

    // The original passes over an id that is none; here it reaches the spawn, which refuses it.
    let found = AgentDiscoverySpec {
        resume_session_id: Some("yesterday".into()),
        ..found
    };
    let spec = discovery_spec_to_spawn_spec(&found).unwrap();
    assert_eq!(spec.resume_session_id, Some("yesterday".into()));
    for (profile, name) in [("worker", "a b"), ("", "w-1"), ("worker", "")] {
        let found = AgentDiscoverySpec {
            profile: profile.into(),
            meerkat_id: name.into(),
            ..AgentDiscoverySpec::default()
        };
        assert!(discovery_spec_to_spawn_spec(&found).is_err());
    }
    let misspelt = json!({"profile": "worker", "meerkat_id": "w-1", "label": {}});
    assert!(<AgentDiscoverySpec as json::FromJson>::from_json(misspelt).is_err());
}

#[test]
fn error_events_have_their_tag_and_their_line() {
    let cases = [
        (
            json!({"category": "spawn_failure", "member_id": "x", "profile": "w", "error": "e"}),
            "spawn_failure: x: e",
        ),
        (
            json!({"category": "reconcile_incomplete", "failures": 1, "skipped": 2}),
            "reconcile_incomplete: 1 failures, 2 skipped",
        ),
        (
            json!({"category": "checkpoint_failure", "session_id": "s", "error": "e"}),
            "checkpoint_failure: s: e",
        ),
        (
            json!({"category": "host_loop_crash", "member_id": "x", "error": "e"}),
            "host_loop_crash: x: e",
        ),
        (
            json!({"category": "rediscover_failure", "error": "e"}),
            "rediscover_failure: e",
        ),
        (
            json!({"category": "event_log_flush_failure", "error": "e"}),
            "event_log_flush_failure: e",
        ),
    ];
    for (json, line) in cases {
        assert_eq!(round_trip::<ErrorEvent>(json).to_string(), line);
    }
}

#[test]
fn desired_edges_are_canonical() {
    let edge = DesiredPeerEdge::new(" b ", "a").unwrap();
    assert_eq!((edge.a().as_str(), edge.b().as_str()), ("a", "b"));
    assert_eq!(
        serde_json::from_value::<DesiredPeerEdge>(json!({"a": "b", "b": "a"})).unwrap(),
        edge
    );
    assert_eq!(
        DesiredPeerEdge::new("a", " a"),
        Err(InvalidEdge::SelfEdge("a".to_owned()))
    );
    assert_eq!(
        DesiredPeerEdge::new("a", " "),
        Err(InvalidEdge::EmptyEndpoint)
    );
    assert!(serde_json::from_value::<DesiredPeerEdge>(json!({"a": "b", "b": "b"})).is_err());
}

#[test]
fn reports_keep_their_shapes() {
    let mut report = UnifiedRuntimeReconcileEdgesReport::default();
    assert!(report.is_complete());
    report
        .skipped_missing_members
        .push(DesiredPeerEdge::new("a", "b").unwrap());
    assert!(!report.is_complete());
    round_trip::<UnifiedRuntimeShutdownReport>(json!({
        "drain": {"drained_count": 1, "timed_out": false, "drain_duration_ms": 2},
        "module_shutdown": {"terminated_modules": [], "orphan_processes": 0},
        "mob_stop": {"Err": {"code": "storage_closed", "message": "m", "data": {"a": 1}}},
    }));
    round_trip::<MobReconcileReport>(json!({
        "desired": ["a"], "retained": [], "spawned": [{"member_ref": "a:0", "agent_identity": "a"}], "retired": ["b"],
        "failures": [{"agent_identity": "c", "stage": "spawn", "error": "e"}],
    }));
}
