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
];

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
