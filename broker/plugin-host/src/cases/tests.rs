use super::*;

fn parse(text: &str) -> Result<Cases, String> {
    Cases::parse(Path::new("gate.cases.toml"), text)
}

#[test]
fn cases_know_their_lines_whatever_their_hook() {
    let cases = parse(
        "\n[[transform]]\nmessage = { topic = \"a\" }\nexpect = { outcome = \"unchanged\" }\n\n\
         [[authenticate]]\nname = \"nobody\"\nexpect = { outcome = \"next\" }\n",
    )
    .unwrap();
    let told: Vec<_> =
        cases.cases.iter().map(|case| (case.line, case.question.hook(), &*case.name)).collect();
    assert_eq!(told, [(2, "transform", ""), (6, "authenticate", " \"nobody\"")]);
}

#[test]
fn what_is_not_known_is_an_error_with_its_line() {
    for (text, line, words) in [
        ("[[authenticat]]\n", 1, "unknown field `authenticat`"),
        ("[[authenticate]]\nexpect = { outcom = \"deny\" }", 1, "expect.outcom: an answer of"),
        ("[[authenticate]]\nexpect = { topic = \"a\" }", 1, "expect.topic: an answer of"),
        ("[[authenticate]]\nexpect = { absent = [\"x\"] }", 1, "expect.x: an answer of"),
        ("[[authenticate]]\nexpect = { absent = \"x\" }", 1, "must be a list of names"),
        ("[[authenticate]]\nexpect = {}", 1, "authenticate: expects nothing"),
        ("[[authenticate]]\n", 1, "missing field `expect`"),
        ("\n[[permissions]]\nname = \"x\"", 2, "permissions \"x\": expects nothing"),
        ("[[permissions]]\n\nclient = { name = \"x\" }", 3, "unknown field `name`"),
        ("[[permissions]]\ncan = [{ publish = \"a/#\" }]", 1, "publish = \"a/#\": "),
        ("[[permissions]]\ncan = [{ qos = 1 }]", 1, "can and cannot hold"),
        ("[[permissions]]\ncan = [{ publish = \"a\", qos = 3 }]", 2, "must be 0, 1 or 2"),
        (
            "[[authorize]]\noperation = { publish = \"a\", share_name = \"b\" }\n\
          expect = { decision = \"allow\" }",
            1,
            "operation: is",
        ),
        ("[[exchange]]\nmethod = \"m\"\nsteps = []", 1, "at least one step"),
        (
            "[[transform]]\nmessage = { topic = \"a\", payload = { hex = \"0\" } }\n\
          expect = { outcome = \"swallow\" }",
            2,
            "must be a text or { hex = \"00ff\" }",
        ),
        ("", 1, "there is no case"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(&format!("gate.cases.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(words), "{words}: {error}");
    }
}
