//! What a mob is made from: profiles, wiring, skills, limits and the first members (MobKit contract, section 18.4).
//!
//! A definition is read from TOML or JSON. Every field is either obeyed or refused: an unknown field, a reference to
//! nothing and a field whose behaviour this version does not have are errors, all of them reported at once, each with its
//! path (`profiles.reviewer.model`) and value. A field of the second kind may be there with the value that asks for
//! nothing (`shell = false`, `flows = {}`).
//!
//! ```
//! use mobkit_web::mob::definition::MobDefinition;
//!
//! let definition = MobDefinition::from_toml(r#"
//!     [mob]
//!     id = "review"
//!     orchestrator = "lead"
//!
//!     [profiles.lead]
//!     model = "demo"
//!     instructions = "Split the task, hand the parts out, gather the answers."
//!
//!     [profiles.reviewer]
//!     model = "demo"
//!     peer_description = "Reviews code"
//!
//!     [wiring]
//!     auto_wire_orchestrator = true
//!
//!     [[members]]
//!     profile = "lead"
//!     identity = "lead"
//! "#)?;
//! assert!(definition.wires(&"lead".parse()?, &"reviewer".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod diff;
mod issue;
#[cfg(feature = "toml")]
mod toml;
mod validate;

/// The map of profiles and of skills: sorted, as a `BTreeMap`, for a fraction of the code.
pub use litemap::LiteMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::json::{self, Blank, FromJson, deserialize_by_json};
use crate::wire::{AgentIdentity, ContentInput, Labels, MobId, ProfileName, RiskTier};

pub use diff::{ChangeKind, DefinitionChange, diff};
pub use issue::{DefinitionError, DefinitionIssue};

/// A mob's definition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MobDefinition {
    /// The mob's name. In TOML it stands under `[mob]`.
    pub id: MobId,
    /// Who leads. In TOML it stands under `[mob]` and is the profile's name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<Orchestrator>,
    /// What members are made from, by name; at least one.
    pub profiles: LiteMap<ProfileName, Profile>,
    /// Who can reach whom.
    #[serde(skip_serializing_if = "is_default")]
    pub wiring: Wiring,
    /// Texts that profiles put into their system prompts, by name.
    #[serde(skip_serializing_if = "LiteMap::is_empty")]
    pub skills: LiteMap<String, Skill>,
    /// Bounds on what one message may set off.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Members to begin with (an addition to the contract): spawned in this order, once, when the mob starts for the first
    /// time. Afterwards the ledger says who is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<InitialMember>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Who leads the mob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Orchestrator {
    /// The profile whose members lead.
    pub profile: ProfileName,
}

/// What a member is made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The name of the model it works with, as given to the runtime's builder.
    pub model: String,
    /// What it is told to be and to do; begins its system prompt (an addition to the contract).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// Skills whose texts follow the instructions, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// The tools it has.
    #[serde(skip_serializing_if = "is_default")]
    pub tools: ProfileTools,
    /// How it is described to the peers it is wired to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer_description: String,
    /// Whether messages from outside the mob may be sent to it; `true` when left out.
    #[serde(skip_serializing_if = "is_true")]
    pub external_addressable: bool,
    /// Parameters handed to the model's provider as they are, e.g. `{"temperature": 0}`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub provider_params: Map<String, Value>,
    /// The most tokens that one answer of the model may have; the provider's bound when left out (an addition to the
    /// contract).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// About how many tokens of its history the model is shown; all when left out (an addition to the contract, for models
    /// with a small window). What was left out is told by `history_truncated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_tokens: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Profile {
    /// A profile that has a model and nothing special about it.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            instructions: String::new(),
            skills: Vec::new(),
            tools: ProfileTools::default(),
            peer_description: String::new(),
            external_addressable: true,
            provider_params: Map::new(),
            max_output_tokens: None,
            history_tokens: None,
        }
    }
}

/// A profile's tools. In a file either a table of these fields, or a list of names alone, which means `names`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileTools {
    /// Whether it may talk to its peers: the tools `send_message` and `peers`; `true` when left out.
    pub comms: bool,
    /// Whether it may make members: the tools `delegate` and `mob_spawn_member`; `false` when left out.
    #[serde(skip_serializing_if = "is_false")]
    pub mob: bool,
    /// Which tools of the runtime's builder it has; all when left out (an addition to the contract).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// The modules whose tools it has, as `{module}__{tool}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp: Vec<String>,
    /// How much is at stake in a call, by the tool's name; nothing when left out. `r2` is written down, `r3` waits until somebody
    /// approves (an addition to the contract).
    #[serde(skip_serializing_if = "LiteMap::is_empty")]
    pub gate: LiteMap<String, RiskTier>,
}

impl Default for ProfileTools {
    fn default() -> Self {
        Self {
            comms: true,
            mob: false,
            names: None,
            mcp: Vec::new(),
            gate: LiteMap::new(),
        }
    }
}

impl ProfileTools {
    /// Whether the profile has this tool of the runtime's builder.
    pub fn includes(&self, name: &str) -> bool {
        self.names
            .as_ref()
            .is_none_or(|names| names.iter().any(|known| known == name))
    }
}

/// Who is wired to whom by virtue of its profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wiring {
    /// Whether those who lead are wired to everybody.
    pub auto_wire_orchestrator: bool,
    /// Pairs of profiles whose members are wired to each other. A profile paired with itself wires its members all round.
    pub role_wiring: Vec<RoleWiring>,
}

/// Two profiles whose members are wired to each other. The order says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleWiring {
    /// One profile.
    pub a: ProfileName,
    /// The other profile.
    pub b: ProfileName,
}

/// A text that profiles put into their system prompts. In a file either a table, or the text alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skill {
    /// The text.
    pub content: String,
}

/// Bounds on what one message may set off (additions to the contract). One that is reached ends the work with a typed
/// failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// How often a message may be passed on from member to member; 32 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hops: Option<u32>,
    /// How many runs, by all members together, one interaction may take; 32 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns_per_interaction: Option<u32>,
    /// How many requests to the model one run may make; 32 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns_per_run: Option<u32>,
    /// How many tokens, input and output of all members together, one interaction may use; unbounded when left out. They are
    /// estimated where a model does not say what it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_interaction: Option<u64>,
    /// How long a tool may take, in milliseconds; 60 000 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_timeout_ms: Option<u64>,
    /// How long a tool call waits for somebody's decision, in milliseconds; a day when left out. Then it is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_timeout_ms: Option<u64>,
    /// How long a model may be silent in mid-answer, in milliseconds; 120 000 when left out. To begin, it has five minutes,
    /// or this if it is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_idle_timeout_ms: Option<u64>,
}

impl Limits {
    /// How often a message may be passed on from member to member.
    pub fn max_hops(&self) -> u32 {
        self.max_hops.unwrap_or(32)
    }

    /// How many runs one interaction may take.
    pub fn max_turns_per_interaction(&self) -> u32 {
        self.max_turns_per_interaction.unwrap_or(32)
    }

    /// How many requests to the model one run may make.
    pub fn max_turns_per_run(&self) -> u32 {
        self.max_turns_per_run.unwrap_or(32)
    }

    /// How long a tool call waits for somebody's decision, in milliseconds.
    pub fn approval_timeout_ms(&self) -> u64 {
        self.approval_timeout_ms.unwrap_or(86_400_000)
    }

    /// How long a tool may take, in milliseconds.
    pub fn tool_timeout_ms(&self) -> u64 {
        self.tool_timeout_ms.unwrap_or(60_000)
    }

    /// How long a model may be silent in mid-answer, in milliseconds.
    pub fn model_idle_timeout_ms(&self) -> u64 {
        self.model_idle_timeout_ms.unwrap_or(120_000)
    }
}

/// A member to begin with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InitialMember {
    /// What it is made from.
    pub profile: ProfileName,
    /// Its identity, unique in the mob.
    pub identity: AgentIdentity,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it is told first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_message: Option<ContentInput>,
}

impl MobDefinition {
    /// A definition with one profile and nothing else.
    pub fn new(id: MobId, profile_name: ProfileName, profile: Profile) -> Self {
        Self {
            id,
            orchestrator: None,
            profiles: LiteMap::from_iter([(profile_name, profile)]),
            wiring: Wiring::default(),
            skills: LiteMap::new(),
            limits: Limits::default(),
            members: Vec::new(),
        }
    }

    /// Reads and validates TOML (feature `toml`).
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong: syntax by line and column, the rest by path.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, DefinitionError> {
        Self::from_value(&toml::parse(text)?)
    }

    /// Reads and validates JSON text.
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong: syntax by line and column, the rest by path.
    pub fn from_json(text: &str) -> Result<Self, DefinitionError> {
        let value = json::parse(text.as_bytes())
            .map_err(|error| DefinitionIssue::syntax("JSON", &error))?;
        Self::from_value(&value)
    }

    /// Reads and validates an object. `id` and `orchestrator` may stand in it or under `mob`.
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong, by path.
    pub fn from_value(value: &Value) -> Result<Self, DefinitionError> {
        let mut issues = Vec::new();
        let definition = decode::definition(value, &mut issues);
        if let Some(definition) = &definition {
            // References are looked at even when a field was bad, so that one look shows everything; but not within a
            // list that has a bad item, because the places of those after it are not known any more.
            fn list(path: &str) -> &str {
                path.split('[').next().unwrap_or(path)
            }
            let mut found = validate::issues(definition);
            found.retain(|found| {
                issues
                    .iter()
                    .all(|known: &DefinitionIssue| list(&known.path) != list(&found.path))
            });
            issues.extend(found);
        }
        match definition {
            Some(definition) if issues.is_empty() => Ok(definition),
            _ => Err(DefinitionError::new(issues)),
        }
    }

    /// Checks what a definition made by hand may have wrong: references to nothing, blank names, bounds of nought.
    ///
    /// # Errors
    /// [`DefinitionError`] with everything that is wrong, by path.
    pub fn validate(&self) -> Result<(), DefinitionError> {
        let issues = validate::issues(self);
        if issues.is_empty() {
            Ok(())
        } else {
            Err(DefinitionError::new(issues))
        }
    }

    /// The definition as JSON: the same definition gives the same text, keys in order, what is left out left out.
    pub fn to_json(&self) -> Value {
        // All keys are strings and all numbers are whole or came from JSON, so that it always is JSON.
        json::value_of(self)
    }

    /// Whether members of these two profiles are wired to each other when they join.
    pub fn wires(&self, a: &ProfileName, b: &ProfileName) -> bool {
        let leads = |role: &ProfileName| {
            self.orchestrator
                .as_ref()
                .is_some_and(|lead| lead.profile == *role)
        };
        (self.wiring.auto_wire_orchestrator && (leads(a) || leads(b)))
            || self
                .wiring
                .role_wiring
                .iter()
                .any(|rule| (&rule.a, &rule.b) == (a, b) || (&rule.a, &rule.b) == (b, a))
    }

    /// The profile's instructions and skills as one text, paragraphs apart.
    pub fn instructions_with_skills(&self, profile: &Profile) -> String {
        let skills = profile
            .skills
            .iter()
            .filter_map(|name| self.skills.get(name))
            .map(|skill| skill.content.as_str());
        let parts: Vec<&str> = std::iter::once(profile.instructions.as_str())
            .chain(skills)
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        parts.join("\n\n")
    }
}

impl Blank for MobDefinition {
    fn blank() -> Self {
        Self {
            id: Blank::blank(),
            orchestrator: None,
            profiles: LiteMap::new(),
            wiring: Wiring::default(),
            skills: LiteMap::new(),
            limits: Limits::default(),
            members: Vec::new(),
        }
    }
}

impl FromJson for MobDefinition {
    fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        Self::from_value(&value).map_err(|error| json::wrong(&error))
    }
}

deserialize_by_json!(MobDefinition);

#[cfg(test)]
mod tests;
