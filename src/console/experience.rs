//! What a console is made of (MobKit contract, section 21.2): panels, where each has its data from, and who is in the mob now.

use serde_json::{Map, Value};

use super::CONTRACT_VERSION;
use super::address;
use super::methods::runtime_capabilities;
use crate::runtime::{Role, UnifiedRuntime};
use crate::wire::json::{self, object, value_of};
use crate::wire::{ConsoleIdentityRecord, MemberState, MobMemberListEntry};

/// The panels that are the same for every mob.
const PANELS: &str = concat!(
    r#","base_panel":{"panel_id":"console.home","title":"Console","schema_version":"1","route":"/console/experience","refresh":{"mode":"manual"}}"#,
    r#","activity_feed":{"panel_id":"console.activity_feed","title":"Activity","schema_version":"1","route":"/console/timeline/stream","refresh":{"mode":"sse"},"#,
    r#""envelope_fields":["event_id","interaction_id","identity","event_type","timestamp_ms","data"],"filter_presets":["all","watched-only","critical"]}"#,
    r#","chat_inspector":{"panel_id":"console.chat_inspector","title":"Chat","schema_version":"1","refresh":{"mode":"sse"},"#,
    r#""send_method":"mobkit/console/send","request_fields":["identity","content","origin"]}"#,
    r#","flows":{"panel_id":"console.flows","title":"Flows","schema_version":"1","available":false,"refresh":{"mode":"poll","interval_ms":10000}}"#,
    r#","session_history":{"panel_id":"console.session_history","title":"History","schema_version":"1","available":true,"method":"mobkit/session_history","refresh":{"mode":"manual"}}}"#,
);

/// The JSON of `GET /console/experience`.
pub(super) fn experience(runtime: &UnifiedRuntime) -> String {
    let status = runtime.status();
    let leads = runtime.role() == Role::Leader;
    let members = runtime.members();
    let identities = runtime.console_identities();
    let shown = || {
        identities.iter().filter_map(|identity| {
            let member = members
                .iter()
                .find(|member| member.agent_identity == identity.identity)?;
            Some((identity, member))
        })
    };
    let agents: Vec<Value> = shown()
        .map(|(id, member)| agent(leads, id, member))
        .collect();
    let rows: Vec<Value> = shown()
        .map(|(id, member)| {
            object!({
                "identity": id.identity, "label": id.display_name, "role": member.role,
                "state": state(member), "health": id.health, "agent_runtime_id": id.runtime_member_id,
                "session_id": id.session_id, "addressable": id.addressable,
            })
        })
        .collect();
    let nodes: Vec<Value> = shown()
        .map(|(id, member)| {
            object!({
                "identity": id.identity, "label": id.display_name, "role": member.role, "state": state(member),
                "wired_to": id.topology_peers, "addressable": id.addressable,
            })
        })
        .collect();
    let mut capabilities = runtime_capabilities(runtime);
    capabilities["profile_capabilities"] = profiles(runtime, &members);
    let running = status.mob_state.as_str() == "running";
    let panel = |id: &str, title: &str, mut rest: Value| {
        rest["panel_id"] = ["console.", id].concat().into();
        rest["title"] = title.into();
        rest["schema_version"] = "1".into();
        rest["refresh"] = object!({ "mode": "poll", "interval_ms": 5_000_u32 });
        rest
    };
    let experience = json::text(&object!({
        "contract_version": CONTRACT_VERSION,
        "runtime_id": status.mob_id,
        "console_config": runtime.console_config(),
        "runtime_capabilities": capabilities,
        "module_panels": module_panels(runtime),
        "agent_sidebar": panel("agent_sidebar", "Agents", object!({
            "source_method": "mobkit/list_members", "live_snapshot": object!({ "agents": agents }),
        })),
        "identity_status": panel("identity_status", "Identities", object!({ "rows": rows })),
        "topology": panel("topology", "Topology", object!({ "node_count": nodes.len(), "nodes": nodes })),
        "health_overview": panel("health_overview", "Health", object!({
            "running": running, "loaded_modules": runtime.modules().loaded(),
            "identities": identities.len(), "tasks": value_of(&status.tasks),
        })),
    }));
    let experience = experience.strip_suffix('}').unwrap_or_default();
    [experience, PANELS].concat()
}

/// A panel for each module.
fn module_panels(runtime: &UnifiedRuntime) -> Vec<Value> {
    let statuses = runtime.modules().statuses();
    let panels = statuses.iter().map(|module| {
        let id = &module.module_id;
        let mut route = "/console/modules/".to_owned();
        address::encode(&mut route, id);
        object!({
            "panel_id": ["module.", id].concat(),
            "title": id,
            "schema_version": "1",
            // In a path a plus sign is itself.
            "route": route.replace('+', "%20"),
            "refresh": object!({ "mode": "poll", "interval_ms": 5_000_u32 }),
        })
    });
    panels.collect()
}

fn state(member: &MobMemberListEntry) -> Value {
    value_of(&member.state)
}

/// A member as the sidebar shows it, with what its well-known labels say.
fn agent(leads: bool, id: &ConsoleIdentityRecord, member: &MobMemberListEntry) -> Value {
    let label = |name: &str| id.labels.get(name).map(String::as_str);
    let is_there = member.state == MemberState::Active;
    let group = ["console_group", "group"].into_iter().find_map(label);
    let says = |name: &str| label(name) == Some("true");
    object!({
        "agent_id": id.runtime_member_id,
        "member_id": id.identity,
        "identity": id.identity,
        "label": id.display_name,
        "kind": "mob_agent",
        "role": member.role,
        "state": state(member),
        "activity": id.health,
        // What its model can see nobody says: images are handed to it as they are.
        "model_capabilities": object!({ "image_input": true }),
        "session_id": id.session_id,
        "wired_to": id.topology_peers,
        "labels": id.labels,
        "group": group.unwrap_or(member.role.as_str()),
        "addressable": id.addressable,
        "watched": says("console_watched"),
        "alertLevel": label("console_alert_level").filter(|level| ["elevated", "critical"].contains(level)).map(str::to_owned),
        "degraded": says("console_degraded") || member.error.is_some(),
        "degradedReason": label("console_degraded_reason").map(str::to_owned).or_else(|| member.error.clone()),
        "affordances": object!({
            "addressable": id.addressable,
            "can_send_message": leads && id.addressable && is_there,
            "can_retire": leads && is_there && !says("singleton"),
            "can_respawn": leads && is_there,
            "runtime_mode": value_of(&member.runtime_mode),
        }),
    })
}

/// What the profiles of the definition can do, and how many members each has.
fn profiles(runtime: &UnifiedRuntime, members: &[MobMemberListEntry]) -> Value {
    let definition = runtime.definition();
    let mut profiles = Map::new();
    for (name, profile) in definition.profiles.iter() {
        let of_role = || members.iter().filter(|member| member.role == *name);
        let capabilities = object!({
            "instance_count": of_role().count(),
            "addressable": profile.external_addressable,
            "has_wiring": of_role().any(|member| !member.wired_to.is_empty()),
        });
        profiles.insert(name.to_string(), capabilities);
    }
    Value::Object(profiles)
}
