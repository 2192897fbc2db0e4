//! Every normative statement of MQTT 3.1.1 and 5.0 has a test or a reason: the lists in
//! `tests/statements/`, what the tests say they cover, and the page made of both.
//!
//! A test says what it covers in the last sentence of its doc comment:
//! `/// Covers 5.0 [MQTT-2.2.1-2], 3.1.1 [MQTT-2.3.1-5].`

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    fs,
    path::Path,
};

use crate::tidy::{EVERYWHERE, root, sources};

mod text;

use text::{Covering, Number, Version, covering, mentions};

/// One line of the lists.
struct Statement {
    number: Number,
    binds: Binds,
    meaning: String,
    /// Why no test can show it.
    reason: Option<String>,
}

/// Whom a statement binds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Binds {
    Server,
    Client,
    Both,
}

impl Binds {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        }
    }
}

/// The list of a version, in its order.
fn statements(version: Version) -> Vec<Statement> {
    let path = root().join(format!("tests/statements/mqtt-{}.txt", version.name()));
    let list = fs::read_to_string(&path).expect("the list is readable");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| statement(line).unwrap_or_else(|| panic!("{line:?} is no entry"))).collect()
}

fn statement(line: &str) -> Option<Statement> {
    let mut fields = line.split(" | ");
    let number = Number::parse(fields.next()?)?;
    let binds = match fields.next()? {
        "server" => Binds::Server,
        "client" => Binds::Client,
        "both" => Binds::Both,
        _ => return None,
    };
    let meaning = fields.next()?.to_owned();
    let reason = fields.next().map(str::to_owned);
    let ends = fields.next().is_none() && !meaning.is_empty();
    ends.then_some(Statement { number, binds, meaning, reason })
}

/// What all tests cover: for each statement the names of its tests.
fn covered() -> HashMap<(Version, Number), Vec<String>> {
    let mut covered: HashMap<_, Vec<_>> = HashMap::new();
    for (path, source) in sources(EVERYWHERE) {
        let module = module(path.strip_prefix(root()).expect("below the root"));
        let coverings = covering(&source).unwrap_or_else(|error| panic!("{module}: {error}"));
        for Covering { test, statements } in coverings {
            for statement in statements {
                covered.entry(statement).or_default().push(format!("{module}::{test}"));
            }
        }
    }
    covered.values_mut().for_each(|tests| tests.sort());
    covered
}

/// The name of the module that a file is, with its crate: `it::connect`, `codec::publish`.
fn module(path: &Path) -> String {
    let parts = path.with_extension("");
    let parts = parts.iter().filter_map(|part| part.to_str()).collect::<Vec<_>>();
    let inner = |part: &&&str| !["src", "tests", "lib", "main"].contains(*part);
    let [first, rest @ ..] = parts.as_slice() else { return String::new() };
    let krate = match *first {
        "broker" | "tests" => None,
        other => Some(other),
    };
    krate.iter().chain(rest.iter().filter(inner)).copied().collect::<Vec<_>>().join("::")
}

#[test]
fn lists_are_in_order() {
    for (version, least) in [(Version::V311, 140), (Version::V5, 250)] {
        let list = statements(version);
        assert!(list.len() >= least, "{} statements of {}", list.len(), version.name());
        for pair in list.windows(2) {
            let (before, after) = (&pair[0].number, &pair[1].number);
            assert!(before < after, "{before} stands before {after} in the list");
        }
    }
}

/// Numbers that comments and messages name are those of the version they mean.
#[test]
fn numbers_exist() {
    let known = Version::ALL.map(|version| (version, statements(version)));
    let mut found = 0;
    for (path, source) in sources(EVERYWHERE) {
        if path.ends_with("tests/it/compliance/text.rs") {
            continue;
        }
        for (line, version, number) in mentions(&source) {
            found += 1;
            let (_, list) = known.iter().find(|(known, _)| *known == version).expect("a list");
            let exists = list.iter().any(|statement| statement.number == number);
            let (path, name) = (path.display(), version.name());
            assert!(exists, "{path}:{line}: MQTT {name} has no statement {number}");
        }
    }
    assert!(found > 500, "only {found} numbers were found");
}

#[test]
fn every_statement_has_a_test_or_a_reason() {
    let covered = covered();
    let mut wrong = String::new();
    for version in Version::ALL {
        for Statement { number, binds, meaning, reason } in statements(version) {
            let tested = covered.contains_key(&(version, number.clone()));
            let problem = match (tested, reason) {
                (true, Some(_)) => "has a test: its reason is out of date",
                (false, None) if binds != Binds::Client => "has neither test nor reason",
                _ => continue,
            };
            writeln!(wrong, "{} {number} {problem}: {meaning}", version.name()).expect("memory");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_page_is_the_committed_one() {
    let path = root().join("docs/reference/compliance.md");
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, &page).expect("the page is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == committed, "compliance.md is stale: UPDATE_GOLDEN=1 writes it anew");
}

fn page() -> String {
    let mut page = String::from(OPENING);
    let covered = covered();
    for version in [Version::V5, Version::V311] {
        let list = statements(version);
        let tests = |number: &Number| covered.get(&(version, number.clone()));
        let tested = list.iter().filter(|statement| tests(&statement.number).is_some()).count();
        let reasoned = list.iter().filter(|statement| statement.reason.is_some()).count();
        let line = format!(
            "| {} | {} | {tested} | {reasoned} | {} |\n",
            version.name(),
            list.len(),
            list.len() - tested - reasoned
        );
        page.push_str(&line);
    }
    page.push_str(WITHOUT_TEST);
    for version in [Version::V5, Version::V311] {
        for (reason, numbers) in reasons(version) {
            let (name, numbers) = (version.name(), numbers.join(", "));
            writeln!(page, "| {name} | {numbers} | {reason} |").expect("memory");
        }
    }
    for version in [Version::V5, Version::V311] {
        write!(page, "\n## MQTT {}\n{TABLE}", version.name()).expect("memory");
        for Statement { number, binds, meaning, reason } in statements(version) {
            let shown = match (covered.get(&(version, number.clone())), reason) {
                (Some(tests), _) => names(tests),
                (None, Some(_)) => "*see above*".to_owned(),
                (None, None) => "*binds clients only*".to_owned(),
            };
            let binds = binds.name();
            writeln!(page, "| {number} | {binds} | {meaning} | {shown} |").expect("memory");
        }
    }
    page
}

/// The reasons of a version and the numbers that each stands for, in the order of the list.
fn reasons(version: Version) -> Vec<(String, Vec<String>)> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for Statement { number, reason, .. } in statements(version) {
        let Some(reason) = reason else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, numbers)) => numbers.push(number.to_string()),
            None => reasons.push((reason, vec![number.to_string()])),
        }
    }
    reasons
}

/// Tests by module, so that a module is said once.
fn names(tests: &[String]) -> String {
    let mut modules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for test in tests {
        let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
        modules.entry(module).or_default().push(name);
    }
    let each = modules.iter().map(|(module, names)| format!("`{module}`: {}", names.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

const OPENING: &str = "# Conformance

Generated from `tests/statements/` and the tests; do not edit. `UPDATE_GOLDEN=1 cargo test --release
--workspace --test it compliance::` writes it.

The normative statements of both specifications by their numbers (`3.1.0-1` is [MQTT-3.1.0-1]), what
they mean in our words, and the tests that show that the broker obeys. Statements that bind clients
are tested where the broker has to answer a client that disobeys.

| version | statements | with a test | with a reason instead | clients only, without test |
|---|---|---|---|---|
";
const WITHOUT_TEST: &str = "
## Without a test

| version | statements | reason |
|---|---|---|
";
const TABLE: &str = "\n| statement | binds | meaning | tests |\n|---|---|---|---|\n";
