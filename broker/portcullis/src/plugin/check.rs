//! `portcullis plugin check FILE`: what a plugin is and what it asks for, without a broker and
//! without its manifest.

use std::{fs, path::Path};

use plugin_host::Inspection;

use crate::failure::Failure;

/// Prints what the host finds in `file`.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let bytes =
        fs::read(file).map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    let inspection = plugin_host::inspect(&bytes)
        .await
        .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    println!("{}", describe(file, &inspection));
    Ok(())
}

fn describe(file: &Path, inspection: &Inspection) -> String {
    let Inspection { size_bytes, hooks, imports, grants, described, .. } = inspection;
    let says = described.as_ref().map(|(name, version)| format!("{name} {version}"));
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let imported = |name: &str| imports.iter().any(|import| import == name);
    let mut text = format!(
        "{}\n  says     {}\n  size     {size_bytes} bytes as a component\n  hooks    {}\n  \
         imports  {}\n  grants   {}",
        file.display(),
        says.unwrap_or_else(|| "nothing of itself".to_owned()),
        list(hooks),
        list(imports),
        if grants.is_empty() { "none needed".to_owned() } else { grants.join("; ") },
    );
    for (import, sentence) in [
        ("files", "reads the files that its manifest names under [files]"),
        ("config", "reads the table [config] of its manifest"),
    ] {
        if imported(import) {
            text.push_str("\n  manifest ");
            text.push_str(sentence);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_must_say_is_told() {
        let inspection = Inspection {
            component: Vec::new(),
            size_bytes: 7,
            hooks: vec!["authenticator".to_owned()],
            imports: vec!["log".to_owned(), "files".to_owned()],
            grants: Vec::new(),
            described: Some(("gate".to_owned(), "1.2.3".to_owned())),
        };
        let text = describe(Path::new("gate.wasm"), &inspection);
        for expect in ["gate 1.2.3", "7 bytes", "authenticator", "log, files", "under [files]"] {
            assert!(text.contains(expect), "{expect}: {text}");
        }
        assert!(!text.contains("[config]"), "{text}");
    }
}
