//! Walks the chain of the admin API for one login, by the rules of [`super::walk`].

use std::time::Duration;

use super::{
    Chain, Link, LinkState,
    authenticate::{checked, verdict},
    missing,
    stopwatch::Stopwatch,
    walk::Walk,
};
use crate::{AdminAuthenticator, Decision, Hook, Login, PluginFailure, Verdict};

/// Decides one login. Every link was named to judge logins: one that cannot has failed. `now_unix` =
/// seconds since 1970.
pub(crate) async fn authenticate_admin(
    chain: &Chain,
    login: &Login,
    (stopwatch, now_unix): (&mut Stopwatch, u64),
) -> Decision {
    let mut walk = Walk::default();
    let mut reports = Vec::with_capacity(chain.links.len());
    for link in &chain.links {
        if !walk.asks(link.control) {
            let report = link.report(Hook::AdminAuthenticator, Verdict::Skipped, Duration::ZERO);
            reports.push(report);
            continue;
        }
        let word = match hook(link) {
            Ok(hook) => checked(hook.authenticate_admin(login).await),
            Err(failure) => Err(failure),
        };
        reports.push(link.report(Hook::AdminAuthenticator, verdict(&word), stopwatch.lap()));
        walk.hear(link, word);
    }
    Decision { result: walk.finish(now_unix).map(std::sync::Arc::new), walk: reports }
}

fn hook(link: &Link) -> Result<&dyn AdminAuthenticator, PluginFailure> {
    match &link.state {
        LinkState::Live(hooks) => hooks
            .admin_authenticator
            .as_deref()
            .ok_or_else(|| missing("the plugin exports no admin-authenticator".to_owned())),
        LinkState::Missing(sentence) => Err(missing(sentence.clone())),
    }
}
