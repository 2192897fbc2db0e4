//! Commands about plugins.

use super::super::{
    column::{Column, Form, column},
    command::{
        Argument, COMPONENT, Command, IF_MATCH, Place, argument, delete, list, path, post, put,
        query, show,
    },
};

pub(super) const COMMANDS: &[Command] = &[
    list(
        "plugins list",
        "/api/v1/plugins",
        "All plugins",
        ("plugins", PLUGIN, "there is no plugin: everybody is refused"),
    ),
    show("plugins show", "/api/v1/plugins/{name}", "One plugin").with(&[NAME]),
    put(
        "plugins upload",
        "/api/v1/plugins/{name}",
        "Stores a component and waits until it is live; its manifest stays as it is",
    )
    .with(&[COMPONENT, NEW_NAME, IF_MATCH]),
    delete("plugins forget", "/api/v1/plugins/{name}", "Forgets a plugin whose file is gone")
        .with(&[NAME, IF_MATCH])
        .says("forgotten"),
    post("plugins reload", "/api/v1/plugins/{name}/reload", "Loads a plugin again from its files")
        .with(&[NAME, IF_MATCH]),
    post(
        "plugins enable",
        "/api/v1/plugins/{name}/enable",
        "Takes a disabled plugin into the chain again",
    )
    .with(&[NAME, IF_MATCH]),
    post(
        "plugins disable",
        "/api/v1/plugins/{name}/disable",
        "Takes a plugin out of the default chain; a chain that names it refuses",
    )
    .with(&[NAME, IF_MATCH]),
    post(
        "plugins rollback",
        "/api/v1/plugins/{name}/rollback",
        "Puts the version before the live one in its place",
    )
    .with(&[NAME, IF_MATCH]),
    post(
        "plugins approve",
        "/api/v1/plugins/{name}/approve",
        "Lets a version go live that imports more than its predecessor",
    )
    .with(&[
        NAME,
        query("version", "version", "Only if it is this version that waits"),
        IF_MATCH,
    ]),
    show(
        "plugins shadow",
        "/api/v1/plugins/{name}/shadow",
        "How the candidate of a plugin answers beside what is live",
    )
    .with(&[NAME]),
    post(
        "plugins shadow-upload",
        "/api/v1/plugins/{name}/shadow",
        "Stores a component as a candidate that sees what the live one is asked",
    )
    .with(&[COMPONENT, NEW_NAME, IF_MATCH]),
    delete("plugins shadow-drop", "/api/v1/plugins/{name}/shadow", "Removes a candidate")
        .with(&[NAME, IF_MATCH])
        .says("the candidate is gone"),
    post(
        "plugins promote",
        "/api/v1/plugins/{name}/promote",
        "Puts the candidate of a plugin in the place of what is live",
    )
    .with(&[NAME, IF_MATCH]),
];

const NAME: Argument = path("name", "name", "Name of the plugin");
/// Behind the file: it says the name where nothing else does.
const NEW_NAME: Argument = argument(
    "name",
    "name",
    "Name of the plugin [default: that of FILE without .wasm]",
    Place::Path,
);

pub(in super::super) const PLUGIN: &[Column] = &[
    column("NAME", "/name"),
    column("STATE", "/state"),
    column("ORDER", "/order"),
    column("CONTROL", "/control"),
    column("GENERATION", "/generation").of(Form::Short),
    column("VERSION", "/described/version"),
    column("CALLS", "/calls"),
    column("FAILURES", "/failures"),
    column("ERROR", "/error"),
];
