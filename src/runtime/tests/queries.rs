//! Queries over the structural ledger: what they find, and what they cost.

use std::cell::Cell;

use futures::future::LocalBoxFuture;

use super::*;
use crate::sim::{FaultyStorage, SimRandom};
use crate::storage::{
    Batch, ClosedReason, Direction, DomError, Durability, Key, KeyRange, Row, Storage,
    StorageError, StorageLimits, StorageUsage,
};
use crate::wire::{
    FlowId, MobEventKind, MobEventsPage, MobStructuralEventEnvelope, RunId, SpawnMemberSpec, StepId,
};

/// A storage that counts the rows that are read from it, and may refuse a look to come.
pub(super) struct Counting {
    inner: Rc<FaultyStorage>,
    rows: Cell<usize>,
    /// How often it was looked at.
    pub looks: Cell<usize>,
    /// The looks until one is refused.
    pub refuse_after: Cell<Option<u32>>,
}

impl Counting {
    pub fn over(inner: Rc<FaultyStorage>) -> Rc<Self> {
        Rc::new(Self {
            inner,
            rows: Cell::new(0),
            looks: Cell::new(0),
            refuse_after: Cell::new(None),
        })
    }

    fn taken(&self) -> usize {
        self.rows.take()
    }
}

impl Storage for Counting {
    fn limits(&self) -> StorageLimits {
        self.inner.limits()
    }

    fn get<'a>(
        &'a self,
        key: &'a Key,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        self.rows.set(self.rows.get() + 1);
        self.looks.set(self.looks.get() + 1);
        self.inner.get(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> LocalBoxFuture<'_, Result<Vec<Row>, StorageError>> {
        self.looks.set(self.looks.get() + 1);
        Box::pin(async move {
            match self.refuse_after.get() {
                Some(0) => {
                    self.refuse_after.set(None);
                    let tired = DomError::new("AbortError", "the disk is tired");
                    return Err(StorageError::Aborted(tired));
                }
                left => self.refuse_after.set(left.map(|left| left - 1)),
            }
            let rows = self.inner.scan(range, direction, limit).await?;
            self.rows.set(self.rows.get() + rows.len());
            Ok(rows)
        })
    }

    fn commit(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> LocalBoxFuture<'_, Result<(), StorageError>> {
        self.inner.commit(batch, durability)
    }

    fn usage(&self) -> LocalBoxFuture<'_, Result<StorageUsage, StorageError>> {
        self.inner.usage()
    }

    fn closed(&self) -> LocalBoxFuture<'static, ClosedReason> {
        self.inner.closed()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// Puts entries into the ledger, as the parts that make them would.
async fn tell(runtime: &UnifiedRuntime, kinds: Vec<MobEventKind>) {
    let core = &runtime.inner.core;
    core.execute(Durability::Strict, move |core, batch| {
        core.tell(batch, kinds.clone());
        Ok(())
    })
    .await
    .unwrap();
}

fn started(run: &str) -> MobEventKind {
    MobEventKind::FlowStarted {
        run_id: RunId::from(run),
        flow_id: FlowId::from("flow"),
        params: serde_json::Value::Null,
    }
}

fn skipped(run: &str, step: &str) -> MobEventKind {
    MobEventKind::StepSkipped {
        run_id: RunId::from(run),
        step_id: StepId::from(step),
        reason: "no need".into(),
    }
}

/// All pages of a query forwards.
async fn all_pages(
    runtime: &UnifiedRuntime,
    query: &EventQuery,
) -> Vec<MobStructuralEventEnvelope> {
    let mut query = query.clone();
    query.after_seq = Some(Cursor::START);
    let latest = runtime.status().latest_mob_cursor;
    let mut found = Vec::new();
    loop {
        let page = runtime.query_mob_events(&query).await.unwrap();
        let from = query.after_seq.unwrap();
        found.extend(page.events);
        if page.resume_after_seq >= latest {
            return found;
        }
        assert!(page.resume_after_seq > from, "progress is guaranteed");
        query.after_seq = Some(page.resume_after_seq);
    }
}

/// MobKit contract, section 24.3, row 18: the original scans the whole ledger for a sparse filter, and a page whose end does
/// not match is looked through for ever.
#[test]
fn row_18_a_sparse_filter_costs_what_it_finds_and_every_page_goes_on() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    sim.block_on(async {
        let storage = Counting::over(disk.open(&host, StoragePlan::default()));
        let model = ScriptedModel::new(host.clone());
        let built = builder(&host, &disk, &model).storage(storage.clone());
        let runtime = built.build().await.unwrap();
        for at in 0..50 {
            let run = format!("r{at}");
            let mut kinds = vec![started(&run)];
            kinds.extend((0..999).map(|_| skipped("busy", "step")));
            tell(&runtime, kinds).await;
        }
        let latest = runtime.status().latest_mob_cursor;
        assert!(latest.get() > 50_000);
        let query = |change: fn(&mut EventQuery)| {
            let mut query = EventQuery::default();
            change(&mut query);
            query
        };
        let sparse = [
            (query(|query| query.run_id = Some("r25".into())), 1),
            (
                query(|query| query.event_types = vec!["flow_started".into()]),
                50,
            ),
            (query(|query| query.identity = Some("ann".into())), 1),
            (query(|query| query.member_id = Some("nobody".into())), 0),
            (
                query(|query| query.event_types = vec!["mob_created".into(), "mob_reset".into()]),
                1,
            ),
        ];
        for (mut query, found) in sparse {
            for after in [None, Some(Cursor::START), Some(Cursor::new(25_000))] {
                query.after_seq = after;
                storage.taken();
                let page = runtime.query_mob_events(&query).await.unwrap();
                let rows = storage.taken();
                assert!(rows <= 4 * found + 4, "{query:?} read {rows} rows");
                if after.is_none_or(|after| after == Cursor::START) {
                    assert_eq!(page.events.len(), found, "{query:?}");
                }
                assert_eq!(page.resume_after_seq, latest);
            }
        }
        // Without an index: so many rows at a time, and on.
        let later = query(|query| query.since_ms = Some(u64::MAX.into()));
        assert!(all_pages(&runtime, &later).await.is_empty());
        storage.taken();
        let page = runtime
            .query_mob_events(&EventQuery {
                after_seq: Some(Cursor::START),
                ..later
            })
            .await
            .unwrap();
        assert!(page.resume_after_seq.get() < 6_000 && page.next_after_seq == Cursor::START);
    });
}

/// MobKit contract, section 24.3, row 19: nothing comes twice, whatever the places of what is found.
#[test]
fn row_19_queries_find_what_looking_at_every_entry_finds() {
    for seed in 0..4 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let random = SimRandom::new(seed);
        let any = |names: &[&str]| names[random.below(names.len() as u64) as usize].to_owned();
        sim.block_on(async {
            let model = ScriptedModel::new(host.clone());
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            for _ in 0..40 {
                let many = 1 + random.below(40);
                let kinds = (0..many).map(|_| match random.below(3) {
                    0 => started(&any(&["a", "b"])),
                    1 => skipped(&any(&["a", "b", "c"]), &any(&["x", "y"])),
                    _ => MobEventKind::MemberRetired {
                        agent_identity: id(&any(&["ann", "bob", "cid"])),
                        generation: Default::default(),
                        role: "worker".parse().unwrap(),
                    },
                });
                tell(&runtime, kinds.collect()).await;
            }
            let everything = EventQuery {
                limit: Some(100_000),
                ..EventQuery::default()
            };
            let all = runtime.query_mob_events(&everything).await.unwrap().events;
            assert_eq!(all.len() as u64, runtime.status().latest_mob_cursor.get());
            for _ in 0..15 {
                let maybe = || random.below(2) == 0;
                let mut query = EventQuery {
                    limit: Some(10 + random.below(300) as usize),
                    run_id: maybe().then(|| any(&["a", "b", "c", "d"]).as_str().into()),
                    step_id: maybe().then(|| any(&["x", "y"]).as_str().into()),
                    identity: maybe().then(|| any(&["ann", "cid", "lead"])),
                    ..EventQuery::default()
                };
                if maybe() {
                    (query.run_id, query.step_id) = (None, None);
                }
                if maybe() {
                    query.event_types = vec![
                        any(&["flow_started", "member_retired"]),
                        any(&["step_skipped", "mob_created"]),
                    ];
                }
                let matches: Vec<_> = all
                    .iter()
                    .filter(|event| query.envelope_matches(event))
                    .cloned()
                    .collect();
                assert_eq!(all_pages(&runtime, &query).await, matches, "{query:?}");
                let MobEventsPage { events, .. } = runtime.query_mob_events(&query).await.unwrap();
                let newest = matches.len().saturating_sub(query.limit.unwrap());
                assert_eq!(events, matches[newest..], "{query:?}");
            }
        });
    }
}

#[test]
fn a_ledger_without_indexes_is_indexed_when_it_is_opened() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    sim.block_on(async {
        let model = ScriptedModel::new(host.clone());
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        for at in 0..1_200 {
            tell(&runtime, vec![started(&format!("r{}", at % 3))]).await;
        }
        runtime.shutdown().await;
        // As a version without indexes left it.
        let storage = disk.open(&host, StoragePlan::default());
        let mut batch = Batch::new();
        for (key, _) in disk.rows() {
            if key.as_str().starts_with("mob/team/index/") {
                batch.delete(key);
            }
        }
        storage.commit(batch, Durability::Strict).await.unwrap();
        let query = EventQuery {
            run_id: Some("r1".into()),
            limit: Some(1_000),
            ..EventQuery::default()
        };
        for life in 0..2 {
            let storage = Counting::over(disk.open(&host, StoragePlan::default()));
            let built = builder(&host, &disk, &model).storage(storage.clone());
            let runtime = built.build().await.unwrap();
            storage.taken();
            let page = runtime.query_mob_events(&query).await.unwrap();
            assert_eq!(page.events.len(), 400, "life {life}");
            assert!(storage.taken() < 4 * 400, "life {life}");
            let spec = SpawnMemberSpec::new("worker", format!("w{life}")).unwrap();
            runtime.spawn(spec).await.unwrap();
            runtime.shutdown().await;
        }
    });
}
