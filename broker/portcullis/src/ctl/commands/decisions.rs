//! Commands about decisions and permissions.

use super::super::{
    column::{Column, Form, column},
    command::{Argument, Command, Kind, View, body, list, path, post, query, show, word},
};

pub(super) const COMMANDS: &[Command] = &[
    post(
        "can",
        "/api/v1/permissions/can",
        "Whether a connected client may publish or subscribe, and why",
    )
    .with(&[
        word("client-id", "client_id", "Client Identifier"),
        word("action", "action", "What it would do").of(Kind::Words(&["publish", "subscribe"])),
        word("topic", "topic", "Topic Name, or Topic Filter to subscribe to"),
        body("qos", "qos", "QoS, 0 to 2").of(Kind::Number),
        body("retain", "retain", "With the RETAIN flag").of(Kind::Flag),
        body("principal", "principal", "Principal of a client that is not connected"),
        body("listener", "listener", "Listener that such a client would come to"),
        body("group", "groups", "Group of such a client; may be given several times")
            .of(Kind::List),
    ]),
    list(
        "permissions reach",
        "/api/v1/permissions/reach",
        "Connected clients that can reach a topic, and by which rule",
        ("clients", REACH, "no client on this page; there may be more behind it"),
    )
    .with(&[
        query("topic", "topic", "Topic Name").required(),
        query("activity", "activity", "What they would do")
            .of(Kind::Words(&["publish", "subscribe"]))
            .required(),
        query("qos", "qos", "QoS, 0 to 2").of(Kind::Number),
        query("retain", "retain", "With the RETAIN flag").of(Kind::Boolean),
    ])
    .paged("after", 1000),
    list(
        "permissions unreachable",
        "/api/v1/permissions/unreachable",
        "Rules of connected clients that never decide, because others before cover them",
        ("rules", FINDING, "there is no such rule"),
    ),
    list(
        "permissions unused",
        "/api/v1/permissions/unused",
        "Rules of connected clients that decided nothing since they came in force",
        ("rules", FINDING, "there is no such rule"),
    ),
    show("explain", "/api/v1/decisions/{id}", "One decision: who was asked, what each said, why")
        .with(&[DECISION]),
    show(
        "clients explain",
        "/api/v1/clients/{client_id}/explain",
        "Who let a client in and why, and what it was refused last",
    )
    .with(&[super::clients::CLIENT_ID]),
    list(
        "decisions list",
        "/api/v1/decisions",
        "The latest decisions, the newest first",
        ("decisions", ROW, "nothing was decided yet, or [decisions] keep is 0"),
    )
    .with(&[
        query("client", "client_id", "Only those on this Client Identifier"),
        query("refused", "refused", "Only those that were refused, or were not").of(Kind::Boolean),
    ])
    .paged_behind("before", "/id", (50, 500)),
    show("decisions show", "/api/v1/decisions/{id}", "The same as `ctl explain`").with(&[DECISION]),
    show(
        "decisions recording",
        "/api/v1/decisions/{id}/recording",
        "What plugins were asked and told, what is secret sealed; for `portcullis plugin replay`",
    )
    .with(&[DECISION])
    .shown(View::Bytes),
    post(
        "permissions invalidate",
        "/api/v1/permissions/invalidate",
        "Asks for the permissions of a client, a principal or everybody again",
    )
    .with(&[
        body("client", "client_id", "Of this Client Identifier"),
        body("principal", "principal", "Of this principal"),
        body("everybody", "everybody", "Of everybody").of(Kind::Flag),
    ])
    .says("asked for again"),
];

const DECISION: Argument = path("id", "id", "Name of the decision, as in log lines");

const ROW: &[Column] = &[
    column("ID", "/id"),
    column("AT", "/at").of(Form::Time),
    column("ABOUT", "/about"),
    column("CLIENT", "/client_id"),
    column("PRINCIPAL", "/principal"),
    column("TOPIC", "/topic"),
    column("PERMITTED", "/permitted"),
    column("REASON", "/reason"),
];

const REACH: &[Column] = &[
    column("CLIENT", "/client_id"),
    column("PRINCIPAL", "/principal"),
    column("LISTENER", "/listener"),
    column("PLUGIN", "/plugin"),
    column("RULE", "/rule"),
];

const FINDING: &[Column] = &[
    column("PLUGIN", "/plugin"),
    column("RULE", "/rule"),
    column("EFFECT", "/effect"),
    column("FILTER", "/filter"),
    column("COVERED BY", "/covered_by"),
    column("CLIENTS", "/clients"),
    column("WATCHED", "/watched_seconds").of(Form::Seconds),
];
