//! Tables of cases for the dialect, recorded answers, and the model over a scripted HTTP client.

use serde_json::{Value, json};

mod answer;
mod model;
mod recorded;
mod request;

fn chunks(chunks: &[Value]) -> String {
    chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}
