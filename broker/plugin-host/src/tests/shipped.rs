//! The plugins that come with the broker, as the host runs them.

use std::{fs, path::PathBuf};

use std::sync::Arc;

use access::{Answer, Credentials, Gate, LinkState, Outcome, Password};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use super::calls::{connection, credentials};
use crate::{Config, PluginHost, Sources, check_plugin, inspect};

fn shipped(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plugins/prebuilt");
    fs::read(folder.join(format!("{name}.wasm"))).unwrap()
}

fn mosquitto_line(user: &str, password: &[u8]) -> String {
    let mut hash = [0; 64];
    pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, b"twelve bytes", 101, &mut hash);
    let (salt, hash) = (STANDARD.encode(b"twelve bytes"), STANDARD.encode(hash));
    format!("{user}:$7$101${salt}${hash}\n")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, contents: &[u8]| fs::write(folder.path().join(name), contents).unwrap();
    write("users", mosquitto_line("alice", b"secret").as_bytes());
    write("acl", b"[[rules]]\nallow = \"all\"\ntopic = \"home/#\"\nuser = \"alice\"\n");
    write("password-file.wasm", &shipped("password-file"));
    write("password-file.toml", b"[files]\npasswords = \"users\"");
    write("acl-file.wasm", &shipped("acl-file"));
    write("acl-file.toml", b"[files]\nacl = \"acl\"");
    folder
}

fn with_password(password: &[u8]) -> Credentials {
    Credentials { password: Some(Password::new(password.to_vec())), ..credentials() }
}

#[tokio::test]
async fn password_file_and_acl_file() {
    let folder = folder();
    let data = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::new(|| std::time::Duration::ZERO));
    let config = Config::new(folder.path(), data.path());
    let host = PluginHost::start(config, Arc::clone(&gate)).await.unwrap();
    let chain = gate.chain("mqtt");
    let mut identity = None;
    for link in &chain.links {
        let LinkState::Live(hooks) = &link.state else {
            panic!("{}: {host:?} {:?}", link.name, access::PluginManager::not_ready(&*host));
        };
        if &*link.name == "password-file" {
            let hook = hooks.authenticator.as_ref().unwrap();
            let good = hook.authenticate(&connection(), &with_password(b"secret")).await.unwrap();
            let Outcome::Allow(grant) = good else { panic!("{good:?}") };
            identity = grant.principal;
            let bad = hook.authenticate(&connection(), &with_password(b"wrong")).await.unwrap();
            assert!(matches!(bad, Outcome::Deny(_)), "{bad:?}");
        }
        if &*link.name == "acl-file" {
            let subject = subject();
            let answer = hooks.authorizer.as_ref().unwrap().permissions(&subject).await.unwrap();
            let Answer::Permissions(set) = answer else { panic!("{answer:?}") };
            assert_eq!(set.rules.len(), 1, "{set:?}");
        }
    }
    assert_eq!(identity.as_deref(), Some("alice"));
    assert_eq!(&*chain.links.last().unwrap().name, "deny-all");
}

pub(super) fn subject() -> access::Subject {
    access::Subject {
        identity: Arc::new(access::Identity {
            principal: "alice".into(),
            authenticated_by: "password-file".into(),
            groups: Vec::new(),
            attributes: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            permissions: Vec::new(),
            limits: access::ClientLimits::default(),
            user_properties: Vec::new(),
        }),
        client_id: "c".into(),
        listener: "mqtt".into(),
        remote: "127.0.0.1".parse().unwrap(),
        protocol: codec::ProtocolVersion::V5,
        certificate: None,
    }
}

#[tokio::test]
async fn checking_without_a_broker() {
    let folder = folder();
    let roots = [folder.path().to_owned()];
    let inspection =
        check_plugin(folder.path(), "password-file", &roots, &Sources::default(), &Arc::default())
            .await
            .unwrap();
    assert_eq!(inspection.hooks, ["authenticator"]);
    assert!(inspection.imports.contains(&"crypto".to_owned()), "{:?}", inspection.imports);
    assert_eq!(inspection.described.unwrap().0, "password-file");

    fs::write(folder.path().join("users"), "alice:$7$101$cut\n").unwrap();
    let problems =
        check_plugin(folder.path(), "password-file", &roots, &Sources::default(), &Arc::default())
            .await
            .unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("password-file: misconfigured: "), "{problems:?}");
    // What is left of these hashes is the start of what PBKDF2 gives, and would verify.
    for (scheme, bytes) in [("pbkdf2-sha512", 32), ("pbkdf2-sha256", 31), ("scrypt", 16)] {
        let costs = if scheme == "scrypt" { "ln=4,r=8,p=1" } else { "i=101" };
        let (salt, hash) =
            (STANDARD_NO_PAD.encode([7; 16]), STANDARD_NO_PAD.encode(vec![7; bytes]));
        let line = format!("alice:${scheme}${costs}${salt}${hash}\n");
        fs::write(folder.path().join("users"), line).unwrap();
        let problems = check_plugin(
            folder.path(),
            "password-file",
            &roots,
            &Sources::default(),
            &Arc::default(),
        )
        .await
        .unwrap_err();
        assert!(problems[0].contains("line 1: the hash is malformed"), "{problems:?}");
    }
    let problems =
        check_plugin(folder.path(), "password-file", &[], &Sources::default(), &Arc::default())
            .await
            .unwrap_err();
    assert!(problems[0].contains("outside of file_roots"), "{problems:?}");
    let problems =
        check_plugin(folder.path(), "ghost", &roots, &Sources::default(), &Arc::default())
            .await
            .unwrap_err();
    assert!(problems[0].ends_with("is not there"), "{problems:?}");

    let inspection = inspect(&shipped("deny-all")).await.unwrap();
    assert_eq!(inspection.hooks, ["authenticator"]);
    assert_eq!(inspection.described.unwrap().0, "deny-all");
}
