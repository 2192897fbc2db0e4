//! The control flags as a state machine: which link is asked next, and what its word does.
//!
//! Pure: it hears words and knows nothing of hooks, futures or clocks.
//!
//! ```text
//!            sufficient allow
//! open ─────────────────────────▶ satisfied      only required and requisite links are asked
//!   │  requisite not allow,           │
//!   │  sufficient deny or failure     │ requisite not allow
//!   ▼                                 ▼
//! ended ◀─────────────────────────────┘          nobody is asked
//! ```
//! Beside that runs the first refusal: a required link that did not allow sets it without ending
//! the walk, and nothing takes it back.

use std::{borrow::Cow, sync::Arc};

use codec::ReasonCode;

use super::{Control, Link, OnError, merge};
use crate::{Connection, Denial, Grant, Identity, Outcome, PluginFailure, Refusal, RefusalKind};

/// The state of one walk along a chain.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// A link that may decide has allowed.
    allowed: bool,
    /// A sufficient link has allowed.
    satisfied: bool,
    /// Nobody is asked any more.
    ended: bool,
    /// A link that may decide came to no decision.
    failed: bool,
    /// The first reason to refuse.
    refusal: Option<Refusal>,
    /// What was granted so far, with the names of the links.
    grants: Vec<(Arc<str>, Grant)>,
}

/// A word that did not allow.
enum Objection {
    Denied(Denial),
    Failed(PluginFailure),
    /// `next`, or the failure that `on_error = "next"` turned into it.
    Passed(Option<PluginFailure>),
}

impl Walk {
    /// Whether a link with this flag is still asked.
    pub(super) fn asks(&self, control: Control) -> bool {
        match control {
            Control::Required | Control::Requisite => !self.ended,
            Control::Sufficient | Control::Optional => !self.ended && !self.satisfied,
        }
    }

    /// The connection as the next link sees it: its attributes tell what the links before it granted,
    /// so that one may say more of whom another one knows.
    pub(super) fn seen<'a>(&self, connection: &'a Connection) -> Cow<'a, Connection> {
        let mut granted = merge::granted(&self.grants).peekable();
        if granted.peek().is_none() {
            return Cow::Borrowed(connection);
        }
        let mut connection = connection.clone();
        connection.attributes.extend(granted);
        Cow::Owned(connection)
    }

    /// Takes the word of a link that was asked.
    pub(super) fn hear(&mut self, link: &Link, word: Result<Outcome, PluginFailure>) {
        let objection = match word {
            Ok(Outcome::Allow(grant)) => return self.hear_allow(link, grant),
            Ok(Outcome::Deny(denial)) => Objection::Denied(denial),
            Ok(Outcome::Next) => Objection::Passed(None),
            Err(failure) => match link.on_error {
                OnError::Deny => Objection::Failed(failure),
                OnError::Next => Objection::Passed(Some(failure)),
            },
        };
        let decides = link.control != Control::Optional;
        self.failed |= decides && objection.is_failure();
        match (link.control, &objection) {
            (Control::Optional, _) | (Control::Sufficient, Objection::Passed(_)) => return,
            (Control::Required, _) => {}
            (Control::Sufficient | Control::Requisite, _) => self.ended = true,
        }
        // The first reason stays: it is the one that the operator has to look at.
        if self.refusal.is_none() {
            self.refusal = Some(objection.into_refusal(link));
        }
    }

    /// The decision. `now_unix` = seconds since 1970.
    pub(super) fn finish(self, now_unix: u64) -> Result<Identity, Refusal> {
        let failed = self.failed;
        let refused = |refusal| Refusal { failed, ..refusal };
        if let Some(refusal) = self.refusal {
            return Err(refused(refusal));
        }
        if !self.allowed {
            let detail = "no link of the chain allowed the client".to_owned();
            return Err(refused(Refusal::by_nobody(RefusalKind::NotAllowed, detail)));
        }
        merge::merge(self.grants, now_unix).map_err(refused)
    }

    fn hear_allow(&mut self, link: &Link, grant: Grant) {
        match link.control {
            Control::Optional => {}
            Control::Required | Control::Requisite => self.allowed = true,
            Control::Sufficient => {
                self.allowed = true;
                self.satisfied = true;
            }
        }
        self.grants.push((link.name.clone(), grant));
    }
}

impl Objection {
    fn into_refusal(self, link: &Link) -> Refusal {
        let control = match link.control {
            Control::Sufficient => "sufficient",
            Control::Required => "required",
            Control::Requisite => "requisite",
            Control::Optional => "optional",
        };
        let refusal = match self {
            Self::Failed(failure) => Refusal::of_failure(&link.name, &failure),
            Self::Denied(denial) => {
                let kind = RefusalKind::Denied(connect_reason_code(denial.reason_code));
                let said = denial.reason.as_deref().map(|reason| format!(": {reason}"));
                let detail = format!("the {control} link denied{}", said.unwrap_or_default());
                let reason = denial.reason.filter(|reason| is_mqtt_string(reason));
                Refusal { reason, ..Refusal::by_plugin(kind, &link.name, detail) }
            }
            Self::Passed(failure) => {
                let detail = match failure {
                    Some(failure) => {
                        format!("the {control} link did not allow, it failed: {failure}")
                    }
                    None => format!("the {control} link did not allow, it said next"),
                };
                Refusal::by_plugin(RefusalKind::NotAllowed, &link.name, detail)
            }
        };
        Refusal { generation: link.generation.clone(), ..refusal }
    }

    fn is_failure(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Passed(Some(_)) => true,
            Self::Denied(_) | Self::Passed(None) => false,
        }
    }
}

/// Whether a text can stand in a packet [MQTT-1.5.4-2].
pub(super) fn is_mqtt_string(text: &str) -> bool {
    text.len() <= usize::from(u16::MAX) && !text.contains('\0')
}

/// What a plugin may say in CONNACK: a failure of table 3-1 [MQTT-3.2.2-8]. Anything else,
/// `success` above all, becomes Not authorized.
fn connect_reason_code(code: ReasonCode) -> ReasonCode {
    match code {
        ReasonCode::UnspecifiedError
        | ReasonCode::MalformedPacket
        | ReasonCode::ProtocolError
        | ReasonCode::ImplementationSpecificError
        | ReasonCode::UnsupportedProtocolVersion
        | ReasonCode::ClientIdentifierNotValid
        | ReasonCode::BadUserNameOrPassword
        | ReasonCode::NotAuthorized
        | ReasonCode::ServerUnavailable
        | ReasonCode::ServerBusy
        | ReasonCode::Banned
        | ReasonCode::BadAuthenticationMethod
        | ReasonCode::TopicNameInvalid
        | ReasonCode::PacketTooLarge
        | ReasonCode::QuotaExceeded
        | ReasonCode::PayloadFormatInvalid
        | ReasonCode::RetainNotSupported
        | ReasonCode::QoSNotSupported
        | ReasonCode::UseAnotherServer
        | ReasonCode::ServerMoved
        | ReasonCode::ConnectionRateExceeded => code,
        _ => ReasonCode::NotAuthorized,
    }
}
