//! `portcullis acl lint FILE`: what is odd about the rules of `acl-file`.
//!
//! The file is read by the plugin's own code (`acl-rules`). `findings` looks at the rules, `cover` compares two of
//! them.

pub(crate) mod cover;
pub(crate) mod findings;
#[cfg(test)]
pub(crate) mod testing;

use std::{fs, path::Path};

use serde_json::json;

use self::findings::{Finding, Kind};
use crate::failure::Failure;

/// Prints what it finds, and fails if that is anything.
pub(crate) fn lint(file: &Path, json: bool) -> Result<(), Failure> {
    let name = file.display();
    let content = fs::read(file)
        .map_err(|error| Failure::Refused(format!("{name}: cannot be read: {error}")))?;
    let (rules, findings) = look(&content);
    if json {
        println!("{:#}", as_json(file, rules, &findings));
    } else {
        for finding in &findings {
            println!("{name}:{}: {}: {}", finding.line, finding.kind.word(), finding.text);
        }
    }
    match findings.len() {
        0 if json => Ok(()),
        0 => {
            println!("{name}: ok, {rules} rules");
            Ok(())
        }
        1 => Err(Failure::Refused(format!("{name}: 1 finding"))),
        count => Err(Failure::Refused(format!("{name}: {count} findings"))),
    }
}

/// How many rules there are, and what is odd about them.
fn look(content: &[u8]) -> (usize, Vec<Finding>) {
    let refused =
        |line, text| (0, vec![Finding { line, kind: Kind::Refused, text, because: None }]);
    if content.len() > FILE_BYTES_MAX {
        return refused(1, format!("{} bytes; at most {FILE_BYTES_MAX} are read", content.len()));
    }
    let text = match std::str::from_utf8(content) {
        Ok(text) => text,
        Err(error) => {
            let before = content.get(..error.valid_up_to()).unwrap_or_default();
            let ends = before.iter().filter(|byte| **byte == b'\n').count();
            let line = u32::try_from(ends + 1).unwrap_or(u32::MAX);
            return refused(line, "is not UTF-8".to_owned());
        }
    };
    match acl_rules::parse(text) {
        Ok(document) => (document.rules.len(), findings::of(&document)),
        Err(fault) => refused(fault.line, fault.what),
    }
}

fn as_json(file: &Path, rules: usize, findings: &[Finding]) -> serde_json::Value {
    let findings = findings.iter().map(|finding| {
        json!({
            "line": finding.line,
            "kind": finding.kind.word(),
            "text": finding.text,
            "because_of_line": finding.because,
        })
    });
    json!({
        "file": file.display().to_string(),
        "rules": rules,
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// What the plugin reads.
const FILE_BYTES_MAX: usize = 1 << 20;
