//! What bytes travel in.

use std::{net::IpAddr, time::Duration};

use super::{
    facts::{Facts, Parts},
    finding::{Judgement, Verdict},
    host::parts,
    network::{Reach, reach},
};

const DAY: Duration = Duration::from_secs(86_400);
/// Time to get another one.
const DAYS_FEW: u64 = 21;

pub(super) fn certificates(facts: &Facts) -> Option<Judgement> {
    let certificates = &parts(facts)?.certificates;
    if certificates.is_empty() {
        return None;
    }
    let mend = "renew the certificate and put it in its place: the broker takes it up by itself";
    let mut seen = Vec::new();
    for certificate in certificates {
        let path = certificate.path.display();
        let ends = match &certificate.not_after {
            Ok(ends) => ends,
            Err(what) => {
                seen.push((Verdict::Fail, format!("{path}: {what}")));
                continue;
            }
        };
        match ends.duration_since(facts.system.now) {
            Err(_) => seen.push((Verdict::Fail, format!("{path} has expired"))),
            Ok(left) => {
                let days = left.as_secs() / DAY.as_secs();
                let verdict = if days < DAYS_FEW { Verdict::Warn } else { Verdict::Ok };
                seen.push((verdict, format!("{path} is good for {days} days")));
            }
        }
    }
    Some(Judgement::of(seen, "", mend))
}

pub(super) fn websocket_origins(facts: &Facts) -> Option<Judgement> {
    let listeners = &parts(facts)?.listeners;
    let mut websockets = listeners.iter().filter(|l| l.transport.starts_with("ws")).peekable();
    websockets.peek()?;
    let mend = "origins = [...] of the listener: the pages that may connect; [] lets no browser in";
    let seen = websockets.filter(|listener| listener.any_origin).map(|listener| {
        (Verdict::Warn, format!("every web page may connect to {}", listener.name))
    });
    Some(Judgement::of(seen.collect(), "only pages of named origins may connect", mend))
}

/// Whom an unencrypted service can be reached by, beside this machine.
fn exposed(address: IpAddr) -> Option<Verdict> {
    match reach(address) {
        Reach::Machine => None,
        Reach::Private => Some(Verdict::Warn),
        Reach::Everybody => Some(Verdict::Fail),
    }
}

fn admin(parts: &Parts) -> Option<(IpAddr, Option<Verdict>)> {
    parts.admin.map(|address| (address, exposed(address)))
}

pub(super) fn admin_exposed(facts: &Facts) -> Option<Judgement> {
    let (address, exposed) = admin(parts(facts)?)?;
    let mend = "bind it to 127.0.0.1 and reach it through ssh -L or a proxy with TLS";
    let what = format!("the admin API listens at {address}: tokens travel unencrypted");
    let seen = exposed.map(|verdict| (verdict, what));
    Some(Judgement::of(seen.into_iter().collect(), "only this machine reaches the admin API", mend))
}

pub(super) fn metrics_open(facts: &Facts) -> Option<Judgement> {
    let parts = parts(facts)?;
    let (_, exposed) = admin(parts)?;
    let mend = "[admin] metrics_open = false, and a login with metrics:read for who scrapes them";
    let seen = match (parts.metrics_open, exposed) {
        (true, Some(_)) => vec![(Verdict::Warn, "/metrics is open to other machines".to_owned())],
        (true, None) => vec![(Verdict::Ok, "/metrics is open to this machine".to_owned())],
        (false, _) => Vec::new(),
    };
    Some(Judgement::of(seen, "/metrics needs a token", mend))
}
