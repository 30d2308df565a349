//! What is stored: an agent event of about 330 bytes.

use mobkit_web::wire::{
    AgentEvent, AgentEventRecord, AgentIdentity, FenceToken, Generation, InteractionId,
    ProfileName, TimestampMs, WorkId,
};

/// What a model said, long enough to make the event 330 bytes.
const WORDS: &str =
    "the quick brown fox jumps over the lazy dog and goes on to look for another one behind ";

/// The event with this number, one of a hundred members.
pub fn event(number: u32) -> AgentEventRecord {
    let member = number % 100;
    AgentEventRecord {
        identity: AgentIdentity::new(format!("member-{member:02}"))
            .expect("letters, digits and a hyphen are an identity"),
        generation: Generation::new(1),
        fence_token: FenceToken::new(u64::from(member) + 100),
        role: ProfileName::new("worker").expect("letters are a name"),
        timestamp_ms: TimestampMs::from(1_790_000_000_000 + u64::from(number)),
        interaction_id: Some(InteractionId::from(id("0199aaaa", member).as_str())),
        work_id: Some(WorkId::from(id("0199bbbb", member).as_str())),
        continues: false,
        event: AgentEvent::TextDelta {
            delta: format!("{WORDS}{number:010}"),
        },
    }
}

/// As long as the ids of the runtime.
fn id(head: &str, number: u32) -> String {
    format!("{head}-0000-7000-8000-{number:012}")
}
