//! Hook `events`.

use access::{Event, EventKinds, Who};
use wasmtime::Store;

use crate::{
    background::Stamped,
    bindings::{
        exports::portcullis::plugin::events as wit, portcullis::plugin::types::PluginError,
    },
    convert,
    exports::Exports,
    instance::{Call, State, Work},
};

/// A batch.
pub(crate) struct OnEvents {
    batch: Vec<wit::Stamped>,
    dropped: u64,
}

impl OnEvents {
    pub(crate) fn new(batch: Vec<Stamped>, dropped: u64) -> Self {
        let stamped = |(unix_ms, event)| wit::Stamped { unix_ms, event: self::event(event) };
        Self { batch: batch.into_iter().map(stamped).collect(), dropped }
    }
}

impl Call for OnEvents {
    type Reply = ();
    const WORK: Work = Work::Background;
    const HOOK: &'static str = "events";

    fn bytes(&self) -> usize {
        let who = |who: &wit::Who| {
            who.client_id.len()
                + who.principal.len()
                + who.listener.len()
                + who.remote_address.len()
        };
        let event = |stamped: &wit::Stamped| match &stamped.event {
            wit::Event::Connected(of) => who(of),
            wit::Event::Disconnected(of) => who(&of.who),
            wit::Event::AuthFailed(of) => who(&of.who) + of.kind.len(),
            wit::Event::Subscribed(of) => who(&of.who) + of.filter.len(),
            wit::Event::Unsubscribed(of) => who(&of.who) + of.filter.len(),
            wit::Event::PublishDenied(of) => who(&of.who) + of.topic.len(),
            wit::Event::SessionExpired(client_id) => client_id.len(),
            wit::Event::Overload(_) => 0,
        };
        self.batch.iter().map(|stamped| RECORD_BYTES + event(stamped)).sum()
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        exports.events()?.call_on_events(store, &self.batch, self.dropped).await
    }
}

/// Of an event without its texts.
const RECORD_BYTES: usize = 128;

/// What a plugin wants, in the terms of the broker.
pub(crate) fn kinds(from: wit::Kinds) -> EventKinds {
    let pairs = [
        (wit::Kinds::CONNECTED, EventKinds::CONNECTED),
        (wit::Kinds::DISCONNECTED, EventKinds::DISCONNECTED),
        (wit::Kinds::AUTH_FAILED, EventKinds::AUTH_FAILED),
        (wit::Kinds::SUBSCRIBED, EventKinds::SUBSCRIBED),
        (wit::Kinds::UNSUBSCRIBED, EventKinds::UNSUBSCRIBED),
        (wit::Kinds::PUBLISH_DENIED, EventKinds::PUBLISH_DENIED),
        (wit::Kinds::SESSION_EXPIRED, EventKinds::SESSION_EXPIRED),
        (wit::Kinds::OVERLOAD, EventKinds::OVERLOAD),
    ];
    let wanted = pairs.into_iter().filter(|(kind, _)| from.contains(*kind));
    wanted.map(|(_, kind)| kind).fold(EventKinds::default(), EventKinds::with)
}

fn who(from: &Who) -> wit::Who {
    wit::Who {
        connection_id: from.connection_id,
        client_id: from.client_id.to_string(),
        principal: from.principal.to_string(),
        listener: from.listener.to_string(),
        remote_address: convert::address(from.remote),
        protocol: convert::protocol(from.protocol),
    }
}

fn event(from: Event) -> wit::Event {
    match from {
        Event::Connected(of) => wit::Event::Connected(who(&of)),
        Event::Disconnected(of, code, by_client) => {
            wit::Event::Disconnected(wit::DisconnectedEvent {
                who: who(&of),
                reason_code: code.value(),
                by_client,
            })
        }
        Event::AuthFailed(of, code, kind) => wit::Event::AuthFailed(wit::AuthFailedEvent {
            who: who(&of),
            reason_code: code.value(),
            kind,
        }),
        Event::Subscribed(of, filter, qos) => wit::Event::Subscribed(wit::SubscriptionEvent {
            who: who(&of),
            filter,
            qos: convert::qos(qos),
        }),
        Event::Unsubscribed(of, filter) => {
            wit::Event::Unsubscribed(wit::UnsubscribedEvent { who: who(&of), filter })
        }
        Event::PublishDenied(of, topic) => {
            wit::Event::PublishDenied(wit::PublishDeniedEvent { who: who(&of), topic })
        }
        Event::SessionExpired(client_id) => wit::Event::SessionExpired(client_id.to_string()),
        Event::Overload(level) => wit::Event::Overload(level),
    }
}
