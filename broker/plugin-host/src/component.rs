//! From the bytes of a file to a component whose imports and exports are known and acceptable.
//! Compiles nothing.

use std::borrow::Cow;

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::wasi;

mod go;

pub use go::componentize_go;

/// Largest file that is read, in bytes.
pub(crate) const WASM_BYTES_MAX: u64 = 32 << 20;

/// Our package and the version this host implements.
const PACKAGE: &str = "portcullis:plugin";
const VERSION: &str = "0.1.0";
/// Starts the name of every package of ours, those of later hosts included.
const OURS: &str = "portcullis:";

/// Interfaces that the host lends.
const LENT: [&str; 16] = [
    "log",
    "config",
    "files",
    "clock",
    "random",
    "crypto",
    "secrets",
    "keys",
    "jwt",
    "metrics",
    "state",
    "http-client",
    "sql",
    "ldap",
    "cache-control",
    "broker",
];

/// Interfaces without functions: nothing is lent by them.
const TYPES: [&str; 4] = ["types", "permissions", "grants", "messages"];

/// Hooks that the host asks.
const HOOKS: [&str; 9] = [
    "authenticator",
    "enhanced-authenticator",
    "authorizer",
    "operation-authorizer",
    "inbound-transform",
    "outbound-transform",
    "events",
    "timer",
    "admin-authenticator",
];

/// Asked once when a generation takes over from another one: no hook.
pub(crate) const STATE_TRANSFER: &str = "state-transfer";

/// A component that this host can try to link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared<'a> {
    /// The component's bytes.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Hooks that it exports, without package and version.
    pub(crate) hooks: Vec<String>,
    /// Interfaces that it imports, without package and version; without those that are no
    /// capability.
    pub(crate) imports: Vec<String>,
    /// It imports something of WASI.
    pub(crate) wasi: bool,
    /// It hands its state over.
    pub(crate) state_transfer: bool,
}

/// Reads the outside of a component; a core module with a component-type section is componentized
/// first. Errors are sentences.
pub(crate) fn prepare(wasm: &[u8]) -> Result<Prepared<'_>, String> {
    if wasm.len() as u64 > WASM_BYTES_MAX {
        return Err(too_large(wasm.len() as u64));
    }
    let bytes = if Parser::is_core_wasm(wasm) {
        Cow::Owned(componentize(wasm)?)
    } else if Parser::is_component(wasm) {
        Cow::Borrowed(wasm)
    } else {
        return Err("is neither a WebAssembly component nor a core module".to_owned());
    };
    let outside = Outside::read(&bytes)?;
    let imports = acceptable_imports(&outside.imports)?;
    let (hooks, state_transfer) = acceptable_exports(&outside.exports)?;
    let wasi = outside.imports.iter().any(|import| import.starts_with("wasi:"));
    Ok(Prepared { bytes, hooks, imports, wasi, state_transfer })
}

pub(crate) fn too_large(bytes: u64) -> String {
    format!("is {bytes} bytes large; at most {WASM_BYTES_MAX} are read")
}

/// Makes a component from a core module that was built with wit-bindgen.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    let sentence = |error| format!("is a core module that cannot be made a component: {error:#}");
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .map_err(sentence)?
        .encode()
        .map_err(sentence)
}

/// Names of what a component imports and exports at its top level.
#[derive(Default)]
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outside {
    fn read(component: &[u8]) -> Result<Self, String> {
        let mut outside = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let sentence = |error| format!("is a damaged component: {error}");
            match payload.map_err(sentence)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        outside.imports.push(import.map_err(sentence)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        outside.exports.push(export.map_err(sentence)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(outside)
    }
}

fn acceptable_imports(names: &[String]) -> Result<Vec<String>, String> {
    let mut imports = Vec::new();
    for name in names {
        match our_interface(name)? {
            Some(interface) if TYPES.contains(&interface) => {}
            Some(interface) if LENT.contains(&interface) => imports.push(interface.to_owned()),
            Some(interface) => {
                let lent = LENT.join(", ");
                return Err(format!(
                    "imports {PACKAGE}/{interface}, which this host does not have; it has {lent}"
                ));
            }
            None if wasi::is_linked(name) => {}
            None => return Err(foreign_import(name)),
        }
    }
    Ok(imports)
}

fn foreign_import(name: &str) -> String {
    if name.starts_with("wasi:http/") {
        return format!(
            "imports {name}: plugins make HTTP requests by {PACKAGE}/http-client, which their \
             manifest grants; build it without wasi:http"
        );
    }
    if name.starts_with("wasi:") {
        return format!(
            "imports {name}: of WASI this host links cli, clocks, filesystem, io, random and \
             sockets in version 0.2, without anything behind them"
        );
    }
    format!("imports {name}, which this host does not have; it lends only {PACKAGE}@{VERSION}")
}

/// Extra exports are tolerated: some languages leave their own. One of ours that this host does not
/// know is not: it would be a hook that nobody asks, and what it forbids would be allowed.
/// Returns the hooks, and whether it hands its state over.
fn acceptable_exports(names: &[String]) -> Result<(Vec<String>, bool), String> {
    let mut hooks = Vec::new();
    let (mut plugin, mut state_transfer) = (false, false);
    for name in names {
        match our_interface(name)? {
            Some("plugin") => plugin = true,
            Some(STATE_TRANSFER) => state_transfer = true,
            Some(interface) if HOOKS.contains(&interface) => hooks.push(interface.to_owned()),
            Some(interface) if TYPES.contains(&interface) => {}
            Some(_) => return Err(unknown_hook(name)),
            None if name.starts_with(OURS) => return Err(unknown_hook(name)),
            None => {}
        }
    }
    if !plugin {
        return Err(format!("does not export {PACKAGE}/plugin, so it is no plugin"));
    }
    if hooks.is_empty() {
        let known = HOOKS.join(", ");
        return Err(format!("exports no hook that this host knows ({known})"));
    }
    Ok((hooks, state_transfer))
}

fn unknown_hook(name: &str) -> String {
    let known = HOOKS.join(", ");
    format!("exports {name}, a hook that this host does not know; it knows {known}")
}

/// `portcullis:plugin/log@0.1.3` is `log`; another package is `None`; another version is an error.
fn our_interface(name: &str) -> Result<Option<&str>, String> {
    let Some(rest) = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) else {
        return Ok(None);
    };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let compatible = version
        .strip_prefix("0.1.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()));
    if !compatible {
        return Err(format!("wants {PACKAGE}@{version}, host has {VERSION}"));
    }
    Ok(Some(interface))
}

#[cfg(test)]
mod tests;
