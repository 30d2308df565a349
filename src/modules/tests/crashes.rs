//! Deliveries over crashes: whatever dies, and however often it is asked for, something is delivered once.

use super::sending::{resolve, send};
use super::*;
use crate::modules::delivery::DeliveryStatus;

/// What a world outside has heard: which deliveries, how often each.
type Heard = Rc<RefCell<Vec<String>>>;

/// Asks for three deliveries, each with a key, until all have ended: one to a member, one to a module, and one that the module
/// `delivery` carries out itself, which is busy the first time.
async fn deliver(host: Host, disk: &SimDisk, storage: Rc<dyn Storage>, heard: &Heard, seed: u64) {
    let busy = Cell::new(seed.is_multiple_of(2));
    let hear = heard.clone();
    let delivery = Script::new(&host).tool("delivery.send", move |args, _| {
        if args["sink"] != "email" {
            return Ok(json!({}));
        }
        if busy.replace(false) {
            return Err(failed("busy"));
        }
        hear.borrow_mut()
            .push(format!("email {}", args["delivery_id"]));
        Ok(json!({ "adapter": "smtp" }))
    });
    let hear = heard.clone();
    let pager = Script::new(&host).tool("delivery.receive", move |args, _| {
        hear.borrow_mut()
            .push(format!("pager {}", args["delivery_id"]));
        Ok(Value::Null)
    });
    let builder = builder(&host, disk)
        .storage(storage)
        .module(ModuleConfig::built_in("router").unwrap())
        .module(delivery.config("delivery"))
        .module(pager.config("pager"));
    let runtime = builder.build().await.unwrap();
    let modules = runtime.modules();
    for (key, recipient, sink) in [("a", "ada", "mob_member"), ("b", "pager", "module")] {
        let route = super::routing::route(key, recipient, None, sink);
        modules.add_route(route).await.unwrap();
    }
    for recipient in ["ada", "pager", "ops@example.com"] {
        // A caller that died asks again for what it knows of: its answer is in the history, else it resolves anew.
        let known = modules.delivery_history(Some(recipient), None, 1);
        if known
            .iter()
            .any(|record| record.status == DeliveryStatus::Sent)
        {
            continue;
        }
        let open = modules.0.state.deliveries.all();
        let open = open.iter().find(|row| row.record.recipient == recipient);
        let resolution = match open {
            Some(row) => row.resolution.clone(),
            None => resolve(modules, recipient).await,
        };
        let record = modules
            .send_delivery(send(&resolution, json!(recipient), Some("k")))
            .await;
        assert_eq!(record.unwrap().status, DeliveryStatus::Sent);
    }
    host.sleep(Duration::from_secs(6)).await;
    let (messages, _) = runtime.session_history(&id("ada"), 0, 50).await.unwrap();
    let said: Vec<String> = messages
        .iter()
        .map(|it| serde_json::to_string(&it.message).unwrap())
        .collect();
    assert_eq!(
        said.iter().filter(|it| it.contains("\"ada\"")).count(),
        1,
        "{said:?}"
    );
    assert_eq!(modules.delivery_history(None, None, 200).len(), 3);
}

#[test]
fn deliveries_are_idempotent_over_a_crash_at_every_commit() {
    let whole = |seed, disk: &SimDisk, plan, heard: &Heard| {
        life(seed, disk, plan, async |host, storage| {
            deliver(host, disk, storage, heard, seed).await;
        })
    };
    let (disk, heard) = (SimDisk::new(), Heard::default());
    whole(2, &disk, StoragePlan::default(), &heard).unwrap();
    let commits = disk.commits();
    assert_eq!(heard.borrow().len(), 2);
    assert!(commits > 10, "{commits}");
    at_every_commit(commits, |at, plan, name| {
        let (disk, heard) = (SimDisk::new(), Heard::default());
        let _ = whole(at, &disk, plan, &heard);
        whole(at + 1_000, &disk, StoragePlan::default(), &heard).unwrap();
        // Whoever is outside may hear of one twice, over the crash, but always by the same name.
        let mut names = heard.borrow().clone();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2, "{name}: {names:?}");
        assert!(all <= 3, "{name}: {all}");
    });
}

#[test]
fn storage_that_refuses_for_a_while_loses_no_delivery() {
    in_sim(5, async |_, host, disk| {
        let error = || crate::storage::DomError::new("AbortError", "no");
        let plan = (8..12).fold(StoragePlan::default(), |plan, at| {
            plan.at(
                at,
                CommitFault::Fail(crate::storage::StorageError::Aborted(error())),
            )
        });
        let storage = disk.open(&host, plan);
        let heard = Heard::default();
        // An error is an answer too: what was accepted is carried out all the same.
        let builder = builder(&host, &disk)
            .storage(storage)
            .module(ModuleConfig::built_in("router").unwrap())
            .module(ModuleConfig::built_in("delivery").unwrap());
        let runtime = builder.build().await.unwrap();
        let modules = runtime.modules();
        let resolution = loop {
            let request = crate::modules::routing::RoutingResolveRequest {
                recipient: "x".into(),
                rate_limit_per_minute: Some(50),
                ..Default::default()
            };
            if let Ok(resolution) = modules.resolve_routing(request).await {
                break resolution;
            }
        };
        let mut sent = 0;
        for n in 0..6 {
            let asked = send(&resolution, json!(n), Some("k"));
            let asked = crate::modules::delivery::DeliverySendRequest {
                idempotency_key: Some(format!("k{n}")),
                ..asked
            };
            sent += usize::from(modules.send_delivery(asked).await.is_ok());
        }
        host.sleep(Duration::from_secs(60)).await;
        let ended = modules.delivery_history(None, None, 200);
        assert!(ended.len() >= sent && sent >= 2, "{} {sent}", ended.len());
        assert!(
            ended
                .iter()
                .all(|record| record.status == DeliveryStatus::Sent)
        );
        assert_eq!(heard.borrow().len(), 0);
    });
}

#[test]
fn a_delivery_that_is_under_way_is_gone_on_with_though_nobody_calls() {
    let (disk, heard, alarm) = (
        SimDisk::new(),
        Rc::new(Cell::new(0)),
        Rc::new(Alarm::default()),
    );
    let build = async |host: &Host, takes: Duration| {
        let hear = heard.clone();
        let delivery = Script::new(host).tool("delivery.send", move |_, _| {
            hear.set(hear.get() + 1);
            Ok(json!({ "adapter": "a" }))
        });
        delivery.0.takes.set(takes);
        let builder = builder(host, &disk)
            .wake(alarm.clone())
            .module(ModuleConfig::built_in("router").unwrap())
            .module(delivery.config("delivery"));
        builder.build().await.unwrap()
    };
    let sim = Sim::new(6);
    sim.block_on(async {
        let host = sim.host();
        let runtime = build(&host, Duration::from_secs(20)).await;
        let modules = runtime.modules().clone();
        let resolution = resolve(&modules, "x").await;
        assert_eq!(alarm.0.get().0, None);
        let begun = host.now_ms();
        host.spawn(async move {
            modules
                .send_delivery(send(&resolution, json!(1), None))
                .await
        });
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(alarm.0.get().0, Some(begun + 30_000));
    });
    sim.crash();
    assert_eq!(heard.get(), 0);
    let sim = Sim::new(7);
    sim.block_on(async {
        let host = sim.host();
        let runtime = build(&host, Duration::ZERO).await;
        runtime.woken();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(heard.get(), 1);
        let record = runtime.modules().delivery_history(None, None, 1).remove(0);
        assert_eq!(record.status, DeliveryStatus::Sent);
        assert_eq!(alarm.0.get().0, None);
    });
}
