//! Hook `authorizer`.

use access::{
    Answer, Authorizer, BoxFuture, HoldsFor, PermissionSet, PluginFailure, PluginFailureKind,
    Subject,
};
use wasmtime::Store;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::authorizer as wit,
        portcullis::plugin::types::{self, PluginError},
    },
    convert,
    exports::Exports,
    failure::failure,
    instance::{Call, State, Work},
    recording::Recorded,
    shadow::Asked,
};

/// Rules in one answer.
const RULES_MAX: usize = 10_000;
/// Bytes of text in one set of rules.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Authorizer for Hook {
    fn permissions<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<Answer, PluginFailure>> {
        Box::pin(async move {
            let call = Permissions(Box::new(convert::subject(subject)));
            let answer = self.decide(subject.remote, call, answer).await;
            if let Ok(answer) = &answer {
                self.0
                    .tell_shadow(|| Asked::Permissions(Box::new(subject.clone()), answer.clone()));
            }
            answer
        })
    }
}

pub(crate) struct Permissions(Box<types::Subject>);

impl Call for Permissions {
    type Reply = wit::Answer;
    const WORK: Work = Work::Decision;
    const HOOK: &'static str = "authorizer";

    fn bytes(&self) -> usize {
        convert::subject_bytes(&self.0)
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        exports.authorizer()?.call_permissions(store, &self.0).await
    }
}

impl Recorded for Permissions {
    type Input = types::Subject;
    const NAME: &'static str = "permissions";

    fn input(&self) -> &Self::Input {
        &self.0
    }

    fn again(input: Self::Input, _: Vec<u8>) -> Self {
        Self(Box::new(input))
    }
}

fn answer(from: wit::Answer) -> Result<Answer, PluginFailure> {
    let set = match from {
        wit::Answer::DenyAll => return Ok(Answer::DenyAll),
        wit::Answer::Next => return Ok(Answer::Next),
        wit::Answer::Permissions(set) => set,
    };
    if set.rules.len() > RULES_MAX {
        return Err(too_large(&format!("{} rules", set.rules.len())));
    }
    let bytes = convert::rule_bytes(&set.rules);
    if bytes > ANSWER_BYTES_MAX {
        return Err(too_large(&format!("rules of {bytes} bytes")));
    }
    Ok(Answer::Permissions(PermissionSet {
        rules: set.rules.into_iter().map(convert::rule).collect(),
        ttl_seconds: set.ttl_seconds.map(|seconds| seconds.clamp(1, 3600)),
        holds_for: match set.holds_for {
            wit::HoldsFor::Client => HoldsFor::Client,
            wit::HoldsFor::Principal => HoldsFor::Principal,
            wit::HoldsFor::Everyone => HoldsFor::Everyone,
        },
    }))
}

fn too_large(what: &str) -> PluginFailure {
    failure(
        PluginFailureKind::TooLarge,
        format!(
            "answered with {what}; at most {RULES_MAX} rules and {ANSWER_BYTES_MAX} bytes are taken"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::portcullis::plugin::permissions as rules;

    #[test]
    fn rules_keep_their_meaning_and_their_bound() {
        let rule = rules::Rule {
            effect: rules::Effect::Deny,
            activity: rules::Activity::SUBSCRIBE,
            filter: "a/#".to_owned(),
            qos: rules::QosSet::AT_MOST_ONCE | rules::QosSet::EXACTLY_ONCE,
            retain: rules::Condition::No,
            shared: rules::Condition::Yes,
            share_name: Some("s".to_owned()),
        };
        let set = |count| {
            wit::Answer::Permissions(wit::PermissionSet {
                rules: vec![rule.clone(); count],
                ttl_seconds: Some(1_000_000),
                holds_for: wit::HoldsFor::Principal,
            })
        };
        let Answer::Permissions(permissions) = answer(set(1)).unwrap() else {
            panic!("permissions");
        };
        assert_eq!(permissions.ttl_seconds, Some(3600));
        assert_eq!(permissions.holds_for, HoldsFor::Principal);
        assert_eq!(
            permissions.rules,
            [access::Rule {
                effect: access::Effect::Deny,
                activity: access::Activity { publish: false, subscribe: true },
                filter: "a/#".to_owned(),
                qos: access::QoSSet(0b101),
                retain: access::Condition::No,
                shared: access::Condition::Yes,
                share_name: Some("s".to_owned()),
            }]
        );
        assert_eq!(answer(set(RULES_MAX + 1)).unwrap_err().kind, PluginFailureKind::TooLarge);
    }
}
