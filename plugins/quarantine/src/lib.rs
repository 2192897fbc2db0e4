//! Quarantine: whoever publishes outside its usual topics publishes into a topic space of its own from
//! then on, and reads nothing.
//!
//! - *Owns* what is usual (`usual`, `profile`) and who is in quarantine (`warden`).
//! - *Knows nothing of* what a client may publish: other plugins say that, and say it before.
//! - *Invariant*: a message whose publisher cannot be judged is refused; no change of the Client
//!   Identifier gets anybody out unless the operator chose to go by it.

mod host_state;
mod profile;
mod settings;
mod usual;
mod warden;

use portcullis_plugin::{
    Activity, Answer, Authorizer, Client, Config, Error, Event, Events, HoldsFor, Inbound,
    InboundTransform, Kinds, Message, Patch, PermissionSet, Plugin, Rule, Source, Stamped, Subject,
    export,
};

use host_state::Broker;
use settings::Settings;
use warden::{Verdict, Warden};

/// The plugin.
#[derive(Debug)]
pub struct Quarantine(Warden<Broker>);

impl Plugin for Quarantine {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings: Settings = config.parse()?;
        let warden = Warden::new(Broker, settings).map_err(Error::misconfigured)?;
        Ok(Self(warden))
    }
}

impl InboundTransform for Quarantine {
    fn topics(&self) -> Vec<String> {
        self.0.topics().to_vec()
    }

    fn transform(
        &self,
        source: Source,
        publisher: &Client,
        message: Message,
    ) -> Result<Inbound, Error> {
        if source == Source::Api {
            return Ok(Inbound::Unchanged);
        }
        let named = (publisher.principal.as_str(), publisher.client_id.as_str());
        Ok(match self.0.judge(named, &message.topic)? {
            Verdict::Usual => Inbound::Unchanged,
            Verdict::Jailed(topic) => {
                Inbound::Patched(Patch { topic: Some(topic), ..Patch::default() })
            }
        })
    }
}

impl Authorizer for Quarantine {
    /// Everybody may publish into the own part of the jail, where messages are moved to; who is in it
    /// may read nothing.
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        let named = (subject.principal.as_str(), subject.client_id.as_str());
        let mut rules = vec![Rule::allow(Activity::PUBLISH, self.0.own_filter())];
        let jailed = self.0.is_jailed(named)?;
        if jailed {
            rules.extend(["#", "$SYS/#"].map(|all| Rule::deny(Activity::SUBSCRIBE, all)));
        }
        // Who is released has to wait for no longer than this.
        let ttl_seconds = jailed.then_some(JAILED_SECONDS);
        Ok(Answer::Permissions(PermissionSet { rules, ttl_seconds, holds_for: HoldsFor::Client }))
    }
}

impl Events for Quarantine {
    fn wanted(&self) -> Kinds {
        if self.0.counts_denied() { Kinds::PUBLISH_DENIED } else { Kinds::empty() }
    }

    fn on_events(&self, batch: &[Stamped], _: u64) -> Result<(), Error> {
        for stamped in batch {
            if let Event::PublishDenied(denied) = &stamped.event {
                let named = (denied.who.principal.as_str(), denied.who.client_id.as_str());
                self.0.denied(named, &denied.topic)?;
            }
        }
        Ok(())
    }
}

export!(Quarantine with inbound_transform, authorizer, events);

/// For how long the permissions of one in quarantine are kept.
const JAILED_SECONDS: u32 = 10;
