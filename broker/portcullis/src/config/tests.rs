//! Tests of reading the configuration.

use std::time::Duration;

use server::{ClientAuth, TlsConfig, Transport};
use session::QueueFull;

use super::*;

/// The smallest useful file.
const SMALL: &str = r#"
data_dir = "data"

[[listeners]]
name = "mqtt"
bind = "127.0.0.1:1883"
"#;

const REFERENCE: &str = include_str!("../../../../docs/configure/reference.toml");

fn file() -> &'static Path {
    Path::new("/etc/portcullis/p.toml")
}

fn environment(name: &str) -> Option<String> {
    (name == "DATA").then(|| "from-env".to_owned())
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(file(), text, &environment)
}

/// `text` is refused with exactly these lines.
#[track_caller]
fn refused(text: &str, expect: &[&str]) {
    let problems = parse(text).expect_err("is accepted").to_string();
    let found: Vec<_> = problems.lines().map(|line| line.replace("/etc/portcullis/", "")).collect();
    assert_eq!(found, expect);
}

/// `line` in [limits] is refused with this sentence.
#[track_caller]
fn refused_limit(line: &str, expect: &str) {
    refused(&format!("{SMALL}[limits]\n{line}\n"), &[&format!("p.toml:8: limits.{expect}")]);
}

#[test]
fn the_smallest_file_has_the_defaults() {
    let config = parse(SMALL).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/portcullis/data"));
    assert_eq!(config.plugins.dir.value, Path::new("/etc/portcullis/data/plugins"));
    let roots = ["/etc/portcullis", "/etc/portcullis/data/plugins"].map(PathBuf::from);
    assert_eq!(config.plugins.file_roots, roots);
    assert_eq!(config.plugins.chain, None);
    assert_eq!(config.admin.bind, "127.0.0.1:9883".parse().unwrap());
    assert!(!config.admin.metrics_open && !config.admin.allow_remote);
    assert_eq!(config.limits.of_broker, ::limits::Config::default());
    assert_eq!(config.limits.connections, None);
    assert_eq!(config.limits.queue_full, QueueFull::default());
    assert_eq!(config.publish_denied, PublishDenied::default());
    assert_eq!(config.client_id_from, ClientIdFrom::default());
    assert_eq!(config.protocol_versions, ProtocolVersions::default());
    assert_eq!(config.sys, SysConfig::default());
}

#[test]
fn the_reference_lists_every_key_with_its_default() {
    let (reference, problems, keys) = Config::read(file(), REFERENCE, &environment);
    assert_eq!(problems, []);
    let defaults = parse(
        "data_dir = \"/var/lib/portcullis\"\n[[listeners]]\nname = \"mqtt\"\n\
         bind = \"127.0.0.1:1883\"\n[plugins]\ndir = \"/etc/portcullis/plugins\"\n",
    );
    assert_eq!(reference, Some(defaults.unwrap()));
    for path in keys {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let start = match table {
            "" => 0,
            "listeners" => REFERENCE.find("[[listeners]]").unwrap(),
            table => REFERENCE.find(&format!("[{table}]\n")).expect(table),
        };
        let rest = &REFERENCE[start + 1..];
        let section = rest.split("\n[").next().unwrap();
        let written = |line: &str| {
            line.trim_start_matches("# ").split_once(" = ").is_some_and(|(name, _)| name == key)
        };
        assert!(section.lines().any(written), "{path} is not in the reference");
    }
}

/// What stands there as a comment can be taken as it stands.
#[test]
fn the_examples_of_the_reference_are_valid() {
    let with = |transport: &str, lines: &[&str]| {
        let mut text = REFERENCE.replace("transport = \"tcp\"", transport);
        for line in lines {
            let commented = format!("\n# {line}");
            assert!(text.contains(&commented), "{line}");
            text = text.replace(&commented, &format!("\n{line}"));
        }
        parse(&text).unwrap().listeners[0].clone()
    };
    let proxy = ["[listeners.proxy_protocol]", "trusted = [\"10.0.0.0/8\", \"fd00::/8\"]"];
    let trusted = with("transport = \"tcp\"", &proxy).proxy_protocol.unwrap().trusted;
    assert_eq!(trusted.len(), 2);
    let ws = ["path = \"/mqtt\"", "origins = [\"https://app.example\"]"];
    let ws = with("transport = \"ws\"", &ws).transport;
    assert!(matches!(ws, Transport::WebSocket { path, origins: Some(_), .. } if path == "/mqtt"));
    let unix = with("transport = \"unix\"", &["mode = \"0660\""]).transport;
    assert!(matches!(unix, Transport::Unix { mode: 0o660, .. }));
}

/// The table of TLS has every key, and all of it can be taken as it stands.
#[test]
fn the_example_of_tls_is_valid() {
    let start = REFERENCE.find("# [listeners.tls]").unwrap();
    let end = REFERENCE.find("# Load balancers in front").unwrap();
    let is_key = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let uncommented = REFERENCE[start..end].lines().map(|line| match line.strip_prefix("# ") {
        Some(code) if code.starts_with('[') => code,
        Some(code) if code.split_once(" = ").is_some_and(|(name, _)| is_key(name)) => code,
        _ => line,
    });
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    let text = format!("{}{uncommented}\n{}", &REFERENCE[..start], &REFERENCE[end..]);
    let text = text.replace("transport = \"tcp\"", "transport = \"tls\"");
    let (config, problems, keys) = Config::read(file(), &text, &environment);
    assert_eq!(problems, []);
    for key in keys.iter().filter_map(|key| key.strip_prefix("listeners.tls.")) {
        let key = key.rsplit('.').next().unwrap();
        let written = uncommented.lines().any(|line| line.starts_with(&format!("{key} = ")));
        assert!(written, "{key} is not in the reference");
    }
    let tls = config.unwrap().listeners[0].tls.clone().unwrap();
    assert_eq!(tls.certificates.len(), 2);
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("/etc/portcullis/client-ca.pem")));
    assert_eq!(tls.cache.as_deref(), Some(Path::new("/var/lib/portcullis/tls")));
    // What is no example is the default.
    let small = SMALL.replace("bind", "transport = \"wss\"\nbind");
    let small = format!("{small}[listeners.tls]\ncert = \"c\"\nkey = \"k\"\n");
    let default = parse(&small).unwrap().listeners[0].tls.clone().unwrap();
    let shown =
        |tls: &TlsConfig| (tls.crl_refresh, tls.ocsp, tls.stapling, tls.min_version, tls.identity);
    assert_eq!(shown(&tls), shown(&default));
    assert_eq!((tls.client_auth, default.client_auth), (ClientAuth::Required, ClientAuth::None));
}

#[test]
fn faults_of_tls() {
    let with = |transport: &str, tls: &str| {
        let small = SMALL.replace("bind", &format!("transport = {transport:?}\nbind"));
        format!("{small}{tls}\n")
    };
    let pair = "[listeners.tls]\ncert = \"c\"\nkey = \"k\"\n";
    refused(
        &with("tls", ""),
        &["p.toml:4: listeners.tls: missing: a table [listeners.tls] with cert and key is needed"],
    );
    refused(
        &with("tcp", pair),
        &["p.toml:4: listeners.tls: missing: means nothing here, allowed: only with transport = \
           \"tls\" or \"wss\""],
    );
    for (line, expect) in [
        (
            "client_auth = \"required\"",
            "p.toml:8: listeners.tls.client_ca: missing: a file in PEM is needed: the authorities \
             that sign certificates of clients",
        ),
        (
            "identity = \"cn\"",
            "p.toml:11: listeners.tls.identity: ***: clients show no certificate, allowed: off, or \
             client_auth = \"required\"",
        ),
        (
            "crl = [\"a\"]",
            "p.toml:11: listeners.tls.crl: \"a\": clients show no certificate, allowed: only with \
             client_ca",
        ),
        (
            "client_ca = \"a\"\ncrl = [\"https://pki.example/a\"]",
            "p.toml:12: listeners.tls.crl: \"https://pki.example/a\": is no URL that is fetched, \
             allowed: http://HOST/ or http://HOST:PORT/ and a path (what comes is signed, and \
             looked up while no TLS is there yet)",
        ),
        (
            "client_ca = \"a\"\nocsp = \"hard\"",
            "p.toml:8: listeners.tls.ocsp_url: missing: somebody must be asked: a URL, or \
             beginnings of those that certificates name in ocsp_allow",
        ),
        (
            "min_version = \"1.1\"",
            "p.toml:11: listeners.tls.min_version: \"1.1\": is not known, allowed: 1.2 | 1.3",
        ),
    ] {
        refused(&with("tls", &format!("{pair}{line}")), &[expect]);
    }
    let broad = format!("{pair}client_ca = \"a\"\nocsp_allow = [\"http://ocsp.example\"]");
    assert!(parse(&with("tls", &broad)).is_err(), "another host begins like that");
}

/// So can the tables of what plugins are granted by name.
#[test]
fn the_examples_of_sources_are_valid() {
    let start = REFERENCE.find("# [secrets.NAME]").unwrap();
    let (before, examples) = REFERENCE.split_at(start);
    let uncommented = examples.lines().map(|line| match line.strip_prefix("# ") {
        Some(code) if code.starts_with('[') || code.contains(" = ") => code,
        _ => line,
    });
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("hmac-key"), "a secret\n").unwrap();
    fs::write(at("cookies-2"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n").unwrap();
    fs::write(at("jwks.json"), JWKS).unwrap();
    for name in ["idp-ca.pem", "database-ca.pem", "directory-ca.pem"] {
        fs::write(at(name), AUTHORITY).unwrap();
    }
    for name in ["database", "directory"] {
        fs::write(at(name), "a password\n").unwrap();
    }
    let text = format!("{before}{uncommented}").replace("/etc/portcullis/secrets/", "");
    let text = text.replace("file:/etc/portcullis/", "file:");
    let config = Config::parse(&at("p.toml"), &text, &environment).unwrap_or_else(|problems| {
        panic!("{problems}");
    });
    let sources = config.sources;
    assert_eq!((sources.secrets.len(), sources.keys.len(), sources.jwt.len()), (1, 1, 2));
    assert_eq!((sources.sql.len(), sources.ldap.len()), (1, 1));
    assert_ne!(config.admin.roles, admin::Roles::default());
}

/// An authority of no use.
const AUTHORITY: &str = include_str!("../../../plugin-host/src/tests/lent/tls/authority.pem");

/// A public key of no use.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"1",
    "x":"MBj8fjE1xvQ11rvC2tX0lPGiUUnXB2yMJsKA8R0uC_I","y":"dFtldas8WGwPgtJ8RlmfxLKdIQ7sCnpX-uWhuvJ877Y"}]}"#;

#[test]
fn every_problem_is_reported_with_its_line() {
    refused(
        r#"
publish_denied = "ignore"
[[listeners]]
name = "mqtt"
bind = "localhost:1883"
transport = "tsl"
[[listeners]]
name = "mqtt"
bind = "127.0.0.1:1884"
colour = "red"
[[listeners]]
name = "a b"
bind = "127.0.0.1:1884"
transport = "quic"
[plugins]
chain = ["a", "a", "deny-all", "b c"]
require_manifest = "yes"
[admin]
bind = "0.0.0.0:9883"
names = ["mqtt.example", "a/b"]
[limits]
packet_bytes = 0
conections = 5
[limit]
"#,
        &[
            "p.toml:1: data_dir: missing: the folder for what the broker writes is needed",
            "p.toml:2: publish_denied: \"ignore\": is not known, allowed: acknowledge | disconnect",
            "p.toml:5: listeners.bind: \"localhost:1883\": is not an address, allowed: IP:PORT \
             such as 127.0.0.1:1883 or [::]:1883, port 0 to 65535 (0 = any free port)",
            "p.toml:6: listeners.transport: \"tsl\": is not known, allowed: tcp | tls | ws | wss | \
             unix",
            "p.toml:8: listeners.name: \"mqtt\": is the name of an earlier listener",
            "p.toml:10: listeners.colour: unknown: is not a key of this table, allowed: name, \
             bind, transport, path, origins, mode, chain, allow, deny, connections, \
             proxy_protocol, tls",
            "p.toml:12: listeners.name: \"a b\": is not a name, allowed: 1 to 64 of letters, \
             digits, '-' and '_'",
            "p.toml:13: listeners.bind: \"127.0.0.1:1884\": is the address of an earlier listener",
            "p.toml:14: listeners.transport: \"quic\": is not known, allowed: tcp | tls | ws | \
             wss | unix",
            "p.toml:16: plugins.chain: \"a\": stands in the chain twice",
            "p.toml:16: plugins.chain: \"deny-all\": is always the last link, allowed: only at \
             the end, or left out",
            "p.toml:16: plugins.chain: \"b c\": is not a name, allowed: 1 to 64 of letters, \
             digits, '-' and '_'",
            "p.toml:17: plugins.require_manifest: \"yes\": is a TOML string, allowed: true or \
             false",
            "p.toml:19: admin.bind: \"0.0.0.0:9883\": is reachable from other machines and the \
             API is not encrypted, allowed: 127.0.0.0/8 or [::1], or any address with \
             allow_remote = true",
            "p.toml:20: admin.names: \"a/b\": is not a host name, allowed: 1 to 253 of letters, \
             digits, '-' and '.', or an IP address",
            "p.toml:22: limits.packet_bytes: 0: is out of range, allowed: 1KiB to 268435460",
            "p.toml:23: limits.conections: unknown: is not a key of this table, did you mean \
             connections?",
            "p.toml:24: limit: unknown: is not a key of this table, did you mean limits?",
        ],
    );
}

#[test]
fn each_limit_says_its_range() {
    refused_limit("connect_rate = 0", "connect_rate: 0: is out of range, allowed: 1 to 1000000");
    refused_limit(
        "connections = 0",
        "connections: 0: is out of range, allowed: 1 to 10000000, or \"auto\"",
    );
    refused_limit(
        "connections = -5",
        "connections: -5: is out of range, allowed: 1 to 10000000, or \"auto\"",
    );
    refused_limit(
        "receive_maximum = 65536",
        "receive_maximum: 65536: is out of range, allowed: 1 to 65535",
    );
    refused_limit(
        "client_id_bytes = 22",
        "client_id_bytes: 22: is out of range, allowed: 23 to 65535",
    );
    refused_limit(
        "keep_alive_max = \"19h\"",
        "keep_alive_max: \"19h\": is out of range, allowed: 1s to 65535s",
    );
    refused_limit(
        "keep_alive_max = 1.5",
        "keep_alive_max: 1.5: is a TOML float, allowed: time as text like \"5m\" \
         (s, m, h, d) or seconds as an integer, 1s to 65535s",
    );
    refused_limit(
        "connect_timeout = \"5 years\"",
        "connect_timeout: \"5 years\": is not time as text like \"5s\" (ms, s, m, h, d) or \
         seconds as an integer, allowed: 100ms to 1m",
    );
    refused_limit(
        "idle_timeout = 0",
        "idle_timeout: 0: is out of range, allowed: 1s to 30d, or \"off\"",
    );
    refused_limit(
        "queue_bytes = \"4Kb\"",
        "queue_bytes: \"4Kb\": is not bytes as an integer or text like \"64KiB\", \
         allowed: 1KiB to 16GiB",
    );
    refused_limit(
        "queue_full = \"wait\"",
        "queue_full: \"wait\": is not known, allowed: drop-oldest | drop-newest | disconnect",
    );
    refused_limit(
        "retained_bytes = 99999999999999999999999999",
        "retained_bytes: 99999999999999999999999999: is out of range, allowed: 0 to 1024GiB",
    );
}

#[test]
fn limits_are_read_in_their_units() {
    let text = "[limits]\npacket_bytes = 0x1000\nidle_timeout = \"2h\"\nkeep_alive_max = 60\n\
                session_expiry_max = \"1d\"\nconnections = 7\nconnect_rate = 30\n\
                connect_timeout = 2\nqueue_full = \"drop-newest\"\nloopback_exempt = false\n";
    let limits = parse(&format!("{SMALL}{text}")).unwrap().limits;
    assert_eq!(limits.of_broker.sizes.packet_bytes, 4_096);
    assert_eq!(limits.of_broker.sizes.idle_timeout, Some(Duration::from_secs(7_200)));
    assert_eq!(limits.of_broker.sizes.keep_alive_max, 60);
    assert_eq!(limits.of_broker.sizes.session_expiry_max, 86_400);
    assert_eq!(limits.of_broker.sizes.connect_timeout, Duration::from_secs(2));
    assert_eq!(limits.connections, Some(7));
    assert_eq!(limits.of_broker.connection_rate.connect_rate.per_second(), 30);
    assert_eq!(limits.of_broker.connection_rate.connect_rate.burst(), 60);
    assert_eq!(limits.queue_full, QueueFull::DropNewest);
    assert!(!limits.of_broker.connection_rate.loopback_exempt);
}

#[test]
fn listeners_have_rules_of_their_own() {
    let rules = |lines: &str| {
        let text = SMALL.replacen("bind = ", &format!("{lines}bind = "), 1);
        parse(&text).map(|config| config.listeners[0].rules.clone())
    };
    assert_eq!(rules("").unwrap(), server::ListenerRules::default());
    let set =
        rules("allow = [\"10.0.0.0/8\", \"::1\"]\ndeny = [\"10.66.0.0/16\"]\nconnections = 7\n");
    let set = set.unwrap();
    assert_eq!(set.allow.map(|ranges| ranges.len()), Some(2));
    assert_eq!((set.deny.len(), set.connections), (1, Some(7)));
    for (lines, says) in [
        ("allow = []\n", "listeners.allow: ***: lets nobody in"),
        (
            "deny = [\"10.0.0.1/8\"]\n",
            "listeners.deny: \"10.0.0.1/8\": is not a range of addresses",
        ),
        ("connections = 0\n", "listeners.connections: 0: is out of range"),
        ("transport = \"unix\"\nallow = [\"::1\"]\n", "listeners.allow: ***: means nothing here"),
    ] {
        let problem = rules(lines).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }
    // They can change while the broker runs.
    let old = parse(SMALL).unwrap();
    let new = SMALL.replacen("bind = ", "deny = [\"10.0.0.0/8\"]\nbind = ", 1);
    let new = parse(&new).unwrap();
    assert_eq!(old.needs_restart(&new), [""; 0]);
    assert_eq!(old.with_live_part_of(new.clone()).listeners[0].rules, new.listeners[0].rules);
}

#[test]
fn rates_are_off_until_they_are_set() {
    let rates =
        |lines: &str| parse(&format!("{SMALL}[limits]\n{lines}")).unwrap().limits.of_broker.rates;
    assert_eq!(rates(""), ::limits::RatesConfig::default());
    let set = rates(
        "messages_per_second = 7\nbytes_per_second_total = \"1MiB\"\n\
         bytes_burst_total = \"3KiB\"\n",
    );
    let expect = |per_second, burst| ::limits::Rate::new(per_second, burst).ok();
    assert_eq!((set.messages, set.bytes), (expect(7, 7), None));
    assert_eq!((set.messages_total, set.bytes_total), (None, expect(1 << 20, 3 << 10)));
    // A burst without its rate bounds nothing.
    assert_eq!(rates("bytes_burst = 5\n"), ::limits::RatesConfig::default());
    for (rate, burst, minimum, maximum) in ::limits::RATE_RANGES {
        for value in [minimum, maximum] {
            let set = rates(&format!("{rate} = {value}\n{burst} = {maximum}\n"));
            assert_eq!(set.check(), Ok(()), "{rate}");
            assert_ne!(set, ::limits::RatesConfig::default(), "{rate}");
        }
    }
    refused_limit(
        "bytes_per_second = 5",
        "bytes_per_second: 5: is out of range, allowed: 1KiB to 1024GiB, or \"off\"",
    );
    refused_limit(
        "messages_burst = 0",
        "messages_burst: 0: is out of range, allowed: 1 to 10000000, or \"auto\"",
    );
}

#[test]
fn memory_is_that_of_the_machine_unless_it_is_set() {
    let settled = |line: &str| {
        let limits = parse(&format!("{SMALL}[limits]\n{line}\n")).unwrap().limits;
        limits.settled(800, 10 << 30).overload.memory
    };
    assert_eq!(settled(""), 8 << 30);
    assert_eq!(settled("memory = \"auto\""), 8 << 30);
    assert_eq!(settled("memory = \"100MiB\""), 100 << 20);
    refused_limit(
        "memory = \"1MiB\"",
        "memory: \"1MiB\": is out of range, allowed: 64MiB to 1048576GiB, or \"auto\"",
    );
}

#[test]
fn weights_name_groups() {
    let read = |weights: &str| {
        let limits = parse(&format!("{SMALL}[limits.overload]\nweights = {weights}\n"));
        limits.map(|config| config.limits.overload_weights)
    };
    let expect = vec![("a:b".to_owned(), 50), ("safety".to_owned(), u32::MAX)];
    assert_eq!(read("[\"a:b:50\", \"safety:exempt\"]").unwrap(), expect);
    for wrong in ["a", "a:", ":5", "a:0", "a:10001", "a:-1"] {
        let problem = read(&format!("[{wrong:?}]")).unwrap_err().to_string();
        assert!(problem.contains("limits.overload.weights"), "{problem}");
        assert!(problem.contains("is not GROUP:PERCENT"), "{problem}");
    }
}

/// Keys of `[limits]` whose ranges are in milliseconds.
const TIMES: &[&str] = &["connect_timeout", "idle_timeout", "write_timeout"];

#[test]
fn what_can_be_set_is_what_the_limits_accept() {
    for (key, minimum, maximum) in ::limits::RANGES {
        for value in [*minimum, *maximum] {
            let unit = if TIMES.contains(key) { "ms" } else { "" };
            let value = if unit.is_empty() { value.to_string() } else { format!("\"{value}ms\"") };
            let config = parse(&format!("{SMALL}[limits]\n{key} = {value}\n")).unwrap();
            assert_eq!(config.limits.of_broker.check(), Ok(()), "{key} = {value}");
        }
    }
    for extremes in [
        "connections_per_address = 1000000\nconnect_burst = 1000000\n[limits.login_backoff]\n\
         free_failures = 100\nfirst_delay = \"1m\"\ndelay_max = \"1h\"\nforget_after = \"1d\"\n\
         pairs = 10000000\n[limits.flapping]\nconnects = 100\nwindow = \"1h\"\nban = \"1d\"\n\
         pairs = 1000000\n",
        "connections_per_address = 1\nconnect_burst = 1\n[limits.login_backoff]\n\
         free_failures = 0\nfirst_delay = \"1ms\"\ndelay_max = \"1ms\"\nforget_after = \"1s\"\n\
         pairs = 2\n[limits.flapping]\nconnects = 2\nwindow = \"1s\"\nban = \"1s\"\npairs = 2\n",
    ] {
        let limits = parse(&format!("{SMALL}[limits]\n{extremes}")).unwrap().limits;
        assert_eq!(limits.of_broker.check(), Ok(()));
    }
}

/// 0 where that would mean nothing, and what is beyond all reason.
#[test]
fn every_limit_refuses_what_is_outside_its_range() {
    for (key, minimum, maximum) in ::limits::RANGES {
        let outside = [minimum.checked_sub(1), Some(maximum + 1), Some(i64::MAX as u64)];
        for value in outside.into_iter().flatten() {
            let in_milliseconds = TIMES.contains(key);
            let value = match in_milliseconds && value != i64::MAX as u64 {
                true => format!("\"{value}ms\""),
                false => value.to_string(),
            };
            let text = format!("{SMALL}[limits]\n{key} = {value}\n");
            let problem = parse(&text).expect_err("is accepted").to_string();
            let begin = format!("/etc/portcullis/p.toml:8: limits.{key}: {value}: is out of range");
            assert!(problem.starts_with(&begin) && problem.contains(", allowed: "), "{problem}");
        }
    }
}

#[test]
fn connections_never_exceed_what_the_open_files_leave_room_for() {
    let read = |line: &str| parse(&format!("{SMALL}[limits]\n{line}\n")).unwrap().limits;
    for (line, expect) in [("", 800), ("connections = 7", 7), ("connections = 5000", 800)] {
        assert_eq!(read(line).settled(800, 1 << 30).connection_rate.connections, expect, "{line}");
    }
}

#[test]
fn broken_toml_names_its_line() {
    let problems = parse("data_dir = \"d\"\n\n[[listeners]\n").unwrap_err();
    assert_eq!(problems.problems.first().map(|p| p.line), Some(3), "{problems}");
    assert!(problems.to_string().contains("is not TOML"), "{problems}");
}

#[test]
fn variables_of_the_environment_are_filled_in_and_never_shown() {
    let text = SMALL.replace("\"data\"", "\"/srv/${env:DATA}/x\"");
    assert_eq!(parse(&text).unwrap().data_dir, Path::new("/srv/from-env/x"));
    refused(
        &SMALL.replace("\"data\"", "\"${env:NONE}\""),
        &["p.toml:2: data_dir: \"${env:NONE}\": the environment has no variable NONE"],
    );
    refused(
        &SMALL.replace("\"data\"", "\"${HOME}\""),
        &["p.toml:2: data_dir: \"${HOME}\": refers to ${HOME}, allowed: ${env:NAME}"],
    );
    let shown = parse(&SMALL.replace("127.0.0.1:1883", "${env:DATA}")).unwrap_err().to_string();
    assert!(!shown.contains("from-env"), "{shown}");
}

/// What the fuzzer found: a reference was shown with its control characters.
#[test]
fn problems_are_printable() {
    let text = "data_dir = \"${en\u{1b}[31mv:X}\"\n\"a\\nb\" = 1\n";
    let problems = parse(text).unwrap_err().to_string();
    let file = file().display().to_string();
    assert!(problems.lines().all(|line| line.starts_with(&file)), "{problems}");
    assert!(problems.contains("${en\\u{1b}[31mv:X}"), "{problems}");
    assert!(!problems.contains('\u{1b}'), "{problems}");
}

#[test]
fn a_text_may_stand_in_a_file_of_its_own_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| Config::parse(&folder.path().join("p.toml"), text, &environment);
    let write = |content: &[u8]| fs::write(folder.path().join("from-env"), content).unwrap();
    let text = SMALL.replace("\"data\"", "\"file:${env:DATA}\"");
    write(b"/srv/x\r\n");
    assert_eq!(read(&text).unwrap().data_dir, Path::new("/srv/x"));
    let absolute = format!("\"file:{}\"", folder.path().join("from-env").display());
    let absolute = SMALL.replace("\"data\"", &absolute);
    assert_eq!(read(&absolute).unwrap().data_dir, Path::new("/srv/x"));

    let shown = read(&SMALL.replace("127.0.0.1:1883", "file:from-env")).unwrap_err().to_string();
    assert!(shown.contains("bind: \"file:from-env\": ") && !shown.contains("srv"), "{shown}");
    for content in [b"\xff".as_slice(), &[b'x'; 65_537]] {
        write(content);
        let problem = read(&text).unwrap_err().to_string();
        assert!(problem.contains("refers to a file that cannot be used: "), "{problem}");
    }
    // What the environment says is a value, not a reference.
    let text = SMALL.replace("\"data\"", "\"${env:FILE}\"");
    let config = Config::parse(file(), &text, &|_| Some("file:x".to_owned())).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/portcullis/file:x"));
}

/// [`SMALL`] with more keys of its listener.
fn listener(lines: &str) -> Result<Listener, Problems> {
    let text = SMALL.replace("bind = \"127.0.0.1:1883\"\n", lines);
    parse(&text).map(|config| config.listeners[0].clone())
}

/// These lines behind `name` of a listener, from line 6 on, are refused with these sentences.
#[track_caller]
fn refused_listener(lines: &str, expect: &[&str]) {
    let problems = listener(lines).expect_err("is accepted").to_string();
    let found: Vec<_> =
        problems.lines().map(|line| line.replace("/etc/portcullis/p.toml:", "")).collect();
    assert_eq!(found, expect, "{lines}");
}

#[test]
fn a_websocket_listener() {
    let bind = "127.0.0.1:8083".parse().unwrap();
    let ws = "transport = \"ws\"\nbind = \"127.0.0.1:8083\"\n";
    let expect = Transport::WebSocket { bind, path: "/mqtt".to_owned(), origins: None };
    assert_eq!(listener(ws).unwrap().transport, expect);
    let more = "path = \"/a/b-c\"\norigins = [\"https://app.example\", \"http://[::1]:8080\", \
                \"null\", \"app+x://y\"]\n";
    let origins = ["https://app.example", "http://[::1]:8080", "null", "app+x://y"];
    let origins = Some(origins.map(str::to_owned).to_vec());
    let expect = Transport::WebSocket { bind, path: "/a/b-c".to_owned(), origins };
    assert_eq!(listener(&format!("{ws}{more}")).unwrap().transport, expect);
    let none = listener(&format!("{ws}origins = []\n")).unwrap().transport;
    assert!(matches!(none, Transport::WebSocket { origins: Some(list), .. } if list.is_empty()));
    for path in ["mqtt", "", "/a?b", "/a b", "/\u{e9}"] {
        let sentence = format!(
            "8: listeners.path: {path:?}: is not a path, allowed: / and up to 1024 ASCII \
             characters of a URL, without query"
        );
        refused_listener(&format!("{ws}path = {path:?}\n"), &[&sentence]);
    }
    for origin in ["app.example", "https://", "https://a/", "https://a:443", "http://a:80", "*"] {
        let sentence = format!(
            "8: listeners.origins: {origin:?}: is not an origin, allowed: as browsers send it, \
             SCHEME://HOST or SCHEME://HOST:PORT without the scheme's own port, such as \
             https://app.example, or null"
        );
        refused_listener(&format!("{ws}origins = [{origin:?}]\n"), &[&sentence]);
    }
    refused_listener(
        &format!("{ws}mode = \"0600\"\n"),
        &["8: listeners.mode: \"0600\": means nothing here, allowed: only with transport = \
             \"unix\""],
    );
}

#[test]
fn a_unix_listener() {
    let unix = "transport = \"unix\"\nbind = \"run/mqtt.sock\"\n";
    let path = PathBuf::from("/etc/portcullis/run/mqtt.sock");
    let expect = Transport::Unix { path: path.clone(), mode: 0o660 };
    assert_eq!(listener(unix).unwrap().transport, expect);
    let open = listener(&format!("{unix}mode = \"0777\"\n")).unwrap().transport;
    assert_eq!(open, Transport::Unix { path, mode: 0o777 });
    for mode in ["660", "0888", "1777", "+777", ""] {
        let sentence = format!(
            "8: listeners.mode: {mode:?}: is not a mode, allowed: four octal digits in quotes, \
             \"0000\" to \"0777\""
        );
        refused_listener(&format!("{unix}mode = {mode:?}\n"), &[&sentence]);
    }
    let long = format!("/{}", "x".repeat(107));
    refused_listener(
        &format!("transport = \"unix\"\nbind = {long:?}\n"),
        &[&format!(
            "7: listeners.bind: \"{}...: is no place for a socket file, allowed: a path of at most \
             107 bytes counted from /; this one has 108",
            &long[..59]
        )],
    );
    refused_listener(
        &format!("{unix}path = \"/mqtt\"\norigins = [\"null\"]\n"),
        &[
            "8: listeners.path: \"/mqtt\": means nothing here, allowed: only with transport = \
             \"ws\" or \"wss\"",
            "9: listeners.origins: \"null\": means nothing here, allowed: only with transport = \
             \"ws\" or \"wss\"",
        ],
    );
    // Two listeners cannot share a file.
    let twice = format!("{unix}[[listeners]]\nname = \"b\"\n{unix}");
    refused_listener(
        &twice,
        &["11: listeners.bind: \"run/mqtt.sock\": is the address of an earlier listener"],
    );
}

#[test]
fn load_balancers_in_front_of_a_listener() {
    let tcp = "bind = \"127.0.0.1:1883\"\n[listeners.proxy_protocol]\n";
    let trusted = "trusted = [\"10.0.0.0/8\", \"192.0.2.7\", \"fd00::/8\"]\n";
    let found = listener(&format!("{tcp}{trusted}")).unwrap().proxy_protocol;
    let ranges = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"].map(|range| range.parse().unwrap());
    assert_eq!(found.map(|found| found.trusted), Some(ranges.to_vec()));
    assert_eq!(listener("bind = \"127.0.0.1:1883\"\n").unwrap().proxy_protocol, None);
    let needed = "7: listeners.proxy_protocol.trusted: missing: the addresses of the load \
                  balancers are needed, at least one, e.g. trusted = [\"10.0.0.0/8\"]";
    refused_listener(tcp, &[needed]);
    refused_listener(&format!("{tcp}trusted = []\n"), &[needed]);
    for range in ["10.0.0.1/8", "10.0.0.0/33", "lb.example", "fd00::1/8", ""] {
        let sentence = format!(
            "8: listeners.proxy_protocol.trusted: {range:?}: is not a range of addresses, allowed: \
             ADDRESS or ADDRESS/BITS with nothing set behind the bits, such as 10.0.0.0/8 or \
             fd00::/8"
        );
        refused_listener(&format!("{tcp}trusted = [{range:?}]\n"), &[&sentence]);
    }
    refused_listener(
        &format!("{tcp}{trusted}version = 2\n"),
        &["9: listeners.proxy_protocol.version: unknown: is not a key of this table, allowed: \
             trusted"],
    );
}

#[test]
fn no_listener_is_a_problem() {
    refused(
        "data_dir = \"d\"\n",
        &["p.toml:1: listeners: missing: at least one [[listeners]] with name and bind is needed"],
    );
}

#[test]
fn an_admin_api_for_other_machines_must_be_asked_for() {
    let text = "[admin]\nbind = \"0.0.0.0:9883\"\nallow_remote = true\nnames = [\"Ops.Example\"]\n";
    let admin = parse(&format!("{SMALL}{text}")).unwrap().admin;
    assert!(admin.allow_remote);
    assert_eq!(admin.names, ["ops.example"]);
    let by_address = text.replace("Ops.Example", "2001:db8::1");
    assert_eq!(parse(&format!("{SMALL}{by_address}")).unwrap().admin.names, ["2001:db8::1"]);
    refused(
        &format!("{SMALL}[admin]\nbind = \"0.0.0.0:9883\"\nallow_remote = true\n"),
        &["p.toml:7: admin.names: missing: other machines reach `bind`, allowed: the host names \
             or IP addresses by which they do, e.g. names = [\"broker.example\"]"],
    );
    refused(
        &format!("{SMALL}[admin]\nbind = \"127.0.0.1:1883\"\n"),
        &["p.toml:8: admin.bind: \"127.0.0.1:1883\": is the address of a listener"],
    );
}

#[test]
fn protocol_versions() {
    let with = |list: &str| format!("protocol_versions = {list}\n{SMALL}");
    let old = ProtocolVersions { v3_1: true, v3_1_1: true, v5_0: false };
    assert_eq!(parse(&with("[\"3.1.1\", \"3.1\"]")).unwrap().protocol_versions, old);
    let unknown = "\"4\": is not known, allowed: 3.1 | 3.1.1 | 5.0";
    let unknown = format!("p.toml:1: protocol_versions: {unknown}");
    refused(&with("[\"3.1.1\", \"4\"]"), &[&unknown]);
    let none = "p.toml:1: protocol_versions: missing: names no version: nobody could connect";
    refused(&with("[]"), &[none]);
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_applies() {
    let old = parse(SMALL).unwrap();
    let new = parse(&format!(
        "publish_denied = \"disconnect\"\nprotocol_versions = [\"5.0\"]\n{}chain = [\"a\"]\n\
         [limits]\nqueue_messages = 5\n[plugins]\ndir = \"p\"\nchain = [\"b\"]\n",
        SMALL.replace("1883", "1884")
    ))
    .unwrap();
    assert_eq!(old.needs_restart(&new), ["listeners", "plugins"]);
    let applied = old.with_live_part_of(new);
    assert_eq!(applied.limits.of_broker.sizes.queue_messages, 5);
    assert_eq!(applied.publish_denied, PublishDenied::Disconnect);
    let only = ProtocolVersions { v3_1: false, v3_1_1: false, v5_0: true };
    assert_eq!(applied.protocol_versions, only);
    let names = |chain: &Option<Chain>| -> Vec<String> {
        chain.iter().flatten().map(|name| name.value.clone()).collect()
    };
    assert_eq!(names(&applied.plugins.chain), ["b"]);
    assert_eq!(applied.plugins.dir, old.plugins.dir);
    let (applied_one, old_one) = (&applied.listeners[0], &old.listeners[0]);
    assert_eq!(names(&applied_one.chain), ["a"]);
    assert_eq!(applied_one.transport, old_one.transport);
    assert_eq!(old.needs_restart(&applied), Vec::<&str>::new());
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_its_first_line() {
    let problems = Config::load(Path::new("/nonexistent/p.toml")).unwrap_err();
    assert!(problems.to_string().starts_with("/nonexistent/p.toml:1: cannot be read"));
}

#[test]
fn the_examples_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Config::load(&path).unwrap();
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

#[test]
fn sys_can_be_paced_and_turned_off() {
    let read = |lines: &str| parse(&format!("{SMALL}[sys]\n{lines}\n")).unwrap().sys.interval;
    assert_eq!(read("interval = 1"), Some(Duration::from_secs(1)));
    assert_eq!(read("interval = \"5m\""), Some(Duration::from_secs(300)));
    assert_eq!(read("enabled = false\ninterval = 5"), None);
    let sentence = "is out of range, allowed: 1s to 1d";
    for value in ["0", "86401"] {
        let expect = format!("p.toml:8: sys.interval: {value}: {sentence}");
        refused(&format!("{SMALL}[sys]\ninterval = {value}\n"), &[&expect]);
    }
    let expect = "p.toml:8: sys.enabled: 1: is a TOML integer, allowed: true or false";
    refused(&format!("{SMALL}[sys]\nenabled = 1\n"), &[expect]);
}

/// Values are not in problems, and not in what is printed for developers.
#[test]
fn secrets_are_read_and_never_shown() {
    let text = format!(
        "{SMALL}[secrets.plain]\nvalue = \"open sesame\"\n[secrets.from-environment]\n\
         value = \"${{env:DATA}}\"\n"
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.sources.secrets.len(), 2);
    let from_environment = plugin_host::Secret::new(b"from-env".to_vec());
    assert_eq!(config.sources.secrets["from-environment"], from_environment);
    let printed = format!("{config:?}");
    assert!(printed.contains("***") && !printed.contains("sesame"), "{printed}");
    refused(
        &format!(
            "{SMALL}[secrets.\"a b\"]\nvalue = \"x\"\n[secrets.b]\nvalue = 12345\n[secrets.c]\n"
        ),
        &[
            "p.toml:7: secrets.a b: \"a b\": is not a name, allowed: 1 to 64 of letters, digits, \
             '-' and '_'",
            "p.toml:10: secrets.b.value: ***: is a TOML integer, allowed: text in quotes",
            "p.toml:11: secrets.c.value: missing: the secret is needed: \"file:PATH\" or \
             \"${env:NAME}\"",
        ],
    );
    refused(
        &format!("{SMALL}[secrets]\na = \"open sesame\"\n"),
        &["p.toml:8: secrets.a: ***: is a TOML string, allowed: a table [secrets.a]"],
    );
    refused(
        &format!("{SMALL}[secrets.a]\nvalue = \"sesame ${{env:NONE}}\"\n"),
        &["p.toml:8: secrets.a.value: ***: the environment has no variable NONE"],
    );
}

/// The keys of a managed ring are elsewhere.
#[test]
fn managed_rings_have_no_keys_here() {
    let text = format!("{SMALL}[keys.a]\nmanaged = true\n");
    let config = parse(&text).unwrap();
    let ring = &config.sources.keys["a"];
    assert!(ring.is_managed() && ring.ids().is_empty());
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    refused(
        &format!("{text}[[keys.a.key]]\nid = 1\nvalue = \"{key}\"\n"),
        &["p.toml:7: keys.a.key: missing: the keys of a managed ring are in DATA_DIR/keys"],
    );
}

#[test]
fn a_secret_with_a_user_is_for_basic_authentication() {
    let with =
        |user: &str| format!("{SMALL}[secrets.web]\nvalue = \"open sesame\"\nuser = \"{user}\"\n");
    let expected = plugin_host::Secret::new(b"QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_vec());
    assert_eq!(parse(&with("Aladdin")).unwrap().sources.secrets["web"], expected);
    refused(
        &with("Ala:ddin"),
        &["p.toml:9: secrets.web.user: \"Ala:ddin\": has a colon, which no user of HTTP has"],
    );
}

#[test]
fn keys_have_numbers_and_32_bytes() {
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let text = format!(
        "{SMALL}[keys.cookies]\nalgorithm = \"chacha20-poly1305\"\n[[keys.cookies.key]]\nid = 2\n\
         value = \"{key}\"\n[[keys.cookies.key]]\nid = 1\nvalue = \"{key}\"\n"
    );
    let printed = format!("{:?}", parse(&text).unwrap().sources.keys);
    assert_eq!(printed, "{\"cookies\": [2, 1]}");
    refused(
        &format!("{SMALL}[keys.a]\n[[keys.a.key]]\nid = 1\nvalue = \"c2VzYW1l\"\n"),
        &["p.toml:10: keys.a.key.value: ***: is not 32 bytes in base64, such as `openssl rand \
           -base64 32` prints"],
    );
    refused(
        &format!("{SMALL}[keys.a]\n"),
        &["p.toml:7: keys.a.key: missing: has no key, allowed: one [[keys.NAME.key]] or more"],
    );
}

#[test]
fn verifiers_have_keys_issuer_audience_and_algorithms() {
    let secret = "secret = \"open sesame\"\nalgorithms = [\"HS256\"]\n";
    let whole = format!(
        "{SMALL}[jwt.idp]\nissuer = \"https://idp.example\"\naudience = [\"mqtt\"]\n{secret}"
    );
    assert_eq!(parse(&whole).unwrap().sources.jwt.len(), 1);
    refused(
        &format!("{SMALL}[jwt.idp]\n{secret}"),
        &[
            "p.toml:7: jwt.idp.issuer: missing: tokens of any issuer would do",
            "p.toml:7: jwt.idp.audience: missing: tokens for anybody would do",
        ],
    );
    refused(
        &whole.replace(secret, "algorithms = [\"RS256\"]\n"),
        &["p.toml:7: jwt.idp.public_key: missing: one of public_key, key_set, secret and \
           jwks_url is needed"],
    );
    refused(
        &whole.replace("HS256", "RS256"),
        &["p.toml:7: jwt.idp.algorithms: missing: no key of it can be used for RS256"],
    );
}

#[test]
fn keys_at_a_url_are_public_and_come_over_tls() {
    let whole = format!(
        "{SMALL}[jwt.idp]\nissuer = \"https://idp.example\"\naudience = [\"mqtt\"]\n\
         algorithms = [\"RS256\"]\njwks_url = \"https://idp.example/keys\"\n"
    );
    assert_eq!(parse(&whole).unwrap().sources.jwt.len(), 1);
    assert!(parse(&format!("{whole}refresh = \"1m\"\nstale_max = \"30d\"\n")).is_ok());
    for (bad, what) in [
        (whole.replace("https://idp.example/keys", "http://idp.example/keys"), "allowed: https:"),
        (whole.replace("RS256", "HS256"), "not for HS256"),
        (format!("{whole}refresh = \"10s\"\n"), "out of range, allowed: 1m to 1d"),
        (format!("{whole}refresh = \"2h\"\nstale_max = \"1h\"\n"), "refresh or more"),
        (format!("{whole}secret = \"x\"\n"), "one of public_key, key_set, secret and jwks_url"),
        (
            whole.replace("jwks_url = \"https://idp.example/keys\"", "refresh = \"1h\""),
            "nothing without",
        ),
    ] {
        let problems = parse(&bad).unwrap_err().to_string();
        assert!(problems.contains(what), "{problems}, wanted {what}");
    }
}

#[test]
fn databases_and_directories_are_named_without_their_passwords() {
    let sources = "[sql.users]\nurl = \"postgres://app@db.example/users\"\npassword = \"sesame\"\n\
                   [ldap.corp]\nurl = \"ldaps://dir.example\"\nbind_dn = \"cn=broker\"\n\
                   bind_password = \"sesame\"\n";
    let whole = format!("{SMALL}{sources}");
    let config = parse(&whole).unwrap();
    assert_eq!((config.sources.sql.len(), config.sources.ldap.len()), (1, 1));
    let printed = format!("{config:?}");
    assert!(printed.contains("db.example") && !printed.contains("sesame"), "{printed}");
    for (from, to, what) in [
        ("app@db", "app:sesame@db", "sql.users.url: ***: holds a password"),
        ("postgres://app@db.example/users", "sqlite:users.db", "needs the whole path"),
        ("bind_dn = \"cn=broker\"\n", "", "bind_dn and bind_password need each other"),
        ("ldaps://dir", "http://dir", "allowed: ldaps://HOST"),
        ("ldaps://dir.example\"", "ldap://dir.example\"\nstarttls = false", "in the clear"),
        ("[ldap", "tls = \"perhaps\"\n[ldap", "allowed: auto | require | off"),
        ("[ldap", "connections = 0\n[ldap", "allowed: 1 to 64"),
        ("[ldap", "statement_timeout = \"1ms\"\n[ldap", "allowed: 10ms to 1m"),
    ] {
        let problems = parse(&whole.replace(from, to)).unwrap_err().to_string();
        assert!(problems.contains(what), "{problems}, wanted {what}");
        assert!(!problems.contains("sesame"), "{problems}");
    }
}

#[test]
fn a_collector_is_named_without_a_password() {
    for url in ["http://u:pw@host:4318", "https://token@host", "http://u@host/x?y"] {
        let line = format!("{SMALL}[otlp]\nendpoint = \"{url}\"\n");
        let problems = parse(&line).expect_err("is accepted").to_string();
        let expect = "holds a user or a password, allowed: none in the URL";
        assert!(problems.contains(expect) && !problems.contains("pw"), "{problems}");
    }
    let config = parse(&format!("{SMALL}[otlp]\nendpoint = \"http://host/a@b\"\n")).unwrap();
    assert_eq!(config.otlp.unwrap().endpoint, "http://host/a@b");
}
