//! The tables `[transform]` and `[operations]`: what the operator says of hooks that see messages and
//! single operations.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use topic::TopicFilter;

use super::{ManifestError, Source, TIMES};
use crate::budget::Budget;

/// Topic Filters in one list.
const TOPICS_MAX: usize = 100;

/// The table `[transform]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transform {
    /// Instead of what the plugin claims.
    pub(crate) inbound: Option<Vec<TopicFilter>>,
    /// The same for what subscribers get.
    pub(crate) outbound: Option<Vec<TopicFilter>>,
    /// What becomes of a message when the call fails; `None` = refused, or not delivered.
    pub(crate) on_error: Option<OnTransformError>,
    /// Of one call: 10 ms of CPU, 50 ms unless it says otherwise.
    pub(crate) budget: Budget,
}

/// What becomes of a message whose transform failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnTransformError {
    /// Refused, or not delivered.
    #[default]
    Reject,
    /// Acknowledged and passed to nobody, or not delivered.
    Drop,
    /// As it was.
    Pass,
}

const ON_ERRORS: [(&str, OnTransformError); 3] = [
    ("reject", OnTransformError::Reject),
    ("drop", OnTransformError::Drop),
    ("pass", OnTransformError::Pass),
];

impl Default for Transform {
    fn default() -> Self {
        let budget = Budget { cpu: Duration::from_millis(10), wall: Duration::from_millis(50) };
        Self { inbound: None, outbound: None, on_error: None, budget }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransform {
    inbound: Option<Spanned<Vec<String>>>,
    outbound: Option<Spanned<Vec<String>>>,
    on_error: Option<Spanned<String>>,
    cpu: Option<Spanned<toml::Value>>,
    deadline: Option<Spanned<toml::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOperations {
    topics: Option<Spanned<Vec<String>>>,
}

impl Source<'_> {
    pub(super) fn transform(&self, raw: RawTransform) -> Result<Transform, ManifestError> {
        let default = Transform::default();
        let time = |key: &str, value, range, default| {
            let millis = self.quantity(&format!("transform.{key}"), value, range, &TIMES)?;
            Ok(millis.map_or(default, Duration::from_millis))
        };
        let on_error = match raw.on_error {
            None => None,
            raw => Some(self.choice("transform.on_error", raw, &ON_ERRORS)?),
        };
        Ok(Transform {
            inbound: self.topics("transform.inbound", raw.inbound)?,
            outbound: self.topics("transform.outbound", raw.outbound)?,
            on_error,
            budget: Budget {
                cpu: time("cpu", raw.cpu, (5, 1_000), default.budget.cpu)?,
                wall: time("deadline", raw.deadline, (10, 10_000), default.budget.wall)?,
            },
        })
    }

    pub(super) fn operations(
        &self,
        raw: RawOperations,
    ) -> Result<Option<Vec<TopicFilter>>, ManifestError> {
        self.topics("operations.topics", raw.topics)
    }

    fn topics(
        &self,
        key: &str,
        raw: Option<Spanned<Vec<String>>>,
    ) -> Result<Option<Vec<TopicFilter>>, ManifestError> {
        let Some(raw) = raw else { return Ok(None) };
        let refused = |message: String| Err(self.error(raw.span().start, message));
        if raw.get_ref().len() > TOPICS_MAX {
            let count = raw.get_ref().len();
            return refused(format!("{key}: {count} Topic Filters; at most {TOPICS_MAX}"));
        }
        let mut topics = Vec::new();
        for text in raw.get_ref() {
            match TopicFilter::new(text) {
                Ok(filter) => topics.push(filter),
                Err(error) => return refused(format!("{key}: {text:?}: {error}")),
            }
        }
        Ok(Some(topics))
    }
}
