//! The WIT contract as Rust: records, the traits of the host's interfaces, and typed calls of each
//! exported hook.
//!
//! Generated from `wit/`. Each hook's `GuestIndices` is looked up on its own, so that a component
//! needs to export only the hooks that it has.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code: the documentation is in wit/"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "every-hook",
    imports: {
        "portcullis:plugin/files.lookup": async | trappable,
        "portcullis:plugin/crypto.verify-password": async | trappable,
        "portcullis:plugin/state.get": async | trappable,
        "portcullis:plugin/state.set": async | trappable,
        "portcullis:plugin/state.compare-and-set": async | trappable,
        "portcullis:plugin/state.increment": async | trappable,
        "portcullis:plugin/state.delete": async | trappable,
        "portcullis:plugin/http-client.send": async | trappable,
        "portcullis:plugin/jwt.verify": async | trappable,
        "portcullis:plugin/sql.query": async | trappable,
        "portcullis:plugin/sql.execute": async | trappable,
        "portcullis:plugin/ldap.bind": async | trappable,
        "portcullis:plugin/ldap.compare": async | trappable,
        "portcullis:plugin/ldap.search": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    require_store_data_send: true,
    additional_derives: [serde::Serialize, serde::Deserialize],
});

/// Flags in recordings: the names of those that are set.
macro_rules! flags {
    ($($type:path { $($flag:ident),* })*) => { $(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let all = [$((stringify!($flag), <$type>::$flag)),*];
                serializer.collect_seq(
                    all.iter().filter(|(_, flag)| self.contains(*flag)).map(|(name, _)| name),
                )
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let all = [$((stringify!($flag), <$type>::$flag)),*];
                let mut flags = <$type>::empty();
                for name in Vec::<String>::deserialize(from)? {
                    let unknown = || serde::de::Error::custom(format!("{name:?} is no flag"));
                    let found = all.iter().find(|(known, _)| *known == name);
                    flags |= found.map(|(_, flag)| *flag).ok_or_else(unknown)?;
                }
                Ok(flags)
            }
        }
    )* };
}

flags! {
    portcullis::plugin::permissions::Activity { PUBLISH, SUBSCRIBE }
    portcullis::plugin::permissions::QosSet { AT_MOST_ONCE, AT_LEAST_ONCE, EXACTLY_ONCE }
    exports::portcullis::plugin::events::Kinds {
        CONNECTED,
        DISCONNECTED,
        AUTH_FAILED,
        SUBSCRIBED,
        UNSUBSCRIBED,
        PUBLISH_DENIED,
        SESSION_EXPIRED,
        OVERLOAD
    }
}
