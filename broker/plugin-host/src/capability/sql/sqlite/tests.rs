//! SQLite as a plugin gets it: values, limits, time, and what it may not do.

use std::path::Path;

use super::{super::SqlSource, *};

fn settings(path: &Path) -> SqlSettings {
    SqlSettings {
        url: format!("sqlite:{}", path.display()),
        password: None,
        tls: None,
        ca: None,
        connections: 2,
        connect_timeout: Duration::from_millis(100),
        statement_timeout: Duration::from_secs(30),
        read_only: true,
    }
}

struct Tested {
    _folder: tempfile::TempDir,
    settings: SqlSettings,
    source: SqlSource,
}

/// A database with one table of users.
fn users() -> Tested {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.db");
    let made = "CREATE TABLE users (name TEXT, hash TEXT, age INTEGER);
                INSERT INTO users VALUES ('alice', '$argon2id$', 41), ('bob', NULL, 7)";
    Connection::open(&path).unwrap().execute_batch(made).unwrap();
    let settings = settings(&path);
    Tested { _folder: folder, source: SqlSource::new(settings.clone()).unwrap(), settings }
}

impl Tested {
    fn with(mut self, change: impl Fn(&mut SqlSettings)) -> Self {
        change(&mut self.settings);
        self.source = SqlSource::new(self.settings.clone()).unwrap();
        self
    }

    async fn ask(&self, statement: &str, parameters: &[Value]) -> Result<Answer, Error> {
        let until = Instant::now() + Duration::from_secs(60);
        let (statement, parameters) = (statement.to_owned(), parameters.to_vec());
        self.source
            .run(Question { statement, parameters, wants_rows: true, read_only: false }, until)
            .await
    }

    async fn check(&self, statement: &str, parameters: &[Value], expected: &str) {
        let told = match self.ask(statement, parameters).await {
            Ok(answer) => format!("{:?} {:?}", answer.columns, answer.rows),
            Err(error) => format!("{error:?}"),
        };
        assert!(told.contains(expected), "{statement}: {told}, wanted {expected}");
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn values_go_in_and_come_out() {
    let users = users();
    let by_name = "SELECT hash, age FROM users WHERE name = ?";
    let expected = r#"["hash", "age"] [[Value::Text("$argon2id$"), Value::Integer(41)]]"#;
    users.check(by_name, &[text("alice")], expected).await;
    users.check(by_name, &[text("bob")], "[[Value::Null, Value::Integer(7)]]").await;
    // What would be an injection is a name that nobody has.
    users.check(by_name, &[text("x' OR '1'='1")], r#"["hash", "age"] []"#).await;
    let all = [
        Value::Null,
        Value::Boolean(true),
        Value::Integer(i64::MIN),
        Value::Real(0.5),
        text("ä"),
        Value::Blob(vec![0, 255]),
    ];
    let expected = "[[Value::Null, Value::Integer(1), Value::Integer(-9223372036854775808), \
                    Value::Real(0.5), Value::Text(\"ä\"), Value::Blob([0, 255])]]";
    users.check("SELECT ?, ?, ?, ?, ?, ?", &all, expected).await;
    users.check("SELECT nonsense FROM users", &[], "Statement(\"no such column").await;
    users.check("SELECT * FROM none", &[], "Statement(\"no such table").await;
}

#[tokio::test]
async fn a_read_only_source_stays_as_it_is() {
    let users = users();
    users.check("DELETE FROM users", &[], "read-only").await;
    users.check("WITH a AS (SELECT 1) DELETE FROM users", &[], "attempt to write").await;
    users.check("SELECT load_extension('x')", &[], "Statement(").await;
    users.check("PRAGMA query_only = 0", &[], "it begins").await;
    users.check("SELECT count(*) FROM users", &[], "[[Value::Integer(2)]]").await;
}

#[tokio::test]
async fn a_writable_source_counts_what_changed() {
    let users = users().with(|settings| settings.read_only = false);
    let counted = async |statement: &str| {
        users.ask(statement, &[]).await.map(|answer| answer.changed).map_err(|it| it.to_string())
    };
    assert_eq!(counted("UPDATE users SET age = age + 1").await, Ok(2));
    assert_eq!(counted("SELECT * FROM users").await, Ok(0));
    users.check("SELECT sum(age) FROM users", &[], "[[Value::Integer(50)]]").await;
    let path = users.settings.url.replace("users.db", "other.db");
    let into = format!("VACUUM INTO '{path}'");
    users.check(&into, &[], "it begins ").await;
    // Told as too large, so it did not happen.
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)
                INSERT INTO users SELECT 'x', '', i FROM n RETURNING name";
    users.check(many, &[], "TooLarge").await;
    users.check("SELECT count(*) FROM users", &[], "[[Value::Integer(2)]]").await;
}

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

#[tokio::test]
async fn rows_and_bytes_are_bounded_while_they_are_read() {
    let users = users();
    let rows = |count: u32| format!("{NUMBERS} SELECT i FROM n LIMIT {count}");
    assert_eq!(users.ask(&rows(1_000), &[]).await.unwrap().rows.len(), 1_000);
    users.check(&rows(1_001), &[], "TooLarge").await;
    // Without an end: only the bound stops it.
    users.check(&format!("{NUMBERS} SELECT i FROM n"), &[], "TooLarge").await;
    users.check("SELECT zeroblob(700000)", &[], "Blob(").await;
    users.check("SELECT zeroblob(600000), zeroblob(600000)", &[], "TooLarge").await;
    users.check("SELECT zeroblob(2000000000)", &[], "TooLarge").await;
    users.check("SELECT 1", &[Value::Null], "0 ? and 1 parameters").await;
    users.check(&format!("SELECT 1 /* {} */", "x".repeat(70_000)), &[], "bytes").await;
    let marks = vec!["?"; 257].join(",");
    users.check(&format!("SELECT {marks}"), &vec![Value::Null; 257], "parameters").await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends_and_its_connection_goes_on() {
    let users = users().with(|settings| {
        settings.statement_timeout = Duration::from_millis(50);
        settings.connections = 1;
    });
    let endless = format!("{NUMBERS} SELECT sum(i) FROM n");
    for _ in 0..3 {
        users.check(&endless, &[], "Timeout").await;
        users.check("SELECT count(*) FROM users", &[], "[[Value::Integer(2)]]").await;
    }
}

#[tokio::test]
async fn when_all_connections_are_taken_the_others_are_told() {
    let users = users().with(|settings| {
        settings.statement_timeout = Duration::from_secs(2);
        settings.connections = 1;
    });
    let endless = format!("{NUMBERS} SELECT sum(i) FROM n");
    let (one, other) = tokio::join!(users.ask(&endless, &[]), users.ask("SELECT 1", &[]));
    assert!(matches!(one, Err(Error::Timeout)), "{:?}", one.err());
    let told = format!("{:?}", other.err());
    assert!(told.contains("all 1 connections are taken"), "{told}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    for read_only in [true, false] {
        let settings = SqlSettings { read_only, ..settings(&path) };
        let source = SqlSource::new(settings.clone()).unwrap();
        let tested = Tested { _folder: tempfile::tempdir().unwrap(), settings, source };
        tested.check("SELECT 1", &[], "Unavailable(").await;
    }
    assert!(!path.exists());
}
