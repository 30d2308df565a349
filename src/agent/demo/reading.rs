//! Works out from a request what the member is, whom it can reach and what is open.

use serde_json::Value;

use crate::agent::model::{ChatMessage, ModelRequest, ToolCall, ToolDefinition};

/// The line of the system prompt before the peers.
const PEERS_LINE: &str = "Peers you can reach with send_message:";
/// The tool that sends messages.
pub(super) const SEND: &str = "send_message";
/// What an answer to a peer begins with, so that nobody answers an answer.
pub(super) const RESULT: &str = "Result for";

/// What a request says.
#[derive(Debug)]
pub(super) struct View {
    /// What the member was told to be: the system prompt without the peers.
    pub(super) instructions: String,
    /// Whether it was told to lead.
    pub(super) leads: bool,
    /// The peers it can send messages to now.
    pub(super) peers: Vec<Peer>,
    /// The tools it may call, those for messages left out.
    pub(super) tools: Vec<ToolDefinition>,
    /// What persons asked, oldest first.
    pub(super) tasks: Vec<Task>,
    /// What peers asked, oldest first.
    pub(super) inquiries: Vec<Inquiry>,
    /// Peers whose message was taken note of and needs no answer.
    pub(super) noted: Vec<String>,
}

/// A peer as the system prompt describes it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) description: String,
}

/// What a person asked, and what became of it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) text: String,
    /// The messages to peers about it, repeated ones included.
    pub(super) asks: Vec<Ask>,
    /// The uses of other tools for it.
    pub(super) uses: Vec<Use>,
    /// Whether something happened to it since the member last ended a turn.
    pub(super) is_due: bool,
}

/// A message to a peer about a task.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) peer: String,
    pub(super) part: String,
    pub(super) outcome: Outcome,
    pub(super) answer: Option<String>,
    call_id: String,
}

/// What a peer asked, and what became of it.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) from: String,
    pub(super) text: String,
    pub(super) uses: Vec<Use>,
    pub(super) replies: Vec<Reply>,
    pub(super) is_due: bool,
}

/// A use of a tool other than those for messages.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) tool: String,
    pub(super) outcome: Outcome,
    call_id: String,
}

/// An attempt to answer a peer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) outcome: Outcome,
    call_id: String,
}

/// What a tool call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// No result is in the transcript.
    Open,
    /// It succeeded with this result.
    Done(String),
    /// It failed with this reason.
    Failed(String),
    /// Nobody knows whether it ran.
    Interrupted,
}

/// Reads a request.
pub(super) fn read(request: &ModelRequest) -> View {
    let (instructions, peers) = match request.system.split_once(PEERS_LINE) {
        Some((instructions, list)) => (instructions, read_peers(list)),
        None => (request.system.as_str(), Vec::new()),
    };
    let can_send = request.tools.iter().any(|tool| tool.name == SEND);
    let tools = request
        .tools
        .iter()
        .filter(|tool| tool.name != SEND && tool.name != "peers")
        .cloned()
        .collect();
    let mut view = View {
        instructions: instructions.to_owned(),
        leads: told_to_lead(instructions),
        peers: if can_send { peers } else { Vec::new() },
        tools,
        tasks: Vec::new(),
        inquiries: Vec::new(),
        noted: Vec::new(),
    };
    for message in &request.messages {
        match message {
            ChatMessage::User {
                content,
                from: None,
            } => view.person_said(content.text()),
            ChatMessage::User {
                content,
                from: Some(peer),
            } => view.peer_said(peer, content.text()),
            ChatMessage::Assistant { tool_calls, .. } if tool_calls.is_empty() => view.ended_turn(),
            ChatMessage::Assistant { tool_calls, .. } => {
                tool_calls.iter().for_each(|call| view.called(call))
            }
            ChatMessage::Tool {
                call_id,
                content,
                is_error,
                ..
            } => view.result(call_id, outcome(content, *is_error)),
        }
    }
    view
}

impl View {
    /// Whether messages can be sent to this peer now.
    pub(super) fn reaches(&self, peer: &str) -> bool {
        self.peers.iter().any(|known| known.name == peer)
    }

    /// Peers that messages were sent to once and that cannot be reached any more.
    pub(super) fn former_peers(&self) -> Vec<&str> {
        let mut former: Vec<&str> = Vec::new();
        for ask in self.tasks.iter().flat_map(|task| &task.asks) {
            if !self.reaches(&ask.peer) && !former.contains(&ask.peer.as_str()) {
                former.push(&ask.peer);
            }
        }
        former
    }

    fn person_said(&mut self, text: String) {
        // Of what was broken off before anything came of it, only the newest counts.
        for task in &mut self.tasks {
            task.is_due &= task.asks.iter().any(|ask| ask.answer.is_some());
        }
        self.tasks.push(Task {
            text,
            asks: Vec::new(),
            uses: Vec::new(),
            is_due: true,
        });
    }

    fn peer_said(&mut self, peer: &str, text: String) {
        if let Some((task, ask)) = self.asked_for(peer, &text) {
            self.tasks[task].asks[ask].answer = Some(text);
            self.tasks[task].is_due = true;
        } else if text.trim_start().starts_with(RESULT) {
            self.noted.push(peer.to_owned());
        } else {
            for inquiry in &mut self.inquiries {
                inquiry.is_due &= inquiry.from != peer;
            }
            let from = peer.to_owned();
            self.inquiries.push(Inquiry {
                from,
                text,
                uses: Vec::new(),
                replies: Vec::new(),
                is_due: true,
            });
        }
    }

    /// The open message that this one answers: the one it quotes, else the newest.
    fn asked_for(&self, peer: &str, text: &str) -> Option<(usize, usize)> {
        let open = self.tasks.iter().enumerate().flat_map(|(at, task)| {
            let asks = task.asks.iter().enumerate();
            asks.filter(|(_, ask)| ask.peer == peer && ask.is_delivered() && ask.answer.is_none())
                .map(move |(ask, _)| (at, ask))
        });
        let open: Vec<_> = open.collect();
        let quotes = |&&(task, ask): &&(usize, usize)| {
            text.contains(&super::words::subject(&self.tasks[task].asks[ask].part))
        };
        open.iter().rev().find(quotes).or(open.last()).copied()
    }

    fn ended_turn(&mut self) {
        self.tasks.iter_mut().for_each(|task| task.is_due = false);
        self.inquiries
            .iter_mut()
            .for_each(|inquiry| inquiry.is_due = false);
        self.noted.clear();
    }

    fn called(&mut self, call: &ToolCall) {
        let text = |field: &str| {
            call.args
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let call_id = call.id.clone();
        let outcome = Outcome::Open;
        let task = self.tasks.iter_mut().rev().find(|task| task.is_due);
        if call.name == SEND {
            let (peer, part) = (text("to"), text("content"));
            let waiting = |inquiry: &&mut Inquiry| {
                inquiry.is_due && inquiry.from == peer && !inquiry.is_answered()
            };
            match self.inquiries.iter_mut().find(waiting) {
                Some(inquiry) => inquiry.replies.push(Reply { outcome, call_id }),
                None => {
                    if let Some(task) = task {
                        task.asks.push(Ask {
                            peer,
                            part,
                            outcome,
                            answer: None,
                            call_id,
                        });
                    }
                }
            }
            return;
        }
        let used = Use {
            tool: call.name.clone(),
            outcome,
            call_id,
        };
        match self
            .inquiries
            .iter_mut()
            .find(|inquiry| inquiry.is_due && inquiry.wants_tool())
        {
            Some(inquiry) => inquiry.uses.push(used),
            None => {
                if let Some(task) = task {
                    task.uses.push(used);
                }
            }
        }
    }

    fn result(&mut self, call_id: &str, outcome: Outcome) {
        let asks = self.tasks.iter_mut().flat_map(|task| {
            let uses = task
                .uses
                .iter_mut()
                .map(|used| (&used.call_id, &mut used.outcome));
            task.asks
                .iter_mut()
                .map(|ask| (&ask.call_id, &mut ask.outcome))
                .chain(uses)
        });
        let replies = self.inquiries.iter_mut().flat_map(|inquiry| {
            let uses = inquiry
                .uses
                .iter_mut()
                .map(|used| (&used.call_id, &mut used.outcome));
            inquiry
                .replies
                .iter_mut()
                .map(|reply| (&reply.call_id, &mut reply.outcome))
                .chain(uses)
        });
        if let Some((_, place)) = asks.chain(replies).filter(|(id, _)| *id == call_id).last() {
            *place = outcome;
        }
    }
}

impl Ask {
    /// Whether the peer has it, as far as one can know.
    pub(super) fn is_delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_) | Outcome::Open)
    }
}

impl Inquiry {
    /// Whether an answer was sent.
    pub(super) fn is_answered(&self) -> bool {
        self.replies
            .last()
            .is_some_and(|reply| matches!(reply.outcome, Outcome::Done(_) | Outcome::Open))
    }

    /// Whether a tool may still be used for it: once, and once more if that was interrupted.
    pub(super) fn wants_tool(&self) -> bool {
        self.replies.is_empty() && may_try(self.uses.iter().map(|used| &used.outcome))
    }
}

/// Whether something tried so far with these outcomes is to be tried (again): at first, and once after an interruption.
pub(super) fn may_try<'a>(outcomes: impl DoubleEndedIterator<Item = &'a Outcome> + Clone) -> bool {
    match outcomes.clone().next_back() {
        None => true,
        Some(Outcome::Interrupted) => outcomes.count() < 2,
        Some(_) => false,
    }
}

fn outcome(content: &str, is_error: bool) -> Outcome {
    let said = content.trim().trim_matches('"');
    if said.starts_with("interrupted") {
        return Outcome::Interrupted;
    }
    if is_error {
        Outcome::Failed(said.to_owned())
    } else {
        Outcome::Done(said.to_owned())
    }
}

/// The lines `- identity (role): description` that follow the heading.
fn read_peers(list: &str) -> Vec<Peer> {
    let lines = list
        .lines()
        .map(str::trim)
        .skip_while(|line| line.is_empty());
    lines
        .map_while(|line| line.strip_prefix("- "))
        .filter_map(read_peer)
        .collect()
}

fn read_peer(line: &str) -> Option<Peer> {
    let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let rest = rest.trim();
    let (role, description) = match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((role, rest)) => (role, rest.trim_start_matches(':')),
        None => ("", rest),
    };
    let name = name.trim_end_matches(':').to_owned();
    (!name.is_empty()).then(|| Peer {
        name,
        role: role.trim().to_owned(),
        description: description.trim().to_owned(),
    })
}

/// Whether instructions tell the reader to lead: by what it is to do, so that somebody who works *for* a lead is none.
fn told_to_lead(instructions: &str) -> bool {
    const TOLD: [&str; 21] = [
        "you lead",
        "you are the lead",
        "you are a lead",
        "you are a team lead",
        "you are the team lead",
        "you coordinate",
        "you are the coordinator",
        "you are a coordinator",
        "you orchestrate",
        "you are the orchestrator",
        "you are an orchestrator",
        "you manage",
        "you delegate",
        "you split",
        "you divide",
        "you distribute",
        "you hand out",
        "your job is to coordinate",
        "your job is to lead",
        "act as the lead",
        "act as a lead",
    ];
    /// At the beginning of a sentence these are orders.
    const ORDERS: [&str; 8] = [
        "lead ",
        "coordinate ",
        "orchestrate ",
        "delegate ",
        "split ",
        "divide ",
        "distribute ",
        "hand out ",
    ];
    let text = instructions.to_ascii_lowercase().replace('`', "");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut sentences = instructions
        .split(['.', '!', '?', ';', ':', '\n'])
        .map(|sentence| {
            sentence
                .trim_start_matches(|letter: char| !letter.is_alphabetic())
                .to_ascii_lowercase()
        });
    let is_told = TOLD.iter().any(|words| {
        text.match_indices(words).any(|(at, found)| {
            !text[at + found.len()..].starts_with(|next: char| next.is_alphanumeric())
        })
    });
    is_told || sentences.any(|sentence| ORDERS.iter().any(|order| sentence.starts_with(order)))
}
