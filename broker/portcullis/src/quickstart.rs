//! `portcullis quickstart`: a folder with everything, a running broker, and the proof that its gate
//! works.

mod client;
mod folder;
mod proof;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::Path,
    time::Instant,
};

use self::{
    folder::{Folder, USER},
    proof::Proof,
};
use crate::{
    config::Config, descriptors, failure::Failure, run::serve, service::Service, signals::Signals,
};

/// Sets up, starts, proves; then serves until a signal, or ends at once with `once`.
pub(crate) async fn run(dir: &Path, once: bool) -> Result<(), Failure> {
    let began = Instant::now();
    let folder = Folder::prepare(dir)?;
    let found = if folder.new { "made" } else { "found" };
    println!("{found} {} (user {USER}, password {})", folder.path.display(), folder.password);
    let mut config = Config::load_or_report(&folder.config())?;
    choose_ports(&mut config, once);
    let mut signals = Signals::new()?;
    let service = tokio::select! {
        service = Service::start(config, descriptors::raise_limit()) => service?,
        () = signals.stop() => return Ok(()),
    };
    let address = mqtt_address(&service)?;
    println!("listening: mqtt {address}, admin http://{}", service.admin_address());
    let proof = Proof { address, folder: &folder, plugins: service.plugins() };
    let proven = tokio::select! {
        proven = proof.run() => proven,
        () = signals.stop() => false,
    };
    if !proven {
        service.stop().await;
        return Err(Failure::Refused("not every step was seen".to_owned()));
    }
    println!("proven in {} ms", began.elapsed().as_millis());
    if once {
        service.stop().await;
        return Ok(());
    }
    print_next_steps(&folder, address, service.admin_address());
    serve(service, signals).await;
    Ok(())
}

/// Free ports for everything with `once`, and for what is taken otherwise.
fn choose_ports(config: &mut Config, once: bool) {
    let listeners = config
        .listeners
        .iter_mut()
        .filter_map(|listener| Some((listener.name.as_str(), listener.transport.bind_mut()?)));
    for (name, bind) in listeners.chain([("admin", &mut config.admin.bind)]) {
        if once {
            bind.set_port(0);
        } else if bind.port() != 0 && TcpListener::bind(*bind).is_err() {
            println!("{name}: {bind} is taken, using a free port");
            bind.set_port(0);
        }
    }
}

/// Where the built-in client connects to: the first listener on which packets come as they are,
/// through loopback if it listens everywhere.
fn mqtt_address(service: &Service) -> Result<SocketAddr, Failure> {
    let listeners = service.listeners();
    let mut plain = listeners.iter().filter(|listener| listener.transport == "tcp");
    let mut address = plain.find_map(|listener| listener.address.socket()).ok_or_else(|| {
        Failure::Refused("the proof needs a listener with transport = \"tcp\"".to_owned())
    })?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

fn print_next_steps(folder: &Folder, address: SocketAddr, admin: SocketAddr) {
    let (host, port) = (address.ip(), address.port());
    let path = folder.path.display();
    // As it was called, so that the lines can be pasted: `cargo run` puts nothing into PATH.
    let program = std::env::args().next().unwrap_or_else(|| "portcullis".to_owned());
    let client = format!("-h {host} -p {port} -u {USER} -P {}", folder.password);
    println!(
        "
Try it:
  mosquitto_sub {client} -t 'demo/#' -v
  mosquitto_pub {client} -t demo/hello -m hello
  mosquitto_pub {client} -t factory/line1 -m no -q 1 -V 5     # refused: not authorized
  curl -H \"Authorization: Bearer $(cat '{path}/admin.token')\" http://{admin}/api/v1/clients
  Control center: http://{admin}/ (log in with the content of {path}/admin.token)

Change it while it runs:
  echo 'a long password' | {program} passwd '{path}/passwords' anna
  {program} plugin check '{path}/plugins/acl-file.wasm'
  rm '{path}/plugins/password-file.wasm'     # nobody gets in any more

Serving until Ctrl-C."
    );
}
