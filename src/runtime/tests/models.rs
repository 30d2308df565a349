//! Models that fail, stall or are small, and tools that are held.

use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};

use super::*;
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::agent::model::{
    Availability, LanguageModel, ModelDelta, ModelError, ModelInfo, ModelStream, ToolDefinition,
};
use crate::agent::openai::{OpenAiCompatible, OpenAiConfig};
use crate::agent::tool::{
    Tool, ToolContext, ToolDecision, ToolError, ToolGate, ToolOutput, ToolRequest,
};
use crate::mob::InteractionOutcome;
use crate::wire::{AgentErrorClass, MemberActivity, StopReason};

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
fn a_model_that_must_be_loaded_first_gets_the_time() {
    let (outcome, kinds, took) = ask_ann(7, TEAM, |model| {
        model.push(Reply::words("here I am").after(Duration::from_secs(290)));
    });
    assert_eq!(outcome.result, "here I am");
    assert_eq!(count(&kinds, "retrying"), 0);
    assert!(took >= Duration::from_secs(290), "{took:?}");
    let patient = format!("{TEAM}\n[limits]\nmodel_idle_timeout_ms = 900000\n");
    let (outcome, kinds, _) = ask_ann(8, &patient, |model| {
        model.push(Reply::text("at last").after(Duration::from_secs(600)));
    });
    assert_eq!(outcome.result, "at last");
    assert_eq!(count(&kinds, "retrying"), 0);
    let (outcome, kinds, _) = ask_ann(9, TEAM, |model| {
        (0..9).for_each(|_| model.push(Reply::hang()));
    });
    let error = outcome.error.unwrap().message;
    assert!(error.contains("nothing came for 300 s"), "{error}");
    assert_eq!(count(&kinds, "retrying"), 3);
}

#[test]
fn a_budget_holds_for_models_that_do_not_count() {
    let bounded = format!("{TEAM}\n[limits]\nmax_tokens_per_interaction = 1000\n");
    let (outcome, kinds, _) = ask_ann(10, &bounded, |model| {
        let long = || Reply::call("peers", json!({ "why": "x".repeat(2_000) }));
        (0..9).for_each(|_| model.push(long()));
    });
    assert_eq!(outcome.error.unwrap().class, AgentErrorClass::Budget);
    let used = outcome.usage.total();
    assert!((1_000..3_000).contains(&used), "{used}");
    assert!(count(&kinds, "turn_started") < 4, "{kinds:?}");
}

#[test]
fn answers_that_were_of_no_use_are_charged_too() {
    let bounded = format!("{TEAM}\n[limits]\nmax_tokens_per_interaction = 1000\n");
    let cut = || {
        Reply::words(&"well ".repeat(600)).then_fail(ModelError::Truncated {
            message: "cut".into(),
        })
    };
    let (outcome, kinds, _) = ask_ann(11, &bounded, |model| {
        (0..4).for_each(|_| model.push(cut()));
    });
    assert_eq!(outcome.error.unwrap().class, AgentErrorClass::Budget);
    let tries = count(&kinds, "stream_truncated");
    assert!(tries < 3, "{tries} tries");
    let (outcome, _, _) = ask_ann(12, TEAM, |model| {
        model.push(
            Reply::deltas([
                ModelDelta::Text("I will".into()),
                ModelDelta::Stop(StopReason::ContentFilter),
            ])
            .with_usage(40, 2),
        );
    });
    let class = outcome.error.unwrap().class;
    assert_eq!(class, AgentErrorClass::ContentFiltered);
    assert_eq!(outcome.usage.total(), 42);
    let (outcome, _, _) = ask_ann(13, TEAM, |model| {
        model.push(Reply::fail(ModelError::Auth {
            status: 401,
            message: "no".into(),
        }));
    });
    assert_eq!(outcome.usage.total(), 0, "nobody bills what did not begin");
}

#[test]
fn work_whose_model_goes_away_in_the_middle_waits_for_it() {
    let sim = Sim::new(14);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("peers", json!({})).after(Duration::from_secs(1)));
    model.push(Reply::text("back again"));
    sim.block_on(async {
        let mut runtime = builder(&host, &disk, &model).build().await.unwrap();
        let sent = runtime.send(&id("ann"), SendRequest::new("go")).await;
        let interaction = sent.unwrap().interaction_id;
        host.sleep(Duration::from_millis(500)).await;
        model.set_availability(Availability::Waiting {
            reason: "its key is asked for again".into(),
        });
        // Reloads do not count against it either.
        for _ in 0..5 {
            host.sleep(Duration::from_secs(60)).await;
            let ann = runtime.members().remove(0);
            assert_eq!(ann.activity, MemberActivity::WaitingModel);
            drop(runtime);
            runtime = builder(&host, &disk, &model).build().await.unwrap();
        }
        model.set_availability(Availability::Ready);
        runtime.set_model("scripted", Some(Rc::new(model.clone())));
        let handle = runtime.mob_handle();
        let outcome = handle.wait_interaction(&interaction).await.unwrap();
        assert_eq!((outcome.result.as_str(), outcome.turns), ("back again", 1));
    });
}

#[test]
fn keys_that_expire_again_and_again_do_not_use_up_its_patience() {
    let sim = Sim::new(16);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("peers", json!({})));
    sim.block_on(async {
        let mut runtime = builder(&host, &disk, &model).build().await.unwrap();
        let sent = runtime.send(&id("ann"), SendRequest::new("go")).await;
        let interaction = sent.unwrap().interaction_id;
        for _ in 0..5 {
            // It says that it is there, and is refused when it is asked.
            model.push(Reply::fail(ModelError::Unavailable {
                reason: "the key has expired".into(),
            }));
            host.sleep(Duration::from_millis(500)).await;
            drop(runtime);
            runtime = builder(&host, &disk, &model).build().await.unwrap();
        }
        while model.replies_left() > 0 {
            host.sleep(Duration::from_secs(1)).await;
        }
        model.push(Reply::text("back again"));
        let handle = runtime.mob_handle();
        let outcome = handle.wait_interaction(&interaction).await.unwrap();
        assert_eq!(outcome.result, "back again");
    });
}

/// Says that it is there, and is not.
struct Liar(std::cell::Cell<u32>);

impl LanguageModel for Liar {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: "liar".into(),
            is_demo: true,
            context_tokens: None,
        }
    }

    fn stream(&self, _: ModelRequest) -> ModelStream {
        self.0.set(self.0.get() + 1);
        let reason = "out for lunch".into();
        futures::stream::iter([Err(ModelError::Unavailable { reason })]).boxed_local()
    }
}

#[test]
fn a_model_that_is_never_there_is_asked_seldom() {
    let sim = Sim::new(15);
    let (host, disk) = (sim.host(), SimDisk::new());
    let liar = Rc::new(Liar(std::cell::Cell::new(0)));
    let model = ScriptedModel::new(host.clone());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .model("scripted", liar.clone())
            .build()
            .await
            .unwrap();
        let sent = runtime.send(&id("ann"), SendRequest::new("go")).await;
        host.sleep(Duration::from_secs(3_600)).await;
        let asked = liar.0.get();
        assert!((20..200).contains(&asked), "{asked} times in an hour");
        let interaction = sent.unwrap().interaction_id;
        assert!(runtime.cancel(&interaction).await.unwrap());
        host.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(liar.0.get(), asked);
    });
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

#[test]
fn a_mob_opens_again_however_deep_the_arguments_were_that_its_model_wrote() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    // The deepest that is read, and one that no more is: the model is told so.
    for depth in [20, 126, 200] {
        let nested = (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let outcome = sim.block_on(async {
            let model = ScriptedModel::new(host.clone());
            model.push(Reply::call("peers", json!({ "why": nested })));
            model.push(Reply::text("done"));
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let outcome = runtime
                .ask(&id("ann"), SendRequest::new("hello"))
                .await
                .unwrap();
            runtime.shutdown().await;
            outcome
        });
        assert_eq!(outcome.result, "done", "{depth}: {outcome:?}");
        let again = sim.block_on(async {
            let model = ScriptedModel::new(host.clone());
            model.push(Reply::text("still here"));
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            all_events(&runtime).await;
            let again = runtime
                .ask(&id("ann"), SendRequest::new("and now?"))
                .await
                .unwrap();
            runtime.shutdown().await;
            again
        });
        assert_eq!(again.result, "still here", "{depth}: {again:?}");
    }
}
