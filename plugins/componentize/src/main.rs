//! Writes the prebuilt components: core modules that the compiler made, and modules in the text
//! format, each with the hash of its sources. Called by `plugins/build`, which knows the compilers.
//!
//! `componentize ROOT CORE OUT`: repository, folder with the compiler's modules, folder that gets
//! the components under their paths in the repository (the repository itself to replace what is
//! committed).
#![forbid(unsafe_code)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use source_hash::{Contract, GUESTS, Guest, SECTION, Source};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve, SourceMap, WorldId};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [root, core, out] = arguments.as_slice() else {
        bail!("usage: componentize ROOT CORE OUT");
    };
    for guest in GUESTS {
        let bytes =
            build(root, core, guest).with_context(|| format!("component {}", guest.name))?;
        let path = out.join(guest.output);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &bytes).with_context(|| format!("writing {}", path.display()))?;
        println!("{:>8} bytes  {}", bytes.len(), guest.output);
    }
    Ok(())
}

fn build(root: &Path, core: &Path, guest: &Guest) -> Result<Vec<u8>> {
    let module = match &guest.source {
        Source::Crate { .. } => {
            let path = core.join(format!("{}.wasm", guest.name.replace('-', "_")));
            fs::read(&path).with_context(|| format!("reading {}", path.display()))?
        }
        Source::Text { file, contract } => {
            let mut module = wat::parse_file(root.join(file))?;
            let (resolve, world) = claim(&root.join("wit"), *contract)?;
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
            module
        }
    };
    let mut component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    let hash = source_hash::hash(root, guest)?;
    source_hash::append_custom_section(&mut component, SECTION, hash.as_bytes());
    Ok(component)
}

/// The world that a module in the text format claims to fit.
fn claim(wit: &Path, contract: Contract) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, world) = match contract {
        Contract::Current => (push(&mut resolve, wit, CURRENT)?, "authenticator-plugin"),
        Contract::NextVersion => (push(&mut resolve, wit, NEXT)?, "authenticator-plugin"),
        Contract::UnknownImport => {
            push(&mut resolve, wit, CURRENT)?;
            (resolve.push_str("unknown.wit", UNKNOWN)?, "unknown-import")
        }
    };
    let world = resolve.select_world(&[package], Some(world))?;
    Ok((resolve, world))
}

/// Adds the contract under the given version.
fn push(resolve: &mut Resolve, wit: &Path, version: &str) -> Result<PackageId> {
    let mut sources = SourceMap::new();
    let mut paths =
        fs::read_dir(wit)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path)?.replace(CURRENT, version);
        sources.push(&path, text);
    }
    let group = sources.parse().map_err(|(_, error)| error)?;
    Ok(resolve.push_group(group)?)
}

const CURRENT: &str = "package portcullis:plugin@0.1.0;";
const NEXT: &str = "package portcullis:plugin@0.2.0;";
const UNKNOWN: &str = "
    package example:unknown@0.1.0;

    interface mystery {
        open-the-gate: func();
    }

    world unknown-import {
        include portcullis:plugin/authenticator-plugin@0.1.0;
        import mystery;
    }
";
