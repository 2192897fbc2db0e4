//! What clients publish: opened, verified or sealed, or refused.

use portcullis_plugin::{Client, Error, Inbound, InboundTransform, Message, Patch, Source, host};

use crate::{
    PayloadCrypto,
    bound::Kind,
    pseudonym::Meaning,
    replay::{self, Verdict},
    rules::{self, Clock, Fresh, InboundWork, Seal},
    vault,
};

impl InboundTransform for PayloadCrypto {
    fn topics(&self) -> Vec<String> {
        let rules = self.rules.inbound.iter().map(|rule| rule.filter.as_str().to_owned());
        let opaque = self.pseudonyms.iter().map(|pseudonyms| format!("{}/+", pseudonyms.prefix));
        rules.chain(opaque).collect()
    }

    fn transform(
        &self,
        source: Source,
        publisher: &Client,
        message: Message,
    ) -> Result<Inbound, Error> {
        let meaning = match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.meaning(&message.topic, publisher)?,
            None => Meaning::Plain,
        };
        let (topic, restored) = match meaning {
            Meaning::Plain => (message.topic.clone(), None),
            Meaning::Topic(topic) => (topic.clone(), Some(topic)),
            Meaning::Unknown => {
                host::metrics::add("unknown_pseudonyms", 1);
                let reason = "no topic of this client".to_owned();
                return Ok(Inbound::reject(TOPIC_NAME_INVALID, Some(reason)));
            }
        };
        let message = Message { topic, ..message };
        let answer = match self.rules.of_publisher(&message.topic, &publisher.listener) {
            Some(rule) => follow(rule, source, publisher, &message)?,
            None => Inbound::Unchanged,
        };
        Ok(with_topic(answer, restored))
    }
}

fn follow(
    rule: &rules::Inbound,
    source: Source,
    publisher: &Client,
    message: &Message,
) -> Result<Inbound, Error> {
    match &rule.what {
        InboundWork::Open(fresh) => {
            open(rule, fresh.as_ref(), source, publisher, message).map(|opened| match opened {
                Ok(payload) => {
                    host::metrics::add("opened", 1);
                    Inbound::payload(payload)
                }
                Err(refused) => refused,
            })
        }
        InboundWork::Verify(fresh) => {
            open(rule, fresh.as_ref(), source, publisher, message).map(|opened| match opened {
                Ok(_) => {
                    host::metrics::add("verified", 1);
                    Inbound::Unchanged
                }
                Err(refused) => refused,
            })
        }
        // It removes a retained message, and tells nothing.
        InboundWork::Seal if message.retain && message.payload.is_empty() => Ok(Inbound::Unchanged),
        InboundWork::Seal => {
            let Some(name) = rule.seal.name(&message.topic, Some(publisher)) else {
                return Ok(refused(rule, "not_authentic", "has no name to seal it for"));
            };
            let sealed = vault::seal(&rule.seal, &message.topic, name, &message.payload)?;
            host::metrics::add("sealed", 1);
            let payload_is_utf8 = Some(false);
            Ok(Inbound::Patched(Patch {
                payload: Some(sealed),
                payload_is_utf8,
                ..Patch::default()
            }))
        }
    }
}

/// The payload, or the refusal.
fn open(
    rule: &rules::Inbound,
    fresh: Option<&Fresh>,
    source: Source,
    publisher: &Client,
    message: &Message,
) -> Result<Result<Vec<u8>, Inbound>, Error> {
    let not_authentic = || Ok(Err(refused(rule, "not_authentic", "not authentic")));
    let (kind, clock) = match source {
        Source::Will => (Kind::Will, Clock::DoesNot),
        Source::Publish | Source::Api => (Kind::Publish, Clock::Matters),
    };
    let Some(name) = rule.seal.name(&message.topic, Some(publisher)) else {
        return not_authentic();
    };
    let opened = vault::open(&rule.seal, kind, &message.topic, name, &message.payload)?;
    let Some(opened) = opened else {
        return not_authentic();
    };
    let Some((fresh, stamp)) = fresh.zip(opened.stamp) else {
        return Ok(Ok(opened.payload));
    };
    // Only now that it is authentic: nobody else fills the memory, or moves what it takes for new.
    match replay::judge(fresh, &seen_of(&rule.seal, kind, name), stamp, clock)? {
        Verdict::New => Ok(Ok(opened.payload)),
        Verdict::Replayed => Ok(Err(refused(rule, "replayed", "seen before"))),
        Verdict::Stale => Ok(Err(refused(rule, "stale", "too far from the broker's clock"))),
    }
}

/// Whose stamps they are: a hash, because a name may be longer than a key of the state.
fn seen_of(seal: &Seal, kind: Kind, name: &str) -> String {
    let hash = host::crypto::sha256(format!("{}\0{name}", seal.ring).as_bytes());
    let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (kind, stamp) = (kind == Kind::Will, seal.stamp);
    format!("{}/{stamp:?}/{hash}", if kind { "will" } else { "seen" })
}

fn refused(rule: &rules::Inbound, metric: &str, reason: &str) -> Inbound {
    host::metrics::add(metric, 1);
    Inbound::reject(rule.reject, Some(reason.to_owned()))
}

fn with_topic(answer: Inbound, topic: Option<String>) -> Inbound {
    match (answer, topic) {
        (answer, None) => answer,
        (Inbound::Unchanged, topic) => Inbound::Patched(Patch { topic, ..Patch::default() }),
        (Inbound::Patched(patch), topic) => Inbound::Patched(Patch { topic, ..patch }),
        (answer @ (Inbound::Swallow | Inbound::Reject(_)), _) => answer,
    }
}

const TOPIC_NAME_INVALID: u8 = 0x90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_topic_goes_with_every_answer_that_passes() {
        let topic = || Some("real".to_owned());
        let moved =
            |payload| Inbound::Patched(Patch { topic: topic(), payload, ..Patch::default() });
        assert_eq!(with_topic(Inbound::Unchanged, topic()), moved(None));
        let opened = with_topic(Inbound::payload(b"x".to_vec()), topic());
        assert_eq!(opened, moved(Some(b"x".to_vec())));
        let refusal = || Inbound::reject(0x99, None);
        assert_eq!(with_topic(refusal(), topic()), refusal());
        assert_eq!(with_topic(Inbound::Unchanged, None), Inbound::Unchanged);
    }
}
