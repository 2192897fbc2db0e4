//! A plugin for the MQTT broker Portcullis: who logs in with the password of `[config]` is who it
//! says, has topics of its own, and names devices in capitals.
//!
//! What the hooks mean is written in wit/deps/portcullis. A panic ends the instance and counts as a
//! refusal.

use std::sync::OnceLock;

use exports::portcullis::plugin::{
    authenticator::{self, Connection, Credentials},
    authorizer::{self, Answer, HoldsFor, PermissionSet, Subject},
    inbound_transform::{self, Client, Message, Source},
    plugin::{self, Info},
};
use portcullis::plugin::{
    config,
    grants::Grant,
    messages::Patch,
    permissions::{Activity, Condition, Effect, QosSet, Rule},
    types::{Denial, PluginError},
};

wit_bindgen::generate!({ world: "plugin", path: "wit", generate_all });

const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
const PAYLOAD_FORMAT_INVALID: u8 = 0x99;

static PASSWORD: OnceLock<String> = OnceLock::new();

struct Gate;

impl plugin::Guest for Gate {
    fn describe() -> Info {
        Info { name: "first-plugin".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Once per instance. An error keeps the plugin from going live.
    fn init() -> Result<(), PluginError> {
        let configured = config::get("password").filter(|password| !password.is_empty());
        let missing = || PluginError::Misconfigured("config.password is missing".to_owned());
        let password = configured.ok_or_else(missing)?;
        PASSWORD.set(password).map_err(|_| PluginError::Internal("init ran twice".to_owned()))
    }

    fn self_test() -> Result<(), PluginError> {
        Ok(())
    }
}

impl authenticator::Guest for Gate {
    fn authenticate(
        connection: Connection,
        credentials: Credentials,
    ) -> Result<authenticator::Outcome, PluginError> {
        let Some(principal) = connection.username.filter(|name| !name.is_empty()) else {
            return Ok(authenticator::Outcome::Next);
        };
        let given = credentials.password.unwrap_or_default();
        if !PASSWORD.get().is_some_and(|password| same_bytes(&given, password.as_bytes())) {
            let denial = Denial { reason_code: BAD_USER_NAME_OR_PASSWORD, reason: None };
            return Ok(authenticator::Outcome::Deny(denial));
        }
        Ok(authenticator::Outcome::Allow(Grant {
            principal: Some(principal),
            groups: Vec::new(),
            attributes: Vec::new(),
            permissions: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            limits: None,
            user_properties: Vec::new(),
        }))
    }
}

impl authorizer::Guest for Gate {
    /// The host fills in the name, so that one answer holds for everyone.
    fn permissions(_: Subject) -> Result<Answer, PluginError> {
        let own = Rule {
            effect: Effect::Allow,
            activity: Activity::all(),
            filter: "devices/${username}/#".to_owned(),
            qos: QosSet::all(),
            retain: Condition::Any,
            shared: Condition::No,
            share_name: None,
        };
        Ok(Answer::Permissions(PermissionSet {
            rules: vec![own],
            ttl_seconds: Some(300),
            holds_for: HoldsFor::Everyone,
        }))
    }
}

impl inbound_transform::Guest for Gate {
    fn topics() -> Vec<String> {
        vec!["devices/+/name".to_owned()]
    }

    fn transform(
        _: Source,
        _: Client,
        message: Message,
    ) -> Result<inbound_transform::Outcome, PluginError> {
        if message.payload.is_empty() {
            let reason = Some("a device has a name".to_owned());
            let denial = Denial { reason_code: PAYLOAD_FORMAT_INVALID, reason };
            return Ok(inbound_transform::Outcome::Reject(denial));
        }
        Ok(inbound_transform::Outcome::Patched(Patch {
            payload: Some(message.payload.to_ascii_uppercase()),
            topic: None,
            payload_is_utf8: None,
            content_type: None,
            user_properties: None,
        }))
    }
}

/// As long for every wrong password of the right length.
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |seen, (one, other)| seen | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

export!(Gate);
