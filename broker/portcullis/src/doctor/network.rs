//! Addresses and sockets.

use std::net::IpAddr;

use super::{
    facts::Facts,
    finding::{Judgement, Verdict},
    host::parts,
};

/// Who can reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Machine,
    /// Networks that nobody routes over the internet.
    Private,
    Everybody,
}

pub(super) fn reach(address: IpAddr) -> Reach {
    let private = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    if address.to_canonical().is_loopback() {
        Reach::Machine
    } else if private {
        Reach::Private
    } else {
        Reach::Everybody
    }
}

pub(super) fn listeners_reachable(facts: &Facts) -> Option<Judgement> {
    let running = facts.running.as_ref()?.as_ref().ok()?;
    let mend = "see the log of the broker, and firewalls on this machine";
    let mut seen: Vec<_> = running
        .listeners
        .iter()
        .filter_map(|(name, why)| {
            Some((Verdict::Fail, format!("{name} does not accept: {}", why.as_ref()?)))
        })
        .collect();
    if let Some(parts) = parts(facts) {
        let missing = parts.listeners.iter().filter(|l| !running.listeners.contains_key(&l.name));
        seen.extend(missing.map(|listener| {
            let what = format!("{} is configured and not bound: restart", listener.name);
            (Verdict::Fail, what)
        }));
    }
    Some(Judgement::of(seen, format!("{} accept", running.listeners.len()), mend))
}

pub(super) fn listeners_public(facts: &Facts) -> Option<Judgement> {
    let mend =
        "transport = \"tls\" or \"wss\", or an address that only a protected network reaches";
    let mut seen = Vec::new();
    for listener in parts(facts)?.listeners.iter().filter(|listener| !listener.encrypted) {
        let Some(address) = listener.address else { continue };
        let verdict = match reach(address) {
            Reach::Machine => continue,
            Reach::Private => Verdict::Warn,
            Reach::Everybody => Verdict::Fail,
        };
        let (name, transport) = (&listener.name, &listener.transport);
        let what = format!("{name} ({transport}) listens at {address} without encryption");
        seen.push((verdict, what));
    }
    Some(Judgement::of(seen, "nothing leaves the machine unencrypted", mend))
}

/// Ranges with more addresses than this are hardly load balancers.
const BITS_MAX: u8 = 16;

pub(super) fn proxy_trust(facts: &Facts) -> Option<Judgement> {
    let mend = "name the load balancers alone: who is trusted says where every client comes from";
    let mut seen = Vec::new();
    let listeners = &parts(facts)?.listeners;
    if listeners.iter().all(|listener| listener.trusted.is_empty()) {
        return None;
    }
    for listener in listeners {
        for range in &listener.trusted {
            let bits = range.max_prefix_len() - range.prefix_len();
            let what = format!("{} believes PROXY headers of {range}", listener.name);
            if range.prefix_len() == 0 {
                seen.push((Verdict::Fail, what));
            } else if bits > BITS_MAX && !range.addr().is_loopback() {
                seen.push((Verdict::Warn, what));
            }
        }
    }
    Some(Judgement::of(seen, "PROXY headers are believed of few addresses", mend))
}

/// What the listeners ask for.
const BACKLOG: u64 = 4_096;

pub(super) fn backlog(facts: &Facts) -> Option<Judgement> {
    let somaxconn = facts.system.somaxconn?;
    let seen = format!("net.core.somaxconn = {somaxconn}");
    let verdict = if somaxconn < BACKLOG { Verdict::Warn } else { Verdict::Ok };
    let mend = "sysctl -w net.core.somaxconn=4096: a fleet that comes back at once waits there";
    Some(Judgement::of(vec![(verdict, seen)], "", mend))
}

pub(super) fn syn_cookies(facts: &Facts) -> Option<Judgement> {
    let cookies = facts.system.syn_cookies?;
    let seen = format!("net.ipv4.tcp_syncookies = {cookies}");
    let verdict = if cookies == 0 { Verdict::Warn } else { Verdict::Ok };
    let mend = "sysctl -w net.ipv4.tcp_syncookies=1: a flood of SYN shuts others out without";
    Some(Judgement::of(vec![(verdict, seen)], "", mend))
}
