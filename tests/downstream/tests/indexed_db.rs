//! The newsroom on the browser's own clock and storage: what was said is there after a reopening.
#![cfg(target_arch = "wasm32")]

use std::rc::Rc;

use mobkit_web::mob::SendRequest;
use mobkit_web::testing::{Reply, ScriptedModel};
use mobkit_web::web::{BrowserHost, IndexedDbConfig, IndexedDbStorage};
use mobkit_web::wire::AgentIdentity;
use mobkit_web_downstream::newsroom;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const DATABASE: &str = "downstream-newsroom";

#[wasm_bindgen_test]
async fn a_newsroom_is_reopened_with_its_conversation() {
    let host = BrowserHost::host();
    let editor = AgentIdentity::new("editor").unwrap();
    IndexedDbStorage::delete(&host, DATABASE, IndexedDbConfig::default())
        .await
        .unwrap();
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("Good morning."));

    let storage = IndexedDbStorage::open(&host, DATABASE, IndexedDbConfig::default())
        .await
        .unwrap();
    let runtime = newsroom(&host, storage, Rc::new(model.clone()))
        .await
        .unwrap();
    let outcome = runtime
        .ask(&editor, SendRequest::new("Hello"))
        .await
        .unwrap();
    assert_eq!(outcome.result, "Good morning.");
    runtime.shutdown().await;
    drop(runtime);

    let storage = IndexedDbStorage::open(&host, DATABASE, IndexedDbConfig::default())
        .await
        .unwrap();
    let runtime = newsroom(&host, storage, Rc::new(model)).await.unwrap();
    assert_eq!(runtime.members().len(), 2);
    let (history, total) = runtime.session_history(&editor, 0, 10).await.unwrap();
    assert_eq!(
        (history.len(), total),
        (2, 2),
        "the question and the answer"
    );
    runtime.shutdown().await;
}
