//! Where the hooks of a component are, and the hooks of one instance. Knows nothing of what they are
//! asked.

use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    bindings::exports::portcullis::plugin::{
        admin_authenticator, authenticator, authorizer, enhanced_authenticator, events,
        inbound_transform, operation_authorizer, outbound_transform, plugin, state_transfer, timer,
    },
    claims::Told,
    hooks::events::kinds,
    instance::State,
};

/// Makes the two structs from the list of hooks: indices, found once per generation, and the typed
/// functions of an instance.
macro_rules! hooks {
    ($($hook:ident = $name:literal),+ $(,)?) => {
        /// Where the exports of a component are.
        #[derive(Clone)]
        pub(crate) struct Indices {
            plugin: plugin::GuestIndices,
            $($hook: Option<$hook::GuestIndices>,)+
        }

        /// The exports of an instance.
        pub(crate) struct Exports {
            pub(crate) plugin: plugin::Guest,
            $($hook: Option<$hook::Guest>,)+
        }

        impl Indices {
            /// `names` = the hooks that the component exports. Type-checks each.
            pub(crate) fn find(
                pre: &InstancePre<State>,
                names: &[String],
            ) -> wasmtime::Result<Self> {
                let exports = |hook: &str| names.iter().any(|name| name == hook);
                Ok(Self {
                    plugin: plugin::GuestIndices::new(pre)?,
                    $($hook: match exports($name) {
                        true => Some($hook::GuestIndices::new(pre)?),
                        false => None,
                    },)+
                })
            }

            pub(crate) fn load(
                &self,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<Exports> {
                Ok(Exports {
                    plugin: self.plugin.load(&mut *store, instance)?,
                    $($hook: match &self.$hook {
                        Some(indices) => Some(indices.load(&mut *store, instance)?),
                        None => None,
                    },)+
                })
            }
        }

        impl Exports {
            $(pub(crate) fn $hook(&self) -> wasmtime::Result<&$hook::Guest> {
                self.$hook.as_ref().ok_or_else(|| NotExported($name).into())
            })+
        }
    };
}

hooks! {
    authenticator = "authenticator",
    enhanced_authenticator = "enhanced-authenticator",
    authorizer = "authorizer",
    operation_authorizer = "operation-authorizer",
    inbound_transform = "inbound-transform",
    outbound_transform = "outbound-transform",
    events = "events",
    timer = "timer",
    admin_authenticator = "admin-authenticator",
    state_transfer = "state-transfer",
}

impl Exports {
    /// Asks each hook that says what it is for.
    pub(crate) async fn told(&self, store: &mut Store<State>) -> wasmtime::Result<Told> {
        let mut told = Told::default();
        if let Some(hook) = &self.enhanced_authenticator {
            told.methods = hook.call_methods(&mut *store).await?;
        }
        if let Some(hook) = &self.operation_authorizer {
            told.operations = hook.call_topics(&mut *store).await?;
        }
        if let Some(hook) = &self.inbound_transform {
            told.inbound = hook.call_topics(&mut *store).await?;
        }
        if let Some(hook) = &self.outbound_transform {
            let claim = hook.call_claims(&mut *store).await?;
            told.outbound = claim.topics;
            told.asks_who = claim.scope == outbound_transform::Scope::Subscriber;
        }
        if let Some(hook) = &self.events {
            told.events = Some(kinds(hook.call_wanted(&mut *store).await?));
        }
        if let Some(hook) = &self.timer {
            told.timer_seconds = Some(hook.call_interval_seconds(&mut *store).await?);
        }
        Ok(told)
    }
}

/// Chains ask only hooks that are exported: this is a bug of the host.
#[derive(Debug, thiserror::Error)]
#[error("the component does not export {0}")]
pub(crate) struct NotExported(&'static str);
