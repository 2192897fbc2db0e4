//! `portcullis plugin list` and `plugin push`: plugins of a running broker, over its admin API. How commands ask that API is
//! here too.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// A token is 43 characters; a file that is longer is another one.
const TOKEN_BYTES_MAX: u64 = 1024;
/// Of an answer: what it says of some thousand plugins.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// The broker compiles what is uploaded, and gives up on that after a minute.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// Header with what `NAME.sig` says, in base64.
const SIGNATURE: &str = "Portcullis-Signature";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Which broker, and how to be let in.
#[derive(Debug)]
pub(crate) struct Broker {
    /// `http://IP:PORT` of its admin API.
    pub(crate) url: String,
    /// File with the token.
    pub(crate) token_file: PathBuf,
}

/// What goes with a request.
pub(crate) enum Content {
    /// What is pushed.
    Component {
        wasm: Vec<u8>,
        /// `NAME.sig` that lies beside it.
        signature: Option<Vec<u8>>,
    },
    Json(String),
}

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
    let read = |path: &Path| {
        fs::read(path).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
    };
    let wasm = read(file)?;
    let signature = file.with_extension("sig");
    let signature = signature.exists().then(|| read(&signature)).transpose()?;
    let path = format!("/api/v1/plugins/{name}");
    let plugin = broker.ask("PUT", &path, Some(Content::Component { wasm, signature })).await?;
    println!("{}", line(&plugin));
    Ok(())
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
        line.extend(error.chars().flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        }));
    }
    line
}

pub(crate) fn strange(what: &str) -> Failure {
    Failure::Refused(format!("the answer has no {what}: is this the admin API of portcullis?"))
}

impl Broker {
    /// Sends a request; anything but success is what the broker says is wrong.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        content: Option<Content>,
    ) -> Result<Value, Failure> {
        let (status, body) = self.answer(method, path, content).await?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match json {
            Some(json) if status.is_success() => Ok(json),
            Some(json) => {
                let detail =
                    json.get("detail").and_then(Value::as_str).unwrap_or("no reason is told");
                Err(Failure::Refused(format!("{status}: {detail}")))
            }
            None => Err(strange("JSON")),
        }
    }

    /// The text behind a path.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let (status, body) = self.answer("GET", path, None).await?;
        let text = String::from_utf8(body.to_vec()).map_err(|_| strange("text"))?;
        if status.is_success() { Ok(text) } else { Err(Failure::Refused(status.to_string())) }
    }

    async fn answer(
        &self,
        method: &str,
        path: &str,
        content: Option<Content>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let authority = self.authority()?;
        let token = self.token()?;
        let at = |error: &dyn std::fmt::Display| Failure::Refused(format!("{}: {error}", self.url));
        let connecting = TcpStream::connect(&*authority);
        let stream = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
        let stream = stream.map_err(|_| at(&"does not answer"))?.map_err(|error| at(&error))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", &*token))
            .map_err(|_| self.no_token("holds what is no token"))?;
        value.set_sensitive(true);
        let mut request = Request::builder().method(method).uri(path).header(HOST, &*authority);
        request = request.header(AUTHORIZATION, value);
        let body = match content {
            None => Bytes::new(),
            Some(Content::Json(text)) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(text)
            }
            Some(Content::Component { wasm, signature }) => {
                request = request.header(CONTENT_TYPE, "application/wasm");
                if let Some(signature) = signature {
                    request = request.header(SIGNATURE, BASE64_STANDARD.encode(signature));
                }
                Bytes::from(wasm)
            }
        };
        let body = Full::new(body);
        let request = request.body(body).map_err(|error| at(&error))?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange(stream, request)).await;
        answer.map_err(|_| at(&"no answer in time"))?.map_err(|it| at(&it))
    }

    /// Host and port. The token is a secret, so that only this machine may be spoken to in the
    /// clear.
    fn authority(&self) -> Result<String, Failure> {
        let usage = |what: &str| {
            let allowed = "allowed: http://127.0.0.1:PORT or another loopback address; a broker on \
                           another machine is reached through a tunnel, as of ssh -L";
            Failure::Usage(format!("--url {}: {what}, {allowed}", self.url))
        };
        let uri: Uri = self.url.parse().map_err(|_| usage("is no URL"))?;
        let host = uri.host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = |address: &str| {
            address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(usage("is not the admin API"));
        }
        if host != "localhost" && !is_loopback(address) {
            return Err(usage("is another machine"));
        }
        Ok(format!("{host}:{}", uri.port_u16().unwrap_or(9883)))
    }

    fn token(&self) -> Result<Zeroizing<String>, Failure> {
        let mut text = Zeroizing::new(String::new());
        let read = fs::File::open(&self.token_file)
            .and_then(|file| file.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text));
        read.map_err(|error| self.no_token(&error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || text.len() as u64 > TOKEN_BYTES_MAX {
            return Err(self.no_token("holds no token"));
        }
        Ok(Zeroizing::new(token.to_owned()))
    }

    fn no_token(&self, what: &str) -> Failure {
        let path = self.token_file.display();
        Failure::Refused(format!(
            "{path}: {what}; --token-file names DATA_DIR/admin.token of the broker"
        ))
    }
}

async fn exchange(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let conversation = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves while the conversation waits, and ends with it.
    tokio::pin!(conversation, connection);
    tokio::select! {
        done = &mut conversation => done,
        _ = &mut connection => conversation.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(url: &str, token_file: &Path) -> Broker {
        Broker { url: url.to_owned(), token_file: token_file.to_owned() }
    }

    /// The token would be read by everybody on the way.
    #[test]
    fn another_machine_is_not_spoken_to() {
        let here = |url: &str| broker(url, Path::new("x")).authority();
        assert_eq!(here("http://127.0.0.1:9000").unwrap(), "127.0.0.1:9000");
        assert_eq!(here("http://[::1]").unwrap(), "[::1]:9883");
        assert_eq!(here("http://localhost/").unwrap(), "localhost:9883");
        for url in [
            "http://192.0.2.1:9883",
            "http://broker.example:9883",
            "https://127.0.0.1:9883",
            "127.0.0.1:9883",
            "http://127.0.0.1:9883/api",
            "http://127.0.0.1.example",
        ] {
            let failure = here(url).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{url}");
        }
    }

    #[test]
    fn tokens_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = || broker("http://127.0.0.1", &path).token();
        assert!(token().unwrap_err().to_string().contains("--token-file names"));
        fs::write(&path, "abc\n").unwrap();
        assert_eq!(&**token().unwrap(), "abc");
        for none in [String::new(), " \n".to_owned(), "x".repeat(1025)] {
            fs::write(&path, none).unwrap();
            assert!(token().unwrap_err().to_string().contains("holds no token"));
        }
    }

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
