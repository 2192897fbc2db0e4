//! `portcullis passwd` beside a running broker: who is written into the file gets in, who is
//! deleted does not, without a restart.

use codec::ReasonCode::{BadUserNameOrPassword, Success};

use super::{
    folder::{ALICE, Folder},
    knock::{enter, knock, login},
    process::{Program, portcullis, run},
};

#[tokio::test]
async fn a_running_broker_follows_the_password_file() {
    let folder = Folder::bundled();
    let broker = Program::start(&folder.config()).await;
    let file = folder.path("passwords");
    let file = file.to_str().expect("a path of text");
    let mut alice = enter(broker.mqtt(), login("alice", ALICE)).await;

    let first = ("carol", "first one");
    let second = ("carol", "sécond one ");
    for (generation, arguments, password, expected) in [
        (2, &["passwd", file, "carol"][..], first.1, [Success, BadUserNameOrPassword]),
        (3, &["passwd", file, "carol"], second.1, [BadUserNameOrPassword, Success]),
        (4, &["passwd", "-D", file, "carol"], "", [BadUserNameOrPassword, BadUserNameOrPassword]),
    ] {
        let input = format!("{password}\n");
        run(portcullis(arguments), input.as_bytes()).await.expect_code(0);
        broker.plugin("password-file", |plugin| plugin["generations"] == generation).await;
        for (credentials, expected) in [first, second].into_iter().zip(expected) {
            let (code, _) = knock(broker.mqtt(), login("carol", credentials)).await;
            assert_eq!(code, expected, "{credentials:?} in generation {generation}");
        }
        let (code, _) = knock(broker.mqtt(), login("alice-again", ALICE)).await;
        assert_eq!(code, Success, "generation {generation}");
    }
    alice.quiet().await;
}
