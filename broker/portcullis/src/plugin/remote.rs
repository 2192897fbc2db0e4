//! `portcullis plugin list` and `plugin push`: plugins of a running broker, over its admin API.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    api::{Broker, Content, Request, printable, strange},
    failure::Failure,
    stages,
};

/// Media type of a component.
pub(crate) const COMPONENT: &str = "application/wasm";
/// Header with what `NAME.sig` says, in base64.
const SIGNATURE: &str = "Portcullis-Signature";

/// Prints a line for each plugin.
pub(crate) async fn list(broker: &Broker) -> Result<(), Failure> {
    let answer = broker.ask("GET", "/api/v1/plugins", None).await?;
    let plugins = answer.get("plugins").and_then(Value::as_array);
    let plugins = plugins.ok_or_else(|| strange("plugins"))?;
    if plugins.is_empty() {
        println!("there is no plugin: everybody is refused");
    }
    for plugin in plugins {
        println!("{}", line(plugin));
    }
    Ok(())
}

/// Stores a component under `name`, or the name of its file, with the signature that lies beside it, and
/// waits until it is live.
pub(crate) async fn push(
    broker: &Broker,
    file: &Path,
    name: Option<String>,
) -> Result<(), Failure> {
    let stem = || file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let name = name.or_else(stem).unwrap_or_default();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(good) {
        let what = format!("{name:?} is no name, allowed: 1 to 64 letters, digits, '-' and '_'");
        return Err(Failure::Usage(format!("{what}; --name NAME gives it another one")));
    }
    let request = Request::new("PUT", format!("/api/v1/plugins/{name}"));
    let answer = stages::upload(broker, component(request, file)?).await?.whole().await?;
    let plugin = serde_json::from_slice(&answer).map_err(|_| strange("JSON"))?;
    println!("{}", line(&plugin));
    Ok(())
}

/// A request with a component, and the signature that lies beside its file.
pub(crate) fn component(request: Request, file: &Path) -> Result<Request, Failure> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
    };
    let wasm = Content { media_type: COMPONENT, bytes: read(file)?.into() };
    let mut request = request.with(Some(wasm));
    let signature = file.with_extension("sig");
    if signature.exists() {
        request.headers.push((SIGNATURE, BASE64_STANDARD.encode(read(&signature)?)));
    }
    Ok(request)
}

/// `NAME STATE GENERATION VERSION`, and what is wrong with it.
fn line(plugin: &Value) -> String {
    let text = |path: &str| plugin.pointer(path).and_then(Value::as_str);
    let word = |path: &str| text(path).unwrap_or("-");
    let version = word("/described/version");
    let generation = word("/generation");
    let generation = generation.get(..12).unwrap_or(generation);
    let mut line =
        format!("{:<24} {:<18} {generation:<12} {version}", word("/name"), word("/state"));
    if let Some(error) = text("/error") {
        line.push_str("  ");
        // What a plugin says of itself is not this terminal's business.
        line.push_str(&printable(error));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_a_line() {
        let plugin = serde_json::json!({
            "name": "acl-file", "state": "live_old", "generation": "0123456789abcdef",
            "described": {"name": "acl-file", "version": "0.1.0"}, "error": "bad\u{1b}[31m",
        });
        let shown = line(&plugin);
        let words: Vec<_> = shown.split_whitespace().collect();
        assert_eq!(words, ["acl-file", "live_old", "0123456789ab", "0.1.0", "bad\\u{1b}[31m"]);
        let words = line(&serde_json::json!({"name": "a", "state": "failed"}));
        assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["a", "failed", "-", "-"]);
    }
}
