use std::time::{Duration, UNIX_EPOCH};

use super::{
    facts::{
        Certificate, Configured, Disk, Listener, NotRunning, Parts, Plugin, Running, System,
        TextFile,
    },
    *,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Facts of a broker with nothing to mend.
fn good() -> Facts {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let parts = Parts {
        listeners: vec![Listener {
            name: "ws".to_owned(),
            transport: "ws".to_owned(),
            address: Some([127, 0, 0, 1].into()),
            encrypted: false,
            trusted: vec!["10.0.0.0/24".parse().unwrap()],
            any_origin: false,
        }],
        admin: Some([127, 0, 0, 1].into()),
        durability: "fsync",
        store: "/var/lib/portcullis/store".into(),
        free_bytes_min: 64 << 20,
        disk: Some(Disk { free_bytes: 1 << 40, total_bytes: 1 << 41, in_memory: false }),
        landlock: true,
        owner: Some(1000),
        newest: Some(now),
        plugins: vec![Plugin {
            name: "gate".to_owned(),
            manifest: toml::Table::new(),
            problems: Vec::new(),
            signed: true,
        }],
        trusted_keys: true,
        passwords: vec![text("anna:$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA\n")],
        rules: vec![text("[[rules]]\nallow = \"all\"\ntopic = \"a\"\n")],
        certificates: vec![Certificate { path: "c".into(), not_after: Ok(now + 90 * DAY) }],
        ..Parts::default()
    };
    let file = "/etc/portcullis/portcullis.toml".into();
    Facts {
        configured: Some(Configured { file, faults: Vec::new(), parts: Some(parts) }),
        running: Some(Ok(Running {
            url: "http://127.0.0.1:9883".to_owned(),
            listeners: [("ws".to_owned(), None)].into(),
            has_links: true,
            descriptors: Some(262_144),
            ..Running::default()
        })),
        system: System {
            now,
            descriptors: 1_024,
            somaxconn: Some(4_096),
            syn_cookies: Some(1),
            landlock: Some(true),
        },
    }
}

fn text(text: &str) -> TextFile {
    TextFile { path: "file".into(), text: text.to_owned() }
}

fn parts(facts: &mut Facts) -> &mut Parts {
    facts.configured.as_mut().unwrap().parts.as_mut().unwrap()
}

fn running(facts: &mut Facts) -> &mut Running {
    facts.running.as_mut().unwrap().as_mut().unwrap()
}

fn manifest(text: &str) -> impl Fn(&mut Facts) {
    let table: toml::Table = text.parse().unwrap();
    move |facts| parts(facts).plugins[0].manifest = table.clone()
}

#[test]
fn a_good_broker_passes_every_check() {
    let report = judge(&good());
    let names: Vec<_> = report.findings.iter().map(|finding| finding.id).collect();
    assert_eq!(names, CHECKS.iter().map(|check| check.id).collect::<Vec<_>>());
    for Finding { id, judgement, .. } in &report.findings {
        assert_eq!((judgement.verdict, judgement.mend), (Verdict::Ok, None), "{id}");
        assert!(!judgement.seen.is_empty(), "{id}");
    }
}

/// With this change exactly this check says so, and what to do; all others are as they were.
#[track_caller]
fn changed(change: impl Fn(&mut Facts), id: &str, verdict: Verdict) {
    let mut facts = good();
    change(&mut facts);
    for finding in judge(&facts).findings {
        let Judgement { verdict: found, mend, seen } = finding.judgement;
        if finding.id == id {
            assert_eq!(found, verdict, "{id}: {seen:?}");
            assert!(mend.is_some(), "{id}");
        } else {
            assert_eq!(found, Verdict::Ok, "{}: {seen:?}", finding.id);
        }
    }
}

#[test]
fn each_check_of_the_host_can_fail() {
    use Verdict::{Fail, Warn};
    let one = || vec!["/x: mode".to_owned()];
    changed(|f| f.configured.as_mut().unwrap().faults = one(), "config", Fail);
    changed(|f| parts(f).modes = one(), "file-modes", Fail);
    changed(|f| parts(f).open_secrets = one(), "secret-files", Fail);
    changed(|f| parts(f).owner = Some(0), "user", Warn);
    changed(|f| running(f).descriptors = Some(256), "open-files", Warn);
    changed(|f| running(f).descriptors = None, "open-files", Warn);
    changed(|f| parts(f).connections = Some(1_000_000), "open-files", Fail);
    changed(|f| parts(f).newest = Some(f_now() + DAY), "clock", Fail);
    let disk = |free_bytes| Some(Disk { free_bytes, total_bytes: 1 << 40, in_memory: false });
    changed(|f| parts(f).disk = disk(63 << 20), "disk-space", Fail);
    changed(|f| parts(f).disk = disk(128 << 20), "disk-space", Warn);
    changed(|f| parts(f).durability = "os", "durability", Warn);
    changed(|f| parts(f).durability = "memory", "durability", Warn);
    changed(|f| parts(f).disk.as_mut().unwrap().in_memory = true, "durability", Warn);
    changed(|f| parts(f).landlock = false, "landlock", Warn);
    changed(|f| f.system.landlock = Some(false), "landlock", Warn);
    let mut facts = good();
    facts.system.now = UNIX_EPOCH + DAY;
    let clock = judge(&facts).findings.into_iter().find(|finding| finding.id == "clock").unwrap();
    assert_eq!(clock.judgement.verdict, Fail);
}

fn f_now() -> std::time::SystemTime {
    good().system.now
}

#[test]
fn each_check_of_network_and_transport_can_fail() {
    use Verdict::{Fail, Warn};
    let at = |address: &str| {
        let address = address.parse().unwrap();
        move |facts: &mut Facts| parts(facts).listeners[0].address = Some(address)
    };
    changed(at("192.168.1.1"), "listeners-public", Warn);
    changed(at("fd00::1"), "listeners-public", Warn);
    changed(at("0.0.0.0"), "listeners-public", Fail);
    changed(at("::"), "listeners-public", Fail);
    changed(at("203.0.113.1"), "listeners-public", Fail);
    let mut encrypted = good();
    at("0.0.0.0")(&mut encrypted);
    parts(&mut encrypted).listeners[0].encrypted = true;
    assert_eq!(judge(&encrypted).count(Fail), 0);
    let refused = Some("refused".to_owned());
    changed(
        |f| drop(running(f).listeners.insert("ws".to_owned(), refused.clone())),
        "listeners-reachable",
        Fail,
    );
    changed(|f| running(f).listeners.clear(), "listeners-reachable", Fail);
    let trusts = |range: &str| {
        let range = range.parse().unwrap();
        move |facts: &mut Facts| parts(facts).listeners[0].trusted = vec![range]
    };
    changed(trusts("0.0.0.0/0"), "proxy-trust", Fail);
    changed(trusts("10.0.0.0/8"), "proxy-trust", Warn);
    changed(|f| f.system.somaxconn = Some(128), "backlog", Warn);
    changed(|f| f.system.syn_cookies = Some(0), "syn-cookies", Warn);
    changed(|f| parts(f).listeners[0].any_origin = true, "websocket-origins", Warn);
    changed(|f| parts(f).admin = Some([10, 0, 0, 1].into()), "admin-exposed", Warn);
    changed(|f| parts(f).admin = Some([0, 0, 0, 0].into()), "admin-exposed", Fail);
    let ends = |ends| move |facts: &mut Facts| parts(facts).certificates[0].not_after = Ok(ends);
    changed(ends(f_now() + 10 * DAY), "tls-certificates", Warn);
    changed(ends(f_now() - DAY), "tls-certificates", Fail);
    let mut both = good();
    parts(&mut both).admin = Some([10, 0, 0, 1].into());
    parts(&mut both).metrics_open = true;
    assert_eq!(judge(&both).count(Warn), 2, "admin-exposed and metrics-open");
}

#[test]
fn each_check_of_the_application_can_fail() {
    use Verdict::{Fail, Warn};
    let not = |expected| {
        move |facts: &mut Facts| {
            let what = "refused".to_owned();
            facts.running = Some(Err(NotRunning { what, expected }));
            facts.system.descriptors = 262_144;
        }
    };
    changed(not(true), "broker-running", Fail);
    changed(not(false), "broker-running", Warn);
    changed(|f| running(f).problems = vec!["gate".to_owned()], "broker-ready", Fail);
    changed(|f| running(f).warnings = vec!["gate".to_owned()], "broker-ready", Warn);
    changed(|f| running(f).has_links = false, "chain", Warn);
    changed(|f| running(f).ill_plugins = vec!["gate".to_owned()], "plugins-load", Fail);
    changed(|f| parts(f).plugins[0].problems = vec!["init".to_owned()], "plugins-load", Fail);
    changed(|f| parts(f).plugins[0].signed = false, "plugins-signed", Warn);
    changed(|f| parts(f).trusted_keys = false, "plugins-signed", Warn);
    changed(manifest("on_error = \"next\""), "plugins-fail-open", Warn);
    for grants in ["http = [\"http://x.example/a\"]", "publish = [\"#\"]", "http = [\"https://*\"]"]
    {
        changed(manifest(&format!("[grants]\n{grants}")), "plugins-grants", Warn);
    }
    changed(|f| parts(f).plugins[0].name = "allow-loopback".to_owned(), "allow-loopback", Fail);
    changed(|f| parts(f).passwords = vec![text("a:$7$101$x$y\n")], "password-hashes", Warn);
    let open = "[[rules]]\nallow = \"all\"\ntopic = \"#\"\n";
    changed(|f| parts(f).rules = vec![text(open)], "acl-rules", Fail);
    changed(|f| parts(f).mighty_roles = vec!["root".to_owned()], "admin-roles", Warn);
    // What is turned off does nothing.
    let mut off = good();
    manifest("enabled = false\non_error = \"next\"")(&mut off);
    assert_eq!(judge(&off).count(Warn), 0);
}

#[test]
fn the_page_has_a_row_for_each_check() {
    let page = include_str!("../../../../docs/operate/doctor.md");
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(id, _)| id))
        .collect();
    assert_eq!(rows, CHECKS.iter().map(|check| check.id).collect::<Vec<_>>());
}

#[test]
fn a_report_is_a_table_or_json() {
    let mut facts = good();
    parts(&mut facts).modes = (0..10).map(|number| format!("/x\u{1b}{number}: mode")).collect();
    let report = judge(&facts);
    let table = report.to_string();
    assert!(table.contains("fail host        file-modes           /x\\u{1b}0: mode\n"), "{table}");
    assert!(table.contains("and 2 more (--json)\n"), "{table}");
    assert!(table.ends_with("0 to look at, 1 to mend\n"), "{table}");
    let json = report.json();
    assert_eq!(json["fail"], 1);
    assert_eq!(json["checks"][1]["seen"].as_array().unwrap().len(), 10);
    assert_eq!(json["checks"][1]["layer"], "host");
}
