//! What a line of the table of routes says: method, path, access rule, bodies, bounds.
//!
//! Knows nothing of single routes. There is no way to make a [`Route`] without an access rule.

use std::time::Duration;

use access::BoxFuture;
use axum::routing::MethodFilter;

use crate::{
    call::{Answer, Call},
    openapi::{Content, Parameters},
};

/// One route.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    /// As axum and OpenAPI write it.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// One sentence without full stop.
    pub(crate) summary: &'static str,
    pub(crate) query: Option<Parameters>,
    /// Headers that it looks at, beside those of HTTP and the token.
    pub(crate) headers: &'static [Header],
    pub(crate) request: Option<Content>,
    /// The good answer; `None` = 204.
    pub(crate) answer: Option<Content>,
    /// Whether the good answer is 303.
    pub(crate) elsewhere: bool,
    /// Status codes of problems, beside 400, 401, 403, 421 and 503, which every route may answer.
    pub(crate) problems: &'static [u16],
    pub(crate) timeout: Duration,
    /// Whether it is for the eyes: a stranger is sent to the page that logs in, and scripts, styles
    /// and forms of this host work. The OpenAPI document leaves pages out.
    pub(crate) page: bool,
    pub(crate) handler: Handler,
}

/// A header of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// Whether nothing happens without it.
    pub(crate) required: bool,
}

pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Answer>;

/// Method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody who reaches the address.
    Open,
    /// Everybody if `metrics_open` is configured, otherwise as [`Access::Needs`].
    OpenIfConfigured(Permission),
    /// Everybody who has a token.
    LoggedIn,
    /// The user of the directory that stands in the path as `{user}`, logged in, and holders of a token
    /// with this permission.
    OneselfOr(Permission),
    /// Holders of a token with this permission.
    Needs(Permission),
}

/// What a token may be good for. The token of the first start holds all of them, others what their roles
/// say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    MetricsRead,
    StatusRead,
    ClientsRead,
    ClientsDisconnect,
    PluginsRead,
    PluginsWrite,
    PluginsGrant,
    PermissionsRead,
    PermissionsInvalidate,
    DecisionsRead,
    DecisionsRecording,
    BansRead,
    BansWrite,
    KeysRead,
    KeysWrite,
    SessionsWrite,
    SubscriptionsRead,
    SubscriptionsWrite,
    RetainedRead,
    RetainedWrite,
    MessagesPublish,
    EventsRead,
    TracesRead,
    TracesWrite,
    AccessLogRead,
    UsersRead,
    UsersWrite,
    TokensRead,
    TokensWrite,
    AuditRead,
    ConfigRead,
    ConfigWrite,
    BackupRead,
    BackupWrite,
}

impl Route {
    const fn new(
        verb: Verb,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            verb,
            path,
            access,
            summary,
            query: None,
            headers: &[],
            request: None,
            answer: None,
            elsewhere: false,
            problems: &[],
            timeout: TIMEOUT,
            page: false,
            handler,
        }
    }

    pub(crate) const fn get(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Get, path, access, summary, handler)
    }

    pub(crate) const fn put(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Put, path, access, summary, handler)
    }

    pub(crate) const fn post(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Post, path, access, summary, handler)
    }

    pub(crate) const fn delete(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Delete, path, access, summary, handler)
    }

    pub(crate) const fn query(mut self, query: Parameters) -> Self {
        self.query = Some(query);
        self
    }

    pub(crate) const fn headers(mut self, headers: &'static [Header]) -> Self {
        self.headers = headers;
        self
    }

    pub(crate) const fn accepts(mut self, request: Content) -> Self {
        self.request = Some(request);
        self
    }

    pub(crate) const fn answers(mut self, answer: Content) -> Self {
        self.answer = Some(answer);
        self
    }

    pub(crate) const fn sends_elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    pub(crate) const fn may_answer(mut self, problems: &'static [u16]) -> Self {
        self.problems = problems;
        self
    }

    pub(crate) const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) const fn page(mut self) -> Self {
        self.page = true;
        self
    }

    /// Whether a path belongs to this route, whatever the method.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let same = self.path.split('/').all(|template| {
            segments.next().is_some_and(|segment| template.starts_with('{') || template == segment)
        });
        same && segments.next().is_none()
    }
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    pub(crate) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Put => MethodFilter::PUT,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

impl Access {
    pub(crate) fn permission(self) -> Option<Permission> {
        match self {
            Self::Open | Self::LoggedIn => None,
            Self::OpenIfConfigured(permission)
            | Self::OneselfOr(permission)
            | Self::Needs(permission) => Some(permission),
        }
    }

    pub(crate) fn changes(self) -> bool {
        match self.permission() {
            Some(
                Permission::ClientsDisconnect
                | Permission::PluginsWrite
                | Permission::PluginsGrant
                | Permission::PermissionsInvalidate
                | Permission::BansWrite
                | Permission::KeysWrite
                | Permission::SessionsWrite
                | Permission::SubscriptionsWrite
                | Permission::RetainedWrite
                | Permission::MessagesPublish
                | Permission::TracesWrite
                | Permission::UsersWrite
                | Permission::TokensWrite
                | Permission::ConfigWrite
                | Permission::BackupWrite,
            ) => true,
            Some(
                Permission::MetricsRead
                | Permission::StatusRead
                | Permission::ClientsRead
                | Permission::PluginsRead
                | Permission::PermissionsRead
                | Permission::DecisionsRead
                | Permission::DecisionsRecording
                | Permission::BansRead
                | Permission::KeysRead
                | Permission::SubscriptionsRead
                | Permission::RetainedRead
                | Permission::EventsRead
                | Permission::TracesRead
                | Permission::AccessLogRead
                | Permission::UsersRead
                | Permission::TokensRead
                | Permission::AuditRead
                | Permission::ConfigRead
                | Permission::BackupRead,
            )
            | None => false,
        }
    }
}

impl Permission {
    /// All there are.
    pub(crate) const ALL: [Self; 34] = [
        Self::MetricsRead,
        Self::StatusRead,
        Self::ClientsRead,
        Self::ClientsDisconnect,
        Self::PluginsRead,
        Self::PluginsWrite,
        Self::PluginsGrant,
        Self::PermissionsRead,
        Self::PermissionsInvalidate,
        Self::DecisionsRead,
        Self::DecisionsRecording,
        Self::BansRead,
        Self::BansWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::SessionsWrite,
        Self::SubscriptionsRead,
        Self::SubscriptionsWrite,
        Self::RetainedRead,
        Self::RetainedWrite,
        Self::MessagesPublish,
        Self::EventsRead,
        Self::TracesRead,
        Self::TracesWrite,
        Self::AccessLogRead,
        Self::UsersRead,
        Self::UsersWrite,
        Self::TokensRead,
        Self::TokensWrite,
        Self::AuditRead,
        Self::ConfigRead,
        Self::ConfigWrite,
        Self::BackupRead,
        Self::BackupWrite,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MetricsRead => "metrics:read",
            Self::StatusRead => "status:read",
            Self::ClientsRead => "clients:read",
            Self::ClientsDisconnect => "clients:disconnect",
            Self::PluginsRead => "plugins:read",
            Self::PluginsWrite => "plugins:write",
            Self::PluginsGrant => "plugins:grant",
            Self::PermissionsRead => "permissions:read",
            Self::PermissionsInvalidate => "permissions:invalidate",
            Self::DecisionsRead => "decisions:read",
            Self::DecisionsRecording => "decisions:recording",
            Self::BansRead => "bans:read",
            Self::BansWrite => "bans:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::SessionsWrite => "sessions:write",
            Self::SubscriptionsRead => "subscriptions:read",
            Self::SubscriptionsWrite => "subscriptions:write",
            Self::RetainedRead => "retained:read",
            Self::RetainedWrite => "retained:write",
            Self::MessagesPublish => "messages:publish",
            Self::EventsRead => "events:read",
            Self::TracesRead => "traces:read",
            Self::TracesWrite => "traces:write",
            Self::AccessLogRead => "access_log:read",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::TokensRead => "tokens:read",
            Self::TokensWrite => "tokens:write",
            Self::AuditRead => "audit:read",
            Self::ConfigRead => "config:read",
            Self::ConfigWrite => "config:write",
            Self::BackupRead => "backup:read",
            Self::BackupWrite => "backup:write",
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// Compiling a large component takes its time on a small machine.
pub(crate) const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);
