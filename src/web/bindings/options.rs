//! What JavaScript builds a runtime from, as it crosses: JSON whose functions and objects are numbers, their places in the
//! list beside it.
//!
//! Decoded field by field: derived decoders of these few types would be a hundredth of the whole module.

use serde_json::{Error, Map, Value};

use crate::runtime::IfLocked;
use crate::wire::tagged::{self, take, take_or_default};

/// The place of a function or an object in the list.
pub(super) type Place = u32;

type Fields = Map<String, Value>;

/// All options of a build.
pub(super) struct BuildOptions {
    pub definition: String,
    pub definition_format: DefinitionFormat,
    pub storage: StorageChoice,
    pub models: Vec<(String, ModelChoice)>,
    pub default_model: Option<ModelChoice>,
    pub tools: Vec<ToolParts>,
    pub tool_gate: Option<Place>,
    pub on_error: Option<Place>,
    pub post_spawn_hook: Option<Place>,
    pub if_locked: IfLocked,
}

/// How the definition is written.
pub(super) enum DefinitionFormat {
    Toml,
    Json,
}

/// Where the mob lives.
pub(super) enum StorageChoice {
    Memory,
    IndexedDb { name: String },
}

/// A model by kind.
pub(super) enum ModelChoice {
    /// A server with OpenAI-compatible chat completions.
    OpenAi {
        base_url: String,
        api_key: Option<String>,
        model: Option<String>,
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
pub(super) struct ToolParts {
    pub name: String,
    pub description: String,
    pub input_schema: Value,
    pub execute: Place,
}

impl BuildOptions {
    pub fn from_json(mut fields: Fields) -> Result<Self, Error> {
        let fields = &mut fields;
        let mut models = Vec::new();
        for mut entry in take::<Vec<Fields>>(fields, "models")? {
            let name = take(&mut entry, "name")?;
            models.push((name, ModelChoice::from_json(take(&mut entry, "model")?)?));
        }
        let mut tools = Vec::new();
        for tool in take::<Vec<Fields>>(fields, "tools")? {
            tools.push(ToolParts::from_json(tool)?);
        }
        let default_model: Option<Fields> = take_or_default(fields, "defaultModel")?;
        Ok(Self {
            definition: take(fields, "definition")?,
            definition_format: match take::<String>(fields, "definitionFormat")?.as_str() {
                "toml" => DefinitionFormat::Toml,
                "json" => DefinitionFormat::Json,
                unknown => return Err(tagged::unknown(unknown, &["toml", "json"])),
            },
            storage: StorageChoice::from_json(take(fields, "storage")?)?,
            models,
            default_model: default_model.map(ModelChoice::from_json).transpose()?,
            tools,
            tool_gate: take_or_default(fields, "toolGate")?,
            on_error: take_or_default(fields, "onError")?,
            post_spawn_hook: take_or_default(fields, "postSpawnHook")?,
            if_locked: match take::<String>(fields, "ifLocked")?.as_str() {
                "wait" => IfLocked::Wait,
                "follow" => IfLocked::Follow,
                "steal" => IfLocked::Steal,
                "fail" => IfLocked::Fail,
                unknown => {
                    return Err(tagged::unknown(
                        unknown,
                        &["wait", "follow", "steal", "fail"],
                    ));
                }
            },
        })
    }
}

impl StorageChoice {
    fn from_json(mut fields: Fields) -> Result<Self, Error> {
        match tagged::take_tag(&mut fields, "kind")?.as_str() {
            "memory" => Ok(Self::Memory),
            "indexedDb" => Ok(Self::IndexedDb {
                name: take(&mut fields, "name")?,
            }),
            unknown => Err(tagged::unknown(unknown, &["memory", "indexedDb"])),
        }
    }
}

impl ModelChoice {
    pub fn from_json(mut fields: Fields) -> Result<Self, Error> {
        let fields = &mut fields;
        match tagged::take_tag(fields, "kind")?.as_str() {
            "openai" => Ok(Self::OpenAi {
                base_url: take(fields, "baseUrl")?,
                api_key: take_or_default(fields, "apiKey")?,
                model: take_or_default(fields, "model")?,
                headers: take_or_default(fields, "headers")?,
                fetch: take_or_default(fields, "fetch")?,
            }),
            "demo" => Ok(Self::Demo {
                pace: take_or_default(fields, "pace")?,
            }),
            "js" => Ok(Self::Js {
                model: take(fields, "model")?,
            }),
            unknown => Err(tagged::unknown(unknown, &["openai", "demo", "js"])),
        }
    }
}

impl ToolParts {
    fn from_json(mut fields: Fields) -> Result<Self, Error> {
        let fields = &mut fields;
        Ok(Self {
            name: take(fields, "name")?,
            description: take(fields, "description")?,
            input_schema: take(fields, "inputSchema")?,
            execute: take(fields, "execute")?,
        })
    }
}
