//! `/api/v1/tokens`: tokens for programs. Each permits a part of what its owner may do, has an end,
//! and is shown once.
//!
//! Knows nothing of files and logins.

use std::sync::Arc;

use axum::{http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    administrators::{Permissions, random_text},
    call::{Answer, Call, json, unix_now},
    directory::{ApiToken, Directory, Owner, TOKEN_PREFIX, TOKENS_MAX, token_hash},
    problem::Problem,
    users::{ListQuery, change},
};

/// One page of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenList {
    /// By id.
    tokens: Vec<TokenEntry>,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<String>,
}

/// A token, without what it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenEntry {
    /// Names it.
    id: String,
    /// For people.
    name: String,
    /// Whose it is; null for whoever holds the token of the first start.
    owner: Option<String>,
    /// What it permits, as far as its owner may.
    permissions: Vec<String>,
    /// When it was made, seconds since 1970.
    created_unix: u64,
    /// When it ends, seconds since 1970; null = never.
    expires_at: Option<u64>,
    /// Whether it has ended.
    expired: bool,
    /// When it was last used since the broker started, seconds since 1970, to the minute.
    last_used_unix: Option<u64>,
}

impl TokenEntry {
    fn of(directory: &Directory, id: &str, token: &ApiToken) -> Self {
        Self {
            id: id.to_owned(),
            name: token.name.clone(),
            owner: token.owner.user().map(str::to_owned),
            permissions: token.permissions.clone(),
            created_unix: token.created_unix,
            expires_at: token.expires_unix,
            expired: token.expires_unix.is_some_and(|at| at <= unix_now()),
            last_used_unix: directory.last_used(id),
        }
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for, for people: 1 to 64 letters, digits, blanks, `.`, `_`, `-` and `@`.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it permits, of what its owner may do; `*` = all of that.
    #[serde(default)]
    #[schema(max_items = 64)]
    permissions: Vec<String>,
    /// Roles whose permissions of today it gets as well.
    #[serde(default)]
    #[schema(max_items = 16)]
    roles: Vec<String>,
    /// How long it is good, in seconds: 60 to 31536000 (a year); 7776000 (90 days) if nothing is said.
    #[schema(minimum = 60, maximum = 31_536_000)]
    expires_in: Option<u64>,
    /// Whether it never ends.
    #[serde(default)]
    never_expires: bool,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenMade {
    /// For the header `Authorization: Bearer TOKEN`. It is shown this once.
    token: String,
    #[serde(flatten)]
    entry: TokenEntry,
}

const EXPIRES_IN: std::ops::RangeInclusive<u64> = 60..=31_536_000;
const EXPIRES_IN_DEFAULT: u64 = 90 * 24 * 3_600;

impl NewToken {
    fn lasts(&self) -> Result<Option<u64>, Problem> {
        match (self.expires_in, self.never_expires) {
            (None, true) => Ok(None),
            (None, false) => Ok(Some(EXPIRES_IN_DEFAULT)),
            (Some(seconds), false) if EXPIRES_IN.contains(&seconds) => Ok(Some(seconds)),
            (Some(seconds), _) => Err(Problem::invalid(format!("expires_in = {seconds}"))
                .about("expires_in")
                .allowed("60 to 31536000 seconds, or never_expires = true without it")),
        }
    }

    fn check_name(&self) -> Result<(), Problem> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-@".contains(&byte);
        if (1..=64).contains(&self.name.len()) && self.name.bytes().all(allowed) {
            return Ok(());
        }
        Err(Problem::invalid(format!("the token cannot be called {:?}", self.name))
            .about("name")
            .allowed("1 to 64 of letters, digits, blanks, '.', '_', '-' and '@'"))
    }

    /// What it is to permit, of what its owner may do.
    fn permissions(
        &self,
        directory: &Directory,
        owner: &Permissions,
    ) -> Result<Permissions, Problem> {
        if self.permissions.len() > 64 || self.roles.len() > 16 {
            let what = "too many permissions or roles";
            return Err(Problem::invalid(what).allowed("at most 64 permissions and 16 roles"));
        }
        let all = self.permissions.iter().any(|name| name == "*");
        let named = Permissions::of(&self.permissions)
            .map_err(|what| Problem::invalid(what).about("permissions"))?;
        let mut wanted = if all { owner.clone() } else { named };
        for role in &self.roles {
            let (_, may) = directory.role(role).ok_or_else(|| {
                Problem::invalid(format!("there is no role {role:?}")).about("roles")
            })?;
            wanted.unite(&may);
        }
        if wanted.is_empty() {
            let what = "the token would permit nothing";
            return Err(Problem::invalid(what).about("permissions").allowed("at least one"));
        }
        Ok(wanted)
    }
}

/// `GET /api/v1/tokens`
pub(crate) async fn list(call: Call) -> Answer {
    let query = ListQuery::of(&call)?;
    let directory = &call.shared.directory;
    let kept = directory.kept();
    let mut tokens = kept.tokens.range::<str, _>(query.begin());
    let page = tokens.by_ref().take(query.limit);
    let page: Vec<_> = page.map(|(id, token)| TokenEntry::of(directory, id, token)).collect();
    let next = page.last().filter(|_| tokens.next().is_some()).map(|last| last.id.clone());
    call.json_answer(&TokenList { tokens: page, next })
}

/// `POST /api/v1/tokens`
pub(crate) async fn add(call: Call) -> Answer {
    let who = call.who()?;
    if who.token_id.is_some() {
        // Else a token that was found could outlive its end and its being revoked.
        return Err(Problem::forbidden("a token cannot make tokens: log in"));
    }
    let (shared, new) = call.json::<NewToken>().await?;
    new.check_name()?;
    let lasts = new.lasts()?;
    if lasts.is_none() && matches!(Owner::of(&who), Owner::Elsewhere { .. }) {
        let what = "nobody tells the broker when its owner is gone: such a token has to end";
        return Err(Problem::forbidden(what).about("never_expires").allowed("expires_in"));
    }
    let permissions = new.permissions(&shared.directory, &who.permissions)?;
    who.check_has(&permissions)?;
    let no_random = |error| Problem::internal(format!("no random numbers: {error}"));
    let text = format!("{TOKEN_PREFIX}{}", random_text().map_err(no_random)?.as_str());
    let mut id = [0_u8; 8];
    getrandom::fill(&mut id).map_err(no_random)?;
    let id = format!("{:016x}", u64::from_be_bytes(id));
    let now = unix_now();
    let token = ApiToken {
        name: new.name,
        hash: token_hash(text.as_bytes()),
        owner: Owner::of(&who),
        permissions: permissions.names().map(str::to_owned).collect(),
        created_unix: now,
        expires_unix: lasts.map(|seconds| now.saturating_add(seconds)),
    };
    let entry = TokenEntry::of(&shared.directory, &id, &token);
    change(&shared, move |_, kept| {
        if kept.tokens.len() >= TOKENS_MAX {
            // What has ended makes room.
            kept.tokens.retain(|_, token| token.expires_unix.is_none_or(|at| at > now));
        }
        if kept.tokens.len() >= TOKENS_MAX {
            let what = format!("there are {TOKENS_MAX} tokens");
            return Err(Problem::conflict(what).allowed(format!("at most {TOKENS_MAX}")));
        }
        if let Owner::Local { user } = &token.owner
            && !kept.users.contains_key(user)
        {
            return Err(Problem::conflict("its owner was removed meanwhile"));
        }
        kept.tokens.insert(id, token);
        Ok(())
    })
    .await?;
    json(StatusCode::OK, &TokenMade { token: text, entry })
}

/// `DELETE /api/v1/tokens/{id}`
pub(crate) async fn revoke(call: Call) -> Answer {
    let (who, id) = (call.who()?, call.path("id")?);
    let shared = Arc::clone(&call.shared);
    let revoked = id.clone();
    change(&shared, move |_, kept| {
        let unknown = || Problem::not_found(format!("there is no token {id:?}"));
        let token = kept.tokens.get(&id).ok_or_else(unknown)?;
        let permissions = Permissions::of(&token.permissions).map_err(Problem::internal)?;
        let own = who.user.is_some() && token.owner.user() == who.user.as_deref();
        if !own {
            who.check_has(&permissions)?;
        }
        kept.tokens.remove(&id);
        Ok(())
    })
    .await?;
    shared.directory.forget_use(&revoked);
    Ok(StatusCode::NO_CONTENT.into_response())
}
