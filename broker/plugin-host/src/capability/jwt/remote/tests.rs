//! A set at a URL: fetched once, kept, replaced, and never asked for more often than it should be.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use jsonwebtoken::Header;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{
    super::{
        Error, KeySource, Keys, Ready, Verifier,
        tests::{claims, jwk, settings, signed},
    },
    *,
};

const RSA: &str = include_str!("../keys/rsa.pem");
const EC: &str = include_str!("../keys/ec.pem");
const AUTHORITY: &str = include_str!("../../../tests/lent/tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../tests/lent/tls/localhost.pem");
const KEY: &[u8] = include_bytes!("../../../tests/lent/tls/localhost-key.pem");

/// An issuer that answers what it was told to.
#[derive(Clone)]
struct Idp {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    /// Head without its end, and body; `None` = nothing at all.
    says: Arc<Mutex<Option<(String, String)>>>,
    serving: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Idp {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, says, serving) = (Arc::default(), Arc::default(), Arc::default());
        let idp = Self { address, asked, says, serving };
        idp.serve(listener, tls);
        idp
    }

    /// Nobody listens any more.
    async fn stop(&self) {
        let serving = self.serving.lock().take().unwrap();
        serving.abort();
        let _ = serving.await;
    }

    /// After [`Self::stop`].
    async fn start_again(&self) {
        self.serve(TcpListener::bind(self.address).await.unwrap(), None);
    }

    fn serve(&self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let serving = self.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (idp, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => idp.answer(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                idp.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        *self.serving.lock() = Some(task);
    }

    async fn with(keys: &[Value]) -> Self {
        let idp = Self::start(None).await;
        idp.publish(keys);
        idp
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => asked.push(byte),
                Err(_) => return,
            }
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = self.says.lock().clone();
        let Some((head, body)) = says else { return std::future::pending().await };
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn says(&self, head: &str, body: &str) {
        *self.says.lock() = Some((head.to_owned(), body.to_owned()));
    }

    fn publish(&self, keys: &[Value]) {
        self.says("200 OK", &json!({"keys": keys}).to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn url(&self) -> KeyUrl {
        KeyUrl {
            url: format!("http://{}/keys", self.address),
            ca: None,
            refresh: HOUR,
            stale_max: HOUR,
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// As the broker has it, but for the time that a test would have to wait.
const TEST: Pace = Pace { at_most: Duration::from_secs(10), ..PACE };
/// Every question is a request.
const EAGER: Pace = Pace { apart: Duration::ZERO, first_apart: Duration::ZERO, ..TEST };

fn verifier(url: &KeyUrl, pace: Pace) -> Arc<Verifier> {
    let algorithms = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256].to_vec();
    let remote = Remote::with_pace(url, algorithms, pace).unwrap();
    let settings = settings(KeySource::Url(url.clone()), &["RS256", "PS256", "ES256"]);
    Arc::new(Verifier(Arc::new(Ready { settings, keys: Keys::Fetched(remote) })))
}

fn rsa(id: &str) -> Value {
    jwk(RSA, Algorithm::RS256, id)
}

fn token(algorithm: Algorithm, kid: &str) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    signed(&header, &claims(60))
}

fn by(kid: &str) -> String {
    token(Algorithm::RS256, kid)
}

async fn verify(verifier: &Verifier, token: &str) -> Result<String, Error> {
    verifier.verify(token, Instant::now() + Duration::from_secs(10)).await
}

#[track_caller]
fn unavailable(answer: &Result<String, Error>) {
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
}

#[track_caller]
fn refused(answer: &Result<String, Error>) {
    assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
}

#[tokio::test]
async fn many_tokens_are_one_request() {
    let idp = Idp::with(&[rsa("a"), jwk(EC, Algorithm::ES256, "b")]).await;
    let verifier = verifier(&idp.url(), TEST);
    let mut tokens = JoinSet::new();
    for _ in 0..50 {
        let verifier = Arc::clone(&verifier);
        tokens.spawn(async move { verify(&verifier, &by("a")).await.is_ok() });
    }
    assert!(tokens.join_all().await.into_iter().all(|accepted| accepted));
    assert!(verify(&verifier, &token(Algorithm::ES256, "b")).await.is_ok());
    assert_eq!(idp.asked(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_no_flood_of_requests() {
    let idp = Idp::with(&[rsa("a")]).await;
    let verifier = verifier(&idp.url(), TEST);
    for number in 0..200 {
        refused(&verify(&verifier, &by(&format!("none-{number}"))).await);
    }
    assert_eq!(idp.asked(), 1);
    // Nor is one of good tokens whose issuer is not there.
    let down = Idp::start(None).await;
    down.says("500 Sorry", "");
    let verifier = self::verifier(&down.url(), TEST);
    for _ in 0..200 {
        unavailable(&verify(&verifier, &by("a")).await);
    }
    assert_eq!(down.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_when_it_is_needed() {
    let idp = Idp::with(&[rsa("old")]).await;
    let verifier = verifier(&idp.url(), EAGER);
    assert!(verify(&verifier, &by("old")).await.is_ok());
    idp.publish(&[rsa("new")]);
    assert!(verify(&verifier, &by("old")).await.is_ok(), "nothing says that it is gone");
    assert!(verify(&verifier, &by("new")).await.is_ok());
    assert_eq!(idp.asked(), 2);
    refused(&verify(&verifier, &by("old")).await);
}

#[tokio::test]
async fn a_token_that_could_not_hold_asks_nobody() {
    let idp = Idp::with(&[rsa("a")]).await;
    let verifier = verifier(&idp.url(), EAGER);
    for (claim, value) in [("iss", json!("other")), ("aud", json!(["other"])), ("exp", json!(1))] {
        let mut claims = claims(60);
        claims[claim] = value;
        let header = Header { kid: Some("none".to_owned()), ..Header::new(Algorithm::RS256) };
        refused(&verify(&verifier, &signed(&header, &claims)).await);
    }
    assert_eq!(idp.asked(), 0);
    let mut claims = claims(60);
    claims["aud"] = json!(["other", "broker"]);
    let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::RS256) };
    assert!(verify(&verifier, &signed(&header, &claims)).await.is_ok());
}

#[tokio::test]
async fn an_unknown_key_is_refused_only_after_newer_ones_were_seen() {
    let idp = Idp::with(&[rsa("old")]).await;
    let verifier = verifier(&idp.url(), EAGER);
    assert!(verify(&verifier, &by("old")).await.is_ok());
    idp.says("500 Sorry", "");
    unavailable(&verify(&verifier, &by("new")).await);
    assert!(verify(&verifier, &by("old")).await.is_ok());
    idp.publish(&[rsa("old"), rsa("new")]);
    assert!(verify(&verifier, &by("new")).await.is_ok());
    refused(&verify(&verifier, &by("none")).await);
    // It stands still: some wait, the others are not kept.
    *idp.says.lock() = None;
    let mut tokens = JoinSet::new();
    for _ in 0..WAITING_MAX + 1 {
        let verifier = Arc::clone(&verifier);
        tokens.spawn(async move { verify(&verifier, &by("newest")).await });
    }
    unavailable(&tokens.join_next().await.unwrap().unwrap());
    assert_eq!(tokens.len(), WAITING_MAX);
    assert!(verify(&verifier, &by("new")).await.is_ok(), "nor is who has a known key");
}

#[tokio::test]
async fn an_issuer_that_was_not_reached_is_found_when_it_is_back() {
    let idp = Idp::with(&[rsa("old")]).await;
    let pace = Pace { first_apart: Duration::ZERO, ..TEST };
    let verifier = verifier(&idp.url(), pace);
    assert!(verify(&verifier, &by("old")).await.is_ok());
    // What was asked, whatever came of it, is not asked again for a while.
    verifier_tried_long_ago(&verifier);
    idp.says("500 Sorry", "");
    unavailable(&verify(&verifier, &by("new")).await);
    idp.publish(&[rsa("new")]);
    unavailable(&verify(&verifier, &by("new")).await);
    verifier_tried_long_ago(&verifier);
    idp.stop().await;
    unavailable(&verify(&verifier, &by("new")).await);
    idp.start_again().await;
    assert!(verify(&verifier, &by("new")).await.is_ok());
}

/// As if the last request had been made long ago.
fn verifier_tried_long_ago(verifier: &Verifier) {
    let Keys::Fetched(remote) = &verifier.0.keys else { panic!("its keys are given") };
    let mut fetched = remote.0.fetched.lock();
    fetched.tried = fetched.tried.and_then(|tried| tried.checked_sub(2 * TEST.apart));
}

#[tokio::test]
async fn old_keys_are_good_until_they_are_too_old() {
    let idp = Idp::with(&[rsa("a")]).await;
    let always = KeyUrl { refresh: Duration::ZERO, ..idp.url() };
    let verifier = verifier(&always, EAGER);
    assert!(verify(&verifier, &by("a")).await.is_ok());
    for (head, body) in [("500 Sorry", ""), ("200 OK", "nonsense"), ("200 OK", "{\"keys\":[]}")] {
        let before = idp.asked();
        idp.says(head, body);
        assert!(verify(&verifier, &by("a")).await.is_ok(), "{head} {body}");
        assert!(idp.asked() > before, "it was asked");
    }
    let short = KeyUrl { stale_max: Duration::from_millis(200), ..always };
    idp.publish(&[rsa("a")]);
    let verifier = self::verifier(&short, EAGER);
    assert!(verify(&verifier, &by("a")).await.is_ok());
    idp.says("500 Sorry", "");
    let began = Moment::now();
    while verify(&verifier, &by("a")).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "they are never too old");
    }
    unavailable(&verify(&verifier, &by("a")).await);
    idp.publish(&[rsa("a")]);
    assert!(verify(&verifier, &by("a")).await.is_ok(), "it is back");
}

#[tokio::test]
async fn redirects_stay_on_the_server() {
    let idp = Idp::with(&[]).await;
    let other = Idp::with(&[rsa("a")]).await;
    idp.says(&format!("302 Go\r\nlocation: {}", other.url().url), "");
    unavailable(&verify(&verifier(&idp.url(), TEST), &by("a")).await);
    assert_eq!((idp.asked(), other.asked()), (1, 0));
    idp.says("302 Go\r\nlocation: /again", "");
    unavailable(&verify(&verifier(&idp.url(), TEST), &by("a")).await);
    assert_eq!(idp.asked(), 1 + 1 + REDIRECTS_MAX);
    let moved = Arc::clone(&idp.says);
    let set = json!({"keys": [rsa("a")]}).to_string();
    let verifier = verifier(&idp.url(), TEST);
    // The second request, after the redirect, is answered with the set.
    let asked = idp.asked();
    let answer = async {
        while idp.asked() == asked {
            tokio::task::yield_now().await;
        }
        *moved.lock() = Some(("200 OK".to_owned(), set));
    };
    let (accepted, ()) = tokio::join!(async { verify(&verifier, &by("a")).await.is_ok() }, answer);
    assert!(accepted);
}

#[tokio::test]
async fn size_and_time_are_bounded() {
    let idp = Idp::start(None).await;
    let padding = "x".repeat(SET_BYTES_MAX);
    idp.says("200 OK", &json!({"keys": [rsa("a")], "padding": padding}).to_string());
    unavailable(&verify(&verifier(&idp.url(), TEST), &by("a")).await);
    let hangs = Idp::start(None).await;
    let short = Pace { at_most: Duration::from_millis(50), ..TEST };
    unavailable(&verify(&verifier(&hangs.url(), short), &by("a")).await);
    // Who asks does not wait longer than its call may take.
    let patient = verifier(&hangs.url(), TEST);
    let until = Instant::now() + Duration::from_millis(150);
    unavailable(&patient.verify(&by("a"), until).await);
    assert!(Instant::now() <= until, "there is time left for an answer");
    let many: Vec<_> = (0..65).map(|number| rsa(&number.to_string())).collect();
    idp.publish(&many);
    unavailable(&verify(&verifier(&idp.url(), TEST), &by("0")).await);
}

#[tokio::test]
async fn a_key_is_used_for_what_it_says_and_is_public() {
    let secret = json!({"kty": "oct", "kid": "s", "k": "c2hhcmVk", "alg": "HS256"});
    let unknown = json!({"kty": "PQC", "kid": "q"});
    let encryption = {
        let mut key = rsa("e");
        key["use"] = json!("enc");
        key
    };
    let idp = Idp::with(&[secret.clone(), unknown, encryption, rsa("a")]).await;
    let verifier = verifier(&idp.url(), TEST);
    assert!(verify(&verifier, &by("a")).await.is_ok());
    refused(&verify(&verifier, &token(Algorithm::PS256, "a")).await);
    refused(&verify(&verifier, &by("e")).await);
    refused(&verify(&verifier, &token(Algorithm::HS256, "s")).await);
    let idp = Idp::with(&[secret]).await;
    unavailable(&verify(&self::verifier(&idp.url(), TEST), &token(Algorithm::HS256, "s")).await);
}

#[tokio::test]
async fn servers_prove_their_name() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let idp = Idp::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    idp.publish(&[rsa("a")]);
    let port = idp.address.port();
    let at = |host: &str, ca: Option<&str>| KeyUrl {
        url: format!("https://{host}:{port}/"),
        ca: ca.map(str::to_owned),
        ..idp.url()
    };
    let good = verifier(&at("localhost", Some(AUTHORITY)), TEST);
    assert!(verify(&good, &by("a")).await.is_ok());
    for wrong in [at("127.0.0.1", Some(AUTHORITY)), at("localhost", None)] {
        unavailable(&verify(&verifier(&wrong, TEST), &by("a")).await);
    }
    assert_eq!(idp.asked(), 1);
}

#[test]
fn what_is_no_place_for_keys() {
    let fails = |url: &str, ca: Option<&str>, algorithm: Algorithm, what: &str| {
        let ca = ca.map(str::to_owned);
        let url = KeyUrl { url: url.to_owned(), ca, refresh: HOUR, stale_max: HOUR };
        let error = Remote::new(&url, vec![algorithm]).err().unwrap();
        assert!(error.contains(what), "{error}, wanted {what}");
    };
    let rs = Algorithm::RS256;
    fails("nonsense", None, rs, "jwks_url");
    fails("http://idp.example/keys", None, rs, "allowed: https:");
    fails("https://user:word@idp.example/", None, rs, "allowed: https:");
    fails("file:///etc/keys", None, rs, "allowed: https:");
    fails("http://127.0.0.1/", Some(AUTHORITY), rs, "no TLS");
    fails("https://idp.example/", Some("nonsense"), rs, "no certificate");
    fails("https://idp.example/", None, Algorithm::HS256, "not for HS256");
}
