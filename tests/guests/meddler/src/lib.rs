//! A guest of the tests with the hooks that see single steps, operations, messages and events.
//!
//! | hook | does |
//! |---|---|
//! | `enhanced-authenticator` | method `reverse`: challenges with the name it was given; the answer is the name backwards |
//! | `operation-authorizer` | `op/#`: the last level says `allow`, `deny`, `fail`; else no word |
//! | `inbound-transform` | `up/#`: payload in capitals; the last level `move`, `swallow`, `reject`, `fail`, `trap`, `spin` does that |
//! | `outbound-transform` | `down/#`: payload in capitals; the last level `swallow`, `fail`, `trap`, `spin` does that; with `[config] asks_who = true` the subscriber's client identifier before it |
//! | `events` | all kinds: a line in the log for each; with `[config] fail = true` an error that names them |
//! | `timer` | each second: a line in the log |
//! | `admin-authenticator` | the password `role-NAME` gives the role `NAME`; `trap` does that, others are refused |

#![allow(clippy::panic, reason = "it traps when it is asked to")]

use portcullis_plugin::{
    AdminAuthenticator, AdminGrant, AdminOutcome, Claim, Client, Config, Connection, Continuation,
    EnhancedAuthenticator, Error, Event, Events, Grant, Inbound, InboundTransform, Kinds, Login,
    Message, Opening, Operation, OperationAuthorizer, Outbound, OutboundTransform, Patch, Plugin,
    Ruling, Scope, Source, Stamped, Step, Subject, Timer, Who, export, host, reason_code,
};
use serde::Deserialize;

/// The guest.
#[derive(Debug)]
pub struct Meddler(Settings);

/// The table `[config]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Events end in an error.
    fail: bool,
    /// Its outbound transform asks who gets the message.
    asks_who: bool,
}

impl Plugin for Meddler {
    fn init(config: &Config) -> Result<Self, Error> {
        Ok(Self(config.parse()?))
    }
}

impl EnhancedAuthenticator for Meddler {
    fn methods(&self) -> Vec<String> {
        vec!["reverse".to_owned()]
    }

    fn begin(&self, _: &Connection, opening: &Opening) -> Result<Step, Error> {
        let name = opening.data.clone().unwrap_or_default();
        Ok(if name.is_empty() { Step::Next } else { Step::challenge(name.clone(), name) })
    }

    fn proceed(&self, _: &Connection, answer: &Continuation) -> Result<Step, Error> {
        let mut backwards = answer.state.clone();
        backwards.reverse();
        if answer.data.as_ref() != Some(&backwards) {
            return Ok(Step::deny(reason_code::BAD_USER_NAME_OR_PASSWORD));
        }
        let name = String::from_utf8(answer.state.clone());
        let name = name.map_err(|_| Error::internal("the name is not UTF-8"))?;
        Ok(Step::success(Grant::new(name), Some(b"welcome".to_vec())))
    }
}

impl OperationAuthorizer for Meddler {
    fn topics(&self) -> Vec<String> {
        vec!["op/#".to_owned()]
    }

    fn authorize(&self, subject: &Subject, operation: &Operation) -> Result<Ruling, Error> {
        let name = match operation {
            Operation::Publish(publish) => &publish.topic,
            Operation::Subscribe(subscribe) => &subscribe.filter,
        };
        match last_level(name) {
            "allow" => Ok(Ruling::ALLOW.for_seconds(7)),
            "deny" => Ok(Ruling::deny(Some(format!("not {}", subject.principal)))),
            "fail" => Err(Error::unavailable("asked to fail")),
            _ => Ok(Ruling::NEXT),
        }
    }
}

impl InboundTransform for Meddler {
    fn topics(&self) -> Vec<String> {
        vec!["up/#".to_owned()]
    }

    fn transform(&self, _: Source, publisher: &Client, message: Message) -> Result<Inbound, Error> {
        match last_level(&message.topic) {
            "move" => {
                let topic = Some(format!("moved/{}", publisher.client_id));
                Ok(Inbound::Patched(Patch { topic, ..Patch::default() }))
            }
            "swallow" => Ok(Inbound::Swallow),
            "reject" => Ok(Inbound::reject(reason_code::NOT_AUTHORIZED, None)),
            "fail" => Err(Error::unavailable("asked to fail")),
            "trap" => panic!("asked to trap"),
            "spin" => loop {
                std::hint::black_box(());
            },
            _ => Ok(Inbound::payload(message.payload.to_ascii_uppercase())),
        }
    }
}

impl OutboundTransform for Meddler {
    fn claims(&self) -> Claim {
        let scope = if self.0.asks_who { Scope::Subscriber } else { Scope::Message };
        Claim { topics: vec!["down/#".to_owned()], scope }
    }

    fn transform(&self, subscriber: Option<&Client>, message: Message) -> Result<Outbound, Error> {
        let mut payload = message.payload.to_ascii_uppercase();
        if let Some(subscriber) = subscriber {
            payload = [subscriber.client_id.as_bytes(), b" ", &payload].concat();
        }
        match last_level(&message.topic) {
            "swallow" => Ok(Outbound::Swallow),
            "fail" => Err(Error::unavailable("asked to fail")),
            "trap" => panic!("asked to trap"),
            "spin" => loop {
                std::hint::black_box(());
            },
            _ => Ok(Outbound::payload(payload)),
        }
    }
}

impl Events for Meddler {
    fn wanted(&self) -> Kinds {
        Kinds::all()
    }

    fn on_events(&self, batch: &[Stamped], dropped: u64) -> Result<(), Error> {
        let lines: Vec<_> = batch.iter().map(|stamped| line(&stamped.event)).collect();
        if self.0.fail {
            return Err(Error::internal(format!("{} after {dropped}", lines.join(", "))));
        }
        for line in lines {
            host::log::info(&line);
        }
        Ok(())
    }
}

impl Timer for Meddler {
    fn interval_seconds(&self) -> u32 {
        1
    }

    fn on_timer(&self) -> Result<(), Error> {
        host::log::info("tick");
        if self.0.fail { Err(Error::internal("tick")) } else { Ok(()) }
    }
}

impl AdminAuthenticator for Meddler {
    fn authenticate_admin(&self, login: &Login) -> Result<AdminOutcome, Error> {
        match login.password.strip_prefix(b"role-") {
            None if login.password == b"trap" => panic!("asked to trap"),
            None => Ok(AdminOutcome::Deny(format!("not {}", login.username))),
            Some(role) => Ok(AdminOutcome::Allow(AdminGrant {
                user: login.username.clone(),
                roles: vec![String::from_utf8_lossy(role).into_owned()],
                expires_at_unix: None,
            })),
        }
    }
}

export!(
    Meddler with
        enhanced_authenticator, operation_authorizer, inbound_transform, outbound_transform, events,
        timer, admin_authenticator
);

fn last_level(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

fn line(event: &Event) -> String {
    let about = |what: &str, who: &Who| format!("{what} {}", who.client_id);
    match event {
        Event::Connected(who) => about("connected", who),
        Event::Disconnected(of) => about("disconnected", &of.who),
        Event::AuthFailed(of) => about("auth-failed", &of.who),
        Event::Subscribed(of) => format!("{} {}", about("subscribed", &of.who), of.filter),
        Event::Unsubscribed(of) => format!("{} {}", about("unsubscribed", &of.who), of.filter),
        Event::PublishDenied(of) => format!("{} {}", about("publish-denied", &of.who), of.topic),
        Event::SessionExpired(client_id) => format!("session-expired {client_id}"),
        Event::Overload(level) => format!("overload {level}"),
    }
}
