//! Interface `ldap` with OpenLDAP behind it, through the whole program.

use super::servers::{Asked, NO_DATABASE, OpenLdap, directory_password};

async fn started(more: &str) -> (OpenLdap, Asked) {
    let server = OpenLdap::start().await;
    let source = format!("{}{more}", server.plain());
    let asked = Asked::start(&[&source, NO_DATABASE]).await;
    (server, asked)
}

const ALICE: &str = "corp\nuid=alice,dc=example";

#[tokio::test]
async fn passwords_are_tried_and_entries_are_found() {
    let (_server, asked) = started("").await;
    asked.check("ldap.bind", &format!("{ALICE}\nalice's own"), "ok: true").await;
    asked.check("ldap.bind", &format!("{ALICE}\nwrong"), "ok: false").await;
    asked.check("ldap.bind", &format!("{ALICE}\n"), "ok: false").await;
    // Nobody, somebody without a password, and what is no name.
    asked.check("ldap.bind", "corp\nuid=none,dc=example\nx", "ok: false").await;
    asked.check("ldap.bind", "corp\nuid=bob,dc=example\nx", "ok: false").await;
    asked.check("ldap.bind", "corp\nnonsense\nx", "Malformed(").await;
    asked.check("ldap.compare", &format!("{ALICE}\nmail\nalice@example"), "ok: true").await;
    asked.check("ldap.compare", &format!("{ALICE}\nmail\nother"), "ok: false").await;
    asked.check("ldap.compare", &format!("{ALICE}\ndescription\nx"), "ok: false").await;
    asked.check("ldap.compare", "corp\nuid=none,dc=example\ncn\nx", "ok: false").await;
    let by_uid = "corp\ndc=example\n(&(objectClass=inetOrgPerson)(uid={}))\n";
    let found = "ok: 1 uid=alice,dc=example cn=Alice mail=alice@example";
    asked.check("ldap.search", &format!("{by_uid}alice"), found).await;
    asked.check("ldap.search", &format!("{by_uid}bob"), "ok: 1 uid=bob,dc=example cn=Bob").await;
    // Each would be more than one entry if it were part of the filter.
    for injected in ["*", "*)(uid=*", "*))(|(uid=*", "alice)(cn=*", "\\2a"] {
        asked.check("ldap.search", &format!("{by_uid}{injected}"), "ok: 0 ").await;
    }
    asked.check("ldap.search", "corp\ndc=none\n(uid=a)", "Refused(").await;
    asked.check("ldap.search", "corp\n=\n(uid=a)", "Malformed(").await;
}

/// Anonymous sees nothing, alice sees nothing, the broker sees all: what is found tells who asks.
#[tokio::test]
async fn searches_are_never_made_as_who_logs_in() {
    let (server, asked) = started("connections = 1\n").await;
    let all = "corp\ndc=example\n(uid=alice)";
    for _ in 0..3 {
        asked.check("ldap.bind", &format!("{ALICE}\nalice's own"), "ok: true").await;
        asked.check("ldap.search", all, "ok: 1 ").await;
        asked.check("ldap.bind", &format!("{ALICE}\nwrong"), "ok: false").await;
        asked.check("ldap.search", all, "ok: 1 ").await;
    }
    let plain = server.plain();
    let anonymous: String = plain
        .lines()
        .filter(|line| !line.starts_with("bind_"))
        .map(|it| format!("{it}\n"))
        .collect();
    let anonymous = Asked::start(&[&anonymous, NO_DATABASE]).await;
    anonymous.check("ldap.bind", &format!("{ALICE}\nalice's own"), "ok: true").await;
    anonymous.check("ldap.search", all, "Refused(").await;
}

#[tokio::test]
async fn results_and_time_are_bounded() {
    let more = "connections = 1\ntimeout = \"1s\"\nconnect_timeout = \"200ms\"\n";
    let (server, asked) = started(more).await;
    asked.check("ldap.search", "corp\ndc=example\n(uid=many*)", "TooLarge").await;
    asked.check("ldap.search", "corp\ndc=example\n(uid=many11*)", "ok: 111 ").await;
    server.freeze(true).await;
    let (one, other) = tokio::join!(
        asked.ask("ldap.search", "corp\ndc=example\n(uid=alice)"),
        asked.ask("ldap.search", "corp\ndc=example\n(uid=bob)")
    );
    let mut told = [one, other];
    told.sort();
    assert_eq!(told[0], "Error::Timeout");
    let taken = told[1].contains("all 1 connections are taken");
    assert!(taken, "{told:?}");
    server.freeze(false).await;
    asked.check("ldap.search", "corp\ndc=example\n(uid=alice)", "ok: 1 ").await;
}

#[tokio::test]
async fn a_directory_that_goes_away_comes_back() {
    let (mut server, asked) = started("").await;
    let login = format!("{ALICE}\nalice's own");
    let search = "corp\ndc=example\n(uid=alice)";
    asked.check("ldap.bind", &login, "ok: true").await;
    asked.check("ldap.search", search, "ok: 1 ").await;
    server.stop();
    asked.check("ldap.bind", &login, "Unavailable(\"no connection to the directory\")").await;
    asked.check("ldap.search", search, "Unavailable(").await;
    server.start_again().await;
    asked.check("ldap.bind", &login, "ok: true").await;
    asked.check("ldap.search", search, "ok: 1 ").await;
    // Once more while nothing is asked: the connections that wait are broken, and nobody notices.
    server.stop();
    server.start_again().await;
    asked.check("ldap.bind", &login, "ok: true").await;
    asked.check("ldap.search", search, "ok: 1 ").await;
}

#[tokio::test]
async fn directories_prove_their_name() {
    let server = OpenLdap::start().await;
    let authority = server.authority();
    let login = format!("{ALICE}\nalice's own");
    for url in [
        format!("ldaps://localhost:{}", server.tls_port),
        format!("ldap://localhost:{}", server.port),
    ] {
        let source = format!("{}{authority}", server.source(&url));
        let asked = Asked::start(&[&source, NO_DATABASE]).await;
        asked.check("ldap.bind", &login, "ok: true").await;
        asked.check("ldap.search", "corp\ndc=example\n(uid=alice)", "ok: 1 ").await;
        for wrong in [source.replace("localhost", "127.0.0.1"), server.source(&url)] {
            let asked = Asked::start(&[&wrong, NO_DATABASE]).await;
            asked.check("ldap.bind", &login, "Unavailable(").await;
            let log = asked.program.log_text();
            assert!(log.contains("invalid peer certificate"), "{wrong}: {log}");
        }
    }
}

#[tokio::test]
async fn the_passwords_are_nowhere_to_be_seen() {
    let (server, asked) = started("").await;
    asked.check("ldap.bind", &format!("{ALICE}\nalice's own"), "ok: true").await;
    asked.check("ldap.search", "corp\ndc=example\n(uid=alice)", "ok: 1 ").await;
    let wrong = server.plain().replace(directory_password(), "another-secret-word");
    let refused = Asked::start(&[&wrong, NO_DATABASE]).await;
    refused.check("ldap.search", "corp\ndc=example\n(uid=alice)", "Unavailable(").await;
    assert!(refused.program.log_text().contains("bind_dn: "));
    for (asked, secrets) in [
        (&asked, [directory_password(), "alice's own"]),
        (&refused, ["another-secret-word", "alice's own"]),
    ] {
        let told = asked.everything_told().await;
        for secret in secrets {
            assert!(told.len() > 1_000 && !told.contains(secret), "{secret}: {told}");
        }
    }
}
