//! Reading claims: by name or path, the ones that must be there, the client's name, its groups and
//! attributes, the end of it all. Whatever has another shape is a refusal, in a sentence.

use std::collections::BTreeMap;

use portcullis_plugin::{Attribute, Connection};
use serde_json::{Map, Value};

/// The claims of a token.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

impl Claims {
    /// By its name, or by its path if that begins with `/` (RFC 6901): names of claims may hold
    /// dots, so that they cannot stand between the steps.
    pub(crate) fn get(&self, claim: &str) -> Option<&Value> {
        let Some(path) = claim.strip_prefix('/') else { return self.0.get(claim) };
        let mut steps = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
        let mut value = self.0.get(&steps.next()?)?;
        for step in steps {
            value = match value {
                Value::Object(fields) => fields.get(&step)?,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// Every required claim is one of the values that it may be.
    pub(crate) fn check_required(
        &self,
        required: &BTreeMap<String, Value>,
        connection: &Connection,
    ) -> Result<(), String> {
        for (claim, wanted) in required {
            let wanted = match wanted {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            let wanted: Vec<Value> =
                wanted.iter().filter_map(|one| filled_in(one, connection)).collect();
            let fits = match self.get(claim) {
                Some(Value::Array(list)) => list.iter().any(|item| wanted.contains(item)),
                Some(value) => wanted.contains(value),
                None => false,
            };
            if !fits {
                return Err(format!("claim {claim} is not what it must be"));
            }
        }
        Ok(())
    }

    /// The client's name; none where the operator leaves it to others.
    pub(crate) fn principal(&self, claim: &str) -> Result<Option<String>, String> {
        if claim.is_empty() {
            return Ok(None);
        }
        match self.get(claim) {
            Some(Value::String(name))
                if !name.is_empty()
                    && name.len() <= PRINCIPAL_BYTES_MAX
                    && !name.contains(char::is_control) =>
            {
                Ok(Some(name.clone()))
            }
            _ => Err(format!("claim {claim} names nobody")),
        }
    }

    /// Texts of all these claims, each a text or a list of texts.
    pub(crate) fn groups(&self, claims: &[String]) -> Result<Vec<String>, String> {
        let mut groups: Vec<String> = Vec::new();
        for claim in claims {
            for group in self.texts(claim)? {
                if group.is_empty() || group.contains(char::is_control) {
                    return Err(format!("claim {claim} has a group that is none"));
                }
                if !groups.iter().any(|known| known == group) {
                    groups.push(group.to_owned());
                }
            }
        }
        match groups.len() > GROUPS_MAX {
            true => Err(format!("it has over {GROUPS_MAX} groups")),
            false => Ok(groups),
        }
    }

    /// Attributes from claims, of which each is a text; those that are not there are left out.
    pub(crate) fn attributes(
        &self,
        wanted: &BTreeMap<String, String>,
    ) -> Result<Vec<Attribute>, String> {
        let mut attributes = Vec::new();
        for (name, claim) in wanted {
            match self.get(claim) {
                None => {}
                Some(Value::String(text)) if !text.contains('\0') => {
                    attributes.push(Attribute::new(name, text));
                }
                Some(_) => return Err(format!("claim {claim} is no text")),
            }
        }
        Ok(attributes)
    }

    /// Scopes: words of a text (RFC 8693 section 4.2), or a list of texts.
    pub(crate) fn scopes(&self, claim: &str) -> Result<Vec<&str>, String> {
        match self.get(claim) {
            Some(Value::String(text)) => Ok(text.split(' ').filter(|it| !it.is_empty()).collect()),
            _ => self.texts(claim),
        }
    }

    /// A time in seconds since 1970, whole or not.
    pub(crate) fn time(&self, claim: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| {
            let seconds = value.as_f64()?;
            // Rounded down: an end comes no later for it.
            (0.0..=TIME_MAX as f64).contains(&seconds).then_some(seconds as u64)
        });
        match whole {
            Some(seconds) if seconds <= TIME_MAX => Ok(Some(seconds)),
            _ => Err(format!("claim {claim} is no time")),
        }
    }

    /// A text or a list of texts; nothing where there is no such claim.
    fn texts(&self, claim: &str) -> Result<Vec<&str>, String> {
        let texts = match self.get(claim) {
            None => Some(Vec::new()),
            Some(Value::String(text)) => Some(vec![&**text]),
            Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        texts.ok_or_else(|| format!("claim {claim} is no list of texts"))
    }
}

/// With what the client says of itself in the place of variables; none if it says nothing.
fn filled_in(wanted: &Value, connection: &Connection) -> Option<Value> {
    let Value::String(template) = wanted else { return Some(wanted.clone()) };
    let mut text = String::new();
    let mut rest = template.as_str();
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, behind) = behind.split_once('}')?;
        let value = match name {
            "clientid" => connection.client_id.as_str(),
            "username" => connection.username.as_deref().unwrap_or_default(),
            _ => return None,
        };
        if value.is_empty() {
            return None;
        }
        text.push_str(before);
        text.push_str(value);
        rest = behind;
    }
    text.push_str(rest);
    Some(Value::String(text))
}

/// What the host takes of one grant.
const GROUPS_MAX: usize = 256;
const PRINCIPAL_BYTES_MAX: usize = 1_024;
/// The year 9999: a time in milliseconds is none.
const TIME_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
