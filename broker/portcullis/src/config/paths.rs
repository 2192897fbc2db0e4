//! Files and folders that a configuration names anywhere, without knowing its keys: what the process must be able to use
//! besides the folders that it knows.

use std::path::{Path, PathBuf};

use toml::Value;

use super::document::Document;

/// A place that a text of the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NamedPath {
    /// The folder of a file, or a folder, to read.
    Read(PathBuf),
    /// The folder of a database, whose files come and go beside it.
    Write(PathBuf),
}

/// Every text that names something that is there, alone or behind `file:` or `sqlite:`. The folder of a file, not the
/// file: who replaces it puts another one there. What cannot be read names nothing; loading it says so.
pub(crate) fn named_paths(file: &Path) -> Vec<NamedPath> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (Some(folder), Ok(text)) = (absolute.parent(), super::read(file)) else {
        return Vec::new();
    };
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let environment = |name: &str| std::env::var(name).ok();
    let document = Document::new("", folder.to_owned(), &environment);
    let mut found = Vec::new();
    let mut open: Vec<Value> = table.into_iter().map(|(_, value)| value).collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.extend(named(&document, folder, &text)),
            Value::Array(items) => open.extend(items),
            Value::Table(table) => open.extend(table.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

fn named(document: &Document<'_>, folder: &Path, text: &str) -> Option<NamedPath> {
    let text = document.expand_environment(text).ok()?;
    let (path, database) = match text.strip_prefix("sqlite:") {
        Some(path) => (path, true),
        None => (text.strip_prefix("file:").unwrap_or(&text), false),
    };
    if path.is_empty() {
        return None;
    }
    let path = folder.join(path.split('?').next()?);
    let place = if path.is_dir() && !database {
        path
    } else if path.exists() || database {
        // What a symbolic link leads to may lie elsewhere.
        path.canonicalize().unwrap_or(path).parent()?.to_owned()
    } else {
        return None;
    };
    Some(if database { NamedPath::Write(place) } else { NamedPath::Read(place) })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn texts_that_name_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["conf", "keys", "real", "roots"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("keys/a"), "").unwrap();
        fs::write(root.join("real/b"), "").unwrap();
        symlink(root.join("real/b"), root.join("conf/b")).unwrap();
        let file = root.join("conf/p.toml");
        fs::write(
            &file,
            "a = \"/mqtt\"\nb = [\"file:../keys/a\", 1, true]\n[c.d]\ne = \"b\"\nf = \"tcp\"\n\
             g = \"../roots\"\nh = \"sqlite:../sql/x.db\"\ni = \"\"\n\
             j = \"${env:NOT_THERE_AT_ALL}\"\n",
        )
        .unwrap();
        let expect = [
            NamedPath::Read(root.join("keys")),
            NamedPath::Read(root.join("real")),
            NamedPath::Read(root.join("conf/../roots")),
            NamedPath::Write(root.join("conf/../sql")),
        ];
        let found = named_paths(&file);
        assert_eq!(found.len(), expect.len(), "{found:?}");
        assert!(expect.iter().all(|place| found.contains(place)), "{found:?}");
    }
}
