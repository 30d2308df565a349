//! Memory, kept (MobKit contract, section 15.5).

use serde_json::Value;

use crate::mob::Pending;
use crate::modules::gating::Block;
use crate::modules::memory::{
    self, ASSERTION, MAX_ASSERTIONS, MEMORY_STORES, MemoryAssertion, MemoryConflictSignal,
    MemoryIndexRequest, MemoryQueryRequest,
};
use crate::modules::port::CallContext;
use crate::modules::state::{bound, check_part, numbered};
use crate::modules::{Inner, Modules};
use crate::storage::Durability;
use crate::wire::json::object;
use crate::wire::{ModuleError, ModuleErrorKind};

/// The module that may know of conflicts too.
const MEMORY: &str = "memory";

impl Modules {
    /// The stores, each with how many facts and conflicts it holds: `[{store, record_count}]`.
    pub fn memory_stores(&self) -> Vec<Value> {
        let (facts, conflicts) = (self.0.state.assertions.all(), self.0.state.conflicts.all());
        let counted = MEMORY_STORES.iter().map(|store| {
            let count = facts.iter().filter(|fact| fact.store == *store).count()
                + conflicts.iter().filter(|it| it.store == *store).count();
            object!({ "store": *store, "record_count": count })
        });
        counted.collect()
    }

    /// Remembers something: `{entity, topic, store, assertion_id?, conflict_active}`.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `EntityRequired`, `TopicRequired`, `UnsupportedStore`, `FactRequired`; [`MobError::InvalidInput`](crate::mob::MobError::InvalidInput) for
    /// an overlong entity or topic; storage's.
    pub fn memory_index(&self, request: MemoryIndexRequest) -> Pending<Value> {
        let inner = self.0.clone();
        self.0.core.execute(Durability::Strict, move |core, batch| {
            let indexed = memory::indexed(&request, core.now())?;
            check_part("entity", &indexed.entity)?;
            check_part("topic", &indexed.topic)?;
            let mut answer = object!({
                "entity": indexed.entity, "topic": indexed.topic, "store": indexed.store,
            });
            if let Some(fact) = indexed.assertion {
                let number = inner.state.next(batch, MEMORY);
                let assertion_id = numbered(ASSERTION, number);
                answer["assertion_id"] = assertion_id.clone().into();
                bound(&inner.state.assertions, batch, MAX_ASSERTIONS);
                let fact = MemoryAssertion {
                    assertion_id,
                    ..fact
                };
                inner.state.assertions.put(batch, fact);
            }
            let key = [indexed.entity, indexed.topic, indexed.store.to_owned()];
            let known = inner.state.conflicts.staged(&key).is_some();
            answer["conflict_active"] = (known || indexed.conflict.is_some()).into();
            if let Some(conflict) = indexed.conflict {
                inner.state.conflicts.put(batch, conflict);
            }
            Ok(answer)
        })
    }

    /// The facts and the conflicts that are asked for, facts the oldest first.
    pub fn memory_query(
        &self,
        request: &MemoryQueryRequest,
    ) -> (Vec<MemoryAssertion>, Vec<MemoryConflictSignal>) {
        let (mut facts, mut conflicts) = (Vec::new(), Vec::new());
        for it in self.0.state.assertions.all() {
            if request.matches(&it.entity, &it.topic, &it.store) {
                facts.push(it.as_ref().clone());
            }
        }
        for it in self.0.state.conflicts.all() {
            if request.matches(&it.entity, &it.topic, &it.store) {
                conflicts.push(it.as_ref().clone());
            }
        }
        (facts, conflicts)
    }

    /// Says that facts do not contradict each other any more; answers the conflict that there was. An addition to the contract.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `EntityRequired`, `TopicRequired`, `UnsupportedStore`, `ConflictNotFound`; storage's.
    pub fn resolve_conflict(
        &self,
        entity: String,
        topic: String,
        store: Option<String>,
    ) -> Pending<MemoryConflictSignal> {
        let inner = self.0.clone();
        self.0.core.execute(Durability::Strict, move |_, batch| {
            let (entity, topic) = memory::subject(&entity, &topic)?;
            let store = memory::store(store.as_deref())?;
            let key = [entity, topic, store.to_owned()];
            let Some(conflict) = inner.state.conflicts.staged(&key) else {
                let [entity, topic, store] = &key;
                let message =
                    format!("there is no conflict about '{topic}' of '{entity}' in {store}");
                return Err(ModuleError::new(ModuleErrorKind::ConflictNotFound, message)
                    .with(object!({ "entity": entity, "topic": topic, "store": store }))
                    .into());
            };
            inner.state.conflicts.delete(batch, &key);
            Ok(conflict.as_ref().clone())
        })
    }
}

impl Inner {
    /// Whether memory speaks against an action about this topic of this entity: what is stored here, and what the module `memory`
    /// knows, if it runs.
    pub(super) async fn block(&self, entity: Option<&str>, topic: Option<&str>) -> Option<Block> {
        let said = |text: Option<&str>| text.map(memory::token).filter(|text| !text.is_empty());
        let (Some(entity), Some(topic)) = (said(entity), said(topic)) else {
            let any = !self.state.conflicts.is_empty();
            return any.then_some(Block::ContextMissing);
        };
        let conflicts = self.state.conflicts.all();
        if conflicts
            .iter()
            .any(|it| it.entity == entity && it.topic == topic)
        {
            return Some(Block::Conflict);
        }
        let module = self.find(MEMORY).filter(|slot| slot.is_wanted())?.clone();
        let about = object!({ "entity": entity, "topic": topic });
        let read = self.ask(
            &module,
            "memory.conflict_read",
            about,
            CallContext::default(),
        );
        match read.await {
            Ok(answer) => match answer.get("conflict") {
                Some(Value::Null) => None,
                Some(_) => Some(Block::Conflict),
                None => Some(Block::LookupFailed),
            },
            Err(_) => Some(Block::LookupFailed),
        }
    }
}
