//! API tokens as they are kept: what one may do and whose it is, and of itself only a hash.
//!
//! Knows nothing of HTTP.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::administrators::{Administrator, Permissions, Source};

/// How every token begins, so that programs that look for leaked secrets find it.
pub(crate) const TOKEN_PREFIX: &str = "pct_";

/// A token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiToken {
    /// For people.
    pub(crate) name: String,
    /// SHA-256 in base64url. A fast hash is enough: the token has 256 random bits.
    pub(crate) hash: String,
    pub(crate) owner: Owner,
    /// What it permits, as far as its owner may.
    pub(crate) permissions: Vec<String>,
    /// Seconds since 1970.
    pub(crate) created_unix: u64,
    /// Seconds since 1970; `None` = never.
    pub(crate) expires_unix: Option<u64>,
}

/// Who made a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Owner {
    /// The holder of the token of the first start.
    TokenFile,
    /// A user of the directory: the token ends with it.
    Local {
        /// Its name.
        user: String,
    },
    /// Somebody whom a plugin or an identity provider vouched for; nobody tells us when that ends.
    Elsewhere {
        /// Its name there.
        user: String,
        /// The roles it had.
        roles: Vec<String>,
    },
}

impl Owner {
    /// The owner of what this administrator makes.
    pub(crate) fn of(who: &Administrator) -> Self {
        match (&who.user, who.source) {
            (Some(user), Source::Local) => Self::Local { user: user.clone() },
            (Some(user), _) => Self::Elsewhere { user: user.clone(), roles: who.roles.clone() },
            (None, _) => Self::TokenFile,
        }
    }

    /// Its name; `None` = the holder of the token of the first start.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::TokenFile => None,
            Self::Local { user } | Self::Elsewhere { user, .. } => Some(user),
        }
    }
}

impl ApiToken {
    /// Who uses it.
    pub(super) fn administrator(
        &self,
        id: &str,
        user: Option<String>,
        permissions: Permissions,
    ) -> Administrator {
        Administrator {
            user,
            roles: Vec::new(),
            permissions,
            ends_unix: self.expires_unix,
            csrf: None,
            source: Source::Token,
            token_id: Some(id.to_owned()),
        }
    }
}

/// How a token is kept.
pub(crate) fn hash(token: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

pub(super) fn check(token: &ApiToken) -> Result<(), String> {
    let bytes = URL_SAFE_NO_PAD.decode(&token.hash).map_err(|_| "its hash is no base64url")?;
    if bytes.len() != 32 {
        return Err(format!("its hash has {} bytes, allowed: 32", bytes.len()));
    }
    Permissions::of(&token.permissions).map(drop)
}
