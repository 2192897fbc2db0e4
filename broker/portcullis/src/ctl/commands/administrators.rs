//! Commands about those who use the admin API: users, roles and tokens.

use super::super::{
    column::{Column, Form, column},
    command::{
        Argument, Command, IF_MATCH, Kind, View, body, delete, list, path, post, put, show, word,
    },
};

pub(super) const COMMANDS: &[Command] = &[
    list(
        "users list",
        "/api/v1/users",
        "Users that the broker keeps",
        ("users", USER_COLUMNS, "the broker keeps no user: `ctl users add` makes the first"),
    )
    .paged("after", 1000),
    show("users show", "/api/v1/users/{user}", "One user").with(&[USER]),
    post("users add", "/api/v1/users", "Makes a user").with(&[
        word("user", "name", "Name of the user"),
        body("password-file", "password", "File with the password, - = standard input")
            .of(Kind::SecretFile)
            .required(),
        body("role", "roles", "A role; may be given several times").of(Kind::List),
        body("disabled", "disabled", "It cannot log in yet").of(Kind::Flag),
    ]),
    put(
        "users set",
        "/api/v1/users/{user}",
        "Sets the roles of a user, keeps it out or lets it in again; ends its logins",
    )
    .with(&[
        USER,
        body("role", "roles", "One of all its roles; may be given several times [default: as now]")
            .of(Kind::List),
        body("disabled", "disabled", "Whether it is kept out [default: as now]").of(Kind::Boolean),
        IF_MATCH,
    ]),
    delete("users remove", "/api/v1/users/{user}", "Removes a user, its logins and its tokens")
        .with(&[USER, IF_MATCH])
        .says("removed"),
    put("users password", "/api/v1/users/{user}/password", "A new password; ends its logins")
        .with(&[
            USER,
            body("password-file", "password", "File with the new password, - = standard input")
                .of(Kind::SecretFile)
                .required(),
            body("current-file", "current", "File with the present one, where it is one's own")
                .of(Kind::SecretFile),
        ])
        .says("the password is set"),
    post("users totp", "/api/v1/users/{user}/totp", "A secret for one-time codes, shown once")
        .with(&[
            USER,
            body(
                "current-file",
                "current",
                "File with the present password, where it is one's own",
            )
            .of(Kind::SecretFile),
        ]),
    post(
        "users totp-confirm",
        "/api/v1/users/{user}/totp/confirm",
        "The first one-time code: from now on logins need one",
    )
    .with(&[USER, word("code", "code", "Six digits of the authenticator")]),
    delete("users totp-remove", "/api/v1/users/{user}/totp", "Takes one-time codes away")
        .with(&[USER])
        .says("logins need no one-time code any more"),
    list(
        "roles list",
        "/api/v1/roles",
        "All roles and what they permit",
        (
            "roles",
            &[
                column("ROLE", "/name"),
                column("ORIGIN", "/origin"),
                column("PERMISSIONS", "/permissions"),
            ],
            "there is no role",
        ),
    ),
    show("roles show", "/api/v1/roles/{role}", "One role").with(&[ROLE]),
    post("roles add", "/api/v1/roles", "Makes a role")
        .with(&[word("role", "name", "Name of the role"), PERMISSION.required()]),
    put("roles set", "/api/v1/roles/{role}", "Sets what a role permits; ends logins with it")
        .with(&[ROLE, PERMISSION.required(), IF_MATCH]),
    delete("roles remove", "/api/v1/roles/{role}", "Removes a role that no user has")
        .with(&[ROLE, IF_MATCH])
        .says("removed"),
    list(
        "tokens list",
        "/api/v1/tokens",
        "API tokens, without what they are",
        ("tokens", TOKEN_COLUMNS, "there is no token but DATA_DIR/admin.token"),
    )
    .paged("after", 1000),
    post("tokens add", "/api/v1/tokens", "Makes a token of whoever asks, and shows it this once")
        .with(&[
            word("name", "name", "What it is for"),
            body("role", "roles", "What this role permits; may be given several times")
                .of(Kind::List),
            PERMISSION,
            body("expires-in", "expires_in", "Seconds until it expires [default: 90 days]")
                .of(Kind::Number),
            body("never-expires", "never_expires", "It is good until it is revoked").of(Kind::Flag),
        ])
        .shown(View::Fields),
    delete("tokens revoke", "/api/v1/tokens/{id}", "Revokes a token")
        .with(&[path("id", "id", "Id of the token")])
        .says("revoked"),
];

const USER: Argument = path("user", "user", "Name of the user");
const ROLE: Argument = path("role", "role", "Name of the role");
const PERMISSION: Argument =
    body("permission", "permissions", "A permission, field:NAME or *; may be given several times")
        .of(Kind::List);

const USER_COLUMNS: &[Column] = &[
    column("USER", "/name"),
    column("ROLES", "/roles"),
    column("DISABLED", "/disabled"),
    column("ONE-TIME CODES", "/totp"),
    column("MADE", "/created_unix").of(Form::Time),
];

const TOKEN_COLUMNS: &[Column] = &[
    column("ID", "/id"),
    column("NAME", "/name"),
    column("OWNER", "/owner"),
    column("PERMISSIONS", "/permissions"),
    column("MADE", "/created_unix").of(Form::Time),
    column("EXPIRES", "/expires_at").of(Form::Time),
    column("LAST USED", "/last_used_unix").of(Form::Time),
];
