//! What is held to be true (memory_store of the contract's tests).

use super::*;
use crate::modules::memory::{MAX_ASSERTIONS, MemoryIndexRequest, MemoryQueryRequest};

fn fact(entity: &str, topic: &str, fact: &str) -> MemoryIndexRequest {
    MemoryIndexRequest {
        entity: entity.to_owned(),
        topic: topic.to_owned(),
        fact: Some(fact.to_owned()),
        ..MemoryIndexRequest::default()
    }
}

fn conflict(entity: &str, topic: &str) -> MemoryIndexRequest {
    MemoryIndexRequest {
        fact: None,
        conflict: Some(true),
        conflict_reason: Some("two sources".to_owned()),
        ..fact(entity, topic, "")
    }
}

fn about(entity: &str) -> MemoryQueryRequest {
    MemoryQueryRequest {
        entity: Some(entity.to_owned()),
        ..MemoryQueryRequest::default()
    }
}

#[test]
fn facts_are_kept_and_found() {
    in_sim(1, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let answer = modules
            .memory_index(fact(" Plant-7 ", "STATUS", "runs"))
            .await
            .unwrap();
        assert_eq!(
            answer,
            json!({
                "entity": "plant-7", "topic": "status", "store": "knowledge_graph",
                "assertion_id": "memory-assert-000000", "conflict_active": false,
            })
        );
        let todo = MemoryIndexRequest {
            store: Some(" Todo ".to_owned()),
            metadata: json!({ "by": "ada" }),
            ..fact("plant-7", "repair", "pump")
        };
        modules.memory_index(todo).await.unwrap();
        runtime.shutdown().await;
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let (facts, conflicts) = modules.memory_query(&about("PLANT-7"));
        assert_eq!((facts.len(), conflicts.len()), (2, 0));
        assert_eq!(
            (facts[1].fact.as_str(), &facts[1].metadata),
            ("pump", &json!({ "by": "ada" }))
        );
        let in_store = |store: &str| MemoryQueryRequest {
            store: Some(store.to_owned()),
            ..Default::default()
        };
        assert_eq!(modules.memory_query(&in_store("todo")).0.len(), 1);
        assert_eq!(
            modules.memory_query(&in_store("nowhere")).0.len(),
            2,
            "no filter"
        );
        let counts: Vec<_> = modules
            .memory_stores()
            .iter()
            .map(|it| it["record_count"].clone())
            .collect();
        assert_eq!(counts, [1, 0, 0, 1, 0]);
    });
}

#[test]
fn what_is_wrong_is_said() {
    in_sim(2, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let cases = [
            (fact(" ", "t", "f"), ModuleErrorKind::EntityRequired),
            (fact("e", "", "f"), ModuleErrorKind::TopicRequired),
            (fact("e", "t", " "), ModuleErrorKind::FactRequired),
            (
                MemoryIndexRequest {
                    store: Some("attic".to_owned()),
                    ..fact("e", "t", "f")
                },
                ModuleErrorKind::UnsupportedStore,
            ),
        ];
        for (request, wanted) in cases {
            assert_eq!(kind(modules.memory_index(request).await), wanted);
        }
    });
}

#[test]
fn row_27_a_conflict_can_be_cleared() {
    in_sim(3, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let answer = modules.memory_index(conflict("e", "t")).await.unwrap();
        assert_eq!(
            (&answer["conflict_active"], answer.get("assertion_id")),
            (&json!(true), None)
        );
        // It is one, however often it is said, and a fact beside it does not clear it.
        modules.memory_index(conflict("E", "T")).await.unwrap();
        let answer = modules.memory_index(fact("e", "t", "f")).await.unwrap();
        assert_eq!(answer["conflict_active"], json!(true));
        assert_eq!(modules.memory_query(&about("e")).1.len(), 1);
        let resolve = |topic: &str| modules.resolve_conflict("e".into(), topic.into(), None);
        assert_eq!(kind(resolve("x").await), ModuleErrorKind::ConflictNotFound);
        assert_eq!(
            resolve(" T ").await.unwrap().reason.as_deref(),
            Some("two sources")
        );
        assert_eq!(modules.memory_query(&about("e")).1, []);
        assert_eq!(kind(resolve("t").await), ModuleErrorKind::ConflictNotFound);
    });
}

#[test]
fn the_oldest_facts_go() {
    in_sim(4, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        for n in 0..MAX_ASSERTIONS + 3 {
            modules
                .memory_index(fact("e", "t", &n.to_string()))
                .await
                .unwrap();
        }
        let (facts, _) = modules.memory_query(&about("e"));
        assert_eq!((facts.len(), facts[0].fact.as_str()), (MAX_ASSERTIONS, "3"));
    });
}
