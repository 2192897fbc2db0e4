//! Answers of plugins as tables, field by field with the words of the contract, and comparing them
//! with what is expected. What an answer does not have is not in its table.

use access::{
    Answer, ClientLimits, Denial, Effect, Grant, HoldsFor, Inbound, OperationWord, Outbound,
    Outcome, Patch, PluginFailure, Ruling, Step,
};
use codec::ReasonCode;
use toml::{Table, Value};

/// What an answer of each hook can have. `absent` = names of fields that it must not have.
pub(crate) fn known(hook: &str) -> &'static [&'static str] {
    match hook {
        "authenticate" => &AUTHENTICATE,
        "exchange" => &EXCHANGE,
        "permissions" => &PERMISSIONS,
        "authorize" => &AUTHORIZE,
        "outbound" => &OUTBOUND,
        "login" => &LOGIN,
        _ => &TRANSFORM,
    }
}

const AUTHENTICATE: [&str; 13] = [
    "outcome",
    "principal",
    "groups",
    "attributes",
    "rules",
    "expires_at_unix",
    "session_expiry_seconds_max",
    "limits",
    "user_properties",
    "reason_code",
    "reason",
    "failure",
    "absent",
];
const EXCHANGE: [&str; 15] = [
    "step",
    "data",
    "state",
    "principal",
    "groups",
    "attributes",
    "rules",
    "expires_at_unix",
    "session_expiry_seconds_max",
    "limits",
    "user_properties",
    "reason_code",
    "reason",
    "failure",
    "absent",
];
const PERMISSIONS: [&str; 6] = ["answer", "rules", "ttl_seconds", "holds_for", "failure", "absent"];
const AUTHORIZE: [&str; 6] =
    ["decision", "ttl_seconds", "reason_code", "reason", "failure", "absent"];
const TRANSFORM: [&str; 10] = [
    "outcome",
    "topic",
    "payload",
    "payload_is_utf8",
    "content_type",
    "user_properties",
    "reason_code",
    "reason",
    "failure",
    "absent",
];

const OUTBOUND: [&str; 7] = [
    "outcome",
    "payload",
    "payload_is_utf8",
    "content_type",
    "user_properties",
    "failure",
    "absent",
];
const LOGIN: [&str; 7] =
    ["outcome", "user", "roles", "expires_at_unix", "reason", "failure", "absent"];

/// Hook `authenticator`.
pub(crate) fn outcome(from: &Outcome) -> Table {
    match from {
        Outcome::Allow(grant) => with("outcome", "allow", self::grant(grant)),
        Outcome::Deny(denial) => with("outcome", "deny", self::denial(denial)),
        Outcome::Next => with("outcome", "next", Table::new()),
    }
}

/// Hook `enhanced-authenticator`.
pub(crate) fn step(from: &Step) -> Table {
    match from {
        Step::Challenge(challenge) => {
            let mut fields = with("step", "challenge", Table::new());
            put(&mut fields, "data", Some(bytes(&challenge.data)));
            put(&mut fields, "state", Some(bytes(&challenge.state)));
            fields
        }
        Step::Success(grant, data) => {
            let mut fields = with("step", "success", self::grant(grant));
            put(&mut fields, "data", data.as_deref().map(bytes));
            fields
        }
        Step::Deny(denial) => with("step", "deny", self::denial(denial)),
        Step::Next => with("step", "next", Table::new()),
    }
}

/// Hook `authorizer`.
pub(crate) fn answer(from: &Answer) -> Table {
    match from {
        Answer::Permissions(set) => {
            let mut fields = with("answer", "permissions", Table::new());
            put(&mut fields, "rules", Some(rules(&set.rules)));
            put(&mut fields, "ttl_seconds", set.ttl_seconds.map(|seconds| number(seconds.into())));
            let holds_for = match set.holds_for {
                HoldsFor::Client => "client",
                HoldsFor::Principal => "principal",
                HoldsFor::Everyone => "everyone",
            };
            with("holds_for", holds_for, fields)
        }
        Answer::DenyAll => with("answer", "deny-all", Table::new()),
        Answer::Next => with("answer", "next", Table::new()),
    }
}

/// Hook `operation-authorizer`.
pub(crate) fn ruling(from: &Ruling) -> Table {
    let mut fields = match &from.word {
        OperationWord::Allow => with("decision", "allow", Table::new()),
        OperationWord::Deny(denial) => with("decision", "deny", self::denial(denial)),
        OperationWord::Next => with("decision", "next", Table::new()),
    };
    put(&mut fields, "ttl_seconds", Some(number(from.ttl.as_secs())));
    fields
}

/// Hook `inbound-transform`.
pub(crate) fn inbound(from: &Inbound) -> Table {
    match from {
        Inbound::Unchanged => with("outcome", "unchanged", Table::new()),
        Inbound::Patched(patch) => with("outcome", "patched", self::patch(patch)),
        Inbound::Swallow => with("outcome", "swallow", Table::new()),
        Inbound::Reject(denial) => with("outcome", "reject", self::denial(denial)),
    }
}

/// Hook `outbound-transform`.
pub(crate) fn outbound(from: &Outbound) -> Table {
    match from {
        Outbound::Unchanged => with("outcome", "unchanged", Table::new()),
        Outbound::Patched(patch) => with("outcome", "patched", self::patch(patch)),
        Outbound::Swallow => with("outcome", "swallow", Table::new()),
    }
}

/// Hook `admin-authenticator`.
pub(crate) fn login(from: &Outcome) -> Table {
    match from {
        Outcome::Allow(grant) => {
            let mut fields = with("outcome", "allow", Table::new());
            put(&mut fields, "user", grant.principal.as_deref().map(Value::from));
            put(&mut fields, "roles", Some(grant.groups.clone().into()));
            put(&mut fields, "expires_at_unix", grant.expires_at_unix.map(number));
            fields
        }
        Outcome::Deny(denial) => {
            let mut fields = with("outcome", "deny", Table::new());
            put(&mut fields, "reason", denial.reason.as_deref().map(Value::from));
            fields
        }
        Outcome::Next => with("outcome", "next", Table::new()),
    }
}

/// A call that came to no decision.
pub(crate) fn failure(from: &PluginFailure) -> Table {
    with("failure", &from.kind.to_string(), Table::new())
}

/// The broker would not ask: the plugin does not claim it.
pub(crate) fn not_asked() -> Table {
    let word = |field| with(field, "not-asked", Table::new());
    ["outcome", "step", "decision"].into_iter().flat_map(word).collect()
}

fn grant(from: &Grant) -> Table {
    let Grant { principal, groups, attributes, permissions, .. } = from;
    let mut fields = Table::new();
    put(&mut fields, "principal", principal.as_deref().map(Value::from));
    put(&mut fields, "groups", Some(groups.clone().into()));
    put(&mut fields, "attributes", Some(pairs(attributes)));
    put(&mut fields, "rules", Some(rules(permissions)));
    put(&mut fields, "expires_at_unix", from.expires_at_unix.map(number));
    let expiry = from.session_expiry_seconds_max;
    put(&mut fields, "session_expiry_seconds_max", expiry.map(|seconds| number(seconds.into())));
    put(&mut fields, "limits", Some(limits(&from.limits)));
    put(&mut fields, "user_properties", Some(pairs(&from.user_properties)));
    fields
}

fn limits(from: &ClientLimits) -> Value {
    let mut fields = Table::new();
    for (name, value) in [
        ("messages_per_second", from.messages_per_second),
        ("messages_burst", from.messages_burst),
        ("bytes_per_second", from.bytes_per_second),
        ("receive_maximum", from.receive_maximum.map(u32::from)),
        ("in_flight_max", from.in_flight_max.map(u32::from)),
        ("queue_messages_max", from.queue_messages_max),
        ("queue_bytes_max", from.queue_bytes_max),
        ("packet_bytes_max", from.packet_bytes_max),
        ("keep_alive_seconds_max", from.keep_alive_seconds_max.map(u32::from)),
        ("subscriptions_max", from.subscriptions_max),
    ] {
        put(&mut fields, name, value.map(|value| number(value.into())));
    }
    Value::Table(fields)
}

fn patch(from: &Patch) -> Table {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let mut fields = Table::new();
    put(&mut fields, "topic", text(&from.topic));
    put(&mut fields, "payload", from.payload.as_deref().map(bytes));
    put(&mut fields, "payload_is_utf8", from.payload_is_utf8.map(Value::from));
    put(&mut fields, "content_type", text(&from.content_type));
    put(&mut fields, "user_properties", from.user_properties.as_deref().map(pairs));
    fields
}

fn denial(from: &Denial) -> Table {
    let mut fields = with("reason_code", from.reason_code.name(), Table::new());
    put(&mut fields, "reason", from.reason.as_deref().map(Value::from));
    fields
}

/// Rules as sentences: `allow publish,subscribe a/#`, with conditions where there are any.
fn rules(from: &[access::Rule]) -> Value {
    from.iter().map(rule).collect::<Vec<_>>().into()
}

fn rule(from: &access::Rule) -> String {
    let mut words = vec![match from.effect {
        Effect::Allow => "allow".to_owned(),
        Effect::Deny => "deny".to_owned(),
    }];
    let activities = [("publish", from.activity.publish), ("subscribe", from.activity.subscribe)];
    let named = activities.into_iter().filter(|(_, is_meant)| *is_meant).map(|(name, _)| name);
    words.push(named.collect::<Vec<_>>().join(","));
    words.push(from.filter.clone());
    if from.qos != access::QoSSet::ALL {
        let levels = (0..=2_u8).filter(|level| from.qos.0 & (1 << level) != 0);
        let levels: Vec<_> = levels.map(|level| level.to_string()).collect();
        words.push(format!("qos={}", levels.join(",")));
    }
    for (name, condition) in [("retain", from.retain), ("shared", from.shared)] {
        match condition {
            access::Condition::Any => {}
            access::Condition::Yes => words.push(format!("{name}=yes")),
            access::Condition::No => words.push(format!("{name}=no")),
        }
    }
    words.extend(from.share_name.as_ref().map(|name| format!("share={name}")));
    words.join(" ")
}

/// Text where it is UTF-8, else `{ hex = "..." }`.
pub(crate) fn bytes(from: &[u8]) -> Value {
    match std::str::from_utf8(from) {
        Ok(text) => text.into(),
        Err(_) => {
            let hex: String = from.iter().map(|byte| format!("{byte:02x}")).collect();
            Value::Table(with("hex", &hex, Table::new()))
        }
    }
}

/// The bytes of an even number of hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn pairs(from: &[(String, String)]) -> Value {
    from.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect::<Vec<_>>().into()
}

fn number(from: u64) -> Value {
    Value::Integer(i64::try_from(from).unwrap_or(i64::MAX))
}

fn with(field: &str, word: &str, mut fields: Table) -> Table {
    fields.insert(field.to_owned(), word.into());
    fields
}

fn put(fields: &mut Table, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(field.to_owned(), value);
    }
}

/// A line for each field of `expected` that `answered` has otherwise; other fields do not count.
pub(crate) fn differences(expected: &Table, answered: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, answered, &mut lines);
    lines
}

/// The same, and one for each field that only `answered` has.
pub(crate) fn all_differences(expected: &Table, answered: &Table) -> Vec<String> {
    let mut lines = differences(expected, answered);
    let more = answered.iter().filter(|(field, _)| !expected.contains_key(field.as_str()));
    lines.extend(more.map(|(field, found)| format!("{field}: expected nothing, answered {found}")));
    lines
}

fn compare(within: &str, expected: &Table, answered: &Table, lines: &mut Vec<String>) {
    for (field, expected) in expected {
        let path = format!("{within}{field}");
        let found = answered.get(field);
        match (field.as_str(), expected, found) {
            ("absent", Value::Array(names), _) if within.is_empty() => {
                for name in names.iter().filter_map(Value::as_str) {
                    if let Some(found) = answered.get(name) {
                        lines.push(format!("{name}: expected nothing, answered {found}"));
                    }
                }
            }
            (_, Value::Table(expected), Some(Value::Table(found)))
                if !expected.contains_key("hex") =>
            {
                compare(&format!("{path}."), expected, found, lines);
            }
            _ => {
                let expected = normal(field, expected);
                if found != Some(&expected) {
                    let found = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
                    lines.push(format!("{path}: expected {expected}, answered {found}"));
                }
            }
        }
    }
}

/// As this file writes it: Reason Codes by name, bytes as text where they are.
fn normal(field: &str, value: &Value) -> Value {
    match value {
        Value::Integer(code) if field == "reason_code" => {
            let code = u8::try_from(*code).ok().and_then(ReasonCode::from_value);
            code.map_or_else(|| value.clone(), |code| code.name().into())
        }
        Value::Table(table) => {
            let hex = table.get("hex").and_then(Value::as_str).and_then(from_hex);
            hex.map_or_else(|| value.clone(), |hex| bytes(&hex))
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_is_expected_is_compared() {
        let answered = table("a = 1\nb = [\"x\"]\n[limits]\nmessages_burst = 2\nqueue = 3");
        assert_eq!(differences(&table("b = [\"x\"]\nlimits = { queue = 3 }"), &answered), [""; 0]);
        let expected = table("a = 2\nc = \"y\"\nabsent = [\"b\", \"z\"]\nlimits = { queue = 4 }");
        let lines = differences(&expected, &answered);
        let expect = [
            "a: expected 2, answered 1",
            "b: expected nothing, answered [\"x\"]",
            "c: expected \"y\", answered nothing",
            "limits.queue: expected 4, answered 3",
        ];
        let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
        lines.sort_unstable();
        assert_eq!(lines, expect);
    }

    #[test]
    fn codes_and_bytes_may_be_written_either_way() {
        let answered = table("reason_code = \"banned\"\ndata = \"ab\"\nraw = { hex = \"ff00\" }");
        let expected = "reason_code = 0x8a\ndata = { hex = \"6162\" }\nraw = { hex = \"FF00\" }";
        assert_eq!(differences(&table(expected), &answered), [""; 0]);
        assert_eq!(differences(&table("raw = { hex = \"ff01\" }"), &answered).len(), 1);
        assert_eq!(from_hex("0fF0"), Some(vec![0x0f, 0xf0]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
    }

    #[test]
    fn rules_are_sentences() {
        let plain = access::Rule {
            effect: Effect::Allow,
            activity: access::Activity { publish: true, subscribe: true },
            filter: "a/#".to_owned(),
            qos: access::QoSSet::ALL,
            retain: access::Condition::Any,
            shared: access::Condition::Any,
            share_name: None,
        };
        assert_eq!(rule(&plain), "allow publish,subscribe a/#");
        let narrow = access::Rule {
            effect: Effect::Deny,
            activity: access::Activity { publish: false, subscribe: true },
            qos: access::QoSSet(0b110),
            retain: access::Condition::No,
            shared: access::Condition::Yes,
            share_name: Some("s".to_owned()),
            ..plain
        };
        assert_eq!(rule(&narrow), "deny subscribe a/# qos=1,2 retain=no shared=yes share=s");
    }
}
