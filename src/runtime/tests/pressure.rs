//! More than storage takes: full queues, refused steps, texts that are too large.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::*;
use crate::agent::model::ToolDefinition;
use crate::agent::tool::{Tool, ToolContext, ToolError, ToolOutput};
use crate::mob::WRITER_BACKLOG;
use crate::mob::definition::Profile;
use crate::sim::CommitFault;
use crate::storage::{DomError, StorageError};
use crate::wire::{AgentErrorClass, ProfileName, SpawnMemberSpec};

/// Keeps the writer's queue full for a while.
fn flood(host: &Host, runtime: &UnifiedRuntime) {
    for caller in 0..2 * WRITER_BACKLOG {
        let runtime = runtime.clone();
        host.spawn(async move {
            let (ann, bob) = (id("ann"), id("bob"));
            for round in 0..3 {
                // Many are refused, which is the point.
                let _ = if (caller + round) % 2 == 0 {
                    runtime.wire(&ann, &bob).await
                } else {
                    runtime.unwire(&ann, &bob).await
                };
            }
        });
    }
}

#[test]
fn a_full_queue_refuses_who_knocks_and_holds_up_nobody_who_is_in() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        let plan = StoragePlan {
            max_delay: Duration::from_millis(20),
            ..StoragePlan::seeded(seed)
        };
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model)
                .storage(disk.open(&host, plan))
                .build()
                .await
                .unwrap();
            let accepted = runtime
                .send(&id("lead"), SendRequest::new("build a house"))
                .await
                .unwrap();
            flood(&host, &runtime);
            let outcome = runtime
                .mob_handle()
                .wait_interaction(&accepted.interaction_id)
                .await
                .unwrap();
            assert_eq!(outcome.result, "all done", "seed {seed}");
            assert_eq!(
                model.requests().len(),
                8,
                "seed {seed}: no answer is paid for twice"
            );
            let stats = runtime.inner.writer.as_ref().unwrap().stats();
            assert!(stats.shed > 0, "seed {seed}: the queue was full");
        });
    }
}

#[test]
fn a_member_that_is_back_under_its_name_works() {
    for seed in 0..200 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = ScriptedModel::answering(host.clone(), |_| Reply::text("done"));
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let mut spec = SpawnMemberSpec::new("worker", "cid").unwrap();
            spec.initial_message = Some("begin".into());
            runtime.spawn(spec.clone()).await.unwrap();
            let cid = id("cid");
            runtime.retire(&cid).await.unwrap();
            runtime.spawn(spec).await.unwrap();
            host.sleep(Duration::from_secs(60)).await;
            let (history, _) = runtime.session_history(&cid, 0, 10).await.unwrap();
            assert_eq!(history.len(), 2, "seed {seed}");
        });
    }
}

/// A tool that answers with a text of so many bytes.
struct Talker(usize);

impl Tool for Talker {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "talk".into(),
            description: "says much".into(),
            input_schema: json!({ "type": "object" }),
        }
    }

    fn call(
        &self,
        _: serde_json::Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        // Two bytes each, so that a cut may fall into the middle of one.
        let text = "ä".repeat(self.0 / 2);
        futures::future::ready(Ok(ToolOutput::text(format!("x{text}")))).boxed_local()
    }
}

#[test]
fn a_tool_that_says_too_much_is_cut_and_the_model_is_told() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("talk", json!({})));
    model.push(Reply::text("enough"));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .tool(Rc::new(Talker(40 << 20)))
            .build()
            .await
            .unwrap();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("talk"))
            .await
            .unwrap();
        assert_eq!(outcome.result, "enough");
        let last = model.requests().pop().unwrap();
        let Some(ChatMessage::Tool { content, .. }) = last.messages.last() else {
            panic!("{:?}", last.messages.last());
        };
        assert!(content.len() < (1 << 20) + 200, "{}", content.len());
        let told = "[cut here: these are the first 1048575 of 41943041 bytes;";
        assert!(
            content.contains(told),
            "{}",
            &content[content.len() - 200..]
        );
    });
}

#[test]
fn a_step_that_storage_can_never_take_fails_the_work_once() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::call("talk", json!({})));
    let plan = StoragePlan {
        max_value_bytes: Some(20_000),
        ..StoragePlan::default()
    };
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .storage(disk.open(&host, plan))
            .tool(Rc::new(Talker(100_000)))
            .build()
            .await
            .unwrap();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("talk"))
            .await
            .unwrap();
        let error = outcome.error.unwrap();
        assert_eq!(error.class, AgentErrorClass::Store);
        assert!(error.message.contains("the limit is 20000"), "{error:?}");
        assert_eq!(model.requests().len(), 1, "it is not asked again");
        let kinds = kinds(&all_events(&runtime).await, "ann");
        let end = [
            "tool_execution_completed",
            "tool_result_received",
            "run_failed",
            "interaction_failed",
        ];
        assert_eq!(kinds[kinds.len() - 4..], end);
        model.push(Reply::text("short"));
        let next = runtime.ask(&id("ann"), SendRequest::new("be short")).await;
        assert_eq!(next.unwrap().result, "short");
    });
}

#[test]
fn an_answer_that_storage_can_never_take_fails_the_work_once() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::text("x".repeat(30_000)));
    let plan = StoragePlan {
        max_value_bytes: Some(20_000),
        ..StoragePlan::default()
    };
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .storage(disk.open(&host, plan))
            .build()
            .await
            .unwrap();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("talk"))
            .await
            .unwrap();
        assert_eq!(outcome.error.unwrap().class, AgentErrorClass::Store);
        assert_eq!(model.requests().len(), 1);
    });
}

#[test]
fn a_message_that_fits_the_mailbox_and_nothing_else_fails() {
    let sim = Sim::new(4);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("read"));
    let plan = StoragePlan {
        max_value_bytes: Some(10_000),
        ..StoragePlan::default()
    };
    let (mut read, mut failed) = (0, 0);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .storage(disk.open(&host, plan))
            .build()
            .await
            .unwrap();
        for len in (9_000..10_000).step_by(50) {
            let sent = runtime
                .send(&id("ann"), SendRequest::new("x".repeat(len)))
                .await;
            let Ok(accepted) = sent else { break };
            let outcome = runtime
                .mob_handle()
                .wait_interaction(&accepted.interaction_id)
                .await
                .unwrap();
            match outcome.error {
                None => read += 1,
                Some(error) => {
                    assert_eq!(error.class, AgentErrorClass::Store);
                    failed += 1;
                }
            }
        }
    });
    assert!(read > 0 && failed > 0, "{read} read, {failed} failed");
}

#[test]
fn a_refused_step_is_kept_until_storage_takes_it() {
    // Wherever storage begins to refuse, the model is asked as often as without a fault.
    for number in 2..16 {
        let sim = Sim::new(number);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        let refusal = CommitFault::Fail(StorageError::QuotaExceeded(DomError::new(
            "QuotaExceededError",
            "full",
        )));
        // A failed group is tried again command by command, and each of them again after a pause.
        let plan = (number..number + 30).fold(StoragePlan::default(), |plan, at| {
            plan.at(at, refusal.clone())
        });
        let outcome = sim.block_on(async {
            let first = builder(&host, &disk, &model).build().await.unwrap();
            first.shutdown().await;
            let runtime = builder(&host, &disk, &model)
                .storage(disk.open(&host, plan))
                .build()
                .await
                .unwrap();
            let accepted = loop {
                match runtime
                    .send(&id("lead"), SendRequest::new("build a house"))
                    .await
                {
                    Ok(accepted) => break accepted,
                    Err(error) => assert_eq!(error.code(), "storage_quota_exceeded"),
                }
            };
            let began = host.instant();
            let outcome = runtime
                .mob_handle()
                .wait_interaction(&accepted.interaction_id)
                .await
                .unwrap();
            (outcome, host.instant().duration_since(began))
        });
        assert_eq!(outcome.0.result, "all done", "commit {number}");
        assert_eq!(model.requests().len(), 8, "commit {number}");
        assert!(outcome.1 < Duration::from_secs(3_600), "commit {number}");
    }
}

#[test]
fn the_longest_names_of_any_script_can_be_stored() {
    for letter in ["x", "%", "é", "名", "🐝"] {
        let longest = (1..=128)
            .rev()
            .find_map(|length| ProfileName::new(letter.repeat(length)).ok())
            .unwrap();
        let name = longest.as_str();
        let sim = Sim::new(5);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = ScriptedModel::answering(host.clone(), |_| Reply::text("hello"));
        let definition = MobDefinition::new(
            name.parse().unwrap(),
            longest.clone(),
            Profile::new("scripted"),
        );
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model)
                .definition(definition)
                .build()
                .await
                .unwrap();
            let other = format!("y{}", &name[letter.len()..]);
            for member in [name, &other] {
                let spec = SpawnMemberSpec::new(name, member).unwrap();
                runtime.spawn(spec).await.unwrap();
            }
            let (a, b) = (id(name), id(&other));
            assert!(runtime.wire(&a, &b).await.unwrap(), "{letter}");
            let answer = runtime.ask(&a, SendRequest::new("hi")).await.unwrap();
            assert_eq!(answer.result, "hello", "{letter}");
        });
    }
}
