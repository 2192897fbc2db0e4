//! `portcullis plugin build [DIR]`: a project in Rust or Go becomes a component NAME.wasm, with the
//! tools that are there. Other languages have tools that make components themselves.

mod go;
mod rust;

use std::path::Path;

use crate::{atomic_file::replace_public, failure::Failure};

/// What came of a project.
struct Built {
    name: String,
    component: Vec<u8>,
}

/// Builds the project in `dir` and writes the component.
pub(crate) async fn run(dir: &Path, output: Option<&Path>) -> Result<(), Failure> {
    let built = match (dir.join(rust::MARK).exists(), dir.join(go::MARK).exists()) {
        (true, false) => rust::build(dir)?,
        (false, true) => go::build(dir)?,
        (there, _) => {
            let (rust, go) = (rust::MARK, go::MARK);
            let what = if there { "has both" } else { "has neither" };
            return Err(Failure::Refused(format!(
                "{} {what} {rust} (a Rust project) and {go} (a Go project); projects in other \
                 languages say in their README how they are built",
                dir.display()
            )));
        }
    };
    let default = dir.join(format!("{}.wasm", built.name));
    let output = output.unwrap_or(&default);
    replace_public(output, &built.component).map_err(|error| {
        Failure::Refused(format!("{}: cannot be written: {error}", output.display()))
    })?;
    println!("wrote {} ({} bytes)", output.display(), built.component.len());
    super::check::run(output).await
}
