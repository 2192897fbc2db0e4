//! Golden calls of the manifest.

use access::PluginState;

use super::{folder::Bench, guest::Guest};

const ANYBODY: &str = "[[golden.authenticate]]\nname = \"anybody\"\n\
                       expect = { outcome = \"allow\", principal = \"good\" }\n";

#[tokio::test]
async fn a_version_that_answers_otherwise_does_not_go_live() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("good").component());
    bench.write("p.toml", ANYBODY);
    bench.start().await;
    let info = bench.info("p");
    assert_eq!((info.state, info.calls), (PluginState::Live, 0), "golden calls are not counted");
    bench.write("p.wasm", Guest::allow_as("bad").component());
    bench.until_state("p", PluginState::LiveOld).await;
    let error = bench.info("p").error.unwrap();
    let expected = "golden call authenticate \"anybody\" (line 1): principal: expected \"good\", \
                    answered \"bad\"";
    assert_eq!(error, expected);
    assert_eq!(bench.principal().await.unwrap(), "good");
}

#[tokio::test]
async fn a_hook_that_it_lacks_is_a_wrong_answer() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("good").component());
    bench.write("p.toml", "[[golden.permissions]]\nexpect = { answer = \"next\" }\n");
    bench.start().await;
    let info = bench.info("p");
    assert_eq!(info.state, PluginState::Failed);
    assert!(info.error.unwrap().contains("does not export this hook"));
    assert!(bench.principal().await.is_err());
}

#[tokio::test]
async fn traps_that_are_expected_open_no_breaker() {
    let mut bench = Bench::new();
    let expects = "[[golden.authenticate]]\nexpect = { failure = \"trap\" }\n".repeat(6);
    bench.write("p.wasm", Guest::allow().authenticate("unreachable").component());
    bench.write("p.toml", expects);
    bench.start().await;
    let info = bench.info("p");
    assert_eq!((info.state, info.failures), (PluginState::Live, 0), "{:?}", info.error);
    let failure = bench.principal().await.unwrap_err();
    assert!(failure.contains("unreachable"), "it is asked: {failure}");
}

#[tokio::test]
async fn a_case_that_cannot_be_read_is_named_with_its_line() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("good").component());
    bench.write("p.toml", "order = 1\n\n[[golden.authenticate]]\nexpect = { outcom = \"x\" }\n");
    bench.start().await;
    let error = bench.info("p").error.unwrap();
    assert!(error.contains("p.toml:3: golden.expect.outcom: an answer of authenticate"), "{error}");
}
