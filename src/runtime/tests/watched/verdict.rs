//! What must hold of a mob in which everything that was asked has ended.

use super::*;
use crate::wire::{
    ConsoleFrame, ConsoleFrameStatus, ConsoleTimelineQuery, MobEventKind, PersistedEvent, QueryGap,
    UnifiedEvent,
};

impl Watched {
    /// What must hold of a mob in which everything that was asked has ended.
    pub async fn check(
        &self,
        host: &Host,
        runtime: &UnifiedRuntime,
        reading: &Reading,
        people: People,
    ) -> Result<(), Trouble> {
        let everything = EventQuery {
            after_seq: Some(Cursor::START),
            limit: Some(100_000),
            ..EventQuery::default()
        };
        let page = runtime.query_mob_events(&everything).await?;
        let cursors: Vec<u64> = page.events.iter().map(|event| event.cursor.get()).collect();
        if cursors != (1..=cursors.len() as u64).collect::<Vec<_>>() {
            return Err(format!("the ledger is not dense: {cursors:?}").into());
        }
        let stored: BTreeMap<u64, &serde_json::Value> = page
            .events
            .iter()
            .map(|event| (event.cursor.get(), &event.data))
            .collect();
        for (cursor, shown) in self.ledger.borrow().iter() {
            if stored.get(cursor) != Some(&shown) {
                return Err(format!("the ledger entry {cursor} was shown and is lost").into());
            }
        }
        compare_roster(runtime, &page.events)?;
        self.check_kept(runtime);
        self.check_left(runtime)?;
        self.check_reading(host, runtime, reading).await?;

        let events = runtime.query_events(&everything).await?;
        let stored: BTreeSet<u64> = events.events.iter().map(|event| event.seq.get()).collect();
        if !reading.cut_off.get() && stored != *reading.events.borrow() {
            let unread: Vec<_> = stored
                .difference(&reading.events.borrow())
                .copied()
                .collect();
            return Err(format!("events that no reader was shown: {unread:?}").into());
        }
        for number in self.events.borrow().keys() {
            let is_gone = |gap: &QueryGap| (gap.from.get()..=gap.to.get()).contains(number);
            if !stored.contains(number) && !events.gaps.iter().any(is_gone) {
                return Err(format!("event {number} was shown, is lost, and in no gap").into());
            }
        }
        for interaction in runtime.inner.core.interactions.all() {
            let id = &interaction.interaction_id;
            check_end(id, interaction.status, &events.events)?;
            check_interaction_reader(host, runtime, id).await?;
        }
        check_timeline(runtime, &stored).await?;
        self.check_transcripts(runtime, people).await
    }

    /// Nothing waits and nothing runs for what has ended.
    fn check_left(&self, runtime: &UnifiedRuntime) -> Result<(), Trouble> {
        let core = &runtime.inner.core;
        if let Some(item) = core.mailbox.all().first() {
            return Err(format!("left in a mailbox: {item:?}").into());
        }
        if let Some(turn) = core.turns.all().first() {
            return Err(format!("left open: {turn:?}").into());
        }
        Ok(())
    }

    async fn check_transcripts(
        &self,
        runtime: &UnifiedRuntime,
        people: People,
    ) -> Result<(), Trouble> {
        for member in runtime.inner.core.members.all() {
            let name = member.identity();
            let (history, _) = runtime.session_history(name, 0, 10_000).await?;
            let mut told = 0;
            let mut texts: BTreeMap<String, usize> = BTreeMap::new();
            let mut answered = BTreeSet::new();
            for row in &history {
                match &row.message {
                    ChatMessage::User { content, from } => {
                        told += 1;
                        if from.is_none() {
                            *texts.entry(content.text()).or_default() += 1;
                        }
                    }
                    ChatMessage::Tool { call_id, .. } => {
                        if !answered.insert(call_id.clone()) {
                            return Err(
                                format!("{name}: the call {call_id} has two results").into()
                            );
                        }
                    }
                    ChatMessage::Assistant { .. } => {}
                }
            }
            if let Some((text, times)) = texts.iter().find(|(_, times)| **times > 1) {
                return Err(format!("{name} was told {text} {times} times").into());
            }
            for message in self.accepted.borrow().iter() {
                let completed =
                    self.ended.borrow()[&message.interaction_id].0 == InteractionStatus::Completed;
                if message.session_id == member.session_id
                    && completed
                    && !texts.contains_key(&message.text)
                {
                    return Err(format!("{name} was never told {}", message.text).into());
                }
            }
            let expected = match name.as_str() {
                "ann" | "bob" => 1,
                "lead" => 3,
                _ => 0,
            };
            if people != People::Meddling && told != expected {
                return Err(
                    format!("{name} was told {told} messages in place of {expected}").into(),
                );
            }
        }
        Ok(())
    }
}

/// An interaction has one end, and the events tell of it once.
fn check_end(
    id: &InteractionId,
    status: InteractionStatus,
    events: &[PersistedEvent],
) -> Result<(), Trouble> {
    let count = |kind: &str| {
        let of_kind = events
            .iter()
            .filter(|event| event.event.event_type() == kind);
        let own = of_kind.filter(|event| match &event.event {
            UnifiedEvent::Agent { payload, .. } => payload["interaction_id"] == id.as_str(),
            UnifiedEvent::Module { .. } => false,
        });
        own.count()
    };
    let ends = (count("interaction_complete"), count("interaction_failed"));
    let expected = match status {
        InteractionStatus::Open => return Err(format!("{id} is open").into()),
        InteractionStatus::Completed => (1, 0),
        InteractionStatus::Failed | InteractionStatus::Cancelled => (0, 1),
    };
    if ends != expected {
        let (completed, failed) = ends;
        return Err(format!(
            "{id} is {status:?}, was answered {completed} times and failed {failed} times"
        )
        .into());
    }
    Ok(())
}

/// Who reads an interaction that has ended comes to its end.
async fn check_interaction_reader(
    host: &Host,
    runtime: &UnifiedRuntime,
    id: &InteractionId,
) -> Result<(), Trouble> {
    let mut reader = runtime.interaction(id, None)?;
    let read = async {
        while let Some(item) = reader.next().await {
            item?;
        }
        Ok::<_, MobError>(())
    };
    match host.timeout(READING, read).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(format!("a reader of {id} waits for ever").into()),
    }
}

/// The roster and the wiring are what the ledger says, from its first entry on.
fn compare_roster(
    runtime: &UnifiedRuntime,
    ledger: &[MobStructuralEventEnvelope],
) -> Result<(), String> {
    let (members, edges) = fold(ledger);
    let (names, wired) = roster(runtime);
    if names != members {
        return Err(format!(
            "the roster {names:?} is not the fold of the ledger {members:?}"
        ));
    }
    if wired != edges {
        return Err(format!(
            "the wiring {wired:?} is not the fold of the ledger {edges:?}"
        ));
    }
    Ok(())
}

fn fold(events: &[MobStructuralEventEnvelope]) -> (BTreeSet<String>, BTreeSet<(String, String)>) {
    let (mut members, mut edges) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        match serde_json::from_value(event.data.clone()).unwrap() {
            MobEventKind::MemberSpawned { agent_identity, .. } => {
                members.insert(agent_identity.to_string());
            }
            MobEventKind::MemberRetired { agent_identity, .. } => {
                members.remove(agent_identity.as_str());
                edges.retain(|(a, b): &(String, String)| {
                    a != agent_identity.as_str() && b != agent_identity.as_str()
                });
            }
            MobEventKind::MembersWired { a, b } => {
                edges.insert(edge(a.as_str(), b.as_str()));
            }
            MobEventKind::MembersWiredBatch { edges: more } => {
                edges.extend(
                    more.iter()
                        .map(|both| edge(both.a.as_str(), both.b.as_str())),
                );
            }
            MobEventKind::MembersUnwired { a, b } => {
                edges.remove(&edge(a.as_str(), b.as_str()));
            }
            _ => {}
        }
    }
    (members, edges)
}

/// The timeline has each event once, ends an interaction once for the member that was asked, and leaves no message on its way.
async fn check_timeline(runtime: &UnifiedRuntime, stored: &BTreeSet<u64>) -> Result<(), Trouble> {
    let mut query = ConsoleTimelineQuery {
        limit: Some(50),
        ..ConsoleTimelineQuery::default()
    };
    let mut frames = Vec::new();
    loop {
        let page = runtime.query_timeline(&query).await?;
        frames.extend(page.frames);
        if page.exhausted {
            break;
        }
        query.after = page.next_cursor;
    }
    let own = frames
        .iter()
        .filter_map(|frame| frame.id.strip_prefix("evt-agent-")?.parse::<u64>().ok());
    let own: Vec<u64> = own.collect();
    if own != stored.iter().copied().collect::<Vec<_>>() {
        return Err(format!("the timeline has {own:?}, and the log {stored:?}").into());
    }
    for interaction in runtime.inner.core.interactions.all() {
        let of = |frame: &&ConsoleFrame| {
            frame.identity == interaction.identity.as_str()
                && frame.interaction_id.as_ref() == Some(&interaction.interaction_id)
        };
        let mine: Vec<_> = frames.iter().filter(of).collect();
        let ends = mine.iter().filter(|frame| {
            ["interaction_complete", "interaction_failed"].contains(&frame.kind.as_str())
        });
        if ends.clone().count() != 1 {
            return Err(format!(
                "not ended once in the timeline: {:?}",
                ends.collect::<Vec<_>>()
            )
            .into());
        }
        let under_way = mine
            .iter()
            .filter(|frame| frame.kind == "user_input")
            .find(|frame| {
                ![
                    ConsoleFrameStatus::Completed,
                    ConsoleFrameStatus::DeliveryFailed,
                ]
                .contains(&frame.status)
            });
        if let Some(frame) = under_way {
            return Err(format!("a message of the past is on its way: {frame:?}").into());
        }
    }
    Ok(())
}
