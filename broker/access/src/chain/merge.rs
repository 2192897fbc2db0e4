//! Unites the grants of an accepted chain into one identity.
//!
//! Knows nothing of control flags: `walk.rs` decides which grants get here.

use std::{collections::BTreeSet, sync::Arc};

use super::walk::is_mqtt_string;
use crate::{
    ClientLimits, Grant, GrantedRules, Identity, PluginFailure, PluginFailureKind, Refusal,
    RefusalKind,
};

/// Refuses a grant that could not be used: its link has failed, whatever it meant to say.
pub(super) fn check_grant(grant: &Grant) -> Result<(), PluginFailure> {
    let fault = |message: &str| {
        Err(PluginFailure { kind: PluginFailureKind::Internal, message: message.to_owned() })
    };
    if let Some(principal) = &grant.principal {
        if principal.is_empty() {
            return fault("it granted an empty principal");
        }
        if principal.len() > PRINCIPAL_BYTES_MAX {
            return fault("it granted a principal of more than 65,535 bytes");
        }
        if principal.chars().any(char::is_control) {
            return fault("it granted a principal with a control character");
        }
    }
    let sendable = |(name, value): &(String, String)| is_mqtt_string(name) && is_mqtt_string(value);
    if !grant.user_properties.iter().all(sendable) {
        return fault("it granted a user property that cannot be sent");
    }
    if grant.permissions.len() > RULES_MAX {
        return fault("it granted more than 1,000 rules");
    }
    Ok(())
}

/// The identity that the grants add up to. `now_unix` = seconds since 1970.
pub(super) fn merge(grants: Vec<(Arc<str>, Grant)>, now_unix: u64) -> Result<Identity, Refusal> {
    let (principal, authenticated_by) = merge_principal(&grants)?;
    let expires_at_unix = merge_expiry(&grants, now_unix)?;
    let session_expiry_seconds_max =
        grants.iter().filter_map(|(_, grant)| grant.session_expiry_seconds_max).min();
    let mut groups = BTreeSet::new();
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut user_properties = Vec::new();
    let mut permissions = Vec::new();
    let mut limits = ClientLimits::default();
    for (link, grant) in grants {
        groups.extend(grant.groups);
        limits = limits.strictest(grant.limits);
        if !grant.permissions.is_empty() {
            permissions.push(GrantedRules { link, rules: grant.permissions.into() });
        }
        // Names may repeat within one grant; only those of earlier links shut a name.
        let earlier: BTreeSet<String> = attributes.iter().map(|(name, _)| name.clone()).collect();
        attributes.extend(grant.attributes.into_iter().filter(|(name, _)| !earlier.contains(name)));
        user_properties.extend(grant.user_properties);
    }
    Ok(Identity {
        principal,
        authenticated_by,
        groups: groups.into_iter().collect(),
        attributes,
        permissions,
        expires_at_unix,
        session_expiry_seconds_max,
        limits,
        user_properties,
    })
}

/// What the grants say so far of who it is, as attributes for the next link: the principal that was
/// named first, and every group once.
pub(super) fn granted(grants: &[(Arc<str>, Grant)]) -> impl Iterator<Item = (String, String)> {
    let principal = grants.iter().find_map(|(_, grant)| grant.principal.as_ref());
    let groups: BTreeSet<&String> = grants.iter().flat_map(|(_, grant)| &grant.groups).collect();
    let principal = principal.map(|name| (GRANTED_PRINCIPAL, name));
    let granted = principal.into_iter().chain(groups.into_iter().map(|name| (GRANTED_GROUP, name)));
    granted.map(|(attribute, name)| (attribute.to_owned(), name.clone()))
}

/// The principal, and the link that named it first.
fn merge_principal(grants: &[(Arc<str>, Grant)]) -> Result<(Arc<str>, Arc<str>), Refusal> {
    let mut named = grants
        .iter()
        .filter_map(|(link, grant)| grant.principal.as_deref().map(|principal| (link, principal)));
    let Some((first, principal)) = named.next() else {
        let detail = "the chain allowed the client, but no link named a principal".to_owned();
        return Err(Refusal::by_nobody(RefusalKind::NoPrincipal, detail));
    };
    if let Some((second, _)) = named.find(|(_, other)| *other != principal) {
        let detail = format!("{second} named another principal than {first}");
        return Err(Refusal::by_plugin(RefusalKind::PrincipalConflict, second, detail));
    }
    Ok((principal.into(), first.clone()))
}

/// The earliest end of the grants, which must lie ahead.
fn merge_expiry(grants: &[(Arc<str>, Grant)], now_unix: u64) -> Result<Option<u64>, Refusal> {
    let earliest = grants
        .iter()
        .filter_map(|(link, grant)| grant.expires_at_unix.map(|end| (end, link)))
        .min_by_key(|(end, _)| *end);
    match earliest {
        Some((end, link)) if end <= now_unix => {
            let detail = format!("the grant ended {} s ago", now_unix - end);
            Err(Refusal::by_plugin(RefusalKind::Expired, link, detail))
        }
        Some((end, _)) => Ok(Some(end)),
        None => Ok(None),
    }
}

/// Attributes of a connection.
const GRANTED_PRINCIPAL: &str = "granted-principal";
const GRANTED_GROUP: &str = "granted-group";
/// Longest principal in bytes: it must fit where MQTT carries a User Name.
const PRINCIPAL_BYTES_MAX: usize = 65_535;
/// Most rules in one grant.
const RULES_MAX: usize = 1_000;
