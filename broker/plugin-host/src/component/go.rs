//! A component from what `go build` writes: a module that knows neither its world nor the contract's
//! way to clock, random numbers and log. The world is read from the project, the rest is an adapter
//! of our own, `wasi_for_go.wat`, which says why.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// `wasi_for_go.wat`, in binary; a test compares.
const ADAPTER: &[u8] = include_bytes!("wasi_for_go.wasm");
/// What it stands for.
const ADAPTED: &str = "wasi_snapshot_preview1";
/// What it needs.
const ADAPTER_WORLD: &str = "
    package portcullis:wasi-for-go;
    world adapter {
        import portcullis:plugin/clock@0.1.0;
        import portcullis:plugin/random@0.1.0;
        import portcullis:plugin/log@0.1.0;
    }
";

/// Makes a component from a core module that `go build -buildmode=c-shared` wrote for wasip1 with
/// the bindings of the world in the folder `wit`. Errors are sentences.
pub fn componentize_go(module: &[u8], wit: &Path) -> Result<Vec<u8>, String> {
    let of_wit = |error| format!("{}: {error:#}", wit.display());
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).map_err(of_wit)?;
    let world = resolve.select_world(&[package], None).map_err(of_wit)?;
    let package = resolve.push_str("wasi-for-go.wit", ADAPTER_WORLD).map_err(|error| {
        format!("{}: lacks what Go needs of the contract: {error:#}", wit.display())
    })?;
    let adapter_world = resolve.select_world(&[package], None).map_err(of_wit)?;
    let sentence =
        |error| format!("what Go built cannot be made a component of this world: {error:#}");
    let module = told(module, &resolve, world)?;
    let adapter = told(ADAPTER, &resolve, adapter_world)?;
    let encoder = ComponentEncoder::default().validate(true).module(&module).map_err(sentence)?;
    encoder.adapter(ADAPTED, &adapter).map_err(sentence)?.encode().map_err(sentence)
}

/// The module with the world that it is of in it.
fn told(module: &[u8], resolve: &Resolve, world: WorldId) -> Result<Vec<u8>, String> {
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)
        .map_err(|error| format!("the world cannot be written into the module: {error:#}"))?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn the_adapter_is_its_source() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/component");
        let binary = wat::parse_file(folder.join("wasi_for_go.wat")).unwrap();
        let written = folder.join("wasi_for_go.wasm");
        if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&written, &binary).unwrap();
        }
        let committed = fs::read(&written).unwrap();
        assert!(binary == committed, "wasi_for_go.wasm is stale: UPDATE_GOLDEN=1 writes it anew");
    }
}
