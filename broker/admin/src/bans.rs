//! `/api/v1/bans`: who is kept out, until when and why.
//!
//! Knows nothing of how bans are enforced; asks the broker.

use std::{
    ops::RangeInclusive,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use limits::{Ban, BanOrigin, BanTarget, NewBan};
use serde::{Deserialize, Serialize};
use server::BanError;
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking, json},
    field::{Field, Fields},
    problem::Problem,
};

/// Which bans to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Start behind this ban: the `next` of the page before.
    #[serde(default)]
    after: u64,
    /// At most so many bans.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// One page of bans.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BanList {
    /// In the order in which they were made.
    bans: Vec<BanEntry>,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<u64>,
}

/// A ban. Exactly one of `client_id`, `principal`, `address` and `certificate` says whom it is about, except that one for
/// flapping is about a `client_id` of a `principal`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BanEntry {
    /// Names it.
    id: u64,
    /// Client Identifier.
    client_id: Option<String>,
    /// Authenticated principal.
    principal: Option<String>,
    /// Address, or range of addresses.
    address: Option<String>,
    /// SHA-256 of the client certificate, in hexadecimal.
    certificate: Option<String>,
    /// Why.
    reason: String,
    /// `administrator` or `flapping`.
    origin: &'static str,
    /// When it was made, in seconds since 1970.
    since_unix: u64,
    /// When it ends, in seconds since 1970; null = when it is lifted.
    until_unix: Option<u64>,
}

/// Whom to ban: exactly one of `client_id`, `principal`, `address` and `certificate`, or `client_id` and `principal` together
/// for that client of that principal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BanRequest {
    /// Client Identifier, whoever uses it.
    client_id: Option<String>,
    /// Authenticated principal: all of its clients.
    principal: Option<String>,
    /// Address, or range of addresses such as 192.0.2.0/24.
    address: Option<String>,
    /// SHA-256 of the client certificate's DER encoding, 64 hexadecimal digits, with or without colons.
    certificate: Option<String>,
    /// Why, for people: at most 256 characters.
    #[serde(default)]
    reason: String,
    /// How long, in seconds: 1 to 315360000 (ten years); without it until it is lifted.
    #[schema(minimum = 1, maximum = 315_360_000)]
    seconds: Option<u64>,
}

/// A ban that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BanMade {
    /// The ban. Who was banned already keeps that one, with the new reason and end.
    ban: BanEntry,
    /// Connections that were ended because of it.
    disconnected: u64,
}

/// `GET /api/v1/bans`
pub(crate) async fn list(call: Call) -> Answer {
    let (query, fields) = (call.query::<ListQuery>()?, call.fields());
    if !LIMIT.contains(&query.limit) {
        let problem = Problem::invalid(format!("limit = {} is out of range", query.limit));
        return Err(problem.about("limit").allowed("1 to 1000"));
    }
    let page = call.shared.state.broker.bans(query.after, query.limit);
    let bans = page.bans.into_iter().map(|ban| BanEntry::of(ban, fields)).collect();
    call.json_answer(&BanList { bans, next: page.next })
}

/// `GET /api/v1/bans/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let id = id(&call)?;
    let ban = call.shared.state.broker.find_ban(id).ok_or_else(|| unknown(id))?;
    call.json_answer(&BanEntry::of(ban, call.fields()))
}

/// `POST /api/v1/bans`
pub(crate) async fn add(call: Call) -> Answer {
    let fields = call.fields();
    let (shared, request) = call.json::<BanRequest>().await?;
    let new = request.read()?;
    let made = blocking(move || shared.state.broker.ban(new)).await?;
    let (ban, disconnected) = made.map_err(|error| problem(&error))?;
    let location = HeaderValue::from_str(&format!("/api/v1/bans/{}", ban.id));
    let mut answer =
        json(StatusCode::OK, &BanMade { ban: BanEntry::of(ban, fields), disconnected })?;
    if let Ok(location) = location {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// `DELETE /api/v1/bans/{id}`
pub(crate) async fn lift(call: Call) -> Answer {
    let id = id(&call)?;
    let shared = Arc::clone(&call.shared);
    let lifted = blocking(move || shared.state.broker.lift_ban(id)).await?;
    match lifted.map_err(|error| problem(&error))? {
        Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(unknown(id)),
    }
}

fn id(call: &Call) -> Result<u64, Problem> {
    let text = call.path("id")?;
    text.parse().map_err(|_| {
        let problem = Problem::invalid(format!("{text:?} is no name of a ban"));
        problem.about("id").allowed("a number")
    })
}

fn unknown(id: u64) -> Problem {
    Problem::not_found(format!("there is no ban {id}"))
}

fn problem(error: &BanError) -> Problem {
    match error {
        BanError::TooMany(_) => Problem::too_many(error.to_string()),
        BanError::NotKept(_) => Problem::internal(error.to_string()),
    }
}

impl BanRequest {
    fn read(self) -> Result<NewBan, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.reason.chars().count() > REASON_CHARACTERS_MAX {
            let allowed = format!("at most {REASON_CHARACTERS_MAX} characters");
            return Err(Problem::invalid("the reason is too long")
                .about("reason")
                .allowed(allowed));
        }
        if let Some(seconds) = self.seconds.filter(|seconds| !SECONDS.contains(seconds)) {
            let problem = Problem::invalid(format!("seconds = {seconds} is out of range"));
            return Err(problem.about("seconds").allowed("1 to 315360000"));
        }
        let (reason, origin) = (self.reason, BanOrigin::Administrator);
        let until_unix = self.seconds.map(|seconds| now.saturating_add(seconds));
        let target = match (self.client_id, self.principal, self.address, self.certificate) {
            (Some(id), None, None, None) => BanTarget::ClientId(text("client_id", id)?),
            (None, Some(name), None, None) => BanTarget::Principal(text("principal", name)?),
            (Some(client_id), Some(principal), None, None) => {
                let (principal, client_id) =
                    (text("principal", principal)?, text("client_id", client_id)?);
                BanTarget::Client { principal, client_id }
            }
            (None, None, Some(range), None) => address(&range)?,
            (None, None, None, Some(digits)) => certificate(&digits)?,
            _ => {
                let what = "it is not said whom to ban";
                return Err(Problem::invalid(what).allowed(
                    "one of client_id, principal, address and certificate, or client_id with \
                     principal",
                ));
            }
        };
        Ok(NewBan { target, reason, origin, until_unix })
    }
}

fn text(parameter: &str, text: String) -> Result<String, Problem> {
    if TEXT_BYTES.contains(&text.len()) {
        return Ok(text);
    }
    let problem = Problem::invalid(format!("{parameter} has {} bytes", text.len()));
    Err(problem.about(parameter).allowed("1 to 65535 bytes"))
}

fn address(text: &str) -> Result<BanTarget, Problem> {
    let single = text.parse::<std::net::IpAddr>().map(server::IpNet::from);
    let range = single.or_else(|_| text.parse::<server::IpNet>());
    range.ok().and_then(BanTarget::address).ok_or_else(|| {
        let problem = Problem::invalid(format!("{text:?} is no range of addresses"));
        problem
            .about("address")
            .allowed("ADDRESS or ADDRESS/BITS with nothing set behind the bits, such as 10.0.0.0/8")
    })
}

fn certificate(text: &str) -> Result<BanTarget, Problem> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let mut sha256 = [0; 32];
    let is_hex = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (at, byte) in sha256.iter_mut().enumerate() {
        let pair = digits.get(at * 2..at * 2 + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    if is_hex {
        return Ok(BanTarget::Certificate(sha256));
    }
    let problem = Problem::invalid(format!("{text:?} is no SHA-256"));
    Err(problem.about("certificate").allowed("64 hexadecimal digits, with or without colons"))
}

impl BanEntry {
    fn of(ban: Ban, fields: Fields) -> Self {
        let show = |field, text: String| Some(fields.show(field, text).into_owned());
        let mut entry = Self {
            id: ban.id,
            client_id: None,
            principal: None,
            address: None,
            certificate: None,
            reason: ban.reason,
            origin: match ban.origin {
                BanOrigin::Administrator => "administrator",
                BanOrigin::Flapping => "flapping",
            },
            since_unix: ban.since_unix,
            until_unix: ban.until_unix,
        };
        match ban.target {
            BanTarget::ClientId(client_id) => {
                entry.client_id = show(Field::ClientId, client_id);
            }
            BanTarget::Principal(principal) => {
                entry.principal = show(Field::Username, principal);
            }
            BanTarget::Address(range) => {
                entry.address = show(Field::Address, range.to_string());
            }
            BanTarget::Certificate(sha256) => {
                let digits = sha256.iter().map(|byte| format!("{byte:02x}"));
                entry.certificate = show(Field::Username, digits.collect());
            }
            BanTarget::Client { principal, client_id } => {
                entry.principal = show(Field::Username, principal);
                entry.client_id = show(Field::ClientId, client_id);
            }
        }
        entry
    }
}

const LIMIT: RangeInclusive<usize> = 1..=1000;
const REASON_CHARACTERS_MAX: usize = 256;
const TEXT_BYTES: RangeInclusive<usize> = 1..=65_535;
const SECONDS: RangeInclusive<u64> = 1..=315_360_000;
