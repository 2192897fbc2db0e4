//! The answers: who may connect, in which groups, and with which rules. Knows the host only as a trait,
//! so that all of it runs in native tests.
//!
//! A user who is not there costs the directory what a wrong password costs it: a search, then a
//! password tried, on the decoy.

use portcullis_plugin::{
    Answer, Attribute, Connection, Credentials, Error, Grant, HoldsFor, Outcome, PermissionSet,
    Rule, Subject, caseless,
    host::ldap::{Entry, Error as LdapError, Search},
};

use crate::{
    account::{self, Account},
    settings::{Groups, Method, Settings, UnknownUser, UserFrom},
};

/// What the plugin needs from its host.
pub(crate) trait LdapHost {
    /// Whether the directory takes this password.
    fn bind(&self, source: &str, dn: &str, password: &[u8]) -> Result<bool, LdapError>;
    /// Whether an attribute has this value.
    fn compare(
        &self,
        source: &str,
        dn: &str,
        attribute: &str,
        value: &[u8],
    ) -> Result<bool, LdapError>;
    /// What there is.
    fn search(&self, source: &str, search: Search<'_>) -> Found;
    /// Tells the operator.
    fn warn(&self, text: &str);
}

/// Judges clients by the directory.
#[derive(Debug)]
pub(crate) struct Gate<H> {
    host: H,
    settings: Settings,
}

/// What a search finds.
type Found = Result<Vec<Entry>, LdapError>;

/// In the grant: what the user was found by. Whoever has it came in through this plugin.
pub(crate) const USER_ATTRIBUTE: &str = "ldap-user";
/// In the grant: the entry.
const DN_ATTRIBUTE: &str = "ldap-dn";

impl<H: LdapHost> Gate<H> {
    pub(crate) const fn new(host: H, settings: Settings) -> Self {
        Self { host, settings }
    }

    /// Asks the directory what it will be asked for clients. One that is not there now may be there
    /// later; one that does not understand the question never will.
    ///
    /// # Errors
    /// What to change in the configuration.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let nobody = "portcullis-self-test";
        let Settings { base, decoy, groups, .. } = &self.settings;
        if self.is_understood(base, self.search_users(nobody))?
            && let Some(Groups::Search { base, .. }) = groups
        {
            self.is_understood(base, self.search_groups(nobody, decoy))?;
        }
        Ok(())
    }

    /// False = the directory is not there to say.
    fn is_understood(&self, base: &str, found: Found) -> Result<bool, Error> {
        match found {
            Ok(_) => Ok(true),
            Err(error @ (LdapError::Unavailable(_) | LdapError::Timeout)) => {
                let text = account::sentence(&error);
                self.host.warn(&format!("{text}: nobody gets in by it until it does"));
                Ok(false)
            }
            Err(error) => {
                let text = account::sentence(&error);
                Err(Error::misconfigured(format!("searching below {base:?}: {text}")))
            }
        }
    }

    /// Says who may pass.
    ///
    /// # Errors
    /// The directory does not say.
    pub(crate) fn judge(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        if self.settings.method == Method::Lookup {
            return Ok(Outcome::Next);
        }
        let Some(user) = self.user(connection) else {
            return Ok(Outcome::Next);
        };
        let password = credentials.password.as_deref().unwrap_or_default();
        // Neither depends on who is in the directory, which is not asked: without a password many let
        // everybody in as nobody (RFC 4513 5.1.2), and what cuts one at its NUL may find it empty.
        if password.is_empty() || password.contains(&0) || !account::is_name(user) {
            return Ok(Outcome::bad_credentials());
        }
        let Some(account) = self.find(user)? else {
            if self.settings.unknown_user == UnknownUser::Next {
                return Ok(Outcome::Next);
            }
            // Whatever comes of it: only the work counts.
            self.is_password(&self.settings.decoy, password)?;
            return Ok(Outcome::bad_credentials());
        };
        if !self.is_password(&account.dn, password)? {
            return Ok(Outcome::bad_credentials());
        }
        self.grant(user, account)
    }

    fn user<'c>(&self, connection: &'c Connection) -> Option<&'c str> {
        match self.settings.user {
            UserFrom::Username => connection.username.as_deref(),
            UserFrom::ClientId => Some(&connection.client_id),
            UserFrom::CommonName => {
                connection.tls.as_ref()?.certificate.as_ref()?.common_name.as_deref()
            }
        }
    }

    fn grant(&self, user: &str, account: Account) -> Result<Outcome, Error> {
        let groups = self.groups(&account)?;
        let attributes =
            vec![Attribute::new(USER_ATTRIBUTE, user), Attribute::new(DN_ATTRIBUTE, account.dn)];
        Ok(Grant { groups, attributes, ..Grant::new(account.principal) }.into())
    }

    /// Says what a client may do.
    ///
    /// # Errors
    /// The directory does not say.
    pub(crate) fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        if self.settings.permissions.is_empty() {
            return Ok(Answer::Next);
        }
        let is_lookup = self.settings.method == Method::Lookup;
        let user = if is_lookup {
            subject.principal.as_str()
        } else {
            // Whom others let in is not ours, whatever it is called.
            let own = subject.attributes.iter().find(|it| it.name == USER_ATTRIBUTE);
            let Some(own) = own else { return Ok(Answer::Next) };
            own.value.as_str()
        };
        let account = if account::is_name(user) { self.find(user)? } else { None };
        let Some(account) = account.filter(|it| it.principal == subject.principal) else {
            let is_left = is_lookup && self.settings.unknown_user == UnknownUser::Next;
            return Ok(if is_left { Answer::Next } else { Answer::DenyAll });
        };
        let rules = self.rules(&self.groups(&account)?);
        if rules.is_empty() {
            return Ok(Answer::Next);
        }
        Ok(Answer::Permissions(PermissionSet {
            rules,
            ttl_seconds: Some(self.settings.ttl_seconds),
            holds_for: HoldsFor::Principal,
        }))
    }

    /// In the order of the configuration.
    fn rules(&self, groups: &[String]) -> Vec<Rule> {
        let groups: Vec<_> = groups.iter().map(|group| caseless(group)).collect();
        let is_about = |group: &Option<String>| {
            group.as_ref().is_none_or(|group| groups.contains(&caseless(group)))
        };
        let own = self.settings.permissions.iter().filter(|it| is_about(&it.group));
        own.flat_map(|permission| permission.rules.iter().cloned()).collect()
    }

    /// The one user of this name. Of two, none: which one it is would be a guess.
    fn find(&self, user: &str) -> Result<Option<Account>, Error> {
        let entries = self.search_users(user).map_err(|error| account::failed(&error))?;
        let entry = match <[Entry; 1]>::try_from(entries) {
            Ok([entry]) => entry,
            Err(entries) if entries.is_empty() => return Ok(None),
            Err(entries) => {
                let count = entries.len();
                self.host
                    .warn(&format!("the filter finds {count} entries for one user: none counts"));
                return Ok(None);
            }
        };
        let read = Account::read(entry, &self.settings);
        // Directories look at neither case nor spaces: each guess could come under another name, and
        // the waiting after failures would not count them together.
        let exact = read.and_then(|account| match account.principal == user {
            false if self.settings.is_exact => {
                Err(format!("{}: is called otherwise than the client says", account.dn))
            }
            _ => Ok(account),
        });
        Ok(exact.map_err(|why| self.host.warn(&why)).ok())
    }

    fn search_users(&self, user: &str) -> Found {
        let Settings { source, base, scope, filter, principal, groups, .. } = &self.settings;
        let mut attributes = vec![principal.as_str()];
        if let Some(Groups::MemberOf { attribute, .. }) = groups {
            attributes.push(attribute);
        }
        let search = Search {
            base,
            scope: *scope,
            filter: filter.text(),
            values: &filter.values(user, ""),
            attributes: &attributes,
        };
        self.host.search(source, search)
    }

    fn is_password(&self, dn: &str, password: &[u8]) -> Result<bool, Error> {
        let source = &self.settings.source;
        let answer = match &self.settings.method {
            Method::Bind => self.host.bind(source, dn, password),
            Method::Compare(attribute) => self.host.compare(source, dn, attribute, password),
            Method::Lookup => return Ok(false),
        };
        match answer {
            // Locked, expired and the like: the client is told no more than of a wrong password.
            Err(LdapError::Refused(why)) => {
                self.host.warn(&format!("the directory refuses to judge a password: {why}"));
                Ok(false)
            }
            answer => answer.map_err(|error| account::failed(&error)),
        }
    }

    fn groups(&self, account: &Account) -> Result<Vec<String>, Error> {
        let mut groups = match &self.settings.groups {
            None => Vec::new(),
            Some(Groups::MemberOf { base, .. }) => account.groups_within(base)?,
            Some(Groups::Search { name, .. }) => {
                let found = self.search_groups(&account.principal, &account.dn);
                let found = found.map_err(|error| account::failed(&error))?;
                account::names_of_groups(found, name)?
            }
        };
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }

    fn search_groups(&self, user: &str, dn: &str) -> Found {
        let Some(Groups::Search { base, scope, filter, name }) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let search = Search {
            base,
            scope: *scope,
            filter: filter.text(),
            values: &filter.values(user, dn),
            attributes: &[name],
        };
        self.host.search(&self.settings.source, search)
    }
}

#[cfg(test)]
mod tests;
