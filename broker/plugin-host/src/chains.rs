//! From what is loaded to the chains that stand in the gate. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use access::{Authenticator, Authorizer, Chain, Control, Link, LinkState, OnError, PluginState};

use crate::{generation::Generation, hooks::Hook};

/// Name of the link that ends every chain.
pub(crate) const DENY_ALL: &str = "deny-all";

/// Where a plugin stands in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Place in the default chain.
    pub(crate) order: i64,
    /// Control flag.
    pub(crate) control: Control,
    /// Meaning of a failure.
    pub(crate) on_error: OnError,
}

/// One plugin as far as chains care.
pub(crate) struct Member {
    /// State.
    pub(crate) state: PluginState,
    /// What answers.
    pub(crate) live: Option<Arc<Generation>>,
    /// Where it stands.
    pub(crate) standing: Standing,
    /// Why it does not answer.
    pub(crate) error: Option<String>,
}

/// Which plugins stand in which chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The default chain; `None` = all, by order.
    pub(crate) chain: Option<Vec<String>>,
    /// Chains of listeners.
    pub(crate) listener_chains: BTreeMap<Arc<str>, Vec<String>>,
}

/// All chains of the gate. `folder_error` = the folder cannot be read: every link fails closed.
pub(crate) struct Chains<'a> {
    /// What is loaded, by name.
    pub(crate) members: &'a BTreeMap<String, Member>,
    /// The last link.
    pub(crate) deny_all: Option<&'a Arc<Generation>>,
    /// Why nothing of the folder may answer.
    pub(crate) folder_error: Option<&'a str>,
}

impl Chains<'_> {
    /// The default chain and those of listeners.
    pub(crate) fn build(&self, plan: &Plan) -> (Chain, HashMap<Arc<str>, Chain>) {
        let default = match &plan.chain {
            Some(names) => self.explicit(names),
            None => self.by_order(),
        };
        let listeners = plan
            .listener_chains
            .iter()
            .map(|(listener, names)| (Arc::clone(listener), self.explicit(names)))
            .collect();
        (default, listeners)
    }

    fn by_order(&self) -> Chain {
        let mut members: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.state != PluginState::Disabled)
            .collect();
        members.sort_by_key(|(name, member)| (member.standing.order, name.as_str()));
        let mut links: Vec<Link> =
            members.into_iter().map(|(name, member)| self.link(name, Some(member))).collect();
        if links.is_empty() && self.folder_error.is_some() {
            links.push(self.link("plugins", None));
        }
        self.ended(links)
    }

    fn explicit(&self, names: &[String]) -> Chain {
        let links = names
            .iter()
            .map(|name| match (self.members.get(name), self.deny_all) {
                (None, Some(deny_all)) if name == DENY_ALL => last(deny_all),
                (member, _) => self.link(name, member),
            })
            .collect();
        self.ended(links)
    }

    fn ended(&self, mut links: Vec<Link>) -> Chain {
        links.extend(self.deny_all.map(last));
        Chain { links }
    }

    fn link(&self, name: &str, member: Option<&Member>) -> Link {
        if let Some(error) = self.folder_error {
            return missing(name, member, error.to_owned());
        }
        let Some(member) = member else {
            return missing(name, None, format!("no plugin is named {name:?}"));
        };
        if member.state == PluginState::Disabled {
            return missing(name, Some(member), format!("{name} is disabled"));
        }
        match &member.live {
            Some(generation) => live(generation),
            None => {
                let error = member.error.as_deref().unwrap_or("it is not loaded");
                missing(name, Some(member), format!("{name}: {error}"))
            }
        }
    }
}

fn live(generation: &Arc<Generation>) -> Link {
    let hook = || Arc::new(Hook(Arc::clone(generation)));
    let exports = |name: &str| generation.hook_names.iter().any(|hook| hook == name);
    Link {
        name: Arc::clone(&generation.name),
        generation: Arc::clone(&generation.short),
        control: generation.manifest.control,
        on_error: generation.manifest.on_error,
        state: LinkState::Live {
            authenticator: exports("authenticator").then(|| hook() as Arc<dyn Authenticator>),
            authorizer: exports("authorizer").then(|| hook() as Arc<dyn Authorizer>),
        },
    }
}

/// `deny-all` as the end of a chain. Optional: were it sufficient, its denial would undo the allow
/// of a required link before it. The end of a chain refuses by itself; this link is what `explain`
/// shows there.
fn last(deny_all: &Arc<Generation>) -> Link {
    Link { control: Control::Optional, ..live(deny_all) }
}

fn missing(name: &str, member: Option<&Member>, sentence: String) -> Link {
    let standing = member.map(|member| member.standing);
    Link {
        name: name.into(),
        generation: "".into(),
        control: standing.map(|standing| standing.control).unwrap_or_default(),
        on_error: standing.map(|standing| standing.on_error).unwrap_or_default(),
        state: LinkState::Missing(sentence),
    }
}
