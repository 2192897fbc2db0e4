//! Commands about the broker as a whole, key rings and the login.

use super::super::{
    column::{Form, column},
    command::{Command, Kind, View, body, delete, list, path, post, query, show},
};

pub(super) const COMMANDS: &[Command] = &[
    show("status", "/api/v1/status", "Version, uptime, readiness and totals"),
    list(
        "samples",
        "/api/v1/overview",
        "The last 15 minutes, a line for every five seconds",
        (
            "samples",
            &[
                column("AT", "/at").of(Form::Time),
                column("CONNECTIONS", "/connections"),
                column("SESSIONS", "/sessions"),
                column("OVERLOAD", "/overload_level"),
                column("MESSAGES IN/s", "/messages_in"),
                column("OUT/s", "/messages_out"),
                column("DROPPED/s", "/messages_dropped"),
                column("BYTES IN/s", "/bytes_in"),
                column("OUT/s", "/bytes_out"),
            ],
            "the first sample is not taken yet",
        ),
    ),
    list(
        "listeners",
        "/api/v1/listeners",
        "The bound listeners and their chains",
        (
            "listeners",
            &[
                column("NAME", "/name"),
                column("ADDRESS", "/address"),
                column("TRANSPORT", "/transport"),
                column("CONNECTIONS", "/connections"),
                column("CHAIN", "/chain").of(Form::Each("plugin")),
            ],
            "no listener is bound",
        ),
    ),
    show("metrics", "/metrics", "All metrics in the OpenMetrics text format").shown(View::Bytes),
    list(
        "keys list",
        "/api/v1/keys",
        "All key rings, without what is in their keys",
        (
            "rings",
            &[
                column("RING", "/name"),
                column("ALGORITHM", "/algorithm"),
                column("MANAGED", "/managed"),
                column("KEYS", "/keys").of(Form::Each("id")),
            ],
            "the configuration has no [keys.NAME]",
        ),
    ),
    show("keys show", "/api/v1/keys/{ring}", "One key ring").with(&[RING]),
    post("keys add", "/api/v1/keys/{ring}", "Adds a key that only opens until the ring is rotated")
        .with(&[
            RING,
            body("id", "id", "Number of the key, larger than all before [default: the next]")
                .of(Kind::Number),
            body("value-file", "value", "File with 32 bytes in base64 [default: a random key]")
                .of(Kind::SecretFile),
        ]),
    post("keys rotate", "/api/v1/keys/{ring}/rotate", "Makes a new key, or an open one, seal")
        .with(&[
            RING,
            query("id", "id", "Number of a key that opens [default: a new key]").of(Kind::Number),
        ]),
    delete("keys retire", "/api/v1/keys/{ring}/{key}", "Retires a key: it opens no more, for good")
        .with(&[RING, path("key", "key", "Number of the key").of(Kind::Number)])
        .shown(View::Fields),
    show("login show", "/api/v1/login", "Who the token stands for, and what it permits"),
    delete("login end", "/api/v1/login", "Ends the login that the token stands for")
        .says("logged out"),
];

const RING: super::super::command::Argument = path("ring", "ring", "NAME of [keys.NAME]");
