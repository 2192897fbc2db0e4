//! Tests of the list of subscriptions, against a map.

use std::collections::BTreeMap;

use codec::{QoS, SubscriptionOptions};
use topic::SubscriptionFilter;

use super::{Subscription, Subscriptions};

fn subscription(filter: &str, identifier: u32) -> Subscription {
    Subscription {
        filter: SubscriptionFilter::parse(filter).unwrap(),
        options: SubscriptionOptions::new(QoS::AtLeastOnce),
        identifier: Some(identifier),
        since_unix: None,
    }
}

#[test]
fn as_a_map_by_filter() {
    let filters = ["a", "a/b", "a/+", "#", "$share/g/a", "$share/h/a", "$share/g/#", "b"];
    let mut random = fastrand::Rng::with_seed(3);
    let (mut list, mut map) = (Subscriptions::default(), BTreeMap::new());
    for number in 0..5_000 {
        let text = filters[random.usize(..filters.len())];
        let filter = SubscriptionFilter::parse(text).unwrap();
        let old = if random.bool() {
            let old = list.insert(subscription(text, number));
            assert_eq!(old.as_ref().and_then(|old| old.identifier), map.insert(text, number));
            old
        } else {
            let old = list.remove(&filter);
            assert_eq!(old.as_ref().and_then(|old| old.identifier), map.remove(text));
            old
        };
        assert!(old.is_none_or(|old| old.filter == filter));
        let found = list.get(&filter).and_then(|found| found.identifier);
        assert_eq!(found, map.get(text).copied());
        assert_eq!((list.len(), list.is_empty()), (map.len(), map.is_empty()));
        assert_eq!(list.iter().count(), map.len());
        let wildcards = map.keys().filter(|text| text.contains(['+', '#'])).count();
        assert_eq!(list.wildcards(), wildcards);
    }
}
