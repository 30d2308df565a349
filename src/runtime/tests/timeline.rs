//! The console's timeline: pages, streams, statuses, identity of frames, sending.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::log::Retention;
use crate::mob::MobError;
use crate::sim::CommitFault;
use crate::wire::json::FromJson;
use crate::wire::{
    ConsoleFrame, ConsoleFrameSourceKind, ConsoleFrameStatus, ConsoleSendRequest,
    ConsoleTimelineEvent, ConsoleTimelineQuery, ConsoleVisibility, ResponsePhase, SendInput,
    SendState, SpawnMemberSpec, TimelineMode,
};

/// The team after the lead was asked once.
async fn worked(host: &Host, disk: &SimDisk) -> UnifiedRuntime {
    let model = teamwork(host);
    let runtime = builder(host, disk, &model).build().await.unwrap();
    ask(&runtime, "lead", "build a house").await;
    runtime
}

async fn ask(runtime: &UnifiedRuntime, who: &str, content: &str) {
    let request = SendRequest::new(content);
    runtime.ask(&id(who), request).await.unwrap();
}

async fn send(
    runtime: &UnifiedRuntime,
    who: &str,
    content: impl Into<crate::wire::ContentInput>,
) -> InteractionId {
    let request = SendRequest::new(content);
    let accepted = runtime.send(&id(who), request).await.unwrap();
    accepted.interaction_id
}

fn in_sim<F: Future>(seed: u64, test: impl FnOnce(Host, SimDisk) -> F) -> F::Output {
    let sim = Sim::new(seed);
    sim.block_on(test(sim.host(), SimDisk::new()))
}

/// All frames, in pages of `limit`.
async fn since(runtime: &UnifiedRuntime, limit: usize) -> Vec<ConsoleFrame> {
    let mut frames = Vec::new();
    let mut query = ConsoleTimelineQuery {
        limit: Some(limit),
        ..ConsoleTimelineQuery::default()
    };
    loop {
        let page = runtime.query_timeline(&query).await.unwrap();
        // The frames of one event stay together.
        assert!(page.frames.len() <= limit.max(2), "{limit}");
        frames.extend(page.frames);
        if page.exhausted {
            assert_eq!(page.next_cursor.as_ref(), Some(&page.latest_cursor));
            return frames;
        }
        query.after = page.next_cursor;
    }
}

async fn recent(runtime: &UnifiedRuntime, limit: usize) -> Vec<ConsoleFrame> {
    let mut frames = Vec::new();
    let mut query = ConsoleTimelineQuery {
        limit: Some(limit),
        mode: Some(TimelineMode::Recent),
        ..ConsoleTimelineQuery::default()
    };
    loop {
        let page = runtime.query_timeline(&query).await.unwrap();
        frames.splice(0..0, page.frames);
        if page.exhausted {
            return frames;
        }
        query.before = page.next_cursor;
    }
}

fn number(cursor: &str) -> u64 {
    cursor.strip_prefix("console:").unwrap().parse().unwrap()
}

fn ids(frames: &[ConsoleFrame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.id.as_str()).collect()
}

/// Every entry of the log has one frame, its id is there once, and the places ascend.
fn check_whole(runtime: &UnifiedRuntime, frames: &[ConsoleFrame]) {
    let unique: BTreeSet<_> = ids(frames).into_iter().collect();
    assert_eq!(unique.len(), frames.len(), "an id is there twice");
    let places: Vec<u64> = frames.iter().map(|frame| number(&frame.cursor)).collect();
    assert!(places.is_sorted(), "{places:?}");
    let own: Vec<u64> = frames
        .iter()
        .filter(|frame| frame.id.starts_with("evt-agent-") && frame.kind != "frame_updated")
        .map(|frame| number(&frame.cursor))
        .collect();
    let latest = runtime.status().latest_event_cursor.get();
    assert_eq!(own, (1..=latest).collect::<Vec<_>>());
}

#[test]
fn pages_of_any_size_and_direction_are_the_same_timeline() {
    in_sim(1, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let whole = since(&runtime, 1_000).await;
        check_whole(&runtime, &whole);
        assert_eq!(
            (whole[0].kind.as_str(), whole[0].identity.as_str()),
            ("runtime_bootstrapped", "_system")
        );
        for limit in [1, 2, 3, 7, 64] {
            assert_eq!(since(&runtime, limit).await, whole, "{limit}");
            assert_eq!(recent(&runtime, limit).await, whole, "{limit}");
        }
    });
}

#[test]
fn the_limit_is_brought_within_its_bounds() {
    let limit = |limit| ConsoleTimelineQuery {
        limit,
        ..ConsoleTimelineQuery::default()
    };
    for (asked, is) in [
        (None, 200),
        (Some(0), 1),
        (Some(7), 7),
        (Some(1_001), 1_000),
        (Some(usize::MAX), 1_000),
    ] {
        assert_eq!(limit(asked).clamped_limit(), is);
    }
}

/// What a reader hears until it knows that nothing more is there.
async fn hear(runtime: &UnifiedRuntime, query: &ConsoleTimelineQuery) -> Vec<ConsoleTimelineEvent> {
    let mut told = runtime.timeline(query).unwrap();
    let mut heard = Vec::new();
    loop {
        let event = told.next().await.unwrap().unwrap();
        let complete = matches!(event, ConsoleTimelineEvent::SnapshotComplete { .. });
        heard.push(event);
        if complete {
            return heard;
        }
    }
}

fn frames_of(heard: &[ConsoleTimelineEvent]) -> Vec<ConsoleFrame> {
    let frames = heard.iter().filter_map(|event| match event {
        ConsoleTimelineEvent::ConsoleFrame(frame) => Some(frame.clone()),
        _ => None,
    });
    frames.collect()
}

fn after(cursor: u64) -> ConsoleTimelineQuery {
    ConsoleTimelineQuery {
        after: Some(format!("console:{cursor}")),
        ..ConsoleTimelineQuery::default()
    }
}

#[test]
fn row_23_a_reader_that_comes_back_anywhere_misses_nothing_and_hears_nothing_twice() {
    in_sim(2, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        // The tail holds 8 entries: most of this is read from storage.
        let whole = since(&runtime, 1_000).await;
        let latest = runtime.status().latest_event_cursor.get();
        assert!(latest > 40);
        for seen in 0..=latest {
            let heard = hear(&runtime, &after(seen)).await;
            let rest: Vec<_> = whole
                .iter()
                .filter(|frame| number(&frame.cursor) > seen && frame.kind != "frame_updated")
                .cloned()
                .collect();
            assert_eq!(frames_of(&heard), rest, "after {seen}");
            let begin = ConsoleTimelineEvent::SnapshotStarted {
                after: Some(format!("console:{seen}")),
            };
            let end = ConsoleTimelineEvent::SnapshotComplete {
                cursor: Some(format!("console:{latest}")),
            };
            assert_eq!((heard.first(), heard.last()), (Some(&begin), Some(&end)));
        }
    });
}

#[test]
fn row_23_a_slow_reader_hears_everything_that_happens_meanwhile() {
    in_sim(3, async |host, disk| {
        let model = teamwork(&host);
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let mut told = runtime.timeline(&after(0)).unwrap();
        for _ in 0..3 {
            ask(&runtime, "lead", "build a house").await;
        }
        let latest = runtime.status().latest_event_cursor;
        let mut frames = Vec::new();
        while frames
            .last()
            .is_none_or(|frame: &ConsoleFrame| number(&frame.cursor) < latest.get())
        {
            host.sleep(Duration::from_millis(7)).await;
            if let ConsoleTimelineEvent::ConsoleFrame(frame) = told.next().await.unwrap().unwrap() {
                frames.push(frame);
            }
        }
        check_whole(&runtime, &frames);
    });
}

#[test]
fn a_fresh_reader_gets_the_newest_frames_and_then_what_comes() {
    in_sim(4, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let latest = runtime.status().latest_event_cursor.get();
        let query = ConsoleTimelineQuery {
            limit: Some(5),
            ..ConsoleTimelineQuery::default()
        };
        let mut told = runtime.timeline(&query).unwrap();
        send(&runtime, "ann", "and you?").await;
        let mut places = Vec::new();
        let mut snapshot = None;
        while places.len() < 8 {
            match told.next().await.unwrap().unwrap() {
                ConsoleTimelineEvent::SnapshotStarted { after } => assert_eq!(after, None),
                ConsoleTimelineEvent::ConsoleFrame(frame) => places.push(number(&frame.cursor)),
                ConsoleTimelineEvent::SnapshotComplete { cursor } => {
                    assert_eq!(cursor, Some(format!("console:{latest}")));
                    snapshot = Some(places.len());
                }
                ConsoleTimelineEvent::FrameUpdated(_) => {}
            }
        }
        assert_eq!(snapshot, Some(5));
        assert_eq!(places, (latest - 4..=latest + 3).collect::<Vec<_>>());
    });
}

#[test]
fn a_message_goes_from_accepted_to_delivered_to_completed() {
    in_sim(5, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let mut told = runtime.timeline(&after(0)).unwrap();
        let mut seen: Vec<(ConsoleFrameStatus, u64)> = Vec::new();
        let latest = runtime.status().latest_event_cursor.get();
        let mut place = 0;
        while place < latest {
            match told.next().await.unwrap().unwrap() {
                ConsoleTimelineEvent::ConsoleFrame(frame) => {
                    place = number(&frame.cursor);
                    if frame.kind == "user_input" {
                        seen.push((frame.status, frame.frame_version));
                    }
                }
                ConsoleTimelineEvent::FrameUpdated(frame) => {
                    assert_eq!(frame.kind, "user_input");
                    seen.push((frame.status, frame.frame_version));
                }
                _ => {}
            }
        }
        // What is read now is told as it stands now.
        let now = (ConsoleFrameStatus::Completed, 3);
        assert_eq!(seen, [now, now, now]);

        runtime.stop().await.unwrap();
        let sent = send(&runtime, "ann", "again").await;
        let accepted = (ConsoleFrameStatus::Accepted, 1);
        let mut seen = Vec::new();
        while seen.last() != Some(&now) {
            if seen.last() == Some(&accepted) {
                runtime.resume().await.unwrap();
            }
            match told.next().await.unwrap().unwrap() {
                ConsoleTimelineEvent::ConsoleFrame(frame)
                    if frame.kind == "user_input"
                        && frame.interaction_id.as_ref() == Some(&sent) =>
                {
                    seen.push((frame.status, frame.frame_version));
                }
                ConsoleTimelineEvent::FrameUpdated(frame) => {
                    assert_eq!(frame.interaction_id.as_ref(), Some(&sent));
                    seen.push((frame.status, frame.frame_version));
                }
                _ => {}
            }
        }
        let delivered = (ConsoleFrameStatus::Delivered, 2);
        assert_eq!(seen, [accepted, delivered, now]);
    });
}

/// How often an interaction ends on each identity.
fn endings(frames: &[ConsoleFrame]) -> BTreeMap<(String, String), Vec<String>> {
    let mut endings: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for frame in frames {
        if let ("interaction_complete" | "interaction_failed", Some(interaction)) =
            (frame.kind.as_str(), &frame.interaction_id)
        {
            let whose = (interaction.to_string(), frame.identity.clone());
            endings.entry(whose).or_default().push(frame.kind.clone());
        }
    }
    endings
}

#[test]
fn an_interaction_ends_once_for_the_member_that_was_asked() {
    in_sim(6, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let frames = since(&runtime, 100).await;
        let endings = endings(&frames);
        let of = |name: &str| {
            let found = endings.iter().find(|((_, who), _)| who == name);
            found.map(|(_, ends)| ends.len()).unwrap_or_default()
        };
        // The lead ran three times for it, each worker once.
        let lead_runs = frames
            .iter()
            .filter(|frame| frame.identity == "lead" && frame.kind == "run_completed");
        assert_eq!(lead_runs.count(), 3);
        assert_eq!((of("lead"), of("ann"), of("bob")), (1, 1, 1));
        let last = frames
            .iter()
            .rfind(|frame| frame.identity == "lead")
            .unwrap();
        assert_eq!(
            (last.kind.as_str(), &last.payload["result"]),
            ("interaction_complete", &json!("all done"))
        );
        let part = frames
            .iter()
            .find(|frame| frame.identity == "ann" && frame.kind == "interaction_complete")
            .unwrap();
        assert_eq!(part.payload["source_event_type"], "run_completed");
    });
}

#[test]
fn row_21_what_fails_is_the_named_interaction_alone_and_once() {
    in_sim(7, async |host, disk| {
        let model = ScriptedModel::answering(host.clone(), |_| {
            Reply::text("done").after(Duration::from_millis(50))
        });
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let content = json!([{ "type": "text", "text": "second, " }, { "type": "text", "text": "in blocks" }]);
        let content = crate::wire::ContentInput::from_json(content).unwrap();
        let first = send(&runtime, "ann", "first").await;
        let second = send(&runtime, "ann", content).await;
        let third = send(&runtime, "ann", "third").await;
        let phase = runtime.console_events();
        host.sleep(Duration::from_millis(10)).await;
        assert!(runtime.cancel(&second).await.unwrap());
        // A new incarnation fails what it was at; what waits stays.
        runtime.respawn(&id("ann")).await.unwrap();
        let handle = runtime.mob_handle();
        let ends = [
            handle.wait_interaction(&first).await.unwrap().status,
            handle.wait_interaction(&second).await.unwrap().status,
            handle.wait_interaction(&third).await.unwrap().status,
        ];
        assert_eq!(
            ends,
            [
                InteractionStatus::Cancelled,
                InteractionStatus::Cancelled,
                InteractionStatus::Completed
            ]
        );
        assert_eq!(
            phase.response_phase_for_identity(&id("ann")).await.unwrap(),
            None
        );
        let frames = since(&runtime, 100).await;
        let endings = endings(&frames);
        let end = |id: &InteractionId| endings[&(id.to_string(), "ann".to_owned())].clone();
        assert_eq!(end(&first), ["interaction_failed"]);
        assert_eq!(end(&second), ["interaction_failed"]);
        assert_eq!(end(&third), ["interaction_complete"]);
        assert_eq!(
            frames
                .iter()
                .filter(|frame| frame.kind == "identity_respawned")
                .count(),
            1
        );
        let status = |id: &InteractionId| {
            let input = frames
                .iter()
                .find(|frame| {
                    frame.kind == "user_input" && frame.interaction_id.as_ref() == Some(id)
                })
                .unwrap();
            (input.status, input.updated_at_ms.is_some())
        };
        assert_eq!(status(&first), (ConsoleFrameStatus::Completed, true));
        assert_eq!(status(&second), (ConsoleFrameStatus::DeliveryFailed, true));
        assert_eq!(status(&third), (ConsoleFrameStatus::Completed, true));
        let started: Vec<_> = frames
            .iter()
            .filter(|frame| frame.kind == "run_started")
            .map(|frame| frame.interaction_id.clone().unwrap())
            .collect();
        assert_eq!(started, [first, third]);
    });
}

#[test]
fn a_member_that_leaves_fails_what_waits_and_says_last_that_it_is_gone() {
    in_sim(8, async |host, disk| {
        let model = ScriptedModel::answering(host.clone(), |_| {
            Reply::text("done").after(Duration::from_secs(1))
        });
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        for text in ["first", "second"] {
            send(&runtime, "ann", text).await;
        }
        host.sleep(Duration::from_millis(10)).await;
        runtime.retire(&id("ann")).await.unwrap();
        let frames = since(&runtime, 100).await;
        let ends = endings(&frames);
        assert_eq!(ends.len(), 2);
        assert!(ends.values().all(|end| *end == ["interaction_failed"]));
        assert_eq!(frames.last().unwrap().kind, "identity_retired");
        let send = ConsoleSendRequest::from_json(json!({
            "identity": "ann", "content": "late", "origin": "console", "idempotency_key": "k"
        }));
        let refused = runtime.console_send(send.unwrap()).await.unwrap_err();
        assert_eq!(refused.code(), "member_retired");
    });
}

#[test]
fn row_22_a_frame_keeps_its_id_and_no_other_ever_gets_it() {
    let disk = SimDisk::new();
    let mut known: Vec<ConsoleFrame> = Vec::new();
    for life in 0..4 {
        let sim = Sim::new(90 + life);
        let host = sim.host();
        let model = teamwork(&host);
        let plan = match life {
            // Killed in the middle of its work.
            1 => StoragePlan::default().at(6, CommitFault::CrashAfter),
            _ => StoragePlan::default(),
        };
        let storage = disk.open(&host, plan);
        let crash = sim.crash_switch();
        storage.on_crash(move || crash.crash());
        let told: Rc<std::cell::RefCell<Vec<ConsoleFrame>>> = Rc::default();
        let tell = told.clone();
        let ended = sim.try_block_on(async {
            let runtime = builder(&host, &disk, &model).storage(storage).build();
            let runtime = runtime.await.unwrap();
            let after = known.last().map(|frame| frame.cursor.clone());
            let query = ConsoleTimelineQuery {
                after: after.or_else(|| Some("console:0".into())),
                ..ConsoleTimelineQuery::default()
            };
            let mut timeline = runtime.timeline(&query).unwrap();
            host.spawn(async move {
                while let Some(Ok(event)) = timeline.next().await {
                    if let ConsoleTimelineEvent::ConsoleFrame(frame) = event {
                        tell.borrow_mut().push(frame);
                    }
                }
            });
            ask(&runtime, "lead", "build a house").await;
            // Everything that was ever told is still what it was, but for the status of messages.
            let whole = since(&runtime, 100).await;
            for frame in &known {
                let now = whole.iter().find(|now| now.id == frame.id).unwrap();
                assert_eq!(
                    (&now.cursor, &now.kind, &now.dedupe_key, &now.payload),
                    (
                        &frame.cursor,
                        &frame.kind,
                        &frame.dedupe_key,
                        &frame.payload
                    )
                );
            }
            runtime.shutdown().await;
        });
        assert_eq!(ended.is_err(), life == 1, "life {life}");
        let told = told.take();
        let fresh: Vec<_> = told
            .into_iter()
            // What was told before it was durable may be lost with its life; its number is not given again.
            .filter(|frame| life != 1 || !frame.kind.ends_with("_delta"))
            .collect();
        known.extend(fresh);
        let unique: BTreeSet<_> = ids(&known).into_iter().collect();
        assert_eq!(unique.len(), known.len(), "life {life}");
    }
}

#[test]
fn a_place_that_is_none_is_told_so() {
    in_sim(9, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let latest = runtime.status().latest_event_cursor.get();
        for wrong in [
            format!("console:{}", latest + 1),
            "console:".into(),
            "console:x".into(),
            "7".into(),
            "mob:3".into(),
        ] {
            let query = ConsoleTimelineQuery {
                after: Some(wrong.clone()),
                ..ConsoleTimelineQuery::default()
            };
            let paged = runtime.query_timeline(&query).await.unwrap_err();
            let told = runtime.timeline(&query).err().unwrap();
            for error in [paged, told] {
                let data = error.data();
                assert_eq!(data.code, "replay_unavailable");
                assert_eq!(
                    data.data,
                    json!({ "requested_cursor": wrong, "latest_cursor": format!("console:{latest}") })
                );
            }
        }
        let both = ConsoleTimelineQuery {
            after: Some("console:1".into()),
            before: Some("console:3".into()),
            ..ConsoleTimelineQuery::default()
        };
        let error = runtime.query_timeline(&both).await.unwrap_err();
        assert!(matches!(
            error,
            MobError::InvalidInput {
                field: "before",
                ..
            }
        ));
    });
}

#[test]
fn numbers_that_an_unclean_stop_lost_are_a_frame_of_their_own() {
    let disk = SimDisk::new();
    let sim = Sim::new(11);
    let host = sim.host();
    let storage = disk.open(&host, StoragePlan::default().at(6, CommitFault::CrashAfter));
    let crash = sim.crash_switch();
    storage.on_crash(move || crash.crash());
    let model = teamwork(&host);
    let died = sim.try_block_on(async {
        let runtime = builder(&host, &disk, &model).storage(storage).build();
        let runtime = runtime.await.unwrap();
        ask(&runtime, "lead", "build a house").await;
    });
    assert!(died.is_err());
    let sim = Sim::new(12);
    let host = sim.host();
    sim.block_on(async {
        let model = teamwork(&host);
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        ask(&runtime, "lead", "build a house").await;
        let frames = since(&runtime, 1_000).await;
        let gaps: Vec<_> = frames
            .iter()
            .filter(|frame| frame.kind == "replay_unavailable")
            .collect();
        let [gap] = gaps.as_slice() else {
            panic!("{gaps:?}")
        };
        assert_eq!(
            (gap.identity.as_str(), &gap.payload["reason"]),
            ("__console__", &json!("unclean_stop"))
        );
        assert_eq!(gap.payload["latest_cursor"], gap.cursor);
        let heard = frames_of(&hear(&runtime, &after(0)).await);
        assert_eq!(
            ids(&heard),
            frames
                .iter()
                .filter(
                    |frame| frame.kind != "frame_updated" && frame.kind != "runtime_bootstrapped"
                )
                .map(|frame| frame.id.as_str())
                .collect::<Vec<_>>()
        );
    });
}

#[test]
fn one_identity_and_one_conversation_can_be_read_alone() {
    in_sim(13, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        runtime.respawn(&id("ann")).await.unwrap();
        ask(&runtime, "ann", "again").await;
        let of = async |identity: Option<&str>, conversation: Option<&str>| {
            let query = ConsoleTimelineQuery {
                identity: identity.map(str::to_owned),
                conversation_id: conversation.map(str::to_owned),
                ..ConsoleTimelineQuery::default()
            };
            let paged = runtime.query_timeline(&query).await.unwrap();
            assert!(paged.exhausted);
            let heard = hear(&runtime, &query).await;
            let own = |frame: &&ConsoleFrame| frame.kind != "frame_updated";
            let own: Vec<_> = paged.frames.iter().filter(own).cloned().collect();
            assert_eq!(frames_of(&heard), own);
            own
        };
        let ann = of(Some("ann"), None).await;
        assert!(ann.iter().all(|frame| frame.identity == "ann"));
        let (first, second) = (
            of(None, Some("ann:0")).await,
            of(Some("ann"), Some("ann:1")).await,
        );
        assert!(!first.is_empty() && !second.is_empty());
        let mut both = first;
        both.extend(second);
        both.sort_by_key(|frame| number(&frame.cursor));
        assert_eq!(both, ann);
        assert_eq!(of(Some("bob"), Some("ann:1")).await, []);
        assert_eq!(of(Some("nobody"), None).await, []);
    });
}

#[test]
fn a_repeated_send_is_one_message_and_another_under_its_key_is_refused() {
    in_sim(14, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let request = |content: &str, key: &str| {
            ConsoleSendRequest::from_json(json!({
                "identity": "lead", "content": content, "origin": "console", "idempotency_key": key
            }))
            .unwrap()
        };
        let first = runtime.console_send(request("one", "k")).await.unwrap();
        assert_eq!(first.status, ConsoleFrameStatus::Accepted);
        let handle = runtime.mob_handle();
        handle
            .wait_interaction(&first.interaction_id)
            .await
            .unwrap();
        let again = runtime.console_send(request("one", "k")).await.unwrap();
        assert_eq!(
            (&again.interaction_id, &again.input_frame_id, &again.cursor),
            (&first.interaction_id, &first.input_frame_id, &first.cursor)
        );
        assert_eq!(again.status, ConsoleFrameStatus::Completed);
        let other = runtime.console_send(request("two", "k")).await.unwrap_err();
        assert_eq!(other.code(), "idempotency_conflict");
        let second = runtime.console_send(request("two", "l")).await.unwrap();
        assert_ne!(second.interaction_id, first.interaction_id);
        let frames = since(&runtime, 1_000).await;
        let inputs: Vec<_> = frames
            .iter()
            .filter(|frame| frame.kind == "user_input")
            .collect();
        assert_eq!(inputs.len(), 3);
        assert_eq!(
            (inputs[1].id.as_str(), inputs[1].cursor.as_str()),
            (first.input_frame_id.as_str(), first.cursor.as_str())
        );
    });
}

#[test]
fn a_send_that_makes_no_sense_is_refused_by_its_field() {
    let good =
        json!({ "identity": "lead", "content": "c", "origin": "console", "idempotency_key": "k" });
    assert!(ConsoleSendRequest::from_json(good.clone()).is_ok());
    for (field, value) in [
        ("identity", json!("")),
        ("identity", json!(null)),
        ("content", json!(7)),
        ("origin", json!(" ")),
        ("idempotency_key", json!("")),
        ("idempotency_key", json!(1)),
        ("handling_mode", json!("shout")),
        ("speed", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let error = ConsoleSendRequest::from_json(bad).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn who_may_be_written_to_is_said_by_profile_and_label() {
    in_sim(15, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let mut quiet = SpawnMemberSpec::new("worker", "quiet").unwrap();
        quiet.labels.insert("addressable".into(), "false".into());
        quiet
            .labels
            .insert("display_name".into(), "Quiet One".into());
        runtime.spawn(quiet).await.unwrap();
        let list = runtime.console_identities();
        let quiet = list
            .iter()
            .find(|record| record.identity == "quiet")
            .unwrap();
        assert_eq!(
            (
                quiet.display_name.as_str(),
                quiet.visibility,
                quiet.addressable
            ),
            ("Quiet One", ConsoleVisibility::Unreachable, false)
        );
        let lead = runtime.inspect_identity(&id("lead")).await.unwrap();
        assert_eq!(
            (
                lead.identity.runtime_member_id.as_str(),
                lead.identity.visibility
            ),
            ("lead:0", ConsoleVisibility::Addressable)
        );
        assert_eq!(
            lead.peers
                .iter()
                .map(|peer| peer.identity.as_str())
                .collect::<Vec<_>>(),
            ["ann", "bob", "quiet"]
        );
        let send = |to: &str| {
            ConsoleSendRequest::from_json(json!({
                "identity": to, "content": "c", "origin": "console", "idempotency_key": "k"
            }))
            .unwrap()
        };
        let refused = runtime.console_send(send("quiet")).await.unwrap_err();
        assert_eq!(refused.code(), "not_addressable");
        let unknown = runtime.console_send(send("nobody")).await.unwrap_err();
        assert_eq!(unknown.code(), "member_not_found");
    });
}

#[test]
fn the_phase_follows_what_the_member_does() {
    in_sim(16, async |host, disk| {
        let model = ScriptedModel::new(host.clone());
        model.push(Reply::call("peers", json!({})).after(Duration::from_millis(10)));
        model.push(Reply::words("one two three four").after(Duration::from_millis(10)));
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let sent = runtime
            .send(&id("ann"), SendRequest::new("go"))
            .await
            .unwrap();
        let events = runtime.console_events();
        let mut phases = Vec::new();
        let handle = runtime.mob_handle();
        while handle.interaction(&sent.interaction_id).unwrap().status == InteractionStatus::Open {
            let phase = events
                .response_phase_for_identity(&id("ann"))
                .await
                .unwrap();
            if phases.last() != Some(&phase) {
                phases.push(phase);
            }
            host.yield_now().await;
            host.sleep(Duration::from_millis(1)).await;
        }
        let distinct: Vec<_> = phases.into_iter().flatten().collect();
        assert_eq!(
            distinct[..2],
            [ResponsePhase::Waiting, ResponsePhase::ToolExecuting]
        );
        assert_eq!(
            events
                .response_phase_for_identity(&id("ann"))
                .await
                .unwrap(),
            None
        );
    });
}

#[test]
fn console_events_replay_from_an_event_on() {
    in_sim(17, async |host, disk| {
        let runtime = worked(&host, &disk).await;
        let events = runtime.console_events();
        let all = events.replay_all(None).await.unwrap();
        assert_eq!(
            (
                all[0].event_id.as_str(),
                all[0].event_type.as_str(),
                all[0].identity.as_str()
            ),
            ("console-evt-1", "runtime_bootstrapped", "_system")
        );
        assert_eq!(events.replay_all(Some(" ")).await.unwrap(), all);
        for from in [0, 1, 9, all.len() - 1] {
            let replay = events.replay_all(Some(&all[from].event_id)).await.unwrap();
            assert_eq!(replay, all[from..], "the event itself is among them");
        }
        let frames = since(&runtime, 1_000).await;
        let own = frames.iter().filter(|frame| frame.kind != "frame_updated");
        for (event, frame) in all.iter().zip(own) {
            assert_eq!(
                (
                    &event.event_id,
                    &event.event_type,
                    &event.identity,
                    &event.data
                ),
                (&frame.id, &frame.kind, &frame.identity, &frame.payload)
            );
        }
        for unknown in ["evt-agent-99999", "evt-agent-0", "console-evt-2", "x"] {
            let error = events.replay_all(Some(unknown)).await.unwrap_err();
            assert_eq!(error.code(), "replay_unavailable", "{unknown}");
        }
        let mut live = events.subscribe().unwrap();
        send(&runtime, "ann", "hello").await;
        let first = live.next().await.unwrap().unwrap();
        assert_eq!(
            (first.event_type.as_str(), first.identity.as_str()),
            ("user_input", "ann")
        );
    });
}

#[test]
fn a_message_takes_legal_steps_alone() {
    use SendInput::{Deliver, Dispatch, Fail, Persist};
    use SendState::{AcceptedPersisted, Delivered, DeliveryFailed, Dispatching, Requested};
    let legal = [
        (Requested, Persist, AcceptedPersisted),
        (AcceptedPersisted, Dispatch, Dispatching),
        (Dispatching, Deliver, Delivered),
        (Dispatching, Fail, DeliveryFailed),
    ];
    for state in [
        Requested,
        AcceptedPersisted,
        Dispatching,
        Delivered,
        DeliveryFailed,
    ] {
        for input in [Persist, Dispatch, Deliver, Fail] {
            let next = legal
                .iter()
                .find(|(from, by, _)| (*from, *by) == (state, input))
                .map(|(_, _, to)| *to);
            match (state.step(input), next) {
                (Ok(is), Some(next)) => assert_eq!(is, next),
                (Err(why), None) => {
                    assert!(why.contains(state.as_str()) && why.contains(input.as_str()));
                }
                (is, next) => panic!("{state:?} {input:?}: {is:?}, not {next:?}"),
            }
        }
    }
}

#[test]
fn what_was_discarded_is_told_from_the_transcript() {
    let disk = SimDisk::new();
    let asked = 40;
    for life in 0..2 {
        let sim = Sim::new(18 + life);
        let host = sim.host();
        sim.set_wall_clock(1_800_000_000_000 + life * 3_600_000);
        sim.block_on(async {
            let model = ScriptedModel::answering(host.clone(), |request| {
                let answer = Reply::text(format!("answer {}", request.messages.len()));
                answer.after(Duration::from_millis(5))
            });
            let retention = Retention {
                max_age: None,
                max_entries: Some(60),
                max_bytes: None,
            };
            let runtime = builder(&host, &disk, &model).event_retention(retention);
            let runtime = runtime.build().await.unwrap();
            for number in 0..asked {
                ask(&runtime, "ann", &format!("question {number}")).await;
            }
            host.sleep(Duration::from_secs(1)).await;
            let query = ConsoleTimelineQuery {
                identity: Some("ann".into()),
                limit: Some(1_000),
                ..ConsoleTimelineQuery::default()
            };
            let page = runtime.query_timeline(&query).await.unwrap();
            let hole = page
                .frames
                .iter()
                .position(|frame| frame.kind == "replay_unavailable")
                .expect("the oldest events were discarded");
            // Each question and each answer once, in order, from wherever they come.
            let said = |kind: &str, field: &str| -> Vec<String> {
                let frames = page.frames.iter().filter(|frame| frame.kind == kind);
                frames
                    .map(|frame| frame.payload[field].as_str().unwrap().to_owned())
                    .collect()
            };
            let questions: Vec<String> = (0..=life)
                .flat_map(|_| (0..asked).map(|number| format!("question {number}")))
                .collect();
            let mut told = said("user_input", "content");
            told.dedup();
            assert_eq!(told, questions, "life {life}");
            let from_transcript = page
                .frames
                .iter()
                .filter(|frame| frame.source.kind == ConsoleFrameSourceKind::SessionHistory);
            assert!(from_transcript.count() > 60);
            assert!(page.frames[hole + 1].id.starts_with("session-"));
            let unique: BTreeSet<_> = ids(&page.frames).into_iter().collect();
            assert_eq!(unique.len(), page.frames.len());
            // Everybody's timeline has the hole alone.
            let whole = runtime
                .query_timeline(&ConsoleTimelineQuery::default())
                .await
                .unwrap();
            assert!(
                whole
                    .frames
                    .iter()
                    .all(|frame| frame.source.kind != ConsoleFrameSourceKind::SessionHistory)
            );
            // A fresh reader is told the same.
            let heard = frames_of(&hear(&runtime, &query).await);
            let own: Vec<_> = page
                .frames
                .iter()
                .filter(|frame| frame.kind != "frame_updated")
                .map(|frame| frame.id.clone())
                .collect();
            assert_eq!(ids(&heard), own);
            runtime.shutdown().await;
        });
    }
}

#[test]
fn names_with_quotation_marks_and_backslashes_are_frames_all_the_same() {
    in_sim(20, async |host, disk| {
        let text = TEAM
            .replace("id = \"team\"", "id = 't\\\"'")
            .replace("identity = \"ann\"", "identity = '\"a\\'");
        let definition = MobDefinition::from_toml(&text).unwrap();
        let model = ScriptedModel::answering(host.clone(), |_| Reply::text("done"));
        let runtime = builder(&host, &disk, &model).definition(definition);
        let runtime = runtime.build().await.unwrap();
        ask(&runtime, "\"a\\", "hello").await;
        let frames = since(&runtime, 100).await;
        check_whole(&runtime, &frames);
        let last = frames.last().unwrap();
        assert_eq!(
            (last.identity.as_str(), last.runtime_key.as_str()),
            ("\"a\\", "t\\\"")
        );
        assert_eq!(last.dedupe_key, format!("console-event:t\\\":{}", last.id));
        assert_eq!(last.conversation_id.as_deref(), Some("\"a\\:0"));
        assert_eq!(
            frames_of(&hear(&runtime, &after(0)).await).last(),
            Some(last)
        );
    });
}
