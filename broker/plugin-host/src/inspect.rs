//! Looking at a plugin without a broker: for the command line.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    candidate::{Found, Places, valid_name},
    capability::log::LogRate,
    component,
    generation::Generation,
    runtime::Runtime,
};

/// What a component is, seen from outside, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The component (made from the core module, if it was one).
    pub component: Vec<u8>,
    /// Size of the component in bytes.
    pub size_bytes: usize,
    /// Hooks that it exports.
    pub hooks: Vec<String>,
    /// Interfaces that it imports: what it asks the operator for.
    pub imports: Vec<String>,
    /// Name and version that it tells, once it was run.
    pub described: Option<(String, String)>,
}

/// Makes a component from a core module that was built with wit-bindgen (wasm32-unknown-unknown).
/// Errors are sentences.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    component::componentize(module)
}

/// Reads a component or core module, compiles and links it, and asks it for name and version.
/// Neither `init` nor `self-test` run, so no manifest is needed. Needs a tokio runtime with time.
pub async fn inspect(wasm: &[u8]) -> Result<Inspection, String> {
    let mut inspection = outside(wasm)?;
    let runtime = Arc::new(Runtime::new(None)?);
    let described = Generation::describe_only(&runtime, inspection.component.clone()).await;
    inspection.described = Some(described.map_err(|rejected| rejected.sentence)?);
    Ok(inspection)
}

/// Does everything that the broker would do before `NAME.wasm` of `dir` goes live, `init` and
/// `self-test` included. Errors are sentences, one per problem. Needs a tokio runtime with time.
pub async fn check_plugin(
    dir: &Path,
    name: &str,
    file_roots: &[PathBuf],
) -> Result<Inspection, Vec<String>> {
    if !valid_name(name) {
        return Err(vec![format!("{name:?}: must be 1 to 64 letters, digits, '-' and '_'")]);
    }
    let runtime = Arc::new(Runtime::new(None).map_err(|error| vec![error])?);
    let places = Places { dir: dir.to_owned(), file_roots: file_roots.to_vec() };
    let reading = match places.read(name, &runtime.engine.hash) {
        Found::Reading(reading) => reading,
        Found::Missing => {
            return Err(vec![format!("{}: is not there", places.wasm(name).display())]);
        }
        Found::Unstable => return Err(vec![format!("{name}: its files are being written")]),
    };
    let mut problems = Vec::new();
    let contents = match reading.contents {
        Ok(contents) => Some(contents),
        Err(unusable) => {
            problems.push(unusable.sentence);
            None
        }
    };
    let (Some(contents), Some(manifest)) = (contents, reading.manifest) else {
        // A bad manifest hides nothing: the component is looked at as well.
        if let Ok(wasm) = std::fs::read(places.wasm(name))
            && let Err(error) = outside(&wasm)
        {
            problems.push(error);
        }
        return Err(problems);
    };
    let mut inspection =
        outside(&contents.wasm).map_err(|error| vec![format!("{name} {error}")])?;
    let log = Arc::new(LogRate::new());
    let generation = Generation::build(&runtime, name, contents, manifest, log).await;
    let generation =
        generation.map_err(|rejected| vec![format!("{name}: {}", rejected.sentence)])?;
    inspection.described = Some(generation.described.clone());
    Ok(inspection)
}

fn outside(wasm: &[u8]) -> Result<Inspection, String> {
    let prepared = component::prepare(wasm)?;
    Ok(Inspection {
        size_bytes: prepared.bytes.len(),
        component: prepared.bytes.into_owned(),
        hooks: prepared.hooks,
        imports: prepared.imports,
        described: None,
    })
}
