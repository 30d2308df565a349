//! A small mob of demo models, run by hand: what each sees is built here as the runtime builds it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;

use super::*;
use crate::agent::model::{AssembledTurn, ChatMessage, ToolCall, ToolDefinition, TurnAssembler};
use crate::sim::{Sim, SimRandom};

const LEAD: &str = "You lead a small team. Split what you are asked among your peers, then put their answers together.";
const RESEARCH: &str = "You research facts and sources. Answer the lead who asks you.";
const REVIEW: &str =
    "You review plans and look for risks. You work for a team lead who splits its tasks.";

#[derive(Default)]
struct Member {
    instructions: &'static str,
    description: &'static str,
    has_clock: bool,
    transcript: Vec<ChatMessage>,
    mailbox: VecDeque<ChatMessage>,
    last_text: String,
}

/// Members with mailboxes and wires; one turn at a time.
struct Mob {
    members: BTreeMap<String, Member>,
    wires: BTreeSet<(String, String)>,
    /// Results that the next calls of a tool by a member get instead of what would happen: (member, tool) → results.
    planted: BTreeMap<(String, String), VecDeque<&'static str>>,
    sent: Vec<(String, String, String)>,
    clock_reads: usize,
    model_calls: usize,
}

impl Mob {
    fn new(members: &[(&str, &'static str, &'static str)]) -> Self {
        let members: BTreeMap<_, _> = members
            .iter()
            .map(|(name, instructions, description)| {
                (
                    (*name).to_owned(),
                    Member {
                        instructions,
                        description,
                        ..Member::default()
                    },
                )
            })
            .collect();
        let wires = members
            .keys()
            .flat_map(|a| members.keys().map(move |b| (a.clone(), b.clone())))
            .collect();
        let planted = BTreeMap::new();
        Self {
            members,
            wires,
            planted,
            sent: Vec::new(),
            clock_reads: 0,
            model_calls: 0,
        }
    }

    fn cut(&mut self, a: &str, b: &str) {
        self.wires.remove(&(a.to_owned(), b.to_owned()));
        self.wires.remove(&(b.to_owned(), a.to_owned()));
    }

    fn say(&mut self, to: &str, text: &str) {
        self.members
            .get_mut(to)
            .unwrap()
            .mailbox
            .push_back(ChatMessage::user(text));
    }

    fn request(&self, name: &str) -> ModelRequest {
        let member = &self.members[name];
        let mut system = format!(
            "You are `{name}`, a member of the mob `demo` with the role `{name}`.\n\n{}\n",
            member.instructions
        );
        let peers: Vec<_> = self
            .members
            .keys()
            .filter(|peer| *peer != name && self.wires.contains(&(name.into(), (*peer).clone())))
            .collect();
        if peers.is_empty() {
            system.push_str("\nYou have no peers to send messages to.\n");
        } else {
            system.push_str("\nA peer's answer comes later: end your turn when you wait for it.\n\nPeers you can reach with send_message:\n");
            for peer in peers {
                system.push_str(&format!(
                    "- {peer} ({peer}): {}\n",
                    self.members[peer].description
                ));
            }
        }
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: String::new(),
            input_schema: json!({"type": "object"}),
        };
        let mut tools = vec![tool("send_message"), tool("peers")];
        tools.extend(member.has_clock.then(|| tool("now")));
        ModelRequest {
            system,
            messages: member.transcript.clone(),
            tools,
            ..ModelRequest::default()
        }
    }

    /// Takes one message from the member's mailbox and runs its turn to the end.
    fn work(&mut self, name: &str) {
        let Some(message) = self.members.get_mut(name).unwrap().mailbox.pop_front() else {
            return;
        };
        self.members.get_mut(name).unwrap().transcript.push(message);
        loop {
            self.model_calls += 1;
            assert!(self.model_calls < 200, "the mob talks without end");
            let turn = answer(&self.request(name), self.model_calls);
            let member = self.members.get_mut(name).unwrap();
            member.transcript.push(turn.to_message());
            if turn.tool_calls.is_empty() {
                member.last_text = turn.text;
                return;
            }
            for call in turn.tool_calls {
                let result = self.call(name, &call.unwrap());
                self.members.get_mut(name).unwrap().transcript.push(result);
            }
        }
    }

    fn call(&mut self, name: &str, call: &ToolCall) -> ChatMessage {
        let planted = self
            .planted
            .get_mut(&(name.to_owned(), call.name.clone()))
            .and_then(VecDeque::pop_front);
        let (content, is_error) = match (planted, call.name.as_str()) {
            (Some(error), _) => (error.to_owned(), true),
            (None, "now") => {
                self.clock_reads += 1;
                ("2026-11-24T10:00:00Z".to_owned(), false)
            }
            (None, "send_message") => {
                let (to, content) = (
                    call.args["to"].as_str().unwrap(),
                    call.args["content"].as_str().unwrap(),
                );
                if self.wires.contains(&(name.to_owned(), to.to_owned())) {
                    self.sent
                        .push((name.to_owned(), to.to_owned(), content.to_owned()));
                    self.members
                        .get_mut(to)
                        .unwrap()
                        .mailbox
                        .push_back(ChatMessage::from_peer(name, content));
                    (format!("{{\"delivered_to\":\"{to}\"}}"), false)
                } else {
                    (format!("{to} is not wired to {name}"), true)
                }
            }
            (None, other) => panic!("no tool {other}"),
        };
        ChatMessage::Tool {
            call_id: call.id.clone(),
            name: call.name.clone(),
            content,
            is_error,
        }
    }

    /// Runs until every mailbox is empty; the seed chooses who works next.
    fn settle(&mut self, seed: u64) {
        let random = SimRandom::new(seed);
        loop {
            let ready: Vec<_> = self
                .members
                .iter()
                .filter(|(_, member)| !member.mailbox.is_empty())
                .map(|(name, _)| name.clone())
                .collect();
            if ready.is_empty() {
                return;
            }
            let next = usize::try_from(random.below(ready.len() as u64)).unwrap();
            self.work(&ready[next]);
        }
    }

    fn ask(&mut self, name: &str, text: &str) -> String {
        self.say(name, text);
        self.settle(1);
        self.members[name].last_text.clone()
    }
}

fn answer(request: &ModelRequest, number: usize) -> AssembledTurn {
    let sim = Sim::new(1);
    let model = DemoModel::new(sim.host(), Duration::ZERO);
    let mut assembler = TurnAssembler::new(request, format!("turn{number}"));
    for delta in sim.block_on(model.stream(request.clone()).collect::<Vec<_>>()) {
        assembler.push(delta.unwrap());
    }
    assembler.finish().unwrap()
}

fn team() -> Mob {
    Mob::new(&[
        ("lead", LEAD, ""),
        ("scout", RESEARCH, "finds facts"),
        ("critic", REVIEW, "finds risks"),
    ])
}

#[test]
fn a_lead_splits_the_task_and_puts_the_answers_together() {
    let mut mob = team();
    mob.say("lead", "Plan a weekend in Lisbon");
    mob.work("lead");
    let asked: Vec<_> = mob
        .sent
        .iter()
        .map(|(from, to, _)| (from.as_str(), to.as_str()))
        .collect();
    assert_eq!(
        asked,
        [("lead", "critic"), ("lead", "scout")],
        "in one turn, before anybody answers"
    );
    assert!(
        mob.sent[0].2.contains("Plan a weekend in Lisbon") && mob.sent[0].2.contains("finds risks"),
        "{}",
        mob.sent[0].2
    );
    assert_eq!(
        mob.members["lead"].last_text,
        "I asked **critic** and **scout**. When the answers are in I put them together."
    );
    mob.work("scout");
    mob.work("lead");
    assert_eq!(
        mob.members["lead"].last_text,
        "**scout** has answered; I still wait for **critic**."
    );
    mob.settle(1);
    let answer = &mob.members["lead"].last_text;
    for part in [
        "“Plan a weekend in Lisbon”",
        "**scout** contributes",
        "**critic** contributes",
        "two sources",
        "go wrong",
        "demo model",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert_eq!(mob.sent.len(), 4);
    assert_eq!(mob.members["scout"].last_text, "I sent **lead** my result.");
}

#[test]
fn names_do_not_matter_and_a_third_specialist_is_asked_too() {
    let mut mob = Mob::new(&[
        ("zoe", LEAD, ""),
        ("lead-2", RESEARCH, "finds facts"),
        ("coordinator", REVIEW, "finds risks"),
        ("ada", "You estimate costs.", "knows numbers"),
    ]);
    let answer = mob.ask("zoe", "Move the office to another town");
    for name in ["lead-2", "coordinator", "ada"] {
        assert!(
            answer.contains(&format!("**{name}** contributes")),
            "{name} in {answer}"
        );
    }
    assert_eq!(mob.sent.len(), 6);
}

#[test]
fn points_that_a_task_lists_are_dealt_out() {
    let mut mob = team();
    let answer = mob.ask(
        "lead",
        "Please prepare the fair:\n1. book a stand\n2. print flyers\n3. invite guests",
    );
    assert!(
        mob.sent[0].2.contains("- book a stand\n- invite guests")
            && !mob.sent[0].2.contains("flyers"),
        "{}",
        mob.sent[0].2
    );
    assert!(answer.contains("- print flyers: "), "{answer}");
}

#[test]
fn who_cannot_be_reached_is_named_and_not_waited_for() {
    let mut mob = team();
    mob.planted.insert(
        ("lead".into(), "send_message".into()),
        VecDeque::from(["critic is not wired to lead"]),
    );
    mob.say("lead", "Plan a picnic");
    mob.work("lead");
    let said = mob.members["lead"].last_text.clone();
    assert!(
        said.starts_with("I asked **scout**.")
            && said.contains("cannot reach **critic** (critic is not wired"),
        "{said}"
    );
    mob.settle(1);
    let answer = &mob.members["lead"].last_text;
    assert!(
        answer.contains("**scout** contributes") && answer.contains("cannot reach **critic**"),
        "{answer}"
    );
}

#[test]
fn a_lead_without_any_peer_left_answers_alone_and_says_so() {
    let mut mob = team();
    mob.ask("lead", "Plan a picnic");
    mob.cut("lead", "critic");
    let answer = mob.ask("lead", "And a hike");
    assert!(
        answer.contains("**scout** contributes")
            && answer.contains("I cannot reach **critic** any more"),
        "{answer}"
    );
    mob.cut("lead", "scout");
    let answer = mob.ask("lead", "And a swim");
    assert!(
        answer.contains("I cannot reach **critic** and **scout** any more")
            && answer.contains("“And a swim”"),
        "{answer}"
    );
    let failing = VecDeque::from(["no", "no"]);
    let mut mob = team();
    mob.planted
        .insert(("lead".into(), "send_message".into()), failing);
    let answer = mob.ask("lead", "Plan a picnic");
    assert!(
        answer.contains("cannot reach **critic** (no)") && answer.contains("alone"),
        "{answer}"
    );
}

#[test]
fn a_wire_cut_while_an_answer_is_awaited_ends_the_waiting() {
    let mut mob = team();
    mob.say("lead", "Plan a picnic");
    mob.work("lead");
    mob.cut("lead", "critic");
    mob.settle(1);
    let answer = &mob.members["lead"].last_text;
    assert!(
        answer.contains("**scout** contributes")
            && answer.contains("cannot reach **critic** (we are no longer wired)"),
        "{answer}"
    );
    let critic = &mob.members["critic"].last_text;
    assert!(
        critic.starts_with("I cannot reach **lead**") && critic.contains("Result for"),
        "{critic}"
    );
}

#[test]
fn a_specialist_uses_a_tool_once_and_its_result_reaches_the_person() {
    let mut mob = team();
    mob.members.get_mut("scout").unwrap().has_clock = true;
    let answer = mob.ask("lead", "Plan a picnic");
    assert!(
        answer.contains("`now` says: 2026-11-24T10:00:00Z"),
        "{answer}"
    );
    assert_eq!(mob.clock_reads, 1);
    mob.planted.insert(
        ("scout".into(), "now".into()),
        VecDeque::from(["denied by the user"]),
    );
    let answer = mob.ask("lead", "Plan a hike");
    assert!(
        answer.contains("`now` did not work: denied by the user"),
        "{answer}"
    );
    assert_eq!(mob.clock_reads, 1);
}

#[test]
fn interrupted_calls_are_made_again_once_and_then_reported() {
    const LOST: &str = "interrupted: it is not known whether this call ran";
    let mut mob = team();
    mob.members.get_mut("scout").unwrap().has_clock = true;
    mob.planted.insert(
        ("lead".into(), "send_message".into()),
        VecDeque::from([LOST]),
    );
    mob.planted.insert(
        ("scout".into(), "send_message".into()),
        VecDeque::from([LOST]),
    );
    mob.planted
        .insert(("scout".into(), "now".into()), VecDeque::from([LOST]));
    let answer = mob.ask("lead", "Plan a picnic");
    assert!(
        answer.contains("**critic** contributes") && answer.contains("**scout** contributes"),
        "{answer}"
    );
    assert!(answer.contains("`now` says"), "{answer}");
    assert_eq!((mob.sent.len(), mob.clock_reads), (4, 1));

    let mut mob = team();
    mob.planted.insert(
        ("lead".into(), "send_message".into()),
        VecDeque::from([LOST, LOST, LOST, LOST]),
    );
    let answer = mob.ask("lead", "Plan a picnic");
    assert!(
        answer.contains("cannot reach **scout** (sending was interrupted twice)"),
        "{answer}"
    );
    let mut mob = team();
    mob.planted.insert(
        ("scout".into(), "send_message".into()),
        VecDeque::from([LOST, LOST]),
    );
    mob.ask("lead", "Plan a picnic");
    let said = &mob.members["scout"].last_text;
    assert!(
        said.contains("cannot reach **lead**: sending was interrupted twice"),
        "{said}"
    );
}

#[test]
fn people_are_answered_directly_by_members_who_do_not_lead() {
    let mut mob = team();
    mob.members.get_mut("scout").unwrap().has_clock = true;
    assert!(
        mob.ask("scout", "How do bees find home?")
            .contains("“How do bees find home?”")
    );
    assert!(
        mob.ask("scout", "What time is it now?")
            .contains("`now` says: 2026")
    );
    assert!(
        mob.ask("lead", "Hello!")
            .contains("split it among **critic** and **scout**")
    );
    assert!(mob.sent.is_empty());
}

#[test]
fn tasks_that_overlap_are_both_answered_in_any_order_of_work() {
    for seed in 0..200 {
        let mut mob = team();
        mob.say("lead", "Plan a picnic");
        mob.say("lead", "Plan a hike");
        mob.settle(seed);
        let answers: Vec<_> = mob.members["lead"]
            .transcript
            .iter()
            .filter_map(|message| match message {
                ChatMessage::Assistant { text, .. } if text.starts_with("Here is our answer") => {
                    Some(text.as_str())
                }
                _ => None,
            })
            .collect();
        assert_eq!(answers.len(), 2, "seed {seed}: {answers:?}");
        for task in ["picnic", "hike"] {
            let about: Vec<_> = answers
                .iter()
                .filter(|answer| answer.contains(&format!("“Plan a {task}”")))
                .collect();
            assert_eq!(about.len(), 1, "seed {seed}: {answers:?}");
            assert!(
                about[0].contains("**scout**") && about[0].contains("**critic**"),
                "seed {seed}: {answers:?}"
            );
        }
        assert_eq!(mob.sent.len(), 8, "seed {seed}");
    }
}

#[test]
fn two_leads_who_know_each_other_come_to_rest() {
    let mut mob = Mob::new(&[
        ("a", LEAD, "leads"),
        ("b", LEAD, "leads"),
        ("c", RESEARCH, "facts"),
    ]);
    let answer = mob.ask("a", "Plan a picnic");
    assert!(
        answer.contains("**b** contributes") && answer.contains("**c** contributes"),
        "{answer}"
    );
    assert_eq!(mob.sent.len(), 4);
}

#[test]
fn a_result_whose_question_was_forgotten_is_taken_note_of() {
    let mut mob = team();
    mob.say("lead", "Plan a picnic");
    mob.work("lead");
    mob.work("scout");
    mob.members.get_mut("lead").unwrap().transcript.clear();
    mob.settle(1);
    assert!(
        mob.members["lead"].last_text.contains("took note"),
        "{}",
        mob.members["lead"].last_text
    );
    assert_eq!(mob.sent.len(), 4, "nobody answers an answer");
}

#[test]
fn who_leads_is_told_by_what_it_shall_do() {
    let cases = [
        (LEAD, true),
        (RESEARCH, false),
        (REVIEW, false),
        ("You are the lead of this mob.", true),
        ("You are the leading expert on bees.", false),
        ("Your name is Kim. You coordinate the others.", true),
        ("- Delegate every question to your peers", true),
        ("Split each task in parts, one for each peer.", true),
        (
            "You get a part of a split task. Answer the coordinator.",
            false,
        ),
        ("You help the lead.", false),
        ("", false),
    ];
    for (instructions, expected) in cases {
        let system = format!(
            "You are `lead`, a member of the mob `lead` with the role `lead`.\n\n{instructions}\n\n{}\n- x (lead): you lead",
            "Peers you can reach with send_message:"
        );
        let view = reading::read(&ModelRequest {
            system,
            ..ModelRequest::default()
        });
        assert_eq!(view.leads, expected, "{instructions}");
    }
}

#[test]
fn peers_are_read_as_they_are_listed() {
    let list = "Peers you can reach with send_message:\n- ada (role one): finds: things (well)\n- bob (critic)\n- eve\n\n- not a peer";
    let send = ToolDefinition {
        name: "send_message".into(),
        description: String::new(),
        input_schema: json!({}),
    };
    let request = ModelRequest {
        system: list.into(),
        tools: vec![send],
        ..ModelRequest::default()
    };
    let peers: Vec<_> = reading::read(&request)
        .peers
        .into_iter()
        .map(|peer| (peer.name, peer.role, peer.description))
        .collect();
    let peer = |name: &str, role: &str, description: &str| {
        (name.to_owned(), role.to_owned(), description.to_owned())
    };
    assert_eq!(
        peers,
        [
            peer("ada", "role one", "finds: things (well)"),
            peer("bob", "critic", ""),
            peer("eve", "", "")
        ]
    );
    let without_tool = ModelRequest {
        tools: Vec::new(),
        ..request
    };
    assert!(
        reading::read(&without_tool).peers.is_empty(),
        "without the tool nobody can be reached"
    );
}

#[test]
fn required_arguments_are_filled_in_by_type() {
    let schema = json!({"type": "object", "required": ["city", "days", "unit", "deep"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}, "deep": {"type": "boolean"}, "x": {},
    }});
    let tool = ToolDefinition {
        name: "get_weather".into(),
        description: String::new(),
        input_schema: schema,
    };
    let request = ModelRequest {
        tools: vec![tool],
        messages: vec![ChatMessage::user("weather in Rome?")],
        ..ModelRequest::default()
    };
    let turn = answer(&request, 1);
    assert_eq!(
        turn.tool_calls[0].as_ref().unwrap().args,
        json!({"city": "weather in Rome?", "days": 1, "unit": "C", "deep": true})
    );
}

#[test]
fn answers_stream_word_by_word_at_the_pace_and_are_always_the_same() {
    let sim = Sim::new(1);
    let host = sim.host();
    let model = DemoModel::new(host.clone(), Duration::from_millis(50));
    assert!(model.info().is_demo && model.info().provider == "demo");
    let request = ModelRequest {
        messages: vec![ChatMessage::user("How do bees find home?")],
        ..ModelRequest::default()
    };
    let began = host.instant();
    let first: Vec<_> = sim.block_on(model.stream(request.clone()).collect::<Vec<_>>());
    let took = host.instant().duration_since(began);
    assert!(first.len() > 20);
    assert_eq!(
        took,
        Duration::from_millis(50) * u32::try_from(first.len()).unwrap()
    );
    assert_eq!(
        first,
        sim.block_on(model.stream(request).collect::<Vec<_>>())
    );
    let texts: Vec<_> = first
        .iter()
        .flatten()
        .filter_map(|delta| {
            if let ModelDelta::Text(text) = delta {
                Some(text)
            } else {
                None
            }
        })
        .collect();
    assert!(
        texts
            .iter()
            .all(|text| text.split_whitespace().count() == 1)
    );
}
