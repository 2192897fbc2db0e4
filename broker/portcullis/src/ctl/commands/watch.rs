//! Commands about what goes on: alarms, certificates, the audit log, traces.

use super::super::{
    column::{Column, Form, column},
    command::{
        Argument, Command, Kind, LAST_EVENT_ID, View, body, delete, list, path, post, put, query,
        show, word,
    },
};

pub(super) const COMMANDS: &[Command] = &[
    list(
        "alarms",
        "/api/v1/alarms",
        "What is wrong now, the worst first",
        (
            "alarms",
            &[
                column("SEVERITY", "/severity"),
                column("SINCE", "/since_unix").of(Form::Time),
                column("ID", "/id"),
                column("WHAT", "/what"),
                column("ADVICE", "/advice"),
            ],
            "nothing is wrong",
        ),
    ),
    show(
        "certificates",
        "/api/v1/certificates",
        "Our certificates, authorities and revocation lists of clients, and when they end",
    ),
    list(
        "audit",
        "/api/v1/audit",
        "The audit log of a day, the newest lines first",
        (
            "records",
            &[
                column("SEQ", "/seq"),
                column("TIME", "/time"),
                column("USER", "/user"),
                column("BY", "/by"),
                column("FROM", "/from"),
                column("ACTION", "/action"),
                column("ROUTE", "/route"),
                column("TARGET", "/target"),
                column("STATUS", "/status"),
                column("CAUSE", "/cause"),
            ],
            "no line matches",
        ),
    )
    .with(&[
        query("day", "day", "Day in UTC, as 2026-11-30 [default: the latest]"),
        query("user", "user", "Only what this user did"),
        query("action", "action", "Only this action"),
    ])
    .paged("before", 1000),
    list("traces list", "/api/v1/traces", "All traces", ("traces", TRACE, "nothing is traced")),
    post(
        "traces start",
        "/api/v1/traces",
        "Records everything about some clients for a while: packets, plugin calls, decisions",
    )
    .with(&[
        word("name", "name", "Name for people"),
        body("client", "client_id", "Client Identifier, with * at its end the start of some"),
        body("topic", "topic", "Only what is on topics that this Topic Filter matches"),
        body("address", "address", "IP address, or a range as 192.0.2.0/24"),
        body("principal", "principal", "The authenticated principal"),
        body("plugin", "plugin", "Only calls of this plugin, and what it decided"),
        body("start", "start_unix", "When it begins, seconds since 1970 [default: now]")
            .of(Kind::Number),
        body("duration", "duration_seconds", "How long, 1 to 86400 seconds").of(Kind::Number),
        body("max-bytes", "max_bytes", "Bytes of its records [default: 10 MiB]").of(Kind::Number),
        body("max-events", "max_events_per_second", "Records a second [default: 1000]")
            .of(Kind::Number),
        body("payload-bytes", "payload_bytes", "Bytes of each payload [default: none]")
            .of(Kind::Number),
    ]),
    show("traces show", "/api/v1/traces/{id}", "One trace").with(&[TRACE_ID]),
    show("traces live", "/api/v1/traces/{id}/live", "Records of a trace, as they come")
        .with(&[TRACE_ID, LAST_EVENT_ID])
        .shown(View::Stream),
    show("traces download", "/api/v1/traces/{id}/download", "Records of a trace, a JSON line each")
        .with(&[TRACE_ID])
        .shown(View::Bytes),
    put("traces stop", "/api/v1/traces/{id}/stop", "Ends a trace; its records stay for 7 days")
        .with(&[TRACE_ID]),
    delete("traces remove", "/api/v1/traces/{id}", "Ends a trace and removes its records")
        .with(&[TRACE_ID])
        .says("removed"),
];

const TRACE_ID: Argument = path("id", "id", "Number of the trace").of(Kind::Number);

const TRACE: &[Column] = &[
    column("ID", "/id"),
    column("NAME", "/name"),
    column("STATE", "/state"),
    column("CLIENT", "/client_id"),
    column("TOPIC", "/topic"),
    column("ADDRESS", "/address"),
    column("PRINCIPAL", "/principal"),
    column("PLUGIN", "/plugin"),
    column("START", "/start"),
    column("END", "/end"),
];
