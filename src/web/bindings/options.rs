//! What JavaScript builds a runtime from, as it crosses: JSON whose functions and objects are numbers, their places in the
//! list beside it.

use std::time::Duration;

use serde_json::{Error, Map, Value};

use crate::modules::RestartPolicy;
use crate::runtime::{ConsoleVisibilityPolicy, IfLocked, RuntimeOptions};
use crate::wire::json::{self, Blank, Fields, FromJson, from_json};

/// The place of a function or an object in the list.
pub(super) type Place = u32;

/// All options of a build.
pub(super) struct BuildOptions {
    pub definition: Value,
    pub storage: StorageChoice,
    pub models: Vec<NamedModel>,
    pub default_model: Option<ModelChoice>,
    pub tools: Vec<ToolParts>,
    pub tool_gate: Option<Place>,
    pub modules: Vec<ModuleParts>,
    pub zone_offset: Option<Place>,
    pub on_error: Option<Place>,
    pub post_spawn_hook: Option<Place>,
    pub post_reconcile_hook: Option<Place>,
    pub pre_spawn_hook: Option<Place>,
    pub discovery: Option<Place>,
    pub edge_discovery: Option<EdgeChoice>,
    /// Milliseconds.
    pub drain_timeout: Option<u64>,
    pub max_sessions: Option<usize>,
    pub reopen: bool,
    pub runtime_options: RuntimeOptions,
    pub console_visibility: ConsoleVisibilityPolicy,
    pub event_log: Option<EventLogParts>,
    pub console_log: Option<Place>,
    pub persistent_metadata: Option<MetadataParts>,
    pub on_mob_event: Option<Place>,
    /// `latest`, `earliest` or a cursor.
    pub start: Option<String>,
    pub if_locked: IfLocked,
    pub wake: Option<Place>,
    pub console_config: Map<String, Value>,
}

/// Where the mob lives.
pub(super) enum StorageChoice {
    Memory,
    IndexedDb {
        name: String,
    },
    /// An object with the functions of a [`JsStorage`](crate::web::JsStorage).
    Driver {
        driver: Place,
    },
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

/// A module: what starts it, or one of the built-in ones. Times are in milliseconds.
pub(super) struct ModuleParts {
    pub id: String,
    pub start: Option<Place>,
    pub restart: Option<RestartPolicy>,
    pub start_timeout: Option<u64>,
    pub call_timeout: Option<u64>,
}

impl FromJson for ModuleParts {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            id: fields.take("id")?,
            start: fields.take("start")?,
            restart: fields.take("restart")?,
            start_timeout: fields.take("startTimeout")?,
            call_timeout: fields.take("callTimeout")?,
        })
    }
}

/// A tool: what the model is told, and the function.
pub(super) struct ToolParts {
    pub name: String,
    pub description: String,
    pub input_schema: Value,
    pub execute: Place,
}

impl FromJson for BuildOptions {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            definition: fields.take("definition")?,
            storage: fields.take("storage")?,
            models: fields.take("models")?,
            default_model: fields.take("defaultModel")?,
            tools: fields.take("tools")?,
            tool_gate: fields.take("toolGate")?,
            modules: fields.take_or_default("modules")?,
            zone_offset: fields.take("zoneOffset")?,
            on_error: fields.take("onError")?,
            post_spawn_hook: fields.take("postSpawnHook")?,
            post_reconcile_hook: fields.take("postReconcileHook")?,
            pre_spawn_hook: fields.take("preSpawnHook")?,
            discovery: fields.take("discovery")?,
            edge_discovery: fields.take("edgeDiscovery")?,
            drain_timeout: fields.take("drainTimeout")?,
            max_sessions: fields.take("maxSessions")?,
            reopen: fields.take_or_default("reopen")?,
            runtime_options: fields.take_or_default("runtimeOptions")?,
            console_visibility: fields.take_or_default("consoleVisibility")?,
            event_log: fields.take("eventLog")?,
            console_log: fields.take("consoleLog")?,
            persistent_metadata: fields.take("persistentMetadata")?,
            on_mob_event: fields.take("onMobEvent")?,
            start: fields.take("start")?,
            if_locked: fields.take("ifLocked")?,
            wake: fields.take("wake")?,
            console_config: console_config(fields.take("consoleConfig")?)?,
        })
    }
}

/// What a console may be told of its looks (MobKit contract, section 21.2); each is handed on as it is.
fn console_config(config: Option<Value>) -> Result<Map<String, Value>, Error> {
    let Some(config) = config else {
        return Ok(Map::new());
    };
    let fields = Fields::of(config)?;
    fields.only(&[
        "title",
        "brand",
        "appearance",
        "environment",
        "layout",
        "rail",
        "sidebar",
        "agent_list",
        "actions",
    ])?;
    Ok(fields.rest())
}

impl FromJson for RuntimeOptions {
    fn from_json(value: Value) -> Result<Self, Error> {
        const IDLE: &str = "implicitDelegateIdleRetireSecs";
        const ON_FAILURE: &str = "onFailureRetryBudget";
        const ALWAYS: &str = "alwaysRestartBudget";
        const BACKOFF: &str = "supervisorRestartBackoffMs";
        const RATE: &str = "deliveryRateScope";
        let said = value.get(IDLE).is_some();
        let mut fields = Fields::of(value)?;
        fields.only(&[IDLE, ON_FAILURE, ALWAYS, BACKOFF, RATE])?;
        let mut options = Self::default();
        let budget = &mut options.restart_budget;
        let number = |said: Option<u32>, default| said.unwrap_or(default);
        budget.on_failure = number(fields.take(ON_FAILURE)?, budget.on_failure);
        budget.always = number(fields.take(ALWAYS)?, budget.always);
        let backoff = number(fields.take(BACKOFF)?, 0);
        budget.backoff = Duration::from_millis(backoff.into());
        options.rate_scope = fields.take_or_default(RATE)?;
        // Null is an answer: never.
        if said {
            options.implicit_delegate_idle_retire_secs = fields.take(IDLE)?;
        }
        Ok(options)
    }
}

/// Who says which edges ought to be.
pub(super) enum EdgeChoice {
    /// The definition's wiring rules.
    Definition,
    /// A function.
    Function(Place),
}

impl FromJson for EdgeChoice {
    fn from_json(value: Value) -> Result<Self, Error> {
        match value.as_str() {
            Some("definition") => Ok(Self::Definition),
            _ => Place::from_json(value).map(Self::Function),
        }
    }
}

/// A store for agent events; what it does not want its function leaves out.
pub(super) struct EventLogParts {
    pub append: Place,
    pub batch_size: Option<usize>,
    /// Milliseconds.
    pub flush_interval: Option<u64>,
}

impl FromJson for EventLogParts {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            append: fields.take("append")?,
            batch_size: fields.take("batchSize")?,
            flush_interval: fields.take("flushInterval")?,
        })
    }
}

/// A store for the cursor of the structural subscription.
pub(super) struct MetadataParts {
    pub get: Place,
    pub set: Place,
}

from_json!(MetadataParts { get, set });

/// What a model name of the definition stands for.
pub(super) struct NamedModel {
    pub name: String,
    pub model: ModelChoice,
}

from_json!(NamedModel { name, model });

impl FromJson for StorageChoice {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        match fields.tag("kind")?.as_str() {
            "memory" => Ok(Self::Memory),
            "indexedDb" => Ok(Self::IndexedDb {
                name: fields.take("name")?,
            }),
            "driver" => Ok(Self::Driver {
                driver: fields.take("driver")?,
            }),
            other => Err(json::unknown(
                "variant",
                other,
                &["memory", "indexedDb", "driver"],
            )),
        }
    }
}

impl Blank for ModelChoice {
    fn blank() -> Self {
        Self::Demo { pace: None }
    }
}

impl FromJson for ModelChoice {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        match fields.tag("kind")?.as_str() {
            "openai" => Ok(Self::OpenAi {
                base_url: fields.take("baseUrl")?,
                api_key: fields.take("apiKey")?,
                model: fields.take("model")?,
                headers: fields.take_or_default("headers")?,
                fetch: fields.take("fetch")?,
            }),
            "demo" => Ok(Self::Demo {
                pace: fields.take("pace")?,
            }),
            "js" => Ok(Self::Js {
                model: fields.take("model")?,
            }),
            other => Err(json::unknown("variant", other, &["openai", "demo", "js"])),
        }
    }
}

impl FromJson for ToolParts {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            name: fields.take("name")?,
            description: fields.take("description")?,
            input_schema: fields.take("inputSchema")?,
            execute: fields.take("execute")?,
        })
    }
}
