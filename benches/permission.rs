//! Authorization of a PUBLISH by a set of 100 rules: the goal is under 200 ns.

use std::{hint::black_box, sync::Arc};

use access::{Answer, HoldsFor, PermissionSet, Permissions, PublishRequest};
use codec::QoS;
use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_benches::{hundred_rules, subject};

fn permit(criterion: &mut Criterion) {
    let set =
        PermissionSet { rules: hundred_rules(), ttl_seconds: None, holds_for: HoldsFor::Client };
    let answers = [(Arc::from("bench"), Answer::Permissions(set))];
    let Ok(permissions) = Permissions::compile(&subject(), &answers) else { return };
    for (name, topic) in [
        ("literal rule", "plant/96/state"),
        ("subtree rule", "line-97/motor/4/speed"),
        ("pattern rule", "device/device-7/98/motor/value"),
        ("last rule, deny", "plant/alarm/99"),
        ("no rule", "somewhere/else/entirely"),
    ] {
        let request = PublishRequest { topic, qos: QoS::AtLeastOnce, retain: false };
        criterion.bench_function(&format!("permit PUBLISH, 100 rules, {name}"), |b| {
            b.iter(|| permissions.permit_publish(black_box(request)).is_ok());
        });
    }
}

criterion_group!(benches, permit);
criterion_main!(benches);
