//! `portcullis keys`: the rings of a running broker over its admin API, and what devices are given, from the files of the
//! operator.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::file;
use crate::{
    api::{Broker, Content, strange},
    config::Config,
    failure::Failure,
};

/// Prints all rings.
pub(crate) async fn list(broker: &Broker) -> Result<(), Failure> {
    let answer = broker.ask("GET", "/api/v1/keys", None).await?;
    let rings = answer.get("rings").and_then(Value::as_array).ok_or_else(|| strange("rings"))?;
    if rings.is_empty() {
        println!("the configuration has no [keys.NAME]");
    }
    for ring in rings {
        print!("{}", lines(ring));
    }
    Ok(())
}

/// Adds a key: the one in a file, or a random one.
pub(crate) async fn add(
    broker: &Broker,
    ring: &str,
    id: Option<u32>,
    value_file: Option<&Path>,
) -> Result<(), Failure> {
    let mut request = serde_json::Map::new();
    request.extend(id.map(|id| ("id".to_owned(), json!(id))));
    if let Some(path) = value_file {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
        request.insert("value".to_owned(), json!(text.trim()));
    }
    let content = Content::json(Value::Object(request).to_string());
    let answer = broker.ask("POST", &path_of(ring)?, Some(content)).await?;
    print!("{}", lines(&answer));
    Ok(())
}

/// Lets another key seal.
pub(crate) async fn rotate(broker: &Broker, ring: &str, id: Option<u32>) -> Result<(), Failure> {
    let query = id.map(|id| format!("?id={id}")).unwrap_or_default();
    let path = format!("{}/rotate{query}", path_of(ring)?);
    print!("{}", lines(&broker.ask("POST", &path, None).await?));
    Ok(())
}

/// Takes a key away.
pub(crate) async fn retire(broker: &Broker, ring: &str, id: u32) -> Result<(), Failure> {
    let path = format!("{}/{id}", path_of(ring)?);
    print!("{}", lines(&broker.ask("DELETE", &path, None).await?));
    Ok(())
}

/// Prints the key of a device.
pub(crate) fn derive(
    config: &Path,
    ring: &str,
    device: &str,
    id: Option<u32>,
) -> Result<(), Failure> {
    let config = Config::load_or_report(config)?;
    let found = config.sources.keys.get(ring);
    let found = found.ok_or_else(|| Failure::Refused(format!("there is no [keys.{ring}]")))?;
    if found.is_managed() {
        let path = file::path(&config.data_dir, ring);
        let content = file::read(&path, found.algorithm()).map_err(Failure::Refused)?;
        let content = content.ok_or_else(|| {
            let path = path.display();
            Failure::Refused(format!("{path} is not there: the broker makes it at its next start"))
        })?;
        let keys = content.keys().map_err(Failure::Refused)?;
        found.replace(keys).map_err(Failure::Refused)?;
    }
    let length = device.len();
    if !(1..=DEVICE_BYTES_MAX).contains(&length) {
        let what = format!("the name has {length} bytes, allowed: 1 to {DEVICE_BYTES_MAX}");
        return Err(Failure::Usage(what));
    }
    let (id, key) = found.key_for(id, device).ok_or_else(|| {
        let ids = found.ids();
        Failure::Refused(format!("[keys.{ring}] has no such key, allowed: {ids:?}"))
    })?;
    let key = Zeroizing::new(BASE64_STANDARD.encode(key.as_slice()));
    println!("{id} {}", *key);
    Ok(())
}

/// Prints a topic that stands for another.
pub(crate) fn pseudonym(
    config: &Path,
    secret: &str,
    topic: &str,
    prefix: &str,
) -> Result<(), Failure> {
    let config = Config::load_or_report(config)?;
    let found = config.sources.secrets.get(secret);
    let found = found.ok_or_else(|| Failure::Refused(format!("there is no [secrets.{secret}]")))?;
    if topic.is_empty() || topic.contains(['+', '#', '\0']) {
        return Err(Failure::Usage(format!("{topic:?} is no topic name")));
    }
    let mac = plugin_host::hmac_sha256(found, format!("{PSEUDONYM}{topic}").as_bytes());
    let mac = mac.ok_or_else(|| Failure::Internal("HMAC failed".to_owned()))?;
    let digits: String = mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    println!("{prefix}/{digits}");
    Ok(())
}

/// As the plugin payload-crypto has it.
const PSEUDONYM: &str = "portcullis-topic-1/";
/// What the host takes for a context.
const DEVICE_BYTES_MAX: usize = 1_024;

fn path_of(ring: &str) -> Result<String, Failure> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !(1..=64).contains(&ring.len()) || !ring.bytes().all(good) {
        let what = format!("{ring:?} is no name, allowed: 1 to 64 letters, digits, '-' and '_'");
        return Err(Failure::Usage(what));
    }
    Ok(format!("/api/v1/keys/{ring}"))
}

/// A line for the ring, one for each key below it.
fn lines(ring: &Value) -> String {
    let text = |of: &Value, key: &str| {
        of.get(key).and_then(Value::as_str).unwrap_or("-").replace(char::is_control, "?")
    };
    let managed = ring.get("managed").and_then(Value::as_bool).unwrap_or_default();
    let whose = if managed { "managed" } else { "configured" };
    let mut lines = format!("{} {} {whose}\n", text(ring, "name"), text(ring, "algorithm"));
    for key in ring.get("keys").and_then(Value::as_array).into_iter().flatten() {
        let number = |name: &str| key.get(name).and_then(Value::as_u64);
        let id = number("id").unwrap_or_default();
        lines.push_str(&format!("  {id} {}", text(key, "state")));
        for (name, word) in [("created_unix", "made"), ("retired_unix", "retired")] {
            if let Some(at) = number(name) {
                lines.push_str(&format!(" {word}={at}"));
            }
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_some_lines() {
        let ring = json!({
            "name": "devices", "algorithm": "aes-256-gcm", "managed": true, "keys": [
                { "id": 2, "state": "seals", "created_unix": 5, "retired_unix": null },
                { "id": 1, "state": "retired\u{1b}", "created_unix": 3, "retired_unix": 4 },
            ],
        });
        let expected =
            "devices aes-256-gcm managed\n  2 seals made=5\n  1 retired? made=3 retired=4\n";
        assert_eq!(lines(&ring), expected);
    }

    #[test]
    fn a_ring_is_a_name() {
        assert_eq!(path_of("a-B_1").unwrap(), "/api/v1/keys/a-B_1");
        for name in ["", "a/b", "a?b", "ä", "..", &"a".repeat(65)] {
            assert!(path_of(name).is_err(), "{name:?}");
        }
    }
}
