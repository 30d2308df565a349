//! The system prompt of a member: who it is, what it shall do, whom it can reach.

use std::fmt::Write;

use crate::mob::core::Core;
use crate::mob::rows::Member;
use crate::wire::{AgentEvent, json};

/// The line before the peers. Models read it, and so do tests and the demo model.
pub(crate) const PEERS_LINE: &str = "Peers you can reach with send_message:";

/// The system prompt as it is now; wiring may change between two calls of a model.
pub(crate) fn system_prompt(core: &Core, member: &Member) -> String {
    let state = core.definition();
    let definition = &state.definition;
    let profile = core.profile(definition, member);
    let mut text = format!(
        "You are `{}`, a member of the mob `{}` with the role `{}`.\n",
        member.identity(),
        core.mob_id,
        member.spec.role_name
    );
    let own = member.spec.system_prompt_override.clone();
    let instructions =
        own.or_else(|| profile.map(|profile| definition.instructions_with_skills(profile)));
    let parts = instructions
        .into_iter()
        .chain(member.spec.additional_instructions.iter().cloned());
    for part in parts {
        push(&mut text, &part);
    }
    if let Some(context) = &member.spec.context {
        push(&mut text, &format!("Context: {}", json::text(context)));
    }
    let peers = core.peers(member.identity());
    if peers.is_empty() || profile.is_some_and(|profile| !profile.tools.comms) {
        push(&mut text, "You have no peers to send messages to.");
        return text;
    }
    push(
        &mut text,
        "A message of a peer begins with `[message from NAME]`. Peers read only what you send them with send_message; the text \
         with which you end your turn is read by the person who asked. A peer's answer comes later, as a new message: end your \
         turn when you wait for it.",
    );
    push(&mut text, PEERS_LINE);
    for identity in peers {
        let Some(peer) = core.members.get(&identity) else {
            continue;
        };
        let described = core.profile(definition, &peer);
        let described = described.map_or("", |profile| profile.peer_description.as_str());
        write!(text, "- {identity} ({})", peer.spec.role_name).expect(WRITES);
        // One peer is one line, however its description is laid out.
        for (at, word) in described.split_whitespace().enumerate() {
            let gap = if at == 0 { ": " } else { " " };
            write!(text, "{gap}{word}").expect(WRITES);
        }
        text.push('\n');
    }
    text
}

const WRITES: &str = "writing to a string does not fail";

/// Tells of the skills in a member's prompt; none when its profile has none or its spec has a prompt of its own.
pub(crate) fn skills_resolved(core: &Core, member: &Member) -> Option<AgentEvent> {
    let state = core.definition();
    let definition = &state.definition;
    let profile = core.profile(definition, member)?;
    if profile.skills.is_empty() || member.spec.system_prompt_override.is_some() {
        return None;
    }
    let texts = profile
        .skills
        .iter()
        .filter_map(|name| definition.skills.get(name));
    Some(AgentEvent::SkillsResolved {
        skills: profile.skills.clone(),
        injection_bytes: texts.map(|skill| skill.content.trim().len() as u64).sum(),
    })
}

fn push(text: &mut String, part: &str) {
    if part.trim().is_empty() {
        return;
    }
    text.push('\n');
    text.push_str(part.trim_end());
    text.push('\n');
}
