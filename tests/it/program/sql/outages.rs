//! Databases that are killed, stand still, are slow, and come back: nobody gets in who should not,
//! who does something else notices nothing, and who may come in does so soon after.

use std::time::{Duration, Instant};

use codec::ReasonCode;

use super::{GRANTS, TABLES, documented, mariadb, postgres};
use crate::program::{
    folder::{ACL, ALICE, Folder, PASSWORDS, bundled},
    knock::{knock, login},
    process::Program,
    round_trips::{RoundTrips, p99},
    servers::Database,
};

/// How long a database stands still.
const STILL: Duration = Duration::from_secs(10);
/// When it is back, logins are let in within this.
const RECOVERY: Duration = Duration::from_secs(2);
/// Far above what a round trip takes on a busy machine, far below what an outage takes.
const UNDISTURBED: Duration = Duration::from_secs(1);

const DATABASE_USER: (&str, &str) = ("dbuser", ALICE.1);

/// The users of the page's tables, of whom one is nobody's whom the other plugins know.
fn tables() -> String {
    let tables = TABLES.replace("('alice', '$7$", "('dbuser', '$7$");
    tables.replace("('alice', 'machines')", "('dbuser', 'machines')")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_outage_lets_anybody_in() {
    let tables = tables();
    let (one, other) = tokio::join!(postgres(&tables, GRANTS), mariadb(&tables));
    let (first, second) = ("pg_sleep(0.2)::text IS NOT NULL", "sleep(0.2) = 0");
    tokio::join!(survives(one, first), survives(other, second));
}

async fn survives(mut database: impl Database, slowly: &str) {
    let folder = Folder::new();
    folder.configure_more(&database.source());
    folder.configure_more("[limits.login_backoff]\nfree_failures = 100\n");
    folder.write("passwords", PASSWORDS);
    folder.write("acl.toml", format!("{ACL}[[rules]]\nallow = \"all\"\ntopic = \"round-trips\"\n"));
    let passwords = "order = 50\n[files]\npasswords = \"../passwords\"\n\
                     [config]\nunknown_user = \"next\"\n";
    folder.install_with("password-file", &bundled("password-file"), passwords);
    let rules = "order = 200\n[files]\nacl = \"../acl.toml\"\n";
    folder.install_with("acl-file", &bundled("acl-file"), rules);
    let manifest = documented("sql.md", "[config.authentication]");
    folder.install_with("sql", &bundled("sql"), &manifest);
    let program = Program::start(&folder.config()).await;
    let good = RoundTrips::start(program.mqtt(), login("good", ALICE)).await;
    assert_eq!(try_in(&program).await, ReasonCode::Success);

    database.stop();
    refused_for(&program, Duration::from_secs(1)).await;
    database.start_again().await;
    let back = let_in_again(&program).await;
    println!("after it was killed: let in {back:?} after it was back");

    database.freeze(true).await;
    refused_for(&program, STILL).await;
    database.freeze(false).await;
    let back = let_in_again(&program).await;
    println!("after it stood still: let in {back:?} after it was back");

    database.sql("ALTER TABLE mqtt_user RENAME TO here");
    database.sql(&format!("CREATE VIEW mqtt_user AS SELECT * FROM here WHERE {slowly}"));
    database.sql(&format!("GRANT SELECT ON mqtt_user TO {}", database.user()));
    let_slowly_in(&program).await;

    let took = good.finish().await;
    let (count, p99) = (took.len(), p99(&took));
    println!("{count} round trips beside it, 99 of 100 within {p99:?}");
    assert!(count > 500 && p99 < UNDISTURBED, "{count} {p99:?}");
}

async fn try_in(program: &Program) -> ReasonCode {
    knock(program.mqtt(), login("newcomer", DATABASE_USER)).await.0
}

/// The right password and wrong ones; an error each time, and never later than both time limits.
async fn refused_for(program: &Program, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let wrong = knock(program.mqtt(), login("stranger", ("dbuser", "wrong")));
        let nobody = knock(program.mqtt(), login("nobody", ("nobody", "x")));
        let asked = Instant::now();
        let (right, (wrong, _), (nobody, _)) = tokio::join!(try_in(program), wrong, nobody);
        let down = ReasonCode::ServerUnavailable;
        assert_eq!([right, wrong, nobody], [down; 3]);
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(8), "an answer after {took:?}");
    }
}

/// From when the database takes connections.
async fn let_in_again(program: &Program) -> Duration {
    let begun = Instant::now();
    loop {
        let code = try_in(program).await;
        let took = begun.elapsed();
        if code == ReasonCode::Success {
            assert!(took < RECOVERY, "let in after {took:?}");
            return took;
        }
        assert_eq!(code, ReasonCode::ServerUnavailable);
        assert!(took < RECOVERY, "still refused after {took:?}");
    }
}

async fn let_slowly_in(program: &Program) {
    let begun = Instant::now();
    assert_eq!(try_in(program).await, ReasonCode::Success);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(180), "it was not slow: {took:?}");
    let wrong = knock(program.mqtt(), login("stranger", ("dbuser", "wrong"))).await.0;
    assert_eq!(wrong, ReasonCode::BadUserNameOrPassword);
}
