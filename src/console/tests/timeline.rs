//! The console's routes and methods: timeline, identities, sending.

use super::*;

fn send_body(identity: &str, content: &str, key: &str) -> Value {
    json!({ "identity": identity, "content": content, "origin": "console", "idempotency_key": key })
}

async fn get(runtime: &UnifiedRuntime, url: &str) -> (u16, Value) {
    let response = fetch(runtime, FetchRequest::get(url)).await;
    let status = response.status;
    (status, serde_json::from_str(&text(response).await).unwrap())
}

async fn post_send(runtime: &UnifiedRuntime, body: &Value) -> (u16, Value) {
    let response = fetch(runtime, FetchRequest::post_json("/console/send", body)).await;
    let status = response.status;
    (status, serde_json::from_str(&text(response).await).unwrap())
}

#[test]
fn a_message_is_sent_by_route_or_method_and_is_one_message() {
    with_runtime(async |runtime, _| {
        let body = send_body("lead", "hello", "k1");
        let (status, accepted) = post_send(&runtime, &body).await;
        assert_eq!(status, 200);
        assert_eq!(accepted["conversation_id"], "lead:0");
        let interaction = accepted["interaction_id"].as_str().unwrap().to_owned();
        settled(&runtime, &interaction).await;
        let again = ok(&runtime, "mobkit/console/send", body.clone()).await;
        assert_eq!(again["interaction_id"], interaction);
        assert_eq!(again["input_frame_id"], accepted["input_frame_id"]);
        assert_eq!(
            (&accepted["status"], &again["status"]),
            (&json!("accepted"), &json!("completed"))
        );

        let (status, page) = get(&runtime, "/console/timeline").await;
        assert_eq!(status, 200);
        let paged = ok(&runtime, "mobkit/console/query_timeline", json!({})).await;
        assert_eq!(page, paged);
        let frames = page["frames"].as_array().unwrap();
        let inputs: Vec<_> = frames
            .iter()
            .filter(|frame| frame["kind"] == "user_input")
            .collect();
        assert_eq!(inputs.len(), 1);
        assert_eq!(inputs[0]["id"], accepted["input_frame_id"]);
        assert_eq!(frames[0]["kind"], "runtime_bootstrapped");
        assert_eq!(page["exhausted"], true);
        let last = frames.last().unwrap();
        assert_eq!(
            (&last["kind"], &last["cursor"]),
            (&json!("interaction_complete"), &page["latest_cursor"])
        );
    });
}

#[test]
fn a_frame_has_the_contracts_fields() {
    with_runtime(async |runtime, _| {
        let accepted = ok(
            &runtime,
            "mobkit/console/send",
            send_body("lead", "say \"hi\"\n", "k"),
        )
        .await;
        let interaction = accepted["interaction_id"].as_str().unwrap();
        settled(&runtime, interaction).await;
        let page = ok(
            &runtime,
            "mobkit/console/query_timeline",
            json!({ "limit": 1000 }),
        )
        .await;
        let frames = page["frames"].as_array().unwrap();
        let find = |kind: &str| {
            let mut frame = frames
                .iter()
                .find(|frame| frame["kind"] == kind)
                .unwrap()
                .clone();
            assert!(frame["timestamp_ms"].as_u64().is_some());
            frame.as_object_mut().unwrap().remove("timestamp_ms");
            frame
        };
        let mut input = find("user_input");
        assert!(input["updated_at_ms"].as_u64().is_some());
        let id = accepted["input_frame_id"].as_str().unwrap();
        input.as_object_mut().unwrap().remove("updated_at_ms");
        input["payload"].as_object_mut().unwrap().remove("work_id");
        assert_eq!(
            input,
            json!({
                "id": id, "cursor": accepted["cursor"], "dedupe_key": format!("console-event:m:{id}"),
                "runtime_key": "m", "identity": "lead", "conversation_id": "lead:0",
                "kind": "user_input", "status": "completed", "frame_version": 3,
                "payload": {
                    "type": "user_input", "interaction_id": interaction, "content": "say \"hi\"\n",
                    "origin": "console", "handling_mode": "queue", "source_event_type": "user_input",
                },
                "source": { "kind": "send", "source_cursor": id },
                "source_event_id": id, "interaction_id": interaction,
            })
        );
        let first = find("runtime_bootstrapped");
        assert_eq!(
            first,
            json!({
                "id": "console-evt-1", "cursor": "console:0", "dedupe_key": "console:m:console-evt-1",
                "runtime_key": "m", "identity": "_system", "kind": "runtime_bootstrapped",
                "status": "completed", "frame_version": 1, "source": { "kind": "synthetic" },
                "payload": { "source": "unified_runtime" },
            })
        );
        let update = find("frame_updated");
        assert_eq!(
            (&update["source"]["kind"], &update["payload"]["frame"]["id"]),
            (&json!("synthetic"), &json!(id))
        );
    });
}

#[test]
fn the_timeline_streams_a_snapshot_and_then_what_comes() {
    with_runtime(async |runtime, _| {
        let accepted = ok(
            &runtime,
            "mobkit/console/send",
            send_body("lead", "one", "k"),
        )
        .await;
        settled(&runtime, accepted["interaction_id"].as_str().unwrap()).await;
        let latest = runtime.status().latest_event_cursor;
        let mut client =
            Client::open(&runtime, FetchRequest::get("/console/timeline/stream")).await;
        let started = client.next().await;
        assert_eq!(
            (started.id.as_str(), started.event.as_str(), started.data),
            (
                "",
                "snapshot_started",
                json!({ "type": "snapshot_started", "after": null })
            )
        );
        let mut last = String::new();
        loop {
            let event = client.next().await;
            match event.event.as_str() {
                "console_frame" => assert_eq!(event.data["frame"]["cursor"], event.id),
                "frame_updated" => assert_eq!(event.id, ""),
                "snapshot_complete" => {
                    assert_eq!(event.id, format!("console:{latest}"));
                    break;
                }
                other => panic!("{other}"),
            }
            assert_eq!(event.data["type"], event.event);
        }
        // Goes on live, and comes back by the last id that it heard.
        let accepted = ok(
            &runtime,
            "mobkit/console/send",
            send_body("lead", "two", "l"),
        )
        .await;
        settled(&runtime, accepted["interaction_id"].as_str().unwrap()).await;
        let end = runtime.status().latest_event_cursor;
        let mut heard = Vec::new();
        while last != format!("console:{end}") {
            let event = client.next().await;
            if !event.id.is_empty() {
                last = event.id.clone();
                heard.push(event);
            }
        }
        let back = FetchRequest::get("/console/timeline/stream")
            .header("last-event-id", &format!("console:{latest}"));
        let mut back = Client::open(&runtime, back).await;
        let mut again = Vec::new();
        while again.len() < heard.len() {
            let event = back.next().await;
            if event.event == "console_frame" {
                again.push(event);
            }
        }
        let places = |events: &[Event]| -> Vec<(String, Value)> {
            let place = |event: &Event| (event.id.clone(), event.data["frame"]["kind"].clone());
            events.iter().map(place).collect()
        };
        assert_eq!(places(&again), places(&heard));
    });
}

#[test]
fn the_stream_of_an_identity_is_its_own() {
    with_runtime(async |runtime, _| {
        let accepted = ok(
            &runtime,
            "mobkit/console/send",
            send_body("lead", "one", "k"),
        )
        .await;
        settled(&runtime, accepted["interaction_id"].as_str().unwrap()).await;
        for (path, some) in [
            ("lead", true),
            ("le%61d", true),
            ("w-1", false),
            ("a+b", false),
        ] {
            let url = format!("/console/identity/{path}/stream?after=console:0");
            let mut client = Client::open(&runtime, FetchRequest::get(url)).await;
            let mut frames = 0;
            loop {
                let event = client.next().await;
                match event.event.as_str() {
                    "console_frame" => {
                        assert_eq!(event.data["frame"]["identity"], "lead");
                        frames += 1;
                    }
                    "snapshot_complete" => break,
                    _ => {}
                }
            }
            assert_eq!(frames > 0, some, "{path}");
        }
    });
}

#[test]
fn identities_are_listed_and_inspected() {
    with_runtime(async |runtime, _| {
        let (status, list) = get(&runtime, "/console/identities").await;
        assert_eq!(status, 200);
        assert_eq!(
            list,
            ok(&runtime, "mobkit/console/list_identities", json!({})).await
        );
        let list = list["identities"].as_array().unwrap();
        let seen: Vec<_> = list
            .iter()
            .map(|one| {
                (
                    one["identity"].as_str().unwrap(),
                    one["visibility"].as_str().unwrap(),
                )
            })
            .collect();
        // The worker's profile takes no messages from outside.
        assert_eq!(seen, [("lead", "addressable"), ("w-1", "unreachable")]);
        let lead = ok(
            &runtime,
            "mobkit/console/inspect_identity",
            json!({ "identity": "lead" }),
        )
        .await;
        assert_eq!((&lead["identity"], &lead["peers"][0]), (&list[0], &list[1]));
    });
}

#[test]
fn what_cannot_be_done_has_the_contracts_status_and_code() {
    with_runtime(async |runtime, _| {
        let accepted = ok(
            &runtime,
            "mobkit/console/send",
            send_body("lead", "one", "k"),
        )
        .await;
        settled(&runtime, accepted["interaction_id"].as_str().unwrap()).await;
        ok(
            &runtime,
            "mobkit/spawn_member",
            json!({ "profile": "lead", "meerkat_id": "old" }),
        )
        .await;
        ok(
            &runtime,
            "mobkit/retire_member",
            json!({ "member_id": "old" }),
        )
        .await;
        let cases = [
            (
                send_body("nobody", "c", "1"),
                404,
                -32001,
                "member_not_found",
            ),
            (send_body("w-1", "c", "1"), 409, -32002, "not_addressable"),
            (send_body("old", "c", "1"), 409, -32004, "member_retired"),
            (
                send_body("lead", "other", "k"),
                409,
                -32009,
                "idempotency_conflict",
            ),
            (send_body("lead", " ", "2"), 400, -32602, "invalid_input"),
        ];
        for (body, status, code, name) in cases {
            let (got, answer) = post_send(&runtime, &body).await;
            assert_eq!((got, &answer["error"]), (status, &json!(name)), "{answer}");
            let (got, _, data) = refused(&runtime, "mobkit/console/send", body).await;
            assert_eq!((got, &data["code"]), (code, &json!(name)));
        }
        let (status, answer) = post_send(&runtime, &json!({ "identity": "lead" })).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));

        let latest = runtime.status().latest_event_cursor;
        for place in ["console:99999", "nonsense"] {
            for url in [
                "/console/timeline",
                "/console/timeline/stream",
                "/console/identity/lead/stream",
            ] {
                let (status, answer) = get(&runtime, &format!("{url}?after={place}")).await;
                assert_eq!(status, 409, "{answer}");
                assert_eq!(
                    (
                        &answer["error"],
                        &answer["requested_cursor"],
                        &answer["latest_cursor"]
                    ),
                    (
                        &json!("replay_unavailable"),
                        &json!(place),
                        &json!(format!("console:{latest}"))
                    )
                );
            }
            let (code, _, data) = refused(
                &runtime,
                "mobkit/console/query_timeline",
                json!({ "after": place }),
            )
            .await;
            assert_eq!(
                (code, &data["kind"]),
                (-32010, &json!("replay_unavailable"))
            );
            assert_eq!(data.get("error"), None);
        }
        for (query, field) in [
            ("limit=x", "limit"),
            ("mode=backwards", "mode"),
            ("speed=1", "speed"),
        ] {
            let (status, answer) = get(&runtime, &format!("/console/timeline?{query}")).await;
            assert_eq!(status, 400);
            assert!(
                answer["message"].as_str().unwrap().contains(field),
                "{answer}"
            );
        }
        let (status, _) = get(&runtime, "/console/timeline/stream?mode=recent").await;
        assert_eq!(status, 400);
        let wrong = FetchRequest {
            method: "PUT".into(),
            ..FetchRequest::get("/console/send")
        };
        assert_eq!(fetch(&runtime, wrong).await.status, 405);
        for nowhere in [
            "/console/identity//stream",
            "/console/identity/a/b/stream",
            "/console/identity/lead",
        ] {
            assert_eq!(get(&runtime, nowhere).await.0, 404, "{nowhere}");
        }
        let undecodable = get(&runtime, "/console/identity/%ff/stream").await;
        assert_eq!(undecodable.0, 400);
    });
}
