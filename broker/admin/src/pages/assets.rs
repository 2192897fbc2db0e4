//! Style sheet, scripts and pictures of the pages, inside the program.
//!
//! Knows nothing of pages. All files lie in one folder whose name is a hash over them, so that a
//! browser may keep them for ever and never mixes two versions.

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{
    call::{Answer, Call},
    problem::Problem,
};

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../../assets/", $name)))
    };
}

static FILES: &[(&str, &str, &[u8])] = &[
    file!("style.css", STYLE),
    file!("theme.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("dialog.js", SCRIPT),
    file!("forms.js", SCRIPT),
    file!("stages.js", SCRIPT),
    file!("qr.js", SCRIPT),
    file!("keys.js", SCRIPT),
    file!("live.js", SCRIPT),
    file!("chart.js", SCRIPT),
    file!("tail.js", SCRIPT),
    file!("login.js", SCRIPT),
    file!("icons.svg", PICTURE),
    file!("mark.svg", PICTURE),
];

static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, _, bytes) in FILES {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let version = URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or(&digest));
    format!("/assets/{version}")
});

/// Where the files are.
pub(super) fn folder() -> &'static str {
    &FOLDER
}

/// `GET /assets/{version}/{file}`
pub(super) async fn show(call: Call) -> Answer {
    let (version, name) = (call.path("version")?, call.path("file")?);
    let file = FILES.iter().find(|(known, ..)| *known == name);
    let current = folder().strip_prefix("/assets/") == Some(version.as_str());
    let (_, kind, bytes) = file
        .filter(|_| current)
        .ok_or_else(|| Problem::not_found("there is no such file in this version"))?;
    let mut response = Response::new(Body::from(*bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, for_ever);
    Ok(response)
}
