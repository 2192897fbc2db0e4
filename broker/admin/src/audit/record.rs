//! What a line of the audit log says.
//!
//! Knows nothing of files. Text of strangers is escaped and cut: a line is one line on any terminal.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use telemetry::Escaped;

use crate::administrators::{Administrator, Source};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Something was changed, or that failed: `status` says which.
    Change,
    /// Somebody logged in, or was refused.
    Login,
    /// Somebody logged out.
    Logout,
    /// A request was turned away before it did anything.
    Refused,
    /// The broker began to write this log.
    Start,
}

/// What happened. The order of the fields is the one of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    pub(crate) action: Action,
    /// Who it was, or said it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// What showed who it was: `token_file`, `local`, `chain`, `oidc`, `token:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    /// `METHOD /path` as in the documentation; of a refusal as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// Refusals before this one that were too many to be written.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) left_out: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    pub(crate) fn new(action: Action) -> Self {
        Self {
            action,
            user: None,
            by: None,
            from: None,
            route: None,
            target: None,
            status: None,
            cause: None,
            left_out: 0,
        }
    }

    pub(crate) fn who(mut self, who: &Administrator) -> Self {
        self.user = who.user.as_deref().map(plain);
        self.by = Some(match (&who.token_id, who.source) {
            (Some(id), _) => format!("token:{id}"),
            (None, source) => source.name().to_owned(),
        });
        self
    }

    /// Who somebody says it is.
    pub(crate) fn claims(mut self, user: &str) -> Self {
        self.user = Some(plain(user));
        self
    }

    pub(crate) fn from(mut self, from: Option<SocketAddr>) -> Self {
        self.from = from;
        self
    }

    pub(crate) fn route(mut self, route: &str) -> Self {
        self.route = Some(plain(route));
        self
    }

    pub(crate) fn target(mut self, target: Option<&str>) -> Self {
        self.target = target.map(plain);
        self
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn cause(mut self, cause: Option<&str>) -> Self {
        self.cause = cause.map(plain);
        self
    }
}

impl Source {
    /// As the audit log writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TokenFile => "token_file",
            Self::Local => "local",
            Self::Chain => "chain",
            Self::Oidc => "oidc",
            Self::Token => "token",
        }
    }
}

/// At most so many characters of a text.
const TEXT_CHARACTERS_MAX: usize = 256;

/// Printable text, as long as it may be.
fn plain(text: &str) -> String {
    let printable = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    if text.chars().count() <= TEXT_CHARACTERS_MAX && text.chars().all(printable) {
        return text.to_owned();
    }
    let short: String = text.chars().take(TEXT_CHARACTERS_MAX).collect();
    Escaped(&short).to_string()
}
