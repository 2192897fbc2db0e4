//! Users, tokens and the audit log of a running broker, over a restart; logins at an identity
//! provider, npm's oidc-provider.

use std::{fs, process::Command};

use serde_json::{Value, json};

use super::{
    folder::Folder,
    process::{Program, portcullis, root, run},
    servers::OidcProvider,
};

const PASSWORD: &str = "a password for nobody else";

async fn verify(folder: &Folder) -> super::process::Ended {
    let audit = folder.path("data/audit");
    run(portcullis(&["audit", "verify", audit.to_str().expect("text")]), b"").await
}

#[tokio::test]
async fn users_and_tokens_outlive_the_broker_and_the_audit_log_names_them() {
    let folder = Folder::new();
    let broker = Program::start(&folder.config()).await;
    broker.logged("first start: there is no password").await;
    let api = broker.api();
    let eve = json!({ "name": "eve", "password": PASSWORD, "roles": ["auditor"] });
    api.post_json("/api/v1/users", &eve).await.expect(200);
    let new = json!({ "name": "night job", "permissions": ["status:read"] });
    let made = api.post_json("/api/v1/tokens", &new).await.expect(200).json();
    let token = made["token"].as_str().expect("a token").to_owned();
    broker.stop().await;

    let broker = Program::start(&folder.config()).await;
    assert!(!broker.log_text().contains("first start"), "it is said once");
    let stranger = broker.api().with_token("");
    let job = stranger.with_token(&token);
    job.get("/api/v1/status").await.expect(200);
    job.get("/api/v1/clients").await.expect(403);
    let login = json!({ "username": "eve", "password": PASSWORD });
    let opened = stranger.post_json("/api/v1/login", &login).await.expect(200).json();
    let eve = stranger.with_token(opened["token"].as_str().expect("a token"));
    eve.delete("/api/v1/users/eve").await.expect(403);
    let page = eve.get("/api/v1/audit").await.expect(200).json();
    let records = page["records"].as_array().expect("a list");
    let seen: Vec<_> = records.iter().rev().map(|line| &line["action"]).collect();
    assert_eq!(seen, ["start", "change", "change", "start", "refused", "login", "refused"]);
    let text = broker.log_text() + &page.to_string();
    for secret in [PASSWORD, &token, "argon2"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let good = verify(&folder).await.expect_code(0);
    assert!(good.stdout.starts_with("7 lines in 1 files follow each other"), "{good:?}");
    broker.stop().await;

    let day = page["day"].as_str().expect("a day");
    let file = folder.path(&format!("data/audit/{day}.jsonl"));
    let lines = fs::read_to_string(&file).expect("the log");
    fs::write(&file, lines.replacen("\"status\":200", "\"status\":403", 1)).expect("a file");
    let bad = verify(&folder).await.expect_code(1);
    assert!(bad.stderr.contains(&format!("{day}.jsonl:3: ")), "{bad:?}");
}

/// What a browser has in the end that logs in as this user of the provider.
async fn browse(broker: &Program, user: &str) -> Value {
    let mut command = Command::new("node");
    command.arg(root().join("tests/servers/oidc_login.mjs"));
    command.arg(format!("http://{}", broker.api().address)).arg(user);
    let ended = run(command, b"").await.expect_code(0);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[tokio::test]
async fn an_identity_provider_vouches_for_administrators() {
    let issuer = OidcProvider::start().await;
    let folder = Folder::new();
    folder.configure_more(&format!(
        "[admin.oidc]\nissuer = \"{}\"\nclient_id = \"portcullis\"\n\
         client_secret = \"portcullis-secret\"\nscopes = [\"email\", \"groups\"]\n\
         redirect_url = \"http://127.0.0.1:1/api/v1/login/oidc/callback\"\n\
         [[admin.oidc.map]]\nvalue = \"eve-group\"\nroles = [\"auditor\"]\n",
        issuer.url()
    ));
    let broker = Program::start(&folder.config()).await;
    let eve = browse(&broker, "eve").await;
    assert_eq!(eve["status"], 200, "{eve}");
    assert!(eve["page"].as_str().expect("a page").contains("0;url=/clients"), "{eve}");
    assert_eq!(eve["me"]["user"], "eve@example.com", "{eve}");
    assert_eq!(eve["me"]["roles"], json!(["auditor"]));
    // Whoever the provider knows, and no role is for.
    let bob = browse(&broker, "bob").await;
    assert_eq!((&bob["status"], &bob["me"]["status"]), (&json!(403), &json!(401)), "{bob}");
    let page = broker.api().get("/api/v1/audit?action=login").await.expect(200).json();
    let seen: Vec<_> = page["records"]
        .as_array()
        .expect("a list")
        .iter()
        .rev()
        .map(|line| (line["by"].clone(), line["status"].clone()))
        .collect();
    assert_eq!(seen, [(json!("oidc"), json!(200)), (Value::Null, json!(403))]);
    assert_eq!(page["records"][0]["user"], "bob@example.com");
    broker.stop().await;
}
