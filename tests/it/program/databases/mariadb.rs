//! MariaDB: what PostgreSQL is asked, in fewer and longer tests, because its server takes longer to
//! make.

use crate::program::{
    eventually::eventually,
    servers::{Asked, Database, MariaDb, NO_DIRECTORY, database_password},
};

async fn broker(server: &MariaDb, more: &str) -> Asked {
    Asked::start(&[&format!("{}{more}", server.source()), NO_DIRECTORY]).await
}

#[tokio::test]
async fn values_and_what_is_left_over() {
    let server = MariaDb::start().await;
    let asked = broker(&server, "connections = 1\n").await;
    values(&asked).await;
    only_reads(&asked).await;
    let asked = broker(&server, "connections = 1\nread_only = false\n").await;
    leaves_nothing(&asked).await;
}

async fn values(asked: &Asked) {
    let by_name = "users\nSELECT hash FROM users WHERE name = ?\n";
    let found = r#"ok: ["hash"] 1 [[Text("$argon2id$")]]"#;
    asked.check("sql.query", &format!("{by_name}alice"), found).await;
    for injected in ["nobody", "x' OR '1'='1", "'; DROP TABLE users; -- ", "\\' OR 1=1 #"] {
        asked.check("sql.query", &format!("{by_name}{injected}"), "ok: [\"hash\"] 0 []").await;
    }
    let of_every_type = "users\nSELECT born, at, price, flag, bits, raw, counted FROM users \
                         WHERE name = 'alice' AND born < ?\n1970-01-03";
    let found = "[[Text(\"1970-01-02\"), Text(\"1970-01-02 03:04:05.500000\"), Text(\"1.50\"), \
                 Integer(1), Blob([1]), Blob([0, 255]), Text(\"18446744073709551615\")]]";
    asked.check("sql.query", of_every_type, found).await;
    let given = "users\nSELECT ?, ?, ?, ?, ?, ?, '?', \"?\", 3--1\n\
                 integer:-7\nboolean:true\nreal:0.25\nblob:00ff\nä?\nnull:";
    let found = "[[Integer(-7), Integer(1), Real(0.25), Blob([0, 255]), Text(\"ä?\"), Null, \
                 Text(\"?\"), Text(\"?\"), Integer(4)]]";
    asked.check("sql.query", given, found).await;
    asked.check("sql.query", "users\nSELECT * FROM none", "doesn't exist (1146)").await;
}

async fn only_reads(asked: &Asked) {
    asked.check("sql.execute", "users\nDELETE FROM users", "read-only").await;
    for other in ["COMMIT", "SET ROLE owner", "LOAD DATA LOCAL INFILE '/f' INTO TABLE users"] {
        asked.check("sql.execute", &format!("users\n{other}"), "it begins ").await;
    }
    asked.check("sql.query", "users\nSELECT 1; DELETE FROM users", "more than one").await;
    // What the statement does not look like.
    let hidden = "users\nSELECT nextval(counted)";
    asked.check("sql.query", hidden, "READ ONLY transaction (1792)").await;
    asked.check("sql.query", "users\nSELECT 1 /*! INTO @a */", "comment that is code").await;
    asked.check("sql.query", "users\nSELECT 1 INTO OUTFILE '/tmp/x'", "writes files").await;
    asked.check("sql.query", "users\nSELECT count(*) FROM users", "[[Integer(2)]]").await;
}

/// With one connection everybody gets the same.
async fn leaves_nothing(asked: &Asked) {
    let insert = "users\nINSERT INTO users (name) VALUES (?), (?)\ncarol\ndave";
    asked.check("sql.execute", insert, "ok: 2").await;
    asked.check("sql.execute", insert, "Statement(\"Duplicate entry").await;
    // Those that are as they should be count as well.
    for _ in 0..2 {
        asked.check("sql.execute", "users\nUPDATE users SET hash = ?\nx", "ok: 4").await;
    }
    asked.check("sql.execute", "users\nSELECT * FROM users", "ok: 0").await;
    let returning = "users\nDELETE FROM users WHERE name = ? RETURNING hash\ndave";
    asked.check("sql.query", returning, r#"ok: ["hash"] 1 [[Text("x")]]"#).await;
    let first = "users\nSELECT get_lock('ours', 1), @mine := 5, connection_id()";
    let first = asked.ask("sql.query", first).await;
    assert!(first.contains("Integer(1), Integer(5)"), "{first}");
    let then = "users\nSELECT is_free_lock('ours'), @mine, connection_id()";
    let then = asked.ask("sql.query", then).await;
    assert!(then.contains("Integer(1), Null"), "{then}");
    let id = |told: &str| told.rsplit_once("Integer(").map(|(_, id)| id.to_owned());
    assert_eq!(id(&first), id(&then), "the same connection");
    // Told as too large, so it did not happen.
    let many = "users\nINSERT INTO users (name) SELECT seq FROM seq_1_to_2000 RETURNING name";
    asked.check("sql.query", many, "TooLarge").await;
    asked.check("sql.query", "users\nSELECT count(*) FROM users", "[[Integer(3)]]").await;
}

#[tokio::test]
async fn results_and_time_are_bounded() {
    let server = MariaDb::start().await;
    let asked = broker(&server, "connections = 1\nstatement_timeout = \"2s\"\n").await;
    let rows = |count: u64| format!("users\nSELECT seq FROM seq_1_to_{count}");
    asked.check("sql.query", &rows(1_000), "ok: [\"seq\"] 1000 ").await;
    asked.check("sql.query", &rows(1_001), "TooLarge").await;
    // Without an end: what is over the limit is not made, or not read.
    asked.check("sql.query", &rows(1_000_000_000), "TooLarge").await;
    let all = "users\nSELECT seq FROM seq_1_to_1000000000 LIMIT 900000000";
    asked.check("sql.query", all, "TooLarge").await;
    let wide = |bytes: u64| format!("users\nSELECT repeat('x', {bytes})");
    asked.check("sql.query", &wide(1_000_000), "ok: ").await;
    for bytes in [1_050_000, 8_000_000] {
        asked.check("sql.query", &wide(bytes), "TooLarge").await;
    }
    // The server ends it, and the connection stays good.
    let id = asked.ask("sql.query", "users\nSELECT connection_id()").await;
    asked.check("sql.query", "users\nSELECT sleep(30)", "Timeout").await;
    asked.check("sql.query", "users\nSELECT connection_id()", &id).await;
    goes_away_and_comes_back(server, asked).await;
}

async fn goes_away_and_comes_back(mut server: MariaDb, asked: Asked) {
    let who = "users\nSELECT name FROM users ORDER BY name";
    let sleep = asked.ask("sql.query", "users\nSELECT sleep(1.9), 'in the middle'");
    let stop = async {
        let seen = "SELECT count(*) FROM information_schema.processlist \
                    WHERE info LIKE '%middle%' AND id <> connection_id()";
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
    // Once more while nothing is asked: the connection that waits is broken, and nobody notices.
    server.stop();
    server.start_again().await;
    asked.check("sql.query", who, "alice").await;
    assert!(asked.program.log_text().contains("a database of plugins is not there"));
}

#[tokio::test]
async fn servers_prove_their_name_and_passwords_stay_hidden() {
    let server = MariaDb::start().await;
    let encrypted = |host: &str, more: &str| {
        let source = server.source().replace("127.0.0.1", host);
        format!("{source}tls = \"require\"\n{more}")
    };
    let authority = server.authority();
    let asked = Asked::start(&[&encrypted("localhost", &authority), NO_DIRECTORY]).await;
    let is_encrypted = "users\nSELECT variable_value FROM information_schema.session_status \
                        WHERE variable_name = 'ssl_version'";
    asked.check("sql.query", is_encrypted, "TLSv1.3").await;
    for (host, more) in [("127.0.0.1", &*authority), ("localhost", "")] {
        let asked = Asked::start(&[&encrypted(host, more), NO_DIRECTORY]).await;
        asked.check("sql.query", is_encrypted, "Unavailable(").await;
        let log = asked.program.log_text();
        assert!(log.contains("invalid peer certificate"), "{host} {more}: {log}");
    }
    let wrong = server.source().replace(database_password(), "another-secret-word");
    let refused = Asked::start(&[&wrong, NO_DIRECTORY]).await;
    refused.check("sql.query", "users\nSELECT 1", "Unavailable(").await;
    assert!(refused.everything_told().await.contains("Access denied for user"));
    asked.check("sql.query", "users\nSELECT * FROM none", "Statement(").await;
    for (asked, secret) in [(&asked, database_password()), (&refused, "another-secret-word")] {
        let told = asked.everything_told().await;
        assert!(told.len() > 1_000 && !told.contains(secret), "{told}");
    }
}
