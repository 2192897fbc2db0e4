//! `[given]` of a file of cases: what a plugin is lent in the place of a broker.

use std::{collections::BTreeMap, fs, path::Path};

use plugin_host::{Lending, from_hex};
use serde::Deserialize;
use toml::Value;

use crate::config;

/// The cases and everything else of the file is read elsewhere.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    given: Given,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    files: BTreeMap<String, Value>,
}

/// Reads `text`, the contents of `file`, which is valid TOML. Errors begin with the file.
pub(super) fn read(file: &Path, text: &str) -> Result<Lending, String> {
    let sources = config::given(file, text).map_err(|problems| problems.to_string())?;
    let at = |what: String| format!("{}: {what}", file.display());
    let raw: Raw = toml::from_str(text).map_err(|error| at(error.message().to_owned()))?;
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let mut files = BTreeMap::new();
    for (name, value) in raw.given.files {
        let bytes =
            contents(folder, &value).map_err(|what| at(format!("given.files.{name}: {what}")))?;
        files.insert(name, bytes);
    }
    Ok(Lending { sources, files })
}

fn contents(folder: &Path, value: &Value) -> Result<Vec<u8>, String> {
    let only = |key: &str| match value {
        Value::Table(table) if table.len() == 1 => table.get(key).and_then(Value::as_str),
        _ => None,
    };
    if let Some(text) = value.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    if let Some(path) = only("path") {
        return fs::read(folder.join(path)).map_err(|error| format!("{path:?}: {error}"));
    }
    only("hex").and_then(from_hex).ok_or_else(|| {
        format!("{value}: must be a text, {{ path = \"FILE\" }} or {{ hex = \"00ff\" }}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = read(Path::new("x.cases.toml"), text).unwrap_err();
        assert!(error.contains(expected), "{error}\n  wanted {expected}");
    }

    #[test]
    fn files_are_texts_bytes_and_paths() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("on-disk"), "as it lies there").unwrap();
        let text = "[given.files]\n\
                    a = \"allow ${username}\"\n\
                    b = { hex = \"00ff\" }\n\
                    c = { path = \"on-disk\" }\n\
                    [[authenticate]]\nexpect = {}\n";
        let lent = read(&dir.path().join("x.cases.toml"), text).unwrap();
        assert_eq!(lent.files["a"], b"allow ${username}");
        assert_eq!(lent.files["b"], [0, 0xff]);
        assert_eq!(lent.files["c"], b"as it lies there");
        assert!(read(Path::new("x.cases.toml"), "").unwrap().files.is_empty());
    }

    #[test]
    fn what_cannot_be_lent_is_named() {
        refused("[given.files]\na = 7\n", "given.files.a: 7: must be a text");
        refused("[given.files]\na = { path = \"no-such\" }\n", "given.files.a: \"no-such\": ");
        refused("[given.files]\na = { hex = \"0\" }\n", "given.files.a: ");
        refused("[given.secret.x]\nvalue = \"y\"\n", "x.cases.toml:1: given.secret: unknown");
        refused("\n[given.secrets.x]\n", "x.cases.toml:2: given.secrets.x.value: missing");
    }
}
