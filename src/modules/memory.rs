//! What the mob's modules hold to be true, and where they contradict each other (MobKit contract, section 15.5).

use serde::Serialize;
use serde_json::Value;

use crate::modules::state::number_of;
use crate::storage::{Key, Record};
use crate::wire::TimestampMs;
use crate::wire::json::{from_json, object};
use crate::wire::{ModuleError, ModuleErrorKind};

/// The stores, of which the first is meant when none is said.
pub const MEMORY_STORES: [&str; 5] = [
    "knowledge_graph",
    "vector",
    "timeline",
    "todo",
    "top_of_mind",
];
/// How the names of facts begin.
pub(crate) const ASSERTION: &str = "memory-assert-";
/// Assertions that are kept; the oldest goes for a newer one.
pub const MAX_ASSERTIONS: usize = 4_096;

/// What is to be remembered: a fact, or that there is a conflict, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryIndexRequest {
    /// What it is about.
    pub entity: String,
    /// What of it.
    pub topic: String,
    /// In which store.
    pub store: Option<String>,
    /// What is the case; may be left out when there is a conflict.
    pub fact: Option<String>,
    /// Whatever belongs to the fact.
    pub metadata: Value,
    /// Whether it contradicts what is known.
    pub conflict: Option<bool>,
    /// Why.
    pub conflict_reason: Option<String>,
}

from_json!(MemoryIndexRequest deserialize { entity, topic, store, fact, metadata = default, conflict, conflict_reason } deny);

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryAssertion {
    /// Its name.
    pub assertion_id: String,
    /// What it is about.
    pub entity: String,
    /// What of it.
    pub topic: String,
    /// The store that it is in.
    pub store: String,
    /// What is the case.
    pub fact: String,
    /// Whatever belongs to it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// Since when it is known.
    pub indexed_at_ms: TimestampMs,
}

from_json!(MemoryAssertion deserialize { assertion_id, entity, topic, store, fact, metadata = default, indexed_at_ms });

/// Facts about one topic of one entity contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryConflictSignal {
    /// About what.
    pub entity: String,
    /// What of it.
    pub topic: String,
    /// In which store.
    pub store: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is known.
    pub updated_at_ms: TimestampMs,
}

from_json!(MemoryConflictSignal deserialize { entity, topic, store, reason, updated_at_ms });

/// Which facts and conflicts are asked for; each field that is left out leaves it open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryQueryRequest {
    /// About what.
    pub entity: Option<String>,
    /// What of it.
    pub topic: Option<String>,
    /// In which store.
    pub store: Option<String>,
}

from_json!(MemoryQueryRequest deserialize { entity, topic, store } deny);

impl Record for MemoryAssertion {
    type Key = u64;
    fn key(&self) -> u64 {
        number_of(&self.assertion_id, ASSERTION).unwrap_or_default()
    }
    fn place(key: &u64, prefix: &Key) -> Key {
        prefix.number(*key)
    }
}

impl Record for MemoryConflictSignal {
    type Key = [String; 3];
    fn key(&self) -> Self::Key {
        [self.entity.clone(), self.topic.clone(), self.store.clone()]
    }
    fn place([entity, topic, store]: &Self::Key, prefix: &Key) -> Key {
        prefix.part(entity).part(topic).part(store)
    }
}

/// A word as it is compared: without blanks around it, in lower case.
pub(crate) fn token(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// The store of this name.
///
/// # Errors
/// [`ModuleErrorKind::UnsupportedStore`].
pub fn store(name: Option<&str>) -> Result<&'static str, ModuleError> {
    let Some(name) = name else {
        return Ok(MEMORY_STORES[0]);
    };
    let wanted = token(name);
    let store = MEMORY_STORES.iter().find(|store| **store == wanted);
    store.copied().ok_or_else(|| {
        ModuleError::new(
            ModuleErrorKind::UnsupportedStore,
            format!("store must be one of: {}", MEMORY_STORES.join(", ")),
        )
        .with(object!({ "store": name }))
    })
}

/// What a request adds: a fact, which still lacks its name, and a conflict.
pub(crate) struct Indexed {
    pub entity: String,
    pub topic: String,
    pub store: &'static str,
    pub assertion: Option<MemoryAssertion>,
    pub conflict: Option<MemoryConflictSignal>,
}

/// What a request adds at a time.
///
/// # Errors
/// [`ModuleErrorKind`]: `EntityRequired`, `TopicRequired`, `UnsupportedStore`, `FactRequired`.
pub(crate) fn indexed(
    request: &MemoryIndexRequest,
    now: TimestampMs,
) -> Result<Indexed, ModuleError> {
    let (entity, topic) = subject(&request.entity, &request.topic)?;
    let store = store(request.store.as_deref())?;
    let conflict = request.conflict == Some(true);
    let said = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let fact = said(&request.fact);
    if fact.is_none() && !conflict {
        return Err(ModuleError::new(
            ModuleErrorKind::FactRequired,
            "fact is required unless conflict=true",
        ));
    }
    let assertion = fact.map(|fact| MemoryAssertion {
        assertion_id: String::new(),
        entity: entity.clone(),
        topic: topic.clone(),
        store: store.to_owned(),
        fact,
        metadata: request.metadata.clone(),
        indexed_at_ms: now,
    });
    let conflict = conflict.then(|| MemoryConflictSignal {
        entity: entity.clone(),
        topic: topic.clone(),
        store: store.to_owned(),
        reason: said(&request.conflict_reason),
        updated_at_ms: now,
    });
    Ok(Indexed {
        entity,
        topic,
        store,
        assertion,
        conflict,
    })
}

/// What something is about, as it is compared.
///
/// # Errors
/// [`ModuleErrorKind`]: `EntityRequired`, `TopicRequired`.
pub(crate) fn subject(entity: &str, topic: &str) -> Result<(String, String), ModuleError> {
    let word = |kind, name: &str, text: &str| match token(text) {
        word if word.is_empty() => Err(ModuleError::new(kind, format!("{name} is required"))),
        word => Ok(word),
    };
    Ok((
        word(ModuleErrorKind::EntityRequired, "entity", entity)?,
        word(ModuleErrorKind::TopicRequired, "topic", topic)?,
    ))
}

impl MemoryQueryRequest {
    /// Whether something about this topic of this entity, in this store, is meant. A store that there is not leaves it open.
    pub fn matches(&self, entity: &str, topic: &str, in_store: &str) -> bool {
        let word = |wanted: &Option<String>, is: &str| {
            let wanted = wanted.as_deref().map(token);
            wanted.is_none_or(|wanted| wanted.is_empty() || wanted == is)
        };
        let wanted_store = self.store.as_deref();
        let wanted_store = wanted_store.and_then(|wanted| store(Some(wanted)).ok());
        word(&self.entity, entity)
            && word(&self.topic, topic)
            && wanted_store.is_none_or(|wanted| wanted == in_store)
    }
}
