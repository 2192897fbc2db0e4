//! Rules of `acl-file`: those that let everybody do nearly everything.

use super::{
    facts::Facts,
    finding::{Judgement, Verdict},
    host::parts,
};
use crate::acl::findings::{Width, width};

pub(super) fn acl(facts: &Facts) -> Option<Judgement> {
    let files = &parts(facts)?.rules;
    if files.is_empty() {
        return None;
    }
    let mend = "name a user, group or client_id, or a topic with ${username} or ${clientid} in it; \
                portcullis acl lint FILE says more";
    let mut seen = Vec::new();
    for file in files {
        let path = file.path.display();
        let Ok(document) = acl_rules::parse(&file.text) else {
            // That it is no file of rules is what the plugin says of it.
            continue;
        };
        for rule in &document.rules {
            let (verdict, what) = match width(rule) {
                Some(Width::PublishesEverything) => (Verdict::Fail, "may publish to"),
                Some(Width::ReadsEverything | Width::ReadsBroker) => (Verdict::Warn, "may read"),
                Some(Width::PublishesForOthers) | None => continue,
            };
            let text = format!("{path}:{}: whoever is let in {what} {:?}", rule.line, rule.topic);
            seen.push((verdict, text));
        }
    }
    Some(Judgement::of(seen, "no rule is for everybody and everything", mend))
}
