//! The answer to a CONNECT.
//!
//! The same work is done whether a user exists or not: a password is verified, and the answer of the
//! database comes before that in both cases.

use std::cell::{OnceCell, RefCell};

use portcullis_plugin::{Connection, Error, Grant, Outcome};

use crate::{
    broker::Host,
    parameter::{Known, bound},
    rows::{Row, Rows},
    settings::{LoginSettings, Statement, UnknownUser},
    stored::{Form, Stored, base64},
};

/// Judges clients by the database.
#[derive(Debug)]
pub(crate) struct Login<H> {
    host: H,
    source: String,
    settings: LoginSettings,
    /// The costliest hash that was seen: an unknown user's password is verified against it, and the
    /// result thrown away.
    example: RefCell<String>,
    /// Whether the database was asked for an example.
    asked: OnceCell<()>,
}

impl<H: Host> Login<H> {
    pub(crate) fn new(host: H, source: String, settings: LoginSettings) -> Self {
        let example = RefCell::new(settings.example_hash.clone());
        Self { host, source, settings, example, asked: OnceCell::new() }
    }

    /// Asks for somebody who is not there.
    ///
    /// # Errors
    /// The database refuses a statement, or answers with other columns.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let nobody = |statement: &Statement| vec![NOBODY.to_owned(); statement.parameters.len()];
        let statement = &self.settings.statement;
        self.rows(&nobody(statement))?;
        if let Some(groups) = &self.settings.groups {
            self.host.query(&self.source, "groups", &groups.query, &bound(&nobody(groups)))?;
        }
        self.learn_example()?;
        let example = self.example.borrow().clone();
        self.host.verify(&example, b"nobody").map(drop)
    }

    /// Says who may pass.
    ///
    /// # Errors
    /// The database does not answer, or not as it should; or the password could not be verified.
    pub(crate) fn judge(
        &self,
        connection: &Connection,
        password: Option<&[u8]>,
    ) -> Result<Outcome, Error> {
        let mut known = Known::of_connection(connection);
        let Some(values) = known.values(&self.settings.statement.parameters) else {
            return Ok(Outcome::Next);
        };
        let password = password.unwrap_or_default();
        if password.is_empty() {
            return Ok(Outcome::bad_credentials());
        }
        let rows = self.rows(&values)?;
        self.learn_example()?;
        let Some(row) = only(&rows, values.first())? else {
            return self.judge_unknown(password);
        };
        let Some(stored) = self.settings.form.read(row)? else {
            return self.judge_unknown(password);
        };
        if !self.is_right(&stored, password)? {
            return Ok(Outcome::bad_credentials());
        }
        let principal = match row.text("principal")? {
            Some(principal) => principal,
            None => row.needed_text("username")?,
        };
        known.principal = Some(principal);
        let mut grant = Grant::new(principal);
        grant.groups = self.groups(&known)?;
        Ok(grant.into())
    }

    fn judge_unknown(&self, password: &[u8]) -> Result<Outcome, Error> {
        if self.settings.unknown_user == UnknownUser::Next {
            return Ok(Outcome::Next);
        }
        let example = self.example.borrow().clone();
        self.host.verify(&example, password)?;
        Ok(Outcome::bad_credentials())
    }

    fn is_right(&self, stored: &Stored, password: &[u8]) -> Result<bool, Error> {
        let (is_right, cost) = match stored {
            Stored::Hash(hash) => (self.host.verify(hash, password)?, self.note(hash)),
            Stored::Plain { .. } if !self.settings.allow_plain => {
                let why = "the password is stored as it is, which allow_plain = true would allow";
                return Err(Error::misconfigured(why));
            }
            Stored::Plain { text, is_base64: false } => {
                (self.host.equal(text.as_bytes(), password), 0)
            }
            Stored::Plain { text, is_base64: true } => {
                let text = text.trim_end_matches('=').as_bytes();
                (self.host.equal(text, base64(password).as_bytes()), 0)
            }
        };
        // A refusal that came sooner than an unknown user's would tell that this one exists.
        let example = self.example.borrow().clone();
        if !is_right && cost < hash_cost::of(&example) {
            self.host.verify(&example, password)?;
        }
        Ok(is_right)
    }

    /// Its cost; from now on, unknown users take no less.
    fn note(&self, hash: &str) -> u64 {
        let cost = hash_cost::of(hash);
        let mut example = self.example.borrow_mut();
        if cost > hash_cost::of(&example) {
            hash.clone_into(&mut example);
        }
        cost
    }

    /// Once, and then for everybody: who exists makes no difference.
    fn learn_example(&self) -> Result<(), Error> {
        let Some(statement) = &self.settings.example else {
            return Ok(());
        };
        if self.asked.get().is_some() {
            return Ok(());
        }
        let rows = self.host.query(&self.source, "example", statement, &[])?;
        if let Some(row) = rows.iter().next()
            && let Ok(Some(Stored::Hash(hash))) = self.settings.form.read(row)
            && self.host.verify(&hash, b"nobody").is_ok()
        {
            self.note(&hash);
        }
        let _ = self.asked.set(());
        Ok(())
    }

    fn rows(&self, values: &[String]) -> Result<Rows, Error> {
        let what = "authentication";
        let query = &self.settings.statement.query;
        let rows = self.host.query(&self.source, what, query, &bound(values))?;
        let optional: &[&str] =
            if self.settings.form == Form::Ese { &[] } else { &["principal", "salt"] };
        rows.check_columns(self.settings.form.columns(), optional)?;
        Ok(rows)
    }

    fn groups(&self, known: &Known<'_>) -> Result<Vec<String>, Error> {
        let Some(statement) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let Some(values) = known.values(&statement.parameters) else {
            return Ok(Vec::new());
        };
        let rows = self.host.query(&self.source, "groups", &statement.query, &bound(&values))?;
        if self.settings.form == Form::Ese {
            let own = about(&rows, values.first())?;
            return own.into_iter().map(|row| row.needed_text("name").map(str::to_owned)).collect();
        }
        rows.check_about(values.first())?;
        rows.iter().map(|row| row.only_text().map(str::to_owned)).collect()
    }
}

/// The rows that are about exactly this name: databases find `Alice` where `alice` is meant, or
/// `alice ` with a space.
pub(crate) fn about<'a>(rows: &'a Rows, name: Option<&String>) -> Result<Vec<Row<'a>>, Error> {
    let mut own = Vec::new();
    for row in rows.iter() {
        if Some(row.needed_text("username")?) == name.map(String::as_str) {
            own.push(row);
        }
    }
    Ok(own)
}

fn only<'a>(rows: &'a Rows, name: Option<&String>) -> Result<Option<Row<'a>>, Error> {
    match about(rows, name)?.as_slice() {
        [] => Ok(None),
        [row] => Ok(Some(*row)),
        _ => Err(Error::misconfigured("authentication: there are two rows for one user")),
    }
}

/// A name that no client can have: the check of a statement finds nobody.
pub(crate) const NOBODY: &str = "\u{1}";

#[cfg(test)]
mod tests;
