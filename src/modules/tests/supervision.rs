//! Modules that are started, watched and started again (module_restart, mcp_boundary and agent_lifecycle of the contract's tests).

use super::*;
use crate::modules::ModuleHealth::{Failed, Healthy, Restarting, Starting, Stopped};
use crate::modules::{RestartBudget, RestartPolicy, restart_after};
use crate::runtime::RuntimeOptions;

#[test]
fn when_a_module_is_started_again() {
    let budget = RestartBudget {
        on_failure: 2,
        always: 3,
        backoff: Duration::from_millis(100),
    };
    let ms = |ms| Some(Duration::from_millis(ms));
    let cases = [
        (RestartPolicy::Never, vec![None]),
        (RestartPolicy::OnFailure, vec![ms(100), ms(200), None]),
        (RestartPolicy::Always, vec![ms(100), ms(200), ms(400), None]),
    ];
    for (policy, pauses) in cases {
        for (restarts, pause) in pauses.into_iter().enumerate() {
            let after = restart_after(policy, restarts as u32, &budget);
            assert_eq!(after, pause, "{policy:?} {restarts}");
        }
    }
    let patient = RestartBudget {
        on_failure: 1_000,
        ..budget
    };
    let longest = restart_after(RestartPolicy::OnFailure, 900, &patient);
    assert_eq!(longest, Some(Duration::from_secs(30)));
}

/// A runtime with one module of a policy.
async fn with(
    host: &Host,
    disk: &SimDisk,
    script: &Script,
    change: impl FnOnce(&mut ModuleConfig),
) -> UnifiedRuntime {
    let mut config = script.config("mod");
    change(&mut config);
    let options = RuntimeOptions {
        restart_budget: RestartBudget {
            on_failure: 2,
            always: 2,
            backoff: Duration::from_millis(500),
        },
        ..RuntimeOptions::default()
    };
    let builder = builder(host, disk).module(config).runtime_options(options);
    builder.build().await.unwrap()
}

#[test]
fn a_module_starts_and_answers() {
    in_sim(1, async |sim, host, disk| {
        let script = Script::echo(&host);
        let runtime = with(&host, &disk, &script, |_| {}).await;
        let modules = runtime.modules();
        // Whoever calls at once waits for the start.
        let said = modules.call_tool("mod", "say", json!({ "a": 1 })).await;
        assert_eq!(said.unwrap(), json!({ "a": 1 }));
        assert_eq!(moves(modules, "mod"), [Starting, Healthy]);
        assert_eq!(modules.loaded(), ["mod"]);
        assert_eq!(modules.statuses()[0].tools, ["say"]);
        let first = &modules.statuses()[0].transitions[0];
        assert_eq!((first.from, first.attempt), (None, 0));
        host.sleep(Duration::from_secs(5)).await;
        assert_eq!(sim.armed_timers(), 0, "a module that is fit costs nothing");
    });
}

#[test]
fn a_start_that_fails_is_tried_again_within_its_budget() {
    let cases = [
        (RestartPolicy::Never, 1, vec![Starting, Failed, Stopped]),
        (
            RestartPolicy::OnFailure,
            1,
            vec![Starting, Failed, Restarting, Healthy],
        ),
        (
            RestartPolicy::OnFailure,
            9,
            vec![
                Starting, Failed, Restarting, Failed, Restarting, Failed, Stopped,
            ],
        ),
        (
            RestartPolicy::Always,
            2,
            vec![Starting, Failed, Restarting, Failed, Restarting, Healthy],
        ),
    ];
    for (policy, failing, wanted) in cases {
        in_sim(2, async |_, host, disk| {
            let script = Script::echo(&host);
            script.fail_starts(failing);
            let runtime = with(&host, &disk, &script, |config| config.restart = policy).await;
            let begun = host.now_ms();
            runtime.modules().settled().await;
            let modules = runtime.modules();
            assert_eq!(moves(modules, "mod"), wanted, "{policy:?} {failing}");
            let pauses = [0, 500, 1_500][script.starts() as usize - 1];
            assert_eq!(host.now_ms() - begun, pauses);
            // A module that does not start ends nothing, and each failure is told.
            written(&host).await;
            let warnings = told(&runtime).await;
            assert_eq!(warnings.len() as u32, failing.min(script.starts()));
            assert_eq!(warnings[0].0, "mod");
            assert_eq!(warnings[0].1, "supervisor.warning");
            assert_eq!(warnings[0].2, json!({ "error": "start 1 fails" }));
            let fit = wanted.last() == Some(&Healthy);
            assert_eq!(modules.loaded().len(), usize::from(fit));
            let called = modules.call_tool("mod", "say", json!({})).await;
            assert_eq!(called.is_ok(), fit);
            if !fit {
                assert_eq!(kind(called), ModuleErrorKind::ModuleNotLoaded);
            }
        });
    }
}

#[test]
fn a_crash_is_seen_whenever_it_happens_and_in_mid_call() {
    in_sim(3, async |_, host, disk| {
        let script = Script::echo(&host);
        let runtime = with(&host, &disk, &script, |_| {}).await;
        let modules = runtime.modules().clone();
        modules.settled().await;
        script.0.takes.set(Duration::from_secs(20));
        let calling = {
            let modules = modules.clone();
            host.spawn(async move { modules.call_tool("mod", "say", json!({})).await })
        };
        host.sleep(Duration::from_secs(10)).await;
        let begun = host.now_ms();
        script.crash("out of memory");
        let refused = calling.await.unwrap().unwrap_err();
        assert_eq!(
            host.now_ms(),
            begun,
            "at once, not after the call's time limit"
        );
        assert_eq!(refused.code(), "module_crashed");
        assert_eq!(refused.data().data["reason"], "out of memory");
        // The next call waits for the restart.
        script.0.takes.set(Duration::ZERO);
        let said = modules.call_tool("mod", "say", json!(7)).await;
        assert_eq!(said.unwrap(), json!(7));
        assert_eq!(host.now_ms(), begun + 500);
        assert_eq!(script.starts(), 2);
        assert_eq!(
            moves(&modules, "mod"),
            [Starting, Healthy, Failed, Restarting, Healthy]
        );
        // Fit for a minute, it has its whole budget again; otherwise the budget is used up.
        host.sleep(Duration::from_secs(61)).await;
        for _ in 0..2 {
            script.crash("again");
            host.sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(modules.loaded(), ["mod"]);
        script.crash("once too often");
        host.sleep(Duration::from_secs(2)).await;
        assert_eq!(modules.loaded(), [""; 0]);
        assert_eq!(moves(&modules, "mod").last(), Some(&Stopped));
        assert_eq!(
            modules.statuses()[0].error.as_deref(),
            Some("once too often")
        );
    });
}

#[test]
fn time_limits_have_typed_errors_and_bound_everything() {
    in_sim(4, async |_, host, disk| {
        let script = Script::echo(&host);
        script.0.hangs.set(true);
        let runtime = with(&host, &disk, &script, |config| {
            config.restart = RestartPolicy::Never;
            config.start_timeout = Duration::from_secs(3);
            config.call_timeout = Duration::from_secs(2);
        })
        .await;
        let begun = host.now_ms();
        let modules = runtime.modules();
        modules.settled().await;
        assert_eq!(host.now_ms() - begun, 3_000);
        let status = &modules.statuses()[0];
        assert_eq!(
            status.error.as_deref(),
            Some("module 'mod': start took longer than 3000 ms")
        );
        script.0.hangs.set(false);
        modules.spawn("mod").await.unwrap();
        script.0.takes.set(Duration::from_secs(100));
        let slow = modules
            .call_tool("mod", "say", json!({}))
            .await
            .unwrap_err();
        assert_eq!(slow.code(), "module_timeout");
        let data = slow.data().data;
        assert_eq!(data["operation"], "call_tool:say");
        assert_eq!(data["timeout_ms"], 2_000);
        assert_eq!(
            modules.loaded(),
            ["mod"],
            "a slow call says nothing against the module"
        );
    });
}

#[test]
fn what_a_tool_fails_with_is_typed() {
    in_sim(5, async |_, host, disk| {
        let script = Script::echo(&host).tool("bad", |_, _| Err(failed("no luck")));
        let runtime = with(&host, &disk, &script, |_| {}).await;
        let modules = runtime.modules();
        let unknown = modules
            .call_tool("mod", "fly", json!({}))
            .await
            .unwrap_err();
        assert_eq!(unknown.code(), "tool_not_found");
        assert_eq!(
            unknown.data().data["available_tools"],
            json!(["say", "bad"])
        );
        let bad = modules
            .call_tool("mod", "bad", json!({}))
            .await
            .unwrap_err();
        assert_eq!(
            (bad.code(), bad.to_string().as_str()),
            ("tool_call_failed", "no luck")
        );
        assert_eq!(
            bad.data().data,
            json!({ "module_id": "mod", "tool": "bad" })
        );
        let nobody = modules.call_tool("other", "say", json!({})).await;
        assert_eq!(kind(nobody), ModuleErrorKind::ModuleNotLoaded);
    });
}

#[test]
fn a_module_that_does_not_end_is_kept() {
    in_sim(6, async |_, host, disk| {
        let script = Script::echo(&host);
        let runtime = with(&host, &disk, &script, |_| {}).await;
        let modules = runtime.modules();
        modules.settled().await;
        script.0.stubborn.set(true);
        assert_eq!(
            kind(modules.spawn("mod").await),
            ModuleErrorKind::CloseFailed
        );
        assert_eq!(script.starts(), 1);
        assert!(modules.call_tool("mod", "say", json!({})).await.is_ok());
        script.0.stubborn.set(false);
        modules.spawn("mod").await.unwrap();
        assert_eq!((script.starts(), script.0.stopped.get()), (2, 2));
        // Ending it on purpose is no failure, though its end is seen.
        modules.stop("mod").await.unwrap();
        host.sleep(Duration::from_secs(10)).await;
        assert_eq!(script.starts(), 2);
        assert_eq!(
            moves(modules, "mod"),
            [Starting, Healthy, Stopped, Starting, Healthy, Stopped]
        );
    });
}

#[test]
fn reconcile_starts_what_is_missing_and_ends_what_is_not_named() {
    in_sim(7, async |_, host, disk| {
        let scripts: Vec<Script> = (0..3).map(|_| Script::echo(&host)).collect();
        let mut builder = builder(&host, &disk);
        for (at, script) in scripts.iter().enumerate() {
            builder = builder.module(script.config(&format!("m{at}")));
        }
        let runtime = builder.build().await.unwrap();
        let modules = runtime.modules();
        modules.settled().await;
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(modules.reconcile(&names(&["m0", "m2"])).await.unwrap(), 0);
        assert_eq!(modules.loaded(), ["m0", "m2"]);
        let unknown = modules.reconcile(&names(&["m1", "x"])).await;
        assert_eq!(kind(unknown), ModuleErrorKind::ModuleNotConfigured);
        assert_eq!(modules.loaded(), ["m0", "m2"], "nothing has changed");
        assert_eq!(modules.reconcile(&names(&["m1", "m2"])).await.unwrap(), 1);
        assert_eq!(modules.loaded(), ["m1", "m2"]);
        scripts[0].fail_starts(9);
        // One that does not start is wanted all the same, and the others are there.
        assert_eq!(
            modules
                .reconcile(&names(&["m0", "m1", "m2"]))
                .await
                .unwrap(),
            1
        );
        assert_eq!(modules.loaded(), ["m1", "m2"]);
    });
}

#[test]
fn a_shutdown_ends_all_modules_and_names_them() {
    in_sim(8, async |_, host, disk| {
        let script = Script::echo(&host);
        let runtime = with(&host, &disk, &script, |_| {}).await;
        runtime.modules().settled().await;
        let report = runtime.shutdown().await;
        assert_eq!(report.module_shutdown.terminated_modules, ["mod"]);
        assert_eq!(script.0.stopped.get(), 1);
        let refused = runtime.modules().call_tool("mod", "say", json!({})).await;
        assert_eq!(refused.unwrap_err().code(), "runtime_shutting_down");
    });
}

#[test]
fn row_29_a_module_may_call_back_into_the_runtime() {
    in_sim(9, async |_, host, disk| {
        let runtime: Rc<RefCell<Option<UnifiedRuntime>>> = Rc::default();
        let inside = runtime.clone();
        let script = Script::new(&host).tool("status", move |_, _| {
            let runtime = inside.borrow().clone().unwrap();
            // While the call is under way, and under no borrow.
            let routes = runtime.modules().routes().len();
            let status = runtime.modules().statuses().remove(0);
            Ok(json!({ "routes": routes, "health": status.health.unwrap().as_str() }))
        });
        let built = with(&host, &disk, &script, |_| {}).await;
        *runtime.borrow_mut() = Some(built.clone());
        let answer = built.modules().call_tool("mod", "status", json!({})).await;
        assert_eq!(answer.unwrap(), json!({ "routes": 0, "health": "healthy" }));
        runtime.borrow_mut().take();
    });
}
