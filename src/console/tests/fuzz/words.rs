//! What requests are made of: the methods and their parameters, and words and numbers that have been trouble somewhere.

/// What a parameter is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Member,
    Newcomer,
    Profile,
    Content,
    Labels,
    Key,
    Text,
    Number,
    Time,
    Cursor,
    Place,
    Interaction,
    Session,
    Specs,
    Handling,
    Direction,
    Types,
    Texts,
    Anything,
    Options,
    Context,
    BlobId,
    MediaType,
    Base64,
    /// The name of a module, and of one of its tools.
    ModuleName,
    ToolName,
    ModuleNames,
    /// Whom something is for, on which channel, and where it goes.
    Recipient,
    Channel,
    Sink,
    RouteKey,
    /// What was resolved.
    Resolution,
    Tier,
    Decision,
    /// What there is to decide.
    Pending,
    Interval,
    Zone,
    Schedule,
    Schedules,
    Tick,
    Action,
    Scope,
    EventId,
    Store,
    Flag,
    Small,
}
pub(super) use Kind::*;

/// How many of them must be there, and which there are.
pub(super) type Parameters = (usize, &'static [(&'static str, Kind)]);

pub(super) const NONE: Parameters = (0, &[]);
pub(super) const MEMBER: Parameters = (1, &[("member_id", Member)]);
pub(super) const INTERACTION: Parameters = (1, &[("interaction_id", Interaction)]);
pub(super) const PAIR: Parameters = (2, &[("a", Member), ("b", Member)]);
pub(super) const SPECS: Parameters = (1, &[("specs", Specs)]);
pub(super) const SPEC: Parameters = (
    2,
    &[
        ("profile", Profile),
        ("identity", Newcomer),
        ("initial_message", Content),
        ("context", Anything),
        ("labels", Labels),
        ("additional_instructions", Texts),
        ("system_prompt_override", Text),
        ("resume_session_id", Session),
    ],
);
pub(super) const EVENTS: Parameters = (
    0,
    &[
        ("since_ms", Time),
        ("until_ms", Time),
        ("member_id", Member),
        ("identity", Member),
        ("mob_id", Member),
        ("run_id", Key),
        ("step_id", Key),
        ("event_types", Types),
        ("limit", Number),
        ("after_seq", Cursor),
    ],
);
pub(super) const TIMELINE: Parameters = (
    1,
    &[
        ("limit", Number),
        ("identity", Member),
        ("conversation_id", Text),
        ("after", Place),
        ("before", Place),
        ("mode", Direction),
    ],
);
pub(super) const SEND: Parameters = (
    4,
    &[
        ("identity", Member),
        ("content", Content),
        ("idempotency_key", Key),
        ("origin", Key),
        ("handling_mode", Handling),
    ],
);

pub(super) const ROUTE: Parameters = (
    4,
    &[
        ("route_key", RouteKey),
        ("recipient", Recipient),
        ("sink", Sink),
        ("target_module", ModuleName),
        ("channel", Channel),
        ("retry_max", Small),
        ("backoff_ms", Number),
        ("rate_limit_per_minute", Small),
    ],
);
pub(super) const SCHEDULE: Parameters = (
    3,
    &[
        ("schedule_id", Key),
        ("interval", Interval),
        ("timezone", Zone),
        ("enabled", Flag),
        ("jitter_ms", Number),
        ("catch_up", Flag),
    ],
);
const TICK: Parameters = (2, &[("schedules", Schedules), ("tick_ms", Tick)]);
const MODULE: Parameters = (1, &[("module_id", ModuleName)]);

/// How often a method is called, its name and its parameters.
pub(super) const METHODS: &[(u64, &str, Parameters)] = &[
    (2, "mobkit/status", NONE),
    (1, "mobkit/capabilities", NONE),
    (1, "mobkit/list_members", NONE),
    (2, "mobkit/get_member", MEMBER),
    (
        2,
        "mobkit/find_members",
        (2, &[("label_key", Key), ("label_value", Key)]),
    ),
    (2, "mobkit/member_status", MEMBER),
    (
        8,
        "mobkit/send_message",
        (
            2,
            &[
                ("member_id", Member),
                ("content", Content),
                ("handling_mode", Handling),
                ("origin", Key),
                ("idempotency_key", Key),
            ],
        ),
    ),
    (2, "mobkit/cancel_interaction", INTERACTION),
    (2, "mobkit/force_cancel_member", MEMBER),
    (4, "mobkit/wait_interaction", INTERACTION),
    (1, "mobkit/cancel_all", NONE),
    (10, "mobkit/spawn_member", SPEC),
    (3, "mobkit/spawn_many", SPECS),
    (6, "mobkit/ensure_member", SPEC),
    (2, "mobkit/retire_member", MEMBER),
    (1, "mobkit/retire", (1, &[("identity", Member)])),
    (2, "mobkit/respawn_member", MEMBER),
    (2, "mobkit/wire_members", PAIR),
    (2, "mobkit/unwire_members", PAIR),
    (1, "mobkit/list_edges", NONE),
    (1, "mobkit/reconcile_members", SPECS),
    (1, "mobkit/reconcile_edges", NONE),
    (1, "mobkit/bootstrap_edges_report", NONE),
    (1, "mobkit/rediscover", NONE),
    (1, "mobkit/reset_all", NONE),
    (1, "mobkit/mob_labels/set", (1, &[("labels", Labels)])),
    (1, "mobkit/mob_labels/get", NONE),
    (1, "mobkit/mob_labels/delete", NONE),
    (
        1,
        "mobkit/run_labels/set",
        (2, &[("run_id", Key), ("labels", Labels)]),
    ),
    (1, "mobkit/run_labels/get", (1, &[("run_id", Key)])),
    (1, "mobkit/run_labels/delete", (1, &[("run_id", Key)])),
    (1, "mobkit/stop", NONE),
    (2, "mobkit/resume", NONE),
    (2, "mobkit/mob_events/query", EVENTS),
    (2, "mobkit/mob_events/subscribe", EVENTS),
    (2, "mobkit/query_events", EVENTS),
    (1, "mobkit/console/list_identities", NONE),
    (
        1,
        "mobkit/console/inspect_identity",
        (1, &[("identity", Member)]),
    ),
    (2, "mobkit/console/query_timeline", TIMELINE),
    (5, "mobkit/console/send", SEND),
    (
        2,
        "mobkit/session_history",
        (
            1,
            &[("member_id", Member), ("offset", Number), ("limit", Number)],
        ),
    ),
    (1, "mobkit/profiles", NONE),
    (1, "mobkit/definition", NONE),
    (1, "mobkit/models/catalog", NONE),
    (
        2,
        "mobkit/attach_existing_session",
        (
            3,
            &[
                ("role", Profile),
                ("agent_identity", Newcomer),
                ("session_id", Session),
            ],
        ),
    ),
    (
        3,
        "mobkit/spawn_helper",
        (
            3,
            &[
                ("agent_identity", Newcomer),
                ("task", Key),
                ("options", Options),
            ],
        ),
    ),
    (
        2,
        "mobkit/fork_helper",
        (
            4,
            &[
                ("source_member_id", Member),
                ("agent_identity", Newcomer),
                ("task", Key),
                ("options", Options),
                ("fork_context", Context),
            ],
        ),
    ),
    (1, "mobkit/wait_ready", (0, &[("timeout_ms", Number)])),
    (2, "mobkit/blob/get", (1, &[("blob_id", BlobId)])),
    (
        2,
        "mobkit/blob/upload",
        (2, &[("media_type", MediaType), ("data", Base64)]),
    ),
    (1, "mobkit/modules/list", NONE),
    (8, "mobkit/reconcile", (1, &[("modules", ModuleNames)])),
    (1, "mobkit/modules/stop", MODULE),
    (
        3,
        "mobkit/call_tool",
        (
            2,
            &[
                ("module_id", ModuleName),
                ("tool", ToolName),
                ("arguments", Anything),
            ],
        ),
    ),
    (
        2,
        "mobkit/events/subscribe",
        (
            0,
            &[
                ("scope", Scope),
                ("last_event_id", EventId),
                ("agent_id", Member),
            ],
        ),
    ),
    (
        4,
        "mobkit/routing/resolve",
        (
            1,
            &[
                ("recipient", Recipient),
                ("channel", Channel),
                ("retry_max", Small),
                ("backoff_ms", Number),
                ("rate_limit_per_minute", Small),
            ],
        ),
    ),
    (1, "mobkit/routing/routes/list", NONE),
    (2, "mobkit/routing/routes/add", ROUTE),
    (
        1,
        "mobkit/routing/routes/delete",
        (1, &[("route_key", RouteKey)]),
    ),
    (
        6,
        "mobkit/delivery/send",
        (
            2,
            &[
                ("resolution", Resolution),
                ("payload", Anything),
                ("idempotency_key", Key),
            ],
        ),
    ),
    (
        1,
        "mobkit/delivery/history",
        (
            0,
            &[("recipient", Recipient), ("sink", Sink), ("limit", Small)],
        ),
    ),
    (2, "mobkit/scheduling/evaluate", TICK),
    (3, "mobkit/scheduling/dispatch", TICK),
    (
        2,
        "mobkit/scheduling/set",
        (2, &[("schedule", Schedule), ("action", Action)]),
    ),
    (1, "mobkit/scheduling/list", NONE),
    (1, "mobkit/scheduling/delete", (1, &[("schedule_id", Key)])),
    (
        4,
        "mobkit/gating/evaluate",
        (
            3,
            &[
                ("action", Key),
                ("actor_id", Member),
                ("risk_tier", Tier),
                ("rationale", Text),
                ("requested_approver", Member),
                ("approval_recipient", Recipient),
                ("approval_channel", Channel),
                ("approval_timeout_ms", Number),
                ("entity", Key),
                ("topic", Key),
            ],
        ),
    ),
    (1, "mobkit/gating/pending", NONE),
    (
        6,
        "mobkit/gating/decide",
        (
            3,
            &[
                ("pending_id", Pending),
                ("approver_id", Member),
                ("decision", Decision),
                ("reason", Text),
            ],
        ),
    ),
    (1, "mobkit/gating/audit", (0, &[("limit", Small)])),
    (1, "mobkit/memory/stores", NONE),
    (
        3,
        "mobkit/memory/index",
        (
            3,
            &[
                ("entity", Key),
                ("topic", Key),
                ("fact", Text),
                ("store", Store),
                ("metadata", Anything),
                ("conflict", Flag),
                ("conflict_reason", Text),
            ],
        ),
    ),
    (
        1,
        "mobkit/memory/query",
        (0, &[("entity", Key), ("topic", Key), ("store", Store)]),
    ),
    (
        1,
        "mobkit/memory/resolve_conflict",
        (2, &[("entity", Key), ("topic", Key), ("store", Store)]),
    ),
];

/// Modules that there are, and one that there is not.
pub(super) const MODULES: &[&str] = &[
    "router",
    "delivery",
    "echo",
    "memory",
    "scheduling",
    "nobody",
];
pub(super) const TOOLS: &[&str] = &[
    "say",
    "fail",
    "sleep",
    "shout",
    "routing.resolve",
    "delivery.send",
    "delivery.receive",
    "scheduling.dispatch",
];
pub(super) const CHANNELS: &[&str] = &["notification", "alert", "*"];
pub(super) const SINKS: &[&str] = &["webhook", "mob_member", "module", "email"];
pub(super) const ROUTE_KEYS: &[&str] = &["r-1", "r-2", "r-3", " r-1 ", "mob.member.lead"];
pub(super) const INTERVALS: &[&str] = &[
    "*/5m",
    "*/1h",
    "*/30S",
    "*/2d",
    "*/99999999999999999999s",
    "*/4294967296d",
    "0 * * * *",
    "*/15 9-17 * * 1-5",
    "0 0 29 2 *",
    "0 0 31 2 *",
    "0 0 13 * 5",
    "59 23 31 12 7",
    "1,2,3-9/2 */3 1-7 1,12 0",
    "60 0 0 0 8",
    "* * * *",
];
pub(super) const ZONES: &[&str] = &[
    "UTC",
    "z",
    "+02:00",
    "-0930",
    "GMT+23:59",
    "UTC-00:30",
    "+24:00",
    "Europe/Vienna",
    " ",
];
pub(super) const STORES: &[&str] = &["knowledge_graph", "VECTOR", " todo ", "attic"];

/// The one that uploads may have made, one that nobody has made, and what is none.
pub(super) const BLOB_IDS: &[&str] = &[
    "sha256:481108a1c61fc47e623f189181546c8ea108f1c405afd18d63a73cd78e242010",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "sha256:ABC",
    "../x",
];

/// Few, so that members meet, and their number stays small.
pub(super) const MEMBERS: &[&str] = &[
    "lead", "w-1", "w-2", "q-1", "a", "é", "m", "%41", "x+y", "..", "a:0", "lead:0",
];
pub(super) const PROFILES: &[&str] = &["lead", "worker", "quiet", "delegate"];
pub(super) const KEYS: &[&str] = &["k", "team", "core", "console", "a b", "%", "é", "0"];
pub(super) const TYPES: &[&str] = &[
    "member_spawned",
    "member_retired",
    "text_delta",
    "run_completed",
    "text_complete",
    "gap",
];
pub(super) const TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "key",
    "lead:0",
    "a/b",
    "../../etc/passwd",
    "%2e%2F%00%zz",
    "%",
    "+",
    "*",
    "\u{0}",
    "\u{1b}[2J\u{7f}",
    "a\r\ndata: x\r\n\r\nevent: y",
    "\n\n: \n",
    "\u{2028}\u{2029}\u{85}",
    "\u{feff}",
    "\u{202e}abc",
    "😀\u{10ffff}\u{fffd}",
    "__proto__",
    "__console__",
    "constructor",
    "null",
    "true",
    "-1",
    "1e999",
    "mob:1",
    "console:1",
    "mob-evt-1",
    "{{interaction_1}}",
    "\"\\",
    "</script>",
];
pub(super) const CONTENTS: &[&str] = &[
    "hello",
    "hang",
    "fail",
    "slow",
    "words of several pieces",
    "call peers {}",
    "call send_message {\"to\":\"w-1\",\"content\":\"hi\"}",
    "call send_message {\"to\":1}",
    "call delegate {\"task\":\"hello\"}",
    "call delegate {\"task\":\"hang\",\"ttl_seconds\":5}",
    "call mob_spawn_member {\"name\":\"a\",\"role\":\"worker\"}",
    "call nothing [",
    "call echo__say {\"a\":1}",
    "call echo__say {\"entity\":\"k\",\"topic\":\"team\"}",
    "call echo__fail {}",
    "call  \u{0}",
];
/// Numbers as they are written.
pub(super) const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "5",
    "-1",
    "-0",
    "0.5",
    "1.0",
    "255",
    "256",
    "1000",
    "1001",
    "200000",
    "200001",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e309",
    "5e-324",
    "123456789012345678901234567890",
    "01",
    "+1",
    "1.",
    ".5",
    "NaN",
    "1e",
];
