//! What a token permits: the rules in it, those of its scopes, those of its groups.
//!
//! Between these three any deny wins, else any allow; so those of the configuration that deny stand
//! before the token's own, which keep their order, and those that allow behind them.

use portcullis_plugin::{Effect, Rule};

use crate::{claims::Claims, settings::Settings};

/// Rules for the grant.
///
/// # Errors
/// A sentence about a claim that is not what it should be.
pub(crate) fn rules(
    settings: &Settings,
    claims: &Claims,
    groups: &[String],
) -> Result<Vec<Rule>, String> {
    let own = match &settings.acl_claim {
        None => Vec::new(),
        Some(claim) => match claims.get(claim) {
            None => Vec::new(),
            Some(value) => {
                let read = rules::from_list_or_lists(value);
                read.map_err(|what| format!("claim {claim}: {what}"))?
            }
        },
    };
    let scopes = match settings.scopes.is_empty() {
        true => Vec::new(),
        false => claims.scopes(&settings.scope_claim)?,
    };
    let of_scopes = scopes.into_iter().filter_map(|scope| settings.scopes.get(scope));
    let of_roles = groups.iter().filter_map(|group| settings.roles.get(group));
    let configured: Vec<Rule> =
        of_scopes.chain(of_roles).flatten().map(|rule| rule.rule()).collect::<Result<_, _>>()?;
    let (mut all, allow): (Vec<Rule>, Vec<Rule>) =
        configured.into_iter().partition(|rule| rule.effect == Effect::Deny);
    all.extend(own);
    all.extend(allow);
    match all.len() > RULES_MAX {
        true => Err(format!("it permits more than {RULES_MAX} rules can say")),
        false => Ok(all),
    }
}

/// What the contract allows in one grant.
const RULES_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
