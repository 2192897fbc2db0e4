//! Messages of the admin API: checked like those of clients, worked on by inbound transforms, then delivered.
//!
//! No rules are asked: whoever may use the route may publish to every topic but the broker's own. Operation authorizers
//! judge clients, and are not asked either.

use std::sync::Arc;

use access::{
    Application, Publication, PublicationProperties, PublishRefused, Publisher, Source, Transformed,
};
use codec::ReasonCode;
use topic::TopicName;

use crate::{
    broker::Core,
    for_plugins,
    traced::{Telling, witness},
};

/// A message that a user of the admin API publishes.
#[derive(Clone, Debug)]
pub struct ApiMessage {
    /// Who.
    pub user: String,
    /// The listener whose chain has the transforms; `None` = those of the default chain.
    pub listener: Option<String>,
    /// Everything but who. Its `plugin` is not looked at.
    pub publication: Publication,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiPublished {
    /// Sessions and groups of shared subscriptions that it went to.
    pub receivers: u32,
    /// The topic that it went to, which a transform may have changed.
    pub topic: String,
    /// A transform kept it: it went nowhere.
    pub swallowed: bool,
    /// A transform changed it.
    pub transformed: bool,
}

/// Why it was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiRefused {
    /// It is over a limit of the broker; the sentence says which.
    #[error("{0}")]
    Invalid(String),
    /// A transform rejected it, or failed.
    #[error("{cause}")]
    Rejected {
        /// The code that a client would be answered.
        code: ReasonCode,
        /// Why.
        cause: String,
    },
    /// The store does not take it, or retained messages are full.
    #[error("the broker has no room for it")]
    Busy,
}

impl From<PublishRefused> for ApiRefused {
    fn from(refused: PublishRefused) -> Self {
        match refused {
            PublishRefused::Invalid(why) => Self::Invalid(why),
            PublishRefused::Busy => Self::Busy,
        }
    }
}

pub(super) async fn publish(
    core: &Arc<Core>,
    message: ApiMessage,
) -> Result<ApiPublished, ApiRefused> {
    let ApiMessage { user, listener, publication } = message;
    // Before a plugin sees it.
    for_plugins::check(core, &publication)?;
    let hooks = core.gate.hooks(listener.as_deref().unwrap_or_default());
    let mut publication = publication;
    let mut transformed = false;
    if hooks.transform(&publication.topic) {
        let publisher = Publisher::Api(&user);
        let asked = application(&publication);
        let telling = Telling::of(core, None);
        let asking = hooks.transform_inbound(Source::Api, publisher, asked, witness(&telling));
        match asking.await {
            Err(rejected) => {
                let (code, cause) = (rejected.reason_code, rejected.to_string());
                return Err(ApiRefused::Rejected { code, cause });
            }
            Ok(Transformed::Unchanged) => {}
            Ok(Transformed::Swallowed) => {
                let topic = publication.topic.to_string();
                return Ok(ApiPublished { receivers: 0, topic, swallowed: true, transformed });
            }
            Ok(Transformed::Changed(changed)) => {
                transformed = true;
                publication = take_over(publication, *changed)?;
            }
        }
    }
    // In a name that no client can have.
    let name = format!("$api/{user}");
    let receivers = for_plugins::publish(core, &publication, &name)?;
    let topic = publication.topic.to_string();
    Ok(ApiPublished { receivers, topic, swallowed: false, transformed })
}

fn application(publication: &Publication) -> Application {
    let properties = publication.properties.clone();
    Application {
        topic: publication.topic.to_string(),
        payload: publication.payload.clone(),
        qos: publication.qos,
        retain: publication.retain,
        payload_is_utf8: properties.payload_is_utf8,
        message_expiry_seconds: properties.message_expiry_seconds,
        content_type: properties.content_type,
        response_topic: properties.response_topic,
        correlation_data: properties.correlation_data,
        user_properties: properties.user_properties,
    }
}

fn take_over(before: Publication, changed: Application) -> Result<Publication, ApiRefused> {
    let topic = TopicName::new(&changed.topic).map_err(|_| ApiRefused::Rejected {
        code: ReasonCode::ImplementationSpecificError,
        cause: format!("a transform changed the topic to {:?}, which is none", changed.topic),
    })?;
    Ok(Publication {
        topic,
        payload: changed.payload,
        properties: PublicationProperties {
            payload_is_utf8: changed.payload_is_utf8,
            message_expiry_seconds: before.properties.message_expiry_seconds,
            content_type: changed.content_type,
            response_topic: changed.response_topic,
            correlation_data: changed.correlation_data,
            user_properties: changed.user_properties,
        },
        ..before
    })
}
