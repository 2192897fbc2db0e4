//! The admin API against its own description: schemathesis asks every route what the description
//! allows and what it does not. No answer is a failure of the broker, or one that is not described.

use std::process::Command;

use super::{
    folder::{Folder, bundled},
    process::{Program, root, run},
    proof,
};

/// Of each route; more when the whole proof is asked for.
fn examples() -> &'static str {
    if proof() { "100" } else { "2" }
}

#[tokio::test]
async fn no_answer_is_a_failure_or_undescribed() {
    let schemathesis = root().join("target/test-tools/schemathesis/bin/schemathesis");
    assert!(schemathesis.is_file(), "{} is not there; run tests/setup", schemathesis.display());
    let folder = Folder::bundled();
    let broker = Program::start(&folder.config()).await;
    let token = std::fs::read_to_string(folder.path("data/admin.token")).expect("the token");
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let address = format!("http://{}", broker.api().address);
    let mut command = Command::new(schemathesis);
    // It writes reports and what it remembers where it is started.
    command.current_dir(folder.path("."));
    // Components it could not make: here is one, and what becomes of it.
    folder.write("components.py", include_str!("api_contract/components.py"));
    folder.write("component.wasm", bundled("deny-all"));
    command.env("SCHEMATHESIS_HOOKS", "components");
    command.args(["run", &format!("{address}/api/v1/openapi.json"), "-H", &bearer]);
    command.args(["--phases", "coverage,fuzzing", "--max-examples", examples()]);
    command.args(["--seed", "1", "--workers", "2", "--no-color", "--continue-on-failure"]);
    command.args(["--generation-database", "none", "--suppress-health-check", "all"]);
    // It has the token already, and a cookie beside it is refused.
    command.args(["--generation-with-security-parameters", "false"]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_schema_conformance";
    command.args(["--checks", checks]);
    // Metrics: of two formats by what is asked for. Events, live: end only when somebody ends them.
    let left_out = "^(get_metrics|get_events|get_traces_id_live)$";
    command.args(["--exclude-operation-id-regex", left_out]);
    run(command, b"").await.expect_code(0);
    broker.api().get("/readyz").await.expect(200);
}
