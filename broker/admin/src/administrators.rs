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
    guard::Offered,
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

/// What somebody who proved who it is may do.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// `None` = the holder of the token of the first start.
    pub(crate) user: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) permissions: Permissions,
    /// When it ends at the latest, seconds since 1970.
    pub(crate) expires_at_unix: Option<u64>,
    /// Whether a browser will carry the token in a cookie.
    pub(crate) cookie: bool,
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
    /// What every change has to carry, on a login whose token is in a cookie.
    pub(crate) csrf: Option<String>,
}

/// How long logins last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasts {
    /// At most, from its begin.
    pub(crate) ttl: Duration,
    /// From one request to the next.
    pub(crate) idle: Duration,
}

/// Who may use the API now.
pub(crate) struct Administrators {
    token: TokenHash,
    holder: Arc<Administrator>,
    roles: Roles,
    lasts: Lasts,
    logins: Mutex<HashMap<TokenHash, Login>>,
}

/// The token of a login, and whose it is.
type Opened = (Zeroizing<String>, Arc<Administrator>);

struct Login {
    who: Arc<Administrator>,
    ends: Instant,
    used: Instant,
}

impl Login {
    fn is_open(&self, now: Instant, idle: Duration) -> bool {
        self.ends > now && now.saturating_duration_since(self.used) < idle
    }
}

impl Administrators {
    pub(crate) fn new(token: TokenHash, roles: Roles, lasts: Lasts) -> Self {
        let holder = Administrator {
            user: None,
            roles: Vec::new(),
            permissions: Permissions::all(),
            ends_unix: None,
            csrf: None,
        };
        Self { token, holder: Arc::new(holder), roles, lasts, logins: Mutex::default() }
    }

    /// Whose token this is. Being asked for counts as use of the login.
    pub(crate) fn find(&self, offered: Offered<'_>, now: Instant) -> Option<Arc<Administrator>> {
        let (token, cookie) = match offered {
            Offered::Bearer(token) => (token, false),
            Offered::Cookie(token) => (token, true),
        };
        if !cookie && self.is_holder(token) {
            return Some(Arc::clone(&self.holder));
        }
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        // By hash: how long the search takes tells nothing of the tokens. What was given to a
        // browser is good in its cookie only, where changes need more.
        let login = logins.get_mut(&TokenHash::of(token)).filter(|login| {
            login.is_open(now, self.lasts.idle) && login.who.csrf.is_some() == cookie
        })?;
        login.used = login.used.max(now);
        Some(Arc::clone(&login.who))
    }

    /// Whether this is the token of the first start.
    pub(crate) fn is_holder(&self, token: &[u8]) -> bool {
        self.token.matches(token)
    }

    /// Those of these roles that are known, and what they permit together.
    pub(crate) fn permitted(&self, roles: &[String]) -> (Vec<String>, Permissions) {
        self.roles.of(roles)
    }

    /// Opens a login for somebody who proved who it is; `None` = it would permit nothing.
    pub(crate) fn open(
        &self,
        opening: Opening,
        (now, now_unix): (Instant, u64),
    ) -> Result<Option<Opened>, getrandom::Error> {
        let Opening { user, roles, permissions, expires_at_unix, cookie } = opening;
        if permissions.routes.is_empty() {
            return Ok(None);
        }
        let granted = expires_at_unix.map(|at| Duration::from_secs(at.saturating_sub(now_unix)));
        let lasts = granted.unwrap_or(self.lasts.ttl).min(self.lasts.ttl);
        let token = random_text()?;
        let csrf = if cookie { Some(random_text()?.as_str().to_owned()) } else { None };
        let ends_unix = Some(now_unix.saturating_add(lasts.as_secs()));
        let who = Arc::new(Administrator { user, roles, permissions, ends_unix, csrf });
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.is_open(now, self.lasts.idle));
        if logins.len() >= LOGINS_MAX {
            let first = logins.iter().min_by_key(|(_, login)| login.ends).map(|(hash, _)| *hash);
            first.and_then(|hash| logins.remove(&hash));
        }
        let login = Login { who: Arc::clone(&who), ends: now + lasts, used: now };
        logins.insert(TokenHash::of(token.as_bytes()), login);
        Ok(Some((token, who)))
    }

    /// Ends the login of this token.
    pub(crate) fn close(&self, offered: Offered<'_>) {
        let (Offered::Bearer(token) | Offered::Cookie(token)) = offered;
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.remove(&TokenHash::of(token));
    }
}

/// 256 random bits as text.
fn random_text() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice())))
}

#[cfg(test)]
mod tests;
