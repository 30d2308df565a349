//! Server-sent events (HTML standard, section 9.2), pulled: nothing is read from a log before the client asks for more.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::{Either, FutureExt, select};
use futures::stream::{self, LocalBoxStream, StreamExt};

use crate::shim::{Host, YieldBudget};
use crate::wire::ErrorData;

/// How many milliseconds a stream is silent before it says that it is still there.
pub(super) const KEEP_ALIVE_MS: u64 = 15_000;
const KEEP_ALIVE: Duration = Duration::from_millis(KEEP_ALIVE_MS);
/// Bytes after which a chunk is handed over, though more is ready.
const CHUNK_BYTES: usize = 32 * 1024;

/// One event as text. `data` is JSON, which has no line breaks.
pub(super) fn encode(id: Option<&str>, event: &str, data: &str) -> String {
    let mut text = String::new();
    if let Some(id) = id {
        push_field(&mut text, "id", id);
    }
    push_field(&mut text, "event", event);
    push_field(&mut text, "data", data);
    text.push('\n');
    text
}

/// A line break in a value would begin a field of its own.
fn push_field(text: &mut String, name: &str, value: &str) {
    let value = value.replace(['\r', '\n'], " ");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name}: {value}");
}

/// What a log has to say next.
pub(super) enum Said {
    /// An event's text; none for an entry that the client did not ask for.
    Event(Option<String>),
    /// The log cannot be read any more.
    Broken(ErrorData),
}

/// A body over a log: events as they come, several in one chunk when they are ready, a comment after 15 s of silence. When
/// the log cannot be read any more, a comment says so and the body ends; the client's next request gets the error itself.
pub(super) fn body(
    host: &Host,
    log: LocalBoxStream<'static, Said>,
) -> LocalBoxStream<'static, Vec<u8>> {
    struct Body {
        host: Host,
        log: LocalBoxStream<'static, Said>,
        is_over: bool,
    }
    let body = Body {
        host: host.clone(),
        log,
        is_over: false,
    };
    stream::unfold(body, |mut body| async move {
        if body.is_over {
            return None;
        }
        let mut silence = body.host.sleep(KEEP_ALIVE);
        let mut budget = YieldBudget::new(&body.host);
        let mut text = String::new();
        loop {
            let next = match body.log.next().now_or_never() {
                Some(next) => next,
                None if !text.is_empty() => break,
                None => match select(body.log.next(), &mut silence).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => {
                        text.push_str(": keep-alive\n\n");
                        break;
                    }
                },
            };
            match next {
                Some(Said::Event(event)) => text.push_str(&event.unwrap_or_default()),
                Some(Said::Broken(error)) => {
                    body.is_over = true;
                    let line =
                        format!("{}: {}", error.code, error.message).replace(['\r', '\n'], " ");
                    let _ = write!(text, ": error {line}\n\n");
                    break;
                }
                None if text.is_empty() => return None,
                None => {
                    body.is_over = true;
                    break;
                }
            }
            if text.len() >= CHUNK_BYTES {
                break;
            }
            // A log may hold many entries that the client did not ask for.
            budget.step().await;
        }
        Some((text.into_bytes(), body))
    })
    .boxed_local()
}
