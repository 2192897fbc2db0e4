//! Commands about what happens and what was written down of it: events, access log, history.

use super::super::{
    column::{Column, column},
    command::{Command, LAST_EVENT_ID, View, list, query, show},
};

pub(super) const COMMANDS: &[Command] = &[
    show("events", "/api/v1/events", "What happens, as it happens; Ctrl-C ends it")
        .with(&[query("types", "types", "Only these types, separated by commas"), LAST_EVENT_ID])
        .shown(View::Stream),
    list(
        "access-log",
        "/api/v1/access_log",
        "Lines of the access log of one day, the latest first",
        ("lines", ACCESS, "no line matches"),
    )
    .with(&[
        query("day", "day", "Day in UTC, as 2026-11-30 [default: today]"),
        query("client", "client_id", "Only those of this Client Identifier"),
        query("type", "type", "Only lines of this type, as connect"),
        query("principal", "principal", "Only those of this principal"),
        query("address", "address", "Only those from this IP address"),
    ])
    .paged("before", 1000),
    list(
        "history",
        "/api/v1/clients/{client_id}/history",
        "What happened to a client lately, the latest first",
        ("events", HISTORY, "nothing is known of that client"),
    )
    .with(&[super::clients::CLIENT_ID]),
];

const ACCESS: &[Column] = &[
    column("TIME", "/time"),
    column("TYPE", "/type"),
    column("CLIENT", "/client_id"),
    column("PRINCIPAL", "/principal"),
    column("REMOTE", "/remote"),
    column("LISTENER", "/listener"),
    column("REASON", "/reason"),
    column("TOPIC", "/topic"),
    column("PLUGIN", "/plugin"),
    column("DECISION", "/decision"),
    column("COUNT", "/count"),
];

const HISTORY: &[Column] = &[
    column("TIME", "/time"),
    column("TYPE", "/type"),
    column("REASON", "/reason"),
    column("PRINCIPAL", "/principal"),
    column("REMOTE", "/remote"),
    column("TOPIC", "/topic"),
    column("PLUGIN", "/plugin"),
    column("DECISION", "/decision"),
    column("CAUSE", "/cause"),
    column("TIMES", "/times"),
];
