//! Which files of a broker belong into a backup, and what of each: everything where secrets were asked for, otherwise
//! what can be told without them.
//!
//! Reads folders, and of files only those that are not taken as they are. What cannot be taken is said, not passed over.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    name,
    versions::{self, Renamed},
    without_secrets,
};

/// Most files that are taken.
pub(super) const FILES_MAX: usize = 10_000;
/// Largest manifest or directory of administrators that is looked into.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Largest component.
const WASM_BYTES_MAX: u64 = 32 << 20;
/// Most sentences about what is left out.
const SENTENCES_MAX: usize = 200;

/// Files and folders of the data folder that belong into a backup, and whether they are secret.
pub(super) const DATA: [(&str, bool); 7] = [
    ("bans.json", false),
    (PLUGINS_STATE, false),
    ("plugin-versions", false),
    // Without secrets: users that have no password, and roles.
    (DIRECTORY, false),
    ("admin.token", true),
    ("keys", true),
    ("plugin-state", true),
];
/// Users, roles and tokens of the admin API.
pub(super) const DIRECTORY: &str = "admin/directory.json";
/// Which plugins there were, which are disabled, and which versions answer for them.
pub(super) const PLUGINS_STATE: &str = "plugins-state.json";
/// Where earlier versions of plugins are, `NAME/HASH/` each.
const VERSIONS: &str = "plugin-versions";

/// A file, its name in the archive and what goes into that.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// `None` = what is in the file.
    pub(super) content: Option<Vec<u8>>,
    pub(super) bytes: u64,
}

/// All that is taken.
pub(super) struct Collected {
    pub(super) files: Vec<Found>,
    pub(super) left_out: Vec<String>,
}

impl Collected {
    /// Looks through the folder of plugins and the data folder.
    pub(super) fn from(plugins: &Path, data_dir: &Path, secrets: bool) -> Self {
        let mut collected = Self { files: Vec::new(), left_out: Vec::new() };
        collected.walk(plugins, Path::new(""), name::PLUGINS);
        if !secrets {
            collected.keep_plugins_alone();
        }
        for (path, _) in DATA.iter().filter(|(_, secret)| secrets || !secret) {
            collected.walk(data_dir, Path::new(path), name::DATA);
        }
        if !secrets {
            collected.take_secrets_out();
        }
        let (said, all) = (collected.left_out.len().min(SENTENCES_MAX), collected.left_out.len());
        collected.left_out.truncate(said);
        if all > said {
            collected.left_out.push(format!("and {} more", all - said));
        }
        collected
    }

    /// All files at a path below a folder, in the order of their names; links are not followed, and what is written
    /// beside its final name begins with a dot.
    fn walk(&mut self, folder: &Path, below: &Path, prefix: &str) {
        let path = folder.join(below);
        let metadata = match fs::symlink_metadata(&path) {
            // A link to a plugin is how some operators install them.
            Ok(metadata) if metadata.is_symlink() && prefix == name::PLUGINS => {
                fs::metadata(&path).unwrap_or(metadata)
            }
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.leave_out(&path, &error),
        };
        if metadata.is_file() {
            match below.to_str().filter(|below| !below.chars().any(char::is_control)) {
                Some(below) => self.files.push(Found {
                    name: format!("{prefix}{below}"),
                    content: None,
                    bytes: metadata.len(),
                    path,
                }),
                None => self.leave_out(&path, &"its name is not UTF-8, or has control characters"),
            }
        } else if metadata.is_dir() && self.files.len() <= FILES_MAX {
            let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let mut names: Vec<_> = match entries {
                Ok(entries) => entries.iter().map(fs::DirEntry::file_name).collect(),
                Err(error) => return self.leave_out(&path, &error),
            };
            names.sort();
            for name in names.iter().filter(|name| !name.as_encoded_bytes().starts_with(b".")) {
                self.walk(folder, &below.join(name), prefix);
            }
        }
    }

    fn leave_out(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        self.left_out.push(format!("{}: {why}", path.display()));
    }

    /// Of the folder of plugins what makes plugins; other files there may be passwords.
    fn keep_plugins_alone(&mut self) {
        let in_folder = |file: &Found| file.name.strip_prefix(name::PLUGINS).map(str::to_owned);
        let names: BTreeSet<_> = self.files.iter().filter_map(in_folder).collect();
        self.files.retain(|file| in_folder(file).is_some_and(|name| is_of_plugin(&name, &names)));
    }

    /// Manifests and the directory of administrators are told without what is secret in them. What is known by the hash
    /// of a manifest is known by another one then.
    fn take_secrets_out(&mut self) {
        let prefix = format!("{}{VERSIONS}/", name::DATA);
        let (kept, files): (Vec<_>, Vec<_>) = std::mem::take(&mut self.files)
            .into_iter()
            .partition(|file| file.name.starts_with(&prefix));
        let mut renamed = Renamed::default();
        for mut file in files {
            match told(&file) {
                Ok(None) => self.files.push(file),
                Ok(Some(told)) => {
                    if kind(&file) == Kind::Manifest {
                        self.rename(&file.path, &told, &mut renamed);
                    }
                    file.bytes = told.len() as u64;
                    file.content = Some(told);
                    self.files.push(file);
                }
                Err(why) => self.leave_out(&file.path, &why),
            }
        }
        let versions = versions::tell(kept, &mut renamed);
        self.files.extend(versions.files);
        self.name_anew(&renamed);
        if versions.gone > 0 {
            let what = "they are damaged, or nobody knows where their secrets stand";
            self.left_out
                .push(format!("versions of plugins to go back to ({}): {what}", versions.gone));
        }
        if versions.unsigned > 0 {
            self.left_out.push(format!(
                "signatures of versions of plugins to go back to ({}): without comments and golden \
                 calls that log somebody in they do not fit",
                versions.unsigned
            ));
        }
    }

    /// The manifest of a plugin in the folder is told otherwise.
    fn rename(&mut self, manifest: &Path, told: &[u8], renamed: &mut Renamed) {
        if manifest.with_extension("sig").exists() {
            let what = "without its comments and golden calls that log somebody in its signature \
                        does not fit: it has to be signed again";
            self.leave_out(manifest, &what);
        }
        let wasm = read(&manifest.with_extension("wasm"), WASM_BYTES_MAX);
        if let (Ok(wasm), Ok(text), Ok(told)) = (wasm, read_text(manifest), str::from_utf8(told)) {
            renamed.note(&wasm, &text, told);
        }
    }

    /// What names versions by their hashes names those that are in the backup.
    fn name_anew(&mut self, renamed: &Renamed) {
        let name = format!("{}{PLUGINS_STATE}", name::DATA);
        for file in self.files.iter_mut().filter(|file| file.name == name) {
            // What cannot be read now is taken as it is, or fails as that does.
            if let Ok(text) = read_text(&file.path) {
                let text = renamed.named_in(&text).into_bytes();
                file.bytes = text.len() as u64;
                file.content = Some(text);
            }
        }
    }
}

/// What is told of a file without secrets; `None` = what is in it.
fn told(file: &Found) -> Result<Option<Vec<u8>>, String> {
    match kind(file) {
        Kind::Manifest => {
            let told = without_secrets::manifest(&read_text(&file.path)?)?;
            Ok(told.map(String::into_bytes))
        }
        Kind::Directory => {
            admin::directory_without_secrets(read_text(&file.path)?.as_bytes()).map(Some)
        }
        Kind::Other => Ok(None),
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Manifest,
    Directory,
    Other,
}

fn kind(file: &Found) -> Kind {
    if file.name.strip_prefix(name::DATA) == Some(DIRECTORY) {
        Kind::Directory
    } else if file.path.extension() == Some(OsStr::new("toml")) {
        Kind::Manifest
    } else {
        Kind::Other
    }
}

/// Whether a file of the folder of plugins is part of one, `names` = all that are there: a component, or manifest or
/// signature beside it. `NAME.cases.toml` is none, nor is a file of passwords that ends so.
pub(super) fn is_of_plugin(file: &str, names: &BTreeSet<String>) -> bool {
    let Some((stem, extension)) = file.rsplit_once('.') else { return false };
    let plugin = stem.strip_suffix(".shadow").unwrap_or(stem);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&plugin.len())
        && plugin.bytes().all(good)
        && match extension {
            "wasm" => true,
            "toml" | "sig" => names.contains(&format!("{stem}.wasm")),
            _ => false,
        }
}

fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path, TEXT_BYTES_MAX)?).map_err(|_| "is not UTF-8".to_owned())
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it is too long, allowed: at most {most} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_a_plugin_is_one() {
        let names: BTreeSet<_> =
            ["gate.wasm", "gate.shadow.wasm", "x.y.wasm"].map(str::to_owned).into();
        for (file, expect) in [
            ("gate.wasm", true),
            ("gate.toml", true),
            ("gate.sig", true),
            ("gate.shadow.wasm", true),
            ("gate.shadow.sig", true),
            ("gate.cases.toml", false),
            ("acl.toml", false),
            ("x.y.wasm", false),
            ("passwords", false),
            ("below/gate.toml", false),
            ("gate.shadow", false),
            (".toml", false),
        ] {
            assert_eq!(is_of_plugin(file, &names), expect, "{file}");
        }
    }
}
