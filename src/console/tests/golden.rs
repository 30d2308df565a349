//! The contract as data: each file of `tests/golden` is a scenario of requests with the answers that they must get. Runners in JavaScript
//! (`www/edge/support/golden.ts`) check the same files against the package. `UPDATE_GOLDEN=1` writes the answers of steps that have no
//! `response`, or fills a stream's: `"response": { "sse": 3 }` is replaced by its first three events.

pub(super) mod print;
pub(super) mod ruled;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use futures::future::{FutureExt, ready};

use super::*;
use crate::agent::model::{
    ChatMessage, LanguageModel, ModelError, ModelInfo, ModelRequest, ModelStream,
};
use crate::runtime::{DefinitionEdges, PreSpawnContext};
use crate::wire::{AgentDiscoverySpec, DesiredPeerEdge, EdgeMemberView};
use template::Captures;

/// A stream that says as often that it is still there has nothing more to say.
const PATIENCE: usize = 3;
/// Tokens in and out of each answer.
const USAGE: (u64, u64) = (5, 2);
/// What answers may not depend on.
const SEEDS: std::ops::Range<u64> = 0..12;

/// The rule by which both runners' models answer the last message: `hang` never, `fail` with an error, `call {tool} {arguments}` with a
/// call and then `called`, anything else with an echo. Every answer takes five tokens and gives two.
struct EchoModel(ScriptedModel);

impl EchoModel {
    fn new(sim: &Sim) -> Self {
        Self(ScriptedModel::answering(sim.host(), |request| {
            Self::reply(request).with_usage(USAGE.0, USAGE.1)
        }))
    }

    fn reply(request: &ModelRequest) -> Reply {
        let text = match request.messages.last() {
            Some(ChatMessage::User { content, .. }) => content.text(),
            _ => return Reply::text("called"),
        };
        match text.split_once(' ') {
            _ if text == "hang" => Reply::hang(),
            _ if text == "fail" => Reply::fail(ModelError::Js {
                name: "Error".to_owned(),
                message: "told to fail".to_owned(),
                retryable: false,
            }),
            Some(("call", call)) => {
                let (tool, args) = call.split_once(' ').unwrap_or((call, "{}"));
                Reply::call(tool, serde_json::from_str(args).unwrap())
            }
            _ => Reply::text(format!("echo: {text}")),
        }
    }
}

impl LanguageModel for EchoModel {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: "golden".to_owned(),
            is_demo: false,
            context_tokens: None,
        }
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        self.0.stream(request)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The scenarios by their names.
fn scenarios() -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ext| ext == "json"));
    files
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                read(&path),
            )
        })
        .collect()
}

/// The runtime that a scenario asks for.
async fn open_for(scenario: &Value, sim: &Sim) -> UnifiedRuntime {
    let definition = match &scenario["definition"] {
        Value::String(name) => read(&folder().join(format!("definitions/{name}.json"))),
        definition => definition.clone(),
    };
    let definition = MobDefinition::from_value(&definition).unwrap();
    let wiring = DefinitionEdges::of(&definition);
    let mut builder = UnifiedRuntime::builder()
        .definition(definition)
        .host(sim.host())
        .storage(Rc::new(MemoryStorage::new()))
        .model("echo", Rc::new(EchoModel::new(sim)));
    if let Some(specs) = scenario.get("discovery") {
        let specs: Vec<AgentDiscoverySpec> = serde_json::from_value(specs.clone()).unwrap();
        builder = builder.discovery(Rc::new(move |_: PreSpawnContext| {
            ready(Ok(specs.clone())).boxed_local()
        }));
    }
    for named in scenario["modules"].as_array().into_iter().flatten() {
        builder = builder.module(ruled::module(named));
    }
    builder = match scenario.get("edge_discovery") {
        None => builder,
        Some(Value::String(_)) => builder.edge_discovery(Rc::new(wiring)),
        Some(edges) => {
            let edges: Vec<DesiredPeerEdge> = serde_json::from_value(edges.clone()).unwrap();
            builder.edge_discovery(Rc::new(move |_: Vec<EdgeMemberView>| {
                ready(Ok(edges.clone())).boxed_local()
            }))
        }
    };
    builder.build().await.unwrap()
}

pub(super) fn request_of(step: &Value) -> FetchRequest {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rpc = step.get("rpc").map(|rpc| {
        let mut body = rpc.clone();
        body["jsonrpc"] = "2.0".into();
        body
    });
    let mut request = match rpc.as_ref().or(step.get("json")) {
        Some(body) => FetchRequest::post_json("/console/rpc", body),
        None => FetchRequest::get(""),
    };
    if let Some(body) = step.get("text") {
        request.body = text(body).into_bytes();
    }
    let or = |name: &str, otherwise: &str| step.get(name).map_or(otherwise.to_owned(), text);
    (request.method, request.url) = (or("method", "POST"), or("path", "/console/rpc"));
    for (name, value) in step["headers"].as_object().into_iter().flatten() {
        // Before what goes without saying: the first of a name counts.
        request.headers.insert(0, (name.clone(), text(value)));
    }
    request
}

/// What came back, in the form of a golden `response`; `want` says how much of a stream to read, and which headers matter.
async fn response_of(response: FetchResponse, want: &Value) -> Result<Value, String> {
    let mut got = json!({ "status": response.status });
    let header = |name: &str| response.headers.iter().find(|(known, _)| *known == name);
    let named = want["headers"].as_object();
    let names = named.map_or(vec!["content-type"], |named| {
        named.keys().map(String::as_str).collect()
    });
    for name in names {
        if let Some((_, value)) = header(name) {
            got["headers"][name] = value.clone().into();
        }
    }
    match response.body {
        FetchBody::Full(bytes) => {
            let body = String::from_utf8(bytes).map_err(|e| e.to_string())?;
            let is_json =
                header("content-type").is_some_and(|(_, kind)| kind == "application/json");
            match serde_json::from_str(&body) {
                Ok(json) if is_json => got["json"] = json,
                _ => got["text"] = body.into(),
            }
        }
        FetchBody::Stream(body) => {
            let count = want["sse"].as_array().map(Vec::len);
            let count = count.or(want["sse"].as_u64().map(|count| count as usize));
            let count = count.ok_or("a stream; say in `sse` how many of its events matter")?;
            got["sse"] = first_events(body, count).await?;
        }
    }
    Ok(got)
}

async fn first_events(
    body: LocalBoxStream<'static, Vec<u8>>,
    count: usize,
) -> Result<Value, String> {
    let mut client = Client {
        body,
        events: Default::default(),
        comments: Vec::new(),
    };
    let mut events = Vec::new();
    while events.len() < count {
        if let Some(Event { id, event, data }) = client.events.pop_front() {
            let mut told = json!({ "event": event, "data": data });
            if !id.is_empty() {
                told["id"] = id.into();
            }
            events.push(told);
        } else if client.comments.len() >= PATIENCE || !client.pull().await {
            let heard = events.len();
            return Err(format!("{heard} events instead of {count}: {events:?}"));
        }
    }
    Ok(events.into())
}

/// Sends a step's request, as often as `times` says, and what is sent `meanwhile`; answers the last response.
async fn ask(runtime: &UnifiedRuntime, request: &Value, want: &Value) -> Result<Value, String> {
    for _ in 1..request["times"].as_u64().unwrap_or(1) {
        fetch(runtime, request_of(request)).await;
    }
    let response = fetch(runtime, request_of(request)).await;
    for request in request["meanwhile"].as_array().into_iter().flatten() {
        let answer = response_of(fetch(runtime, request_of(request)).await, &Value::Null).await?;
        if answer["status"] != 200 || answer["json"].get("error").is_some() {
            return Err(format!("meanwhile: {}", print::flat(&answer)));
        }
    }
    response_of(response, want).await
}

/// Does a scenario's steps; what differs from the golden answers goes to `found`. With `update` the missing answers are written into it.
async fn run(name: &str, scenario: &mut Value, sim: &Sim, update: bool, found: &mut Vec<String>) {
    let runtime = open_for(scenario, sim).await;
    let mut captures = Captures::of(scenario);
    for step in scenario["steps"].as_array_mut().unwrap() {
        let at = format!("{name}: {}", step["name"]);
        let got = match captures.fill(&step["request"]) {
            Ok(request) => ask(&runtime, &request, &step["response"]).await,
            Err(unknown) => Err(unknown),
        };
        let got = match got {
            Ok(got) => got,
            Err(error) => {
                found.push(format!("{at}: {error}"));
                continue;
            }
        };
        let is_missing = step["response"]["status"].is_null();
        match is_missing && update {
            true => step["response"] = captures.generalise("", &got),
            false => {
                captures.differences(&format!("{at}: response"), &step["response"], &got, found)
            }
        }
    }
    runtime.shutdown().await;
}

#[test]
fn every_request_is_answered_as_its_golden_file_says() {
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let mut found = Vec::new();
    for (name, mut scenario) in scenarios() {
        if update {
            let before = scenario.clone();
            let sim = Sim::new(SEEDS.start);
            sim.block_on(run(&name, &mut scenario, &sim, true, &mut Vec::new()));
            if scenario != before {
                let path = folder().join(format!("{name}.json"));
                fs::write(path, print::pretty(&scenario)).unwrap();
            }
        }
        for seed in SEEDS {
            let sim = Sim::new(seed);
            let mut differs = Vec::new();
            sim.block_on(run(&name, &mut scenario, &sim, false, &mut differs));
            found.extend(differs.into_iter().map(|one| format!("seed {seed}: {one}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The steps of all scenarios.
pub(super) fn steps() -> Vec<(String, Value)> {
    let named = |(name, scenario): (String, Value)| {
        let steps = scenario["steps"].as_array().unwrap().clone();
        steps
            .into_iter()
            .map(move |step| (format!("{name}: {}", step["name"]), step))
    };
    scenarios().into_iter().flat_map(named).collect()
}

#[test]
fn every_method_has_a_golden_answer_and_a_golden_error() {
    with_runtime(async |runtime, _| {
        let capabilities = ok(&runtime, "mobkit/capabilities", json!({})).await;
        let table: Vec<String> = serde_json::from_value(capabilities["methods"].clone()).unwrap();
        let mut wrong = Vec::new();
        let (mut answered, mut refused) = (BTreeSet::new(), BTreeSet::new());
        for (at, step) in steps() {
            let Some(method) = step["request"]["rpc"]["method"].as_str() else {
                continue;
            };
            let answer = &step["response"]["json"];
            // Whatever does not begin so is a tool of a module.
            if answer["error"]["code"] == -32601 || !method.starts_with("mobkit/") {
                continue;
            }
            if !table.iter().any(|known| known == method) {
                wrong.push(format!("{at}: there is no method {method}"));
            }
            match answer.get("error") {
                Some(_) => refused.insert(method.to_owned()),
                None => answer.get("result").is_some() && answered.insert(method.to_owned()),
            };
        }
        for (what, seen) in [("answer", answered), ("error", refused)] {
            let missing = table.iter().filter(|method| !seen.contains(*method));
            wrong.extend(missing.map(|method| format!("{method}: no golden {what}")));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

/// The routes in the table at the top of `src/console/mod.rs`.
fn routes() -> Vec<(&'static str, &'static str)> {
    let rows = include_str!("../mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    let names = rows.filter_map(|row| row.split(" | ").next());
    let quoted = names.flat_map(|names| names.split('`').skip(1).step_by(2));
    quoted.filter_map(|route| route.split_once(' ')).collect()
}

fn is_route(route: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (wanted, given): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let same = |(wanted, given): (&&str, &&str)| wanted.starts_with('{') || wanted == given;
    wanted.len() == given.len() && wanted.iter().zip(&given).all(same)
}

#[test]
fn every_route_has_a_golden_answer_and_a_golden_error() {
    let routes = routes();
    assert!(routes.len() >= 10, "{routes:?}");
    let mut wrong = Vec::new();
    let (mut answered, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (at, step) in steps() {
        let (request, response) = (&step["request"], &step["response"]);
        let (method, path) = match request.get("rpc") {
            Some(_) => ("POST", "/console/rpc"),
            None => (
                request["method"].as_str().unwrap(),
                request["path"].as_str().unwrap(),
            ),
        };
        let status = response["status"].as_u64().unwrap_or_default();
        let failed = status >= 400 || response["json"].get("error").is_some();
        let known: Vec<_> = routes
            .iter()
            .filter(|(_, route)| is_route(route, path))
            .collect();
        if known.is_empty() && response["json"]["error"] != "not_found" {
            wrong.push(format!("{at}: there is no route {path}"));
        }
        for route in known {
            match failed {
                true => refused.insert(route),
                false => route.0.eq_ignore_ascii_case(method) && answered.insert(route),
            };
        }
    }
    for (what, seen) in [("answer", answered), ("error", refused)] {
        let missing = routes.iter().filter(|route| !seen.contains(route));
        wrong.extend(missing.map(|(method, path)| format!("{method} {path}: no golden {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
