//! The table `[config]` of the manifest: classes of clients and their bounds.

use portcullis_plugin::{ClientLimits, Grant};
use serde::Deserialize;

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// For whom no class is about. Has to be there: nobody is without bounds by accident.
    default: Limits,
    /// The first that is about a client counts.
    #[serde(default)]
    pub(crate) class: Vec<Class>,
}

/// Some clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    listeners: Vec<String>,
    limits: Limits,
}

/// Bounds, by the names that the contract has for them.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    messages_per_second: Option<u32>,
    messages_burst: Option<u32>,
    bytes_per_second: Option<u32>,
    receive_maximum: Option<u16>,
    in_flight_max: Option<u16>,
    queue_messages_max: Option<u32>,
    queue_bytes_max: Option<u32>,
    packet_bytes_max: Option<u32>,
    keep_alive_seconds_max: Option<u16>,
    subscriptions_max: Option<u32>,
    session_expiry_seconds_max: Option<u32>,
}

/// A client, as the links before this one know it.
#[derive(Debug)]
pub(crate) struct Whom<'a> {
    pub(crate) principal: &'a str,
    pub(crate) groups: &'a [&'a str],
    pub(crate) listener: &'a str,
}

impl Settings {
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.default.check().map_err(|what| format!("config.default: {what}"))?;
        for (number, class) in (1..).zip(&self.class) {
            class.check().map_err(|what| format!("config.class, number {number}: {what}"))?;
        }
        Ok(())
    }

    /// The bounds of a client.
    pub(crate) fn limits(&self, whom: &Whom<'_>) -> &Limits {
        let class = self.class.iter().find(|class| class.is_about(whom));
        class.map_or(&self.default, |class| &class.limits)
    }
}

impl Class {
    fn check(&self) -> Result<(), String> {
        let keys = [&self.groups, &self.users, &self.listeners];
        if keys.iter().all(|names| names.is_empty()) {
            return Err("name `groups`, `users` or `listeners`".to_owned());
        }
        if keys.iter().any(|names| names.iter().any(String::is_empty)) {
            return Err("a name is empty".to_owned());
        }
        self.limits.check()
    }

    /// Every key must fit, and of its names any does.
    fn is_about(&self, whom: &Whom<'_>) -> bool {
        let fits =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        let in_group = |group: &String| whom.groups.contains(&group.as_str());
        fits(&self.users, whom.principal)
            && fits(&self.listeners, whom.listener)
            && (self.groups.is_empty() || self.groups.iter().any(in_group))
    }
}

impl Limits {
    /// A bound that the broker would raise to its least is an error: it would not hold as written.
    fn check(&self) -> Result<(), String> {
        let wide = |value: Option<u16>| value.map(u32::from);
        for (name, value, least) in [
            ("messages_per_second", self.messages_per_second, 1),
            ("messages_burst", self.messages_burst, 1),
            ("bytes_per_second", self.bytes_per_second, 1_024),
            ("receive_maximum", wide(self.receive_maximum), 1),
            ("in_flight_max", wide(self.in_flight_max), 1),
            ("queue_messages_max", self.queue_messages_max, 1),
            ("queue_bytes_max", self.queue_bytes_max, 1),
            ("packet_bytes_max", self.packet_bytes_max, 128),
            ("keep_alive_seconds_max", wide(self.keep_alive_seconds_max), 1),
            ("subscriptions_max", self.subscriptions_max, 1),
        ] {
            if let Some(value) = value.filter(|value| *value < least) {
                return Err(format!("{name} = {value}: at least {least}"));
            }
        }
        if self.messages_burst.is_some() && self.messages_per_second.is_none() {
            return Err("messages_burst stands beside messages_per_second".to_owned());
        }
        Ok(())
    }

    /// As the host takes them. No principal: that is for others to say.
    pub(crate) fn grant(&self) -> Grant {
        let limits = ClientLimits {
            messages_per_second: self.messages_per_second,
            messages_burst: self.messages_burst,
            bytes_per_second: self.bytes_per_second,
            receive_maximum: self.receive_maximum,
            in_flight_max: self.in_flight_max,
            queue_messages_max: self.queue_messages_max,
            queue_bytes_max: self.queue_bytes_max,
            packet_bytes_max: self.packet_bytes_max,
            keep_alive_seconds_max: self.keep_alive_seconds_max,
            subscriptions_max: self.subscriptions_max,
        };
        Grant {
            session_expiry_seconds_max: self.session_expiry_seconds_max,
            ..Grant::default().limits(limits)
        }
    }
}
