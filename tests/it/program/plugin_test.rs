//! `portcullis plugin test`: cases that hold, cases that do not, and random questions.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{
    folder::{ACL, PASSWORDS, bundled, guest},
    process::{Ended, portcullis, run},
};

/// A folder with one component `gate.wasm`, its manifest and its cases.
fn folder(wasm: &[u8], manifest: &str, cases: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in [
        ("gate.wasm", wasm),
        ("gate.toml", manifest.as_bytes()),
        ("gate.cases.toml", cases.as_bytes()),
    ] {
        if !content.is_empty() {
            fs::write(dir.path().join(name), content).expect("a file can be written");
        }
    }
    dir
}

async fn test(dir: &Path, arguments: &[&str]) -> Ended {
    let mut command = portcullis(&["plugin", "test"]);
    command.arg(dir.join("gate.wasm")).args(arguments);
    run(command, b"").await
}

/// Every hook of the guests, with each kind of word.
const MEDDLER: &str = r#"
[[exchange]]
name = "the name backwards"
method = "reverse"
steps = [
    { data = "abc", expect = { step = "challenge", data = "abc" } },
    { data = "cba", expect = { step = "success", principal = "abc", data = "welcome" } },
]

[[exchange]]
method = "reverse"
steps = [
    { data = "abc", expect = { step = "challenge" } },
    { data = "abc", expect = { step = "deny", reason_code = "bad_user_name_or_password" } },
]

[[exchange]]
method = "unknown"
steps = [{ expect = { step = "not-asked" } }]

[[authorize]]
client = { principal = "alice" }
operation = { publish = "op/deny", qos = 1 }
expect = { decision = "deny", reason_code = 0x87, reason = "not alice" }

[[authorize]]
operation = { subscribe = "op/allow" }
expect = { decision = "allow", ttl_seconds = 7 }

[[authorize]]
operation = { publish = "op/fail" }
expect = { failure = "unavailable" }

[[transform]]
message = { topic = "up/x", payload = "quiet" }
expect = { outcome = "patched", payload = { hex = "5155494554" }, absent = ["topic"] }

[[transform]]
client = { client_id = "c" }
source = "will"
message = { topic = "up/move" }
expect = { outcome = "patched", topic = "moved/c", absent = ["payload"] }

[[transform]]
message = { topic = "down/x" }
expect = { outcome = "not-asked" }

[[transform]]
message = { topic = "up/trap" }
expect = { failure = "trap" }

[[outbound]]
message = { topic = "down/x", payload = "quiet" }
expect = { outcome = "patched", payload = "QUIET" }

[[outbound]]
message = { topic = "down/swallow" }
expect = { outcome = "swallow" }

[[outbound]]
message = { topic = "up/x" }
expect = { outcome = "not-asked" }

[[login]]
username = "eve"
password = "role-viewer"
expect = { outcome = "allow", user = "eve", roles = ["viewer"], absent = ["expires_at_unix"] }

[[login]]
username = "eve"
password = "other"
expect = { outcome = "deny", reason = "not eve" }
"#;

#[tokio::test]
async fn cases_of_every_hook_that_hold_are_no_failure() {
    let dir = folder(&guest("meddler"), "", MEDDLER);
    let ended = test(dir.path(), &[]).await.expect_code(0);
    assert!(ended.stdout.contains("gate.cases.toml: 0 of 15 cases failed"), "{ended:?}");
    for hook in ["exchange", "authorize", "transform", "outbound", "login"] {
        let line = ended.stdout.lines().find(|line| line.starts_with(hook));
        let line = line.unwrap_or_else(|| panic!("no times of {hook}: {ended:?}"));
        assert!(line.contains(" p50 ") && line.contains(" p99 "), "{line}");
    }
    assert!(ended.stdout.contains(" KiB of memory, may have 16384"), "{ended:?}");
}

/// The manifest counts: files that it names, and limits.
#[tokio::test]
async fn the_manifest_beside_the_component_counts() {
    let cases = r#"
        [[authenticate]]
        client = { username = "alice" }
        credentials = { password = "open sesame" }
        expect = { outcome = "allow", principal = "alice" }

        [[authenticate]]
        client = { username = "alice" }
        credentials = { password = "closed" }
        expect = { outcome = "deny", reason_code = "bad_user_name_or_password" }
    "#;
    let manifest = "[files]\npasswords = \"passwords\"\n[limits]\nmemory = \"2 MiB\"\n";
    let dir = folder(&bundled("password-file"), manifest, cases);
    fs::write(dir.path().join("passwords"), PASSWORDS).expect("a file can be written");
    let ended = test(dir.path(), &[]).await.expect_code(0);
    assert!(ended.stdout.contains("may have 2048"), "{ended:?}");

    fs::remove_file(dir.path().join("passwords")).expect("a file can be removed");
    let ended = test(dir.path(), &[]).await.expect_code(1);
    assert!(ended.stderr.contains("files.passwords"), "{ended:?}");
}

#[tokio::test]
async fn rules_are_asked_what_they_permit() {
    let cases = r#"
[[permissions]]
name = "free is free"
expect = { answer = "permissions" }
can = [{ publish = "free/a", qos = 2 }, { subscribe = "free/#", qos = 1 }]
cannot = [{ publish = "free/secret/a" }, { publish = "other" }]

[[permissions]]
name = "and so is the rest"
can = [{ publish = "other" }]
cannot = [{ publish = "free/a" }]
"#;
    let dir = folder(&bundled("acl-file"), "[files]\nacl = \"acl\"\n", cases);
    fs::write(dir.path().join("acl"), ACL).expect("a file can be written");
    let ended = test(dir.path(), &[]).await.expect_code(1);
    let expected = "gate.cases.toml:8: permissions \"and so is the rest\"\n  \
        can publish other: not authorized: no rule allows it\n  \
        cannot publish free/a: it is permitted\n";
    assert!(ended.stdout.contains(expected), "{ended:#?}");
    assert_eq!(ended.stderr, "portcullis: 1 of 2 cases failed, see above\n");
}

#[tokio::test]
async fn an_answer_that_is_not_expected_is_shown_with_its_place() {
    let cases = r#"
[[transform]]
message = { topic = "up/x", payload = "quiet" }
expect = { outcome = "patched", payload = "quiet", topic = "up/y" }

[[transform]]
message = { topic = "up/fail" }
expect = { outcome = "swallow" }

[[exchange]]
method = "reverse"
steps = [
    { data = "", expect = { step = "next" } },
    { data = "a", expect = { step = "success" } },
]

[[authenticate]]
expect = { outcome = "allow" }
"#;
    let dir = folder(&guest("meddler"), "", cases);
    let ended = test(dir.path(), &[]).await.expect_code(1);
    for expected in [
        "gate.cases.toml:2: transform\n  payload: expected \"quiet\", answered \"QUIET\"\n  \
         topic: expected \"up/y\", answered nothing\n",
        "gate.cases.toml:6: transform\n  failed: unavailable: asked to fail\n",
        "gate.cases.toml:10: exchange\n  step 2: is not reached\n",
        "gate.cases.toml:17: authenticate\n  failed: missing: it does not export this hook\n",
        "gate.cases.toml: 4 of 4 cases failed\n",
    ] {
        assert!(ended.stdout.contains(expected), "{expected}: {ended:#?}");
    }
}

#[tokio::test]
async fn what_cannot_be_tested_is_refused_in_one_sentence() {
    let meddler = guest("meddler");
    let typo = "[[transform]]\nmessage = { topic = \"up/x\" }\nexpect = { outcom = \"x\" }\n";
    for (wasm, manifest, cases, words) in [
        (&*meddler, "", "", "gate.cases.toml: No such file"),
        (&*meddler, "", typo, "gate.cases.toml:1: expect.outcom: an answer of transform has"),
        (&*meddler, "typo = 1\n", MEDDLER, "gate.toml:1: unknown field `typo`"),
        (&guest("next-version"), "", MEDDLER, "wants portcullis:plugin@0.2.0, host has 0.1.0"),
        (&b"garbage"[..], "", MEDDLER, "is neither a WebAssembly component nor a core module"),
        (&b""[..], "", MEDDLER, "gate.wasm: is not there"),
    ] {
        let dir = folder(wasm, manifest, cases);
        let ended = test(dir.path(), &[]).await.expect_code(1);
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}

/// A seed asks the same questions again, a plugin that keeps its limits answers them all, and no
/// file of cases is needed.
#[tokio::test]
async fn random_questions_follow_from_their_seed() {
    let dir = folder(&guest("good"), "", "");
    let ended = test(dir.path(), &["--fuzz", "300", "--seed", "7"]).await.expect_code(0);
    let told = |ended: &Ended| {
        let random = |line: &&str| line.contains(" random: ");
        ended.stdout.lines().filter(random).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told(&ended).len(), 2, "{ended:?}");
    assert!(told(&ended)[0].starts_with("authenticate      300 random: "), "{ended:?}");
    let again = test(dir.path(), &["--fuzz", "300", "--seed", "7"]).await.expect_code(0);
    assert_eq!(told(&ended), told(&again));
    // Without a seed one is made and told.
    let ended = test(dir.path(), &["--fuzz", "1"]).await.expect_code(0);
    assert!(ended.stdout.contains("random questions, --seed "), "{ended:?}");
    test(dir.path(), &["--seed", "1"]).await.expect_code(2);
}

#[tokio::test]
async fn random_questions_find_what_traps() {
    let hostile = |config: &str| {
        let manifest = format!("[config]\n{config}\n[files]\ndata = \"data\"\n");
        let dir = folder(&guest("hostile"), &manifest, "");
        fs::write(dir.path().join("data"), "data").expect("a file can be written");
        dir
    };
    let dir = hostile("behaviour = \"panic\"");
    let ended = test(dir.path(), &["--fuzz", "20"]).await.expect_code(1);
    assert!(ended.stdout.contains("20 trap"), "{ended:?}");
    assert!(ended.stdout.contains("authenticate: question 0: trap"), "{ended:?}");
    assert!(ended.stderr.contains("20 random questions broke the plugin"), "{ended:?}");

    let dir = hostile("hook = \"permissions\"\nbehaviour = \"bad-filter\"");
    let ended = test(dir.path(), &["--fuzz", "5"]).await.expect_code(1);
    assert!(ended.stdout.contains("permissions: question 0: "), "{ended:?}");
    assert!(ended.stderr.contains("5 random questions broke the plugin"), "{ended:?}");
}

/// What a broker's configuration would lend, as it would be written there; the grants are those of
/// the manifest.
#[tokio::test]
async fn what_a_broker_lends_is_given_with_the_cases() {
    let manifest = "[grants]\nsecrets = [\"mac\"]\nkeys = [\"cookies\"]\njwt = [\"idp\"]\n\
        sql = [\"users\"]\nldap = [\"corp\"]\n\
        state = \"1 MiB\"\nhttp = [\"https://idp.example/\"]\ncache_control = true\n\
        broker = [\"publish\"]\npublish_topics = [\"alarm\"]\n";
    let given = r#"
[given.secrets.mac]
value = "file:mac"
[given.keys.cookies]
key = [{ id = 1, value = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" }]
[given.jwt.idp]
secret = "shared"
algorithms = ["HS256"]
issuer = "idp"
audience = ["mqtt"]
[given.sql.users]
url = "sqlite:/nonexistent/users.db"
[given.ldap.corp]
url = "ldaps://127.0.0.1:1"
"#;
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpZHAiLCJhdWQiOiJtcXR0IiwiZXhwIjo0\
        MTAyNDQ0ODAwLCJzdWIiOiJhbGljZSJ9.VgFyczS9TD3XJL6l6ucTEbqAMmrUUshNz93NFSjuSbs";
    let claims = r#"ok: "{\"aud\":\"mqtt\",\"exp\":4102444800,\"iss\":\"idp\",\"sub\":\"alice\"}""#;
    let text = "mac\nThe quick brown fox jumps over the lazy dog";
    let mac = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    let mut cases = String::new();
    for (function, arguments, told) in [
        ("secrets.names", "", "ok: [\"mac\"]"),
        ("keys.hmac", text, mac),
        ("keys.open", "cookies\n00", "Error::NotAuthentic"),
        ("jwt.verify", &format!("idp\n{token}"), claims),
        ("jwt.verify", &format!("idp\n{token}x"), "Refused"),
    ] {
        let expect = match told {
            "Refused" => "outcome = \"deny\"".to_owned(),
            told => format!("outcome = \"deny\", reason = {told:?}"),
        };
        cases.push_str(&format!(
            "[[authenticate]]\nclient = {{ username = {function:?} }}\n\
             credentials = {{ password = {arguments:?} }}\nexpect = {{ {expect} }}\n"
        ));
    }
    let dir = folder(&guest("lent"), manifest, &format!("{given}{cases}"));
    fs::write(dir.path().join("mac"), "key\n").expect("a file can be written");
    let ended = test(dir.path(), &[]).await.expect_code(0);
    assert!(ended.stdout.contains("0 of 5 cases failed"), "{ended:?}");
    // Nothing but what is given; with nothing else in the file it is for random questions.
    let lacking = given.replace("[given.jwt.idp]", "[given.jwt.other]");
    for (cases, words) in [
        (&*cases, "names \"mac\", but the file of cases has no [given.secrets.mac]"),
        (&lacking, "names \"idp\", but the file of cases has no [given.jwt.idp]"),
        ("[given.secrets.mac]\nvalue = 7\n", "gate.cases.toml:2: given.secrets.mac.value: ***: "),
    ] {
        fs::write(dir.path().join("gate.cases.toml"), cases).expect("a file can be written");
        let ended = test(dir.path(), &[]).await.expect_code(1);
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    fs::write(dir.path().join("gate.cases.toml"), given).expect("a file can be written");
    test(dir.path(), &["--fuzz", "10"]).await.expect_code(0);
}

/// The manifest names a file of the broker's machine; the cases bring their own.
#[tokio::test]
async fn files_are_given_with_the_cases() {
    let asked = "
        [[authenticate]]
        client = { username = \"alice\" }
        credentials = { password = \"open sesame\" }
        expect = { outcome = \"allow\" }
    ";
    let manifest = "[files]\npasswords = \"/nowhere/passwords\"\n";
    let given = format!("[given.files]\npasswords = {PASSWORDS:?}\n");
    let dir = folder(&bundled("password-file"), manifest, &format!("{given}{asked}"));
    test(dir.path(), &[]).await.expect_code(0);
    for (given, words) in [
        ("", "files.passwords = \"/nowhere/passwords\""),
        ("[given.files]\npasswords = 1\n", "given.files.passwords: 1: must be a text"),
        (&format!("{given}more = \"x\"\n"), "its manifest has no [files] more, which is given"),
    ] {
        let cases = format!("{given}{asked}");
        fs::write(dir.path().join("gate.cases.toml"), cases).expect("a file can be written");
        let ended = test(dir.path(), &[]).await.expect_code(1);
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
}

/// Hooks that nobody waits for are rung for and told of what never happened.
#[tokio::test]
async fn random_events_reach_a_plugin_and_so_does_its_timer() {
    let dir = folder(&guest("meddler"), "", "");
    let ended = test(dir.path(), &["--fuzz", "40", "--seed", "3"]).await.expect_code(0);
    for line in
        ["events             40 random: 40 done\n", "timer              40 random: 40 done\n"]
    {
        assert!(ended.stdout.contains(line), "{line}: {ended:?}");
    }
    let failing = folder(&guest("meddler"), "[config]\nfail = true\n", "");
    let ended = test(failing.path(), &["--fuzz", "40", "--seed", "3"]).await.expect_code(0);
    assert!(ended.stdout.contains("timer              40 random: 40 internal\n"), "{ended:?}");
}
