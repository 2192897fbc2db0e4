//! Events of the admin API: what an administrator changed, and who was turned away.
//!
//! Knows nothing of HTTP; called by `admin`.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
};

use super::or_dash;
use crate::{EscapedDisplay, Happening, HappeningKind, Metrics};

/// An administrator asked for a change. Level info.
#[derive(Clone, Copy, Debug)]
pub struct AdminAction<'a> {
    /// `METHOD /path` as in the documentation.
    pub route: &'a str,
    /// What it was about, e.g. a client id or a plugin name.
    pub target: Option<&'a str>,
    /// Who it was; `None` = the holder of the token.
    pub user: Option<&'a str>,
    /// Address of the administrator.
    pub remote: Option<SocketAddr>,
    /// HTTP status of the answer.
    pub status: u16,
}

impl AdminAction<'_> {
    /// Logs it. Requests are counted as such, see [`Metrics::admin_requests`].
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::AdminAction, || Happening {
            reason: Some(self.route),
            target: self.target,
            user: self.user,
            remote: self.remote,
            status: Some(self.status),
            ..Happening::of(HappeningKind::AdminAction)
        });
        tracing::info!(
            event = "admin_action",
            route = self.route,
            target_of = %or_dash(self.target),
            user = %or_dash(self.user),
            remote = %Remote(self.remote),
            status = self.status,
            "admin action"
        );
    }
}

/// Somebody logged in to the admin API, or was refused. Level info, or warn.
#[derive(Clone, Copy, Debug)]
pub struct AdminLogin<'a> {
    /// Who it said it was.
    pub user: &'a str,
    /// Address.
    pub remote: Option<SocketAddr>,
    /// Why it was refused.
    pub refused: Option<&'a str>,
}

impl AdminLogin<'_> {
    /// Logs it: logins at once, refusals at a bounded rate.
    pub fn emit(&self, metrics: &Metrics) {
        let kind = match self.refused {
            None => HappeningKind::AdminLogin,
            Some(_) => HappeningKind::AdminRefused,
        };
        metrics.observers.tell(kind, || Happening {
            user: Some(self.user),
            remote: self.remote,
            cause: self.refused.as_ref().map(|cause| cause as &dyn Display),
            ..Happening::of(kind)
        });
        let (user, remote) = (or_dash(Some(self.user)), Remote(self.remote));
        let Some(cause) = self.refused else {
            tracing::info!(event = "admin_login", %user, %remote, "logged in to the admin API");
            return;
        };
        let throttle = &metrics.throttles.admin_login_refused;
        if let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) {
            let cause = EscapedDisplay(&cause);
            tracing::warn!(event = "admin_login_refused", %user, %remote, suppressed, %cause,
                "login to the admin API refused");
        }
    }
}

/// A request to the admin API was turned away: no valid token, or a page of another site. Level
/// warn, at a bounded rate.
#[derive(Clone, Copy)]
pub struct AdminRefused<'a> {
    /// Path as sent.
    pub path: &'a str,
    /// Address it came from.
    pub remote: Option<SocketAddr>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Why.
    pub cause: &'a dyn Display,
}

impl AdminRefused<'_> {
    /// Logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::AdminRefused, || Happening {
            target: Some(self.path),
            remote: self.remote,
            status: Some(self.status),
            cause: Some(self.cause),
            ..Happening::of(HappeningKind::AdminRefused)
        });
        let throttle = &metrics.throttles.admin_refused;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "admin_refused",
            path = %or_dash(Some(self.path)),
            remote = %Remote(self.remote),
            status = self.status,
            suppressed,
            cause = %EscapedDisplay(self.cause),
            "admin request refused"
        );
    }
}

/// An address that may be unknown: `-` then.
struct Remote(Option<SocketAddr>);

impl Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("-"),
        }
    }
}
