//! Deliveries (routing_delivery of the contract's tests).

use super::routing::route;
use super::*;
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::mob::SendRequest;
use crate::modules::RateScope;
use crate::modules::delivery::{DeliveryRecord, DeliverySendRequest, DeliveryStatus};
use crate::modules::routing::{RoutingResolution, RoutingResolveRequest};
use crate::runtime::RuntimeOptions;

pub(super) async fn resolve(modules: &Modules, recipient: &str) -> RoutingResolution {
    let request = RoutingResolveRequest {
        recipient: recipient.to_owned(),
        rate_limit_per_minute: Some(100),
        ..RoutingResolveRequest::default()
    };
    modules.resolve_routing(request).await.unwrap()
}

pub(super) fn send(
    resolution: &RoutingResolution,
    payload: Value,
    key: Option<&str>,
) -> DeliverySendRequest {
    DeliverySendRequest {
        resolution: resolution.clone(),
        payload,
        idempotency_key: key.map(str::to_owned),
    }
}

fn attempts(record: &DeliveryRecord) -> Vec<(u32, &'static str, u64)> {
    let attempts = record.attempts.iter();
    attempts
        .map(|it| (it.attempt, it.status.as_str(), it.backoff_ms))
        .collect()
}

/// A runtime whose `delivery` is a script.
async fn with_delivery(host: &Host, disk: &SimDisk, delivery: &Script) -> UnifiedRuntime {
    let builder = builder(host, disk)
        .module(ModuleConfig::built_in("router").unwrap())
        .module(delivery.config("delivery"));
    builder.build().await.unwrap()
}

#[test]
fn what_is_sent_is_recorded_and_told() {
    in_sim(1, async |_, host, disk| {
        let delivery =
            Script::new(&host).tool("delivery.send", |_, _| Ok(json!({ "adapter": "smtp" })));
        let runtime = with_delivery(&host, &disk, &delivery).await;
        let modules = runtime.modules();
        let resolution = resolve(modules, "ops@example.com").await;
        let record = modules
            .send_delivery(send(&resolution, json!({ "n": 1 }), Some("k")))
            .await
            .unwrap();
        assert_eq!(record.delivery_id, "delivery-000000");
        assert_eq!(
            (record.status, record.sink_adapter.as_deref()),
            (DeliveryStatus::Sent, Some("smtp"))
        );
        assert_eq!(attempts(&record), [(1, "sent", 0)]);
        let (tool, args, context) = delivery.calls().remove(0);
        assert_eq!(tool, "delivery.send");
        assert_eq!(
            args,
            json!({
                "delivery_id": "delivery-000000", "attempt": 1, "route_id": "route-000000", "recipient": "ops@example.com",
                "channel": "notification", "sink": "email", "payload": { "n": 1 }, "idempotency_key": "k",
            })
        );
        assert_eq!(context.delivery_id.as_deref(), Some("delivery-000000"));
        let events = told(&runtime).await;
        let (module, event_type, payload) = events.last().unwrap();
        assert_eq!((module.as_str(), event_type.as_str()), ("delivery", "send"));
        assert_eq!(
            (&payload["delivery_id"], &payload["status"]),
            (&json!("delivery-000000"), &json!("sent"))
        );
        assert_eq!(modules.delivery_history(None, None, 20), [record]);
    });
}

#[test]
fn a_key_names_one_delivery_for_ever() {
    in_sim(2, async |_, host, disk| {
        let delivery =
            Script::new(&host).tool("delivery.send", |_, _| Ok(json!({ "adapter": "a" })));
        delivery.0.takes.set(Duration::from_secs(1));
        let runtime = with_delivery(&host, &disk, &delivery).await;
        let modules = runtime.modules().clone();
        let resolution = resolve(&modules, "x").await;
        // Two at once, and one later.
        let both = {
            let (modules, request) = (modules.clone(), send(&resolution, json!(1), Some("k")));
            host.spawn(async move { modules.send_delivery(request).await })
        };
        let first = modules
            .send_delivery(send(&resolution, json!(1), Some("k")))
            .await
            .unwrap();
        assert_eq!(both.await.unwrap().unwrap(), first);
        assert_eq!(
            modules
                .send_delivery(send(&resolution, json!(1), Some("k")))
                .await
                .unwrap(),
            first
        );
        assert_eq!(delivery.calls().len(), 1);
        let other = modules
            .send_delivery(send(&resolution, json!(2), Some("k")))
            .await;
        assert_eq!(kind(other), ModuleErrorKind::IdempotencyPayloadMismatch);
        let blank = modules
            .send_delivery(send(&resolution, json!(1), Some(" ")))
            .await;
        assert_eq!(kind(blank), ModuleErrorKind::InvalidIdempotencyKey);
        // Another route is another scope, and without a key each is another delivery.
        let again = resolve(&modules, "x").await;
        modules
            .send_delivery(send(&again, json!(1), Some("k")))
            .await
            .unwrap();
        modules
            .send_delivery(send(&again, json!(1), None))
            .await
            .unwrap();
        modules
            .send_delivery(send(&again, json!(1), None))
            .await
            .unwrap();
        assert_eq!(delivery.calls().len(), 4);
        // Though its answer is forgotten.
        for _ in 0..513 {
            resolve(&modules, "y").await;
        }
        assert_eq!(
            modules
                .send_delivery(send(&resolution, json!(1), Some("k")))
                .await
                .unwrap(),
            first
        );
        let forgotten = modules
            .send_delivery(send(&resolution, json!(1), Some("new")))
            .await;
        assert_eq!(kind(forgotten), ModuleErrorKind::UnknownRouteId);
        let forged = RoutingResolution {
            sink: "b".to_owned(),
            ..resolution
        };
        let forged = modules
            .send_delivery(send(&forged, json!(1), Some("k")))
            .await;
        assert_eq!(kind(forged), ModuleErrorKind::ForgedResolution);
    });
}

#[test]
fn only_what_was_answered_is_trusted() {
    in_sim(3, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        modules
            .add_route(
                route("t", "bad-target", None, "s").also(|it| it.target_module = "other".into()),
            )
            .await
            .unwrap();
        let good = resolve(modules, "x").await;
        let cases = [
            (
                good.clone().also(|it| it.route_id = " ".into()),
                ModuleErrorKind::InvalidRouteId,
            ),
            (
                good.clone().also(|it| it.route_id = "route-9".into()),
                ModuleErrorKind::UnknownRouteId,
            ),
            (
                good.clone().also(|it| it.route_id = "x".into()),
                ModuleErrorKind::UnknownRouteId,
            ),
            (
                good.clone().also(|it| it.recipient = "y".into()),
                ModuleErrorKind::ForgedResolution,
            ),
            (
                good.clone().also(|it| it.rate_limit_per_minute = 9_999),
                ModuleErrorKind::ForgedResolution,
            ),
            (
                resolve(modules, "bad-target").await,
                ModuleErrorKind::InvalidRouteTarget,
            ),
        ];
        for (resolution, wanted) in cases {
            let refused = modules
                .send_delivery(send(&resolution, json!(1), None))
                .await;
            assert_eq!(kind(refused), wanted, "{resolution:?}");
        }
        assert_eq!(modules.delivery_history(None, None, 20), []);
    });
}

trait Also: Sized {
    fn also(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl<T> Also for T {}

#[test]
fn failures_are_repeated_after_the_routes_pause_and_no_more_often() {
    in_sim(4, async |_, host, disk| {
        let left = Rc::new(Cell::new(2));
        let failing = left.clone();
        let delivery = Script::new(&host).tool("delivery.send", move |_, _| match failing.get() {
            0 => Ok(json!({ "adapter": "a" })),
            n => {
                failing.set(n - 1);
                Err(failed("busy"))
            }
        });
        let runtime = with_delivery(&host, &disk, &delivery).await;
        let modules = runtime.modules();
        let request = RoutingResolveRequest {
            recipient: "x".to_owned(),
            retry_max: Some(2),
            backoff_ms: Some(700),
            ..RoutingResolveRequest::default()
        };
        let resolution = modules.resolve_routing(request).await.unwrap();
        let begun = host.now_ms();
        let record = modules
            .send_delivery(send(&resolution, json!(1), None))
            .await
            .unwrap();
        assert_eq!(
            attempts(&record),
            [
                (1, "transient_failure", 700),
                (2, "transient_failure", 700),
                (3, "sent", 0),
            ]
        );
        assert_eq!(host.now_ms() - begun, 1_400);
        assert_eq!(
            record.final_attempt_ms.get() - record.first_attempt_ms.get(),
            1_400
        );
        assert_eq!(record.error, None);
        // Once too often: a typed error, and the record says what happened.
        left.set(3);
        let refused = modules
            .send_delivery(send(&resolution, json!(2), Some("k")))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), refused.to_string().as_str()),
            ("delivery_boundary", "busy")
        );
        assert_eq!(
            refused.data().data,
            json!({ "delivery_id": "delivery-000001" })
        );
        let failed = modules.delivery_history(None, None, 1).remove(0);
        assert_eq!(
            (failed.status, failed.error.as_deref()),
            (DeliveryStatus::Failed, Some("busy"))
        );
        // It did not count, and the key goes on with the same delivery.
        let record = modules
            .send_delivery(send(&resolution, json!(2), Some("k")))
            .await
            .unwrap();
        assert_eq!(record.delivery_id, "delivery-000001");
        assert_eq!(attempts(&record).len(), 4);
        assert_eq!(record.status, DeliveryStatus::Sent);
        let limited = modules
            .send_delivery(send(&resolution, json!(3), None))
            .await;
        assert_eq!(kind(limited), ModuleErrorKind::RateLimited);
    });
}

#[test]
fn force_fail_fails_at_once() {
    in_sim(5, async |_, host, disk| {
        let delivery = Script::new(&host).tool("delivery.send", |args, _| {
            Ok(json!({ "force_fail": args["payload"] == "fail there" }))
        });
        let runtime = with_delivery(&host, &disk, &delivery).await;
        let modules = runtime.modules();
        let resolution = resolve(modules, "x").await;
        for payload in [json!("fail there"), json!({ "force_fail": true })] {
            let record = modules
                .send_delivery(send(&resolution, payload, None))
                .await
                .unwrap();
            assert_eq!(
                (record.status, attempts(&record)),
                (DeliveryStatus::Failed, vec![(1, "failed", 0)])
            );
        }
    });
}

#[test]
fn row_27_resolving_anew_does_not_get_around_the_rate() {
    for (scope, by_route) in [(RateScope::Recipient, false), (RateScope::Route, true)] {
        in_sim(6, async |sim, host, disk| {
            let options = RuntimeOptions {
                rate_scope: scope,
                ..RuntimeOptions::default()
            };
            let builder = builder(&host, &disk)
                .module(ModuleConfig::built_in("router").unwrap())
                .module(ModuleConfig::built_in("delivery").unwrap())
                .runtime_options(options);
            sim.set_wall_clock(1_000 * 60_000 + 5_000);
            let runtime = builder.build().await.unwrap();
            let modules = runtime.modules();
            let resolve = async || {
                let request = RoutingResolveRequest {
                    recipient: "x".into(),
                    ..Default::default()
                };
                modules.resolve_routing(request).await.unwrap()
            };
            let first = resolve().await;
            for _ in 0..2 {
                modules
                    .send_delivery(send(&first, json!(1), None))
                    .await
                    .unwrap();
            }
            let limited = modules
                .send_delivery(send(&first, json!(1), None))
                .await
                .unwrap_err();
            assert_eq!(
                limited.to_string(),
                "rate limit exceeded for sink 'webhook' at window 60000000 (limit=2)"
            );
            assert_eq!(
                limited.data().data,
                json!({ "sink": "webhook", "window_start_ms": 60_000_000, "limit": 2 })
            );
            let anew = resolve().await;
            let sent = modules.send_delivery(send(&anew, json!(1), None)).await;
            assert_eq!(sent.is_ok(), by_route);
            // A clock that is set back stays in the window; the next minute is another.
            sim.set_wall_clock(999 * 60_000);
            assert_eq!(
                kind(modules.send_delivery(send(&first, json!(1), None)).await),
                ModuleErrorKind::RateLimited
            );
            sim.set_wall_clock(1_001 * 60_000);
            modules
                .send_delivery(send(&first, json!(1), None))
                .await
                .unwrap();
        });
    }
}

#[test]
fn a_delivery_reaches_a_members_mailbox() {
    in_sim(7, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        modules
            .add_route(route("m", "*", None, "mob_member"))
            .await
            .unwrap();
        let record = modules
            .send_delivery(send(
                &resolve(modules, "ada").await,
                json!("fire in hall 3"),
                None,
            ))
            .await
            .unwrap();
        assert_eq!(
            (record.status, record.sink_adapter.as_deref()),
            (DeliveryStatus::Sent, Some("mailbox"))
        );
        host.sleep(Duration::from_secs(1)).await;
        let (messages, _) = runtime.session_history(&id("ada"), 0, 10).await.unwrap();
        let said: Vec<String> = messages
            .iter()
            .map(|it| serde_json::to_string(&it.message).unwrap())
            .collect();
        assert!(
            said[0].contains("fire in hall 3") && said[1].contains("heard"),
            "{said:?}"
        );
        let nobody = modules
            .send_delivery(send(&resolve(modules, "bob").await, json!("x"), None))
            .await
            .unwrap();
        assert_eq!(
            (nobody.status, nobody.error.as_deref()),
            (DeliveryStatus::Failed, Some("mob member not found: bob"))
        );
        assert_eq!(nobody.attempts.len(), 1, "trying again would help nothing");
    });
}

/// Answers these statuses, one after the other, and keeps what was posted.
#[derive(Clone, Default)]
struct Hooks(Rc<RefCell<(Vec<u16>, Vec<HttpRequest>)>>);

impl HttpClient for Hooks {
    fn send(
        &self,
        request: HttpRequest,
    ) -> LocalBoxFuture<'static, Result<HttpResponse, HttpError>> {
        let mut hooks = self.0.borrow_mut();
        hooks.1.push(request);
        let status = hooks.0.remove(0);
        futures::future::ready(match status {
            0 => Err(HttpError {
                name: "TypeError".into(),
                message: "refused".into(),
                hint: None,
            }),
            status => Ok(HttpResponse {
                status,
                headers: Vec::new(),
                body: futures::stream::empty().boxed_local(),
            }),
        })
        .boxed_local()
    }
}

use futures::StreamExt;

#[test]
fn a_delivery_reaches_a_webhook_and_a_module() {
    in_sim(8, async |_, host, disk| {
        let hooks = Hooks::default();
        let receiver = Script::new(&host).tool("delivery.receive", |args, _| Ok(args.clone()));
        let builder = builder(&host, &disk)
            .module(ModuleConfig::built_in("router").unwrap())
            .module(ModuleConfig::built_in("delivery").unwrap())
            .module(receiver.config("pager"))
            .webhooks(Rc::new(hooks.clone()));
        let runtime = builder.build().await.unwrap();
        let modules = runtime.modules();
        let url = "https://hooks.example.com/x";
        for (statuses, status, tried) in [
            (vec![204], DeliveryStatus::Sent, 1),
            (vec![503, 200], DeliveryStatus::Sent, 2),
            (vec![0, 0], DeliveryStatus::Failed, 2),
            (vec![404], DeliveryStatus::Failed, 1),
            (vec![429, 200], DeliveryStatus::Sent, 2),
        ] {
            hooks.0.borrow_mut().0 = statuses.clone();
            let resolution = resolve(modules, url).await;
            let record = modules
                .send_delivery(send(&resolution, json!({ "a": 1 }), None))
                .await
                .unwrap();
            assert_eq!(
                (record.status, record.attempts.len()),
                (status, tried),
                "{statuses:?}"
            );
            assert_eq!(record.sink_adapter.as_deref(), Some("webhook"));
        }
        let posted = hooks.0.borrow().1[0].clone();
        assert_eq!((posted.method.as_str(), posted.url.as_str()), ("POST", url));
        assert!(
            posted
                .headers
                .contains(&("idempotency-key".into(), "delivery-000000".into()))
        );
        let body: Value = serde_json::from_slice(&posted.body).unwrap();
        assert_eq!(body["payload"], json!({ "a": 1 }));
        modules
            .add_route(route("p", "pager", None, "module"))
            .await
            .unwrap();
        let resolution = resolve(modules, "pager").await;
        let record = modules
            .send_delivery(send(&resolution, json!("hi"), None))
            .await
            .unwrap();
        assert_eq!(
            (record.status, record.sink_adapter.as_deref()),
            (DeliveryStatus::Sent, Some("module"))
        );
        assert_eq!(receiver.calls()[0].1["payload"], "hi");
    });
}

#[test]
fn the_history_keeps_200_and_filters() {
    in_sim(9, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        let mut resolutions = Vec::new();
        for recipient in ["a", "b@x"] {
            let request = RoutingResolveRequest {
                recipient: recipient.into(),
                rate_limit_per_minute: Some(1_000),
                ..Default::default()
            };
            resolutions.push(modules.resolve_routing(request).await.unwrap());
        }
        for n in 0..202 {
            modules
                .send_delivery(send(&resolutions[n % 2], json!(n), None))
                .await
                .unwrap();
        }
        let ids = |recipient, sink, limit| -> Vec<String> {
            let found = modules.delivery_history(recipient, sink, limit);
            found.into_iter().map(|record| record.delivery_id).collect()
        };
        assert_eq!(ids(None, None, 1_000).len(), 200);
        assert_eq!(ids(None, None, 1_000)[0], "delivery-000002");
        assert_eq!(ids(None, None, 2), ["delivery-000200", "delivery-000201"]);
        assert_eq!(ids(Some("a"), Some(" "), 1), ["delivery-000200"]);
        assert_eq!(ids(None, Some("email"), 1), ["delivery-000201"]);
        assert_eq!(ids(Some("a"), Some("email"), 5), [""; 0]);
        // A member hears nothing of all that.
        runtime
            .ask(&id("ada"), SendRequest::new("hello"))
            .await
            .unwrap();
    });
}
