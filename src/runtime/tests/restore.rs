//! Crashes: before, in and after every commit of a whole conversation; each time the restored mob finishes it once.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::sim::CommitFault;
use crate::wire::{MobEventKind, MobStructuralEventEnvelope};

fn keyed() -> SendRequest {
    SendRequest {
        idempotency_key: Some("the-one".into()),
        ..SendRequest::new("build a house")
    }
}

/// What a person saw before a crash.
#[derive(Default)]
struct Seen {
    accepted: std::cell::Cell<bool>,
    events: std::cell::RefCell<BTreeMap<u64, AgentEvent>>,
    ledger: std::cell::RefCell<BTreeMap<u64, String>>,
    completions: std::cell::Cell<u32>,
}

/// One life of the runtime: asks (the same question every time), watches, and waits for the answer.
/// `None` if it was killed.
fn live(seed: u64, disk: &SimDisk, plan: StoragePlan, seen: &Rc<Seen>) -> Option<String> {
    let sim = Sim::new(seed);
    let host = sim.host();
    let model = teamwork(&host);
    let storage = disk.open(&host, plan);
    let crash = sim.crash_switch();
    storage.on_crash(move || crash.crash());
    let result = sim.try_block_on(async {
        let runtime = UnifiedRuntime::builder()
            .definition(team())
            .host(host.clone())
            .storage(storage)
            .model("scripted", Rc::new(model.clone()))
            .tail_capacity(8)
            .build()
            .await
            .unwrap();
        watch(&host, &runtime, seen);
        let accepted = runtime.send(&id("lead"), keyed()).await.unwrap();
        seen.accepted.set(true);
        let outcome = runtime
            .mob_handle()
            .wait_interaction(&accepted.interaction_id)
            .await
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Completed, "{outcome:?}");
        check(&runtime).await;
        runtime.shutdown().await;
        outcome.result
    });
    result.ok()
}

/// Reads all that is shown, from the beginning, and holds it against what was shown before.
fn watch(host: &Host, runtime: &UnifiedRuntime, seen: &Rc<Seen>) {
    let mut events = runtime
        .events(EventFilter {
            after: Some(Cursor::START),
            ..EventFilter::default()
        })
        .unwrap();
    let heard = seen.clone();
    host.spawn(async move {
        let mut last = 0;
        heard.completions.set(0);
        while let Some(item) = events.next().await {
            match item.unwrap() {
                LogItem::Entry { cursor, entry } => {
                    assert!(cursor.get() > last, "order");
                    last = cursor.get();
                    if let Some(known) = heard
                        .events
                        .borrow_mut()
                        .insert(cursor.get(), entry.event.clone())
                    {
                        assert_eq!(known, entry.event, "number {cursor} names two events");
                    }
                    if matches!(entry.event, AgentEvent::InteractionComplete { .. }) {
                        heard.completions.set(heard.completions.get() + 1);
                    }
                }
                LogItem::Gap { from, to, .. } => {
                    assert!(
                        from.get() > last && to >= from,
                        "a gap lies where nothing was shown"
                    );
                    last = to.get();
                }
            }
        }
    });
    let mut ledger = runtime.mob_events(Some(Cursor::START)).unwrap();
    let heard = seen.clone();
    host.spawn(async move {
        while let Some(envelope) = ledger.next().await {
            let envelope = envelope.unwrap();
            if let Some(known) = heard
                .ledger
                .borrow_mut()
                .insert(envelope.cursor.get(), envelope.kind.clone())
            {
                assert_eq!(known, envelope.kind);
            }
        }
    });
}

/// What must hold of any mob that is at rest.
async fn check(runtime: &UnifiedRuntime) {
    let page = runtime
        .query_mob_events(&EventQuery {
            after_seq: Some(Cursor::START),
            limit: Some(10_000),
            ..EventQuery::default()
        })
        .await
        .unwrap();
    let cursors: Vec<u64> = page.events.iter().map(|event| event.cursor.get()).collect();
    assert_eq!(
        cursors,
        (1..=cursors.len() as u64).collect::<Vec<_>>(),
        "the ledger is dense"
    );
    let (members, edges) = fold(&page.events);
    let listed: BTreeSet<String> = runtime
        .members()
        .iter()
        .map(|member| member.agent_identity.to_string())
        .collect();
    assert_eq!(listed, members, "the roster is the fold of the ledger");
    let wired: BTreeSet<(String, String)> = runtime
        .members()
        .iter()
        .flat_map(|member| {
            let a = member.agent_identity.to_string();
            member
                .wired_to
                .iter()
                .map(ToString::to_string)
                .filter(|b| a < *b)
                .map(|b| (a.clone(), b))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(wired, edges, "the wiring is the fold of the ledger");
    assert!(runtime.status().projected_cursor <= runtime.status().latest_mob_cursor);
    for (worker, messages) in [("ann", 1), ("bob", 1), ("lead", 3)] {
        let (history, _) = runtime
            .session_history(&id(worker), 0, 1_000)
            .await
            .unwrap();
        let told = history
            .iter()
            .filter(|row| matches!(row.message, ChatMessage::User { .. }))
            .count();
        assert_eq!(
            told, messages,
            "{worker} was told everything once: {history:#?}"
        );
        let mut answered = BTreeSet::new();
        for row in &history {
            if let ChatMessage::Tool { call_id, .. } = &row.message {
                assert!(
                    answered.insert(call_id.clone()),
                    "{worker}: {call_id} has two results"
                );
            }
        }
    }
}

fn fold(events: &[MobStructuralEventEnvelope]) -> (BTreeSet<String>, BTreeSet<(String, String)>) {
    let (mut members, mut edges) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        match serde_json::from_value(event.data.clone()).unwrap() {
            MobEventKind::MemberSpawned { agent_identity, .. } => {
                members.insert(agent_identity.to_string());
            }
            MobEventKind::MemberRetired { agent_identity, .. } => {
                members.remove(agent_identity.as_str());
                edges.retain(|(a, b): &(String, String)| {
                    a != agent_identity.as_str() && b != agent_identity.as_str()
                });
            }
            MobEventKind::MembersWired { a, b } => {
                edges.insert((a.to_string(), b.to_string()));
            }
            MobEventKind::MembersWiredBatch { edges: more } => {
                edges.extend(
                    more.iter()
                        .map(|edge| (edge.a.to_string(), edge.b.to_string())),
                );
            }
            MobEventKind::MembersUnwired { a, b } => {
                edges.remove(&(a.to_string(), b.to_string()));
            }
            _ => {}
        }
    }
    (members, edges)
}

/// Lives until the answer is there; every life but the first is without faults.
fn survive(seed: u64, plan: StoragePlan) -> (Rc<Seen>, bool) {
    let disk = SimDisk::new();
    let seen = Rc::new(Seen::default());
    let mut crashed = false;
    let mut answer = live(seed, &disk, plan, &seen);
    for life in 1..=3 {
        if let Some(answer) = &answer {
            assert_eq!(answer, "all done", "seed {seed}");
            break;
        }
        crashed = true;
        answer = live(
            seed.wrapping_add(life * 1_000_003),
            &disk,
            StoragePlan::seeded(seed ^ life),
            &seen,
        );
    }
    assert!(answer.is_some(), "seed {seed}: no answer");
    assert_eq!(
        seen.completions.get(),
        1,
        "seed {seed}: answered exactly once"
    );
    (seen, crashed)
}

#[test]
fn a_conversation_survives_a_crash_at_every_commit() {
    let disk = SimDisk::new();
    let seen = Rc::new(Seen::default());
    live(42, &disk, StoragePlan::seeded(42), &seen).unwrap();
    let commits = disk.commits();
    assert!(commits >= 20, "{commits}");
    for number in 1..=commits {
        for fault in [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
        ] {
            let (_, crashed) = survive(42, StoragePlan::seeded(42).at(number, fault.clone()));
            assert!(
                crashed || number >= commits,
                "commit {number} {fault:?} was reached"
            );
        }
    }
}

#[test]
fn a_conversation_survives_crashes_at_random_moments() {
    for seed in 0..300 {
        let plan = StoragePlan {
            max_delay: Duration::from_millis(seed % 7),
            ..StoragePlan::seeded(seed)
        };
        let faults = [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
        ];
        survive(
            seed,
            plan.at(2 + seed % 41, faults[seed as usize % 3].clone()),
        );
    }
}
