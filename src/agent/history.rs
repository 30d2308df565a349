//! The bounded history: which messages of a transcript a model with a small window is shown, and what a request costs about.

use crate::agent::model::{ChatMessage, ModelRequest};
use crate::wire::{Usage, json};

/// What a model is shown, and what was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryWindow {
    /// Index of the first message that is shown.
    pub first: usize,
    /// Estimated tokens of what is shown.
    pub estimated_tokens: u64,
}

/// A rough count of a message's tokens: a token per four bytes of text, and four for the frame.
///
/// Tokenisers differ by model, and one of them would weigh more than this whole runtime; a bound needs no more.
pub fn estimate_tokens(message: &ChatMessage) -> u64 {
    let bytes = match message {
        ChatMessage::User { content, .. } => content.text().len(),
        ChatMessage::Assistant {
            text, tool_calls, ..
        } => {
            text.len()
                + tool_calls
                    .iter()
                    .map(|call| call.name.len() + json::text(&call.args).len())
                    .sum::<usize>()
        }
        ChatMessage::Tool { content, .. } => content.len(),
    };
    4 + (bytes as u64).div_ceil(4)
}

/// What an answer of so many bytes has cost, where nobody says what it did.
pub fn estimate_usage(request: &ModelRequest, answer_bytes: usize) -> Usage {
    let tools = request.tools.iter().map(|tool| {
        tool.name.len() + tool.description.len() + json::text(&tool.input_schema).len()
    });
    let frame = (request.system.len() + tools.sum::<usize>()) as u64;
    let messages = request.messages.iter().map(estimate_tokens).sum::<u64>();
    Usage {
        input_tokens: frame.div_ceil(4) + messages,
        output_tokens: (answer_bytes as u64).div_ceil(4),
        ..Usage::default()
    }
}

/// The newest part of `messages` that fits into `budget` tokens.
///
/// It begins at a user's message, so that no tool result is shown without its call. The newest user message and all
/// that follows it is always shown, even over budget: without it the turn has no meaning.
pub fn window<'a>(
    messages: impl DoubleEndedIterator<Item = &'a ChatMessage> + ExactSizeIterator,
    budget: Option<u64>,
) -> HistoryWindow {
    let len = messages.len();
    let mut best: Option<HistoryWindow> = None;
    let mut sum = 0u64;
    for (back, message) in messages.rev().enumerate() {
        sum += estimate_tokens(message);
        if budget.is_some_and(|budget| sum > budget) && best.is_some() {
            break;
        }
        if matches!(message, ChatMessage::User { .. }) {
            best = Some(HistoryWindow {
                first: len - 1 - back,
                estimated_tokens: sum,
            });
        }
    }
    best.unwrap_or(HistoryWindow {
        first: 0,
        estimated_tokens: sum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::ToolCall;
    use crate::wire::ContentInput;

    fn user(text: &str) -> ChatMessage {
        ChatMessage::User {
            content: ContentInput::Text(text.into()),
            from: None,
        }
    }

    fn calls(text: &str) -> ChatMessage {
        ChatMessage::Assistant {
            text: text.into(),
            reasoning: String::new(),
            tool_calls: vec![ToolCall {
                id: "c".into(),
                name: "now".into(),
                args: serde_json::json!({}),
            }],
        }
    }

    fn result() -> ChatMessage {
        ChatMessage::Tool {
            call_id: "c".into(),
            name: "now".into(),
            content: "x".repeat(40),
            is_error: false,
        }
    }

    #[test]
    fn a_window_begins_at_a_user_message_and_keeps_the_newest() {
        let talk = [
            user("one"),
            calls("a"),
            result(),
            user("two"),
            calls("b"),
            result(),
            user("three"),
        ];
        for (budget, first) in [
            (None, 0),
            (Some(1_000), 0),
            (Some(40), 3),
            (Some(1), 6),
            (Some(0), 6),
        ] {
            assert_eq!(
                window(talk.iter(), budget).first,
                first,
                "budget {budget:?}"
            );
        }
    }

    #[test]
    fn the_open_exchange_is_shown_even_over_budget() {
        let talk = [user("one"), user("two"), calls("b"), result()];
        assert_eq!(window(talk.iter(), Some(3)).first, 1);
        assert_eq!(window([].iter(), Some(3)).first, 0);
    }
}
