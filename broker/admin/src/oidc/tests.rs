//! The whole flow against a provider that this test plays, with good and with bad answers.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::{Router, http::Request, routing};
use http_body_util::BodyExt;
use jsonwebtoken::{EncodingKey, Header, jwk::JwkSet};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tower::ServiceExt;

use super::*;
use crate::{
    audit::Audit,
    directory::User,
    listener::{Bounds, accept},
    tests::{Reply, fakes::Fakes, send, shared},
};

/// A key of the provider.
struct Key {
    pkcs8: Vec<u8>,
    jwk: Value,
}

impl Key {
    fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": part(1..33), "y": part(33..65) });
        Self { pkcs8: pair.to_pkcs8v1().unwrap().as_ref().to_vec(), jwk }
    }

    fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = kid.map(str::to_owned);
        let key = EncodingKey::from_ec_der(&self.pkcs8);
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

const ISSUER: &str = "https://id.example";

fn claims(nonce: &str) -> Value {
    let now = unix_now();
    json!({ "iss": ISSUER, "aud": "broker", "sub": "1", "exp": now + 60, "iat": now,
        "nonce": nonce, "email": "eve@example.com", "email_verified": true,
        "groups": ["staff", "other"] })
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims("n");
    claims[claim] = value;
    claims
}

#[test]
fn a_token_is_good_or_says_why_not() {
    let (key, other) = (Key::new("one"), Key::new("one"));
    let keys: JwkSet = serde_json::from_value(json!({ "keys": [key.jwk] })).unwrap();
    let expected = id_token::Expected {
        issuer: ISSUER,
        client_id: "broker",
        nonce: "n",
        now_unix: unix_now(),
    };
    let verify = |token: &str| id_token::verify(token, &keys, &expected);
    for kid in [Some("one"), None] {
        let claims = verify(&key.sign(kid, &claims("n"))).unwrap();
        assert_eq!(claims.text("email"), Some("eve@example.com"));
        assert_eq!(claims.texts("groups"), ["staff", "other"]);
    }
    assert!(verify(&key.sign(None, &with("aud", json!(["broker"])))).is_ok());
    let several = || with("aud", json!(["broker", "x"]));
    let mut good = several();
    good["azp"] = json!("broker");
    assert!(verify(&key.sign(None, &good)).is_ok());
    let now = unix_now();
    for (claims, what) in [
        (claims("m"), "nonce"),
        (with("nonce", Value::Null), "nonce"),
        (with("iss", json!("https://evil.example")), "InvalidIssuer"),
        (with("aud", json!("other")), "InvalidAudience"),
        (with("exp", json!(now - 31)), "ExpiredSignature"),
        (with("exp", Value::Null), "exp"),
        (with("nbf", json!(now + 60)), "ImmatureSignature"),
        (with("iat", json!(now + 60)), "in the future"),
        (with("azp", json!("other")), "azp"),
        (several(), "azp"),
    ] {
        let error = verify(&key.sign(Some("one"), &claims)).unwrap_err();
        assert!(error.contains(what) || what == "exp", "{what}: {error}");
    }
    let good = claims("n");
    assert!(verify(&other.sign(Some("one"), &good)).unwrap_err().contains("InvalidSignature"));
    assert!(verify(&key.sign(Some("two"), &good)).unwrap_err().contains("no such key"));
    // The public key as a shared secret, and no signature at all.
    let secret = EncodingKey::from_secret(key.jwk["x"].as_str().unwrap().as_bytes());
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("one".to_owned());
    let forged = jsonwebtoken::encode(&header, &good, &secret).unwrap();
    assert!(verify(&forged).unwrap_err().contains("not for"));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none", "kid": "one" })), part(&good));
    assert!(verify(&unsigned).is_err());
    assert!(verify("").is_err() && verify("a.b.c").is_err());
}

/// The provider that this test plays.
#[derive(Clone)]
struct Fake {
    address: SocketAddr,
    key: Arc<Key>,
    /// Claims beside the good ones, or in their place.
    claims: Arc<Mutex<Value>>,
    /// What was asked for at the token endpoint.
    asked: Arc<Mutex<Vec<(String, String)>>>,
    nonce: Arc<Mutex<String>>,
    _stop: Arc<watch::Sender<bool>>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let fake = Self {
            address,
            key: Arc::new(Key::new("k")),
            claims: Arc::new(Mutex::new(json!({}))),
            asked: Arc::default(),
            nonce: Arc::default(),
            _stop: Arc::new(stop),
        };
        let (issuer, jwk) = (fake.issuer(), fake.key.jwk.clone());
        let document = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "authorization_endpoint": format!("{issuer}/auth?fixed=1"),
            "token_endpoint": format!("{issuer}/token") });
        let answer = |value: Value| async move { value.to_string() };
        let tokens = fake.clone();
        let router = Router::new()
            .route("/.well-known/openid-configuration", routing::get(move || answer(document)))
            .route("/keys", routing::get(move || answer(json!({ "keys": [jwk] }))))
            .route(
                "/token",
                routing::post(move |headers: HeaderMap, body: String| async move {
                    let by = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
                    tokens.asked.lock().unwrap().push((by, body));
                    let mut claims = claims(&tokens.nonce.lock().unwrap());
                    claims["iss"] = json!(tokens.issuer());
                    for (name, value) in tokens.claims.lock().unwrap().as_object().unwrap() {
                        claims[name] = value.clone();
                    }
                    json!({ "id_token": tokens.key.sign(Some("k"), &claims) }).to_string()
                }),
            );
        tokio::spawn(accept(listener, router, Bounds::default(), stopped));
        fake
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: self.issuer(),
            client_id: "broker".to_owned(),
            client_secret: Some(Zeroizing::new("se cret".to_owned())),
            scopes: vec!["email".to_owned()],
            redirect_url: "http://localhost:9883/api/v1/login/oidc/callback".to_owned(),
            user_claim: "email".to_owned(),
            roles_claim: "groups".to_owned(),
            roles: BTreeMap::from([("staff".to_owned(), vec!["auditor".to_owned()])]),
            ca: None,
        }
    }
}

/// The API with this provider.
struct House {
    fake: Fake,
    shared: Arc<Shared>,
    router: Router,
}

impl House {
    async fn new() -> Self {
        let fake = Fake::start().await;
        let mut shared = shared(&Fakes::new());
        shared.audit = Audit::nowhere();
        shared.oidc = Some(Oidc::new(fake.config()).unwrap());
        let shared = Arc::new(shared);
        Self { fake, router: crate::routes::router(Arc::clone(&shared)), shared }
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> Reply {
        let mut request = Request::get(path).header(header::HOST, "localhost:9883");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        send(&self.router, request.body(Body::empty()).unwrap()).await
    }

    /// Leaves for the provider: the cookie, and the state.
    async fn leave(&self, path: &str) -> (String, String) {
        let reply = self.get(path, None).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
        let location = reply.headers[header::LOCATION].to_str().unwrap();
        let url = reqwest::Url::parse(location).unwrap();
        let said: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert!(location.starts_with(&format!("{}/auth?fixed=1&", self.fake.issuer())));
        assert_eq!(said["scope"], "openid email");
        assert_eq!((&*said["response_type"], &*said["code_challenge_method"]), ("code", "S256"));
        *self.fake.nonce.lock().unwrap() = said["nonce"].clone();
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        assert_eq!(rest, "Path=/api/v1/login/oidc; Max-Age=600; HttpOnly; SameSite=Lax");
        (pair.to_owned(), said["state"].clone())
    }

    async fn come_back(&self, state: &str, cookie: &str) -> Reply {
        let path =
            format!("/api/v1/login/oidc/callback?code=the+code&state={state}&session_state=x");
        self.get(&path, Some(cookie)).await
    }
}

#[tokio::test]
async fn who_comes_back_from_the_provider_is_logged_in() {
    let house = House::new().await;
    let (cookie, state) = house.leave("/api/v1/login/oidc?next=/clients%3Fa%3D%221").await;
    let reply = house.come_back(&state, &cookie).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(reply.text.contains("content=\"0;url=/clients?a=&quot;1\""), "{}", reply.text);
    let session = reply.headers.get_all(header::SET_COOKIE).iter().next().unwrap();
    let session = session.to_str().unwrap();
    assert!(session.ends_with("; HttpOnly; SameSite=Strict"), "{session}");
    let pair = session.split_once("; ").unwrap().0;
    let me = house.get("/api/v1/login", Some(pair)).await.json();
    assert_eq!((&me["user"], &me["roles"]), (&json!("eve@example.com"), &json!(["auditor"])));
    assert!(me["csrf"].as_str().is_some());
    let asked = house.fake.asked.lock().unwrap().clone();
    let (by, form) = &asked[0];
    assert_eq!(
        *by,
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("broker:se%20cret"))
    );
    for part in ["grant_type=authorization_code", "code=the%20code", "code_verifier="] {
        assert!(form.contains(part), "{form}");
    }
    // Once.
    house.come_back(&state, &cookie).await.problem(401, "unauthorized");
    assert_eq!(house.fake.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn only_the_browser_that_left_comes_back() {
    let house = House::new().await;
    let (cookie, state) = house.leave("/api/v1/login/oidc").await;
    let (other, _) = house.leave("/api/v1/login/oidc").await;
    house.come_back(&state, "").await.problem(401, "unauthorized");
    house.come_back(&state, &other).await.problem(401, "unauthorized");
    house.come_back("", &cookie).await.problem(401, "unauthorized");
    // That try was the one that it had.
    house.come_back(&state, &cookie).await.problem(401, "unauthorized");
    for tail in ["state={}", "state={}&error=access_denied", "state={}&code=x&iss=http://evil"] {
        let (cookie, state) = house.leave("/api/v1/login/oidc").await;
        let path = format!("/api/v1/login/oidc/callback?{}", tail.replace("{}", &state));
        house.get(&path, Some(&cookie)).await.problem(401, "unauthorized");
    }
    assert!(house.fake.asked.lock().unwrap().is_empty(), "the provider was asked for nothing");
    for next in ["//evil.example", "https://evil.example", "x"] {
        let path = format!("/api/v1/login/oidc?next={next}");
        house.get(&path, None).await.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn what_the_provider_says_has_to_fit() {
    let house = House::new().await;
    for (claims, status, kind) in [
        (json!({ "nonce": "other" }), 401, "unauthorized"),
        (json!({ "email": null }), 401, "unauthorized"),
        (json!({ "email_verified": false }), 401, "unauthorized"),
        (json!({ "email_verified": null }), 401, "unauthorized"),
        (json!({ "aud": "other" }), 401, "unauthorized"),
        (json!({ "groups": ["nobody"] }), 403, "forbidden"),
        (json!({ "groups": {} }), 403, "forbidden"),
    ] {
        *house.fake.claims.lock().unwrap() = claims;
        let (cookie, state) = house.leave("/api/v1/login/oidc").await;
        let reply = house.come_back(&state, &cookie).await;
        reply.problem(status, kind);
        assert!(!reply.headers.contains_key(header::SET_COOKIE));
    }
    *house.fake.claims.lock().unwrap() = json!({ "groups": "staff", "email": "local" });
    let user = User {
        password: String::new(),
        roles: Vec::new(),
        disabled: true,
        totp: None,
        created_unix: 0,
    };
    let kept = house.shared.directory.change(|kept| {
        kept.users.insert("local".to_owned(), user);
        Ok(())
    });
    kept.unwrap();
    let (cookie, state) = house.leave("/api/v1/login/oidc").await;
    house.come_back(&state, &cookie).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_another_is_said() {
    let fake = Fake::start().await;
    let mut config = fake.config();
    config.issuer.push('/');
    for config in [config, OidcConfig { issuer: "http://127.0.0.1:1".to_owned(), ..fake.config() }]
    {
        let mut shared = shared(&Fakes::new());
        shared.oidc = Some(Oidc::new(config).unwrap());
        let router = crate::routes::router(Arc::new(shared));
        let request = Request::get("/api/v1/login/oidc").header(header::HOST, "localhost:9883");
        let request = request.body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        response.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_configured_is_checked() {
    let fake = Fake::start().await;
    let good = fake.config();
    good.check().unwrap();
    let change = |change: fn(&mut OidcConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config.check().unwrap_err().key
    };
    assert_eq!(change(|c| "http://id.example".clone_into(&mut c.issuer)), "issuer");
    assert_eq!(change(|c| "id.example".clone_into(&mut c.issuer)), "issuer");
    assert_eq!(change(|c| "https://a.example/x".clone_into(&mut c.redirect_url)), "redirect_url");
    assert_eq!(change(|c| c.client_id.clear()), "client_id");
    assert_eq!(change(|c| c.roles.clear()), "map");
    assert!(!format!("{good:?}").contains("cret"));
}
