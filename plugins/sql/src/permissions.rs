//! What a client may do, as the database has it.

use portcullis_plugin::{Activity, Answer, Error, HoldsFor, PermissionSet, Rule, Subject};

use crate::{
    broker::Host,
    ese,
    login::{NOBODY, about},
    parameter::{Known, bound, holds_for},
    rows::Rows,
    rules,
    settings::{PermissionSettings, Statement},
};

/// Finds rules.
#[derive(Debug)]
pub(crate) struct Permissions<H> {
    host: H,
    source: String,
    settings: PermissionSettings,
    holds_for: HoldsFor,
}

impl<H: Host> Permissions<H> {
    pub(crate) fn new(host: H, source: String, settings: PermissionSettings) -> Self {
        let statements = [&settings.superuser, &settings.statement];
        let parameters = statements.into_iter().flatten().flat_map(|it| it.parameters.clone());
        let holds_for = holds_for(&parameters.collect::<Vec<_>>());
        Self { host, source, settings, holds_for }
    }

    /// Asks for somebody who is not there.
    ///
    /// # Errors
    /// The database refuses a statement, or answers with other columns.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let nobody = |statement: &Statement| vec![NOBODY.to_owned(); statement.parameters.len()];
        if let Some(superuser) = &self.settings.superuser {
            self.is_superuser(superuser, &nobody(superuser))?;
        }
        if let Some(statement) = &self.settings.statement {
            self.rules(statement, &nobody(statement))?;
        }
        Ok(())
    }

    /// # Errors
    /// The database does not answer, or not as it should. Everything is refused then.
    pub(crate) fn answer(&self, subject: &Subject) -> Result<Answer, Error> {
        let known = Known::of_subject(subject);
        if let Some(statement) = &self.settings.superuser
            && let Some(values) = known.values(&statement.parameters)
            && self.is_superuser(statement, &values)?
        {
            let everything = Activity::PUBLISH | Activity::SUBSCRIBE;
            return Ok(self.permitted(vec![Rule::allow(everything, "#")]));
        }
        let Some(statement) = &self.settings.statement else {
            return Ok(Answer::Next);
        };
        // What would forbid something may be among the rows that cannot be found.
        let Some(values) = known.values(&statement.parameters) else {
            return Ok(Answer::DenyAll);
        };
        let rules = self.rules(statement, &values)?;
        if rules.is_empty() {
            return Ok(Answer::Next);
        }
        Ok(self.permitted(rules))
    }

    fn permitted(&self, rules: Vec<Rule>) -> Answer {
        let ttl_seconds = self.settings.ttl_seconds;
        Answer::Permissions(PermissionSet { rules, ttl_seconds, holds_for: self.holds_for })
    }

    /// The first column of the only row says so.
    fn is_superuser(&self, statement: &Statement, values: &[String]) -> Result<bool, Error> {
        let rows = self.query("superuser", statement, values)?;
        rows.check_columns(&["username", "is_superuser"], &[])?;
        let own = about(&rows, values.first())?;
        let mut is_superuser = false;
        for row in own {
            is_superuser |= row.boolean("is_superuser")?.unwrap_or(false);
        }
        Ok(is_superuser)
    }

    fn rules(&self, statement: &Statement, values: &[String]) -> Result<Vec<Rule>, Error> {
        let rows = self.query("permissions", statement, values)?;
        if self.settings.is_ese {
            return ese::rules(about(&rows, values.first())?);
        }
        rules::check_columns(&rows)?;
        rows.check_about(values.first())?;
        rows.iter().map(rules::read).collect()
    }

    fn query(&self, what: &str, statement: &Statement, values: &[String]) -> Result<Rows, Error> {
        self.host.query(&self.source, what, &statement.query, &bound(values))
    }
}

#[cfg(test)]
mod tests;
