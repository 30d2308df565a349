//! Models that fail, stall or are small, and tools that are held.

use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};

use super::*;
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::agent::model::{ModelError, ToolDefinition};
use crate::agent::openai::{OpenAiCompatible, OpenAiConfig};
use crate::agent::tool::{
    Tool, ToolContext, ToolDecision, ToolError, ToolGate, ToolOutput, ToolRequest,
};
use crate::mob::InteractionOutcome;
use crate::wire::AgentErrorClass;

/// Asks ann once; the outcome, and the types of her events.
fn ask_ann(
    seed: u64,
    definition: &str,
    script: impl FnOnce(&ScriptedModel),
) -> (InteractionOutcome, Vec<String>, Duration) {
    let sim = Sim::new(seed);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    script(&model);
    let definition = MobDefinition::from_toml(definition).unwrap();
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .definition(definition)
            .build()
            .await
            .unwrap();
        let started = host.instant();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("hello"))
            .await
            .unwrap();
        let took = host.instant().duration_since(started);
        (outcome, kinds(&all_events(&runtime).await, "ann"), took)
    })
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|found| *found == kind).count()
}

#[test]
fn a_failing_model_is_asked_again_and_a_cut_answer_is_taken_back() {
    let (outcome, kinds, _) = ask_ann(1, TEAM, |model| {
        model.push(Reply::fail(ModelError::Server {
            status: 500,
            retry_after: None,
            message: "oops".into(),
        }));
        model.push(Reply::words("half an").then_fail(ModelError::Truncated {
            message: "cut".into(),
        }));
        model.push(Reply::words("a whole answer"));
    });
    assert_eq!(outcome.result, "a whole answer");
    assert_eq!(
        (count(&kinds, "retrying"), count(&kinds, "stream_truncated")),
        (2, 1)
    );
    assert_eq!(count(&kinds, "run_completed"), 1);
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let (outcome, _, took) = ask_ann(2, TEAM, |model| {
        let wait = Some(Duration::from_secs(30));
        model.push(Reply::fail(ModelError::RateLimited {
            retry_after: wait,
            message: "slow down".into(),
        }));
        model.push(Reply::text("now"));
    });
    assert_eq!(outcome.result, "now");
    assert!(took >= Duration::from_secs(30), "{took:?}");
}

#[test]
fn what_trying_again_cannot_mend_fails_at_once_with_its_class() {
    let cases = [
        (
            ModelError::Auth {
                status: 401,
                message: "bad key".into(),
            },
            AgentErrorClass::Auth,
        ),
        (
            ModelError::ContentFiltered {
                message: "no".into(),
            },
            AgentErrorClass::ContentFiltered,
        ),
        (
            ModelError::BadRequest {
                status: 404,
                body: "no such model".into(),
            },
            AgentErrorClass::Llm,
        ),
    ];
    for (seed, (error, class)) in cases.into_iter().enumerate() {
        let text = error.to_string();
        let (outcome, kinds, _) =
            ask_ann(seed as u64, TEAM, |model| model.push(Reply::fail(error)));
        let failure = outcome.error.unwrap();
        assert_eq!((failure.class, failure.message), (class, text));
        assert_eq!(
            (outcome.status, count(&kinds, "retrying")),
            (InteractionStatus::Failed, 0)
        );
        assert_eq!(
            kinds[kinds.len() - 2..],
            ["run_failed", "interaction_failed"]
        );
    }
}

#[test]
fn a_model_that_falls_silent_is_given_up_in_the_end() {
    let silent = format!("{TEAM}\n[limits]\nmodel_idle_timeout_ms = 5000\n");
    let (outcome, kinds, _) = ask_ann(3, &silent, |model| {
        (0..9).for_each(|_| model.push(Reply::words("well").then_hang()))
    });
    assert_eq!(outcome.status, InteractionStatus::Failed);
    assert!(
        outcome
            .error
            .unwrap()
            .message
            .contains("nothing came for 5 s")
    );
    assert!(count(&kinds, "retrying") >= 1);
}

/// A server that loads its model for so long before it answers.
struct SlowToLoad {
    host: Host,
    takes: Duration,
}

impl HttpClient for SlowToLoad {
    fn send(&self, _: HttpRequest) -> LocalBoxFuture<'static, Result<HttpResponse, HttpError>> {
        let loaded = self.host.sleep(self.takes);
        async move {
            loaded.await;
            let answer =
                r#"data: {"choices":[{"delta":{"content":"at last"},"finish_reason":"stop"}]}"#;
            let body = format!("{answer}\n\ndata: [DONE]\n\n").into_bytes();
            Ok(HttpResponse {
                status: 200,
                headers: vec![("content-type".into(), "text/event-stream".into())],
                body: futures::stream::iter([Ok(body)]).boxed_local(),
            })
        }
        .boxed_local()
    }
}

#[test]
fn a_server_gets_its_own_time_to_load_its_model() {
    for (seconds, expected) in [
        (250, InteractionStatus::Completed),
        (400, InteractionStatus::Failed),
    ] {
        let sim = Sim::new(seconds);
        let (host, disk) = (sim.host(), SimDisk::new());
        let http = SlowToLoad {
            host: host.clone(),
            takes: Duration::from_secs(seconds),
        };
        let config = OpenAiConfig::new("http://localhost:11434/v1");
        let model = OpenAiCompatible::new(host.clone(), Rc::new(http), config);
        let (outcome, kinds) = sim.block_on(async {
            let runtime = builder(&host, &disk, &ScriptedModel::new(host.clone()))
                .model("scripted", Rc::new(model))
                .build()
                .await
                .unwrap();
            let outcome = runtime
                .ask(&id("ann"), SendRequest::new("hello"))
                .await
                .unwrap();
            (outcome, kinds(&all_events(&runtime).await, "ann"))
        });
        assert_eq!(outcome.status, expected, "{outcome:?}");
        if let Some(error) = outcome.error {
            assert!(
                error.message.contains("no answer within 300 s"),
                "{error:?}"
            );
        } else {
            assert_eq!(
                (outcome.result.as_str(), count(&kinds, "retrying")),
                ("at last", 0)
            );
        }
    }
}

#[test]
fn a_budget_of_tokens_warns_and_then_ends_the_interaction() {
    let bounded = format!("{TEAM}\n[limits]\nmax_tokens_per_interaction = 1000\n");
    let (outcome, kinds, _) = ask_ann(4, &bounded, |model| {
        model.push(Reply::call("peers", json!({})).with_usage(800, 50));
        model.push(Reply::call("peers", json!({})).with_usage(800, 50));
    });
    assert_eq!(outcome.error.unwrap().class, AgentErrorClass::Budget);
    assert_eq!(
        (count(&kinds, "budget_warning"), outcome.usage.total()),
        (1, 1_700)
    );
}

#[test]
fn a_small_model_is_shown_the_newest_part_and_the_rest_is_told() {
    let small = TEAM.replace(
        "instructions = \"You work.\"",
        "instructions = \"You work.\"\nhistory_tokens = 400",
    );
    let sim = Sim::new(5);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("x".repeat(400)));
    sim.block_on(async {
        let definition = MobDefinition::from_toml(&small).unwrap();
        let runtime = builder(&host, &disk, &model)
            .definition(definition)
            .build()
            .await
            .unwrap();
        for round in 0..6 {
            runtime
                .ask(&id("ann"), SendRequest::new(format!("round {round}")))
                .await
                .unwrap();
        }
        let last = model.requests().pop().unwrap();
        assert!(last.messages.len() < 11, "{}", last.messages.len());
        assert!(matches!(
            last.messages.first(),
            Some(ChatMessage::User { .. })
        ));
        let kinds = kinds(&all_events(&runtime).await, "ann");
        assert!(count(&kinds, "history_truncated") > 0);
        assert_eq!(
            runtime.session_history(&id("ann"), 0, 100).await.unwrap().1,
            12,
            "nothing is forgotten"
        );
    });
}

struct Echo;

impl Tool for Echo {
    fn definition(&self) -> ToolDefinition {
        let input_schema = json!({ "type": "object" });
        ToolDefinition {
            name: "echo".into(),
            description: "says it again".into(),
            input_schema,
        }
    }

    fn call(
        &self,
        args: serde_json::Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        futures::future::ready(Ok(ToolOutput::json(&args["say"]))).boxed_local()
    }
}

/// Takes a minute to decide, and denies what is loud.
struct Person(Host);

impl ToolGate for Person {
    fn decide(&self, request: ToolRequest) -> LocalBoxFuture<'static, ToolDecision> {
        let pause = self.0.sleep(Duration::from_secs(600));
        async move {
            pause.await;
            match request.call.args["say"].as_str() {
                Some(text) if text == text.to_uppercase() => ToolDecision::Deny {
                    reason: "too loud".into(),
                },
                _ => ToolDecision::Approve,
            }
        }
        .boxed_local()
    }
}

#[test]
fn a_gate_holds_each_call_for_as_long_as_a_person_needs() {
    let sim = Sim::new(6);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::calls([
        ("echo", json!({ "say": "psst" })),
        ("echo", json!({ "say": "HEY" })),
    ]));
    model.push(Reply::text("done"));
    sim.block_on(async {
        let gate = Rc::new(Person(host.clone()));
        let runtime = builder(&host, &disk, &model)
            .tool(Rc::new(Echo))
            .tool_gate(gate)
            .build()
            .await
            .unwrap();
        assert_eq!(
            runtime
                .ask(&id("ann"), SendRequest::new("speak"))
                .await
                .unwrap()
                .result,
            "done"
        );
        let last = model.requests().pop().unwrap();
        let results: Vec<_> = news(&last)
            .into_iter()
            .map(|message| match message {
                ChatMessage::Tool {
                    content, is_error, ..
                } => (content.as_str(), *is_error),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            results,
            [("psst", false), ("the call was denied: too loud", true)]
        );
    });
}
