//! What reads and writes text at the door, alone and with less stack than anybody has.

use futures::future::FutureExt;
use serde_json::Value;

use super::super::envelope::{self, Body};
use super::super::{FetchRequest, address, fetch, json, open, sse};
use super::grammar::{Grammar, Learned};
use super::mutate::corpus;
use super::{Address, FetchBody, Rc, Sim, SimRandom, ok, thread};

const TEXTS: u64 = 20_000;
/// What wasm has for everything, the frames of an unoptimised build being some times larger than its.
const WHOLE_STACK: usize = 1 << 20;
/// What a parser may take of it.
const PARSER_STACK: usize = 256 << 10;

fn with_grammar(seed: u64, test: impl Fn(&Grammar<'_>)) {
    let (random, learned) = (SimRandom::new(seed), Learned::default());
    for _ in 0..TEXTS {
        test(&Grammar {
            random: &random,
            learned: &learned,
        });
    }
}

#[test]
fn what_is_encoded_into_an_address_comes_out_of_it() {
    with_grammar(1, |grammar| {
        let (name, value) = (grammar.text(), grammar.text());
        let mut url = "/p?".to_owned();
        address::encode(&mut url, &name);
        url.push('=');
        address::encode(&mut url, &value);
        let address = Address::parse(&url).unwrap();
        assert_eq!(address.path, "/p");
        match name.is_empty() && value.is_empty() {
            // That is `=` alone: a field without a name.
            true => assert_eq!(address.query.get(""), Some(&value)),
            false => assert_eq!(address.query.get(&name), Some(&value), "{url}"),
        }
        assert_eq!(address.query.len(), 1, "{url}");
        // In a path a plus sign is no space.
        let escaped: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(address::decode_path(&escaped), Some(value));
        assert_eq!(address::decode_path("a+b"), Some("a+b".to_owned()));
    });
}

#[test]
fn any_text_is_an_address_or_an_error() {
    with_grammar(2, |grammar| {
        let url = [&*grammar.text(), "?", &grammar.text(), "&", &grammar.text()].concat();
        let _ = address::decode_path(&url);
        let Ok(address) = Address::parse(&url) else {
            return;
        };
        assert!(
            !address.path.is_empty() && !address.path.contains(['?', '#']),
            "{url:?}"
        );
        let mut again = format!("{}?", address.path);
        for (name, value) in address.query.iter() {
            address::encode(&mut again, name);
            again.push('=');
            address::encode(&mut again, value);
            again.push('&');
        }
        // A path may look like a host, which the second reading takes off.
        if !address.path.contains("://") {
            assert_eq!(Address::parse(&again), Ok(address), "{url:?}");
        }
    });
}

#[test]
fn any_bytes_are_requests_or_answers_to_them() {
    let corpus = corpus();
    with_grammar(3, |grammar| {
        let body = match grammar.one_in(2) {
            true => grammar.mutant(&corpus).body,
            false => {
                let mut body = String::new();
                grammar.call(&mut body);
                body.into_bytes()
            }
        };
        let read = match envelope::parse(&body) {
            Body::One(one) => vec![one],
            Body::Batch(batch) => batch,
        };
        assert!((1..=256).contains(&read.len()));
        for request in read {
            match request {
                Ok(request) => {
                    let Some(id) = request.id else { continue };
                    let answer = json::parse_own(&envelope::result(&id, "1")).unwrap();
                    assert_eq!(
                        (&answer["jsonrpc"], &answer["result"]),
                        (&json!("2.0"), &json!(1))
                    );
                }
                // Empty: a notification.
                Err(answer) if answer.is_empty() => {}
                Err(answer) => drop(json::parse_own(&answer).unwrap()),
            }
        }
    });
}

#[test]
fn an_id_comes_back_as_it_was_written() {
    let random = SimRandom::new(5);
    // As JavaScript's `Math.random()` makes them, and what callers may think of otherwise.
    let mut ids: Vec<String> = (0..1_000)
        .map(|_| {
            format!(
                "{}",
                (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
            )
        })
        .collect();
    let others = [
        "1.0",
        "-0.0",
        "1e5",
        "5e-324",
        "18446744073709551616",
        "123456789012345678901234567890",
    ];
    ids.extend(others.map(str::to_owned));
    for id in &ids {
        let text = format!(r#" {{"jsonrpc":"2.0", "id" : {id} ,"method":"x"}} "#);
        let in_batch = format!(" [ 1,{text}, 2]");
        let mut requests = match (
            envelope::parse(text.as_bytes()),
            envelope::parse(in_batch.as_bytes()),
        ) {
            (Body::One(one), Body::Batch(batch)) => vec![one, batch.into_iter().nth(1).unwrap()],
            _ => panic!("one and a batch"),
        };
        for request in requests.drain(..) {
            let answer = envelope::result(&request.unwrap().id.unwrap(), "1");
            let wanted = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":1}}"#);
            assert_eq!(String::from_utf8(answer).unwrap(), wanted);
        }
    }
}

/// The events of a stream as the HTML standard (section 9.2.6) reads it: `(last event id, event, data)`.
fn events(text: &str) -> Vec<(String, String, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut id, mut event, mut data) = (vec![], String::new(), String::new(), vec![]);
    for line in text.split_terminator('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                if !data.is_empty() {
                    events.push((id.clone(), event, data.join("\n")));
                }
                (event, data) = (String::new(), vec![]);
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            "event" => event = value.to_owned(),
            "data" => data.push(value),
            _ => {}
        }
    }
    events
}

#[test]
fn no_value_adds_a_field_to_an_event() {
    with_grammar(4, |grammar| {
        let (id, event, data) = (grammar.text(), grammar.text(), grammar.text());
        let text = sse::encode(Some(&id), &event, &data);
        let plain = |value: &str| value.replace(['\r', '\n'], " ");
        let told = match id.contains('\0') {
            true => String::new(),
            false => plain(&id),
        };
        assert_eq!(
            events(&text),
            [(told, plain(&event), plain(&data))],
            "{text:?}"
        );
    });
}

fn on_stack(bytes: usize, test: impl FnOnce() + Send + 'static) {
    let builder = thread::Builder::new().stack_size(bytes);
    builder.spawn(test).unwrap().join().unwrap();
}

/// JSON so many levels deep, of each kind.
fn deep(levels: usize) -> [String; 3] {
    [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")].map(|(open, close)| {
        let levels = levels / open.matches(['[', '{']).count();
        [&*open.repeat(levels), "1", &close.repeat(levels)].concat()
    })
}

#[test]
fn deep_json_is_an_error_before_the_stack_is_full() {
    on_stack(PARSER_STACK, || {
        for levels in [126, 127, 128, 129, 1_000, 1_000_000] {
            for text in deep(levels) {
                // Those of two levels each cannot have an odd number of them.
                let levels = text.matches(['[', '{']).count();
                let value = json::parse(text.as_bytes());
                assert_eq!(value.is_ok(), levels <= 127, "{levels}");
                if let Ok(value) = value {
                    assert_eq!(json::text(&value), text);
                    assert_eq!(json::value_of(&value), value.clone());
                }
                let cut = &text.as_bytes()[..text.len() / 2];
                assert!(json::parse(cut).is_err());
                drop(envelope::parse(text.as_bytes()));
            }
        }
    });
}

#[test]
fn what_is_as_deep_as_can_be_is_taken_kept_and_told() {
    on_stack(WHOLE_STACK, || {
        let sim = Rc::new(Sim::new(1));
        sim.block_on(async {
            let runtime = open(&sim).await;
            let ask = async |method: &str, params: String| {
                let request = FetchRequest {
                    body: format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
                        .into_bytes(),
                    ..FetchRequest::post_json("/console/rpc", &Value::Null)
                };
                let FetchBody::Full(answer) = fetch(&runtime, request).boxed_local().await.body
                else {
                    panic!("a stream")
                };
                let mut answer = json::parse_own(&answer).unwrap();
                (answer["result"].take(), answer["error"].take())
            };
            // The envelope and the parameters are two levels.
            for (number, levels) in [125, 126, 200_000].into_iter().enumerate() {
                for (kind, text) in deep(levels).into_iter().enumerate() {
                    let levels = text.matches(['[', '{']).count();
                    let spec = format!(
                        r#"{{"profile":"lead","identity":"m-{number}-{kind}","initial_message":"x","context":{text}}}"#
                    );
                    let (_, error) = ask("mobkit/spawn_member", spec).await;
                    match levels <= 125 {
                        true => assert_eq!(error, Value::Null, "{levels}"),
                        false => assert_eq!(error["code"], -32700, "{levels}"),
                    }
                    for (method, name) in [("mobkit/send_message", "content"), ("mobkit/mob_labels/set", "labels")] {
                        let (_, error) = ask(method, format!(r#"{{"member_id":"lead","{name}":{text}}}"#)).await;
                        let code = if levels <= 125 { -32602 } else { -32700 };
                        assert_eq!(error["code"], code, "{method} {levels}");
                    }
                }
            }
            for method in ["mobkit/mob_events/query", "mobkit/query_events", "mobkit/console/query_timeline"] {
                let (page, _) = ask(method, "{}".to_owned()).await;
                assert!(page.is_object() || page.is_array(), "{method}");
            }
            let wait = ok(&runtime, "mobkit/session_history", json!({"member_id": "m-0-0"})).await;
            assert!(wait["total"].is_u64());
            runtime.shutdown().await;
        });
    });
}
