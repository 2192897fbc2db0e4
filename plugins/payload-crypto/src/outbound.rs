//! What subscribers get: opened for those who may see it, sealed, or nothing.

use portcullis_plugin::{Claim, Client, Error, Message, Outbound, OutboundTransform, Patch, host};

use crate::{
    PayloadCrypto,
    bound::Kind,
    rules::{self, OutboundWork},
    vault,
};

impl OutboundTransform for PayloadCrypto {
    fn claims(&self) -> Claim {
        let topics = self.rules.outbound.iter().map(|rule| rule.filter.as_str().to_owned());
        Claim { topics: topics.collect(), scope: self.rules.scope() }
    }

    fn transform(&self, subscriber: Option<&Client>, message: Message) -> Result<Outbound, Error> {
        let Some(rule) = self.rules.of_subscribers(&message.topic) else {
            return Ok(Outbound::Unchanged);
        };
        let may_see = match (&rule.clear_for, subscriber) {
            (None, _) => matches!(rule.what, OutboundWork::Open { .. }),
            (Some(circle), Some(subscriber)) => circle.has(subscriber),
            (Some(_), None) => false,
        };
        match rule.what {
            OutboundWork::Open { others_get_it_sealed } => {
                open(rule, may_see, others_get_it_sealed, &message)
            }
            OutboundWork::Seal if may_see => Ok(Outbound::Unchanged),
            OutboundWork::Seal => seal(rule, subscriber, &message),
        }
    }
}

/// Opened for everybody, also for those who get it sealed: what is not sealed might be clear text.
fn open(
    rule: &rules::Outbound,
    may_see: bool,
    others_get_it_sealed: bool,
    message: &Message,
) -> Result<Outbound, Error> {
    let Some(name) = rule.seal.name(&message.topic, None) else {
        return Ok(withheld());
    };
    for kind in [Kind::Publish, Kind::Broker, Kind::Will] {
        let opened = vault::open(&rule.seal, kind, &message.topic, name, &message.payload)?;
        let Some(opened) = opened else { continue };
        return Ok(match (may_see, others_get_it_sealed) {
            (true, _) => {
                host::metrics::add("opened", 1);
                Outbound::payload(opened.payload)
            }
            (false, true) => Outbound::Unchanged,
            (false, false) => Outbound::Swallow,
        });
    }
    Ok(withheld())
}

fn seal(
    rule: &rules::Outbound,
    subscriber: Option<&Client>,
    message: &Message,
) -> Result<Outbound, Error> {
    let Some(name) = rule.seal.name(&message.topic, subscriber) else {
        return Ok(withheld());
    };
    let sealed = vault::seal(&rule.seal, &message.topic, name, &message.payload)?;
    host::metrics::add("sealed", 1);
    let payload_is_utf8 = Some(false);
    Ok(Outbound::Patched(Patch { payload: Some(sealed), payload_is_utf8, ..Patch::default() }))
}

fn withheld() -> Outbound {
    host::metrics::add("withheld", 1);
    Outbound::Swallow
}
