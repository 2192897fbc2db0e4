//! A Rust project: cargo builds a core module with its component type in it, with the tools that are
//! there.
//!
//! The ordinary way is the rustup target `wasm32-unknown-unknown`. Where it cannot be had, Debian's
//! toolchain builds the standard library from source. Which tools exist is looked up before
//! anything is built, so that an error of the compiler is always one of the project.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::Built;
use crate::failure::Failure;

/// A folder with this is such a project.
pub(super) const MARK: &str = "Cargo.toml";

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's packages for building without the rustup target.
const DEBIAN_PACKAGES: &str = "apt-get install rustc-web cargo-web rust-web-src lld";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const LINKER: &str = "wasm-ld";

/// Builds the project in `dir`.
pub(super) fn build(dir: &Path) -> Result<Built, Failure> {
    let project = Project::find(dir)?;
    let toolchain = Toolchain::find(dir)?;
    println!("building {} with {}", project.name, toolchain.describe());
    let status = toolchain
        .build(dir)
        .status()
        .map_err(|error| Failure::internal("starting cargo", error))?;
    if !status.success() {
        return Err(Failure::Refused(format!("{} does not build, see above", project.name)));
    }
    let module = fs::read(&project.artifact).map_err(|error| {
        Failure::internal(format!("{}: cannot be read", project.artifact.display()), error)
    })?;
    let component = plugin_host::componentize(&module)
        .map_err(|error| Failure::Refused(format!("{} is no plugin: {error}", project.name)))?;
    Ok(Built { name: project.name, component })
}

/// What cargo says of the project.
struct Project {
    name: String,
    artifact: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Project {
    fn find(dir: &Path) -> Result<Self, Failure> {
        let manifest = dir.join(MARK);
        let manifest = fs::canonicalize(&manifest)
            .map_err(|error| Failure::Refused(format!("{}: {error}", manifest.display())))?;
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(dir)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| missing_cargo(&error))?;
        if !output.status.success() {
            return Err(Failure::Refused(format!("{}: see above", manifest.display())));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::internal("reading what cargo says", error))?;
        Self::choose(metadata, &manifest)
    }

    fn choose(metadata: Metadata, manifest: &Path) -> Result<Self, Failure> {
        let package = metadata
            .packages
            .into_iter()
            .find(|package| package.manifest_path == manifest)
            .ok_or_else(|| {
                Failure::Refused(format!("{} is no package of its own", manifest.display()))
            })?;
        let library = package
            .targets
            .iter()
            .find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
            .ok_or_else(|| {
                let what = "builds no module: add `[lib] crate-type = [\"cdylib\"]`";
                Failure::Refused(format!("{} {what}", manifest.display()))
            })?;
        let file = format!("{}.wasm", library.name.replace('-', "_"));
        let artifact = metadata.target_directory.join(TARGET).join("release").join(file);
        Ok(Self { name: package.name, artifact })
    }
}

/// How a module is built here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Toolchain {
    /// The target's standard library is installed.
    Ordinary,
    /// Debian's compiler builds the standard library from source.
    Debian,
}

impl Toolchain {
    fn find(dir: &Path) -> Result<Self, Failure> {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(dir);
        if printed_path(&mut rustc).is_some_and(|folder| folder.is_dir()) {
            return Ok(Self::Ordinary);
        }
        let missing = missing_for_debian();
        if missing.is_empty() {
            return Ok(Self::Debian);
        }
        Err(Failure::Refused(format!(
            "the target {TARGET} is not installed and neither is its replacement (missing: {}). \
             Either of these installs what is needed:\n  rustup target add {TARGET}\n  \
             {DEBIAN_PACKAGES}",
            missing.join(", ")
        )))
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Ordinary => "the installed target wasm32-unknown-unknown",
            Self::Debian => "Debian's Rust (the target is not installed for yours)",
        }
    }

    fn build(self, dir: &Path) -> Command {
        let mut command = match self {
            Self::Ordinary => Command::new("cargo"),
            Self::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                // `-Z build-std` is not stable: the variable lets a stable compiler do it.
                command
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER)
                    .env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        };
        command.args(["build", "--release", "--target", TARGET]).current_dir(dir);
        if self == Self::Debian {
            command.args(["-Z", "build-std=std,panic_abort"]);
        }
        command
    }
}

/// What the fallback lacks on this machine.
fn missing_for_debian() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !Path::new(DEBIAN_CARGO).exists() {
        missing.push(DEBIAN_CARGO);
    }
    let mut sysroot = Command::new(DEBIAN_RUSTC);
    match printed_path(sysroot.args(["--print", "sysroot"])) {
        None => missing.push(DEBIAN_RUSTC),
        Some(sysroot) => {
            if !sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").exists() {
                missing.push("the source of the standard library");
            }
        }
    }
    if !on_path(LINKER) {
        missing.push(LINKER);
    }
    missing
}

/// The path that a command prints; `None` when it cannot be run or fails.
fn printed_path(command: &mut Command) -> Option<PathBuf> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim_end()))
}

fn on_path(program: impl AsRef<OsStr>) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program.as_ref()).is_file())
}

fn missing_cargo(error: &std::io::Error) -> Failure {
    Failure::Refused(format!(
        "cargo cannot be started ({error}); install Rust from https://rustup.rs or with\n  \
         {DEBIAN_PACKAGES}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(crate_types: &[&str]) -> Metadata {
        Metadata {
            target_directory: "/t".into(),
            packages: vec![Package {
                name: "my-gate".to_owned(),
                manifest_path: "/p/Cargo.toml".into(),
                targets: vec![Target {
                    name: "my-gate".to_owned(),
                    crate_types: crate_types.iter().map(|kind| (*kind).to_owned()).collect(),
                }],
            }],
        }
    }

    #[test]
    fn the_artifact_is_where_cargo_puts_it() {
        let project =
            Project::choose(metadata(&["cdylib"]), Path::new("/p/Cargo.toml")).ok().unwrap();
        assert_eq!(project.name, "my-gate");
        let expect = Path::new("/t/wasm32-unknown-unknown/release/my_gate.wasm");
        assert_eq!(project.artifact, expect);
    }

    #[test]
    fn a_library_without_cdylib_is_told_what_to_add() {
        let refused = Project::choose(metadata(&["lib"]), Path::new("/p/Cargo.toml"));
        let Some(Failure::Refused(what)) = refused.err() else { panic!("accepted") };
        assert!(what.contains("crate-type = [\"cdylib\"]"), "{what}");
    }
}
