//! What a console asks about members, and how it writes to them (MobKit contract, sections 12.1 and 12.4).

use serde_json::{Map, Value};

use crate::mob::{Core, Member, MobError, SOURCE_MOB, SendRequest};
use crate::runtime::timeline::{event_id, standing};
use crate::runtime::{ConsoleVisibilityPolicy, UnifiedRuntime};
use crate::wire::console::console_cursor;
use crate::wire::{
    AgentIdentity, AgentRuntimeId, ConsoleFrameStatus, ConsoleIdentityInspection,
    ConsoleIdentityRecord, ConsoleInteractionAccepted, ConsoleSendRequest, ConsoleVisibility,
    EventQuery,
};

fn runtime_id(member: &Member) -> String {
    let id = AgentRuntimeId {
        identity: member.identity().clone(),
        generation: member.generation,
    };
    id.to_string()
}

/// Whether people may write to a member: its profile and its label `addressable` allow it.
fn is_addressable(core: &Core, member: &Member) -> bool {
    let state = core.definition();
    let profile = core.profile(&state.definition, member);
    let label = member.spec.labels.get("addressable");
    profile.is_none_or(|profile| profile.external_addressable)
        && label.is_none_or(|label| label != "false")
}

/// The role of delegates that the policy hides (MobKit contract, section 12.4).
const DELEGATE: &str = "delegate";

fn is_hidden(policy: ConsoleVisibilityPolicy, member: &Member) -> bool {
    policy == ConsoleVisibilityPolicy::HideImplicitDelegateMembers
        && member.spec.role_name.as_str() == DELEGATE
        && member.spec.labels.contains_key(SOURCE_MOB)
}

fn identity_record(
    core: &Core,
    policy: ConsoleVisibilityPolicy,
    member: &Member,
) -> ConsoleIdentityRecord {
    let addressable = is_addressable(core, member);
    let labels = member.spec.labels.clone();
    let display_name = labels.get("display_name").cloned();
    ConsoleIdentityRecord {
        identity: member.identity().clone(),
        display_name: display_name.unwrap_or_else(|| member.identity().to_string()),
        runtime_key: core.mob_id.clone(),
        runtime_member_id: runtime_id(member),
        session_id: Some(member.session_id.clone()),
        visibility: match addressable {
            _ if is_hidden(policy, member) => ConsoleVisibility::Hidden,
            true => ConsoleVisibility::Addressable,
            false => ConsoleVisibility::Unreachable,
        },
        addressable,
        health: core.activity(member).0.as_str().to_owned(),
        topology_peers: core.peers(member.identity()),
        labels,
    }
}

impl UnifiedRuntime {
    /// The members as the console lists them, by name: all whom its policy does not hide.
    pub fn console_identities(&self) -> Vec<ConsoleIdentityRecord> {
        let (core, policy) = (&self.inner.core, self.inner.visibility);
        let members = core.members.all();
        members
            .iter()
            .filter(|member| !is_hidden(policy, member))
            .map(|member| identity_record(core, policy, member))
            .collect()
    }

    /// What the application says of the console's looks.
    pub fn console_config(&self) -> &Map<String, Value> {
        &self.inner.console_config
    }

    /// A member, those it can reach, and what it is doing.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub async fn inspect_identity(
        &self,
        identity: &AgentIdentity,
    ) -> Result<ConsoleIdentityInspection, MobError> {
        let (core, policy) = (&self.inner.core, self.inner.visibility);
        let record = identity_record(core, policy, core.member(identity)?.as_ref());
        let phase = self.console_events();
        let phase = phase.response_phase_for_identity(identity).await?;
        let peers = record.topology_peers.iter();
        let peers = peers.filter_map(|peer| core.members.get(peer));
        Ok(ConsoleIdentityInspection {
            peers: peers
                .map(|peer| identity_record(core, policy, &peer))
                .collect(),
            identity: record,
            response_phase: phase,
        })
    }

    /// Accepts a person's message, once for each idempotency key of a member and an origin. Durable when answered.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], [`MobError::MemberRetired`], [`MobError::NotAddressable`], and those of
    /// [`send`](Self::send).
    pub async fn console_send(
        &self,
        request: ConsoleSendRequest,
    ) -> Result<ConsoleInteractionAccepted, MobError> {
        let core = &self.inner.core;
        let Some(member) = core.members.get(&request.identity) else {
            return Err(self.why_not_there(&request.identity).await?);
        };
        if !is_addressable(core, &member) {
            return Err(MobError::NotAddressable(request.identity));
        }
        let send = SendRequest {
            content: request.content,
            mode: request.handling_mode,
            origin: request.origin,
            idempotency_key: Some(request.idempotency_key),
        };
        let accepted = self.send(&request.identity, send).await?;
        let row = core.interactions.get(&accepted.interaction_id);
        let row =
            row.ok_or_else(|| MobError::InteractionNotFound(accepted.interaction_id.clone()))?;
        Ok(ConsoleInteractionAccepted {
            interaction_id: accepted.interaction_id,
            identity: accepted.identity,
            conversation_id: Some(runtime_id(&member)),
            session_id: Some(accepted.session_id),
            input_frame_id: event_id(row.input_event),
            cursor: console_cursor(row.input_event),
            // A fresh one may be on its way already; it is answered as what it was accepted as.
            status: match accepted.repeated {
                true => standing(Some(&row)).0,
                false => ConsoleFrameStatus::Accepted,
            },
        })
    }

    /// Nobody of this name was ever there, or has left.
    async fn why_not_there(&self, identity: &AgentIdentity) -> Result<MobError, MobError> {
        let query = EventQuery {
            identity: Some(identity.to_string()),
            event_types: vec!["member_retired".to_owned()],
            limit: Some(1),
            ..EventQuery::default()
        };
        let left = self.query_mob_events(&query).await?;
        Ok(match left.events.is_empty() {
            true => MobError::MemberNotFound(identity.clone()),
            false => MobError::MemberRetired(identity.clone()),
        })
    }
}
