//! What a broker needs to run: program, arguments and files, for each variant of it. In TOML; those of
//! the known brokers lie in `brokers/`, others are given with `--broker`.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::fixture;

/// A broker, as its file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    /// What it is called; the file does not say it.
    #[serde(skip)]
    pub(crate) name: String,
    /// Where its program may be: names are looked for where commands are, paths are taken as they are.
    program: Vec<String>,
    argv: Vec<String>,
    /// A command that says its version, somewhere in its first lines.
    version: Option<Vec<String>>,
    /// Values of `{NAME}` that variants may change.
    #[serde(default)]
    text: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Files that are copied: where to, and from where.
    #[serde(default)]
    copies: BTreeMap<String, String>,
    variants: BTreeMap<String, Variant>,
}

/// How a variant differs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    argv: Option<Vec<String>>,
    #[serde(default)]
    text: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    copies: BTreeMap<String, String>,
}

/// Brokers that are looked for on every machine.
const KNOWN: [(&str, &str); 4] = [
    ("mosquitto", include_str!("../brokers/mosquitto.toml")),
    ("portcullis", include_str!("../brokers/portcullis.toml")),
    ("rumqttd", include_str!("../brokers/rumqttd.toml")),
    ("rmqttd", include_str!("../brokers/rmqttd.toml")),
];

/// Where a broker is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) port: u16,
    pub(crate) admin_port: u16,
    /// Where the web service of [`crate::webhook`] answers; 0 if there is none.
    pub(crate) webhook_port: u16,
}

/// The root of this repository.
pub(crate) fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

impl Description {
    /// All that are known, here or not.
    pub(crate) fn known() -> Result<Vec<Self>> {
        KNOWN.into_iter().map(|(name, text)| Self::parse(name, text)).collect()
    }

    /// One in a file of its own.
    pub(crate) fn read(name: &str, file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file);
        Self::parse(name, &text.with_context(|| format!("{} cannot be read", file.display()))?)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let parsed = toml::from_str(text).with_context(|| format!("the file of {name}"))?;
        Ok(Self { name: name.to_owned(), ..parsed })
    }

    /// The same under another name, to be compared with itself.
    pub(crate) fn as_well(&self, how: &str) -> Self {
        Self { name: format!("{} {how}", self.name), ..self.clone() }
    }

    pub(crate) fn has(&self, variant: &str) -> bool {
        self.variants.contains_key(variant)
    }

    /// Its program on this machine. A variable of the environment, its name in capitals, says so
    /// before everything else.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        let own = env::var_os(self.name.to_uppercase()).map(PathBuf::from);
        let repository = repository().display().to_string();
        let given = self.program.iter().map(|place| place.replace("{repository}", &repository));
        let mut places: Vec<_> = own.into_iter().collect();
        for place in given {
            if place.contains('/') {
                places.push(place.into());
                continue;
            }
            let path = env::var_os("PATH").unwrap_or_default();
            places.extend(env::split_paths(&path).map(|folder| folder.join(&place)));
            places.extend(env::home_dir().map(|home| home.join(".cargo/bin").join(&place)));
        }
        places.into_iter().find(|place| place.is_file())
    }

    /// What it says of its version.
    pub(crate) fn version(&self, program: &Path) -> Option<String> {
        let argv = self.version.as_ref()?.iter();
        let argv: Vec<_> =
            argv.map(|of| of.replace("{program}", &program.to_string_lossy())).collect();
        let output =
            std::process::Command::new(argv.first()?).args(argv.get(1..)?).output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let numbered =
            |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
        said.split_whitespace().find(numbered).map(|word| word.trim_end_matches(',').to_owned())
    }

    /// Writes the files of a variant; the command that starts it.
    pub(crate) fn prepare(
        &self,
        program: &Path,
        variant: &str,
        at: Place<'_>,
    ) -> Result<Vec<String>> {
        let Some(variant) = self.variants.get(variant) else {
            bail!("{} has no variant {variant}", self.name);
        };
        let fill = |text: &str| self.fill(text, variant, program, at);
        let mut files = self.files.clone();
        files.extend(variant.files.clone());
        for (name, text) in files {
            let path = at.folder.join(name);
            make_parent(&path)?;
            fs::write(&path, fill(&text))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        for (name, from) in self.copies.iter().chain(&variant.copies) {
            let (path, from) = (at.folder.join(name), fill(from));
            make_parent(&path)?;
            fs::copy(&from, &path).with_context(|| format!("{from} cannot be copied"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        let argv = variant.argv.as_ref().unwrap_or(&self.argv);
        Ok(argv.iter().map(|argument| fill(argument)).collect())
    }

    fn fill(&self, text: &str, variant: &Variant, program: &Path, at: Place<'_>) -> String {
        let mut filled = text.to_owned();
        let mut put = |name: &str, value: &dyn Fn() -> String| {
            let name = format!("{{{name}}}");
            if filled.contains(&name) {
                filled = filled.replace(&name, &value());
            }
        };
        for (name, value) in variant.text.iter().chain(&self.text) {
            put(name, &|| value.clone());
        }
        put("users", &fixture::users);
        put("mosquitto_rules", &fixture::mosquitto_rules);
        put("portcullis_rules", &|| fixture::portcullis_rules(Some(&fixture::user(0))));
        put("portcullis_rules_for_all", &|| fixture::portcullis_rules(None));
        put("dynamic_security", &fixture::dynamic_security);
        put("machine", &|| env::consts::ARCH.to_owned());
        put("webhook_port", &|| at.webhook_port.to_string());
        put("program", &|| program.display().to_string());
        put("repository", &|| repository().display().to_string());
        put("dir", &|| at.folder.display().to_string());
        put("port", &|| at.port.to_string());
        put("admin_port", &|| at.admin_port.to_string());
        filled
    }
}

/// Makes the folder of a file, for nobody but us.
fn make_parent(file: &Path) -> Result<()> {
    let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) else { return Ok(()) };
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_of_every_known_broker_is_written_whole() {
        for broker in Description::known().unwrap() {
            for variant in broker.variants.keys() {
                let folder = tempfile::tempdir().unwrap();
                let at = Place {
                    folder: folder.path(),
                    port: 20_001,
                    admin_port: 20_002,
                    webhook_port: 0,
                };
                let argv = broker.prepare(Path::new("/program"), variant, at).unwrap();
                assert_eq!(argv[0], "/program");
                let mut texts = argv.join("\n");
                for name in broker.files.keys().chain(broker.variants[variant].files.keys()) {
                    texts += &fs::read_to_string(folder.path().join(name)).unwrap();
                }
                assert!(texts.contains("20001"), "{} {variant}: no port", broker.name);
                for name in ["{dir}", "{port}", "{text", "{program}", "{repository}", "{users}"] {
                    assert!(!texts.contains(name), "{} {variant}: {name} {texts}", broker.name);
                }
            }
        }
    }

    #[test]
    fn every_scenario_has_a_variant_of_ours() {
        let brokers = Description::known().unwrap();
        let ours = brokers.iter().find(|broker| broker.name == "portcullis").unwrap();
        for scenario in crate::scenario::all() {
            assert!(ours.has(scenario.variant), "{}: {}", scenario.name, scenario.variant);
        }
    }

    #[test]
    fn a_file_with_an_unknown_key_is_refused() {
        let text = "program = [\"x\"]\nargv = []\ncolour = 1\n[variants.plain]\n";
        let error = format!("{:#}", Description::parse("x", text).unwrap_err());
        assert!(error.contains("colour"), "{error}");
    }
}
