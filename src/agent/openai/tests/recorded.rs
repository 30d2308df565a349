//! The dialect on the bytes of a server that is not ours: npm `@copilotkit/aimock` 1.43.0, with its chaos modes.
//!
//! The files in `recorded/` begin with the status (and `cut` where the connection broke off), then header fields, an empty
//! line and the body as it came. They were taken once, with pieces of seven characters.

use crate::agent::model::{AssembledTurn, ModelError, ModelRequest, TurnAssembler};
use crate::agent::openai::decode::Decoder;
use crate::agent::openai::failure;
use crate::wire::{StopReason, Usage};

struct Recorded {
    status: u16,
    is_cut: bool,
    retry_after: Option<String>,
    body: &'static [u8],
}

fn read(file: &'static [u8]) -> Recorded {
    let end = file
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .expect("a recorded file has a head");
    let head = std::str::from_utf8(&file[..end]).unwrap();
    let (status, rest) = head.split_at(3);
    Recorded {
        status: status.parse().unwrap(),
        is_cut: rest.starts_with(" cut"),
        retry_after: head
            .lines()
            .find_map(|line| line.strip_prefix("retry-after: "))
            .map(str::to_owned),
        body: &file[end + 2..],
    }
}

fn answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<AssembledTurn, ModelError> {
    let mut decoder = Decoder::new();
    let mut assembler = TurnAssembler::new(&ModelRequest::default(), "t");
    pieces
        .into_iter()
        .try_for_each(|piece| decoder.push(piece))?;
    decoder.finish()?;
    while let Some(delta) = decoder.next_delta() {
        assembler.push(delta);
    }
    assembler.finish()
}

macro_rules! recorded {
    ($name:literal) => {
        read(include_bytes!(concat!("../recorded/", $name, ".http")))
    };
}

#[test]
fn text_with_reasoning_whichever_way_the_bytes_are_cut() {
    let body = recorded!("text").body;
    let whole = answer([body]).unwrap();
    assert_eq!(whole.text, "Grüße aus der 🦀-Werkstatt, 漢字 too.");
    assert_eq!(whole.reasoning, "The user wants a greeting.");
    assert_eq!(whole.stop, StopReason::EndTurn);
    assert!(whole.usage.as_ref().unwrap().output_tokens > 0);
    for at in 0..body.len() {
        assert_eq!(
            answer([&body[..at], &body[at..]]).as_ref(),
            Ok(&whole),
            "cut at {at}"
        );
    }
    for size in [1, 2, 3, 5, 7, 100] {
        assert_eq!(
            answer(body.chunks(size)).as_ref(),
            Ok(&whole),
            "pieces of {size}"
        );
    }
}

#[test]
fn two_calls_streamed_and_as_one_document_are_alike() {
    for recorded in [recorded!("tools"), recorded!("document")] {
        let turn = answer(recorded.body.chunks(11)).unwrap();
        assert_eq!(
            (turn.text.as_str(), turn.stop),
            ("I ask both.", StopReason::ToolUse)
        );
        let calls: Vec<_> = turn
            .tool_calls
            .iter()
            .map(|call| call.as_ref().unwrap())
            .collect();
        assert!(
            calls
                .iter()
                .all(|call| call.name == "send_message" && call.id.starts_with("call_"))
        );
        let parts: Vec<_> = calls
            .iter()
            .map(|call| (&call.args["to"], &call.args["content"]))
            .collect();
        assert_eq!(
            parts,
            [
                (&"ada".into(), &"part one".into()),
                (&"grace".into(), &"part two".into())
            ]
        );
        assert!(matches!(
            turn.usage,
            Some(Usage {
                input_tokens: 2,
                ..
            })
        ));
    }
}

#[test]
fn a_limit_is_a_reason_to_stop_and_no_error() {
    let turn = answer([recorded!("length").body]).unwrap();
    assert_eq!(
        (turn.text.as_str(), turn.stop),
        ("Too long an ans", StopReason::MaxTokens)
    );
}

#[test]
fn every_early_end_of_a_stream_is_truncated_and_none_panics() {
    let cut = recorded!("cut");
    assert!(cut.is_cut);
    assert!(matches!(
        answer([cut.body]),
        Err(ModelError::Truncated { .. })
    ));
    let body = recorded!("tools").body;
    let text = String::from_utf8_lossy(body);
    // From here on the reason to stop is there, and the rest is only usage.
    let complete = text.find("\"finish_reason\":\"tool_calls\"").unwrap()
        + "\"finish_reason\":\"tool_calls\"}]}".len();
    for end in 0..complete {
        assert!(
            matches!(answer([&body[..end]]), Err(ModelError::Truncated { .. })),
            "ended at {end}"
        );
    }
    for end in complete..body.len() {
        assert!(answer([&body[..end]]).is_ok(), "ended at {end}");
    }
}

#[test]
fn malformed_json_is_a_protocol_error() {
    let recorded = recorded!("malformed");
    assert_eq!(recorded.status, 200);
    let error = answer([recorded.body]).unwrap_err();
    assert!(
        matches!(&error, ModelError::Protocol { message } if message.contains("<<<chaos>>>")),
        "{error}"
    );
    assert!(error.retryable());
}

#[test]
fn refusals_are_classed() {
    let cases = [
        (recorded!("drop"), "model_server_error", true),
        (recorded!("ratelimit"), "model_rate_limited", true),
        (recorded!("context"), "model_context_too_long", false),
        (recorded!("unmatched"), "model_bad_request", false),
    ];
    for (recorded, code, retryable) in cases {
        let header = |name: &str| {
            recorded
                .retry_after
                .clone()
                .filter(|_| name == "retry-after")
        };
        let wait = failure::retry_after(header, 0);
        let error = failure::from_status(
            recorded.status,
            wait,
            std::str::from_utf8(recorded.body).unwrap(),
        );
        assert_eq!(
            (error.code(), error.retryable()),
            (code, retryable),
            "{error}"
        );
        assert_eq!(error.retry_after().is_some(), code == "model_rate_limited");
    }
}
