//! Turns statuses and error bodies into a [`ModelError`].

use std::time::Duration;

use serde_json::Value;

use crate::agent::model::ModelError;
use crate::wire::json;

/// The error for an answer with a status outside 200 to 299.
///
/// `retry_after` is what [`retry_after`] read from the headers. Only the body tells a used-up account from too many requests,
/// and a conversation that is too long from other bad requests, so its `code`, `type` and wording are read.
pub fn from_status(status: u16, retry_after: Option<Duration>, body: &str) -> ModelError {
    let said = Said::read(body);
    let message = said.message.clone();
    match status {
        401 | 403 => ModelError::Auth { status, message },
        402 => ModelError::QuotaExhausted { message },
        429 if said.is_quota() => ModelError::QuotaExhausted { message },
        429 => ModelError::RateLimited {
            retry_after,
            message,
        },
        413 => ModelError::ContextTooLong { message },
        408 | 409 | 425 | 500.. => ModelError::Server {
            status,
            retry_after,
            message,
        },
        _ if said.is_context() => ModelError::ContextTooLong { message },
        _ if said.is_filter() => ModelError::ContentFiltered { message },
        404 | 405 if said.is_empty => {
            let body = "there is no such endpoint; is the address right? It usually ends in /v1"
                .to_owned();
            ModelError::BadRequest { status, body }
        }
        _ => ModelError::BadRequest {
            status,
            body: message,
        },
    }
}

/// The error that a server reports inside a successful answer, after it began to stream or instead of it.
pub fn in_stream(value: &Value) -> ModelError {
    let body = match value {
        Value::String(text) => text.clone(),
        value => json::text(value),
    };
    let said = Said::read(&body);
    // OpenRouter and Google give the status that the error would have had; without one it is taken for a server's failure.
    let status = said
        .code
        .parse()
        .ok()
        .filter(|status| (400..600).contains(status));
    let by_name = match said.code.as_str() {
        "rate_limit_exceeded" | "insufficient_quota" => Some(429),
        "invalid_api_key" => Some(401),
        _ if said.is_context() || said.is_filter() || said.kind == "invalid_request_error" => {
            Some(400)
        }
        _ => None,
    };
    match status.or(by_name) {
        Some(status) => from_status(status, None, &body),
        None => ModelError::Server {
            status: 200,
            retry_after: None,
            message: said.message,
        },
    }
}

/// How long the headers ask to wait: `retry-after-ms`, or `retry-after` as seconds or as an HTTP date (RFC 9110, section 10.2.3).
///
/// `now_ms` is the wall clock in Unix milliseconds. A page sees these fields only if the server exposes them by CORS.
pub fn retry_after(header: impl Fn(&str) -> Option<String>, now_ms: u64) -> Option<Duration> {
    // Whole, as the RFC has them; and as JSON numbers, whose parser is there anyway.
    let number = |text: String| {
        let text = text.trim();
        let number = match text.parse::<u32>() {
            Ok(whole) => f64::from(whole),
            Err(_) => json::parse(text.as_bytes()).ok()?.as_f64()?,
        };
        (number >= 0.0).then_some(number)
    };
    if let Some(ms) = header("retry-after-ms").and_then(number) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let value = header("retry-after")?;
    if let Some(seconds) = number(value.clone()) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = http_date_ms(&value)?;
    Some(Duration::from_millis(at.saturating_sub(now_ms)))
}

/// An HTTP date, `Sun, 06 Nov 1994 08:49:37 GMT`, in Unix milliseconds.
fn http_date_ms(text: &str) -> Option<u64> {
    let (_, date) = text.trim().split_once(", ")?;
    let [day, month, year, time, "GMT"] = date.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let mut clock = time.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    if !(1..=31).contains(&day)
        || !(1970..=9999).contains(&year)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Days since the epoch by counting from a March, so that the leap day is a year's last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// What an error body says, in the shapes that servers use.
struct Said {
    message: String,
    code: String,
    kind: String,
    is_empty: bool,
}

impl Said {
    fn read(body: &str) -> Self {
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let parsed: Value = json::parse(body.as_bytes()).unwrap_or(Value::Null);
        let outer = parsed
            .as_array()
            .and_then(|items| items.first())
            .unwrap_or(&parsed);
        let error = outer
            .get("error")
            .filter(|error| error.is_object())
            .unwrap_or(outer);
        let message = ["message", "error", "detail", "error_description"]
            .into_iter()
            .map(|field| text(error.get(field)))
            .find(|message| !message.is_empty());
        let is_page = body.trim_start().starts_with('<');
        Self {
            message: match message {
                Some(message) => excerpt(&message),
                None if is_page => "a web page, not an answer".to_owned(),
                None if body.trim().is_empty() => "no explanation was given".to_owned(),
                None => excerpt(body),
            },
            code: text(error.get("code")),
            kind: text(error.get("type")),
            is_empty: is_page || body.trim().is_empty(),
        }
    }

    fn is_quota(&self) -> bool {
        [&self.code, &self.kind]
            .into_iter()
            .any(|name| name == "insufficient_quota")
    }

    fn is_context(&self) -> bool {
        let names = ["context_length_exceeded", "exceed_context_size_error"];
        let words = [
            "context length",
            "context window",
            "context size",
            "maximum context",
            "prompt is too long",
        ];
        let message = self.message.to_ascii_lowercase();
        names
            .iter()
            .any(|name| self.code == *name || self.kind == *name)
            || words.iter().any(|words| message.contains(words))
    }

    fn is_filter(&self) -> bool {
        ["content_filter", "content_policy_violation"]
            .iter()
            .any(|name| self.code == *name || self.kind == *name)
    }
}

/// At most 300 characters of `text`, so that errors stay readable.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 300;
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
