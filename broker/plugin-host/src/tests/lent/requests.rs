//! `cache-control` and `broker` against a broker that notes what it was asked.

use std::{sync::Arc, time::Duration};

use access::{BrokerForPlugins, Publication, PublishRefused, Whose};
use codec::{QoS, ReasonCode};
use parking_lot::Mutex;

use super::{GRANTS, Lent};

#[derive(Default)]
struct Noting(Mutex<Vec<String>>);

impl BrokerForPlugins for Noting {
    fn invalidate(&self, whose: Whose<'_>) {
        self.0.lock().push(format!("{whose:?}"));
    }

    fn publish(&self, message: Publication) -> Result<u32, PublishRefused> {
        let Publication { plugin, topic, payload, qos, properties, .. } = message;
        let payload = String::from_utf8(payload).unwrap();
        let content_type = properties.content_type.unwrap();
        self.0.lock().push(format!("{plugin} {} {payload} {qos:?} {content_type}", topic.as_str()));
        if payload == "full" { Err(PublishRefused::Busy) } else { Ok(3) }
    }

    fn disconnect(&self, client_id: &str, reason: ReasonCode) -> bool {
        self.0.lock().push(format!("{client_id} {reason:?}"));
        client_id == "there"
    }

    fn subscriptions(&self, client_id: &str) -> Option<Vec<(String, QoS)>> {
        (client_id == "there").then(|| vec![("a/#".to_owned(), QoS::AtLeastOnce)])
    }
}

impl Noting {
    fn connected_to(lent: &Lent) -> Arc<Self> {
        let broker = Arc::new(Self::default());
        assert!(lent.runtime.broker.set(Arc::clone(&broker) as Arc<dyn BrokerForPlugins>).is_ok());
        broker
    }

    fn noted(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

#[tokio::test]
async fn a_plugin_publishes_disconnects_and_looks() {
    let lent = Lent::with(GRANTS, None).await;
    lent.check("broker.publish", "plant/1/alarm\nhot", "Busy").await;
    let broker = Noting::connected_to(&lent);
    lent.check("broker.publish", "plant/1/alarm\nhot", "ok: 3").await;
    assert_eq!(broker.noted(), ["lent plant/1/alarm hot AtMostOnce text/plain"]);
    lent.check("broker.publish", "plant/1/alarm\nfull", "Busy").await;
    lent.check("broker.publish", "plant/1/other\nhot", "Denied(").await;
    lent.check("broker.publish", "plant/+/alarm\nhot", "Invalid(").await;
    lent.check("broker.publish", "\nhot", "Invalid(").await;
    broker.noted();
    lent.check("broker.disconnect", "there\n135", "ok: true").await;
    lent.check("broker.disconnect", "gone\n135", "ok: false").await;
    assert_eq!(broker.noted(), ["there NotAuthorized", "gone NotAuthorized"]);
    lent.check("broker.disconnect", "there\n0", "Invalid(").await;
    lent.check("broker.disconnect", "there\n255", "Invalid(").await;
    lent.check("broker.subscriptions", "there", "a/#").await;
    lent.check("broker.subscriptions", "gone", "ok: None").await;
}

#[tokio::test]
async fn each_function_has_its_own_grant() {
    let broker = "broker = [\"publish\", \"disconnect\", \"subscriptions\"]";
    let manifest = GRANTS.replace(broker, "broker = [\"subscriptions\"]");
    let manifest = manifest.replace("publish_topics = [\"plant/+/alarm\"]\n", "");
    let lent = Lent::with(&manifest, None).await;
    let broker = Noting::connected_to(&lent);
    lent.check("broker.publish", "plant/1/alarm\nhot", "Denied(").await;
    lent.check("broker.disconnect", "there\n135", "Denied(").await;
    lent.check("broker.subscriptions", "there", "ok: Some(").await;
    assert!(broker.noted().is_empty());
}

#[tokio::test]
async fn answers_are_taken_back() {
    let lent = Lent::with(GRANTS, None).await;
    let broker = Noting::connected_to(&lent);
    lent.check("cache.all", "", "ok").await;
    let everybody = async {
        while broker.noted() != ["Everybody"] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), everybody).await.expect("soon");
    lent.check("cache.client", "c", "ok").await;
    lent.check("cache.principal", "p", "ok").await;
    assert_eq!(broker.noted(), ["Client(\"c\")", "Principal(\"p\")"]);
}
