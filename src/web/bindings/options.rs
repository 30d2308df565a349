//! What JavaScript builds a runtime from, as it crosses: JSON whose functions and objects are numbers, their places in the
//! list beside it.

use serde::Deserialize;
use serde_json::Value;

use crate::runtime::IfLocked;

/// The place of a function or an object in the list.
pub(super) type Place = u32;

/// All options of a build.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildOptions {
    pub definition: String,
    pub definition_format: DefinitionFormat,
    pub storage: StorageChoice,
    pub models: Vec<NamedModel>,
    pub default_model: Option<ModelChoice>,
    pub tools: Vec<ToolParts>,
    pub tool_gate: Option<Place>,
    pub on_error: Option<Place>,
    pub post_spawn_hook: Option<Place>,
    #[serde(with = "IfLockedName")]
    pub if_locked: IfLocked,
}

/// How the definition is written.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DefinitionFormat {
    Toml,
    Json,
}

/// Where the mob lives.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(super) enum StorageChoice {
    Memory,
    IndexedDb { name: String },
}

/// What a model's name stands for.
#[derive(Deserialize)]
pub(super) struct NamedModel {
    pub name: String,
    pub model: ModelChoice,
}

/// A model by kind.
#[derive(Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(super) enum ModelChoice {
    /// A server with OpenAI-compatible chat completions.
    Openai {
        base_url: String,
        api_key: Option<String>,
        model: Option<String>,
        #[serde(default)]
        headers: Vec<(String, String)>,
        fetch: Option<Place>,
    },
    /// The embedded scripted model.
    Demo {
        /// Milliseconds between words.
        pace: Option<u32>,
    },
    /// An object with a method `stream`.
    Js { model: Place },
}

/// A tool: what the model is told, and the function.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolParts {
    pub name: String,
    pub description: String,
    pub input_schema: Value,
    pub execute: Place,
}

#[derive(Deserialize)]
#[serde(remote = "IfLocked", rename_all = "lowercase")]
enum IfLockedName {
    Wait,
    Follow,
    Steal,
    Fail,
}
