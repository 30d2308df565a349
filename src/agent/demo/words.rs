//! The demo's texts. Scripted, but about what was asked: they quote the task, the parts and the peers.

use super::deciding::Gathering;
use super::reading::{Outcome, Peer, RESULT, Task, Use, View};

const DEMO_NOTE: &str = "_Written by the demo model: a script, no language model._";

/// What a message is about: what it quotes in “…”, else its first line; at most 120 characters.
pub(super) fn subject(text: &str) -> String {
    let quoted = text
        .split_once('“')
        .and_then(|(_, rest)| rest.split_once('”'))
        .map(|(quoted, _)| quoted);
    let line = quoted
        .unwrap_or(text)
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("this");
    let line = line.replace(['“', '”'], "\"");
    match line.char_indices().nth(120) {
        None => line,
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
    }
}

/// Whether `text` contains a word of a tool's name, e.g. `now` or `weather` for `get_weather`.
pub(super) fn mentions(text: &str, tool: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_alphanumeric())
            .map(str::to_ascii_lowercase)
            .collect()
    };
    let said = words(text);
    words(tool)
        .iter()
        .any(|word| word.len() > 2 && word != "get" && said.contains(word))
}

/// Whether a message is a greeting or thanks and no task.
pub(super) fn is_small_talk(text: &str) -> bool {
    const OPENINGS: [&str; 11] = [
        "hi", "hello", "hey", "thanks", "thank", "ok", "okay", "bye", "good", "great", "nice",
    ];
    let words: Vec<_> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.len() <= 3
        && words
            .first()
            .is_some_and(|first| OPENINGS.contains(&first.to_ascii_lowercase().as_str()))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[impl AsRef<str>]) -> String {
    match items {
        [] => "nobody".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// A message for each peer: its part of the task. Points that the task lists are dealt out in turn; without such a list each
/// peer gets the task from the side that its description names.
pub(super) fn parts(task: &str, peers: &[Peer]) -> Vec<String> {
    let points: Vec<_> = task.lines().filter_map(list_point).collect();
    let count = peers.len();
    let part = |(at, peer): (usize, &Peer)| {
        let mine: Vec<_> = points
            .iter()
            .skip(at)
            .step_by(count)
            .map(|point| format!("\n- {point}"))
            .collect();
        let what = if points.len() < 2 {
            format!("please look at it {}.", side_of(peer, at))
        } else if mine.is_empty() {
            "please look over the whole for what the others may miss.".to_owned()
        } else {
            format!("please take{}", mine.concat())
        };
        format!(
            "Part {} of {count} of the task “{}”: {what}\nSend me what you find.",
            at + 1,
            subject(task)
        )
    };
    peers.iter().enumerate().map(part).collect()
}

fn list_point(line: &str) -> Option<&str> {
    let line = line.trim();
    let unnumbered = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let point = if unnumbered.len() < line.len() {
        unnumbered.strip_prefix(['.', ')'])
    } else {
        line.strip_prefix(['-', '*', '•'])
    };
    point.map(str::trim).filter(|point| !point.is_empty())
}

fn side_of(peer: &Peer, at: usize) -> String {
    const SIDES: [&str; 4] = [
        "for what we know and what we have to find out",
        "for what can go wrong and how to avoid it",
        "for the choices there are and what speaks for each",
        "for the first steps and their order",
    ];
    let described = if peer.description.is_empty() {
        &peer.role
    } else {
        &peer.description
    };
    match described.trim_end_matches('.') {
        "" => SIDES[at % SIDES.len()].to_owned(),
        described => format!("from your side ({described})"),
    }
}

/// What a lead says while it hands out the parts.
pub(super) fn splitting(peers: &[Peer], parts: &[String]) -> String {
    let names: Vec<_> = peers
        .iter()
        .map(|peer| format!("**{}**", peer.name))
        .collect();
    format!(
        "I split this in {} and ask {}.",
        if parts.len() == 1 {
            "one part".into()
        } else {
            format!("{} parts", parts.len())
        },
        list(&names)
    )
}

/// Where a split task is: who was asked, who is awaited, or the answers put together.
pub(super) fn gathering(view: &View, task: &Task, state: &Gathering<'_>) -> String {
    let bold = |name: &str| format!("**{name}**");
    let awaited: Vec<_> = state.awaited.iter().map(|ask| bold(&ask.peer)).collect();
    let answered: Vec<_> = state.answered.iter().map(|ask| bold(&ask.peer)).collect();
    let lost = unreachable(view, task, state);
    if !awaited.is_empty() {
        let news = if answered.is_empty() {
            format!(
                "I asked {}. When the answers are in I put them together.",
                list(&awaited)
            )
        } else {
            let has = if answered.len() == 1 { "has" } else { "have" };
            format!(
                "{} {has} answered; I still wait for {}.",
                list(&answered),
                list(&awaited)
            )
        };
        return if lost.is_empty() {
            news
        } else {
            format!("{news}\n\n{lost}")
        };
    }
    let mut sections = Vec::new();
    if answered.is_empty() {
        sections.push(lost);
        sections.push(format!(
            "So here is what I can say alone about “{}”:\n{}",
            subject(&task.text),
            points(&view.instructions, &task.text)
        ));
    } else {
        sections.push(format!(
            "Here is our answer to “{}”, from {}.",
            subject(&task.text),
            list(&answered)
        ));
        for ask in &state.answered {
            let role = view
                .peers
                .iter()
                .find(|peer| peer.name == ask.peer)
                .map(|peer| peer.role.as_str())
                .unwrap_or_default();
            let role = if role.is_empty() || role == ask.peer {
                String::new()
            } else {
                format!(" ({role})")
            };
            sections.push(format!(
                "**{}**{role} contributes:\n{}",
                ask.peer,
                contribution(ask.answer.as_deref().unwrap_or_default())
            ));
        }
        if !lost.is_empty() {
            sections.push(lost);
        }
    }
    sections.push(DEMO_NOTE.to_owned());
    sections.join("\n\n")
}

/// Whom the lead cannot reach, of those it asked now or for an earlier task.
fn unreachable(view: &View, task: &Task, state: &Gathering<'_>) -> String {
    let mut lines: Vec<_> = state
        .lost
        .iter()
        .map(|(ask, reason)| {
            format!(
                "I cannot reach **{}** ({}), so I go on without it.",
                ask.peer,
                reason.trim_end_matches('.')
            )
        })
        .collect();
    let former = view
        .former_peers()
        .into_iter()
        .filter(|name| !task.asks.iter().any(|ask| ask.peer == *name));
    lines.extend(former.map(|name| {
        format!(
            "I cannot reach **{name}** any more (we are no longer wired), so I go on without it."
        )
    }));
    lines.join("\n")
}

/// An answer without the line that says what it is for.
fn contribution(answer: &str) -> &str {
    let answer = answer.trim();
    match answer.split_once('\n') {
        Some((first, rest)) if first.starts_with(RESULT) && !rest.trim().is_empty() => rest.trim(),
        _ => answer,
    }
}

/// What a specialist sends back.
pub(super) fn result(instructions: &str, inquiry: &str, uses: &[Use]) -> String {
    let mut text = format!(
        "{RESULT} “{}”:\n{}",
        subject(inquiry),
        points(instructions, inquiry)
    );
    for used in uses {
        text.push_str(&tool_line(used));
    }
    text
}

fn tool_line(used: &Use) -> String {
    match &used.outcome {
        Outcome::Done(result) => format!("\n- `{}` says: {}", used.tool, subject(result)),
        Outcome::Failed(reason) => format!("\n- `{}` did not work: {}", used.tool, subject(reason)),
        Outcome::Interrupted => format!("\n- `{}` was interrupted, so I go without it", used.tool),
        Outcome::Open => String::new(),
    }
}

/// Points about a message, from the side that the instructions name. What the message lists is taken point by point.
fn points(instructions: &str, message: &str) -> String {
    let side = Side::of(instructions);
    let about = format!("“{}”", subject(message));
    let mut lines: Vec<_> = message
        .lines()
        .filter_map(list_point)
        .map(|point| format!("- {point}: {}", side.take))
        .collect();
    if lines.is_empty() {
        lines = side
            .points
            .iter()
            .map(|point| format!("- {}", point.replace("{}", &about)))
            .collect();
    }
    lines.join("\n")
}

/// The side from which a member looks at things.
struct Side {
    words: &'static [&'static str],
    points: [&'static str; 3],
    /// The same in a few words, for one point of a list.
    take: &'static str,
}

impl Side {
    /// The side most of whose words the instructions contain.
    fn of(instructions: &str) -> &'static Self {
        let text = instructions.to_ascii_lowercase();
        let hits = |side: &Self| {
            side.words
                .iter()
                .filter(|word| text.contains(**word))
                .count()
        };
        // The last of equals wins in `max_by_key`, so the general side, without words, is first.
        SIDES
            .iter()
            .max_by_key(|side| hits(side))
            .unwrap_or(&SIDES[0])
    }
}

static SIDES: [Side; 6] = [
    Side {
        words: &[],
        points: [
            "the aim of {} in one sentence, so that everybody means the same",
            "the two or three things that matter most for it, the rest can wait",
            "a first step that can be done today",
        ],
        take: "say what it is for, then take the smallest step that shows a result",
    },
    Side {
        words: &[
            "research", "fact", "source", "find out", "search", "look up",
        ],
        points: [
            "known about {}: who wants it, by when, and what a good result looks like",
            "to find out: the numbers that decide it (cost, time, people), from two sources that do not depend on each other",
            "compare it with something similar that was done before, and note what differs",
        ],
        take: "settle the facts with two independent sources",
    },
    Side {
        words: &[
            "review", "critic", "critique", "risk", "test", "check", "doubt",
        ],
        points: [
            "what can go wrong with {}: the one assumption that nobody has checked yet",
            "the part that cannot be undone comes last, after a small trial",
            "agree now on the sign by which we see early that it fails, and on who stops it",
        ],
        take: "check the riskiest assumption before anything else",
    },
    Side {
        words: &["write", "writer", "draft", "edit", "text", "word"],
        points: [
            "the first sentence of {} says what the reader gets from it",
            "three short paragraphs: where we are, what we propose, what we need",
            "it ends with one clear request and a date",
        ],
        take: "one paragraph, and the result in its first sentence",
    },
    Side {
        words: &["number", "cost", "budget", "estimate", "calculat", "money"],
        points: [
            "a rough frame for {}: a low, a likely and a high figure",
            "the largest single cost decides; the rest stays within a tenth of it",
            "keep a fifth in reserve until the first half is done",
        ],
        take: "a low, a likely and a high figure",
    },
    Side {
        words: &["plan", "schedule", "step", "organis", "organiz", "logistic"],
        points: [
            "{} in three stages: prepare, do, look back",
            "what others have to deliver is asked for first, since waiting takes longest",
            "each stage ends with something that can be shown",
        ],
        take: "a date, an owner and something to show",
    },
];

/// An answer without help.
pub(super) fn direct_answer(view: &View, task: &Task) -> String {
    let tool_lines: String = task.uses.iter().map(tool_line).collect();
    if is_small_talk(&task.text) {
        let about = if view.leads && !view.peers.is_empty() {
            let names: Vec<_> = view
                .peers
                .iter()
                .map(|peer| format!("**{}**", peer.name))
                .collect();
            format!("Give me a task and I split it among {}.", list(&names))
        } else {
            "Ask me something.".to_owned()
        };
        return format!("Hello! {about}\n\n{DEMO_NOTE}");
    }
    if !tool_lines.is_empty() {
        return format!(
            "About “{}”:{tool_lines}\n\n{DEMO_NOTE}",
            subject(&task.text)
        );
    }
    let former = view.former_peers();
    let alone = if view.leads && !former.is_empty() {
        let names: Vec<_> = former.iter().map(|name| format!("**{name}**")).collect();
        format!(
            "I cannot reach {} any more, so I answer alone.\n\n",
            list(&names)
        )
    } else {
        String::new()
    };
    format!(
        "{alone}My thoughts on “{}”:\n{}\n\n{DEMO_NOTE}",
        subject(&task.text),
        points(&view.instructions, &task.text)
    )
}

/// When nothing was asked.
pub(super) fn nothing_open() -> String {
    format!("Nothing is open for me.\n\n{DEMO_NOTE}")
}
