//! Calls into Wasm: `authenticate` on a warm instance and on a fresh one each time, and a whole decision.
//! The goal for the warm call is under 3 µs of CPU.

use std::{error::Error, sync::Arc, time::Duration};

use access::{ClientIdFrom, Gate};
use criterion::{Criterion, criterion_group, criterion_main};
use plugin_host::PluginHost;
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

fn plugin_call(criterion: &mut Criterion) {
    if let Err(error) = run(criterion) {
        eprintln!("plugin_call: {error}");
    }
}

criterion_group!(benches, plugin_call);
criterion_main!(benches);
