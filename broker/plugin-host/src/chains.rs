//! From what is loaded to the chains that stand in the gate. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use access::{Chain, Control, Link, LinkState, OnError, PluginState};

use crate::{generation::Generation, hooks};

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
    /// Built for the first time just now: not in the default chain yet.
    pub(crate) fresh: bool,
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
    /// The chain of the admin API.
    pub(crate) admin_chain: Vec<String>,
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

/// What clients can notice of the chains in force. Equal = a swap would change nothing, and it
/// would cost every client a question for its permissions.
#[derive(PartialEq)]
pub(crate) struct InForce(BTreeMap<Option<Arc<str>>, Vec<LinkInForce>>);

struct LinkInForce {
    name: Arc<str>,
    control: Control,
    on_error: OnError,
    live: Option<Arc<Generation>>,
    missing: Option<String>,
}

impl PartialEq for LinkInForce {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.live, &other.live) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => self.missing == other.missing,
            _ => false,
        };
        let standing = |link: &Self| (link.control, link.on_error);
        same && self.name == other.name && standing(self) == standing(other)
    }
}

impl Chains<'_> {
    /// What these chains are to clients.
    pub(crate) fn in_force(
        &self,
        default: &Chain,
        by_listener: &HashMap<Arc<str>, Chain>,
    ) -> InForce {
        let named = by_listener.iter().map(|(name, chain)| (Some(Arc::clone(name)), chain));
        let all = named.chain([(None, default)]);
        InForce(
            all.map(|(name, chain)| {
                let links = chain.links.iter().map(|link| self.link_in_force(link));
                (name, links.collect())
            })
            .collect(),
        )
    }

    fn link_in_force(&self, link: &Link) -> LinkInForce {
        let missing = match &link.state {
            LinkState::Live(_) => None,
            LinkState::Missing(sentence) => Some(sentence.clone()),
        };
        let live = || match self.members.get(&*link.name) {
            Some(member) => member.live.clone(),
            None => self.deny_all.cloned(),
        };
        LinkInForce {
            name: Arc::clone(&link.name),
            control: link.control,
            on_error: link.on_error,
            live: if missing.is_none() { live() } else { None },
            missing,
        }
    }

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

    /// The chain of the admin API. Nothing ends it but its end, which refuses.
    pub(crate) fn admin(&self, plan: &Plan) -> Chain {
        let links = plan.admin_chain.iter();
        Chain { links: links.map(|name| self.link(name, self.members.get(name))).collect() }
    }

    fn by_order(&self) -> Chain {
        let mut members: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.state != PluginState::Disabled && !member.fresh)
            // Who only listens has no place in a chain; of who is not live nobody knows that, and who
            // must allow was put there to decide.
            .filter(|(_, member)| {
                let must_allow =
                    matches!(member.standing.control, Control::Required | Control::Requisite);
                let listens = |live: &Arc<Generation>| hooks::of(live).is_empty();
                must_allow || !member.live.as_ref().is_some_and(listens)
            })
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
    Link {
        name: Arc::clone(&generation.name),
        generation: Arc::clone(&generation.short),
        control: generation.manifest.control,
        on_error: generation.manifest.on_error,
        state: LinkState::Live(Box::new(hooks::of(generation))),
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
