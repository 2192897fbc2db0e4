//! Rules of `acl-file`: those that let everybody do nearly everything.

use toml::Value;

use super::{
    facts::Facts,
    finding::{Judgement, Verdict},
    host::parts,
};

pub(super) fn acl(facts: &Facts) -> Option<Judgement> {
    let files = &parts(facts)?.rules;
    if files.is_empty() {
        return None;
    }
    let mend = "name a user, group or client_id, or a topic with ${username} or ${clientid} in it";
    let mut seen = Vec::new();
    for file in files {
        let path = file.path.display();
        let Ok(table) = file.text.parse::<toml::Table>() else {
            // That it is no TOML is what the plugin says of it.
            continue;
        };
        let rules = table.get("rules").and_then(Value::as_array);
        for (number, rule) in (1..).zip(rules.into_iter().flatten()) {
            if let Some((verdict, what)) = wide(rule) {
                seen.push((verdict, format!("{path}: rule {number}: {what}")));
            }
        }
    }
    Some(Judgement::of(seen, "no rule is for everybody and everything", mend))
}

fn wide(rule: &Value) -> Option<(Verdict, String)> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    let (activity, topic) = (text("allow")?, text("topic")?);
    if ["user", "group", "client_id"].iter().any(|key| rule.get(*key).is_some()) {
        return None;
    }
    let what = format!("everybody: allow = {activity:?}, topic = {topic:?}");
    match topic {
        "#" | "+/#" if activity != "subscribe" => Some((Verdict::Fail, what)),
        "#" | "+/#" | "$SYS/#" => Some((Verdict::Warn, what)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_everybody_and_everything() {
        for (rule, expect) in [
            ("allow = \"all\"\ntopic = \"#\"", Some(Verdict::Fail)),
            ("allow = \"publish\"\ntopic = \"+/#\"", Some(Verdict::Fail)),
            ("allow = \"subscribe\"\ntopic = \"#\"", Some(Verdict::Warn)),
            ("allow = \"subscribe\"\ntopic = \"$SYS/#\"", Some(Verdict::Warn)),
            ("allow = \"all\"\ntopic = \"#\"\nuser = \"root\"", None),
            ("allow = \"all\"\ntopic = \"d/${clientid}/#\"", None),
            ("deny = \"all\"\ntopic = \"#\"", None),
        ] {
            let rule = Value::Table(rule.parse().unwrap());
            assert_eq!(wide(&rule).map(|(verdict, _)| verdict), expect, "{rule}");
        }
    }
}
