//! An object as a definition, field by field.
//!
//! Written out instead of derived, because a derived decoder stops at the first fault: here every fault is noted with its
//! path, and reading goes on.

use std::cell::RefCell;
use std::fmt::Display;
use std::str::FromStr;

use litemap::LiteMap;
use serde_json::{Map, Value};

use super::issue::DefinitionIssue;
use super::{
    InitialMember, Limits, MobDefinition, Orchestrator, Profile, ProfileTools, RoleWiring, Skill,
    Wiring,
};
use crate::wire::Labels;
use crate::wire::json::FromJson;

/// A path with one more key; keys that are not plain words are quoted.
pub(super) fn join_key(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let key = if plain {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

type Issues<'a> = RefCell<&'a mut Vec<DefinitionIssue>>;

/// A value and where it stands.
struct Node<'a> {
    value: &'a Value,
    path: String,
    issues: &'a Issues<'a>,
}

impl<'a> Node<'a> {
    fn fault<T>(&self, message: impl Into<String>) -> Option<T> {
        let issue = DefinitionIssue::new(self.path.clone(), message).with_value(self.value.clone());
        self.issues.borrow_mut().push(issue);
        None
    }

    fn table(&self) -> Option<Table<'a>> {
        let Value::Object(fields) = self.value else {
            return self.fault("must be a table");
        };
        Some(Table {
            fields,
            path: self.path.clone(),
            issues: self.issues,
            known: Vec::new(),
            tolerated: Vec::new(),
        })
    }

    fn string(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            _ => self.fault("must be a string"),
        }
    }

    fn name<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let Value::String(text) = self.value else {
            return self.fault("must be a string");
        };
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => self.fault(T::Err::to_string(&error)),
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            _ => self.fault("must be true or false"),
        }
    }

    fn whole<T: TryFrom<u64>>(&self) -> Option<T> {
        match self
            .value
            .as_u64()
            .and_then(|number| T::try_from(number).ok())
        {
            Some(number) => Some(number),
            None => self.fault("must be a whole number that is not negative nor too large"),
        }
    }

    fn list<T>(&self, item: impl Fn(&Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(items) = self.value else {
            return self.fault("must be a list");
        };
        let nodes = items.iter().enumerate().map(|(at, value)| Node {
            value,
            path: format!("{}[{at}]", self.path),
            issues: self.issues,
        });
        Some(nodes.filter_map(|node| item(&node)).collect())
    }

    /// For the types of the wire, which have decoders of their own.
    fn wire<T: FromJson>(&self) -> Option<T> {
        match T::from_json(self.value.clone()) {
            Ok(value) => Some(value),
            Err(error) => self.fault(error.to_string()),
        }
    }
}

/// A table whose fields are taken one by one; what is left over at the end is unknown.
struct Table<'a> {
    fields: &'a Map<String, Value>,
    path: String,
    issues: &'a Issues<'a>,
    known: Vec<&'static str>,
    tolerated: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn peek(&self, key: &str) -> Option<Node<'a>> {
        let value = self.fields.get(key)?;
        Some(Node {
            value,
            path: join_key(&self.path, key),
            issues: self.issues,
        })
    }

    /// A field that may be left out; JSON may also say null.
    fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'a>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        self.peek(key)
            .filter(|node| !node.value.is_null())
            .and_then(|node| read(&node))
    }

    /// A field that must be there.
    fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'a>) -> Option<T>,
    ) -> Option<T> {
        if !self.fields.contains_key(key) {
            self.issues.borrow_mut().push(DefinitionIssue::new(
                join_key(&self.path, key),
                "is missing",
            ));
        }
        self.optional(key, read)
    }

    /// Fields of the contract that this version cannot obey: only a value that asks for nothing may stand there.
    fn unsupported(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.only(
                key,
                asks_for_nothing,
                "is not supported by this version yet; leave it out",
            );
        }
    }

    /// A field of the contract of which this version obeys certain values alone.
    fn only(&mut self, key: &'static str, is_obeyed: impl FnOnce(&Value) -> bool, otherwise: &str) {
        self.tolerated.push(key);
        if let Some(node) = self.peek(key)
            && !node.value.is_null()
            && !is_obeyed(node.value)
        {
            node.fault::<()>(otherwise);
        }
    }

    fn finish(self) {
        for (key, value) in self.fields {
            if !self.known.contains(&key.as_str()) && !self.tolerated.contains(&key.as_str()) {
                let message = format!("unknown field; there are: {}", self.known.join(", "));
                let issue = DefinitionIssue::new(join_key(&self.path, key), message)
                    .with_value(value.clone());
                self.issues.borrow_mut().push(issue);
            }
        }
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Reads what can be read and notes all faults; none when too little is left to look for bad references.
pub(super) fn definition(
    value: &Value,
    issues: &mut Vec<DefinitionIssue>,
) -> Option<MobDefinition> {
    let issues = RefCell::new(issues);
    let root = Node {
        value,
        path: String::new(),
        issues: &issues,
    };
    let mut top = root.table()?;
    let has_header = top.fields.contains_key("mob");
    let mut header = top.optional("mob", |node| node.table());
    if has_header {
        for key in ["id", "orchestrator"] {
            if let Some(node) = top.peek(key) {
                top.tolerated.push(key);
                node.fault::<()>(format!(
                    "stands under `mob` already; write `mob.{key}` alone"
                ));
            }
        }
    }
    let (id, orchestrator) = match &mut header {
        Some(header) => (
            header.required("id", Node::name),
            header.optional("orchestrator", orchestrator),
        ),
        None if has_header => (None, None),
        None => (
            top.required("id", Node::name),
            top.optional("orchestrator", orchestrator),
        ),
    };
    if let Some(header) = header {
        header.finish();
    }
    let profiles = top
        .required("profiles", |node| keyed(node, profile))
        .unwrap_or_default();
    let wiring = top.optional("wiring", wiring).unwrap_or_default();
    let skills = top
        .optional("skills", |node| keyed(node, skill))
        .unwrap_or_default();
    let limits = top.optional("limits", limits).unwrap_or_default();
    let members = top
        .optional("members", |node| node.list(member))
        .unwrap_or_default();
    if let Some(node) = top.peek("backend") {
        top.tolerated.push("backend");
        backend(&node);
    }
    top.unsupported(&[
        "flows",
        "topology",
        "supervisor",
        "event_router",
        "is_implicit",
    ]);
    let is_none = |value: &Value| {
        value.get("mode").is_some_and(|mode| mode == "none") || asks_for_nothing(value)
    };
    top.only(
        "spawn_policy",
        is_none,
        "only the mode `none` is supported by this version",
    );
    top.only(
        "session_cleanup_policy",
        |value| value == "manual",
        "only `manual` is supported by this version",
    );
    top.finish();
    Some(MobDefinition {
        id: id?,
        orchestrator,
        profiles,
        wiring,
        skills,
        limits,
        members,
    })
}

/// A map with a checked name as its key.
fn keyed<'a, K: FromStr<Err: Display> + Ord, V>(
    node: &Node<'a>,
    read: impl Fn(&Node<'a>) -> Option<V>,
) -> Option<LiteMap<K, V>> {
    let Value::Object(fields) = node.value else {
        return node.fault("must be a table");
    };
    let mut entries = LiteMap::new();
    for (key, value) in fields {
        let entry = Node {
            value,
            path: join_key(&node.path, key),
            issues: node.issues,
        };
        match key.parse() {
            Ok(name) => {
                if let Some(value) = read(&entry) {
                    entries.insert(name, value);
                }
            }
            Err(error) => {
                let issue = DefinitionIssue::new(entry.path, K::Err::to_string(&error));
                node.issues.borrow_mut().push(issue);
            }
        }
    }
    Some(entries)
}

/// A table, or the profile's name alone.
fn orchestrator(node: &Node<'_>) -> Option<Orchestrator> {
    let profile = match node.value {
        Value::String(_) => node.name()?,
        _ => {
            let mut table = node.table()?;
            let profile = table.required("profile", Node::name);
            table.finish();
            profile?
        }
    };
    Some(Orchestrator { profile })
}

/// Always gives a profile when there is a table, so that references to one with a fault are not faults too.
fn profile(node: &Node<'_>) -> Option<Profile> {
    let mut table = node.table()?;
    table.only(
        "realm_profile",
        asks_for_nothing,
        "profiles of a realm are not supported by this version; write it out",
    );
    let mut profile = Profile::new(
        table
            .required("model", Node::string)
            .unwrap_or_else(|| "?".to_owned()),
    );
    profile.instructions = table
        .optional("instructions", Node::string)
        .unwrap_or_default();
    profile.skills = table
        .optional("skills", |node| node.list(Node::string))
        .unwrap_or_default();
    profile.tools = table.optional("tools", tools).unwrap_or_default();
    profile.peer_description = table
        .optional("peer_description", Node::string)
        .unwrap_or_default();
    profile.external_addressable = table
        .optional("external_addressable", Node::boolean)
        .unwrap_or(true);
    profile.provider_params = table
        .optional("provider_params", params)
        .unwrap_or_default();
    profile.max_output_tokens = table.optional("max_output_tokens", Node::whole);
    profile.history_tokens = table.optional("history_tokens", Node::whole);
    table.only(
        "backend",
        |value| value == "session",
        "only `session` is supported by this version",
    );
    table.only(
        "runtime_mode",
        |value| value == "autonomous_host",
        "only `autonomous_host` is supported by this version",
    );
    table.unsupported(&["max_inline_peer_notifications", "output_schema"]);
    table.finish();
    Some(profile)
}

fn params(node: &Node<'_>) -> Option<Map<String, Value>> {
    match node.value {
        Value::Object(fields) => Some(fields.clone()),
        _ => node.fault("must be a table"),
    }
}

/// A table, or a list of names alone.
fn tools(node: &Node<'_>) -> Option<ProfileTools> {
    let names = |node: &Node<'_>| node.list(Node::string);
    if node.value.is_array() {
        return Some(ProfileTools {
            names: names(node),
            ..ProfileTools::default()
        });
    }
    let mut table = node.table()?;
    let comms = table.optional("comms", Node::boolean).unwrap_or(true);
    let mob = table.optional("mob", Node::boolean).unwrap_or_default();
    let names = table.optional("names", names);
    let mcp = table.optional("mcp", |node| node.list(Node::string));
    let gate = table.optional("gate", Node::wire);
    table.unsupported(&[
        "builtins",
        "shell",
        "memory",
        "workgraph",
        "schedule",
        "image_generation",
        "rust_bundles",
    ]);
    table.finish();
    Some(ProfileTools {
        comms,
        mob,
        names,
        mcp: mcp.unwrap_or_default(),
        gate: gate.unwrap_or_default(),
    })
}

/// A table, or the text alone.
fn skill(node: &Node<'_>) -> Option<Skill> {
    if let Value::String(content) = node.value {
        return Some(Skill {
            content: content.clone(),
        });
    }
    let mut table = node.table()?;
    let no_files = "there are no files in a browser; put the text into `content`";
    table.only("source", |value| value == "inline", no_files);
    table.only("path", asks_for_nothing, no_files);
    let content = if table.fields.contains_key("path") {
        table.optional("content", Node::string)
    } else {
        table.required("content", Node::string)
    };
    table.finish();
    Some(Skill {
        content: content.unwrap_or_default(),
    })
}

fn wiring(node: &Node<'_>) -> Option<Wiring> {
    let mut table = node.table()?;
    let auto_wire_orchestrator = table
        .optional("auto_wire_orchestrator", Node::boolean)
        .unwrap_or_default();
    let role_wiring = table
        .optional("role_wiring", |node| node.list(role_wiring))
        .unwrap_or_default();
    table.finish();
    Some(Wiring {
        auto_wire_orchestrator,
        role_wiring,
    })
}

fn role_wiring(node: &Node<'_>) -> Option<RoleWiring> {
    let mut table = node.table()?;
    let (a, b) = (
        table.required("a", Node::name),
        table.required("b", Node::name),
    );
    table.finish();
    Some(RoleWiring { a: a?, b: b? })
}

fn limits(node: &Node<'_>) -> Option<Limits> {
    let mut table = node.table()?;
    let limits = Limits {
        max_hops: table.optional("max_hops", Node::whole),
        max_turns_per_interaction: table.optional("max_turns_per_interaction", Node::whole),
        max_turns_per_run: table.optional("max_turns_per_run", Node::whole),
        max_tokens_per_interaction: table.optional("max_tokens_per_interaction", Node::whole),
        tool_timeout_ms: table.optional("tool_timeout_ms", Node::whole),
        approval_timeout_ms: table.optional("approval_timeout_ms", Node::whole),
        model_idle_timeout_ms: table.optional("model_idle_timeout_ms", Node::whole),
    };
    table.unsupported(&[
        "max_flow_duration_ms",
        "max_step_retries",
        "max_orphaned_turns",
        "cancel_grace_timeout_ms",
        "max_active_nodes",
        "max_active_frames",
        "max_frame_depth",
    ]);
    table.finish();
    Some(limits)
}

/// Members live in sessions of this runtime; the contract's field may say so.
fn backend(node: &Node<'_>) -> Option<()> {
    let mut table = node.table()?;
    table.only(
        "default",
        |value| value == "session",
        "only `session` is supported by this version",
    );
    table.unsupported(&["external"]);
    table.finish();
    Some(())
}

/// Pairs as labels are kept.
fn sorted(pairs: impl Iterator<Item = (String, String)>) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in pairs {
        labels.insert(name, value);
    }
    labels
}

fn member(node: &Node<'_>) -> Option<InitialMember> {
    let mut table = node.table()?;
    let profile = table.required("profile", Node::name);
    let identity = table.required("identity", Node::name);
    let labels = table.optional("labels", |node| keyed(node, Node::string));
    let initial_message = table.optional("initial_message", Node::wire);
    table.finish();
    Some(InitialMember {
        profile: profile?,
        identity: identity?,
        labels: sorted(labels.into_iter().flatten()),
        initial_message,
    })
}
