//! Who uses the API: the holder of the token, and those who logged in, with what their roles permit.
//!
//! Knows nothing of HTTP and of how a login is judged: `login` asks the chain, `guard` looks here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{
    field::{Field, Fields},
    route::Permission,
    token::TokenHash,
};

/// Logins that are open at once; the one that ends first gives way.
const LOGINS_MAX: usize = 256;

/// What roles permit, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeMap<String, Permissions>);

/// What somebody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    routes: BTreeSet<&'static str>,
    fields: Fields,
}

impl Permissions {
    /// All there are.
    pub(crate) fn all() -> Self {
        let routes = Permission::ALL.iter().map(|permission| permission.name()).collect();
        Self { routes, fields: Fields::all() }
    }

    pub(crate) fn has(&self, permission: Permission) -> bool {
        self.routes.contains(permission.name())
    }

    /// What may be read in clear.
    pub(crate) fn fields(&self) -> Fields {
        self.fields
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.routes.iter().copied().chain(self.fields.names())
    }

    /// Adds what a role says: a permission, `field:NAME` or `*`.
    fn add(&mut self, name: &str) -> Result<(), String> {
        if name == "*" {
            *self = Self::all();
        } else if let Some(known) = Permission::ALL.iter().find(|known| known.name() == name) {
            self.routes.insert(known.name());
        } else if let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) {
            self.fields = self.fields.with(field);
        } else {
            let all: Vec<_> = Self::all().names().collect();
            return Err(format!("{name:?} is no permission, allowed: *, {}", all.join(", ")));
        }
        Ok(())
    }
}

impl Roles {
    /// Adds a role. `"*"` = every permission.
    ///
    /// # Errors
    /// The first name that is no permission, with what there is.
    pub fn add(&mut self, role: &str, permissions: &[String]) -> Result<(), String> {
        let mut may = Permissions::default();
        for name in permissions {
            may.add(name)?;
        }
        self.0.insert(role.to_owned(), may);
        Ok(())
    }

    /// Those of these roles that are known, and what they permit together.
    fn of(&self, names: &[String]) -> (Vec<String>, Permissions) {
        let known = names.iter().filter_map(|name| Some((name, self.0.get(name)?)));
        let (mut roles, mut may) = (Vec::new(), Permissions::default());
        for (name, permissions) in known {
            roles.push(name.clone());
            may.routes.extend(&permissions.routes);
            may.fields = may.fields.union(permissions.fields);
        }
        (roles, may)
    }
}

/// Somebody who may use the API.
#[derive(Clone, Debug)]
pub(crate) struct Administrator {
    /// Who it is, for the log; `None` = whoever holds the token.
    pub(crate) user: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) permissions: Permissions,
    /// When the login ends, seconds since 1970.
    pub(crate) ends_unix: Option<u64>,
}

/// Who may use the API now.
pub(crate) struct Administrators {
    token: TokenHash,
    holder: Arc<Administrator>,
    roles: Roles,
    /// Longest time that a login lasts.
    ttl: Duration,
    logins: Mutex<HashMap<TokenHash, Login>>,
}

/// The token of a login, and whose it is.
type Opened = (Zeroizing<String>, Arc<Administrator>);

struct Login {
    who: Arc<Administrator>,
    ends: Instant,
}

impl Administrators {
    pub(crate) fn new(token: TokenHash, roles: Roles, ttl: Duration) -> Self {
        let holder = Administrator {
            user: None,
            roles: Vec::new(),
            permissions: Permissions::all(),
            ends_unix: None,
        };
        Self { token, holder: Arc::new(holder), roles, ttl, logins: Mutex::default() }
    }

    /// Whose token this is.
    pub(crate) fn find(&self, offered: &[u8], now: Instant) -> Option<Arc<Administrator>> {
        if self.token.matches(offered) {
            return Some(Arc::clone(&self.holder));
        }
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        // By hash: how long the search takes tells nothing of the tokens.
        let login = logins.get(&TokenHash::of(offered)).filter(|login| login.ends > now)?;
        Some(Arc::clone(&login.who))
    }

    /// Opens a login for somebody who proved who it is; `None` = none of the roles is known, or none
    /// permits anything.
    pub(crate) fn open(
        &self,
        (user, roles): (&str, &[String]),
        expires_at_unix: Option<u64>,
        (now, now_unix): (Instant, u64),
    ) -> Result<Option<Opened>, getrandom::Error> {
        let (roles, permissions) = self.roles.of(roles);
        if permissions.routes.is_empty() {
            return Ok(None);
        }
        let granted = expires_at_unix.map(|at| Duration::from_secs(at.saturating_sub(now_unix)));
        let lasts = granted.unwrap_or(self.ttl).min(self.ttl);
        let mut random = Zeroizing::new([0_u8; 32]);
        getrandom::fill(random.as_mut_slice())?;
        let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
        let who = Arc::new(Administrator {
            user: Some(user.to_owned()),
            roles,
            permissions,
            ends_unix: Some(now_unix.saturating_add(lasts.as_secs())),
        });
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.ends > now);
        if logins.len() >= LOGINS_MAX {
            let first = logins.iter().min_by_key(|(_, login)| login.ends).map(|(hash, _)| *hash);
            first.and_then(|hash| logins.remove(&hash));
        }
        let login = Login { who: Arc::clone(&who), ends: now + lasts };
        logins.insert(TokenHash::of(token.as_bytes()), login);
        Ok(Some((token, who)))
    }

    /// Ends the login of this token.
    pub(crate) fn close(&self, offered: &[u8]) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.remove(&TokenHash::of(offered));
    }
}

#[cfg(test)]
mod tests;
