//! Questions that nobody thought of, of any content that a client can send. What a plugin answers
//! does not matter here; that it answers, within its limits, does.
//!
//! A question follows from seed and number alone: the same command asks the same again.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use access::{
    Application, ClientLimits, Connection, Credentials, Hooks, Identity, Login, Operation,
    Password, PluginFailureKind, Source, Subject, WillSummary,
};
use codec::{ProtocolVersion, QoS};
use fastrand::Rng;
use plugin_host::{Loaded, Question};
use topic::TopicFilter;

use super::usage::Usage;

mod background;

/// Characters of a question that are shown when it broke the plugin.
const SHOWN_MAX: usize = 600;

/// Asks each hook `count` questions. Returns how many broke the plugin: a trap, a limit, an answer
/// that the broker does not take.
pub(super) async fn run(loaded: &Loaded, count: u64, seed: u64, usage: &mut Usage) -> u64 {
    let mut broken = 0;
    for make in makers(&loaded.hooks) {
        let mut words: BTreeMap<String, u64> = BTreeMap::new();
        let mut hook = "";
        for number in 0..count {
            let question = make(&mut Rng::with_seed(seed.wrapping_add(number)), &loaded.hooks);
            hook = question.hook();
            let answers = question.ask(&loaded.hooks).await;
            usage.look(loaded);
            for answer in answers {
                usage.add(hook, answer.elapsed);
                let word = ["failure", "outcome", "answer", "decision", "step"]
                    .into_iter()
                    .find_map(|field| answer.fields.get(field)?.as_str());
                let seen = words.entry(word.unwrap_or("unusable").to_owned()).or_default();
                *seen += 1;
                let unusable = answer.permissions.as_ref().and_then(|rules| rules.as_ref().err());
                let failure = answer.failure.as_ref().filter(|failure| breaks(failure.kind));
                let what = failure.map(ToString::to_string).or_else(|| unusable.cloned());
                let Some(what) = what else { continue };
                broken += 1;
                // One of each kind is enough to see.
                if *seen == 1 || unusable.is_some() && broken == 1 {
                    let shown: String = format!("{question:?}").chars().take(SHOWN_MAX).collect();
                    println!("{hook}: question {number}: {what}\n  {shown}");
                }
            }
        }
        let told: Vec<_> = words.iter().map(|(word, seen)| format!("{seen} {word}")).collect();
        println!("{hook:<13} {count:>7} random: {}", told.join(", "));
    }
    broken + background::run(loaded, count, seed, usage).await
}

/// The plugin's own word on a failure breaks nothing, and neither does a host that is busy.
fn breaks(kind: PluginFailureKind) -> bool {
    match kind {
        PluginFailureKind::Trap
        | PluginFailureKind::CpuBudget
        | PluginFailureKind::Deadline
        | PluginFailureKind::Memory
        | PluginFailureKind::TooLarge
        | PluginFailureKind::Missing => true,
        PluginFailureKind::Unavailable
        | PluginFailureKind::Timeout
        | PluginFailureKind::Misconfigured
        | PluginFailureKind::Internal
        | PluginFailureKind::Busy => false,
    }
}

type Maker = fn(&mut Rng, &Hooks) -> Question;

/// One for each hook that is there.
fn makers(hooks: &Hooks) -> Vec<Maker> {
    let makers: [(bool, Maker); 7] = [
        (hooks.authenticator.is_some(), |rng, _| {
            Question::Authenticate(Box::new((connection(rng), credentials(rng))))
        }),
        (hooks.enhanced_authenticator.is_some(), |rng, hooks| {
            let methods = hooks.enhanced_authenticator.as_ref().map(|hook| hook.methods().to_vec());
            let method = rng.choice(methods.unwrap_or_default()).unwrap_or_default();
            let steps = rng.usize(1..4);
            let data = (0..steps).map(|_| maybe(rng, bytes)).collect();
            Question::Exchange(Box::new(connection(rng)), method, data)
        }),
        (hooks.authorizer.is_some(), |rng, _| Question::Permissions(subject(rng))),
        (hooks.operation_authorizer.is_some(), |rng, hooks| {
            let claimed = hooks.operation_authorizer.as_ref().map(|hook| hook.topics());
            let topic = topic(rng, claimed.unwrap_or_default());
            let qos = qos(rng);
            let operation = match rng.bool() {
                true => {
                    let payload_bytes_max = Operation::size_class(rng.usize(0..1 << 20));
                    Operation::Publish { topic, qos, retain: rng.bool(), payload_bytes_max }
                }
                false => Operation::Subscribe { filter: topic, qos, share_name: None },
            };
            Question::Authorize(subject(rng), operation)
        }),
        (hooks.inbound_transform.is_some(), |rng, hooks| {
            let claimed = hooks.inbound_transform.as_ref().map(|hook| hook.topics());
            let topic = topic(rng, claimed.unwrap_or_default());
            let source = [Source::Publish, Source::Will, Source::Api];
            let source = rng.choice(source).unwrap_or(Source::Publish);
            Question::Transform(source, subject(rng), Box::new(message(rng, topic)))
        }),
        (hooks.outbound_transform.is_some(), |rng, hooks| {
            let claimed = hooks.outbound_transform.as_ref().map(|hook| hook.topics());
            let topic = topic(rng, claimed.unwrap_or_default());
            Question::Outbound(subject(rng), Box::new(message(rng, topic)))
        }),
        (hooks.admin_authenticator.is_some(), |rng, _| {
            let (username, password) = (text(rng), Password::new(bytes(rng)));
            let remote = rng.u32(..).to_be_bytes().into();
            Question::Login(Box::new(Login { username, password, remote }))
        }),
    ];
    makers.into_iter().filter(|(there, _)| *there).map(|(_, maker)| maker).collect()
}

fn connection(rng: &mut Rng) -> Connection {
    let protocol = if rng.bool() { ProtocolVersion::V5 } else { ProtocolVersion::V311 };
    Connection {
        connection_id: rng.u64(..),
        client_id: text(rng).into(),
        username: maybe(rng, text),
        listener: "mqtt".into(),
        remote: match rng.bool() {
            true => SocketAddr::from((rng.u32(..).to_be_bytes(), rng.u16(..))),
            false => SocketAddr::from((rng.u128(..).to_be_bytes(), rng.u16(..))),
        },
        protocol,
        tls: None,
        attributes: pairs(rng),
    }
}

fn credentials(rng: &mut Rng) -> Credentials {
    Credentials {
        password: maybe(rng, bytes).map(Password::new),
        clean_start: rng.bool(),
        keep_alive_seconds: rng.u16(..),
        user_properties: pairs(rng),
        will: maybe(rng, |rng| WillSummary {
            topic: topic(rng, &[]),
            qos: qos(rng),
            retain: rng.bool(),
            payload_bytes: rng.u32(..),
            delay_seconds: rng.u32(..),
        }),
    }
}

fn subject(rng: &mut Rng) -> Subject {
    let identity = Identity {
        principal: text(rng).into(),
        authenticated_by: "test".into(),
        groups: (0..rng.usize(0..3)).map(|_| text(rng)).collect(),
        attributes: pairs(rng),
        permissions: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        limits: ClientLimits::default(),
        user_properties: Vec::new(),
    };
    Subject::new(&connection(rng), Arc::new(identity))
}

fn message(rng: &mut Rng, topic: String) -> Application {
    Application {
        topic,
        payload: bytes(rng),
        qos: qos(rng),
        retain: rng.bool(),
        payload_is_utf8: rng.bool(),
        message_expiry_seconds: maybe(rng, |rng| rng.u32(..)),
        content_type: maybe(rng, text),
        response_topic: maybe(rng, |rng| self::topic(rng, &[])),
        correlation_data: maybe(rng, bytes),
        user_properties: pairs(rng),
    }
}

/// A Topic Name; where filters are claimed, one that they match.
fn topic(rng: &mut Rng, claimed: &[TopicFilter]) -> String {
    let level = |rng: &mut Rng| text(rng).replace(['/', '+', '#'], "-");
    let claimed = rng.choice(claimed.iter()).map_or("+/#", |filter| filter.as_str());
    let mut levels = Vec::new();
    for part in claimed.split('/') {
        match part {
            "+" => levels.push(level(rng)),
            "#" => levels.extend((0..rng.usize(1..4)).map(|_| level(rng))),
            part => levels.push(part.to_owned()),
        }
    }
    let topic = levels.join("/");
    // No Topic Name is empty, and those of the broker are its own.
    if topic.is_empty() || topic.starts_with('$') { format!("t{topic}") } else { topic }
}

/// A text that MQTT can carry: no NUL, and mostly short.
fn text(rng: &mut Rng) -> String {
    const ODD: [&str; 12] = [
        "",
        " ",
        "/",
        "+",
        "#",
        "$SYS",
        "../..",
        "'\"`;--",
        "${username}",
        "%s%n",
        "\u{feff}\u{202e}",
        "\u{10ffff}\u{1f512}",
    ];
    let length = match rng.u8(..) {
        0..=63 => return rng.choice(ODD).unwrap_or_default().to_owned(),
        64..=239 => rng.usize(1..24),
        240..=253 => rng.usize(24..1_024),
        _ => rng.usize(1_024..16_384),
    };
    (0..length)
        .map(|_| match rng.u8(..) {
            0..=223 => rng.alphanumeric(),
            _ => rng.char('\u{1}'..='\u{ffff}'),
        })
        .collect()
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.u8(..) {
        0..=15 => 0,
        16..=239 => rng.usize(1..256),
        240..=253 => rng.usize(256..4_096),
        _ => rng.usize(4_096..65_536),
    };
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

fn pairs(rng: &mut Rng) -> Vec<(String, String)> {
    (0..rng.usize(0..4)).map(|_| (text(rng), text(rng))).collect()
}

fn qos(rng: &mut Rng) -> QoS {
    QoS::from_value(rng.u8(0..3)).unwrap_or(QoS::AtMostOnce)
}

fn maybe<T>(rng: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    if rng.bool() { Some(make(rng)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_valid_and_what_is_claimed() {
        let claimed = [TopicFilter::new("up/+/x").unwrap(), TopicFilter::new("down/#").unwrap()];
        for seed in 0..2_000 {
            let mut rng = Rng::with_seed(seed);
            let free = topic(&mut rng, &[]);
            topic::TopicName::check(&free).unwrap_or_else(|error| panic!("{free:?}: {error}"));
            let bound = topic(&mut rng, &claimed);
            topic::TopicName::check(&bound).unwrap_or_else(|error| panic!("{bound:?}: {error}"));
            assert!(claimed.iter().any(|filter| filter.matches(&bound)), "{bound:?}");
        }
    }

    #[test]
    fn a_question_follows_from_its_seed() {
        let told = |seed| format!("{:?}", message(&mut Rng::with_seed(seed), "t".to_owned()));
        assert_eq!(told(7), told(7));
        assert_ne!(told(7), told(8));
    }
}
