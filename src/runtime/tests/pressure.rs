//! More than storage takes: full queues, refused steps, texts that are too large.

use super::*;
use crate::mob::WRITER_BACKLOG;
use crate::wire::SpawnMemberSpec;

/// Keeps the writer's queue full for a while.
fn flood(host: &Host, runtime: &UnifiedRuntime) {
    for caller in 0..2 * WRITER_BACKLOG {
        let runtime = runtime.clone();
        host.spawn(async move {
            let (ann, bob) = (id("ann"), id("bob"));
            for round in 0..3 {
                // Many are refused, which is the point.
                let _ = if (caller + round) % 2 == 0 {
                    runtime.wire(&ann, &bob).await
                } else {
                    runtime.unwire(&ann, &bob).await
                };
            }
        });
    }
}

#[test]
fn a_full_queue_refuses_who_knocks_and_holds_up_nobody_who_is_in() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        let plan = StoragePlan {
            max_delay: Duration::from_millis(20),
            ..StoragePlan::seeded(seed)
        };
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model)
                .storage(disk.open(&host, plan))
                .build()
                .await
                .unwrap();
            let accepted = runtime
                .send(&id("lead"), SendRequest::new("build a house"))
                .await
                .unwrap();
            flood(&host, &runtime);
            let outcome = runtime
                .mob_handle()
                .wait_interaction(&accepted.interaction_id)
                .await
                .unwrap();
            assert_eq!(outcome.result, "all done", "seed {seed}");
            assert_eq!(
                model.requests().len(),
                8,
                "seed {seed}: no answer is paid for twice"
            );
            let stats = runtime.inner.writer.as_ref().unwrap().stats();
            assert!(stats.shed > 0, "seed {seed}: the queue was full");
        });
    }
}

#[test]
fn a_member_that_is_back_under_its_name_works() {
    for seed in 0..200 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = ScriptedModel::answering(host.clone(), |_| Reply::text("done"));
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let mut spec = SpawnMemberSpec::new("worker", "cid").unwrap();
            spec.initial_message = Some("begin".into());
            runtime.spawn(spec.clone()).await.unwrap();
            let cid = id("cid");
            runtime.retire(&cid).await.unwrap();
            runtime.spawn(spec).await.unwrap();
            host.sleep(Duration::from_secs(60)).await;
            let (history, _) = runtime.session_history(&cid, 0, 10).await.unwrap();
            assert_eq!(history.len(), 2, "seed {seed}");
        });
    }
}
