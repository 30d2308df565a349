//! The reference of the contract, made of the tables of methods and routes and of the golden files: `www/sdk/CONTRACT.md`.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

use super::golden::{print, steps};
use crate::console::CONTRACT_VERSION;
use crate::console::methods::REFERENCE;

/// What stands before the methods.
const HEAD: &str = "\
`runtime.fetch(request)` answers these routes, in a page as at the edge: there below `/mobs/{name}`. This page is made by a test (`UPDATE_GOLDEN=1 cargo test --lib reference`) of the
tables in the code and of the golden files in `tests/golden`, which are checked natively, in Node, Chromium, Firefox and workerd.

## Routes
";
const RPC: &str = "\
## JSON-RPC

JSON-RPC 2.0 at `POST /console/rpc`, one by one or in batches of at most 256. A request without an id is a notification: it is done, and not answered. Parameters are an object; an unknown one is an error.

An error has `code` (the contract's number), `message` and `data`: `data.code` is the error's stable name, the same as in JavaScript; `data.kind` tells apart what shares a number.

| code | what |
|---|---|
| -32700, -32600, -32601 | not JSON; not a request; no such method |
| -32602 | parameters that the method cannot work with; the message begins with `Invalid params: ` |
| -32000 | the operation failed |
| -32001 | nobody, or nothing, of this name |
| -32002 | the member takes no messages from outside |
| -32004 | another context leads, or the member was made anew or has left |
| -32009 | the idempotency key was used for something else |
| -32010 | a cursor beyond the end (`data.error`: `event_query_stale`), or a place that the timeline does not have (`data.kind`: `replay_unavailable`) |

In the examples `{{…}}` stands for what differs each time.
";
/// Characters of an example.
const LONGEST: usize = 600;

fn example(value: &Value) -> String {
    let text = print::flat(value);
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// The rows of the table at the top of the room.
fn routes() -> String {
    let rows = include_str!("../mod.rs").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("//! |"));
    rows.fold(String::new(), |text, row| text + "|" + row + "\n")
}

fn reference() -> String {
    let steps = steps();
    let mut text = format!(
        "# The contract, version {CONTRACT_VERSION}\n\n{HEAD}\n{}\n{RPC}",
        routes()
    );
    for (name, about) in REFERENCE {
        text += &format!("\n### `{name}`\n\n{}\n", about.trim());
        let mut calls = steps.iter().filter(|(_, step)| {
            let (request, answer) = (&step["request"]["rpc"], &step["response"]["json"]);
            request["method"] == *name && answer["error"]["code"] != -32601
        });
        let answered = calls
            .clone()
            .find(|(_, step)| step["response"]["json"].get("result").is_some());
        let refused = calls.find(|(_, step)| step["response"]["json"].get("error").is_some());
        for (field, step) in [("result", answered), ("error", refused)] {
            let Some((_, step)) = step else { continue };
            let params = &step["request"]["rpc"]["params"];
            let answer = &step["response"]["json"][field];
            text += &format!(
                "\n```jsonc\n// params\n{}\n// {field}\n{}\n```\n",
                example(params),
                example(answer)
            );
        }
    }
    text
}

#[test]
fn the_reference_is_what_the_tables_and_golden_files_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("www/sdk/CONTRACT.md");
    let text = reference();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "www/sdk/CONTRACT.md is not up to date: UPDATE_GOLDEN=1 cargo test --lib reference"
    );
}
