//! The newsroom's own tests: with a scripted model and in virtual time, natively (`cargo test`) and in a browser
//! (`wasm-pack test --headless --chrome`).

use std::rc::Rc;
use std::time::Duration;

use mobkit_web::agent::model::{ChatMessage, ModelRequest};
use mobkit_web::mob::{InteractionStatus, SendRequest};
use mobkit_web::testing::{EventRecorder, Reply, ScriptedModel, Sim, SimDisk, StoragePlan};
use mobkit_web::wire::AgentIdentity;
use mobkit_web_downstream::newsroom;
use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

const ARTICLE: &str = "Four words, no more.";
const MINUTE: Duration = Duration::from_secs(60);

fn id(name: &str) -> AgentIdentity {
    AgentIdentity::new(name).unwrap()
}

/// The script: the editor asks, the reporter counts, writes for a minute and hands in, the editor prints.
fn staff(sim: &Sim) -> ScriptedModel {
    ScriptedModel::answering(sim.host(), |request| {
        let editor = request.system.contains("hand articles");
        match request.messages.last() {
            Some(ChatMessage::User { from: None, .. }) => Reply::call(
                "send_message",
                json!({ "to": "reporter", "content": "Write!" }),
            ),
            Some(ChatMessage::User { content, .. }) if editor => {
                Reply::text(format!("Printed: {}", content.text()))
            }
            Some(ChatMessage::User { .. }) => Reply::call("word_count", json!({ "text": ARTICLE })),
            Some(ChatMessage::Tool { name, .. }) if name == "word_count" => {
                let article = json!({ "to": "editor", "content": ARTICLE });
                Reply::call("send_message", article).after(MINUTE)
            }
            _ => Reply::text("Done."),
        }
    })
}

fn saw_word_count(request: &ModelRequest, count: &str) -> bool {
    let is_count = |message: &ChatMessage| matches!(message, ChatMessage::Tool { name, content, .. } if name == "word_count" && content == count);
    request.messages.iter().any(is_count)
}

#[wasm_bindgen_test(unsupported = test)]
fn an_article_is_written_counted_and_printed() {
    let (sim, disk) = (Sim::new(1), SimDisk::new());
    let (host, model) = (sim.host(), staff(&sim));
    sim.block_on(async {
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = newsroom(&host, storage, Rc::new(model.clone()))
            .await
            .unwrap();
        let recorder = EventRecorder::start(&runtime, &host).unwrap();
        let outcome = runtime
            .ask(&id("editor"), SendRequest::new("An article, please"))
            .await
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Completed, "{outcome:?}");
        assert!(outcome.result.contains(ARTICLE), "{}", outcome.result);

        recorder
            .until(|record| record.event.agent_event_type() == "interaction_complete")
            .await;
        let reporter = recorder.types_of(&id("reporter"));
        let place = |wanted: &str| {
            reporter
                .iter()
                .position(|kind| kind == wanted)
                .expect(wanted)
        };
        assert!(place("peer_message") < place("run_started"));
        assert!(place("run_started") < place("tool_call_requested"));
        assert_eq!(recorder.gaps(), 0);
        runtime.shutdown().await;
    });
    assert!(
        model
            .requests()
            .iter()
            .any(|request| saw_word_count(request, "4"))
    );
    assert!(
        sim.elapsed() >= MINUTE,
        "a minute went by, and nobody waited for it"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn a_crash_in_the_writing_minute_costs_no_article() {
    let (sim, disk) = (Sim::new(2), SimDisk::new());
    let host = sim.host();
    let accepted = sim.block_on(async {
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = newsroom(&host, storage, Rc::new(staff(&sim)))
            .await
            .unwrap();
        let accepted = runtime
            .send(&id("editor"), SendRequest::new("An article, please"))
            .await
            .unwrap();
        host.sleep(MINUTE / 2).await;
        accepted
    });
    sim.crash();

    let host = sim.host();
    sim.block_on(async {
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = newsroom(&host, storage, Rc::new(staff(&sim)))
            .await
            .unwrap();
        let recorder = EventRecorder::start(&runtime, &host).unwrap();
        recorder
            .until(|record| record.event.agent_event_type() == "interaction_complete")
            .await;
        let outcome = runtime
            .interaction_outcome(&accepted.interaction_id)
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Completed, "{outcome:?}");
        assert!(outcome.result.contains(ARTICLE), "{}", outcome.result);
        let answers = recorder.records();
        let printed = answers
            .iter()
            .filter(|record| record.event.agent_event_type() == "interaction_complete");
        assert_eq!(printed.count(), 1, "one request, one answer");
    });
}
