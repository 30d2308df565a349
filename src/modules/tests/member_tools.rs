//! Tools of modules in the hands of members.

use super::*;
use crate::agent::model::{ChatMessage, ModelRequest};
use crate::mob::SendRequest;
use crate::modules::RestartPolicy;
use crate::modules::tools::member_name;
use crate::wire::MemberActivity;

/// Says which tools it has, then calls the one it is told to, and says what came of it.
fn caller(host: &Host, tool: &'static str) -> ScriptedModel {
    ScriptedModel::answering(host.clone(), move |request: &ModelRequest| {
        match request.messages.last() {
            Some(ChatMessage::Tool { content, .. }) => Reply::text(content.clone()),
            _ if tool.is_empty() => {
                let names: Vec<_> = request
                    .tools
                    .iter()
                    .map(|tool| tool.name.as_str())
                    .collect();
                Reply::text(names.join(" "))
            }
            _ => Reply::call(tool, json!({ "x": 1 })),
        }
    })
}

async fn says(
    host: &Host,
    disk: &SimDisk,
    extra: &str,
    script: &Script,
    tool: &'static str,
) -> String {
    let runtime = builder(host, disk)
        .definition(definition(extra))
        .model("scripted", Rc::new(caller(host, tool)))
        .module(script.config("calc"))
        .build()
        .await
        .unwrap();
    let outcome = runtime
        .ask(&id("ada"), SendRequest::new("go"))
        .await
        .unwrap();
    runtime.shutdown().await;
    outcome.result
}

#[test]
fn a_member_has_the_tools_of_the_modules_that_its_profile_names() {
    let named = "tools = { comms = false, mcp = [\"calc\"] }";
    in_sim(1, async |_, host, disk| {
        let script = Script::echo(&host).tool("do.it", |_, _| Ok(json!("done")));
        assert_eq!(
            says(&host, &disk, named, &script, "").await,
            "calc__say calc__do_it"
        );
        assert_eq!(
            says(&host, &disk, "tools = { comms = false }", &script, "").await,
            ""
        );
        assert_eq!(
            says(&host, &disk, named, &script, "calc__say").await,
            r#"{"x":1}"#
        );
        assert_eq!(
            says(&host, &disk, named, &script, "calc__do_it").await,
            "done"
        );
        let (_, args, context) = script.calls().remove(0);
        assert_eq!(args, json!({ "x": 1 }));
        assert_eq!(context.caller.unwrap().identity, id("ada"));
        assert_eq!(member_name("a b", &"x".repeat(90)).len(), 64);
    });
}

#[test]
fn a_member_waits_for_a_module_that_is_being_started_and_for_no_other() {
    let named = "tools = { comms = false, mcp = [\"calc\"] }";
    in_sim(2, async |_, host, disk| {
        let script = Script::echo(&host);
        script.0.hangs.set(true);
        let mut config = script.config("calc");
        config.start_timeout = Duration::from_secs(10);
        config.restart = RestartPolicy::Never;
        let runtime = builder(&host, &disk)
            .definition(definition(named))
            .model("scripted", Rc::new(caller(&host, "")))
            .module(config)
            .build()
            .await
            .unwrap();
        let asking = {
            let runtime = runtime.clone();
            host.spawn(async move { runtime.ask(&id("ada"), SendRequest::new("go")).await })
        };
        host.sleep(Duration::from_secs(5)).await;
        let member = runtime.members().remove(0);
        assert_eq!(
            (member.activity, member.error.as_deref()),
            (
                MemberActivity::WaitingModel,
                Some("the module `calc` is being started")
            )
        );
        // It does not come: the member goes on without.
        assert_eq!(asking.await.unwrap().unwrap().result, "");
        script.0.hangs.set(false);
        runtime.modules().spawn("calc").await.unwrap();
        let outcome = runtime
            .ask(&id("ada"), SendRequest::new("go"))
            .await
            .unwrap();
        assert_eq!(outcome.result, "calc__say");
    });
}

#[test]
fn a_tool_of_a_module_that_ended_says_so() {
    let named = "tools = { comms = false, mcp = [\"calc\"] }";
    in_sim(3, async |_, host, disk| {
        let script = Script::echo(&host);
        let mut config = script.config("calc");
        config.restart = RestartPolicy::Never;
        let runtime = builder(&host, &disk)
            .definition(definition(named))
            .model("scripted", Rc::new(caller(&host, "calc__say")))
            .module(config)
            .build()
            .await
            .unwrap();
        runtime.modules().settled().await;
        script.0.takes.set(Duration::from_secs(10));
        let asking = {
            let runtime = runtime.clone();
            host.spawn(async move { runtime.ask(&id("ada"), SendRequest::new("go")).await })
        };
        host.sleep(Duration::from_secs(1)).await;
        script.crash("killed");
        let said = asking.await.unwrap().unwrap().result;
        assert_eq!(said, "module 'calc' ended while it was called: killed");
        let outcome = runtime
            .ask(&id("ada"), SendRequest::new("go"))
            .await
            .unwrap();
        assert_eq!(outcome.result, "Module 'calc' not loaded");
    });
}

#[test]
fn a_module_that_the_host_does_not_give_makes_a_member_unfit() {
    in_sim(4, async |_, host, disk| {
        let runtime = builder(&host, &disk)
            .definition(definition("tools = { mcp = [\"calc\"] }"))
            .build()
            .await
            .unwrap();
        let member = runtime.members().remove(0);
        assert_eq!(member.activity, MemberActivity::Broken);
        assert!(member.error.unwrap().contains("`calc`"));
    });
}

#[test]
fn the_alarm_is_set_while_a_member_waits_for_a_module() {
    in_sim(5, async |_, host, disk| {
        let (script, alarm) = (Script::echo(&host), Rc::new(Alarm::default()));
        script.0.hangs.set(true);
        let mut config = script.config("calc");
        config.start_timeout = Duration::from_secs(10);
        config.restart = RestartPolicy::Never;
        let runtime = builder(&host, &disk)
            .definition(definition("tools = { mcp = [\"calc\"] }"))
            .module(config)
            .wake(alarm.clone())
            .build()
            .await
            .unwrap();
        let begun = host.now_ms();
        let request = SendRequest::new("go");
        runtime.send(&id("ada"), request).await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(alarm.0.get(), (Some(begun + 30_000), true));
        // The start is given up, and the member goes on without.
        host.sleep(Duration::from_secs(20)).await;
        assert_eq!(alarm.0.get(), (None, false));
        assert_eq!(runtime.members()[0].activity, MemberActivity::Idle);
    });
}
