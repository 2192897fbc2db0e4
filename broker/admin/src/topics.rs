//! `/api/v1/topics`: the tree of topics, one level at a time.
//!
//! Knows nothing of how topics are kept; asks the broker.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use topic::TopicFilter;
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking},
    field::Field,
    page::{check_limit, default_limit},
    problem::Problem,
};

/// Which level.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelQuery {
    /// What is one level below this topic or filter, without a slash at the end; without it the first level.
    prefix: Option<String>,
    /// Only names behind this one: the last one of the page before.
    after: Option<String>,
    /// At most so many names.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// One level of the tree of topics.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Level {
    /// In the order of their bytes.
    topics: Vec<Child>,
    /// There are more behind the last one.
    more: bool,
    /// Everything was looked at. If not, the counts are lower bounds, and names may be missing.
    complete: bool,
}

/// One name on a level.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Child {
    /// The name of the level; of subscriptions also `+` and `#`.
    name: String,
    /// The whole topic or filter.
    topic: String,
    /// A message is retained for just this topic.
    retained: bool,
    /// Retained messages of topics below.
    retained_below: u64,
    /// Subscriptions with just this filter.
    subscriptions: u64,
    /// Subscriptions with filters below.
    subscriptions_below: u64,
}

/// `GET /api/v1/topics`
pub(crate) async fn level(call: Call) -> Answer {
    let query: LevelQuery = call.query()?;
    if !call.fields().has(Field::Topic) {
        return Err(Problem::forbidden("the tree of topics needs field:topic"));
    }
    let limit = check_limit(query.limit)?;
    if let Some(prefix) = &query.prefix {
        TopicFilter::check(prefix).map_err(|error| Problem::from(error).about("prefix"))?;
    }
    let (shared, prefix) = (Arc::clone(&call.shared), query.prefix.clone());
    let level = blocking(move || {
        shared.state.broker.topics(query.prefix.as_deref(), query.after.as_deref(), limit)
    })
    .await?;
    let topics = level.children.into_iter().map(|child| Child {
        topic: match &prefix {
            Some(prefix) => format!("{prefix}/{}", child.name),
            None => child.name.clone(),
        },
        name: child.name,
        retained: child.is_retained,
        retained_below: child.retained_below,
        subscriptions: child.subscriptions,
        subscriptions_below: child.subscriptions_below,
    });
    let topics = topics.collect();
    call.json_answer(&Level { topics, more: level.more, complete: level.is_complete })
}
