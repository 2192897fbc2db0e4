//! The bundled plugin `sql` with PostgreSQL and MariaDB behind it, as its page says to configure it.

mod outages;

use codec::{Packet, QoS, ReasonCode};
use portcullis_tests::{Client, packets};

use super::{
    folder::{Folder, bundled},
    knock::{enter, knock, login},
    process::{Program, root},
    servers::{Database, MariaDb, Postgres},
};

/// Hashes of mosquitto's with few rounds: of `ALICE` and `BOB`, and of HiveMQ's published rows.
const TABLES: &str = "
CREATE TABLE mqtt_user (username varchar(64) PRIMARY KEY, password_hash varchar(255),
    is_superuser boolean);
CREATE TABLE mqtt_user_role (username varchar(64), role varchar(64));
CREATE TABLE mqtt_acl (id integer PRIMARY KEY, username varchar(64), effect varchar(8),
    activity varchar(16), topic varchar(255), qos varchar(8), retain boolean, shared varchar(64));
INSERT INTO mqtt_user VALUES
    ('alice', '$7$101$cG9ydGN1bGxpcy1h$7VgJqOTojpNK6/ko0wjNyD7rYjwrTELUUZUQxH2RsIeW5Bj8vLyLpwGwqjI+8gqhf3WVeYtzX7nkSHvNQbrmTg==', NULL),
    ('bob', '$7$101$cG9ydGN1bGxpcy1i$836ntn1PSC1ou7VK0yEIHVpehqbktC+LSryX53CKDdfrPGCtlPOM21an4cHNlyRboW/uL1qoRmW9hzDKjtNbCQ==', true),
    ('carol', 'no hash', false);
INSERT INTO mqtt_user_role VALUES ('alice', 'machines'), ('alice', 'presses');
INSERT INTO mqtt_acl VALUES
    (1, 'alice', 'deny', 'all', 'plant/secret/#', NULL, NULL, NULL),
    (2, 'alice', 'allow', 'publish', 'plant/${clientid}/#', '0,1', false, NULL),
    (3, 'alice', NULL, 'subscribe', 'plant/#', NULL, NULL, NULL),
    (4, 'alice', 'allow', 'subscribe', 'jobs', NULL, NULL, 'workers');
";
const GRANTS: &str = "GRANT SELECT ON mqtt_user, mqtt_user_role, mqtt_acl TO app;";

const ESE: &str = "
CREATE TABLE users (id integer PRIMARY KEY, username varchar(64) NOT NULL UNIQUE, password text,
    password_iterations integer NOT NULL, password_salt text NOT NULL, algorithm varchar(32));
CREATE TABLE roles (id integer PRIMARY KEY, name varchar(64) NOT NULL UNIQUE);
CREATE TABLE user_roles (user_id integer NOT NULL, role_id integer NOT NULL);
CREATE TABLE permissions (id integer PRIMARY KEY, topic text NOT NULL,
    publish_allowed boolean NOT NULL, subscribe_allowed boolean NOT NULL,
    qos_0_allowed boolean NOT NULL, qos_1_allowed boolean NOT NULL, qos_2_allowed boolean NOT NULL,
    retained_msgs_allowed boolean NOT NULL, shared_sub_allowed boolean NOT NULL, shared_group text);
CREATE TABLE role_permissions (role integer NOT NULL, permission integer NOT NULL);
CREATE TABLE user_permissions (user_id integer NOT NULL, permission integer NOT NULL);
INSERT INTO users VALUES
    (1, 'frontendclient', 'ZHg/rNJel1BHOYMEvc40ekCRUE5vVLcsPF6mk9GPDcdEmX3stm50MplaqjGb8Lxhy6rNFQZSQRSbOxmFZ8ps1Q==', 100, 'JhpW27QU9WfIaG6FJT5MkQ==', 'SHA512'),
    (2, 'superuser', 'nOgr9xVnkt51Lr68KS/rAKm/LqxAt8oEki7vCerRod3qDbyMFfDBGT8obnkw+AGygxCQDWdaA2sQnXXoAbVK6Q==', 100, 'wxw+3diCV4bWXQHb6LLniA==', 'SHA512'),
    (3, 'plain', 'cGxhaW4=', 0, '', 'PLAIN');
INSERT INTO roles VALUES (1, 'frontend'), (2, 'everything');
INSERT INTO user_roles VALUES (1, 1), (2, 2);
INSERT INTO permissions VALUES
    (1, 'topic/${mqtt-clientid}/status', true, false, true, true, true, false, false, ''),
    (2, '#', true, true, true, true, true, true, true, ''),
    (3, 'jobs', false, true, true, true, true, true, true, 'workers');
INSERT INTO role_permissions VALUES (1, 1), (2, 2);
INSERT INTO user_permissions VALUES (1, 3);
";
const ESE_GRANTS: &str = "GRANT SELECT ON users, roles, user_roles, permissions, role_permissions, \
                          user_permissions TO app;";

/// The example of the page that has this line.
pub(super) fn documented(page: &str, line: &str) -> String {
    let path = root().join("docs/secure").join(page);
    let text = std::fs::read_to_string(&path).expect("the page");
    let mut blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let found = blocks.find(|block| block.lines().any(|it| it == line));
    found.unwrap_or_else(|| panic!("{page} has no example with {line}")).to_owned()
}

/// A broker with the plugin as its only one.
async fn broker(database: &impl Database, manifest: &str) -> (Folder, Program) {
    let folder = Folder::new();
    folder.configure_more(&database.source());
    folder.configure_more("[limits.login_backoff]\nfree_failures = 100\n");
    folder.install_with("sql", &bundled("sql"), manifest);
    let program = Program::start(&folder.config()).await;
    (folder, program)
}

async fn postgres(tables: &str, grants: &str) -> Postgres {
    let server = Postgres::start().await;
    server.sql("DROP TABLE users");
    server.sql(&format!("{tables}{grants}"));
    server
}

async fn mariadb(tables: &str) -> MariaDb {
    let server = MariaDb::start().await;
    server.sql("DROP TABLE users");
    server.sql(tables);
    server
}

async fn code(program: &Program, credentials: (&str, &str)) -> ReasonCode {
    knock(program.mqtt(), login(credentials.0, credentials)).await.0
}

/// What a PUBLISH of QoS 1 is answered with, and a SUBSCRIBE.
async fn publish(client: &mut Client, topic: &str) -> ReasonCode {
    client.send(packets::qos1(7, topic, "x")).await;
    match client.puback(7).await {
        // Permitted as well.
        ReasonCode::NoMatchingSubscribers => YES,
        code => code,
    }
}

async fn subscribe(client: &mut Client, filter: &str) -> ReasonCode {
    client.send(packets::subscribe(8, &[(filter, QoS::AtMostOnce)])).await;
    let code = |packet: &Packet<'_>| match packet {
        Packet::SubAck(suback) => suback.reason_codes.first().copied(),
        _ => None,
    };
    client.next(code).await.flatten().expect("a SUBACK")
}

const BAD: ReasonCode = ReasonCode::BadUserNameOrPassword;
const NO: ReasonCode = ReasonCode::NotAuthorized;
const YES: ReasonCode = ReasonCode::Success;

#[tokio::test]
async fn queries_of_an_operator() {
    let manifest = documented("sql.md", "[config.authentication]");
    let (one, other) = tokio::join!(postgres(TABLES, GRANTS), mariadb(TABLES));
    follows_the_queries(&one, &manifest).await;
    follows_the_queries(&other, &manifest).await;
}

async fn follows_the_queries(database: &impl Database, manifest: &str) {
    let (_folder, program) = broker(database, manifest).await;
    let alice = ("alice", super::folder::ALICE.1);
    for (credentials, expected) in [
        (alice, YES),
        (("alice", "wrong"), BAD),
        (("alice", ""), BAD),
        (("Alice", alice.1), BAD),
        (("alice ", alice.1), BAD),
        (("nobody", alice.1), BAD),
        (("x' OR '1'='1", alice.1), BAD),
        (("\\' OR 1=1 -- ", alice.1), BAD),
        (("carol", "no hash"), ReasonCode::ServerUnavailable),
    ] {
        assert_eq!(code(&program, credentials).await, expected, "{credentials:?}");
    }
    let mut client = enter(program.mqtt(), login("press-1", alice)).await;
    for (topic, expected) in
        [("plant/press-1/x", YES), ("plant/press-2/x", NO), ("plant/secret/x", NO), ("jobs", NO)]
    {
        assert_eq!(publish(&mut client, topic).await, expected, "{topic}");
    }
    client.send(packets::retained(packets::qos1(9, "plant/press-1/x", "x"))).await;
    assert_eq!(client.puback(9).await, NO, "rows without RETAIN");
    for (filter, expected) in [
        ("plant/#", YES),
        ("$share/workers/jobs", YES),
        ("$share/others/jobs", NO),
        ("jobs", NO),
        ("#", NO),
    ] {
        assert_eq!(subscribe(&mut client, filter).await, expected, "{filter}");
    }
    let told = program.api().get("/api/v1/clients/press-1").await.expect(200).body;
    assert!(told.contains("machines") && told.contains("presses"), "{told}");
    let mut bob = enter(program.mqtt(), login("bob", super::folder::BOB)).await;
    assert_eq!(publish(&mut bob, "plant/secret/x").await, YES, "a superuser");
    // What is taken back counts after the time to live, or at once.
    database.sql("UPDATE mqtt_user SET is_superuser = false WHERE username = 'bob'");
    let everybody = serde_json::json!({"everybody": true});
    program.api().post_json("/api/v1/permissions/invalidate", &everybody).await.expect(204);
    super::eventually::until("no superuser any more", async || {
        publish(&mut bob, "plant/secret/x").await == NO
    })
    .await;
    assert!(!program.log_text().contains(alice.1), "a password is in the log");
}

#[tokio::test]
async fn tables_of_hivemq_as_they_are() {
    let manifest = documented("sql.md", "schema = \"hivemq-ese\"");
    let (one, other) = tokio::join!(postgres(ESE, ESE_GRANTS), mariadb(ESE));
    follows_hivemq(&one, &manifest).await;
    follows_hivemq(&other, &manifest).await;
}

async fn follows_hivemq(database: &impl Database, manifest: &str) {
    let (_folder, program) = broker(database, manifest).await;
    for (credentials, expected) in [
        (("frontendclient", "clientpassword"), YES),
        (("superuser", "supersecurepassword"), YES),
        (("superuser", "clientpassword"), BAD),
        (("SuperUser", "supersecurepassword"), BAD),
        (("nobody", "clientpassword"), BAD),
        (("plain", "plain"), ReasonCode::ServerUnavailable),
    ] {
        assert_eq!(code(&program, credentials).await, expected, "{credentials:?}");
    }
    let credentials = ("frontendclient", "clientpassword");
    let mut client = enter(program.mqtt(), login("pump-7", credentials)).await;
    for (topic, expected) in
        [("topic/pump-7/status", YES), ("topic/pump-8/status", NO), ("other", NO)]
    {
        assert_eq!(publish(&mut client, topic).await, expected, "{topic}");
    }
    client.send(packets::retained(packets::qos1(9, "topic/pump-7/status", "x"))).await;
    assert_eq!(client.puback(9).await, NO, "retained_msgs_allowed is false");
    for (filter, expected) in [
        ("jobs", YES),
        ("$share/workers/jobs", YES),
        ("$share/others/jobs", NO),
        ("topic/pump-7/status", NO),
    ] {
        assert_eq!(subscribe(&mut client, filter).await, expected, "{filter}");
    }
    let credentials = ("superuser", "supersecurepassword");
    let mut all = enter(program.mqtt(), login("admin", credentials)).await;
    assert_eq!(publish(&mut all, "anything/at/all").await, YES);
    assert_eq!(subscribe(&mut all, "#").await, YES);
}
