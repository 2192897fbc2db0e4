//! Interface `sql` with PostgreSQL behind it, through the whole program; the same with MariaDB.

mod mariadb;

use super::{
    eventually::eventually,
    servers::{Asked, Database, NO_DIRECTORY, Postgres, database_password},
};

async fn started(more: &str) -> (Postgres, Asked) {
    let server = Postgres::start().await;
    let source = format!("{}{more}", server.source());
    let asked = Asked::start(&[&source, NO_DIRECTORY]).await;
    (server, asked)
}

#[tokio::test]
async fn values_of_every_type_go_in_and_come_out() {
    let (_server, asked) = started("").await;
    let by_name = "users\nSELECT hash FROM users WHERE name = ?\n";
    let found = r#"ok: ["hash"] 1 [[Text("$argon2id$")]]"#;
    asked.check("sql.query", &format!("{by_name}alice"), found).await;
    asked.check("sql.query", &format!("{by_name}nobody"), r#"ok: ["hash"] 0 []"#).await;
    asked.check("sql.query", &format!("{by_name}x' OR '1'='1"), "ok: [\"hash\"] 0 []").await;
    asked.check("sql.query", &format!("{by_name}'; DROP TABLE users; --"), " 0 []").await;
    // What has no case of its own is text, in both directions.
    let of_other_types = "users\nSELECT born, id, tags, 1.50::numeric, now() > '2020-01-01' \
                          FROM users WHERE id = ? AND born < ? AND tags @> ?\n\
                          00000000-0000-0000-0000-000000000001\n1970-01-03\n{a}";
    let found = "[[Text(\"1970-01-02\"), Text(\"00000000-0000-0000-0000-000000000001\"), \
                 Text(\"{a,b}\"), Text(\"1.50\"), Boolean(true)]]";
    asked.check("sql.query", of_other_types, found).await;
    let values = "users\nSELECT ?::int, ?::bool, ?::float8, ?::bytea, ?::text, ?::bigint\n\
                  integer:-7\nboolean:true\nreal:0.25\nblob:00ff\nä?\nnull:";
    let found = r#"[[Integer(-7), Boolean(true), Real(0.25), Blob([0, 255]), Text("ä?"), Null]]"#;
    asked.check("sql.query", values, found).await;
    asked.check("sql.query", "users\nSELECT '{\"a\":1}'::jsonb ?? 'a', '?'", "Boolean(true)").await;
    // The database's own words, with its code.
    asked.check("sql.query", "users\nSELECT * FROM none", "does not exist (42P01)").await;
    asked.check("sql.query", "users\nSELECT ?::int\nabc", "Statement(\"invalid input").await;
}

#[tokio::test]
async fn a_read_only_source_stays_as_it_is() {
    let (_server, asked) = started("").await;
    asked.check("sql.execute", "users\nDELETE FROM users", "read-only").await;
    let hidden = "users\nWITH gone AS (DELETE FROM users RETURNING 1) SELECT count(*) FROM gone";
    asked.check("sql.query", hidden, "read-only transaction (25006)").await;
    for other in ["COMMIT", "SET ROLE owner", "COPY users TO STDOUT", "LISTEN x", "DO ''"] {
        asked.check("sql.execute", &format!("users\n{other}"), "it begins ").await;
    }
    asked.check("sql.query", "users\nSELECT 1; DELETE FROM users", "more than one").await;
    asked.check("sql.query", "users\nSELECT count(*) FROM users", "[[Integer(2)]]").await;
}

/// With one connection everybody gets the same.
#[tokio::test]
async fn what_is_left_over_is_not_for_the_next() {
    let (_server, asked) = started("connections = 1\nread_only = false\n").await;
    let insert = "users\nINSERT INTO users (name) VALUES (?), (?)\ncarol\ndave";
    asked.check("sql.execute", insert, "ok: 2").await;
    asked.check("sql.execute", insert, "Statement(\"duplicate key").await;
    asked.check("sql.execute", "users\nUPDATE users SET hash = ?\nx", "ok: 4").await;
    asked.check("sql.execute", "users\nSELECT * FROM users", "ok: 0").await;
    let returning = "users\nDELETE FROM users WHERE name = ? RETURNING hash\ndave";
    asked.check("sql.query", returning, r#"ok: ["hash"] 1 [[Text("x")]]"#).await;
    let setting = "users\nSELECT set_config('application_name', 'mine', false), \
                   pg_advisory_lock(7)::text, pg_backend_pid()";
    let first = asked.ask("sql.query", setting).await;
    let left = "users\nSELECT current_setting('application_name'), \
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), pg_backend_pid()";
    let then = asked.ask("sql.query", left).await;
    assert!(then.contains(r#"Text("portcullis"), Integer(0)"#), "{then}");
    let pid = |told: &str| told.rsplit_once("Integer(").map(|(_, pid)| pid.to_owned());
    assert_eq!(pid(&first), pid(&then), "the same connection");
    // Told as too large, so it did not happen.
    let many = "users\nINSERT INTO users SELECT i::text FROM generate_series(1, 2000) i \
                RETURNING name";
    asked.check("sql.query", many, "TooLarge").await;
    asked.check("sql.query", "users\nSELECT count(*) FROM users", "[[Integer(3)]]").await;
}

#[tokio::test]
async fn results_and_time_are_bounded() {
    let (server, asked) = started("connections = 1\nstatement_timeout = \"3s\"\n").await;
    let rows = |count: u64| format!("users\nSELECT i FROM generate_series(1, {count}) i");
    asked.check("sql.query", &rows(1_000), "ok: [\"i\"] 1000 ").await;
    asked.check("sql.query", &rows(1_001), "TooLarge").await;
    // Without an end: what is over the limit is not made.
    let endless = "users\nSELECT generate_series(1, 1000000000)";
    asked.check("sql.query", endless, "TooLarge").await;
    let wide = |bytes: u64| format!("users\nSELECT repeat('x', {bytes})");
    asked.check("sql.query", &wide(1_000_000), "ok: ").await;
    asked.check("sql.query", &wide(1_050_000), "TooLarge").await;
    // One row that would not fit into memory: not read at all.
    asked.check("sql.query", &wide(8_000_000), "TooLarge").await;
    let pid = asked.ask("sql.query", "users\nSELECT pg_backend_pid()").await;
    asked.check("sql.query", "users\nSELECT pg_sleep(30)", "Timeout").await;
    asked.check("sql.query", "users\nSELECT pg_backend_pid()", &pid).await;
    // The only connection is in use.
    let (slow, other) = tokio::join!(
        asked.ask("sql.query", "users\nSELECT pg_sleep(0.1)"),
        asked.ask("sql.query", "users\nSELECT 'other'")
    );
    assert!(slow.starts_with("ok: ") && other.starts_with("ok: "), "{slow} {other}");
    drop(server);
}

#[tokio::test]
async fn when_all_connections_are_taken_the_others_are_told() {
    let more = "connections = 1\nconnect_timeout = \"100ms\"\nstatement_timeout = \"1500ms\"\n";
    let (server, asked) = started(more).await;
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    let slow = asked.ask("sql.query", "users\nSELECT pg_sleep(1)::text");
    let other = async {
        eventually("it sleeps", async || {
            let count = server.ask(sleeps);
            if count == "1" { Ok(()) } else { Err(count) }
        })
        .await;
        asked.ask("sql.query", "users\nSELECT 1").await
    };
    let (slow, other) = tokio::join!(slow, other);
    assert!(slow.starts_with("ok: "), "{slow}");
    assert!(other.contains("all 1 connections are taken"), "{other}");
}

#[tokio::test]
async fn a_server_that_goes_away_comes_back() {
    let (mut server, asked) = started("connections = 2\n").await;
    let who = "users\nSELECT name FROM users ORDER BY name";
    asked.check("sql.query", who, "alice").await;
    let sleep = asked.ask("sql.query", "users\nSELECT pg_sleep(0.9), 'in the middle'");
    let stop = async {
        let seen = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%middle%' \
                    AND pid <> pg_backend_pid()";
        eventually("it sleeps", async || {
            let count = server.ask(seen);
            if count == "1" { Ok(()) } else { Err(count) }
        })
        .await;
        server.stop();
    };
    let (sleep, ()) = tokio::join!(sleep, stop);
    assert!(sleep.contains("Unavailable("), "{sleep}");
    asked.check("sql.query", who, "Unavailable(\"no connection to the database\")").await;
    server.start_again().await;
    asked.check("sql.query", who, "alice").await;
    // Once more while nothing is asked: the connections that wait are broken, and nobody notices.
    server.stop();
    server.start_again().await;
    asked.check("sql.query", who, "alice").await;
    assert!(asked.program.log_text().contains("a database of plugins is not there"));
}

#[tokio::test]
async fn servers_prove_their_name() {
    let server = Postgres::start().await;
    let encrypted = |host: &str, more: &str| {
        let source = server.source().replace("127.0.0.1", host);
        format!("{source}tls = \"require\"\n{more}")
    };
    let authority = server.authority();
    let asked = Asked::start(&[&encrypted("localhost", &authority), NO_DIRECTORY]).await;
    let is_encrypted = "users\nSELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    asked.check("sql.query", is_encrypted, "[[Boolean(true)]]").await;
    for (host, more) in [("127.0.0.1", &*authority), ("localhost", "")] {
        let asked = Asked::start(&[&encrypted(host, more), NO_DIRECTORY]).await;
        asked.check("sql.query", is_encrypted, "Unavailable(").await;
        let log = asked.program.log_text();
        assert!(log.contains("invalid peer certificate"), "{host} {more}: {log}");
    }
}

#[tokio::test]
async fn the_password_is_nowhere_to_be_seen() {
    let (server, asked) = started("").await;
    asked.check("sql.query", "users\nSELECT 1", "ok: ").await;
    asked.check("sql.query", "users\nSELECT * FROM none", "Statement(").await;
    let wrong = server.source().replace(database_password(), "another-secret-word");
    let refused = Asked::start(&[&wrong, NO_DIRECTORY]).await;
    refused.check("sql.query", "users\nSELECT 1", "Unavailable(").await;
    let told = refused.everything_told().await;
    assert!(told.contains("password authentication failed"), "{told}");
    for (asked, secret) in [(&asked, database_password()), (&refused, "another-secret-word")] {
        let told = asked.everything_told().await;
        assert!(told.len() > 1_000 && !told.contains(secret), "{told}");
    }
}
