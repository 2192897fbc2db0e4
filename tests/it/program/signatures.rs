//! Plugins that somebody has to have signed.

use std::fs;

use codec::{Connect, ProtocolVersion::V5, ReasonCode};

use super::{
    eventually::until,
    folder::{Folder, another_build, guest},
    knock::knock,
    process::{Program, portcullis, run},
};

const OPEN: &str = "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"#\"\n";

async fn command(arguments: &[&str]) {
    run(portcullis(arguments), b"").await.expect_code(0);
}

#[tokio::test]
async fn only_what_was_signed_goes_live() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name).display().to_string();
    command(&["plugin", "keygen", &path("release")]).await;
    folder.install_with("gate", &guest("good"), OPEN);
    let config = fs::read_to_string(folder.config()).expect("the configuration");
    let config = config.replace(
        "[plugins]",
        "[plugins]\ntrusted_keys = [\"release.pub\"]\nrequire_signature = true",
    );
    folder.write("portcullis.toml", config);
    let program = Program::start_unready(&folder.config()).await;
    let enters =
        async || knock(program.mqtt(), Connect::new(V5, "c")).await.0 == ReasonCode::Success;
    let gate = program.plugin("gate", |plugin| plugin["state"] == "failed").await;
    let error = gate["error"].as_str().unwrap_or_default();
    assert!(error.contains("has no gate.sig"), "{gate}");
    assert!(!enters().await);
    command(&["plugin", "sign", &path("plugins/gate.wasm"), "--key", &path("release")]).await;
    until("the signed plugin lets the client in", async || enters().await).await;
    // Another component under the old signature stays out, and what is live goes on.
    let other = another_build(&guest("good"), 1);
    folder.install("gate", &other);
    let gate = program.plugin("gate", |plugin| plugin["state"] == "live_old").await;
    let error = gate["error"].as_str().unwrap_or_default();
    assert!(error.contains("is not one of this component"), "{gate}");
    assert!(enters().await);
    command(&["plugin", "sign", &path("plugins/gate.wasm"), "--key", &path("release")]).await;
    program.plugin("gate", |plugin| plugin["state"] == "live").await;
    // So does another manifest.
    folder.install_with("gate", &other, &OPEN.replace("\"#\"", "\"a\""));
    program.plugin("gate", |plugin| plugin["state"] == "live_old").await;
}
