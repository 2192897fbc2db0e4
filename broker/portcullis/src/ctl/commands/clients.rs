//! Commands about clients and bans.

use super::super::{
    column::{Column, Form, column},
    command::{Argument, Command, Kind, body, delete, list, path, post, query, show},
};

pub(super) const COMMANDS: &[Command] = &[
    list(
        "clients list",
        "/api/v1/clients",
        "Clients with a session, in the order of their identifiers",
        ("clients", CLIENT, "no client has a session"),
    )
    .with(&[
        query("prefix", "prefix", "Only those whose Client Identifier begins so"),
        query("connected", "connected", "Only those that are connected, or are not")
            .of(Kind::Boolean),
        query("principal", "principal", "Only those of this principal"),
        query("listener", "listener", "Only those of this listener"),
        query("address", "address", "Only those from this IP address or range"),
    ])
    .paged("after", 1000),
    show("clients show", "/api/v1/clients/{client_id}", "One client").with(&[CLIENT_ID]),
    delete(
        "clients disconnect",
        "/api/v1/clients/{client_id}/connection",
        "Ends a connection; the session stays, the Will Message is published",
    )
    .with(&[CLIENT_ID])
    .says("disconnected"),
    list(
        "bans list",
        "/api/v1/bans",
        "Bans in force, those for flapping too",
        ("bans", BAN, "nobody is banned"),
    )
    .paged("after", 1000),
    show("bans show", "/api/v1/bans/{id}", "One ban").with(&[BAN_ID]),
    post("bans add", "/api/v1/bans", "Keeps somebody out; who matches is disconnected").with(&[
        body("client", "client_id", "Client Identifier"),
        body("principal", "principal", "Principal"),
        body("address", "address", "IP address, or a range as 192.0.2.0/24"),
        body("certificate", "certificate", "SHA-256 of a client certificate, in hexadecimal"),
        body("reason", "reason", "Why, for the operator"),
        body("seconds", "seconds", "For how long [default: until it is lifted]").of(Kind::Number),
    ]),
    delete("bans lift", "/api/v1/bans/{id}", "Lifts a ban").with(&[BAN_ID]).says("lifted"),
];

pub(super) const CLIENT_ID: Argument = path("client-id", "client_id", "Client Identifier");
const BAN_ID: Argument = path("id", "id", "Number of the ban").of(Kind::Number);

const CLIENT: &[Column] = &[
    column("CLIENT", "/client_id"),
    column("CONNECTED", "/connected"),
    column("PRINCIPAL", "/principal"),
    column("LISTENER", "/listener"),
    column("REMOTE", "/remote"),
    column("PROTOCOL", "/protocol"),
    column("IN FLIGHT", "/in_flight"),
    column("QUEUED", "/queued"),
    column("SINCE", "/since_unix").of(Form::Time),
];

const BAN: &[Column] = &[
    column("ID", "/id"),
    column("CLIENT", "/client_id"),
    column("PRINCIPAL", "/principal"),
    column("ADDRESS", "/address"),
    column("CERTIFICATE", "/certificate").of(Form::Short),
    column("ORIGIN", "/origin"),
    column("SINCE", "/since_unix").of(Form::Time),
    column("UNTIL", "/until_unix").of(Form::Time),
    column("REASON", "/reason"),
];
