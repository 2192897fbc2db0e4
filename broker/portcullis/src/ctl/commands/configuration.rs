//! Commands about the configuration file.

use super::super::command::{Argument, Command, IF_MATCH, Kind, View, body, post, put, show};

pub(super) const COMMANDS: &[Command] = &[
    show("config show", "/api/v1/config", "The configuration file without secrets; its version")
        .shown(View::Text("text")),
    post("config check", "/api/v1/config/check", "What is wrong with a file, if it were that one")
        .with(&[FILE]),
    put("config put", "/api/v1/config", "Replaces the configuration file, and reloads")
        .with(&[FILE, IF_MATCH.required()]),
    post("config reload", "/api/v1/config/reload", "Reads the configuration file again"),
];

const FILE: Argument = body("file", "text", "File with the new text, - = standard input")
    .of(Kind::TextFile)
    .required();
