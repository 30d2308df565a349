//! The mob that is asked.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{FutureExt, ready};
use serde_json::{Value, json};

use super::super::golden;
use crate::agent::model::{
    ChatMessage, LanguageModel, ModelError, ModelInfo, ModelRequest, ModelStream,
};
use crate::agent::scripted::{Reply, ScriptedModel};
use crate::log::Retention;
use crate::mob::definition::MobDefinition;
use crate::runtime::{DefinitionEdges, PreSpawnContext, UnifiedRuntime};
use crate::shim::Host;
use crate::sim::{Sim, SimDisk, StoragePlan};
use crate::wire::AgentDiscoverySpec;

fn definition() -> MobDefinition {
    let definition = json!({
        "id": "m",
        "orchestrator": { "profile": "lead" },
        "profiles": {
            "lead": { "model": "echo", "peer_description": "Leads", "tools": { "comms": true, "mob": true, "mcp": ["echo"], "gate": { "echo__say": "r3", "peers": "r2" } } },
            "worker": { "model": "echo", "tools": { "comms": true, "mcp": ["echo"] } },
            "delegate": { "model": "echo" },
            "quiet": { "model": "echo", "external_addressable": false },
        },
        "wiring": { "auto_wire_orchestrator": true, "role_wiring": [{ "a": "worker", "b": "worker" }] },
        "members": [
            { "profile": "lead", "identity": "lead" },
            { "profile": "worker", "identity": "w-1" },
            { "profile": "quiet", "identity": "q-1" },
        ],
    });
    MobDefinition::from_value(&definition).unwrap()
}

/// Answers by the last message; nothing of what it was asked is kept.
struct Echo(Host);

impl Echo {
    fn reply(request: &ModelRequest) -> Reply {
        let text = match request.messages.last() {
            Some(ChatMessage::User { content, .. }) => content.text(),
            _ => return Reply::text("called"),
        };
        match text.split_once(' ') {
            _ if text == "hang" => Reply::hang(),
            _ if text == "slow" => Reply::words("this takes a while").pace(Duration::from_secs(3)),
            _ if text == "fail" => Reply::fail(ModelError::Js {
                name: "Error".to_owned(),
                message: text,
                retryable: false,
            }),
            Some(("call", call)) => {
                let (tool, args) = call.split_once(' ').unwrap_or((call, "{}"));
                Reply::call(tool, serde_json::from_str(args).unwrap_or_default())
            }
            _ => Reply::words(&format!("echo: {text}")),
        }
    }
}

impl LanguageModel for Echo {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: "fuzz".to_owned(),
            is_demo: false,
            context_tokens: Some(8_192),
        }
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        ScriptedModel::answering(self.0.clone(), Self::reply).stream(request)
    }
}

/// The modules: built in, and ruled.
fn modules() -> Vec<Value> {
    let said = json!({ "runtime_injection": { "member_id": "w-1", "message": "it is time" } });
    vec![
        json!("router"),
        json!("delivery"),
        json!({ "id": "echo", "tools": {
            "say": "echo", "fail": { "fail": "told to fail" }, "sleep": "hang", "delivery.receive": "echo",
        } }),
        json!({ "id": "memory", "tools": {
            "memory.conflict_read": { "answer": { "conflict": null } }, "delivery.receive": { "fail": "told to fail" },
        } }),
        json!({ "id": "scheduling", "tools": { "scheduling.dispatch": { "answer": said } } }),
    ]
}

/// The mob of a seed: with a discovery or without, with logs that are kept or cut.
pub(super) async fn open_for(seed: u64, sim: &Sim, disk: &SimDisk) -> UnifiedRuntime {
    let plan = StoragePlan {
        max_delay: Duration::from_millis(seed % 4),
        // As where values are small, on the edge.
        max_value_bytes: seed.is_multiple_of(5).then_some(1 << 20),
        ..StoragePlan::seeded(seed)
    };
    let mut builder = UnifiedRuntime::builder()
        .definition(definition())
        .host(sim.host())
        .storage(disk.open(&sim.host(), plan))
        .model("echo", Rc::new(Echo(sim.host())));
    for named in modules() {
        builder = builder.module(golden::ruled::module(&named));
    }
    if seed.is_multiple_of(2) {
        let specs: Vec<AgentDiscoverySpec> = serde_json::from_value(json!([
            { "profile": "lead", "meerkat_id": "lead" },
            { "profile": "worker", "meerkat_id": "found" },
        ]))
        .unwrap();
        builder = builder
            .discovery(Rc::new(move |_: PreSpawnContext| {
                ready(Ok(specs.clone())).boxed_local()
            }))
            .edge_discovery(Rc::new(DefinitionEdges::of(&definition())));
    }
    if !seed.is_multiple_of(3) {
        builder = builder
            .event_retention(Retention {
                max_entries: Some(100),
                ..Retention::default()
            })
            .tail_capacity(32);
    }
    builder.build().await.unwrap()
}
