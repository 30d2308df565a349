//! References and bounds: what is wrong between the fields of a definition.

use std::fmt::Display;

use super::decode::join_key;
use super::issue::DefinitionIssue;
use super::{MobDefinition, Profile};
use crate::wire::ProfileName;

/// Everything that is wrong; nothing when all is well.
pub(super) fn issues(definition: &MobDefinition) -> Vec<DefinitionIssue> {
    let mut issues = Vec::new();
    if definition.profiles.is_empty() {
        issues.push(DefinitionIssue::new(
            "profiles",
            "there must be at least one profile",
        ));
    }
    let mut reference = |path: String, name: &ProfileName| {
        if !definition.profiles.contains_key(name) {
            issues.push(unknown(
                path,
                name.as_str(),
                "profile",
                definition.profiles.keys(),
            ));
        }
    };
    if let Some(orchestrator) = &definition.orchestrator {
        reference("orchestrator".to_owned(), &orchestrator.profile);
    }
    for (at, rule) in definition.wiring.role_wiring.iter().enumerate() {
        reference(format!("wiring.role_wiring[{at}].a"), &rule.a);
        reference(format!("wiring.role_wiring[{at}].b"), &rule.b);
    }
    for (at, member) in definition.members.iter().enumerate() {
        reference(format!("members[{at}].profile"), &member.profile);
    }
    if definition.wiring.auto_wire_orchestrator && definition.orchestrator.is_none() {
        let message = "there is no orchestrator to wire everybody to; name one or leave this out";
        issues
            .push(DefinitionIssue::new("wiring.auto_wire_orchestrator", message).with_value(true));
    }
    for (name, profile) in &definition.profiles {
        profile_issues(
            definition,
            &join_key("profiles", name.as_str()),
            profile,
            &mut issues,
        );
    }
    member_issues(definition, &mut issues);
    limit_issues(definition, &mut issues);
    issues
}

fn unknown<T: Display>(
    path: String,
    name: &str,
    what: &str,
    there_are: impl Iterator<Item = T>,
) -> DefinitionIssue {
    let names: Vec<String> = there_are.map(|name| name.to_string()).collect();
    let there_are = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    DefinitionIssue::new(
        path,
        format!("there is no {what} of this name; there are: {there_are}"),
    )
    .with_value(name)
}

fn profile_issues(
    definition: &MobDefinition,
    path: &str,
    profile: &Profile,
    issues: &mut Vec<DefinitionIssue>,
) {
    if profile.model.trim().is_empty() {
        let issue = DefinitionIssue::new(format!("{path}.model"), "must name a model");
        issues.push(issue.with_value(profile.model.as_str()));
    }
    for (at, skill) in profile.skills.iter().enumerate() {
        if !definition.skills.contains_key(skill) {
            issues.push(unknown(
                format!("{path}.skills[{at}]"),
                skill,
                "skill",
                definition.skills.keys(),
            ));
        }
    }
    for name in profile.tools.names.iter().flatten() {
        if name.trim().is_empty() {
            issues.push(DefinitionIssue::new(
                format!("{path}.tools"),
                "must not name a blank tool",
            ));
        }
    }
    let nought = "must be at least 1; leave it out for no bound";
    if profile.max_output_tokens == Some(0) {
        issues
            .push(DefinitionIssue::new(format!("{path}.max_output_tokens"), nought).with_value(0));
    }
    if profile.history_tokens == Some(0) {
        issues.push(DefinitionIssue::new(format!("{path}.history_tokens"), nought).with_value(0));
    }
}

fn member_issues(definition: &MobDefinition, issues: &mut Vec<DefinitionIssue>) {
    for (at, member) in definition.members.iter().enumerate() {
        let identity = member.identity.as_str();
        let earlier = definition.members[..at]
            .iter()
            .position(|other| other.identity == member.identity);
        if let Some(earlier) = earlier {
            let message = format!("members[{earlier}] has this identity already");
            issues.push(
                DefinitionIssue::new(format!("members[{at}].identity"), message)
                    .with_value(identity),
            );
        }
        if member
            .initial_message
            .as_ref()
            .is_some_and(|message| message.is_blank())
        {
            let message = "must say something; leave it out to say nothing";
            issues.push(DefinitionIssue::new(
                format!("members[{at}].initial_message"),
                message,
            ));
        }
    }
}

fn limit_issues(definition: &MobDefinition, issues: &mut Vec<DefinitionIssue>) {
    let limits = &definition.limits;
    let bounds = [
        (
            "max_turns_per_interaction",
            limits.max_turns_per_interaction.map(u64::from),
        ),
        ("max_turns_per_run", limits.max_turns_per_run.map(u64::from)),
        (
            "max_tokens_per_interaction",
            limits.max_tokens_per_interaction,
        ),
        ("tool_timeout_ms", limits.tool_timeout_ms),
        ("approval_timeout_ms", limits.approval_timeout_ms),
        ("model_idle_timeout_ms", limits.model_idle_timeout_ms),
    ];
    for (name, bound) in bounds {
        if bound == Some(0) {
            let message = "must be at least 1; leave it out for the default";
            issues.push(DefinitionIssue::new(format!("limits.{name}"), message).with_value(0));
        }
    }
}
