//! Labels and structural events together: what is joined to what, for whom, and whom it is kept apart from.

use std::cell::RefCell;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};

use super::*;
use crate::runtime::{MobEventReader, PersistentMetadataStore};
use crate::storage::Durability;
use crate::wire::tests::ledger;
use crate::wire::{
    AgentIdentity, Labels, MOB_EVENT_KINDS, MobEventKind, MobId, MobStructuralEventEnvelope, RunId,
    StepId,
};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

async fn tell(runtime: &UnifiedRuntime, kinds: Vec<MobEventKind>) {
    let core = &runtime.inner.core;
    core.execute(Durability::Strict, move |core, batch| {
        core.tell(batch, kinds.clone());
        Ok(())
    })
    .await
    .unwrap();
}

async fn read(reader: &mut MobEventReader, many: usize) -> Vec<MobStructuralEventEnvelope> {
    let mut read = Vec::new();
    while read.len() < many {
        read.push(reader.next().await.unwrap().unwrap());
    }
    read
}

#[test]
fn every_kind_of_entry_is_told_alike_to_hook_reader_and_query_with_the_labels_of_its_run() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let heard: Rc<RefCell<Vec<MobStructuralEventEnvelope>>> = Rc::default();
    let hearing = heard.clone();
    sim.block_on(async {
        let runtime = builder(&host, &disk, &ScriptedModel::new(host.clone()))
            .on_mob_event(move |event| hearing.borrow_mut().push(event.clone()))
            .build()
            .await
            .unwrap();
        let (env, ticket) = (labels(&[("env", "prod")]), labels(&[("ticket", "42")]));
        runtime.set_mob_labels(env.clone()).await.unwrap();
        runtime.set_run_labels("r", ticket.clone()).await.unwrap();
        let other = labels(&[("ticket", "43")]);
        runtime.set_run_labels("r2", other).await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        heard.borrow_mut().clear();
        let before = runtime.status().latest_mob_cursor;
        let mut live = runtime.mob_events(None).unwrap();

        let golden = ledger();
        assert_eq!(golden.len(), MOB_EVENT_KINDS.len());
        let kinds = golden.iter();
        let kinds = kinds.map(|(kind, ..)| serde_json::from_value(kind.clone()).unwrap());
        tell(&runtime, kinds.collect()).await;
        let told = read(&mut live, golden.len()).await;
        for ((envelope, (kind, run, step, identity)), number) in told.iter().zip(golden).zip(1..) {
            assert_eq!(envelope.cursor.get(), before.get() + number, "{kind}");
            let event_id = format!("mob-evt-{}", envelope.cursor);
            assert_eq!(
                (&envelope.event_id, &envelope.mob_id.to_string()),
                (&event_id, &"team".to_owned())
            );
            assert_eq!(
                (&envelope.kind, &envelope.data),
                (&kind["type"].as_str().unwrap().to_owned(), &kind)
            );
            assert_eq!(envelope.run_id.as_ref().map(RunId::as_str), run, "{kind}");
            assert_eq!(
                envelope.step_id.as_ref().map(StepId::as_str),
                step,
                "{kind}"
            );
            let name = envelope.agent_identity.as_ref().map(AgentIdentity::as_str);
            assert_eq!(name, identity, "{kind}");
            assert_eq!(envelope.mob_labels, env);
            let of_run = run.map(|_| ticket.clone()).unwrap_or_default();
            assert_eq!(envelope.run_labels, of_run, "{kind}");
        }

        // Whoever asks gets the same, and nobody else hears that he asked.
        host.sleep(Duration::from_secs(1)).await;
        for after_seq in [Some(before), None] {
            let query = EventQuery {
                after_seq,
                limit: Some(told.len()),
                ..EventQuery::default()
            };
            let page = runtime.query_mob_events(&query).await.unwrap();
            assert_eq!(page.events, told);
        }
        let mut replay = runtime.mob_events(Some(before)).unwrap();
        assert_eq!(read(&mut replay, told.len()).await, told);
        assert_eq!(*heard.borrow(), told, "each once");
        assert!(live.next().now_or_never().is_none());
        assert_eq!(
            runtime.status().latest_mob_cursor,
            told.last().unwrap().cursor
        );
    });
}

/// Cursors in memory, by mob.
#[derive(Clone, Default)]
struct Cursors(Rc<RefCell<Vec<(String, u64)>>>);

impl PersistentMetadataStore for Cursors {
    fn get_subscription_cursor(
        &self,
        mob_id: &MobId,
    ) -> LocalBoxFuture<'static, Result<Option<Cursor>, String>> {
        let set = self.0.borrow();
        let mut set = set.iter().rev();
        let known = set.find(|(mob, _)| mob == mob_id.as_str());
        ready(Ok(known.map(|(_, cursor)| Cursor::new(*cursor)))).boxed_local()
    }

    fn set_subscription_cursor(
        &self,
        mob_id: &MobId,
        cursor: Cursor,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let set = (mob_id.to_string(), cursor.get());
        self.0.borrow_mut().push(set);
        ready(Ok(())).boxed_local()
    }
}

#[test]
fn mobs_that_share_a_storage_share_neither_labels_nor_runs_nor_cursors() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let cursors = Cursors::default();
    let open = |name: &str| {
        let mob =
            MobDefinition::from_toml(&TEAM.replace("\"team\"", &format!("\"{name}\""))).unwrap();
        builder(&host, &disk, &ScriptedModel::new(host.clone()))
            .definition(mob)
            .persistent_metadata(Rc::new(cursors.clone()))
            .build()
    };
    let run = || MobEventKind::FlowStarted {
        run_id: "r".into(),
        flow_id: "f".into(),
        params: json!({}),
    };
    sim.block_on(async {
        for life in 0..2 {
            for name in ["red", "blue"] {
                let runtime = open(name).await.unwrap();
                let (own, of_run) = (labels(&[("mob", name)]), labels(&[("run of", name)]));
                if life == 0 {
                    assert!(
                        runtime.get_mob_labels().is_empty()
                            && runtime.get_run_labels("r").is_empty()
                    );
                    runtime.set_mob_labels(own.clone()).await.unwrap();
                    runtime.set_run_labels("r", of_run.clone()).await.unwrap();
                    tell(&runtime, vec![run()]).await;
                }
                assert_eq!(
                    (runtime.get_mob_labels(), runtime.get_run_labels("r")),
                    (own.clone(), of_run.clone())
                );
                let query = EventQuery {
                    run_id: Some("r".into()),
                    ..EventQuery::default()
                };
                let page = runtime.query_mob_events(&query).await.unwrap();
                assert_eq!(page.events.len(), 1, "{name}: its own alone");
                let labelled = &page.events[0];
                assert_eq!(
                    (&labelled.mob_labels, &labelled.run_labels),
                    (&own, &of_run)
                );
                runtime.shutdown().await;
                let set = cursors.0.borrow();
                let newest = set.iter().rev().find(|(mob, _)| mob == name);
                assert_eq!(newest.unwrap().1, runtime.status().latest_mob_cursor.get());
            }
        }
        // The labels of a run go alone, and those of the mob stay.
        let runtime = open("red").await.unwrap();
        runtime.delete_run_labels("r").await.unwrap();
        assert!(runtime.get_run_labels("r").is_empty());
        assert_eq!(runtime.get_mob_labels(), labels(&[("mob", "red")]));
        runtime.delete_mob_labels().await.unwrap();
        runtime.delete_mob_labels().await.unwrap();
        runtime.shutdown().await;
        let runtime = open("blue").await.unwrap();
        assert_eq!(runtime.get_run_labels("r"), labels(&[("run of", "blue")]));
    });
}
