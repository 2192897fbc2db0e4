//! The directory of administrators that the broker keeps itself: users, roles and API tokens, in one
//! file, `DATA_DIR/admin/directory.json`.
//!
//! Knows nothing of HTTP routes and of open logins. What is read is a snapshot; a change is written
//! and flushed before anybody sees it.

mod file;
mod role;
mod token;
mod user;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Roles,
    administrators::{Administrator, Permissions, Source},
    problem::Problem,
};

pub use file::without_secrets;
pub(crate) use role::Origin;
pub(crate) use token::{ApiToken, Owner, TOKEN_PREFIX, hash as token_hash};
pub(crate) use user::{Totp, User};

/// Most users, roles and tokens that are kept.
pub(crate) const USERS_MAX: usize = 1_000;
/// See [`USERS_MAX`].
pub(crate) const ROLES_MAX: usize = 200;
/// See [`USERS_MAX`].
pub(crate) const TOKENS_MAX: usize = 1_000;

/// What is in the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// Of the format.
    version: u32,
    /// By name.
    pub(crate) users: BTreeMap<String, User>,
    /// Made through the API: what they permit, by name.
    pub(crate) roles: BTreeMap<String, Vec<String>>,
    /// By id.
    pub(crate) tokens: BTreeMap<String, ApiToken>,
}

/// The users, roles and tokens in force.
pub(crate) struct Directory {
    /// `None` = nothing is kept.
    file: Option<PathBuf>,
    configured: Roles,
    kept: ArcSwap<Kept>,
    /// Held from reading what is changed to having written it.
    writing: Mutex<()>,
    /// When a token was used last, in minutes since 1970; forgotten with the process.
    used: Mutex<HashMap<String, u64>>,
}

impl Directory {
    /// Reads the file, or begins with nothing when there is none. A folder is made with mode 0700.
    pub(crate) fn open(folder: &Path, configured: Roles) -> Result<Self, Error> {
        let path = folder.join("directory.json");
        let kept = file::load(folder, &path)?.unwrap_or_default();
        let directory = Self { file: Some(path), ..Self::empty(configured) };
        for name in kept.roles.keys().filter(|name| directory.configured.get(name).is_some()) {
            let what = "a role of the configuration hides one made through the API";
            tracing::warn!(role = %name, "{what}");
        }
        directory.kept.store(Arc::new(kept));
        Ok(directory)
    }

    /// Without users, and nothing is kept.
    pub(crate) fn empty(configured: Roles) -> Self {
        Self {
            file: None,
            configured,
            kept: ArcSwap::default(),
            writing: Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// All there is, now.
    pub(crate) fn kept(&self) -> Arc<Kept> {
        self.kept.load_full()
    }

    /// Changes something: all of it, flushed to the disk, or nothing. Blocks.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Kept) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Kept::clone(&self.kept.load());
        let result = change(&mut kept)?;
        kept.version = file::VERSION;
        if let Some(path) = &self.file {
            file::save(path, &kept).map_err(|error| {
                tracing::error!(%error, path = %path.display(), "the directory of administrators \
                    could not be written: the change is undone");
                Problem::internal("the change could not be written down and is undone")
            })?;
        }
        self.kept.store(Arc::new(kept));
        Ok(result)
    }

    /// What a role permits and where it comes from: the configuration first, then what is built in,
    /// then those made through the API.
    pub(crate) fn role(&self, name: &str) -> Option<(Origin, Permissions)> {
        self.role_in(&self.kept.load(), name)
    }

    fn role_in(&self, kept: &Kept, name: &str) -> Option<(Origin, Permissions)> {
        if let Some(permissions) = self.configured.get(name) {
            return Some((Origin::Configuration, permissions.clone()));
        }
        if let Some(permissions) = role::built_in(name) {
            return Some((Origin::BuiltIn, permissions));
        }
        // What was kept has been checked.
        let names = kept.roles.get(name)?;
        Some((Origin::Made, Permissions::of(names).unwrap_or_default()))
    }

    /// All roles, by name.
    pub(crate) fn roles(&self) -> Vec<(String, Origin, Permissions)> {
        let kept = self.kept.load();
        let mut names: Vec<String> = self.configured.names().map(str::to_owned).collect();
        names.extend(role::BUILT_IN.iter().map(|(name, _)| (*name).to_owned()));
        names.extend(kept.roles.keys().cloned());
        names.sort_unstable();
        names.dedup();
        let roles = names.into_iter().filter_map(|name| {
            let (origin, permissions) = self.role_in(&kept, &name)?;
            Some((name, origin, permissions))
        });
        roles.collect()
    }

    /// Those of these roles that are known, and what they permit together.
    pub(crate) fn permitted(&self, names: &[String]) -> (Vec<String>, Permissions) {
        self.permitted_in(&self.kept.load(), names)
    }

    /// The same, in a directory that is being changed.
    pub(crate) fn permitted_in(&self, kept: &Kept, names: &[String]) -> (Vec<String>, Permissions) {
        let (mut roles, mut may) = (Vec::new(), Permissions::default());
        for name in names {
            if let Some((_, permissions)) = self.role_in(kept, name) {
                roles.push(name.clone());
                may.unite(&permissions);
            }
        }
        (roles, may)
    }

    /// Whether a change leaves a user who may do everything, if there was one. The last one goes only
    /// by the hand of who holds the token of the first start.
    pub(crate) fn check_last(
        &self,
        (before, after): (&Kept, &Kept),
        who: &Administrator,
    ) -> Result<(), Problem> {
        let has = |kept: &Kept| {
            let mut users = kept.users.values().filter(|user| !user.disabled);
            users.any(|user| self.permitted_in(kept, &user.roles).1.is_all())
        };
        if who.source == Source::TokenFile || !has(before) || has(after) {
            return Ok(());
        }
        let what = "no user would be left who may do everything";
        Err(Problem::conflict(what).allowed("another such user first, or DATA_DIR/admin.token"))
    }

    /// Who may use the API with this token now. Whose owner is gone or disabled is good for nothing,
    /// and none permits more than its owner may do today.
    pub(crate) fn find_token(&self, offered: &[u8], now_unix: u64) -> Option<Administrator> {
        let kept = self.kept.load();
        let hash = token::hash(offered);
        // By hash: how long the search takes tells nothing of the tokens.
        let (id, token) = kept.tokens.iter().find(|(_, token)| token.hash == hash)?;
        if token.expires_unix.is_some_and(|at| at <= now_unix) {
            return None;
        }
        let (user, owner_may) = self.owner(&kept, &token.owner)?;
        let permissions = Permissions::of(&token.permissions).ok()?.both(&owner_may);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(id.clone(), now_unix / 60);
        Some(token.administrator(id, user, permissions))
    }

    /// The name of an owner, and what it may do; `None` = nothing any more.
    fn owner(&self, kept: &Kept, owner: &Owner) -> Option<(Option<String>, Permissions)> {
        match owner {
            Owner::TokenFile => Some((None, Permissions::all())),
            Owner::Local { user } => {
                let known = kept.users.get(user).filter(|known| !known.disabled)?;
                Some((Some(user.clone()), self.permitted_in(kept, &known.roles).1))
            }
            Owner::Elsewhere { user, roles } => {
                Some((Some(user.clone()), self.permitted_in(kept, roles).1))
            }
        }
    }

    /// When a token was used last by this process, in seconds since 1970, to the minute.
    pub(crate) fn last_used(&self, id: &str) -> Option<u64> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(id).map(|minute| minute * 60)
    }

    /// Forgets when this token was used: it is gone.
    pub(crate) fn forget_use(&self, id: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// Whether a text can name a user, a role or a token.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Problem> {
    if is_name(name) {
        return Ok(());
    }
    Err(Problem::invalid(format!("the {what} {name:?} is no name"))
        .about(what)
        .allowed("1 to 64 of letters, digits, '.', '_', '-' and '@'"))
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}

#[cfg(test)]
mod tests;
