//! What members do, as readers hear it: from their birth, under the right name, once, and without anybody who subscribes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::ready;

use super::queries::Counting;
use super::*;
use crate::runtime::{EventReader, TaskState};
use crate::sim::SimRandom;
use crate::storage::{DomError, StorageError};
use crate::wire::{ErrorEvent, PersistedEvent, SpawnMemberSpec, UnifiedEvent};

/// The incarnation that an event is told of, and what it says.
fn agent(event: &PersistedEvent) -> (&str, &serde_json::Value) {
    match &event.event {
        UnifiedEvent::Agent {
            agent_id, payload, ..
        } => (agent_id, payload),
        UnifiedEvent::Module { .. } => panic!("there are no modules"),
    }
}

async fn next(reader: &mut EventReader) -> PersistedEvent {
    match reader.next().await.unwrap().unwrap() {
        LogItem::Entry { cursor, entry } => entry.to_persisted(cursor),
        gap @ LogItem::Gap { .. } => panic!("{gap:?}"),
    }
}

/// Reads on until it has read what is the newest now.
async fn catch_up(
    runtime: &UnifiedRuntime,
    reader: &mut EventReader,
    seen: &mut Vec<PersistedEvent>,
) {
    let latest = runtime.status().latest_event_cursor;
    while seen.last().is_none_or(|event| event.seq < latest) {
        seen.push(next(reader).await);
    }
}

/// MobKit contract, section 24.3, row 7: the original takes a member's name when it subscribes to it, and subscribes to each name
/// once: what a respawned member does is told of the one before it, or not at all.
#[test]
fn row_7_a_respawn_between_anything_leaves_every_event_with_the_incarnation_that_it_is_of() {
    const LIVES: u64 = 6;
    let mut cut_short = 0;
    for seed in 0..100 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let random = SimRandom::new(seed);
        let model = ScriptedModel::answering(host.clone(), |request| {
            let reply = match news(request).first() {
                Some(ChatMessage::Tool { .. }) => Reply::words("that is all there is to it"),
                _ => Reply::call("send_message", json!({ "to": "lead", "content": "a word" })),
            };
            reply.pace(Duration::from_millis(2))
        });
        let plan = StoragePlan {
            max_delay: Duration::from_millis(4),
            ..StoragePlan::seeded(seed)
        };
        sim.block_on(async {
            let built = builder(&host, &disk, &model).storage(disk.open(&host, plan));
            let runtime = built.build().await.unwrap();
            let mut prompt = runtime.events(EventFilter::default()).unwrap();
            let mut slow = runtime.events(EventFilter::default()).unwrap();
            let heard = Rc::new(RefCell::new(Vec::new()));
            let hearing = heard.clone();
            let listener = host.spawn(async move {
                loop {
                    let event = next(&mut prompt).await;
                    hearing.borrow_mut().push(event);
                }
            });

            // Whose each interaction and each session is, as the commands were answered.
            let (mut asked, mut sessions) = (BTreeMap::new(), BTreeMap::new());
            let status = runtime.member_status(&id("ann")).await.unwrap();
            let mut session = status.current_session_id.unwrap();
            for life in 0..LIVES {
                sessions.insert(session.to_string(), life);
                for _ in 0..1 + random.below(2) {
                    let sent = runtime.send(&id("ann"), SendRequest::new("go")).await;
                    let interaction = sent.unwrap().interaction_id.to_string();
                    asked.insert(interaction, life);
                    host.sleep(Duration::from_millis(random.below(25))).await;
                }
                if life + 1 < LIVES {
                    let receipt = runtime.respawn(&id("ann")).await.unwrap();
                    assert_eq!(receipt.generation.get(), life + 1);
                    session = receipt.session_id;
                }
            }
            host.sleep(Duration::from_secs(5)).await;
            runtime.flush().await.unwrap();

            let mut all = Vec::new();
            let from_start = EventFilter {
                after: Some(Cursor::START),
                ..EventFilter::default()
            };
            let mut stored = runtime.events(from_start).unwrap();
            catch_up(&runtime, &mut stored, &mut all).await;
            let mut late = Vec::new();
            catch_up(&runtime, &mut slow, &mut late).await;
            assert!(*heard.borrow() == all, "seed {seed}: who listened");
            assert!(late == all, "seed {seed}: who reads now");
            let dense = all.iter().zip(1..).all(|(event, at)| event.seq.get() == at);
            assert!(dense, "seed {seed}: nothing lost, nothing twice");
            drop(listener);

            // A message that waited while its member was respawned is worked on by the next incarnation; but then by that alone.
            let mut told: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
            let mut at_work = BTreeMap::new();
            let mut newest = 0;
            for event in &all {
                let (agent_id, payload) = agent(event);
                let (name, generation) = agent_id.split_once(':').unwrap();
                let generation: u64 = generation.parse().unwrap();
                assert_eq!(event.member_id.as_deref(), Some(agent_id));
                assert_eq!(event.identity.as_ref().unwrap(), &name);
                if name != "ann" {
                    assert_eq!(generation, 0, "seed {seed}: {event:?}");
                    continue;
                }
                let kind = event.event.event_type();
                if kind == "user_input" {
                    let interaction = payload["interaction_id"].as_str().unwrap();
                    assert_eq!(generation, asked[interaction], "seed {seed}: {event:?}");
                }
                if let Some(session) = payload["session_id"].as_str() {
                    assert_eq!(generation, sessions[session], "seed {seed}: {event:?}");
                }
                if let Some(work) = payload["work_id"].as_str() {
                    if kind == "run_started" {
                        assert!(generation >= newest, "seed {seed}: {event:?}");
                        newest = generation;
                        at_work.insert(work, generation);
                    }
                    let by = at_work.get(work).unwrap_or(&generation);
                    assert_eq!(generation, *by, "seed {seed}: {event:?}");
                }
                // The end of an interaction is told by whoever has the name by then; all else is the incarnation's own.
                if !kind.starts_with("interaction_") {
                    told.entry(generation).or_default().push(kind);
                }
            }
            for life in 0..LIVES {
                let told = &told[&life];
                let begins = match life {
                    0 => told[0] == "user_input",
                    _ => told[0] == "identity_respawned",
                };
                assert!(begins, "seed {seed}: heard from the first on: {told:?}");
                let completed = told.contains(&"run_completed");
                let ended = told.iter().rposition(|kind| kind.starts_with("run_"));
                let after = &told[ended.unwrap_or(0)..];
                let work = after[1..].iter().find(|kind| {
                    ["text_", "turn_", "tool_"]
                        .iter()
                        .any(|of| kind.starts_with(of))
                });
                let over = ended.is_some_and(|at| told[at] != "run_started");
                assert!(
                    !over || work.is_none(),
                    "seed {seed}: after its end: {told:?}"
                );
                cut_short += u32::from(told.contains(&"turn_started") && !completed);
                assert!(completed || life + 1 < LIVES, "seed {seed}: {told:?}");
            }
        });
    }
    assert!(cut_short > 100, "{cut_short} were respawned at work");
}

/// MobKit contract, section 24.3, row 8: the original subscribes to each member, and where that fails it says so four times a second for
/// ever. Here nobody subscribes: a reader has a place in one log, of members to come too, and is told of trouble by its own read, once.
#[test]
fn row_8_members_are_heard_from_birth_and_trouble_in_reading_is_told_once_to_who_reads() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::words("here I am"));
    let errors: Rc<RefCell<Vec<String>>> = Rc::default();
    let told = errors.clone();
    sim.block_on(async {
        let storage = disk.open(&host, StoragePlan::default());
        let counted = Counting::over(storage.clone());
        let runtime = builder(&host, &disk, &model)
            .storage(counted.clone())
            .on_error(Rc::new(move |event: ErrorEvent| {
                told.borrow_mut().push(event.to_string());
                ready(()).boxed_local()
            }))
            .build()
            .await
            .unwrap();
        // Nobody of this name is there yet.
        let of_cid = EventFilter {
            identity: Some(id("cid")),
            ..EventFilter::default()
        };
        let mut reader = runtime.events(of_cid).unwrap();
        for life in 0..3 {
            runtime
                .spawn(SpawnMemberSpec::new("worker", "cid").unwrap())
                .await
                .unwrap();
            let sent = runtime.send(&id("cid"), SendRequest::new("hello?")).await;
            let sent = sent.unwrap();
            let mut heard = Vec::new();
            while heard
                .last()
                .is_none_or(|event| event != "interaction_complete")
            {
                let event = next(&mut reader).await;
                let (agent_id, payload) = agent(&event);
                assert!(agent_id.starts_with("cid:"), "{agent_id}");
                if life > 0 && event.event.event_type() == "identity_retired" {
                    // The last of the one before.
                    continue;
                }
                assert_eq!(payload["interaction_id"], sent.interaction_id.as_str());
                heard.push(event.event.event_type().to_owned());
            }
            assert_eq!(heard[..2], ["user_input", "run_started"], "life {life}");
            runtime.retire(&id("cid")).await.unwrap();
        }
        host.sleep(Duration::from_secs(5)).await;

        // This one has to read storage, which cannot be read.
        let tired = StorageError::Aborted(DomError::new("AbortError", "the disk is tired"));
        storage.fail_reads(u64::MAX, tired);
        let from_start = EventFilter {
            after: Some(Cursor::START),
            ..EventFilter::default()
        };
        let mut late = runtime.events(from_start.clone()).unwrap();
        let failed = late.next().await.unwrap().unwrap_err();
        assert_eq!(failed.code(), "storage_aborted");
        assert!(late.next().await.is_none(), "once");
        let (looks, fired) = (counted.looks.get(), sim.timers_fired());
        host.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(sim.timers_fired(), fired + 1, "the test's own");
        assert_eq!(counted.looks.get(), looks, "nobody tries again unasked");
        assert!(errors.borrow().is_empty(), "{errors:?}");
        let tasks = runtime.status().tasks;
        assert!(tasks.iter().all(|task| task.state == TaskState::Running));

        storage.fail_reads(0, StorageError::Aborted(DomError::new("", "")));
        let mut all = Vec::new();
        let mut late = runtime.events(from_start).unwrap();
        catch_up(&runtime, &mut late, &mut all).await;
        assert_eq!(all.len() as u64, runtime.status().latest_event_cursor.get());
    });
}
