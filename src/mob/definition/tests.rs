//! Cases of reading, refusing and comparing definitions.

use serde_json::{Value, json};

use super::*;

const FULL: &str = r#"
[mob]
id = "review"
orchestrator = "lead"

[profiles.lead]
model = "big"
instructions = "Lead."
skills = ["tone"]
tools = { comms = true, names = ["now"] }
peer_description = "Leads"
external_addressable = true
runtime_mode = "autonomous_host"
max_output_tokens = 500
history_tokens = 2_000
[profiles.lead.provider_params]
temperature = 0.5
stop = ["END"]

[profiles.writer]
model = "small"
tools = []
external_addressable = false

[wiring]
auto_wire_orchestrator = true
role_wiring = [{ a = "writer", b = "writer" }]

[skills]
tone = "Be kind."
[skills.form]
source = "inline"
content = "Be brief."

[limits]
max_hops = 0
max_turns_per_interaction = 9
max_turns_per_run = 3
max_tokens_per_interaction = 10_000
tool_timeout_ms = 1000
model_idle_timeout_ms = 2000

[[members]]
profile = "lead"
identity = "lead"
labels = { team = "core" }

[[members]]
profile = "writer"
identity = "writer-1"
initial_message = "Hello."
"#;

fn full() -> MobDefinition {
    MobDefinition::from_toml(FULL).unwrap()
}

fn role(name: &str) -> ProfileName {
    name.parse().unwrap()
}

/// The least definition with some fields put over it.
fn with(fields: Value) -> Value {
    let mut json = json!({"id": "m", "profiles": {"lead": {"model": "demo"}}});
    for (key, value) in fields.as_object().unwrap() {
        json[key] = value.clone();
    }
    json
}

fn problems(result: Result<MobDefinition, DefinitionError>) -> Vec<String> {
    result
        .expect_err("is refused")
        .issues()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn everything_that_has_a_meaning_is_read() {
    let definition = full();
    assert_eq!(definition.id.as_str(), "review");
    assert_eq!(
        definition.orchestrator,
        Some(Orchestrator {
            profile: role("lead")
        })
    );
    let lead = &definition.profiles[&role("lead")];
    assert_eq!(lead.model, "big");
    assert_eq!(
        definition.instructions_with_skills(lead),
        "Lead.\n\nBe kind."
    );
    assert_eq!(lead.provider_params["temperature"], json!(0.5));
    assert_eq!(
        (lead.max_output_tokens, lead.history_tokens),
        (Some(500), Some(2000))
    );
    assert!(lead.tools.comms && lead.tools.includes("now") && !lead.tools.includes("later"));
    let writer = &definition.profiles[&role("writer")];
    assert!(writer.tools.comms && !writer.tools.includes("now") && !writer.external_addressable);
    assert_eq!(definition.skills.get("form").unwrap().content, "Be brief.");
    assert_eq!(definition.limits.max_hops(), 0);
    assert_eq!(definition.limits.max_turns_per_interaction(), 9);
    assert_eq!(
        (
            definition.limits.max_turns_per_run(),
            definition.limits.tool_timeout_ms()
        ),
        (3, 1000)
    );
    assert_eq!(definition.limits.model_idle_timeout_ms(), 2000);
    assert_eq!(definition.members[0].labels.get("team").unwrap(), "core");
    assert_eq!(definition.members[1].initial_message, Some("Hello.".into()));
}

#[test]
fn what_is_left_out_has_its_default() {
    let definition = MobDefinition::from_value(&with(json!({}))).unwrap();
    assert_eq!(
        definition,
        MobDefinition::new("m".parse().unwrap(), role("lead"), Profile::new("demo"))
    );
    let lead = &definition.profiles[&role("lead")];
    assert!(lead.external_addressable && lead.tools.comms && lead.tools.includes("anything"));
    let limits = &definition.limits;
    assert_eq!(
        (
            limits.max_hops(),
            limits.max_turns_per_interaction(),
            limits.max_turns_per_run()
        ),
        (32, 32, 32)
    );
    assert_eq!(
        (limits.tool_timeout_ms(), limits.model_idle_timeout_ms()),
        (60_000, 120_000)
    );
    assert_eq!(definition.to_json(), with(json!({})));
}

#[test]
fn json_and_toml_say_the_same_and_json_is_stable() {
    let definition = full();
    let text = definition.to_json().to_string();
    let again = MobDefinition::from_json(&text).unwrap();
    assert_eq!(again, definition);
    assert_eq!(again.to_json().to_string(), text);
    assert_eq!(
        serde_json::from_str::<MobDefinition>(&text).unwrap(),
        definition
    );
    assert_eq!(definition.validate(), Ok(()));
}

#[test]
fn the_head_may_stand_in_the_object_or_under_mob_but_not_in_both() {
    for orchestrator in [json!("lead"), json!({"profile": "lead"})] {
        let flat = MobDefinition::from_value(&with(json!({"orchestrator": orchestrator}))).unwrap();
        let mut json = json!({"mob": {"id": "m", "orchestrator": orchestrator}});
        json["profiles"] = with(json!({}))["profiles"].clone();
        assert_eq!(MobDefinition::from_value(&json).unwrap(), flat);
        json["id"] = json!("m");
        assert_eq!(
            problems(MobDefinition::from_value(&json)),
            [r#"id = "m": stands under `mob` already; write `mob.id` alone"#]
        );
    }
}

#[test]
fn every_fault_names_its_path_and_its_value() {
    let cases = [
        (
            json!({"id": "a/b"}),
            r#"id = "a/b": invalid name "a/b": a name must not contain '/'"#,
        ),
        (json!({"id": 3}), "id = 3: must be a string"),
        (
            json!({"profiles": {}}),
            "profiles: there must be at least one profile",
        ),
        (json!({"profiles": []}), "profiles = []: must be a table"),
        (
            json!({"profiles": {"lead": {}}}),
            "profiles.lead.model: is missing",
        ),
        (
            json!({"profiles": {"lead": {"model": " "}}}),
            r#"profiles.lead.model = " ": must name a model"#,
        ),
        (
            json!({"profiles": {"lead": {"model": 1}}}),
            "profiles.lead.model = 1: must be a string",
        ),
        (
            json!({"profiles": {"lead": {"model": "m"}, "a b": {"model": "m"}}}),
            "profiles.\"a b\": invalid name",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "modell": "n"}}}),
            "profiles.lead.modell = \"n\": unknown field; there are: model, instructions, skills, tools, peer_description, \
             external_addressable, provider_params, max_output_tokens, history_tokens",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "skills": ["x"]}}}),
            r#"profiles.lead.skills[0] = "x": there is no skill"#,
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "skills": "x"}}}),
            r#"profiles.lead.skills = "x": must be a list"#,
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "tools": [1]}}}),
            "profiles.lead.tools[0] = 1: must be a string",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "tools": [""]}}}),
            "profiles.lead.tools: must not name a blank tool",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "tools": {"shell": true}}}}),
            "profiles.lead.tools.shell = true: is not supported by this version yet; leave it out",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "runtime_mode": "turn_driven"}}}),
            "profiles.lead.runtime_mode = \"turn_driven\": only `autonomous_host` is supported by this version",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "max_output_tokens": 0}}}),
            "profiles.lead.max_output_tokens = 0: must be at least 1",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "max_output_tokens": -1}}}),
            "profiles.lead.max_output_tokens = -1: must be a whole",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "history_tokens": 1.5}}}),
            "profiles.lead.history_tokens = 1.5: must be a whole",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "external_addressable": "no"}}}),
            "must be true or false",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "backend": "external"}}}),
            "profiles.lead.backend = \"external\": only `session`",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "output_schema": {"type": "object"}}}}),
            "profiles.lead.output_schema",
        ),
        (
            json!({"profiles": {"lead": {"model": "m", "realm_profile": "r"}}}),
            "profiles.lead.realm_profile",
        ),
        (
            json!({"orchestrator": "boss"}),
            "orchestrator = \"boss\": there is no profile of this name; there are: lead",
        ),
        (
            json!({"orchestrator": {"profile": "lead", "x": 1}}),
            "orchestrator.x = 1: unknown field; there are: profile",
        ),
        (
            json!({"wiring": {"auto_wire_orchestrator": true}}),
            "wiring.auto_wire_orchestrator = true: there is no orchestrator",
        ),
        (
            json!({"wiring": {"role_wiring": [{"a": "lead", "b": "x"}]}}),
            "wiring.role_wiring[0].b = \"x\": there is no profile of this name; there are: lead",
        ),
        (
            json!({"wiring": {"role_wiring": [{"a": "lead"}]}}),
            "wiring.role_wiring[0].b: is missing",
        ),
        (
            json!({"skills": {"x": {"path": "a.md"}}}),
            "skills.x.path = \"a.md\": there are no files in a browser",
        ),
        (
            json!({"skills": {"x": {"source": "path", "content": ""}}}),
            "skills.x.source = \"path\": there are no files in a browser",
        ),
        (
            json!({"limits": {"max_hops": "x"}}),
            "limits.max_hops = \"x\": must be a whole",
        ),
        (
            json!({"limits": {"max_tokens_per_interaction": 0}}),
            "limits.max_tokens_per_interaction = 0: must be at least 1",
        ),
        (
            json!({"limits": {"max_step_retries": 3}}),
            "limits.max_step_retries = 3: is not supported",
        ),
        (
            json!({"members": [{"profile": "x", "identity": "a"}]}),
            "members[0].profile = \"x\": there is no profile",
        ),
        (
            json!({"members": [{"profile": "lead"}]}),
            "members[0].identity: is missing",
        ),
        (
            json!({"members": [{"profile": "lead", "identity": "a"}, {"profile": "lead", "identity": "a"}]}),
            "members[1].identity = \"a\": members[0] has this identity already",
        ),
        (
            json!({"members": [{"profile": "lead", "identity": "a", "initial_message": " "}]}),
            "members[0].initial_message: must say",
        ),
        (
            json!({"members": [{"profile": "lead", "identity": "a", "labels": {"k": 1}}]}),
            "members[0].labels.k = 1: must be a string",
        ),
        (
            json!({"flows": {"f": {}}}),
            "flows = {\"f\":{}}: is not supported by this version yet; leave it out",
        ),
        (
            json!({"topology": {"mode": "strict"}}),
            "topology = {\"mode\":\"strict\"}: is not supported",
        ),
        (json!({"supervisor": {"role": "lead"}}), "supervisor = "),
        (
            json!({"event_router": {"buffer_size": 1}}),
            "event_router = ",
        ),
        (json!({"spawn_policy": {"mode": "auto"}}), "spawn_policy = "),
        (
            json!({"session_cleanup_policy": "destroy_on_owner_archive"}),
            "session_cleanup_policy = ",
        ),
        (
            json!({"backend": {"default": "external"}}),
            "backend.default = \"external\": only `session`",
        ),
        (
            json!({"backend": {"external": {"address_base": "x"}}}),
            "backend.external = ",
        ),
        (
            json!({"is_implicit": true}),
            "is_implicit = true: is not supported",
        ),
        (
            json!({"colour": "red"}),
            "colour = \"red\": unknown field; there are: mob, id, orchestrator, profiles, wiring, skills, limits, members",
        ),
    ];
    for (fields, want) in cases {
        let got = problems(MobDefinition::from_value(&with(fields.clone())));
        assert_eq!(got.len(), 1, "{fields}: {got:#?}");
        assert!(
            got[0].contains(want),
            "{fields}:\n  got  {}\n  want {want}",
            got[0]
        );
    }
    assert_eq!(problems(MobDefinition::from_value(&json!([]))).len(), 1);
}

#[test]
fn a_field_of_later_versions_may_ask_for_nothing() {
    let harmless = with(json!({
        "flows": {}, "topology": null, "supervisor": null, "spawn_policy": {"mode": "none"}, "is_implicit": false,
        "session_cleanup_policy": "manual", "backend": {"default": "session"}, "orchestrator": null,
        "profiles": {"lead": {"model": "demo", "output_schema": null, "backend": "session",
            "tools": {"shell": false, "builtins": false, "mcp": [], "rust_bundles": []}}},
    }));
    assert_eq!(
        MobDefinition::from_value(&harmless).unwrap().to_json(),
        with(json!({}))
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let error = MobDefinition::from_toml(
        r#"
        colour = "red"
        [mob]
        id = "m"
        orchestrator = "boss"
        [profiles.lead]
        modell = "x"
        [[members]]
        profile = "writer"
        identity = "w"
    "#,
    )
    .unwrap_err();
    let paths: Vec<&str> = error
        .issues()
        .iter()
        .map(|issue| issue.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "profiles.lead.model",
            "profiles.lead.modell",
            "colour",
            "orchestrator",
            "members[0].profile"
        ]
    );
    let text = error.to_string();
    assert!(
        text.starts_with(
            "definition error: 5 things are wrong:\n  profiles.lead.model: is missing\n"
        ),
        "{text}"
    );
    let data = error.data();
    assert_eq!(
        (data.code.as_str(), &data.data["issues"][2]["value"]),
        ("invalid_definition", &json!("red"))
    );
}

#[test]
fn syntax_errors_name_line_and_column() {
    let cases = [
        ("[mob\nid = 'x'", "not valid TOML: line 1, column 5"),
        ("a = 1\nb = é", "not valid TOML: line 2, column"),
        ("a = 1\na = 2", "not valid TOML: line 2, column 1"),
        (
            "[mob]\nid = 99999999999999999999",
            "99999999999999999999 is not a 64-bit number",
        ),
        (
            "[profiles.lead]\nmodel = nan",
            "profiles.lead.model: nan is not a finite number",
        ),
    ];
    for (text, want) in cases {
        let got = problems(MobDefinition::from_toml(text)).join("\n");
        assert!(got.contains(want), "{text}: {got}");
    }
    let json = problems(MobDefinition::from_json("{\"id\": }")).join("\n");
    assert!(
        json.contains("not valid JSON: expected value at line 1 column 8"),
        "{json}"
    );
}

#[test]
fn toml_values_become_json() {
    let text = r#"
        integers = [0, -1, 0x10, 1_000]
        floats = [1.5, 1e3]
        date = 2026-01-02
        "quoted key" = { "b.c" = true }
    "#;
    assert_eq!(
        super::toml::parse(text).unwrap(),
        json!({"integers": [0, -1, 16, 1000], "floats": [1.5, 1000.0], "date": "2026-01-02", "quoted key": {"b.c": true}})
    );
}

#[test]
fn wiring_follows_from_the_profiles() {
    let definition = full();
    let cases = [
        ("lead", "writer", true),
        ("writer", "lead", true),
        ("writer", "writer", true),
        ("lead", "lead", true),
        ("writer", "other", false),
    ];
    for (a, b, want) in cases {
        assert_eq!(definition.wires(&role(a), &role(b)), want, "{a} {b}");
    }
    let mut by_role = definition;
    by_role.wiring.auto_wire_orchestrator = false;
    assert!(!by_role.wires(&role("lead"), &role("writer")));
    assert!(by_role.wires(&role("writer"), &role("writer")));
}

#[test]
fn a_difference_is_told_by_path() {
    type Edit = fn(&mut MobDefinition);
    let cases: [(Edit, &[&str]); 9] = [
        (|_| {}, &[]),
        (
            |new| new.profiles.get_mut("writer").unwrap().model = "demo".to_owned(),
            &[r#"profiles.writer.model: "small" → "demo""#],
        ),
        (
            |new| {
                new.profiles.insert(role("editor"), Profile::new("demo"));
            },
            &[r#"profiles.editor added: {"model":"demo"}"#],
        ),
        (
            |new| {
                new.members.insert(
                    0,
                    InitialMember {
                        profile: role("writer"),
                        identity: "writer-2".parse().unwrap(),
                        labels: Labels::new(),
                        initial_message: None,
                    },
                )
            },
            &[r#"members.writer-2 added: {"profile":"writer"}"#],
        ),
        (
            |new| new.members.clear(),
            &[
                r#"members.lead removed (was {"labels":{"team":"core"},"profile":"lead"})"#,
                r#"members.writer-1 removed (was {"initial_message":"Hello.","profile":"writer"})"#,
            ],
        ),
        (
            |new| {
                new.limits = Limits {
                    max_hops: Some(0),
                    max_turns_per_run: Some(4),
                    ..new.limits.clone()
                }
            },
            &["limits.max_turns_per_run: 3 → 4"],
        ),
        (
            |new| new.orchestrator = None,
            &[r#"orchestrator removed (was {"profile":"lead"})"#],
        ),
        (
            |new| new.wiring.role_wiring.clear(),
            &[r#"wiring.role_wiring: [{"a":"writer","b":"writer"}] → []"#],
        ),
        (
            |new| new.skills.get_mut("tone").unwrap().content = "é".repeat(100),
            &[LONG],
        ),
    ];
    for (edit, want) in cases {
        let (old, mut new) = (full(), full());
        edit(&mut new);
        let got: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(got, want);
        assert_eq!(diff(&new, &old).len(), want.len(), "and back");
    }
}

const LONG: &str = "skills.tone.content: \"Be kind.\" → \"ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé…";

#[test]
fn a_change_crosses_as_data() {
    let (old, mut new) = (full(), full());
    new.profiles.get_mut("writer").unwrap().model = "demo".to_owned();
    assert_eq!(
        serde_json::to_value(diff(&old, &new)).unwrap(),
        json!([{"path": "profiles.writer.model", "kind": "changed", "old": "small", "new": "demo"}])
    );
}

#[test]
fn the_demo_mob_is_a_lead_and_two_wired_specialists() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/www/console/public/demo.toml"
    ));
    let definition = MobDefinition::from_toml(text).unwrap();
    let roles: Vec<&ProfileName> = definition
        .members
        .iter()
        .map(|member| &member.profile)
        .collect();
    assert_eq!(
        roles,
        ["lead", "researcher", "writer"]
            .map(role)
            .iter()
            .collect::<Vec<_>>()
    );
    assert!(definition.wires(roles[0], roles[1]) && definition.wires(roles[0], roles[2]));
    assert!(!definition.wires(roles[1], roles[2]));
    assert!(
        definition
            .profiles
            .values()
            .all(|profile| profile.model == "demo" && !profile.instructions.is_empty())
    );
}
