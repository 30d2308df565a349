//! What a discovery answers with and what an edge discovery is shown (MobKit contract, sections 1.2 and 6.1).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, from_json};
use super::{AgentIdentity, InvalidIdentity, Labels, ProfileName, SessionId, SpawnMemberSpec};

/// A member that ought to be there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentDiscoverySpec {
    /// Its role: a profile of the definition.
    pub profile: String,
    /// Its identity, unique in the mob.
    pub meerkat_id: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Data of the application's, put into the system prompt as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// Put behind the profile's instructions, each as a paragraph.
    #[serde(default)]
    pub additional_instructions: Vec<String>,
    /// The session that it has, as in [`SpawnMemberSpec::resume_session_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_session_id: Option<String>,
}

from_json!(AgentDiscoverySpec { profile, meerkat_id, labels, context, additional_instructions = default, resume_session_id } deny);

/// What a discovered member is spawned with.
///
/// # Errors
/// [`InvalidIdentity`] when one of the names breaks the rules. An id that is none, or another member's, is the spawn's
/// error: the original ignores it in silence.
pub fn discovery_spec_to_spawn_spec(
    spec: &AgentDiscoverySpec,
) -> Result<SpawnMemberSpec, InvalidIdentity> {
    let mut spawn = SpawnMemberSpec::of(
        ProfileName::new(&spec.profile)?,
        AgentIdentity::new(&spec.meerkat_id)?,
    );
    spawn.labels = spec.labels.clone().unwrap_or_default();
    spawn.context = spec.context.clone();
    spawn.additional_instructions = spec.additional_instructions.clone();
    spawn.resume_session_id = spec.resume_session_id.as_deref().map(SessionId::from);
    Ok(spawn)
}

/// A member as an edge discovery sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeMemberView {
    /// Which member.
    pub agent_identity: AgentIdentity,
    /// Its role (profile).
    pub role: ProfileName,
    /// The peers it is wired to, in order.
    pub wired_to: Vec<AgentIdentity>,
    /// Its labels.
    #[serde(default, serialize_with = "json::map")]
    pub labels: Labels,
}
