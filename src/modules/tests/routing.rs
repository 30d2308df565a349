//! Where something goes (routing_delivery and wildcard_routes of the contract's tests).

use super::*;
use crate::modules::routing::{
    self, RoutingResolution, RoutingResolveRequest, RuntimeRoute, draft, matching, overridden,
};
use crate::sim::SimRandom;
use crate::wire::SpawnMemberSpec;

fn to(recipient: &str) -> RoutingResolveRequest {
    RoutingResolveRequest {
        recipient: recipient.to_owned(),
        ..RoutingResolveRequest::default()
    }
}

pub(super) fn route(key: &str, recipient: &str, channel: Option<&str>, sink: &str) -> RuntimeRoute {
    RuntimeRoute {
        route_key: key.to_owned(),
        recipient: recipient.to_owned(),
        channel: channel.map(str::to_owned),
        sink: sink.to_owned(),
        target_module: "delivery".to_owned(),
        retry_max: None,
        backoff_ms: None,
        rate_limit_per_minute: None,
    }
}

#[test]
fn a_request_comes_to_the_contracts_defaults() {
    for (recipient, sink) in [
        (" ops@example.com ", "email"),
        ("+4930123", "sms"),
        ("ops-team", "webhook"),
        ("+49@x", "email"),
    ] {
        let resolution = draft(&to(recipient)).unwrap();
        let wanted = RoutingResolution {
            route_id: String::new(),
            recipient: recipient.trim().to_owned(),
            channel: "notification".to_owned(),
            sink: sink.to_owned(),
            target_module: "delivery".to_owned(),
            retry_max: 1,
            backoff_ms: 250,
            rate_limit_per_minute: 2,
        };
        assert_eq!(resolution, wanted);
    }
    let wrong = [
        (to(" "), ModuleErrorKind::InvalidRecipient),
        (
            RoutingResolveRequest {
                channel: Some(" ".to_owned()),
                ..to("a")
            },
            ModuleErrorKind::InvalidChannel,
        ),
        (
            RoutingResolveRequest {
                retry_max: Some(11),
                ..to("a")
            },
            ModuleErrorKind::RetryMaxExceedsCap,
        ),
        (
            RoutingResolveRequest {
                rate_limit_per_minute: Some(0),
                ..to("a")
            },
            ModuleErrorKind::InvalidRateLimitPerMinute,
        ),
    ];
    for (request, kind) in wrong {
        assert_eq!(draft(&request).unwrap_err().kind, kind);
    }
}

#[test]
fn what_the_router_answers_is_put_over_it() {
    let base = draft(&to("a")).unwrap();
    let answer = json!({
        "channel": " alerts ", "sink": "", "target_module": 7, "retry_max": 3, "backoff_ms": -1, "rate_limit_per_minute": 9,
    });
    let wanted = RoutingResolution {
        channel: "alerts".to_owned(),
        retry_max: 3,
        rate_limit_per_minute: 9,
        ..base.clone()
    };
    assert_eq!(overridden(base.clone(), &answer).unwrap(), wanted);
    assert_eq!(overridden(base.clone(), &json!("x")).unwrap(), base);
    for (answer, kind) in [
        (
            json!({ "retry_max": 11 }),
            ModuleErrorKind::RetryMaxExceedsCap,
        ),
        (
            json!({ "retry_max": 1_u64 << 40 }),
            ModuleErrorKind::RetryMaxExceedsCap,
        ),
        (
            json!({ "rate_limit_per_minute": 0 }),
            ModuleErrorKind::InvalidRateLimitPerMinute,
        ),
    ] {
        assert_eq!(overridden(base.clone(), &answer).unwrap_err().kind, kind);
    }
}

#[test]
fn a_route_for_this_recipient_and_this_channel_comes_first() {
    let all = [
        route("d", "ada", Some("mail"), "1"),
        route("c", "ada", None, "2"),
        route("b", "ada", Some("*"), "3"),
        route("e", "*", Some("mail"), "4"),
        route("a", "*", Some("*"), "5"),
        route("z", "bob", Some("mail"), "no"),
        route("y", "ada", Some("fax"), "no"),
    ];
    // Without a channel is as good as with this one, and then the key decides.
    let order = ["2", "1", "3", "4", "5"];
    for first in 0..order.len() {
        let left = all
            .iter()
            .filter(|route| !order[..first].contains(&route.sink.as_str()));
        let found = matching(left, "ada", "mail").unwrap();
        assert_eq!(found.sink, order[first]);
    }
    assert_eq!(matching(all[5..].iter(), "ada", "mail"), None);
}

/// The contract's words, one after the other: each rank looked through in the order of the keys.
fn by_the_words<'a>(
    routes: &'a [RuntimeRoute],
    recipient: &str,
    channel: &str,
) -> Option<&'a RuntimeRoute> {
    let mut sorted: Vec<_> = routes.iter().collect();
    sorted.sort_by(|a, b| a.route_key.cmp(&b.route_key));
    let exact = |route: &&&RuntimeRoute| {
        route.channel.is_none() || route.channel.as_deref() == Some(channel)
    };
    let any = |route: &&&RuntimeRoute| route.channel.as_deref() == Some("*");
    let of = |who: &'static str| move |route: &&&RuntimeRoute| route.recipient == who;
    let him = |route: &&&RuntimeRoute| route.recipient == recipient;
    let found = sorted.iter().filter(him).find(exact);
    let found = found.or_else(|| sorted.iter().filter(him).find(any));
    let found = found.or_else(|| sorted.iter().filter(of("*")).find(exact));
    let found = found.or_else(|| sorted.iter().filter(of("*")).find(any));
    found.copied()
}

#[test]
fn random_tables_are_matched_in_the_contracts_order() {
    let random = SimRandom::new(11);
    let pick = |words: &[&'static str]| words[random.below(words.len() as u64) as usize];
    for _ in 0..2_000 {
        let routes: Vec<RuntimeRoute> = (0..random.below(12))
            .map(|at| {
                let channel = pick(&["", "*", "mail", "fax"]);
                let channel = (!channel.is_empty()).then_some(channel);
                let key = format!("{}{at}", pick(&["a", "b", "c"]));
                route(&key, pick(&["*", "ada", "bob"]), channel, "s")
            })
            .collect();
        // Whoever is called as the wildcard is, is nobody else.
        let (recipient, channel) = (pick(&["ada", "bob", "*"]), pick(&["mail", "fax", "*"]));
        assert_eq!(
            matching(routes.iter(), recipient, channel),
            by_the_words(&routes, recipient, channel),
            "{recipient} {channel} {routes:?}"
        );
    }
}

#[test]
fn routes_are_checked_kept_and_deleted() {
    in_sim(1, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        let wrong = [
            (route(" ", "a", None, "s"), ModuleErrorKind::EmptyRouteKey),
            (route("k", " ", None, "s"), ModuleErrorKind::EmptyRecipient),
            (
                route("k", "a", Some(""), "s"),
                ModuleErrorKind::InvalidChannel,
            ),
            (route("k", "a", None, " "), ModuleErrorKind::EmptySink),
            (
                RuntimeRoute {
                    target_module: String::new(),
                    ..route("k", "a", None, "s")
                },
                ModuleErrorKind::EmptyTargetModule,
            ),
            (
                RuntimeRoute {
                    retry_max: Some(11),
                    ..route("k", "a", None, "s")
                },
                ModuleErrorKind::RetryMaxExceedsCap,
            ),
        ];
        for (route, wanted) in wrong {
            assert_eq!(kind(modules.add_route(route).await), wanted);
        }
        modules
            .add_route(route(" k ", " ada ", None, "fax"))
            .await
            .unwrap();
        modules
            .add_route(route("k", "ada", Some("mail"), "pager"))
            .await
            .unwrap();
        assert_eq!(modules.routes().len(), 1, "one of the same key is replaced");
        runtime.shutdown().await;
        // They outlive the runtime.
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        assert_eq!(modules.routes()[0].sink, "pager");
        let request = RoutingResolveRequest {
            channel: Some("mail".to_owned()),
            ..to("ada")
        };
        let first = modules.resolve_routing(request.clone()).await.unwrap();
        assert_eq!(
            (first.route_id.as_str(), first.sink.as_str()),
            ("route-000000", "pager")
        );
        assert_eq!(modules.delete_route(" k ").await.unwrap().sink, "pager");
        assert_eq!(
            kind(modules.delete_route("k").await),
            ModuleErrorKind::RouteNotFound
        );
        let second = modules.resolve_routing(request).await.unwrap();
        assert_eq!(
            (second.route_id.as_str(), second.sink.as_str()),
            ("route-000001", "webhook")
        );
        let events = told(&runtime).await;
        assert_eq!(events.len(), 2);
        assert_eq!(
            (events[1].0.as_str(), events[1].1.as_str()),
            ("router", "resolved")
        );
        assert_eq!(events[1].2["route_id"], "route-000001");
    });
}

#[test]
fn a_name_that_is_too_long_is_refused_and_a_long_recipient_is_not() {
    in_sim(6, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        let long = "ü".repeat(200);
        let refused = modules
            .add_route(route(&long, "a", None, "s"))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "invalid_input");
        let resolution = modules.resolve_routing(to(&long.repeat(20))).await.unwrap();
        let record = modules
            .send_delivery(super::sending::send(&resolution, json!(1), None))
            .await;
        assert_eq!(record.unwrap().status.as_str(), "sent");
    });
}

#[test]
fn without_router_or_delivery_nothing_is_routed() {
    in_sim(2, async |_, host, disk| {
        let router = || ModuleConfig::built_in("router").unwrap();
        let runtime = builder(&host, &disk).build().await.unwrap();
        let refused = runtime.modules().resolve_routing(to("a")).await;
        assert_eq!(kind(refused), ModuleErrorKind::RouterModuleNotLoaded);
        runtime.shutdown().await;
        let runtime = builder(&host, &disk)
            .module(router())
            .build()
            .await
            .unwrap();
        let refused = runtime.modules().resolve_routing(to("a")).await;
        assert_eq!(kind(refused), ModuleErrorKind::DeliveryModuleNotLoaded);
    });
}

#[test]
fn a_router_that_fails_is_told_as_such() {
    in_sim(3, async |_, host, disk| {
        let router = Script::new(&host).tool("routing.resolve", |args, _| match args["recipient"]
            .as_str()
        {
            Some("text") => Ok(json!(r#"{ "sink": "pigeon" }"#)),
            Some("junk") => Ok(json!("not json")),
            _ => Err(failed("lost")),
        });
        let builder = builder(&host, &disk)
            .module(router.config("router"))
            .module(ModuleConfig::built_in("delivery").unwrap());
        let runtime = builder.build().await.unwrap();
        let modules = runtime.modules();
        let refused = modules.resolve_routing(to("x")).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.to_string().as_str()),
            ("routing_boundary", "lost")
        );
        assert_eq!(refused.data().data["cause"], "tool_call_failed");
        // MCP servers answer texts.
        assert_eq!(
            modules.resolve_routing(to("text")).await.unwrap().sink,
            "pigeon"
        );
        let junk = modules.resolve_routing(to("junk")).await.unwrap_err();
        assert_eq!(junk.data().data["cause"], "invalid_json_response");
    });
}

#[test]
fn a_reconciliation_brings_a_route_to_each_member() {
    in_sim(4, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let spec = |name: &str| SpawnMemberSpec::new("p", name).unwrap();
        let report = runtime
            .reconcile(vec![spec("ada"), spec("bob")])
            .await
            .unwrap();
        assert!(report.routing.router_module_loaded);
        assert_eq!(
            report.routing.added_route_keys,
            ["mob.member.ada", "mob.member.bob"]
        );
        let resolution = runtime.modules().resolve_routing(to("bob")).await.unwrap();
        assert_eq!(resolution.sink, "mob_member");
        let report = runtime.reconcile(vec![spec("ada")]).await.unwrap();
        assert_eq!(report.routing.removed_route_keys, ["mob.member.bob"]);
        assert_eq!(report.routing.added_route_keys, [""; 0]);
        assert_eq!(runtime.modules().routes().len(), 1);
        runtime.shutdown().await;
        let runtime = builder(&host, &disk).build().await.unwrap();
        let report = runtime.reconcile(vec![spec("carl")]).await.unwrap();
        assert_eq!(
            report.routing,
            Default::default(),
            "without a router nothing is touched"
        );
        assert_eq!(runtime.modules().routes()[0].recipient, "ada");
    });
}

#[test]
fn answers_beyond_512_are_forgotten() {
    in_sim(5, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        for _ in 0..routing_limit() + 2 {
            modules.resolve_routing(to("a")).await.unwrap();
        }
        let stored = disk.rows();
        let kept = stored
            .iter()
            .filter(|row| row.0.as_str().contains("/module/resolution/"));
        assert_eq!(kept.count(), routing_limit());
    });
}

fn routing_limit() -> usize {
    assert_eq!(routing::RETRY_MAX_CAP, 10);
    512
}
