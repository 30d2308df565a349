//! The shipped demo mob on the demo model and the whole runtime: as it is, changed, and crashed in the middle.
#![cfg(not(target_arch = "wasm32"))]

use std::rc::Rc;
use std::time::Duration;

use mobkit_web::agent::demo::DemoModel;
use mobkit_web::mob::definition::MobDefinition;
use mobkit_web::mob::{InteractionOutcome, InteractionStatus, SendRequest};
use mobkit_web::runtime::UnifiedRuntime;
use mobkit_web::shim::Host;
use mobkit_web::sim::{Sim, SimDisk, SimRandom, StoragePlan};
use mobkit_web::wire::AgentIdentity;

const DEMO: &str = include_str!("../www/console/public/demo.toml");
const TASK: &str = "Plan a weekend in Lisbon";

fn id(name: &str) -> AgentIdentity {
    AgentIdentity::new(name).unwrap()
}

async fn start(toml: &str, host: &Host, disk: &SimDisk) -> UnifiedRuntime {
    UnifiedRuntime::builder()
        .definition(MobDefinition::from_toml(toml).unwrap())
        .host(host.clone())
        .storage(disk.open(host, StoragePlan::default()))
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

#[test]
fn a_crash_at_any_moment_changes_nothing_but_the_time_it_takes() {
    for seed in 0..60 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let moment = Duration::from_millis(SimRandom::new(seed).below(3_000));
        let accepted = sim.block_on(async {
            let runtime = start(DEMO, &host, &disk).await;
            let accepted = runtime
                .send(&id("lead"), SendRequest::new(TASK))
                .await
                .unwrap();
            host.sleep(moment).await;
            accepted
        });
        sim.crash();
        let host = sim.host();
        sim.block_on(async {
            let runtime = start(DEMO, &host, &disk).await;
            let mut outcome = runtime
                .interaction_outcome(&accepted.interaction_id)
                .unwrap();
            while outcome.status == InteractionStatus::Open {
                host.sleep(Duration::from_millis(50)).await;
                outcome = runtime
                    .interaction_outcome(&accepted.interaction_id)
                    .unwrap();
            }
            assert_eq!(
                outcome.status,
                InteractionStatus::Completed,
                "seed {seed}, after {moment:?}: {outcome:?}"
            );
            for name in ["researcher", "writer"] {
                assert!(
                    contributes(&outcome, name),
                    "seed {seed}, after {moment:?}: {}",
                    outcome.result
                );
            }
        });
    }
}
