//! Commands about what the broker holds for clients: sessions, subscriptions, topics, retained messages.

use super::{
    super::{
        column::{Column, Form, column},
        command::{Argument, Command, Kind, body, delete, list, path, post, query, show, word},
    },
    clients::CLIENT_ID,
};

pub(super) const COMMANDS: &[Command] = &[
    delete(
        "sessions end",
        "/api/v1/clients/{client_id}/session",
        "Ends a session and its connection; the Will Message is published",
    )
    .with(&[CLIENT_ID])
    .says("ended"),
    list(
        "subscriptions list",
        "/api/v1/subscriptions",
        "Subscriptions of all sessions",
        ("subscriptions", SUBSCRIPTION, "no subscription matches"),
    )
    .with(&[
        query("prefix", "prefix", "Only those whose Topic Filter begins so"),
        query("matching", "matching", "Only those that this Topic Name matches"),
        query("client", "client_id", "Only those of this Client Identifier"),
    ])
    .paged("after", 1000),
    post(
        "subscriptions add",
        "/api/v1/clients/{client_id}/subscriptions",
        "Subscribes a client, by its permissions and within its limits",
    )
    .with(&[
        CLIENT_ID,
        word("filter", "filter", "Topic Filter, with $share/NAME/ before it to share"),
        body("qos", "qos", "Maximum QoS, 0 to 2").of(Kind::Number),
        body("no-local", "no_local", "Not what the client publishes itself").of(Kind::Flag),
        body("retain-as-published", "retain_as_published", "RETAIN flags stay").of(Kind::Flag),
        body("retain-handling", "retain_handling", "Retained messages now: 0 send, 1 if new, 2 no")
            .of(Kind::Number),
        body("identifier", "identifier", "Subscription Identifier").of(Kind::Number),
    ]),
    delete(
        "subscriptions end",
        "/api/v1/clients/{client_id}/subscriptions",
        "Ends a subscription of a client",
    )
    .with(&[CLIENT_ID, query("filter", "filter", "Topic Filter as subscribed").required()])
    .says("ended"),
    list(
        "topics",
        "/api/v1/topics",
        "One level of the tree of topics: what is retained and subscribed to there",
        ("topics", TOPIC, "there is nothing below"),
    )
    .with(&[query(
        "prefix",
        "prefix",
        "Topic whose next level is shown [default: the first level]",
    )])
    .paged_behind("after", "/name", (100, 1000)),
    list(
        "retained list",
        "/api/v1/retained",
        "Retained messages, in the order of their topics",
        ("messages", RETAINED, "nothing is retained"),
    )
    .with(&[query("filter", "filter", "Only those whose topic this Topic Filter matches")])
    .paged("after", 1000),
    show("retained show", "/api/v1/retained/{topic}", "One retained message, with its payload")
        .with(&[TOPIC_NAME]),
    delete("retained forget", "/api/v1/retained/{topic}", "Forgets a retained message")
        .with(&[TOPIC_NAME])
        .says("forgotten"),
    post("publish", "/api/v1/publish", "Publishes a message: checked and transformed as any other")
        .with(&[
            word("topic", "topic", "Topic Name"),
            body("text", "payload", "Payload as text"),
            body("file", "payload_base64", "Payload from a file, - = standard input")
                .of(Kind::BinaryFile),
            body("qos", "qos", "QoS, 0 to 2").of(Kind::Number),
            body("retain", "retain", "With the RETAIN flag").of(Kind::Flag),
            body("utf8", "payload_is_utf8", "Payload Format Indicator: it is UTF-8").of(Kind::Flag),
            body("content-type", "content_type", "Content Type"),
            body("expiry", "message_expiry_seconds", "Message Expiry Interval in seconds")
                .of(Kind::Number),
            body("response-topic", "response_topic", "Response Topic"),
            body("correlation-file", "correlation_data_base64", "Correlation Data from a file")
                .of(Kind::BinaryFile),
            body("user-properties", "user_properties", "User Properties, [[\"NAME\",\"VALUE\"]]")
                .of(Kind::Json),
            body("listener", "listener", "Listener whose transforms count [default: the first]"),
        ]),
];

const TOPIC_NAME: Argument = path("topic", "topic", "Topic Name");

const SUBSCRIPTION: &[Column] = &[
    column("CLIENT", "/client_id"),
    column("FILTER", "/filter"),
    column("QOS", "/qos"),
    column("NO LOCAL", "/no_local"),
    column("RETAIN AS PUBLISHED", "/retain_as_published"),
    column("RETAIN HANDLING", "/retain_handling"),
    column("IDENTIFIER", "/identifier"),
    column("SINCE", "/since_unix").of(Form::Time),
];

const TOPIC: &[Column] = &[
    column("LEVEL", "/name"),
    column("TOPIC", "/topic"),
    column("RETAINED", "/retained"),
    column("BELOW", "/retained_below"),
    column("SUBSCRIPTIONS", "/subscriptions"),
    column("BELOW", "/subscriptions_below"),
];

const RETAINED: &[Column] = &[
    column("TOPIC", "/topic"),
    column("QOS", "/qos"),
    column("BYTES", "/payload_bytes").of(Form::Bytes),
    column("PUBLISHER", "/publisher"),
    column("WITHHELD", "/withheld"),
];
