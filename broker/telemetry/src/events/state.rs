//! Events of what the broker as a whole is in: plugins, alarms, configuration.
//!
//! Knows nothing of how that is found out; called from `admin`, which looks, and from the program.

use crate::{Escaped, EscapedDisplay, Happening, HappeningKind, Metrics};

/// A plugin is in another state, or another generation of it answers. The log has had its own line from
/// whoever changed it.
#[derive(Clone, Copy, Debug)]
pub struct PluginChanged<'a> {
    /// Its name.
    pub plugin: &'a str,
    /// Its state, as the admin API names it; `gone` = it is forgotten.
    pub state: &'a str,
    /// What answers now.
    pub generation: Option<&'a str>,
    /// Why, if something is wrong.
    pub error: Option<&'a str>,
}

impl PluginChanged<'_> {
    /// Tells it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::PluginChanged, || Happening {
            plugin: Some(self.plugin),
            reason: Some(self.state),
            decision: None,
            target: self.generation,
            cause: self.error.as_ref().map(|error| error as _),
            ..Happening::of(HappeningKind::PluginChanged)
        });
    }
}

/// An upload of a plugin came a stage further, or to its end. The log has the line of its administrator,
/// and that of whoever refused it.
#[derive(Clone, Copy, Debug)]
pub struct PluginUpload<'a> {
    /// Name of the plugin.
    pub plugin: &'a str,
    /// Names the upload.
    pub upload: &'a str,
    /// The stage that it came to; at its end the state that the plugin is in, `shadow` or `refused`.
    pub stage: &'a str,
    /// Who sent it; `None` = the holder of the token.
    pub user: Option<&'a str>,
    /// Why it was refused.
    pub refused: Option<&'a str>,
}

impl PluginUpload<'_> {
    /// Tells it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::PluginUpload, || Happening {
            plugin: Some(self.plugin),
            target: Some(self.upload),
            reason: Some(self.stage),
            user: self.user,
            cause: self.refused.as_ref().map(|refused| refused as _),
            ..Happening::of(HappeningKind::PluginUpload)
        });
    }
}

/// Something is wrong from now on, or is wrong in another way.
#[derive(Clone, Copy, Debug)]
pub struct AlarmRaised<'a> {
    /// Names the alarm.
    pub id: &'a str,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// What is wrong.
    pub what: &'a str,
}

impl AlarmRaised<'_> {
    /// Logs and tells it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::AlarmRaised, || Happening {
            target: Some(self.id),
            reason: Some(self.severity),
            cause: Some(&self.what),
            ..Happening::of(HappeningKind::AlarmRaised)
        });
        let (alarm, severity) = (Escaped(self.id), self.severity);
        let cause = EscapedDisplay(&self.what);
        let event = "alarm_raised";
        match severity {
            "critical" => tracing::error!(event, %alarm, severity, %cause, "something is wrong"),
            "warning" => tracing::warn!(event, %alarm, severity, %cause, "something is wrong"),
            _ => tracing::info!(event, %alarm, severity, %cause, "something needs a look"),
        }
    }
}

/// What was wrong is not any more.
#[derive(Clone, Copy, Debug)]
pub struct AlarmCleared<'a> {
    /// Names the alarm.
    pub id: &'a str,
}

impl AlarmCleared<'_> {
    /// Logs and tells it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::AlarmCleared, || Happening {
            target: Some(self.id),
            ..Happening::of(HappeningKind::AlarmCleared)
        });
        tracing::info!(event = "alarm_cleared", alarm = %Escaped(self.id), "is good again");
    }
}

/// The configuration was read again.
#[derive(Clone, Copy, Debug)]
pub struct ConfigReloaded<'a> {
    /// Why nothing of it is in force, or not all.
    pub failed: Option<&'a str>,
}

impl ConfigReloaded<'_> {
    /// Tells it. The log has had its lines from whoever read it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.observers.tell(HappeningKind::ConfigReloaded, || Happening {
            reason: Some(if self.failed.is_some() { "failed" } else { "reloaded" }),
            cause: self.failed.as_ref().map(|failed| failed as _),
            ..Happening::of(HappeningKind::ConfigReloaded)
        });
    }
}
