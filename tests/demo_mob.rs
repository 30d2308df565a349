//! The shipped demo mob on the demo model and the whole runtime: as it is, changed, and crashed in the middle.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use mobkit_web::agent::demo::DemoModel;
use mobkit_web::agent::model::ChatMessage;
use mobkit_web::mob::definition::MobDefinition;
use mobkit_web::mob::{InteractionOutcome, InteractionStatus, SendRequest};
use mobkit_web::runtime::UnifiedRuntime;
use mobkit_web::shim::Host;
use mobkit_web::sim::{CommitFault, FaultyStorage, Sim, SimDisk, SimError, SimRandom, StoragePlan};
use mobkit_web::wire::{AgentIdentity, Cursor, EventQuery};

const DEMO: &str = include_str!("../www/console/public/demo.toml");
const TASK: &str = "Plan a weekend in Lisbon";

fn id(name: &str) -> AgentIdentity {
    AgentIdentity::new(name).unwrap()
}

async fn start(toml: &str, host: &Host, disk: &SimDisk) -> UnifiedRuntime {
    open(toml, host, disk.open(host, StoragePlan::default())).await
}

async fn open(toml: &str, host: &Host, storage: Rc<FaultyStorage>) -> UnifiedRuntime {
    UnifiedRuntime::builder()
        .definition(MobDefinition::from_toml(toml).unwrap())
        .host(host.clone())
        .storage(storage)
        .tail_capacity(8)
        .model(
            "demo",
            Rc::new(DemoModel::new(host.clone(), Duration::from_millis(5))),
        )
        .build()
        .await
        .unwrap()
}

async fn ask(runtime: &UnifiedRuntime, lead: &str, task: &str) -> InteractionOutcome {
    let outcome = runtime
        .ask(&id(lead), SendRequest::new(task))
        .await
        .unwrap();
    assert_eq!(outcome.status, InteractionStatus::Completed, "{outcome:?}");
    outcome
}

fn contributes(outcome: &InteractionOutcome, name: &str) -> bool {
    let heading = format!("**{name}** ");
    outcome
        .result
        .lines()
        .any(|line| line.starts_with(&heading) && line.ends_with("contributes:"))
}

#[test]
fn the_lead_names_each_contribution_whatever_order_things_happen_in() {
    for seed in 0..50 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        sim.block_on(async {
            let runtime = start(DEMO, &host, &disk).await;
            let outcome = ask(&runtime, "lead", TASK).await;
            assert!(
                outcome.result.contains(TASK),
                "seed {seed}: {}",
                outcome.result
            );
            for name in ["researcher", "writer"] {
                assert!(
                    contributes(&outcome, name),
                    "seed {seed}: {}",
                    outcome.result
                );
            }
            assert_eq!(
                outcome.turns, 5,
                "seed {seed}: one to split, one for each specialist, one for each answer"
            );
            assert!(outcome.usage.output_tokens > 0);
            let second = ask(&runtime, "lead", "And one in Porto").await;
            assert!(
                second.result.contains("Porto") && contributes(&second, "writer"),
                "seed {seed}: {}",
                second.result
            );
        });
    }
}

#[test]
fn renamed_members_and_a_third_specialist_work_alike() {
    let renamed = DEMO
        .replace("identity = \"lead\"", "identity = \"zoe\"")
        .replace("identity = \"researcher\"", "identity = \"ada\"")
        .replace("identity = \"writer\"", "identity = \"lead\"");
    let third = format!("{renamed}\n[[members]]\nprofile = \"researcher\"\nidentity = \"grace\"\n");
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    sim.block_on(async {
        let runtime = start(&third, &host, &disk).await;
        let outcome = ask(&runtime, "zoe", TASK).await;
        for name in ["ada", "lead", "grace"] {
            assert!(contributes(&outcome, name), "{}", outcome.result);
        }
        assert_eq!(outcome.result.matches(" contributes:").count(), 3);
    });
}

#[test]
fn a_description_of_several_lines_hides_no_peer() {
    let laid_out = DEMO.replace(
        "\"Finds facts and background, and says how sure they are\"",
        "\"\"\"\nFinds facts:\n\n  - background\n  - and how sure it is\n\"\"\"",
    );
    assert_ne!(laid_out, DEMO);
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    sim.block_on(async {
        let runtime = start(&laid_out, &host, &disk).await;
        let outcome = ask(&runtime, "lead", TASK).await;
        for name in ["researcher", "writer"] {
            assert!(contributes(&outcome, name), "{}", outcome.result);
        }
    });
}

#[test]
fn a_lead_says_whom_a_cut_wire_keeps_it_from() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    sim.block_on(async {
        let runtime = start(DEMO, &host, &disk).await;
        ask(&runtime, "lead", TASK).await;
        runtime.unwire(&id("lead"), &id("writer")).await.unwrap();
        let outcome = ask(&runtime, "lead", "And one in Porto").await;
        assert!(
            outcome.result.contains("I cannot reach **writer**"),
            "{}",
            outcome.result
        );
        assert!(contributes(&outcome, "researcher"), "{}", outcome.result);
        runtime.wire(&id("lead"), &id("writer")).await.unwrap();
        let outcome = ask(&runtime, "lead", "And one in Faro").await;
        assert!(
            contributes(&outcome, "writer") && !outcome.result.contains("cannot reach"),
            "{}",
            outcome.result
        );
    });
}

/// Asked again by each life, and accepted once.
fn the_question() -> SendRequest {
    SendRequest {
        idempotency_key: Some("the-one".into()),
        ..SendRequest::new(TASK)
    }
}

/// One life of the demo mob, which is asked the one question; `None` when storage killed it before the answer was there.
fn live(sim: &Sim, disk: &SimDisk, plan: StoragePlan) -> Option<Seen> {
    let host = sim.host();
    let storage = disk.open(&host, plan);
    let crash = sim.crash_switch();
    storage.on_crash(move || crash.crash());
    let seen = sim.try_block_on(async {
        let runtime = open(DEMO, &host, storage).await;
        let outcome = runtime.ask(&id("lead"), the_question()).await.unwrap();
        let everything = EventQuery {
            after_seq: Some(Cursor::START),
            limit: Some(10_000),
            ..EventQuery::default()
        };
        let events = runtime.query_events(&everything).await.unwrap().events;
        let mut histories = BTreeMap::new();
        for member in runtime.members() {
            let name = member.agent_identity;
            let (history, _) = runtime.session_history(&name, 0, 1_000).await.unwrap();
            let history = history.into_iter().map(|row| row.message);
            histories.insert(name.to_string(), history.collect());
        }
        runtime.shutdown().await;
        Seen {
            outcome,
            completions: events
                .iter()
                .filter(|event| event.event.event_type() == "interaction_complete")
                .count(),
            histories,
        }
    });
    match seen {
        Ok(seen) => Some(seen),
        Err(SimError::Crashed) => None,
        Err(stuck) => panic!("{stuck}"),
    }
}

/// What is to be seen of the demo mob after its answer.
struct Seen {
    outcome: InteractionOutcome,
    completions: usize,
    histories: BTreeMap<String, Vec<ChatMessage>>,
}

impl Seen {
    /// The question was answered once, and nobody was told anything twice.
    fn check(&self, when: &str) {
        let outcome = &self.outcome;
        assert_eq!(
            (outcome.status, self.completions),
            (InteractionStatus::Completed, 1),
            "{when}: {outcome:?}"
        );
        for name in ["researcher", "writer"] {
            assert!(contributes(outcome, name), "{when}: {}", outcome.result);
        }
        let told = |name: &str| -> Vec<Option<&str>> {
            let history = self.histories[name].iter();
            history
                .filter_map(|message| match message {
                    ChatMessage::User { from, .. } => Some(from.as_deref()),
                    _ => None,
                })
                .collect()
        };
        let mut answers = told("lead");
        assert_eq!(answers.remove(0), None, "{when}");
        answers.sort_unstable();
        assert_eq!(answers, [Some("researcher"), Some("writer")], "{when}");
        for name in ["researcher", "writer"] {
            assert_eq!(told(name), [Some("lead")], "{when}");
        }
        for (name, history) in &self.histories {
            let mut results = BTreeSet::new();
            for message in history {
                if let ChatMessage::Tool { call_id, .. } = message {
                    assert!(
                        results.insert(call_id),
                        "{when}: {name} has {call_id} twice"
                    );
                }
            }
        }
    }
}

#[test]
fn a_crash_before_in_or_after_any_commit_changes_nothing_but_the_time_it_takes() {
    let mut reached = 0;
    for number in 1.. {
        for fault in [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
        ] {
            let (sim, disk) = (Sim::new(number), SimDisk::new());
            let when = format!("commit {number}, {fault:?}");
            let plan = StoragePlan::seeded(number).at(number, fault);
            let seen = live(&sim, &disk, plan).unwrap_or_else(|| {
                reached = number;
                let next = live(&sim, &disk, StoragePlan::default());
                next.expect("storage without a fault kills nobody")
            });
            seen.check(&when);
        }
        if reached < number {
            break;
        }
    }
    assert!(reached >= 20, "the demo has {reached} commits");
}

#[test]
fn a_crash_at_any_moment_changes_nothing_but_the_time_it_takes() {
    for seed in 0..60 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let moment = Duration::from_millis(SimRandom::new(seed).below(3_000));
        sim.block_on(async {
            let runtime = start(DEMO, &host, &disk).await;
            runtime.send(&id("lead"), the_question()).await.unwrap();
            host.sleep(moment).await;
        });
        sim.crash();
        let seen = live(&sim, &disk, StoragePlan::default()).expect("nothing kills it again");
        seen.check(&format!("seed {seed}, after {moment:?}"));
    }
}
