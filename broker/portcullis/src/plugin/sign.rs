//! `portcullis plugin keygen` and `plugin sign`: whoever made a plugin says so.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use plugin_host::Signed;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Makes a key pair; an existing file is left alone.
pub(crate) fn keygen(path: &Path) -> Result<(), Failure> {
    let (private, public) = plugin_host::new_key().map_err(Failure::Refused)?;
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    write_new(path, private.as_bytes(), 0o600)?;
    write_new(&public_path, public.as_bytes(), 0o644)?;
    println!(
        "{}: private, keep it where plugins are made\n{}: public, for [plugins] trusted_keys",
        path.display(),
        public_path.display()
    );
    Ok(())
}

fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(contents));
    written.map_err(|error| refused(path, &error))
}

/// Writes `NAME.sig`; what was there is replaced.
pub(crate) fn sign(wasm: &Path, key: &Path) -> Result<(), Failure> {
    let name = wasm.file_stem().and_then(|stem| stem.to_str());
    let (Some(name), Some("wasm")) = (name, wasm.extension().and_then(|ext| ext.to_str())) else {
        let sentence = format!("{}: must be named NAME.wasm", wasm.display());
        return Err(Failure::Refused(sentence));
    };
    let bytes = fs::read(wasm).map_err(|error| refused(wasm, &error))?;
    let manifest_path = wasm.with_extension("toml");
    let manifest = match manifest_path.exists() {
        true => {
            let text = fs::read_to_string(&manifest_path);
            Some(text.map_err(|error| refused(&manifest_path, &error))?)
        }
        false => None,
    };
    let private = Zeroizing::new(fs::read_to_string(key).map_err(|error| refused(key, &error))?);
    let signed = Signed { name, wasm: &bytes, manifest: manifest.as_deref() };
    let line = plugin_host::sign(&private, signed)
        .map_err(|error| Failure::Refused(format!("{} {error}", key.display())))?;
    let path = wasm.with_extension("sig");
    fs::write(&path, line).map_err(|error| refused(&path, &error))?;
    let with = if manifest.is_some() { "with its manifest" } else { "without a manifest" };
    println!("{}: signs {} {with}", path.display(), wasm.display());
    Ok(())
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}
