//! Who may do what: the broker, its chains and plugins.

use toml::Value;

use super::{
    facts::{Facts, Plugin, Running},
    finding::{Judgement, Verdict},
    host::parts,
};

fn asked(facts: &Facts) -> Option<&Running> {
    facts.running.as_ref()?.as_ref().ok()
}

pub(super) fn running(facts: &Facts) -> Option<Judgement> {
    let mend = "start it, or name its admin API with --url and --token-file";
    match facts.running.as_ref()? {
        Ok(running) => Some(Judgement::ok(format!("{} answers", running.url))),
        Err(not) if not.expected => {
            Some(Judgement::of(vec![(Verdict::Fail, not.what.clone())], "", mend))
        }
        Err(not) => {
            let what = format!("judged as configured, not as it runs: {}", not.what);
            Some(Judgement::of(vec![(Verdict::Warn, what)], "", mend))
        }
    }
}

pub(super) fn ready(facts: &Facts) -> Option<Judgement> {
    let running = asked(facts)?;
    let problems = running.problems.iter().map(|problem| (Verdict::Fail, problem.clone()));
    let warnings = running.warnings.iter().map(|warning| (Verdict::Warn, warning.clone()));
    let mend = "GET /readyz and the log say more; portcullis plugin list shows the plugins";
    Some(Judgement::of(problems.chain(warnings).collect(), "it is ready", mend))
}

fn enabled(plugins: &[Plugin]) -> impl Iterator<Item = &Plugin> {
    plugins
        .iter()
        .filter(|plugin| plugin.manifest.get("enabled").and_then(Value::as_bool).unwrap_or(true))
}

pub(super) fn chain(facts: &Facts) -> Option<Judgement> {
    let has_links = match asked(facts) {
        Some(running) => running.has_links,
        None => enabled(&parts(facts)?.plugins).next().is_some(),
    };
    let mend = "put a plugin into the folder: docs/plugins/README.md lists those that come along";
    let seen = "only deny-all stands in the chain: nobody gets in";
    let seen = if has_links { Vec::new() } else { vec![(Verdict::Warn, seen.to_owned())] };
    Some(Judgement::of(seen, "plugins stand in the chain", mend))
}

pub(super) fn plugins_load(facts: &Facts) -> Option<Judgement> {
    let mend = "mend the plugin or its manifest: until then its link refuses everybody";
    let mut seen = Vec::new();
    if let Some(running) = asked(facts) {
        seen.extend(running.ill_plugins.iter().map(|ill| (Verdict::Fail, ill.clone())));
    }
    let plugins = parts(facts).map(|parts| parts.plugins.as_slice()).unwrap_or_default();
    if seen.is_empty() {
        let problems = enabled(plugins).flat_map(|plugin| &plugin.problems);
        seen.extend(problems.map(|problem| (Verdict::Fail, problem.clone())));
    }
    if seen.is_empty() && plugins.is_empty() && asked(facts).is_none() {
        return None;
    }
    Some(Judgement::of(seen, "every plugin loads", mend))
}

pub(super) fn plugins_signed(facts: &Facts) -> Option<Judgement> {
    let parts = parts(facts)?;
    enabled(&parts.plugins).next()?;
    let mend = "portcullis plugin keygen and sign, [plugins] trusted_keys and require_signature";
    let mut seen = Vec::new();
    if !parts.trusted_keys {
        seen.push((Verdict::Warn, "signatures are not looked at".to_owned()));
    } else {
        let unsigned = enabled(&parts.plugins).filter(|plugin| !plugin.signed);
        seen.extend(unsigned.map(|plugin| (Verdict::Warn, format!("{}: no .sig", plugin.name))));
    }
    Some(Judgement::of(seen, "every plugin is signed", mend))
}

/// What of `[grants]` reaches further than one thing.
fn wide(grants: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |key: &str, value: &str| {
        let everything = matches!(value, "*" | "#" | "+" | "+/#" | "/#");
        let web = key == "http" && (value.starts_with("http://") || value.matches('/').count() < 4);
        let whole = web && value.split_once("://").is_some_and(|(_, rest)| rest.len() < 3);
        let plain = key == "http" && value.starts_with("http://");
        if everything || whole || plain {
            found.push(format!("{key} = {value:?}"));
        }
    };
    for (key, value) in grants {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => look(key, text),
                Value::Array(items) => open.extend(items),
                Value::Table(table) => open.extend(table.values()),
                _ => {}
            }
        }
    }
    found
}

pub(super) fn plugins_grants(facts: &Facts) -> Option<Judgement> {
    let plugins = &parts(facts)?.plugins;
    enabled(plugins).next()?;
    let mend = "grant what the plugin asks for and no more; https: rather than http:";
    let mut seen = Vec::new();
    for plugin in enabled(plugins) {
        let grants = plugin.manifest.get("grants").and_then(Value::as_table);
        for wide in grants.map(wide).unwrap_or_default() {
            seen.push((Verdict::Warn, format!("{}: {wide}", plugin.name)));
        }
    }
    Some(Judgement::of(seen, "no grant is wide", mend))
}

pub(super) fn plugins_fail_open(facts: &Facts) -> Option<Judgement> {
    let plugins = &parts(facts)?.plugins;
    enabled(plugins).next()?;
    let mend =
        "on_error = \"deny\": with \"next\" whoever breaks this plugin is judged by others alone";
    let next = enabled(plugins)
        .filter(|plugin| plugin.manifest.get("on_error").and_then(Value::as_str) == Some("next"));
    let seen = next.map(|plugin| (Verdict::Warn, format!("{}: on_error = \"next\"", plugin.name)));
    Some(Judgement::of(seen.collect(), "a plugin that fails refuses", mend))
}

pub(super) fn allow_loopback(facts: &Facts) -> Option<Judgement> {
    let parts = parts(facts)?;
    enabled(&parts.plugins).next()?;
    let mend = "delete allow-loopback.wasm: it is for trying things out";
    let found = enabled(&parts.plugins).filter(|plugin| plugin.name == "allow-loopback");
    // A proxy in front, or whoever else runs on this machine, is let in.
    let seen = found.map(|_| {
        let what = "whoever connects from this machine, a proxy before it included, gets in";
        (Verdict::Fail, what.to_owned())
    });
    Some(Judgement::of(seen.collect(), "nobody gets in by where they connect from", mend))
}

pub(super) fn admin_roles(facts: &Facts) -> Option<Judgement> {
    let roles = &parts(facts)?.mighty_roles;
    let mend = "name the permissions that the role needs";
    let seen = roles.iter().map(|role| (Verdict::Warn, format!("role {role} may everything")));
    Some(Judgement::of(seen.collect(), "no role may everything", mend))
}

pub(super) fn sys_topics(facts: &Facts) -> Option<Judgement> {
    let seen = match parts(facts)?.sys {
        true => "$SYS is published, for clients whose rules name it",
        false => "$SYS is not published",
    };
    Some(Judgement::ok(seen))
}
