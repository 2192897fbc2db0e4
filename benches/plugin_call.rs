//! Calls into Wasm: `authenticate` on a warm instance and on a fresh one each time, and a whole decision; a transform that
//! opens a payload of 256 bytes with a key made for its sender. The goal for the warm call is under 3 µs of CPU.

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use access::{Application, ClientIdFrom, Gate, Publisher, Source};
use codec::QoS;
use criterion::{Criterion, criterion_group, criterion_main};
use plugin_host::{Aead, KeyRing, PluginHost, Sources};
use portcullis_benches::{connection, credentials, host_config, plugin_folder};

const WARM: &str = "";
const FRESH: &str = "isolation = \"per-call\"\n";

fn run(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (name, manifest) in [("warm", WARM), ("fresh instance", FRESH)] {
        let dir = std::env::temp_dir().join(format!("portcullis-bench-{}", std::process::id()));
        let folder = plugin_folder(&dir, &[("allow-loopback", manifest)])?;
        let gate = Arc::new(Gate::new(|| Duration::ZERO));
        let config = host_config(&dir, &folder);
        let host = runtime.block_on(PluginHost::start(config, Arc::clone(&gate)))?;
        let (connection, credentials) = (connection(), credentials());
        criterion.bench_function(&format!("admit through allow-loopback, {name}"), |b| {
            b.iter(|| {
                let from = ClientIdFrom::Connect;
                runtime.block_on(gate.admit(&connection, &credentials, from, 0)).0.is_ok()
            });
        });
        drop(host);
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// What press-7 sends; made by examples/devices/sealed.py.
const SEALED: &[u8] = include_bytes!("sealed-256.bin");
const RING: &[u8] = b"0123456789abcdef0123456789abcdef";
const OPENS: &str = "[grants]\nkeys = [\"devices\"]\nstate = \"64 KiB\"\n[[config.rules]]\n\
                     topic = \"+/raw\"\naction = \"open-inbound\"\nkey = \"devices\"\n\
                     client = \"topic-level\"\nlevel = 1\n";

fn open(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = std::env::temp_dir().join(format!("portcullis-bench-open-{}", std::process::id()));
    let plugins = [("allow-loopback", WARM), ("payload-crypto", OPENS)];
    let folder = plugin_folder(&dir, &plugins)?;
    let ring = KeyRing::new(Aead::Aes256Gcm, vec![(1, RING.to_vec())])?;
    let keys = BTreeMap::from([("devices".to_owned(), ring)]);
    let mut config = host_config(&dir, &folder);
    config.sources = Sources { keys, ..Sources::default() };
    let gate = Arc::new(Gate::new(|| Duration::ZERO));
    let host = runtime.block_on(PluginHost::start(config, Arc::clone(&gate)))?;
    let (connection, credentials) = (connection(), credentials());
    let admitted = gate.admit(&connection, &credentials, ClientIdFrom::Connect, 0);
    let client = runtime.block_on(admitted).0.map_err(|refusal| format!("{refusal:?}"))?;
    let transform = || {
        let (hooks, publisher) = (client.hooks(), Publisher::Client(client.subject()));
        runtime.block_on(hooks.transform_inbound(Source::Publish, publisher, sealed(), None))
    };
    transform().map_err(|rejected| format!("{rejected:?}"))?;
    criterion.bench_function("open 256 bytes with payload-crypto", |b| {
        b.iter(|| transform().is_ok());
    });
    drop(host);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn sealed() -> Application {
    Application {
        topic: "press-7/raw".to_owned(),
        payload: SEALED.to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        payload_is_utf8: false,
        message_expiry_seconds: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    }
}

fn plugin_call(criterion: &mut Criterion) {
    if let Err(error) = run(criterion).and_then(|()| open(criterion)) {
        eprintln!("plugin_call: {error}");
    }
}

criterion_group!(benches, plugin_call);
criterion_main!(benches);
