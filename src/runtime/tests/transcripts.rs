//! Transcripts: what is in memory, what is stored, and what readers see of them.

use super::*;
use crate::runtime::IfLocked;
use crate::storage::{LocalLease, LocalSignal};
use crate::wire::SpawnMemberSpec;

const SESSIONS: usize = 16;

/// A model that says how much it was shown.
fn counting(host: &Host) -> ScriptedModel {
    ScriptedModel::answering(host.clone(), |request| {
        Reply::text(format!("{} messages", request.messages.len()))
    })
}

fn stored_sessions(disk: &SimDisk) -> Vec<String> {
    let mut sessions: Vec<String> = disk
        .rows()
        .iter()
        .filter_map(|(key, _)| {
            key.as_str()
                .strip_prefix("mob/team/session/")
                .map(str::to_owned)
        })
        .map(|rest| rest.split('/').next().unwrap().to_owned())
        .collect();
    sessions.dedup();
    sessions
}

#[test]
fn few_transcripts_stay_in_memory_and_none_is_forgotten() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = counting(&host);
    let crowd = 2 * SESSIONS;
    sim.block_on(async {
        let limited = builder(&host, &disk, &model).max_sessions(SESSIONS);
        let runtime = limited.build().await.unwrap();
        let core = runtime.inner.core.clone();
        let specs = (0..crowd).map(|at| SpawnMemberSpec::new("worker", format!("w{at}")).unwrap());
        runtime.spawn_many(specs.collect()).await.unwrap();
        for round in 0..3 {
            for at in 0..crowd {
                let asked = runtime
                    .ask(&id(&format!("w{at}")), SendRequest::new("hi"))
                    .await;
                let told = format!("{} messages", 2 * round + 1);
                assert_eq!(asked.unwrap().result, told, "w{at}");
            }
        }
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(core.loaded.borrow().len(), SESSIONS);
        assert_eq!(core.transcripts.len(), 6 * SESSIONS);
    });
}

#[test]
fn a_transcript_goes_with_its_incarnation() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = counting(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        for name in ["ann", "bob"] {
            let asked = runtime.ask(&id(name), SendRequest::new("hi")).await;
            assert_eq!(asked.unwrap().result, "1 messages");
        }
        assert_eq!(stored_sessions(&disk).len(), 2);
        let respawned = runtime.respawn(&id("ann")).await.unwrap();
        runtime.retire(&id("bob")).await.unwrap();
        assert_eq!(stored_sessions(&disk), [] as [String; 0]);
        assert_eq!(runtime.inner.core.transcripts.len(), 0);

        let asked = runtime.ask(&id("ann"), SendRequest::new("hi again")).await;
        assert_eq!(asked.unwrap().result, "1 messages");
        assert_eq!(stored_sessions(&disk), [respawned.session_id.to_string()]);
        runtime.shutdown().await;

        // Also that of a member which has not worked since the start.
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        runtime.retire(&id("ann")).await.unwrap();
        assert_eq!(stored_sessions(&disk), [] as [String; 0]);
    });
}

#[test]
fn work_that_was_put_down_can_be_cancelled_and_its_calls_are_answered() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("peers", json!({})));
    model.push(Reply::hang());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let sent = runtime.send(&id("ann"), SendRequest::new("work")).await;
        let interaction = sent.unwrap().interaction_id;
        host.sleep(Duration::from_secs(1)).await;
        runtime.stop().await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert!(runtime.cancel(&interaction).await.unwrap());
        host.sleep(Duration::from_secs(1)).await;
        let core = runtime.inner.core.clone();
        let session = core.member(&id("ann")).unwrap().session_id.clone();
        assert_eq!(*core.resting.borrow(), [session]);
        runtime.resume().await.unwrap();
        model.push(Reply::text("done"));
        runtime
            .ask(&id("ann"), SendRequest::new("again"))
            .await
            .unwrap();
        let (history, total) = runtime.session_history(&id("ann"), 0, 10).await.unwrap();
        let numbers: Vec<u64> = history.iter().map(|row| row.number).collect();
        assert_eq!((numbers, total), (vec![1, 2, 3, 4, 5], 5));
    });
}

#[test]
fn a_history_is_read_in_parts() {
    let sim = Sim::new(4);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = counting(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let ann = id("ann");
        assert_eq!(
            runtime.session_history(&ann, 0, 5).await.unwrap(),
            (vec![], 0)
        );
        for _ in 0..3 {
            runtime.ask(&ann, SendRequest::new("hi")).await.unwrap();
        }
        for (offset, limit, expected) in [
            (0, 100, 1..=6),
            (0, usize::MAX, 1..=6),
            (0, 2, 1..=2),
            (2, 3, 3..=5),
            (5, 3, 6..=6),
        ] {
            let (rows, total) = runtime.session_history(&ann, offset, limit).await.unwrap();
            let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
            assert_eq!(
                (numbers, total),
                (expected.collect(), 6),
                "{offset} {limit}"
            );
        }
        for (offset, limit) in [(6, 1), (usize::MAX, 1), (0, 0)] {
            let page = runtime.session_history(&ann, offset, limit).await.unwrap();
            assert_eq!(page, (vec![], 6), "{offset} {limit}");
        }
        let status = runtime.member_status(&ann).await.unwrap();
        assert_eq!(status.output_preview.as_deref(), Some("5 messages"));
    });
}

#[test]
fn a_follower_reads_a_transcript_as_it_is_however_often_it_read_it_before() {
    let sim = Sim::new(5);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = counting(&host);
    let (lease, signal) = (Rc::new(LocalLease::new()), LocalSignal::new());
    let open = |if_locked| {
        builder(&host, &disk, &model)
            .lease(lease.clone())
            .signal(Rc::new(signal.peer()))
            .if_locked(if_locked)
            .build()
    };
    sim.block_on(async {
        let first = open(IfLocked::Fail).await.unwrap();
        let second = open(IfLocked::Follow).await.unwrap();
        for round in 0..3 {
            let (_, total) = second.session_history(&id("ann"), 0, 100).await.unwrap();
            assert_eq!(total, 2 * round);
            first.ask(&id("ann"), SendRequest::new("hi")).await.unwrap();
        }
        let led = first.session_history(&id("ann"), 0, 100).await.unwrap();
        let followed = second.session_history(&id("ann"), 0, 100).await.unwrap();
        assert_eq!(followed, led);
    });
}
