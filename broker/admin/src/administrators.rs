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
    directory::{Directory, TOKEN_PREFIX},
    field::{Field, Fields},
    guard::Offered,
    problem::Problem,
    route::Permission,
    token::TokenHash,
};

/// Logins that are open at once; the one that ends first gives way.
const LOGINS_MAX: usize = 256;
/// Those of one user: else somebody who may little could crowd out all others.
const LOGINS_OF_USER_MAX: usize = 16;

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

    /// What these names say: permissions, `field:NAME` or `*`.
    ///
    /// # Errors
    /// The first that is no permission, with what there is.
    pub(crate) fn of<T: AsRef<str>>(names: &[T]) -> Result<Self, String> {
        let mut may = Self::default();
        for name in names {
            may.add(name.as_ref())?;
        }
        Ok(may)
    }

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

    /// Adds what the others permit.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.routes.extend(&other.routes);
        self.fields = self.fields.union(other.fields);
    }

    /// What both permit.
    pub(crate) fn both(&self, other: &Self) -> Self {
        let routes = self.routes.intersection(&other.routes).copied().collect();
        Self { routes, fields: self.fields.both(other.fields) }
    }

    /// What the other permits and this does not.
    pub(crate) fn lacks(&self, other: &Self) -> Vec<&'static str> {
        let mine: BTreeSet<_> = self.names().collect();
        other.names().filter(|name| !mine.contains(name)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn is_all(&self) -> bool {
        *self == Self::all()
    }
}

impl Roles {
    /// Adds a role. `"*"` = every permission.
    ///
    /// # Errors
    /// The first name that is no permission, with what there is.
    pub fn add(&mut self, role: &str, permissions: &[String]) -> Result<(), String> {
        self.0.insert(role.to_owned(), Permissions::of(permissions)?);
        Ok(())
    }

    pub(crate) fn get(&self, role: &str) -> Option<&Permissions> {
        self.0.get(role)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Who vouches for an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The token of the first start.
    TokenFile,
    /// The broker's own directory.
    Local,
    /// The chain `[admin] chain`.
    Chain,
    /// An identity provider, `[admin.oidc]`.
    Oidc,
    /// An API token of the directory.
    Token,
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
    pub(crate) source: Source,
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
    pub(crate) source: Source,
    /// The API token that is used.
    pub(crate) token_id: Option<String>,
}

impl Administrator {
    /// Nobody gives, changes or takes away rights that he does not have.
    pub(crate) fn check_has(&self, permissions: &Permissions) -> Result<(), Problem> {
        let lacking = self.permissions.lacks(permissions);
        if lacking.is_empty() {
            return Ok(());
        }
        let lacking = lacking.join(", ");
        Err(Problem::forbidden(format!("it is about rights that you do not have: {lacking}")))
    }

    /// Whether this is that user of the directory, logged in: who found one of its tokens is not.
    pub(crate) fn is_user(&self, name: &str) -> bool {
        self.source == Source::Local && self.user.as_deref() == Some(name)
    }
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
    directory: Arc<Directory>,
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
    pub(crate) fn new(token: TokenHash, directory: Arc<Directory>, lasts: Lasts) -> Self {
        let holder = Administrator {
            user: None,
            roles: Vec::new(),
            permissions: Permissions::all(),
            ends_unix: None,
            csrf: None,
            source: Source::TokenFile,
            token_id: None,
        };
        Self { token, holder: Arc::new(holder), directory, lasts, logins: Mutex::default() }
    }

    /// Whose token this is. Being asked for counts as use of the login.
    pub(crate) fn find(
        &self,
        offered: Offered<'_>,
        now: (Instant, u64),
    ) -> Option<Arc<Administrator>> {
        self.look(offered, now, true)
    }

    /// Whether a token is still good. No use of the login: an answer that goes on is no sign of somebody being there.
    pub(crate) fn knows(&self, offered: Offered<'_>, now: (Instant, u64)) -> bool {
        self.look(offered, now, false).is_some()
    }

    fn look(
        &self,
        offered: Offered<'_>,
        (now, now_unix): (Instant, u64),
        is_use: bool,
    ) -> Option<Arc<Administrator>> {
        let (token, cookie) = match offered {
            Offered::Bearer(token) => (token, false),
            Offered::Cookie(token) => (token, true),
        };
        if !cookie && self.is_holder(token) {
            return Some(Arc::clone(&self.holder));
        }
        if !cookie && token.starts_with(TOKEN_PREFIX.as_bytes()) {
            return self.directory.find_token(token, now_unix).map(Arc::new);
        }
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        // By hash: how long the search takes tells nothing of the tokens. What was given to a
        // browser is good in its cookie only, where changes need more.
        let login = logins.get_mut(&TokenHash::of(token)).filter(|login| {
            login.is_open(now, self.lasts.idle) && login.who.csrf.is_some() == cookie
        })?;
        if is_use {
            login.used = login.used.max(now);
        }
        Some(Arc::clone(&login.who))
    }

    /// Whether this is the token of the first start.
    pub(crate) fn is_holder(&self, token: &[u8]) -> bool {
        self.token.matches(token)
    }

    /// Opens a login for somebody who proved who it is; `None` = it would permit nothing.
    pub(crate) fn open(
        &self,
        opening: Opening,
        (now, now_unix): (Instant, u64),
    ) -> Result<Option<Opened>, getrandom::Error> {
        let Opening { user, roles, permissions, expires_at_unix, cookie, source } = opening;
        if permissions.routes.is_empty() {
            return Ok(None);
        }
        let granted = expires_at_unix.map(|at| Duration::from_secs(at.saturating_sub(now_unix)));
        let lasts = granted.unwrap_or(self.lasts.ttl).min(self.lasts.ttl);
        let token = random_text()?;
        let csrf = if cookie { Some(random_text()?.as_str().to_owned()) } else { None };
        let ends_unix = Some(now_unix.saturating_add(lasts.as_secs()));
        let token_id = None;
        let who = Administrator { user, roles, permissions, ends_unix, csrf, source, token_id };
        let who = Arc::new(who);
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.is_open(now, self.lasts.idle));
        let same = |login: &Login| login.who.user == who.user;
        if logins.values().filter(|login| same(login)).count() >= LOGINS_OF_USER_MAX {
            give_way(&mut logins, same);
        } else if logins.len() >= LOGINS_MAX {
            give_way(&mut logins, |_| true);
        }
        let login = Login { who: Arc::clone(&who), ends: now + lasts, used: now };
        logins.insert(TokenHash::of(token.as_bytes()), login);
        Ok(Some((token, who)))
    }

    /// Ends all logins of this user of the directory.
    pub(crate) fn end_user(&self, name: &str) {
        self.end(|who| who.is_user(name));
    }

    /// Ends all logins with this role.
    pub(crate) fn end_role(&self, role: &str) {
        self.end(|who| who.roles.iter().any(|held| held == role));
    }

    fn end(&self, whose: impl Fn(&Administrator) -> bool) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| !whose(&login.who));
    }

    /// Ends the login of this token.
    pub(crate) fn close(&self, offered: Offered<'_>) {
        let (Offered::Bearer(token) | Offered::Cookie(token)) = offered;
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.remove(&TokenHash::of(token));
    }
}

/// Ends the one of these logins that would end first.
fn give_way(logins: &mut HashMap<TokenHash, Login>, whose: impl Fn(&Login) -> bool) {
    let these = logins.iter().filter(|(_, login)| whose(login));
    let first = these.min_by_key(|(_, login)| login.ends).map(|(hash, _)| *hash);
    first.and_then(|hash| logins.remove(&hash));
}

/// 256 random bits as text.
pub(crate) fn random_text() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice())))
}

#[cfg(test)]
mod tests;
